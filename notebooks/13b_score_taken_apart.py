# %% [markdown]
# # 13b. What the ablation score measures
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/13b_score_taken_apart.ipynb)
#
# **Pages** [← 13. Is the effect of one latent sparse?](13_ablation_sparsity.ipynb) · [Start here](00_start_here.ipynb) · [14. One latent, taken apart →](14_anatomy_of_a_feature.ipynb)
#
# [Page 13](13_ablation_sparsity.ipynb) removed one latent of a sparse autoencoder (SAE) at a time and scored how sparse the change of the
# logits is. The paper reports 10 to 14 % for latents and 60 % for channels of the residual stream. A public attempt to reproduce it found 19 to 25 %
# and 25 %. On this page you find out which of these numbers can be had, and by what. You test an explanation: most of the score is set by one number that
# has nothing to do with the vocabulary, namely how large the effect at later tokens is, relative to that at the token itself.
#
# **You will** remove the same latent in three ways · derive the score from that one number, and place layers and directions on the curve ·
# see what changes with the number of latents and of active latents · make the mistakes of the public attempt, and mend them one at a time.
#
# **Needs** [page 13](13_ablation_sparsity.ipynb): the score and its two factors. **Takes** three to six minutes at `laptop` on two cores, seconds
# once it has run ([start here](00_start_here.ipynb#profiles) has the other profiles).
#
# **Paper** Gao et al. 2024, *Scaling and evaluating sparse autoencoders*, [section 4.5](https://arxiv.org/abs/2406.04093).
#
# **On this page** [1 One latent, removed in three ways](#variants) · [2 What has to be computed again](#again) · [3 The score from one number](#closed-form) · [4 Layers and directions on the curve](#measure) · [5 One position and sixteen](#one-and-many) · [6 More latents, and more of them active](#sizes) · [7 A public attempt, mistake by mistake](#attempt) · [8 Your turn](#your-turn) · [9 Limits](#limits) · [10 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from companion import claims, dictionaries, memo, run
from companion.evals import ablation, precision, statistics, suffix
from companion.lm.sources import HubConfig
from companion.lm.training import TINY
from companion.plots import ablation as plots
from companion.plots import widgets
from companion.sae.models import normalise
from companion.sae.recipe import TrainConfig

claims.opening("13b_score_taken_apart")

# %% [markdown]
# The parameters, one entry per profile. Every setting has several SAEs, which differ in their random seed. They are smaller and trained for a shorter
# time than those of page 13, because there are many of them.


# %%
Published = dictionaries.PublishedConfig
Dictionary = dictionaries.DictionaryConfig | Published


@dataclass(frozen=True)
class Texts:
    contexts: int  # texts per SAE, one ablated position in each
    length: int  # tokens of a text
    span: int  # T: positions over which the effect is measured
    channels: int  # channels, and as many principal components, removed per text


@dataclass(frozen=True)
class Group:
    saes: tuple[Dictionary, ...]  # alike but for the seed
    texts: Texts
    brief: bool = False  # only variant A of latents and random directions


@dataclass(frozen=True)
class Config:
    layers: tuple[tuple[Dictionary, ...], ...]  # per layer several SAEs; the rest is at the last
    sizes: tuple[tuple[str, tuple[Dictionary, ...]], ...]  # other SAEs there, by name
    texts: Texts

    def groups(self) -> list[Group]:
        brief = [Group(saes, self.texts, brief=True) for _, saes in self.sizes]
        return [Group(saes, self.texts) for saes in self.layers] + brief


# %% tags=["parameters"]
def trained(base, seeds, **own):
    return tuple(dictionaries.variant(base, seed=seed, **own) for seed in range(seeds))


quick_recipe = TrainConfig(n=128, k=4, steps=60, batch=512, lr=3e-3)
tiny = dictionaries.DictionaryConfig(TINY, quick_recipe, layer=0, contexts=600)
shipped = dictionaries.offline_subject("python-stdlib-4l")
recipe = TrainConfig(n=512, k=16, steps=200, batch=1024, dead_after_tokens=20_000)
small = [dictionaries.DictionaryConfig(shipped, recipe, layer=layer, contexts=1600) for layer in (0, 1, 2)]
others = [(512, 4, 5), (512, 16, 5), (512, 64, 5), (128, 16, 3), (1024, 16, 3)]  # n, k, seeds
gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
wide = TrainConfig(n=2**15, k=32, steps=20_000, batch=8192)
at_gpt2 = dict(subject=gpt2, train=wide, contexts=48_000, heldout=2048)
large = [dictionaries.DictionaryConfig(layer=layer, **at_gpt2) for layer in (4, 8)]
openai = {layer: [Published(gpt2, f"v5_{n}", layer) for n in ("32k", "128k")] for layer in (4, 8)}
there = {"OpenAI, 32k": openai[8][0], "OpenAI, 128k": openai[8][1]}
there["ReLU, after block 7"] = Published(gpt2, "gpt2-small-res-jb", layer=7)
cfg = run.choose(
    quick=Config(
        layers=(trained(tiny, 2),),
        sizes=tuple((f"n = 128, k = {k}", trained(tiny, 2, k=k)) for k in (2, 4)),
        texts=Texts(contexts=6, length=32, span=8, channels=4),
    ),
    laptop=Config(
        layers=tuple(trained(base, 5) for base in small),
        sizes=tuple((f"n = {n}, k = {k}", trained(small[-1], seeds, n=n, k=k)) for n, k, seeds in others),
        texts=Texts(contexts=16, length=64, span=16, channels=8),
    ),
    published=Config(
        layers=tuple(map(tuple, openai.values())),
        sizes=tuple((name, (sae,) * 2) for name, sae in there.items()),
        texts=Texts(contexts=24, length=64, span=16, channels=16),
    ),
    paper=Config(
        layers=tuple(trained(base, 1) for base in large),
        sizes=tuple((f"n = {2**15:,}, k = {k}", trained(large[-1], 1, k=k)) for k in (8, 32, 128)),
        texts=Texts(contexts=128, length=64, span=16, channels=32),
    ),
)  # fmt: skip
page = claims.Page("13b_score_taken_apart", cfg)

