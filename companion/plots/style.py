"""One look for every figure: its settings, the colours and what each of them means, and the sheet of panels."""

import functools
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from cycler import cycler
from jaxtyping import Float, Shaped
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy import ndarray

# --- colours: no other module of plots names one ---

OURS, THEORY, CONTROL, PAPER = "#0072b2", "#222222", "#a6a6a6", "#d55e00"
"""Measured here; a closed form or an exact optimum; something that must fail; a number of the paper, and nothing else."""
PALE, SECOND, MARKED = "#56b4e9", "#e69f00", "#7a1f5c"
"""A variant of what was measured here; a second kind of measurement beside it; a place or a thing that is picked out: a threshold,
an event, a mistake."""
MEANINGS = (OURS, THEORY, CONTROL, PAPER, PALE, SECOND, MARKED)
"""Told apart by readers who see red and green, or blue and yellow, alike (tests/plots/test_style.py)."""
ARMS = (OURS, PALE, SECOND, MARKED)
"""Best to worst expected arm of the comparison of dead latents."""
CONTROLS, REST = ("#555555", "#888888", "#bbbbbb"), ("#dcdcdc", "#ececec")
"""Several controls in one panel; all the other things, in turn."""
PAGE, QUIET, SHADED, INSIDE = "#ffffff", "#777777", "#f2f2f2", "#eef3f9"
"""The page, also in the gaps between shapes; remarks; a range that is set apart; the inside of a sketched shape."""
POSITIVE, NEGATIVE = "#b2182b", "#2166ac"
"""The two ends of what has signs or sides, near the ends of `DIVERGING`; red and blue, as in the papers."""
MONO, POLY = "#cfe3f7", "#fbdccd"
"""Faint tint behind a neuron of one feature, and of several."""
FATES = {"not learned": PAGE, "superposed": POSITIVE, "dedicated": NEGATIVE}
"""The paper's three fates of a feature, in its colours: white, red, blue."""
CATEGORIES = ("#332288", "#cc6677", "#117733", "#88ccee", "#882255", "#999933", "#44aa99", "#aa4499", "#8c6d31", "#5f6b73")
"""Things without an order: features by number, kinds of curves. Also matplotlib's C0 to C9. The first six can be told apart by all."""
KINDS = {
    "TopK": ("#0072b2", "o", "-"),
    "Multi-TopK": ("#56b4e9", "s", "-"),
    "BatchTopK": ("#009e73", "^", "-"),
    "Matryoshka": ("#00513b", "v", "-"),
    "ReLU (2023)": ("#d55e00", "D", "--"),
    "ReLU (April 2024)": ("#e69f00", "P", "--"),
    "Gated": ("#cc79a7", "X", "--"),
    "JumpReLU": ("#4d4d4d", "*", "--"),
}
"""Colour, marker and dash of each kind of autoencoder, told apart without colour too; dashes have a penalty."""
PARTS = {
    "encoder": CONTROL,
    "selection": SECOND,
    "decoder": PALE,
    "dL/dz": OURS,
    "dL/dW_dec": MARKED,
    "dL/dW_enc": "#b07aa1",
    "dL/dW, both": MARKED,
    "dL/db_pre": THEORY,
    "AuxK": "#cc6677",
    "norm, Adam": "#117733",
    "the rest": REST[0],
}
"""Parts of a training step, the same in every figure."""
LIBRARIES = (OURS, PALE, THEORY, "#117733", SECOND, MARKED)
"""Rows of a benchmark."""
ORDERED, DIVERGING, RATIO = "viridis", "RdBu_r", "coolwarm"
"""Maps of things with an order; of signed weights; of ratios around one."""
INTERFERENCE = ListedColormap(colormaps["plasma"](np.linspace(0, 0.9, 256)), "interference")
"""From 0 to 1; the last tenth of plasma is too pale on white."""

# --- the look of all figures ---

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
    "axes.formatter.limits": (-5, 5),
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "lines.linewidth": 1.6,
    "image.cmap": ORDERED,
    "svg.fonttype": "none",
}

Row, Rows, Matrix = Float[ndarray, " x"], Float[ndarray, "seed x"], Float[ndarray, "F H"]
"""One value per place on the horizontal axis; the same for every seed; weights, one row per feature."""
Plane = Shaped[ndarray, "P R"]
"""One value per density and importance."""
Curve = tuple[Row, Row]


def shades(count: int) -> list[tuple[float, ...]]:
    """Colours of things with an order, light to dark for small to large; yellow is left out, being too pale on white."""
    return [colormaps[ORDERED](at) for at in np.linspace(0.85, 0.05, count)]


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
