"""One look for every figure, and the colours of the quantities that recur."""

import functools
from collections.abc import Callable, Sequence

import matplotlib
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "image.cmap": "viridis",
    "svg.fonttype": "none",
}
OURS, THEORY, CONTROL, PAPER = "#1f5fa8", "#222222", "#b0b0b0", "#c0392b"
"""Measured here; closed form; something that must fail; a number of the paper."""
INVERSE_DENSITY = "1 / (1 - S)   (S = sparsity; log scale)"


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


def log_ticks(axes: Axes, values: Float[ndarray, " levels"], ticks: Sequence[float]) -> None:
    """A logarithmic x axis with those of the ticks that lie among the values, written out."""
    axes.set_xscale("log")
    shown = [t for t in ticks if values.min() <= t <= values.max() * 1.001]
    axes.set_xticks(shown, [f"{t:g}" for t in shown])
    axes.set_xticks([], minor=True)
