"""Matrices and maps as colours: weights, overlaps, phase diagrams, surfaces of the loss. Arrays in, figures out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy import ndarray

from companion.plots.bars import bars
from companion.plots.lines import DENSITY, Log, frame
from companion.plots.style import DIVERGING, FATES, INTERFERENCE, PAGE, PALE, THEORY, Curve, Matrix, Plane, Row, panels, styled


def heat(axes: Axes, W: Matrix, limit: float = 1.0, **settings) -> AxesImage:
    """A matrix with rows downwards, red where positive and blue where negative, full at `limit`; settings as for `Axes.set`."""
    image = axes.imshow(W, cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.grid(visible=False)
    axes.set(**settings)
    return image


@styled
def matrices(M: Sequence[Float[ndarray, "F F"]], titles: Sequence[str]) -> Figure:
    """Heat maps of W W^T on one diverging scale."""
    figure, axes = panels(1, len(M), size=(3.4, 3.1))
    for panel, product, title in zip(axes, M, titles, strict=True):
        ticks = range(0, len(product), max(1, len(product) // 4))
        image = heat(panel, product, title=title, xlabel="feature", ylabel="feature", xticks=ticks, yticks=ticks)
    figure.colorbar(image, ax=axes, label="overlap W_i . W_j", shrink=0.85)
    return figure


def _norms(axes: Axes, M: Matrix, interference: Row, **settings) -> ScalarMappable:
    """The norm of each feature as a bar coloured by its interference, the first one on top."""
    shade = ScalarMappable(Normalize(0, 1), INTERFERENCE)
    axes.barh(range(len(M)), np.sqrt(np.diag(M)), height=1, color=shade.to_rgba(np.clip(interference, 0, 1)), lw=0)
    axes.set(ylim=(len(M) - 0.5, -0.5), xlim=(0, 1.35), xticks=[0, 1], yticks=[], **settings)
    return shade


@styled
def weights_in_three(M: Sequence[Matrix], b: Sequence[Row], interference: Sequence[Row], titles: Sequence[str]) -> Figure:
    """F2: W W^T, the bias on a scale of its own, and norms coloured by interference; a row of three panels per model."""
    figure, axes = panels(len(M), 3, size=(2.5, 2.6), width_ratios=(3, 0.6, 2))
    for i, (product, bias, shared, title) in enumerate(zip(M, b, interference, titles, strict=True)):
        left, middle, right = axes[3 * i : 3 * i + 3]
        image = heat(left, product, title=f"$W W^T$, {title}", xlabel="feature", ylabel="feature")
        strip = heat(middle, bias[:, None], np.abs(bias).max(), title="bias b", xticks=[], yticks=[], aspect="auto")
        shade = _norms(right, product, shared, title="norms |W_i|")
        for panel, drawn, label in ((left, image, ""), (middle, strip, ""), (right, shade, "interference")):
            figure.colorbar(drawn, ax=panel, shrink=0.8, label=label)
    return figure


@styled
def overlaps(M: Sequence[Matrix], b: Sequence[Row], interference: Sequence[Row], titles: Sequence[str]) -> Figure:
    """F3, F4: W W^T with the bias as a strip on its right, and under it the norms coloured by interference; four models to a row."""
    rows, wide = -(-len(M) // 4), min(len(M), 4)
    figure, axes = panels(2 * rows, wide, size=(2.4, 2.1), height_ratios=(1, 0.8) * rows)
    for i, (product, bias, shared, title) in enumerate(zip(M, b, interference, titles, strict=True)):
        above, below = (axes[(2 * (i // wide) + j) * wide + i % wide] for j in (0, 1))
        beside = np.full((len(product), max(2, len(product) // 6)), np.nan)
        beside[:, -max(1, len(product) // 10) :] = bias[:, None]
        image = heat(above, np.concatenate([product, beside], axis=1), title=title)
        shade = _norms(below, product, shared, xlabel="norm |W_i|", ylabel="" if i % wide else "feature, by importance")
    for panel in [panel for j in range(0, 2 * rows, 2) for panel in axes[j * wide : (j + 1) * wide]] + axes[(2 * rows - 1) * wide + 1 + i % wide :]:
        panel.set_axis_off()
    for drawn, half, label in ((image, axes[: rows * wide], "overlap; right strip: bias"), (shade, axes[rows * wide :], "interference")):
        figure.colorbar(drawn, ax=half, shrink=0.9, pad=0.01, label=label)
    return figure


def outcomes(labels: Plane) -> Float[ndarray, "P R 3"]:
    """Colours of numbered outcomes: the paper's three, and pale blue for a dimension that others made free by sharing."""
    return np.array([to_rgb(colour) for colour in (*FATES.values(), PALE)])[labels]


