# %% [markdown]
# # 14f. A map of latents, and automata
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/14f_map_and_automata.ipynb)
#
# **Pages** [← 14e. Feature splitting](14e_feature_splitting.ipynb) · [Start here](00_start_here.ipynb) · [15. Steering: text that is written while a latent is held →](15_steering.ipynb)
#
# Two ways to see many latents at once. The first is a map: the directions of all latents, of dictionaries of several sizes, in one plane, where those that
# stand for similar things should lie together. The second is a graph: one latent raises the probability of tokens on which another is active, and so
# *hands over* to it. A few latents can write a kind of text together in this way, like the states of a small machine. *Towards Monosemanticity* has
# both. Here each is also measured, and compared with dictionaries that were never trained and with simpler explanations.
#
# **You will** write the gradient of t-SNE and draw thousands of directions · ask how many neighbours share a label, and whether the dictionary is the
# reason · compute which latents hand over to which · find a loop between capitals and underscores, and ask which half of it is special · test the
# strongest hand-overs by letting the model write.
#
# **Needs** what a latent and a dictionary are ([page 8](08_sae_training.ipynb#model)); the dictionaries are those of [page 14e](14e_feature_splitting.ipynb).
# **Takes** about seven minutes at `laptop` on two cores, once; afterwards what was trained is read back ([start
# here](00_start_here.ipynb#profiles) has the other profiles).
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html), its section on
# [finite state automata](https://transformer-circuits.pub/2023/monosemantic-features/index.html#phenomenology-fsa).
#
# **On this page** [1 The text, the labels, the codes](#text) · [2 A map of all directions](#map) · [3 Latents that hand over to each other](#automata) · [4 Your turn](#your-turn) · [5 Limits](#limits) · [6 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch.nn.functional import normalize

from companion import claims, dictionaries, memo, run
from companion.dictionaries import DictionaryConfig, variant
from companion.evals import automata, features, maps, views
from companion.firings import fired_by, labelled
from companion.lm import labels
from companion.lm.training import TINY
from companion.plots import splitting as plots
from companion.sae.recipe import TrainConfig

claims.opening("14f_map_and_automata")

# %% [markdown]
# All dictionaries are of the same 512 neurons, those of the one-layer model of page 7 (model A there). Narrow ones have as many latents as there are
# neurons, wide ones four times as many, and one has sixteen times as many. A latent takes part if it is active on at least `least` tokens.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    narrow: DictionaryConfig
    wide: tuple[DictionaryConfig, ...]  # one per random seed
    widest: DictionaryConfig
    least: int  # active tokens of a latent that is compared
    mapped: int  # latents of the widest dictionary on the map
    steps: int  # of t-SNE
    edges: int  # arrows of the automaton that are tested by letting the model write
    prompts: int  # texts for each test


def config(base, sizes, seeds, **rest):
    wide = tuple(variant(base, n=sizes[1], seed=seed) for seed in range(seeds))
    return Config(variant(base, n=sizes[0]), wide, variant(base, n=sizes[2]), **rest)


KEEP, NEURONS = ("averaged", "untrained"), "mlp.hook_post"
tiny = replace(TINY, layers=1, steps=100)
quick_recipe = TrainConfig(n=128, k=8, steps=100, batch=512, lr=3e-3, space="scalar")
small = DictionaryConfig(tiny, quick_recipe, layer=0, hook=NEURONS, contexts=1000, heldout=64, keep=KEEP)
one = dictionaries.offline_subject("python-stdlib-1l")
recipe = TrainConfig(n=2048, k=16, steps=400, batch=2048, space="scalar", dead_after_tokens=100_000)
neurons = DictionaryConfig(one, recipe, layer=0, hook=NEURONS, contexts=6000, heldout=1024, keep=KEEP)
longer = replace(neurons, train=replace(recipe, steps=4000), contexts=24_000)
cfg = run.choose(
    quick=config(small, (32, 128, 256), 2, least=8, mapped=128, steps=60, edges=6, prompts=16),
    laptop=config(neurons, (512, 2048, 8192), 5, least=32, mapped=1536, steps=300, edges=20, prompts=96),
    paper=config(longer, (512, 4096, 16_384), 5, least=32, mapped=4096, steps=500, edges=60, prompts=256),
)
page = claims.Page("14f_map_and_automata", cfg)

# %% [markdown]
# <a id="text"></a>
# ## 1 The text, the labels, the codes
# First the text on which everything is measured: held-out files, and of every token the labels that Python's own parser gives it
# ([page 14](14_anatomy_of_a_feature.ipynb) explains them).