# %% [markdown]
# <a id="variants"></a>
# ## 1 One latent, removed in three ways
# Take a held-out text, a position $t$ in it, and a latent that is active there. In the stream's units its contribution at $t$ is a vector $c_t$
# ([page 13](13_ablation_sparsity.ipynb#one)). The paper says that $c_t$ is subtracted. It does not say where:
#
# - **A**: at position $t$ alone.
# - **B1**: the same vector $c_t$ at every position from $t$ on.
# - **B2**: at every position from $t$ on, what the latent contributes at that position, which is nothing where it is not active.
#
# For a channel, one of the $d$ entries of the stream, B1 subtracts the entry's value at $t$ from this entry at every position from $t$ on; B2 sets the
# entry to zero there.
#
# We begin with one text. `contributions` holds a table for each latent that is active at $t$: what the latent adds to the stream, at every position from
# $t$ on. (In this first look $t$ and the number of positions $T$ are the same number.)

# %%
site = cfg.layers[-1][0]
subject, texts, _, _ = dictionaries.heldout(site)
T = t = cfg.texts.span
texts = texts[:, : cfg.texts.length]
sae = dictionaries.dictionary(site)
stream = subject.residual(texts[:1], site.layer)[0]  # (length, d)
contributions = ablation.latent_removals(sae, stream, t, persist=True)  # (latents, length, d)


def without(vectors, places):
    changed = stream.clone()
    changed[places] -= vectors
    return changed


c = contributions[0]  # one latent: (length, d)
onward = slice(t, None)
streams = {"A": without(c[t], t), "B1": without(c[t], onward), "B2": without(c[onward], onward)}

# %% [markdown]
# Each changed stream goes through the blocks above, and the change of the logits is scored, as on page 13. $T = 1$ asks about position $t$ alone,
# where all three variants do the same, so the first column must be one number. $T$ positions ask how far the change goes on.

# %%
untouched = subject.logits_from(stream[None], site.layer)[0]  # (length, V)
for name, changed in streams.items():
    v = (subject.logits_from(changed[None], site.layer)[0] - untouched)[t : t + T]  # (T, V)
    found = ablation.sparsity(v[None])
    print(f"{name:3} score on 1 position {found.first[0]:.1%}, on {T} positions {found.score[0]:.1%}")

# %% [markdown]
# The package makes the same three from `contributions`: its rows at $t$ alone, repeated, and as they are.

# %%
alone = torch.zeros_like(contributions)
alone[:, t] = contributions[:, t]
variants = {"A": alone, "B1": ablation.repeated(alone, t), "B2": contributions}
for name, removed in variants.items():
    assert torch.allclose(stream - removed[0], streams[name], atol=1e-5)

# %% [markdown]
# <a id="again"></a>
# ## 2 What has to be computed again
# A removal at $t$ changes nothing below its layer and nothing before $t$: no position reads a later one. So most of a forward pass would only repeat
# what is known. New are the blocks above, at positions $t$ to $t+T-1$. Their queries need the keys and values of earlier positions, which are
# those of the untouched text. In one attention head, with random queries, keys and values:


# %%
def attend(q, k, v, first):
    """Queries of positions first, first + 1, ... on the keys and values of all positions."""
    scores = q @ k.T / k.shape[1] ** 0.5  # (queries, positions)
    later = torch.arange(len(k)) > torch.arange(first, first + len(q))[:, None]
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1) @ v


q, k, v = torch.randn(3, 64, 16, generator=run.generator(0, "attention"))
assert torch.allclose(attend(q, k, v, 0)[40:], attend(q[40:], k, v, 40), atol=1e-6)

# %% [markdown]
# `suffix.logits` does this for a whole model, of any architecture that the package knows, with all ablations of a token as one batch. It must find what
# the blocks above find on all positions. (`tests/benchmarks/ablation.py` times it against one full forward pass per latent.)

# %%
changed = stream - variants["A"]  # (latents, length, d)
whole = subject.logits_from(changed, site.layer)  # (latents, length, V)
assert torch.allclose(whole[:, :t], untouched[:t].expand_as(whole[:, :t]), atol=1e-3)
window = suffix.logits(subject, stream, changed[:, t : t + T], site.layer, start=t)
assert torch.allclose(window, whole[:, t : t + T], atol=1e-3)

