"""Curves of scaling laws: error against compute, against latents and kept latents, against the learning rate, against noise."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.plots.lines import DOTS, FEW, MANY, WRITTEN, Log, Panel, direct, frame, level, lines, seeds
from companion.plots.style import PAPER, THEORY, Curve, Row, Rows, note, panels, shades, styled

ERROR = Log("normalised MSE", every=MANY)
HELD_OUT = Log("normalised MSE, held out", every=MANY)
Law = tuple[Rows, Curve, float | None]
"""Error of every seed over x, the fitted curve, and what it tends to."""


def _latents(sizes: Sequence[float]) -> Log:
    return Log("latents n", sizes, form=WRITTEN)


@styled
def compute_frontier(runs: Mapping[int, Sequence[Curve]], corners: Curve, fit: Curve, floor: float) -> Figure:
    """Error against training FLOPs, a colour per number of latents and a curve (FLOPs, error) per seed; the lower convex envelope and its fit."""
    curves = {f"n = {n:,}": own for n, own in runs.items()} | {"lower envelope": [corners], "its fit": [fit]}
    looks = [dict(color=colour, lw=1, alpha=0.75) for colour in shades(len(runs))]
    looks += [dict(color=THEORY, marker="o", ls="", ms=3.5, zorder=4), dict(color=THEORY, ls="--", lw=1.2, zorder=3)]
    figure = lines(Panel(None, curves, Log("training compute 10 B d n x steps (FLOP)"), ERROR, looks, legend=None), size=(4.7, 3.8))
    (axes,) = figure.axes
    level(axes, floor, "floor of the fit", colour=THEORY, lw=1, ls=":")
    axes.legend(handles=axes.lines[-3:-1], loc="upper right")
    for at, (own, look) in enumerate(zip(runs.items(), looks, strict=False)):  # at the beginning: the ends lie on top of each other
        start = own[1][0][0][0], max(L[0] for _, L in own[1])
        note(axes, f"{own[0]:,}" if at else f"n = {own[0]:,}", start, (-5, 4), color=look["color"], fontsize=8.5)
    axes.set_ylim(top=1.2 * axes.dataLim.ymax)
    return figure


def _laws(axes: Axes, x: Row, laws: Mapping[str, Law], dash: str = "--") -> None:
    """Small to large: a dot per seed over x, a fitted curve with its name at the end, and a dotted line at what it tends to."""
    for (errors, fit, floor), colour in zip(laws.values(), shades(len(laws)), strict=True):
        seeds(axes, x, errors, color=colour, **DOTS)
        axes.plot(*fit, dash, color=colour, lw=1.4)
        if floor:
            level(axes, floor, colour=colour, ls=":")


def _named(axes: Axes, laws: Mapping[str, Law]) -> None:
    """The laws' names at their ends, when the limits stand."""
    ends = {name: [values[-1] for values in fit] for name, (_, fit, _) in laws.items()}
    direct(axes, {name: (*end, colour) for (name, end), colour in zip(ends.items(), shades(len(laws)), strict=True)})


@styled
def size_and_sparsity(sizes: Sequence[int], here: Mapping[int, Mapping[str, Rows]]) -> Figure:
    """Error at the end of training against n, one colour per k: "errors" (seed, n), the joint "fit" (n), and its irreducible part, "floor" ()."""
    figure, (axes,) = panels(size=(4.7, 3.8))
    laws = {f"k = {k}": (cell["errors"], (sizes, cell["fit"]), cell["floor"]) for k, cell in here.items()}
    _laws(axes, sizes, laws)
    frame(axes, _latents(sizes), HELD_OUT)
    _named(axes, laws)
    return figure


@styled
def quoted(compute: Curve, floor: float, sizes: Row, laws: Mapping[int, Curve]) -> Figure:
    """The paper's fits for GPT-4: error against compute, its floor dotted; error against n by k, each with its irreducible part."""
    figure, (left, right) = panels(1, 2, size=(4.2, 3.2))
    left.plot(*compute, "--", color=PAPER)
    level(left, floor, "floor", colour=PAPER, lw=1, ls=":")
    frame(left, Log("training compute / pre-training compute of GPT-4"), ERROR, title="the paper's fit for GPT-4")
    theirs = {f"k = {k}": (np.empty((0, len(sizes))), (sizes, law), own) for k, (law, own) in laws.items()}
    _laws(right, sizes, theirs)
    frame(right, _latents(sizes), Log(every=MANY), title="the paper's fit for GPT-4")
    _named(right, theirs)
    return figure


