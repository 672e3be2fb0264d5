# %% [markdown]
# # 14b. All latents at once: would another model have them?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/14b_population.ipynb)
#
# **Pages** [← 14. One latent, taken apart](14_anatomy_of_a_feature.ipynb) · [Start here](00_start_here.ipynb) · [14c. Explaining all latents, and rating them blind →](14c_interpretability.ipynb)
#
# One latent of a sparse autoencoder (SAE, also called a dictionary) can look convincing because somebody picked it. No result of this page rests on a
# picked latent (one is shown, as an example of the method). It takes
# all latents of a small language model and looks for each one's partner in a second model that was trained apart from the first. The answer means
# something only beside the same for neurons, for another dictionary of the *same* model, and for dictionaries that were never trained.
#
# **You will** find each latent's partner in a second model · see how the answer depends on how many latents there are and how rare they are · take
# away what the current token and the previous one explain · find partners that agree in where they are active and not in what they do.
#
# **Needs** to know what an SAE and a latent are ([page 8](08_sae_training.ipynb#model)), and the one-layer language model of [page
# 7](07_language_model.ipynb#model). **Takes** about eight minutes at `laptop` on two cores, three once the dictionaries are trained ([start
# here](00_start_here.ipynb#profiles) has the other profiles).
#
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html): the section on
# universality.
#
# **On this page** [1 Two models, one text](#measure) · [2 Would another model have this latent?](#universality) · [3 The same activations, other logits](#logits) · [4 Your turn](#your-turn) · [5 Limits](#limits) · [6 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from IPython.display import display
from scipy.sparse import csr_array

from companion import claims, dictionaries, run
from companion.evals import features, population
from companion.lm import training
from companion.lm.training import TINY
from companion.plots import population as plots
from companion.plots import tokens as coloured
from companion.plots.lines import Log, Panel, Share, lines
from companion.plots.style import CONTROLS, OURS, SECOND
from companion.sae.models import Code
from companion.sae.recipe import TrainConfig

claims.opening("14b_population")

# %% [markdown]
# The parameters, one entry per profile. *Model A* and *model B* are the two one-layer transformers of [page 7](07_language_model.ipynb#training): the
# same shape and text, other random numbers. The dictionaries read the model's neurons, that is the MLP's activations after the ReLU.


# %%
@dataclass(frozen=True)
class Config:
    a: tuple[dictionaries.DictionaryConfig, ...]  # dictionaries of model A, one per random seed
    b: dictionaries.DictionaryConfig  # one of model B
    narrow: tuple[dictionaries.DictionaryConfig, ...]  # of A and B, as many latents as neurons
    random: tuple[dictionaries.DictionaryConfig, ...]  # of model A with random weights
    contexts: int  # held-out contexts for every measurement
    least: int = 20  # tokens of each half on which a latent must be active to be counted
    used: int = 10  # places at which a token of the vocabulary must occur to be counted


def seeds(base, count):
    return tuple(dictionaries.variant(base, seed=seed) for seed in range(count))


# %% tags=["parameters"]
KEEP = ("averaged", "untrained")
SITE = dict(layer=0, hook="mlp.hook_post", keep=KEEP)
other = run.seed_shift() + 1  # model B starts from other random numbers than A
tiny = replace(TINY, layers=1, steps=100)
quick_recipe = TrainConfig(n=64, k=8, steps=100, batch=512, lr=3e-3, space="scalar")
small = dictionaries.DictionaryConfig(tiny, quick_recipe, contexts=1000, heldout=64, **SITE)
one, one_b = dictionaries.offline_subject("python-stdlib-1l"), training.OFFLINE["python-stdlib-1l"]
recipe = TrainConfig(n=2048, k=16, steps=400, batch=2048, space="scalar", dead_after_tokens=100_000)
usual = dictionaries.DictionaryConfig(one, recipe, contexts=6000, heldout=1024, **SITE)
longer = replace(one_b, steps=20_000, batch=64)
wide = TrainConfig(n=2**14, k=16, steps=20_000, batch=8192, space="scalar")
large = dictionaries.DictionaryConfig(longer, wide, contexts=48_000, heldout=1024, **SITE)


def row(base, model_b, count, neurons, **sizes):
    b = replace(base, subject=model_b)
    narrow = tuple(dictionaries.variant(each, n=neurons) for each in (base, b))
    return Config(seeds(base, count), b, narrow, seeds(replace(base, shuffled=True), 2), **sizes)


cfg = run.choose(
    quick=row(small, replace(tiny, seed=other), 2, 32, contexts=160, least=4, used=3),
    laptop=row(usual, replace(one_b, seed=other), 5, 512, contexts=512),
    paper=row(large, replace(longer, seed=other), 5, 512, contexts=1024),
)
page = claims.Page("14b_population", cfg)
print(f"{len(cfg.a)} dictionaries of model A with n = {cfg.a[0].train.n:,} latents, k = {cfg.a[0].train.k}")

