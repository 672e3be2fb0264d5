"""Figures of what an autoencoder does to the model downstream: its loss, and the reach of one latent."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

WIDTHS = ("#8fb8de", "#1f5fa8", "#0b2d55")


@styled
def loss_to_compute(
    steps: np.ndarray, curve: np.ndarray, smooth: np.ndarray, spliced: dict[str, float], fractions: dict[str, float], ablated: dict[str, float]
) -> Figure:
    """The subject's loss along its training, each spliced loss read off at the step that had it, and the ablations above.

    Args:
        steps, curve, smooth: kept steps (0 left out), the loss there and its non-increasing fit.
        spliced, fractions: loss in nats with each dictionary in place, and the fraction of compute read off, by label.
        ablated: loss when the stream is ablated, by name.
    """
    figure, (whole, close) = panels(1, 2, size=(4.6, 3.8))
    for axis in (whole, close):
        axis.plot(steps, smooth, color=THEORY, lw=1, label="non-increasing fit" if axis is whole else None)
        axis.plot(steps, curve, "o", ms=3, color=CONTROL, label="kept checkpoints" if axis is whole else None)
        axis.set(xscale="log", xlabel="training step of the subject model")
    for colour, (label, loss) in zip(WIDTHS, spliced.items(), strict=False):
        step = fractions[label] * steps[-1]
        close.plot([steps[0], step, step], [loss, loss, 0], color=colour, lw=1)
        close.plot(step, loss, "D", ms=5, color=colour, label=f"{label}: {fractions[label]:.0%}")
        whole.plot(step, loss, "D", ms=4, color=colour)
    for name, loss in ablated.items():
        whole.axhline(loss, color=PAPER, lw=1, ls=":")
        whole.annotate(name, (steps[0], loss), va="bottom", fontsize=8, color=PAPER)
    worst, best = max(spliced.values()), smooth[-1]
    close.set(xlim=(steps[-1] / 12, steps[-1] * 1.15), ylim=(best - 0.1, worst + 0.6), title="where the dictionaries are")
    close.xaxis.set_minor_formatter(NullFormatter())
    whole.set(ylabel="held-out loss (nats per token)", ylim=(0, None), title="the whole training")
    whole.legend(fontsize=8, loc="center right")
    close.legend(fontsize=8, loc="upper right", title="share of the compute", title_fontsize=8)
    return figure


@styled
def two_scores(kept: list[int], fraction: dict[int, np.ndarray], interval: dict[int, np.ndarray], recovered: dict[int, np.ndarray]) -> Figure:
    """Against k, by number of latents n: the fraction of pre-training compute, and the zero-ablation score of the same run.

    Args:
        fraction: by n, one value per k.
        interval: by n, (2, k) low and high ends.
        recovered: by n, one value per k.
    """
    figure, (left, right) = panels(1, 2, size=(3.8, 3.4), sharey=True)
    for colour, n in zip(WIDTHS, fraction, strict=False):
        middle = fraction[n]
        left.errorbar(kept, middle, abs(interval[n] - middle), fmt="o-", ms=4, capsize=3, color=colour, label=f"n = {n:,}")
        right.plot(kept, recovered[n], "o-", ms=4, color=colour, label=f"n = {n:,}")
    left.set(title="fraction of pre-training compute", ylabel="share", ylim=(0, 1.03))
    right.set(title="loss recovered from zero ablation")
    for axis in (left, right):
        axis.set(xscale="log", xlabel="kept latents k", xticks=kept, xticklabels=kept)
        axis.minorticks_off()
    left.legend()
    return figure


@styled
def loss_against_mse(mse: dict[int, np.ndarray], delta: dict[int, np.ndarray], kept: list[int]) -> Figure:
    """Rise of the loss against normalised mean squared error, both log, one line per n, the points labelled by k."""
    figure, (axis,) = panels(size=(4.6, 3.4))
    for colour, n in zip(WIDTHS, mse, strict=False):
        axis.plot(mse[n], delta[n], "o-", ms=4, color=colour, label=f"n = {n:,}")
        for k, x, y in zip(kept, mse[n], delta[n], strict=True):
            axis.annotate(f"k={k}", (x, y), textcoords="offset points", xytext=(5, -8), fontsize=7)
    axis.set(xscale="log", yscale="log", xlabel="normalised mean squared error", ylabel="rise of the loss (nats per token)")
    axis.legend()
    return figure


@styled
def sparsity_factors(scores: dict[str, dict[str, np.ndarray]], references: dict[str, float], paper: dict[str, float]) -> Figure:
    """The ablation score and its two factors, as distributions over ablations.

    Args:
        scores: by what is removed, then by factor ("score", "vocabulary", "position"), one value per ablation.
        references: horizontal lines for the vocabulary factor, by name.
        paper: horizontal lines for the score, by name.
    """
    titles = {"score": "score A", "vocabulary": "= vocabulary factor", "position": "× position factor"}
    figure, axes = panels(1, 3, size=(3.2, 3.4), sharey=True)
    for axis, (factor, title) in zip(axes, titles.items(), strict=True):
        _distributions(axis, {name: values[factor] for name, values in scores.items()})
        axis.set(title=title, ylim=(0, 1))
    for axis, lines in ((axes[0], paper), (axes[1], references)):
        for name, height in lines.items():
            axis.axhline(height, color=PAPER, lw=1, ls=":")
            axis.annotate(name, (0.02, height), xycoords=("axes fraction", "data"), fontsize=7, color=PAPER, va="bottom")
    axes[0].set_ylabel("share (1: everything changes evenly)")
    return figure


@styled
def reach(profile: dict[str, np.ndarray]) -> Figure:
    """Mean norm of an ablation's effect at positions t, t+1, ... relative to t, log scale, by what is removed."""
    figure, (axis,) = panels(size=(5.0, 3.2))
    colours = dict(zip(profile, (OURS, PAPER, CONTROL, THEORY), strict=False))
    for name, norms in profile.items():
        axis.plot(norms / norms[0], "o-", ms=3, color=colours[name], label=name)
    axis.set(yscale="log", xlabel="positions after the ablated one", ylabel="effect on the logits, relative to position t")
    axis.legend()
    return figure


def _distributions(axis: Axes, values: dict[str, np.ndarray]) -> None:
    parts = axis.violinplot(list(values.values()), showmedians=True, showextrema=False, widths=0.8)
    for body, colour in zip(parts["bodies"], (OURS, PAPER, CONTROL, THEORY), strict=False):
        body.set(facecolor=colour, alpha=0.6)
    parts["cmedians"].set(color=THEORY, linewidth=1.2)
    axis.set_xticks(range(1, len(values) + 1), list(values), fontsize=8)
    axis.grid(axis="x", visible=False)
