"""Pictures of the phase diagrams: what becomes of one extra feature."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

FATES = {"not learned": "#ffffff", "superposed": PAPER, "dedicated": OURS}
"""The paper's three fates, in its colours: white, red, blue."""


def fate_colour(norm: Float[ndarray, "*G"], interference: Float[ndarray, "*G"]) -> Float[ndarray, "*G 3"]:
    """White where the feature is absent, blue where it has a dimension, red where others lie along it; mixed in between."""
    norm, interference = np.clip(norm, 0, 1)[..., None], np.clip(interference, 0, 1)[..., None]
    white, red, blue = (np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for code in FATES.values())
    return (1 - norm) * white + norm * ((1 - interference) * blue + interference * red)


@styled
def phase_diagram(
    importance: Float[ndarray, " R"],
    density: Float[ndarray, " P"],
    norm: Float[ndarray, "P R"],
    interference: Float[ndarray, "P R"],
    predicted: Int[ndarray, "P R"],
    names: Sequence[str],
) -> Figure:
    """F6, F7: the extra feature at the optimum that was found, the fate with the least closed-form loss, and where they differ."""
    figure, (found, theory, boundary) = panels(1, 3, size=(3.5, 3.6), sharey=True)
    extent = (importance[0], importance[-1], density[0], density[-1])
    found.pcolormesh(importance, density, fate_colour(norm, interference), shading="nearest", rasterized=True)
    found.set(title="optimum found by descent", ylabel="density p = 1 - S  (log)")
    flat = [list(FATES).index(name.split(",")[0]) for name in names]
    colours = fate_colour(np.array([0, 1, 1])[flat], np.array([0, 1, 0])[flat])
    theory.pcolormesh(importance, density, colours[predicted], shading="nearest", rasterized=True)
    theory.set_title("least of the closed forms")
    boundary.pcolormesh(importance, density, fate_colour(norm, interference), shading="nearest", alpha=0.35, rasterized=True)
    for label in range(len(names)):
        boundary.contour(importance, density, predicted == label, levels=[0.5], colors=THEORY, linewidths=1)
    boundary.set_title("found, and the predicted borders")
    for axes in (found, theory, boundary):
        _log_axes(axes, extent)
    for name, colour in FATES.items():
        found.plot([], [], "s", color=colour, mec=THEORY, mew=0.5, label=name)
    figure.legend(*found.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _log_axes(axes: Axes, extent: tuple[float, float, float, float]) -> None:
    axes.set(xscale="log", yscale="log", xlim=extent[:2], ylim=extent[2:], xlabel="relative importance r of the extra feature (log)")
    axes.grid(visible=False)


@styled
def fates(losses: dict[str, Float[ndarray, " P"]], best: Float[ndarray, " P"], density: Float[ndarray, " P"], title: str) -> Figure:
    """Loss of each fate along one column of the diagram, in units of V(p), and the exact optimum under them."""
    figure, (axes,) = panels(size=(5.6, 3.6))
    colours = {"not learned": CONTROL, "superposed": PAPER, "dedicated": OURS}
    for name, loss in losses.items():
        axes.plot(density, loss, color=colours[name.split(",")[0]], ls="-" if name in colours else "-.", label=name)
    axes.plot(density, best, "o", color=THEORY, ms=3, mfc="none", label="optimum, weights and bias free")
    axes.set(xscale="log", xlabel="density p = 1 - S  (log)", ylabel="loss / V(p)", title=title, ylim=(0, None))
    axes.legend()
    return figure


@styled
def fates_at_a_point(
    importance: Float[ndarray, " R"], density: Float[ndarray, " P"], predicted: Int[ndarray, "P R"], at: tuple[float, float], losses: dict[str, float]
) -> Figure:
    """The diagram of theory with a cross at (r, p), and the fates' losses there as bars."""
    figure, (where, bars) = panels(1, 2, size=(3.9, 3.2))
    colours = fate_colour(np.array([0.0, 1, 1]), np.array([0.0, 1, 0]))
    where.pcolormesh(importance, density, colours[predicted], shading="nearest", rasterized=True)
    where.plot(*at, "+", color=THEORY, ms=16, mew=2)
    _log_axes(where, (importance[0], importance[-1], density[0], density[-1]))
    where.set(ylabel="density p = 1 - S  (log)", title=f"r = {at[0]:.3g}, p = {at[1]:.3g}")
    drawn = bars.barh(list(losses), list(losses.values()), color=[FATES[name] for name in losses], edgecolor=THEORY, lw=0.8)
    bars.bar_label(drawn, fmt="%.3f", padding=3)
    bars.set(xlabel="loss / V(p)", xlim=(0, max(losses.values()) * 1.25), title=f"least: {min(losses, key=losses.get)}")
    return figure


@styled
def loss_surfaces(
    grid: Float[ndarray, " G"], surfaces: Sequence[Float[ndarray, "G G"]], titles: Sequence[str], minima: Sequence[Float[ndarray, "M 2"]]
) -> Figure:
    """F30: contours of the exact loss over the two weights of n = 2, m = 1 with its minima, one panel per density."""
    figure, axes = panels(1, len(surfaces), size=(3.4, 3.5), sharey=True)
    for panel, surface, title, points in zip(axes, surfaces, titles, minima, strict=True):
        levels = surface.min() + (np.quantile(surface, 0.75) - surface.min()) * np.linspace(0, 1, 18) ** 2
        panel.contourf(grid, grid, surface.T, levels=levels, cmap="viridis", extend="max")
        panel.contour(grid, grid, surface.T, levels=levels, colors="white", linewidths=0.3)
        panel.plot(*points.T, "o", color=PAPER, mec="white", ms=7, label="minimum")
        panel.set(title=title, xlabel="weight of feature 1", aspect="equal")
        panel.grid(visible=False)
    axes[0].set_ylabel("weight of feature 2")
    axes[0].legend(loc="lower left", labelcolor="white")
    return figure


@styled
def share_of_starts(
    importance: Float[ndarray, " R"], density: Float[ndarray, " P"], shares: Sequence[Float[ndarray, "P R"]], titles: Sequence[str]
) -> Figure:
    """Share of random starts that end in the optimum of their cell."""
    figure, axes = panels(1, len(shares), size=(3.8, 3.4), sharey=True)
    for panel, share, title in zip(axes, shares, titles, strict=True):
        drawn = panel.pcolormesh(importance, density, share, shading="nearest", vmin=0, vmax=1, rasterized=True)
        _log_axes(panel, (importance[0], importance[-1], density[0], density[-1]))
        panel.set_title(title)
    axes[0].set_ylabel("density p = 1 - S  (log)")
    figure.colorbar(drawn, ax=axes, label="random starts that reach the optimum")
    return figure
