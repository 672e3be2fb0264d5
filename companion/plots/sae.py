"""Curves of autoencoders: along training, across kinds of them, and what they do to the model downstream. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from companion.plots.lines import FEW, MANY, Log, Panel, frame, level, lines, pairs, seeds
from companion.plots.style import CONTROL, OURS, PAPER, THEORY, Curve, Row, Rows, note, panels, shades, styled

KINDS = {
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


def _look(kind: str) -> dict[str, str]:
    return dict(zip(("color", "marker", "linestyle"), KINDS[kind], strict=True))


# --- one dictionary ---


@styled
def training_curves(runs: Sequence[Mapping[str, np.ndarray]], final: Sequence[float]) -> Figure:
    """Normalised error and share of dead latents against tokens seen, one line per run (a history of `sae.train.fit`).

    Args:
        final: normalised error on held-out text of each run's averaged weights, drawn as dots at the end.
    """
    figure, (error, dead) = panels(1, 2)
    tokens, look = tuple(run["tokens"] for run in runs), dict(color=OURS, alpha=0.7)
    ends = [at[-1] for at in tokens]
    error.plot(ends, final, "o", color=THEORY, ms=4, clip_on=False, zorder=3, label="held-out text, averaged weights")
    seeds(error, tokens, tuple(run["mse"] for run in runs), "training batch", **look)
    seeds(dead, tokens, tuple(run["dead"] for run in runs), **look)
    frame(error, "tokens seen", Log("normalised MSE", every=FEW), "best")
    frame(dead, "tokens seen", "dead latents", ylim=(0, None))
    dead.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (error, dead):
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    return figure


@styled
def recovery(panel_cosines: Sequence[Mapping[str, Float[np.ndarray, " F"]]], titles: Sequence[str], threshold: float) -> Figure:
    """Cosine of every true feature with the dictionary row matched to it, sorted, one panel per data set.

    Args:
        panel_cosines: for each panel, dictionaries by name; the first is the trained one, the others are controls.
        threshold: what counts as found, drawn as a line.
    """
    figure, axes = panels(1, len(titles), sharey=True)
    for panel, cosines, title in zip(axes, panel_cosines, titles, strict=True):
        for (name, values), colour, dash in zip(cosines.items(), (OURS, "#555555", "#888888", "#bbbbbb"), ("-", "--", "-.", ":"), strict=False):
            panel.plot(np.linspace(0, 1, len(values)), np.sort(values)[::-1], dash, color=colour, label=name)
        level(panel, threshold, colour=THEORY)
        note(panel, "counted as found above", (0.99, threshold), (0, -3), ha="right", va="top", fontsize=7)
        frame(panel, "true features, best first", title=title, ylim=(0, 1.02), xlim=(0, 1))
        panel.xaxis.set_major_formatter(PercentFormatter(1))
    frame(axes[0], y="cosine with its matched row", legend="lower left")
    return figure


@styled
def error_by_position(runs: Float[np.ndarray, "run T"], total: Sequence[float]) -> Figure:
    """Normalised error at each position of a context, one line per run; position 0 stands apart as a dot."""
    figure, (axes,) = panels(size=(6.0, 3.2))
    at = np.arange(runs.shape[1])
    seeds(axes, at[1:], runs[:, 1:], "positions from 1 on", color=OURS, alpha=0.7)
    seeds(axes, at[:1], runs[:, :1], "position 0", color=PAPER, marker="o", ls="", ms=5, clip_on=False, zorder=3)
    for run, mean in enumerate(total):
        level(axes, mean, colour=CONTROL, ls="--", lw=0.9, label=None if run else "all positions")
    legend = dict(loc="upper right", ncols=3)
    frame(axes, "position in the context", "normalised MSE", legend, ylim=(0, 1.25 * runs.max()), xlim=(0, None))
    return figure


# --- kinds of them ---


@styled
def frontiers(measures: Mapping[str, Mapping[str, Sequence[Curve]]], grid: tuple[float, float]) -> Figure:
    """One panel per measure against L0, both log: one curve per kind through its sparsities, further seeds pale.

    Args:
        measures: by label of the vertical axis, then by kind: (L0, value) of each seed.
        grid: range of L0 in which kinds are compared, shaded.
    """
    figure, axes = panels(1, len(measures), size=(4.6, 3.9))
    for panel, (label, kinds) in zip(axes, measures.items(), strict=True):
        panel.axvspan(*grid, color="#f4f4f4", zorder=0)
        for kind, curves in kinds.items():
            seeds(panel, *pairs(curves), kind, pale=True, **_look(kind), ms=5, lw=1.5)
        frame(panel, Log("active latents per token, L0", every=MANY), Log(label, every=MANY))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def against_latents(sizes: Sequence[int], errors: Mapping[str, Rows], l0: float) -> Figure:
    """Error at one L0 against the number of latents, both log: one line per kind, further seeds pale."""
    across, up = Log("latents n", sizes, form="{x:,.0f}"), Log(f"normalised MSE at L0 = {l0:.3g}", every=MANY)
    return lines(Panel(sizes, errors, across, up, [_look(kind) for kind in errors]), size=(4.6, 3.2), pale=True, ms=5, lw=1.5)


@styled
def refinement(ratios: Mapping[str, Row], errors: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Left: how far refinement moves activations, as a log ratio. Right: the error with the encoder's values and with the best ones.

    Args:
        ratios: ln(refined / encoder's) of active latents, by kind; its mean is marked.
        errors: normalised error before and after, one per seed, by kind.
    """
    figure, (moved, error) = panels(1, 2, size=(4.4, 3.2))
    for at, (kind, values) in enumerate(ratios.items()):
        colour, _, dash = KINDS[kind]
        moved.hist(values, bins=np.linspace(-1, 3, 81), density=True, histtype="step", color=colour, ls=dash, lw=1.5)
        moved.axvline(values.mean(), color=colour, ls=dash, lw=0.9)
        place = (0.98, 0.95 - 0.09 * at)
        note(moved, f"{kind}: mean {values.mean():+.2f}", place, where="axes fraction", ha="right", color=colour, fontsize=8)
    moved.axvline(0, color=THEORY, lw=0.6)
    frame(moved, "ln(refined / encoder's activation)", "density", xlim=(-1, 3))
    for kind, pair in errors.items():
        seeds(error, (0, 1), np.transpose(pair), kind, **_look(kind), alpha=0.8)
    frame(error, y="normalised MSE", xticks=(0, 1), xticklabels=("encoder's values", "refined"), xlim=(-0.3, 1.3), ylim=(0, None), legend="best")
    return figure


