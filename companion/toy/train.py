"""Training many small models side by side, each as if it were alone.

Instances share a loop and, within one stream, the same random draws; nothing else. There is no joint gradient clipping
and no joint initial scale, and every loss is divided by its model's own V(p), so a sparse model moves as fast as a dense one.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.toy import data, model
from companion.toy.schedule import Schedule, adam, pieces


class Batch(NamedTuple):
    """Samples that have an active feature, and what makes a loss of them."""

    x: Float[Tensor, "I B F"]
    density: Float[Tensor, " I"]
    weight: Float[Tensor, " F"]
    """Importances."""
    source: data.Independent = data.INDEPENDENT
    relu: bool = True

    def active(self) -> Float[Tensor, " I"]:
        """Probability q that a sample has an active feature, 1 - (1-p)^n for independent ones."""
        return self.source.share_active(self.density, self.x.shape[-1])


class Fitted(NamedTuple):
    """Trained models, stream by stream: instance s * len(density) + l saw stream s and has density l."""

    W: Float[Tensor, "I F H"]
    b: Float[Tensor, "I F"]
    W_at: Float[Tensor, "K I F H"]
    """W before each of the schedule's `kept` steps."""


def fit(
    config: model.Config,
    density: Float[Tensor, " levels"],
    streams: Sequence[Generator],
    schedule: Schedule,
    importance: Float[Tensor, " F"] | None = None,
    source: data.Independent = data.INDEPENDENT,
) -> Fitted:
    """Train one model per stream and density on features of one kind.

    A stream sets the initial weights and the uniforms of all its densities (common random numbers), so one model depends on its
    stream and its density alone: adding densities or streams changes nothing in the others.

    Raises:
        ValueError: a density outside (0, 1], no stream, importances that make no sense, or weights that diverged.
    """
    data.check_density(density)
    if not len(density) or not len(streams):
        raise ValueError(f"{len(density)} densities and {len(streams)} streams: give at least one of each.")
    model.check_importance(importance, config.features)
    density = density.to(streams[0].device, torch.float32)
    W, centre = (schedule.start * t.repeat_interleave(len(density), dim=0) for t in model.initial(config, streams))
    W.grad, centre.grad = torch.empty_like(W), torch.empty_like(centre)
    weight = torch.ones(config.features, device=W.device) if importance is None else importance.to(W)
    kind = Batch(W.new_empty(0), density, weight, source, config.relu)  # of every batch; the samples change
    W_at = []
    for step in adam([W, centre], schedule.steps, schedule.rate, fused=True, bar=f"{len(W)} models"):
        if step in schedule.kept:
            W_at.append(W.clone())
        for at, batch in _batches(kind, streams, schedule.batch):
            W.grad[at], centre.grad[at] = scaled_gradient(W[at], centre[at], batch)
    b = bias_of(W, centre, density.repeat(len(streams)))
    return Fitted(W, b, torch.stack(W_at) if W_at else W.new_empty(0, *W.shape))


def _batches(kind: Batch, streams: Sequence[Generator], samples: int) -> Iterator[tuple[slice, Batch]]:
    """(instances, their batch): one draw serves a whole stream, and as many streams or densities go together as fit in the cache."""
    features, levels, device = len(kind.weight), len(kind.density), kind.density.device
    for group in pieces(len(streams), samples * features * levels, device):
        drawn = [kind.source.uniforms(features, samples, stream) for stream in streams[group]]
        for at in pieces(levels, samples * features, device):
            p = kind.density[at]
            each = [kind.source.sample(uniforms, p) for uniforms in drawn]
            x = torch.cat(each) if len(each) > 1 else each[0]  # a large batch is not copied
            first = group.start * levels + at.start
            yield slice(first, first + len(x)), kind._replace(x=x, density=p.repeat(len(drawn)))


def bias_of(W: Float[Tensor, "I F H"], centre: Float[Tensor, "I F"], density: Float[Tensor, " I"]) -> Float[Tensor, "I F"]:
    """b of a model written around the mean input p/2: W W^T (x - p/2) + centre = W W^T x + b.

    The optimum is the same. But the mean is the one direction of the data that n features share: in terms of b alone a dense
    problem is n times steeper along it than along any other, and Adam spends its steps there.
    """
    return centre - density[:, None] / 2 * (W @ W.sum(1, keepdim=True).mT)[..., 0]


