# %% [markdown]
# # 13. Is the effect of one latent sparse?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/13_ablation_sparsity.ipynb)
#
# **Claim.** Removing one latent is said to change few of the logits downstream, removing a residual channel most of them. The score behind the
# sentence mixes two things: how few *tokens of the vocabulary* change, and how few *later positions*. Here it is taken apart.
#
# Paper: Gao et al., *Scaling and evaluating sparse autoencoders* (2024), [section 4.5](https://arxiv.org/abs/2406.04093).
#
# **Difference to the paper.**
# - The paper does not say whether a channel is removed at one position or at all later ones. Both variants are measured.
# - Random directions of equal norm are measured as well; without them neither number means anything.
# - At `laptop` the subject is a 4-layer GPT-2 trained in front of you; at `paper` GPT-2 small.
#
# **Time.** `quick` half a minute, `laptop` two to four minutes once the subject model exists, `paper` a GPU and a network.

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

from companion import claims, dictionaries, memo, run
from companion.evals import ablation, statistics
from companion.lm.sources import HubConfig
from companion.lm.training import TINY
from companion.plots import bars
from companion.plots import sae as plots
from companion.sae.models import normalise
from companion.sae.recipe import TrainConfig

# %% [markdown]
# ## Parameters


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    base: dictionaries.DictionaryConfig  # subject, site and dictionary
    seeds: int  # dictionaries, each with its own contexts
    contexts: int  # contexts per dictionary, one ablated position in each
    length: int  # tokens of a context
    span: int  # T: positions over which the effect is measured
    channels: int  # residual channels removed per context


tiny = dictionaries.DictionaryConfig(TINY, TrainConfig(n=128, k=4, steps=100, batch=512, lr=3e-3), layer=0, contexts=1000)
small = dictionaries.DictionaryConfig(
    dictionaries.offline_subject("python-stdlib-4l"), TrainConfig(n=2048, k=16, steps=300, batch=2048, dead_after_tokens=50_000), contexts=4000
)
gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
large = dictionaries.DictionaryConfig(gpt2, TrainConfig(n=2**15, k=32, steps=20_000, batch=8192), layer=8, contexts=48_000, heldout=2048)
cfg = run.choose(
    quick=Config(tiny, seeds=2, contexts=8, length=32, span=8, channels=8),
    laptop=Config(small, seeds=3, contexts=64, length=64, span=16, channels=16),
    paper=Config(large, seeds=1, contexts=256, length=64, span=16, channels=64),
)
page = claims.Page("13_ablation_sparsity", cfg)
cfg

# %% [markdown]
# ## The score
# Take a position $t$ in mid-context, subtract one latent's contribution from the residual stream there, and run on. The change of the logits at
# positions $t, \dots, t+T-1$, less its median over the vocabulary at each position, is a vector $v$ of $TV$ numbers. Its score is
#
# $$ s(v) = \frac{1}{TV}\left(\frac{\lVert v \rVert_1}{\lVert v \rVert_2}\right)^2 \in \left[\tfrac{1}{TV},\, 1\right], $$
#
# the effective share of (position, token) pairs that change. Smaller is sparser; independent Gaussian changes score $2/\pi$.
#
# With $n_t = \lVert v_t \rVert_2$ and $r_t = \lVert v_t\rVert_1 / (n_t\sqrt V)$ it splits exactly into a factor for the vocabulary and one for the
# positions:
#
# $$ s = \underbrace{\left(\frac{\sum_t n_t r_t}{\sum_t n_t}\right)^{2}}_{\text{vocabulary}} \cdot
# \underbrace{\frac{\left(\sum_t n_t\right)^2}{T \sum_t n_t^2}}_{\text{position}}. $$


# %%
def score(v):  # (T, V)
    v = v - v.median(dim=-1, keepdim=True).values
    T, V = v.shape
    return (v.abs().sum() / v.norm()) ** 2 / (T * V)


