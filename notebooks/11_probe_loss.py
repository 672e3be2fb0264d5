# %% [markdown]
# # 11. Does a known property of the text have a latent?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/11_probe_loss.ipynb)
#
# **Pages** [← 10c. The share of the compute, a second time and with twelve checkpoints](10c_finished_runs_and_search.ipynb) · [Start here](00_start_here.ipynb) · [12. Explaining a latent with patterns of tokens →](12_explainability_n2g.ipynb)
#
# We know many properties of a text without asking any model: this token is in a comment, this `=` passes an argument, this quotation mark opens a
# string. If a sparse autoencoder (SAE) finds the properties that a language model works with, then for some of them there should be one latent that
# tells by itself whether the property is there. On this page you fit thousands of one-latent classifiers (*probes*), choose the best one for each
# property, and find out how much of its success comes from the SAE, how much from the language model, and how much from having a choice.
#
# **You will** fit one probe by Newton's method in ten lines · see why the best of thousands must be judged on other text than the one that chose
# it · compare latents with channels, random directions and an SAE that was never trained · shuffle the weights of the language model and see what
# is left.
#
# **Needs** to know what the residual stream of a language model is ([page 7](07_language_model.ipynb#model)), and what an SAE and a latent are:
# [page 8](08_sae_training.ipynb#model) builds one. **Takes** five to ten minutes at `laptop` on two
# cores, seconds once it has run ([start here](00_start_here.ipynb#profiles) has the other profiles).
#
# **Paper** Gao et al. 2024, *Scaling and evaluating sparse autoencoders*, [section 4.2](https://arxiv.org/abs/2406.04093).
#
# **On this page** [1 A label and a latent](#label) · [2 One probe, by Newton's method](#newton) · [3 The best of thousands](#best) · [4 What else could tell the label](#baselines) · [5 The gains](#gains) · [6 Before and after TopK](#before) · [7 How many latents, how many kept](#sizes) · [8 Your turn](#your-turn) · [9 Limits](#limits) · [10 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from companion import claims, dictionaries, memo, run
from companion.evals import probes
from companion.lm import corpus, labels
from companion.lm.shuffled import shuffle_weights
from companion.lm.sources import HubConfig
from companion.lm.training import TINY
from companion.plots import probes as plots
from companion.sae.models import Code, TopK, normalise
from companion.sae.recipe import TrainConfig
from companion.sae.stream import shuffled
from companion.sae.train import fit

claims.opening("11_probe_loss")

# %% [markdown]
# The parameters, one line per profile. At `laptop` the language model is a GPT-2 with four layers that ships with this package; at `published` and
# `paper` it is GPT-2 small. At `published` the SAEs are two by OpenAI, and only what stands beside them is trained, briefly. An SAE of $n$ latents, of
# which the $k$ largest are kept for each token (*TopK*), is called a *dictionary*. Two forms of its weights are kept: `untrained`, before the first
# step, and `averaged`, a running mean over the steps of training, which every section uses as the trained SAE.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    saes: tuple  # configurations of the SAEs that are probed: seeds here, or published ones
    base: dictionaries.DictionaryConfig  # subject and recipe of what is trained beside them
    length: int  # tokens of a context
    characters: int  # of source code from which the held-out files are taken
    every: int  # which of their contexts are used: each, every second, ...
    narrow: int  # latents of the dictionaries in which k varies
    kept: tuple[int, ...]  # those k
    judged: tuple[int, int, int]  # small, middle and large k of the claim
    widths: tuple[int, ...]  # numbers of latents at the k of `base`


KEEP = ("averaged", "untrained")
quick_recipe = TrainConfig(n=128, k=4, steps=100, batch=512, lr=3e-3)
tiny = dictionaries.DictionaryConfig(TINY, quick_recipe, layer=0, contexts=1000, keep=KEEP)
recipe = TrainConfig(n=2048, k=16, steps=300, batch=2048, dead_after_tokens=50_000)
shipped = dictionaries.offline_subject("python-stdlib-4l")
small = dictionaries.DictionaryConfig(shipped, recipe, contexts=4000, keep=KEEP)
gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
wide = TrainConfig(n=2**15, k=32, steps=20_000, batch=8192)
large = dictionaries.DictionaryConfig(gpt2, wide, layer=8, contexts=48_000, keep=KEEP)
few = dict(narrow=32, kept=(2, 4, 8), judged=(2, 4, 8), widths=(32, 128))
many = dict(narrow=256, kept=(2, 8, 16, 64), judged=(2, 16, 64), widths=(128, 256, 2048))
most = dict(narrow=2**15, kept=(32, 128, 512), judged=(32, 128, 512), widths=(2**13, 2**15))
few_of_many = dict(narrow=1024, kept=(4, 32, 384), judged=(4, 32, 384), widths=(1024, 4096))


def seeds_of(config, count):
    return tuple(dictionaries.variant(config, seed=seed) for seed in range(count))


gpt2_briefly = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", train_contexts=9000)
beside = TrainConfig(n=4096, k=32, steps=300, batch=2048, dead_after_tokens=50_000)
short = dictionaries.DictionaryConfig(gpt2_briefly, beside, layer=8, contexts=8000, keep=KEEP)
openai = enumerate(("v5_32k", "v5_128k"))
theirs = tuple(dictionaries.PublishedConfig(gpt2_briefly, name, 8, seed=seed) for seed, name in openai)
cfg = run.choose(
    quick=Config(seeds_of(tiny, 2), tiny, length=32, characters=4_000_000, every=1, **few),
    laptop=Config(seeds_of(small, 5), small, length=128, characters=10**8, every=2, **many),
    published=Config(theirs, short, length=64, characters=10**8, every=1, **few_of_many),
    paper=Config(seeds_of(large, 1), large, length=64, characters=10**8, every=1, **most),
)
page = claims.Page("11_probe_loss", cfg)
cfg