# %%
subject, (tokens, known) = dictionaries.open_subject(cfg.narrow.subject), labelled(cfg.narrow)
site, V, T = cfg.narrow.site, len(subject.unembedding()), tokens.shape[1]
print(f"{len(tokens)} contexts of {T} tokens; {known.values.shape[2]} labels")

# %% [markdown]
# `fired_by` tells where each latent of a dictionary is active on this text, and how much. Of each token it keeps only the latents that are active.
#
# One narrow and one wide dictionary serve as examples. Each latent gets a name of two parts, both computed from where it is active and not from its
# direction: the label it goes best with by correlation, and the tokens on which it is most active. The cell prints four latents of the wide one.


# %%
narrow_config, wide_config = cfg.narrow, cfg.wide[1]
wide, half = fired_by(wide_config), len(tokens) // 2


top_tokens = partial(views.top_tokens, subject, tokens)


def best_labels(fired):
    found = features.correlation(fired, known.values, tokens.shape, known.known).nan_to_num(-1.0)
    return found.argmax(1)


best_wide = best_labels(wide)
after = min(100, int((wide.counts > 0).sum()) - 4)
for latent in wide.counts.argsort(descending=True)[after : after + 4].tolist():
    print(f"{latent:5}  {views.NAMES[best_wide[latent]]:18} {top_tokens(wide, latent)}")

# %% [markdown]
# <a id="map"></a>
# ## 2 A map of all directions
# Each latent has a direction $d_i$, a row of the decoder, with 512 numbers here. If two latents of a wide dictionary share the work of one latent of a
# narrow one ([page 14e](14e_feature_splitting.ipynb)), their directions should be close. To see it, the paper draws the directions of all dictionaries
# in one plane, with UMAP. We do the same with **t-SNE**, which fits in a few lines. It gives each pair of directions a closeness $P_{ij}$, large for
# near neighbours, and each pair of points in the plane another,
# $Q_{ij} \propto w_{ij} = 1 / (1 + \lVert y_i - y_j \rVert^2)$. It then moves the points by gradient descent until $Q$ resembles $P$. The gradient
# of $\sum P \log (P / Q)$ pulls together what is close in $P$ and pushes all others apart:


# %%
def gradient(y, P):  # (L, 2), (L, L) with sum 1
    apart = y[:, None] - y[None]  # (L, L, 2)
    w = (1 / (1 + apart.square().sum(-1))).fill_diagonal_(0)
    Q = w / w.sum()
    return 4 * ((P - Q) * w)[..., None].mul(apart).sum(1)


points = torch.randn(30, 2, generator=run.generator(0, "plane"), dtype=torch.float64, requires_grad=True)
some = torch.rand(30, 30, generator=run.generator(0, "closeness"), dtype=torch.float64)
P = (some + some.T).fill_diagonal_(0)
P /= P.sum()
w = 1 / (1 + (points[:, None] - points[None]).square().sum(-1))
Q = w[P > 0] / w[P > 0].sum()
loss = (P[P > 0] * (P[P > 0] / Q).log()).sum()
loss.backward()
assert torch.allclose(gradient(points.detach(), P), points.grad, atol=1e-9)

# %% [markdown]
# `maps.tsne` does this with the closeness of the 90 nearest neighbours only, starts from the two *principal components* (the directions in which the
# points vary most), and takes a few hundred steps with momentum. Its gradient is a quarter of the one above, which only changes the size of a step:

# %%
pairs_of = P.nonzero()
fast = maps.tsne_gradient(points.detach(), *pairs_of.T, P[P > 0])
assert torch.allclose(4 * fast, gradient(points.detach(), P), atol=1e-9)

# %% [markdown]
# The points are all active latents of a narrow and a wide dictionary, and some of the widest. Each is coloured by the label that it goes best with. The
# colours are not computed from the directions: they come from where the latents are active.


# %%
def directions_of(config, which="averaged"):
    text, sae = dictionaries.heldout(narrow_config), dictionaries.dictionary(config, which)
    latents = torch.arange(config.train.n)
    return features.directions(sae, latents, text.resid[0, -1])  # in the units of this vector