gaussian = torch.randn(cfg.span, 4096, generator=run.generator(0, "gaussian"))
found = ablation.sparsity(gaussian[None])
assert torch.isclose(score(gaussian), found.score[0])
assert torch.isclose(found.score, found.vocabulary * found.position)

# %% [markdown]
# ### Cases with a known answer
# One changed logit scores $1/TV$. Neither the scale nor a constant added at a position matters. And the trap: a Gaussian effect, as dense over the
# vocabulary as can be, scores only $2/(\pi T)$ when it stays at its own position.

# %%
one_hot = torch.zeros(cfg.span, 4096)
one_hot[0, 7] = 1.0
assert torch.isclose(score(one_hot), torch.tensor(1 / one_hot.numel()))
assert torch.isclose(score(3 * gaussian + torch.arange(cfg.span)[:, None]), score(gaussian), atol=1e-4)
stays = gaussian * (torch.arange(cfg.span) == 0)[:, None]
laplace = torch.distributions.Laplace(0.0, 1.0).icdf(torch.rand(cfg.span, 4096, generator=run.generator(0, "laplace")) * 0.999 + 5e-4)
page.check("ablation.gaussian", score(gaussian).item(), control={"Laplace changes (1/2)": score(laplace).item()})
page.check("ablation.position-alone", score(stays).item(), control={"the same effect at every position": score(gaussian).item()})

# %% [markdown]
# ## What is removed
# Three kinds of ablation at the same site and positions. **Latents**: every latent active at $t$, in the units of the stream, $\sigma_t z_i d_i$.
# **Channels**: one residual channel set to zero. **Random**: a random direction with the norm of the latent it stands in for.
#
# Variant A touches position $t$ only. Variant B goes on at every later position: the latent wherever it is active, the channel everywhere.
# The factor $\sigma_t$ is easily lost, since the dictionary works on normalised activations. The sum over all latents tells:

# %%
subject, texts, _, _ = dictionaries.heldout(cfg.base)
texts = texts[:, : cfg.length]
sae = dictionaries.dictionary(cfg.base)
stream = subject.residual(texts[:1], cfg.base.layer)[0]
removed = ablation.latent_removals(sae, stream, t=cfg.span, persist=False)
inputs = normalise(stream)
bias = inputs.mean[cfg.span] + sae.b_pre * inputs.std[cfg.span]
assert torch.allclose(removed.sum(0)[cfg.span] + bias, sae.reconstruct(stream)[cfg.span], atol=1e-3)

# %% [markdown]
# Position 0 is never ablated: it attends to nothing, and in larger models it carries an activation unlike any other. Positions are drawn evenly from
# the rest. An ablation whose effect is not a hundred times the rounding of the forward pass would measure the rounding; it is dropped.
#
# We expect, from a pilot on a model of this size, that all three kinds are almost Gaussian over the vocabulary, and that they differ in how far
# they travel.


# %%
KINDS = ("latents", "channels", "random", "random again")  # the last is the control of the third


def removals_of(dictionary, resid, t, persist, channels, draw):
    latents = ablation.latent_removals(dictionary, resid, t, persist)
    chosen = torch.randperm(resid.shape[1], generator=draw)[:channels].tolist()
    randoms = [ablation.random_removals(latents, draw) for _ in range(2)]
    return dict(zip(KINDS, [latents, ablation.channel_removals(resid, chosen, t, persist), *randoms], strict=True))


