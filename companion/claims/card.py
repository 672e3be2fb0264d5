"""A claim as a person reads it: one card under the measurement, as HTML with a strip of dots, and as plain text."""

import html
import math
import statistics
from collections.abc import Sequence
from typing import Any

from companion.claims import verdicts
from companion.claims.registry import Claim

COLOURS = dict.fromkeys((verdicts.MISSED, verdicts.VACUOUS), "#de2f46") | dict.fromkeys((verdicts.MIXED, verdicts.NOT_HERE), "#b26a00")
COLOURS |= dict.fromkeys((verdicts.DEFERRED, verdicts.NOT_JUDGED), "#757575") | {verdicts.CONFIRMED: "#388a3c", verdicts.REFUTED: "#a94fc4"}
"""Of middling lightness: the same words are read on light pages and on dark ones."""
MARKS = {verdicts.CONFIRMED: "✔", verdicts.MIXED: "~", verdicts.DEFERRED: "·", verdicts.NOT_JUDGED: "·"}
WIDTH = 320
"""Pixels of the strip."""


def show_values(values: Sequence[float], over: str = "") -> str:
    """Three significant digits; of several the median, the range and what they run over."""
    middle = f"{statistics.median(values):.3g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g} to {max(values):.3g}, {len(values)} {over or 'values'})"


def show_band(band: Sequence[float]) -> str:
    """A band as text: "at least 3", "0.4 to 0.6"."""
    low, high = band
    if math.isinf(high):
        return "any" if math.isinf(low) else f"at least {low:.3g}"
    return f"at most {high:.3g}" if math.isinf(low) else f"{low:.3g} to {high:.3g}"


def show_controls(control: dict[str, Sequence[float]]) -> str:
    """Each control's values and name."""
    return "; ".join(f"{show_values(values)}: {name}" for name, values in control.items())


def sentence(claim: Claim, row: dict[str, Any]) -> list[str]:
    """One row of the claims table: id, what the paper says and the measure, measured, band, control, verdict."""
    said = f"{claim.paper} — {claim.measure}"
    verdict = row["verdict"] + (f": {row['reason']}" if row["reason"] else "")
    return [claim.id, said, show_values(row["values"], claim.over), show_band(claim.band), show_controls(row["control"]), verdict]


HEADER = ["claim", "what is said — what is measured", "measured", "band", "control", "verdict"]


def as_html(claim: Claim, row: dict[str, Any]) -> str:
    """Verdict and sentence, the strip, and the numbers in words."""
    colour = COLOURS[row["verdict"]]
    reason = f" — {html.escape(row['reason'])}" if row["reason"] else ""
    note = f"<div><i>{html.escape(claim.note)}</i></div>" if claim.note else ""
    numbers = (
        f"{show_values(row['values'], claim.over)} · band: {show_band(claim.band)} ({claim.band_from}) · control: {show_controls(row['control'])}"
    )
    return (
        f"<div style='border-left:4px solid {colour};padding:4px 10px;margin:4px 0'>"
        f"<div><b style='color:{colour}'>{row['verdict']}</b> <code>{html.escape(claim.id)}</code> {html.escape(claim.paper)}{reason}</div>"
        f"<div>{html.escape(claim.measure)}</div>{_strip(claim, row)}<div style='opacity:.75'>{html.escape(numbers)}</div>{note}</div>"
    )


def _strip(claim: Claim, row: dict[str, Any]) -> str:
    """Values as dots, the band shaded, each control's values as crosses."""
    controls = [value for values in row["control"].values() for value in values]
    at = _scale([*row["values"], *controls, *(end for end in claim.band if math.isfinite(end))])
    low, high = (at(end) if math.isfinite(end) else side for end, side in zip(claim.band, (0, WIDTH), strict=True))
    band = f"<rect x='{low:.1f}' y='3' width='{max(high - low, 2):.1f}' height='16' fill='{COLOURS[verdicts.CONFIRMED]}' fill-opacity='.22'/>"
    line = f"<line x1='0' y1='11' x2='{WIDTH}' y2='11' stroke='#888' stroke-width='1'/>"
    dots = "".join(f"<circle cx='{at(value):.1f}' cy='11' r='4' fill='{COLOURS[row['verdict']]}' fill-opacity='.7'/>" for value in row["values"])
    crosses = "".join(f"<path d='M{at(v) - 4:.1f} 7l8 8m0 -8l-8 8' stroke='currentColor' stroke-opacity='.75' stroke-width='1.8'/>" for v in controls)
    label = f"{claim.id}: values {show_values(row['values'])}, band {show_band(claim.band)}"
    return f"<svg width='{WIDTH}' height='22' role='img' aria-label='{html.escape(label, quote=True)}'>{line}{band}{crosses}{dots}</svg>"


def _scale(numbers: Sequence[float]):
    """Numbers to pixels: on a log axis where all are positive and span more than two decades."""
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low > 100
    turn = math.log if log else float
    low, span = turn(low), (turn(high) - turn(low)) or 1.0
    return lambda value: 12 + (WIDTH - 24) * (turn(value) - low) / span


def as_text(claim: Claim, row: dict[str, Any]) -> str:
    """The card in one or two lines, for a terminal and for readers of the file."""
    reason = f" ({row['reason']})" if row["reason"] else ""
    measured = f"{claim.measure}: {show_values(row['values'], claim.over)}"
    limits = f"[band {show_band(claim.band)}; control {show_controls(row['control'])}]"
    return f"{MARKS.get(row['verdict'], '✘')} {row['verdict']}{reason} {claim.id}: {claim.paper} {measured} {limits}"


def table(rows: list[tuple[Claim, dict[str, Any]]]) -> str:
    """The claims of a page as an HTML table."""
    head = "".join(f"<th style='text-align:left'>{name}</th>" for name in HEADER)
    body = ""
    for claim, row in rows:
        texts = [html.escape(text) for text in sentence(claim, row)]
        texts[-1] = f"<b style='color:{COLOURS[row['verdict']]}'>{texts[-1]}</b>"
        body += "<tr>" + "".join(f"<td style='text-align:left;vertical-align:top'>{text}</td>" for text in texts) + "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
