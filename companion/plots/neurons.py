"""Pictures of models with a relu hidden layer: weights as heat maps, as stacks over the neurons, and as graphs.

In every stack a neuron is a column and a weight a rectangle of that height, negative ones below the axis.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy import ndarray

from companion.plots.heatmaps import heat
from companion.plots.style import CATEGORIES, CONTROL, INTERFERENCE, MONO, PAGE, POLY, THEORY, Matrix, note, panels, sheet, styled

COLOURS = to_rgba_array(CATEGORIES)
"""One per feature, where there are few."""
GRAPH = "as a graph (dashed: negative)"
BEHIND = dict(fc=PAGE, ec="none", pad=1)
"""The box of a text that stands on lines."""


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
        axes.add_collection(PolyCollection(np.stack([x, y], axis=2), facecolors=colours[i], edgecolors=PAGE, linewidths=edge, zorder=2))
    down, up = W.clip(None, 0).sum(0).min(), W.clip(0, None).sum(0).max()
    axes.set(xlim=(-0.7, W.shape[1] - 0.3), ylim=(1.05 * down - 0.02 * up, 1.05 * up - 0.02 * down))
    axes.axhline(0, color=THEORY, lw=0.7, zorder=3)
    axes.grid(visible=False)


def _tint(axes: Axes, neurons: Iterable[int], colour: str) -> None:
    columns = [(a - 0.5, 1) for a in neurons]
    axes.broken_barh(columns, (0, 1), color=colour, lw=0, zorder=0, transform=axes.get_xaxis_transform())


def _computing(axes: Axes, model: Stack, **look) -> None:
    """Stacks coloured by interference, over a tint that says how many features a neuron has."""
    _tint(axes, np.flatnonzero(model.mono), MONO)
    _tint(axes, np.flatnonzero(model.poly), POLY)
    _stack(axes, model.W, INTERFERENCE(model.interference.clip(0, 1)), **look)


def _legends(figure: Figure, axes: Sequence[Axes]) -> None:
    """What the colours of `_computing` mean: a bar beside the axes, and patches below the figure."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), INTERFERENCE), ax=axes, shrink=0.9, pad=0.01, aspect=25)
    bar.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1 or more"])
    bar.set_label("interference of the feature")
    kinds = {"neuron of one feature": MONO, "neuron of several features": POLY}
    handles = [Patch(fc=colour, ec=CONTROL, label=name) for name, colour in kinds.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8)


def _by_feature(axes: Axes, W: Matrix, **settings) -> None:
    """Stacks of few features, each in its colour."""
    _stack(axes, W, COLOURS, edge=0.7)
    axes.set(xticks=range(W.shape[1]), **settings)


def _feature_legend(axes: Axes, features: int) -> None:
    handles = [Patch(color=CATEGORIES[i], label=f"feature {i}") for i in range(features)]
    axes.legend(handles=handles, fontsize=7.5, ncols=3, loc="upper center", handlelength=1, columnspacing=1)


