# %% [markdown]
# # 10. What a reconstruction is worth in pre-training compute
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/10_downstream_loss_to_compute.ipynb)
#
# **Claim.** An autoencoder that "recovers nearly all of the loss" can still cost most of a pre-training run:
# splice it into the model, and ask at which earlier checkpoint the model itself had that loss.
#
# Paper: Gao et al., *Scaling and evaluating sparse autoencoders* (2024), [section 4.1](https://arxiv.org/abs/2406.04093).
#
# **Difference to the paper.**
# - The paper gives the result for GPT-4 and no procedure. The procedure here is ours, and is checked against itself.
# - At `laptop` the subject is a 4-layer GPT-2 trained in front of you on your own Python library; at `paper` it is Stanford's
#   GPT-2 small, whose training checkpoints are public.
# - A checkpoint in mid-run has not had its learning rate lowered, so it is worse than a finished run of that compute. The fraction read
#   off is therefore too kind to the autoencoder.
#
# **Time.** `quick` half a minute, `laptop` four minutes once the subject model exists (it takes under ten, once), `paper` a GPU and a network.

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import json
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.stats import spearmanr

from companion import claims, dictionaries, memo, run
from companion.evals import anchors, compute
from companion.evals.reconstruction import loss_recovered
from companion.lm.sources import HubConfig
from companion.lm.training import SMALL, TINY
from companion.plots import sae as plots
from companion.sae.models import TopK
from companion.sae.recipe import TrainConfig

# %% [markdown]
# ## Parameters
# One row per profile. Each dictionary sees the residual stream after three quarters of the blocks, all positions of each context.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    base: dictionaries.DictionaryConfig  # subject, site, and the training of every dictionary
    widths: tuple[int, ...]  # numbers of latents n
    kept: tuple[int, ...]  # numbers of kept latents k
    seeds: int  # dictionaries per (n, k)

    def grid(self) -> list[tuple[int, int, int]]:
        return list(product(self.widths, self.kept, range(self.seeds)))


stanford = HubConfig("stanford-crfm/alias-gpt2-small-x21", "checkpoint-400000", steps=(100, 1000, 5000, *range(20_000, 400_001, 38_000)))
tiny = dictionaries.DictionaryConfig(TINY, TrainConfig(n=128, k=4, steps=100, batch=512, lr=3e-3), layer=0, contexts=1000)
small = dictionaries.DictionaryConfig(SMALL, TrainConfig(n=2048, k=16, steps=300, batch=2048, dead_after_tokens=50_000), contexts=4000)
large = dictionaries.DictionaryConfig(stanford, TrainConfig(n=2**15, k=32, steps=20_000, batch=8192), layer=8, contexts=48_000, heldout=2048)
cfg = run.choose(
    quick=Config(tiny, widths=(32, 128), kept=(2, 8), seeds=1),
    laptop=Config(small, widths=(256, 2048), kept=(8, 16, 32), seeds=3),
    paper=Config(large, widths=(2**15, 2**17), kept=(32, 64), seeds=1),
)
page = claims.Page("10_downstream_loss_to_compute", cfg)
cfg

# %% [markdown]
# ## The subject and its checkpoints
# The curve is the held-out loss at every kept checkpoint, **on one fixed set of tokens**. Comparing losses on different tokens would add the
# noise of the text itself, which is larger than the differences that matter.


# %%
def loss_curve(config: Config) -> dict:
    steps = [step for step in dictionaries.kept_steps(config.base.subject) if step > 0]
    tokens = dictionaries.heldout(config.base).tokens
    losses = [dictionaries.open_subject(config.base.subject, step).losses(tokens).mean(1) for step in steps]
    return {"steps": steps, "losses": torch.stack(losses)}


# %% [markdown]
# The finished model's own losses and its residual stream on those tokens are what everything below is compared with.

# %%
subject, tokens, resid, _ = dictionaries.heldout(cfg.base)
measured = memo.memo(loss_curve, cfg)
steps, curve = np.array(measured["steps"]), measured["losses"]
clean = subject.losses(tokens).mean(1).cpu()
print(f"{len(steps)} checkpoints, {tokens.numel():,} held-out tokens, final loss {clean.mean():.3f} nats")