def mapped(config: Config):
    found = {"direction": [], "label": [], "latent": [], "size": []}
    for size, each in enumerate((config.narrow, config.wide[1], config.widest)):
        fired = fired_by(each)
        alive = (fired.counts >= config.least).nonzero().flatten()
        mixed = torch.randperm(len(alive), generator=run.generator(size, "map"))
        alive = alive[mixed[: config.mapped]]
        found["direction"].append(directions_of(each)[alive])
        found["label"].append(best_labels(fired)[alive])
        found["latent"].append(alive)
        found["size"].append(torch.full_like(alive, size))
    joined = {name: torch.cat(parts) for name, parts in found.items()}
    at = maps.tsne(joined.pop("direction"), run.generator(0, "t-SNE"), steps=config.steps)
    return joined | {"at": at}


the_map = memo.memo(mapped, cfg)
print(f"{len(the_map['at']):,} directions")

# %% [markdown]
# The ten commonest labels have colours, the rest is grey; the shape of a point says which dictionary it is from.

# %%
shown_labels = torch.bincount(the_map["label"], minlength=len(views.NAMES)).topk(10).indices.tolist()
groups = {views.NAMES[column]: (the_map["label"] == column).numpy() for column in shown_labels}
widths = [each.train.n for each in (narrow_config, wide_config, cfg.widest)]
names_of_sizes = {f"{width:,}": (the_map["size"] == row).numpy() for row, width in enumerate(widths)}
drawn_map = plots.latent_map(the_map["at"].numpy(), groups, names_of_sizes)
page.save_figure(
    drawn_map,
    "map",
    {"labels": list(groups), "points": len(the_map["at"])},
    f"{len(the_map['at']):,} decoder directions of three dictionaries in the plane (t-SNE, {cfg.steps} "
    "steps), coloured by the label that each latent goes best with. Look at whether points of one colour lie "
    "together. The paper's map (by UMAP, with features of three sizes) has clusters "
    "by context, in which larger dictionaries fill in more points.",
)

# %% [markdown]
# The same points with a text under the pointer: the dictionary, the number of the latent, its label, and the tokens on which it is most active.

# %%
COLUMNS = ("size", "latent", "label")
fired_of = [fired_by(each) for each in (narrow_config, wide_config, cfg.widest)]
texts = [
    f"{widths[size]:,}: {latent}<br>{views.NAMES[label]}<br>{top_tokens(fired_of[size], latent, 3)}"
    for size, latent, label in zip(*(the_map[name].tolist() for name in COLUMNS), strict=True)
]
hovered = plots.hoverable_map(the_map["at"].numpy(), groups, texts, drawn_map)

# %% [markdown]
# A map in two dimensions can deceive: t-SNE makes clusters of noise too. So the claim is not on the map but on the 512 numbers: of the ten directions
# nearest to a latent's, how many have the same best label? This is the **purity**.
#
# There is a boring way to a high purity. The neurons' values on one token are much alike, whatever stands around it, so two latents of the same token
# would lie together and share a label for that reason alone. So latents with the same *top token* (the token that has most of the latent's activation) do
# not count as neighbours of each other.


# %%
def top_token(fired):
    """The token that has most of each latent's activation: (L,)."""
    mass = torch.zeros(len(fired.counts), V)
    place = fired.latent, tokens[fired.context, fired.position]
    return mass.index_put_(place, fired.value, accumulate=True).argmax(1)


def purity(d, label, group, neighbours=10):
    cosine = normalize(d, dim=1) @ normalize(d, dim=1).T
    cosine[group[:, None] == group] = -1  # neither a latent itself, nor one of its group
    nearest = cosine.topk(neighbours, dim=1).indices  # (L, neighbours)
    return (label[nearest] == label[:, None]).float().mean().item()


# %% [markdown]
# For one wide dictionary, with the package's form, which must give the same; and without the exclusion:

# %%
alive = wide.counts >= cfg.least
directions, its_label, its_token = directions_of(wide_config)[alive], best_wide[alive], top_token(wide)[alive]
by_hand = purity(directions, its_label, its_token)
assert abs(by_hand - maps.purity(directions, its_label, its_token)) < 1e-3
with_all = maps.purity(directions, its_label)
print(f"purity {by_hand:.3f}; with neighbours of the same top token {with_all:.3f}")

# %% [markdown]
# Every wide dictionary is measured, and so are two controls: its labels exchanged among latents of about the same density, and an untrained dictionary
# with the labels that its latents go best with. There is also a rival explanation, which needs no learned directions: the neurons' *activations*. In
# place of each latent's direction we take one vector of activations (less their mean), at a place that is drawn from those where the latent is active;
# the latents, their labels and the number of neighbours stay the same.


# %%
text = dictionaries.heldout(narrow_config)
mean = text.resid[known.known].mean(0)


