"""Curves of the toy models: of one model, against sparsity, under attack. Arrays in, figures out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.lines import DENSITY, DOTTED, Log, Panel, by_sparsity, columns, draw, frame, level, lines, seeds, solid
from companion.plots.style import CATEGORIES, CONTROL, FATES, MARKED, OURS, PAPER, SECOND, THEORY, Row, Rows, note, panels, styled

SPARSER = Log("density p = 1 - S  (log, sparser to the right)")
LINES = {"tetrahedron": 3 / 4, "triangle": 2 / 3, "digon": 1 / 2, "pentagon": 2 / 5, "square antiprism": 3 / 8}
"""Dimensionality d/k of the polytopes the paper draws guide lines for."""
VULNERABILITY = "vulnerability ν\n(1 = no superposition)"
WITHIN = 0.01
"""A run this close to the exact optimum has found it."""


# --- one model ---


@styled
def runs_against_optimum(excess: Mapping[str, Row]) -> Figure:
    """Loss over the exact optimum, minus one, of every run from a random start, and the share that comes `WITHIN` of it."""
    figure, (axes,) = panels(size=(1.5 + 0.95 * len(excess), 3.4))
    columns(axes, {name: np.clip(np.sort(values), 1e-6, None) for name, values in excess.items()}, 0.55, color=OURS, ms=4, alpha=0.7)
    for i, values in enumerate(excess.values()):
        note(axes, f"{np.mean(values <= WITHIN):.0%}", (i, 1.01), where=("data", "axes fraction"), ha="center", fontsize=8)
    level(axes, WITHIN)
    frame(axes, y=Log("loss / exact optimum - 1"), ylim=(0.7e-6, None))
    axes.set_title(f"share of runs within {WITHIN:.0%} of the lowest loss (dark line)", pad=16, fontsize=9)
    return figure


def counts(density: Sequence[float], count: Mapping[str, Rows], ylabel: str) -> Figure:
    """Numbers of features against density, one line per seed and kind; sparser to the right."""
    ends = dict(ylim=(0, None), xlim=(1.2 * max(density), min(density) / 1.2))
    drawn = Panel(density, count, SPARSER, ylabel, solid(OURS, SECOND, CONTROL, THEORY), settings=ends)
    return lines(drawn, size=(5.4, 3.3), marker="o", ms=4, alpha=0.8)


@styled
def loss_by_active(density: Row, share: Float[ndarray, "K P"], probability: Float[ndarray, "K P"]) -> Figure:
    """F5: share of the loss that falls on samples with k active features, and how frequent such samples are."""
    figure, axes = panels(1, 2, size=(4.0, 3.3), sharey=True)
    for panel, values, title in zip(axes, (probability, share), ("samples", "loss at the optimum"), strict=True):
        panel.stackplot(density, values, labels=[f"k = {k}" for k in range(len(values))], alpha=0.85)
        frame(panel, SPARSER, title=title, ylim=(0, 1), xlim=(density[-1], density[0]))
    axes[0].set_ylabel("share by number k of active features")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def fates(losses: Mapping[str, Row], best: Row, density: Row, title: str) -> Figure:
    """Loss of each fate along one column of the phase diagram, in units of V(p), and the exact optimum under them."""
    colours = FATES | {"not learned": CONTROL}
    looks = [dict(color=colours[name.split(",")[0]], ls="-" if name in colours else "-.") for name in losses]
    looks += [dict(color=THEORY, marker="o", ls="", ms=3, mfc="none")]
    curves = {**losses, "optimum, weights and bias free": best}
    return lines(Panel(density, curves, Log(DENSITY), "loss / V(p)", looks, settings=dict(title=title, ylim=(0, None))), size=(5.6, 3.6))


def two_branches(ratio: Row, runs: Mapping[str, Sequence[tuple[float, float]]], branches: Mapping[str, Row]) -> Figure:
    """F13: loss of every run against the density ratio, coloured by geometry, with the exact branches."""
    curves = {f"runs: {name}": [np.transpose(points)] if len(points) else [] for name, points in runs.items()}
    curves |= {f"exact: {name}": [(ratio, loss)] for name, loss in branches.items()}
    looks = ((OURS, "o"), (SECOND, "s"), (CONTROL, "^"))  # told apart without colour too
    dots = [dict(color=colour, marker=marker, ls="", ms=5, mfc="none") for colour, marker in looks[: len(runs)]]
    exact = [dict(color=THEORY, lw=1.2, ls=dash) for dash in ("--", ":")]
    across = Log("density of the varied feature / that of the others  (log)")
    return lines(Panel(None, curves, across, Log("expected loss  (log)"), [*dots, *exact]), size=(5.8, 3.8))


def compression(width: Row, error: Mapping[str, Row], linear: float, x: Row, stairs: Mapping[str, Row]) -> Figure:
    """F31: the staircase that makes room for a second number, and the squared error of both numbers against its ramps."""
    ramps, squared = Log("width of a ramp (share of a step; log scale)"), Log("mean squared error of x and y together")
    return lines(
        Panel(x, stairs, "x", "number of the step of x", settings=dict(title="three steps (Z = 3), two ramps")),
        Panel(width, error, ramps, squared, [dict(color=colour, marker="o", ms=3) for colour in CATEGORIES], {"best linear code": linear}),
        size=(4.4, 3.5),
    )


# --- against sparsity ---


def _ends(inverse: Row) -> tuple[float, float]:
    return inverse.min() / 1.07, inverse.max() * 1.07


def _mark_transitions(axes: Axes, at: Sequence[float], names: Sequence[str]) -> None:
    """Dotted verticals at `at`, and the name of the winner in each of the intervals between them."""
    low, high = np.log(axes.get_xlim())
    edges = [low, *np.log(at), high]
    for x in at:
        axes.axvline(x, color=THEORY, lw=0.8, ls=":")
    for name, left, right in zip(names, edges, edges[1:], strict=False):
        if right > low and left < high:
            middle = np.exp((max(left, low) + min(right, high)) / 2)
            note(axes, name, (middle, 1), (0, 2), axes.get_xaxis_transform(), rotation=35)


def _guides(axes: Axes, at: float) -> None:
    """The `LINES`, named beside the panel from `at` on."""
    for name, fraction in LINES.items():
        level(axes, fraction, colour=THEORY, alpha=0.5)
        side = "top" if name == "square antiprism" else "center_baseline"  # too close to the pentagon for two labels on their lines
        note(axes, f"{name} {fraction:.3g}", (at, fraction), color=THEORY, va=side)


@styled
def dimensions_per_feature(
    inverse: Row, measured: Rows, theory_inverse: Row, theory: Row, changes: Sequence[float], winners: Sequence[str]
) -> Figure:
    """F8: D* against 1/(1-S), one line per seed, with the D* of the best polytope and the densities where it changes."""
    figure, (axes,) = panels(size=(7.2, 4.2))
    pieces = np.split(np.stack([theory_inverse, theory]), np.flatnonzero(np.diff(np.searchsorted(changes, theory_inverse))) + 1, axis=1)
    seeds(axes, None, pieces, "best polytope (exact)", color=THEORY, lw=1.2, ls="--")  # it jumps, so the line must not join its pieces
    seeds(axes, inverse, measured, f"trained, {len(measured)} seeds", color=OURS, **DOTTED)
    level(axes, 1, colour=PAPER, alpha=0.7, label="the paper's plateaus")
    level(axes, 0.5, colour=PAPER, alpha=0.7)
    frame(axes, by_sparsity(inverse), "D* = m / |W|²  (hidden dimensions per feature)", xlim=_ends(inverse), ylim=(0, 1.08))
    _mark_transitions(axes, changes, winners)
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.92))
    return figure


def gain_per_dimension(inverse: Row, measured: Rows, theory_inverse: Row, gains: Mapping[str, Row]) -> Figure:
    """Variance recovered per hidden dimension, trained and for each polytope: where the points leave the curves, polytopes lose."""
    best = {"best of them": np.max(list(gains.values()), axis=0)}
    curves = {name: [(theory_inverse, gain)] for name, gain in {**gains, **best}.items()}
    curves |= {f"trained, {len(measured)} seeds": [(inverse, row) for row in measured]}
    looks = [dict(color=colour, lw=1.1) for colour in CATEGORIES[: len(gains)]]
    looks += [dict(color=THEORY, lw=1.2, ls="--"), dict(marker="o", ls="", color=OURS, ms=4, mfc="none")]
    up = "features' worth of variance\nrecovered per hidden dimension"
    ends = dict(xlim=_ends(inverse), ylim=(0.7, max(2.6, measured.max() * 1.05)))
    return lines(Panel(None, curves, by_sparsity(inverse), up, looks, settings=ends, legend=dict(ncols=2)), size=(7.2, 4.2))


@styled
def feature_dimensionality(inverse: Row, D: Float[ndarray, "levels F"], measured: Row) -> Figure:
    """F9: every feature's D_i against 1/(1-S), jittered sideways within its level, with the polytopes' lines; D* behind."""
    figure, (axes, shares) = panels(1, 2, size=(4.6, 4.4), width_ratios=(3.6, 1), sharey=True)
    jitter = np.exp(min(0.05, np.diff(np.log(inverse)).min() * 0.45) * np.linspace(-1, 1, D.shape[1]))
    _guides(axes, inverse.max() * 1.09)
    note(axes, "not learned 0", (inverse.max() * 1.09, 0), color=THEORY, va="center_baseline")
    for fraction in LINES.values():
        level(shares, fraction, colour=THEORY, alpha=0.5)
    axes.plot(inverse, measured, color=CONTROL, lw=1.2, label="D* of the model")
    axes.scatter((inverse[:, None] * jitter).ravel(), D.ravel(), s=3, color=OURS, alpha=0.45, lw=0, label="D of one feature", rasterized=True)
    frame(axes, by_sparsity(inverse), "feature dimensionality D", "upper right", xlim=_ends(inverse), ylim=(-0.03, 1.02))
    kept = D[measured < 0.95].ravel()
    shares.hist(kept[kept > 0.05], bins=np.arange(0.05, 1.0, 0.005), orientation="horizontal", color=OURS)
    frame(shares, Log("features\n(levels with D* < 0.95)"))
    return figure


def dimension_budget(inverse: Row, share: Rows, control: Rows, gap: Rows) -> Figure:
    """Sum of D_i over m at each level, trained and with the control's weights; and the largest leverage - D_i of a feature."""
    shares, across = {"random directions, same norms": control, "trained": share}, by_sparsity(inverse)
    return lines(
        Panel(inverse, shares, across, "sum of D over features / m", solid(CONTROL, OURS), {"": 1}, dict(ylim=(0, 1.06)), "lower left"),
        Panel(inverse, {"": gap}, across, "largest gap: leverage score - D", levels={"": 0}),
        size=(4.4, 3.3), marker="o", ms=3,
    )  # fmt: skip


