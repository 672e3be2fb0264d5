"""Text with a number per token as its background colour: HTML for light and dark pages, plain text, and a figure."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from companion.plots.style import SECOND, styled

DEEPEST = 0.6
"""Opacity of the largest number's colour: the ink of a light and of a dark page can both be read on it."""
NAMED = {"\n": "↵", "\t": "⇥"}
POINTS, ADVANCE = 8.5, 0.602
"""Size of the figure's letters, and the width of one as a share of it."""


class Context(NamedTuple):
    """A piece of text; any pair of tokens and values will do, such as a list read from JSON."""

    tokens: Sequence[str]
    values: Sequence[float]
    """A number per token; those of 0 or less are not coloured."""


def visible(token: str) -> str:
    """A token on one line: line breaks and tabs as signs, other characters that do not print as dots."""
    return "".join(NAMED.get(letter, letter if letter.isprintable() else "·") for letter in token)


def opacities(contexts: Sequence[Context]) -> list[list[float]]:
    """Opacity of each token's colour, in proportion to its number; the scale is that of all contexts together."""
    most = max((value for _, values in contexts for value in values), default=0.0)
    return [[DEEPEST * max(0.0, value) / most if most > 0 else 0.0 for value in values] for _, values in contexts]


def as_html(contexts: Sequence[Context]) -> str:
    """A line per context. A token's number shows where the pointer rests on it; the ink is the page's own."""
    red, green, blue = (round(255 * part) for part in to_rgb(SECOND))
    lines = []
    for (tokens, values), shades in zip(contexts, opacities(contexts), strict=True):
        spans = [
            f"<span style='background:rgba({red},{green},{blue},{shade:.2f})' title='{value:.3g}'>{html.escape(visible(token))}</span>"
            for token, value, shade in zip(tokens, values, shades, strict=True)
        ]
        lines.append(f"<div style='font-family:monospace;white-space:pre-wrap;margin:2px 0'>{''.join(spans)}</div>")
    return "".join(lines)


def as_text(contexts: Sequence[Context]) -> str:
    """A line per context; a token of at least half the largest number of all is in brackets, with its number."""
    lines = []
    for (tokens, values), shades in zip(contexts, opacities(contexts), strict=True):
        marked = [
            f"[{visible(token)}|{value:.2g}]" if shade >= DEEPEST / 2 else visible(token)
            for token, value, shade in zip(tokens, values, shades, strict=True)
        ]
        lines.append("".join(marked))
    return "\n".join(lines)


def bundle(heading: str, contexts: Sequence[Context], below: str = "") -> dict[str, str]:
    """Contexts between a heading and a line of text, in both forms, as IPython displays them."""
    page = f"<div style='margin-top:8px'><b>{html.escape(heading)}</b></div>{as_html(contexts)}<div style='opacity:.75'>{html.escape(below)}</div>"
    return {"text/html": page, "text/plain": "\n".join(part for part in (heading, as_text(contexts), below) if part)}


@styled
def picture(contexts: Sequence[Context], heading: str = "", columns: int = 58) -> Figure:
    """The same as a figure of so many letters' width; a context that is longer loses tokens on its left, then on its right."""
    letter = POINTS * ADVANCE / 72  # inches
    rows = len(contexts) + 1.4 * bool(heading)
    figure = Figure(figsize=(columns * letter + 0.1, rows * 2.1 * POINTS / 72 + 0.1))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-0.7, columns + 0.7), ylim=(rows, 0))
    axes.set_axis_off()
    look = dict(family="DejaVu Sans Mono", fontsize=POINTS, va="center")
    if heading:
        axes.text(0, 0.6, heading, fontsize=POINTS + 0.5, fontweight="bold", va="center")
    for row, ((tokens, _), shades) in enumerate(zip(contexts, opacities(contexts), strict=True)):
        height, at = rows - len(contexts) + row + 0.5, 0
        for token, shade in _fitting([visible(token) for token in tokens], shades, columns):
            if shade:
                axes.add_patch(Rectangle((at, height - 0.42), len(token), 0.84, facecolor=(*to_rgb(SECOND), shade), lw=0))
            axes.text(at, height, token, **look)
            at += len(token)
    return figure


def _fitting(tokens: list[str], shades: list[float], columns: int) -> list[tuple[str, float]]:
    """What fits into a line: from the left tokens go as long as the strongest stays in the right half, then from the right."""
    pairs = list(zip(tokens, shades, strict=True))
    strongest = max(range(len(pairs)), key=shades.__getitem__, default=0)
    while sum(len(token) for token, _ in pairs) > columns and sum(len(token) for token, _ in pairs[:strongest]) > columns // 2:
        pairs, strongest = pairs[1:], strongest - 1
    while sum(len(token) for token, _ in pairs) > columns:
        pairs.pop()
    return pairs