def one_place(fired, latents, generator):
    """For each of some latents a place where it is active."""
    start = fired.counts.cumsum(0) - fired.counts  # the activations are ordered by latent
    at = start + (torch.rand(len(start), generator=generator) * fired.counts).long()
    return fired.context[at[latents]], fired.position[at[latents]]


# %% [markdown]
# All numbers of one dictionary; the two that end in "any token" count neighbours of the same token too.


# %%
def purities(config):
    random, made = run.generator(config.seed, "purity"), {}
    for name, which in (("trained", "averaged"), ("untrained", "untrained")):
        fired = fired_by(config, which)
        kept = (fired.counts >= cfg.least).nonzero().flatten()
        d, label, token = directions_of(config, which)[kept], best_labels(fired)[kept], top_token(fired)[kept]
        made[name] = maps.purity(d, label, token)
        if name == "trained":
            made["trained, any token"] = maps.purity(d, label)
            others = label[automata.exchanged(fired.counts[kept], random)]
            made["labels exchanged"] = maps.purity(d, others, token)
            at = one_place(fired, kept, random)
            made["activations"] = maps.purity(text.resid[at] - mean, label, tokens[at])
            made["activations, any token"] = maps.purity(text.resid[at] - mean, label)
    return made


# %% [markdown]
# We expect a higher purity than in both controls. Read on the card how far it is from them, and also how large it is: a purity of .5 would mean that half
# of the neighbours share the label. A value far below that says that most neighbours of a latent go best with another label, even if more of them share
# its own than in the controls.

# %%
pure = [purities(each) for each in cfg.wide]
assert abs(pure[1]["trained"] - by_hand) < 1e-3
page.check(
    "map.purity",
    [each["trained"] for each in pure],
    control={
        "labels exchanged among latents of the same density": [each["labels exchanged"] for each in pure],
        "untrained": [each["untrained"] for each in pure],
    },
)

# %% [markdown]
# And the rival, on the same scale. In the first column no neighbours of the same token count (for a vector of activations: its own token; for a latent:
# its top token), in the second all do.

# %%
for name, what in (("trained", "directions of latents"), ("activations", "one activation vector each")):
    without, any_token = (np.mean([each[f"{name}{end}"] for each in pure]) for end in ("", ", any token"))
    print(f"{what:27} {without:.3f}   {any_token:.3f}")

# %% [markdown]
# At `laptop` the second line is the higher one in both columns: the direction of a latent has no purer neighbourhood than the activations at one of its
# places. So directions of one kind do lie together, but that is no evidence that the dictionary has made these neighbourhoods: it may have found them
# in the activations. Whether its single latents stand for one thing each is another question ([page 14](14_anatomy_of_a_feature.ipynb)).
#
# <a id="automata"></a>
# ## 3 Latents that hand over to each other
# A latent raises the probability of some next tokens. On these tokens other latents are active, which raise further tokens: a chain of states, as in a
# finite-state automaton. The paper finds such chains by eye, for instance two features that write `ALL_CAPS` names: one raises the
# underscore, the other is active on the underscore and raises capitals.
#
# We make a matrix of it. Let $p(v)$ be the frequency of token $v$ and $w_i(v)$ the *logit weights* of latent $i$, by how much one unit of it raises the
# logit of $v$ ([page 14](14_anatomy_of_a_feature.ipynb)); $s$ is the mean scale by which the last norm divides. Suppose that latent $i$ is at its largest
# activation $f_i^{\max}$ and that nothing else of the context counts. Then the next token is drawn from a distribution $q_i$. Let $P(f_j > 0 \mid v)$ be
# the share of the places of token $v$ at which latent $j$ is active, and $P(f_j > 0)$ its share of all places. The chance that $j$ is active next rises
# by
#
# $$ M_{ij} = \sum_v q_i(v)\,P(f_j > 0 \mid v) - P(f_j > 0), \qquad q_i(v) \propto p(v)\,\exp\left(f_i^{\max} w_i(v) / s\right). $$
#
# A latent that raises nothing has $q_i = p$, so its row is 0 throughout.


# %%
def matrix_of(config, which="averaged"):
    """M, and each latent's largest activation."""
    fired, model = fired_by(config, which), dictionaries.open_subject(config.subject)
    p = torch.bincount(tokens.flatten(), minlength=V) / tokens.numel()  # (V,)
    w = features.logit_weights(model, site, directions_of(config, which))  # (L, V)
    largest = features.largest(fired)
    push = w * (largest / automata.final_scale(model, tokens[:64]))[:, None]
    q = torch.softmax(p.log() + push, dim=1)  # (L, V)
    given = automata.given_token(fired, tokens, V)  # P(f_j > 0 | v): (L, V)
    return q @ given.T - given @ p, largest


