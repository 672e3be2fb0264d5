"""What the toy models should do: exact expected losses, and which polytope packs features best at which density.

Everything here is deterministic and free of sampling noise. Losses are sums over features of squared errors, for
features that are active with probability p (the density) and then uniform on [0, 1].
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.toy import geometry
from companion.toy.data import check_density
from companion.toy.model import check_weights

LIMIT = 10
"""Largest n of the exact engine, whose cost grows as 3^n."""
WEAK = 1e-3
"""Overlaps below this are integrated to first order: the closed form divides by them. The error is below WEAK^2 p."""


def variance(density: Float[Tensor, "*I"]) -> Float[Tensor, "*I"]:
    """V(p) = p/3 - p^2/4, the variance of a feature and the loss of leaving it out.

    Raises:
        ValueError: a density outside (0, 1].
    """
    check_density(density)
    return density / 3 - density.square() / 4


def linear_optimum(density: Float[Tensor, "*I"], importance: Float[Tensor, " F"], hidden: int) -> Float[Tensor, "*I"]:
    """Smallest loss of the linear model: L = V(p) * (sum of all importances but the `hidden` largest).

    By Eckart-Young, since L = V |D^(1/2) (1 - W W^T)|_F^2 for the best bias, with D the importances on the diagonal.

    Raises:
        ValueError: a density outside (0, 1], or hidden not in 1..F.
    """
    if not 1 <= hidden <= len(importance):
        raise ValueError(f"hidden={hidden} with {len(importance)} features: must lie in 1..{len(importance)}.")
    return variance(density) * importance.sort(descending=True).values[hidden:].sum()


# --- the exact expected loss -------------------------------------------------------------------------------------
#
# For a set B of active features, J_r(B, c) = integral over [0,1]^B of (a.x + c)_+^r is a signed sum over the corners
# v of the cube, r! / ((k+r)! prod a_j) * sum_v (-1)^(k-|v|) (a.v + c)_+^(k+r): the (k+r)-fold antiderivative, differenced.


@functools.lru_cache(maxsize=16)
def _subsets(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """All subsets of n things as 0/1 rows, and the index pairs (B, v) with v inside B."""
    codes = torch.arange(2**n)
    members = (codes[:, None] >> torch.arange(n)) & 1
    B, v = ((codes[None, :] & ~codes[:, None]) == 0).nonzero(as_tuple=True)
    return members.double(), B, v


class _Corners:
    """J_r of every subset of the other features, summed over the subsets of each size (so that no density enters)."""

    def __init__(self, others: Float[Tensor, "R K"], bias: Float[Tensor, " R"]):
        members, B, v = (table.to(others.device) for table in _subsets(others.shape[1]))
        weak = others.abs() < WEAK
        order = (~weak).double() @ members.T  # (R, 2^K): strong members of each subset
        product = torch.where(members.bool() & ~weak[:, None], others[:, None], 1.0).prod(-1)
        sign = 1 - 2 * ((order[:, B] - order[:, v]) % 2)
        # a weak overlap enters through its mean value alone, and does not cut the cube
        cut_by_weak = weak.double() @ members.T > 0
        shift = (others * weak / 2) @ members.T
        self.factor = sign.masked_fill(cut_by_weak[:, v], 0) / product[:, B]
        self.k = order[:, B]
        self.at = ((others * ~weak) @ members.T)[:, v] + shift[:, B] + bias[:, None]  # (R, 3^K): a.v + c
        self.size = torch.nn.functional.one_hot(members.sum(-1).long()[B], others.shape[1] + 1).double()

    def __call__(self, offset: Float[Tensor, " R"], *orders: int) -> list[Float[Tensor, "R K1"]]:
        """J_r(B, c + offset) for each r in `orders`, by the size of B = 0..K."""
        base = (self.at + offset[:, None]).relu()
        term = self.factor * base**self.k * (base > 0) / torch.exp(torch.lgamma(self.k + 1))  # 0^0 is 0: the step function
        results = []
        for r in range(max(orders) + 1):
            if r:  # r! / (k+r)! s^(k+r) from its predecessor
                term = term * base * (r / (self.k + r))
            results.append(term @ self.size)
        return [results[r] for r in orders]


def _by_size(others: Float[Tensor, "R K"], own: Float[Tensor, " R"], bias: Float[Tensor, " R"]) -> tuple[Tensor, Tensor, Tensor]:
    """E y^2 with x_i = 0, E y^2 and E x_i y with x_i active, each summed over the sets of s = 0..K other active features."""
    J, none = _Corners(others, bias), torch.zeros_like(own)
    weak = own.abs() < WEAK
    a = torch.where(weak, 1.0, own)
    (idle, low3), (high2, high3) = J(none, 2, 3), J(a, 2, 3)
    square = (high3 - low3) / (3 * a[:, None])
    cross = (high2 - square) / (2 * a[:, None])
    if bool(weak.any()):  # a feature that is not represented: expand in its own overlap
        middle, weak = torch.where(weak, own, 0.0) / 2, weak[:, None]
        near0, near1, near2 = J(middle, 0, 1, 2)
        square = torch.where(weak, near2, square)
        cross = torch.where(weak, near1 / 2 + near0 * middle[:, None] / 6, cross)
    return idle, square, cross


def _chance(others: int, density: Float[Tensor, "*R"]) -> Float[Tensor, "*R K1"]:
    """p^s (1-p)^(K-s): probability of one given set of s active features among K."""
    s = torch.arange(others + 1, dtype=torch.float64, device=density.device)
    p = density.double()[..., None]
    return p**s * (1 - p) ** (others - s)


def row_moments(
    others: Float[Tensor, "R K"], own: Float[Tensor, " R"], bias: Float[Tensor, " R"], density: Float[Tensor, " R"]
) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
    """E y^2 and E x_i y of one output y = relu(own x_i + others . x + bias), exactly; R outputs at once, float64.

    `own` is |W_i|^2 and `others` the K overlaps W_i . W_j. Differentiable in the first three.
    """
    idle, square, cross = _by_size(others, own, bias)
    chance, p = _chance(others.shape[1], density), density[:, None]
    return (chance * ((1 - p) * idle + p * square)).sum(-1), (chance * p * cross).sum(-1)


def exact_loss(
    W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], density: Float[Tensor, " I"], importance: Float[Tensor, " F"] | None = None
) -> Float[Tensor, " I"]:
    """Expected loss sum_i I_i E (x_i - relu(W_i W^T x + b_i))^2 of ReLU-output models, without sampling.

    Sums over the subsets of active features and the corners of their cubes: 3^F terms per instance, differentiable.

    Raises:
        ValueError: F above LIMIT, weights that are not finite, a density outside (0, 1].
    """
    count, features = W.shape[0], W.shape[1]
    if features > LIMIT:
        raise ValueError(f"n={features} features: the exact loss has 3^n terms and stops at n={LIMIT}; use train.sampled_loss.")
    check_weights(W)
    check_weights(b[..., None], "b")
    check_density(density)
    M = (W @ W.mT).double()
    off = ~torch.eye(features, dtype=torch.bool, device=W.device)
    p = density.double().repeat_interleave(features)
    others = M[:, off].reshape(count * features, features - 1)
    square, cross = row_moments(others, M.diagonal(dim1=1, dim2=2).flatten(), b.double().flatten(), p)
    per_feature = (p / 3 - 2 * cross + square).reshape(count, features)
    return (per_feature if importance is None else per_feature * importance).sum(-1)


# --- uniform superposition: the best polytope at each density -----------------------------------------------------


class Optimum(NamedTuple):
    """The best model whose features are the corners of one polytope, per density."""

    loss: Float[Tensor, " P"]
    """Per feature."""
    square_norm: Float[Tensor, " P"]
    """|W_i|^2."""
    bias: Float[Tensor, " P"]


def polytope_optimum(name: str, density: Float[Tensor, " P"]) -> Optimum:
    """Least loss per feature of k equal features on the corners of a polytope, over their norm and their bias.

    All corners are alike, so one output suffices: with g the cosines, w the norm and b = c w^2,
    E (x - w^2 relu(g.x + c))^2 = p/3 - 2 w^2 C(c) + w^4 Q(c). Its minimum over w is p/3 - C^2/Q at w^2 = C/Q, which
    leaves one search, over c.

    Raises:
        ValueError: unknown polytope, or a density outside (0, 1].
    """
    check_density(density)
    p = density.double()
    grid, idle, square, cross = _tables(name)
    chance = _chance(idle.shape[1] - 1, p).T  # (K+1, P)
    Q, C = (1 - p) * (idle @ chance) + p * (square @ chance), p * (cross @ chance)
    start = grid[_recovered(Q, C).argmax(0)]
    c = _refine(lambda c: _recovered(*_polytope_moments(name, c, p)), start, (grid[1] - grid[0]).item())
    Q, C = _polytope_moments(name, c, p)
    return Optimum(p / 3 - _recovered(Q, C), C / Q, c * C / Q)


def _recovered(Q: Tensor, C: Tensor) -> Tensor:
    """C^2/Q, what the best norm takes off p/3; nothing where the output is always 0."""
    return torch.where(Q > 1e-30, C.square() / Q.clamp_min(1e-30), 0.0)


def _polytope_moments(name: str, c: Float[Tensor, " P"], density: Float[Tensor, " P"]) -> tuple[Tensor, Tensor]:
    corners = geometry.polytope(name)
    return row_moments((corners[1:] @ corners[0]).expand(len(c), -1), torch.ones_like(c), c, density)


@functools.lru_cache(maxsize=16)
def _tables(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A grid of c and the moments there by number of active features, shared by every density."""
    corners = geometry.polytope(name)
    c = torch.linspace(-1, 1.5, 126, dtype=torch.float64)
    return c, *_by_size((corners[1:] @ corners[0]).expand(len(c), -1), torch.ones_like(c), c)


