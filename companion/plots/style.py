"""One look for every figure: its settings, the colours and what each of them means, and the sheet of panels."""

import functools
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy import ndarray

OURS, THEORY, CONTROL, PAPER = "#1f5fa8", "#222222", "#b0b0b0", "#c0392b"
"""Measured here; closed form; something that must fail; a number of the paper."""
PALE, SECOND = "#6a9bd1", "#e08e45"
"""A variant of what was measured here; a second kind of measurement beside it."""
POSITIVE, NEGATIVE = PAPER, OURS
"""Signs of weights, as in `DIVERGING`."""
CATEGORIES = (OURS, "#e08214", "#3a8f5c", "#8e5ea2", PAPER, "#5f6b73", "#2a9fb0", "#b8860b", "#d178a8", "#7a4b2a")
"""Things without an order: features by number, kinds of curves. Also matplotlib's C0 to C9."""
DIVERGING = "RdBu_r"
INTERFERENCE = ListedColormap(colormaps["plasma"](np.linspace(0, 0.9, 256)), "interference")
"""From 0 to 1; the last tenth of plasma is too pale on white."""

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=CATEGORIES),
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "lines.linewidth": 1.6,
    "image.cmap": "viridis",
    "svg.fonttype": "none",
}

Row, Rows, Matrix = Float[ndarray, " x"], Float[ndarray, "seed x"], Float[ndarray, "F H"]
"""One value per place on the horizontal axis; the same for every seed; weights, one row per feature."""
Curve = tuple[Row, Row]


def shades(count: int) -> list[tuple[float, ...]]:
    """Colours of things with an order, light to dark for small to large; yellow is left out, being too pale on white."""
    return [colormaps["viridis"](at) for at in np.linspace(0.85, 0.05, count)]


def styled(plot: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw inside the package's style and leave the reader's own settings alone."""

    @functools.wraps(plot)
    def drawn(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return plot(*args, **kwargs)

    return drawn


def panels(rows: int = 1, cols: int = 1, *, size: tuple[float, float] = (4.5, 3.2), **kwargs) -> tuple[Figure, list[Axes]]:
    """A figure of rows x cols axes, `size` inches each, in reading order. It belongs to no pyplot state."""
    figure = Figure(figsize=(size[0] * cols, size[1] * rows), layout="constrained")
    return figure, list(figure.subplots(rows, cols, squeeze=False, **kwargs).flat)


def sheet(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """As many panels as are needed, `columns` to a row; what is left of the last row stays blank."""
    columns = min(columns, count)
    figure, axes = panels(-(-count // columns), columns, size=size)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def note(axes: Axes, text: str, at: Sequence[float], offset: tuple[float, float] = (0, 0), where: str | tuple = "data", **look) -> None:
    """Small text, `offset` points from a place in the data or in other coordinates of matplotlib's `xycoords`."""
    axes.annotate(text, at, offset, xycoords=where, textcoords="offset points", annotation_clip=False, **{"fontsize": 7.5} | look)