M, largest = matrix_of(wide_config)
p = torch.bincount(tokens.flatten(), minlength=V) / tokens.numel()
given = automata.given_token(wide, tokens, V)
assert torch.allclose(automata.transitions(p.expand(3, -1), given, p), torch.zeros(3, len(given)), atol=1e-5)
some_token = int(p.argmax())
on_it = wide.chosen(tokens[wide.context, wide.position] == some_token).counts / (tokens == some_token).sum()
assert torch.allclose(given[:, some_token], on_it)

# %% [markdown]
# *Self-loops* are latents with a large entry $M_{ii}$ on the diagonal, such as one of indentation that raises indentation; *two-state loops* are pairs
# with both $M_{ij}$ and $M_{ji}$ large. Some arise by chance, since a dense latent follows many others. So as a null the columns of $M$ are exchanged
# among latents of about the same density. Are there more loops than in the null? (Latents with few activations are left out; their $P(f_j > 0 \mid v)$
# is not known well.)

# %%
ENOUGH = 4 * cfg.least


def loops(M, counts, at=0.1):
    """Self-loops and two-state loops of at least `at`."""
    kept = M[counts >= ENOUGH][:, counts >= ENOUGH]
    two = torch.minimum(kept, kept.T).fill_diagonal_(-1)
    return int((kept.diagonal() >= at).sum()), int((two >= at).sum()) // 2


random = run.generator(0, "exchanged")
null = [loops(M[:, automata.exchanged(wide.counts, random)], wide.counts) for _ in range(8)]
untrained = loops(matrix_of(wide_config, "untrained")[0], fired_by(wide_config, "untrained").counts)
print("self-loops and two-state loops: trained", loops(M, wide.counts), "untrained", untrained)
print("the trained matrix with exchanged columns, in the mean:", np.mean(null, axis=0).round(1).tolist())

# %% [markdown]
# Compare the two lines for each kind of loop. Where the exchanged matrix has nearly as many, their number alone shows nothing: a latent that raises
# much and a latent that is active on many tokens make a large entry by chance. Then a loop has to be judged by what its latents stand for. We look for
# the paper's example: the latent that goes best with the letters of names in capitals, and the one that goes best with the underscores in them, both
# chosen on the first half of the contexts.

# %%
in_caps = known.values[..., labels.COLUMN["ALL_CAPS"]] & known.known
underscore = torch.tensor([subject.tokenizer.decode([token]).endswith("_") for token in range(V)])[tokens]
two_states = torch.stack([in_caps & ~underscore, in_caps & underscore], dim=-1)
shares = two_states.float().mean((0, 1))
print(f"letters in capitals {shares[0]:.2%}, underscores {shares[1]:.2%}")

# %% [markdown]
# The two latents of one wide dictionary, with the tokens on which they are most active. The paper's pair would have letters in the first
# line and underscores in the second. Beside them we keep the *rivals* of the second: the ten other latents that are active on most underscores, of any
# name.

# %%
early = known.known & (torch.arange(len(tokens)) < half)[:, None]


def loop_of(config, which="averaged"):
    """The latents of letters and of underscores, and the rivals of the second."""
    fired = fired_by(config, which)
    found = features.correlation(fired, two_states, tokens.shape, early).nan_to_num(-1.0)
    found[fired.counts < cfg.least] = -1.0
    letters, joint = found.argmax(0).tolist()
    on_underscore = fired.latent[underscore[fired.context, fired.position]]
    most = torch.bincount(on_underscore, minlength=len(fired.counts))
    most[[letters, joint]] = -1
    return letters, joint, most.topk(10).indices


letters, joint, rivals = loop_of(wide_config)
for name, latent in (("letters", letters), ("underscores", joint)):
    print(f"{name:12} latent {latent:5}: {top_tokens(wide, latent, 8)}")
print(f"letters to underscores {M[letters, joint]:.2f}, back {M[joint, letters]:.2f}")
print("letters to its rivals", [round(value, 2) for value in M[letters, rivals].tolist()])
print("               and back", [round(value, 2) for value in M[rivals, letters].tolist()])