def measure(config: Config) -> dict:
    sub, text, _, _ = dictionaries.heldout(config.base)
    text = text[:, : config.length]
    layer, span = config.base.layer, config.span
    found = defaultdict(list)
    for seed in range(config.seeds):
        dictionary, draw = dictionaries.dictionary(dictionaries.variant(config.base, seed=seed)), run.generator(seed, "ablation")
        for context in torch.randperm(len(text), generator=draw)[: config.contexts].tolist():
            resid = sub.residual(text[context][None], layer)[0]
            t = int(torch.randint(1, config.length - span + 1, (1,), generator=draw))
            floor = ablation.rounding_floor(sub, resid, 4, layer, t, span)
            for persist in (False, True):
                for kind, removals in removals_of(dictionary, resid, t, persist, config.channels, draw).items():
                    v = ablation.effects(sub, resid, removals, layer, t, span)
                    v = v[v.flatten(1).norm(dim=1) > 100 * floor]
                    found["where"].append(torch.tensor([[seed, context, persist, KINDS.index(kind)]]).expand(len(v), 4))
                    found["parts"].append(torch.stack(ablation.sparsity(v), 1).cpu())
                    found["norms"].append((v - v.median(-1, keepdim=True).values).norm(dim=-1).cpu())
                    found["floor"].append(torch.full((len(v),), floor))
    return {name: torch.cat(parts) for name, parts in found.items()}


measured = {name: tensor.numpy() for name, tensor in memo.memo(measure, cfg).items()}

# %% [markdown]
# ## Figure: the score and its factors
# Read from the right. If the three kinds differ in the position factor and hardly in the vocabulary factor, then the score says how far an effect
# travels. The dotted lines on the left are the paper's numbers.

# %%
FACTORS = ("score", "vocabulary", "position", "first")


def chosen(kind, persist=False, seed=None, context=None):
    wanted = (seed, context, persist, KINDS.index(kind))
    return np.all([column == value for column, value in zip(measured["where"].T, wanted, strict=True) if value is not None], axis=0)


def pick(factor, kind, persist=False, seed=None, context=None):
    return measured["parts"][chosen(kind, persist, seed, context), FACTORS.index(factor)]


by_kind = {kind: {factor: pick(factor, kind) for factor in FACTORS} for kind in KINDS[:3]}
variants = {"A": False, "B": True}
means = {f"{kind}, {v}": {f: pick(f, kind, persist).mean() for f in FACTORS} for kind in KINDS[:3] for v, persist in variants.items()}
figure = bars.sparsity_factors(by_kind, {"Gaussian 2/π": ablation.GAUSSIAN}, {"paper: latents": 0.12, "paper: channels": 0.60})
page.save_figure(figure, "score_and_factors", {"means": means, "ablations": {kind: len(pick("score", kind)) for kind in KINDS}})

# %% [markdown]
# ## Figure: how far an effect travels
# The norm of the change at each position after the ablated one, relative to it (variant A).

# %%
fading = {kind: measured["norms"][chosen(kind)].mean(0) for kind in KINDS[:3]}
page.save_figure(plots.reach(fading), "reach", {"norm by position": fading})
print("\n".join(f"{name:24}" + "  ".join(f"{factor} {value:.3f}" for factor, value in parts.items()) for name, parts in means.items()))

# %% [markdown]
# ## What the score is made of
# A shortcut that only needs position $t$: multiply the score of position $t$ alone by the position factor. If it gives the whole score, then what
# happens over the vocabulary later on adds nothing.

# %%
product = [np.mean(pick("first", "latents", seed=s) * pick("position", "latents", seed=s)) for s in range(cfg.seeds)]
whole = [pick("score", "latents", seed=s).mean() for s in range(cfg.seeds)]
vocabulary = [pick("first", "latents", seed=s).mean() for s in range(cfg.seeds)]
page.check(
    "ablation.two-factors",
    [p / w for p, w in zip(product, whole, strict=True)],
    control={"the vocabulary part alone": [p / w for p, w in zip(vocabulary, whole, strict=True)]},
)
page.check(
    "ablation.dense-over-vocabulary",
    vocabulary,
    control={
        "a Gaussian effect on a tenth of the vocabulary": score(
            torch.where(torch.rand(gaussian.shape, generator=run.generator(0, "few")) < 0.1, gaussian, 0.0)[:1]
        ).item()
    },
)