def _refine(value: Callable[[Tensor], Tensor], start: Float[Tensor, " P"], step: float) -> Float[Tensor, " P"]:
    """Golden-section search for the maximum within +-step of start, for all densities at once."""
    ratio = (5**0.5 - 1) / 2
    left, right = start - step, start + step
    a, b = right - ratio * (right - left), left + ratio * (right - left)
    at_a, at_b = value(a), value(b)
    for _ in range(24):
        up = at_a < at_b  # the maximum is right of a: b becomes the new a
        left, right = torch.where(up, a, left), torch.where(up, right, b)
        fresh = torch.where(up, left + ratio * (right - left), right - ratio * (right - left))
        at_fresh = value(fresh)
        a, b, at_a, at_b = (
            torch.where(up, b, fresh),
            torch.where(up, fresh, a),
            torch.where(up, at_b, at_fresh),
            torch.where(up, at_fresh, at_a),
        )
    return (left + right) / 2


class Envelope(NamedTuple):
    """Tegum products of one polytope each, per density."""

    names: tuple[str, ...]
    density: Float[Tensor, " P"]
    gain: Float[Tensor, "G P"]
    """R_g = k (V - l_g) / (d V): features' worth of variance recovered per hidden dimension; 1 for the linear model."""
    dimensions: Float[Tensor, "G P"]
    """D* = m / |W|_F^2 = d / (k w^2)."""

    @property
    def best(self) -> Tensor:
        """Index of the polytope with the largest gain, per density."""
        return self.gain.argmax(0)


