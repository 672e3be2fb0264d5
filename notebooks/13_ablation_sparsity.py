# %% [markdown]
# # 13. Is the effect of one latent sparse?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/13_ablation_sparsity.ipynb)
#
# **Pages** [← 12. Explaining a latent with patterns of tokens](12_explainability_n2g.ipynb) · [Start here](00_start_here.ipynb) · [13b. What the ablation score measures →](13b_score_taken_apart.ipynb)
#
# A sparse autoencoder (SAE, also called a dictionary) writes each activation as a sum of a few latents. If a latent means one thing, removing it
# should change the model's guesses for few tokens and leave the rest alone. The paper measures this with one number per removal, its *score*.
# On this page you remove a latent by hand, compute the score, and find that it mixes two questions: at how many *tokens of the vocabulary* the
# guesses change, and at how many *positions of the text*.
#
# **You will** remove one latent and look at what changes · compute the score in three lines and test it on effects with a known answer · split it
# exactly into two factors · compare latents with single channels of the activation, random directions and an SAE that was never trained.
#
# **Needs** to know what an SAE and a latent are: [page 8](08_sae_training.ipynb#model) builds one, and [looks at its
# latents](08_sae_training.ipynb#latents). **Takes** three to five minutes at `laptop` on two cores, seconds once it has run ([start
# here](00_start_here.ipynb#profiles) has the other profiles).
#
# **Paper** Gao et al. 2024, *Scaling and evaluating sparse autoencoders*, [section 4.5](https://arxiv.org/abs/2406.04093).
#
# **On this page** [1 Remove one latent by hand](#one) · [2 The score](#score) · [3 What else is removed](#removed) · [4 The score and its factors](#factors) · [5 Latents against other directions](#directions) · [6 The paper's sentence](#paper) · [7 All evaluations side by side](#report) · [8 Your turn](#your-turn) · [9 Limits](#limits) · [10 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from IPython.display import Markdown
from torch.nn.functional import normalize
from transformers import AutoTokenizer

from companion import claims, dictionaries, memo, run
from companion.evals import ablation, report, statistics
from companion.evals.setting import Sizes
from companion.lm.sources import HubConfig
from companion.lm.training import TINY
from companion.plots import bars, widgets
from companion.plots import sae as plots
from companion.sae.models import normalise
from companion.sae.recipe import TrainConfig

claims.opening("13_ablation_sparsity")

# %% [markdown]
# The parameters, one line per profile. At `laptop` the language model is a GPT-2 with four layers that ships with this package; at `paper` it
# is GPT-2 small.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    saes: tuple[dictionaries.DictionaryConfig | dictionaries.PublishedConfig, ...]  # one per random seed
    described: str  # their size
    contexts: int  # contexts per SAE, one ablated position in each
    length: int  # tokens of a context
    span: int  # T: positions over which the effect is measured
    channels: int  # residual channels removed per context
    report: Sizes  # how much the comparison at the end measures
    reported: int = 3  # SAEs compared there, at most


KEEP = ("averaged", "untrained")


def seeds(base, count):
    return tuple(dictionaries.variant(base, seed=seed) for seed in range(count))


shipped = dictionaries.offline_subject("python-stdlib-4l")
quick_recipe = TrainConfig(n=128, k=4, steps=100, batch=512, lr=3e-3)
tiny = dictionaries.DictionaryConfig(TINY, quick_recipe, layer=0, contexts=1000, keep=KEEP)
recipe = TrainConfig(n=2048, k=16, steps=300, batch=2048, dead_after_tokens=50_000)
small = dictionaries.DictionaryConfig(shipped, recipe, contexts=4000, keep=KEEP)
gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
wide = TrainConfig(n=2**15, k=32, steps=20_000, batch=8192)
large = dictionaries.DictionaryConfig(gpt2, wide, layer=8, contexts=48_000, heldout=2048, keep=KEEP)
released = (("v5_32k", 8), ("v5_128k", 8), ("gpt2-small-res-jb", 7))
theirs = tuple(dictionaries.PublishedConfig(gpt2, *of) for of in released)
SIZES = dict(length=64, span=16)
few = Sizes(contexts=8, labelled=60, examples=40, latents=4, ablated=4, span=8)
some = Sizes(contexts=96, labelled=400, examples=250, latents=40, ablated=24)
cfg = run.choose(
    quick=Config(seeds(tiny, 2), "n = 128, k = 4", contexts=8, length=32, span=8, channels=8, report=few),
    laptop=Config(seeds(small, 5), "n = 2,048, k = 16", contexts=64, channels=16, report=some, **SIZES),
    published=Config(theirs, "two by OpenAI, one ReLU", contexts=32, channels=64, report=Sizes(), **SIZES),
    paper=Config(seeds(large, 1), "n = 32,768, k = 32", contexts=256, channels=64, report=Sizes(), **SIZES),
)
page = claims.Page("13_ablation_sparsity", cfg)
cfg

