"""One-dimensional probes: a latent beside a label, what choosing among many gains, and the gains of tasks. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from companion.plots.bars import bars
from companion.plots.lines import DOTTED, Log, Look, Panel, frame, level, lines
from companion.plots.style import CONTROL, CONTROLS, MARKED, OURS, PALE, SECOND, THEORY, Curve, Row, Rows, note, panels, styled

COLOURS = (OURS, SECOND, PALE, MARKED, *CONTROLS)
"""Of what is probed, in the order in which a page names it: the trained dictionary first."""
MARKERS = "oDsv^<>"
LEAST = -0.5
"""Gains below it are drawn at it: a probe may be badly wrong on other text."""
GAIN = "gain, ln 2 - L (nats)"


@styled
def latent_by_label(values: Mapping[str, Row], probe: Curve) -> Figure:
    """How often the latent has which value, a histogram per class as shares of the class; on the same axis the probe's probability.

    values: the latent on the tokens of each class, negatives first. probe: (z, probability of the second class).
    """
    figure, (axes,) = panels(size=(5.6, 3.2))
    bins = np.linspace(0, max(held.max() for held in values.values()), 31)
    for (name, held), colour in zip(values.items(), (CONTROL, OURS), strict=True):
        weights = np.full(len(held), 1 / len(held))
        axes.hist(held, bins, weights=weights, color=colour, alpha=0.65, label=f"{name} ({len(held):,} tokens)")
    axes.plot(*probe, color=MARKED, label=f"probability of {list(values)[1]}")
    frame(axes, "value z of the latent", "share of the class; probability", dict(loc="upper left", bbox_to_anchor=(0.1, 1)), ylim=(0, 1))
    return figure


def selection(candidates: Sequence[int], choosing: Rows, judging: Rows) -> Figure:
    """Mean gain of the best of so many latents on labels in random order, where it was chosen and on other text; a line per permutation."""
    looks = [DOTTED | dict(color=MARKED, ls="--", marker="D"), DOTTED | dict(color=OURS)]
    curves = {"on the text that chose it": choosing, "on other text": judging}
    figure = lines(Panel(candidates, curves, Log("latents to choose from", candidates[::2]), GAIN, looks), size=(5.4, 3.2))
    level(figure.axes[0], 0, colour=THEORY)
    return figure


@styled
def mean_gains(groups: Mapping[str, Mapping[str, Row | float]]) -> Figure:
    """Mean gain over the tasks of each group, a bar for each thing that is probed and a dot per seed; one panel per group."""
    figure, axes = panels(1, len(groups), size=(3.9, 2.9), sharey=True)
    most = max(np.max(value) for gains in groups.values() for value in gains.values())
    for panel, (title, gains) in zip(axes, groups.items(), strict=True):
        bars(panel, gains, gains.values(), COLOURS[: len(gains)], "{:.3f}", title=title, xlim=(min(0, *map(np.min, gains.values())), 1.2 * most))
        frame(panel, f"mean {GAIN}")
    return figure


@styled
def by_task(groups: Mapping[str, Mapping[str, Row]], names: Mapping[str, Sequence[str]]) -> Figure:
    """Gain of every task, a marker for each thing that is probed; a panel per group of tasks, those of the largest first gain on top.

    Gains below `LEAST` stand at it, with their value beside them.
    """
    rows = max(map(len, names.values()))
    figure, axes = panels(1, len(groups), size=(4.7, 0.9 + 0.21 * rows))
    for panel, (title, gains) in zip(axes, groups.items(), strict=True):
        order = np.argsort(next(iter(gains.values())))
        for (kind, values), colour, marker in zip(gains.items(), COLOURS, MARKERS, strict=False):
            panel.plot(values[order].clip(LEAST), range(len(order)), marker, color=colour, ms=4.5, alpha=0.85, label=kind)
            for row in np.flatnonzero(values[order] < LEAST):
                note(panel, f"{values[order][row]:.1f}", (LEAST, row), (4, 3), color=colour)
        panel.axvline(0, color=THEORY, lw=0.8)
        panel.axvline(np.log(2), color=THEORY, lw=0.8, ls=":")
        frame(panel, f"{GAIN}; dotted: ln 2", title=title, yticks=range(len(order)), yticklabels=[names[title][i] for i in order])
        panel.set_ylim(-0.7, len(order) - 0.3)
    axes[0].legend(loc="lower right")
    return figure


@styled
def before_and_after(before: Row, after: Row, names: Sequence[str]) -> Figure:
    """Gain of each task before and after the activation function, with the line on which both are the same; the largest differences named."""
    figure, (axes,) = panels(size=(4.4, 3.9))
    ends = [min(0, before.min(), after.min()), np.log(2)]
    axes.plot(ends, ends, color=THEORY, lw=0.8)
    axes.plot(before, after, "o", color=OURS, ms=5, alpha=0.8)
    for at in np.argsort(-np.abs(after - before))[:3]:
        left = before[at] > ends[1] / 2  # no room for a name at the right edge
        note(axes, names[at], (before[at], after[at]), (-6 if left else 6, -3), ha="right" if left else "left")
    frame(axes, f"pre-activation: {GAIN}", f"after TopK: {GAIN}")
    return figure


def against_size(kept: Sequence[int], by_kept: Rows, untrained: Rows, latents: Sequence[int], by_latents: Rows, fixed: tuple[int, int]) -> Figure:
    """Mean gain against k at a fixed n, trained and not, and against n at a fixed k: a line per seed. fixed: that n and that k."""
    looks: list[Look] = [DOTTED | dict(color=OURS), DOTTED | dict(color=CONTROL, ls="--")]
    across = Log("latents kept per token, k", kept)
    left = Panel(kept, {"trained": by_kept, "never trained": untrained}, across, f"mean {GAIN}", looks, settings=dict(title=f"n = {fixed[0]:,}"))
    right = Panel(latents, {"": by_latents}, Log("latents n", latents), "", looks, settings=dict(title=f"k = {fixed[1]}"), legend=None)
    return lines(left, right, size=(4.2, 3.1), sharey=True)