# %% [markdown]
# <a id="measure"></a>
# ## 1 Two models, one text
# Both models read the same held-out text. It has two halves, and everything that is *chosen*, such as a partner, is chosen on one half and reported
# on the other. The reason: the best of two thousand useless candidates looks useful on the text on which it was found to be the best.

# %%
site = cfg.a[0].site
model_a, model_b = dictionaries.subject_of(cfg.a[0]), dictionaries.subject_of(cfg.b)
everything = model_a.tokens("heldout")
assert torch.equal(everything, model_b.tokens("heldout"))
tokens = dictionaries.spread(everything, cfg.contexts)
middle = len(tokens) // 2
shape = (middle, tokens.shape[1])  # contexts and tokens of a half
halves = slice(0, middle), slice(middle, 2 * middle)
texts = [tokens[half] for half in halves]
words = model_a.tokenizer.batch_decode([[token] for token in range(len(model_a.unembedding()))])
print(f"{texts[0].numel():,} tokens in each half")

# %% [markdown]
# A dictionary gives each token amounts of a few latents. Neurons can be treated as latents, too: latent $i$ is neuron $i$, and its direction is the
# $i$-th axis. Written down as a dictionary, they go through the same code as latents do, and only the numbers will differ.


# %%
class AsTheyAre:
    """The neurons as a dictionary: nothing is encoded."""

    def __init__(self, n):
        self.n = n

    def encode(self, acts):  # (..., n) -> which latents, and how much of each
        return Code(torch.arange(self.n).expand(acts.shape), acts)


d_mlp = model_a.activations(tokens[:1], site).shape[-1]
few = [features.fired(model_a, each(d_mlp), site, tokens[:2]) for each in (AsTheyAre, population.Neurons)]
assert all(torch.equal(ours, theirs) for ours, theirs in zip(*few, strict=True))

# %% [markdown]
# Now the activations of every dictionary of this page, kept as a list of (context, position, amount) per latent, since most are zero. Beside the
# trained dictionaries stand two kinds for comparison. Some were *never trained*: they are the random start of the others. And
# some are trained on a model with *random weights*: the entries of each weight matrix of model A were shuffled (biases and layer norms stay).


# %%
def firings(config, dictionary):
    """The activations above 0 of every latent, on each half of the text."""
    every = features.fired(dictionaries.subject_of(config), dictionary, site, tokens)
    return [population.part(every, half) for half in halves]


def of(configs, which="averaged"):
    return [firings(each, dictionaries.dictionary(each, which)) for each in configs]


trained, [trained_b] = of(cfg.a), of([cfg.b])
narrow, random_weights = of(cfg.narrow), of(cfg.random)
never, [never_b] = of(cfg.a[-2:], "untrained"), of([cfg.b], "untrained")
neurons_a, neurons_b = (firings(each, population.Neurons(d_mlp)) for each in (cfg.a[0], cfg.b))

# %% [markdown]
# How often is something active? The *density* of a latent is the share of tokens on which it is. Neurons after a ReLU are active on a large share of
# all tokens, latents are not. Rarity is a plain property that no dictionary is needed for, so we also make *rare neurons*: subtract a threshold
# from each neuron, chosen on the first half so that it is active as often as the middle latent, and keep what lies above.

# %%
count = int(trained[0][0].counts.float().median())


def made_rare(neurons):
    threshold = population.thresholds(neurons[0], torch.full_like(neurons[0].counts, count))
    return [population.above(half, threshold) for half in neurons]


rare_a, rare_b = made_rare(neurons_a), made_rare(neurons_b)
for name, fired in {"latents": trained[0], "neurons": neurons_a, "rare neurons": rare_a}.items():
    density = fired[1].counts / texts[1].numel()
    print(f"{name:13} density: median {density.median():.2%}, never active {(density == 0).sum()}")

# %% [markdown]
# <a id="universality"></a>
# ## 2 Would another model have this latent?
# Models A and B have the text, the tokenizer and the architecture in common, and nothing else: neuron 7 of the one has nothing to do with neuron 7 of
# the other. But both read the same tokens, so the activations of a latent of A and of a latent of B are two columns of numbers over the same places,
# and can be correlated. The paper calls a feature *universal* if other models have it, too.
#
# First one latent of A against some latents of B, with NumPy. The package does the same for all pairs, as a product of two sparse matrices. (The
# example is chosen to be clear: its largest correlation is near .7. Everything after it is about all latents.)


