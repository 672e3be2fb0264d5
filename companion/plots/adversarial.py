"""Pictures of attacks on the toy models: arrays in, matplotlib figures out."""

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.style import CONTROL, INVERSE_DENSITY, OURS, PAPER, THEORY, log_ticks, panels, styled

TICKS = (1, 2, 3, 5, 10, 20, 50, 100, 300, 1000)
VULNERABILITY = "vulnerability V\n(1 = no superposition)"
DASHES = ("-", "--", ":", "-.")


@styled
def vulnerability(
    inverse: Float[ndarray, " levels"],
    features: Float[ndarray, "seeds levels"],
    V: dict[str, Float[ndarray, "seeds levels"]],
    predicted: Float[ndarray, " levels"],
    guides: dict[str, float],
) -> Figure:
    """F21: V above and features per dimension 1/D* below, against 1/(1-S); V for each way to measure the attack's length."""
    figure, (above, below) = panels(2, 1, size=(7.2, 2.9), sharex=True)
    for (name, values), style, colour in zip(V.items(), DASHES, (OURS, "C1"), strict=False):
        lines = above.plot(inverse, values.T, color=colour, ls=style, marker="o", ms=3, lw=1.1, alpha=0.75)
        lines[0].set_label(name)
    above.plot(inverse, predicted, color=THEORY, lw=1.2, ls=(0, (4, 2)), label="best polytope, not trained")
    for name, level in guides.items():
        above.axhline(level, color=PAPER, lw=0.8, alpha=0.8)
        above.text(1.01, level, name, transform=above.get_yaxis_transform(), color=PAPER, fontsize=7.5, va="center")
    above.set(ylabel=VULNERABILITY, ylim=(0, 1.4 * max(values.max() for values in V.values())))
    above.legend(fontsize=7.5, loc="upper left", title="length of the attack", title_fontsize=7.5)
    for i, row in enumerate(features):
        below.plot(inverse, row, color=OURS, marker="o", ms=3, lw=1.1, alpha=0.75, label=f"trained, {len(features)} seeds" if i == 0 else None)
    below.set(ylabel="features per dimension\n1 / D* = |W|² / m", xlabel=INVERSE_DENSITY, ylim=(0, None))
    below.legend(fontsize=7.5, loc="upper left")
    log_ticks(below, inverse, TICKS)
    return figure


@styled
def against_features(
    features: Float[ndarray, "seeds levels"],
    V: Float[ndarray, "seeds levels"],
    inverse: Float[ndarray, " levels"],
    ideal: dict[str, tuple[float, float]],
) -> Figure:
    """F22: V against 1/D*, one point per model, coloured by 1/(1-S); unit vectors on polytopes without bias as crosses."""
    figure, (axes,) = panels(size=(5.8, 4.2))
    colour = np.broadcast_to(inverse, V.shape).ravel()
    points = axes.scatter(features.ravel(), V.ravel(), c=colour, norm=LogNorm(), s=24, cmap="viridis", lw=0)
    figure.colorbar(points, ax=axes, label=INVERSE_DENSITY)
    end = min(features.max(), V.max()) * 1.05
    axes.plot([1, end], [1, end], color=CONTROL, lw=1, ls="--", label="V = 1/D*")
    axes.plot(*zip(*ideal.values(), strict=True), "x", color=PAPER, ms=7, mew=1.6, label="unit vectors, no bias, sparse limit")
    for name, place in ideal.items():
        axes.annotate(name, place, (7, 0), textcoords="offset points", fontsize=7.5, color=PAPER, va="center")
    axes.set(xlabel="features per dimension, 1 / D*", ylabel=VULNERABILITY, ylim=(0, None))
    axes.legend(fontsize=7.5, loc="upper right")
    return figure


@styled
def attack_and_chance(added: dict[str, tuple[Float[ndarray, " A"], Float[ndarray, " A"], Float[ndarray, " A"]]]) -> Figure:
    """Loss added in units of eps^2 by attacks, random directions the model sees, and random directions of the input; a column per model."""
    figure, (axes,) = panels(size=(7.2, 3.7))
    kinds = (("attack: a row of M, either sign", OURS), ("random, inside the row space", "C1"), ("random direction of the input", CONTROL))
    for at, row in enumerate(added.values()):
        for (name, colour), values, side in zip(kinds, row, (-0.28, 0, 0.28), strict=True):
            place = at + side + 0.09 * np.linspace(-1, 1, len(values))
            axes.plot(place, values, "o", color=colour, ms=2.4, alpha=0.6, mew=0, label=name if at == 0 else None)
            axes.hlines(values.max(), at + side - 0.12, at + side + 0.12, color=THEORY, lw=1.2, label="worst of them" if at + side == 0 else None)
    axes.axhline(1, color=PAPER, lw=0.8)
    axes.set(ylabel="loss added / eps²", xticks=range(len(added)))
    axes.set_xticklabels(added)
    axes.legend(fontsize=7.5, loc="upper left", markerscale=2)
    return figure


@styled
def sparse_end(inverse: Float[ndarray, " levels"], curves: dict[str, Float[ndarray, " levels"]]) -> Figure:
    """V of exact pentagons against 1/(1-S), one line per kind of attack."""
    figure, (axes,) = panels(size=(6.6, 3.8))
    for (name, values), style, colour in zip(curves.items(), DASHES, (OURS, "C1", "C2", "C3"), strict=False):
        axes.plot(inverse, values, color=colour, ls=style, marker="o", ms=3, label=name)
    axes.axhline(1, color=PAPER, lw=0.8)
    axes.set(xlabel=INVERSE_DENSITY, ylabel="vulnerability V  (log scale)", yscale="log")
    axes.legend(fontsize=7.5)
    log_ticks(axes, inverse, TICKS)
    return figure


@styled
def training(
    shares: Float[ndarray, " E"], features: dict[str, Float[ndarray, "seeds E"]], D: dict[str, Float[ndarray, "seeds E"]], paper_share: float
) -> Figure:
    """Adversarial training: 1/D* (left) and the dimensionality of represented features (right) against the attack used in training."""
    figure, (left, right) = panels(1, 2, size=(4.4, 3.5))
    for axes, values in ((left, features), (right, D)):
        for (name, rows), colour, style in zip(values.items(), (OURS, "C1"), DASHES, strict=False):
            axes.plot(shares, rows.T, color=colour, ls=style, marker="o", ms=3, lw=1.1, alpha=0.8)[0].set_label(name)
        axes.axhline(1, color=THEORY, lw=0.8, ls="--")
        axes.axvline(paper_share, color=PAPER, lw=0.8)
        axes.set_xlabel("attack length in training\n(share of the mean input norm)")
    left.set(ylabel="features per dimension, 1 / D*", ylim=(0, None))
    right.set(ylabel="dimensionality, mean weighted by |W_i|²", ylim=(0, 1.05))
    left.text(paper_share, left.get_ylim()[1], " the paper: 80 %", color=PAPER, fontsize=7.5, va="top")
    right.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(0, 0.95))
    return figure
