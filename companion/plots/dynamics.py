"""Pictures of learning in the toy models: how features swap dimensions, and how sets of features unfold. Arrays in, figures out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots import widgets
from companion.plots.heatmaps import heat
from companion.plots.lines import STEP, Log, Panel, draw, frame, level, lines, solid
from companion.plots.style import CATEGORIES, CONTROL, MARKED, OURS, PALE, REST, THEORY, Row, note, panels, styled

Run = tuple[str, int, Float[ndarray, "T F 3"], Sequence[int]]
"""Title, index of the run, its feature vectors at every kept step, indices of the markers."""
SEEN = {"elev": 28, "azim": -60}
"""From where three dimensions are seen, in degrees."""


@styled
def energy_levels(steps: Int[ndarray, " T"], D: Float[ndarray, "T F"], loss: Row, linear_loss: Row, best: float, event: tuple[int, int]) -> Figure:
    """F19: D_i of every feature (above) and the loss in units of V (below) against the step, with the widest swap shaded.

    Blue lines end on a level, dark red ones climbed above D = 0.2 and lost it again. `best`: loss of m exact antipodal pairs.
    """
    figure, (above, below) = panels(2, 1, size=(7.4, 3.0), sharex=True, height_ratios=(1.6, 1))
    won, climbed = D[-1] > 0.25, D.max(0) > 0.2
    groups = {
        "never above 0.2": (~won & ~climbed, CONTROL, 0.6),
        "ends on a level": (won, OURS, 1.0),
        "climbed, then lost it": (~won & climbed, MARKED, 1.5),
    }
    for name, (which, colour, width) in groups.items():
        above.plot(steps, D[:, which], color=colour, lw=width, alpha=0.8)
        above.plot([], [], color=colour, label=f"{name}: {int(which.sum())}")
    level(above, 0.5, colour=THEORY, ls="--")
    frame(above, y="feature dimensionality D", legend=dict(loc="upper left", title="features"), ylim=(-0.02, 0.78))
    losses = {"linear model, same samples": linear_loss, "test loss": loss}
    exact, ends = {"m antipodal pairs (exact)": best}, dict(xlim=(steps[0], steps[-1]), ylim=(best - 2, best + 12))
    draw(below, Panel(steps, losses, Log(STEP), "loss / V", solid(CONTROL, OURS), exact, ends, "upper right"))
    for axes in (above, below):
        axes.axvspan(*event, color=MARKED, alpha=0.09, lw=0)
    return figure


@styled
def reallocation(steps: Int[ndarray, " T"], D: Float[ndarray, "T F"], leverage: Float[ndarray, "T F"], event: tuple[int, int]) -> Figure:
    """The D_i of all features stacked on each other, and the sum of the leverage scores above them: the budget that jumps share out."""
    figure, (axes,) = panels(size=(7.4, 3.4))
    order, won = np.argsort(D[-1])[::-1], int((D[-1] > 0.25).sum())
    bands = [((OURS, PALE) if i < won else REST)[i % 2] for i in range(len(order))]
    axes.stackplot(steps, D[:, order].T, colors=bands, lw=0)
    axes.plot(steps, D.sum(1), color=THEORY, lw=1.4, label="sum of D")
    axes.plot(steps, leverage.sum(1), color=MARKED, lw=1.2, ls="--", label="sum of leverage scores = m")
    axes.fill_between([], [], color=OURS, label=f"each band one of the {won} features that end on a level")
    axes.fill_between([], [], color=REST[0], label="the other features")
    axes.axvspan(*event, color=MARKED, alpha=0.12, lw=0)
    ends = dict(xlim=(steps[0], steps[-1]), ylim=(0, leverage.sum(1).max() * 1.32))
    frame(axes, Log(STEP), "dimensions (stacked D)", dict(loc="upper left", ncols=2), **ends)
    return figure


@styled
def at_step(steps: Int[ndarray, " T"], D: Float[ndarray, "T F"], M: Float[ndarray, "G G"], k: int) -> Figure:
    """The overlaps M of some features at the k-th kept step, and the D of all features with that step marked."""
    figure, (left, right) = panels(1, 2, size=(3.9, 3.3), width_ratios=(1, 1.35))
    figure.colorbar(heat(left, M, title=f"overlaps before step {steps[k]}", xticks=[], yticks=[]), ax=left, shrink=0.8, label="W_i . W_j")
    for which, colour in ((D[-1] <= 0.25, CONTROL), (D[-1] > 0.25, OURS)):
        right.plot(steps, D[:, which], color=colour, lw=0.6, alpha=0.7)
    right.axvline(steps[k], color=MARKED, lw=1.4)
    frame(right, Log(STEP), "feature dimensionality D", xlim=(1, steps[-1]), ylim=(-0.02, 0.62))
    return figure


def jitter(steps: Int[ndarray, " T"], runs: Mapping[str, Float[ndarray, "T F"]]) -> Figure:
    """D_i of every feature, step by step, for one optimiser and for a new one in every step: the same samples and rate; near the level 1/2."""
    sheet = [
        Panel(steps, {"": D.T}, "training step", "feature dimensionality D", solid(colour), {"": 0.5}, dict(title=name, ylim=(0.46, 0.54)))
        for (name, D), colour in zip(runs.items(), (OURS, MARKED), strict=True)
    ]
    return lines(*sheet, size=(4.2, 3.0), sharey=True, lw=0.6, alpha=0.7)


@styled
def unfolding(steps: Int[ndarray, " T"], loss: Float[ndarray, "T I"], levels: Mapping[str, float], runs: Sequence[Run]) -> Figure:
    """F20: loss of all runs (log-log) with theory levels and markers; below, one row of 3-D pictures per drawn run.

    A picture shows the path so far, and the vectors at the marker. The first half of the features is one set, the second half the other.
    """
    marks = len(runs[0][3])
    figure = Figure(figsize=(2.3 * marks, 3.4 + 2.2 * len(runs)), layout="constrained")
    grid = figure.add_gridspec(1 + len(runs), marks, height_ratios=(1.5, *(1,) * len(runs)))
    axes = figure.add_subplot(grid[0, :])
    axes.plot(steps, loss, color=CONTROL, lw=0.5, alpha=0.6)
    for name, height in levels.items():
        level(axes, height, colour=THEORY, ls="--")
        lowest = height == min(levels.values())  # its label leaves room for its neighbour
        note(axes, name, (0.005, height), (0, -2 if lowest else 2), ("axes fraction", "data"), va="top" if lowest else "bottom")
    for row, (title, index, W, at) in enumerate(runs):
        colour = (OURS, MARKED)[row % 2]  # as in `branches`
        axes.plot(steps, loss[:, index], color=colour, label=title)
        axes.plot(steps[list(at)], loss[list(at), index], "o", color=colour, ms=5)
        for column, (t, letter) in enumerate(zip(at, "ABCDEFGH", strict=False)):
            if row == 0:
                place = (4, 5) if column < marks - 1 else (-14, 6)
                note(axes, letter, (steps[t], loss[t, index]), place, fontweight="bold", fontsize=9, color=colour)
            stage = figure.add_subplot(grid[1 + row, column], projection="3d")
            _vectors(stage, W[: t + 1], f"{letter}: step {steps[t]}")
            if column == 0:
                stage.text2D(0, 0.5, title, transform=stage.transAxes, rotation=90, va="center", ha="right", fontsize=8, color=colour)
    frame(axes, Log(STEP), Log("exact loss / p"), "upper right", xlim=(steps[0], steps[-1]), ylim=(min(levels.values()) * 0.6, loss.max() * 1.4))
    return figure


def _vectors(axes: Axes, W: Float[ndarray, "T F 3"], title: str, zoom: float = 1.3) -> None:
    """The features' paths up to the last step, and their vectors there."""
    for i, path in enumerate(W.transpose(1, 0, 2)):
        colour = CATEGORIES[i >= W.shape[1] // 2]
        axes.plot(*path.T, color=colour, lw=0.7, alpha=0.6)
        axes.plot(*np.stack([np.zeros(3), path[-1]]).T, color=colour, lw=1.8)
        axes.scatter(*path[-1], color=colour, s=16)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), xticklabels=[], yticklabels=[], zticklabels=[])
    axes.set_box_aspect((1, 1, 1), zoom=zoom)
    axes.view_init(**SEEN)
    axes.set_title(title, fontsize=8.5, pad=0)