# %% [markdown]
# Compare each row with the two entries of the pair. Call the entry from letters to underscores the first arrow, and the one back the second. Whatever
# raises the underscore raises every latent that is active on underscores, so the first arrow need not be larger for the pair than for the rivals. The
# second arrow is the one that could single out the pair: after an underscore of a name in capitals more capitals follow, after most other underscores
# small letters.
#
# A second comparison needs no logit weights: the *bigrams* of the text. Which tokens follow the tokens on which latent $i$ is active? With their
# frequencies in place of $q_i$, the same formula says how much more frequent $j$ would be if only the current token counted. (The two are not on one
# scale: $q_i$ is for the largest activation of $i$, the bigrams are for its usual ones.) And the text itself has a loop: how much more frequent are
# underscores after letters of names in capitals, and such letters after such underscores?

# %%
follows = torch.bincount((tokens[:, :-1] * V + tokens[:, 1:]).flatten(), minlength=V * V).view(V, V).float()
follows /= follows.sum(1, keepdim=True).clamp_min(1)  # P(next token | token)


def by_bigrams(fired, i, j):
    """M_ij with the tokens that follow those of latent i in the text, in place of those that i raises."""
    own, other = (features.own(fired, latent) for latent in (i, j))
    on = torch.bincount(tokens[own.context, own.position], weights=own.value, minlength=V)
    share = torch.bincount(tokens[other.context, other.position], minlength=V)
    given_j = share / torch.bincount(tokens.flatten(), minlength=V).clamp_min(1)  # P(f_j > 0 | v)
    return (on / on.sum() @ follows @ given_j - other.counts[0] / tokens.numel()).item()


for name, (i, j), (a, b) in (("there", (letters, joint), (0, 1)), ("back ", (joint, letters), (1, 0))):
    then = two_states[:, 1:, b][two_states[:, :-1, a]].float().mean() - shares[b]
    by_tokens = by_bigrams(wide, i, j)
    print(f"{name}: latents {M[i, j]:.2f}, bigrams of their tokens {by_tokens:.2f}, text {then:.2f}")

# %% [markdown]
# The loop exists if both entries are well above zero; the claim is on the smaller one. It should be much smaller with a rival in place of the second
# latent (in the mean of the ten), with bigrams in place of logit weights, and in a dictionary that was never trained. The first control is the strict
# one. The last is easy to pass, and the bigrams lack the push of a largest activation. That some rival has as strong a loop is no contradiction: a
# dictionary may have two latents of underscores in capitals. So we also count those.


# %%
def weaker(M, i, j):
    return min(M[i, j], M[j, i]).item()


def loop_and_rivals(config, which="averaged"):
    (letters, joint, rivals), M = loop_of(config, which), matrix_of(config, which)[0]
    fired = fired_by(config, which)
    others = [weaker(M, letters, other) for other in rivals.tolist()]
    bigrams = min(by_bigrams(fired, letters, joint), by_bigrams(fired, joint, letters))
    own = weaker(M, letters, joint)
    stronger = sum(other >= own for other in others)
    return {"loop": own, "rivals": np.mean(others), "stronger": stronger, "bigrams": bigrams}


found_loops = [loop_and_rivals(each) for each in cfg.wide]
page.check(
    "automata.caps-loop",
    [each["loop"] for each in found_loops],
    control={
        "the ten other latents active on most underscores": [each["rivals"] for each in found_loops],
        "bigrams of the latents' tokens": [each["bigrams"] for each in found_loops],
        "untrained dictionary": [loop_and_rivals(each, "untrained")["loop"] for each in cfg.wide],
    },
)
print("rivals with as strong a loop, of ten:", *(each["stronger"] for each in found_loops))

# %% [markdown]
# In these five dictionaries the rivals in their mean stay far below the loop, so that not every latent of underscores has it (the last line counts the
# single rivals that do). The difference to the rivals is in the arrow back: an underscore alone does not say whether its name is in capitals, and the
# latent does. The bigrams stay below too; as they are not on the scale of the matrix, this says less. And the loop is not always strong: the card is
# mixed because a further dictionary, of a random seed that was looked at when the controls were chosen, lies below the band. There the letters raise
# the underscore too little. So we do not claim that every dictionary of this model has the loop.
#
# The matrix is a calculation about single tokens. A test of it is to let the model write: hold latent $i$ at its largest activation while the model reads
# the beginnings of held-out texts, draw the next token, and count how often latent $j$ is active on it. In the open, for one latent:

# %%
prompts = tokens[half:][torch.linspace(0, len(tokens) - half - 1, cfg.prompts).long()][:, :12]
sae = dictionaries.dictionary(wide_config)
with subject.spliced({site: sae}, error_term=True) as held:
    held.set(site, letters, largest[letters].item())
    chances = held.logits(prompts)[:, -1].softmax(-1)  # (S, V)
    drawn = chances.multinomial(1, generator=run.generator(0, "draw"))