def envelope(density: Float[Tensor, " P"], names: tuple[str, ...] = tuple(geometry.POLYTOPES)) -> Envelope:
    """Gain per dimension of each polytope at each density; the best of them is a lower bound on what can be gained.

    Orthogonal blocks do not interact, so filling m dimensions with copies of one polytope adds their gains.

    Raises:
        ValueError: unknown polytope, or a density outside (0, 1].
    """
    gains, dimensions = [], []
    for name in names:
        k, d = geometry.polytope(name).shape
        optimum = polytope_optimum(name, density)
        V = variance(density.double())
        gains.append(k * (V - optimum.loss) / (d * V))
        dimensions.append(d / (k * optimum.square_norm))
    return Envelope(names, density, torch.stack(gains), torch.stack(dimensions))


class Transition(NamedTuple):
    """Where the best polytope changes."""

    density: float
    denser: str
    sparser: str


def transitions(curve: Envelope) -> list[Transition]:
    """Densities at which the best polytope of an envelope changes, from dense to sparse, refined between grid points.

    Raises:
        ValueError: the densities of the envelope do not decrease.
    """
    if bool((curve.density.diff() >= 0).any()):
        raise ValueError("the envelope's densities must strictly decrease, from dense to sparse.")
    best = curve.best.tolist()
    found = []
    for at in [i for i in range(len(best) - 1) if best[i] != best[i + 1]]:
        pair = (curve.names[best[at]], curve.names[best[at + 1]])
        fine = torch.linspace(curve.density[at].item(), curve.density[at + 1].item(), 9, dtype=torch.float64)
        ahead = envelope(fine, pair).gain.diff(dim=0)[0]  # gain of the sparser one over the denser one: from below to above 0
        i = int((ahead > 0).nonzero()[0].clamp(min=1))
        part = ahead[i - 1] / (ahead[i - 1] - ahead[i])
        found.append(Transition((fine[i - 1] + part * (fine[i] - fine[i - 1])).item(), *pair))
    return found
