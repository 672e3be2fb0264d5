"""Pictures of small models: features as arrows, their overlaps as heat maps, and runs against the exact optimum."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled


@styled
def feature_vectors(
    models: Sequence[Float[ndarray, "F 2"]],
    titles: Sequence[str],
    value: Float[ndarray, " F"],
    value_is: str,
    under: Sequence[Float[ndarray, "F 2"]] = (),
    *,
    circles: Sequence[float] = (1.0,),
    columns: int = 5,
) -> Figure:
    """Rows W_i as arrows in the plane, one panel per model, coloured by `value`; dashed under them the same rows of `under`."""
    rows = -(-len(models) // columns)
    columns = min(columns, len(models))
    figure, axes = panels(rows, columns, size=(2.5, 2.7))
    shade = ScalarMappable(Normalize(value.min(), value.max() + 1e-9), "viridis_r")
    for i, (panel, W, title) in enumerate(zip(axes, models, titles, strict=False)):
        for row in under[i] if len(under) else ():
            panel.plot([0, row[0]], [0, row[1]], color=THEORY, lw=1, ls=(0, (3, 2)), zorder=3)
        _arrows(panel, W, shade.to_rgba(value))
        _square(panel, circles, max(1.45, float(np.abs(W).max()) * 1.1))
        panel.set_title(title, fontsize=8.5)
    for panel in axes[len(models) :]:
        panel.set_axis_off()
    if value.min() < value.max():
        figure.colorbar(shade, ax=axes, label=value_is, shrink=0.7)
    return figure


def _arrows(axes: Axes, W: Float[ndarray, "F 2"], colours: Float[ndarray, "F 4"]) -> None:
    for row, colour in zip(W, colours, strict=True):
        axes.plot([0, row[0]], [0, row[1]], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(*row, "o", color=colour, ms=5)


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
    shade = ScalarMappable(LogNorm(everything.min(), everything.max()), "coolwarm")
    for panel, rows, ratios, title in zip(axes, models, ratio, titles, strict=True):
        for W, colour in zip(rows, shade.to_rgba(ratios), strict=True):
            panel.plot(*W[1:].T, "o", color=colour, ms=6, mec="white", mew=0.3)
            panel.plot(*W[0], "^", color=colour, ms=7, mec=THEORY, mew=0.4)
        _square(panel, (1.0,), 1.45)
        panel.set_title(title)
    figure.colorbar(shade, ax=axes, label="density of the triangle / of the others", shrink=0.8)
    return figure


@styled
def overlaps(
    M: Sequence[Float[ndarray, "F F"]], b: Sequence[Float[ndarray, " F"]], interference: Sequence[Float[ndarray, " F"]], titles: Sequence[str]
) -> Figure:
    """F2 to F4: W W^T with the bias beside it, and each feature's norm as a bar coloured by its interference; one column per model."""
    figure, axes = panels(2, len(M), size=(2.05, 2.4), height_ratios=(1, 0.85))
    for i, (product, bias) in enumerate(zip(M, b, strict=True)):
        n = len(product)
        beside = np.full((n, max(2, n // 6)), np.nan)
        beside[:, -max(1, n // 10) :] = bias[:, None]
        axes[i].imshow(np.concatenate([product, beside], axis=1), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        axes[i].set_title(titles[i], fontsize=8.5)
        axes[i].set_axis_off()
        _norm_bars(axes[len(M) + i], np.sqrt(np.diag(product)), interference[i], first=i == 0)
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), "RdBu_r"), ax=axes[: len(M)], shrink=0.9, pad=0.01)
    bar.set_label("overlap; right strip: bias")
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), _interference_map()), ax=axes[len(M) :], shrink=0.9, pad=0.01)
    bar.set_label("interference")
    return figure


def _interference_map() -> Colormap:
    from matplotlib import colormaps

    return colormaps["plasma"]


def _norm_bars(axes: Axes, norms: Float[ndarray, " F"], interference: Float[ndarray, " F"], *, first: bool) -> None:
    axes.barh(np.arange(len(norms)), norms, height=1, color=_interference_map()(np.clip(interference, 0, 1)), lw=0)
    axes.set(ylim=(len(norms) - 0.5, -0.5), xlim=(0, 1.35), xticks=[0, 1], xlabel="norm |W_i|", yticks=[])
    axes.set_ylabel("feature, by importance" if first else "")


