# %% [markdown]
# # 14. One latent, taken apart
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/14_anatomy_of_a_feature.ipynb)
#
# **Pages** [← 13b. What the ablation score measures](13b_score_taken_apart.ipynb) · [Start here](00_start_here.ipynb) · [14b. All latents at once: would another model have them? →](14b_population.ipynb)
#
# The word `is` has two roles in Python files: it is an operator of the language (`x is None`), and it is a word of English in comments and docstrings.
# The token is the same. On this page you find a direction in a small language model that follows the first role, and check in several ways whether that is
# what it stands for. The model reads Python, so the true role of every token is known from Python's own parser.
#
# **You will** see why a single neuron cannot be trusted to mean one thing · pick a latent and read where it is active · measure how sure and how complete
# it is · test it without labels, as the paper had to · compare it with neurons · read off what it makes the model say, and remove it · type Python and
# watch any latent.
#
# **Needs** to know what a sparse autoencoder (dictionary) is: [page 8](08_sae_training.ipynb#model). **Takes** about six minutes at `laptop` on two cores,
# one minute once it has run; others: [start here](00_start_here.ipynb#profiles).
#
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html): the detailed
# investigation of individual features.
#
# **On this page** [1 Why a neuron need not mean one thing](#neuron) · [2 From neurons to latents](#latents) · [3 A latent by hand](#by-hand) · [4 Without labels: a proxy](#proxy) · [5 Five dictionaries](#seeds) · [6 Is it a neuron?](#not-a-neuron) · [7 What it raises](#raises) · [8 What removing it does](#removing) · [9 Explore](#explore) · [10 Your turn](#your-turn) · [11 Limits](#limits) · [12 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import math
import tempfile
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from IPython.display import HTML
from torch.nn.functional import normalize

from companion import claims, dictionaries, memo, run
from companion.evals import browser, features, live, views
from companion.evals.n2g import Firings
from companion.lm import labels, training
from companion.lm.labels import ContextLabels
from companion.lm.training import TINY
from companion.plots import anatomy as plots
from companion.plots import explorer
from companion.sae.recipe import TrainConfig

claims.opening("14_anatomy_of_a_feature")

# %% [markdown]
# The sizes of everything below. The language model is model A of [page 7](07_language_model.ipynb): one layer, 512 neurons, as in the paper. Five
# dictionaries of its neurons are trained from five random seeds; the page reads the first one and judges all five.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    saes: tuple[dictionaries.DictionaryConfig, ...]  # the first is read, all are judged
    label: str  # the label that one latent is to follow
    headline: tuple[str, ...]  # labels over which latents and neurons are compared
    broad: str = "docstring"  # a label that holds for long stretches of text
    capitals: str = "ALL_CAPS"  # the label that the alphabet of section 4 stands in for
    contexts: int = 2000  # held-out contexts, at most: the first half chooses, the second reports
    others: int = 5  # latents of the same density, to compare with
    shown: int = 400  # contexts for the live views


KEEP = ("averaged", "untrained")
NEURONS = dict(layer=0, hook="mlp.hook_post", keep=KEEP)
HEADLINE = (
    "keyword =", "def name", "subscript index", "import line", "except line", "in []", "parameter",
    "keyword argument", "stored name", "class name", "other newline",
)  # fmt: skip
one = dictionaries.offline_subject("python-stdlib-1l")
recipe = TrainConfig(n=2048, k=16, steps=400, batch=2048, space="scalar", dead_after_tokens=100_000)
base = dictionaries.DictionaryConfig(one, recipe, contexts=6000, heldout=1024, **NEURONS)
tiny = replace(TINY, layers=1, steps=100)
quick_recipe = TrainConfig(n=128, k=8, steps=100, batch=512, lr=3e-3, space="scalar")
small = dictionaries.DictionaryConfig(tiny, quick_recipe, contexts=1000, heldout=64, **NEURONS)
longer = replace(training.OFFLINE["python-stdlib-1l"], steps=20_000, batch=64, seed=run.seed_shift())
many = replace(recipe, n=16_384, steps=20_000, batch=8192)
large = dictionaries.DictionaryConfig(longer, many, contexts=48_000, heldout=1024, **NEURONS)


def seeds(config, count):
    return tuple(dictionaries.variant(config, seed=seed) for seed in range(count))


cfg = run.choose(
    quick=Config(seeds(small, 2), "operator", ("operator", "comma", "identifier"), shown=40),
    laptop=Config(seeds(base, 5), "keyword is", HEADLINE),
    paper=Config(seeds(large, 5), "keyword is", HEADLINE),
)
page = claims.Page("14_anatomy_of_a_feature", cfg)

# %% [markdown]
# <a id="neuron"></a>
# ## 1 Why a neuron need not mean one thing
# Could we train models whose neurons are easy to read, by making most of them zero most of the time? The paper argues against it with a model of one
# neuron. There are four classes, each as likely as the others, and the neuron is either on or off. After it a read-out guesses the class. If the neuron
# is on for one class alone, that class is known when it is on, and three are left when it is off. If it is on for two classes, two are left in either
# case. With $m$ classes that switch it on, the best read-out leaves the cross-entropy
#
# $$ L(m) = \tfrac{m}{4} \ln m + \tfrac{4-m}{4} \ln (4-m). $$
#
# That is $\tfrac34 \ln 3$ for one class and $\ln 2$ for two, which is less: the neuron that lumps two classes together is the better one. Does training
# find that? Let the neuron be on for class $c$ with probability $p_c$, which is learned, and take the mean loss over on and off. (A neuron that may
# take any value could tell all four classes apart: exercise 1.) We expect a loss within a hundredth of $\ln 2$. The control is a neuron that is held
# to the first class, with a read-out that is trained as before.


# %%
def left(m, classes=4):
    """Nats that remain when m classes switch the neuron on."""
    return sum(part * math.log(part) for part in (m, classes - m) if part) / classes


def train_neuron(seed, held=None, steps=600):
    generator = run.generator(seed, "neuron")
    w = torch.randn(4, generator=generator).requires_grad_()
    readout = (0.1 * torch.randn(2, 4, generator=generator)).requires_grad_()
    adam = torch.optim.Adam([w, readout], lr=0.1)
    for _ in range(steps):
        p = w.sigmoid() if held is None else held  # (4,): how often each class switches it on
        off, on = readout.log_softmax(-1)  # (4,) each
        loss = -(p * on + (1 - p) * off).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return loss.item(), p.detach()


def best_neuron(seed, starts=4, **given):
    trained = [train_neuron(starts * seed + start, **given) for start in range(starts)]
    return min(trained, key=lambda found: found[0])


