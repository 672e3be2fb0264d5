"""One latent taken apart: where it is active, what it is worth for a label, which neurons it is made of, what it raises. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from companion.plots.lines import Log, Share, frame, level
from companion.plots.style import CONTROL, CONTROLS, MARKED, OURS, PALE, QUIET, SECOND, THEORY, Row, Rows, note, panels, styled

SEVERAL = dict(zip(("latent", "untrained", "neuron", "token"), ((OURS, "o"), (CONTROLS[0], "v"), (SECOND, "s"), (THEORY, "|")), strict=True))
"""Colour and marker of what is compared by label."""


@styled
def specificity(edges: Row, yes: Row, no: Row, shares: Rows, controls: Mapping[str, Rows], name: str) -> Figure:
    """Left: tokens by activation, those with the label and those without. Right: share with the label in coarser bins, a line per seed.

    edges: of the histogram's bins; yes, no: tokens in each. shares, controls: seeds x bins of equal width from 0 to the largest activation,
    NaN where a bin is empty.
    """
    figure, (tokens, sure) = panels(1, 2, size=(3.1, 2.9))
    for heights, shift, colour, said in ((yes, 0.0, OURS, name), (no, 0.5, CONTROL, "not")):
        step = np.diff(edges) / 2
        tokens.bar(edges[:-1] + shift * np.diff(edges), np.maximum(heights, 0.5), step, 0, align="edge", color=colour, label=said)
    frame(tokens, "activation", Log("tokens (log scale)", every=(1,)), "upper right", ylim=(0.5, None), xlim=(0, edges[-1]))
    bins = (np.arange(shares.shape[1]) + 0.5) / shares.shape[1]
    for (said, rows), colour, dash in zip({name: shares, **controls}.items(), (OURS, *CONTROLS), ("-", "--", ":", "-."), strict=False):
        for seed, row in enumerate(rows):
            sure.plot(bins, row, "o" + dash, ms=3.5, color=colour, lw=1.1, label=None if seed else said)
    frame(sure, "activation / the largest", Share("share of the active tokens"), xlim=(0, 1), ylim=(-0.02, 1.05))
    figure.legend(*sure.get_legend_handles_labels(), loc="outside lower center", ncols=3, title="right")
    return figure


@styled
def by_label(names: Sequence[str], kinds: Mapping[str, Rows]) -> Figure:
    """Correlation with each label, a row per label and a mark per seed; kinds: by the names of `SEVERAL`, seeds x labels."""
    figure, (axes,) = panels(size=(6.4, 0.9 + 0.3 * len(names)))
    for kind, rows in kinds.items():
        colour, marker = SEVERAL[kind]
        look = dict(color=colour, ms=11 if marker == "|" else 5, mew=2 if marker == "|" else 0, alpha=0.8)
        for seed, row in enumerate(np.atleast_2d(rows)):
            axes.plot(row, range(len(names)), marker, **look, label=None if seed else kind)
    axes.set_yticks(range(len(names)), names)
    axes.yaxis.set_inverted(True)
    frame(axes, "correlation with the label", xlim=(-0.05, 1.02))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, handletextpad=0.2)
    return figure


@styled
def coefficients(d: Row, other: Row, least: float) -> Figure:
    """Entries of a unit direction by size, beside those of another one: largest first, with their signs as colours."""
    figure, axes = panels(1, 2, size=(3.9, 2.5), sharey=True)
    for panel, row, title in zip(axes, (d, other), ("the latent's direction", "a random direction"), strict=True):
        row = row[np.abs(row).argsort()[::-1]][:80]
        panel.bar(range(len(row)), np.abs(row), 1.0, color=[OURS if value > 0 else PALE for value in row])
        level(panel, least, f"{least:g}", at=0.85)
        frame(panel, "neurons, largest coefficient first", title=title, xlim=(-0.5, len(row)))
    axes[0].set_ylabel("size of the coefficient")
    return figure


@styled
def raised(weights: Row, follows: Row, elsewhere: Row, words: Mapping[str, float]) -> Figure:
    """Logit weights of the tokens that come next, as shares: where the label holds and at all other places; some tokens are named.

    follows, elsewhere: how often each token of the vocabulary comes next there.
    """
    figure, (axes,) = panels(size=(6.6, 3.3))
    bins = np.linspace(weights.min(), weights.max(), 49)
    for counts, colour, said in ((elsewhere, CONTROL, "next tokens elsewhere"), (follows, OURS, "next tokens where the label holds")):
        axes.hist(weights, bins, weights=counts / counts.sum(), color=colour, alpha=0.65, label=said)
    for place, (word, weight) in enumerate(words.items()):
        note(axes, word, (weight, 0), (0, 14 + 11 * (place % 4)), ha="center", family="DejaVu Sans Mono", color=MARKED)
        axes.plot(weight, 0, "|", ms=22, color=MARKED)
    axes.axvline(0, color=QUIET, lw=0.7)
    frame(axes, "logit weight (median over the vocabulary: 0)", Share("share of these places"), "upper left")
    return figure


@styled
def removed(kinds: Mapping[str, Row]) -> Figure:
    """Mean change of the next token's log-probability when a latent is removed, a row per kind of place and a dot per seed."""
    figure, (axes,) = panels(size=(6.6, 0.8 + 0.45 * len(kinds)))
    for at, (values, colour) in enumerate(zip(kinds.values(), (OURS, *CONTROLS, CONTROL), strict=False)):
        axes.plot(values, np.full(len(values), at), "o", ms=6, alpha=0.8, color=colour)
    axes.axvline(0, color=THEORY, lw=0.8)
    axes.set_yticks(range(len(kinds)), list(kinds))
    axes.yaxis.set_inverted(True)
    frame(axes, "mean change of log p(next token), nats", ylim=(len(kinds) - 0.5, -0.5))
    return figure
