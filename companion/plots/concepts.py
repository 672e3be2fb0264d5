"""Drawings that explain: no data but a few small matrices."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

SETS = [OURS, PAPER, "#2e8b57", "#8e5ea2", "#d08a1d", "#4a9fa5", "#7f5539", "#6b7280"]


def _arrow(axes: Axes, to, start=(0.0, 0.0), *, colour: str = THEORY, text: str = "", width: float = 1.8) -> None:
    axes.annotate("", to, start, arrowprops=dict(arrowstyle="-|>", color=colour, lw=width, shrinkA=0, shrinkB=0))
    if text:
        place = np.asarray(start) + 1.17 * (np.asarray(to) - np.asarray(start))
        axes.text(*place, text, color=colour, ha="center", va="center", fontsize=8.5)


def _bare(axes: Axes, title: str, reach: float = 1.45) -> None:
    axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _neuron_axes(axes: Axes, names=("neuron 1", "neuron 2"), reach: float = 1.25) -> None:
    for x, y, name in ((reach, 0, names[0]), (0, reach, names[1])):
        axes.plot([-x, x], [-y, y], color=CONTROL, lw=0.8, ls="--", zorder=0)
        axes.text(x, y, name, fontsize=7.5, color="#888888", ha="center", va="bottom")


@styled
def privileged_basis() -> Figure:
    """C1: features in any direction where no direction is special, and along the neurons where an elementwise function makes them so."""
    figure, (free, privileged) = panels(1, 2, size=(3.3, 3.2))
    turn = np.deg2rad(32)
    for i, angle in enumerate((turn, turn + np.pi / 2)):
        _arrow(free, (np.cos(angle), np.sin(angle)), colour=SETS[i], text=f"feature {i + 1}")
    _neuron_axes(free)
    _bare(free, "no privileged basis\n(any rotation computes the same)")
    for i, to in enumerate(((1.0, 0), (0, 1.0))):
        _arrow(privileged, to, colour=SETS[i])
        privileged.text(0.55 if i == 0 else 0.08, -0.14 if i == 0 else 0.6, f"feature {i + 1}", color=SETS[i], fontsize=8.5)
    _neuron_axes(privileged)
    _bare(privileged, "privileged basis\n(a relu acts on each neuron by itself)")
    return figure


@styled
def superposition_hypothesis() -> Figure:
    """C2: interference with one active feature, ambiguity with several, and a small network that stands for a larger sparse one."""
    figure, (one, several, networks) = panels(1, 3, size=(3.3, 3.3), width_ratios=(1, 1, 1.35))
    angle = np.pi / 2 + 2 * np.pi * np.arange(5) / 5
    corners = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for axes, active in ((one, [0]), (several, [1, 4])):
        for i, corner in enumerate(corners):
            _arrow(axes, corner, colour=SETS[i] if i in active else CONTROL, text=f"{i + 1}", width=2.2 if i in active else 1.2)
    for i in (1, 4):  # what the active feature casts on its neighbours
        shadow = (corners[0] @ corners[i]) * corners[i]
        one.plot(*zip(corners[0], shadow, strict=True), color=SETS[0], lw=0.8, ls=":")
        one.plot(*shadow, "o", color=SETS[0], ms=4)
    total = corners[1] + corners[4]
    several.plot(*total, "*", color=THEORY, ms=12)
    several.text(total[0] + 0.12, total[1] - 0.05, "sum", fontsize=8)
    _bare(one, "one active feature:\nits shadow on others is interference")
    _bare(several, "two active features:\ntheir sum looks like feature 1")
    _two_networks(networks)
    return figure


def _two_networks(axes: Axes) -> None:
    rng = np.random.default_rng(0)
    for x, sizes, colour, name in (
        (0.0, (3, 3), OURS, "observed: few neurons,\neach of several features"),
        (3.2, (8, 8), PAPER, "simulated: many,\nsparse"),
    ):
        columns = [np.linspace(-1, 1, size) * (0.5 if size == 3 else 1.1) for size in sizes]
        for i, low in enumerate(columns[0]):
            for j, high in enumerate(columns[1]):
                if len(columns[0]) == 3 or rng.random() < 0.22 or i == j:
                    axes.plot([x, x + 1.3], [low, high], color=colour, lw=0.7, alpha=0.6)
        for k, column in enumerate(columns):
            axes.plot([x + 1.3 * k] * len(column), column, "o", color=colour, ms=6)
        axes.text(x + 0.65, -1.75, name, ha="center", fontsize=8, color=colour)
    axes.annotate("", (2.85, 0), (1.7, 0), arrowprops=dict(arrowstyle="<->", color=THEORY))
    axes.set(xlim=(-0.4, 4.9), ylim=(-1.9, 1.6))
    axes.set_title("a small dense network that behaves\nlike a large sparse one", fontsize=9)
    axes.set_axis_off()


@styled
def experiment() -> Figure:
    """C3: n sparse features, pressed into m dimensions by W^T, read out by W with bias and relu."""
    figure, (axes,) = panels(size=(7.4, 2.9))
    rng = np.random.default_rng(3)
    heights = {0.0: np.linspace(-1, 1, 9), 2.4: np.linspace(-0.45, 0.45, 3), 4.8: np.linspace(-1, 1, 9)}
    (x0, left), (x1, middle), (x2, right) = heights.items()
    for a, b, xa, xb in ((left, middle, x0, x1), (middle, right, x1, x2)):
        for low in a:
            for high in b:
                axes.plot([xa, xb], [low, high], color=CONTROL, lw=0.4, zorder=0)
    active = rng.random(9) < 0.25
    for x, column, shades in ((x0, left, active * 0.9), (x1, middle, np.array([0.5, 0.2, 0.7])), (x2, right, active * 0.8 + 0.05)):
        axes.scatter([x] * len(column), column, s=90, c=shades, cmap="Blues", vmin=0, vmax=1.2, edgecolors=THEORY, lw=0.7)
    for x, text in ((x0, "features x\n(n of them, sparse)"), (x1, "hidden h = Wᵀx\n(m < n)"), (x2, "x' = relu(W h + b)\n(n again)")):
        axes.text(x, -1.25, text, ha="center", va="top", fontsize=9)
    axes.text(5.4, 0, "loss\nΣ Iᵢ (xᵢ - x'ᵢ)²", ha="left", va="center", fontsize=9)
    axes.set(xlim=(-0.9, 6.9), ylim=(-1.9, 1.2))
    axes.set_axis_off()
    return figure


@styled
def fates() -> Figure:
    """C4: what can become of one feature more than there are dimensions."""
    figure, axes = panels(1, 3, size=(2.7, 2.8))
    titles = ("not learned", "dedicated\n(another one is dropped)", "superposed\n(two share a dimension)")
    for panel, title, rows in zip(axes, titles, ([1, 0], [0, 1], [1, -1]), strict=True):
        panel.plot([-1.3, 1.3], [0, 0], color=CONTROL, lw=0.8, ls="--", zorder=0)
        for i, (value, name) in enumerate(zip(rows, ("first", "extra"), strict=True)):
            if value:
                _arrow(panel, (float(value), 0), colour=SETS[i], width=2.4)
                panel.text(0.6 * value, 0.14, name, color=SETS[i], ha="center", fontsize=8.5)
            else:
                panel.plot(0, 0, "o", color=SETS[i], ms=6)
                panel.text(0, -0.28, f"{name}: 0", color=SETS[i], ha="center", fontsize=8.5)
        _bare(panel, title)
        panel.set_ylim(-0.7, 0.7)
    return figure


@styled
def views_of_weights(W: Float[ndarray, "F H"]) -> Figure:
    """C7: one W as a heat map, as a stack of its entries per dimension (negative ones below the axis), and as a graph of W W^T."""
    figure, (matrix, stack, graph) = panels(1, 3, size=(3.0, 3.0))
    reach = np.abs(W).max()
    drawn = matrix.imshow(W, cmap="RdBu_r", vmin=-reach, vmax=reach)
    matrix.set(title="matrix W", xlabel="dimension", ylabel="feature", xticks=range(W.shape[1]), yticks=range(len(W)))
    matrix.grid(visible=False)
    figure.colorbar(drawn, ax=matrix, shrink=0.8)
    for h in range(W.shape[1]):
        above = below = 0.0
        for i, value in enumerate(W[:, h]):
            stack.bar(h, value, bottom=above if value > 0 else below, color=SETS[i % len(SETS)], edgecolor="white", lw=0.6, width=0.7)
            above, below = (above + value, below) if value > 0 else (above, below + value)
    stack.axhline(0, color=THEORY, lw=0.8)
    stack.set(title="stack per dimension\n(colour = feature)", xlabel="dimension", xticks=range(W.shape[1]), ylabel="weights")
    _graph(graph, W @ W.T)
    _bare(graph, "graph of W Wᵀ\n(red helps along, blue opposes)")
    return figure


def _graph(axes: Axes, overlaps: Float[ndarray, "F F"]) -> None:
    angle = np.pi / 2 + 2 * np.pi * np.arange(len(overlaps)) / len(overlaps)
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for i, j in zip(*np.triu_indices(len(overlaps), 1), strict=True):
        axes.plot(*place[[i, j]].T, color=PAPER if overlaps[i, j] > 0 else OURS, lw=4 * min(1, abs(overlaps[i, j])), zorder=0)
    for i, point in enumerate(place):
        axes.plot(*point, "o", color=SETS[i % len(SETS)], ms=13)
        axes.text(*point, str(i), color="white", ha="center", va="center", fontsize=8)


@styled
def polytope_and_matrix(W: dict[str, Float[ndarray, "F d"]]) -> Figure:
    """C6: each set of unit vectors as a polytope, and as the low-rank matrix W W^T."""
    figure = Figure(figsize=(2.5 * len(W), 4.9), layout="constrained")
    for i, (name, rows) in enumerate(W.items()):
        solid = rows.shape[1] == 3
        axes = figure.add_subplot(2, len(W), i + 1, projection="3d" if solid else None)
        _corners(axes, rows if solid else np.pad(rows, ((0, 0), (0, 2 - rows.shape[1]))))
        axes.set_title(name, fontsize=9)
        matrix = figure.add_subplot(2, len(W), len(W) + i + 1)
        drawn = matrix.imshow(rows @ rows.T, cmap="RdBu_r", vmin=-1, vmax=1)
        matrix.set(xticks=[], yticks=[], title=f"{len(rows)} features, rank {rows.shape[1]}")
        matrix.title.set_fontsize(8.5)
    figure.colorbar(drawn, ax=figure.axes[1::2], label="W Wᵀ", shrink=0.8)
    return figure


def _corners(axes: Axes, rows: Float[ndarray, "F d"]) -> None:
    """Spokes from the origin, and thin lines between the corners that are nearest to each other."""
    for row in rows:
        axes.plot(*np.stack([0 * row, row], axis=1), color=OURS, lw=1.8)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=-1) + 9 * np.eye(len(rows))
    for i, j in zip(*np.nonzero(apart < apart.min(1, keepdims=True) * 1.2), strict=True):
        axes.plot(*rows[[i, j]].T, color=THEORY, lw=0.6)
    axes.plot(*rows.T, "o", color=OURS, ms=5)
    axes.set_axis_off()
    limits = dict(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15)) | ({"zlim": (-1.15, 1.15)} if rows.shape[1] == 3 else {})
    axes.set(**limits)
    axes.set_aspect("equal")
    if rows.shape[1] == 3:
        axes.set_box_aspect((1, 1, 1), zoom=1.4)


@styled
def tegum_products(W: dict[str, Float[ndarray, "F 3"]], D: dict[str, Float[ndarray, " F"]]) -> Figure:
    """C5: polytopes in orthogonal subspaces, drawn in space; every corner with its dimensionality D."""
    figure = Figure(figsize=(3.3 * len(W), 3.5), layout="constrained")
    for i, (name, rows) in enumerate(W.items()):
        axes = figure.add_subplot(1, len(W), i + 1, projection="3d")
        values = sorted(set(np.round(D[name], 6)))
        for row, value in zip(rows, np.round(D[name], 6), strict=True):
            colour = SETS[values.index(value)]
            axes.plot(*np.stack([0 * row, row], axis=1), color=colour, lw=2)
            axes.text(*(1.22 * row), f"{value:.3g}", fontsize=8, color=colour, ha="center")
        for a, b in zip(*np.triu_indices(len(rows), 1), strict=True):
            if rows[a] @ rows[b] > -0.6:
                axes.plot(*rows[[a, b]].T, color=CONTROL, lw=0.6)
        axes.view_init(elev=18, azim=28)
        axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), title=f"{name}\n(D at each corner)")
        axes.title.set_fontsize(9)
        axes.set_box_aspect((1, 1, 1), zoom=1.25)
        axes.set_axis_off()
    return figure