def scaled_gradient(W: Float[Tensor, "I F H"], centre: Float[Tensor, "I F"], batch: Batch) -> tuple[Float[Tensor, "I F H"], Float[Tensor, "I F"]]:
    """Estimate of the gradient of L / V(p) by W and `centre`, with less noise than that of the batch.

    An output that is hardly represented has a large error, which is the noise of a dense model's gradient, and its relu rarely
    acts. So the share t_i = (1 - |W_i|^2)_+ of the *linear* model's error is taken out of the sample, and its expectation
    put in: a control variate, which changes no expected gradient. Its expectation is known for independent features only.
    """
    trust, mean, V = (1 - W.square().sum(-1)).clamp_min_(0), batch.density[:, None] / 2, data.variance(batch.density)[:, None]
    if batch.source != data.INDEPENDENT:
        trust.zero_()
    by_W, by_b = gradient(W, bias_of(W, centre, batch.density), batch, trust)
    # b depends on W through `bias_of`: - mean (g s^T + 1 (sum_i g_i W_i)^T) with s = sum_j W_j
    through = mean * by_b
    by_W.baddbmm_(through[..., None], W.sum(1, keepdim=True), alpha=-1).sub_(through[:, None] @ W)
    _add_linear_gradient(by_W, by_b, W, centre, trust * batch.weight, batch.density)
    return by_W.div_(V[..., None]), by_b.div_(V)


def _add_linear_gradient(by_W: Tensor, by_centre: Tensor, W: Tensor, centre: Tensor, trust: Float[Tensor, "I F"], density: Tensor) -> None:
    """Add the gradient of sum_i t_i E (x_i - (W W^T (x - p/2))_i - centre_i)^2, exactly.

    The expectation is sum_i t_i (V |(1 - W W^T)_i|^2 + (centre_i - p/2)^2); with K = 2V diag(t) W its gradient by W is
    K W^T W + W K^T W - 2 K.
    """
    K = (2 * data.variance(density)[:, None] * trust)[..., None] * W
    by_W.baddbmm_(K, W.mT @ W).baddbmm_(W, K.mT @ W).sub_(K, alpha=2)
    by_centre += 2 * trust * (centre - density[:, None] / 2)


def batch_loss(W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], batch: Batch) -> Float[Tensor, " I"]:
    """Expected loss from samples that have an active feature (`data.conditional`); the sample of zeros is added, not drawn.

    L = q mean_B sum_i I_i (x'_i - x_i)^2 + (1-q) sum_i I_i x'_i(0)^2 with q of `Batch.active`.
    """
    active, at_zero = batch.active(), b.relu() if batch.relu else b
    return active * model.loss(W, b, batch.x, batch.weight, relu=batch.relu) + (1 - active) * (at_zero.square() @ batch.weight)


def gradient(
    W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], batch: Batch, trust: Float[Tensor, "I F"] | float = 0.0
) -> tuple[Float[Tensor, "I F H"], Float[Tensor, "I F"]]:
    """Gradient of `batch_loss`, written by hand, minus `trust` times that of the model without its relu.

    With G = dL/dpre and h = xW,  dW = x^T (G W) + G^T h  and  db = sum_B G: five matrix products in all.
    """
    x, active = batch.x, batch.active()[:, None]
    h = torch.bmm(x, W)
    pre = torch.baddbmm(b[:, None], h, W.mT)
    error = torch.sub(pre, x)  # of the linear model; where pre > 0 also of ours
    G = torch.ops.aten.threshold_backward(error, pre, 0) if batch.relu else error.clone()
    G.addcmul_(error, torch.as_tensor(trust, device=x.device, dtype=x.dtype).expand_as(b)[:, None], value=-1)
    # the factors of each output go into the small matrices: G is the size of the batch
    scale = 2 * active / x.shape[1] * batch.weight
    gradient_W = torch.bmm(G.mT, h).mul_(scale[..., None])
    gradient_W.baddbmm_(x.mT, torch.bmm(G, scale[..., None] * W))
    passes = ((b > 0) | (not batch.relu)).to(b) - trust
    return gradient_W, scale * G.sum(1) + 2 * (1 - active) * batch.weight * passes * b


def sampled_loss(
    W: Float[Tensor, "I F H"],
    b: Float[Tensor, "I F"],
    density: Float[Tensor, " I"],
    stream: Generator,
    samples: int,
    importance: Float[Tensor, " F"] | None = None,
    *,
    relu: bool = True,
) -> Float[Tensor, " I"]:
    """Expected loss of any model, estimated on fresh samples; every instance sees the same draw.

    Raises:
        ValueError: weights that are not finite, a density outside (0, 1], samples below 1.
    """
    model.check_weights(W)
    data.check_density(density)
    if samples < 1:
        raise ValueError(f"samples={samples}: at least one is needed.")
    total, batch = torch.zeros(len(W), device=W.device), min(samples, 256)
    batches = math.ceil(samples / batch)
    for _ in range(batches):
        uniforms = data.draw(W.shape[1], batch, stream)
        for i, p in enumerate(density.split(1)):
            x = data.plain(uniforms, p.to(W))
            total[i] += model.loss(W[i : i + 1], b[i : i + 1], x, importance, relu=relu)[0]
    return total / batches
