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
from companion.plots.style import DIVERGING, FATES, INTERFERENCE, MARKED, PAGE, THEORY, Matrix, Plane, Row, panels, styled

PURE = np.array([0.0, 1, 1]), np.array([0.0, 1, 0])
"""Norm and interference of a feature at each of the fates."""


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


@styled
def overlaps(M: Sequence[Float[ndarray, "F F"]], b: Sequence[Row], interference: Sequence[Row], titles: Sequence[str]) -> Figure:
    """F2 to F4: W W^T with the bias beside it, and each feature's norm as a bar coloured by its interference; one column per model."""
    figure, axes = panels(2, len(M), size=(2.05, 2.4), height_ratios=(1, 0.85))
    for above, below, product, bias, shared, title in zip(axes[: len(M)], axes[len(M) :], M, b, interference, titles, strict=True):
        n = len(product)
        beside = np.full((n, max(2, n // 6)), np.nan)
        beside[:, -max(1, n // 10) :] = bias[:, None]
        image = heat(above, np.concatenate([product, beside], axis=1))
        above.set_title(title, fontsize=8.5)
        above.set_axis_off()
        below.barh(np.arange(n), np.sqrt(np.diag(product)), height=1, color=INTERFERENCE(np.clip(shared, 0, 1)), lw=0)
        below.set(ylim=(n - 0.5, -0.5), xlim=(0, 1.35), xticks=[0, 1], xlabel="norm |W_i|", yticks=[])
    axes[len(M)].set_ylabel("feature, by importance")
    figure.colorbar(image, ax=axes[: len(M)], shrink=0.9, pad=0.01, label="overlap; right strip: bias")
    figure.colorbar(ScalarMappable(Normalize(0, 1), INTERFERENCE), ax=axes[len(M) :], shrink=0.9, pad=0.01, label="interference")
    return figure


def fate_colour(norm: Float[ndarray, "*G"], interference: Float[ndarray, "*G"]) -> Float[ndarray, "*G 3"]:
    """White where the feature is absent, blue where it has a dimension, red where others lie along it; mixed in between."""
    norm, interference = np.clip(norm, 0, 1)[..., None], np.clip(interference, 0, 1)[..., None]
    white, red, blue = np.array([to_rgb(colour) for colour in FATES.values()])
    return (1 - norm) * white + norm * ((1 - interference) * blue + interference * red)


def _map(axes: Axes, importance: Row, density: Row, values: ndarray, title: str = "", **look):
    drawn = axes.pcolormesh(importance, density, values, shading="nearest", rasterized=True, **look)
    ends = dict(xlim=(importance[0], importance[-1]), ylim=(density[0], density[-1]))
    left = axes.get_subplotspec().is_first_col()
    frame(axes, Log("relative importance r of the extra feature (log)"), Log(DENSITY if left else ""), title=title, **ends)
    axes.grid(visible=False)
    return drawn


@styled
def phase_diagram(importance: Row, density: Row, norm: Plane, interference: Plane, predicted: Plane, names: Sequence[str]) -> Figure:
    """F6, F7: the extra feature at the optimum that was found, the fate with the least closed-form loss, and where they differ."""
    figure, (found, theory, boundary) = panels(1, 3, size=(3.5, 3.6), sharey=True)
    flat = [list(FATES).index(name.split(",")[0]) for name in names]
    _map(found, importance, density, fate_colour(norm, interference), "optimum found by descent")
    _map(theory, importance, density, fate_colour(*PURE)[flat][predicted], "least of the closed forms")
    _map(boundary, importance, density, fate_colour(norm, interference), "found, and the predicted borders", alpha=0.35)
    for label in range(len(names)):
        boundary.contour(importance, density, predicted == label, levels=[0.5], colors=THEORY, linewidths=1)
    for name, colour in FATES.items():
        found.plot([], [], "s", color=colour, mec=THEORY, mew=0.5, label=name)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def fates_at_a_point(importance: Row, density: Row, predicted: Plane, at: tuple[float, float], losses: Mapping[str, float]) -> Figure:
    """The diagram of theory with a cross at (r, p), and the fates' losses there as bars."""
    figure, (where, right) = panels(1, 2, size=(3.9, 3.2))
    _map(where, importance, density, fate_colour(*PURE)[predicted], f"r = {at[0]:.3g}, p = {at[1]:.3g}")
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
    figure, axes = panels(1, len(surfaces), size=(3.4, 3.5), sharey=True)
    for panel, surface, title, points in zip(axes, surfaces, titles, minima, strict=True):
        levels = surface.min() + (np.quantile(surface, 0.75) - surface.min()) * np.linspace(0, 1, 18) ** 2
        panel.contourf(grid, grid, surface.T, levels=levels, extend="max")
        panel.contour(grid, grid, surface.T, levels=levels, colors=PAGE, linewidths=0.3)
        panel.plot(*points.T, "o", color=MARKED, mec=PAGE, ms=7, label="minimum")
        panel.set(title=title, xlabel="weight of feature 1", aspect="equal")
        panel.grid(visible=False)
    axes[0].set_ylabel("weight of feature 2")
    axes[0].legend(loc="lower left", labelcolor=PAGE)
    return figure