@styled
def other_sizes(kept: Sequence[int], curves: Mapping[str, Rows], threshold: Mapping[str, Curve], k: int) -> Figure:
    """Normalised error when another number of latents is kept at test time than in training.

    Args:
        curves: error by kind with the k' largest pre-activations kept.
        threshold: (L0, error) by kind with a fixed threshold instead, dotted.
        k: latents kept in training, marked.
    """
    figure, (axes,) = panels(size=(5.4, 3.6))
    for kind, rows in curves.items():
        seeds(axes, kept, rows, f"{kind}, k' largest", **_look(kind), ms=4, alpha=0.8)
    for kind, curve in threshold.items():
        axes.plot(*curve, ":", color=THEORY, lw=1.2, label=f"{kind}, fixed threshold")
    for size, name in ((k, "k"), (4 * k, "4k")):
        axes.axvline(size, color=CONTROL, lw=0.8, zorder=0)
        note(axes, name, (size, 1), (3, -3), ("data", "axes fraction"), va="top", fontsize=8)
    frame(axes, Log("latents kept at test time, k' (mean L0)", kept), Log("normalised MSE", every=MANY), "best")
    return figure


@styled
def recovery_by_kind(cosines: Mapping[str, Row], shares: Mapping[str, Row], found: float) -> Figure:
    """Mean cosine of true features with their matched rows, and the share above `found`: a dot per seed; controls are grey."""
    figure, axes = panels(1, 2, size=(4.2, 3.4), sharey=True)
    labels = ("mean matched cosine", f"features found (cosine above {found:g})")
    for panel, measure, label in zip(axes, (cosines, shares), labels, strict=True):
        for at, (name, values) in enumerate(measure.items()):
            colour, marker, _ = KINDS.get(name, (CONTROL, "o", "-"))
            panel.plot([np.min(values), np.max(values)], [at, at], color=colour, lw=1)
            panel.plot(values, np.full(len(values), at), marker, color=colour, ms=6, alpha=0.8)
        frame(panel, label, yticks=range(len(measure)), yticklabels=list(measure), xlim=(-0.03, 1.03))
        panel.grid(axis="y", visible=False)
    axes[1].xaxis.set_major_formatter(PercentFormatter(1))
    axes[0].invert_yaxis()
    return figure


