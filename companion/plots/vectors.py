"""Features as arrows in the plane, or as the nodes of a graph of their overlaps. Arrays in, figures out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy import ndarray

from companion.plots.heatmaps import heat
from companion.plots.style import CATEGORIES, CONTROL, DIVERGING, ORDERED, OURS, PAGE, RATIO, THEORY, Matrix, Row, note, panels, sheet, styled

ALIKE = 1e-3
"""Values that differ by no more, as an optimiser leaves equal ones, have no scale of their own."""


@styled
def feature_vectors(
    models: Sequence[Matrix], titles: Sequence[str], value: Row, value_is: str, under: Sequence[Matrix] = (), *, circles: Sequence[float] = (1.0,)
) -> Figure:
    """Rows W_i as arrows in the plane, one panel per model, coloured by `value`; dashed under them the same rows of `under`.

    Whole numbers are sets, which have no order: they get a legend instead of a scale.
    """
    figure, axes = sheet(len(models), 5, (2.5, 2.7))
    shade, sets = _shade(value), np.unique(value) if value.dtype.kind == "i" else ()
    colours = [CATEGORIES[each] for each in value] if len(sets) else shade.to_rgba(value)
    for i, (panel, W, title) in enumerate(zip(axes, models, titles, strict=False)):
        for row in under[i] if len(under) else ():
            panel.plot([0, row[0]], [0, row[1]], color=THEORY, lw=1, ls=(0, (3, 2)), zorder=3)
        _arrows(panel, W, colours[: len(W)], circles)
        panel.set_title(title, fontsize=8.5)
    if len(sets) > 1:
        handles = [Line2D([], [], color=CATEGORIES[each], lw=2.2, label=f"{value_is} {each + 1}") for each in sets]
        figure.legend(handles=handles, loc="outside right center")
    elif np.ptp(value) > ALIKE:
        figure.colorbar(shade, ax=axes, label=value_is, shrink=0.7)
    return figure


def _shade(value: Row) -> ScalarMappable:
    low = value.min() - (np.ptp(value) <= ALIKE)  # one value alone is drawn dark, not in the pale end of the map
    return ScalarMappable(Normalize(low, value.max() + 1e-9), f"{ORDERED}_r")


def _arrows(axes: Axes, W: Float[ndarray, "F 2"], colours: Sequence, circles: Sequence[float] = (1.0,)) -> None:
    for row, colour in zip(W, colours, strict=True):
        axes.plot([0, row[0]], [0, row[1]], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(*row, "o", color=colour, ms=5)
    _square(axes, circles, max(1.45, float(np.abs(W).max()) * 1.1))


def _square(axes: Axes, circles: Sequence[float], reach: float) -> None:
    angle = np.linspace(0, 2 * np.pi, 181)
    for radius in circles:
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=CONTROL, lw=0.6)
    axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    axes.tick_params(labelsize=7)


@styled
def moving_feature(models: Sequence[Float[ndarray, "L F 2"]], ratio: Sequence[Float[ndarray, " L"]], titles: Sequence[str]) -> Figure:
    """F12: solutions at many densities of one feature, turned so that it points up; the others coloured by that density."""
    figure, axes = panels(1, len(models), size=(3.9, 3.7))
    everything = np.concatenate(list(ratio))
    shade = ScalarMappable(LogNorm(everything.min(), everything.max()), RATIO)
    for panel, rows, ratios, title in zip(axes, models, ratio, titles, strict=True):
        for W, colour in zip(rows, shade.to_rgba(ratios), strict=True):
            panel.plot(*W[1:].T, "o", color=colour, ms=6, mec=PAGE, mew=0.3)
            panel.plot(*W[0], "^", color=colour, ms=7, mec=THEORY, mew=0.4)
        _square(panel, (1.0,), 1.45)
        panel.set_title(title)
    figure.colorbar(shade, ax=axes, label="density of the triangle / of the others", shrink=0.8)
    return figure


@styled
def at_level(W: Matrix, importance: Row, sparsity: Row, loss: Row, level: int) -> Figure:
    """One of several optima: its features, their overlaps W W^T, and where its loss lies on the curve of all of them."""
    figure, (left, middle, right) = panels(1, 3, size=(3, 2.9))
    _arrows(left, W, _shade(importance).to_rgba(importance))
    left.set_title(f"S = {sparsity[level]:.2f}: {(np.linalg.norm(W, axis=1) > 0.5).sum()} features in 2 dimensions")
    heat(middle, W @ W.T, title="overlaps", xlabel="feature", ylabel="feature")
    right.plot(sparsity, loss, "o-", color=THEORY, ms=3)
    right.plot(sparsity[level], loss[level], "o", color=OURS, ms=9)
    right.set(title="loss / loss of a linear network", xlabel="sparsity S", ylim=(0, 1.05))
    return figure


@styled
def small_model(W: Matrix, M: Float[ndarray, "F F"], optimum: Float[ndarray, "F F"], losses: Mapping[str, float], importance: Row) -> Figure:
    """One small model: its features (arrows if they lie in a plane), W W^T beside that of the best run, and the losses."""
    figure, (left, ours, best, bars) = panels(1, 4, size=(2.7, 2.7))
    if W.shape[1] == 2:
        _arrows(left, W, _shade(importance).to_rgba(importance))
    else:
        heat(left, W, 1.2)
    left.set_title("features (rows of W)")
    heat(ours, M, title="overlaps, this run")
    heat(best, optimum, title="overlaps, best run")
    drawn = bars.bar(list(losses), list(losses.values()), color=[OURS, THEORY, CONTROL][: len(losses)])
    bars.bar_label(drawn, fmt="%.3g", fontsize=7)
    bars.set(title="exact loss / V(p)")
    return figure


@styled
def stored_and_read(x: Row, W: Float[ndarray, "F 2"], read: Row) -> Figure:
    """One input of a model with two hidden dimensions: the point h = W^T x among the features' directions; what went in and came out."""
    figure, (plane, bars) = panels(1, 2, size=(3.6, 3.1))
    _arrows(plane, W, np.tile(to_rgba(CONTROL), (len(W), 1)))
    for i, row in enumerate(W):
        note(plane, str(i), 1.17 * row, ha="center", va="center", fontsize=9)
    plane.plot(*(x @ W), "D", color=OURS, ms=9, zorder=4)
    reach = max(1.45, 1.1 * float(np.abs(x @ W).max()))
    plane.set(title="stored: one point in the plane", xlim=(-reach, reach), ylim=(-reach, reach))
    at = np.arange(len(x))
    bars.bar(at - 0.2, x, 0.38, color=CONTROL, label="went in: x")
    bars.bar(at + 0.2, read, 0.38, color=OURS, label="read out: x'")
    bars.set(title="the features", xlabel="feature", xticks=at, ylim=(0, 2))
    bars.legend(loc="upper right")
    return figure


