"""Measures of how features share dimensions, and the polytopes they form (Toy Models of Superposition, section 4).

W is (..., F, H): row W_i is the direction of feature i. Functions with `*I` take any number of leading instance axes.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from companion.toy.model import check_weights

DEAD = 1e-6
"""A feature shorter than this has no direction; its dimensionality is 0."""


def norms(W: Float[Tensor, "*I F H"]) -> Float[Tensor, "*I F"]:
    """|W_i|: how strongly each feature is represented.

    Raises:
        ValueError: NaN or infinite weights (as every measure of this module).
    """
    check_weights(W)
    return W.norm(dim=-1)


def dimensionality(W: Float[Tensor, "*I F H"]) -> Float[Tensor, "*I F"]:
    """D_i = |W_i|^2 / sum_j (What_i . W_j)^2: the share of a dimension that feature i has to itself; 0 for a dead feature."""
    own = norms(W).square()
    shared = (_unit(W) @ W.mT).square().sum(-1)
    return torch.where(shared > 0, own / shared.clamp_min(1e-30), 0.0)


def interference(W: Float[Tensor, "*I F H"], dead: float = DEAD) -> Float[Tensor, "*I F"]:
    """sum_{j != i} (What_i . W_j)^2: what the other features put on the direction of feature i; 0 for one shorter than `dead`."""
    seen = (_unit(W, dead) @ W.mT).square()
    seen.diagonal(dim1=-2, dim2=-1).zero_()
    return seen.sum(-1)


def leverage(W: Float[Tensor, "*I F H"]) -> Float[Tensor, "*I F"]:
    """l_i = W_i^T (sum_j W_j W_j^T)^+ W_i, the leverage score of a row. Sums to rank(W).

    D_i <= l_i, with equality for every i iff the features fall into orthogonal tight frames.
    """
    check_weights(W)
    U, s, _ = torch.linalg.svd(W, full_matrices=False)
    kept = s > s.amax(-1, keepdim=True) * W.shape[-2] * torch.finfo(W.dtype).eps
    return (U.square() * kept[..., None, :]).sum(-1)


def dimensions_per_feature(W: Float[Tensor, "*I F H"]) -> Float[Tensor, "*I"]:
    """D* = m / |W|_F^2: hidden dimensions per represented feature.

    Raises:
        ValueError: weights that are all zero, besides those of `norms`.
    """
    total = norms(W).square().sum(-1)
    if bool((total == 0).any()):
        raise ValueError("W is zero: no feature is represented, so dimensions per feature are not defined.")
    return W.shape[-1] / total


def upright(W: Float[Tensor, "*I F H"], up: Float[Tensor, " H"], right: Float[Tensor, " H"]) -> Float[Tensor, "*I F H"]:
    """W in an orthonormal basis whose last vector points along `up`, the first along what `right` has across it (no loss changes).

    Raises:
        ValueError: one hidden dimension, which has no right.
    """
    if len(up) < 2:
        raise ValueError(f"hidden={len(up)}: only in two dimensions or more can W be turned.")
    Q, R = torch.linalg.qr(torch.stack([up, right], dim=1), mode="complete")
    Q[:, :2] *= torch.where(R.diagonal() < 0, -1.0, 1.0)
    return W @ Q.roll(-1, dims=1)


def _unit(W: Float[Tensor, "*I F H"], dead: float = DEAD) -> Float[Tensor, "*I F H"]:
    length = norms(W)[..., None]
    return torch.where(length > dead, W / length.clamp_min(dead), 0.0)


class LineTest(NamedTuple):
    """How many values lie on a horizontal line, and how many beside it (the mean of the two windows)."""

    on: int
    beside: float


def line_test(values: Float[Tensor, "..."], fraction: float) -> LineTest:
    """Count the values within 0.005 of a fraction, and in the windows of that width 0.0125 to either side of it."""
    near = [int(((values - centre).abs() <= 0.005).sum()) for centre in (fraction - 0.0125, fraction, fraction + 0.0125)]
    return LineTest(near[1], (near[0] + near[2]) / 2)


# --- the polytopes ------------------------------------------------------------------------------------------------


def _simplex(dimensions: int) -> Float[Tensor, "k d"]:
    """d + 1 unit vectors with all cosines -1/d: the corners of a cube's corner figure, seen along its diagonal."""
    k = dimensions + 1
    centred = torch.eye(k, dtype=torch.float64) - 1 / k
    U, s, _ = torch.linalg.svd(centred)
    corners = U[:, :dimensions] * s[:dimensions]
    return corners / corners.norm(dim=-1, keepdim=True)