@styled
def clean_shares(D: Mapping[int, Mapping[float, Row]], shares: Mapping[int, Sequence[float]]) -> Figure:
    """F32: D_i of the represented features at each 1/(1-S), a panel per number of features; and the share that lies on one of the LINES."""
    figure, axes = panels(1, len(D) + 1, size=(2.8, 3.7))
    for panel, (n, by_level) in zip(axes[:-1], D.items(), strict=True):
        columns(panel, {f"{level:g}": values for level, values in by_level.items()}, 0.7, color=OURS, ms=2, alpha=0.4)
        frame(panel, "1 / (1 - S)", "D of each stored feature" if panel is axes[0] else "", title=f"n = {n}", ylim=(0, 0.8))
        for fraction in LINES.values():
            level(panel, fraction, alpha=0.8)
    _guides(axes[-2], len(by_level) - 0.5)
    columns(axes[-1], {str(n): np.sort(values) for n, values in shares.items()}, 0.5, color=OURS, ms=7, alpha=0.7)
    frame(axes[-1], "features n", title="share on a line,\nless beside it")
    return figure


@styled
def shapes_of_features(points: Mapping[str, tuple[Row, Row]], inverse: Row) -> Figure:
    """F9: D_i of the represented features against 1/(1-S), coloured by the polytope that the feature belongs to."""
    figure, (axes,) = panels(size=(8.2, 4.2))
    _guides(axes, inverse.max() * 1.12)
    for (name, place), colour in zip(points.items(), CATEGORIES, strict=False):
        axes.plot(*place, "o", ms=3.5, mew=0, alpha=0.7, color=colour, label=name)
    frame(axes, by_sparsity(inverse), "feature dimensionality D", "upper right", xlim=(inverse.min() / 1.07, inverse.max() * 1.1), ylim=(0.1, 1.02))
    return figure