# %% [markdown]
# <a id="closed-form"></a>
# ## 3 The score from one number
# Suppose an effect has the score $s_1$ at position $t$ alone, and at each of the $T - 1$ later positions the same density over the vocabulary and $r$
# times the size. (This $r$ is another than the $r_t$ of page 13, whose square is a density.) Then the two factors of
# [page 13](13_ablation_sparsity.ipynb#score) can be written down. The vocabulary factor is $s_1$. The position factor is the effective share of
# positions, for effects of the sizes $1, r, \dots, r$:
#
# $$ s_T = s_1 \cdot \frac{\left(1 + (T-1)\,r\right)^2}{T \left(1 + (T-1)\,r^2\right)}. $$
#
# With $r = 0$ it is $s_1/T$, the smallest value; with $r = 1$ it is $s_1$. If later effects differ in size and $r$ is their mean, the score is lower,
# since the sum of squares in the denominator is larger. Gaussian effects, which have $s_1 = 2/\pi$, give:


# %%
def closed_form(first, r, T):
    return first * (1 + (T - 1) * r) ** 2 / (T * (1 + (T - 1) * r**2))


for r in (0.0, 0.05, 0.115, 0.2, 0.5, 1.0):
    print(f"r = {r:<5}: score on 16 positions {closed_form(2 / np.pi, r, 16):5.1%}")

# %% [markdown]
# Gaussian effects, which are not sparse over the vocabulary, can have all the scores in question: the paper's for latents (10 to 14 %) at $r$ around
# $0.05$, the attempt's for channels (25 %) at $0.115$, and the paper's for channels (60 %) at $0.5$. So the scores alone do not tell whether effects
# are sparse over the vocabulary. We test the formula on drawn effects.

# %%
drawn = torch.randn(16, 4096, generator=run.generator(0, "planted"))
for r in (0.05, 0.2, 0.5):
    planted = drawn * torch.tensor([1.0] + 15 * [r])[:, None]  # (T, V)
    measured_score = ablation.sparsity(planted[None]).score[0]
    assert abs(measured_score / closed_form(2 / np.pi, r, 16) - 1) < 0.03
assert closed_form(0.6, 0.1, T) == ablation.expected_score(0.6, 0.1, T)

# %% [markdown]
# <a id="measure"></a>
# ## 4 Layers and directions on the curve
# Now the measurement: in every text one position $t$, drawn between 1 and the last that leaves room for $T$ positions, and four sorts of things to
# remove. **Latents**: all that are active at $t$. **Random**: a random direction for each of them, at its length. **Channels**: some entries of the
# stream. **PCA**: principal components of the stream on held-out texts without position 0, evenly spaced by rank from the one with most variance to the
# one with least. Along a component, what is removed is how far the stream lies from its mean.


# %%
KINDS, VARIANTS = ("latents", "channels", "PCA", "random"), ("A", "B1", "B2")
FACTORS = ("score", "vocabulary", "position", "first")  # first: the score of position t alone


def components(held, count):
    """Mean of a stream, and `count` of its principal components: (d,), (count, d)."""
    flat = held[:, 1:].flatten(0, 1)
    directions = torch.linalg.eigh(torch.cov(flat.T)).eigenvectors.T.flip(0)  # (d, d), most variance first
    return flat.mean(dim=0), directions[torch.linspace(0, len(directions) - 1, count).long()]


def removals_of(sae, resid, t, basis, draw):
    """(kind, variant, what is subtracted): the latter (removals, length, d)."""
    latents = ablation.latent_removals(sae, resid, t, persist=True)
    centre, pca = basis
    eye = torch.eye(len(centre), device=resid.device)
    some = eye[torch.randperm(len(eye), generator=draw)[: len(pca)].to(resid.device)]
    onward = {
        "latents": latents,
        "channels": ablation.component_removals(resid, some, torch.zeros_like(centre), t, persist=True),
        "PCA": ablation.component_removals(resid, pca, centre, t, persist=True),
        "random": ablation.random_removals(latents, draw),
    }
    for kind, removed in onward.items():
        alone = torch.zeros_like(removed)
        alone[:, t] = removed[:, t]
        yield from ((kind, "A", alone), (kind, "B1", ablation.repeated(alone, t)), (kind, "B2", removed))


# %% [markdown]
# Of every ablation we keep the score, its factors, and the sizes $n_t$ at the $T$ positions. As on page 13, an ablation is dropped if its effect
# is less than a hundred times that of changing the last bits of the stream. All layers of a seed use the same texts and positions.


# %%
def places(wanted: Texts, seed, tokens):
    """Of one seed: the texts, and the position t in each."""
    draw = run.generator(seed, "texts and positions")
    for context in torch.randperm(len(tokens), generator=draw)[: wanted.contexts].tolist():
        yield context, int(torch.randint(1, wanted.length - wanted.span + 1, (1,), generator=draw))


def measure(group: Group) -> dict:
    wanted, found = group.texts, defaultdict(list)
    for seed, study in enumerate(group.saes):
        sub, tokens, held, _ = dictionaries.heldout(study)
        tokens, basis = tokens[:, : wanted.length], components(held[:, : wanted.length], wanted.channels)
        sae, draw = dictionaries.dictionary(study), run.generator(seed, "directions")
        for context, t in places(wanted, seed, tokens):
            resid = sub.residual(tokens[context][None], study.layer)[0]
            floor = ablation.rounding_floor(sub, resid, 4, study.layer, t, wanted.span)
            for kind, variant, removed in removals_of(sae, resid, t, basis, draw):
                if group.brief and (variant != "A" or kind in ("channels", "PCA")):
                    continue
                v = ablation.effects(sub, resid, removed, study.layer, t, wanted.span)
                v = v[v.flatten(1).norm(dim=1) > 100 * floor]
                where = [seed, context, KINDS.index(kind), VARIANTS.index(variant)]
                found["where"].append(torch.tensor([where]).expand(len(v), -1))
                found["parts"].append(torch.stack(ablation.sparsity(v), dim=1).cpu())
                found["sizes"].append((v - v.median(-1, keepdim=True).values).norm(dim=-1).cpu())
                found["dropped"].append(torch.tensor([[len(removed) - len(v), len(removed)]]))
    return {name: torch.cat(of) for name, of in found.items()}