# %% [markdown]
# <a id="one"></a>
# ## 1 Remove one latent by hand
# Take a held-out text and a position $t$ inside it. The *residual stream* $h_t$ is the vector that the blocks of the model hand on for this
# token. The SAE ([page 8](08_sae_training.ipynb#model)) sees it brought to mean 0 and standard deviation 1, and finds amounts $z_i$ of a few
# latents, each with a direction $d_i$ (row $i$ of `W_dec`).

# %%
site = cfg.saes[0]
subject, texts, _, _ = dictionaries.heldout(site)
texts, t = texts[:, : cfg.length], cfg.span
sae = dictionaries.dictionary(site)
stream = subject.residual(texts[:1], site.layer)[0]  # (length, d)
inputs = normalise(stream)  # x, mean and standard deviation of each position
code = sae.encode(stream)  # per position: which latents (indices) and how much of each (values)
active = code.indices[t][code.values[t] > 0]  # the latents of position t

tokenizer = AutoTokenizer.from_pretrained(subject.folder)
print("...", tokenizer.decode(texts[0, max(0, t - 12) : t + 1].tolist()))
print(f"{len(active)} latents are active at the last token shown")

# %% [markdown]
# In the units of the stream latent $i$ contributes $\sigma_t z_i d_i$, where $\sigma_t$ is the standard deviation that was divided out. (It is easy
# to forget this factor; exercise 3 does so.) To *ablate* the latent is to subtract this vector, run the blocks above, and compare the logits (the
# numbers from which the probabilities of the next token are made) with those of the untouched stream.


# %%
@torch.no_grad()
def logits_from(h):
    for layer in range(site.layer + 1, len(subject.blocks)):  # the blocks above
        h = subject.block(h, layer)
    return subject.unembed(h)  # the last norm and the unembedding: (batch, length, vocabulary)


strongest = active[code.values[t][code.values[t] > 0].argmax()]
amount = code.values[t][code.indices[t] == strongest]
without = stream.clone()
without[t] -= inputs.std[t] * amount * sae.W_dec[strongest]
untouched, ablated = logits_from(torch.stack([stream, without]))
v = (ablated - untouched)[t : t + cfg.span]  # (T, V)

# %% [markdown]
# The contributions of all active latents and the SAE's constant part must add up to its reconstruction. And the package's fast form, which removes
# each active latent in turn, all in one batch, must find the same change.

# %%
removed = ablation.latent_removals(sae, stream, t=t, persist=False)  # at t only; (latents, length, d)
constant = inputs.mean[t] + sae.b_pre * inputs.std[t]
assert torch.allclose(removed.sum(0)[t] + constant, sae.decode(sae.encode(stream), stream)[t], atol=1e-3)
effects = ablation.effects(subject, stream, removed, site.layer, t, cfg.span)  # (latents, T, V)
assert torch.allclose(effects[(active == strongest).nonzero().item()], v, atol=1e-3)

# %% [markdown]
# Which guesses for the next token change most? If the effect is sparse, a few tokens change and the median change is near zero. We print both
# ends, and the size of a typical change.


# %%
def words(indices):
    return [tokenizer.decode([index]) for index in indices.tolist()]


change = v[0]  # (V,): at position t itself
print("fell:", words(change.argsort()[:6]), "rose:", words(change.argsort()[-6:]))
print(f"largest fall {change.min():.2f}, rise {change.max():.2f}; typical change {change.abs().median():.2f}")

