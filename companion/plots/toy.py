"""Pictures of the toy models: arrays in, matplotlib figures out."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.style import CONTROL, INVERSE_DENSITY, OURS, PAPER, THEORY, log_ticks, panels, styled

LINES = {"tetrahedron": 3 / 4, "triangle": 2 / 3, "digon": 1 / 2, "pentagon": 2 / 5, "square antiprism": 3 / 8}
"""Dimensionality d/k of the polytopes the paper draws guide lines for."""
TICKS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 20, 50, 100)


def _sparsity_axis(axes: Axes, inverse: Float[ndarray, " levels"]) -> None:
    log_ticks(axes, inverse, TICKS)
    axes.set_xlim(inverse.min() / 1.07, inverse.max() * 1.07)
    axes.set_xlabel(INVERSE_DENSITY)


def _mark_transitions(axes: Axes, at: Sequence[float], names: Sequence[str]) -> None:
    """Dotted verticals at `at`, and the name of the winner in each of the intervals between them."""
    low, high = np.log(axes.get_xlim())
    edges = [low, *np.log(at), high]
    for x in at:
        axes.axvline(x, color=THEORY, lw=0.8, ls=":")
    for name, left, right in zip(names, edges, edges[1:], strict=False):
        if right > low and left < high:
            middle = np.exp((max(left, low) + min(right, high)) / 2)
            axes.annotate(name, (middle, 1), (0, 2), xycoords=axes.get_xaxis_transform(), textcoords="offset points", rotation=35, fontsize=7.5)


@styled
def dimensions_per_feature(
    inverse: Float[ndarray, " levels"],
    measured: Float[ndarray, "seeds levels"],
    theory_inverse: Float[ndarray, " P"],
    theory: Float[ndarray, " P"],
    changes: Sequence[float],
    winners: Sequence[str],
) -> Figure:
    """F8: D* against 1/(1-S), one line per seed, with the D* of the best polytope and the densities where it changes."""
    figure, (axes,) = panels(size=(7.2, 4.2))
    parts = np.split(np.arange(len(theory)), np.flatnonzero(np.diff(np.searchsorted(changes, theory_inverse))) + 1)
    for i, part in enumerate(parts):  # the best polytope jumps, so the line must not join its pieces
        axes.plot(theory_inverse[part], theory[part], color=THEORY, lw=1.2, ls="--", label="best polytope (exact)" if i == 0 else None)
    for i, row in enumerate(measured):
        axes.plot(inverse, row, color=OURS, marker="o", ms=3.5, lw=1.1, alpha=0.7, label=f"trained, {len(measured)} seeds" if i == 0 else None)
    for level in (1, 0.5):
        axes.axhline(level, color=PAPER, lw=0.7, alpha=0.7, label="the paper's plateaus" if level == 1 else None)
    _sparsity_axis(axes, inverse)
    _mark_transitions(axes, changes, winners)
    axes.set(ylabel="D* = m / |W|²  (hidden dimensions per feature)", ylim=(0, 1.08))
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.92))
    return figure


@styled
def gain_per_dimension(
    inverse: Float[ndarray, " levels"],
    measured: Float[ndarray, "seeds levels"],
    theory_inverse: Float[ndarray, " P"],
    gains: dict[str, Float[ndarray, " P"]],
) -> Figure:
    """Variance recovered per hidden dimension, trained and for each polytope: where the points leave the curves, polytopes lose."""
    figure, (axes,) = panels(size=(7.2, 4.2))
    colours = {name: f"C{i}" for i, name in enumerate(gains)}
    for name, gain in gains.items():
        axes.plot(theory_inverse, gain, color=colours[name], lw=1.1, label=name)
    axes.plot(theory_inverse, np.max(list(gains.values()), axis=0), color=THEORY, lw=1.2, ls="--", label="best of them")
    for i, row in enumerate(measured):
        axes.plot(inverse, row, "o", color=OURS, ms=4, mfc="none", label=f"trained, {len(measured)} seeds" if i == 0 else None)
    _sparsity_axis(axes, inverse)
    axes.set(ylabel="features' worth of variance\nrecovered per hidden dimension", ylim=(0.7, max(2.6, measured.max() * 1.05)))
    axes.legend(fontsize=7.5, ncols=2)
    return figure


@styled
def feature_dimensionality(inverse: Float[ndarray, " levels"], D: Float[ndarray, "levels F"], measured: Float[ndarray, " levels"]) -> Figure:
    """F9: every feature's D_i against 1/(1-S), jittered sideways within its level, with the polytopes' lines; D* behind."""
    figure, (axes, counts) = panels(1, 2, size=(4.6, 4.4), width_ratios=(3.6, 1), sharey=True)
    step = min(0.05, np.diff(np.log(inverse)).min() * 0.45)
    jitter = np.exp(step * np.linspace(-1, 1, D.shape[1]))
    for name, fraction in LINES.items():
        for panel in (axes, counts):
            panel.axhline(fraction, color=PAPER, lw=0.8, alpha=0.8)
        below = name == "square antiprism"  # too close to the pentagon for two labels on their lines
        axes.text(inverse.max() * 1.09, fraction, f"{name} {fraction:.3g}", fontsize=7.5, color=PAPER, va="top" if below else "center_baseline")
    axes.text(inverse.max() * 1.09, 0, "not learned 0", fontsize=7.5, color=PAPER, va="center_baseline")
    axes.plot(inverse, measured, color=CONTROL, lw=1.2, label="D* of the model")
    axes.scatter((inverse[:, None] * jitter).ravel(), D.ravel(), s=3, color=OURS, alpha=0.45, lw=0, label="D of one feature", rasterized=True)
    _sparsity_axis(axes, inverse)
    axes.set(ylabel="feature dimensionality D", ylim=(-0.03, 1.02))
    axes.legend(loc="upper right")
    kept = D[measured < 0.95].ravel()
    counts.hist(kept[kept > 0.05], bins=np.arange(0.05, 1.0, 0.005), orientation="horizontal", color=OURS)
    counts.set(xlabel="features\n(levels with D* < 0.95)", xscale="log")
    return figure


@styled
def feature_graphs(graphs: Sequence[tuple[str, Float[ndarray, "F F"], Sequence[Sequence[int]]]], columns: int = 4) -> Figure:
    """Feature graphs, one panel per level: (title, overlaps W W^T, components as lists of features).

    Each component is drawn by itself, its features on a circle and the largest components first; an edge is as wide as
    |W_i . W_j|, thinner overall in a large component, red where features help each other along and blue where they oppose.
    """
    rows = -(-len(graphs) // columns)
    figure, axes = panels(rows, columns, size=(3.1, 3.3))
    for panel, (title, overlaps, components) in zip(axes, graphs, strict=False):
        _draw_components(panel, overlaps, sorted(components, key=len, reverse=True))
        panel.set_title(title, fontsize=8.5)
    for panel in axes:
        panel.set_axis_off()
    return figure


def _draw_components(axes: Axes, overlaps: Float[ndarray, "F F"], components: Sequence[Sequence[int]]) -> None:
    """Cells of equal size from the top left, and a component's cells widen with the number of its features."""
    x = y = 0.0
    tallest, width = 0.0, _row_width(components)
    for nodes in components:
        radius = _radius(len(nodes))
        if x + 2 * radius > width and x > 0:
            x, y, tallest = 0.0, y - tallest, 0.0
        tallest = max(tallest, 2 * radius + 0.5)
        _draw_one(axes, overlaps, np.array(nodes), (x + radius, y - radius), radius - 0.1)
        x += 2 * radius + 0.5
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.margins(0.04)