# %% [markdown]
# ## Latents against random directions
# Paired: each latent and the random direction that has its norm are compared in the same context. The interval is a bootstrap over contexts, and
# the claim is about its nearer end. The control compares one random direction with another.


# %%
def paired_interval(factor, kind, other, seed):
    contexts = np.unique(measured["where"][chosen(kind, seed=seed), 1])
    difference = np.array([pick(factor, kind, seed=seed, context=c).mean() - pick(factor, other, seed=seed, context=c).mean() for c in contexts])
    return statistics.mean_interval(difference, run.generator(seed, "pairs"), 1000)[1:]


def ends(factor, kind, end):
    return [paired_interval(factor, kind, "random", seed)[end] for seed in range(cfg.seeds)]


page.check(
    "ablation.latents-sparser-at-t",
    ends("first", "latents", 1),
    control={"a second random direction": max(ends("first", "random again", 1))},
    witness=(score(laplace) - score(gaussian)).item(),
)
page.check(
    "ablation.latents-travel-further", ends("position", "latents", 0), control={"a second random direction": min(ends("position", "random again", 0))}
)

# %% [markdown]
# ## The paper's sentence
# Latents 10 to 14 %, channels 60 %: latents a fifth of channels. Here is the same ratio, with what it would be for an effect that deserves the
# sentence.

# %%
ratio = [pick("score", "latents", seed=s).mean() / pick("score", "channels", seed=s).mean() for s in range(cfg.seeds)]
sparse_effect = score(torch.where(torch.rand(gaussian.shape, generator=run.generator(0, "sparse")) < 0.1, gaussian, 0.0))
page.check(
    "ablation.latents-below-channels",
    ratio,
    control={
        "random directions against channels": [
            pick("score", "random", seed=s).mean() / pick("score", "channels", seed=s).mean() for s in range(cfg.seeds)
        ]
    },
    witness=(sparse_effect / score(gaussian)).item(),
)
page.check(
    "ablation.channels-at-60",
    [pick("score", "channels", seed=s).mean() for s in range(cfg.seeds)],
    control={"a Gaussian effect at one position": score(stays).item()},
    witness=score(gaussian).item(),
)

# %% [markdown]
# ## Variant B
# If channels are removed at every later position, their effect cannot fade. The paper's 60 % is within reach of this variant and not of the other.

# %%
b_over_a = [pick("score", "channels", True, s).mean() / pick("score", "channels", False, s).mean() for s in range(cfg.seeds)]
page.check(
    "ablation.variant-b",
    b_over_a,
    control={
        "random directions at one position, drawn twice": [
            pick("score", "random again", seed=s).mean() / pick("score", "random", seed=s).mean() for s in range(cfg.seeds)
        ]
    },
)

# %% [markdown]
# ## Above the rounding
# What is left after dropping small effects must be far above what arithmetic does by itself. Removing nothing is the control: its effect is rounding.

# %%
effect_norm = np.linalg.norm(measured["norms"], axis=1)
nothing = ablation.effects(subject, stream, torch.zeros(2, *stream.shape, device=stream.device), cfg.base.layer, cfg.span, cfg.span).norm().item()
page.check(
    "ablation.above-rounding",
    float((effect_norm / measured["floor"]).min()),
    control={"removing nothing": nothing / float(np.median(measured["floor"]))},
)

# %% [markdown]
# ## How to read it, and what is left
# - The score is a product. A small one can mean that few tokens change, or that the change stays where it was made; only the first is what
#   "sparse effects" suggests.
# - On this subject latents are not sparser than channels by the paper's score, and the reason is that their effects reach further along the text.
# - Open: whether the ordering of the paper on GPT-2 comes from the vocabulary or from the positions. The `paper` profile answers it where there
#   is a GPU and a network.
#
# ## Claims

# %%
page.close()