# %% [markdown]
# The typical change is well above zero: many tokens move, not only those printed. The score turns this into a number.
#
# <a id="score"></a>
# ## 2 The score
# Changes of the logits at positions $t, \dots, t+T-1$ are a table $v$ of $T$ positions and $V$ tokens. A constant added to all logits of a
# position changes no probability, so the median over the vocabulary is taken off first. The score is
#
# $$ s(v) = \frac{1}{TV}\left(\frac{\lVert v \rVert_1}{\lVert v \rVert_2}\right)^2 \in \left[\tfrac{1}{TV},\, 1\right], $$
#
# the effective share of (position, token) pairs that change. Two examples for the formula itself, in which $v$ is the table after the median is taken
# off: if one entry differs from zero, both norms are equal and $s = 1/TV$; if all entries have the same size $a$, then
# $\lVert v \rVert_1 = TVa$, $\lVert v \rVert_2 = \sqrt{TV}\,a$, and $s = 1$.


# %%
def l1_over_l2(v):
    return (v.abs().sum() / v.norm()) ** 2 / v.numel()


def score(v):  # (T, V)
    return l1_over_l2(v - v.median(dim=-1, keepdim=True).values)


one_hot = torch.zeros(cfg.span, 4096)
one_hot[0, 7] = 1.0
assert torch.isclose(score(one_hot), torch.tensor(1 / one_hot.numel()))
assert torch.isclose(l1_over_l2(torch.full((cfg.span, 4096), 0.5)), torch.tensor(1.0))
assert torch.isclose(score(v), ablation.sparsity(v[None]).score[0], rtol=1e-3)  # sums of T V float32
print(f"the latent removed above scores {score(v):.1%}")

# %% [markdown]
# Real effects lie between. Independent Gaussian changes, which nobody would call sparse, score $2/\pi$, about 64 %; Laplace ones, with heavier
# tails, $1/2$. But a Gaussian effect at position $t$ alone, with no change at later positions, scores only $2/(\pi T)$. That is below the paper's
# value for latents (10 to 14 %), although the effect is as dense over the vocabulary as before. Neither the scale of $v$ nor a constant added
# at a position matters.

# %%
gaussian = torch.randn(cfg.span, 4096, generator=run.generator(0, "gaussian"))
stays = gaussian * (torch.arange(cfg.span) == 0)[:, None]  # at position t only
uniform = torch.rand(cfg.span, 4096, generator=run.generator(0, "laplace")) * 0.999 + 5e-4
laplace = torch.distributions.Laplace(0.0, 1.0).icdf(uniform)
for planted, known in ((gaussian, 2 / np.pi), (laplace, 0.5), (stays, 2 / np.pi / cfg.span)):
    assert abs(score(planted) / known - 1) < 0.05
assert torch.isclose(score(3 * gaussian + torch.arange(cfg.span)[:, None]), score(gaussian), atol=1e-4)

# %% [markdown]
# ### Two factors
# So a small score can mean few tokens or few positions. Let $n_t = \lVert v_t \rVert_2$ be the size of the effect at position $t$, and
# $r_t^2$ with $r_t = \lVert v_t\rVert_1 / (n_t\sqrt V)$ its *density* over the vocabulary there, which is the score of that position alone. The
# score splits exactly:
#
# $$ s = \underbrace{\left(\frac{\sum_t n_t r_t}{\sum_t n_t}\right)^{2}}_{\text{vocabulary}} \cdot
# \underbrace{\frac{\left(\sum_t n_t\right)^2}{T \sum_t n_t^2}}_{\text{position}}. $$
#
# The first factor is an average density over the vocabulary. The second is the same score of the sizes $n_t$: the effective share of positions.

# %%
centred = v - v.median(dim=-1, keepdim=True).values
n = centred.norm(dim=-1)  # (T,)
r = centred.abs().sum(-1) / (n * centred.shape[1] ** 0.5)  # (T,)
vocabulary, position = ((n * r).sum() / n.sum()) ** 2, l1_over_l2(n)
found = ablation.sparsity(v[None])
assert torch.isclose(vocabulary, found.vocabulary[0])
assert torch.isclose(position, found.position[0])
assert torch.isclose(vocabulary * position, score(v), rtol=1e-3)
print(f"score {score(v):.1%} = vocabulary {vocabulary:.1%} x position {position:.1%}")

# %% [markdown]
# Look at other latents of the same token. In *variant A* a latent is removed at position $t$ only; in *variant B2* wherever it is active from $t$ on.
# (A third one, B1, subtracts the same vector at all later positions: [page 13b](13b_score_taken_apart.ipynb#variants).)
# On the left are the changes at position $t$ (blue) beside a Gaussian of the same spread (black), on the right the size of the change at each
# position, as a share of that at $t$. The menus choose between results that this cell has computed.

