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
# - Other directions of equal norm are measured as well (random ones, and ones along which the stream varies), and the latents of a dictionary
#   that was never trained: without them neither number can be read.
# - At `laptop` the subject is the 4-layer GPT-2 that ships with this package; at `paper` it is GPT-2 small.
#
# **Time.** `quick` half a minute, `laptop` two to four minutes, `paper` a GPU and a network.

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
from torch.nn.functional import normalize

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


KEEP = ("averaged", "untrained")
shipped = dictionaries.offline_subject("python-stdlib-4l")
tiny = dictionaries.DictionaryConfig(TINY, TrainConfig(n=128, k=4, steps=100, batch=512, lr=3e-3), layer=0, contexts=1000, keep=KEEP)
recipe = TrainConfig(n=2048, k=16, steps=300, batch=2048, dead_after_tokens=50_000)
small = dictionaries.DictionaryConfig(shipped, recipe, contexts=4000, keep=KEEP)
gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
wide = TrainConfig(n=2**15, k=32, steps=20_000, batch=8192)
large = dictionaries.DictionaryConfig(gpt2, wide, layer=8, contexts=48_000, heldout=2048, keep=KEEP)
cfg = run.choose(
    quick=Config(tiny, seeds=2, contexts=8, length=32, span=8, channels=8),
    laptop=Config(small, seeds=5, contexts=64, length=64, span=16, channels=16),
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
# One changed logit scores $1/TV$. Neither the scale nor a constant added at a position matters. Independent Gaussian changes score $2/\pi$, Laplace
# ones $1/2$. A Gaussian effect that stays at its own position scores only $2/(\pi T)$, below the paper's value for latents, although it is as dense
# over the vocabulary as before.

# %%
one_hot = torch.zeros(cfg.span, 4096)
one_hot[0, 7] = 1.0
assert torch.isclose(score(one_hot), torch.tensor(1 / one_hot.numel()))
assert torch.isclose(score(3 * gaussian + torch.arange(cfg.span)[:, None]), score(gaussian), atol=1e-4)
stays = gaussian * (torch.arange(cfg.span) == 0)[:, None]
laplace = torch.distributions.Laplace(0.0, 1.0).icdf(torch.rand(cfg.span, 4096, generator=run.generator(0, "laplace")) * 0.999 + 5e-4)
for planted, known in ((gaussian, ablation.GAUSSIAN), (laplace, 0.5), (stays, ablation.GAUSSIAN / cfg.span)):
    assert abs(score(planted) / known - 1) < 0.05

# %% [markdown]
# ## What is removed
# All at the same site and positions. **Latents**: every latent active at $t$, in the units of the stream, $\sigma_t z_i d_i$. **Channels**: one
# residual channel set to zero. Then directions with the norm of the latent they stand in for. **Random**: any direction, drawn twice. **Stream**: the
# difference of two held-out vectors of the stream, a direction along which the stream varies and of which no dictionary knows. **Token**: the row of
# one token in the unembedding. Last, the latents of a dictionary that was **never trained**.
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
# Position 0 is never ablated: it attends only to itself, and in larger models it carries an activation unlike any other. Positions are drawn evenly
# from the rest. An ablation whose effect is not a hundred times what a change of the stream's last bits does would measure the rounding; it is
# dropped, and the share of those is printed.


# %%
KINDS = ("latents", "channels", "random", "stream", "random again", "never trained", "token")
DRAWN = KINDS[:4]


def scaled(directions, like):
    """One direction per ablation, with the norm of `like` at every position."""
    return normalize(directions, dim=-1)[:, None] * like.norm(dim=-1, keepdim=True)


def removals_of(pair, resid, t, persist, config, draw, vectors, rows):
    """What each kind removes; variant B (`persist`) for latents, channels and random directions only."""
    latents = ablation.latent_removals(pair[0], resid, t, persist)
    channels = torch.randperm(resid.shape[1], generator=draw)[: config.channels].tolist()
    found = {"latents": latents, "channels": ablation.channel_removals(resid, channels, t, persist)}
    found["random"] = ablation.random_removals(latents, draw)
    if not persist:
        ends = vectors[torch.randint(len(vectors), (2, len(latents)), generator=draw)]
        found |= {"stream": scaled(ends[0] - ends[1], latents), "random again": ablation.random_removals(latents, draw)}
        found["never trained"] = ablation.latent_removals(pair[1], resid, t, persist)
        found["token"] = scaled(rows[torch.randint(len(rows), (len(latents),), generator=draw)], latents)
    return found


# %% [markdown]
# Each seed has its own dictionary, contexts and positions. Variants and kinds are measured in the same context at the same position.


# %%
def measure(config: Config) -> dict:
    sub, text, stream, _ = dictionaries.heldout(config.base)
    text, layer, span = text[:, : config.length], config.base.layer, config.span
    vectors, found = stream[:, 1 : config.length].flatten(0, 1), defaultdict(list)
    for seed in range(config.seeds):
        pair = [dictionaries.dictionary(dictionaries.variant(config.base, seed=seed), which) for which in KEEP]
        draw = run.generator(seed, "ablation")
        for context in torch.randperm(len(text), generator=draw)[: config.contexts].tolist():
            resid, rows = sub.residual(text[context][None], layer)[0], sub.model.lm_head.weight[text[context]]
            t = int(torch.randint(1, config.length - span + 1, (1,), generator=draw))
            floor = ablation.rounding_floor(sub, resid, 4, layer, t, span)
            for persist in (False, True):
                for kind, removals in removals_of(pair, resid, t, persist, config, draw, vectors, rows).items():
                    v = ablation.effects(sub, resid, removals, layer, t, span)
                    kept = v[v.flatten(1).norm(dim=1) > 100 * floor]
                    found["where"].append(torch.tensor([[seed, context, persist, KINDS.index(kind)]]).expand(len(kept), 4))
                    found["parts"].append(torch.stack(ablation.sparsity(kept), 1).cpu())
                    found["norms"].append((kept - kept.median(-1, keepdim=True).values).norm(dim=-1).cpu())
                    found["dropped"].append(torch.tensor([len(v) - len(kept), len(v)]))
    return {name: torch.stack(parts) if name == "dropped" else torch.cat(parts) for name, parts in found.items()}


measured = {name: tensor.numpy() for name, tensor in memo.memo(measure, cfg).items()}
dropped, made = measured["dropped"].sum(0)
print(f"{dropped / made:.1%} of {made:,} ablations dropped")
nothing = ablation.effects(subject, stream, torch.zeros(2, *stream.shape, device=stream.device), cfg.base.layer, cfg.span, cfg.span)
assert nothing.norm() <= ablation.rounding_floor(subject, stream, 4, cfg.base.layer, cfg.span, cfg.span)  # removing nothing changes nothing

# %% [markdown]
# ## Figure: the score and its factors
# Start with the right panel. If the kinds differ in the position factor and hardly in the vocabulary factor, then the score says how far an effect
# travels. The dotted lines on the left are the paper's numbers. The second picture is variant B.

# %%
FACTORS = ("score", "vocabulary", "position", "first")


def chosen(kind, persist=False, seed=None):
    wanted = (seed, None, persist, KINDS.index(kind))
    return np.all([column == value for column, value in zip(measured["where"].T, wanted, strict=True) if value is not None], axis=0)


def pick(factor, kind, persist=False, seed=None):
    return measured["parts"][chosen(kind, persist, seed), FACTORS.index(factor)]


def by_seed(factor, kind, persist=False):
    return np.array([pick(factor, kind, persist, seed).mean() for seed in range(cfg.seeds)])


for letter, persist, kinds in (("A", False, DRAWN), ("B", True, DRAWN[:3])):
    parts = {kind: {factor: pick(factor, kind, persist) for factor in FACTORS} for kind in kinds}
    figure = bars.sparsity_factors(parts, {"Gaussian 2/π": ablation.GAUSSIAN}, {"paper: latents": 0.12, "paper: channels": 0.60})
    figure.axes[0].title.set_text(f"score {letter}")
    means = {kind: {factor: values.mean() for factor, values in held.items()} for kind, held in parts.items()}
    counts = {kind: len(held["score"]) for kind, held in parts.items()}
    page.save_figure(figure, "score_and_factors" + ("_b" if persist else ""), {"means": means, "ablations": counts})

# %% [markdown]
# ## Figure: how far an effect travels
# The norm of the change at each position after the ablated one, relative to it (variant A).

# %%
fading = {kind: measured["norms"][chosen(kind)].mean(0) for kind in DRAWN}
page.save_figure(plots.reach(fading), "reach", {"norm by position": fading})

# %% [markdown]
# ## What the score is made of
# A shortcut that only needs position $t$: multiply the score of position $t$ alone by the position factor. If it gives the whole score, then what
# happens over the vocabulary later on adds nothing. It would not give it if the effects at later positions were sparse: the control keeps every norm
# and lets the later effects have a tenth of the density.


# %%
def shortcut(seed, later_density=1.0):
    norms, first, position = measured["norms"][chosen("latents", seed=seed)], *(pick(f, "latents", seed=seed) for f in ("first", "position"))
    whole = pick("score", "latents", seed=seed)
    if later_density < 1:
        later = norms[:, 1:].sum(1) * later_density**0.5
        whole = first * position * ((norms[:, 0] + later) / norms.sum(1)) ** 2
    return np.mean(first * position) / np.mean(whole)


page.check(
    "ablation.two-factors",
    [shortcut(seed) for seed in range(cfg.seeds)],
    control={"the same norms, a tenth of the density at later positions": [shortcut(seed, 0.1) for seed in range(cfg.seeds)]},
)

# %% [markdown]
# How dense is the effect at $t$? The control shows what a sparser one looks like in this model: the effect of the row of one token.

# %%
page.check(
    "ablation.dense-over-vocabulary",
    by_seed("first", "latents"),
    control={"directions of the unembedding, one token each": by_seed("first", "token")},
)

# %% [markdown]
# ## Latents against other directions
# Paired: each kind and the one it is compared with are measured in the same context, in all contexts of a seed. The interval is a bootstrap over
# contexts, and the claim is about its nearer end.


# %%
def differences(factor, kind, other, persist, seed):
    contexts = measured["where"][:, 1]
    rows, others = chosen(kind, persist, seed), chosen(other, False, seed)
    values = measured["parts"][:, FACTORS.index(factor)]
    both = np.intersect1d(contexts[rows], contexts[others])
    return np.array([values[rows & (contexts == c)].mean() - values[others & (contexts == c)].mean() for c in both])


def ends(factor, kind, other, end, persist=False):
    """That end of the interval of each seed; `pooled` over all contexts of all seeds."""
    each = [differences(factor, kind, other, persist, seed) for seed in range(cfg.seeds)]
    return [statistics.mean_interval(values, run.generator(seed, "pairs"), 1000)[1 + end] for seed, values in enumerate(each)]


def pooled(factor, kind, other, end):
    values = np.concatenate([differences(factor, kind, other, False, seed) for seed in range(cfg.seeds)])
    return statistics.mean_interval(values, run.generator(0, "pooled"), 1000)[1 + end]


LOW, HIGH = 0, 1

# %% [markdown]
# First the vocabulary: are latents sparser than random directions at $t$?

# %%
page.check(
    "ablation.latents-sparser-at-t",
    ends("first", "latents", "random", HIGH),
    control={"a second random direction": pooled("first", "random again", "random", HIGH)},
    witness=ends("first", "token", "random", HIGH),
)

# %% [markdown]
# Then the positions. Random directions are a poor measure there, since later positions may read any direction along which the stream varies: that is
# the first claim. So latents are compared with those, not with random directions, in the second.

# %%
page.check(
    "ablation.stream-travels-further",
    ends("position", "stream", "random", LOW),
    control={
        "a second random direction": pooled("position", "random again", "random", LOW),
        "latents of a dictionary that was never trained": pooled("position", "never trained", "random", LOW),
    },
)
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
# ## The paper's sentence
# Latents 10 to 14 %, channels 60 %: latents a fifth of channels. The witness of the first claim mixes the variants: latents removed at one position,
# channels at all later ones. It shows that the check can pass, and one way in which the paper's pair of numbers could come about; random directions
# in place of the latents would give nearly the same ratio. The second claim is judged in variant B, the one that comes nearer to 60 %.

# %%
latents, channels, random = (by_seed("score", kind) for kind in DRAWN[:3])
channels_b = by_seed("score", "channels", True)
page.check(
    "ablation.latents-below-channels",
    latents / channels,
    control={"random directions against channels": random / channels},
    witness=latents / channels_b,
)
page.check(
    "ablation.channels-at-60",
    channels_b,
    control={"channels at one position": channels, "random directions at one position": random},
    witness=score(gaussian).item(),
)

# %% [markdown]
# ## Variant B
# If channels are removed at every later position, their effect cannot fade. The score should rise with the number of positions that change, and the
# density over the vocabulary should stay as it is.

# %%
random_directions = by_seed("score", "random", True) / by_seed("score", "random")
page.check("ablation.variant-b", channels_b / channels, control={"random directions, removed wherever the latent is active": random_directions})

# %% [markdown]
# ## How to read it, and what is left
# - The score is a product. A small one can mean that few tokens change, or that the change stays where it was made; only the first is what
#   "sparse effects" suggests.
# - On this subject latents are not sparser than channels by the paper's score. Their effects reach further along the text than those of random
#   directions, and most of that they share with directions along which the stream varies.
# - Open: whether the ordering of the paper on GPT-2 comes from the vocabulary or from the positions. The `paper` profile answers it where there
#   is a GPU and a network.
#
# ## Claims

# %%
page.close()
