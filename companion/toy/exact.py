"""The expected loss of a small ReLU-output model, without sampling, and gradient descent on it.

Given its active set A an output is y = relu(a.x + c) with x uniform on the cube [0,1]^A. Integrals of powers of it are signed
sums over the corners v of the cube,

    J_r(A, c) = int (a.x + c)_+^r dx = r! / ((k+r)! prod a_j) * sum_v (-1)^(k-|v|) (a.v + c)_+^(k+r),    k = |A|,

the (k+r)-fold antiderivative, differenced; and int x_i (a.x + c)_+ = [J_2(A - i, c + a_i) - J_2(A, c)] / (2 a_i). Summed over the
sets with their probabilities that makes the expectation: 3^n terms for n independent features.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.toy.data import Law
from companion.toy.model import check_importance, check_weights
from companion.toy.schedule import adam

LIMIT = 60_000
"""Most pairs (active set, corner): ten independent features have 3^10 = 59,049."""
WEAK = 1e-3
"""Overlaps below this are integrated to first order: the closed form divides by them. The error is below WEAK^2 p."""


class Corners(NamedTuple):
    """The pairs (active set A, corner v of its cube)."""

    sets: Float[Tensor, "A F"]
    of: Tensor
    """Index of the set of each pair."""
    at: Float[Tensor, "T F"]
    """The corner v, 0/1, inside its set."""


def corners(sets: Float[Tensor, "A F"]) -> Corners:
    """All corners of the cubes of the given sets.

    Raises:
        ValueError: more than LIMIT of them.
    """
    sizes = sets.sum(-1).long()
    if int((2**sizes).sum()) > LIMIT:
        raise ValueError(
            f"{len(sets)} sets of up to {sizes.max()} of n={sets.shape[1]} features have {int((2**sizes).sum())} corners: the exact loss"
            f" stops at {LIMIT} (ten independent features); use train.sampled_loss."
        )
    return _corners(tuple(map(tuple, sets.long().tolist())))


@functools.lru_cache(maxsize=32)
def _corners(sets: tuple[tuple[int, ...], ...]) -> Corners:
    of, at = [], []
    for index, row in enumerate(sets):
        members = [j for j, active in enumerate(row) if active]
        cube = torch.zeros(2 ** len(members), len(row), dtype=torch.float64)
        cube[:, members] = ((torch.arange(len(cube))[:, None] >> torch.arange(len(members))) & 1).double()
        of.append(torch.full((len(cube),), index))
        at.append(cube)
    return Corners(torch.tensor(sets, dtype=torch.float64), torch.cat(of), torch.cat(at))


def moments(
    a: Float[Tensor, "R F"], own: Float[Tensor, "R F"], c: Float[Tensor, " R"], at: Corners
) -> tuple[Float[Tensor, "A R"], Float[Tensor, "A R"]]:
    """E[y^2 | A] and E[x_i y | A] (0 where i is not in A) for outputs y = relu(a.x + c), one column per output.

    Output r belongs to feature i where own[r, i] = 1. Differentiable in a and c.
    """
    weak = (a.abs() < WEAK).to(a)
    strong, a_own, weak_own = a * (1 - weak), (a * own).sum(-1), (weak * own).sum(-1) > 0
    k = at.sets @ (1 - weak).T
    product = torch.where(at.sets[:, None] * (1 - weak) > 0, a, 1.0).prod(-1)
    # a weak overlap enters through its mean value alone, and does not cut the cube
    s = at.at @ strong.T + (at.sets @ (a * weak / 2).T)[at.of] + c
    live = (s > 0) & (at.at @ weak.T == 0)
    power = (1 - 2 * (at.at.sum(-1, keepdim=True) % 2)) * live * torch.where(live, s, 0.0) ** k[at.of]  # 0^0 is 0: the step function
    with_own = power * s * (at.at @ own.T)
    factor = (1 - 2 * (k % 2)) / (product * torch.exp(torch.lgamma(k + 1)))
    J0 = factor * _sum_corners(power, at)
    J1, J1_own = (factor / (k + 1) * _sum_corners(term, at) for term in (power * s, with_own))
    J2 = 2 * factor / ((k + 1) * (k + 2)) * _sum_corners(power * s * s, at)
    cross = torch.where(weak_own, J1 / 2 + J0 * a_own / 12, J1_own - J2 / (2 * torch.where(weak_own, 1.0, a_own)))
    return J2, cross * (at.sets @ own.T)


def _sum_corners(terms: Float[Tensor, "T R"], at: Corners) -> Float[Tensor, "A R"]:
    return terms.new_zeros(len(at.sets), terms.shape[1]).index_add_(0, at.of, terms)


def loss(W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], law: Law, importance: Float[Tensor, "*I F"] | None = None) -> Float[Tensor, " I"]:
    """Expected loss sum_i I_i E (x_i - relu(W_i W^T x + b_i))^2, exactly and in float64; differentiable in W and b.

    Raises:
        ValueError: too many corners (see `corners`), weights that are not finite, importances or a law that do not fit the model.
    """
    check_weights(W)
    check_weights(b[..., None], "b")
    count, features = W.shape[:2]
    check_importance(importance, features)
    if law.sets.shape[1] != features:
        raise ValueError(f"a law of {law.sets.shape[1]} features and a model of {features}: they must agree.")
    at = corners(law.sets)
    own = torch.eye(features, dtype=torch.float64).repeat(count, 1)
    M = (W @ W.mT).double().flatten(0, 1)
    square, cross = moments(M, own, b.double().flatten(), at)
    terms = (square - 2 * cross).unflatten(1, (count, features))  # (A, I, F)
    per_feature = torch.einsum("aif,ia->if", terms, law.chance) + law.chance @ law.sets / 3
    return (per_feature if importance is None else per_feature * importance).sum(-1)


class Path(NamedTuple):
    """Gradient descent on the exact loss."""

    W: Float[Tensor, "I F H"]
    b: Float[Tensor, "I F"]
    loss: Float[Tensor, " I"]
    """Exact loss at the end."""
    W_at: Float[Tensor, "T I F H"]
    """W and the loss before each of the steps `kept`."""
    loss_at: Float[Tensor, "T I"]


def descend(
    W: Float[Tensor, "I F H"],
    b: Float[Tensor, "I F"],
    law: Law,
    importance: Float[Tensor, "*I F"] | None = None,
    *,
    steps: int,
    rate: float,
    kept: Sequence[int] = (),
) -> Path:
    """Adam on the exact loss from the given weights, the rate falling to 0 along a cosine; one persistent optimiser.

    Nothing is drawn, so two runs differ by their initial weights alone.

    Raises:
        ValueError: as `loss`; steps below 1 or a rate that is not positive.
    """
    if steps < 1 or not rate > 0:
        raise ValueError(f"steps={steps}, rate={rate}: at least one step, and a positive rate.")
    W, b = (t.detach().double().clone().requires_grad_() for t in (W, b))
    unit = (law.chance @ law.sets).sum(-1) / 3  # E |x|^2: a sparse model moves as fast as a dense one
    W_at, loss_at = [], []
    for step in adam([W, b], steps, rate, fused=False):
        value = loss(W, b, law, importance)
        if step in kept:
            W_at.append(W.detach().clone())
            loss_at.append(value.detach())
        W.grad = b.grad = None
        (value / unit).sum().backward()
    W, b = W.detach(), b.detach()
    empty = (W.new_empty(0, *W.shape), W.new_empty(0, len(W)))
    return Path(W, b, loss(W, b, law, importance), *((torch.stack(W_at), torch.stack(loss_at)) if W_at else empty))


class Best(NamedTuple):
    """The lowest loss found for each law."""

    W: Float[Tensor, "L F H"]
    b: Float[Tensor, "L F"]
    loss: Float[Tensor, " L"]


SHORTLIST = 3
"""Starts that are followed to the end."""


def optimum(
    starts: Float[Tensor, "S F H"], law: Law, importance: Float[Tensor, "*L F"] | None = None, *, steps: int = 200, rate: float = 0.05
) -> Best:
    """The best of many descents under each law: a quarter of the steps from every start, all of them from the best SHORTLIST.

    Deterministic; what it finds is an upper bound of the true optimum, and the more starts the tighter.

    Raises:
        ValueError: as `descend`.
    """
    levels, count = len(law.chance), len(starts)
    short, long = min(SHORTLIST, count), max(1, steps // 4)
    W, b = starts.double().repeat(levels, 1, 1), torch.zeros(levels * count, starts.shape[1], dtype=torch.float64)
    first = _descend_each(W, b, law, importance, count, steps=long, rate=rate)
    kept = first.loss.unflatten(0, (levels, count)).topk(short, largest=False).indices
    kept = (kept + count * torch.arange(levels)[:, None]).flatten()
    last = _descend_each(first.W[kept], first.b[kept], law, importance, short, steps=steps, rate=rate)
    best = last.loss.unflatten(0, (levels, short)).argmin(1) + short * torch.arange(levels)
    return Best(last.W[best], last.b[best], last.loss[best])


def _descend_each(W: Tensor, b: Tensor, law: Law, importance: Tensor | None, count: int, **schedule) -> Path:
    """`count` models per law, one after the other on the instance axis."""
    wide = Law(law.sets, law.chance.repeat_interleave(count, dim=0))
    if importance is not None and importance.ndim == 2:
        importance = importance.repeat_interleave(count, dim=0)
    return descend(W, b, wide, importance, **schedule)