# %%
removed_onward = ablation.latent_removals(sae, stream, t, persist=True)
onward = ablation.effects(subject, stream, removed_onward, site.layer, t, cfg.span)
stored = {"A: at t only": effects.cpu(), "B2: from t on": onward.cpu()}
names = {f"latent {latent}": row for row, latent in enumerate(active.tolist())}


def one_latent(latent, variant):
    v = stored[variant][names[latent]]
    v = v - v.median(dim=-1, keepdim=True).values
    return plots.effect(v[0].numpy(), v.norm(dim=-1).numpy(), score(v).item(), words(v[0].argsort()[:4]))


widgets.live(one_latent, latent=tuple(names), variant=tuple(stored))

# %% [markdown]
# <a id="removed"></a>
# ## 3 What else is removed
# One number for latents says little without others to compare. All are measured at the same layer and positions. Each row of the table is one
# ablation at a time; *its length* is the length of the contribution of the latent that it stands in for.
#
# | name | what is subtracted |
# |---|---|
# | latents | the contribution of one latent, for every latent active at $t$ |
# | channels | the value of one of the $d$ entries of the stream, which sets this entry to zero |
# | random | a random direction, at its length; drawn a second time as *random again* |
# | stream | the difference of two held-out vectors of the stream, at its length: a direction along which the stream varies |
# | token | the row of one token of the text in the unembedding (the matrix that makes logits of the stream), at its length |
# | never trained | the contribution of one latent of an SAE before its training |
#
# The paper does not say whether a channel is removed at one position or at all later ones. Both variants are measured.


# %%
KINDS = ("latents", "channels", "random", "stream", "random again", "never trained", "token")
DRAWN = KINDS[:4]


def scaled(directions, like):
    """One direction per ablation, with the norm of `like` at every position."""
    return normalize(directions, dim=-1)[:, None] * like.norm(dim=-1, keepdim=True)


def removals_of(pair, resid, t, persist, config, draw, vectors, rows):
    """What each kind removes; variant B2 (`persist`) for latents, channels and random directions only."""
    latents = ablation.latent_removals(pair[0], resid, t, persist)
    channels = torch.randperm(resid.shape[1], generator=draw)[: config.channels].tolist()
    found = {"latents": latents, "channels": ablation.channel_removals(resid, channels, t, persist)}
    found["random"] = ablation.random_removals(latents, draw)
    if not persist:
        ends = vectors[torch.randint(len(vectors), (2, len(latents)), generator=draw)]
        found |= {
            "stream": scaled(ends[0] - ends[1], latents),
            "random again": ablation.random_removals(latents, draw),
        }
        found["never trained"] = ablation.latent_removals(pair[1], resid, t, persist)
        found["token"] = scaled(rows[torch.randint(len(rows), (len(latents),), generator=draw)], latents)
    return found


# %% [markdown]
# Each random seed has its own SAE, texts and positions. Position 0 is never ablated: it attends only to itself, and in larger models its
# activation is unlike any other. An ablation is dropped if its effect is less than a hundred times that of changing the last bits of the
# stream, because it would measure rounding. The share that is dropped is printed.


# %%
def measure(config: Config) -> dict:
    span, found = config.span, defaultdict(list)
    for seed, study in enumerate(config.saes):
        sub, text, stream, _ = dictionaries.heldout(study)
        text, layer = text[:, : config.length], study.layer
        vectors = stream[:, 1 : config.length].flatten(0, 1)
        pair = [dictionaries.dictionary(study, which) for which in KEEP]  # trained, untrained
        draw = run.generator(seed, "ablation")
        for context in torch.randperm(len(text), generator=draw)[: config.contexts].tolist():
            resid, rows = sub.residual(text[context][None], layer)[0], sub.unembedding()[text[context]]
            t = int(torch.randint(1, config.length - span + 1, (1,), generator=draw))
            floor = ablation.rounding_floor(sub, resid, 4, layer, t, span)
            for persist in (False, True):
                for kind, removals in removals_of(
                    pair,
                    resid,
                    t,
                    persist,
                    config,
                    draw,
                    vectors,
                    rows,  # (latents, length, d)
                ).items():
                    v = ablation.effects(sub, resid, removals, layer, t, span)
                    kept = v[v.flatten(1).norm(dim=1) > 100 * floor]
                    found["where"].append(
                        torch.tensor([[seed, context, persist, KINDS.index(kind)]]).expand(len(kept), 4),
                    )
                    found["parts"].append(torch.stack(ablation.sparsity(kept), 1).cpu())
                    found["norms"].append((kept - kept.median(-1, keepdim=True).values).norm(dim=-1).cpu())
                    found["dropped"].append(torch.tensor([len(v) - len(kept), len(v)]))
    return {
        name: torch.stack(parts) if name == "dropped" else torch.cat(parts)  # (ablations, ...)
        for name, parts in found.items()
    }