each = [memo.memo(measure, group) for group in cfg.groups()]
measured = {name: np.concatenate([of[name].numpy() for of in each]) for name in each[0]}
group_of = np.repeat(np.arange(len(each)), [len(of["where"]) for of in each])
dropped, made = measured["dropped"].sum(axis=0)
print(f"{made:,} ablations, of which {dropped / made:.1%} are dropped")

# %% [markdown]
# A few helpers choose rows of these arrays. $r$ is the mean size at later positions over the size at $t$, per ablation. So $r$ and the score are computed
# from the same effects: $r$ takes the score apart and does not predict it from the model.

# %%
sizes = measured["sizes"]  # (ablations, T)
values = dict(zip(FACTORS, measured["parts"].T, strict=True))
values["r"] = sizes[:, 1:].mean(1) / sizes[:, 0]
values["expected"] = closed_form(values["first"], values["r"], T)
SITE, SEEDS = len(cfg.layers) - 1, range(len(cfg.layers[-1]))


def rows_of(group, kind, variant="A", seed=None):
    of_seed, _, of_kind, of_variant = measured["where"].T
    rows = (group_of == group) & (of_kind == KINDS.index(kind)) & (of_variant == VARIANTS.index(variant))
    return rows if seed is None else rows & (of_seed == seed)


def by_seed(name, group, kind, variant="A"):
    return np.array([values[name][rows_of(group, kind, variant, seed)].mean() for seed in SEEDS])


# %% [markdown]
# Each point of the next figure is a median over ablations of one sort, in one variant, at one layer. (A few ablations have a tiny effect at $t$ and so a
# huge $r$, which would spoil means over all variants. The cards below use means, of the score in any variant and of $r$ in variant A.) If the closed form
# is right and effects are dense over the vocabulary, points lie near the line, and somewhat below it, since later effects are not all of one size, nor
# all ablations of a point alike. If latents had effects on few tokens, they would lie far below the line, and below random directions of the same $r$.

# %%
layers = [f"after block {saes[0].layer}" for saes in cfg.layers]


def point(kind, variant, group):
    rows = rows_of(group, kind, variant)
    return plots.Point(kind, variant, group, *(np.median(values[name][rows]) for name in ("r", "score")))


points = [point(*of) for of in product(KINDS, VARIANTS, range(len(layers)))]
reaches = np.geomspace(0.01, 8, 200)
paper_means = {"the paper's latents, 10 to 14 %": 0.12, "the paper's channels": 0.60}
figure = plots.against_reach((reaches, closed_form(2 / np.pi, reaches, T)), points, layers, paper_means, T)
page.save_figure(
    figure,
    "against_reach",
    {f"{p.removed} {p.variant} {layers[p.site]}": [p.r, p.score] for p in points},
    "Look at how near the points lie to the black line, which depends on r alone: how large the effect is at "
    "later positions, relative to that at t. Colour: what is removed. Circles: at t only (A); squares: the "
    "same vector at all later positions too (B1); triangles: what is there at each later position (B2). The "
    "later the layer, the larger the marker. Orange-red lines: the paper's means, of which it does not say "
    f"the variant. T = {T}; medians over the ablations of {len(SEEDS)} SAEs with {cfg.texts.contexts} texts "
    "each. Not in the paper.",
)

# %% [markdown]
# Page 13 left a question open: in which variant do channels reach the paper's 60 %? Look for the upper orange-red line, and whether channels are the only
# kind near it. Then look for the kinds and layers near the lower line, the paper's latents. We check what the picture suggests one part at a time.
#
# First the closed form, for latents in variant A: the mean score over the mean of the formula with each ablation's own $s_1$ and $r$. Later effects of equal
# sizes and of the density at $t$ would give 1, and unequal sizes less. The control is variant B2, in which effects come and go with the latent, so that
# one number cannot describe them.


# %%
def over_layers(name, kind, variant="A"):
    return np.mean([by_seed(name, group, kind, variant) for group in range(len(layers))], axis=0)


def over_expected(variant):
    return over_layers("score", "latents", variant) / over_layers("expected", "latents", variant)


page.check(
    "ablation.closed-form",
    over_expected("A"),
    control={"latents wherever they are active (B2)": over_expected("B2")},
)

# %% [markdown]
# Where this ratio is near 1, two numbers make most of the score: the density at position $t$, and $r$. Which of them decides what scores higher? If it is
# $r$, then ranking all kinds at all layers by $r$ (variant A) gives the ranking by score. Since the closed form rises with $r$, this must come out if
# densities are alike; it fails if they differ as much as $r$ does. The control is the ranking by the score of position $t$ alone.


# %%
def ranks(x):
    return np.argsort(np.argsort(x))


