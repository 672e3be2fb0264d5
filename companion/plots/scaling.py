"""Curves of scaling laws: error against compute, against latents and kept latents, against the learning rate, against noise."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.plots.lines import FEW, MANY, Log, family, frame, level, pairs, seeds
from companion.plots.style import CONTROL, PAPER, THEORY, Curve, Row, Rows, panels, shades, styled

WRITTEN = "{x:,.0f}"
DOTS = dict(marker="o", ls="", ms=4, alpha=0.85)
ERROR = Log("normalised MSE", every=MANY)
HELD_OUT = Log("normalised MSE, held out", every=MANY)


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
    for (n, curves), colour in zip(runs.items(), shades(len(runs)), strict=True):
        seeds(ours, *pairs(curves), f"n = {n:,}", color=colour, lw=1, alpha=0.75)
    ours.plot(*corners, "o", ms=3.5, color=THEORY, zorder=4, label="lower envelope")
    ours.plot(*fit, "--", color=THEORY, lw=1.2, zorder=3, label="its fit")
    theirs.plot(*paper, "--", color=PAPER, label="the paper's fit")
    level(ours, floor, "irreducible", colour=THEORY, lw=1, ls=":")
    level(theirs, paper_floor, "irreducible", lw=1, ls=":")
    frame(ours, Log("training compute 10 B d n x steps (FLOP)"), ERROR, "upper right", title="here")
    frame(theirs, Log("training compute / pre-training compute of GPT-4"), Log(every=MANY), "upper right", title="GPT-4, quoted")
    return figure


def _laws(axes: Axes, x: Row, errors: Mapping[str, Rows], fits: Mapping[str, Curve], floors: Mapping[str, float], dash: str = "--") -> None:
    """Small to large: a dot per seed over x, a fitted curve, and a dotted line at what it tends to."""
    for (name, fit), colour in zip(fits.items(), shades(len(fits)), strict=True):
        if name in errors:
            seeds(axes, x, errors[name], color=colour, **DOTS)
        axes.plot(*fit, dash, color=colour, lw=1.4, label=name)
        if name in floors:
            level(axes, floors[name], colour=colour, ls=":")


@styled
def size_and_sparsity(sizes: Sequence[int], here: Mapping[int, Mapping[str, np.ndarray]], paper_sizes: Row, paper: Mapping[int, Curve]) -> Figure:
    """Error at the end of training against n, one colour per k, with the joint fit and each k's irreducible part; beside it the paper's law.

    Args:
        here: by k, "errors" (seed, n), "fit" (n), "floor" ().
        paper: by k, the law over paper_sizes and its irreducible part.
    """
    figure, (ours, theirs) = panels(1, 2, size=(4.7, 3.8))
    found, legend = {f"k = {k}": cell for k, cell in here.items()}, dict(loc="upper right", ncols=2, title="dotted: irreducible")
    fits, floors = ({k: (sizes, cell["fit"]) for k, cell in found.items()}, {k: cell["floor"] for k, cell in found.items()})
    _laws(ours, sizes, {k: cell["errors"] for k, cell in found.items()}, fits, floors)
    frame(ours, Log("latents n", sizes, form=WRITTEN), ERROR, legend, title="here")
    laws = {f"k = {k}": (paper_sizes, law) for k, (law, _) in paper.items()}
    _laws(theirs, paper_sizes, {}, laws, {f"k = {k}": floor for k, (_, floor) in paper.items()})
    frame(theirs, Log("latents n", paper_sizes, form=WRITTEN), Log(every=MANY), legend, title="GPT-4, quoted")
    return figure


@styled
def rates(grid: Row, errors: Mapping[int, Rows], optima: Mapping[int, Sequence[float]], fit: Mapping[str, Curve] | None = None) -> Figure:
    """Error against the learning rate for each number of latents n, with each seed's optimum; beside it the optima against n.

    Args:
        fit: a power law through the optima, by its name; the paper's, n^-1/2, goes through their mean in any case.
    """
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
    frame(best, Log("latents n", sizes, form=WRITTEN), Log("optimal learning rate", every=FEW), "best")
    return figure


@styled
def convergence(sizes: Sequence[int], tokens: Mapping[int, Rows], fit: Curve, label: str, paper: Mapping[str, Curve]) -> Figure:
    """Tokens to convergence against n, one colour per k and a dot per seed, with the fitted power law and the paper's exponents."""
    figure, (axes,) = panels(size=(5.4, 3.6))
    family(axes, sizes, {f"k = {k}": rows for k, rows in tokens.items()}, [dict(color=colour) for colour in shades(len(tokens))], **DOTS)
    for (name, curve), colour, dash in zip(({label: fit} | paper).items(), (THEORY, PAPER, PAPER), ("-", "--", ":"), strict=False):
        axes.plot(*curve, dash, color=colour, lw=1.2, label=name)
    frame(axes, Log("latents n", sizes, form=WRITTEN), Log("tokens to convergence", every=FEW, form=WRITTEN), "best")
    return figure


@styled
def subject_widths(sizes: Sequence[int], widths: Sequence[int], arms: Mapping[str, Sequence[Rows]]) -> Figure:
    """Error against n, one curve per width of the subject model and a dot per seed, in a panel per rule for k.

    Args:
        arms: by the rule, one (seed, n) per width.
    """
    figure, panel = panels(1, len(arms), size=(4.2, 3.3), sharey=True)
    for axes, (rule, errors) in zip(panel, arms.items(), strict=True):
        rows = {f"d = {d:,}": found for d, found in zip(widths, errors, strict=True)}
        _laws(axes, sizes, rows, {name: (sizes, found.mean(axis=0)) for name, found in rows.items()}, {}, "-")
        frame(axes, Log("latents n", sizes, form=WRITTEN), HELD_OUT, "best", title=rule)
    return figure


@styled
def noise_floor(sizes: Sequence[int], errors: Mapping[str, Rows], fits: Mapping[str, Curve], shares: Sequence[float], floors: np.ndarray) -> Figure:
    """Data with noise of known variance: error against n with each level's fit and noise share; beside it fitted floor against noise share.

    Args:
        shares: the noise's share of the variance, per level.
        floors: (level, 3) fitted irreducible error, and the ends of its interval.
    """
    figure, (law, floor) = panels(1, 2, size=(4.6, 3.5))
    _laws(law, sizes, errors, fits, {name: share for name, share in zip(fits, shares, strict=True) if share})
    for share, (value, low, high), colour in zip(shares, floors, shades(len(shares)), strict=True):
        floor.errorbar(share, value, [[max(0, value - low)], [max(0, high - value)]], fmt="o", capsize=3, color=colour)
    ends = [0, 1.15 * max(shares)]
    floor.plot(ends, ends, color=CONTROL, lw=1.2, label="floor = noise share")
    legend = dict(loc="upper right", title="dashed: fit, dotted: noise share")
    frame(law, Log("latents n", sizes, form=WRITTEN), HELD_OUT, legend, xlim=(sizes[0] / 1.15, None))
    frame(floor, "noise share of the variance", "fitted irreducible error", "best")
    return figure