def _radius(nodes: int) -> float:
    return 0.35 if nodes == 1 else max(0.6, 0.17 * nodes)


def _row_width(components: Sequence[Sequence[int]]) -> float:
    return np.sqrt(sum((2 * _radius(len(nodes)) + 0.5) ** 2 for nodes in components)) * 1.05


def _draw_one(axes: Axes, overlaps: Float[ndarray, "F F"], nodes: Int[ndarray, " k"], centre: tuple[float, float], radius: float) -> None:
    angle = np.pi / 2 + 2 * np.pi * np.arange(len(nodes)) / len(nodes)
    place = np.array(centre) + (radius if len(nodes) > 1 else 0) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    i, j = np.triu_indices(len(nodes), 1)
    strength = overlaps[nodes[i], nodes[j]]
    order = np.argsort(np.abs(strength))  # strong edges on top
    order = order[np.abs(strength[order]) > 0.1]
    thick = 2.6 * min(1, (8 / len(nodes)) ** 0.7)
    ends = np.stack([place[i[order]], place[j[order]]], axis=1)
    strength = strength[order]
    lines = LineCollection(ends, linewidths=thick * np.abs(strength), cmap="RdBu_r", norm=Normalize(-1, 1))
    lines.set_array(np.sign(strength) * 0.8)
    axes.add_collection(lines)
    axes.scatter(*place.T, s=11, color=THEORY, zorder=3, lw=0)


@styled
def dimension_budget(
    inverse: Float[ndarray, " levels"],
    share: Float[ndarray, "seeds levels"],
    control: Float[ndarray, "seeds levels"],
    gap: Float[ndarray, "seeds levels"],
) -> Figure:
    """Sum of D_i over m at each level, trained and with the control's weights; and the largest leverage - D_i of a feature."""
    figure, (left, right) = panels(1, 2, size=(4.4, 3.3))
    left.plot(inverse, control.T, color=CONTROL, marker="o", ms=3)
    left.plot(inverse, share.T, color=OURS, marker="o", ms=3)
    left.plot([], [], color=OURS, marker="o", label="trained")
    left.plot([], [], color=CONTROL, marker="o", label="random directions, same norms")
    left.axhline(1, color=THEORY, lw=0.8, ls="--")
    left.set(ylabel="sum of D over features / m", ylim=(0, 1.06))
    left.legend(loc="lower left")
    right.plot(inverse, gap.T, color=OURS, marker="o", ms=3)
    right.axhline(0, color=THEORY, lw=0.8, ls="--")
    right.set(ylabel="largest gap: leverage score - D")
    for axes in (left, right):
        _sparsity_axis(axes, inverse)
    return figure


@styled
def clean_shares(shares: dict[int, Sequence[float]]) -> Figure:
    """F32: share of the represented features that lie on one of the LINES, against the number of features."""
    figure, (axes,) = panels(size=(4.6, 3.2))
    for n, values in shares.items():
        axes.plot([n] * len(values), values, "o", color=OURS, ms=5)
    axes.plot(list(shares), [np.mean(values) for values in shares.values()], color=OURS, lw=1)
    axes.set(xlabel="features n  (dimensions fixed)", ylabel="features within .01 of a line", ylim=(0, 1))
    return figure
