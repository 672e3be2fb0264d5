"""Pictures of what a training step costs. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

PARTS = {
    "encoder": CONTROL,
    "selection": "#e08e45",
    "decoder": "#6a9bd1",
    "dL/dz": OURS,
    "dL/dW_dec": "#8a6fb0",
    "dL/dW_enc": "#b49fd0",
    "dL/dW, both": "#8a6fb0",
    "dL/db_pre": THEORY,
    "AuxK": PAPER,
    "norm, Adam": "#4f9d69",
}
"""Colours of the parts of a step, the same in every figure."""
LIBRARIES = (OURS, "#6a9bd1", THEORY, "#4f9d69", "#e08e45", PAPER)


@styled
def parts(bars: Mapping[str, Mapping[str, float]], xlabel: str) -> Figure:
    """One stacked bar per name, its parts (keys of `PARTS`) in order; the sum is written at the end."""
    figure, (axis,) = panels(1, 1, size=(8.0, 0.7 + 0.6 * len(bars) + 0.8))
    names = list(dict.fromkeys(part for bar in bars.values() for part in bar))
    for at, bar in enumerate(bars.values()):
        left = 0.0
        for part, value in bar.items():
            axis.barh(at, value, left=left, color=PARTS[part], edgecolor="white", linewidth=0.5)
            left += value
        axis.annotate(f"{left:.3g}", (left, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    for name in names:
        axis.barh(0, 0, color=PARTS[name], label=name)
    axis.set(yticks=range(len(bars)), yticklabels=list(bars), xlabel=xlabel)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=min(len(names), 4), fontsize=8)
    return figure


@styled
def over_ratio(
    ratio: Float[np.ndarray, " R"], measured: Float[np.ndarray, "repeat R"], ylabel: str, formula: Float[np.ndarray, " R"] | None = None
) -> Figure:
    """Measured ratios (dots per repeat, line through medians) against n/k, with what operations alone would give."""
    figure, (axis,) = panels(1, 1, size=(6.0, 3.4))
    axis.plot(ratio, np.median(measured, axis=0), color=OURS, label="measured, median")
    axis.plot(np.tile(ratio, len(measured)), measured.ravel(), ".", color=OURS, markersize=4, alpha=0.5, label="each round")
    if formula is not None:
        axis.plot(ratio, formula, "--", color=THEORY, linewidth=1, label="operations, by the formula")
    axis.axhline(1, color="#777777", linewidth=0.8)
    axis.annotate("equal", (ratio[0], 1), va="bottom", fontsize=7, xytext=(0, 1), textcoords="offset points", color="#777777")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter("{x:g}")
    axis.set(xlabel="n / k   (latents per latent kept)", ylabel=ylabel)
    axis.legend(loc="lower right" if formula is not None else "upper left")
    return figure


@styled
def held(latents: Sequence[int], shares: Mapping[str, Float[np.ndarray, " N"]], limit: float) -> Figure:
    """Memory beyond the weights' own, as a share of the (B, n) array, against n; the limit is a line."""
    figure, (axis,) = panels(1, 1, size=(6.0, 3.2))
    for (name, values), colour in zip(shares.items(), (OURS, "#6a9bd1", CONTROL), strict=False):
        axis.plot(latents, values, "o-", color=colour, label=name, markersize=4)
    axis.axhline(limit, color=THEORY, linewidth=1, linestyle="--", label=f"{limit:.0%}")
    axis.axhline(1, color="#777777", linewidth=0.8, label="the array itself")
    axis.set_xscale("log", base=2)
    axis.set_xticks(latents, [f"{n:,}" for n in latents])
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set(xlabel="n, latents", ylabel="extra memory of a step\n/ (B, n) float32 array")
    axis.legend(loc="center right", fontsize=8)
    return figure


