"""Logistic regression on one variable with weights, for many variables and many labels at once, by Newton's method.

Of a variable z and a label y, with weights c_t, the minimum over w and b of
    sum_t c_t [softplus(w z_t + b) - y_t (w z_t + b)].
It is reached where the values of the two classes overlap. Where a threshold separates them the loss falls towards a limit as |w|
grows, and the limit is known exactly: what stays is the entropy of the labels on the threshold itself.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

RIDGE = 1e-4
"""Added for separated classes only, whose best w is infinite: RIDGE / 2 (w range)^2, range = max z - min z, makes w and b finite."""
TOLERANCE, ITERATIONS = 1e-10, 1000
"""Largest gradient of the loss at the end, in units where the largest |z| is 1, and evaluations until then: about 10 where z is as large
as its spread, some hundreds where its largest value is 1e30 times its median."""
ROUNDING = 1e-12
"""By how much a step may raise the loss: there the loss has no more digits, and the gradient still has."""


class Probes(NamedTuple):
    loss: Float[Tensor, "F Y"]
    """Least loss in nats, of separated classes the limit for |w| to infinity."""
    w: Float[Tensor, "F Y"]
    b: Float[Tensor, "F Y"]
    separated: Bool[Tensor, "F Y"]
    """A threshold has no token on its wrong side, those on it apart, as also where z never changes: w and b have the ridge."""


class _Problem(NamedTuple):
    design: Float[Tensor, "F M 2"]
    """z in units of its largest, and 1."""
    positive: Float[Tensor, "F M Y"]
    weight: Float[Tensor, "F M Y"]
    """Of both classes."""
    target: Float[Tensor, "F 2 Y"]
    """sum c y z, and sum c y."""
    ridge: Float[Tensor, "F Y"]


def least(z: Float[Tensor, "F M"], negative: Float[Tensor, "F M Y"], positive: Float[Tensor, "F M Y"]) -> Probes:
    """The minimum for M values of each of F variables and Y labels, in float64.

    Args:
        negative: summed weights c of the negatives that have the value; 0 for none.
        positive: the same of the positives. A value with neither counts for nothing.

    Raises:
        ArithmeticError: a gradient that stays above the tolerance.
    """
    limit, separated, span = _limit(z, negative, positive)
    scale = z.abs().amax(1, keepdim=True)
    scale = torch.where(scale > 0, scale, 1)
    design = torch.stack([z / scale, torch.ones_like(z)], dim=2)
    ridge = separated * RIDGE * torch.where(span > 0, span / scale, 1) ** 2
    loss, theta = _newton(_Problem(design, positive, negative + positive, design.mT @ positive, ridge))
    return Probes(torch.where(separated, limit, loss), theta[:, 0] / scale, theta[:, 1], separated)


def _limit(z: Tensor, negative: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The loss for |w| to infinity at a threshold that separates the classes, whether there is one, and max z - min z; all (F, Y)."""
    (low0, high0), (low1, high1) = (
        (z[..., None].where(there > 0, torch.inf).amin(1), z[..., None].where(there > 0, -torch.inf).amax(1)) for there in (negative, positive)
    )
    threshold = torch.where(high0 <= low1, low1, low0)
    on = z[..., None] == threshold[:, None]
    mass = torch.stack([(negative * on).sum(1), (positive * on).sum(1)])
    entropy = torch.xlogy(mass, mass.sum(0) / mass.clamp_min(torch.finfo(mass.dtype).tiny)).sum(0)
    return entropy, (high0 <= low1) | (high1 <= low0), torch.maximum(high0, high1) - torch.minimum(low0, low1)


def _evaluate(problem: _Problem, theta: Float[Tensor, "F 2 Y"]) -> tuple[Tensor, Tensor, Tensor]:
    """Loss (F, Y), its gradient (F, 2, Y) in (w, b), and its second derivatives (F, 3, Y) in ww, wb, bb."""
    q = problem.design @ theta
    p = q.sigmoid()
    cp = problem.weight * p
    z = problem.design[..., 0]
    gradient = problem.design.mT @ cp - problem.target
    hessian = torch.stack([z * z, z, torch.ones_like(z)], dim=1) @ (cp - cp * p)
    each = problem.weight * softplus(q, threshold=40) - problem.positive * q  # a difference of sums would lose what a large q hides
    loss = each.sum(1) + problem.ridge / 2 * theta[:, 0] ** 2
    gradient[:, 0] += problem.ridge * theta[:, 0]
    hessian[:, 0] += problem.ridge
    return loss, gradient, hessian


def _newton(problem: _Problem) -> tuple[Float[Tensor, "F Y"], Float[Tensor, "F 2 Y"]]:
    """Newton's method from w = b = 0; a step that raises the loss is halved until it does not."""
    theta, step = torch.zeros_like(problem.target), torch.zeros_like(problem.target)
    best, done = torch.full_like(problem.ridge, torch.inf), torch.zeros_like(problem.ridge, dtype=torch.bool)
    for _ in range(ITERATIONS):
        loss, gradient, hessian = _evaluate(problem, theta + step)
        lower = loss <= best + ROUNDING
        theta, best = torch.where(lower[:, None], theta + step, theta), torch.where(lower, loss, best)
        done |= lower & (gradient.abs().amax(1) <= TOLERANCE)
        if done.all():
            return best, theta
        ww, wb, bb = hessian.unbind(1)
        (gw, gb), det = gradient.unbind(1), (ww * bb - wb * wb).clamp_min(torch.finfo(ww.dtype).tiny)
        onward = torch.stack([wb * gb - bb * gw, wb * gw - ww * gb], dim=1) / det[:, None]
        step = torch.where(lower[:, None], onward, step / 2).masked_fill(done[:, None], 0)
    raise ArithmeticError(f"{int((~done).sum())} probes have a gradient above {TOLERANCE} after {ITERATIONS} evaluations")