@styled
def feature_graphs(graphs: Sequence[tuple[str, Float[ndarray, "F F"], Sequence[Sequence[int]]]], columns: int = 4) -> Figure:
    """F9: feature graphs, one panel per level: (title, overlaps W W^T, components as lists of features).

    Each component is drawn by itself, its features on a circle and the largest components first; an edge is as wide as
    |W_i . W_j|, thinner overall in a large component, red where features help each other along and blue where they oppose.
    """
    figure, axes = sheet(len(graphs), columns, (3.1, 3.3))
    for panel, (title, product, components) in zip(axes, graphs, strict=True):
        _draw_components(panel, product, sorted(components, key=len, reverse=True))
        panel.set_title(title, fontsize=8.5)
        panel.set_axis_off()
    return figure


def _draw_components(axes: Axes, product: Float[ndarray, "F F"], components: Sequence[Sequence[int]]) -> None:
    """Cells from the top left, row by row; a component's cell widens with the number of its features."""
    radii = [0.35 if len(nodes) == 1 else max(0.6, 0.17 * len(nodes)) for nodes in components]
    width = np.sqrt(sum((2 * radius + 0.5) ** 2 for radius in radii)) * 1.05
    x = y = tallest = 0.0
    for nodes, radius in zip(components, radii, strict=True):
        if x + 2 * radius > width and x > 0:
            x, y, tallest = 0.0, y - tallest, 0.0
        tallest = max(tallest, 2 * radius + 0.5)
        _draw_one(axes, product, np.array(nodes), (x + radius, y - radius), radius - 0.1)
        x += 2 * radius + 0.5
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.margins(0.04)


def _draw_one(axes: Axes, product: Float[ndarray, "F F"], nodes: Int[ndarray, " k"], centre: tuple[float, float], radius: float) -> None:
    angle = np.pi / 2 + 2 * np.pi * np.arange(len(nodes)) / len(nodes)
    place = np.array(centre) + (radius if len(nodes) > 1 else 0) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    i, j = np.triu_indices(len(nodes), 1)
    strength = product[nodes[i], nodes[j]]
    order = np.argsort(np.abs(strength))  # strong edges on top
    order = order[np.abs(strength[order]) > 0.1]
    thick = 2.6 * min(1, (8 / len(nodes)) ** 0.7)
    ends, strength = np.stack([place[i[order]], place[j[order]]], axis=1), strength[order]
    edges = LineCollection(ends, linewidths=thick * np.abs(strength), cmap=DIVERGING, norm=Normalize(-1, 1), array=np.sign(strength) * 0.8)
    axes.add_collection(edges)
    axes.scatter(*place.T, s=11, color=THEORY, zorder=3, lw=0)