def rank_correlation(name, seed):
    of_each = list(product(range(len(layers)), KINDS))
    means = [[by_seed(of, group, kind)[seed] for group, kind in of_each] for of in ("score", name)]
    return np.corrcoef(*map(ranks, means))[0, 1]


correlations = {name: [rank_correlation(name, seed) for seed in SEEDS] for name in ("r", "first")}
page.check(
    "ablation.order-from-reach",
    correlations["r"],
    control={"the score at position t alone in the place of r": correlations["first"]},
)

# %% [markdown]
# Next the paper's 60 % for channels. A change that is made again at every position should have $r$ near 1, so we expect B1 to score nearly $2/\pi$, for
# any vector with dense effects.

# %%
page.check(
    "ablation.channels-at-60-same-vector",
    by_seed("score", SITE, "channels", "B1"),
    control={
        "channels at one position (A)": by_seed("score", SITE, "channels"),
        "channels set to zero at every later position (B2)": by_seed("score", SITE, "channels", "B2"),
    },
)
print(f"random directions in variant B1: {by_seed('score', SITE, 'random', 'B1').mean():.1%}")

# %% [markdown]
# Compare the card with the line below it, the score of random directions in the same variant. If both are alike, the number describes the variant,
# and not the channels. Whether the paper used this variant we do not know: that a variant gives its number is no evidence that it did.
#
# In the next picture you can look at any of the points: the median size of its effects at each position. Everything shown was computed above.


# %%
def one_point(removed, variant, layer):
    rows = rows_of(layers.index(layer), removed, variant)
    score, expected = (np.median(values[name][rows]) for name in ("score", "expected"))
    relative = np.median(sizes[rows] / sizes[rows][:, :1], axis=0)  # (T,)
    return plots.sizes(relative, score, expected, removed)


widgets.live(one_point, removed=KINDS, variant=VARIANTS, layer=tuple(layers[::-1]))

# %% [markdown]
# <a id="one-and-many"></a>
# ## 5 One position and sixteen
# The score of position $t$ alone ($T = 1$) does not depend on later positions: it measures density over the vocabulary and nothing else. Here it stands
# beside the score on $T$ positions, for variant A, with 95 % intervals from a bootstrap over texts.


# %%
def interval(name, rows):
    """Mean over texts of the mean of a text's ablations, and its interval over texts."""
    of = measured["where"][rows][:, :2]  # seed and text
    means = [values[name][rows][(of == text).all(axis=1)].mean() for text in np.unique(of, axis=0)]
    return statistics.mean_interval(means, run.generator(0, "intervals"))


def intervals(name, chosen):
    return {row: tuple(interval(name, rows)) for row, rows in chosen.items()}


ONE, MANY = "score on 1 position", f"score on {T} positions"
everything = {f"{layers[at]}: {kind}": rows_of(at, kind) for at in range(len(layers)) for kind in KINDS}
by_layer = {title: intervals(of, everything) for title, of in ((ONE, "first"), (MANY, "score"), ("r", "r"))}
page.save_figure(
    plots.rows(by_layer, {ONE: 2 / np.pi}),
    "one_and_many",
    by_layer,
    "Compare the columns: do rows that differ in the middle (score on "
    f"{T} positions) also differ on the left (one position; dotted: 2/π, the score of Gaussian effects), "
    "or on the right (r)? A row per layer and kind of removal, colours as above. Variant A; means and 95 % "
    f"intervals over {len(SEEDS) * cfg.texts.contexts} texts. The paper has one number for latents and one "
    "for channels.",
)

# %% [markdown]
# The next card asks whether latents score *higher* than random directions on $T$ positions, which a reader of the paper would take for less sparse,
# and whether the vocabulary has a part in it: the control is the same ratio on position $t$ alone.


# %%
def latents_over_random(name):
    return over_layers(name, "latents") / over_layers(name, "random")


page.check(
    "ablation.latents-above-random-at-16",
    latents_over_random("score"),
    control={"the same on position t alone": latents_over_random("first")},
)

# %% [markdown]
# If the control is near 1, the difference is not one of the vocabulary: effects of latents are larger at later tokens. That need not be special to
# latents, since random directions may lie mostly where the stream varies little. The figure has principal components beside them, and page 13
# compares latents with [directions of the stream](13_ablation_sparsity.ipynb#directions).
#
# The layer may matter in the same way. After the last block nothing could carry an effect to a later token (exercise 3). So we expect the score to fall
# from the first layer to the last, but neither on position $t$ alone nor in variant B1, where the vector is subtracted at every later position and need
# not be carried there.


# %%
def last_over_first(name, variant="A"):
    return by_seed(name, SITE, "latents", variant) / by_seed(name, 0, "latents", variant)


page.check(
    "ablation.falls-with-layer",
    last_over_first("score"),
    control={
        "the same on position t alone": last_over_first("first"),
        "the same vector at all later positions (B1)": last_over_first("score", "B1"),
    },
)

# %% [markdown]
# If the score depends on the layer so, a score from one layer or model cannot be compared with that from another, unless $r$ is given with it.
# (Each layer has its own SAEs. That the number of blocks above is the cause is our reading; three layers of one model do not prove it.)
#
# <a id="sizes"></a>
# ## 6 More latents, and more of them active
# The paper says that effects get sparser with larger $k$, the number of active latents, until $k$ comes close to $d$. We train SAEs of other $k$ and
# $n$ at the same layer, and remove their latents and random directions of the same lengths, in variant A. At `laptop` the largest $k$ is half of $d$, which may
# already be close to it.