# --- under attack ---


@styled
def vulnerability(inverse: Row, features: Rows, nu: Mapping[str, Rows], predicted: Row, guides: Mapping[str, float]) -> Figure:
    """F21: vulnerability nu above and features per dimension 1/D* below, against 1/(1-S); nu for each way to measure the attack's length."""
    figure, (above, below) = panels(2, 1, size=(7.2, 2.9), sharex=True)
    for name, height in guides.items():
        level(above, height, name, at=1.01, alpha=0.8)
    looks = [dict(color=OURS), dict(color=SECOND, ls="--"), dict(color=THEORY, lw=1.2, ls=(0, (4, 2)), marker="", alpha=1)]
    ends, legend = dict(ylim=(0, 1.4 * max(values.max() for values in nu.values()))), dict(loc="upper left", title="length of the attack")
    draw(above, Panel(inverse, {**nu, "best polytope, not trained": predicted}, "", VULNERABILITY, looks, {}, ends, legend), **DOTTED)
    trained, up = {f"trained, {len(features)} seeds": features}, "features per dimension\n1 / D* = |W|² / m"
    draw(below, Panel(inverse, trained, by_sparsity(inverse), up, solid(OURS), {}, dict(ylim=(0, None)), "upper left"), **DOTTED)
    return figure


