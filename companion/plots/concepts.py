"""Sketches of the ideas behind Toy Models of Superposition: nothing is measured here."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Polygon, Rectangle
from numpy import ndarray

from companion.plots.style import CATEGORIES, CONTROL, INSIDE, MARKED, OURS, PAGE, QUIET, THEORY, panels, styled

LABEL = {"facecolor": PAGE, "edgecolor": "none", "alpha": 0.75, "pad": 0.8}


def canvas(axes: Axes, title: str, caption: str = "", *, x: tuple[float, float] = (-1.4, 1.4), y: tuple[float, float] = (-1.4, 1.4)) -> None:
    """Axes that are paper: no ticks, equal scales, and room for a caption below."""
    lines = 1 + caption.count("\n") if caption else 0
    axes.set(xlim=x, ylim=(y[0] - 0.075 * lines * (x[1] - x[0]), y[1]), aspect="equal", title=title)
    axes.set_axis_off()
    axes.text(0.5, 0, caption, transform=axes.transAxes, ha="center", va="bottom", fontsize=8.5)


def arrow(axes: Axes, tip: Sequence[float], colour: str, label: str = "", *, start: Sequence[float] = (0, 0), width: float = 2.2, **style) -> None:
    """An arrow with its label beyond the tip."""
    axes.add_patch(FancyArrowPatch(start, tip, arrowstyle="-|>", mutation_scale=6 * width, color=colour, lw=width, shrinkA=0, shrinkB=0, **style))
    if label:
        across, up = np.asarray(tip) / np.linalg.norm(tip)
        side = "center" if abs(across) < 0.7 else "left" if across > 0 else "right"
        axes.text(tip[0] + 0.1 * across, tip[1] + 0.14 * up, label, color=colour, ha=side, va="center", fontsize=9)


def _plane(axes: Axes, *, neurons: bool) -> None:
    """The two coordinate axes of a hidden space: named and solid if they mean something, faint if any other pair would do."""
    look = dict(color=THEORY, lw=1.1) if neurons else dict(color=CONTROL, lw=0.8, ls=(0, (3, 4)))
    for direction in np.eye(2):
        axes.plot(*np.outer(direction, [-0.4 if neurons else -1.1, 1.15]), zorder=0, **look)
    if neurons:
        axes.text(1.2, 0, "neuron 1", fontsize=8, va="center")
        axes.text(0, 1.2, "neuron 2", fontsize=8, ha="center")


def _directions(degrees: Sequence[float]) -> Float[ndarray, "k 2"]:
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@styled
def privileged_basis() -> Figure:
    """C1: features in a space without a privileged basis, along the neurons of one that has it, and across them."""
    figure, axes = panels(1, 3, size=(3.5, 3.3))
    cases = (
        ("no privileged basis", "every rotation is as good:\nno axis to look at", (25, 115)),
        ("privileged, features along neurons", "each neuron\nreads one feature", (0, 90)),
        ("privileged, features across neurons", "each neuron answers\nto several features", (38, 142)),
    )
    for panel, (title, caption, degrees) in zip(axes, cases, strict=True):
        canvas(panel, title, caption, x=(-1.65, 1.75), y=(-0.6, 1.45))
        _plane(panel, neurons="no" not in title.split())
        along = degrees == (0, 90)
        for i, tip in enumerate(0.95 * _directions(degrees)):
            arrow(panel, tip, CATEGORIES[i], "" if along else f"feature {i + 1}")
    axes[1].text(0.5, -0.16, "feature 1", color=CATEGORIES[0], ha="center", va="center")
    axes[1].text(0.09, 0.5, "feature 2", color=CATEGORIES[1], va="center")
    return figure


@styled
def superposition_hypothesis() -> Figure:
    """C2: interference when one feature is active, ambiguity when several are, and the large sparse network a small dense one simulates."""
    figure, (one, several, networks) = panels(1, 3, size=(3.5, 3.9), width_ratios=(1, 1, 1.45))
    tips = _directions(90 + 72 * np.arange(5))
    canvas(one, "one feature active: interference", "feature 1 is active; directions 2 and 5 see part\nof it (purple), 3 and 4 its negative (grey)")
    for i, tip in enumerate(tips[1:], 2):
        arrow(one, tip, CONTROL, f"{i}", width=1.1)
        shadow = (tips[0] @ tip) * tip
        one.plot(*zip(tips[0], shadow, strict=True), color=CONTROL, lw=0.8, ls=":", zorder=0)
        one.plot([0, shadow[0]], [0, shadow[1]], color=MARKED if i in (2, 5) else CONTROL, lw=5, alpha=0.8, solid_capstyle="butt", zorder=1)
    arrow(one, tips[0], OURS, "1")
    canvas(several, "several active: ambiguity", "features 1 and 3 are active; their sum (purple)\npoints along feature 2, which is not")
    for i, tip in enumerate(tips):
        colour, width = (OURS, 2.2) if i in (0, 2) else (CONTROL, 1.1)
        arrow(several, tip, colour, f"{i + 1}", width=width)
    both = tips[0] + tips[2]
    arrow(several, both, MARKED, width=2.6, zorder=4)
    for i in (0, 2):
        several.plot(*zip(tips[i], both, strict=True), color=MARKED, lw=0.8, ls=":")
    canvas(networks, "a small network stands for a larger one", x=(-0.3, 7.3), y=(-3.3, 2.9))
    networks.text(3.6, 0, "≈", fontsize=26, ha="center", va="center", color=THEORY)
    _network(networks, 0.2, 11, (2, 8), "large and sparse", "one feature per unit,\nfew active at a time")
    _network(networks, 4.5, 5, range(5), "small and dense", "several features\nper unit")
    return figure


def _network(axes: Axes, left: float, width: int, active: Sequence[int], name: str, caption: str) -> None:
    """Three layers of `width` units; only the active ones, and the connections between them, are in colour."""
    height = np.linspace(1, -1, width) * (2.2 if width > 6 else 1.6)
    for x in left + 1.25 * np.arange(3):
        for i, y in enumerate(height):
            for j in active if i in active and x < left + 2 else ():
                axes.plot([x, x + 1.25], [y, height[j]], color=OURS, lw=0.7, alpha=0.7, zorder=0)
            fill, edge = (OURS, OURS) if i in active else (PAGE, CONTROL)
            axes.add_patch(Circle((x, y), 0.13, facecolor=fill, edgecolor=edge, lw=0.9))
    axes.text(left + 1.25, 2.5, name, ha="center", fontsize=8.5)
    axes.text(left + 1.25, -2.5, caption, ha="center", va="top", fontsize=8.5)


@styled
def experiment() -> Figure:
    """C3: the toy model. n sparse features, m < n hidden dimensions, and the same n features recovered through the transposed weights."""
    figure, (axes,) = panels(size=(8.4, 3.9))
    canvas(axes, "", x=(-0.7, 10.6), y=(-2.9, 2.6))
    _column(axes, 0.5, (0, 0.9, 0, 0, 0.45, 0, 0, 0), OURS, "x", "n features,\nfew of them active")
    _column(axes, 4.9, (0.6, 0.25, 0.75), CATEGORIES[1], "h", "m < n\nhidden dimensions")
    _column(axes, 9.3, (0.05, 0.8, 0, 0.1, 0.42, 0, 0.07, 0), OURS, "x′", "n outputs,\ncompared with x")
    for left, right, wide, narrow, text in ((1.4, 4.2, 2, 0.8, "h = Wᵀ x\n\nW: n × m"), (5.6, 8.4, 0.8, 2, "relu(W h + b)\n\nthe same W")):
        axes.add_patch(Polygon([(left, wide), (left, -wide), (right, -narrow), (right, narrow)], facecolor=INSIDE, edgecolor=OURS))
        axes.text((left + right) / 2, 0, text, ha="center", va="center")
    for start, end in ((0.85, 1.35), (4.22, 4.6), (5.2, 5.58), (8.42, 9.0)):
        arrow(axes, (end, 0), THEORY, start=(start, 0), width=1.3)
    axes.text(10.1, 0, "L = Σ Iᵢ (xᵢ − x′ᵢ)²", fontsize=9, rotation=90, va="center", ha="center")
    return figure


def _column(axes: Axes, x: float, values: Sequence[float], colour: str, name: str, caption: str) -> None:
    """A vector as a column of cells; the fuller the colour, the larger the entry."""
    top = 0.25 * len(values)
    for i, value in enumerate(values):
        for look in (dict(fc=PAGE, ec=THEORY, lw=0.8), dict(fc=colour, ec="none", alpha=value)):
            axes.add_patch(Rectangle((x - 0.25, top - 0.5 * (i + 1)), 0.5, 0.5, **look))
    axes.text(x, top + 0.15, name, ha="center", va="bottom", fontsize=12, style="italic")
    axes.text(x, -top - 0.15, caption, ha="center", va="top", fontsize=8)


@styled
def fates() -> Figure:
    """C4: what can become of one feature more than there are dimensions: two features (grey) and an extra one (purple) in a plane."""
    figure, axes = panels(1, 3, size=(3.3, 3.6))
    canvas(axes[0], "ignored", "the output is its mean;\nits whole variance is lost")
    canvas(axes[1], "dedicated, at another's cost", "a dimension of its own;\nfeature 2 is lost instead")
    canvas(axes[2], "superposed", "opposite to feature 2: both are kept,\nand disturb each other if both are active")
    for panel, second, extra, lost, colour in zip(axes, (1, 0, 1), (0, 1, -1), ("extra", "2", ""), (MARKED, QUIET, ""), strict=True):
        _plane(panel, neurons=False)
        arrow(panel, (1, 0), QUIET, "1")
        if second:
            arrow(panel, (0, 1), QUIET, "2")
        if extra:
            arrow(panel, (0, extra), MARKED, "extra")
        if lost:
            panel.plot(0, 0, "o", ms=9, mfc=PAGE, mec=colour, mew=1.8)
            panel.text(0, -0.22, f"{lost}: not learned", color=colour, ha="center", va="top", fontsize=8.5, bbox=LABEL)
    return figure