# %%
def often(fired):
    """Latents that are active often enough in both halves."""
    return ((fired[0].counts >= cfg.least) & (fired[1].counts >= cfg.least)).nonzero().flatten()


def columns(fired, latents):  # (latents, tokens)
    return features.matrix(features.only(fired, torch.as_tensor(latents)), shape).toarray()


table = population.alike(trained[0][0], trained_b[0], shape)  # (n of A, n of B)
counted = often(trained[0])
latent = counted[(table[counted].amax(1) - 0.7).abs().argmin()].item()  # a good partner, not the best
f, g = columns(trained[0][0], [latent])[0], columns(trained_b[0], range(64))
by_hand = np.nan_to_num([np.corrcoef(f, other)[0, 1] if other.any() else 0.0 for other in g])
assert np.allclose(by_hand, table[latent, :64], atol=1e-5)

# %% [markdown]
# The *partner* of a latent is the one of B with the largest correlation on the first half. Here are a latent of A and its partner, on the same
# places of the second half: those where the latent of A is most active. The deeper the colour, the more active. Do the two agree?

# %%
partner = table[latent].argmax().item()


def lines_of(fired, which, places):
    amounts = torch.from_numpy(columns(fired, [which])[0]).view(shape)
    spans = [(context, slice(max(0, at - 12), at + 4)) for context, at in places]
    pairs = [(texts[1][where].tolist(), amounts[where].tolist()) for where in spans]
    return [coloured.Context([words[token] for token in ids], values) for ids, values in pairs]


found = features.examples(trained[0][1], latent, run.generator(0, "shown"), top=5, intervals=1, each=0)
places = list(zip(found.context.tolist(), found.position.tolist(), strict=True))
for model, fired, which in (("A", trained[0], latent), ("B", trained_b, partner)):
    display(coloured.bundle(f"model {model}, latent {which}", lines_of(fired[1], which, places)), raw=True)

# %% [markdown]
# Then all latents. The correlation with the partner is taken on the half on which the partner was not chosen; then the halves change places, and the
# two numbers are averaged.


# %%
class Partners(NamedTuple):
    rows: torch.Tensor  # the latents that are counted
    partner: torch.Tensor  # of every latent, chosen on the first half
    alike: torch.Tensor  # correlation with it on the second half
    value: np.ndarray  # of those counted: mean of the two directions


def partners(first, second, candidates=None):
    by_half = [population.alike(*pair, shape) for pair in zip(first, second, strict=True)]
    candidates = torch.arange(by_half[0].shape[1]) if candidates is None else candidates
    found = []
    for choose, report in (by_half, by_half[::-1]):
        best = candidates[choose[:, candidates].argmax(1)]
        found.append((best, report.gather(1, best[:, None])[:, 0]))
    rows = often(first)
    return Partners(rows, *found[0], (found[0][1] + found[1][1])[rows].numpy() / 2)


# %% [markdown]
# Six comparisons. *Two dictionaries of A* is the ceiling: the same model and the same training, another random seed. *Never trained* shows
# how large the largest of so many correlations is without any training. *Random weights* asks what a dictionary of B has in common with that of a
# model that has learned nothing. What do you expect for neurons, and for rare neurons?

# %%
AB, AA, NEURONS, RARE, RANDOM, NEVER = (
    "latents of A and B", "two dictionaries of A", "neurons of A and B", "rare neurons of A and B",
    "random weights, and B", "never trained",
)  # fmt: skip
measured = {
    AB: [(each, trained_b) for each in trained],
    AA: list(pairwise([*trained, trained[0]])),
    NEURONS: [(neurons_a, neurons_b)],
    RARE: [(rare_a, rare_b)],
    RANDOM: [(each, trained_b) for each in random_weights],
    NEVER: [(each, never_b) for each in never],
}


def for_each(f, *tables):
    """f of what each table has under the same name and seed; the first table says which names."""
    return {name: list(map(f, *(table[name] for table in tables))) for name in tables[0]}


pairs = for_each(lambda two: partners(*two), measured)
medians = {name: np.array([np.median(each.value) for each in found]) for name, found in pairs.items()}
for name, values in medians.items():
    print(f"{name:24} median {values.mean():.2f}   seeds: {', '.join(f'{value:.3f}' for value in values)}")

# %% [markdown]
# In the picture, read each curve at a height of one half: there is its median.


# %%
def above(values):
    return np.sort(values), 1 - np.arange(1, len(values) + 1) / len(values)


def by_density(two, found, bins=7):
    first, second = two[0]  # the halves of the text
    density = (first.counts + second.counts)[found.rows].numpy() / (2 * texts[0].numel())
    groups = np.array_split(density.argsort(), bins)
    return tuple(np.array([[np.median(part[at]) for at in groups] for part in (density, found.value)]))


