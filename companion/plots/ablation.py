"""Figures of the ablation score: against the share of the effect that reaches later tokens, and rows of means with their intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from companion.plots.lines import Curve, Log, frame, level
from companion.plots.style import CONTROL, MARKED, OURS, PALE, PAPER, SECOND, THEORY, note, panels, styled

REMOVED = {"latents": OURS, "channels": SECOND, "PCA": PALE, "random": CONTROL}
"""Colour of what is removed."""
VARIANTS = {"A": "o", "B1": "s", "B2": "^"}
SIZES = (4, 6, 8.5, 11)
"""Markers of sites, the first layer's the smallest."""


class Point(NamedTuple):
    """The mean of one kind of ablation at one site."""

    removed: str
    variant: str
    site: int
    """From 0, in the order of the layers."""
    r: float
    score: float


@styled
def against_reach(curve: Curve, points: Sequence[Point], sites: Sequence[str], paper: Mapping[str, float], span: int) -> Figure:
    """Score on `span` positions against r, the size of the effect at later positions relative to that at t (log): the closed form, and
    points by what is removed (colour), in which variant (shape) and where (size). paper: its scores, as lines."""
    figure, (axes,) = panels(size=(5.8, 4.1))
    for name, height in paper.items():
        level(axes, height, name, colour=PAPER, lw=1)
    axes.plot(*curve, color=THEORY, lw=1.4)
    for point in points:
        look = dict(marker=VARIANTS[point.variant], ms=SIZES[point.site], mfc=REMOVED[point.removed], alpha=0.9)
        axes.plot([point.r], [point.score], ls="", mec=THEORY, mew=0.5, **look)
    legend = [Line2D([], [], color=THEORY, lw=1.4, label="closed form, Gaussian effects")]
    legend += [Line2D([], [], ls="", marker="o", ms=6, color=colour, label=name) for name, colour in REMOVED.items()]
    legend += [Line2D([], [], ls="", marker=shape, ms=6, color=THEORY, mfc="none", label=f"variant {name}") for name, shape in VARIANTS.items()]
    legend += [Line2D([], [], ls="", marker="o", ms=size, color=THEORY, mfc="none", label=name) for name, size in zip(sites, SIZES, strict=False)]
    across = Log("r: effect at a later position, relative to position t", at=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5))
    frame(axes, across, f"score on {span} positions", ylim=(0, 0.7))
    axes.legend(handles=legend, loc="upper left", bbox_to_anchor=(0.0, 0.84), labelspacing=0.35)
    return figure


Interval = tuple[float, float, float]


@styled
def rows(by_panel: Mapping[str, Mapping[str, Interval]], levels: Mapping[str, float] = {}, marked: Sequence[str] = ()) -> Figure:
    """Means with their intervals (value, low, high), a row per name and a panel per quantity, all from zero; the rows of `marked` stand
    out. levels: a dotted line in the panel of that name."""
    names = list(next(iter(by_panel.values())))
    figure, axes = panels(1, len(by_panel), size=(3.3, 0.9 + 0.27 * len(names)), sharey=True)
    for panel, (title, held) in zip(axes, by_panel.items(), strict=True):
        for height, name in enumerate(names):
            value, low, high = held[name]
            colour = MARKED if name in marked else next((REMOVED[kind] for kind in REMOVED if name.endswith(kind)), OURS)
            panel.plot([low, high], [height, height], color=colour, lw=2.2, alpha=0.6, solid_capstyle="butt")
            panel.plot([value], [height], "o", ms=5, color=colour, mec=THEORY, mew=0.5)
            note(panel, f"{value:.3g}", (high, height), (4, 0), va="center")
        if title in levels:
            panel.axvline(levels[title], color=THEORY, lw=0.8, ls=":")
        most = max([high for _, _, high in held.values()] + [levels.get(title, 0)])
        frame(panel, title, xlim=(0, 1.18 * most))
        panel.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


@styled
def sizes(norms: np.ndarray, score: float, expected: float, removed: str) -> Figure:
    """How large one kind of ablation's effect is at each position, relative to t; the level is r."""
    figure, (axes,) = panels(size=(5.2, 3.0))
    r = norms[1:].mean() / norms[0]
    axes.bar(np.arange(len(norms)), norms / norms[0], color=REMOVED[removed])
    level(axes, r, f"r = {r:.3f}", at=0.8, colour=THEORY, ls="--")
    frame(axes, "positions after t", "size of the effect, relative to t", title=f"score {score:.1%}; with equal later effects {expected:.1%}")
    return figure
