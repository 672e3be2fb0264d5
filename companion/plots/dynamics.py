"""Pictures of learning in the toy models: how features swap dimensions, and how sets of features unfold. Arrays in, figures out."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

SETS = ("#1f5fa8", "#d9822b")
"""One colour per set of correlated features."""
STEP = "training step (log scale)"


def _step_axis(axes: Axes, steps: Int[ndarray, " T"]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(steps[0], steps[-1])
    axes.set_xlabel(STEP)


@styled
def energy_levels(
    steps: Int[ndarray, " T"],
    D: Float[ndarray, "T F"],
    loss: Float[ndarray, " T"],
    linear_loss: Float[ndarray, " T"],
    best: float,
    event: tuple[int, int],
) -> Figure:
    """F19: D_i of every feature (above) and the loss in units of V (below) against the step, with the widest swap shaded.

    Blue lines end on a level, red ones climbed above D = 0.2 and lost it again. `best`: loss of m exact antipodal pairs.
    """
    figure, (above, below) = panels(2, 1, size=(7.4, 3.0), sharex=True, height_ratios=(1.6, 1))
    won, climbed = D[-1] > 0.25, D.max(0) > 0.2
    groups = {
        "never above 0.2": (~won & ~climbed, CONTROL, 0.6),
        "ends on a level": (won, OURS, 1.0),
        "climbed, then lost it": (~won & climbed, PAPER, 1.5),
    }
    for name, (which, colour, width) in groups.items():
        above.plot(steps, D[:, which], color=colour, lw=width, alpha=0.8)
        above.plot([], [], color=colour, label=f"{name}: {int(which.sum())}")
    above.axhline(0.5, color=THEORY, lw=0.8, ls="--")
    above.set(ylabel="feature dimensionality D", ylim=(-0.02, 0.62))
    above.legend(loc="upper left", title="features")
    below.plot(steps, linear_loss, color=CONTROL, label="linear model, same samples")
    below.plot(steps, loss, color=OURS, label="test loss")
    below.axhline(best, color=THEORY, lw=0.8, ls="--", label="m antipodal pairs (exact)")
    below.set(ylabel="loss / V", ylim=(best - 2, best + 12))
    below.legend(loc="lower left")
    for axes in (above, below):
        axes.axvspan(*event, color=PAPER, alpha=0.09, lw=0)
    _step_axis(below, steps)
    return figure


@styled
def reallocation(steps: Int[ndarray, " T"], D: Float[ndarray, "T F"], leverage: Float[ndarray, "T F"], event: tuple[int, int]) -> Figure:
    """The D_i of all features stacked on each other, and the sum of the leverage scores above them: the budget that jumps share out."""
    figure, (axes,) = panels(size=(7.4, 3.4))
    order = np.argsort(D[-1])[::-1]
    won = int((D[-1] > 0.25).sum())
    shades = [*(("#1f5fa8", "#6fa0d0")[i % 2] for i in range(won)), *(("#dcdcdc", "#ececec")[i % 2] for i in range(len(order) - won))]
    axes.stackplot(steps, D[:, order].T, colors=shades, lw=0)
    axes.plot(steps, D.sum(1), color=THEORY, lw=1.4, label="sum of D")
    axes.plot(steps, leverage.sum(1), color=PAPER, lw=1.2, ls="--", label="sum of leverage scores = m")
    axes.fill_between([], [], color="#1f5fa8", label=f"each band one of the {won} features that end on a level")
    axes.fill_between([], [], color="#dcdcdc", label="the other features")
    axes.axvspan(*event, color=PAPER, alpha=0.12, lw=0)
    axes.set(ylabel="dimensions (stacked D)", ylim=(0, leverage.sum(1).max() * 1.32))
    _step_axis(axes, steps)
    axes.legend(loc="upper left", ncols=2, fontsize=7.5)
    return figure


@styled
def jitter(steps: Int[ndarray, " T"], runs: dict[str, Float[ndarray, "T F"]]) -> Figure:
    """D_i of every feature, step by step, for one optimiser and for a new one in every step: the same samples and rate; near the level 1/2."""
    figure, axes = panels(1, len(runs), size=(4.2, 3.0), sharey=True)
    for panel, (name, D) in zip(axes, runs.items(), strict=True):
        panel.plot(steps, D, color=OURS, lw=0.6, alpha=0.7)
        panel.set(title=name, xlabel="training step", ylim=(0.46, 0.54))
        panel.axhline(0.5, color=THEORY, lw=0.8, ls="--")
    axes[0].set_ylabel("feature dimensionality D")
    return figure


@styled
def unfolding(
    steps: Int[ndarray, " T"],
    loss: Float[ndarray, "T I"],
    levels: dict[str, float],
    runs: Sequence[tuple[str, int, Float[ndarray, "T F 3"], Sequence[int]]],
) -> Figure:
    """F20: loss of all runs (log-log) with theory levels and markers; below, one row of 3-D pictures per drawn run.

    runs: (title, index of the run, its feature vectors at every kept step, indices of the markers). The first half of the
    features is one set, the second half the other. A picture shows the path so far, and the vectors at the marker.
    """
    marks = len(runs[0][3])
    figure = Figure(figsize=(2.3 * marks, 3.4 + 2.2 * len(runs)), layout="constrained")
    grid = figure.add_gridspec(1 + len(runs), marks, height_ratios=(1.5, *(1,) * len(runs)))
    axes = figure.add_subplot(grid[0, :])
    axes.loglog(steps, loss, color=CONTROL, lw=0.5, alpha=0.6)
    for name, level in levels.items():
        axes.axhline(level, color=THEORY, lw=0.8, ls="--")
        below = level == min(levels.values())  # the lowest label leaves room for its neighbour
        place = dict(xycoords=("axes fraction", "data"), textcoords="offset points", va="top" if below else "bottom", fontsize=7.5)
        axes.annotate(name, (0.005, level), (0, -2 if below else 2), **place)
    for row, (title, index, W, at) in enumerate(runs):
        colour = (PAPER, OURS)[row % 2]
        axes.plot(steps, loss[:, index], color=colour, lw=1.6, label=title)
        axes.plot(steps[list(at)], loss[list(at), index], "o", color=colour, ms=5)
        for column, t in enumerate(at):
            if row == 0:
                axes.annotate(
                    "ABCDEFGH"[column],
                    (steps[t], loss[t, index]),
                    (4, 5) if column < marks - 1 else (-14, 6),
                    textcoords="offset points",
                    fontweight="bold",
                    color=colour,
                )
            letter = f"{'ABCDEFGH'[column]}: step {steps[t]}"
            _vectors(figure.add_subplot(grid[1 + row, column], projection="3d"), W, t, letter, title if column == 0 else "", colour)
    axes.set(ylabel="exact loss / p", xlim=(steps[0], steps[-1]), ylim=(min(levels.values()) * 0.6, loss.max() * 1.4), xlabel=STEP)
    axes.legend(loc="upper right")
    return figure


def _vectors(axes: Axes, W: Float[ndarray, "T F 3"], t: int, letter: str, title: str, colour: str) -> None:
    half = W.shape[1] // 2
    for i, path in enumerate(W[: t + 1].transpose(1, 0, 2)):
        shade = SETS[i >= half]
        axes.plot(*path.T, color=shade, lw=0.7, alpha=0.6)
        axes.plot(*np.stack([np.zeros(3), path[-1]]).T, color=shade, lw=1.8)
        axes.scatter(*path[-1], color=shade, s=16)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), xticklabels=[], yticklabels=[], zticklabels=[])
    axes.set_box_aspect((1, 1, 1), zoom=1.3)
    axes.view_init(elev=28, azim=-60)
    axes.set_title(letter, fontsize=8.5, pad=0)
    axes.text2D(0, 0.5, title, transform=axes.transAxes, rotation=90, va="center", ha="right", fontsize=8, color=colour)


@styled
def branches(
    counts: dict[str, dict[str, int]], matched: Float[ndarray, " I"], loss: Float[ndarray, " I"], sampled: Float[ndarray, " S"], best: float
) -> Figure:
    """How often each geometry is an ending or is on the way (left), and the loss that every run reaches in units of p^2 (right).

    matched: mean cosine of a run's cross-set partners when its triples have opened.
    """
    figure, (bars, reached) = panels(1, 2, size=(4.6, 3.3))
    names = [(group, name) for group, inside in counts.items() for name in inside]
    values = [counts[group][name] for group, name in names]
    groups = list(counts)
    bars.barh(range(len(names)), values, color=[(OURS, PAPER, CONTROL)[groups.index(group) % 3] for group, _ in names])
    for row, value in enumerate(values):
        bars.annotate(str(value), (value, row), (3, 0), textcoords="offset points", va="center", fontsize=8)
    bars.set_yticks(range(len(names)), [f"{group}: {name}" for group, name in names], fontsize=8)
    bars.invert_yaxis()
    bars.margins(x=0.12)
    bars.set(xlabel="runs")
    reached.axhline(best, color=THEORY, lw=0.9, ls="--", label="octahedron, L = p²")
    reached.plot(matched, loss, "o", color=OURS, ms=4, alpha=0.6, label="exact descent")
    low = matched.min()
    reached.plot(np.full(len(sampled), low - 0.03), sampled, "s", color=PAPER, ms=4, label="sampled training (no path kept)")
    reached.set(xlabel="mean cosine of partners as the triples open\n(-1: octahedron, -2/3: prism)", ylabel="final exact loss / p²")
    reached.set_ylim(0.98, max(1.06, loss.max() * 1.01, sampled.max() * 1.01))
    reached.legend(fontsize=7.5)
    return figure