# %% [markdown]
# <a id="label"></a>
# ## 1 A label and a latent
# The text is Python source from files that neither the language model nor any SAE was trained on. For source code the labels are free and exact:
# Python's own `tokenize` and `ast` say of every character whether it is in a comment, names a parameter, ends a statement, and so on. A token has
# the labels of its last character.

# %%
subject = dictionaries.open_subject(cfg.base.subject)
tokenizer = subject.tokenizer.backend_tokenizer
files = corpus.split_by_file(corpus.library_texts(), cfg.characters)["heldout"]
every_context = corpus.contexts(tokenizer, files, cfg.length)  # the files one after the other, cut
tokens = every_context[:: cfg.every]  # (C, T)
known = labels.of_contexts(every_context, tokenizer)  # a file is parsed whole
known = labels.ContextLabels(*(part[:: cfg.every] for part in known))  # (C, T, labels)
print(f"{len(files)} files, {tokens.numel():,} tokens, {known.known.float().mean():.0%} of them with labels")

# %% [markdown]
# A *task* is one label and the tokens it is asked about. Many labels are almost given away by the token: a comma is a comma. So there are two groups of
# tasks. In the first a label is asked about all tokens. In the second it is asked about the tokens of one id only, for instance about every ` in`:
# is it Python's keyword, or English in a comment? The token is the same each time, so that only its surroundings can tell. We call these tasks
# *token-controlled*.

# %%
ONE_TOKEN = {
    "Ġin": "keyword in", "Ġis": "keyword is", "Ġand": "keyword and", "Ġnot": "keyword not",
    "Ġfor": "keyword for", "self": "parameter", "=": "keyword =", ".": "dot", ":": "if line",
    ",": "def line", "(": "def line", "):": "def line", "'": "opening quote", 'Ġ"""': "opening quote",
    "Ċ": "end of statement", "ĊĠĠĠ": "end of statement",
}  # fmt: skip
ids = {token: tokenizer.token_to_id(token) for token in ONE_TOKEN}
wanted = [(ONE_TOKEN[token], id) for token, id in ids.items() if id is not None]
wanted += [(label, None) for label in labels.PROBES]  # about all tokens
found = probes.of_labels(known, tokens, wanted)
enough = probes.usable(found)  # both classes in ten contexts of each half of the text, or more
tasks = found.only(enough)
one_token = np.array([wanted[task][1] is not None for task in enough])


def named(label, id):
    return label if id is None else f"{tokenizer.decode([id])!r}: {label}"


names = [named(*wanted[task]) for task in enough]
print(f"{(~one_token).sum()} tasks about all tokens, {one_token.sum()} about one token each")

# %% [markdown]
# The first task asks which ` in` is the keyword. One token of each class, with the text before it:

# %%
example = tasks.only([0])
for holds in (True, False):
    context, place = (example.within & (example.labels == holds))[..., 0].nonzero()[0].tolist()
    before = tokens[context, max(0, place - 15) : place + 1].tolist()
    print(f"{names[0]!r} is {holds}: {tokenizer.decode(before)!r}")

# %% [markdown]
# Now the latents. `code_of` runs an SAE over the residual stream, the vector per token that the blocks of the language model hand on, and returns
# which latents are active on each token, and how strongly. The text is cut in two halves, whose use section 3 explains. On the first we look at one
# latent, the one that turns out to be the best for this task, and ask how often it is active in each class.


# %%
def code_of(sae, stream):
    parts = [sae.encode(some) for some in stream.split(64)]  # a few contexts at a time
    return Code(*(torch.cat(part) for part in zip(*parts, strict=True)))  # indices and values, each (C, T, k)


def values_of(latent, code):
    return (code.values * (code.indices == latent)).sum(-1)  # (C, T), zero where it is not among the k


stream = subject.residual(tokens, cfg.base.layer)  # (C, T, d)
dictionary = dictionaries.dictionary(cfg.saes[0])
code = code_of(dictionary, stream)

# %%
half = len(tokens) // 2
first, second = tasks.of(slice(0, half)), tasks.of(slice(half, None))
first_code = Code(*(part[:half] for part in code))
example = first.only([0])
latent = probes.fit(first_code, example).loss[:, 0].argmin().item()  # of least loss, section 2
about = example.within[..., 0]  # (C / 2, T): the tokens of the task
z, y = values_of(latent, first_code)[about].double(), example.labels[..., 0][about]  # (N,), (N,)
print(f"task {names[0]!r}, latent {latent}: active on {(z[y] > 0).mean(dtype=float):.0%} of the positives")
print(f"and on {(z[~y] > 0).mean(dtype=float):.0%} of the negatives")