@styled
def rates(grid: Row, errors: Mapping[int, Rows], optima: Mapping[int, Sequence[float]], fit: Mapping[str, Curve] | None = None) -> Figure:
    """Error by learning rate for each n, with each seed's optimum; beside it the optima, the paper's n^-1/2 through their mean, and a named fit."""
    figure, (curves, best) = panels(1, 2, size=(4.5, 3.5))
    sizes, found = np.array(list(errors), dtype=float), np.array([optima[n] for n in errors])  # (size, seed)
    for n, at, beside, colour in zip(errors, found, np.outer(sizes, np.linspace(0.97, 1.03, found.shape[1])), shades(len(sizes)), strict=True):
        seeds(curves, grid, errors[n], f"n = {n:,}", marker="o", ms=3, lw=1, color=colour, alpha=0.8)
        best.plot(beside, at, "o", color=colour, ms=5, clip_on=False)  # seeds that agree would hide each other
        for rate in at:
            curves.axvline(rate, color=colour, lw=0.7, ls=":")
    for name, curve in (fit or {}).items():
        best.plot(*curve, "-", color=THEORY, lw=1.2, label=name)
    rule = np.exp(np.log(found * np.sqrt(sizes)[:, None]).mean()) / np.sqrt(sizes)
    best.plot(sizes, rule, "--", color=PAPER, lw=1.2, label="paper: exponent -1/2")
    frame(curves, Log("learning rate (dotted: optimum)", every=FEW), HELD_OUT, "best")
    frame(best, _latents(sizes), Log("optimal learning rate", every=FEW), "best")
    return figure


def convergence(sizes: Sequence[int], tokens: Mapping[int, Rows], fit: Curve, label: str, paper: Mapping[str, Curve]) -> Figure:
    """Tokens to convergence against n, one colour per k and a dot per seed, with the fitted power law and the paper's exponents."""
    curves = {f"k = {k}": [(sizes, row) for row in rows] for k, rows in tokens.items()}
    curves |= {name: [curve] for name, curve in ({label: fit} | paper).items()}
    looks = [DOTS | dict(color=colour) for colour in shades(len(tokens))]
    looks += [dict(color=colour, ls=dash, lw=1.2) for colour, dash in ((THEORY, "-"), (PAPER, "--"), (PAPER, ":"))]
    up = Log("tokens to convergence", every=FEW, form=WRITTEN)
    return lines(Panel(None, curves, _latents(sizes), up, looks), size=(5.4, 3.6))


@styled
def subject_widths(sizes: Sequence[int], widths: Sequence[int], arms: Mapping[str, Sequence[Rows]]) -> Figure:
    """Error against n, one curve per width of the subject model and a dot per seed, in a panel per rule for k: (seed, n) per width."""
    figure, panel = panels(1, len(arms), size=(4.2, 3.3), sharey=True)
    for axes, (rule, errors) in zip(panel, arms.items(), strict=True):
        laws = {f"d = {d:,}": (rows, (sizes, rows.mean(axis=0)), None) for d, rows in zip(widths, errors, strict=True)}
        _laws(axes, sizes, laws, "-")
        frame(axes, _latents(sizes), HELD_OUT, title=rule)
        _named(axes, laws)
    return figure


@styled
def noise_floor(sizes: Sequence[int], errors: Mapping[str, Rows], fits: Mapping[str, Curve], shares: Sequence[float], floors: Rows) -> Figure:
    """Data with noise of known variance: error against n with each level's fit and noise share; beside it fitted floor against noise share.

    shares: the noise's share of the variance, per level. floors: (level, 3) fitted irreducible error, and the ends of its interval.
    """
    figure, (law, floor) = panels(1, 2, size=(4.6, 3.5))
    laws = {name: (errors[name], fit, share) for (name, fit), share in zip(fits.items(), shares, strict=True)}
    _laws(law, sizes, laws)
    for share, (value, low, high), colour in zip(shares, floors, shades(len(shares)), strict=True):
        floor.errorbar(share, value, [[max(0, value - low)], [max(0, high - value)]], fmt="o", capsize=3, color=colour)
    ends = [0, 1.15 * max(shares)]
    floor.plot(ends, ends, color=THEORY, lw=1.2, label="floor = noise share")
    frame(law, _latents(sizes), HELD_OUT, xlim=(sizes[0] / 1.15, None))
    _named(law, laws)
    frame(floor, "noise share of the variance", "fitted irreducible error", "best")
    return figure
