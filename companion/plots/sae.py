"""Curves of autoencoders: along training, across kinds of them, and what they do to the model downstream. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from companion.plots.lines import FEW, MANY, WRITTEN, Log, Look, Panel, Share, direct, draw, frame, level, lines, solid
from companion.plots.style import (
    CONTROL,
    CONTROLS,
    KINDS,
    MARKED,
    OURS,
    PAGE,
    PALE,
    QUIET,
    REST,
    SECOND,
    SHADED,
    THEORY,
    Curve,
    Row,
    Rows,
    note,
    panels,
    shades,
    styled,
)


def _look(kind: str) -> Look:
    return dict(zip(("color", "marker", "linestyle"), KINDS[kind], strict=True))


# --- one dictionary ---


def training_curves(runs: Sequence[Mapping[str, Row]], final: Sequence[float]) -> Figure:
    """Normalised error and dead latents by tokens seen, a line per run (a history of `sae.train.fit`); dots: held-out text, averaged weights."""
    error, dead = ([(run["tokens"], run[name]) for run in runs] for name in ("mse", "dead"))
    errors = {"held-out text, averaged weights": [([run["tokens"][-1] for run in runs], final)], "training batch": error}
    dots, look = dict(color=THEORY, marker="o", ls="", ms=4, clip_on=False, zorder=3), dict(color=OURS, alpha=0.7)
    return lines(
        Panel(None, errors, "tokens seen", Log("normalised MSE", every=FEW), [dots, look]),
        Panel(None, {"": dead}, "tokens seen", Share("dead latents"), [look], settings=dict(ylim=(0, None))),
    )


def recovery(panel_cosines: Sequence[Mapping[str, Row]], titles: Sequence[str], threshold: float) -> Figure:
    """Cosine of every true feature with the dictionary row matched to it, sorted, one panel per data set.

    panel_cosines: dictionaries by name; the first is the trained one, the others are controls. threshold: what counts as found.
    """
    looks = [dict(color=colour, ls=dash) for colour, dash in zip((OURS, *CONTROLS), ("-", "--", "-.", ":"), strict=True)]
    across, up = Share("true features, best first"), "cosine with its matched row"
    drawn = []
    for cosines, title in zip(panel_cosines, titles, strict=True):
        curves = {name: [(np.linspace(0, 1, len(values)), np.sort(values)[::-1])] for name, values in cosines.items()}
        settings, first = dict(title=title, ylim=(0, 1.02), xlim=(0, 1)), not drawn
        drawn.append(Panel(None, curves, across, up if first else "", looks, {}, settings, "lower left" if first else None))
    figure = lines(*drawn, sharey=True)
    for axes in figure.axes:
        level(axes, threshold, colour=THEORY)
        note(axes, "counted as found above", (0.99, threshold), (0, -3), ha="right", va="top", fontsize=7)
    return figure


# --- kinds of them ---


@styled
def activation_functions(p: Row, curves: Mapping[str, Row], edges: Mapping[str, tuple[float, str]]) -> Figure:
    """Latent z against pre-activation p, a panel per kind; dotted: the place from which on a latent passes, and what sets it."""
    figure, axes = panels(2, -(-len(curves) // 2), size=(1.85, 1.9), sharex=True, sharey=True)
    for panel, (kind, z) in zip(axes, curves.items(), strict=True):
        jumps = np.append(np.abs(np.diff(z)) > 10 * np.diff(p), False)
        panel.plot(p, p, color=REST[0], lw=0.8)
        panel.plot(p, np.where(jumps, np.nan, z), color=KINDS[kind][0], lw=2)
        edge, text = edges[kind]
        panel.axvline(edge, ymax=0.72, color=MARKED, lw=0.9, ls=":")
        note(panel, text, (0.04, 0.95), where="axes fraction", va="top", color=MARKED)
        frame(panel, "p" if panel in axes[-(len(axes) // 2) :] else "", title=kind)
    for panel in axes[:: len(axes) // 2]:
        panel.set_ylabel("z")
    return figure


@styled
def kept_entries(p: Rows, kept: Mapping[str, Rows]) -> Figure:
    """Pre-activations of a few tokens as dots, a column per token and a panel per rule; those kept are filled, their number stands on top."""
    figure, axes = panels(1, len(kept), size=(2.9, 2.9), sharey=True)
    token = np.broadcast_to(np.arange(1, len(p) + 1)[:, None], p.shape)
    for panel, (rule, mask) in zip(axes, kept.items(), strict=True):
        panel.plot(token[~mask], p[~mask], "o", ms=2, color=CONTROL)
        panel.plot(token[mask], p[mask], "o", ms=4, color=OURS)
        for at, count in enumerate(mask.sum(axis=1), 1):
            note(panel, f"{count}", (at, 0.98), where=("data", "axes fraction"), ha="center", va="top")
        frame(panel, "token", title=rule, ylim=(0, 1.15 * p.max()), xticks=(), xlim=(0.3, len(p) + 0.7))
    axes[0].set_ylabel("pre-activation p (positive ones)")
    return figure


@styled
def frontiers(kinds: Mapping[str, Sequence[Curve]], grid: tuple[float, float], up: str) -> Figure:
    """A measure against L0, both log: a curve (L0, value) per kind and seed, further seeds pale; kinds are compared in the shaded range."""
    across = Log("active latents per token, L0", every=MANY)
    figure = lines(Panel(None, kinds, across, Log(up, every=MANY), [*map(_look, kinds)], legend=None), size=(4.7, 3.8), pale=True, ms=5, lw=1.5)
    (axes,) = figure.axes
    axes.axvspan(*grid, color=SHADED, zorder=0)
    note(axes, "compared here", (np.sqrt(grid[0] * grid[1]), 0), (0, 4), ("data", "axes fraction"), ha="center", color=QUIET)
    ends = {kind: [values[np.argmax(curves[0][0])] for values in curves[0]] for kind, curves in kinds.items()}
    direct(axes, {kind: (*end, KINDS[kind][0]) for kind, end in ends.items()})
    return figure


def against_latents(sizes: Sequence[int], errors: Mapping[str, Rows], l0: float) -> Figure:
    """Error at one L0 against the number of latents, both log: one line per kind, further seeds pale."""
    across, up = Log("latents n", sizes, form=WRITTEN), Log(f"normalised MSE at L0 = {l0:.3g}", every=MANY)
    return lines(Panel(sizes, errors, across, up, [*map(_look, errors)]), size=(4.6, 3.2), pale=True, ms=5, lw=1.5)


@styled
def refinement(ratios: Mapping[str, Row], errors: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Left: how far refinement moves activations, as a log ratio. Right: the error with the encoder's values and with the best ones.

    ratios: ln(refined / encoder's) of active latents, by kind; its mean is marked. errors: before and after, one per seed, by kind.
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
    ends = dict(xticks=(0, 1), xticklabels=("encoder's values", "refined"), xlim=(-0.3, 1.3), ylim=(0, None))
    pairs = {kind: np.transpose(pair) for kind, pair in errors.items()}
    draw(error, Panel((0, 1), pairs, "", "normalised MSE", [*map(_look, errors)], settings=ends), alpha=0.8)
    return figure


def other_sizes(kept: Sequence[int], curves: Mapping[str, Rows], threshold: Mapping[str, Curve], k: int) -> Figure:
    """Error where not the k of training, marked, but k' latents are kept at test time, by kind; dotted: (L0, error) of a fixed threshold."""
    named = {f"{kind}, k' largest": [(kept, row) for row in rows] for kind, rows in curves.items()}
    named |= {f"{kind}, fixed threshold": [curve] for kind, curve in threshold.items()}
    looks = [_look(kind) | dict(ms=4, alpha=0.8) for kind in curves] + [dict(color=THEORY, ls=":", lw=1.2)] * len(threshold)
    ticks = [size for size in (k // 4, k // 2, k, 2 * k, 4 * k, 8 * k) if size in kept]
    across, up = Log("latents kept at test time, k' (mean L0)", ticks), Log("normalised MSE", every=MANY)
    figure = lines(Panel(None, named, across, up, looks), size=(5.4, 3.6))
    for size, name in ((k, "k"), (4 * k, "4k")):
        figure.axes[0].axvline(size, color=CONTROL, lw=0.8, zorder=0)
        note(figure.axes[0], name, (size, 1), (3, -3), ("data", "axes fraction"), va="top", fontsize=8)
    return figure


@styled
def recovery_by_kind(cosines: Mapping[str, Row], shares: Mapping[str, Row], found: float) -> Figure:
    """Mean cosine of true features with their matched rows, and the share above `found`: a dot per seed; controls are grey."""
    figure, axes = panels(1, 2, size=(4.2, 3.4), sharey=True)
    labels = ("mean matched cosine", Share(f"features found (cosine above {found:g})"))
    for panel, measure, label in zip(axes, (cosines, shares), labels, strict=True):
        for at, (name, values) in enumerate(measure.items()):
            colour, marker, _ = KINDS.get(name, (CONTROL, "o", "-"))
            panel.plot([np.min(values), np.max(values)], [at, at], color=colour, lw=1)
            panel.plot(values, np.full(len(values), at), marker, color=colour, ms=6, alpha=0.8)
        frame(panel, label, yticks=range(len(measure)), yticklabels=list(measure), xlim=(-0.03, 1.03))
        panel.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    return figure


# --- downstream ---


class Reading(NamedTuple):
    """A loss, and the share of the compute at which the subject's own training had it."""

    loss: float
    share: float
    low: float
    high: float
    at_most: bool = False
    """The loss is worse than at the first checkpoint, so the share is only an upper bound."""

    @property
    def away(self) -> Row:
        """How far the ends of the interval are from the share."""
        return np.abs([[self.share - self.low], [self.high - self.share]])

    def __str__(self) -> str:
        return f"at most {self.share:.2%}" if self.at_most else f"{self.share:.0%}"


@styled
def loss_to_compute(
    share: Row,
    curve: Row,
    smooth: Row,
    spliced: Mapping[str, Reading],
    others: Sequence[Reading] = (),
    anchors: Mapping[str, float] = MappingProxyType({}),
) -> Figure:
    """The subject's loss by the share of its training, and each spliced loss read off at the share that had it.

    share, curve, smooth: of the compute, at each kept checkpoint; the loss there and its non-increasing fit. spliced, others: readings,
    by label; the others are drawn without lines or labels. anchors: losses of the left panel, by name.
    """
    figure, (whole, close) = panels(1, 2, size=(3.7, 3.5), gridspec_kw={"width_ratios": (2, 3)})
    for axes in (whole, close):
        axes.plot(share, smooth, color=THEORY, lw=1)
        axes.plot(share, curve, "o", ms=3, color=QUIET)
    highest = max(reading.loss for reading in [*spliced.values(), *others])
    top = highest + max(0.3, 0.08 * (highest - smooth[-1]))  # room for the highest label
    left = share[max(0, np.searchsorted(-smooth, -top) - 1)]
    for reading in others:
        close.errorbar(reading.share, reading.loss, xerr=reading.away, fmt="D", ms=5, color=SECOND, mfc=PAGE, capsize=2, lw=1, zorder=4)
    for (label, reading), colour in zip(spliced.items(), [OURS] if len(spliced) == 1 else shades(len(spliced)), strict=True):
        close.plot([left, reading.share, reading.share], [reading.loss, reading.loss, 0], color=colour, lw=1)
        close.errorbar(reading.share, reading.loss, xerr=reading.away, fmt="D", ms=6, color=colour, capsize=3, lw=2)
        note(close, f"{label}: {reading}", (left, reading.loss), (3, 2), fontsize=10, color=THEORY)
        whole.plot(reading.share, reading.loss, "D", ms=4, color=colour)
    for name, loss in anchors.items():
        level(whole, loss, name, lw=1, ls=":")
    close.xaxis.set_major_locator(MultipleLocator(0.1 if left > 0.2 else 0.2))
    ends = dict(xlim=(left, 1.03), ylim=(smooth[-1] - 0.06 * (top - smooth[-1]), top))
    frame(close, Share("share of the subject's training compute"), title="read off: from a loss to the right, then down", **ends)
    part = Log("share of the compute (log scale)", at=(0.001, 0.01, 0.1, 1), form="{x:.4g}")
    frame(whole, part, Log("held-out loss (nats per token)", every=MANY), title="the whole training")
    return figure


@styled
def two_scores(
    kept: Sequence[int],
    fraction: Mapping[int, Row],
    interval: Mapping[int, Rows],
    recovered: Mapping[int, Row],
    untrained: Sequence[Mapping[int, Row]],
) -> Figure:
    """Against k, by number of latents n: the fraction of pre-training compute with the ends of its interval, and the zero-ablation score.

    untrained: the same two scores of the dictionaries before their training.
    """
    figure, (left, right) = panels(1, 2, size=(3.8, 3.4), sharey=True)
    for (n, middle), colour in zip(fraction.items(), shades(len(fraction)), strict=True):
        left.errorbar(kept, middle, abs(interval[n] - middle), fmt="o-", ms=4, capsize=3, color=colour, label=f"n = {n:,}, trained")
        right.plot(kept, recovered[n], "o-", ms=4, color=colour)
        for axes, scores in zip((left, right), untrained, strict=True):
            axes.plot(kept, scores[n], "s--", ms=4, mfc=PAGE, color=colour, label=f"n = {n:,}, not trained")
    frame(left, Log("kept latents k", kept), Share("score"), title="share of pre-training compute", ylim=(0, 1.03))
    frame(right, Log("kept latents k", kept), title="loss recovered from zero ablation")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def loss_against_mse(points: Mapping[str, Curve], law: Curve) -> Figure:
    """Rise of the loss against normalised mean squared error, both log, by what made the errors; the power law is fitted to the first group."""
    looks = [dict(color=THEORY, lw=1)] + [dict(color=c, marker=m, ls="", ms=5) for c, m in zip((OURS, *CONTROLS[1:]), "oDs", strict=True)]
    curves = {"power law": [law]} | {name: [curve] for name, curve in points.items()}
    ticks = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7)
    across, up = Log("normalised mean squared error", every=ticks), Log("rise of the loss (nats per token)", every=MANY)
    return lines(Panel(None, curves, across, up, looks, legend="lower right"), size=(5.4, 3.6))


def reach(profile: Mapping[str, Row]) -> Figure:
    """Mean norm of an ablation's effect at positions t, t+1, ... relative to t, log scale, by what is removed."""
    curves = {name: [(np.arange(len(norms)), norms / norms[0])] for name, norms in profile.items()}
    up, looks = Log("effect on the logits, relative to position t", every=FEW), solid(OURS, SECOND, CONTROL, PALE)
    return lines(Panel(None, curves, "positions after the ablated one", up, looks), size=(5.0, 3.2), marker="o", ms=3)


@styled
def effect(change: Row, norms: Row, score: float, tokens: Sequence[str]) -> Figure:
    """One ablation: how the changes of the logits at position t are spread, beside a Gaussian of the same spread, and how far they reach.

    tokens: those whose logits fell most.
    """
    figure, (spread, along) = panels(1, 2, size=(4.2, 3.2))
    wide, sigma = np.linspace(change.min(), change.max(), 200), change.std()
    spread.hist(change, bins=60, density=True, color=OURS, alpha=0.7)
    spread.plot(wide, np.exp(-0.5 * (wide / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)), color=THEORY, lw=1.2, label="Gaussian")
    frame(spread, "change of a logit at position t", "density", "upper right", title="fell most: " + " ".join(map(repr, tokens)))
    along.bar(np.arange(len(norms)), norms / norms[0], color=OURS)
    along.xaxis.set_major_locator(MultipleLocator(4))
    frame(along, "positions after t", "size of the change, relative to t", title=f"score {score:.1%}")
    return figure
