"""Adversarial attacks on the toy models, and training against them (Toy Models of Superposition, "Superposition and adversarial robustness").

With M = W W^T, output i reads the input through row M_i, so an attack of length eps moves it most along that row:

    delta = +-eps M_i / |M_i|,    L'(i, sign) = E sum_j (relu(M (x + delta) + b)_j - x_j)^2.

The output is compared with the clean x. The attack is fixed before x is seen: the worst is taken over the 2n losses, each an average over
data. A model without superposition loses exactly eps^2 (`orthogonal`), so vulnerability is (max L' - L) / eps^2.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from numpy.polynomial.legendre import leggauss
from torch import Generator, Tensor

from companion.toy import data, model
from companion.toy.schedule import Schedule, adam

DEAD = 1e-6
"""A row of M that is shorter has no direction."""
REPRESENTED = 0.5
"""Training attacks features with |W_i| above this share of their model's longest: no absolute length, under which features could hide."""


def mean_norm(features: int, density: Float[Tensor, " I"], *, active: bool = False) -> Float[Tensor, " I"]:
    """E |x|_2 of the data, exactly: over all x, or given that x is not zero.

    E sqrt(s) = pi^(-1/2) int_0^inf (1 - E exp(-y^2 s)) y^-2 dy for s = |x|^2, where E exp(-y^2 x_i^2) = 1 - p + p sqrt(pi) erf(y) / (2y).
    With y = tan(theta) the integrand is smooth on [0, pi/2], and 96 Gauss points leave an error below 1e-9.

    Raises:
        ValueError: a density outside (0, 1], or features below 1.
    """
    data.check_density(density)
    if features < 1:
        raise ValueError(f"features={features}: must be at least 1.")
    p, (nodes, weight) = density.double()[:, None], map(torch.from_numpy, leggauss(96))
    theta = math.pi / 4 * (nodes + 1)
    y = theta.tan()
    lost = p * (1 - math.sqrt(math.pi) * torch.erf(y) / (2 * y))  # 1 - E exp(-y^2 x_i^2)
    mean = (-torch.expm1(features * torch.log1p(-lost)) / theta.sin().square()) @ weight * math.sqrt(math.pi) / 4
    return mean / data.share_active(density.double(), features) if active else mean


def orthogonal(features: int, hidden: int, density: Float[Tensor, " I"]) -> tuple[Float[Tensor, "I F H"], Float[Tensor, "I F"]]:
    """W and b of a model without superposition: the first features have a dimension each, the others are predicted by their mean p/2.

    Its only attack adds eps to one represented feature, x_i + eps >= 0 passes the relu, and so L' - L = eps^2 at every density.
    """
    W = torch.eye(features, hidden, dtype=torch.float64).expand(len(density), -1, -1)
    dropped = torch.arange(features) >= hidden
    return W, density.double()[:, None] / 2 * dropped


class Attacked(NamedTuple):
    """Expected losses without and with each of the attacks."""

    clean: Float[Tensor, " I"]
    """L."""
    loss: Float[Tensor, "I A"]
    """L' per attack."""

    def vulnerability(self, eps: Float[Tensor, " I"]) -> Float[Tensor, " I"]:
        """(max L' - L) / eps^2: the loss the worst attack adds, in units of what it adds without superposition."""
        return (self.loss.max(-1).values - self.clean) / eps.square()


def attacks(W: Float[Tensor, "I F H"]) -> Float[Tensor, "I A F"]:
    """The 2n unit vectors +-M_i / |M_i|; zero for a feature without a direction.

    Raises:
        ValueError: weights that are not finite.
    """
    model.check_weights(W)
    M = W @ W.mT
    rows = M / M.norm(dim=-1, keepdim=True).clamp_min(DEAD)
    return torch.cat([rows, -rows], dim=1)


def losses(
    W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], x: Iterable[Float[Tensor, "B F"]], delta: Float[Tensor, "I A F"], eps: Float[Tensor, " I"]
) -> Attacked:
    """Losses on given samples (of each instance in turn) under every attack eps * delta, at the cost of one sort for all of them.

    An attack shifts output j by one number t, and sum_B (relu(y + t) - x)^2 is quadratic in t between the values -y at which a sample starts
    to pass. Prefix sums of 1, y, y^2, x and xy over the sorted samples give it at any t: n B log B + 2n^2 log B operations instead of 2n^2 B.

    Raises:
        ValueError: weights that are not finite, or an attack whose length is not positive.
    """
    model.check_weights(W)
    if not bool((eps > 0).all()):
        raise ValueError(f"eps={eps.tolist()}: the attack must have a positive length.")
    found = [_losses(W_i, b_i, x_i, size * (d @ W_i) @ W_i.T) for W_i, b_i, x_i, d, size in zip(W, b, x, delta, eps, strict=True)]
    clean, attacked = zip(*found, strict=True)
    return Attacked(torch.stack(clean), torch.stack(attacked))