# %% [markdown]
# <a id="newton"></a>
# ## 2 One probe, by Newton's method
# A probe turns the value $z$ of the latent into a probability $\sigma(wz + b)$ that the label holds. Its loss is the mean of $-\log$ of the probability
# that it gave to the truth, and $w$ and $b$ are those of least loss. We count each class one half, with weights $c_t$ that are $1/2N_1$ for
# each of the $N_1$ positives and $1/2N_0$ for each of the $N_0$ negatives:
#
# $$ L(w, b) = -\sum_t c_t \left[ y_t \log \sigma(w z_t + b) + (1 - y_t) \log\left(1 - \sigma(w z_t + b)\right) \right]. $$
#
# Why balance the classes? A label that holds for one token in a hundred has a small loss without any probe: always say "no" (exercise 2). With
# balanced classes a probe that knows nothing has $w = b = 0$ and a loss of $\ln 2$, whatever the label, so that losses of different tasks can be
# averaged. We report the *gain* $\ln 2 - L$ in nats: 0 is nothing, $\ln 2 \approx 0.69$ is everything.
#
# $L$ is a convex function of two numbers. Each step of Newton's method replaces it by the parabola that has the same value, gradient and second
# derivatives at the current point, and goes to the minimum of that parabola. Twelve steps are more than enough.


# %%
def newton(z, y, steps=12):
    c = torch.where(y, 0.5 / y.sum(dtype=z.dtype), 0.5 / (~y).sum(dtype=z.dtype))  # (N,)
    Z = torch.stack([z, torch.ones_like(z)], dim=1)  # (N, 2)
    theta = torch.zeros(2, dtype=z.dtype)  # w, b
    for _ in range(steps):
        p = (Z @ theta).sigmoid()
        gradient = Z.T @ (c * (p - y.to(z.dtype)))
        hessian = Z.T @ (Z * (c * p * (1 - p))[:, None])
        theta = theta - torch.linalg.solve(hessian, gradient)
    loss = binary_cross_entropy_with_logits(Z @ theta, y.to(z.dtype), c, reduction="sum")
    return theta, loss, gradient.abs().max()


(w, b), loss, gradient = newton(z, y)
assert gradient < 1e-6
print(f"w = {w:.2f}, b = {b:.2f}: loss {loss:.3f} of ln 2 = {math.log(2):.3f}, gain {math.log(2) - loss:.3f}")

# %% [markdown]
# The package fits all latents and all tasks at once. Three things make that fast and safe. On most tokens a latent is zero, and all of these tokens
# enter as one, with the sum of their weights. A step that would raise the loss is halved. Where a threshold separates the classes, $w$ has no finite
# optimum; there the limit of the loss is known exactly, and is what counts. The result must be the same as ours.

# %%
every = probes.fit(first_code, example)  # loss, w, b of each latent, (n, 1)
assert torch.allclose(every.loss[latent, 0], loss, atol=1e-9)
assert torch.allclose(every.w[latent, 0], w, rtol=1e-5)
assert torch.allclose(every.b[latent, 0], b, rtol=1e-5)

# %% [markdown]
# The picture shows the values of this latent on the tokens of the task, and the probability that the probe makes of them. A latent can tell a label
# by being active or not, or, if it is active on both classes, by how strongly it is active.

# %%
ramp = torch.linspace(0, z.max().item(), 200, dtype=torch.float64)
curve = (ramp.numpy(), (w * ramp + b).sigmoid().numpy())
figure = plots.latent_by_label({"label false": z[~y].numpy(), "label true": z[y].numpy()}, curve)
page.save_figure(
    figure,
    "one_probe",
    {"share of zeros": [(z[which] == 0).double().mean().item() for which in (~y, y)], "w, b": [w, b]},
    f"First see how far grey and blue overlap: values of latent {latent} where the label is false (grey) "
    f"and where it is true (blue), as shares of each class. Task {names[0]!r}. The dark purple curve is the "
    "fitted probability. "
    f"n = {dictionary.n:,}, k = {dictionary.k}, first half of the text. The paper has no such picture.",
)

# %% [markdown]
# <a id="best"></a>
# ## 3 The best of thousands
# For each task the paper takes the latent whose probe has the least loss. It does not say on which tokens that latent is chosen, nor on which its loss is
# reported. If they are the same, the best of thousands looks useful even where there is nothing to find. To see how much, we permute the labels:
# each task's labels are put in a random order over its own tokens. Nothing is left to tell, and the right gain is 0.
#
# The cure is a second text. The contexts are cut in two halves, which share no file but the one at the cut. The first half
# chooses the latent and fits $w$ and $b$; the second half judges. `gain` computes, for a fitted probe, $\ln 2 - L$ on any text.


# %%
def gain(latent, w, b, code, task):
    """ln 2 less the balanced loss of one probe on a text; `task` holds one task."""
    about, z = task.within[..., 0], values_of(latent, code).double()
    z, y = z[about], task.labels[..., 0][about]
    right = torch.where(y, 1.0, -1.0) * (w * z + b)
    loss = -torch.nn.functional.logsigmoid(right)
    return math.log(2) - (loss[y].mean() + loss[~y].mean()).item() / 2


second_code = Code(*(part[half:] for part in code))
assert abs(gain(latent, w, b, first_code, example) - (math.log(2) - loss)) < 1e-9
print(f"the latent above: {gain(latent, w, b, first_code, example):.3f} where it was chosen", end=", ")
print(f"{gain(latent, w, b, second_code, second.only([0])):.3f} on the other half")

# %% [markdown]
# Now the same with permuted labels, for the token-controlled tasks, and with more and more latents to choose from. With more of them the best one can
# only look better on the half that chose it. On the other half its gain should be zero or a little below: a probe that was fitted to chance is
# sometimes confident and wrong.


