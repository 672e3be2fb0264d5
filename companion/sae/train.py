"""Training a TopK autoencoder with the recipe of Gao et al. 2024 (section 2 and the appendix on training)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.std import tqdm

from companion.sae import kernels
from companion.sae.models import TopK, normalise

FIRED = 1e-3
"""A latent has fired on a token if its activation there exceeds this (published code)."""
PAPER_BATCH = 2**17


@dataclass(frozen=True)
class TrainConfig:
    """What fixes a run, with the paper's values as defaults where it has them.

    Raises:
        ValueError: k outside 1..n, no step, or a batch, rate or threshold that is not positive.
    """

    n: int
    """Latents."""
    k: int
    """Latents kept per token."""
    steps: int
    batch: int
    """Tokens per step; the paper has 131,072."""
    lr: float | None = None
    """Adam's step; None for `learning_rate(n, batch)`."""
    aux_k: int | None = None
    """Dead latents that reconstruct the residual; None for half the width, the paper's choice; 0 for none."""
    aux_weight: float = 1 / 32
    dead_after_tokens: int = 10_000_000
    """A latent that has not fired for so many tokens is dead. Scale it down with the run."""
    transposed_start: bool = True
    """Encoder rows start parallel to their decoder rows; otherwise in independent random directions."""
    ema: float | None = 0.999
    """Decay of the running mean of the weights; None to keep the last ones. A short run averages over a twentieth of
    its steps at most, so that its start does not weigh on its end."""
    median_sample: int = 32_768
    """Activations of the sample that the geometric median is taken of, as in the published code."""
    log_every: int = 10

    def __post_init__(self):
        if not 1 <= self.k <= self.n:
            raise ValueError(f"k={self.k} latents cannot be kept out of n={self.n}: k must lie in 1..n")
        if min(self.steps, self.batch, self.dead_after_tokens, self.log_every) < 1 or (self.lr is not None and self.lr <= 0):
            raise ValueError("steps, batch, dead_after_tokens, log_every and lr must be positive")


class Trained(NamedTuple):
    sae: TopK
    """Running mean of the weights, decoder rows of unit norm: the model to use."""
    history: dict[str, np.ndarray]
    """One entry per logged step: tokens seen, normalised mse of that batch before its step, dead share, l0."""
    last: TopK
    """The weights after the last step, decoder rows of unit norm."""


def learning_rate(n: int, batch: int) -> float:
    """2e-4 sqrt(2^14 / n), the paper's rule at its batch of 2^17 tokens, times (2^17 / batch)^(1/3).

    The second factor is ours: with batches of some thousand tokens, runs have some hundred steps, too few for the
    paper's rate to arrive anywhere. Swept on a 4-layer subject (n=1024 and 2048, batch 2048, 400 to 500 steps, rates
    3e-4 to 3e-2): the held-out error is lowest between 5e-3 and 1e-2, an interior optimum, but there latents die faster
    than AuxK revives them. At the rates of this rule the error is a tenth higher and a third as many are dead.
    """
    return 2e-4 * math.sqrt(2**14 / n) * (PAPER_BATCH / batch) ** (1 / 3)


def shuffled(pool: Float[Tensor, "N D"], batch: int, steps: int, generator: torch.Generator) -> Iterator[Float[Tensor, "B D"]]:
    """`steps` batches from epochs over the pool, each epoch in a new order; what is left of an epoch is dropped.

    Raises:
        ValueError: the pool holds less than one batch.
    """
    per_epoch = len(pool) // batch
    if not per_epoch:
        raise ValueError(f"a pool of {len(pool)} activations holds no batch of {batch}: collect more, or use smaller batches")
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(pool), generator=generator, device=generator.device).to(pool.device)
        at = step % per_epoch * batch
        yield pool[order[at : at + batch]]


def geometric_median(points: Float[Tensor, "N D"], steps: int = 100, tolerance: float = 1e-6) -> Float[Tensor, " D"]:
    """argmin over m of sum_i |points_i - m|, by Weiszfeld's iteration: means weighted by the inverse distance."""
    median = points.mean(dim=0)
    for _ in range(steps):
        weights = 1 / (points - median).norm(dim=1).clamp_min(1e-12)
        moved = weights @ points / weights.sum()
        if (moved - median).norm() <= tolerance * moved.norm():
            return moved
        median = moved
    return median


@torch.no_grad()
def start(x: Float[Tensor, "S D"], config: TrainConfig, generator: torch.Generator) -> TopK:
    """The model before its first step, from a normalised sample.

    b_pre is the sample's geometric median; decoder rows are uniform on the sphere; encoder rows are parallel to them, at
    the one scale at which reconstructions are as long as inputs: mean |z W_dec| = mean |x - b_pre|.
    """
    sae = TopK.random(x.shape[1], config.n, config.k, generator).to(x.device)
    sae.b_pre.copy_(geometric_median(x[: config.median_sample]))
    if not config.transposed_start:
        sae.W_enc.copy_(TopK.random(x.shape[1], config.n, config.k, generator).W_enc)
    x = x[:4096]
    length = (sae(x) - sae.b_pre).norm(dim=1).mean() / (x - sae.b_pre).norm(dim=1).mean()
    sae.W_enc /= length
    return sae


