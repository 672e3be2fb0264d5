"""What the toy models should do: the linear optimum, the fates of an extra feature, and the best polytope at each density.

Everything here is deterministic and free of sampling noise. Losses are sums over features of squared errors, for
features that are active with probability p (the density) and then uniform on [0, 1].
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.toy import exact, geometry
from companion.toy.data import INDEPENDENT, check_density, variance


def linear_optimum(density: Float[Tensor, "*I"], importance: Float[Tensor, " F"], hidden: int) -> Float[Tensor, "*I"]:
    """Smallest loss of the linear model: L = V(p) * (sum of all importances but the `hidden` largest).

    By Eckart-Young, since L = V |D^(1/2) (1 - W W^T)|_F^2 for the best bias, with D the importances on the diagonal.

    Raises:
        ValueError: a density outside (0, 1], or hidden not in 1..F.
    """
    if not 1 <= hidden <= len(importance):
        raise ValueError(f"hidden={hidden} with {len(importance)} features: must lie in 1..{len(importance)}.")
    return variance(density) * importance.sort(descending=True).values[hidden:].sum()


# --- an extra feature: the phases of n = 2, m = 1 and n = 3, m = 2 -------------------------------------------------


def fates(density: Float[Tensor, "*C"], importance: Float[Tensor, "*C"], hidden: int) -> dict[str, Float[Tensor, "*C"]]:
    """Losses of what can become of one extra feature of importance r among m features of importance 1 (n = m + 1, m = 1 or 2).

    not learned: r V.  Dedicated, at the cost of another: V.  Superposed with another: (1 + r) p^2 / 6.  And for m = 2 the other two
    superposed, which leaves the extra one a dimension of its own: p^2 / 3. Unit vectors and the best bias of what is dropped; the free
    optimum lies up to an eighth below, and picks another fate only next to a boundary (Wattenberg's forms; checked in notebook 02).

    Raises:
        ValueError: a density outside (0, 1], hidden neither 1 nor 2.
    """
    if hidden not in (1, 2):
        raise ValueError(f"hidden={hidden}: the closed forms are for m = 1 and m = 2; use exact.optimum for others.")
    V, pair = variance(density), density.square() / 6
    losses = {"not learned": importance * V, "superposed": (1 + importance) * pair, "dedicated": V * torch.ones_like(importance)}
    return losses if hidden == 1 else losses | {"dedicated, others superposed": 2 * pair * torch.ones_like(importance)}


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
    grid, square, cross = _tables(name)
    chance = _chance(len(square) - 1, p)  # (P, K+1)
    start = grid[_recovered(chance @ square, chance @ cross).argmax(1)]
    c = _refine(lambda c: _recovered(*_polytope_moments(name, c, p)), start, (grid[1] - grid[0]).item())
    Q, C = _polytope_moments(name, c, p)
    return Optimum(p / 3 - _recovered(Q, C), C / Q, c * C / Q)


def _recovered(Q: Tensor, C: Tensor) -> Tensor:
    """C^2/Q, what the best norm takes off p/3; nothing where the output is always 0."""
    return torch.where(Q > 1e-30, C.square() / Q.clamp_min(1e-30), 0.0)


def _polytope_moments(name: str, c: Float[Tensor, " P"], density: Float[Tensor, " P"]) -> tuple[Tensor, Tensor]:
    """E relu(g.x + c)^2 and E x_0 relu(g.x + c) for the first corner, whose cosines with all corners are g."""
    square, cross = _by_size(name, c)
    chance = _chance(len(square) - 1, density).T  # (K+1, P)
    return (chance * square).sum(0), (chance * cross).sum(0)


def _by_size(name: str, c: Float[Tensor, " P"]) -> tuple[Float[Tensor, "K1 P"], Float[Tensor, "K1 P"]]:
    """The two moments summed over the active sets of each size, so that no density enters."""
    vectors = geometry.polytope(name)
    k = len(vectors)
    at = exact.corners(INDEPENDENT.law(torch.ones(1), k).sets)
    own = torch.eye(k, dtype=torch.float64)[:1].expand(len(c), -1)
    moments = exact.moments((vectors @ vectors[0]).expand(len(c), -1), own, c, at)
    sizes = torch.nn.functional.one_hot(at.sets.sum(-1).long(), k + 1).double()
    return tuple(sizes.T @ moment for moment in moments)


def _chance(features: int, density: Float[Tensor, " P"]) -> Float[Tensor, "P K1"]:
    """p^s (1-p)^(K-s): probability of one given set of s active features among K."""
    s = torch.arange(features + 1, dtype=torch.float64)
    p = density.double()[:, None]
    return p**s * (1 - p) ** (features - s)


@functools.lru_cache(maxsize=16)
def _tables(name: str) -> tuple[Float[Tensor, " C"], Float[Tensor, "K1 C"], Float[Tensor, "K1 C"]]:
    """A grid of c and the moments there, shared by every density. The largest c, of the linear model, is pk/(2d): 7/4 for heptagons at p = 1."""
    c = torch.linspace(-1, 2, 151, dtype=torch.float64)
    return c, *_by_size(name, c)


def _refine(value: Callable[[Tensor], Tensor], c: Float[Tensor, " P"], step: float) -> Float[Tensor, " P"]:
    """The maximum near c, for all densities at once: the best of c and c +- step, with half the step each time.

    The second derivative jumps where an output starts to pass a corner of the cube, so a parabola would be led astray.
    """
    best = value(c)
    while step > 1e-7:
        step /= 2
        for other in (c - step, c + step):
            found = value(other)
            c, best = torch.where(found > best, other, c), torch.maximum(found, best)
    return c


def tight_vulnerability(name: str) -> float:
    """Vulnerability (`adversarial`) of unit vectors on the corners of a polytope without biases, in the sparse limit: k/d max(E+, E-).

    For a tight frame M^2 = F M with F = k/d features per dimension, so the attack moves the outputs by eps F M_i / |M_i| with |M_i|^2 = F.
    Over an input of zeros the relu keeps the positive part of that (or the negative one, for the other sign), with E+ and E- their squared
    norms in M_i.
    """
    vectors = geometry.polytope(name)
    row = vectors @ vectors[0]
    return len(vectors) / vectors.shape[1] * max(row.relu().square().sum().item(), (-row).relu().square().sum().item())


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
