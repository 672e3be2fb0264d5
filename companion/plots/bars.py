"""Bars, with a dot per seed and their value written out, and what else stands in a row per name."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.plots.lines import frame, level
from companion.plots.style import CONTROL, MARKED, OURS, PAPER, SECOND, THEORY, Row, note, panels, styled

WIDE = 20
"""A panel whose largest value is so many times its smallest has a logarithmic axis."""


def bars(
    axes: Axes, names: Iterable[str], values: Iterable[Row | float], colours: Sequence[str], written: str = "", *, left: float = 0,
    whiskers: tuple[Row, Row] | None = None, edge: str = "none", **settings
) -> None:  # fmt: skip
    """A horizontal bar per name, the first on top, from `left` to the mean of its values; several values (seeds) are dots too.

    written: what stands at the end of a bar, as a format of its mean. whiskers: (low, high) ends per name. settings: what `Axes.set` takes.
    """
    seeds = [np.atleast_1d(value) for value in values]
    means = np.array([value.mean() for value in seeds])
    ends = np.array([value.max() for value in seeds]) if whiskers is None else np.maximum(means, whiskers[1])
    error = None if whiskers is None else np.abs(np.stack([means - whiskers[0], whiskers[1] - means]))
    axes.barh(range(len(seeds)), means - left, left=left, color=colours, edgecolor=edge, lw=0.8, xerr=error, error_kw=dict(lw=0.9, capsize=2))
    for at, (value, end) in enumerate(zip(seeds, ends, strict=True)):
        if len(value) > 1:
            axes.plot(value, np.full(len(value), at), "o", color=THEORY, ms=3)
        if written:
            note(axes, written.format(means[at]), (end, at), (4, 0), va="center", fontsize=8)
    axes.set_yticks(range(len(seeds)), list(names))
    axes.yaxis.set_inverted(True)
    axes.grid(axis="y", visible=False)
    axes.set(**settings)


@styled
def loss_when_replaced(losses: Mapping[str, Sequence[float]], clean: float) -> Figure:
    """Rise of the subject's cross-entropy over `clean` when its residual stream is replaced by each of several things, log scale.

    A rise below a thousandth of a nat, or a fall, is drawn as a thousandth.
    """
    figure, (axes,) = panels(size=(6.0, 2.6))
    rises = [np.maximum(np.subtract(loss, clean), 1e-3) for loss in losses.values()]
    left = min(rise.min() for rise in rises) / 3
    bars(axes, losses, rises, [OURS] + [CONTROL] * (len(losses) - 1), "+{:.3g} nats", left=left, xscale="log")
    axes.set(xlabel=f"rise of the cross-entropy over {clean:.2f} nats per token (log scale)", xlim=(left, 4 * max(rise.max() for rise in rises)))
    return figure


@styled
def sparsity_factors(variants: Mapping[str, Mapping[str, Mapping[str, Row]]], references: Mapping[str, float], paper: Mapping[str, float]) -> Figure:
    """The ablation score and its two factors, as distributions over ablations; their means stand under the axis.

    variants: by letter, then by what is removed, then by factor ("score", "vocabulary", "position"), one value per ablation. references:
    horizontal lines for the vocabulary factor, by name. paper: its scores, by what is removed.
    """
    figure, axes = panels(1, 3, size=(3.0, 3.6), sharey=True)
    kinds = list(next(iter(variants.values())))
    titles = {"score": "score", "vocabulary": "= vocabulary factor", "position": "× position factor"}
    for panel, (factor, title) in zip(axes, titles.items(), strict=True):
        under = {kind: [kind] for kind in kinds}
        for shift, (letter, scores), colour in zip((-0.2, 0.2), variants.items(), (OURS, SECOND), strict=True):
            places = [kinds.index(kind) + shift for kind in scores]
            parts = panel.violinplot([values[factor] for values in scores.values()], places, showmedians=True, showextrema=False, widths=0.38)
            for body in parts["bodies"]:
                body.set(facecolor=colour, alpha=0.6)
            parts["cmedians"].set(color=THEORY, linewidth=1)
            means = {kind: values[factor].mean() for kind, values in scores.items()}
            panel.plot(places, list(means.values()), "o", ms=4, color=THEORY, mfc=colour, label=f"variant {letter}: mean")
            for kind, mean in means.items():
                under[kind].append(f"{letter} {mean:.2f}")
        panel.set_xticks(range(len(kinds)), ["\n".join(words) for words in under.values()], fontsize=9)
        panel.grid(axis="x", visible=False)
        panel.set(title=title, ylim=(0, 1))
    axes[0].plot([kinds.index(kind) for kind in paper], list(paper.values()), "D", ms=6, color=PAPER, label="the paper's mean")
    for name, height in references.items():
        level(axes[1], height, name, colour=THEORY, lw=1, ls=":")
    axes[0].set_ylabel("share (1: everything changes evenly)")
    axes[0].legend(loc="upper left")
    return figure


@styled
def times_worse(ratios: Mapping[str, Row]) -> Figure:
    """How many times larger a bad quantity gets by each of several mistakes, log scale from 1, the worst on top; dots are seeds."""
    figure, (axes,) = panels(size=(6.4, 0.55 + 0.32 * len(ratios)))
    order = sorted(ratios, key=lambda name: -np.mean(ratios[name]))
    bars(axes, order, [ratios[name] for name in order], [MARKED] * len(order), "{:.3g}", left=1.0, xscale="log")
    axes.axvline(1, color=THEORY, lw=0.8, zorder=3)
    frame(axes, "times as large as without the mistake (log scale)", xlim=(0.8, 4 * max(np.max(row) for row in ratios.values())))
    return figure
