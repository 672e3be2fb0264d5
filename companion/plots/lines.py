"""Labelled curves with a line per seed, reference lines, and axes that say what they show: `lines` draws whole figures of them."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from companion.plots.style import CATEGORIES, MARKED, THEORY, Curve, Row, Rows, note, panels, styled

Look = Mapping[str, Any]
LOOKS = tuple(dict(color=colour, ls=dash) for colour, dash in zip(CATEGORIES, cycle(("-", "--", ":", "-.")), strict=False))
"""Of curves without an order: told apart without colour too."""
DOTTED = dict(marker="o", ms=3, lw=1.1, alpha=0.8)
DOTS = dict(marker="o", ls="", ms=4, alpha=0.85)
FEW, MANY = (1, 2, 5), (1, 1.5, 2, 3, 5, 7)
"""Ticks of each decade of an axis that spans several decades, or hardly one."""
WRITTEN = "{x:,.0f}"
DENSITY, STEP = "density p = 1 - S  (log)", "training step (log scale)"
SPARSITIES = (1, 1.5, 2, 3, 4, 6, 10, 20, 50, 100, 300, 1000)


class Log(NamedTuple):
    """A logarithmic axis: its label, and its ticks written out in `form`."""

    label: str = ""
    at: Sequence[float] | None = None
    """Where the ticks are; without it at `every` multiple of powers of ten, or where matplotlib puts them."""
    every: tuple[float, ...] | None = None
    form: str = "{x:g}"


class Share(NamedTuple):
    """A linear axis of shares, written as percentages."""

    label: str = ""


def by_sparsity(inverse: Row) -> Log:
    """The axis of 1/(1-S)."""
    return Log("1 / (1 - S)   (S = sparsity; log scale)", [t for t in SPARSITIES if inverse.min() <= t <= inverse.max() * 1.001])


def frame(axes: Axes, x: str | Log | Share = "", y: str | Log | Share = "", legend: str | Look | None = None, **settings) -> None:
    """Labels and scales of both axes, a legend (its place, or all of its settings), and whatever `Axes.set` takes."""
    for axis, said in ((axes.xaxis, x), (axes.yaxis, y)):
        if isinstance(said, Log):
            _logarithmic(axes, axis, said)
        if isinstance(said, Share):
            axis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
        if said:
            axis.set_label_text(said if isinstance(said, str) else said.label)
    axes.set(**settings)
    if legend is not None:
        axes.legend(**{"loc": legend} if isinstance(legend, str) else legend)


def _logarithmic(axes: Axes, axis: Axis, said: Log) -> None:
    axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_data_interval()
    if said.at is not None or said.every:
        every = said.every if low > 0 and high < 300 * low else (1,)  # more would run into each other
        axis.set_major_locator(LogLocator(subs=every) if said.at is None else FixedLocator(list(said.at)))
        axis.set_major_formatter(said.form)
        axis.set_minor_locator(NullLocator())


def seeds(axes: Axes, x: Row | None, rows: Rows | Row | Sequence[Curve], label: str | None = None, *, pale: bool = False, **look) -> None:
    """One line per row over x, or per curve where there is no x, named once; `pale` makes the lines after the first stand back."""
    curves = rows if x is None else [(x, row) for row in np.atleast_2d(rows)]
    for seed, curve in enumerate(curves):
        faint = {"alpha": 0.35, "lw": 0.8} if pale and seed else {}
        axes.plot(*curve, **look | faint, label=None if seed else label)


class Panel(NamedTuple):
    """What one panel of `lines` shows."""

    x: Row | None
    """None where curves bring their own."""
    curves: Mapping[str, Rows | Row | Sequence[Curve]]
    """By the name that stands in the legend."""
    across: str | Log | Share = ""
    up: str | Log | Share = ""
    looks: Sequence[Look] = LOOKS
    levels: Mapping[str, float] = {}
    """At most two reference lines, by the name that stands in the legend: dashed, and dotted."""
    settings: Mapping[str, Any] = {}
    """What `Axes.set` takes."""
    legend: str | Look | None = "best"
    """Drawn where there are names."""


def draw(axes: Axes, panel: Panel, **common) -> None:
    """The panel's curves, each in the next look, over `common`, the look of all of them."""
    for (name, rows), look in zip(panel.curves.items(), panel.looks, strict=False):
        seeds(axes, panel.x, rows, name, **common | look)
    for (name, height), dash in zip(panel.levels.items(), ("--", ":"), strict=False):
        level(axes, height, colour=THEORY, ls=dash, label=name)
    frame(axes, panel.across, panel.up, panel.legend if any([*panel.curves, *panel.levels]) else None, **panel.settings)


@styled
def lines(*drawn: Panel, size: tuple[float, float] = (4.5, 3.2), sharey: bool = False, **common) -> Figure:
    """Panels of labelled curves side by side, a line per seed; `common` is the look of all lines."""
    figure, axes = panels(1, len(drawn), size=size, sharey=sharey)
    for axis, panel in zip(axes, drawn, strict=True):
        draw(axis, panel, **common)
    return figure


def level(axes: Axes, height: float, text: str = "", *, at: float = 0.01, colour: str = MARKED, **look) -> None:
    """A horizontal reference line, with a text on it that starts at the share `at` of the width; beyond 1 it stands beside the line."""
    axes.axhline(height, color=colour, **{"lw": 0.8} | look)
    if text:
        note(axes, text, (at, height), where=("axes fraction", "data"), color=colour, va="center" if at > 1 else "bottom")


def direct(axes: Axes, ends: Mapping[str, tuple[float, float, Any]], least: float = 0.065) -> None:
    """Names of curves beside the axes, by the end (x, y) and colour of each: pushed apart where they would overlap, a thin line to the end.

    To be called when the limits stand. least: distance of two names, as a share of the height.
    """
    names, share = sorted(ends, key=lambda name: ends[name][1]), axes.transScale + axes.transLimits
    at = [float(share.transform(ends[name][:2])[1]) for name in names]
    for low in [*range(len(at) - 1)] * 100:
        push = max(0.0, least - (at[low + 1] - at[low])) / 2
        at[low], at[low + 1] = at[low] - push, at[low + 1] + push
    for name, height in zip(names, at, strict=True):
        *end, colour = ends[name]
        line, place = dict(arrowstyle="-", color=colour, lw=0.6, shrinkA=0, shrinkB=3), dict(textcoords="axes fraction", va="center")
        axes.annotate(name, end, (1.04, height), arrowprops=line, color=colour, fontsize=8.5, annotation_clip=False, **place)


def columns(axes: Axes, groups: Mapping[str, Row], width: float, **look) -> None:
    """The values of each group as dots side by side in its column, `width` of the way to the next; its name is under it."""
    for at, values in enumerate(groups.values()):
        axes.plot(at + width * (np.arange(len(values)) / len(values) - 0.5), values, ".", **look)
    axes.set_xticks(range(len(groups)), list(groups))


def solid(*colours: Any) -> list[Look]:
    """Looks of curves that colour alone tells apart."""
    return [dict(color=colour) for colour in colours]
