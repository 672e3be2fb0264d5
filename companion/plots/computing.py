"""Pictures of models with a relu hidden layer: weights as heat maps, as stacks over the neurons, and as graphs.

In every stack a neuron is a column and a weight a rectangle of that height, negative ones below the axis.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy import ndarray

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

MONO, POLY = "#cfe3f7", "#fbdccd"
"""Faint tint behind a neuron of one feature, and of several."""
POSITIVE, NEGATIVE = PAPER, OURS


class Stack(NamedTuple):
    """One panel of neurons."""

    title: str
    W: Float[ndarray, "F H"]
    interference: Float[ndarray, " F"]
    mono: Bool[ndarray, " H"]
    poly: Bool[ndarray, " H"]


def _stack(axes: Axes, W: Float[ndarray, "F H"], colours: Float[ndarray, "F 4"], *, edge: float = 0.3, least: float = 0.01) -> None:
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


def _interference_map() -> Colormap:
    return ListedColormap(colormaps["plasma"](np.linspace(0, 0.9, 256)))  # its last tenth is too pale beside the tints


def _by_interference(interference: Float[ndarray, " F"]) -> Float[ndarray, "F 4"]:
    return _interference_map()(np.clip(interference, 0, 1))


def _interference_bar(figure: Figure, axes: Sequence[Axes]) -> None:
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), _interference_map()), ax=list(axes), shrink=0.9, pad=0.01, aspect=25)
    bar.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1 or more"])
    bar.set_label("interference of the feature")


def _tint_legend(figure: Figure) -> None:
    kinds = {"neuron of one feature": MONO, "neuron of several features": POLY}
    handles = [Patch(fc=colour, ec=CONTROL, label=name) for name, colour in kinds.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8)


def _feature_legend(axes: Axes, features: int, columns: int = 3) -> None:
    colours = colormaps["tab10"]
    axes.legend(handles=[Patch(color=colours(i), label=f"feature {i}") for i in range(features)], fontsize=7.5, ncols=columns, loc="upper center")


def _heat(axes: Axes, W: Float[ndarray, "F H"], rows: str = "feature, by importance") -> ScalarMappable:
    image = axes.imshow(W, cmap="RdBu_r", norm=Normalize(-1.2, 1.2), aspect="auto")
    axes.set(xlabel="neuron", ylabel=rows, xticks=range(W.shape[1]), yticks=range(0, len(W), max(1, len(W) // 5)))
    axes.grid(visible=False)
    return image


def _graph(axes: Axes, W1: Float[ndarray, "F H"], W2: Float[ndarray, "F H"], *, least: float = 0.1, names: str = "y'") -> None:
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
        axes.annotate(f"$x_{{{k}}}$", (x, 0), (0, -9), textcoords="offset points", ha="center", va="top")
        axes.annotate(f"${names}_{{{k}}}$", (x, 1), (0, 8), textcoords="offset points", ha="center", va="bottom")
    axes.set(xlim=(-0.08, 1.08), ylim=(-0.2, 1.2))
    axes.set_axis_off()


@styled
def weight_maps(models: Sequence[tuple[str, Float[ndarray, "F H"]]]) -> Figure:
    """F23: W of several models as heat maps on one scale, features down and hidden dimensions across."""
    figure, axes = panels(1, len(models), size=(2.9, 3.6))
    for panel, (title, W) in zip(axes, models, strict=True):
        image = _heat(panel, W)
        panel.set_title(title)
    axes[0].set_xlabel("hidden dimension")
    figure.colorbar(image, ax=axes, shrink=0.8).set_label("weight")
    return figure


@styled
def explainer(W: Float[ndarray, "F H"]) -> Figure:
    """F24: the same weights three times: as a matrix, as a stack plot over the neurons, and as a graph."""
    figure, (matrix, stack, graph) = panels(1, 3, size=(3.3, 3.5))
    colours = colormaps["tab10"](np.arange(len(W)))
    matrix.imshow(W, cmap="RdBu_r", norm=Normalize(-1.2, 1.2), aspect="auto")
    for (i, a), value in np.ndenumerate(W):
        matrix.text(a, i, f"{value:.1f}".replace("-0.0", "0.0"), ha="center", va="center", fontsize=9)
    matrix.set(title="as a matrix", xlabel="neuron", ylabel="feature", xticks=range(W.shape[1]), yticks=range(len(W)))
    for i, tick in enumerate(matrix.get_yticklabels()):
        tick.set(color=colours[i], fontweight="bold")
    matrix.grid(visible=False)
    _stack(stack, W, colours, edge=1)
    stack.set(title="as stacks: one rectangle per weight", xlabel="neuron", ylabel="weight (negative ones below 0)", xticks=range(W.shape[1]))
    stack.set_ylim(top=2.0)
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
        _stack(lower, model.W, _by_interference(model.interference), edge=0.6)
        lower.set(xlabel="neuron", ylabel="weights, stacked" if k == 0 else "", xticks=range(model.W.shape[1]), ylim=(1.05 * lowest, 1.05 * highest))
    figure.colorbar(image, ax=axes[: len(models)], shrink=0.9, pad=0.01, aspect=25).set_label("weight")
    _interference_bar(figure, axes[len(models) :])
    _tint_legend(figure)
    return figure


@styled
def absolute_value(W1: Float[ndarray, "F H"], W2: Float[ndarray, "F H"]) -> Figure:
    """F26: a model of the absolute value as stacks of W1 and W2 coloured by feature, as matrices, and as a graph."""
    figure, axes = panels(1, 4, size=(3, 3.2), width_ratios=(1.2, 1.2, 0.9, 1.3))
    colours = colormaps["tab10"](np.arange(len(W1)))
    for panel, W, title in zip(axes, (W1, W2), ("$W_1$: into the neurons", "$W_2$: out of the neurons"), strict=False):
        _stack(panel, W, colours, edge=0.8)
        panel.set(title=title, xlabel="neuron", xticks=range(W.shape[1]), ylim=(-1.15, 1.4))
    _feature_legend(axes[0], len(W1))
    axes[0].set_ylabel("weight (each neuron's largest input is 1)")
    image = _heat(axes[2], np.concatenate([W1, np.full((1, W1.shape[1]), np.nan), W2]), "")
    features = len(W1)
    axes[2].set_yticks(
        [*range(features), *range(features + 1, 2 * features + 1)],
        [f"$W_1$, {i}" for i in range(features)] + [f"$W_2$, {i}" for i in range(features)],
    )
    axes[2].set_title("as matrices")
    figure.colorbar(image, ax=axes[2], shrink=0.8)
    _graph(axes[3], W1, W2)
    axes[3].set_title("as a graph (red positive, blue negative)")
    return figure


@styled
def observed_model(W1: Float[ndarray, "F H"], W2: Float[ndarray, "F H"]) -> Figure:
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
    rows = -(-len(models) // columns)
    figure, axes = panels(rows, columns, size=(2.3, 2.75))
    for panel, model in zip(axes, models, strict=False):
        _tint(panel, model.mono, model.poly)
        _stack(panel, np.abs(model.W), _by_interference(model.interference), edge=0, least=0.02)
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
    _stack(axes, size, _by_interference(model.interference), edge=0.5, least=0.02)
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
def motif(W1: Float[ndarray, "F H"], W2: Float[ndarray, "F H"], neuron: int, companion: int, big: int, small: int) -> Figure:
    """F29: all weights as stacks coloured by feature, and the motif found in them drawn as a graph with its four paths."""
    figure, axes = panels(1, 3, size=(4, 3.6), width_ratios=(1, 1, 1.05))
    colours = colormaps["tab10"](np.arange(len(W1)))
    for panel, W, name in zip(axes, (W1, W2), ("$W_1$: into the neurons", "$W_2$: out of the neurons"), strict=False):
        _stack(panel, W, colours, edge=0.6)
        panel.set_ylim(top=1.6 * panel.get_ylim()[1])
        for a, text in ((neuron, "shared"), (companion, "companion")):
            panel.axvspan(a - 0.5, a + 0.5, color=MONO, lw=0, zorder=0)
            panel.annotate(
                text,
                (a, 0.02),
                xycoords=panel.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=7.5,
                rotation=90,
                zorder=4,
                bbox=dict(fc="white", ec="none", pad=1),
            )
        panel.set(title=name, xlabel="neuron", xticks=range(W.shape[1]))
    axes[0].set_ylabel("weight (each neuron's largest input is 1)")
    _feature_legend(axes[0], len(W1))
    _draw_motif(axes[2], W1, W2, neuron, companion, big, small)
    return figure


def _draw_motif(axes: Axes, W1: Float[ndarray, "F H"], W2: Float[ndarray, "F H"], neuron: int, companion: int, big: int, small: int) -> None:
    colours = colormaps["tab10"]
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
            axes.text(x, y, f"${name}_{{{i}}}$", ha="center", va="center", bbox=dict(boxstyle="circle", fc="white", ec=colours(i), lw=2), zorder=5)
    for a, text in ((neuron, "shared"), (companion, "companion")):
        axes.text(*place["h"][a], f"{text}\n{a}", ha="center", va="center", fontsize=8, bbox=dict(boxstyle="round", fc=MONO, ec=THEORY), zorder=5)
    axes.set(xlim=(-0.1, 1.1), ylim=(0, 1), title="the motif (red positive, blue negative)")
    axes.set_axis_off()


@styled
def compression(
    width: Float[ndarray, " E"],
    error: dict[str, Float[ndarray, " E"]],
    linear: float,
    x: Float[ndarray, " P"],
    stairs: dict[str, Float[ndarray, " P"]],
) -> Figure:
    """F31: the staircase that makes room for a second number, and the squared error of both numbers against its ramps."""
    figure, (left, right) = panels(1, 2, size=(4.4, 3.5))
    for k, (name, y) in enumerate(stairs.items()):
        left.plot(x, y, label=name, color=f"C{k}", ls="-" if k == 0 else "--")
    left.set(xlabel="x", ylabel="number of the step of x", title="three steps (Z = 3), two ramps")
    left.legend(fontsize=7.5)
    for k, (name, values) in enumerate(error.items()):
        right.plot(width, values, marker="o", ms=3, label=name, color=f"C{k}")
    right.axhline(linear, color=CONTROL, lw=1.4, ls="--", label="best linear code")
    right.set(xscale="log", yscale="log", xlabel="width of a ramp (share of a step; log scale)", ylabel="mean squared error of x and y together")
    right.legend(fontsize=7.5)
    return figure