# --- downstream ---


@styled
def loss_to_compute(
    steps: Row, curve: Row, smooth: Row, spliced: Mapping[str, float], fractions: Mapping[str, float], ablated: Mapping[str, float]
) -> Figure:
    """The subject's loss along its training, each spliced loss read off at the step that had it, and the ablations above.

    Args:
        steps, curve, smooth: kept steps (0 left out), the loss there and its non-increasing fit.
        spliced, fractions: loss in nats with each dictionary in place, and the fraction of compute read off, by label.
        ablated: loss when the stream is ablated, by name.
    """
    figure, (whole, close) = panels(1, 2, size=(4.6, 3.8))
    for axes in (whole, close):
        axes.plot(steps, smooth, color=THEORY, lw=1, label="non-increasing fit" if axes is whole else None)
        axes.plot(steps, curve, "o", ms=3, color=CONTROL, label="kept checkpoints" if axes is whole else None)
        frame(axes, Log("training step of the subject model"))
    for (label, loss), colour in zip(spliced.items(), shades(len(spliced)), strict=True):
        step = fractions[label] * steps[-1]
        close.plot([steps[0], step, step], [loss, loss, 0], color=colour, lw=1)
        close.plot(step, loss, "D", ms=5, color=colour, label=f"{label}: {fractions[label]:.0%}")
        whole.plot(step, loss, "D", ms=4, color=colour)
    for name, loss in ablated.items():
        level(whole, loss, name, lw=1, ls=":")
    close.xaxis.set_minor_formatter(NullFormatter())
    ends = dict(xlim=(steps[-1] / 12, steps[-1] * 1.15), ylim=(smooth[-1] - 0.1, max(spliced.values()) + 0.6))
    frame(close, legend=dict(loc="upper right", title="share of the compute"), title="where the dictionaries are", **ends)
    frame(whole, y="held-out loss (nats per token)", legend="center right", ylim=(0, None), title="the whole training")
    return figure


@styled
def two_scores(kept: Sequence[int], fraction: Mapping[int, Row], interval: Mapping[int, np.ndarray], recovered: Mapping[int, Row]) -> Figure:
    """Against k, by number of latents n: the fraction of pre-training compute, and the zero-ablation score of the same run.

    Args:
        fraction, recovered: by n, one value per k.
        interval: by n, (2, k) low and high ends of the fraction.
    """
    figure, (left, right) = panels(1, 2, size=(3.8, 3.4), sharey=True)
    for (n, middle), colour in zip(fraction.items(), shades(len(fraction)), strict=True):
        left.errorbar(kept, middle, abs(interval[n] - middle), fmt="o-", ms=4, capsize=3, color=colour, label=f"n = {n:,}")
        right.plot(kept, recovered[n], "o-", ms=4, color=colour)
    frame(left, Log("kept latents k", kept), "share", "best", title="fraction of pre-training compute", ylim=(0, 1.03))
    frame(right, Log("kept latents k", kept), title="loss recovered from zero ablation")
    return figure


@styled
def loss_against_mse(points: Mapping[str, tuple[Row, Row]], law: tuple[Row, Row]) -> Figure:
    """Rise of the loss against normalised mean squared error, both log.

    Args:
        points: errors and rises of the loss, by what made them; the first group is the one that the law is fitted to.
        law: errors, and the rises that the fitted power law has there.
    """
    figure, (axes,) = panels(size=(4.6, 3.4))
    axes.plot(*law, color=THEORY, lw=1, label="power law")
    for (name, (errors, rises)), colour, marker in zip(points.items(), (OURS, CONTROL, PAPER), "oDs", strict=False):
        axes.plot(errors, rises, marker, ms=4, color=colour, label=name)
    frame(axes, Log("normalised mean squared error"), Log("rise of the loss (nats per token)"), "best")
    return figure


def reach(profile: Mapping[str, Row]) -> Figure:
    """Mean norm of an ablation's effect at positions t, t+1, ... relative to t, log scale, by what is removed."""
    curves, looks = {name: norms / norms[0] for name, norms in profile.items()}, [dict(color=colour) for colour in (OURS, PAPER, CONTROL, THEORY)]
    positions, up = np.arange(len(next(iter(profile.values())))), Log("effect on the logits, relative to position t")
    return lines(Panel(positions, curves, "positions after the ablated one", up, looks), size=(5.0, 3.2), marker="o", ms=3)
