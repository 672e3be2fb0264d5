# %% [markdown]
# # 10. What a reconstruction is worth in pre-training compute
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/10_downstream_loss_to_compute.ipynb)
#
# **Claim.** An autoencoder that recovers nearly all of the loss, by the usual score, can still be worth much less than the whole pre-training
# run: splice it into the model, and ask at which earlier checkpoint the model itself had that loss.
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
# **Time.** `quick` half a minute, `laptop` three minutes once the subject model exists (it takes about as long, once), `paper` a GPU and a network.

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import json
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from companion import claims, dictionaries, memo, run
from companion.evals import anchors, compute
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
    shorter: tuple[int, ...]  # shorter trainings, in steps, of the largest n and the middle k
    seeds: int  # dictionaries per (n, k)

    def grid(self) -> list[tuple[int, int]]:
        return list(product(self.widths, self.kept))

    @property
    def middle(self) -> tuple[int, int]:
        return self.widths[-1], self.kept[len(self.kept) // 2]


KEEP = ("averaged", "untrained")
stanford = HubConfig("stanford-crfm/alias-gpt2-small-x21", "checkpoint-400000", steps=(100, 1000, 5000, *range(20_000, 400_001, 38_000)))
own = [replace(model, seed=run.seed_shift()) for model in (TINY, SMALL)]  # another COMPANION_SEED, another subject
tiny = dictionaries.DictionaryConfig(own[0], TrainConfig(n=128, k=4, steps=100, batch=512, lr=3e-3), layer=0, contexts=1000, keep=KEEP)
recipe = TrainConfig(n=1024, k=16, steps=300, batch=2048, dead_after_tokens=50_000)
small = dictionaries.DictionaryConfig(own[1], recipe, contexts=4000, keep=KEEP)
wide = TrainConfig(n=2**15, k=32, steps=20_000, batch=8192)
large = dictionaries.DictionaryConfig(stanford, wide, layer=8, contexts=48_000, heldout=2048, keep=KEEP)
cfg = run.choose(
    quick=Config(tiny, widths=(32, 128), kept=(2, 8), shorter=(50,), seeds=1),
    laptop=Config(small, widths=(256, 1024), kept=(8, 16, 32), shorter=(20, 50, 100), seeds=5),
    paper=Config(large, widths=(2**15, 2**17), kept=(32, 64), shorter=(2000, 6000), seeds=1),
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
# A map from losses to compute has to send every checkpoint's own loss to that checkpoint's own compute.

# %%
falling = np.flatnonzero(np.diff(smooth, prepend=np.inf) < 0)  # within a flat stretch only the earliest step can be meant
assert np.allclose([compute.invert(smooth[j], steps, smooth) for j in falling], steps[falling])


def share(loss):
    """Share of the pre-training compute at which the subject had this loss."""
    return compute.invert(loss, steps, smooth) / steps[-1]


assert share(subject.losses_from(resid, tokens, cfg.base.layer).double().mean().item()) > 0.98  # the stream put back is worth the whole run

# %% [markdown]
# ## The dictionaries
# TopK autoencoders for each $(n, k)$ and seed, trained as in notebook 08, and each before its training. Four things are spliced in beside them, to be
# controls below: a dictionary that was trained to keep one number of latents and keeps another; a small dictionary filled up to the larger $n$ with
# untrained latents; dictionaries after a shorter training; and the stream with errors as long as a dictionary's, in random directions.


# %%
def made_to_keep(sae, k):
    return TopK.from_tensors(sae.tensors(), k)


def filled_up(small, large):
    rest = {name: tensor[small.n :] for name, tensor in large.tensors().items() if name != "b_pre"}
    return TopK.from_tensors({name: torch.cat([tensor, rest[name]]) if name in rest else tensor for name, tensor in small.tensors().items()}, small.k)


def astray(stream, reconstruction, seed):
    """The stream with an error of the same length at every token, in random directions."""
    directions = torch.randn(stream.shape, generator=run.generator(seed, "astray")).to(stream)
    return stream + directions / directions.norm(dim=-1, keepdim=True) * (reconstruction - stream).norm(dim=-1, keepdim=True)


def saes_of(config: Config, seed: int) -> dict:
    """Every autoencoder of one seed, by what it is, n and k."""

    def trained(n, k, which="averaged", **others):
        return dictionaries.dictionary(dictionaries.variant(config.base, n=n, k=k, seed=seed, **others), which)

    (n, middle), least = config.middle, config.kept[0]
    saes = {("trained", *at): trained(*at) for at in config.grid()} | {("untrained", *at): trained(*at, "untrained") for at in config.grid()}
    saes["filled up", n, middle] = filled_up(trained(config.widths[0], middle), trained(n, middle, "untrained"))
    saes |= {("keeps more", n, k): made_to_keep(trained(n, least), k) for k in config.kept[1:]}
    saes |= {(f"from {k}", n, middle): made_to_keep(trained(n, k), middle) for k in config.kept if k > middle}
    return saes | {(f"{steps} steps", n, middle): trained(n, middle, steps=steps) for steps in config.shorter}


def spliced_losses(config: Config) -> dict:
    sub, text, stream, x = dictionaries.heldout(config.base)
    made = {}
    for seed in range(config.seeds):
        for (what, n, k), sae in saes_of(config, seed).items():
            reconstruction = sae.reconstruct(stream)
            streams = {what: reconstruction}
            if (what, n, k) == ("trained", *config.middle):
                streams["astray"] = astray(stream, reconstruction, seed)
            made |= {f"{name}/{n}/{k}/{seed}": sub.losses_from(put, text, config.base.layer).mean(1).cpu() for name, put in streams.items()}
            if k == config.middle[1]:  # the power law below is one of the middle k
                made[f"mse/{what}/{n}/{k}/{seed}"] = dictionaries.error(sae, x)
    return made


spliced = memo.memo(spliced_losses, cfg)
every = [(n, k, seed) for n, k in cfg.grid() for seed in range(cfg.seeds)]


def at(what, n, k, seed):
    return spliced[f"{what}/{n}/{k}/{seed}"]


def nats(what, n, k, seed):
    return at(what, n, k, seed).double().mean().item()


# %% [markdown]
# ## The anchors
# The stream can also be ablated: set to zero, the usual anchor of "loss recovered", or to its mean. Both leave the blocks above with inputs that they
# never had in training. The third anchor is a loss that needs no model: guessing each token by its frequency in the training text.

# %%
anchored = {name: losses.double().mean().item() for name, losses in anchors.anchor_losses(subject, tokens, cfg.base.layer).items()}
print("  ".join(f"{name} {loss:.2f}" for name, loss in anchored.items()), "nats per token")


def recovered(loss, anchor="zero"):
    """Loss recovered: 1 for the finished model, 0 for the anchor."""
    return (anchored[anchor] - loss) / (anchored[anchor] - anchored["clean"])


def worth(loss, name):
    return compute.compute_fraction(loss, curve, steps, run.generator(0, "bootstrap", name))


cells = {key: worth(at("trained", *key), str(key)) for key in every}
scores = {key: recovered(nats("trained", *key)) for key in every}

# %% [markdown]
# ## Figure: reading the fraction off the training curve
# On the right, follow a dictionary's loss from the left to the curve, then down to the step. On the left, the same with the three anchors. Both
# ablations lie far above the dotted line of the token frequencies, which the model passed early in its training: an ablated stream is worse than
# knowing nothing of the context.

# %%
shown = [(cfg.widths[-1], k, 0) for k in cfg.kept]


def label(key):
    return f"n = {key[0]:,}, k = {key[1]}"


loss_of = {label(key): nats("trained", *key) for key in shown}
fraction_of = {label(key): cells[key].fraction for key in shown}
ablated = {"mean ablation": anchored["mean"], "zero ablation": anchored["zero"], "token frequencies": anchored["unigram"]}
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
# ## What the usual score does not see
# The paper's pair is 98.2 % of the loss recovered and 10 % of the compute. The first claim asks what a checkpoint scores that had a small share of
# the training: nearly all, by zero ablation; much less with the token frequencies as the anchor. The second asks the same of a dictionary that was
# never trained. The third turns it round: how far apart does each score put a dictionary and its own untrained state?

# %%
SHARES = (0.05, 0.1, 0.2)
early = [float(np.interp(np.log(part * steps[-1]), np.log(steps), smooth)) for part in SHARES]
page.check(
    "compute.tenth-recovers",
    [recovered(loss) for loss in early],
    control={"with the token frequencies as the anchor": [recovered(loss, "unigram") for loss in early]},
)
largest, seeds = (cfg.widths[-1], cfg.kept[-1]), range(cfg.seeds)
page.check(
    "compute.untrained-passes",
    [recovered(nats("untrained", *largest, seed)) for seed in seeds],
    control={
        "with the token frequencies as the anchor": [recovered(nats("untrained", *largest, seed), "unigram") for seed in seeds],
        "the stream at its mean, which says nothing about the text": recovered(anchored["mean"]),
    },
)


def gains(score, seed):
    return [score(nats("trained", n, k, seed)) - score(nats("untrained", n, k, seed)) for n, k in cfg.grid()]


page.check(
    "compute.tells-training",
    [min(gains(share, seed)) for seed in seeds],
    control={"loss recovered from zero ablation (largest difference)": [max(gains(recovered, seed)) for seed in seeds]},
)

# %% [markdown]
# ## More latents, longer codes
# Each step along $k$ at fixed $n$, and along $n$ at fixed $k$, should raise the share of the compute. It is not enough to keep more latents, or to
# have more of them: the controls are the dictionary of the smallest $k$ made to keep more, and the small dictionary filled up with untrained latents.
# For $n$ the sentence is open here: all dictionaries get the same few steps, and the larger ones would go on improving. The witness is the same
# difference before the training: more random directions do reconstruct better.


# %%
def rise(after, before, seed):
    """Share of the compute, one (what, n, k) less another."""
    return share(nats(*after, seed)) - share(nats(*before, seed))


def least(steps_of, seed):
    return min(rise(after, before, seed) for after, before in steps_of)


def along_k(what, start, widths):
    """Neighbours in k; `start` is what the first of them is."""
    chain = [start, *[what] * (len(cfg.kept) - 1)]
    return [((chain[i + 1], n, cfg.kept[i + 1]), (chain[i], n, cfg.kept[i])) for n in widths for i in range(len(cfg.kept) - 1)]


def along_n(what, start, kept):
    return [((what, cfg.widths[-1], k), (start, cfg.widths[0], k)) for k in kept]


page.check(
    "compute.rises-with-k",
    [least(along_k("trained", "trained", cfg.widths), seed) for seed in seeds],
    control={"the dictionary of the smallest k, made to keep more": [least(along_k("keeps more", "trained", cfg.widths[-1:]), s) for s in seeds]},
)
page.check(
    "compute.rises-with-n",
    [least(along_n("trained", "trained", cfg.kept), seed) for seed in seeds],
    control={"the smaller dictionary, filled up with untrained latents": [least(along_n("filled up", "trained", cfg.middle[1:]), s) for s in seeds]},
    witness=[least(along_n("untrained", "untrained", cfg.kept), seed) for seed in seeds],
)

# %% [markdown]
# ## Error and loss
# The paper finds that at a fixed number of kept latents the rise of the loss follows the reconstruction error by a power law, and that it no longer
# does when that number is changed after training. The law is fitted to dictionaries of one $k$: of each size, and of the largest size after shorter
# trainings. The controls have their errors from elsewhere: dictionaries of another $k$ that were made to keep this one, and random directions.

# %%
n, k = cfg.middle
lawful = [("trained", width, k) for width in cfg.widths] + [(f"{steps} steps", n, k) for steps in cfg.shorter]
changed = [("keeps more", n, k), *((f"from {other}", n, k) for other in cfg.kept if other > k)]


def error_and_rise(keys, seed):
    errors = [spliced["/".join(map(str, ("mse", *key, seed)))] for key in keys]
    return np.array(errors), np.array([nats(*key, seed) - anchored["clean"] for key in keys])


def off_the_law(points, seed):
    """|ln rise - the power law of this seed's dictionaries|, at each of the points (errors, rises)."""
    slope, constant = np.polyfit(*map(np.log, error_and_rise(lawful, seed)), 1)
    return np.abs(np.log(points[1]) - slope * np.log(points[0]) - constant)


def noise(seed):
    errors, _ = error_and_rise([("trained", n, k)], seed)
    return errors, np.array([nats("astray", n, k, seed) - anchored["clean"]])


page.check(
    "compute.power-law",
    [off_the_law(error_and_rise(lawful, seed), seed).max() for seed in seeds],
    control={
        "k changed after training": [off_the_law(error_and_rise(changed, seed), seed).max() for seed in seeds],
        "errors of the same length in random directions": [off_the_law(noise(seed), seed).item() for seed in seeds],
    },
)
groups = {f"trained with k = {k}": lawful, f"trained with another k, keeps {k}": changed}
drawn = {name: [np.concatenate(each) for each in zip(*(error_and_rise(keys, seed) for seed in seeds), strict=True)] for name, keys in groups.items()}
drawn["errors in random directions"] = [np.concatenate(each) for each in zip(*map(noise, seeds), strict=True)]
errors = np.sort(drawn[f"trained with k = {k}"][0])
slope, constant = np.polyfit(*map(np.log, drawn[f"trained with k = {k}"]), 1)
law = errors, np.exp(constant) * errors**slope
page.save_figure(plots.loss_against_mse(drawn, law), "loss_against_mse", {"k": k, "exponent": slope, "points": drawn})

# %% [markdown]
# ## Why the tokens must be paired
# The bootstrap resamples whole contexts, the same ones for the curve and for the dictionary, so what makes a context hard cancels. Were the two
# measured on different contexts, as in a published attempt that this notebook replaces, the interval would be several times as wide. To pair each
# context with its neighbour in the text should not be enough.


# %%
def width(losses, name):
    cell = worth(losses, name)
    return cell.high - cell.low


def narrowing(seed, neighbours=0):
    losses = at("trained", *largest, seed)
    elsewhere = losses[torch.randperm(len(losses), generator=run.generator(seed, "unpair"))]
    return width(losses.roll(neighbours), f"paired {seed}") / max(width(elsewhere, f"unpaired {seed}"), 1e-9)


page.check(
    "compute.paired",
    [narrowing(seed) for seed in seeds],
    control={"each context paired with its neighbour": [narrowing(seed, 1) for seed in seeds]},
)
print(json.dumps({str(key): [round(value, 3) for value in cell[:3]] for key, cell in cells.items()}, indent=0))

# %% [markdown]
# ## How to read it, and what is left
# - Both scores are functions of the same loss, so the order of the dictionaries is the same by both; only their meaning differs. A share of compute
#   says what is lost in units of training compute, whose cost is known.
# - The fraction is steep where the curve is flat: late in training a hundredth of a nat is worth points. The intervals show it.
# - Not reproduced: the paper's GPT-4 numbers. Not shown: a frontier of *finished* runs of several sizes, which would lower every fraction.
#
# ## Claims

# %%
page.close()