# %% [markdown]
# One more check of the measurement: removing nothing must change nothing beyond rounding.

# %%
measured = {name: tensor.numpy() for name, tensor in memo.memo(measure, cfg).items()}
dropped, made = measured["dropped"].sum(0)
print(f"{dropped / made:.1%} of {made:,} ablations dropped")
nothing = torch.zeros(2, *stream.shape, device=stream.device)
floor = ablation.rounding_floor(subject, stream, 4, site.layer, t, cfg.span)
assert ablation.effects(subject, stream, nothing, site.layer, t, cfg.span).norm() <= floor

# %% [markdown]
# <a id="factors"></a>
# ## 4 The score and its factors
# The paper says that latents have sparse effects, and gives scores of 10 to 14 % for latents and 60 % for channels. If their effects are sparse over
# the vocabulary, the vocabulary factor must be smaller for latents than for channels and random directions. If the score only says how far
# an effect travels along the text, the vocabulary factors are alike and the position factors differ.

# %%
FACTORS = ("score", "vocabulary", "position", "first")  # first: the score of position t alone


def chosen(kind, persist=False, seed=None):
    wanted = zip(measured["where"].T, (seed, None, persist, KINDS.index(kind)), strict=True)
    return np.all([column == value for column, value in wanted if value is not None], axis=0)


def pick(factor, kind, persist=False, seed=None):
    return measured["parts"][chosen(kind, persist, seed), FACTORS.index(factor)]


def by_seed(factor, kind, persist=False):
    return np.array([pick(factor, kind, persist, seed).mean() for seed in range(len(cfg.saes))])


variants = {
    letter: {kind: {factor: pick(factor, kind, persist) for factor in FACTORS} for kind in kinds}
    for letter, persist, kinds in (("A", False, DRAWN), ("B2", True, DRAWN[:3]))
}

# %% [markdown]
# The distributions have long tails, so mean and median differ; the paper reports means, and so do the claims below.

# %%
figure = bars.sparsity_factors(variants, {"Gaussian 2/π": 2 / np.pi}, {"latents": 0.12, "channels": 0.60})


def summarised(by):
    def of(held):
        return {factor: by(values) for factor, values in held.items()}

    return {letter: {kind: of(held) for kind, held in kinds.items()} for letter, kinds in variants.items()}


counts = {letter: {kind: len(held["score"]) for kind, held in of.items()} for letter, of in variants.items()}
page.save_figure(
    figure,
    "score_and_factors",
    {"means": summarised(np.mean), "medians": summarised(np.median), "ablations": counts},
    "Start with the middle panel: over the vocabulary all effects are nearly as dense as Gaussian noise "
    "(dotted line). The score differs by how far effects reach (right). Blue: variant A, removed at position "
    "t only; orange: variant B2, at later positions too (latents and random directions where the latent is "
    "active). Dots and numbers are means, strokes medians, vermilion diamonds the paper's means, between A "
    f"and B2 because it does not say which. SAEs: {cfg.described}; "
    f"T = {cfg.span}, {len(cfg.saes)} SAEs, {cfg.contexts} texts each. The paper, on GPT-2, has no factors.",
)

# %% [markdown]
# Of these two variants channels in B2 come nearer to the paper's 60 %, without reaching it, because the change is made again at every later position.
# (The claims below call variant B2 B.) In variant A an effect reaches later positions only by itself. How far is seen in the next figure.

# %%
fading = {kind: measured["norms"][chosen(kind)].mean(0) for kind in DRAWN}
page.save_figure(
    plots.reach(fading),
    "reach",
    {"norm by position": fading},
    "Compare 0, the ablated position, with the ones after it: effects fade to a small part at once, and then "
    "slowly. Latents and directions along which the stream varies (the two upper lines) fade less than "
    "channels and random directions. Mean size of the change of the logits in variant A, relative to "
    f"position t, log scale; {len(cfg.saes)} SAEs, {cfg.contexts} texts each. Not in the paper.",
)