# %%
def permuted_gains(seed):
    """Mean gain of the best of so many latents, where it was chosen and elsewhere: (2, candidates)."""
    order = torch.randperm(dictionary.n, generator=run.generator(seed, "candidates"))
    drawn = tasks.only(one_token.nonzero()[0]).permuted(run.generator(seed, "order of labels"))
    probe = probes.fit(first_code, drawn.of(slice(0, half)), dictionary.n)
    gains = np.zeros((2, len(candidates), len(drawn.names)))
    for task in range(len(drawn.names)):
        parts = [drawn.only([task]).of(text) for text in (slice(0, half), slice(half, None))]
        for at, count in enumerate(candidates):
            best = order[probe.loss[order[:count], task].argmin()].item()
            found = best, probe.w[best, task], probe.b[best, task]
            gains[0, at, task] = gain(*found, first_code, parts[0])
            gains[1, at, task] = gain(*found, second_code, parts[1])
    return gains.mean(-1)


candidates = [2**power for power in range(int(math.log2(dictionary.n)) + 1)]
choosing, judging = np.stack([permuted_gains(seed) for seed in range(len(cfg.saes))], axis=1)
page.save_figure(
    plots.selection(candidates, choosing, judging),
    "selection",
    {"candidates": candidates, "where chosen": choosing, "elsewhere": judging},
    "First look at the dashed lines, the mistake: labels in random order, and a gain that grows with the "
    "number of latents "
    "to choose from. Solid, the cure: the same probes judged on the other half of the text. Mean over the "
    f"{one_token.sum()} token-controlled tasks; a line per random order of the labels, "
    f"{len(cfg.saes)} of them. "
    f"n = {dictionary.n:,}, k = {dictionary.k}. Not in the paper, which mentions no second text.",
)

# %% [markdown]
# <a id="baselines"></a>
# ## 4 What else could tell the label
# The gain of a latent says little without others to compare it with. Each row of this table is a rival that lacks something. If the rival gains as
# much as the latents, what it lacks is not the reason for their gain.
#
# | name | what is probed | what the rival lacks |
# |---|---|---|
# | channels | the $d$ entries of the residual stream | the SAE, and the choice among $n$ |
# | random directions | $n$ random directions in the stream: as many as there are latents | the SAE |
# | never trained | an SAE of the same $n$ and $k$ before its first step | training of the SAE |
# | shuffled model | an SAE, trained by the same recipe, of the language model with its weights shuffled | training of the language model |
# | single tokens | for each token of the vocabulary: is it this one? | any model |
#
# *Shuffled* means that the entries of each weight matrix are put in a random order. Every token and every position still has a vector of its own, blocks
# still mix them, but nothing was learned. For every row the best candidate of each task counts, chosen on the first half and judged on the second.
#
# `measure` does this for the rows with a dictionary. Each seed has an SAE of its own and a shuffling of its own.


# %%
@dataclass(frozen=True)
class Part:
    page: Config
    seed: int


def train_on_shuffled(part):
    """The dictionary of the language model with shuffled weights, by the recipe of the others."""
    config = part.page.base
    model = shuffle_weights(dictionaries.open_subject(config.subject), run.generator(part.seed, "shuffle"))
    text = dictionaries.spread(model.tokens("train"), config.contexts)
    acts = model.pool(text, config.site, run.generator(part.seed, "pool"))
    batches = shuffled(acts, config.train.batch, config.train.steps, run.generator(part.seed, "order"))
    start = run.generator(part.seed, "start", device=run.device())
    return fit(batches, config.train, acts[: config.train.median_sample], start).sae.tensors()


def measure(part):
    """Gain of the best latent for every task, where it was chosen and elsewhere, of each dictionary."""
    config = part.page.saes[part.seed]
    model = dictionaries.open_subject(config.subject)
    other = shuffle_weights(model, run.generator(part.seed, "shuffle"))
    control = TopK.from_tensors(memo.memo(train_on_shuffled, part), part.page.base.train.k).to(run.device())
    stream = model.residual(tokens, config.layer)
    code = code_of(dictionaries.dictionary(config), stream)
    untrained = code_of(dictionaries.dictionary(config, "untrained"), stream)
    permuted = tasks.permuted(run.generator(part.seed, "permuted"))
    permuted = permuted.only(probes.usable(permuted))  # a rare class may have moved into too few contexts
    probed = {"trained": (code, tasks), "permuted": (code, permuted), "never trained": (untrained, tasks)}
    probed["shuffled model"] = code_of(control, other.residual(tokens, config.layer)), tasks
    return {
        f"{name}/{text}": torch.as_tensor(math.log(2) - loss)
        for name, of in probed.items()
        for score in [probes.score(*of, run.generator(part.seed, "intervals"))]
        for text, loss in (("choosing", score.fitted), ("judging", score.loss.value))
    }


# %% [markdown]
# Channels and directions are dense: they differ from zero on every token, and a fit reads all tokens for each step. So a cheaper number ranks them first: what
# Newton's first step from $w = b = 0$ promises. With the means $m_0, m_1$ of $z$ over the two classes and its balanced variance $v$, the gradient of $L$
# is $-(m_1 - m_0)/4$, its curvature $v/4$, and the promised gain
#
# $$ \frac{(m_1 - m_0)^2}{8 v}. $$
#
# The eight most promising directions of each task are fitted.

# %%
FITTED = 8