@styled
def vectors_at(steps: Int[ndarray, " T"], paths: Mapping[str, Float[ndarray, "T F 3"]], at: Mapping[str, int]) -> Figure:
    """Feature vectors of several runs at one kept step each, and their whole paths."""
    figure = Figure(figsize=(4.2 * len(paths), 4.2), layout="constrained")
    for place, (title, W) in enumerate(paths.items(), 1):
        axes = figure.add_subplot(1, len(paths), place, projection="3d")
        _vectors(axes, W[: at[title] + 1], f"{title}: step {steps[at[title]]}", zoom=1.0)
    return figure


def turnable_vectors(steps: Int[ndarray, " T"], paths: Mapping[str, Float[ndarray, "T F 3"]], at: Mapping[str, int]) -> dict[str, Any]:
    """`vectors_at`, to be turned, with a slider over the steps that needs no kernel; returns what plotly drew."""
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(paths), specs=[[{"type": "scene"}] * len(paths)], subplot_titles=list(paths))
    groups = [(W[:, half], column, colour) for column, W in enumerate(paths.values(), 1) for half, colour in _sets(W)]
    starts = [at[title] for title in paths for _ in range(2)]
    for (W, column, colour), start in zip(groups, starts, strict=True):
        look = dict(mode="lines+markers", marker=dict(size=4, color=colour), line=dict(width=6, color=colour), hoverinfo="skip", showlegend=False)
        figure.add_scatter3d(**_spokes(W[start]), **look, row=1, col=column)
    for W, column, colour in groups:
        x, y, z = np.concatenate([np.pad(W, ((0, 1), (0, 0), (0, 0)), constant_values=np.nan)[:, i] for i in range(W.shape[1])]).T.round(3)
        look = dict(mode="lines", line=dict(width=1.5, color=colour), opacity=0.45, hoverinfo="skip", showlegend=False)
        figure.add_scatter3d(x=x, y=y, z=z, **look, row=1, col=column)
    chosen = range(0, len(steps), 3)
    every = [{axis: [_spokes(W[k])[axis] for W, _, _ in groups] for axis in "xyz"} for k in chosen]
    moves = [dict(method="restyle", label=str(steps[k]), args=[new, [*range(len(groups))]]) for k, new in zip(chosen, every, strict=True)]
    up, around = np.deg2rad([SEEN["elev"], SEEN["azim"]])
    eye = 1.9 * np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
    axis = dict(range=[-1, 1], showticklabels=False, title="")
    figure.update_scenes(xaxis=axis, yaxis=axis, zaxis=axis, aspectmode="cube", camera={"eye": dict(zip("xyz", eye.tolist(), strict=True))})
    nearest = int(np.argmin([abs(k - starts[0]) for k in chosen]))
    slider = dict(steps=moves, active=nearest, currentvalue=dict(prefix="training step "), pad=dict(b=15))  # room for the last line of ticks
    figure.update_layout(margin=dict(l=0, r=0, t=30, b=0), sliders=[slider])
    return widgets.turnable(figure, vectors_at(steps, paths, at))