def _polygon(corners: int) -> Float[Tensor, "k 2"]:
    angle = 2 * math.pi * torch.arange(corners, dtype=torch.float64) / corners
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def _two_squares(turn: float) -> Float[Tensor, "8 3"]:
    """Two parallel squares at heights +-1/sqrt(3), the upper one turned: the height makes the eight a tight frame."""
    angle = math.pi / 2 * torch.arange(4, dtype=torch.float64)
    squares = []
    for height, angles in ((-1, angle), (1, angle + turn)):
        flat = torch.stack([angles.cos(), angles.sin()], dim=-1) * math.sqrt(2 / 3)
        squares.append(torch.cat([flat, torch.full((4, 1), height / math.sqrt(3), dtype=torch.float64)], dim=-1))
    return torch.cat(squares)


POLYTOPES: dict[str, Callable[[], Float[Tensor, "k d"]]] = {
    "dedicated": lambda: torch.ones(1, 1, dtype=torch.float64),
    "digon": lambda: torch.tensor([[1.0], [-1.0]], dtype=torch.float64),
    "triangle": lambda: _polygon(3),
    "tetrahedron": lambda: _simplex(3),
    "5-cell": lambda: _simplex(4),
    "pentagon": lambda: _polygon(5),
    "hexagon": lambda: _polygon(6),
    "heptagon": lambda: _polygon(7),
    "square antiprism": lambda: _two_squares(math.pi / 4),
    "cube": lambda: _two_squares(0.0),
}
"""Unit vectors of the tegum factors the paper names; each is a tight frame, so D_i = d/k."""


def polytope(name: str) -> Float[Tensor, "k d"]:
    """The k unit vectors of a polytope in d dimensions, float64.

    Raises:
        ValueError: a name that POLYTOPES does not hold.
    """
    if name not in POLYTOPES:
        raise ValueError(f"no polytope {name!r}: use one of {', '.join(POLYTOPES)}.")
    return POLYTOPES[name]()


def tegum(*names: str) -> Float[Tensor, "F H"]:
    """Polytopes in orthogonal subspaces (the paper's tegum product): the octahedron is tegum("digon", "digon", "digon")."""
    return torch.block_diag(*(polytope(name) for name in names))


# --- the feature graph --------------------------------------------------------------------------------------------


class Component(NamedTuple):
    """Features that share dimensions with each other and with nobody else."""

    nodes: tuple[int, ...]
    rank: int
    """Dimensions they span."""
    name: str
    """The polytope they form, or "other"."""


def components(W: Float[Tensor, "F H"]) -> list[Component]:
    """Connected components of the graph on features with |W_i| > 0.5, joined where |W_i . W_j| > 0.15; sorted by their smallest node.

    Raises:
        ValueError: W with an instance axis, or weights that are not finite.
    """
    if W.ndim != 2:
        raise ValueError(f"W has shape {tuple(W.shape)}: components takes one model, (features, hidden); index the instance first.")
    alive = (norms(W) > 0.5).nonzero().flatten()
    linked = (W[alive] @ W[alive].T).abs() > 0.15
    count, label = connected_components(linked.cpu().numpy(), directed=False)
    members = [alive[torch.from_numpy(label == which)] for which in range(count)]
    return [Component(tuple(nodes.tolist()), _rank(W[nodes]), classify(W[nodes])) for nodes in members]


def _rank(W: Float[Tensor, "k H"]) -> int:
    """Dimensions with at least a tenth of the largest singular value: trained components leak a little into the rest."""
    s = torch.linalg.svdvals(W)
    return int((s > 0.1 * s[0]).sum())


def classify(W: Float[Tensor, "k H"]) -> str:
    """Name of the polytope with as many corners, W's rank, and sorted cosines within 0.15 of W's; "other" if there is none.

    D_i alone does not tell a cube from a square antiprism.
    """
    cosines = _sorted_cosines(W)
    for name in POLYTOPES:
        corners = polytope(name)
        if corners.shape == (len(W), _rank(W)) and bool(((_sorted_cosines(corners) - cosines).abs() <= 0.15).all()):
            return name
    return "other"


def _sorted_cosines(W: Float[Tensor, "k H"]) -> Float[Tensor, " pairs"]:
    unit = _unit(W)
    above = torch.ones(len(W), len(W), dtype=torch.bool, device=W.device).triu(1)
    return (unit @ unit.T)[above].sort().values