# %%
groups = {name: len(layers) + at for at, (name, _) in enumerate(cfg.sizes)}
of_sizes = {f"{name}: {kind}": rows_of(at, kind) for name, at in groups.items() for kind in KINDS[::3]}
counts = [len(saes) for _, saes in cfg.sizes]
by_size = {title: intervals(name, of_sizes) for title, name in ((ONE, "first"), (MANY, "score"))}
page.save_figure(
    plots.rows(by_size, {ONE: 2 / np.pi}),
    "sizes",
    by_size,
    "Compare rows of one colour: blue, latents; grey, random directions at their lengths. Dotted: 2/π. "
    f"Variant A, {layers[-1]}, {min(counts)} to {max(counts)} SAEs of each size, {cfg.texts.contexts} texts "
    "each; means and 95 % intervals over texts. The paper says that larger k is sparser.",
)

# %% [markdown]
# The card compares the SAEs with the most and with the fewest active latents. The positive example is a comparison in which the score falls, that of
# layers in section 5. The control is random directions at the lengths of the same latents: if they give the same ratio, it is the length that
# matters.


# %%
def active_latents(group):
    """Mean number of them over the texts."""
    of = measured["where"][rows_of(group, "latents")][:, :2]
    return len(of) / len(np.unique(of, axis=0))


few, many = (choose(groups.values(), key=active_latents) for choose in (min, max))
print(f"latents active at t, on average: {active_latents(few):.1f} and {active_latents(many):.1f}")
many_over_few = {kind: by_seed("score", many, kind) / by_seed("score", few, kind) for kind in KINDS[::3]}
page.check(
    "ablation.larger-k-sparser",
    many_over_few["latents"],
    control={"random directions at the lengths of the same latents": many_over_few["random"]},
    witness=last_over_first("score"),
)

# %% [markdown]
# A ratio below 1 has the paper's sign; the claim asks for a tenth. Then look at the figure's left column. If the latents of large $k$ do not score
# lower on one position, they are not sparser over the vocabulary, and a lower score on $T$ positions comes from smaller effects at later tokens. The
# rows of other $n$ at one $k$ show whether the number of latents matters.
#
# <a id="attempt"></a>
# ## 7 A public attempt, mistake by mistake
# The attempt in lukaemon/mission-sae measured 19.3 % for a published SAE of GPT-2 on 64 texts in float32, and later 25.3 % for the same SAE on eight texts,
# with the GPU multiplying in TF32. Its code, read line by line, and its last run have four mistakes:
#
# 1. **Position 0.** The latent is removed at the first token of every text. In GPT-2 this token's stream is some thirty times as long as any other, and
#    all later tokens attend to it.
# 2. **No standard deviation.** The SAE sees the stream divided by its standard deviation $\sigma_t$. The attempt subtracts $z_i d_i$ instead of $\sigma_t z_i
#    d_i$, at position 0 about a hundredth of the latent: a nudge.
# 3. **TF32.** Inputs of matrix products are rounded to 10 bits behind the binary point, instead of float32's 23.
# 4. **Eight texts**, and no interval.
#
# Our small model has no such first token: at position 0 its $\sigma$ is like that anywhere else. So this one thing we **plant**: where a row below says
# *planted*, the stream at position 0 was multiplied so that its $\sigma$ is 108, about that of GPT-2. TF32 is emulated by rounding the inputs of matrix
# products, which needs no GPU. Rounding to 10 bits behind the binary point, for a number that begins with a 1 before it, keeps 11 binary digits:


# %%
def to_ten_bits(x):
    mantissa, exponent = torch.frexp(x)  # x = mantissa * 2^exponent, 1/2 <= |mantissa| < 1
    return torch.ldexp(torch.round(mantissa * 2**11) / 2**11, exponent)


some = torch.randn(1000, generator=run.generator(0, "bits"))
assert torch.equal(to_ten_bits(some), precision.rounded(some))
assert ((to_ten_bits(some) / some - 1).abs() <= 2**-11).all()

# %% [markdown]
# `precision.tensor_float_32` does this to the inputs of every matrix product. Each row below is a place, whether the removed vector is multiplied by
# $\sigma$, and whether products are in TF32. The rows begin with the attempt and mend one mistake after the other; then each single mistake is made
# where all else is right; the last two rows are the controls of the check on rounding.

# %%
STEPS = {  # name: (place, sigma is there, TF32)
    "the attempt (planted)": ("planted", False, True),
    "mended: float32 (planted)": ("planted", False, False),
    "mended: float32, σ (planted)": ("planted", True, False),
    "mended: float32, σ, mid-text": ("middle", True, False),
    "only: position 0": ("first", True, False),
    "only: no σ": ("middle", False, False),
    "only: TF32": ("middle", True, True),
    "TF32 and no σ, mid-text": ("middle", False, True),
    "TF32 at position 0, σ (planted)": ("planted", True, True),
}
MASSIVE = 108.0  # standard deviation of the stream at position 0 of GPT-2