# %% [markdown]
# ### Is the density at position t enough?
# The vocabulary factor averages over all $T$ positions. A shortcut looks at the vocabulary at position $t$ only: multiply the score of position $t$
# alone by the position factor. If this product is the whole score, then later effects are as dense as the one at $t$. If later effects were
# sparser, the product would be too large. The control makes them so: it keeps every size $n_t$ and gives later effects a tenth of their
# density $r_t^2$. We expect a ratio of product and score near 1, and a control well above it.


# %%
def shortcut(seed, later_density=1.0):
    norms = measured["norms"][chosen("latents", seed=seed)]
    first, position, whole = (pick(f, "latents", seed=seed) for f in ("first", "position", "score"))
    if later_density < 1:
        later = norms[:, 1:].sum(1) * later_density**0.5
        whole = first * position * ((norms[:, 0] + later) / norms.sum(1)) ** 2
    return np.mean(first * position) / np.mean(whole)


sparser = [shortcut(seed, 0.1) for seed in range(len(cfg.saes))]
page.check(
    "ablation.two-factors",
    [shortcut(seed) for seed in range(len(cfg.saes))],
    control={"the same norms, a tenth of the density at later positions": sparser},
)

# %% [markdown]
# The product is the whole score: later effects are as dense as the one at $t$. So it is enough to ask how dense the effect is at $t$. We expect it
# nearer to Gaussian changes ($2/\pi$) than to Laplace ones ($1/2$). The control is an effect that is sparser in this model: that of removing the
# unembedding direction of one token.

# %%
page.check(
    "ablation.dense-over-vocabulary",
    by_seed("first", "latents"),
    control={"directions of the unembedding, one token each": by_seed("first", "token")},
)

# %% [markdown]
# The effects of latents are dense over the vocabulary here.
#
# <a id="directions"></a>
# ## 5 Latents against other directions
# Are latents at least sparser than random directions? Both are measured in the same texts, so we take differences text by text. A 95 % interval of
# the mean difference comes from a bootstrap over texts (draw as many as there are, with replacement, and repeat). Each claim is about the end
# of the interval that is nearer to zero, or beyond it: even that end must be on the claimed side of zero.


# %%
LOW, HIGH = 0, 1


def differences(factor, kind, other, persist, seed):
    contexts = measured["where"][:, 1]
    rows, others = chosen(kind, persist, seed), chosen(other, False, seed)
    values = measured["parts"][:, FACTORS.index(factor)]
    both = np.intersect1d(contexts[rows], contexts[others])
    means = [[values[of & (contexts == context)].mean() for context in both] for of in (rows, others)]
    return np.subtract(*means)


def ends(factor, kind, other, end, persist=False):
    """That end of the interval of each seed; `pooled` over all contexts of all seeds."""
    each = [differences(factor, kind, other, persist, seed) for seed in range(len(cfg.saes))]
    generators = [run.generator(seed, "pairs") for seed in range(len(cfg.saes))]
    return [statistics.mean_interval(*pair, 1000)[1 + end] for pair in zip(each, generators, strict=True)]


def pooled(factor, kind, other, end):
    values = np.concatenate([differences(factor, kind, other, False, seed) for seed in range(len(cfg.saes))])
    return statistics.mean_interval(values, run.generator(0, "pooled"), 1000)[1 + end]


# %% [markdown]
# First the vocabulary, at position $t$: the score of that position, latents less random directions. A second random direction must show no
# difference (the control), and single tokens of the unembedding must show one (the positive example).

# %%
page.check(
    "ablation.latents-sparser-at-t",
    ends("first", "latents", "random", HIGH),
    control={"a second random direction": pooled("first", "random again", "random", HIGH)},
    witness=ends("first", "token", "random", HIGH),
)

# %% [markdown]
# In most seeds latents are not sparser than random directions: the interval includes zero. The measurement could have found a difference, as it does
# for the tokens of the unembedding.
#
# Then the positions. Latents might reach further than random directions only because they are directions along which the stream varies, which
# later positions have learned to read. So the first claim is about such directions: they reach further than random ones.

# %%
page.check(
    "ablation.stream-travels-further",
    ends("position", "stream", "random", LOW),
    control={
        "a second random direction": pooled("position", "random again", "random", LOW),
        "latents of a dictionary that was never trained": pooled("position", "never trained", "random", LOW),
    },
)

# %% [markdown]
# So in the second claim latents are compared with directions of the stream, and must reach further than those. The positive example is latents in
# variant B2.

