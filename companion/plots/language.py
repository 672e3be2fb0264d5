"""A language model in pictures: text by the line, what attention looks at, guesses of the next token, losses side by side."""

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.bars import bars
from companion.plots.lines import Log, Panel, lines, solid
from companion.plots.style import CONTROL, MARKED, OURS, PAGE, PALE, SECOND, THEORY, Row, Rows, sheet, styled
from companion.plots.tokens import Context, visible

WAYS = (dict(color=OURS), dict(color=SECOND, ls="--"), dict(color=MARKED, ls=":"))
"""Looks of ways to train: the usual one, a slow one, a mistake."""
LOSS = "held-out loss (nats per token)"
SHARE = LinearSegmentedColormap.from_list("share", (PAGE, OURS))


def by_line(pieces: Sequence[str], values: Sequence[float]) -> list[Context]:
    """Tokens with their numbers, a context per line of the text. A token that goes on after a line break is cut there; both parts keep its number."""
    lines: list[tuple[list[str], list[float]]] = [([], [])]
    for piece, value in zip(pieces, values, strict=True):
        *above, rest = piece.rpartition("\n")
        for part in ("".join(above), rest):
            if part:
                lines[-1][0].append(part)
                lines[-1][1].append(float(value))
            if part.endswith("\n"):
                lines.append(([], []))
    return [Context(*line) for line in lines if line[0]]


def label(piece: str) -> str:
    """A token as a label, with its spaces as signs; more than two in a row are counted."""
    return re.sub(" {3,}", lambda run: f"␣×{len(run[0])}", visible(piece)).replace(" ", "␣")


@styled
def attention(patterns: Float[ndarray, "H T T"], pieces: Sequence[str]) -> Figure:
    """A panel per head: in the row of each position, what share of its attention goes to which other; a row sums to one."""
    figure, axes = sheet(len(patterns), 2, (3.6, 3.4))
    names, places = [label(piece) for piece in pieces], range(len(pieces))
    for head, (panel, pattern) in enumerate(zip(axes, patterns, strict=True)):
        image = panel.imshow(pattern, cmap=SHARE, vmin=0, vmax=1)
        panel.set_xticks(places, names, rotation=90, family="monospace", fontsize=7)
        panel.set_yticks(places, names, family="monospace", fontsize=7)
        panel.grid(visible=False)
        panel.set(title=f"head {head}", xlabel="looked at", ylabel="looking")
    figure.colorbar(image, ax=axes, label="share of the attention", shrink=0.6)
    return figure


@styled
def guesses(text: str, pieces: Sequence[str], shares: Row) -> Figure:
    """The likeliest next tokens after a text with their probabilities, the likeliest on top."""
    figure, (axes,) = sheet(1, 1, (5.0, 2.8))
    bars(axes, [label(piece) for piece in pieces], shares, [OURS] * len(shares), "{:.0%}")
    axes.set_yticks(axes.get_yticks(), axes.get_yticklabels(), family="monospace")
    axes.set_title(f"{visible(text)[-48:]} ...", family="monospace")
    axes.set(xlim=(0, 1.1), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel="probability of the next token")
    return figure


@styled
def ladder(losses: Mapping[str, Row | float], ours: Collection[str], across: str, zero: bool = True) -> Figure:
    """A bar per model or change of a model; several values (seeds) are dots too. Bars of `ours` have the colour of what is studied.

    zero: whether the axis begins there; otherwise at a tenth of the values' range below the least.
    """
    figure, (axes,) = sheet(1, 1, (6.4, 0.7 + 0.28 * len(losses)))
    low, high = (pick([pick(np.atleast_1d(loss)) for loss in losses.values()]) for pick in (min, max))
    left = 0.0 if zero else low - (high - low) / 10
    bars(axes, losses, losses.values(), [OURS if name in ours else CONTROL for name in losses], "{:.2f}", left=left)
    axes.set(xlabel=across, xlim=(min(left, low), left + 1.15 * (high - left)))
    return figure


@styled
def ways(contexts: Row, all_but_last: Mapping[str, Rows], last: Mapping[str, Rows], unigram: float) -> Figure:
    """Held-out loss during training, a colour per way to train: where the context holds the answer, and at the last position."""
    across, floor = "contexts seen in training", {"unigram": unigram}
    left = Panel(contexts, all_but_last, across, LOSS, WAYS, floor, settings=dict(title="answer in the context", ylim=(0, None)))
    right = Panel(contexts, last, across, "", WAYS, floor, legend=None, settings=dict(title="last position: no model sees the answer"))
    return lines(left, right, sharey=True, size=(4.2, 3.4))


@styled
def by_position(curves: Mapping[str, tuple[Row, Row]], bigram: float) -> Figure:
    """Loss by the number of tokens before, a curve (numbers, losses) per model."""
    across = Log("tokens before (log scale)", next(iter(curves.values()))[0].tolist())
    panel = Panel(None, {name: [curve] for name, curve in curves.items()}, across, LOSS, solid(PALE, OURS), {"bigram table": bigram})
    return lines(panel, marker="o", ms=4, size=(5.0, 3.2))


@styled
def training(seen: Row, losses: Mapping[str, Row], unigram: float, bigram: float) -> Figure:
    """Held-out loss by the tokens seen in training; the untrained model's stands at the left end."""
    panel = Panel(np.maximum(seen, seen[1] / 3), losses, Log("tokens seen in training (log scale)", form="{x:,.0f}"), LOSS, solid(OURS, SECOND))
    return lines(panel._replace(levels={"unigram": unigram, "bigram table": bigram}), size=(6.0, 3.6), marker="o", ms=3)


@styled
def layers(lengths: Mapping[str, Row], lens: Row, unigram: float) -> Figure:
    """By block: lengths of the stream and of what is added to it; and the loss if the stream is unembedded there."""
    blocks = np.arange(1, len(lens) + 1)
    common = dict(xticks=blocks, ylim=(0, None))
    left = Panel(blocks, lengths, "block", "mean length of the vector", solid(THEORY, SECOND, OURS), settings=common)
    right = Panel(blocks, {"unembedded after the block": lens}, "block", LOSS, solid(OURS), {"unigram": unigram}, common)
    return lines(left, right, marker="o", ms=4)