assert np.allclose([left(1), left(2)], [3 / 4 * math.log(3), math.log(2)])
trained = [best_neuron(seed) for seed in range(5)]
print(f"one class leaves {left(1):.3f} nats, two leave {left(2):.3f}")
print("trained: on for each class with p =", trained[0][1].numpy().round(2))
alone = torch.tensor([1.0, 0.0, 0.0, 0.0])
page.check(
    "anatomy.one-neuron-two-groups",
    [loss for loss, _ in trained],
    control={"a neuron that is held to one class": [best_neuron(seed, held=alone)[0] for seed in range(5)]},
)

# %% [markdown]
# A loss near $\ln 2$ means two groups of two (the best of four starts counts, for the control too). A neuron with two meanings is not an accident of
# training here; the loss is lower with it. (The paper calls a neuron with one meaning *monosemantic*, one with several *polysemantic*.) So the paper does
# not try to train a model with better neurons. It looks for better directions among the neurons that a model has.
#
# <a id="latents"></a>
# ## 2 From neurons to latents
# A dictionary writes the vector $a$ of the 512 neurons of one token as a sum of a few *latents*, chosen from 2,048:
#
# $$ \hat a = b + \sum_i f_i(a)\, d_i. $$
#
# The number $f_i(a) \ge 0$ is how active latent $i$ is on this token, and $d_i$ is what one unit of it adds to the neurons. Page 8
# [writes the model](08_sae_training.ipynb#model) and [trains it](08_sae_training.ipynb#training); here it is only used. Everything is measured on
# files that neither the language model nor the dictionary was trained on.
#
# After the text the cell takes one token, in the open. Its code holds the few latents that are active, and how much. Their contributions and the constant
# part $b$ must add up to the dictionary's reconstruction.

# %%
first = cfg.saes[0]
site, subject, sae = first.site, dictionaries.subject_of(first), dictionaries.dictionary(first)
every = subject.tokens("heldout")
labelled = labels.of_contexts(every, subject.tokenizer.backend_tokenizer)
tokens, values, known = (dictionaries.spread(part, cfg.contexts) for part in (every, *labelled))

a = subject.activations(tokens[:1], site)[0, 20]  # the neurons of one token
code = sae.encode(a[None])
nothing = sae.decode(code._replace(values=0 * code.values), a[None])[0]  # b
d = features.directions(sae, code.indices[0], a)  # (k, neurons)
a_hat = nothing + code.values[0] @ d
assert torch.allclose(a_hat, sae.decode(code, a[None])[0], atol=1e-4)
print(f"{tokens.numel():,} tokens; on this one {len(d)} latents and {int((a > 0).sum())} neurons are active")

# %% [markdown]
# `features.fired` notes every activation above zero of every latent on the whole text. It must agree with the code of a few contexts, computed as above.
# From now on the first half of the contexts is used to choose things, and the second half, which holds other files, to report them.

# %%
fired = features.fired(subject, sae, site, tokens)
codes = sae.encode(subject.activations(tokens[:4], site))
f = torch.zeros(*codes.values.shape[:2], sae.n).scatter_add(-1, codes.indices.cpu(), codes.values.cpu())
here = fired.chosen(fired.context < 4)
assert torch.allclose(f[here.context, here.position, here.latent], here.value, atol=1e-4)
assert (f > 0).sum() == len(here.value)

second = torch.arange(len(tokens)) >= len(tokens) // 2
choosing, reporting = (ContextLabels(values, known & half[:, None]) for half in (~second, second))

# %% [markdown]
# <a id="by-hand"></a>
# ## 3 A latent by hand
# Which latent follows the label `keyword is` (the word `is` as Python's operator)? The one with the largest Pearson correlation between $f_i$ and the
# label, 1 where it holds and 0 elsewhere, on the first half of the text.

# %%
y = labels.COLUMN[cfg.label]
by_label = features.correlation(fired, values, tokens.shape, choosing.known)  # (latents, labels)
latent = by_label[:, y].nan_to_num(-1).argmax().item()


def pearson(f, y):
    f, y = f - f.mean(), y - y.mean()
    return (f @ y) / (f.norm() * y.norm())


own = features.own(fired, latent)  # the activations of this one latent
f = torch.zeros(tokens.shape).index_put((own.context, own.position), own.value)
by_hand = pearson(f[choosing.known], values[..., y][choosing.known].float())
assert torch.isclose(by_hand, by_label[latent, y], atol=1e-3)
density = len(own.value) / tokens.numel()
print(f"latent {latent}: correlation {by_hand:.2f}; active on {density:.2%} of the tokens")

# %% [markdown]
# The largest activations alone do not show what a latent stands for, since most of its activations are smaller. So the paper reads *interval* examples
# too: the range from 0 to the largest activation is cut into eleven equal parts, and some tokens are drawn from each. (A public reproduction cuts into
# parts with equal numbers of tokens instead. Most tokens have small activations, so nearly all such parts lie near zero: exercise 2.) Let us read the
# largest, two from the middle and two from the lowest part. The colour is the activation, and so is the number at the left, which is that of the token
# in the frame.
#
# The cell ends with three checks of the examples themselves: the largest are in order, each of the others lies in its interval, and every value is what
# the model gives when it reads that context again.

# %%
texts = [subject.tokenizer.decode([token]) for token in range(len(subject.unembedding()))]
words = [views.visible(text) for text in texts]  # what each token looks like, on one line
some = features.examples(fired, latent, run.generator(0, "examples"), top=20, intervals=11, each=2)


def shown(interval, said, count, before=12, after=4):
    lines, most = [f"<h3>{said}</h3>"], own.value.max().item()
    for at in (some.interval == interval).nonzero().flatten()[:count].tolist():
        context, position = some.context[at].item(), some.position[at].item()
        around = slice(max(0, position - before), position + after)
        read = [words[token] for token in tokens[context, around].tolist()]
        lines.append(browser.line(read, f[context, around].tolist(), most, position - around.start))
    return "".join(lines)


parts = shown(-1, "The largest, one per context", 6) + shown(5, "The middle interval", 2)
parts += shown(0, "The lowest interval", 2)
top = some.interval == -1
assert (some.value[top].diff() <= 0).all()
place = some.value / some.value.max() * 11
assert ((place > some.interval) & (place <= some.interval + 1 + 1e-4))[~top].all()
again = sae.encode(subject.activations(tokens[some.context], site))
rows = torch.arange(len(some.context))
own_again = (again.values * (again.indices == latent)).sum(-1).cpu()[rows, some.position]
assert torch.allclose(own_again, some.value, rtol=1e-4, atol=1e-4)
HTML(f"<style>{browser.style()}</style><div class='latent'>{parts}</div>")