@styled
def losses(steps: Float[np.ndarray, " S"], curves: Mapping[str, Float[np.ndarray, "seed S"]]) -> Figure:
    """Training error by step, one line per seed, one colour and dash per form of the step."""
    figure, (axis,) = panels(1, 1, size=(6.0, 3.2))
    for (name, seeds), colour, dash in zip(curves.items(), (CONTROL, OURS, "#e08e45", PAPER), ("-", "--", ":", "-."), strict=False):
        for at, curve in enumerate(seeds):
            axis.plot(steps, curve, dash, color=colour, linewidth=3 if colour == CONTROL else 1.4, label=name if at == 0 else None)
    axis.set(xlabel="step", ylabel="normalised MSE", yscale="log")
    axis.yaxis.set_major_formatter("{x:.2g}")
    axis.yaxis.set_minor_formatter("{x:.2g}")
    axis.legend()
    return figure


@styled
def coarser(names: Sequence[str], overlap: Float[np.ndarray, " R"], error: Float[np.ndarray, "R seed"]) -> Figure:
    """Selections of lower and lower precision: share of the right latents found, and the error of the model trained with them."""
    figure, (share, loss) = panels(1, 2, sharey=True, size=(4.2, 0.6 + 0.45 * len(names)))
    share.barh(names, overlap, color=OURS)
    for at, value in enumerate(overlap):
        share.annotate(f"{value:.1%}", (value, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    loss.barh(names, error.mean(axis=1), color=CONTROL)
    for at, seeds in enumerate(error):
        loss.plot(seeds, np.full(len(seeds), at), "o", color=THEORY, markersize=3)
    share.set(xlabel="share of the float32 selection found", xlim=(0, 1.18), xticks=(0, 0.25, 0.5, 0.75, 1))
    share.xaxis.set_major_formatter(PercentFormatter(1))
    share.invert_yaxis()
    loss.set(xlabel="normalised MSE after training")
    for axis in (share, loss):
        axis.grid(axis="y", visible=False)
    return figure


@styled
def recorded(
    rows: Sequence[str], ratios: Float[np.ndarray, "row shape"], least: Float[np.ndarray, "row shape"], most: Float[np.ndarray, "row shape"],
    shapes: Sequence[str], source: str,
) -> Figure:  # fmt: skip
    """A stored benchmark: time of one step over that of the encoder product, one panel per shape; whiskers span the rounds.

    Args:
        source: what recorded it and on which machine, written over the panels, because nothing here was measured in the page.
    """
    figure, axes = panels(1, len(shapes), sharey=True, sharex=True, size=(3.4, 0.9 + 0.38 * len(rows)))
    for axis, shape, ratio, low, high in zip(axes, shapes, ratios.T, least.T, most.T, strict=True):
        colours = [LIBRARIES[at % len(LIBRARIES)] for at in range(len(rows))]
        axis.barh(rows, ratio, color=colours, xerr=np.stack([ratio - low, high - ratio]), error_kw={"linewidth": 0.8, "capsize": 2})
        for at, (value, top) in enumerate(zip(ratio, high, strict=True)):
            axis.annotate(f"{value:.2g}", (max(value, top), at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        axis.axvline(1, color=THEORY, linewidth=1)
        axis.set(title=shape, xscale="log", xlabel="time of a step / encoder product")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlim(0.5, 2.2 * max(1, most.max()))
        axis.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    figure.suptitle(source, fontsize=9)
    return figure


@styled
def company(names: Sequence[str], efficiency: Sequence[float], least: Sequence[float], most: Sequence[float], source: str) -> Figure:
    """Weak scaling: tokens (or latents) per second and process, relative to one process alone; whiskers are the rounds' extremes."""
    figure, (axis,) = panels(1, 1, size=(6.2, 2.4))
    at, middle = np.arange(len(names)), np.asarray(efficiency)
    whiskers = np.abs(np.stack([middle - least, most - middle]))
    axis.barh(at, middle, xerr=whiskers, color=[CONTROL if i < 2 else OURS for i in at], error_kw=dict(lw=1, capsize=2))
    for y, value, end in zip(at, middle, most, strict=True):
        axis.annotate(f"{value:.2f}", (max(value, end), y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axis.axvline(1, color=THEORY, lw=0.8)
    axis.set(yticks=at, yticklabels=names, xlabel="work per second and process / that of one process alone")
    figure.suptitle(source, fontsize=8)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    return figure