code = sae.encode(subject.activations(torch.cat([prompts, drawn], 1), site)[:, -1:])
by_hand = ((code.indices == joint) & (code.values > 0)).any(-1).float().mean()
inside = (sae, site, prompts, letters, largest[letters].item(), run.generator(0, "draw"))
assert abs(automata.followers(subject, *inside)[joint] - by_hand) < 1e-6
free = automata.followers(subject, sae, site, prompts, None, 0.0, run.generator(0, "draw"))
print(f"underscore latent active on the next token: {by_hand:.0%} of the texts, {free[joint]:.0%} without")

# %% [markdown]
# Now for the strongest entries of the matrix, one for each of some latents $i$. If the matrix is right, *pinning* $i$ (holding it at its largest
# activation) makes $j$ more frequent on the next token. It should not make another latent of the same density more frequent, nor should another pinned
# latent do the same to $j$; the strongest entries of an untrained dictionary are a third control.


# %%
def edges_of(M, counts, most):
    """The largest entry of each row, of the `most` latents where it is largest: i, j."""
    free = M.clone().fill_diagonal_(-1)
    free[counts < ENOUGH] = -1
    free[:, counts < ENOUGH] = -1
    top = free.max(1)
    i = top.values.topk(most).indices
    return i, top.indices[i]


def tested(config, which):
    (M, largest), counts = matrix_of(config, which), fired_by(config, which).counts
    sae = dictionaries.dictionary(config, which)
    i, j = edges_of(M, counts, cfg.edges)
    model = dictionaries.open_subject(config.subject)
    random = run.generator(config.seed, "followers")

    def after(latent, value):
        return automata.followers(model, sae, site, prompts, latent, value, random)

    rise = torch.stack([after(each, largest[each].item()) for each in i.tolist()]) - after(None, 0.0)
    other = automata.exchanged(counts, random)[j]
    different = [rise[j != own, own].mean() for own in j]  # latents i that are joined to another j
    return {
        "matrix": M[i, j].mean(), "rise": rise.gather(1, j[:, None]).mean(),
        "same density": rise.gather(1, other[:, None]).mean(),
        "another pinned": torch.stack(different).nanmean(),
    }  # fmt: skip


# %% [markdown]
# Each rise is a difference of two shares of the same texts: with the latent held, and without. We do it for every wide dictionary, trained and
# untrained, and average over the edges.


# %%
def by_writing(config: Config):
    made = [(tested(each, "averaged"), tested(each, "untrained")) for each in config.wide]
    return {
        f"{kind}/{name}": torch.stack([pair[column][name] for pair in made])
        for column, kind in enumerate(("trained", "untrained"))
        for name in made[0][0]
    }


written = {name: value.numpy() for name, value in memo.memo(by_writing, cfg).items()}

# %%
page.check(
    "automata.edges",
    written["trained/rise"],
    control={
        "another latent of the same density": written["trained/same density"],
        "another latent pinned": written["trained/another pinned"],
        "strongest edges of an untrained dictionary": written["untrained/rise"],
    },
)
said, wrote = (written[f"trained/{name}"].mean() for name in ("matrix", "rise"))
print(f"the matrix says {said:.2f}, the model writes {wrote:.2f}")

# %% [markdown]
# Compare the two printed numbers. Two things would make the second one smaller. The matrix knows nothing of the context: in a real text the latent has to
# overcome what the other latents raise. And the edges were chosen because their entries are the largest, so that these are too large on the whole.
# Which of the two counts more is not measured here. So a matrix of this kind says where to look, not how strongly one state follows another.
#
# Last, the automaton as a graph: the two latents of the loop, and for each of them the three latents to which its entries are largest. Compare the
# arrow from letters to underscores with the others that leave the letters. Where latents of other labels follow more strongly, see by their tokens whether
# they are active on underscores too: raising the underscore raises all that are. Then look which of them have an arrow back. (Weak arrows are not drawn.)

# %%
around = {letters: None, joint: None}
for latent in (letters, joint):
    for other in torch.where(wide.counts >= ENOUGH, M[latent], -1).topk(3).indices.tolist():
        around[other] = None