def _losses(W: Tensor, b: Tensor, x: Float[Tensor, "B F"], shift: Float[Tensor, "A F"]) -> tuple[Tensor, Float[Tensor, " A"]]:
    """One model in float64: what an attack adds is a small difference of large sums."""
    x, t = x.double().T.contiguous(), torch.cat([shift.new_zeros(1, len(b)), shift]).double().T.contiguous()  # (F, B), (F, 1 + A)
    y, order = (W.double() @ (W.double().T @ x) + b.double()[:, None]).sort(dim=1, descending=True)
    x = x.gather(1, order)
    passing = torch.searchsorted(-y, t)  # samples with y + t > 0

    def summed(terms: Float[Tensor, "F B"]) -> Float[Tensor, "F A1"]:
        return torch.nn.functional.pad(terms.cumsum(1), (1, 0)).gather(1, passing)

    square = summed(y * y) + 2 * t * summed(y) + t * t * passing
    cross = summed(x * y) + t * summed(x)
    total = ((square - 2 * cross).sum(0) + x.square().sum()) / x.shape[1]
    return total[0], total[1:]


def sampled_losses(
    W: Float[Tensor, "I F H"],
    b: Float[Tensor, "I F"],
    density: Float[Tensor, " I"],
    delta: Float[Tensor, "I A F"],
    eps: Float[Tensor, " I"],
    stream: Generator,
    samples: int,
) -> Attacked:
    """Expected `losses` for independent features, from samples that have an active one (`data.conditional`); the sample of zeros is exact.

    Every instance and every attack sees the same draw.

    Raises:
        ValueError: as `losses`; a density outside (0, 1], samples below 1.
    """
    data.check_density(density)
    uniforms = data.draw(W.shape[1], samples, stream)
    drawn = losses(W, b, (data.conditional(uniforms, p)[0] for p in density.split(1)), delta, eps)
    silent = losses(W, b, torch.zeros_like(b)[:, None], delta, eps)
    q = torch.cat([data.share_active(p, W.shape[1]) for p in density.split(1)])
    return Attacked(q * drawn.clean + (1 - q) * silent.clean, q[:, None] * drawn.loss + (1 - q[:, None]) * silent.loss)


# --- training against attacks -------------------------------------------------------------------------------------


def robust_loss(
    W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], x: Float[Tensor, "I B F"], eps: Float[Tensor, " I"], chosen: Float[Tensor, "I B F"]
) -> Float[Tensor, " I"]:
    """Mean over samples of the larger of the two losses under +-eps M_i / |M_i|, with i the 1 in each row of `chosen`.

    The attack is a constant of the gradient: a maximum's derivative is that of its argument.
    """
    with torch.no_grad():
        rows = (chosen @ W) @ W.mT
        delta = eps[:, None, None] * rows / rows.norm(dim=-1, keepdim=True).clamp_min(DEAD)
    h, step = x @ W, delta @ W
    errors = [(torch.baddbmm(b[:, None], h + sign * step, W.mT).relu() - x).square().sum(-1) for sign in (1, -1)]
    return torch.maximum(*errors).mean(-1)


def fit(
    config: model.Config, density: float, eps: Float[Tensor, " E"], streams: Sequence[Generator], schedule: Schedule
) -> tuple[Float[Tensor, "I F H"], Float[Tensor, "I F"]]:
    """Train one model per stream and attack length, each sample attacked at a random represented feature; instance s * len(eps) + e.

    Models of one stream share initial weights and samples. One Adam for the whole run, its rate falling to 0 along a cosine, on L'/V(p).

    Raises:
        ValueError: a density outside (0, 1], a negative eps, no stream, or weights that diverged.
    """
    p, eps = torch.tensor([density]), eps.float()
    data.check_density(p)
    if not len(streams) or not bool((eps >= 0).all()):
        raise ValueError(f"{len(streams)} streams, eps={eps.tolist()}: at least one stream, and no negative length.")
    W, b = ((schedule.start * t.repeat_interleave(len(eps), dim=0)).requires_grad_() for t in model.initial(config, streams))
    for _ in adam([W, b], schedule.steps, schedule.rate, fused=True, bar=f"{len(W)} attacked models"):
        x = torch.cat([data.plain(data.draw(config.features, schedule.batch, stream), p) for stream in streams])
        u = torch.cat([torch.rand(1, schedule.batch, generator=stream) for stream in streams])
        x, u = (t.repeat_interleave(len(eps), dim=0) for t in (x, u))
        loss = robust_loss(W, b, x, eps.repeat(len(streams)), _one_represented(W.detach(), u))
        W.grad = b.grad = None
        (loss / data.variance(p)).sum().backward()
    return W.detach(), b.detach()


def _one_represented(W: Float[Tensor, "I F H"], u: Float[Tensor, "I B"]) -> Float[Tensor, "I B F"]:
    """For each uniform number one represented feature of its model, each as likely, as a row with a single 1."""
    length = W.norm(dim=-1)
    rank = (length > REPRESENTED * length.amax(-1, keepdim=True)).to(W).cumsum(-1)  # (I, F): of a represented feature, its place among them
    place = (u * rank[:, -1:]).floor() + 1
    hit = (rank[:, None] == place[..., None]).to(W)
    return hit * (hit.cumsum(-1) == 1)  # ignored features behind it repeat its rank