def aux_loss(sae: TopK, x: Float[Tensor, "B D"], x_hat: Float[Tensor, "B D"], dead: Int[Tensor, " dead"], k: int) -> Float[Tensor, ""]:
    """AuxK (paper, appendix on dead latents): how badly the top k dead latents reconstruct what the model left over.

        e = x - x_hat (detached),   L_aux = |ê - e|² / |mean(e) - e|²,   both summed over the batch

    ê is decoded without b_pre, which x_hat has already spent. 0 if nothing is dead or nothing is left over.
    """
    if not len(dead) or not k:
        return x.new_zeros(())
    e = (x - x_hat).detach()
    scale = (e - e.mean(dim=0)).square().sum()
    scale = scale.where(scale > 0, torch.inf)  # not a choice between 0/0 and 0: its gradient would still be NaN
    return (sae.dead_code(x, dead, k) - e).square().sum() / scale


@torch.no_grad()
def constrain_decoder(sae: TopK) -> None:
    """Decoder rows back to unit norm, then their gradient made tangent to the sphere: g - (g·w) w, in this order."""
    W, g = sae.W_dec, sae.W_dec.grad
    W /= W.norm(dim=1, keepdim=True)
    if g is not None:
        g.addcmul_((g * W).sum(dim=1, keepdim=True), W, value=-1)


class _Average:
    """Running mean of parameters, corrected for starting at zero: sum_t (1-r) r^(T-t) w_t / (1 - r^T)."""

    def __init__(self, sae: TopK, decay: float):
        self.decay, self.weight = decay, 1.0
        self.parameters = list(sae.parameters())
        self.means = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        torch._foreach_lerp_(self.means, self.parameters, 1 - self.decay)
        self.weight *= self.decay

    def value(self, sae: TopK) -> TopK:
        means = {name: mean / (1 - self.weight) for (name, _), mean in zip(sae.named_parameters(), self.means, strict=True)}
        return TopK.from_tensors(means, sae.k)


def fit(batches: Iterator[Float[Tensor, "B D"]], config: TrainConfig, sample: Float[Tensor, "S D"], generator: torch.Generator) -> Trained:
    """Train on raw activations; normalisation happens here.

    Loss: |x_hat - x|² / |mean - x|² with the denominator taken once, from `sample`, plus aux_weight * `aux_loss`.

    Args:
        batches: raw activations; at least config.steps batches.
        sample: raw activations for b_pre, for the initial scale and for the loss' denominator.

    Raises:
        ValueError: the batches run out, or an activation is NaN or infinite.
    """
    x = normalise(sample).x
    sae, error_of_mean = start(x, config, generator), (x - x.mean(dim=0)).square().sum(dim=1).mean()
    rate = config.lr or learning_rate(config.n, config.batch)
    # epsilon: gradients of a batch mean are tiny, and the usual 1e-8 would damp Adam's step (published code)
    adam = torch.optim.Adam(sae.parameters(), lr=rate, betas=(0.9, 0.999), eps=6.25e-10, fused=True)
    average = _Average(sae, min(config.ema, 1 - 20 / max(config.steps, 40))) if config.ema else None
    silent = torch.zeros(config.n, dtype=torch.long, device=x.device)  # tokens since a latent last fired
    log: list[tuple[float, ...]] = []
    bar = tqdm(range(config.steps), desc=f"sae n={config.n} k={config.k}", mininterval=1.0)
    for step in bar:
        loss, fired = _backward(sae, _next(batches, step, config), silent, error_of_mean, config)
        if step % config.log_every == 0 or step == config.steps - 1:
            dead = (silent > config.dead_after_tokens).float().mean().item()
            log.append(((step + 1) * config.batch, loss.item(), dead, fired.item()))
            bar.set_postfix(mse=f"{log[-1][1]:.3f}", dead=f"{dead:.0%}", refresh=False)
        constrain_decoder(sae)
        adam.step()
        if average:
            average.update()
    history = {name: np.array(column) for name, column in zip(("tokens", "mse", "dead", "l0"), zip(*log, strict=True), strict=True)}
    final = average.value(sae) if average else TopK.from_tensors(sae.tensors(), sae.k)
    constrain_decoder(final)
    constrain_decoder(sae)
    return Trained(final, history, sae)


def _next(batches: Iterator[Tensor], step: int, config: TrainConfig) -> Tensor:
    acts = next(batches, None)
    if acts is None:
        raise ValueError(f"the batches ran out after {step} of {config.steps} steps")
    return normalise(acts).x


def _backward(sae: TopK, x: Tensor, silent: Tensor, error_of_mean: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """One forward and backward pass; updates `silent`. Returns the normalised mse and the mean number of latents that fired."""
    sae.zero_grad(set_to_none=True)
    code, by = sae.encode_sorted(x)
    x_hat = kernels.decode(sae.W_dec, code.values, by) + sae.b_pre
    fired = code.values > FIRED
    silent += len(x)
    silent[code.indices[fired]] = 0
    mse = (x_hat - x).square().sum(dim=1).mean() / error_of_mean
    dead = (silent > config.dead_after_tokens).nonzero()[:, 0]
    aux_k = x.shape[1] // 2 if config.aux_k is None else config.aux_k
    loss = mse + config.aux_weight * aux_loss(sae, x, x_hat, dead, aux_k)
    loss.backward()
    return mse.detach(), fired.sum(dim=1).float().mean()
