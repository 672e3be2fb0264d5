"""Figures of scaling laws: error against compute, against latents and kept latents, against the learning rate, against noise."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from companion.plots.style import CONTROL, PAPER, THEORY, panels, styled

Curve = tuple[np.ndarray, np.ndarray]


def _shades(count: int) -> list[tuple[float, ...]]:
    """Light to dark for small to large; yellow is left out, being too pale on white."""
    return [colormaps["viridis"](at) for at in np.linspace(0.85, 0.05, count)]


def _log_error(axis: Axes, label: str = "") -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.yaxis.set_major_formatter("{x:.2g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_ylabel(label)


def _written(axis, form: str) -> None:
    """Ticks at 1, 2 and 5 of each decade of a log axis, written out."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(form)
    axis.set_minor_locator(NullLocator())


def _sizes(axis: Axes, sizes: Sequence[float], label: str) -> None:
    """A log axis with every size written out."""
    axis.set(xscale="log", xlabel=label)
    axis.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.xaxis.set_minor_locator(NullLocator())


@styled
def compute_frontier(runs: Mapping[int, Sequence[Curve]], corners: Curve, fit: Curve, floor: float, paper: Curve, paper_floor: float) -> Figure:
    """Error against training FLOPs, one colour per number of latents, with the lower envelope and its fit; beside it the paper's fit.

    Args:
        runs: by n, one curve (FLOPs, error) per seed.
        corners: corners of the lower convex envelope.
        fit, floor: the fitted power law over the envelope, and what it tends to.
        paper, paper_floor: the same of the paper, its compute as a share of the subject's pre-training.
    """
    figure, (ours, theirs) = panels(1, 2, size=(4.7, 3.8))
    for (n, curves), colour in zip(runs.items(), _shades(len(runs)), strict=True):
        for seed, curve in enumerate(curves):
            ours.plot(*curve, color=colour, lw=1, alpha=0.75, label=f"n = {n:,}" if seed == 0 else None)
    ours.plot(*corners, "o", ms=3.5, color=THEORY, zorder=4, label="lower envelope")
    ours.plot(*fit, "--", color=THEORY, lw=1.2, zorder=3, label="its fit")
    theirs.plot(*paper, "--", color=PAPER, label="the paper's fit")
    for axis, level, colour in ((ours, floor, THEORY), (theirs, paper_floor, PAPER)):
        axis.axhline(level, color=colour, lw=1, ls=":")
        axis.annotate("irreducible", (0.01, level), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color=colour)
        axis.set_xscale("log")
        axis.legend(loc="upper right", fontsize=8)
    _log_error(ours, "normalised MSE")
    _log_error(theirs)
    ours.set(title="here", xlabel="training compute 6 B d n x steps (FLOP)")
    theirs.set(title="GPT-4, quoted", xlabel="training compute / pre-training compute of GPT-4")
    return figure


@styled
def size_and_sparsity(
    sizes: Sequence[int], here: Mapping[int, Mapping[str, np.ndarray]], paper_sizes: np.ndarray, paper: Mapping[int, Curve]
) -> Figure:
    """Error at the end of training against n, one colour per k, with the joint fit and each k's irreducible part; beside it the paper's law.

    Args:
        here: by k, "errors" (seed, n), "fit" (n), "floor" ().
        paper: by k, the law over paper_sizes and its irreducible part.
    """
    figure, (ours, theirs) = panels(1, 2, size=(4.7, 3.8))
    for (k, cell), colour in zip(here.items(), _shades(len(here)), strict=True):
        for errors in cell["errors"]:
            ours.plot(sizes, errors, "o", ms=3.5, color=colour, alpha=0.8)
        ours.plot(sizes, cell["fit"], "--", color=colour, label=f"k = {k}")
        ours.axhline(cell["floor"], color=colour, lw=0.8, ls=":")
    for (k, (law, floor)), colour in zip(paper.items(), _shades(len(paper)), strict=True):
        theirs.plot(paper_sizes, law, "--", color=colour, label=f"k = {k}")
        theirs.axhline(floor, color=colour, lw=0.8, ls=":")
    for axis, name, at in ((ours, "here", sizes), (theirs, "GPT-4, quoted", paper_sizes)):
        _sizes(axis, at, "latents n")
        _log_error(axis)
        axis.set_title(name)
        axis.legend(loc="upper right", fontsize=8, ncols=2, title="dotted: irreducible", title_fontsize=8)
    ours.set_ylabel("normalised MSE")
    return figure


