"""Models with a relu hidden layer, which compute something (Toy Models of Superposition, "Computation in Superposition").

    RH (tied)     x' = relu(W2 relu(W1^T x) + b), W2 = W1, features on [0, 1], target x
    ABS (untied)  y' = relu(W2 relu(W1^T x) + b), features on [-1, 1], target |x|

Row i of W1 is what feature i gives to the neurons, row i of W2 what the neurons give to output i, so both are (I, F, H) and W1 is the
transpose of the paper's. On [0, 1] the targets x and |x| are the same: the two models differ in their data and in W2 alone.

A sparse model sees few active features, and most of those matter little. So every sample has one feature switched on by hand, chosen with
probability q_i, and carries the weight P(x) / Q(x) = p / sum_{active j} q_j that makes its expectation right; the sample of zeros, which is
never drawn, is added exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from companion.toy import data, model
from companion.toy.schedule import Schedule, adam, pieces


@dataclass(frozen=True)
class Config:
    """Shape of one model: tied weights compute x, untied ones |x|.

    Raises:
        ValueError: no feature or no neuron.
    """

    features: int
    hidden: int
    tied: bool = False

    def __post_init__(self):
        if self.features < 1 or self.hidden < 1:
            raise ValueError(f"features={self.features}, hidden={self.hidden}: a model needs at least one of each.")


class Weights(NamedTuple):
    """Models on a leading instance axis. In a tied model W1 and W2 are equal."""

    W1: Float[Tensor, "I F H"]
    W2: Float[Tensor, "I F H"]
    b: Float[Tensor, "I F"]

    def at(self, index) -> "Weights":
        """The instances that `index` picks."""
        return Weights(*(t[index] for t in self))


def initial(config: Config, streams: Sequence[Generator]) -> Weights:
    """W1 ~ N(0, 2/(n+m)) per model, W2 = W1 if tied and W2 = |W1| else, b = 0; instance i draws from streams[i] alone.

    With W2 = |W1| every neuron starts by speaking for the features it listens to, whatever their sign; an independent W2 of a sparse
    model leaves outputs that are negative for all inputs, and a relu never gets those back.
    """
    W1, b = model.initial(config, streams)
    return Weights(W1, W1.clone() if config.tied else W1.abs(), b)


def dedicated(config: Config, density: Float[Tensor, " I"], features: int) -> Weights:
    """|x| = relu(x) + relu(-x) for the first features, two neurons each, and the mean p/2 for the rest: L = V(p) sum_{i >= features} I_i.

    Raises:
        ValueError: not enough neurons or features.
    """
    if not 0 <= features <= min(config.features, config.hidden // 2):
        raise ValueError(f"features={features}: {config.hidden} neurons hold {config.hidden // 2} of {config.features} features at most.")
    own = torch.arange(features)
    W1 = torch.zeros(len(density), config.features, config.hidden)
    W1[:, own, 2 * own], W1[:, own, 2 * own + 1] = 1, -1
    b = (density[:, None] / 2).repeat(1, config.features).float()
    b[:, :features] = 0
    return Weights(W1, W1.abs(), b)


def forward(weights: Weights, x: Float[Tensor, "I B F"]) -> Float[Tensor, "I B F"]:
    """relu(W2 relu(W1^T x) + b), one block per instance."""
    return torch.baddbmm(weights.b[:, None], torch.bmm(x, weights.W1).relu_(), weights.W2.mT).relu_()


# --- samples ----------------------------------------------------------------------------------------------------------


class Draw(NamedTuple):
    """The random numbers behind one batch, shared by all densities."""

    uniform: Float[Tensor, "B F"]
    sign: Float[Tensor, "B F"]
    """-1 or 1; all 1 for tied models."""
    forced: Int[Tensor, " B"]
    """The feature that is switched on."""
    chance: Float[Tensor, " F"]
    """q_i, with which it was chosen."""


def draw(config: Config, importance: Float[Tensor, " F"], batch: int, stream: Generator) -> Draw:
    """One batch. q is half uniform (any feature may disturb) and half as sqrt(I) (what it matters when wrong); the B choices are spread
    evenly over q, so that every feature comes up about as often as it should."""
    shape, device = (batch, config.features), stream.device
    root = importance.to(device, torch.float32).sqrt()
    chance = (root / root.sum() + 1 / config.features) / 2
    place = (torch.arange(batch, device=device) + torch.rand(batch, generator=stream, device=device)) / batch
    forced = torch.searchsorted(chance.cumsum(0), place).clamp_max(config.features - 1)
    uniform = torch.rand(shape, generator=stream, device=device)
    sign = torch.ones(shape, device=device) if config.tied else (torch.rand(shape, generator=stream, device=device) < 0.5) * 2.0 - 1
    return Draw(uniform, sign, forced, chance)


def sample(draw: Draw, density: Float[Tensor, " I"]) -> tuple[Float[Tensor, "I B F"], Float[Tensor, "I B"]]:
    """|x| and the weights P/Q of the samples, per density: E f(x) = mean_B w f(x) + (1-p)^n f(0). Multiply by `draw.sign` for x."""
    size = data.plain(data.Uniforms(draw.uniform, draw.uniform[:, 0]), density)
    forced = draw.forced[:, None].expand(len(density), -1, -1)
    size.scatter_(-1, forced, 1 - draw.uniform.expand_as(size).gather(-1, forced))
    return size, density[:, None] / ((size > 0).to(size) @ draw.chance)


def batch_loss(
    weights: Weights, draw: Draw, density: Float[Tensor, " I"], importance: Float[Tensor, " F"]
) -> tuple[Float[Tensor, " I"], Float[Tensor, " I"]]:
    """L = E sum_i I_i (y'_i - |x_i|)^2 from one batch, and its standard error. Differentiable."""
    size, weight = sample(draw, density)
    each = weight * ((forward(weights, size * draw.sign) - size).square() @ importance)
    nothing = (1 - density) ** size.shape[-1] * (weights.b.relu().square() @ importance)
    return each.mean(1) + nothing, each.std(1) / math.sqrt(each.shape[1])


def gradient(weights: Weights, draw: Draw, density: Float[Tensor, " I"], importance: Float[Tensor, " F"], revive: float = 0.0) -> Weights:
    """Gradient of `batch_loss`, written by hand and as if W1 and W2 were free; that of tied weights is the sum of the two.

    With h = relu(x W1) and G = dL/dpre:  dW2 = G^T h,  db = sum_B G,  dW1 = x^T (G W2 [h > 0]).

    An output that is off for every sample has no gradient and never returns. `revive` > 0 lets through that share of the gradient of an
    output that is off while its own feature is active: a model without dead outputs hardly has such samples.
    """
    size, weight = sample(draw, density)
    x = size * draw.sign
    h = torch.bmm(x, weights.W1).relu_()
    pre = torch.baddbmm(weights.b[:, None], h, weights.W2.mT)
    G = torch.ops.aten.threshold_backward(pre - size, pre, 0)
    if revive:
        G.sub_(size * (pre <= 0), alpha=revive)
    G.mul_((2 / x.shape[1] * weight)[..., None]).mul_(importance)
    at_neurons = torch.ops.aten.threshold_backward(torch.bmm(G, weights.W2), h, 0)
    at_zero = 2 * ((1 - density) ** x.shape[-1])[:, None] * importance * weights.b.relu()
    return Weights(torch.bmm(x.mT, at_neurons), torch.bmm(G.mT, h), G.sum(1) + at_zero)


# --- training ---------------------------------------------------------------------------------------------------------


def fit(
    config: Config,
    start: Weights,
    density: Float[Tensor, " I"],
    importance: Float[Tensor, " F"],
    schedule: Schedule,
    stream: Generator,
    *,
    revive: float = 0.0,
) -> Weights:
    """Adam from the given weights, one density per instance; every instance sees the same draws, and its loss is divided by its V(p).
    See `gradient` for `revive`. Runs on the stream's device and returns the weights to where they came from.

    Raises:
        ValueError: a density outside (0, 1], weights or importances of another shape, or weights that diverged.
    """
    _refuse_bad(config, start, density, importance)
    density, importance = density.to(stream.device, torch.float32), importance.to(stream.device, torch.float32)
    W1, W2, b = (t.to(stream.device, torch.float32, copy=True) for t in start)
    weights = Weights(W1, W1 if config.tied else W2, b)
    free = [W1, b] if config.tied else [W1, W2, b]
    for t in free:
        t.grad = torch.empty_like(t)
    V, parts = data.variance(density)[:, None], pieces(len(density), schedule.batch * config.features, density.device)
    for _ in adam(free, schedule.steps, schedule.rate, fused=True, bar=f"{len(W1)} models"):
        batch = draw(config, importance, schedule.batch, stream)
        for at in parts:
            by = gradient(weights.at(at), batch, density[at], importance, revive)
            W1.grad[at] = (by.W1 + by.W2 if config.tied else by.W1) / V[at, :, None]
            b.grad[at] = by.b / V[at]
            if not config.tied:
                W2.grad[at] = by.W2 / V[at, :, None]
    return Weights(*(t.to(start.W1.device) for t in (W1, W1.clone() if config.tied else W2, b)))


def _refuse_bad(config: Config, start: Weights, density: Tensor, importance: Tensor) -> None:
    data.check_density(density)
    expected = (len(density), config.features, config.hidden)
    if start.W1.shape != expected or start.W2.shape != expected or start.b.shape != expected[:2]:
        shapes = [tuple(t.shape) for t in start]
        raise ValueError(f"start weights {shapes}: expected W1 and W2 of {expected}, one model per density, and b of {expected[:2]}.")
    model.check_importance(importance, config.features)
    for t, name in zip(start, Weights._fields, strict=True):
        model.check_weights(t, name)


class Estimate(NamedTuple):
    """A loss from fresh samples."""

    loss: Float[Tensor, " I"]
    error: Float[Tensor, " I"]
    """Standard error."""


def sampled_loss(
    config: Config, weights: Weights, density: Float[Tensor, " I"], importance: Float[Tensor, " F"], stream: Generator, samples: int
) -> Estimate:
    """Expected loss from fresh samples, the same draw for every instance, so that differences between models carry less noise than losses.
    Runs on the stream's device; the estimate is on the CPU.

    Raises:
        ValueError: as `fit`, or fewer than two samples.
    """
    _refuse_bad(config, weights, density, importance)
    if samples < 2:
        raise ValueError(f"samples={samples}: at least two are needed.")
    weights, density, importance = Weights(*(t.to(stream.device) for t in weights)), density.to(stream.device).float(), importance.to(stream.device)
    batch = min(samples, 1024)
    count, loss, variance = math.ceil(samples / batch), torch.zeros_like(density), torch.zeros_like(density)
    for _ in range(count):
        one = draw(config, importance, batch, stream)
        for i in range(len(density)):
            mean, error = batch_loss(weights.at(slice(i, i + 1)), one, density[i : i + 1], importance.float())
            loss[i] += mean[0] / count
            variance[i] += error[0] ** 2 / count**2
    return Estimate(loss.cpu(), variance.sqrt().cpu())


# --- measures ---------------------------------------------------------------------------------------------------------

ALIVE = 1e-2
"""A neuron whose largest weight is smaller, relative to the largest of its model, serves nobody."""


class Neurons(NamedTuple):
    """What the neurons of each model respond to."""

    mono: Bool[Tensor, "*I H"]
    """One feature alone: no other weight above the threshold times the neuron's largest."""
    poly: Bool[Tensor, "*I H"]
    """Several features."""


def neurons(W1: Float[Tensor, "*I F H"], threshold: float = 0.3) -> Neurons:
    """Sort neurons into monosemantic and polysemantic ones by their incoming weights; a dead neuron is neither.

    Raises:
        ValueError: weights that are not finite, or a threshold outside (0, 1).
    """
    model.check_weights(W1, "W1")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold={threshold}: must lie between 0 and 1.")
    size = W1.abs()
    top = size.amax(-2, keepdim=True)
    alive = (top > ALIVE * top.amax(-1, keepdim=True)).squeeze(-2)
    several = (size > threshold * top).sum(-2) > 1
    return Neurons(alive & ~several, alive & several)


def rescaled(weights: Weights) -> Weights:
    """The same model with the largest |W1| of every neuron 1: relu(c z) = c relu(z) for c > 0 (footnote 15 of the paper)."""
    top = weights.W1.abs().amax(1, keepdim=True).clamp_min(1e-12)
    return Weights(weights.W1 / top, weights.W2 * top, weights.b)


def motifs(weights: Weights) -> Bool[Tensor, "I H F F"]:
    """Asymmetric superposition: [k, a, i, j] says that neuron a of model k serves a big feature i and a small one j so that it hardly
    disturbs i, and that a companion repairs what it does to j.

    |W1_ia| >= 2 |W1_ja| and W2_ja >= 2 W2_ia, both W2 positive and both paths W1 W2 at least 1/4; another neuron c that fires for the same
    sign of i and takes at least 1 off output j per unit of i: |W1_ic| W2_jc <= -1. No condition depends on how neurons are scaled.
    """
    W1, W2 = weights.W1.mT, weights.W2.mT  # (I, H, F)
    big, small = W1.abs()[..., :, None], W1.abs()[..., None, :]
    out_big, out_small = W2[..., :, None], W2[..., None, :]
    inverted = (big >= 2 * small) & (out_small >= 2 * out_big) & (out_big > 0) & (big * out_big >= 0.25) & (small * out_small >= 0.25)
    taken = W1.abs()[..., :, None] * out_small <= -1  # (I, H, F, F): neuron c, big i, small j
    same = W1[:, :, None, :].sign() == W1[:, None, :, :].sign()  # (I, a, c, F)
    repaired = (same[..., None] & taken[:, None]).any(2)  # a itself never takes: its W2_ja is positive
    return inverted & repaired
