"""Pictures of an autoencoder's training and of what it found. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from companion.plots.style import CONTROL, OURS, PAPER, THEORY, panels, styled

ARMS = (OURS, "#6a9bd1", "#e08e45", PAPER)
"""Best to worst expected arm of the comparison of dead latents."""


def _over_tokens(axis: Axes, label: str) -> None:
    axis.set(xlabel="tokens seen", ylabel=label)
    axis.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))


@styled
def training_curves(runs: Sequence[Mapping[str, np.ndarray]], final: Sequence[float]) -> Figure:
    """Normalised error and share of dead latents against tokens seen, one line per run (a history of `sae.train.fit`).

    Args:
        final: normalised error on held-out text of each run's averaged weights, drawn as dots at the end.
    """
    figure, (error, dead) = panels(1, 2)
    for run, end in zip(runs, final, strict=True):
        error.plot(run["tokens"], run["mse"], color=OURS, alpha=0.7)
        error.plot(run["tokens"][-1], end, "o", color=THEORY, markersize=4, clip_on=False, zorder=3)
        dead.plot(run["tokens"], run["dead"], color=OURS, alpha=0.7)
    error.plot([], [], "o", color=THEORY, markersize=4, label="held-out text, averaged weights")
    error.plot([], [], color=OURS, label="training batch")
    error.legend()
    error.set_yscale("log")
    error.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    error.yaxis.set_major_formatter("{x:.2g}")
    error.yaxis.set_minor_locator(NullLocator())
    _over_tokens(error, "normalised MSE")
    _over_tokens(dead, "dead latents")
    dead.yaxis.set_major_formatter(PercentFormatter(1))
    dead.set_ylim(bottom=0)
    return figure


@styled
def recovery(panel_cosines: Sequence[Mapping[str, Float[np.ndarray, " F"]]], titles: Sequence[str], threshold: float) -> Figure:
    """Cosine of every true feature with the dictionary row matched to it, sorted, one panel per data set.

    Args:
        panel_cosines: for each panel, dictionaries by name; the first is the trained one, the others are controls.
        threshold: what counts as found, drawn as a line.
    """
    figure, axes = panels(1, len(titles), sharey=True)
    for axis, cosines, title in zip(axes, panel_cosines, titles, strict=True):
        for (name, values), colour, dash in zip(cosines.items(), (OURS, "#555555", "#888888", "#bbbbbb"), ("-", "--", "-.", ":"), strict=False):
            axis.plot(np.linspace(0, 1, len(values)), np.sort(values)[::-1], dash, color=colour, label=name)
        axis.axhline(threshold, color=THEORY, linewidth=0.8)
        axis.annotate("counted as found above", (0.99, threshold), xytext=(0, -3), textcoords="offset points", ha="right", va="top", fontsize=7)
        axis.set(title=title, xlabel="true features, best first", ylim=(0, 1.02), xlim=(0, 1))
        axis.xaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_ylabel("cosine with its matched row")
    axes[0].legend(loc="lower left")
    return figure


@styled
def error_by_position(runs: Float[np.ndarray, "run T"], total: Sequence[float]) -> Figure:
    """Normalised error at each position of a context, one line per run; position 0 stands apart as a dot."""
    figure, (axis,) = panels(1, 1, size=(6.0, 3.2))
    for errors, mean in zip(runs, total, strict=True):
        axis.plot(np.arange(1, len(errors)), errors[1:], color=OURS, alpha=0.7)
        axis.plot(0, errors[0], "o", color=PAPER, markersize=5, clip_on=False, zorder=3)
        axis.axhline(mean, color=CONTROL, linestyle="--", linewidth=0.9)
    axis.plot([], [], color=OURS, label="positions from 1 on")
    axis.plot([], [], "o", color=PAPER, label="position 0")
    axis.plot([], [], "--", color=CONTROL, label="all positions")
    axis.legend(loc="upper right", ncols=3)
    axis.set(xlabel="position in the context", ylabel="normalised MSE", ylim=(0, 1.25 * runs.max()), xlim=(0, None))
    return figure


@styled
def dead_latents(
    tokens: Float[np.ndarray, " step"],
    arms: Mapping[str, Float[np.ndarray, "seed step"]],
    threshold: int,
    never: Mapping[str, Float[np.ndarray, " seed"]],
) -> Figure:
    """Share of dead latents by tokens, one colour per arm and one line per seed; beside it the share silent on held-out text.

    Args:
        threshold: tokens of silence after which a latent counts as dead; before them none can be.
        never: share of latents that fire nowhere on held-out text, after training.
    """
    figure, (curve, bars) = panels(1, 2)
    for seeds, colour in zip(arms.values(), ARMS, strict=True):
        for dead in seeds:
            curve.plot(tokens, dead, color=colour, alpha=0.8)
    curve.axvspan(0, threshold, color="#f2f2f2", zorder=0)
    curve.annotate(
        "none can be dead yet",
        (threshold / 2, 0.5),
        xycoords=("data", "axes fraction"),
        rotation=90,
        ha="center",
        va="center",
        fontsize=7,
        color="#777777",
    )
    _over_tokens(curve, "dead latents")
    for at, ((name, shares), colour) in enumerate(zip(never.items(), ARMS, strict=True)):
        bars.bar(at, np.mean(shares), color=colour, label=name)
        bars.plot(np.full(len(shares), at), shares, "o", color=THEORY, markersize=3)
    bars.set(ylabel="latents silent on held-out text", xticks=[])
    for axis in (curve, bars):
        axis.set_ylim(0, None)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(loc="outside upper center", ncols=len(arms))
    return figure


@styled
def loss_when_replaced(losses: Mapping[str, Sequence[float]], clean: float) -> Figure:
    """Cross-entropy of the subject when its residual stream is replaced by each of several things, above the clean loss."""
    figure, (axis,) = panels(1, 1, size=(6.0, 2.6))
    for at, values in enumerate(losses.values()):
        axis.barh(at, np.mean(values) - clean, left=clean, color=OURS if at == 0 else CONTROL)
        axis.plot(values, np.full(len(values), at), "o", color=THEORY, markersize=3)
        axis.annotate(f"{np.mean(values) - clean:+.3g} nats", (max(values), at), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axis.axvline(clean, color=THEORY, linewidth=1)
    axis.annotate("untouched", (clean, -0.5), ha="left", va="bottom", fontsize=8, xytext=(2, 0), textcoords="offset points")
    axis.set(yticks=range(len(losses)), yticklabels=list(losses), xlabel="cross-entropy, nats per token")
    axis.set_xlim(clean - 0.02 * (axis.get_xlim()[1] - clean), axis.get_xlim()[1] * 1.08)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    return figure