@styled
def vulnerability_at(inverse: Row, nu: Float[ndarray, "K P"], shares: Sequence[float], k: int) -> Figure:
    """Vulnerability against 1/(1-S) for the k-th of several lengths of the attack, and for the others, pale."""
    figure, (axes,) = panels(size=(7.2, 3.2))
    axes.plot(inverse, nu.T, color=CONTROL, lw=0.8, alpha=0.6)
    axes.plot(inverse, nu[k], color=OURS, marker="o", ms=4, label=f"attacks of {shares[k]:g} of the mean norm")
    level(axes, 1, "no superposition", at=1.01)
    frame(axes, by_sparsity(inverse), Log(VULNERABILITY, at=(1, 2, 5, 10, 20)), "upper left", ylim=(0.8, 1.25 * nu.max()))
    return figure


@styled
def against_features(features: Rows, nu: Rows, inverse: Row, ideal: Mapping[str, tuple[float, float]]) -> Figure:
    """F22: vulnerability nu against 1/D*, one point per model, coloured by 1/(1-S); unit vectors on polytopes without bias as crosses."""
    figure, (axes,) = panels(size=(5.8, 4.2))
    points = axes.scatter(features.ravel(), nu.ravel(), c=np.broadcast_to(inverse, nu.shape).ravel(), norm=LogNorm(), s=24, lw=0)
    figure.colorbar(points, ax=axes, label=by_sparsity(inverse).label)
    end = min(features.max(), nu.max()) * 1.05
    axes.plot([1, end], [1, end], color=CONTROL, lw=1, ls="--", label="ν = 1/D*")
    axes.plot(*zip(*ideal.values(), strict=True), "x", color=THEORY, ms=7, mew=1.6, label="unit vectors, no bias, sparse limit")
    for name, place in ideal.items():
        note(axes, name, place, (7, 0), color=THEORY, va="center")
    frame(axes, "features per dimension, 1 / D*", VULNERABILITY, "upper right", ylim=(0, None))
    return figure


@styled
def attack_and_chance(added: Mapping[str, tuple[Row, Row, Row]]) -> Figure:
    """Loss added in units of eps^2 by attacks, random directions the model sees, and random directions of the input; a column per model."""
    figure, (axes,) = panels(size=(7.2, 3.7))
    kinds = (("attack: a row of M, either sign", OURS), ("random, inside the row space", SECOND), ("random direction of the input", CONTROL))
    by_kind = np.stack([*added.values()], axis=1)  # (kind, model, direction)
    for (name, colour), values, side in zip(kinds, by_kind, (-0.28, 0, 0.28), strict=True):
        at = np.arange(len(values)) + side
        across = at[:, None] + 0.09 * np.linspace(-1, 1, values.shape[1])
        axes.plot(across.ravel(), values.ravel(), "o", color=colour, ms=2.4, alpha=0.6, mew=0, label=name)
        axes.hlines(values.max(1), at - 0.12, at + 0.12, color=THEORY, lw=1.2, label="worst of them" if side == 0 else None)
    level(axes, 1, "no\nsuperposition", at=1.01)
    frame(axes, y="loss added / eps²", legend=dict(loc="upper left", markerscale=2), xticks=range(len(added)), xticklabels=list(added))
    return figure


@styled
def sparse_end(inverse: Row, curves: Mapping[str, Mapping[str, Row]]) -> Figure:
    """Vulnerability of exact pentagons against 1/(1-S): a colour for each opponent, a dash for each way to measure the attack's length."""
    figure, (axes,) = panels(size=(7.2, 4.0))
    for (opponent, by_length), colour in zip(curves.items(), (OURS, MARKED), strict=False):
        for values, dash in zip(by_length.values(), ("-", "--"), strict=False):
            axes.plot(inverse, values, color=colour, ls=dash, marker="o", ms=3, label=opponent if dash == "-" else None)
    for unit, dash in zip(next(iter(curves.values())), ("-", "--"), strict=False):
        axes.plot([], [], color=THEORY, ls=dash, label=f"length from {unit}")
    level(axes, 1, "no\nsuperposition", at=1.01)
    frame(axes, by_sparsity(inverse), Log("vulnerability ν  (log scale)"), dict(loc="upper left", ncols=2))
    axes.set_ylim(top=8 * axes.get_ylim()[1])
    return figure


def training(shares: Row, measures: Mapping[str, Mapping[str, Rows]], paper_share: float) -> Figure:
    """Adversarial training: each measure in a panel, a colour per size of model, against the attack used in training."""
    across, looks = "attack length in training\n(share of the mean input norm)", [dict(color=OURS), dict(color=SECOND, ls="--")]
    figure = lines(
        *(Panel(shares, held, across, name, looks, {"": 1}, dict(ylim=(0, None)), "best") for name, held in measures.items()),
        size=(3.6, 3.4),
        **DOTTED,
    )
    for axes in figure.axes:
        axes.axvline(paper_share, color=PAPER, lw=0.8)
    note(figure.axes[0], "the paper's 0.8 ", (paper_share, 1), where=("data", "axes fraction"), color=PAPER, va="top", ha="right")
    return figure