# %%
page.check(
    "ablation.latents-travel-further",
    ends("position", "latents", "stream", LOW),
    control={
        "random directions": pooled("position", "random", "stream", LOW),
        "latents of a dictionary that was never trained": pooled("position", "never trained", "stream", LOW),
    },
    witness=ends("position", "latents", "stream", LOW, persist=True),
)

# %% [markdown]
# In every seed latents reach a little further than directions of the stream, but the margin is small beside the differences between seeds; the card
# above says whether it is large enough to count. Most of what latents have over random directions, directions of the stream have as well (the
# means in the right panel of the first figure). The latents of an SAE that was never trained reach no further than random directions.
#
# <a id="paper"></a>
# ## 6 The paper's sentence
# In the paper the score of latents is a fifth of that of channels. From the figure of section 4 we expect another ratio here. The positive example
# mixes the variants, latents removed at one position and channels at all later ones: it shows that the check can pass, and one way in which
# the paper's pair of numbers could come about. With this mixture, random directions in place of the latents would give nearly the same ratio.

# %%
latents, channels, random = (by_seed("score", kind) for kind in DRAWN[:3])
channels_b = by_seed("score", "channels", True)
page.check(
    "ablation.latents-below-channels",
    latents / channels,
    control={"random directions against channels": random / channels},
    witness=latents / channels_b,
)

# %% [markdown]
# On this language model latents are not sparser than channels by the paper's score. The second half of the sentence, channels at 60 %, is judged in
# variant B2, the one of the two that comes nearer. The positive example is the Gaussian effect of section 2.

# %%
page.check(
    "ablation.channels-at-60",
    channels_b,
    control={"channels at one position": channels, "random directions at one position": random},
    witness=score(gaussian).item(),
)

# %% [markdown]
# Channels score less than that on this language model. ([Page 13b](13b_score_taken_apart.ipynb#measure) finds a third variant in which they reach it, and
# random directions too.) Last, what variant B2 does: if channels are removed at every later position, their effect
# cannot fade. The score should rise with the number of positions that change (at least twofold), and the density over the vocabulary should stay
# as it is. The control is random directions in variant B2: they are removed again only where the latent is active, so they should gain less.

# %%
random_directions = by_seed("score", "random", True) / by_seed("score", "random")
page.check(
    "ablation.variant-b",
    channels_b / channels,
    control={"random directions, removed wherever the latent is active": random_directions},
)
vocabularies = [by_seed("vocabulary", "channels", persist).mean() for persist in (False, True)]
print(f"vocabulary factor of channels: variant A {vocabularies[0]:.1%}, variant B2 {vocabularies[1]:.1%}")
assert abs(vocabularies[1] / vocabularies[0] - 1) < 0.1

# %% [markdown]
# So a small score can mean that few tokens change, or that the change stays at the position where it was made. A reader of "sparse effects" will
# think of the first; on this page the differences between scores come from the second.
#
# <a id="report"></a>
# ## 7 All evaluations side by side
# The paper judges an SAE by five evaluations, and this was the last of them: loss after a splice ([page 10](10_downstream_loss_to_compute.ipynb)),
# probes ([page 11](11_probe_loss.ipynb)), explanations ([page 12](12_explainability_n2g.ipynb)) and the sparsity of effects. The package measures
# all of them for any SAE in one call. We compare the first SAEs of this page with one that was never trained, on fewer texts than the other
# pages use. Read the table by rows: in which of them does the last column stand apart from the others? There the evaluation tells a trained SAE from
# one that was never trained. In the last two rows a smaller number would be a sparser effect.


# %%
def side_by_side(config):
    def measured(which, kind):
        sub, sae = dictionaries.heldout(which).subject, dictionaries.dictionary(which, kind)
        return report.report(sub, sae, layer=which.layer, sizes=config.report)

    names = [getattr(each, "release", f"seed {each.seed}") for each in config.saes[: config.reported]]
    found = {name: measured(each, "averaged") for name, each in zip(names, config.saes, strict=False)}
    found["never trained"] = measured(config.saes[0], "untrained")
    rise = {name: each.get("loss", "rise of the loss").value for name, each in found.items()}
    return {"table": report.Comparison(found).markdown(), "rise": rise}


compared = memo.memo(side_by_side, cfg)
trained_rises = [rise for name, rise in compared["rise"].items() if name != "never trained"]
assert max(trained_rises) < compared["rise"]["never trained"]
Markdown(compared["table"])