# %% [markdown]
# ### Check: our splice is TransformerLens's hook
# The measurement runs the blocks above the site by hand. The same thing through `TransformerBridge`, which hooks the named site, must give
# the same losses; and the stream put back unchanged must change nothing.

# %%
halved = subject.losses_from(resid[:4] / 2, tokens[:4], cfg.base.layer)
hooks = [(cfg.base.site, lambda stream, hook: stream / 2)]
hooked = subject.bridge().run_with_hooks(tokens[:4].to(subject.device), fwd_hooks=hooks, return_type="loss", loss_per_token=True)
assert torch.allclose(halved, hooked, atol=1e-4)
assert torch.allclose(subject.losses_from(resid, tokens, cfg.base.layer).mean(1).cpu(), clean, atol=1e-4)

# %% [markdown]
# ## From a loss to a fraction
# With a constant batch the compute up to step $s$ is proportional to $s$. Let $l(s)$ be the loss curve, made non-increasing by isotonic
# regression, and $l^*$ the loss with the dictionary in place. Then
#
# $$ f = \frac{l^{-1}(l^*)}{s_{\text{final}}}, \qquad \text{linear in } (\log s,\, l) \text{ between checkpoints.} $$
#
# In ten lines, for one number:


# %%
def fraction_by_hand(loss: float, s: np.ndarray, l_of_s: np.ndarray) -> float:
    for j in range(1, len(s)):
        if l_of_s[j] <= loss < l_of_s[j - 1]:
            share = (l_of_s[j - 1] - loss) / (l_of_s[j - 1] - l_of_s[j])
            return float(s[j - 1] * (s[j] / s[j - 1]) ** share / s[-1])  # linear in log s
    return 1.0 if loss < l_of_s[-1] else s[0] / s[-1]


smooth = compute.monotone(curve.mean(1).double().numpy())
for loss in np.linspace(smooth[-1], smooth[0], 17)[1:-1]:
    assert np.isclose(fraction_by_hand(loss, steps, smooth), compute.invert(loss, steps, smooth) / steps[-1])

# %% [markdown]
# A map from losses to compute has to send every checkpoint's own loss to that checkpoint's own compute. That is the first claim. Its control is
# the obvious rival, reading the share off linearly between the first and the last loss.

# %%
falling = np.flatnonzero(np.diff(smooth, prepend=np.inf) < 0)  # within a flat stretch only the earliest step can be meant
own = np.array([compute.invert(smooth[j], steps, smooth) for j in falling]) / steps[falling]
linear = (smooth[0] - smooth[falling]) / (smooth[0] - smooth[-1]) * steps[-1] / steps[falling]
page.check(
    "compute.self-consistent",
    float(np.abs(own - 1).max()),
    control={"share read off linearly in the loss (median error)": float(np.median(np.abs(linear - 1)))},
)

# %% [markdown]
# ## The dictionaries
# TopK autoencoders for each $(n, k)$ and seed, trained as in notebook 08. We expect the loss to fall, and the fraction to rise, with both
# $n$ and $k$: a larger dictionary and a longer code each carry more of the stream.


# %%
def spliced_losses(config: Config) -> dict:
    sub, text, stream, _ = dictionaries.heldout(config.base)
    made = {}
    for n, k, seed in config.grid():
        one = dictionaries.variant(config.base, n=n, k=k, seed=seed)
        reconstruction = dictionaries.dictionary(one).reconstruct(stream)
        made[f"{n}/{k}/{seed}"] = sub.losses_from(reconstruction, text, config.base.layer).mean(1)
        made[f"mse/{n}/{k}/{seed}"] = dictionaries.heldout_error(one)
    return made


spliced = memo.memo(spliced_losses, cfg)

# %% [markdown]
# The stream can also be ablated: set to zero, the usual anchor of "loss recovered", or to its mean. Two more anchors: the identity, which is
# worth all of the compute, and a dictionary that was never trained, random directions with the encoder equal to the decoder.


# %%
def sub_loss(stream):
    return subject.losses_from(stream, tokens, cfg.base.layer).mean(1).cpu()


