"""Whole dictionaries: pairs of latents of two models, and scores by what is explained. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from companion.plots.bars import bars
from companion.plots.lines import frame
from companion.plots.style import CONTROL, OURS, PAPER, SECOND, THEORY, Row, note, panels, styled

Points = Mapping[str, tuple[Row, Row]]
"""Dots by the name that stands in the legend: what is studied, and what it is compared with."""


@styled
def beside_activations(drawn: Mapping[str, Points], across: str, paper: Mapping[str, tuple[float, float]] = {}) -> Figure:
    """How alike pairs are in something else, against how alike their activations are; a panel per thing, with its name as the axis."""
    figure, axes = panels(1, len(drawn), size=(4.1, 3.6), sharey=True)
    for panel, (up, groups) in zip(axes, drawn.items(), strict=True):
        for (name, (x, y)), colour in zip(groups.items(), (OURS, SECOND, CONTROL), strict=False):
            panel.plot(x, y, ".", ms=3, alpha=0.45, mew=0, color=colour)
            panel.plot([], [], "o", ms=5, color=colour, label=name)
        panel.plot([0, 1], [0, 1], color=THEORY, lw=0.7)
        if up in paper:
            panel.plot(*paper[up], "D", ms=7, color=PAPER, label="the paper's Arabic latent")
        frame(panel, across, up, xlim=(-0.1, 1.02), ylim=(-0.4, 1.02))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def by_what(score: str, values: Mapping[str, Row], studied: Sequence[str], nothing: float = 0.0, end: float = 1.15) -> Figure:
    """A mean score by what is scored, a dot per seed, from the score of knowing nothing up to the end of the axis."""
    figure, (axes,) = panels(size=(5.2, 0.8 + 0.3 * len(values)))
    low = min(nothing, *(np.min(each) for each in values.values())) - (end - nothing) / 50  # so that no dot is cut in two
    colours = [OURS if kind in studied else CONTROL for kind in values]
    bars(axes, values, list(values.values()), colours, "{:.2f}", left=nothing, xlabel=score, xlim=(low, end))
    axes.axvline(nothing, color=THEORY, lw=0.8)
    note(axes, "knowing nothing", (nothing, 1), (0, 3), ("data", "axes fraction"), color=THEORY)
    return figure