def ablated_with(sub, sae, resid, t, layer, span, step):
    place, with_sigma, tf32 = step
    resid, at = resid.clone(), t if place == "middle" else 0
    if place == "planted":
        resid[0] *= MASSIVE / normalise(resid).std[0]
    removed = ablation.latent_removals(sae, resid, at, persist=False)
    removed = removed if with_sigma else removed / normalise(resid).std[at]
    with precision.tensor_float_32() if tf32 else nullcontext():
        return ablation.effects(sub, resid, removed, layer, at, span)


# %% [markdown]
# Every row is measured on the same texts. Rows of the same place remove the same latents: those active at position 0, or at a drawn position $t$. No ablation
# is dropped here for being as small as rounding, since this is what we want to see.


# %%
def attempt(group: Group) -> dict:
    wanted, found, layer = group.texts, defaultdict(list), group.saes[0].layer
    sub, tokens, _, _ = dictionaries.heldout(group.saes[0])
    tokens = tokens[:, : wanted.length]
    for seed, study in enumerate(group.saes):
        sae = dictionaries.dictionary(study)
        for context, t in places(wanted, seed, tokens):
            resid = sub.residual(tokens[context][None], layer)[0]
            for step, settings in enumerate(STEPS.values()):
                v = ablated_with(sub, sae, resid, t, layer, wanted.span, settings)
                size = (v[:, 0] - v[:, 0].median(-1, keepdim=True).values).norm(dim=-1)
                means = [part.mean().cpu() for part in (*ablation.sparsity(v), size)]
                found["where"].append(torch.tensor([seed, context, step]))
                found["means"].append(torch.stack(means))  # over the latents of a text
    return {name: torch.stack(of) for name, of in found.items()}


tried = {name: tensor.numpy() for name, tensor in memo.memo(attempt, cfg.groups()[SITE]).items()}

# %% [markdown]
# What do we expect? If only $\sigma$ is missing, the score should stay, since it does not depend on the size of a small effect. If only TF32 is on,
# the score should stay too, since the effect of a whole latent is far above the rounding. With both, at a position where $\sigma$ is large, the nudge
# may be as small as the rounding, and the score would be that of rounding. The first and the last row have eight texts, as the attempt had; all
# others have all texts.

# %%
COLUMNS = (*FACTORS, "size")


def texts_of(name, column, seed=None):
    """Of one row of the table above: a value per text."""
    rows = (tried["where"][:, 2] == list(STEPS).index(name)) & (seed is None or tried["where"][:, 0] == seed)
    return tried["means"][rows, COLUMNS.index(column)]


def with_interval(name, column, count=None):
    return tuple(statistics.mean_interval(texts_of(name, column)[:count], run.generator(0, "attempt")))


worst, right = "the attempt (planted)", "mended: float32, σ, mid-text"
EIGHT, RIGHT_8 = (f"{name}, 8 texts" for name in (worst, right))
by_step = {
    title: {EIGHT: with_interval(worst, column, 8)}
    | {name: with_interval(name, column) for name in STEPS}
    | {RIGHT_8: with_interval(right, column, 8)}
    for title, column in ((MANY, "score"), (ONE, "first"), ("size of the effect at t", "size"))
}
page.save_figure(
    plots.rows(by_step, marked=[EIGHT, worst]),
    "attempt",
    by_step,
    "Left, from the top: the attempt's mistakes together (purple; the first row with eight texts), then "
    "mended one at a time, down to mid-text, which has none left. Below, each mistake alone, and two "
    "controls. Look at the rows with TF32: where does the score on the left rise against the same row in "
    "float32, is the effect at t small there (right), and is the score of one position the same (middle)? "
    f"Latents, {layers[-1]}, {len(SEEDS)} SAEs; means and 95 % intervals over texts. σ = {MASSIVE:.0f} at "
    "position 0 is planted.",
)
difference = by_seed("score", SITE, "latents").mean() - by_seed("score", SITE, "channels").mean()
for name in (RIGHT_8, right):
    _, low, high = by_step[MANY][name]
    print(f"{name:38} interval {low:.1%} to {high:.1%}")
print(f"latents score higher than channels by {difference:.1%}")

# %% [markdown]
# How far do eight texts go? The last row has no mistake but that. Compare the width of its interval, printed above, with the difference between latents and
# channels: where the interval is wider, eight texts cannot tell the two apart. More texts make it narrower. Comparing both in the same texts, as page
# 13 does, helps more.
#
# ### Position 0
# Does position 0 matter without such an extreme stream? The latent is removed with its $\sigma$, in float32, at position 0 of our model as it is. The
# control is the score on one position, which should be the same in both places.


# %%
def ratio(above, below, column="score"):
    return [texts_of(above, column, seed).mean() / texts_of(below, column, seed).mean() for seed in SEEDS]


page.check(
    "ablation.index-0",
    ratio("only: position 0", right),
    control={"the same on position t alone": ratio("only: position 0", right, "first")},
)

# %% [markdown]
# If the ratio is above 1 and the control is near 1, effects at position 0 are larger at later tokens, and a score from there stands for no other position. A
# plain reason may be enough: the window begins at the first token, so later tokens divide their attention among few others. This page does not test it.
#
# ### Rounding
# In the attempt the score rose by a third between the run in float32 and the one in TF32; the number of texts fell from 64 to eight at the same time.
# Here only the rounding is changed: the planted position is ablated without $\sigma$, in emulated TF32 and in float32. The controls leave out one
# condition each: with
# $\sigma$, or in the middle of the text, rounding should change nothing.