def fate_colour(norm: Plane, interference: Plane, others: Plane | float = 0.0) -> Float[ndarray, "P R 3"]:
    """White where the feature is absent, red where others lie along it, blue where it has a dimension, paler as `others` share one."""
    norm, interference, others = (np.clip(share, 0, 1)[..., None] for share in np.broadcast_arrays(norm, interference, others))
    white, red, blue, pale = outcomes(np.arange(4))
    return (1 - norm) * white + norm * ((1 - interference) * ((1 - others) * blue + others * pale) + interference * red)


def _map(axes: Axes, importance: Row, density: Row, values: ndarray, title: str = "", **look):
    drawn = axes.pcolormesh(importance, density, values, shading="nearest", rasterized=True, **look)
    ends = dict(xlim=(importance[0], importance[-1]), ylim=(density[0], density[-1]))
    left = axes.get_subplotspec().is_first_col()
    frame(axes, Log("relative importance r of the extra feature (log)"), Log(DENSITY if left else ""), title=title, **ends)
    axes.grid(visible=False)
    return drawn


@styled
def outcome_maps(
    maps: Sequence[tuple[str, Row, Row, Float[ndarray, "P R 3"]]], borders: Sequence[Curve], names: Mapping[str, tuple[float, float]]
) -> Figure:
    """F6, F7: colours over importance and density, one panel per (title, importance, density, colours), the same borders on all."""
    figure, axes = panels(1, len(maps), size=(3.5, 3.4), sharey=True)
    for panel, (title, importance, density, colours) in zip(axes, maps, strict=True):
        _map(panel, importance, density, colours, title)
        for curve in borders:
            panel.plot(*curve, color=THEORY, lw=1.2)
    for name, place in names.items():
        axes[0].text(*place, name, ha="center", va="center", bbox=dict(fc=PAGE, ec="none", alpha=0.8, pad=1.5))
    return figure


@styled
def fates_at_a_point(importance: Row, density: Row, predicted: Plane, at: tuple[float, float], losses: Mapping[str, float]) -> Figure:
    """The diagram of theory with a cross at (r, p), and the fates' losses there as bars."""
    figure, (where, right) = panels(1, 2, size=(3.9, 3.2))
    _map(where, importance, density, outcomes(predicted), f"r = {at[0]:.3g}, p = {at[1]:.3g}")
    where.plot(*at, "+", color=THEORY, ms=16, mew=2)
    bars(right, losses, losses.values(), [FATES[name] for name in losses], "{:.3f}", edge=THEORY, xlabel="loss / V(p)")
    right.set(xlim=(0, max(losses.values()) * 1.25), title=f"least: {min(losses, key=losses.get)}")
    return figure


@styled
def share_of_starts(importance: Row, density: Row, shares: Sequence[Plane], titles: Sequence[str]) -> Figure:
    """Share of random starts that end in the optimum of their cell."""
    figure, axes = panels(1, len(shares), size=(3.8, 3.4), sharey=True)
    for panel, share, title in zip(axes, shares, titles, strict=True):
        drawn = _map(panel, importance, density, share, title, vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, label="random starts that reach the optimum")
    return figure


@styled
def loss_surfaces(grid: Row, surfaces: Sequence[Float[ndarray, "G G"]], titles: Sequence[str], minima: Sequence[Float[ndarray, "M 2"]]) -> Figure:
    """F30: contours of the exact loss over the two weights of n = 2, m = 1 with its minima, one panel per density."""
    figure, axes = panels(1, len(surfaces), size=(3.5, 3.4), sharey=True)
    for panel, surface, title, points in zip(axes, surfaces, titles, minima, strict=True):
        levels = surface.min() + (np.quantile(surface, 0.75) - surface.min()) * np.linspace(0, 1, 18) ** 2
        filled = panel.contourf(grid, grid, surface.T, levels=levels, extend="max")
        panel.contour(grid, grid, surface.T, levels=levels, colors=PAGE, linewidths=0.3)
        panel.plot(*points.T, "o", color=PAGE, mec=THEORY, ms=7, label="local minimum")
        panel.set(title=title, xlabel="weight of feature 1", aspect="equal")
        panel.grid(visible=False)
        figure.colorbar(filled, ax=panel, shrink=0.8, ticks=levels[::6], format="%.3f")
    axes[0].set_ylabel("weight of feature 2")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center")
    return figure