def best_directions(x, directions):
    """Gain of the best of many directions for every task, on the second half."""
    promised = probes.first_step(x[:half], first, directions)  # (directions, tasks)
    best = promised.topk(min(FITTED, len(directions)), dim=0).indices  # (8, tasks)
    draw = run.generator(0, "intervals")
    own = [(x @ directions[best[:, task]].T, tasks.only([task])) for task in range(len(names))]
    scores = [probes.score(*pair, draw) for pair in own]
    return torch.tensor([math.log(2) - score.loss.value[0] for score in scores])


def measure_others(config):
    """Gain of what needs no dictionary, for every task."""
    x = normalise(dictionaries.open_subject(config.base.subject).residual(tokens, config.base.layer)).x
    draw = run.generator(0, "directions")
    n = dictionaries.dictionary(config.saes[0]).n
    random = torch.randn(n, x.shape[-1], generator=draw).to(x.device)
    one_hot = Code(tokens[..., None].to(x.device), torch.ones(*tokens.shape, 1, device=x.device))
    score = probes.score(one_hot, tasks, run.generator(0, "intervals"))
    return {
        "channels": best_directions(x, torch.eye(x.shape[-1], device=x.device)),
        "random directions": best_directions(x, random),
        "single tokens": torch.as_tensor(math.log(2) - score.loss.value),
    }


# %% [markdown]
# Does this ranking miss the best one? On channels and the token-controlled tasks a fit of all of them is cheap. In at least nine tasks out of ten the
# channel of least loss must be among the eight.

# %%
controlled = first.only(one_token.nonzero()[0])
inputs = normalise(stream[:half]).x
promised = probes.first_step(inputs, controlled, torch.eye(inputs.shape[-1], device=inputs.device))
eight = promised.topk(FITTED, dim=0).indices  # (8, tasks)
best = probes.fit(inputs, controlled).loss.argmin(0)
among = (eight == best).any(0).tolist()
print(f"the best channel is among the {FITTED} in {sum(among)} of {len(among)} tasks")
assert np.mean(among) >= 0.9

# %% [markdown]
# <a id="gains"></a>
# ## 5 The gains
# The paper reports that latents gain more than channels. In the figure, ask four questions. Do trained dictionaries gain more than channels? More
# than random directions, of which there are as many to choose from? More than an SAE that was never trained? And more than the dictionary of the
# shuffled model and than single tokens, which know nothing that a language model has to learn? Only a yes to all four would say that the gain needs
# trained latents of a trained model.

# %%
measured = [memo.memo(measure, Part(cfg, seed)) for seed in range(len(cfg.saes))]
others = memo.memo(measure_others, cfg)


def of_tasks(name, text="judging"):
    """Gain by task, one array per seed."""
    held = [others[name]] if name in others else [part[f"{name}/{text}"] for part in measured]
    return [gains.numpy() for gains in held]


def mean(name, which=slice(None), text="judging"):
    return np.array([gains[which].mean() for gains in of_tasks(name, text)])  # (seeds,)


KINDS = ("trained", "never trained", "shuffled model", "single tokens", "channels", "random directions")
GROUPS = {"all tokens": ~one_token, "one token at a time": one_token}
titles = {group: f"{group}: {which.sum()} tasks" for group, which in GROUPS.items()}
means = {}
for group, which in GROUPS.items():
    means[titles[group]] = {kind: mean(kind, which) for kind in KINDS}
page.save_figure(
    plots.mean_gains(means),
    "mean_gains",
    means,
    "First compare the top bar with the bottom one: trained latents, and as many random directions. Then "
    "look at the third bar in both panels: what is left without a trained language model when the token may "
    "tell (left) and when it may not (right). Mean gain of the best latent, "
    "channel, direction or token of each task, chosen on one half of the text and judged on the other; "
    f"n = {dictionary.n:,}, k = {dictionary.k}, dots are {len(cfg.saes)} SAEs. The paper compares losses "
    "with channels only.",
)

# %% [markdown]
# The means hide which properties are found. The next figure has a row per task.

# %%
each, labelled = {}, {}
for group, which in GROUPS.items():
    each[titles[group]] = {kind: np.mean(of_tasks(kind), axis=0)[which] for kind in KINDS[:5]}
    labelled[titles[group]] = [names[task] for task in which.nonzero()[0]]
page.save_figure(
    plots.by_task(each, labelled),
    "by_task",
    {"tasks": labelled, "gains": each},
    "First look for blue circles (trained) near the dotted line: there one latent tells nearly all of the "
    "label. Then compare them in the left panel with the pale-blue squares (shuffled model) and the dark "
    "purple triangles that point down (single tokens): where these lie as far to the right, the token itself "
    "gives the label away. In the right panel it cannot. Orange diamonds: never trained; dark grey triangles "
    f"that point up: channels. Means over {len(cfg.saes)} SAEs. A gain far below zero stands at the left "
    "edge, with its value. The paper's figure 33 has the change of the loss of each task during training.",
)

# %% [markdown]
# Now the claims. The paper says that the latents of TopK SAEs are far better than channels. It gives no number, and we ask for one and a half times the
# mean gain. Two controls must stay below that: random directions and an SAE that was never trained. If one of them reached it, having thousands of
# candidates would be enough to pass. The check also has a positive example: the same ratio with an SAE that was never trained in place of the
# channels. The line under the card compares trained latents with random directions.