# %% [markdown]
# In brackets are 95 % intervals over texts (for N2G and labels, over latents), not over random seeds: compare the columns of two seeds to see how
# much one training differs from another. The table has the error in three forms. The first is the paper's. The other two are of the stream as it
# is, where one large vector can decide the total; in this language model they agree, in GPT-2 the first position makes them differ
# ([page 10b](10b_splice_by_position.ipynb)). `python -m companion.cli report` prints the same for a file of your own.
#
# <a id="your-turn"></a>
# ## 8 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* An effect is Gaussian over the vocabulary and equally large at the first four of the $T$ positions. What is its score?
#    <details><summary>Hint</summary>Multiply the two factors: $2/\pi$, and the share of the positions.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    first_four = gaussian * (torch.arange(cfg.span) < 4)[:, None]
#    assert abs(score(first_four) / (2 / np.pi * 4 / cfg.span) - 1) < 0.05
#    print(f"{score(first_four):.1%}")
#    ```
#
#    At `laptop` (16 positions) that is 16 %: a little above the paper's value for latents, with no sparsity over the vocabulary at all.
#    </details>
# 2. *(5 minutes)* Add the contribution of each latent a second time instead of removing it. Is the effect the opposite of the ablation's? Does its
#    score differ?
#    <details><summary>Hint</summary>Call `ablation.effects` with `-removed`, and compare the result with `-effects` by the cosine of the two
#    vectors of changes at position $t$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    doubled = ablation.effects(subject, stream, -removed, site.layer, t, cfg.span)
#    cosine = torch.cosine_similarity(doubled[:, 0], -effects[:, 0], dim=-1)  # at position t
#    scores = [ablation.sparsity(part).score.mean().item() for part in (effects, doubled)]
#    print(f"median cosine {cosine.median():.2f}, mean scores {scores[0]:.1%} and {scores[1]:.1%}")
#    assert cosine.median() > 0.7 and abs(scores[1] / scores[0] - 1) < 0.5
#    ```
#
#    Nearly the opposite, and about the same score: for one latent the model above is close to linear.
#    </details>
# 3. *(5 minutes)* Make the easy mistake: forget $\sigma_t$. Which of the score, its factors and the size of the effect would warn you?
#    <details><summary>Hint</summary>Divide `removed` by `inputs.std[t]`. The score does not depend on the scale of $v$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    nudged = ablation.effects(subject, stream, removed / inputs.std[t], site.layer, t, cfg.span)
#    sizes = [part[:, 0].norm(dim=-1).mean().item() for part in (effects, nudged)]
#    scores = [ablation.sparsity(part).first.mean().item() for part in (effects, nudged)]
#    print(f"standard deviation {inputs.std[t].item():.2f}; size {sizes[0]:.2f} and {sizes[1]:.2f}")
#    assert abs(scores[1] / scores[0] - 1) < 0.2
#    assert (sizes[1] < sizes[0]) == (inputs.std[t].item() > 1)
#    ```
#
#    Only the size would. The score hides the mistake: it does not depend on the scale of $v$, and the model above is close to
#    linear.
#    </details>
# 4. *(5 minutes)* The claims use means. Would medians change the order of latents and channels in variant A? Is the mean or the median of a kind the
#    larger one, and why?
#    <details><summary>Hint</summary>`pick("score", kind)` holds the score of every ablation of that kind. Look at the shapes in the first figure
#    of section 4.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    above = []
#    for kind in DRAWN:
#        values = pick("score", kind)
#        print(f"{kind:9} mean {values.mean():.3f}, median {np.median(values):.3f}")
#        above.append(values.mean() - np.median(values))
#    assert np.mean(above) > 0
#    ```
#
#    The order stays. The mean is larger, because a few ablations reach far: the tail of the position factor is long.
#    </details>
#
# <a id="limits"></a>
# ## 9 Limits
# - One small language model, one layer, one size of SAE. Whether the paper's order on GPT-2 comes from the vocabulary or from the positions is
#   open. The `paper` profile is made to answer it; it needs a GPU and a network.
# - The paper does not say at how many positions a channel is removed. Two variants are measured here, and neither gives the paper's two numbers;
#   [page 13b](13b_score_taken_apart.ipynb) has a third, other layers, other sizes of SAE, and the mistakes of a public attempt.
# - Latents are removed one at a time. If two latents can replace each other, removing one of them shows little effect.
#
# <a id="checked"></a>
# ## 10 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
