"""Polytopes whose corners are features, in the plane and as solids, beside the matrices they correspond to. Arrays in, figures out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from numpy import ndarray
from scipy.spatial import ConvexHull

from companion.plots.concepts import LABEL, arrow, canvas
from companion.plots.heatmaps import heat
from companion.plots.style import CATEGORIES, CONTROL, INSIDE, PALE, THEORY, Matrix, styled

VIEW = {"elev": 20, "azim": -47}
"""From where solids are seen, in degrees."""


@styled
def polytope_and_matrix(W_by_name: Mapping[str, Matrix]) -> Figure:
    """C6: the polytope whose corners are the rows of W, and below it the matrix W W^T of rank H it corresponds to (H = 1, 2 or 3).

    Raises:
        ValueError: a W with more than three columns, which has no drawing.
    """
    count, below = len(W_by_name), []
    figure = Figure(figsize=(2.6 * count + 0.7, 5.2), layout="constrained")
    for at, (name, W) in enumerate(W_by_name.items(), 1):
        if W.shape[1] > 3:
            raise ValueError(f"{name}: W has shape {W.shape}; only one, two or three hidden dimensions can be drawn.")
        draw, projection = (_solid, "3d") if W.shape[1] == 3 else (_flat, None)
        draw(figure.add_subplot(2, count, at, projection=projection), W, CATEGORIES[: len(W)], name)
        below.append(figure.add_subplot(2, count, count + at))
        ticks, rank = range(len(W)), f"W Wᵀ: {len(W)} × {len(W)}, rank {W.shape[1]}"
        image = heat(below[-1], W @ W.T, xticks=ticks, yticks=ticks, xlabel=rank)
    figure.colorbar(image, ax=below, shrink=0.7, label="Wᵢ · Wⱼ")
    return figure


@styled
def tegum_products(W_by_name: Mapping[str, Float[ndarray, "F 3"]], D_by_name: Mapping[str, Float[ndarray, " F"]]) -> Figure:
    """C5: polytopes put into orthogonal subspaces of three dimensions; a corner's colour and label is its dimensionality D_i, as given."""
    down, across = -(-len(W_by_name) // 3), min(3, len(W_by_name))
    figure = Figure(figsize=(2.9 * across, 3.4 * down), layout="constrained")
    shades = {D: CATEGORIES[i % 10] for i, D in enumerate(sorted({round(float(d), 6) for D in D_by_name.values() for d in D}, reverse=True))}
    for at, (name, W) in enumerate(W_by_name.items(), 1):
        values = [round(float(d), 6) for d in D_by_name[name]]
        axes = figure.add_subplot(down, across, at, projection="3d")
        split = " + ".join(f"{count} × {Fraction(D).limit_denominator(20)}" for D, count in Counter(values).items())
        _solid(axes, W, [shades[D] for D in values], f"{name}\nD: {split}")
        for corner, D in zip(W, values, strict=True):
            text = f"{Fraction(D).limit_denominator(20)}"
            axes.text(*(1.22 * corner), text, color=shades[D], ha="center", va="center", fontsize=9, bbox=LABEL)
    return figure


def _flat(axes: Axes, W: Matrix, colours: Sequence[str], title: str) -> None:
    place = np.pad(W, ((0, 0), (0, 2 - W.shape[1])))
    order = np.argsort(np.arctan2(place[:, 1], place[:, 0]))
    axes.add_patch(Polygon(place[order], closed=True, facecolor=INSIDE, edgecolor=CONTROL, lw=1.2, zorder=0))
    for i, (tip, colour) in enumerate(zip(place, colours, strict=True)):
        arrow(axes, tip, colour, f"{i}", width=1.6)
    canvas(axes, title)


def _solid(axes: Axes, W: Float[ndarray, "F 3"], colours: Sequence[str], title: str) -> None:
    """Convex hull of the rows, its edges (those behind it dashed), and a spoke to every corner."""
    hull = ConvexHull(W)
    axes.add_collection3d(Poly3DCollection(W[hull.simplices], facecolor=PALE, alpha=0.1, edgecolor="none"))
    for edge, in_front in edges(hull).items():
        style = {"color": THEORY, "lw": 1.2} if in_front else {"color": CONTROL, "lw": 0.9, "ls": (0, (3, 3))}
        axes.plot(*W[list(edge)].T, **style)
    axes.add_collection3d(Line3DCollection([(0 * corner, corner) for corner in W], colors=colours, lw=1.6))
    axes.scatter(*W.T, color=colours, s=34, depthshade=False)
    axes.set(xlim=(-0.75, 0.75), ylim=(-0.75, 0.75), zlim=(-0.85, 0.85), box_aspect=(1.5, 1.5, 1.7), title=title)
    axes.view_init(**VIEW)
    axes.set_axis_off()


def to_viewer() -> Float[ndarray, " 3"]:
    """Unit vector towards the viewer, from `VIEW`."""
    up, around = np.deg2rad([VIEW["elev"], VIEW["azim"]])
    return np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])


def edges(hull: ConvexHull) -> dict[tuple[int, int], bool]:
    """Edges between two faces that are not in one plane (qhull cuts faces into triangles, and the cuts are no edges): is it in front?"""
    seen, found = hull.equations[:, :3] @ to_viewer() > 0, {}
    for face, corners in enumerate(hull.simplices):
        for opposite, neighbour in enumerate(hull.neighbors[face]):
            if not np.allclose(hull.equations[face], hull.equations[neighbour]):
                edge = tuple(sorted(int(c) for at, c in enumerate(corners) if at != opposite))
                found[edge] = bool(seen[face] or seen[neighbour])
    return found