# %%
trained, untrained, model_shuffled = (mean(kind) for kind in KINDS[:3])
channels = mean("channels")
page.check(
    "probes.latents-above-channels",
    trained / channels,
    control={
        "random directions, as many as latents": mean("random directions") / channels,
        "a dictionary that was never trained": untrained / channels,
    },
    witness=trained / untrained,
)
print(f"trained over random directions: {(trained / mean('random directions')).round(2)}")

# %% [markdown]
# At `laptop` latents gain more than channels, but less than one and a half times as much. Random directions, as many as there are latents, gain at
# least as much as the latents do. So on these tasks the whole advantage over channels may come from having more directions to choose from: among
# thousands of them one lies near what a label needs, without any training. A comparison with channels alone, as in the paper, cannot tell this
# from features.
#
# The comparison is not quite even. A random direction has a value on every token, and a latent after TopK is zero on most of them, which may hide
# what the latent's direction could tell (section 6). So the next claim compares two codes that are equally sparse. A dictionary that was never
# trained has as many latents, as many of them are active on a token, and it reads the same language model. What differs is training:

# %%
page.check(
    "probes.training-of-the-dictionary",
    trained / untrained,
    control={
        "another one that was never trained": np.roll(untrained, 1) / untrained,
        "the dictionary of the shuffled model": model_shuffled / untrained,
    },
)

# %% [markdown]
# If the ratio is large, training has made latents that tell more *after TopK*. It does not follow that these latents tell more than directions that
# nobody trained: the line under the first card says whether they do.
#
# Does it take a trained language model? Two rivals have none. The best single token knows the token and nothing else. The dictionary of the shuffled
# model, trained as long on the same text, reads vectors that depend on the tokens and their places, but in which nothing was learned. Latents are
# compared with the better of the two in each seed.

# %%
tokens_alone = np.full(len(cfg.saes), mean("single tokens").item())
rival = np.maximum(model_shuffled, tokens_alone)
page.check(
    "probes.training-of-the-model",
    trained / rival,
    control={
        "the dictionary of the shuffled model over single tokens": model_shuffled / tokens_alone,
        "another shuffling": np.roll(model_shuffled, 1) / rival,
    },
)

# %% [markdown]
# This claim is about the language model and not about SAEs: compare the bars of channels and random directions, which read the trained model
# too, with those of the two rivals.
#
# In the token-controlled tasks only the surroundings can tell. Does training the dictionary raise the gain there as well?

# %%
given = {kind: mean(kind, one_token) for kind in KINDS[:3]}
page.check(
    "probes.one-token",
    given["trained"] / given["never trained"],
    control={
        "another one that was never trained": np.roll(given["never trained"], 1) / given["never trained"],
        "the dictionary of the shuffled model": given["shuffled model"] / given["never trained"],
    },
)

# %% [markdown]
# If the latents of the shuffled model stand for tokens, they gain something on tasks about all tokens (the left panel) and nothing on
# token-controlled tasks. As nothing we count less than a fiftieth of $\ln 2$.

# %%
page.check(
    "probes.shuffled-model-knows-tokens",
    mean("shuffled model", one_token),
    control={
        "the same on all tokens": mean("shuffled model", ~one_token),
        "a dictionary that was never trained, of the trained model": mean("never trained", one_token),
    },
)

# %% [markdown]
# ### Is any of it selection?
# Permuted labels go through the same steps as the true ones. Their gain on the second half must not be above zero. The same number on the half that
# chose the latents, the mistake of section 3, must be.

# %%
page.check(
    "probes.permuted-labels",
    mean("permuted"),
    control={
        "on the half that chose the latents": mean("permuted", text="choosing"),
        "the true labels": trained,
    },
)
lost = (mean("trained", text="choosing") - trained).mean()
chance = mean("permuted", text="choosing").mean()
print(f"gain lost from the choosing to the judging half, true labels {lost:.3f}")
print(f"gain of permuted labels where they were chosen {chance:.3f}")

# %% [markdown]
# Compare the two printed numbers. The second is what the best of thousands gains by luck on the half that chose it; shorter texts give more of it
# (exercise 1). If the first is larger, luck is not the only thing that true labels lose from one half to the other. The halves are different
# files, and a latent that tells a property in one file may tell less of it in another.
#
# <a id="before"></a>
# ## 6 Before and after TopK
# TopK sets all but $k$ latents to zero. That makes a latent's value easier to read, or throws away what would have told the label. To find out, take
# the 20 latents of each task that are best after TopK on the choosing half, and fit probes on their *pre-activations* $W_{enc}(x - b_{pre}) + b_{enc}$,
# the numbers before TopK, on the same half. The better of the two forms is the one whose best latent gains more on the other half. The
# comparison favours the form after TopK, because that form chose the twenty.

# %%
BEST = 20


def measure_before(part):
    """Gain of the best latent of each token-controlled task, by values after TopK and by pre-activations."""
    config = part.page.saes[part.seed]
    stream = dictionaries.open_subject(config.subject).residual(tokens, config.layer)
    sae, x = dictionaries.dictionary(config), normalise(stream).x
    code, draw = code_of(sae, stream), run.generator(part.seed, "before")
    own = tasks.only(one_token.nonzero()[0])
    loss = probes.fit(Code(*(held[:half] for held in code)), own.of(slice(0, half)), sae.n).loss  # (n, tasks)
    before = []
    for task in range(len(own.names)):
        best = loss[:, task].topk(BEST, largest=False).indices
        pre = (x - sae.b_pre) @ sae.W_enc[best].T + sae.b_enc[best]  # (C, T, 20)
        before.append(probes.score(pre, own.only([task]), draw).loss.value[0])
    after = probes.score(code, own, draw).loss.value
    return {"before": math.log(2) - torch.tensor(before), "after": torch.as_tensor(math.log(2) - after)}