dashes = ("-", "--", "-", ":", "-.", "--")
colours = (OURS, SECOND, CONTROLS[0], CONTROLS[0], CONTROLS[1], CONTROLS[2])
looks = [dict(color=colour, ls=dash) for colour, dash in zip(colours, dashes, strict=True)]
across, up = "correlation with the partner, on the other half", Share("latents that have more")
shares = {name: [above(each.value) for each in found] for name, found in pairs.items()}
page.save_figure(
    lines(Panel(None, shares, across, up, looks, settings=dict(xlim=(-0.05, 1))), size=(5.2, 3.6), lw=1.4),
    "universality",
    {"medians": medians},
    "How alike each latent is to its partner in another dictionary: the share of latents that have more, a "
    f"line per seed. The median is {medians[AB].mean():.2f} for latents of two models (the paper: .72) and "
    f"{medians[NEURONS].mean():.2f} for their neurons (.46). Partners are chosen on one half of the text and "
    f"compared on the other. n = {cfg.a[0].train.n:,}, k = {cfg.a[0].train.k}, {len(cfg.a)} seeds; the paper "
    "has 4,096 latents and 41 million tokens.",
)

# %% [markdown]
# The same medians by density. Are a dictionary's rare latents as easy to find again as its common ones? And at which densities is the lead over the
# model with random weights largest? Neurons as they are lie to the right of all latents, so at equal density only rare neurons can be compared.

# %%
curves = for_each(by_density, measured, pairs)
densities, up = Log("density", every=(1,)), "median correlation"
panel = Panel(None, curves, densities, up, looks, settings=dict(ylim=(0, 1)))
page.save_figure(
    lines(panel, size=(5.2, 3.4)),
    "by_density",
    {"density, median": curves},
    "The median correlation with the partner, by how often latents are active: seven groups of equal size, a "
    "line per seed. The paper has no such figure.",
)

# %% [markdown]
# The paper's sentence is that latents are more universal than neurons. A margin for the lead of the median was written down before these two models
# were compared. The controls must stay below it: rare neurons, because rarity alone might make partners easy to find, and dictionaries that were never
# trained, because there are more latents to choose from than neurons. Look at two things on the card: does every seed lead neurons, and does every
# seed reach the margin?

# %%
base = medians[NEURONS][0]
page.check(
    "population.universal",
    medians[AB] - base,
    control={
        "dictionaries that were never trained": medians[NEVER] - base,
        "neurons made as rare as latents": medians[RARE] - base,
    },
    witness=medians[AA] - base,
)

# %% [markdown]
# At `laptop` every seed leads neurons, by much less than in the paper, and not every seed reaches the margin: the verdict is MIXED. The median also
# hides something that the first picture shows. At small correlations the curve of neurons lies above that of latents: hardly any neuron is without a
# moderately similar partner, while latents have both more close partners and more that are nearly unlike.
#
# What could explain the lead? Not rarity: neurons have partners that are *less* similar once they are made rare. Is it the number of candidates? A
# dictionary with as many latents as there are neurons offers equally many. As a second test, partners are looked for among a random quarter of B's
# latents only.

