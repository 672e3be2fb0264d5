"""Figures of steering: shares of text by strength, and what latents do to the tokens of a label by how they were chosen."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from companion.plots.lines import Share, frame, seeds
from companion.plots.style import CONTROLS, OURS, PALE, SECOND, THEORY, Row, Rows, panels, sheet, styled

MARKS = ("o", "s", "^", "v", "D")


@styled
def dose_response(strengths: Row, shares: Mapping[str, Mapping[str, Rows]], across: str, own: int = 1, columns: int = 3) -> Figure:
    """A panel per class: its share of the text by strength, a line per seed for each thing that was pushed; the first `own` (1 or 2) stand out."""
    figure, axes = sheet(len(shares), columns, (3.1, 2.7))
    for panel, (title, arms) in zip(axes, shares.items(), strict=True):
        for (name, rows), colour, mark in zip(arms.items(), ((OURS, SECOND)[:own] + CONTROLS), MARKS, strict=False):
            seeds(panel, strengths, rows, name, color=colour, marker=mark, ms=3.5, lw=1.4 if colour in (OURS, SECOND) else 0.9, alpha=0.85)
        frame(panel, across, Share("share of the characters"), title=title)
        panel.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
        panel.set_ylim(bottom=0)
    names = axes[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=min(len(names[1]), 2 * len(shares)), fontsize=7, columnspacing=1.0)
    return figure


@styled
def by_choice(names: Sequence[str], effects: Mapping[str, Rows], across: str) -> Figure:
    """A row per label and a mark per way of choosing its latent: the mean over seeds, with the range of the seeds as a line."""
    figure, (axes,) = panels(size=(6.4, 0.9 + 0.3 * len(names)))
    for place, ((name, rows), colour) in enumerate(zip(effects.items(), (OURS, SECOND, CONTROLS[1], PALE), strict=False)):
        heights = np.arange(len(names)) + 0.22 * (place - (len(effects) - 1) / 2)
        axes.hlines(heights, rows.min(0), rows.max(0), color=colour, lw=1.6, alpha=0.5)
        axes.plot(rows.mean(0), heights, MARKS[place], color=colour, ms=5, label=name)
    axes.axvline(0, color=THEORY, lw=0.8)
    frame(axes, across, legend=dict(loc="lower left", bbox_to_anchor=(-0.25, 1.0), ncols=len(effects), fontsize=7, columnspacing=1.0))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    return figure
