"""Dictionaries of several widths: children of a latent, roles of a token, a map of all directions, and latents as states of an automaton."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy import ndarray

from companion.plots import widgets
from companion.plots.style import CATEGORIES, CONTROL, CONTROLS, MARKED, OURS, PAGE, PAPER, QUIET, REST, Curve, Row, Rows, note, panels, styled

CONTROL_LOOKS = tuple(dict(color=colour, ls=dash) for colour, dash in zip(CONTROLS, ("--", ":", "-."), strict=True))
MARKS = "ods^Xv*"
"""A marker per size of dictionary."""


@styled
def children(thresholds: Row, counts: Mapping[str, Row], paper: float) -> Figure:
    """Children per latent by the threshold on the masked cosine; the first curve is of trained dictionaries, the others are controls."""
    figure, (axes,) = panels(size=(5.6, 3.5))
    for (name, values), look in zip(counts.items(), (dict(color=OURS, lw=2.2), *CONTROL_LOOKS), strict=False):
        axes.plot(thresholds, values, label=name, **look)
    axes.axvline(paper, color=PAPER, lw=1)
    note(axes, "paper", (paper, 0.02), (3, 0), ("data", "axes fraction"), color=PAPER)
    axes.set(xlabel="threshold on the masked cosine", ylabel="children per narrow latent, mean", yscale="symlog", ylim=(0, None))
    axes.legend()
    return figure


@styled
def parents(trained: Curve, null: Curve, quantile: Curve) -> Figure:
    """Masked cosine with the best parent by density: trained latents, those of the null, and the null's quantile at each density."""
    figure, axes = panels(1, 2, size=(4.2, 3.4), sharex=True, sharey=True)
    pairs = ((trained, OURS, "trained"), (null, CONTROL, "never trained"))
    for panel, ((x, y), colour, name) in zip(axes, pairs, strict=True):
        panel.scatter(x, y, s=5, color=colour, alpha=0.6, lw=0)
        panel.plot(*quantile, color=MARKED, lw=1.4)
        panel.set(xlabel="active on this share of the tokens", title=name, xscale="log")
    axes[0].set(ylabel="masked cosine with the best parent", ylim=(0.2, 1.02))
    note(axes[1], "95 % of the null\nlie below", (0.97, 0.05), where="axes fraction", color=MARKED, ha="right")
    return figure


@styled
def roles(widths: Row, counts: Mapping[str, Rows], most: int) -> Figure:
    """How many roles of a token have a latent of their own, by the number of latents; a thin line per seed, the mean with markers."""
    figure, (axes,) = panels(size=(4.8, 3.3))
    for (name, rows), look in zip(counts.items(), (dict(color=OURS), *CONTROL_LOOKS), strict=False):
        there = ~np.isnan(rows).all(axis=0)
        axes.plot(widths[there], np.nanmean(rows[:, there], axis=0), marker="o", label=name, **look)
        axes.scatter(np.broadcast_to(widths, rows.shape), rows, s=9, color=look["color"], alpha=0.5)
    axes.set(xlabel="latents", ylabel=f"roles told apart, of {most}", xscale="log", ylim=(-0.4, None))
    axes.set_xticks(widths, [f"{int(width):,}" for width in widths])
    axes.minorticks_off()
    axes.legend()
    return figure


Groups = Mapping[str, Bool[ndarray, " L"]]


@styled
def latent_map(at: Float[ndarray, "L 2"], groups: Groups, sizes: Groups) -> Figure:
    """Directions as points: coloured by group, the rest in grey; a marker per size of dictionary."""
    figure, (axes,) = panels(size=(7.2, 5.6))
    rest = ~np.any(list(groups.values()), axis=0)
    for (width, of), marker in zip(sizes.items(), MARKS, strict=False):
        area = 26 if marker == MARKS[0] else 7
        axes.plot(*at[of & rest].T, ls="", ms=(area / 2) ** 0.5, color=REST[0], marker=marker, mew=0, zorder=1)
        for mask, colour in zip(groups.values(), CATEGORIES, strict=False):
            axes.scatter(*at[of & mask].T, s=area, color=colour, marker=marker, lw=0, alpha=0.85, zorder=2)
        axes.scatter([], [], s=area, color=QUIET, marker=marker, label=f"{width} latents")
    for name, colour in zip(groups, CATEGORIES, strict=False):
        axes.scatter([], [], s=18, color=colour, label=name)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)
    return figure