# %% [markdown]
# The largest are `is` before `None`, `not` and the like. Some are the beginning of `issubclass`, which the tokenizer cuts in two: at ` is` the model
# cannot know yet that the word goes on. The label calls these wrong. Low down the latent is weakly active on other things. Two numbers say how good it is.
#
# **Specificity** asks: when the latent is active, how sure is the label? It is asked by level. Cut the activations into five equal parts and take the
# share of tokens with the label in each. If the latent stands for the label, the share rises and ends near 1.
#
# **Sensitivity** asks the opposite: where the label holds, is the latent active? The correlation answers both at once. It needs something to compare with,
# because many labels are nearly a matter of the token: for the label "comma", a table that knows nothing but the token is perfect. The baseline is the
# correlation of the label with its mean among all places that have the same token. Always look at it before believing a correlation.

# %%
late = own.chosen((second[:, None] & known)[own.context, own.position])  # in the second half
upper = late.value > 0.8 * late.value.max()
has_label = values[late.context, late.position, y]
bins = features.specificity(late, 0, reporting, bins=5)
assert torch.isclose(bins.share[-1, y], has_label[upper].float().mean(), atol=1e-3)
print("share with the label, by fifth of the largest activation:", bins.share[:, y].numpy().round(2))
print("tokens:", bins.known.tolist())

scored = features.correlation(own, values[..., y : y + 1], tokens.shape, reporting.known)[0, 0]
ids, true = tokens[reporting.known], values[..., y][reporting.known].double()
mean_of = torch.bincount(ids, weights=true) / torch.bincount(ids).clamp_min(1)
token_alone = features.token_identity(tokens, reporting)
assert torch.isclose(pearson(mean_of[ids], true), token_alone[y], atol=1e-4)
curve = features.precision_recall(late, 0, reporting, y)
best = (curve.precision * curve.recall / (curve.precision + curve.recall)).nan_to_num().argmax()
print(f"correlation with the label: latent {scored:.2f}, the token alone {token_alone[y]:.2f}")
print(f"at its best threshold: precision {curve.precision[best]:.2f}, recall {curve.recall[best]:.2f}")

# %% [markdown]
# If the first correlation is the larger, the latent uses something that stands before the word. Whether more than the previous token is needed for that,
# and whether it holds for other dictionaries, are questions of section 5.
#
# <a id="proxy"></a>
# ## 4 Without labels: a proxy
# The paper had no labels. It wrote down *proxies*: how much likelier is a piece of text $s$ if it is of the wanted kind than if it is any text? For a kind
# that has an alphabet (base64, DNA, hexadecimal), each character inside the alphabet of $A$ characters has the probability $1/A$, each other $10^{-10}$;
# "any text" is a list of independent tokens with their frequencies $p(t)$:
#
# $$ r(s) = \sum_{c \,\in\, s} \log p_A(c) - \sum_{t \,\in\, s} \log p(t). $$
#
# Our kind is the ALL_CAPS name of a constant: capitals and the underscore, 27 characters. As $\log 10^{-10} \approx -23$, one foreign
# character is enough to rule a token out.
#
# Where does the piece begin? The proxy takes the best beginning: the ratio at a token is the largest over all runs of tokens that end there. A run may
# only be prolonged or begun anew, so one pass over the text finds it: $r_t = \max(\text{begin}_t,\; r_{t-1} + \text{go on}_t)$. We let a run begin with a
# letter, and with the space before it, since our tokens carry their spaces. One letter may begin a run but is not yet one: it says too little. (The
# paper asks for two tokens, for DNA.)

# %%
CAPITALS, SMALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_", "abcdefghijklmnopqrstuvwxyz_"
counts = torch.bincount(subject.tokens("train").flatten(), minlength=len(words)) + 1
log_p = (counts / counts.sum()).double().log()


def inside(text, alphabet):
    return sum(math.log(1 / len(alphabet)) if c in alphabet else math.log(1e-10) for c in text)


assert math.isclose(inside("MAX_", CAPITALS), 4 * math.log(1 / 27))
assert math.isclose(inside("MAX1", CAPITALS) - inside("MAX_", CAPITALS), math.log(1e-10) - math.log(1 / 27))


def proxy(tokens, alphabet):
    """The largest log-ratio over the runs of tokens that end at each token."""
    go_on = torch.tensor([inside(text, alphabet) for text in texts]).double() - log_p
    starts = [text.removeprefix(" ") for text in texts]
    begin = torch.tensor([inside(s, alphabet) if s[:1].isalpha() else -1e3 for s in starts]).double() - log_p
    long_enough = torch.tensor([len(s) > 1 for s in starts])
    run_to, ratio = begin[tokens[:, 0]], begin.where(long_enough, -1e3)[tokens]
    for t in range(1, tokens.shape[1]):
        longer = run_to + go_on[tokens[:, t]]
        run_to = torch.maximum(begin[tokens[:, t]], longer)
        ratio[:, t] = torch.maximum(ratio[:, t], longer)
    return ratio


small = next(token for token, text in enumerate(texts) if len(text) > 1 and set(text) <= set(SMALL[:26]))
by_hand = len(texts[small]) * math.log(1 / 27) - log_p[small]  # a run of one token
assert torch.isclose(proxy(torch.tensor([[small]]), SMALL)[0, 0], by_hand)
ratio = proxy(tokens, CAPITALS)
single = proxy(tokens.reshape(-1, 1), CAPITALS).reshape(tokens.shape)
assert (ratio >= single).all()  # the best run is no worse than the token alone

# %% [markdown]
# Like the paper we say "yes" where the ratio is above 0. How good is that, judged by the true labels? We expect it to find most constants, and some text
# that is in capitals for another reason: a proxy sees characters and no syntax.
#
# And is it good enough to choose a latent with? We choose one by the proxy and one by the label, both on the first half, and look at what the label says of
# them on the second half.

# %%
caps = labels.COLUMN[cfg.capitals]
proxies = torch.stack([proxy(tokens, alphabet) > 0 for alphabet in (CAPITALS, SMALL)], dim=-1)
said, is_caps = proxies[..., 0][reporting.known], values[..., caps][reporting.known]
print(f"the proxy: precision {is_caps[said].float().mean():.2f}, recall {said[is_caps].float().mean():.2f}")

by_proxy = features.correlation(fired, proxies, tokens.shape, choosing.known)[:, 0]
chosen = {"by the proxy": by_proxy, "by the label": by_label[:, caps]}
for how, scores in chosen.items():
    one = scores.nan_to_num(-1).argmax().item()
    columns = values[..., caps : caps + 1]
    mine = features.correlation(features.own(fired, one), columns, tokens.shape, reporting.known)
    print(f"chosen {how}: latent {one}, correlation with the label {mine.item():.2f}")
print(f"the token alone: {token_alone[caps]:.2f}")