pairs = [memo.memo(measure_before, Part(cfg, seed)) for seed in range(len(cfg.saes))]
before, after = (np.stack([pair[form].numpy() for pair in pairs]) for form in ("before", "after"))
page.save_figure(
    plots.before_and_after(before.mean(0), after.mean(0), [names[task] for task in one_token.nonzero()[0]]),
    "before_and_after",
    {"before": before, "after": after},
    "Dots above the line gain by TopK, dots below lose. A dot is a token-controlled task, the mean over "
    f"{len(cfg.saes)} SAEs; the task's best latent among the {BEST} best after TopK, chosen on "
    "one half and judged on the "
    "other in both forms. We could not settle which of the two the paper probes.",
)
print(f"mean gain before TopK {before.mean():.3f}, after {after.mean():.3f}")
print(f"after TopK it is larger in {(after.mean(0) > before.mean(0)).mean():.0%} of the tasks")

# %% [markdown]
# <a id="sizes"></a>
# ## 7 How many latents, how many kept
# The paper's figure 6 has this score over $n$ and $k$: it rises with $k$ and then falls. A reason for a rise: with few kept latents many properties
# have none. A reason for a fall: with $k$ near the width $d$ of the stream, an SAE can reconstruct without finding anything. We vary $k$ for
# small dictionaries, and $n$ at the $k$ of the sections above, on the token-controlled tasks. Dictionaries that were never trained show what more active
# latents do by themselves.


# %%
def measure_sizes(part):
    """Mean gain over the token-controlled tasks for other k and n."""
    base, own = dictionaries.variant(part.page.base, seed=part.seed), tasks.only(one_token.nonzero()[0])
    stream = dictionaries.open_subject(base.subject).residual(tokens, base.layer)

    def score(which, **size):
        sae = dictionaries.dictionary(dictionaries.variant(base, **size), which)
        return probes.score(code_of(sae, stream), own, run.generator(part.seed, "sizes")).gain.value

    n, kept = part.page.narrow, part.page.kept
    return {
        "kept": torch.tensor([score("averaged", n=n, k=k) for k in kept]),
        "kept, never trained": torch.tensor([score("untrained", n=n, k=k) for k in kept]),
        "widths": torch.tensor([score("averaged", n=n) for n in part.page.widths]),
    }


sizes = [memo.memo(measure_sizes, Part(cfg, seed)) for seed in range(len(cfg.saes))]
names_of = ("kept", "kept, never trained", "widths")
by_kept, unfitted, by_width = (np.stack([part[name].numpy() for part in sizes]) for name in names_of)
page.save_figure(
    plots.against_size(cfg.kept, by_kept, unfitted, cfg.widths, by_width, (cfg.narrow, cfg.base.train.k)),
    "sizes",
    {"k": cfg.kept, "gain by k": by_kept, "never trained": unfitted, "n": cfg.widths, "gain by n": by_width},
    "Left: does the gain rise with k and fall again (blue), and does it without training (dashed grey)? "
    "Right: against the "
    f"number of latents. Token-controlled tasks, a line per SAE, {len(cfg.saes)} SAEs, "
    f"{cfg.base.train.steps} steps of "
    f"{cfg.base.train.batch:,} tokens each. The paper's figure 6 has n up to 2^19 and k from 32 to 512.",
)

# %% [markdown]
# What is judged: by how much the gain at a middle $k$ exceeds the gain at a small $k$ and the gain at a large $k$, the smaller of the two
# differences. A number above zero is a rise and a fall between these three places. The large $k$ is half of $d$, in proportion somewhat less than
# the paper's largest. The control, the same number without training, must not be above zero.


# %%
def rise_and_fall(gains):
    small, middle, large = (gains[:, cfg.kept.index(k)] for k in cfg.judged)
    return np.minimum(middle - small, middle - large)


page.check(
    "probes.rise-and-fall-with-k",
    rise_and_fall(by_kept),
    control={"dictionaries that were never trained": rise_and_fall(unfitted)},
)

