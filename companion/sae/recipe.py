"""The items of published recipes, each a function: rates, warm-ups, start, AuxK, decoder norms, resampling, running mean."""

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.sae.dense import Gated, JumpReLU, ReLU, ReLUNorm
from companion.sae.models import Autoencoder, TopK
from companion.sae.sparse import BatchTopK, MatryoshkaBatchTopK, MultiTopK

AUX_WEIGHT = 1 / 32
"""What AuxK counts for beside the loss (Gao et al. 2024)."""
SPACES = ("layer_norm", "none", "scalar")
"""What activations are brought into before they are trained on: see `TrainConfig.space`."""
ADDED = {"added": True}
"""Metadata of a field that came after a record was made: at its default it does not count in the record's hash of a configuration."""


KINDS = {c.kind: c for c in (TopK, MultiTopK, BatchTopK, MatryoshkaBatchTopK, ReLU, ReLUNorm, Gated, JumpReLU)}


def model_class(kind: str) -> type[Autoencoder]:
    """The class of a kind of autoencoder.

    Raises:
        ValueError: no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no autoencoder of kind {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind]


@dataclass(frozen=True)
class TrainConfig:
    """What fixes a run, with the values of Gao et al. 2024 as defaults where it has them.

    Raises:
        ValueError: no k in 1..n for a kind that keeps k, k or a penalty for a kind without use for it, resampling at a step
            that does not come or of latents it cannot wake, an unknown space, or a size, rate or share out of range.
    """

    n: int
    """Latents."""
    steps: int
    batch: int
    """Tokens per step, at most: the last batch of an epoch may be smaller. The paper has 131,072."""
    k: int | None = None
    """Latents kept per token, for the kinds of the TopK family."""
    kind: str = "topk"
    penalty: float = 0.0
    """Coefficient of the sparsity penalty, for the kinds that have one: loss = |x_hat - x|² + penalty * sum z, both summed
    over their entries and averaged over tokens (`dense.APRIL_2024`). For jumprelu the sum counts active latents."""
    lr: float | None = None
    """Adam's step; None for `learning_rate(n, batch)`."""
    betas: tuple[float, float] | None = None
    """Adam's; None for those of the kind's paper: (0, .999) for gated and jumprelu, (.9, .999) for all others."""
    warmup: int = 0
    """Steps of a linearly rising learning rate."""
    decay: float = 0.0
    """Share of the steps, the last ones, in which the learning rate falls linearly to 0."""
    penalty_warmup: int = 0
    """Steps in which the coefficient of the penalty rises linearly from 0."""
    clip: float | None = None
    """Largest norm of the whole gradient."""
    aux_k: int | None = None
    """Dead latents that reconstruct the residual; None for half the width in the TopK family, the paper's choice, and 0 elsewhere."""
    dead_after_tokens: int = 10_000_000
    """A latent that has not fired for so many tokens is dead. Scale it down with the run."""
    resample_at: tuple[int, ...] = ()
    """Steps before which dead latents are given new directions (`resample`). Not for gated and jumprelu: a latent's gate or
    threshold would keep it shut."""
    median_start: bool = True
    """b_pre starts at the sample's geometric median; otherwise at 0."""
    transposed_start: bool = True
    """Encoder rows start parallel to their decoder rows; otherwise in independent random directions."""
    ema: float | None = 0.999
    """Decay of the running mean of the weights; None to keep the last ones. A short run averages over a twentieth of
    its steps at most, so that its start does not weigh on its end."""
    median_sample: int = 32_768
    """Activations of the sample that the geometric median is taken of, as in the published code, that resampling draws from,
    and that sets the threshold of BatchTopK."""
    log_every: int = 10
    space: str = field(default="layer_norm", metadata=ADDED)
    """What is trained on. "layer_norm": `models.normalise`, whose results are of length sqrt(D - 1). "none": activations as they are; rates,
    penalties and the bar at which a latent counts as firing (`models.FIRED`) are then in their unit. "scalar": all times one number, with
    which the mean of |x|² over the sample is D."""

    def __post_init__(self):
        if self.space not in SPACES:
            raise ValueError(f"no space is called {self.space!r}; there are {', '.join(SPACES)}")
        family = issubclass(model_class(self.kind), TopK)
        if family and not (self.k and 1 <= self.k <= self.n):
            raise ValueError(f"k={self.k} latents cannot be kept out of n={self.n}: k must lie in 1..n")
        if (family and self.penalty) or (not family and self.k):
            raise ValueError(f"{self.kind} is made sparse by {'k alone' if family else 'a penalty alone'}, not by k={self.k}, penalty={self.penalty}")
        if min(self.n, self.steps, self.batch, self.dead_after_tokens, self.median_sample, self.log_every) < 1:
            raise ValueError("n, steps, batch, dead_after_tokens, median_sample and log_every must be positive")
        if not all(rate is None or 0 < rate < math.inf for rate in (self.lr, self.clip)):
            raise ValueError(f"lr={self.lr} and clip={self.clip} must be positive and finite")
        if not all(0 <= amount < math.inf for amount in (self.penalty, self.aux_k or 0, self.warmup, self.penalty_warmup)):
            raise ValueError("warm-ups, penalty and aux_k must be finite and cannot be negative")
        if not 0 <= self.decay <= 1 or not all(0 <= share < 1 for share in (self.ema or 0, *(self.betas or ()))):
            raise ValueError(f"decay={self.decay} must be a share of the steps, 0..1, ema={self.ema} and betas={self.betas} shares below 1")
        if any(not 0 <= step < self.steps for step in self.resample_at) or (self.resample_at and self.kind in ("gated", "jumprelu")):
            raise ValueError(f"resample_at={self.resample_at} must be steps in 0..{self.steps - 1} of a kind other than gated and jumprelu")


