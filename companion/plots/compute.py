"""What a splice costs by position, and the share of the compute from checkpoints, finished trainings and a search. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from companion.plots.lines import Log, Panel, Share, frame, level, lines, seeds
from companion.plots.style import CONTROL, CONTROLS, MARKED, OURS, PAGE, PALE, PAPER, QUIET, SECOND, THEORY, Row, Rows, note, panels, styled


@styled
def by_position(costs: Mapping[str, Rows], errors: Mapping[str, Rows]) -> Figure:
    """Nats lost at each position, and the error of the reconstruction there: the mean of the rows as a line, position 0 apart as a ring.

    costs, errors: by name, a row per dictionary and a column per position from 0.
    """
    figure, axes = panels(1, 2, size=(4.5, 3.2))
    for panel, measures, colours in zip(axes, (costs, errors), ((OURS, SECOND), (OURS, CONTROL)), strict=True):
        for (name, rows), colour, mark in zip(measures.items(), colours, "os", strict=False):
            middle = rows.mean(axis=0)
            panel.plot(np.arange(1, len(middle)), middle[1:], color=colour, lw=1.4, label=name)
            panel.plot(np.zeros(len(rows)), rows[:, 0], mark, ms=7, mfc=PAGE, color=colour, clip_on=False, zorder=4)
        frame(panel, "position in the context (open marks: position 0)", legend="best", xlim=(-3, None), ylim=(0, None))
    axes[0].set_ylabel("nats per token")
    axes[1].set_ylabel("normalised error")
    return figure


@styled
def left_clean(positions: Sequence[int], removed: Rows, planted: Row, fair: float) -> Figure:
    """Share of the rise at later positions that goes away when one position is left clean, against that position; a line per dictionary.

    planted: the same for position 0 where its reconstruction was made useless, a value per dictionary. fair: 1/T.
    """
    figure, (axes,) = panels(size=(5.2, 3.2))
    places = np.arange(len(positions))
    seeds(axes, places, removed, "the dictionary everywhere else", color=OURS, marker="o", ms=4, alpha=0.8)
    axes.plot(np.zeros(len(planted)), planted, "D", color=MARKED, ms=5, alpha=0.8, label="position 0 set to the mean: what is undone")
    level(axes, fair, "an equal share for each position", at=0.6, colour=THEORY, ls="--")
    ticks = dict(xticks=places, xticklabels=[str(at) for at in positions])
    frame(axes, "position that is left clean", Share("share of the later rise removed"), "best", **ticks)
    return figure


class Estimates(NamedTuple):
    """One spliced loss read off twice, with the ends of both intervals."""

    loss: float
    map: tuple[float, float, float]
    finished: tuple[float, float, float]


@styled
def finished_runs(
    shares: Row, losses: Row, law: tuple[Row, Row], checkpoints: tuple[Row, Row] | None = None, readings: Sequence[Estimates] = (), spliced: Row = ()
) -> Figure:
    """Loss against compute as a share of the subject's: finished trainings and their power law, the subject's own checkpoints above them.

    readings: a spliced loss with the share by the checkpoints and by the law. spliced: losses drawn as lines across where there is no map.
    """
    figure, (axes,) = panels(size=(5.6, 3.7))
    if checkpoints is not None:
        axes.plot(*checkpoints, "-", color=QUIET, marker=".", ms=4, lw=1, label="checkpoints of the one training")
    axes.plot(*law, color=OURS, lw=1.2, ls="--", label="power law through finished trainings")
    axes.plot(shares, losses, "o", color=OURS, ms=6, label="finished trainings, each of another size")
    for loss in spliced:
        axes.axhline(loss, color=SECOND, lw=0.9)
    for number, (loss, read, second) in enumerate(readings):
        for (share, low, high), colour, mark in ((read, THEORY, "D"), (second, MARKED, "s")):
            name = {THEORY: "read off at the checkpoints", MARKED: "read off at finished trainings"}[colour]
            away = [[max(0.0, share - low)], [max(0.0, high - share)]]
            axes.errorbar(share, loss, xerr=away, fmt=mark, color=colour, ms=5, capsize=3, label=None if number else name, zorder=5)
    across = Log("compute, as a share of the subject's training", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1), form="{x:.4g}")
    frame(axes, across, Log("held-out loss (nats per token)", every=(1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8)), "upper right")
    axes.legend(loc="upper right", fontsize=7)
    return figure


@styled
def search_path(share: Row, curve: Row, read: Sequence[tuple[float, float]], loss: float, ends: tuple[float, float]) -> Figure:
    """A search on a loss curve: the checkpoints read, numbered in their order, the loss looked for, and the interval of the answer.

    share, curve: all checkpoints. read: (share, loss) of those read. ends: of the interval of the share.
    """
    figure, axes = panels(1, 2, size=(4.3, 3.3))
    for panel in axes:
        panel.plot(share, curve, ".", ms=3, color=CONTROLS[2], label=f"{len(share)} checkpoints")
        panel.plot(*np.transpose(read), "o", ms=6, color=OURS, mfc=PAGE, label=f"{len(read)} of them read")
        panel.axhline(loss, color=SECOND, lw=1)
        panel.axvspan(*ends, color=PALE, alpha=0.25, zorder=0)
    across = Log("share of the compute", (1e-4, 1e-3, 0.01, 0.1, 1), form="{x:g}")
    frame(axes[0], across, "loss (nats per token)", "upper right", title="the whole curve")
    width = max(1.05, ends[1] / ends[0])
    near = [number for number, place in enumerate(read) if ends[0] / width**3 < place[0] < ends[1] * width**3]
    for number in near:
        note(axes[1], f"{number + 1}", read[number], (5, 4))
    inside = (share > ends[0] / width**3) & (share < ends[1] * width**3)
    low, high = curve[inside].min(), curve[inside].max()
    limits = dict(xlim=(ends[0] / width**3, ends[1] * width**3), ylim=(low - 0.1 * (high - low), high + 0.1 * (high - low)))
    frame(axes[1], Share("share of the compute"), title="near the answer (shaded: interval)", **limits)
    return figure


def search_errors(errors: Mapping[str, Row]) -> Figure:
    """How often the distance from what all checkpoints give is below so many half-widths of its interval, by the way of choosing them."""
    ordered = {name: [(np.sort(values), np.arange(1, len(values) + 1) / len(values))] for name, values in errors.items()}
    looks = [dict(color=OURS, lw=2), *(dict(color=colour, ls=dash) for colour, dash in zip(CONTROLS, ("--", ":", "-."), strict=True))]
    across = Log("distance from the answer of all checkpoints, in half-widths of its interval", (0.1, 0.3, 1, 3, 10, 30), form="{x:g}")
    settings = dict(xlim=(0.03, 60), ylim=(0, 1.02))
    figure = lines(Panel(None, ordered, across, Share("draws at or below"), looks, settings=settings, legend="upper left"), size=(5.4, 3.3))
    figure.axes[0].axvline(1, color=MARKED, lw=0.9)
    return figure


@styled
def published_readings(steps: Row, losses: Row, readings: Mapping[str, tuple[float, Mapping[str, tuple[float, float, float]]]]) -> Figure:
    """The published table of checkpoints, and each loss read off by several rules, bars from a loss .01 higher to one .01 lower.

    readings: by name, the loss, and by rule the step with its two ends.
    """
    figure, (curve, read) = panels(1, 2, size=(4.3, 3.2))
    curve.plot(steps / steps[-1], losses, "o-", color=PAPER, ms=4, lw=1)
    for name, (loss, _) in readings.items():
        level(curve, loss, name, at=0.25, colour=QUIET, ls=":")
    frame(curve, Share("share of the compute"), "loss (nats per token)", title="eleven checkpoints, each on other text")
    rules = list(next(iter(readings.values()))[1])
    for row, (_, by_rule) in enumerate(readings.values()):
        for rule, colour, mark, lift in zip(rules, (SECOND, OURS), "sD", (-0.12, 0.12), strict=True):
            middle, low, high = np.array(by_rule[rule]) / steps[-1]
            away, label = [[middle - low], [high - middle]], None if row else rule
            read.errorbar(middle, row + lift, xerr=away, fmt=mark, ms=5, color=colour, capsize=3, label=label)
            note(read, f"{middle:.1%}", (high, row + lift), (6, 0), va="center")
    names = dict(yticks=range(len(readings)), yticklabels=list(readings), ylim=(len(readings) - 0.4, -0.6), xlim=(0, 0.45))
    frame(read, Share("share of the compute"), legend="center right", **names)
    return figure
