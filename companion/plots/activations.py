"""Pictures that compare kinds of autoencoder: frontiers, shrinkage, other sizes of the code, recovery. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from companion.plots.style import CONTROL, THEORY, panels, styled

LOOKS = {
    "TopK": ("#0072b2", "o", "-"),
    "Multi-TopK": ("#56b4e9", "s", "-"),
    "BatchTopK": ("#009e73", "^", "-"),
    "Matryoshka": ("#00513b", "v", "-"),
    "ReLU (2023)": ("#d55e00", "D", "--"),
    "ReLU (April 2024)": ("#e69f00", "P", "--"),
    "Gated": ("#cc79a7", "X", "--"),
    "JumpReLU": ("#4d4d4d", "*", "--"),
}
"""Colour, marker and dash of each kind, told apart without colour too; dashes have a penalty."""
Curve = tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]


def _look(kind: str) -> dict[str, str]:
    return dict(zip(("color", "marker", "linestyle"), LOOKS[kind], strict=True))


def _logarithmic(axis: Axes, which: str) -> None:
    axis.set(**{f"{which}scale": "log"})
    ticks = axis.xaxis if which == "x" else axis.yaxis
    ticks.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ticks.set_major_formatter("{x:g}")
    ticks.set_minor_formatter(NullFormatter())


@styled
def frontiers(measures: Mapping[str, Mapping[str, Sequence[Curve]]], grid: tuple[float, float]) -> Figure:
    """One panel per measure against L0, both log: one curve per kind through its sparsities, further seeds pale.

    Args:
        measures: by label of the vertical axis, then by kind: (L0, value) of each seed.
        grid: range of L0 in which kinds are compared, shaded.
    """
    figure, axes = panels(1, len(measures), size=(4.6, 3.9))
    for axis, (label, kinds) in zip(axes, measures.items(), strict=True):
        axis.axvspan(*grid, color="#f4f4f4", zorder=0)
        for kind, seeds in kinds.items():
            for seed, (l0, values) in enumerate(seeds):
                axis.plot(l0, values, **_look(kind), markersize=5, alpha=0.35 if seed else 1, lw=0.8 if seed else 1.5, label=None if seed else kind)
        _logarithmic(axis, "x")
        _logarithmic(axis, "y")
        axis.set(xlabel="active latents per token, L0", ylabel=label)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


@styled
def against_latents(sizes: Sequence[int], errors: Mapping[str, Float[np.ndarray, "seed size"]], l0: float) -> Figure:
    """Error at one L0 against the number of latents, both log: one line per kind, further seeds pale."""
    figure, (axis,) = panels(1, 1, size=(4.6, 3.2))
    for kind, seeds in errors.items():
        for seed, values in enumerate(seeds):
            axis.plot(sizes, values, **_look(kind), markersize=5, alpha=0.35 if seed else 1, lw=0.8 if seed else 1.5, label=None if seed else kind)
    _logarithmic(axis, "y")
    axis.set(xscale="log", xlabel="latents n", ylabel=f"normalised MSE at L0 = {l0:.3g}")
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axis.minorticks_off()
    axis.legend()
    return figure


@styled
def refinement(ratios: Mapping[str, Float[np.ndarray, " M"]], errors: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Left: how far refinement moves activations, as a log ratio. Right: the error with the encoder's values and with the best ones.

    Args:
        ratios: ln(refined / encoder's) of active latents, by kind; its mean is marked.
        errors: normalised error before and after, one per seed, by kind.
    """
    figure, (moved, error) = panels(1, 2, size=(4.4, 3.2))
    for at, (kind, values) in enumerate(ratios.items()):
        look, mean = _look(kind), values.mean()
        moved.hist(values, bins=np.linspace(-1, 3, 81), density=True, histtype="step", color=look["color"], ls=look["linestyle"], lw=1.5)
        moved.axvline(mean, color=look["color"], ls=look["linestyle"], lw=0.9)
        moved.annotate(f"{kind}: mean {mean:+.2f}", (0.98, 0.95 - 0.09 * at), xycoords="axes fraction", ha="right", color=look["color"], fontsize=8)
    moved.axvline(0, color=THEORY, lw=0.6)
    moved.set(xlabel="ln(refined / encoder's activation)", ylabel="density", xlim=(-1, 3))
    for kind, pair in errors.items():
        for seed, values in enumerate(zip(*pair, strict=True)):
            error.plot((0, 1), values, **_look(kind), alpha=0.8, label=None if seed else kind)
    error.set(xticks=(0, 1), xticklabels=("encoder's values", "refined"), xlim=(-0.3, 1.3), ylabel="normalised MSE")
    error.set_ylim(0, None)
    error.legend()
    return figure


@styled
def other_sizes(kept: Sequence[int], curves: Mapping[str, Float[np.ndarray, "seed kept"]], threshold: Mapping[str, Curve], k: int) -> Figure:
    """Normalised error when another number of latents is kept at test time than in training.

    Args:
        curves: error by kind with the k' largest pre-activations kept.
        threshold: (L0, error) by kind with a fixed threshold instead, dotted.
        k: latents kept in training, marked.
    """
    figure, (axis,) = panels(size=(5.4, 3.6))
    for kind, seeds in curves.items():
        for seed, values in enumerate(seeds):
            axis.plot(kept, values, **_look(kind), markersize=4, alpha=0.8, label=None if seed else f"{kind}, k' largest")
    for kind, (l0, values) in threshold.items():
        axis.plot(l0, values, ":", color=THEORY, lw=1.2, label=f"{kind}, fixed threshold")
    for size, name in ((k, "k"), (4 * k, "4k")):
        axis.axvline(size, color=CONTROL, lw=0.8, zorder=0)
        axis.annotate(name, (size, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), textcoords="offset points", va="top", fontsize=8)
    _logarithmic(axis, "y")
    axis.set(xscale="log", xlabel="latents kept at test time, k' (mean L0)", ylabel="normalised MSE")
    axis.set_xticks(kept, [f"{size:g}" for size in kept])
    axis.set_xticks([], minor=True)
    axis.legend()
    return figure


@styled
def recovery_by_kind(cosines: Mapping[str, Float[np.ndarray, " seed"]], shares: Mapping[str, Float[np.ndarray, " seed"]], found: float) -> Figure:
    """Mean cosine of true features with their matched rows, and the share above `found`: a dot per seed; controls are grey."""
    figure, axes = panels(1, 2, size=(4.2, 3.4), sharey=True)
    for axis, measure in zip(axes, (cosines, shares), strict=True):
        for at, (name, values) in enumerate(measure.items()):
            colour, marker, _ = LOOKS.get(name, (CONTROL, "o", "-"))
            axis.plot([np.min(values), np.max(values)], [at, at], color=colour, lw=1)
            axis.plot(values, np.full(len(values), at), marker, color=colour, markersize=6, alpha=0.8)
        axis.set(yticks=range(len(measure)), yticklabels=list(measure), xlim=(-0.03, 1.03))
        axis.grid(axis="y", visible=False)
    axes[0].set_xlabel("mean matched cosine")
    axes[1].set_xlabel(f"features found (cosine above {found:g})")
    axes[1].xaxis.set_major_formatter(PercentFormatter(1))
    axes[0].invert_yaxis()
    return figure