@styled
def matrices(M: Sequence[Float[ndarray, "F F"]], titles: Sequence[str]) -> Figure:
    """Heat maps of W W^T on one diverging scale."""
    figure, axes = panels(1, len(M), size=(3.4, 3.1))
    for panel, product, title in zip(axes, M, titles, strict=True):
        drawn = panel.imshow(product, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        panel.set(title=title, xlabel="feature", ylabel="feature")
        panel.grid(visible=False)
    figure.colorbar(drawn, ax=axes, label="overlap W_i . W_j", shrink=0.85)
    return figure


@styled
def runs_against_optimum(excess: dict[str, Float[ndarray, " S"]], within: float = 0.01) -> Figure:
    """Loss over the exact optimum, minus one, of every run from a random start, and the share that comes within `within`."""
    figure, (axes,) = panels(size=(1.5 + 0.95 * len(excess), 3.4))
    for i, values in enumerate(excess.values()):
        spread = i + 0.55 * (np.arange(len(values)) / len(values) - 0.5)
        axes.plot(spread, np.clip(np.sort(values), 1e-6, None), ".", color=OURS, ms=4, alpha=0.7)
        axes.annotate(f"{np.mean(values <= within):.0%}", (i, 1.01), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
    axes.axhline(within, color=PAPER, lw=0.8)
    axes.set(yscale="log", xticks=range(len(excess)), ylim=(0.7e-6, None), ylabel="loss / exact optimum - 1")
    axes.set_xticklabels(list(excess), fontsize=8)
    axes.set_title(f"share of runs within {within:.0%} of the optimum (red line)", pad=16, fontsize=9)
    return figure


@styled
def counts(density: Sequence[float], count: dict[str, Float[ndarray, "*S L"]], ylabel: str) -> Figure:
    """Numbers of features against density, one line per seed and kind; sparser to the right."""
    figure, (axes,) = panels(size=(5.4, 3.3))
    for (name, values), colour in zip(count.items(), (OURS, PAPER, CONTROL, THEORY), strict=False):
        for i, row in enumerate(np.atleast_2d(values)):
            axes.plot(density, row, color=colour, marker="o", ms=4, alpha=0.8, label=name if i == 0 else None)
    axes.set(xscale="log", xlabel="density p = 1 - S  (log, sparser to the right)", ylabel=ylabel, ylim=(0, None))
    axes.invert_xaxis()
    axes.legend()
    return figure


@styled
def loss_by_active(density: Float[ndarray, " P"], share: Float[ndarray, "K P"], probability: Float[ndarray, "K P"]) -> Figure:
    """F5: share of the loss that falls on samples with k active features, and how frequent such samples are."""
    figure, axes = panels(1, 2, size=(4.0, 3.3), sharey=True)
    for panel, values, title in zip(axes, (probability, share), ("samples", "loss at the optimum"), strict=True):
        panel.stackplot(density, values, labels=[f"k = {k}" for k in range(len(values))], colors=[f"C{k}" for k in range(len(values))], alpha=0.85)
        panel.set(xscale="log", xlabel="density p = 1 - S  (log, sparser to the right)", title=title, ylim=(0, 1), xlim=(density[-1], density[0]))
    axes[0].set_ylabel("share by number k of active features")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled
def small_model(
    W: Float[ndarray, "F H"], M: Float[ndarray, "F F"], optimum: Float[ndarray, "F F"], losses: dict[str, float], importance: Float[ndarray, " F"]
) -> Figure:
    """One small model: its features (arrows if they lie in a plane), W W^T beside that of the best run, and the losses."""
    figure, (left, ours, best, bars) = panels(1, 4, size=(2.7, 2.7))
    if W.shape[1] == 2:
        _arrows(left, W, ScalarMappable(Normalize(importance.min(), importance.max() + 1e-9), "viridis_r").to_rgba(importance))
        _square(left, (1.0,), max(1.45, float(np.abs(W).max()) * 1.1))
    else:
        left.imshow(W, cmap="RdBu_r", vmin=-1.2, vmax=1.2)
        left.grid(visible=False)
    left.set_title("features (rows of W)")
    for panel, product, title in ((ours, M, "overlaps, this run"), (best, optimum, "overlaps, best run")):
        panel.imshow(product, cmap="RdBu_r", vmin=-1, vmax=1)
        panel.set(title=title)
        panel.grid(visible=False)
    drawn = bars.bar(list(losses), list(losses.values()), color=[OURS, THEORY, CONTROL][: len(losses)])
    bars.bar_label(drawn, fmt="%.3g", fontsize=7)
    bars.set(title="exact loss / V(p)")
    return figure


@styled
def two_branches(ratio: Float[ndarray, " R"], runs: dict[str, Sequence[tuple[float, float]]], branches: dict[str, Float[ndarray, " R"]]) -> Figure:
    """F13: loss of every run against the density ratio, coloured by geometry, with the exact branches."""
    figure, (axes,) = panels(size=(5.8, 3.8))
    for (name, points), colour in zip(runs.items(), (OURS, PAPER, "#2e8b57", CONTROL), strict=False):
        if len(points):
            axes.plot(*np.array(points).T, "o", color=colour, ms=4, alpha=0.6, mew=0, label=f"runs: {name}")
    for (name, loss), style in zip(branches.items(), ("--", ":"), strict=False):
        axes.plot(ratio, loss, color=THEORY, ls=style, lw=1.2, label=f"exact: {name}")
    axes.set(xscale="log", yscale="log", xlabel="density of the varied feature / that of the others  (log)", ylabel="expected loss  (log)")
    axes.legend()
    return figure