def _heat(axes: Axes, W: Matrix, **settings) -> AxesImage:
    ticks = dict(xticks=range(W.shape[1]), yticks=range(0, len(W), max(1, len(W) // 5)))
    return heat(axes, W, 1.2, aspect="auto", **dict(xlabel="neuron", ylabel="feature, by importance") | ticks | settings)


def _graph(
    axes: Axes, W1: Matrix, W2: Matrix, title: str = GRAPH, *, outputs: str = "y'", features: Sequence[int] = (), neurons: Sequence[str] = ()
) -> None:
    """Inputs at the bottom, neurons, outputs at the top; a line is as wide as its weight, in its feature's colour, dashed if negative.

    features: their numbers, if not all are drawn. Where neurons have names, the weights are written on the lines.
    """
    margin = 0.15 if neurons else 0
    ends, middle = np.linspace(0.08, 0.92, len(W1)), np.linspace(margin, 1 - margin, W1.shape[1])
    features = list(features or range(len(W1)))
    for W, y, name, offset, side in ((W1, 0, "x", -9, "top"), (W2, 1, outputs, 8, "bottom")):
        size = np.abs(W) / np.abs(W).max()
        for i, a in np.argwhere(size > (0.02 if neurons else 0.1)):
            look = dict(color=COLOURS[features[i]], ls="-" if W[i, a] > 0 else (0, (3, 1.5)), lw=0.4 + 2.2 * size[i, a])
            axes.plot([ends[i], middle[a]], [y, 0.5], alpha=0.85, zorder=1, **look)
            if neurons:
                axes.text(0.6 * ends[i] + 0.4 * middle[a], 0.6 * y + 0.2, f"{W[i, a]:.2g}", ha="center", va="center", bbox=BEHIND)
        axes.scatter(ends, np.full(len(W), y), s=60, color=COLOURS[features], zorder=3)
        for x, i in zip(ends, features, strict=True):
            note(axes, f"${name}_{{{i}}}$", (x, y), (0, offset), ha="center", va=side, fontsize=9)
    axes.scatter(middle, np.full(len(middle), 0.5), s=60, color=PAGE, edgecolors=THEORY, zorder=3)
    for x, name in zip(middle, neurons, strict=False):
        axes.text(x, 0.5, name, ha="center", va="center", fontsize=8, bbox=dict(boxstyle="round", fc=MONO, ec=THEORY), zorder=5)
    axes.set(xlim=(-0.08, 1.08), ylim=(-0.2, 1.2), title=title)
    axes.set_axis_off()


@styled
def weight_maps(models: Sequence[tuple[str, Matrix]]) -> Figure:
    """F23: W of several models as heat maps on one scale, features down and hidden dimensions across."""
    figure, axes = panels(1, len(models), size=(2.9, 3.6))
    for panel, (title, W) in zip(axes, models, strict=True):
        image = _heat(panel, W, title=title, xlabel="hidden dimension" if panel is axes[0] else "neuron")
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    return figure


@styled
def explainer(W: Matrix, unit: str = "neuron") -> Figure:
    """F24, C7: the same weights three times: as a matrix, as a stack plot over the neurons (or dimensions), and as a graph."""
    figure, (matrix, stack, graph) = panels(1, 3, size=(3.3, 3.5))
    _heat(matrix, W, title="as a matrix", xlabel=unit, ylabel="feature")
    for (i, a), value in np.ndenumerate(W):
        matrix.text(a, i, f"{value:.1f}".replace("-0.0", "0.0"), ha="center", va="center", color=PAGE if abs(value) > 0.9 else THEORY)
    for tick, colour in zip(matrix.get_yticklabels(), COLOURS, strict=False):
        tick.set(color=colour, fontweight="bold")
    _by_feature(stack, W, title="as stacks: one rectangle per weight", xlabel=unit, ylabel="weight (negative ones below 0)")
    stack.set_ylim(top=1.6 * stack.get_ylim()[1])
    _feature_legend(stack, len(W))
    _graph(graph, W, W, outputs="x'")
    return figure


@styled
def regimes(models: Sequence[Stack]) -> Figure:
    """F25: W as heat map above, its neurons as stacks below, one column per model."""
    figure, axes = panels(2, len(models), size=(2.15, 2.7), height_ratios=(1.15, 1))
    above, below = axes[: len(models)], axes[len(models) :]
    highest, lowest = max(m.W.clip(0).sum(0).max() for m in models), min(m.W.clip(None, 0).sum(0).min() for m in models)
    for upper, lower, model in zip(above, below, models, strict=True):
        image = _heat(upper, model.W, ylabel="")
        upper.set_title(model.title, fontsize=8.5)
        _computing(lower, model, edge=0.6)
        lower.set(xlabel="neuron", xticks=range(model.W.shape[1]), ylim=(1.05 * lowest, 1.05 * highest))
    above[0].set_ylabel("feature, by importance")
    below[0].set_ylabel("weights, stacked")
    figure.colorbar(image, ax=above, shrink=0.9, pad=0.01, aspect=25, label="weight")
    _legends(figure, below)
    return figure


def _in_and_out(into: Axes, out: Axes, W1: Matrix, W2: Matrix) -> None:
    """Both weights of a model of few features as stacks."""
    _by_feature(into, W1, title="$W_1$: into the neurons", xlabel="neuron", ylabel="weight (each neuron's largest input is 1)")
    _by_feature(out, W2, title="$W_2$: out of the neurons", xlabel="neuron")
    _feature_legend(into, len(W1))


@styled
def absolute_value(W1: Matrix, W2: Matrix) -> Figure:
    """F26: a model of the absolute value as stacks of W1 and W2 coloured by feature, as matrices, and as a graph."""
    figure, (into, out, both, graph) = panels(1, 4, size=(3, 3.2), width_ratios=(1.2, 1.2, 0.9, 1.3))
    _in_and_out(into, out, W1, W2)
    for panel in (into, out):
        panel.set_ylim(-1.15, 1.4)
    gap = len(W1)
    image = _heat(both, np.concatenate([W1, np.full((1, W1.shape[1]), np.nan), W2]), title="as matrices", ylabel="")
    both.set_yticks([i for i in range(2 * gap + 1) if i != gap], [f"${name}$, {i}" for name in ("W_1", "W_2") for i in range(gap)])
    figure.colorbar(image, ax=both, shrink=0.8)
    _graph(graph, W1, W2)
    return figure


@styled
def observed_model(W1: Matrix, W2: Matrix) -> Figure:
    """C8: the larger model in which every feature has a circuit of its own, beside the smaller one that is observed."""
    figure, (large, small) = panels(1, 2, size=(5, 3.4))
    own = np.kron(np.eye(len(W1)), np.array([[1.0, -1.0]]))
    _graph(large, own, np.abs(own), f"the model it simulates: {own.shape[1]} neurons, one circuit per feature")
    _graph(small, W1, W2, f"the observed model: {W1.shape[1]} neurons, circuits overlap")
    return figure


@styled
def neuron_stacks(models: Sequence[Stack], columns: int) -> Figure:
    """F27: |W1| as stacks over the neurons, one panel per model, `columns` to a row; titles say what each model is."""
    figure, axes = sheet(len(models), columns, (2.3, 2.75))
    highest = max(np.abs(model.W).sum(0).max() for model in models)
    for panel, model in zip(axes, models, strict=True):
        _computing(panel, model, edge=0, least=0.02)
        panel.set_ylim(0, 1.03 * highest)
        panel.set_title(model.title, fontsize=8)
    for panel in axes[-columns:]:
        panel.set_xlabel("neuron, sorted by the\nimportance of its largest feature", fontsize=8)
    for panel in axes[::columns]:
        panel.set_ylabel("|W1|, stacked")
    _legends(figure, axes)
    return figure


@styled
def mixed_neurons(model: Stack) -> Figure:
    """F28: |W1| of one model large: every rectangle that matters carries the number of its feature, by importance."""
    figure, (axes,) = panels(size=(12, 4.4))
    _computing(axes, model, edge=0.5, least=0.02)
    size = model.W
    middle = size.cumsum(0) - size / 2
    for i, a in np.argwhere(size > 0.3 * size.max(0)):
        colour = PAGE if model.interference[i] < 0.7 else THEORY
        axes.text(a, middle[i, a], str(i), ha="center", va="center", fontsize=6.5, color=colour, in_layout=False)
    axes.set(title=model.title, xlabel="neuron, sorted by the importance of its largest feature", ylabel="|W1|, stacked (largest of a neuron: 1)")
    _legends(figure, [axes])
    return figure


@styled
def motif(W1: Matrix, W2: Matrix, neuron: int, companion: int, big: int, small: int) -> Figure:
    """F29: all weights as stacks coloured by feature, and the motif found in them drawn as a graph with its four paths."""
    figure, (into, out, graph) = panels(1, 3, size=(4, 3.6), width_ratios=(1, 1, 1.05))
    names = {companion: "companion", neuron: "shared"}
    _in_and_out(into, out, W1, W2)
    for panel in (into, out):
        panel.set_ylim(top=1.6 * panel.get_ylim()[1])
        _tint(panel, names, MONO)
        for a, text in names.items():
            place = dict(where=panel.get_xaxis_transform(), ha="center", va="bottom", rotation=90)
            note(panel, text, (a, 0.02), zorder=4, bbox=BEHIND, **place)
    paths = np.ix_([big, small], list(names))
    of_two = [f"{text}\n{a}" for a, text in names.items()]
    _graph(graph, W1[paths], W2[paths], "the motif (dashed: negative)", features=(big, small), neurons=of_two)
    return figure