# %% [markdown]
# <a id="seeds"></a>
# ## 5 Five dictionaries
# One dictionary could be a lucky one. The next function measures one dictionary: the correlation of every latent with every label and with the
# proxies, on both halves; and for the label of section 3 the best latent's activations. It does the same for the dictionary before its training. It also
# notes five other latents whose density (share of active tokens) is nearest to that of the best one; section 8 compares with them.


# %%
def measured(config):
    subject, made = dictionaries.subject_of(config), {}
    columns = torch.cat([values, proxies], dim=-1)
    for which in KEEP:
        fired = features.fired(subject, dictionaries.dictionary(config, which), config.site, tokens)
        found = [
            features.correlation(fired, columns, tokens.shape, half.known) for half in (choosing, reporting)
        ]  # fmt: skip
        best = found[0][:, y].nan_to_num(-1).argmax().item()
        alive = torch.bincount(fired.latent[second[fired.context]], minlength=len(fired.counts)) > 9
        distance = (fired.counts - fired.counts[best]).abs() + 10**9 * ~alive
        distance[best] = 10**9
        latents = torch.tensor([best, *distance.argsort()[: cfg.others].tolist()])
        parts = features.only(fired, latents)
        held = dict(first=found[0], second=found[1], latents=latents, **parts._asdict())
        made |= {f"{which} {name}": value for name, value in held.items()}
    return made


results = [memo.memo(measured, each) for each in cfg.saes]


def activity(result, which="averaged"):
    """Firings of the best latent and, numbered after it, of the others."""
    return Firings(*(result[f"{which} {name}"] for name in Firings._fields))


assert results[0]["averaged latents"][0] == latent

# %% [markdown]
# The first rival of "this latent knows the role of the word" is "this latent knows the word". To see what that alone would give, shuffle the label
# among all places that have the same token. Each token keeps its share of labels, and the context says nothing any more.
#
# A stricter rival knows a little of the context too: the *previous* token, or the place in the context (a docstring stands near the beginning of a
# function). Such a rival is a table: for every pair of tokens the share of the label among its places in the first half of the text. Pairs are
# rare, so each table counts one more place that has the share of the table without the context. The tables are scored on the second half.


# %%
def shuffled_within_token(labelled, generator):
    ids, true = tokens[labelled.known], labelled.values[..., y][labelled.known]
    order = torch.randperm(len(ids), generator=generator)
    drawn = torch.empty_like(true)
    drawn[ids.argsort(stable=True)] = true[order[ids[order].argsort(stable=True)]]
    values = labelled.values.clone()
    values[..., y][labelled.known] = drawn
    return ContextLabels(values, labelled.known)


shuffled = shuffled_within_token(reporting, run.generator(0, "shuffled"))
shares = [torch.bincount(tokens[reporting.known & part.values[..., y]]) for part in (reporting, shuffled)]
assert torch.equal(*shares)  # every token has the label as often as before


def table(keys, coarser):
    """Share of the label where the key is the same, first half, with one place of a coarser table added."""
    seen, true = keys[choosing.known], values[..., y][choosing.known].double()
    ids, back = torch.cat([seen, keys.flatten()]).unique(return_inverse=True)
    among, at = back[: len(seen)], back[len(seen) :]
    counts = torch.bincount(among, minlength=len(ids))
    sums = torch.bincount(among, weights=true, minlength=len(ids))
    return ((sums[at] + coarser.flatten()) / (counts[at] + 1)).view(keys.shape)