# %%
page.check(
    "ablation.rounding-as-reach",
    ratio(worst, "mended: float32 (planted)"),
    control={
        "with the std": ratio("TF32 at position 0, σ (planted)", "mended: float32, σ (planted)"),
        "mid-context, std forgotten": ratio("TF32 and no σ, mid-text", "only: no σ"),
    },
)
for name in (worst, "mended: float32 (planted)"):
    print(f"{name:28} position factor {texts_of(name, 'position').mean():.1%}")

# %% [markdown]
# Compare the two position factors. If the first is larger, rounding has effects at later positions that do not shrink with the nudge, and they look like an
# effect of the latent that reaches far. In the middle of the text, look at the row *only: no σ*: if its score is that of the row with all mistakes mended,
# forgetting $\sigma$ there changes the size of the effect (right column) and not the score, so the score cannot show the mistake. Before believing a score,
# look at the size of the effect, and at the effect of a change as small as the last bits of the stream.
#
# <a id="your-turn"></a>
# ## 8 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* Which $r$ does a Gaussian effect need for a score of 60 % on $T$ positions? And on four times as many? Use the closed form.
#    <details><summary>Hint</summary>Evaluate `closed_form` on a grid of r between 0 and 1 and take the first that reaches 0.6.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    grid = np.linspace(0, 1, 1001)
#    needed = [grid[np.argmax(closed_form(2 / np.pi, grid, length) >= 0.6)] for length in (T, 4 * T)]
#    print(f"r = {needed[0]:.2f} on {T} positions, {needed[1]:.2f} on {4 * T}")
#    assert 0.3 < needed[1] < needed[0] < 0.7
#    ```
#
#    About a half: an effect at one position would have to be half as large at every later one. Over more positions a little less is enough.
#    </details>
# 2. *(5 minutes)* The window $T$ is a choice. How does the score of the latents of section 1, removed at $t$ alone, change with it?
#    <details><summary>Hint</summary>`ablation.effects` on `variants["A"]` with $T$ positions holds all shorter windows: cut its second axis.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    v = ablation.effects(subject, stream, variants["A"], site.layer, t, T)
#    windows = [ablation.sparsity(v[:, :length]).score.mean().item() for length in (1, 2, 4, T)]
#    print([f"{score:.1%}" for score in windows])
#    assert windows[0] > windows[1] > windows[2] > windows[3]
#    ```
#
#    The score falls as the window grows: each added position has smaller effects than position $t$. Scores with different windows cannot be compared.
#    </details>
# 3. *(5 minutes)* Remove something after the **last** block. What are $r$ and the score, before you run it?
#    <details><summary>Hint</summary>No block is left that could carry the change to a later token. `len(subject.blocks) - 1` is that layer; any vectors at
#    position t will do.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    last = len(subject.blocks) - 1
#    end = subject.residual(texts[:1], last)[0]
#    nudges = torch.zeros(4, *end.shape, device=end.device)
#    nudges[:, t] = torch.randn(4, end.shape[1], generator=run.generator(0, "nudges")).to(end)
#    found = ablation.sparsity(ablation.effects(subject, end, nudges, last, t, T))
#    assert torch.allclose(found.position, torch.full((4,), 1 / T).to(end), rtol=1e-3)
#    assert torch.allclose(found.score, found.first / T, rtol=1e-3)
#    ```
#
#    $r = 0$ and the score is that of position $t$ over $T$: at 16 positions about 4 %. This is below the paper's score for latents, and what was removed
#    is random.
#    </details>
# 4. *(5 minutes)* Remove random directions instead of latents in variant B1. Do they score like channels?
#    <details><summary>Hint</summary>`ablation.random_removals(variants["A"], generator)`, then `ablation.repeated`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    random = ablation.random_removals(variants["A"], run.generator(0, "exercise"))
#    once, everywhere = (
#        ablation.sparsity(ablation.effects(subject, stream, removed, site.layer, t, T)).score.mean()
#        for removed in (random, ablation.repeated(random, t))
#    )
#    print(f"at t only {once:.1%}, everywhere {everywhere:.1%}")
#    assert everywhere > 1.5 * once
#    ```
#
#    Compare with the channels in variant B1 (section 4). In this variant the score depends on where something is subtracted, and hardly on what.
#    </details>
#
# <a id="limits"></a>
# ## 9 Limits
# - One small language model of Python code, with SAEs that were trained for a short time (five seeds, three where only $n$ is another). The closed form
#   is arithmetic and holds for any model, as far as later effects are alike in size and density; the values of $r$ do not.
# - Which variant the paper used is not known. Nothing here shows that it used B1; this page shows which pairs of numbers the variants give.
# - $r$ was measured with the same effects as the score. So the claims on the closed form and on the order say how the score is made up. They do not say why
#   a latent has the $r$ that it has, nor was $r$ predicted from the model.
# - That latents score above random directions on $T$ positions does not show that a trained SAE is the reason. The claim does not compare latents with
#   principal components, which the figures show beside them. That the score falls with the layer was seen on three layers of one model.
# - The claims on the attempt show that its mistakes can raise a score. They do not show that they did: the attempt was not repeated, nor GPT-2 used. The
#   extreme stream of position 0 was planted by a factor, and TF32 emulated: sums stay in float32 and in another order than on a GPU, and attention's product
#   of weights and values is not rounded.
#
# <a id="checked"></a>
# ## 10 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