def _sets(W: Float[ndarray, "T F 3"]) -> list[tuple[slice, str]]:
    half = W.shape[1] // 2
    return [(slice(0, half), CATEGORIES[0]), (slice(half, None), CATEGORIES[1])]


def _spokes(rows: Float[ndarray, "F 3"]) -> dict[str, list]:
    ends = [value for row in rows.round(3).tolist() for value in ([0, 0, 0], row, [None] * 3)]
    return dict(zip("xyz", map(list, zip(*ends, strict=True)), strict=True))


@styled
def branches(steps: Int[ndarray, " T"], partners: Float[ndarray, "T I"], opened: Int[ndarray, " I"], uniform: Row) -> Figure:
    """How the triples of every run stand to each other: on the way (left), and as they open (right), which is marked on the left.

    partners: mean cosine of a run's cross-set partners; uniform: what it would be for evenly spaced angles between the triples.
    """
    figure, (left, right) = panels(1, 2, size=(4.6, 3.5))
    arrival = partners[opened, np.arange(len(opened))]
    for which, colour in ((arrival < -5 / 6, OURS), (arrival >= -5 / 6, MARKED)):
        left.plot(steps, partners[:, which], color=colour, lw=0.6, alpha=0.5)
        left.plot(steps[opened[which]], arrival[which], "o", color=colour, ms=3)
        nearer = "the octahedron" if colour == OURS else "the prism"
        left.plot([], [], "o-", color=colour, ms=3, label=f"{int(which.sum())} open nearer {nearer}")
    for height, name in ((-1, "octahedron"), (-2 / 3, "prism")):
        level(left, height, name, at=1.01, colour=THEORY, ls="--")
    frame(left, Log(STEP), "mean cosine of partners", dict(loc=(0.02, 0.1)), xlim=(10, steps[-1]), ylim=(-1.03, 0.1))
    bins = np.linspace(-1, -2 / 3, 13)
    looks = (
        dict(color=OURS, alpha=0.8, label="exact descent"),
        dict(color=THEORY, ls="--", histtype="step", label="if all angles were equally likely"),
    )
    for values, look in zip((arrival, uniform), looks, strict=True):
        right.hist(values.clip(-1, -2 / 3), bins, weights=np.full(len(values), 1 / len(values)), **look)
    right.axvline(-5 / 6, ymax=0.7, color=MARKED, lw=1)
    frame(right, "mean cosine of partners as the triples open", "share of the runs", "best")
    return figure