states = list(around)
edges = M[states][:, states]
arrows = [(a, b, edges[a, b].item()) for a, b in (edges > 0.08).nonzero().tolist()]
titles = [f"{latent} · {views.NAMES[best_wide[latent]]}\n{top_tokens(wide, latent, 4)}" for latent in states]
page.save_figure(
    plots.graph([title.replace("$", r"\$") for title in titles], arrows),
    "automaton",
    {"latents": states, "edges": arrows},
    f"Latents of one dictionary (n = {len(wide.counts):,}) as states. An arrow from one to another says by "
    "how much the second becomes more frequent on the next token when the first is at its largest activation "
    "($M_{ij}$ from .08 on). Look for the two arrows between letters and underscores of "
    "names in capitals. The paper draws such graphs by hand, with the tokens that each state raises.",
)

# %% [markdown]
# <a id="your-turn"></a>
# ## 4 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(10 minutes)* Make the maps of noise: t-SNE of 300 random directions. Then of 300 directions in three tight groups. Can you tell by eye which is
#    which, and does the purity tell?
#    <details><summary>Hint</summary>`maps.tsne(x, generator)` and `maps.purity(x, label)` with the group as label.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    random = run.generator(0, "noise")
#    label = torch.arange(300) % 3
#    noise = torch.randn(300, 64, generator=random)
#    grouped = noise + 3 * torch.randn(3, 64, generator=random)[label]
#    drawn_maps = {name: maps.tsne(x, random, steps=150) for name, x in (("noise", noise), ("groups", grouped))}
#    print({name: maps.purity(x, label) for name, x in (("noise", noise), ("groups", grouped))})
#    assert maps.purity(grouped, label) > 0.95 and maps.purity(noise, label) < 0.5
#    assert all(each.shape == (300, 2) for each in drawn_maps.values())
#    ```
#
#    The map of noise has clumps too. The purity is measured before the map is made.
#    </details>
# 2. *(5 minutes)* Push a latent ten times as far as its largest activation. Does its row of $M$ become larger? What is the largest value that an
#    entry can have?
#    <details><summary>Hint</summary>`automata.next_tokens(p, push)` with the push times 10, then `automata.transitions`. At the end one token is
#    certain.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    w = features.logit_weights(subject, site, directions_of(wide_config)[[letters]])
#    push = w * largest[letters] / automata.final_scale(subject, tokens[:64])
#    rows = [automata.transitions(automata.next_tokens(p, scale * push), given, p)[0] for scale in (1, 10, 1000)]
#    print([round(row.max().item(), 2) for row in rows])
#    assert rows[2].max() <= 1 and rows[2].max() >= rows[0].max()
#    ```
#
#    The largest entry grows until one token is certain; then it is the share of that token's places at which the follower is active, less its density.
#    </details>
# 3. *(5 minutes)* Exchange rows in place of columns: should a popular follower $j$ stay popular? Which latents have the largest column means of $M$?
#    <details><summary>Hint</summary>`M[:, kept].mean(0).topk(5)`, with `kept` the latents of at least `ENOUGH` active tokens.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    kept = (wide.counts >= ENOUGH).nonzero().flatten()
#    strength = M[kept][:, kept].abs().mean(0)
#    for place in strength.topk(3).indices.tolist():
#        print(f"{strength[place]:.3f}", top_tokens(wide, int(kept[place])))
#    dealt = M[kept][torch.randperm(len(kept), generator=run.generator(0, "rows"))][:, kept].abs().mean(0)
#    assert torch.allclose(dealt, strength, atol=1e-5)
#    ```
#
#    The column means stay: this null would call every popular follower a state of the automaton. Hence the exchange of columns, at equal density.
#    </details>
#
# <a id="limits"></a>
# ## 5 Limits
# - The dictionaries are trained on less than a million tokens, the paper's on eight billion.
# - The colour of a latent is its best label by correlation, which may still be low; many latents have no good label. The purity is of these labels, and
#   is no evidence that the dictionary made the neighbourhoods: activations of the neurons have them too.
# - t-SNE shows neighbours, not distances; another perplexity or number of steps would draw another map.
# - The matrix of the automaton reads the direct path to the next token and forgets the context. Any latent that is active on a token follows all
#   latents that raise this token, so that an arrow says less of the two latents than of the token between them. Only single arrows are tested by
#   writing, not a loop as a whole.
# - In the loop of capitals the bigrams are a weak control: they follow the usual activations of a latent, and the matrix its largest one. Only the
#   latent of underscores is exchanged for rivals. Several latents may stand for the letters, and the one that goes best with the label need not have the
#   strongest loop.
# - The paper's automata of more than two states, such as the one of HTML, are not looked for here.
#
# <a id="checked"></a>
# ## 6 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