@styled
def rates(
    grid: Sequence[float],
    errors: Mapping[int, Float[np.ndarray, "seed R"]],
    optima: Mapping[int, Sequence[float]],
    fit: Curve,
    rule: Curve,
    label: str,
) -> Figure:
    """Error against the learning rate for each number of latents, with each seed's optimum; beside it the optima against n.

    Args:
        fit: the power law through the optima.
        rule: the paper's, n^-1/2, through their middle.
        label: the fitted exponent with its interval, in words.
    """
    figure, (curves, best) = panels(1, 2, size=(4.5, 3.5))
    for (n, seeds), colour in zip(errors.items(), _shades(len(errors)), strict=True):
        for seed, values in enumerate(seeds):
            curves.plot(grid, values, "o-", ms=3, lw=1, color=colour, alpha=0.8, label=f"n = {n:,}" if seed == 0 else None)
        for at in optima[n]:
            curves.axvline(at, color=colour, lw=0.7, ls=":")
        best.plot(np.full(len(optima[n]), n), optima[n], "o", color=colour, ms=5)
    best.plot(*fit, "-", color=THEORY, lw=1.2, label=label)
    best.plot(*rule, "--", color=PAPER, lw=1.2, label="paper: exponent -1/2")
    curves.set(xscale="log", xlabel="learning rate (dotted: optimum)")
    _written(curves.xaxis, "{x:g}")
    _log_error(curves, "normalised MSE, held out")
    _sizes(best, list(errors), "latents n")
    best.set(yscale="log", ylabel="optimal learning rate")
    _written(best.yaxis, "{x:g}")
    curves.legend(fontsize=8)
    best.legend(fontsize=8)
    return figure


@styled
def convergence(
    sizes: Sequence[int], tokens: Mapping[int, Float[np.ndarray, "seed n"]], fit: Curve, label: str, paper: Mapping[str, Curve]
) -> Figure:
    """Tokens to convergence against n, one colour per k and a dot per seed, with the fitted power law and the paper's exponents."""
    figure, (axis,) = panels(1, 1, size=(5.4, 3.6))
    for (k, seeds), colour in zip(tokens.items(), _shades(len(tokens)), strict=True):
        for seed, values in enumerate(seeds):
            axis.plot(sizes, values, "o", ms=4, color=colour, alpha=0.85, label=f"k = {k}" if seed == 0 else None)
    axis.plot(*fit, "-", color=THEORY, lw=1.2, label=label)
    for (name, curve), dash in zip(paper.items(), ("--", ":"), strict=False):
        axis.plot(*curve, dash, color=PAPER, lw=1.2, label=name)
    _sizes(axis, sizes, "latents n")
    axis.set(yscale="log", ylabel="tokens to convergence")
    _written(axis.yaxis, "{x:,.0f}")
    axis.legend(fontsize=8)
    return figure


@styled
def subject_widths(widths: Sequence[int], errors: Mapping[int, Float[np.ndarray, "seed w"]]) -> Figure:
    """Error at one (n, k) against the width of the subject model, one colour per n and a dot per seed."""
    figure, (axis,) = panels(1, 1, size=(5.0, 3.3))
    for (n, seeds), colour in zip(errors.items(), _shades(len(errors)), strict=True):
        for values in seeds:
            axis.plot(widths, values, "o", ms=4, color=colour)
        axis.plot(widths, seeds.mean(axis=0), "-", lw=1.2, color=colour, label=f"n = {n:,}")
    _sizes(axis, widths, "width d of the subject model")
    _log_error(axis, "normalised MSE, held out")
    axis.legend(fontsize=8)
    return figure


@styled
def noise_floor(
    sizes: Sequence[int], errors: Mapping[str, Float[np.ndarray, "seed n"]], fits: Mapping[str, Curve], shares: Sequence[float], floors: np.ndarray
) -> Figure:
    """Data with noise of known variance: error against n with each level's fit and noise share; beside it fitted floor against noise share.

    Args:
        shares: the noise's share of the variance, per level.
        floors: (level, 3) fitted irreducible error, and the ends of its interval.
    """
    figure, (law, floor) = panels(1, 2, size=(4.6, 3.5))
    for (name, seeds), share, colour in zip(errors.items(), shares, _shades(len(errors)), strict=True):
        for values in seeds:
            law.plot(sizes, values, "o", ms=3.5, color=colour, alpha=0.8)
        law.plot(*fits[name], "--", color=colour, lw=1.2, label=name)
        if share:
            law.axhline(share, color=colour, lw=0.9, ls=":")
    for share, (value, low, high), colour in zip(shares, floors, _shades(len(errors)), strict=True):
        floor.errorbar(share, value, [[max(0, value - low)], [max(0, high - value)]], fmt="o", capsize=3, color=colour)
    ends = [0, 1.15 * max(shares)]
    floor.plot(ends, ends, color=CONTROL, lw=1.2, label="floor = noise share")
    law.set(xlim=(sizes[0] / 1.15, None))
    _sizes(law, sizes, "latents n")
    _log_error(law, "normalised MSE, held out")
    floor.set(xlabel="noise share of the variance", ylabel="fitted irreducible error")
    law.legend(loc="upper right", fontsize=8, title="dashed: fit, dotted: noise share", title_fontsize=8)
    floor.legend(fontsize=8)
    return figure