anchored = {name: losses.mean(1) for name, losses in anchors.anchor_losses(subject, tokens, cfg.base.layer).items()}
zero, mean = anchored["zero"], anchored["mean"]
untrained = TopK.random(subject.d_model, cfg.widths[-1], cfg.kept[-1], run.generator(0, "untrained")).to(subject.device)
worthless = sub_loss(untrained.reconstruct(resid))


def worth(loss, name):
    return compute.compute_fraction(loss, curve, steps, run.generator(0, "bootstrap", name))


cells = {key: worth(spliced[f"{key[0]}/{key[1]}/{key[2]}"], str(key)) for key in cfg.grid()}
scores = {key: loss_recovered(clean, spliced[f"{key[0]}/{key[1]}/{key[2]}"], zero) for key in cfg.grid()}

# %% [markdown]
# ## Figure: reading the fraction off the training curve
# On the right, follow a dictionary's loss from the left to the curve, then down to the step. On the left, the same with the ablations: the anchor of
# the usual score lies far above anything the model did in its training, above even guessing every token evenly.

# %%
shown = [(n, k, 0) for n, k in product(cfg.widths[-1:], cfg.kept)]


def label(key):
    return f"n = {key[0]:,}, k = {key[1]}"


loss_of = {label(key): spliced[f"{key[0]}/{key[1]}/{key[2]}"].mean().item() for key in shown}
fraction_of = {label(key): cells[key].fraction for key in shown}
ablated = {"mean ablation": mean.mean().item(), "zero ablation": zero.mean().item()}
ablated |= {"token frequencies": anchored["unigram"].mean().item()}
figure = plots.loss_to_compute(steps, curve.mean(1).numpy(), smooth, loss_of, fraction_of, ablated)
page.save_figure(figure, "loss_to_compute", {"steps": steps, "loss": curve.mean(1), "spliced": loss_of, "fraction": fraction_of, "ablated": ablated})

# %% [markdown]
# ## Figure: two scores of the same dictionaries
# On the left the fraction of compute with its paired bootstrap interval, on the right the score that most reports give. The right one is close to its
# ceiling for every dictionary, because the zero-ablated model is far worse than even a hardly trained one.


# %%
def over_seeds(table, n):
    return np.array([np.median([table[n, k, seed] for seed in range(cfg.seeds)]) for k in cfg.kept])


fractions = {key: cell.fraction for key, cell in cells.items()}
lows, highs = ({key: getattr(cell, end) for key, cell in cells.items()} for end in ("low", "high"))
by_n = {n: over_seeds(fractions, n) for n in cfg.widths}
interval = {n: np.array([over_seeds(lows, n), over_seeds(highs, n)]) for n in cfg.widths}
recovered_by_n = {n: over_seeds(scores, n) for n in cfg.widths}
figure = plots.two_scores(list(cfg.kept), by_n, interval, recovered_by_n)
page.save_figure(figure, "two_scores", {"k": cfg.kept, "fraction": by_n, "interval": interval, "recovered": recovered_by_n})

# %% [markdown]
# The paper reports 98.2 % of the loss recovered for a dictionary worth 10 % of the compute. The size of the gap depends on the model; that
# there is a wide one should not. The identity has no gap, since it is worth everything by both scores.

# %%
every = cfg.grid()
page.check(
    "compute.flattering",
    [min(scores[n, k, seed] - fractions[n, k, seed] for n, k in product(cfg.widths, cfg.kept)) for seed in range(cfg.seeds)],
    control={"the identity in place of the dictionary": loss_recovered(clean, clean, zero) - worth(curve[-1], "identity").fraction},
)
page.check(
    "compute.recovered-near-one",
    [min(scores[n, k, seed] for n, k in product(cfg.widths, cfg.kept)) for seed in range(cfg.seeds)],
    control={"the stream at its mean, which says nothing about the text": loss_recovered(clean, mean, zero)},
)
page.check(
    "compute.untrained-passes",
    loss_recovered(clean, worthless, zero),
    control={"the stream at its mean, which says nothing about the text": loss_recovered(clean, mean, zero)},
)

# %% [markdown]
# ## More latents, longer codes
# Each step along $k$ at fixed $n$, and along $n$ at fixed $k$, should raise the fraction. The control takes the same differences between two
# dictionaries that differ in nothing but the seed. For $n$ the sentence is open here: all dictionaries get the same few steps, and the
# larger ones would go on improving.


