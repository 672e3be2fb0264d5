"""Pictures of what spoils a training run: its learning rate, and the mistakes of earlier reproductions. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

SIZES = ("#9ecae1", "#4a90c4", "#0b3c6f", "#000000")
"""Small to large dictionary."""
WIDE = 20
"""A panel whose largest value is so many times its smallest has a logarithmic axis."""


class Lesson(NamedTuple):
    title: str
    quantity: str
    """What is measured, with its unit."""
    mistakes: Mapping[str, Sequence[float]]
    """Values by name, one per seed."""
    cure: Mapping[str, Sequence[float]]
    digits: str = ".2g"
    """How values are written out."""


@styled
def rate_sweep(
    rates: Float[np.ndarray, " rate"],
    errors: Mapping[int, Float[np.ndarray, "seed rate"]],
    short_rates: Float[np.ndarray, " short"],
    short_errors: Mapping[int, Float[np.ndarray, "seed short"]],
) -> Figure:
    """Error against learning rate, one colour per number of latents, and the best rate against that number.

    Args:
        errors: normalised error for each number of latents; one line per seed, its minimum ringed.
        short_rates: a grid that ends too early, shaded, with its own errors as open squares, the last of them the best.
    """
    figure, (curve, best) = panels(1, 2)
    curve.axvspan(short_rates.min() / 1.2, short_rates.max() * 1.2, color="#f6e3e0", zorder=0)
    curve.annotate("a grid that ends here", (short_rates.max(), 0.03), xycoords=("data", "axes fraction"), ha="right", fontsize=7, color=PAPER)
    for (n, seeds), colour in zip(errors.items(), SIZES, strict=False):
        for values in seeds:
            curve.plot(rates, values, ".-", color=colour, alpha=0.8, linewidth=1.1, markersize=4)
            curve.plot(rates[values.argmin()], values.min(), "o", color=THEORY, markersize=8, markerfacecolor="none")
        for values in short_errors[n]:
            curve.plot(short_rates, values, "s--", color=colour, linewidth=0.9, markersize=4, markerfacecolor="white")
        curve.plot([], [], ".-", color=colour, label=f"n = {n}")
    curve.plot([], [], "o", color=THEORY, markersize=8, markerfacecolor="none", label="lowest")
    curve.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="normalised MSE, held-out text")
    curve.yaxis.set_major_formatter("{x:.1g}")
    curve.yaxis.set_minor_formatter("{x:.1g}")
    curve.tick_params(axis="y", which="minor", labelsize=7)
    curve.legend(loc="upper right")
    _best_rates(best, rates, errors)
    return figure


def _best_rates(axis: Axes, rates: np.ndarray, errors: Mapping[int, np.ndarray]) -> None:
    sizes = np.array(list(errors), dtype=float)
    found = np.array([rates[seeds.argmin(axis=1)] for seeds in errors.values()])  # (size, seed)
    middle = np.exp(np.log(found).mean(axis=1))
    spread = np.linspace(0.97, 1.03, found.shape[1])  # seeds that agree would hide each other
    for n, values in zip(sizes, found, strict=True):
        axis.plot(n * spread, values, "o", color=OURS, markersize=5, clip_on=False)
    axis.plot([], [], "o", color=OURS, label="lowest of the grid, each seed")
    anchor = np.exp(np.log(middle * np.sqrt(sizes)).mean())
    axis.plot(sizes, anchor / np.sqrt(sizes), "--", color=PAPER, label="the paper's rule, 1 / sqrt(n), through their mean")
    axis.set(xscale="log", yscale="log", xlabel="latents n", ylabel="best learning rate", ylim=(rates.min(), 2 * rates.max()))
    axis.set_xticks(sizes, [f"{n:.0f}" for n in sizes])
    axis.set_xticks([], minor=True)
    axis.set_yticks(rates, [f"{rate:.2g}" for rate in rates])
    axis.set_yticks([], minor=True)
    axis.legend(loc="upper center")


@styled
def mistakes_and_cures(lessons: Sequence[Lesson]) -> Figure:
    """One small panel per lesson: what the mistake measures, and what the cure does, on the lesson's own scale; dots are seeds."""
    figure, axes = panels(-(-len(lessons) // 3), 3, size=(3.4, 1.25))
    for axis in axes[len(lessons) :]:
        axis.set_axis_off()
    for axis, lesson in zip(axes, lessons, strict=False):
        bars = [(name, values, PAPER) for name, values in lesson.mistakes.items()] + [(name, values, OURS) for name, values in lesson.cure.items()]
        means = np.array([np.mean(values) for _, values, _ in bars])
        wide = means.min() > 0 and means.max() > WIDE * means.min()
        left = means.min() / 3 if wide else 0.0
        for at, (_, values, colour) in enumerate(bars):
            axis.barh(at, means[at] - left, left=left, height=0.6, color=colour, alpha=0.85)
            axis.plot(values, np.full(len(values), at), "o", color=THEORY, markersize=2.5)
            text = f"{means[at]:{lesson.digits}}"
            axis.annotate(text, (max(values), at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, zorder=4)
        if wide:
            axis.set_xscale("log")
        most = max(value for _, values, _ in bars for value in values) or 1.0
        axis.set_xlim(left, most * (most / left) ** 0.25 if wide else 1.3 * most)
        axis.set_yticks(range(len(bars)), [name for name, _, _ in bars], fontsize=7)
        axis.set_xlabel(lesson.quantity, fontsize=7, labelpad=1)
        axis.set_title(lesson.title, fontsize=8.5, loc="left", fontweight="bold")
        axis.tick_params(axis="x", labelsize=6.5)
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.axvline(left, color=CONTROL, linewidth=0.8)
    return figure