# %% [markdown]
# <a id="your-turn"></a>
# ## 8 Your turn
# 1. *(5 minutes)* Is selection worse with less text? Permute the labels of the token-controlled tasks. Compute the gain of the best latent on the text that
#    chose it, once for the first half of the text and once for a quarter of that half.
#    <details><summary>Hint</summary>`tasks.of(slice(...))` cuts the tasks, `probes.usable` says which of them have enough tokens left. Compare the same tasks.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    drawn = tasks.only(one_token.nonzero()[0]).permuted(run.generator(7, "exercise"))
#    few = half // 4
#    left = drawn.only(probes.usable(drawn.of(slice(0, few))))
#
#
#    def flattery(contexts):
#        part = Code(*(held[:contexts] for held in code))
#        return math.log(2) - probes.fit(part, left.of(slice(0, contexts))).loss.amin(0).mean()
#
#
#    print(f"gain of nothing: {flattery(half):.3f} from a half, {flattery(few):.3f} from an eighth of the text")
#    assert flattery(few) > 1.5 * flattery(half)
#    ```
#
#    The shorter the text, the larger the gain of chance: it goes like one over the number of tokens of the rarer class.
#    </details>
# 2. *(5 minutes)* What would the losses look like without balanced classes? Compute for each task the loss of a probe that knows nothing but how
#    often the label holds.
#    <details><summary>Hint</summary>With a share $q$ of positives it is $-q \ln q - (1-q) \ln(1-q)$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    negatives, positives = tasks.classes().sum(dim=(1, 2)).double()
#    q = positives / (negatives + positives)
#    nothing = -(torch.xlogy(q, q) + torch.xlogy(1 - q, 1 - q))
#    for task in nothing.argsort()[:3].tolist():
#        print(f"{names[task]}: {nothing[task]:.3f} nats without any probe, {q[task]:.2%} positives")
#    assert nothing.min() < 0.15 * math.log(2) < 0.9 * math.log(2) < nothing.max()
#    ```
#
#    A mean of such losses would mostly say how rare the labels are. With balanced classes, to know nothing costs the same for every label.
#    </details>
# 3. *(10 minutes)* How much does the probability tell beyond a yes or no? Put $1$ where the probe says more than one half and $0$ elsewhere, and probe
#    that for the first task. No Newton is needed: find the loss in closed form.
#    <details><summary>Hint</summary>With two values, the best probability at each value is the balanced share of positives there.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    yes = (w * z + b > 0).double()
#    p1, p0 = yes[y].mean(), yes[~y].mean()  # how often it says yes in each class
#    shares = torch.stack([p1, p0, 1 - p1, 1 - p0]).view(2, 2) / 2
#    closed = -torch.xlogy(shares, shares / shares.sum(1, keepdim=True)).sum()
#    _, by_newton, _ = newton(yes, y)
#    print(f"gain of yes or no {math.log(2) - closed:.3f}, of the value {math.log(2) - loss:.3f}")
#    assert abs(closed - by_newton) < 1e-6
#    ```
#
#    Compare the two gains: what is between them is what the strength of the latent says beyond the side of the threshold.
#    </details>
# 4. *(10 minutes)* Are two latents better than one? Extend `newton` to any number of latents and add the latent that is second best by itself for
#    the first task.
#    <details><summary>Hint</summary>Only `Z` changes: one column per latent, and the ones.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    pair = every.loss[:, 0].argsort()[:2].tolist()
#    columns = [values_of(which, first_code)[about].double() for which in pair]
#    Z = torch.stack([*columns, torch.ones(len(y), dtype=torch.float64)], dim=1)
#    c = torch.where(y, 0.5 / y.double().sum(), 0.5 / (~y).double().sum())
#    theta = torch.zeros(3, dtype=torch.float64)
#    for _ in range(25):
#        p = (Z @ theta).sigmoid()
#        hessian = Z.T @ (Z * (c * p * (1 - p))[:, None]) + 1e-9 * torch.eye(3, dtype=torch.float64)
#        theta = theta - torch.linalg.solve(hessian, Z.T @ (c * (p - y.double())))
#    both = binary_cross_entropy_with_logits(Z @ theta, y.double(), c, reduction="sum")
#    print(f"gain of one latent {math.log(2) - loss:.3f}, of two {math.log(2) - both:.3f}")
#    assert both <= loss + 1e-6
#    ```
#
#    On the text that fits it, a second latent can only help. How much it helps says how far the property is spread over several latents.
#    </details>
#
# <a id="limits"></a>
# ## 9 Limits
# - The claims do not show that latents are the directions of these properties. At `laptop` as many random directions gain at least as much. That a
#   trained dictionary gains more than one that was never trained says that training makes latents after TopK tell more, and not that it finds better
#   directions.
# - A probe can do much worse on the second half than one that says nothing, where the values there go beyond those that it was fitted on. One such
#   task pulls a mean down: look at the left edge of the figure of section 5 before you compare means of channels.
# - Latents are probed after TopK, channels and random directions on every token. Section 6 compares both forms of a latent, but for no claim.
# - The random directions are one draw, compared with every SAE. Of each task only the eight most promising are fitted, so a better one may be missed.
# - That the latents of the shuffled model gain nothing on token-controlled tasks does not show that nothing about the surroundings is in its vectors:
#   its blocks still mix them, and a probe of several directions was not tried.
# - The rise and fall with $k$ is judged at three places only. On the seed that chose them the gain was as large again with $k$ equal to the width $d$:
#   the fall did not go on. All dictionaries have equally many training steps, so a large $k$ may also need fewer or more of them than a small one.
# - A small gain does not mean that the SAE lost the property: many properties are spread over several latents, and a probe of one latent misses
#   them. A large gain does not mean that the model uses the property.
# - The labels are of Python source, and the language model of `laptop` is small. The paper has 61 tasks about the meaning of English text on
#   GPT-2, of which none is here, so its numbers cannot be compared with ours.
# - The halves of the text are different files, but few enough that a style of writing can weigh on one task. Seeds share the text and the tasks,
#   so the spread over seeds says nothing about other texts. Sections 6 and 7 look at the token-controlled tasks only.
# - Each shuffled model has one dictionary, and at `published` it is smaller than the SAEs that it stands beside. GPT-2 may have been trained on
#   Python's library: at `published` and `paper` the files are held out from the SAEs that we train and not from the language model.
#
# <a id="checked"></a>
# ## 10 What was checked

# %%
page.close()