# %%
def steps_in_k(seed):
    return [fractions[n, b, seed] - fractions[n, a, seed] for n in cfg.widths for a, b in zip(cfg.kept, cfg.kept[1:], strict=False)]


def steps_in_n(seed):
    return [fractions[b, k, seed] - fractions[a, k, seed] for k in cfg.kept for a, b in zip(cfg.widths, cfg.widths[1:], strict=False)]


seed_noise = min(fractions[n, k, cfg.seeds - 1] - fractions[n, k, 0] for n, k in product(cfg.widths, cfg.kept))
by_seed = {name: [min(rises(seed)) for seed in range(cfg.seeds)] for name, rises in (("k", steps_in_k), ("n", steps_in_n))}
unfinished = {
    "open_because": "after equally few steps the larger dictionary is further from convergence; the paper compares converged ones",
    "witness": by_seed["k"],
    "witness_is": "the same with k in place of n",
}
for name, rises in by_seed.items():
    page.check(f"compute.rises-with-{name}", rises, control={"two seeds of the same (n, k): the smallest difference": seed_noise})

# %% [markdown]
# ## Error and loss
# The paper finds that the rise of the loss follows the reconstruction error at a fixed number of kept latents. On a log-log plot each $n$ should give
# a rising line, and over the whole grid the order by error should be the order by loss.

# %%
mse = {n: over_seeds({key: spliced[f"mse/{key[0]}/{key[1]}/{key[2]}"] for key in every}, n) for n in cfg.widths}
delta = {n: over_seeds({key: (spliced[f"{key[0]}/{key[1]}/{key[2]}"].mean() - clean.mean()).item() for key in every}, n) for n in cfg.widths}
figure = plots.loss_against_mse(mse, delta, list(cfg.kept))
page.save_figure(figure, "loss_against_mse", {"k": cfg.kept, "mse": mse, "delta": delta})


# %%
def flat(table):
    return np.concatenate([table[n] for n in cfg.widths])


shuffled = flat(mse)[torch.randperm(len(flat(mse)), generator=run.generator(0, "shuffle")).numpy()]
page.check(
    "compute.loss-follows-error",
    float(spearmanr(flat(mse), flat(delta)).statistic),
    control={"the errors dealt out to other dictionaries": float(spearmanr(shuffled, flat(delta)).statistic)},
)

# %% [markdown]
# ## The ends of the scale
# The stream put back must be worth the whole run, and its mean no more than the first steps of it.

# %%
page.check(
    "compute.identity",
    worth(sub_loss(resid), "identity").fraction,
    control={"the stream at its mean, which says nothing about the text": worth(mean, "mean").fraction},
)

# %% [markdown]
# ## Why the tokens must be paired
# The bootstrap resamples whole contexts, the same ones for the curve and for the dictionary, so what makes a context hard cancels. Were the
# two measured on different tokens, as in a published attempt that this notebook replaces, the interval would be several times as wide.

# %%
best = (cfg.widths[-1], cfg.kept[-1], 0)
losses = spliced[f"{best[0]}/{best[1]}/{best[2]}"]
elsewhere = losses[torch.randperm(len(losses), generator=run.generator(0, "unpair"))]


def width(cell):
    return cell.high - cell.low


unpaired = worth(elsewhere, "unpaired")
page.check(
    "compute.paired",
    width(cells[best]) / max(width(unpaired), 1e-9),
    control={"another unpaired draw": width(worth(elsewhere.flip(0), "unpaired again")) / max(width(unpaired), 1e-9)},
)
print(json.dumps({str(key): [round(value, 3) for value in cell[:3]] for key, cell in cells.items()}, indent=0))

# %% [markdown]
# ## How to read it, and what is left
# - The order of the dictionaries is the same by both scores; only their meaning differs. A share of compute says what is lost in a unit that
#   training the model had a price in.
# - The fraction is steep where the curve is flat: late in training a hundredth of a nat is worth several points. The intervals show it.
# - Not reproduced: the paper's GPT-4 numbers. Not shown: a frontier of *finished* runs of several sizes, which would lower every fraction.
#
# ## Claims

# %%
page.close()