def hoverable_map(at: Float[ndarray, "L 2"], groups: Groups, texts: Sequence[str], static: Figure) -> dict[str, Any]:
    """The same points with a text under the pointer; returns what plotly drew."""
    import plotly.graph_objects as go

    axes, figure = static.axes[0], go.Figure()
    rest = {"the rest": ~np.any(list(groups.values()), axis=0)}
    for (name, mask), colour in zip((rest | dict(groups)).items(), (REST[0], *CATEGORIES), strict=False):
        x, y = at[mask].round(1).T
        own = [texts[place] for place in np.flatnonzero(mask)]
        marker = dict(size=4, color=colour, opacity=0.8)
        figure.add_scattergl(x=x, y=y, text=own, name=name, mode="markers", marker=marker, hovertemplate="%{text}<extra></extra>")
    for update, limits in ((figure.update_xaxes, axes.get_xlim()), (figure.update_yaxes, axes.get_ylim())):
        update(range=list(limits), visible=False)
    figure.update_layout(margin=widgets.MARGIN | dict(l=10, b=10))
    return widgets.turnable(figure, static)


@styled
def graph(names: Sequence[str], edges: Sequence[tuple[int, int, float]]) -> Figure:
    """States of an automaton on a circle; an arrow from i to j, as thick as its number is large, which stands on it."""
    figure, (axes,) = panels(size=(6.6, 5.0))
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    at = np.stack([1.35 * np.cos(angle), np.sin(angle)], axis=1)
    box = dict(boxstyle="round,pad=0.35", fc=REST[1], ec=QUIET, lw=0.6)
    states = [axes.text(*place, name, ha="center", va="center", fontsize=7.5, bbox=box) for place, name in zip(at, names, strict=True)]
    ways = [(at[i], at[j], 0.16) if i != j else (at[i] + (-0.12, 0.1), at[i] + (0.12, 0.1), -1.8) for i, j, _ in edges]
    arcs, labels = [_arc(*way) for way in ways], at
    for number, ((i, j, value), (start, end, bend)) in enumerate(zip(edges, ways, strict=True)):
        boxes = [states[k].get_bbox_patch() if i != j else None for k in (i, j)]
        ends = dict(patchA=boxes[0], patchB=boxes[1], shrinkA=1, shrinkB=1)
        look = dict(arrowstyle="-|>", color=OURS, lw=0.8 + 4 * value, mutation_scale=13, connectionstyle=f"arc3,rad={bend}")
        axes.add_patch(FancyArrowPatch(start, end, **look, **ends, zorder=states[i].zorder + 1))  # after the boxes, whose sizes it needs
        labels = np.vstack([labels, _free_place(arcs[number], np.vstack([at, *arcs[:number], *arcs[number + 1 :]]), labels)])
        label = dict(bbox=dict(fc=PAGE, ec=PAGE, pad=0.6), zorder=states[i].zorder + 2)
        note(axes, f"{value:.2f}", labels[-1], color=OURS, ha="center", va="center", **label)
    axes.set(xlim=(-1.75, 1.75), ylim=(-1.25, 1.25), aspect="equal")
    axes.set_axis_off()
    return figure


def _arc(start: Row, end: Row, bend: float) -> Rows:
    """Points of matplotlib's arc3 between two points, (21, 2)."""
    t = np.linspace(0, 1, 21)[:, None]
    middle = (start + end) / 2 + bend * (end - start)[::-1] * (1, -1)
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end


def _free_place(arc: Rows, others: Rows, labels: Rows) -> Row:
    """The place near the middle of an arc that is farthest from what else is drawn; labels are wide, so they count as half as far."""
    inner = arc[5:-5]
    to_others, to_labels = (np.linalg.norm(inner[:, None] - each, axis=2).min(axis=1) for each in (others, labels))
    return inner[np.minimum(to_others, to_labels / 2).argmax()]
