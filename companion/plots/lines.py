"""Labelled curves with a line per seed, reference lines, and axes that say what they show: `lines` draws whole figures of them."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from companion.plots.style import CATEGORIES, PAPER, THEORY, Curve, Row, Rows, note, panels, styled

LOOKS = tuple(dict(color=colour, ls=dash) for colour, dash in zip(CATEGORIES, cycle(("-", "--", ":", "-.")), strict=False))
"""Of curves without an order: told apart without colour too."""
DOTTED = dict(marker="o", ms=3, lw=1.1, alpha=0.8)
SOLID = tuple(dict(color=colour) for colour in CATEGORIES)
FEW, MANY = (1, 2, 5), (1, 1.5, 2, 3, 5, 7)
"""Ticks of each decade of an axis that spans several decades, or hardly one."""
DENSITY, STEP = "density p = 1 - S  (log)", "training step (log scale)"
SPARSITIES = (1, 1.5, 2, 3, 4, 6, 10, 20, 50, 100, 300, 1000)


class Log(NamedTuple):
    """A logarithmic axis: its label, and its ticks written out in `form`."""

    label: str = ""
    at: Sequence[float] | None = None
    """Where the ticks are; without it at `every` multiple of powers of ten, or where matplotlib puts them."""
    every: tuple[float, ...] | None = None
    form: str = "{x:g}"


def by_sparsity(inverse: Row) -> Log:
    """The axis of 1/(1-S)."""
    return Log("1 / (1 - S)   (S = sparsity; log scale)", [t for t in SPARSITIES if inverse.min() <= t <= inverse.max() * 1.001])


def frame(axes: Axes, x: str | Log | None = None, y: str | Log | None = None, legend: str | Mapping[str, Any] | None = None, **settings) -> None:
    """Labels and scales of both axes, a legend (its place, or all of its settings), and whatever `Axes.set` takes."""
    for axis, said in ((axes.xaxis, x), (axes.yaxis, y)):
        if isinstance(said, Log):
            axes.set(**{f"{axis.axis_name}scale": "log"})
            low, high = axis.get_data_interval()
            if said.at is not None or said.every:
                every = said.every if low > 0 and high < 300 * low else (1,)  # more would run into each other
                axis.set_major_locator(LogLocator(subs=every) if said.at is None else FixedLocator(list(said.at)))
                axis.set_major_formatter(said.form)
                axis.set_minor_locator(NullLocator())
        if said is not None:
            axis.set_label_text(said.label if isinstance(said, Log) else said)
    axes.set(**settings)
    if legend is not None:
        axes.legend(**{"loc": legend} if isinstance(legend, str) else legend)


def seeds(axes: Axes, x: Row | Sequence[Row], rows: Rows | Row | Sequence[Row], label: str | None = None, *, pale: bool = False, **look) -> None:
    """One line per row, named once. A tuple of rows has one x each; `pale` makes the rows after the first stand back."""
    xs, ys = (x, rows) if isinstance(rows, tuple) else np.broadcast_arrays(x, np.atleast_2d(rows))
    for seed, (at, row) in enumerate(zip(xs, ys, strict=True)):
        faint = {"alpha": 0.35, "lw": 0.8} if pale and seed else {}
        axes.plot(at, row, **look | faint, label=None if seed else label)


def family(axes: Axes, x: Row, curves: Mapping[str, Rows | Row], looks: Sequence[Mapping[str, Any]] = LOOKS, **common) -> None:
    """Named curves over one x, each in the next look, with a line per seed."""
    for (name, rows), look in zip(curves.items(), looks, strict=False):
        seeds(axes, x, rows, name, **common | look)


class Panel(NamedTuple):
    """What one panel of `lines` shows."""

    x: Row
    curves: Mapping[str, Rows | Row]
    """By the name that stands in the legend."""
    across: str | Log
    up: str | Log
    looks: Sequence[Mapping[str, Any]] = LOOKS
    levels: Mapping[str, float] = {}
    """At most two reference lines, by the name that stands in the legend: dashed, and dotted."""
    settings: Mapping[str, Any] = {}
    """What `Axes.set` takes."""


@styled
def lines(*drawn: Panel, size: tuple[float, float] = (4.5, 3.2), legend: str = "best", sharey: bool = False, **common) -> Figure:
    """Panels of labelled curves side by side, a line per seed; a panel with names has a legend. `common` is the look of all lines."""
    figure, axes = panels(1, len(drawn), size=size, sharey=sharey)
    for axis, panel in zip(axes, drawn, strict=True):
        family(axis, panel.x, panel.curves, panel.looks, **common)
        for (name, height), dash in zip(panel.levels.items(), ("--", ":"), strict=False):
            level(axis, height, colour=THEORY, ls=dash, label=name)
        named = any([*panel.curves, *panel.levels])
        frame(axis, panel.across, panel.up, legend if named else None, **panel.settings)
    return figure


def level(axes: Axes, height: float, text: str = "", *, at: float = 0.01, colour: str = PAPER, **look) -> None:
    """A horizontal reference line, with a text on it that starts at the share `at` of the width; beyond 1 it stands beside the line."""
    axes.axhline(height, color=colour, **{"lw": 0.8} | look)
    if text:
        note(axes, text, (at, height), where=("axes fraction", "data"), color=colour, va="center" if at > 1 else "bottom")


def pairs(curves: Sequence[Curve]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Curves that do not share their x, as `seeds` takes them."""
    xs, ys = zip(*curves, strict=True)
    return xs, ys