def april_2024(n: int, steps: int, batch: int, penalty: float = 5.0, lr: float = 5e-5, **others: Any) -> TrainConfig:
    """The recipe of the April 2024 update: decoder rows free and short at first, biases 0, no dead-latent remedy but the warm-up.

    lr falls to 0 over the last fifth, the penalty rises over the first twentieth (`warmup_steps`), gradients are clipped at 1.

    Args:
        lr: the update's is for 200,000 steps; a shorter run wants a larger one.
        others: further fields of `TrainConfig`, those of the recipe included.
    """
    own = dict(kind="relu_norm", penalty=penalty, penalty_warmup=warmup_steps(0.05, steps), lr=lr, decay=0.2, clip=1.0)
    return TrainConfig(n, steps, batch, **(own | dict(aux_k=0, ema=None, median_start=False) | others))


def bricken_2023(n: int, steps: int, batch: int, penalty: float, lr: float, **others: Any) -> TrainConfig:
    """The recipe of Towards Monosemanticity: unit rows, independent start, b_pre from the geometric median, four resamplings.

    They come at 2.5, 5, 7.5 and 10 % of the run, of latents silent for half the time between two of them. In a run of fewer
    than 4000 steps they come every 100 steps (`warmup_steps`), as many of the four as there is room for: by those shares all
    four would be over before latents have died. The rate is constant, and the penalty is there from the first step.

    Args:
        penalty: in the sum form; theirs is converted by `dense.convert_l1`.
        others: further fields of `TrainConfig`, those of the recipe included.
    """
    period = warmup_steps(0.025, steps)
    resample_at = tuple(step for step in range(period, 4 * period + 1, period) if step < steps)
    own = dict(kind="relu", penalty=penalty, lr=lr, resample_at=resample_at, dead_after_tokens=max(1, period // 2) * batch)
    return TrainConfig(n, steps, batch, **(own | dict(aux_k=0, ema=None, transposed_start=False) | others))


def learning_rate(n: int, batch: int) -> float:
    """2e-4 sqrt(2^14 / n), the paper's rule at its batch of 2^17 tokens, times (2^17 / batch)^(1/3).

    The second factor is ours: with batches of some thousand tokens, runs have some hundred steps, too few for the
    paper's rate to arrive anywhere. Swept on a 4-layer subject (n=1024 and 2048, batch 2048, 400 to 500 steps, rates
    3e-4 to 3e-2): the held-out error is lowest between 5e-3 and 1e-2, an interior optimum, but there latents die faster
    than AuxK revives them. At the rates of this rule the error is a tenth higher and a third as many are dead.
    """
    return 2e-4 * math.sqrt(2**14 / n) * (2**17 / batch) ** (1 / 3)


def warmup_steps(share: float, steps: int, floor: int = 100) -> int:
    """A share of the steps, but at least `floor` of them, and at most all.

    With 170 steps, 5 % are 8, and a penalty that rises so fast kills nine latents in ten (a pilot).
    """
    return min(steps, max(floor, round(share * steps)))


def rising(step: int, warmup: int) -> float:
    """0 at step 0, 1 from step `warmup` on, linear between; 1 everywhere without a warm-up."""
    return min(1.0, step / warmup) if warmup else 1.0


def rate_factor(step: int, config: TrainConfig) -> float:
    """Share of the learning rate at a step: (step + 1) / warmup at first, 1, then linear to 0 at the last step."""
    falling = round(config.decay * config.steps)
    left = min(1.0, (config.steps - 1 - step) / falling) if falling else 1.0
    return min(left, rising(step + 1, config.warmup))


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
def start(x: Float[Tensor, "S D"], config: TrainConfig, generator: torch.Generator) -> Autoencoder:
    """The model before its first step, from a normalised sample.

    b_pre is the sample's geometric median, or 0; decoder rows are uniform on the sphere; encoder rows are parallel to them, at
    the one scale at which reconstructions are as long as inputs: mean |z W_dec| = mean |x - b_pre| (nearly so for jumprelu,
    whose thresholds do not scale along). Where decoder rows are free both matrices have rows of length `ReLUNorm.START` instead.

    Raises:
        ValueError: an empty sample, or one in which nothing varies but rounding.
    """
    if not (x - x.mean(dim=0)).norm() > 1e-4 * x.norm():
        raise ValueError(f"all {len(x)} activations of the sample are one vector, up to their scale: there is nothing to learn")
    kind = model_class(config.kind)
    sae = kind.random(x.shape[1], config.n, config.k, generator).to(x.device)
    if config.median_start:
        sae.b_pre.copy_(geometric_median(x[: config.median_sample]))
    if not config.transposed_start:
        sae.W_enc.copy_(kind.random(x.shape[1], config.n, config.k, generator).W_enc)
    if sae.unit_rows:
        x = x[:4096]
        sae.W_enc /= (sae.terms(x).x_hat - sae.b_pre).norm(dim=1).mean() / (x - sae.b_pre).norm(dim=1).mean()
    else:
        sae.W_enc *= sae.START
        sae.W_dec *= sae.START
    return sae


def aux_loss(sae: Autoencoder, x: Float[Tensor, "B D"], x_hat: Float[Tensor, "B D"], dead: Int[Tensor, " dead"], k: int) -> Float[Tensor, ""]:
    """AuxK (paper, appendix on dead latents): how badly the top k dead latents reconstruct what the model left over.

        e = x - x_hat (detached),   L_aux = |ê - e|² / |mean(e) - e|²,   both summed over the batch

    ê is decoded without b_pre, which x_hat has already spent. 0 if nothing is dead or nothing is left over.
    """
    if not k or not sae.mesh.latent_total(torch.tensor(len(dead))):
        return x.new_zeros(())
    e = (x - x_hat).detach()
    count = sae.mesh.batch_total(torch.tensor(float(len(e)), dtype=e.dtype, device=e.device))
    scale = sae.mesh.batch_total((e - sae.mesh.batch_total(e.sum(dim=0)) / count).square().sum())
    scale = scale.where(scale > 0, torch.inf)  # not a choice between 0/0 and 0: its gradient would still be NaN
    return (sae.dead_code(x, dead, k) - e).square().sum() / scale


@torch.no_grad()
def constrain_decoder(sae: Autoencoder) -> None:
    """Decoder rows back to unit norm, then their gradient made tangent to the sphere: g - (g·w) w, in this order."""
    if not sae.unit_rows:
        return
    rows = 2**18 // sae.d  # a block of rows stays in the cache for all that is done to it
    grads = sae.W_dec.grad.split(rows) if sae.W_dec.grad is not None else itertools.repeat(None)
    for W, g in zip(sae.W_dec.split(rows), grads, strict=False):
        W /= W.norm(dim=1, keepdim=True)
        if g is not None:
            g.addcmul_((g * W).sum(dim=1, keepdim=True), W, value=-1)


@torch.no_grad()
def resample(
    sae: Autoencoder, adam: torch.optim.Adam, x: Float[Tensor, "S D"], dead: Int[Tensor, " dead"], generator: torch.Generator, penalty: float = 0.0
) -> Int[Tensor, " dead"]:
    """Dead latents restart on inputs the model is bad at (Towards Monosemanticity, appendix on resampling).

    Inputs are drawn with probability proportional to the square of their loss, each once where there are enough. A latent's
    decoder row becomes its input at unit length; its encoder row the same direction at .2 of the mean length of those alive;
    its bias 0, and Adam's memory of all three is cleared. Returns the inputs that were drawn.

    Args:
        x: many batches' worth of inputs, normalised; 819,200 in the paper.
        penalty: the coefficient of the penalty, which is part of an input's loss, as it now is.
    """
    if not len(dead):
        return dead
    odds = torch.cat([sae.losses(part, penalty) for part in x.split(4096)]).square().cpu()
    drawn = torch.multinomial(odds, len(dead), replacement=len(dead) > int(odds.count_nonzero()), generator=generator).to(x.device)
    directions = torch.nn.functional.normalize(x[drawn], dim=1)
    alive = torch.ones(sae.n, dtype=torch.bool, device=x.device).index_fill(0, dead, False)
    length = sae.W_enc[alive].norm(dim=1).mean() if alive.any() else sae.W_enc.norm(dim=1).mean()
    sae.W_dec[dead], sae.W_enc[dead], sae.b_enc[dead] = directions, 0.2 * length * directions, 0.0
    for parameter in (sae.W_dec, sae.W_enc, sae.b_enc):
        for moment in ("exp_avg", "exp_avg_sq"):
            if moment in adam.state[parameter]:
                adam.state[parameter][moment][dead] = 0
    return drawn


class Average:
    """Running mean of parameters, corrected for starting at zero: sum_t (1-r) r^(T-t) w_t / (1 - r^T)."""

    def __init__(self, sae: Autoencoder, decay: float):
        self.decay, self.weight = decay, 1.0
        self.parameters = list(sae.parameters())
        self.means = {name: torch.zeros_like(p) for name, p in sae.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Count the parameters as they are now."""
        torch._foreach_lerp_(list(self.means.values()), self.parameters, 1 - self.decay)
        self.weight *= self.decay

    def value(self, sae: Autoencoder) -> dict[str, Tensor]:
        """The tensors of `sae` with the mean in place of every parameter."""
        return sae.tensors() | {name: mean / (1 - self.weight) for name, mean in self.means.items()}
