"""Pictures of models with a relu hidden layer: weights as heat maps, as stacks over the neurons, and as graphs.

In every stack a neuron is a column and a weight a rectangle of that height, negative ones below the axis.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy import ndarray

from companion.plots.heatmaps import heat
from companion.plots.style import CATEGORIES, CONTROL, INTERFERENCE, NEGATIVE, POSITIVE, THEORY, Matrix, note, panels, sheet, styled

MONO, POLY = "#cfe3f7", "#fbdccd"
"""Faint tint behind a neuron of one feature, and of several."""
COLOURS = to_rgba_array(CATEGORIES)
"""One per feature, where there are few."""
SHARED = "weight (each neuron's largest input is 1)"


class Stack(NamedTuple):
    """One panel of neurons."""

    title: str
    W: Matrix
    interference: Float[ndarray, " F"]
    mono: Bool[ndarray, " H"]
    poly: Bool[ndarray, " H"]


def _stack(axes: Axes, W: Matrix, colours: Float[ndarray, "F 4"], *, edge: float = 0.3, least: float = 0.01) -> None:
    """The rectangles: feature by feature, positive weights upwards and negative ones downwards from 0."""
    for part in (W.clip(0, None), W.clip(None, 0)):
        end = part.cumsum(0)
        i, a = np.nonzero(np.abs(part) > least * np.abs(W).max())
        low, high = end[i, a] - part[i, a], end[i, a]
        x = np.stack([a - 0.4, a + 0.4, a + 0.4, a - 0.4], axis=1)
        y = np.stack([low, low, high, high], axis=1)
        axes.add_collection(PolyCollection(np.stack([x, y], axis=2), facecolors=colours[i], edgecolors="white", linewidths=edge, zorder=2))
    down, up = W.clip(None, 0).sum(0).min(), W.clip(0, None).sum(0).max()
    axes.set(xlim=(-0.7, W.shape[1] - 0.3), ylim=(1.05 * down - 0.02 * up, 1.05 * up - 0.02 * down))
    axes.axhline(0, color=THEORY, lw=0.7, zorder=3)
    axes.grid(visible=False)


def _tint(axes: Axes, mono: Bool[ndarray, " H"], poly: Bool[ndarray, " H"]) -> None:
    for kind, colour in ((mono, MONO), (poly, POLY)):
        for a in np.flatnonzero(kind):
            axes.axvspan(a - 0.5, a + 0.5, color=colour, lw=0, zorder=0)


def _interference_bar(figure: Figure, axes: Sequence[Axes]) -> None:
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), INTERFERENCE), ax=list(axes), shrink=0.9, pad=0.01, aspect=25)
    bar.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1 or more"])
    bar.set_label("interference of the feature")


def _tint_legend(figure: Figure) -> None:
    kinds = {"neuron of one feature": MONO, "neuron of several features": POLY}
    handles = [Patch(fc=colour, ec=CONTROL, label=name) for name, colour in kinds.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8)


def _feature_legend(axes: Axes, features: int) -> None:
    handles = [Patch(color=CATEGORIES[i], label=f"feature {i}") for i in range(features)]
    axes.legend(handles=handles, fontsize=7.5, ncols=3, loc="upper center")


def _heat(axes: Axes, W: Matrix, rows: str = "feature, by importance") -> AxesImage:
    ticks = dict(xticks=range(W.shape[1]), yticks=range(0, len(W), max(1, len(W) // 5)))
    return heat(axes, W, 1.2, aspect="auto", xlabel="neuron", ylabel=rows, **ticks)


def _graph(axes: Axes, W1: Matrix, W2: Matrix, *, least: float = 0.1, names: str = "y'") -> None:
    """Inputs at the bottom, neurons, outputs at the top; a line is as wide as its weight, red if positive and blue if negative."""
    features, hidden = W1.shape
    ends, middle = np.linspace(0.08, 0.92, features), np.linspace(0, 1, hidden)
    for W, from_y, to_y in ((W1, 0.0, 0.5), (W2, 1.0, 0.5)):
        i, a = np.nonzero(np.abs(W) > least * np.abs(W).max())
        lines = np.stack([np.stack([ends[i], np.full(len(i), from_y)], 1), np.stack([middle[a], np.full(len(i), to_y)], 1)], axis=1)
        size, sign = np.abs(W[i, a]) / np.abs(W).max(), W[i, a] > 0
        axes.add_collection(LineCollection(lines, linewidths=0.4 + 2.2 * size, colors=np.where(sign, POSITIVE, NEGATIVE), alpha=0.85, zorder=1))
    axes.scatter(ends, np.zeros(features), s=60, color=CONTROL, zorder=3)
    axes.scatter(middle, np.full(hidden, 0.5), s=60, color="white", edgecolors=THEORY, zorder=3)
    axes.scatter(ends, np.ones(features), s=60, color=CONTROL, zorder=3)
    for k, x in enumerate(ends):
        note(axes, f"$x_{{{k}}}$", (x, 0), (0, -9), ha="center", va="top", fontsize=9)
        note(axes, f"${names}_{{{k}}}$", (x, 1), (0, 8), ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(-0.08, 1.08), ylim=(-0.2, 1.2))
    axes.set_axis_off()


@styled
def weight_maps(models: Sequence[tuple[str, Matrix]]) -> Figure:
    """F23: W of several models as heat maps on one scale, features down and hidden dimensions across."""
    figure, axes = panels(1, len(models), size=(2.9, 3.6))
    for panel, (title, W) in zip(axes, models, strict=True):
        image = _heat(panel, W)
        panel.set_title(title)
    axes[0].set_xlabel("hidden dimension")
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    return figure


@styled
def explainer(W: Matrix, unit: str = "neuron") -> Figure:
    """F24, C7: the same weights three times: as a matrix, as a stack plot over the neurons (or dimensions), and as a graph."""
    figure, (matrix, stack, graph) = panels(1, 3, size=(3.3, 3.5))
    heat(matrix, W, 1.2, aspect="auto", title="as a matrix", xlabel=unit, ylabel="feature", xticks=range(W.shape[1]), yticks=range(len(W)))
    for (i, a), value in np.ndenumerate(W):
        shade = "white" if abs(value) > 0.9 else THEORY
        matrix.text(a, i, f"{value:.1f}".replace("-0.0", "0.0"), ha="center", va="center", fontsize=9, color=shade)
    for tick, colour in zip(matrix.get_yticklabels(), COLOURS, strict=False):
        tick.set(color=colour, fontweight="bold")
    _stack(stack, W, COLOURS, edge=1)
    stack.set(title="as stacks: one rectangle per weight", xlabel=unit, ylabel="weight (negative ones below 0)", xticks=range(W.shape[1]))
    stack.set_ylim(top=1.6 * stack.get_ylim()[1])
    _feature_legend(stack, len(W))
    _graph(graph, W, W, names="x'")
    graph.set_title("as a graph (red positive, blue negative)")
    return figure


@styled
def regimes(models: Sequence[Stack]) -> Figure:
    """F25: W as heat map above, its neurons as stacks below, one column per model."""
    figure, axes = panels(2, len(models), size=(2.15, 2.7), height_ratios=(1.15, 1))
    highest, lowest = max(m.W.clip(0).sum(0).max() for m in models), min(m.W.clip(None, 0).sum(0).min() for m in models)
    for k, (upper, lower, model) in enumerate(zip(axes, axes[len(models) :], models, strict=False)):
        image = _heat(upper, model.W, "feature, by importance" if k == 0 else "")
        upper.set_title(model.title, fontsize=8.5)
        _tint(lower, model.mono, model.poly)
        _stack(lower, model.W, INTERFERENCE(model.interference.clip(0, 1)), edge=0.6)
        lower.set(xlabel="neuron", ylabel="weights, stacked" if k == 0 else "", xticks=range(model.W.shape[1]), ylim=(1.05 * lowest, 1.05 * highest))
    figure.colorbar(image, ax=axes[: len(models)], shrink=0.9, pad=0.01, aspect=25).set_label("weight")
    _interference_bar(figure, axes[len(models) :])
    _tint_legend(figure)
    return figure


def _in_and_out(axes: Sequence[Axes], W1: Matrix, W2: Matrix) -> None:
    """Both weights of a model of few features as stacks coloured by feature."""
    for panel, W, title in zip(axes, (W1, W2), ("$W_1$: into the neurons", "$W_2$: out of the neurons"), strict=True):
        _stack(panel, W, COLOURS, edge=0.7)
        panel.set(title=title, xlabel="neuron", xticks=range(W.shape[1]))
    axes[0].set_ylabel(SHARED)
    _feature_legend(axes[0], len(W1))


@styled
def absolute_value(W1: Matrix, W2: Matrix) -> Figure:
    """F26: a model of the absolute value as stacks of W1 and W2 coloured by feature, as matrices, and as a graph."""
    figure, (into, out, both, graph) = panels(1, 4, size=(3, 3.2), width_ratios=(1.2, 1.2, 0.9, 1.3))
    _in_and_out((into, out), W1, W2)
    for panel in (into, out):
        panel.set_ylim(-1.15, 1.4)
    features = range(len(W1))
    image = _heat(both, np.concatenate([W1, np.full((1, W1.shape[1]), np.nan), W2]), "")
    names = [f"${name}$, {i}" for name in ("W_1", "W_2") for i in features]
    both.set_yticks([*features, *(len(W1) + 1 + i for i in features)], names)
    both.set_title("as matrices")
    figure.colorbar(image, ax=both, shrink=0.8)
    _graph(graph, W1, W2)
    graph.set_title("as a graph (red positive, blue negative)")
    return figure


@styled
def observed_model(W1: Matrix, W2: Matrix) -> Figure:
    """C8: the larger model in which every feature has a circuit of its own, beside the smaller one that is observed."""
    figure, (large, small) = panels(1, 2, size=(5, 3.4))
    features = len(W1)
    own = np.kron(np.eye(features), np.array([[1.0, -1.0]]))
    _graph(large, own, np.abs(own))
    large.set_title(f"the model it simulates: {2 * features} neurons, one circuit per feature")
    _graph(small, W1, W2)
    small.set_title(f"the observed model: {W1.shape[1]} neurons, circuits overlap")
    return figure


@styled
def neuron_stacks(models: Sequence[Stack], columns: int) -> Figure:
    """F27: |W1| as stacks over the neurons, one panel per model, `columns` to a row; titles say what each model is."""
    figure, axes = sheet(len(models), columns, (2.3, 2.75))
    for panel, model in zip(axes, models, strict=True):
        _tint(panel, model.mono, model.poly)
        _stack(panel, np.abs(model.W), INTERFERENCE(model.interference.clip(0, 1)), edge=0, least=0.02)
        panel.set_ylim(bottom=0)
        panel.set_title(model.title, fontsize=8)
    for panel in axes[-columns:]:
        panel.set_xlabel("neuron, sorted by the\nimportance of its largest feature", fontsize=8)
    for panel in axes[::columns]:
        panel.set_ylabel("|W1|, stacked")
    _interference_bar(figure, axes)
    _tint_legend(figure)
    return figure


@styled
def mixed_neurons(model: Stack) -> Figure:
    """F28: one model large: every rectangle that matters carries the number of its feature, by importance."""
    figure, (axes,) = panels(size=(12, 4.4))
    size = np.abs(model.W)
    _tint(axes, model.mono, model.poly)
    _stack(axes, size, INTERFERENCE(model.interference.clip(0, 1)), edge=0.5, least=0.02)
    end = size.cumsum(0)
    for i, a in np.argwhere(size > 0.3 * size.max(0)):
        axes.text(
            a, end[i, a] - size[i, a] / 2, str(i), ha="center", va="center", fontsize=6.5, color="white" if model.interference[i] < 0.7 else THEORY
        )
    axes.set(title=model.title, xlabel="neuron, sorted by the importance of its largest feature", ylabel="|W1|, stacked (largest of a neuron: 1)")
    _tint_legend(figure)
    _interference_bar(figure, [axes])
    return figure


@styled
def motif(W1: Matrix, W2: Matrix, neuron: int, companion: int, big: int, small: int) -> Figure:
    """F29: all weights as stacks coloured by feature, and the motif found in them drawn as a graph with its four paths."""
    figure, (into, out, graph) = panels(1, 3, size=(4, 3.6), width_ratios=(1, 1, 1.05))
    _in_and_out((into, out), W1, W2)
    look = dict(ha="center", va="bottom", rotation=90, zorder=4, bbox=dict(fc="white", ec="none", pad=1))
    for panel in (into, out):
        panel.set_ylim(top=1.6 * panel.get_ylim()[1])
        for a, text in ((neuron, "shared"), (companion, "companion")):
            panel.axvspan(a - 0.5, a + 0.5, color=MONO, lw=0, zorder=0)
            note(panel, text, (a, 0.02), where=panel.get_xaxis_transform(), **look)
    _draw_motif(graph, W1, W2, neuron, companion, big, small)
    return figure


def _draw_motif(axes: Axes, W1: Matrix, W2: Matrix, neuron: int, companion: int, big: int, small: int) -> None:
    place = {"x": {big: (0.1, 0.1), small: (0.9, 0.1)}, "h": {neuron: (0.62, 0.5), companion: (0.12, 0.5)}, "y": {big: (0.1, 0.9), small: (0.9, 0.9)}}
    for a in (neuron, companion):
        for i in (big, small):
            for W, row in ((W1, "x"), (W2, "y")):
                if abs(W[i, a]) > 0.1:
                    (x0, y0), (x1, y1) = place[row][i], place["h"][a]
                    axes.plot([x0, x1], [y0, y1], color=POSITIVE if W[i, a] > 0 else NEGATIVE, lw=0.8 + 1.3 * min(abs(W[i, a]), 4), zorder=1)
                    spot = (0.6 * x0 + 0.4 * x1, 0.6 * y0 + 0.4 * y1)
                    axes.text(*spot, f"{W[i, a]:.2g}", fontsize=9, ha="center", va="center", bbox=dict(fc="white", ec="none", pad=1), zorder=4)
    for row, name in (("x", "x"), ("y", "y'")):
        for i, (x, y) in place[row].items():
            axes.text(x, y, f"${name}_{{{i}}}$", ha="center", va="center", bbox=dict(boxstyle="circle", fc="white", ec=CATEGORIES[i], lw=2), zorder=5)
    for a, text in ((neuron, "shared"), (companion, "companion")):
        axes.text(*place["h"][a], f"{text}\n{a}", ha="center", va="center", fontsize=8, bbox=dict(boxstyle="round", fc=MONO, ec=THEORY), zorder=5)
    axes.set(xlim=(-0.1, 1.1), ylim=(0, 1), title="the motif (red positive, blue negative)")
    axes.set_axis_off()