T = tokens.shape[1]
previous = tokens.roll(1, dims=1).index_fill(1, torch.tensor([0]), len(words))  # none at the first place
of_token = table(tokens, torch.full(tokens.shape, values[..., y][choosing.known].double().mean()))
of_pair = table(tokens * (len(words) + 1) + previous, of_token)
of_place = table(tokens * T + torch.arange(T) // 8, of_token)  # places in groups of eight
by_table = [pearson(each[reporting.known], true) for each in (of_token, of_pair, of_place)]


def by_level(result, labelled=reporting, which="averaged"):
    own = features.only(activity(result, which), torch.tensor([0]))
    return features.specificity(own.chosen(second[own.context]), 0, labelled, bins=5).share[:, y].numpy()


by_seed = np.stack([by_level(result) for result in results])
by_chance = np.stack([by_level(result, shuffled) for result in results])
untrained = np.stack([by_level(result, which="untrained") for result in results])

# %% [markdown]
# The picture shows the first dictionary's latent on the left, and on the right the share of the label by level in all dictionaries. We expect a line that
# rises to 1 for every seed, and controls that stay below.

# %%
edges = np.linspace(0, late.value.max().item(), 25)
yes, no = (np.histogram(late.value[has_label == wanted], edges)[0] for wanted in (True, False))
controls = {"shuffled within the token": by_chance, "untrained": untrained}
page.save_figure(
    plots.specificity(edges, yes, no, by_seed, controls, cfg.label),
    "specificity",
    {"edges": edges, "yes": yes, "no": no, "shares": by_seed, **controls},
    f"Left: how active latent {latent} is on tokens with the label “{cfg.label}” and on others. Right: the "
    f"share of the label among the active tokens, by level of activation, in {len(cfg.saes)} dictionaries "
    "(seeds); with the label shuffled among places of the same token; and before training. "
    f"n = {sae.n:,}, k = {first.train.k}, second half of {tokens.numel():,} held-out tokens. The paper's "
    "figure is of Arabic script, coloured by a proxy.",
)
page.check(
    "anatomy.specificity",
    by_seed[:, -1],
    control={
        "the label shuffled within each token": by_chance[:, -1],
        "a dictionary that was never trained": untrained[:, -1],
    },
)

# %% [markdown]
# Then the correlation, less that of the best table: of the token alone, or of the token with the previous one. For neurons the same is computed with the
# roles exchanged: a label is a latent that is 0 or 1, and the neurons are the columns. The best neuron is chosen on the first half too.


# %%
def as_firings(marked):
    """Labels as latents whose activation is 1 where they hold."""
    label, context, position = marked.permute(2, 0, 1).nonzero(as_tuple=True)
    return Firings(context, position, torch.ones(len(label)), marked.sum(dim=(0, 1)))


def of_neurons(config):
    subject, marked = dictionaries.subject_of(config), as_firings(values)

    def neurons(part):
        return subject.activations(tokens[part], config.site)

    halves = {"first": choosing.known, "second": reporting.known}
    return {
        name: features.correlation(marked, neurons, tokens.shape, where).T for name, where in halves.items()
    }  # fmt: skip


neurons = memo.memo(of_neurons, first)


def best_by_label(first_half, second_half):
    """For each label, the second half's correlation of what was best on the first."""
    best = first_half.nan_to_num(-1).argmax(dim=0)
    return second_half.nan_to_num(0).gather(0, best[None])[0, : values.shape[-1]].numpy()


latents_by = np.stack([best_by_label(r["averaged first"], r["averaged second"]) for r in results])
untrained_by = np.stack([best_by_label(r["untrained first"], r["untrained second"]) for r in results])
neurons_by, token_by = best_by_label(neurons["first"], neurons["second"]), token_alone.nan_to_num(1).numpy()

one_column = shuffled.values[..., y : y + 1]
where = reporting.known
on_shuffled = [features.correlation(activity(r), one_column, tokens.shape, where)[0] for r in results]
rival = max(token_by[y], by_table[1].item())
page.check(
    "anatomy.beyond-the-token",
    latents_by[:, y] - rival,
    control={
        "the best neuron": neurons_by[y] - rival,
        "a dictionary that was never trained": untrained_by[:, y] - rival,
        "the label shuffled within each token": np.stack(on_shuffled)[:, 0] - rival,
        "the token and its place in the context": by_table[2].item() - rival,
    },
)
print("tables: token {:.2f}, with the previous one {:.2f}, with its place {:.2f}".format(*by_table))

# %% [markdown]
# The previous token tells a part of what the latent tells (compare the first two printed numbers); the card says in which dictionaries the latent is
# ahead of the pair by a tenth. A table of longer contexts, counted on more text, would be a stricter rival still.
#
# Last, the proxy of section 4 in all dictionaries: is the latent that it chooses as good, by the label, as the one that the label chooses? The control chooses
# by a proxy with another alphabet, the small letters.


# %%
def by_alphabet(which):
    column = values.shape[-1] + which
    chosen = [result["averaged first"][:, column].nan_to_num(-1).argmax() for result in results]
    found = [result["averaged second"][one, caps] for one, result in zip(chosen, results, strict=True)]
    return torch.stack(found).nan_to_num(0).numpy() - latents_by[:, caps]


by_capitals, by_small = (by_alphabet(which) for which in (0, 1))
page.check("anatomy.proxy-finds-it-too", by_capitals, control={"the proxy of the small letters": by_small})

# %% [markdown]
# The paper could not ask this question, because it had nothing but the proxy. A difference of 0 says that proxy and label choose the same latent, not
# that this latent is a good one: compare its correlation with that of the token alone, at the end of section 4. How well a proxy chooses depends on the
# text that it is used on: every word in capitals that is no constant, such as a heading in a comment, counts for it all the same.
#
# <a id="not-a-neuron"></a>
# ## 6 Is it a neuron?
# If the latent were one neuron, no dictionary would be needed. The paper gives three reasons why it is not, and each can be computed. First, the
# *coefficients*: $d_i$ scaled to length 1 is spread over many neurons. A random direction is spread still wider, so a wide spread says by itself
# nothing about meaning.
#
# Second, *the neurons' own largest activations*: of each neuron take the 20 contexts in which it is largest, one token in each, and count the tokens that
# have the label. A neuron that stood for the label would have 20.

# %%
d = features.directions(sae, torch.tensor([latent]), a)[0].cpu()
unit = d / d.norm()
random = torch.randn(len(unit), generator=run.generator(0, "direction"))
random = random / random.norm()
large = [int((row.abs() >= 0.1).sum()) for row in (unit, random)]
page.save_figure(
    plots.coefficients(unit.numpy(), random.numpy(), 0.1),
    "coefficients",
    {"latent": unit.numpy(), "random": random.numpy()},
    f"The 80 largest coefficients of latent {latent}'s direction (left) and of a random direction (right); "
    f"dark: positive. {large[0]} of the latent's are 0.1 or more in size (the paper counts 27 for Arabic "
    f"script), {large[1]} of the random one's.",
)

neuron_acts = subject.activations(tokens[second], site).cpu()  # (contexts, T, neurons)
most, at = neuron_acts.max(dim=1)  # (contexts, neurons): the largest of each context, and where
best_contexts = most.topk(min(20, len(most)), dim=0).indices  # (20, neurons)
marked = (values & known[..., None])[second][..., y]
counted = marked[best_contexts, at.gather(0, best_contexts)].sum(dim=0)
own_top = values[some.context[top], some.position[top], y].sum()
print(f"largest activations with the label: of the latent {int(own_top)} of {int(top.sum())}")
print(f"of the best neuron {int(counted.max())}; of {int((counted == 0).sum())} neurons none")

# %% [markdown]
# Third, *correlations*. We compare over eleven labels, not only the one that we have been looking at. They were listed before any of these dictionaries
# was trained, because a pilot on another model had found a good latent for each. Everything is chosen on the first half and scored on the second.

# %%
columns = [labels.COLUMN[name] for name in (cfg.label, *cfg.headline, cfg.capitals, cfg.broad)]
names = [cfg.label, *cfg.headline, cfg.capitals, cfg.broad]
kinds = {"latent": latents_by, "untrained": untrained_by, "neuron": neurons_by[None], "token": token_by[None]}
kinds = {kind: rows[:, columns] for kind, rows in kinds.items()}
page.save_figure(
    plots.by_label(names, kinds),
    "by_label",
    {"labels": names, **kinds},
    f"Correlation with a label: the best latent of each of {len(cfg.saes)} dictionaries, the best latent "
    "before training, the best neuron, and what the token alone says. On top the label of this page; the "
    f"next {len(cfg.headline)} are those of the claim. Look at the distance between blue and orange, then at "
    "the black lines.",
)

head = [labels.COLUMN[name] for name in cfg.headline]
ahead, before = (np.median(rows[:, head] - neurons_by[head], axis=1) for rows in (latents_by, untrained_by))
page.check("anatomy.not-a-neuron", ahead, control={"a dictionary that was never trained": before})
more = (latents_by[:, head] > token_by[head]).sum(axis=1)
print(f"on so many of {len(head)} labels the best latent says more than the token alone: {more.tolist()}")

# %% [markdown]
# In the picture blue is ahead of orange on most labels; whether by a tenth, and by more than the dictionaries differ, the card says. (The best of 2,048
# latents is a choice among more candidates than the best of 512 neurons; the untrained control has as many.) But see the black lines: on many of these
# labels the token alone says as much as the best latent or more. So a good correlation by itself shows little. The latents of the first row
# say more than their token; whether they also say more than the token with the previous one was the question of section 5.
#
# ### States that are too broad
# Look at the last row. A docstring goes on for many tokens, and a large part of the text is inside one. We expect no latent for it: the dictionary
# allows itself 16 latents per token and spends them on what is special about a token, so a state that lasts may be split among many latents that are
# each active on a part of it (a guess, which is not tested here). A single neuron may follow it better, and the card below asks whether one does. See
# the black line of this row too: where the token alone says more than both, neither the neuron nor the latent need know what a docstring is. (The row
# above it, ALL_CAPS, lies between: a frequent label whose best latent and best neuron are near each other.)

# %%
broad = labels.COLUMN[cfg.broad]
page.check(
    "anatomy.broad-states",
    latents_by[:, broad] - neurons_by[broad],
    control={"the keyword is, a narrow label": latents_by[:, y] - neurons_by[y]},
)

# %% [markdown]
# How a feature splits when the dictionary grows, and how good latents are when all of them are looked at, are questions for the pages after this one.
#
# <a id="raises"></a>
# ## 7 What it raises
# What does the latent do to the model's guess for the next token? The neurons write into the residual stream by $W_{down}$, then come the last layer norm
# and the unembedding $W_U$. The norm does three things: it subtracts the mean, divides by the size of the *whole* stream, and multiplies by a gain $g$. Its
# size is set by everything else in the stream, so for one direction it is a constant, and left out. The *logit weights* of the latent are
#
# $$ w = \big( (d_i W_{down} - \text{mean}) \odot g \big)\, W_U, \qquad \text{shifted so that their median is } 0. $$

# %%
with torch.no_grad():
    W_down = subject.blocks[0].mlp.c_proj.weight  # (neurons, width of the stream)
    written = d.to(W_down) @ W_down
    w = ((written - written.mean()) * subject.final_gain()) @ subject.unembedding().T
    w = (w - w.median()).float().cpu()
    through_norm = subject.unembed(written).float().cpu()  # the mistake
assert torch.allclose(w, features.logit_weights(subject, site, d[None].to(a))[0], atol=1e-3)
print("raised most:", [words[token] for token in w.topk(10).indices.tolist()])
print(f"largest logit weight {w.max():.2f}; with the mistake {through_norm.max():.1f}")

# %% [markdown]
# **A mistake** of a public reproduction is to send the single direction through the whole layer norm. The norm blows it up to unit variance, as if nothing
# else were in the stream, and the logits come out far too large (the last line). The order of the tokens hardly changes, so nothing looks wrong in a list of
# the top ten.
#
# Are the raised tokens those that come next where the label holds? Draw a place where it holds and a place where it does not, and compare the logit weights
# of the two tokens that actually come next. The share of pairs in which the first is larger is called AUROC: 1 is perfect, a half is a coin. Frequent
# tokens cannot help, since they come next elsewhere just as often.


# %%
def next_tokens(where):
    """How often each token of the vocabulary comes next after these places."""
    return torch.bincount(tokens[:, 1:][where[:, :-1]], minlength=len(words)).double()


def auroc(w, follows, elsewhere):
    order = w.argsort()
    below = elsewhere[order].cumsum(0) - elsewhere[order] / 2  # of equal tokens half
    return (follows[order] @ below / (follows.sum() * elsewhere.sum())).item()


assert auroc(*map(torch.tensor, ([0.0, 1.0, 2.0], [0.0, 1.0, 1.0], [2.0, 2.0, 0.0]))) == 0.875
where = values[..., y] & reporting.known
follows, elsewhere = next_tokens(where), next_tokens(reporting.known & ~values[..., y])

frequent = (follows > 0.05 * follows.sum()).nonzero().flatten().tolist()
named = {words[token].strip() or "␣": w[token].item() for token in frequent}
page.save_figure(
    plots.raised(w.numpy(), follows.numpy(), elsewhere.numpy(), named),
    "raised",
    {"named": named, "auroc": auroc(w, follows, elsewhere)},
    f"AUROC {auroc(w, follows, elsewhere):.2f}. Logit weights of latent {latent}, for the tokens that come "
    f"next where “{cfg.label}” holds (blue) and everywhere else (grey). Named are tokens that make up a "
    "twentieth of the blue ones or more. In the paper's figure, for Arabic script, the tokens of the script "
    "form a second hump at the right.",
)

# %% [markdown]
# Look how few different tokens make up the blue bars: the number rests on them. And there is a rival explanation. The latent may only know the *word*:
# after any `is` other tokens come next than elsewhere. A direction that knows nothing but the word is easy to make: the mean of the neurons on it, in
# both roles, less their mean on all tokens. The fair comparison is with the other role: next tokens where the label holds against next tokens at the
# *same* token where it does not.

# %%
word = torch.isin(tokens, tokens[where].unique())
other_role = next_tokens(word & reporting.known & ~values[..., y])
early = subject.activations(tokens[~second], site)
of_word = early[word[~second].to(early.device)].mean(0) - early.flatten(0, 1).mean(0)
of_word = features.logit_weights(subject, site, of_word[None])[0]
for name, weights in {"the latent": w, "the mean on the word": of_word}.items():
    both = [auroc(weights, follows, others) for others in (elsewhere, other_role)]
    print(f"AUROC of {name}: against other places {both[0]:.2f}, against the other role {both[1]:.2f}")

# %% [markdown]
# Against other places the mean on the word does as well as the latent. We expect the same of all dictionaries; then the word alone would explain the figure
# above. The control is the same difference against the other role: there the latents should be ahead.


# %%
def raises(config, which):
    result = results[cfg.saes.index(config)]
    best = features.directions(dictionaries.dictionary(config, which), result[f"{which} latents"][:1], a)
    weights = features.logit_weights(subject, site, best)[0]
    return [auroc(weights, follows, others) for others in (elsewhere, other_role)]


trained_by, before_by = (np.array([raises(config, which) for config in cfg.saes]) for which in KEEP)
by_word = [auroc(of_word, follows, others) for others in (elsewhere, other_role)]
page.check(
    "anatomy.word-raises-as-well",
    trained_by[:, 0] - by_word[0],
    control={"against the other role of the word": trained_by[:, 1] - by_word[1]},
)
print("AUROC against the other role, by seed: trained", trained_by[:, 1].round(2))
print("                              before training", before_by[:, 1].round(2))

# %% [markdown]
# Is the latent's lead against the other role then what training has found? See the last row: latents *before training*, picked by the same label, come near it in
# most seeds. We had meant to claim that the AUROC of the trained latents is high, first against other places and then against the other role, and gave it
# up both times, because untrained latents lay in the same band. Once a direction has been picked because it is active on a word, it is easy for it to
# raise what follows. Logit weights describe a latent; they do not prove that it stands for anything.
#
# <a id="removing"></a>
# ## 8 What removing it does
# Logit weights are a statement about matrices. The model's behaviour is tested by *ablation*: at every token subtract $f_i(a)\, d_i$ from the neurons,
# finish the pass, and see how the log-probability of each token that comes next has changed. Below zero the latent had helped. The rest of $a$ stays as it
# is, with the error that the dictionary makes, so that only the latent's contribution is missing.

# %%
context = own.context[own.value.argmax()].item()


@torch.no_grad()
def next_log_p(stream):
    log_p = subject.unembed(stream)[:-1].float().log_softmax(-1).cpu()
    return log_p.gather(-1, tokens[context, 1:, None])[:, 0]


stream = subject.residual(tokens[context : context + 1], 0)[0]  # after the MLP has written
without = stream - f[context].to(stream)[:, None] * written
change = next_log_p(without) - next_log_p(stream)  # (T - 1,)
packaged = features.ablation_effect(subject, sae, site, tokens[context : context + 1], latent)[0]
assert torch.allclose(change, packaged, atol=1e-3)
assert (packaged[f[context, :-1] == 0] == 0).all()  # exactly nothing where it is not active

# %% [markdown]
# (In a model of one layer the MLP writes at a position what only the guess at that position reads. So the effect is exactly zero wherever the latent is
# inactive, which the last line asserts.)
#
# Which next tokens are we to look at? Those that the latent raises most, by its logit weights, would be nearly a tautology. We take the places *by
# label*: where the label holds and the latent is active, whatever comes next. A change there proves little by itself, because the model may guess worse
# without *any* vector of that size. So at the same places, for the same next tokens, we take away three other things:
#
# - another latent that is active at the place, drawn at random, its direction made as long in the residual stream as what the latent writes there;
# - a random direction of that length;
# - of the other latents that are active at the place the one that writes most, all of it.
#
# As only the position itself counts, it is enough to change the stream there.


# %%
streams = subject.residual(tokens, first.layer).cpu()  # (contexts, T, width of the stream)
usable = second[:, None] & known & (torch.arange(T) < T - 1)
DRAWN = 20  # other latents, and random directions, per place


def mean_change(at, moved):
    """Of the next token's log-probability when vectors are subtracted from the stream at some places."""
    before, after = streams[at], tokens[at[0], at[1] + 1]
    log_p = [subject.unembed(v.to(subject.device)).float().log_softmax(-1) for v in (before, before - moved)]
    rows = torch.arange(len(after))
    return (log_p[1].cpu() - log_p[0].cpu())[rows, after].mean().item()


def removals(config):
    """The latent where the label holds, three vectors there, others at their places; the latent elsewhere."""
    result, draw = results[cfg.saes.index(config)], run.generator(config.seed, "direction")
    sae, (latent, *others) = dictionaries.dictionary(config), result["averaged latents"].tolist()
    d = features.directions(sae, torch.arange(config.train.n), a).cpu() @ W_down.cpu()  # (n, width)
    parts, f = activity(result), torch.zeros(1 + len(others), *tokens.shape)
    f[parts.latent, parts.context, parts.position] = parts.value
    active = (f > 0) & usable
    at, not_so = ((active[0] & role).nonzero(as_tuple=True) for role in (values[..., y], ~values[..., y]))
    rows, own = torch.arange(len(at[0])), f[0][at][:, None] * d[latent]  # (places, width)
    code = sae.encode(subject.activations(tokens[at[0]], config.site)[rows, at[1]])
    indices, held = code.indices.cpu(), (code.values * (code.indices != latent)).cpu()
    drawn = ((held > 0) + 1e-9).multinomial(DRAWN, replacement=True, generator=draw)
    random = torch.randn(DRAWN, 1, d.shape[1], generator=draw)
    as_long = [d[indices[rows, slot]] for slot in drawn.T], random
    length = own.norm(dim=1, keepdim=True)
    as_long = [[mean_change(at, length * normalize(v, dim=-1)) for v in vectors] for vectors in as_long]
    written = held[..., None] * d[indices]  # (places, k, width)
    largest = mean_change(at, written[rows, written.norm(dim=-1).argmax(dim=1)])
    elsewhere = []
    for row, other in enumerate(others, 1):
        strongest = (f[row] * active[row]).flatten().topk(min(len(rows), int(active[row].sum()))).indices
        place = torch.unravel_index(strongest, tokens.shape)
        elsewhere.append(mean_change(place, f[row][place][:, None] * d[other]))
    same = mean_change(not_so, f[0][not_so][:, None] * d[latent])
    return mean_change(at, own), *map(np.mean, as_long), largest, elsewhere, same


with torch.no_grad():
    removed = [removals(config) for config in cfg.saes]

# %%
ROWS = ("the latent", "another one, as long", "random, as long", "the largest other", "others, own largest")
places = {name: np.hstack([found[row] for found in removed]) for row, name in enumerate(ROWS)}
page.save_figure(
    plots.removed(places),
    "removed",
    places,
    "Mean change of the log-probability of the next token, a dot per dictionary. First row: the best latent "
    f"for “{cfg.label}” is removed, where the label holds and it is active. At the same places: another "
    "active latent's direction, as long in the stream; a random direction, as long; the active latent that "
    f"writes most, apart from the first. Last row: {cfg.others} latents of the same density where each is "
    "itself largest, for the scale.",
)
of_latent, baseline, of_random, of_largest, _ = places.values()
page.check(
    "anatomy.removal-by-label",
    of_latent - baseline,
    control={
        "a random direction, as long": of_random - baseline,
        "the largest other latent, whole": of_largest - baseline,
    },
)
print("correlation with the label, by seed:", latents_by[:, y].round(2))
print("change where the label holds:       ", of_latent.round(2))
print("another latent's direction, as long:", baseline.round(2))
print("the latent where it does not hold:  ", np.array([same for *_, same in removed]).round(2))

# %% [markdown]
# Read the figure row by row, then the card seed by seed. A vector of that length costs something whatever its direction: the second row is not at zero, and
# in the dictionaries in which the latent writes most it is a good part of the first row. The card counts what is left when that is subtracted: does
# the model guess what follows the operator worse without *this* latent than without another vector of that size that was there? Compare the first two
# printed rows too: the effect differs much more from dictionary to dictionary than the correlation does. A latent can follow a label well, and
# removing it still costs little. What a latent is active on and what the model loses without it are two questions. (The last row of the figure is no
# control: these are other latents with contexts of their own, some of which matter as much.)
#
# <a id="explore"></a>
# ## 9 Explore
# Now any latent and any text. `views.look` measures all latents on some of the contexts once; what follows only draws. (The controls need a running
# notebook; elsewhere you see each view as it was first drawn.)
#
# **Type Python.** The colour is the latent's activation on each token; point at a token for the latents that are most active there. Change `is` to `==`,
# put the line in quotes, or take another latent's number.

# %%
few = (second & known.all(dim=1)).nonzero().flatten()[: cfg.shown]
view = views.look(subject, sae, site, tokens=tokens[few], known=ContextLabels(values[few], known[few]))
START = '''def area(shape):
    """This is the area, if there is one."""
    if shape is None or shape.side is not None:
        return 0  # the area is unknown
'''
explorer.live(partial(live.typed, view), text=explorer.Text(START), latent=explorer.Number(latent))

# %% [markdown]
# **A latent's card**, by its number: where it is active, how sure its best label is at which activation, what it raises and lowers, which neurons go with
# it. Below it the same, **searched by label**: the card of the latent that goes best with a label, or the second best, the third, ...


# %%
def best_for(label, rank):
    if label not in labels.COLUMN:
        raise ValueError(f"there is no label {label!r}: choose one from the list")
    correlation = view.by_label[:, labels.COLUMN[label]].nan_to_num(-1)
    if correlation.max() <= 0:
        raise ValueError(f"no latent goes with {label!r} in this text: choose another label")
    order = correlation.argsort(descending=True)
    return browser.card(view, int(view.latents[order[rank - 1]]))


explorer.live(partial(browser.card, view), latent=explorer.Number(latent))
choice = explorer.Choice("keyword def", views.NAMES)
explorer.live(best_for, label=choice, rank=explorer.Slider(1, 10, 1))

# %% [markdown]
# **A threshold.** Say "the label holds" wherever the activation is at least a threshold. Precision is how often that is right, recall how many of the label's
# tokens it finds. Move the threshold and see the one rise and the other fall.

# %%
middle = late.value.max().item() / 2
explorer.live(
    partial(live.threshold, view),
    latent=explorer.Number(latent),
    label=explorer.Choice(cfg.label, views.NAMES),
    at=explorer.Slider(0.0, late.value.max().item(), middle),
)

# %% [markdown]
# **Take it away.** The cards of any latents, as one HTML file that needs neither a kernel nor a network: a list to search and to sort, and a card for each.

# %%
with tempfile.TemporaryDirectory() as folder:  # give a folder of your own to keep it
    part = ContextLabels(*(each[:64] for each in view.labels))
    path = browser.browser(subject, sae, folder, site=site, most=8, tokens=view.tokens[:64], known=part)
    print(path.name, f"{path.stat().st_size / 1000:.0f} kB")

# %% [markdown]
# <a id="your-turn"></a>
# ## 10 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* Section 1 allows the neuron two values. Let it take the value $h = 0, 1, 2, 3$ for the four classes, and find a read-out (a weight and a
#    bias per class) by hand that makes the loss nearly zero.
#    <details><summary>Hint</summary>Logits $s\,(2 c h - c^2)$ are largest at the class $c = h$, because they are $s\,(h^2 - (h - c)^2)$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    h = torch.arange(4.0)
#    logits = 5 * (2 * h[:, None] * h - h**2)  # (value of the neuron, class)
#    loss = -logits.log_softmax(-1).diagonal().mean().item()
#    print(f"{loss:.4f}")
#    assert loss < 0.02 < left(2)
#    ```
#
#    One real number can hold four classes when nothing else is to be computed from it, and it is more polysemantic still. The argument needs only
#    that a neuron with several meanings has the lower loss.
#    </details>
# 2. *(5 minutes)* Cut the latent's activations into eleven parts with equal numbers of tokens, as the public reproduction does. Where do their borders lie,
#    as shares of the largest activation?
#    <details><summary>Hint</summary>`torch.quantile` of `own.value` at 1/11, 2/11, ..., 10/11.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    borders = torch.quantile(own.value, torch.arange(1, 11) / 11) / own.value.max()
#    print(borders.numpy().round(2))
#    assert borders[4] < 5 / 11
#    ```
#
#    Half of the parts lie low down. Examples drawn from such parts are nearly all of weak activations, and the latent looks less specific than it is.
#    </details>
# 3. *(10 minutes)* Write the proxy for decimal numbers (ten digits, each 1/10). Check the value for one token by hand, and measure its precision for the
#    label `number`.
#    <details><summary>Hint</summary>`proxy` lets a run begin with a letter only. Copy it, and let a run begin with a digit.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    digits = torch.tensor([inside(text.removeprefix(" "), "0123456789") if text.strip() else -1e3 for text in texts])
#    ratio = digits.double() - log_p
#    one = next(token for token, text in enumerate(texts) if text == "1")
#    assert torch.isclose(ratio[one], math.log(1 / 10) - log_p[one])
#    said, number = (ratio > 0)[tokens[known]], values[..., labels.COLUMN["number"]][known]
#    print(f"precision {number[said].float().mean():.2f}, share of the label {number.float().mean():.2f}")
#    assert number[said].float().mean() > number.float().mean()
#    ```
#
#    Digits stand in names, comments and strings too, so the proxy is right more often than chance and far from always.
#    </details>
# 4. *(10 minutes)* Remove the latent *without* keeping the dictionary's error. Is the effect still zero where the latent is inactive?
#    <details><summary>Hint</summary>`subject.spliced({site: sae})` replaces the neurons by their reconstruction; `run.losses` gives the losses.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    text = tokens[context : context + 1]
#    with subject.spliced({site: sae}) as spliced:
#        with_it = spliced.losses(text)
#        spliced.set(site, latent, 0.0)
#        without_it = spliced.losses(text)
#    inactive = f[context, :-1] == 0
#    dropped, kept = ((losses - without_it)[0].cpu()[inactive].abs() for losses in (subject.losses(text), with_it))
#    print(f"mean change where inactive, the error dropped: {dropped.mean():.3f}; between two models without it: {kept.max():.3f}")
#    assert dropped.mean() > 1e-3 and kept.max() == 0
#    ```
#
#    Without the error every token is predicted a little worse, because the dictionary is not perfect, and that is charged to the latent. Keep the
#    error, or compare two models that both lack it.
#    </details>
#
# <a id="limits"></a>
# ## 11 Limits
# - One label, chosen on another random seed because its latent was good there. What holds of it need not hold of a latent drawn at random; most labels have no
#   latent that says more than the token does.
# - The labels are Python's. A latent may stand for something that no label of ours says, and would then look bad here.
# - Where a card is mixed, some dictionary lies outside the band or the dictionaries differ too much, so that the sentence is not shown for dictionaries
#   of this kind in general. That the latent is ahead of the token with the previous one does not exclude a table of longer contexts.
# - What removing the latent costs is measured at places where it is active and the label holds. It does not say that the model needs the latent there:
#   other latents may carry the same, and the effect differs much from one dictionary to the next.
# - Our repetition of the paper's analysis is small: a model of less than a million parameters, dictionaries trained on 0.8 million tokens. The paper's has as many
#   neurons, a hundred billion tokens of text, and eight billion vectors for the dictionary.
# - The five seeds are five dictionaries of one language model, all compared with the same best neuron. Whether another model has the same latents is not asked here.
#
# <a id="checked"></a>
# ## 12 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