# %%
n_b = len(trained_b[0].counts)
quarter = torch.randperm(n_b, generator=run.generator(0, "candidates"))[: n_b // 4]
fewer = {
    f"n = {cfg.narrow[0].train.n}, A and B": partners(*narrow),
    "a quarter of B's latents": partners(trained[0], trained_b, quarter),
    "never trained, a quarter": partners(never[0], never_b, quarter),
}
for name, found in fewer.items():
    print(f"{name:26} median {np.median(found.value):.2f}")

# %% [markdown]
# Compare the three medians with that of neurons. Narrow dictionaries (one pair, one seed) are a fair comparison of equal numbers: if they lead as well,
# the number of candidates is not the reason. A random quarter is not a fair one: most latents' true partners are missing from it, so latents must do
# worse there.
#
# A question that does not depend on neurons is what it costs to go to *another model*. Put the ceiling (a second dictionary of A) at one. What should
# stand at zero? Dictionaries that were never trained would be easy to beat. A harder floor is the model with random weights: it has learned nothing,
# but it has a vector for every token, and its latents find partners in B that respond to the same tokens. On this scale another model is nearer to
# the ceiling if its value is above one half. (Both controls are expected to lie below the floor, so they are easy to pass; the floor
# itself is the strict comparison.)

# %%
floor, ceiling = medians[RANDOM].mean(), medians[AA]
half_trained = np.array([np.median(partners(each, never_b).value) for each in trained[:2]])
page.check(
    "population.another-model",
    (medians[AB] - floor) / (ceiling - floor),
    control={
        "neurons made as rare as latents": (medians[RARE] - floor) / (ceiling.mean() - floor),
        "a dictionary of B that was never trained": (half_trained - floor) / (ceiling.mean() - floor),
    },
)

# %% [markdown]
# A value above one half says: most of what two dictionaries of one model have in common beyond that floor, dictionaries of two models have in common,
# too. But what is it? A latent that is active on one word wherever it stands has a partner in any model, and says little about the model. To take
# this away, subtract from every activation the mean over all places with the same token, $f - \mathbb{E}[f \mid \text{token}]$, and correlate what is
# left.

# %%
first, second = columns(trained[0][1], [latent])[0], columns(trained_b[1], [partner])[0]
place = texts[1].flatten().unique(return_inverse=True)[1].numpy()


def left(f):  # (tokens,)
    means = np.bincount(place, weights=f) / np.bincount(place)
    return f - means[place]


aligned = features.only(trained[0][1], [latent]), features.only(trained_b[1], [partner])
fast = population.within_token(*aligned, texts[1]).item()
assert np.isclose(np.corrcoef(left(first), left(second))[0, 1], fast, atol=1e-4)
print(f"latent {latent}: {np.corrcoef(first, second)[0, 1]:.2f} over all tokens, {fast:.2f} within tokens")

# %% [markdown]
# For latents that depend on the current token alone this is zero, however alike they are. The *previous* token can be taken away in the same way, with
# the mean over all places that have the same two tokens; and the place, with the mean over those in the same quarter of the context. What stands only
# once in this text leaves nothing. The model with random weights is a control here: its attention mixes earlier tokens in, but it has learned nothing
# about them.

# %%
before = texts[1].roll(1, 1)
before[:, 0] = len(words)  # the first token has none before it
both = before * len(words) + texts[1]
quarter = torch.arange(shape[1]).expand(shape) * 4 // shape[1]
TOKEN, BOTH, PLACE = "current token", "current and previous token", "both tokens, quarter of the context"
conditions = {TOKEN: texts[1], BOTH: both, PLACE: both * 4 + quarter}


def within(two, found, groups):
    lined_up = features.only(two[1][1], found.partner)
    return population.within_token(two[0][1], lined_up, groups)[found.rows].median().item()


def beyond(groups):
    medians = for_each(lambda two, found: within(two, found, groups), measured, pairs)
    return {name: np.array(values) for name, values in medians.items()}


agree = {name: beyond(groups) for name, groups in conditions.items()}
for name, groups in conditions.items():
    counts = groups.flatten().unique(return_inverse=True, return_counts=True)[1:]
    print(f"{name} ({(counts[1][counts[0]] > 1).float().mean():.0%} of places are not alone)")
    print("   ", {kind: np.round(values.mean(), 2).item() for kind, values in agree[name].items()})

# %% [markdown]
# What would be left if B's latents knew nothing but the token, the previous token and the place in the context? Put in their place the best sum of a
# number per token, a number per previous token and a number per place, fitted to each of them on the same text (which is generous). For all
# partners this takes long, so it is done for some of them.


# %%
def additive(g, factors, rounds=8):  # (latents, places) -> the same
    fit = np.zeros_like(g)
    for factor in factors * rounds:
        of_value = csr_array((np.ones(len(factor)), factor, np.arange(len(factor) + 1)))
        fit += ((g - fit) @ of_value / np.bincount(factor).clip(1))[:, factor]
    return fit


draw = run.generator(0, "some")
factors = [texts[1].flatten().numpy(), before.flatten().numpy(), np.tile(np.arange(shape[1]), shape[0])]
fitted, its_own = [], []
for found, fired in zip(pairs[AB], trained, strict=True):
    chosen = found.rows[torch.randperm(len(found.rows), generator=draw)[:100]]
    g = columns(trained_b[1], found.partner[chosen])
    sums = additive(g, factors)
    of_sums = population.planted(torch.from_numpy(sums - sums.min() + 1e-3).T.reshape(*shape, -1))
    mine = features.only(fired[1], chosen)
    left_of = [population.within_token(mine, of_sums, groups) for groups in (texts[1], both)]
    fitted.append([each.median().item() for each in left_of])
    its_own.append(1 - ((g - sums) ** 2).sum() / ((g - g.mean(1, keepdims=True)) ** 2).sum())
fitted = np.array(fitted)  # (seeds, conditions)
print(f"the sums explain {np.mean(its_own):.0%} of the variance of B's latents")
print({name: np.round(values.mean(), 2).item() for name, values in zip((TOKEN, BOTH), fitted.T, strict=True)})

# %% [markdown]
# The claim takes both tokens away. The comparison is again with rare neurons.

# %%
alone, rare = agree[BOTH], agree[BOTH][RARE]
page.check(
    "population.beyond-the-token",
    alone[AB] - rare,
    control={
        "dictionaries that were never trained": alone[NEVER] - rare,
        "a dictionary of the model with random weights": alone[RANDOM] - rare,
        "an additive model of token, previous token and place for B's latents": fitted[:, 1] - rare,
    },
    witness=alone[AA] - rare,
)

# %% [markdown]
# For each name, compare the numbers of the three printed lines. At `laptop` the previous token takes away a good part of what was left within
# tokens, and the place in the context takes away hardly anything more. The additive model tells the same: it explains most of what B's latents do,
# reaches a part of the agreement within tokens, and next to nothing within pairs of tokens. Whatever depends on the two tokens alone is gone, sum or not.
# What is left, then, needs tokens further back, or a finer use of the place.
#
# It need not be deep: the last three tokens would do. Compare also with neurons as they are, which the claim does not: at `laptop` they agree more
# than latents do, in all three lines. A possible reason, not tested here, is that a neuron is active on many tokens and can follow something broad, such
# as being inside a string.
#
# <a id="logits"></a>
# ## 3 The same activations, other logits
# A latent is not only where it is active but also what it does. Its *logit weights* say which next tokens it raises: its direction, through the MLP's
# output matrix, less the mean (the final layer norm subtracts it), times the norm's gain, through the unembedding. They are shifted so that the median
# token is at zero.

# %%
at = model_a.activations(tokens[:1], site)[0, -1]
d = features.directions(dictionaries.dictionary(cfg.a[0]), torch.tensor([latent]), at)  # (1, neurons)
written = d @ model_a.blocks[0].mlp.c_proj.weight.detach()  # (1, d)
raised = (written - written.mean()) * model_a.final_gain() @ model_a.unembedding().T  # (1, V)
weights = (raised - raised.median()).detach()
assert torch.allclose(weights, features.logit_weights(model_a, site, d), atol=1e-4)
print("raises most:", [words[token] for token in weights[0].topk(8).indices])


# %% [markdown]
# Do partners raise the same tokens? The paper found latents whose activations are nearly the same in both models, and whose logit weights are
# not: the activations of its Arabic latents correlate by .91, their logit weights by .23. It calls the reason *weight interference*: a direction shares
# its space with others, and so raises some tokens that it has nothing to do with.
#
# Two cautions before comparing. All latents of a dictionary may raise some tokens alike, the frequent ones say, and then all pairs look
# alike: so each dictionary's mean row is subtracted first. (What changes without that is printed below.) And only tokens that occur often enough in
# the text are compared.
#
# An *attribution* weighs a latent's effect by what happened: its activation times the logit weight of the token that really followed. Two latents can
# be compared in this way, too, over all places of the text. There is a trap: an attribution is the activation times a number, so where activations are
# alike, attributions are, whatever the logit weights. What this alone does is seen if *other* tokens follow: those of the same text in random order.


# %%
def weights_of(config, dictionary):
    at = dictionaries.subject_of(config).activations(tokens[:1], site)[0, -1]
    d = features.directions(dictionary, torch.arange(dictionary.n), at)
    return features.logit_weights(dictionaries.subject_of(config), site, d)


class Compared(NamedTuple):
    activations: np.ndarray
    attributions: np.ndarray
    moved: np.ndarray  # attributions, were the following tokens those of other places
    logits: np.ndarray  # of the logit weights, each dictionary's mean row subtracted
    strangers: np.ndarray  # the same with the partner of the next latent
    uncentred: np.ndarray  # both without the subtraction
    uncentred_strangers: np.ndarray
    frequent: np.ndarray  # the first, over frequent tokens alone


def attributed(acts, rows, text):
    return [population.attributions(*each, text) for each in zip(acts, rows, strict=True)]


def compared(weights, two, found, order=slice(None)):
    acts = two[0][1], features.only(two[1][1], found.partner)
    rows = weights[0][order], weights[1][found.partner][order]
    effects = [population.paired(*attributed(acts, rows, text), shape) for text in (texts[1], elsewhere)]
    a, b = (each[found.rows] for each in rows)
    less = a - weights[0].mean(dim=0), b - weights[1].mean(dim=0)
    logits = [population.rows_alike(x, y.roll(by, 0), occurring) for x, y in (less, (a, b)) for by in (0, 1)]
    logits += [population.rows_alike(*less, frequent)]
    return Compared(*(each[found.rows].numpy() for each in (found.alike, *effects)), *map(np.asarray, logits))


times = torch.bincount(everything.flatten(), minlength=len(words))
occurring, frequent = times >= cfg.used, times >= 20 * cfg.used
shuffle = torch.randperm(texts[1].numel(), generator=run.generator(0, "elsewhere"))
elsewhere = texts[1].flatten()[shuffle].view(shape)

# %% [markdown]
# The same for each seed, for two dictionaries of model A, for neurons, and for dictionaries that were never trained.

# %%
mine = [weights_of(each, dictionaries.dictionary(each)) for each in cfg.a]
theirs = weights_of(cfg.b, dictionaries.dictionary(cfg.b))
starts = [weights_of(each, dictionaries.dictionary(each, "untrained")) for each in (*cfg.a[-2:], cfg.b)]
weights = {
    AB: [(each, theirs) for each in mine],
    AA: list(pairwise([*mine, mine[0]])),
    NEURONS: [[weights_of(each, population.Neurons(d_mlp)) for each in (cfg.a[0], cfg.b)]],
    NEVER: [(each, starts[-1]) for each in starts[:-1]],
}
effects = for_each(compared, weights, measured, pairs)

# %% [markdown]
# Look at the right edge of both panels, where activations nearly agree. If logit weights tell what a latent is for, pairs at this edge lie at the
# top; if something disturbs them, they lie lower, and lower for two models than for one. Then look at the left edge of the left panel, where
# activations hardly agree: are logit weights alike there, too? (These pairs were partners on the first half. Pairs that never were follow below.)

# %%
ups = "correlation of the logit weights", "correlation of the attributions"
one_seed = {name: effects[name][0] for name in (AB, AA)}
drawn = {
    ups[0]: {name: (each.activations, each.logits) for name, each in one_seed.items()},
    ups[1]: {name: (each.activations, each.attributions) for name, each in one_seed.items()},
}
page.save_figure(
    plots.beside_activations(drawn, "correlation of the activations", {ups[0]: (0.91, 0.23)}),
    "logit_weights",
    {name: [values[:400] for values in each] for name, each in one_seed.items()},
    "Partners, one dot each: how alike their logit weights (left) and their attributions (right) are, by how "
    "alike their activations are. Compare two models with two dictionaries of one model. One seed, second "
    "half of the text; from logit weights the mean of all latents is subtracted. The paper names single "
    "latents (its Arabic one is marked, nothing subtracted) and has no such figure.",
)

# %% [markdown]
# Two claims. The paper's sentence is that attributions follow activations more closely than logit weights do. In numbers: over all pairs, how well the
# dots of the right panel lie on a line, less the same of the left panel. But this difference is no smaller for dictionaries that were never
# trained than for two dictionaries of one model, whose logit weights agree already. So it is printed and not judged.
#
# The claim asks for the reason instead: do partners raise *the tokens that follow* alike? Attributions must then be more alike than if the following
# tokens came from other places. This leaves activations, logit weights and the frequency of tokens as they are. The first control exchanges the
# logit weights: each pair gets those of another pair, which agree as well as before and have nothing to do with where this pair is active.


# %%
def gained(each):
    follows = [np.corrcoef(each.activations, of)[0, 1] for of in (each.attributions, each.logits)]
    return follows[0] - follows[1]


def followed(each):
    return np.median(each.attributions - each.moved)


def exchanged(weights, two, found):
    order = torch.arange(len(found.partner))
    order[found.rows] = found.rows[torch.randperm(len(found.rows), generator=draw)]
    return compared(weights, two, found, order)


draw = run.generator(0, "other latents")
others = for_each(exchanged, {AB: weights[AB]}, measured, pairs)[AB]
for name, found in effects.items():
    real, moved = (np.mean([np.median(each[field]) for each in found]) for field in (1, 2))
    print(f"{name:22} {real:.2f}, with tokens of other places {moved:.2f};", end=" ")
    print(f"the paper's difference {np.mean([gained(each) for each in found]):.2f}")
page.check(
    "population.attributions",
    [followed(each) for each in effects[AB]],
    control={
        "logit weights of another pair": [followed(each) for each in others],
        "dictionaries that were never trained": [followed(each) for each in effects[NEVER]],
    },
)

# %% [markdown]
# If the value is in the band and the controls are not, the logit weights of two models agree better on the tokens that follow than on others, and so
# part of their disagreement is about tokens that hardly ever follow. Look at the printed lines before taking this for a property of latents: two
# dictionaries of one model show it as well, and so do neurons. Of models that were trained on the same text it is to be expected.
#
# Then weight interference: among pairs whose activations correlate by more than .7, are logit weights less than half as alike as activations?
# Noisy directions would give the same, so the control is a second dictionary of model A, whose directions are as noisy. The lines below the card
# have the ratio without the subtraction of the mean, and how alike the logit weights of *strangers* are: a latent, and another latent's partner.


# %%
def ratio(each, logits=None):
    strong, logits = each.activations > 0.7, each.logits if logits is None else logits
    return np.median(logits[strong]) / np.median(each.activations[strong]) if strong.any() else 1.0


page.check(
    "population.weight-interference",
    [ratio(each) for each in effects[AB]],
    control={"two dictionaries of model A": [ratio(each) for each in effects[AA]]},
    witness=[ratio(each, each.strangers) for each in effects[AB]],
)
for name in (AB, AA):
    other = [np.mean([ratio(each, each[field]) for each in effects[name]]) for field in (5, 7)]
    far = [np.mean([np.median(each[field]) for each in effects[name]]) for field in (4, 6)]
    print(f"{name:22} ratio {other[0]:.2f} without, {other[1]:.2f} on frequent tokens;", end=" ")
    print(f"strangers {far[0]:.2f}, {far[1]:.2f} without")
print(f"{frequent.sum()} of {occurring.sum()} tokens are frequent")

# %% [markdown]
# Two latents can be active in the same places of two models and have logit weights that are less than half as alike, if the value is in the band and the
# control is not; the noise of a dictionary is then not the reason. What all latents of a dictionary share is not the reason either: at `laptop` the subtraction
# changes the ratio hardly at all, and strangers are unlike with and without it. A part of the reason is tokens that the models seldom saw: on frequent
# tokens alone the ratio is larger, and would just miss the band. The rest may be interference. The *cause* is not measured. Either way, not every token on a list of
# those that a latent raises most needs to have something to do with where the latent is active.
#
# <a id="your-turn"></a>
# ## 4 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* Make the easy mistake of section 2: choose the partner and report the correlation on the *same* half. How much better do latents
#    look? And dictionaries that were never trained?
#    <details><summary>Hint</summary>`population.alike(..., shape).amax(1)` is the largest correlation on one half.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    for name, (first, second) in {"trained": (trained[0], trained_b), "never": (never[0], never_b)}.items():
#        honest = partners(first, second)
#        mistaken = population.alike(first[0], second[0], shape).amax(1)[honest.rows].median().item()
#        print(f"{name}: {mistaken:.3f} on the same half, {np.median(honest.value):.3f} on the other")
#        assert mistaken > np.median(honest.value)
#    ```
#
#    Both look better than they are. How much depends on how much text there is for each latent.
#    </details>
# 2. *(5 minutes)* How large is a median that is due to chance alone? Give model B's activations to the wrong contexts, so that a latent of A and one of
#    B no longer read the same tokens. What is the median now?
#    <details><summary>Hint</summary>Turn the contexts of both halves round: `half._replace(context=shape[0] - 1 - half.context)`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    turned = [half._replace(context=shape[0] - 1 - half.context) for half in trained_b]
#    chance, honest = partners(trained[0], turned), partners(trained[0], trained_b)
#    print(f"{np.median(chance.value):.3f}, and {np.median(honest.value):.3f} in the right contexts")
#    assert np.median(chance.value) < 0.5 * np.median(honest.value)
#    ```
#
#    Compare it with the medians of section 2. Dictionaries that were never trained are not a measure of chance: both respond to the current token.
#    </details>
# 3. *(10 minutes)* Some partners choose each other: the partner's own best match in A is the latent that we came from. How many, and are such pairs more
#    alike than the others?
#    <details><summary>Hint</summary>`partners(trained_b, trained[0]).partner` is the way back.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    there, back = pairs[AB][0], partners(trained_b, trained[0]).partner
#    mutual = (back[there.partner[there.rows]] == there.rows).numpy()
#    print(f"{mutual.mean():.0%}: {there.value[mutual].mean():.2f}, the others {there.value[~mutual].mean():.2f}")
#    assert there.value[mutual].mean() > there.value[~mutual].mean()
#    ```
#
#    They are. Where a choice is not mutual, the partner has a better match: several latents of A can name the same latent of B.
#    </details>
#
# <a id="limits"></a>
# ## 5 Limits
# - The two models are small and were trained for two thousand steps; the paper's saw a hundred billion tokens. Models that know more might agree more.
# - Both models, and all dictionaries, were trained on the same files. What they have in common may be a property of these files.
# - A correlation finds partners that are alike one to one. A latent that is split into several in the other dictionary counts as hardly universal.
# - "More universal" is said of the median. Neurons, with one value for the pair of models, have fewer very unlike partners than latents have.
# - What agrees within pairs of tokens may still follow from the last three tokens. Pairs that stand only once in this text say nothing, so rare pairs are
#   not judged.
# - That logit weights differ is measured, and why is not. From correlations of logit weights only the mean of all latents was subtracted: what half of
#   them share, say, is still there.
# - All five dictionaries of model A are compared with one dictionary of one model B. The spread of the seeds does not contain another model.
#
# <a id="checked"></a>
# ## 6 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
