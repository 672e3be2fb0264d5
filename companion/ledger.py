"""The record: claims with a band and a control, figures with their numbers, and the table made of them.

A page of the record belongs to one notebook:

    page = ledger.Page("03_superposition_geometry", paper="Toy Models of Superposition")
    page.claim("F8.plateau", says=..., value=..., band=(.47, .53), why=..., control=..., control_is=...)
    page.save_figure(figure, "F8", {"D*": ...})
    page.close()          # shows the table; raises if a claim failed or could not have failed
"""

import hashlib
import html
import io
import json
import math
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from companion import run

Band = tuple[float, float]
CONFIRMED, REFUTED, VACUOUS, FAILED, DEFERRED = "CONFIRMED", "REFUTED", "VACUOUS", "FAILED", "DEFERRED"
RECORDED_VERSIONS = ("torch", "numpy", "transformers", "transformer-lens", "tokenizers", "matplotlib")


class ClaimError(AssertionError):
    """A claim of the page failed, or its control shows that it could not have failed."""


class Verdict(NamedTuple):
    name: str
    share: float
    """Fraction of the seeds (or the single value, 0 or 1) that lay in the band."""
    reason: str


def judge(
    value: Sequence[float], band: Band, control: Sequence[float], control_band: Band | None, *, need: float, refutable: bool, witness: Sequence[float]
) -> Verdict:
    """Verdict on one claim.

    A set of values passes a band when at least the share `need` of them lies in it, ends included.
        VACUOUS    the control passes the claim's band: the check could not have failed
        FAILED     the control does not do what it must (`control_band`), or the value misses and was not refutable,
                   or it misses and no witness (a case for which the sentence is true) shows that it could have passed
        REFUTED    the value misses, the sentence was known to be open, and the witness passes
        CONFIRMED  the value passes and the control fails
    NaN lies in no band.
    """
    share = share_within(value, band)
    if share_within(control, band) >= need:
        return Verdict(VACUOUS, share, "the control passes too")
    if control_band is not None and share_within(control, control_band) < need:
        return Verdict(FAILED, share, "the control is not where it must be")
    if share >= need:
        return Verdict(CONFIRMED, share, "")
    if not refutable:
        return Verdict(FAILED, share, "outside the band")
    if not witness or share_within(witness, band) < need:
        return Verdict(FAILED, share, "outside the band, and no witness shows that it could be inside")
    return Verdict(REFUTED, share, "")


def share_within(values: Sequence[float], band: Band) -> float:
    """Fraction of the values with band[0] <= value <= band[1]."""
    return sum(band[0] <= value <= band[1] for value in values) / len(values)


class Page:
    """One notebook's part of the record. Writes into figures/ except at the quick profile.

    Args:
        notebook: the notebook's name without suffix; it names the folder in figures/.
        paper: short title of the paper whose sentences are checked.
    """

    def __init__(self, notebook: str, paper: str):
        self.notebook, self.paper = notebook, paper
        self.profile, self.device = run.profile(), run.device()
        self.rows: list[dict[str, Any]] = []
        self._start = time.monotonic()
        self._root = run.project_root()
        self._figures = None if self.profile == "quick" else self._root / "figures"

    def claim(
        self,
        id: str,
        *,
        says: str,
        value: float | Sequence[float],
        band: Band,
        why: str,
        control: float | Sequence[float],
        control_is: str,
        section: str,
        unit: str = "",
        control_band: Band | None = None,
        need: float = 1.0,
        open_because: str = "",
        witness: float | Sequence[float] = (),
        witness_is: str = "",
        needs: str = "quick",
    ) -> str:
        """Enter one claim and return its verdict (`judge`).

        Args:
            says: the paper's sentence, or what this project asserts, in one line.
            value: what was measured; a sequence has one entry per seed.
            band: lowest and highest value at which the sentence holds, fixed before the run.
            why: where the band comes from: theory, the paper's number, or a calibration over seeds.
            control: the same measurement on something for which the sentence must not hold; `control_is` names it.
            control_band: where the control must fall; anywhere outside `band` if not given.
            need: share of the seeds that must lie in the band.
            open_because: why the sentence may be false here. Without it a miss is FAILED, with it REFUTED.
            witness: the measurement on a case for which the sentence is true, needed to refute it; `witness_is` names it.
            needs: "laptop" if the phenomenon does not survive the quick profile: there the row is DEFERRED.

        Raises:
            ValueError: duplicate id, empty value, a band that is empty or meets the control's.
        """
        values, controls, witnesses = (np.atleast_1d(np.asarray(v, dtype=float)).tolist() for v in (value, control, witness))
        self._refuse_bad(id, band, control_band, values, controls)
        verdict = judge(values, band, controls, control_band, need=need, refutable=bool(open_because), witness=witnesses)
        if self.profile == "quick" and needs != "quick":
            verdict = Verdict(DEFERRED, verdict.share, f"asserted from profile {needs!r} on")
        self.rows.append(
            dict(id=id, notebook=self.notebook, paper=self.paper, section=section, sentence=says, value=values, unit=unit)
            | dict(band=_closed(band), why=why, control=controls, control_is=control_is, control_band=_closed(control_band or ()))
            | dict(need=need, open_because=open_because, witness=witnesses, witness_is=witness_is)
            | dict(verdict=verdict.name, reason=verdict.reason, share=verdict.share, seeds=len(values))
        )
        return verdict.name

    def _refuse_bad(self, id: str, band: Band, control_band: Band | None, values: list[float], controls: list[float]) -> None:
        if any(row["id"] == id for row in self.rows):
            raise ValueError(f"claim {id!r} is entered twice")
        if not values or not controls:
            raise ValueError(f"claim {id!r} needs at least one value and one control value")
        if not band[0] <= band[1]:
            raise ValueError(f"claim {id!r}: the band {band} is empty")
        if control_band is not None and control_band[0] <= band[1] and band[0] <= control_band[1]:
            raise ValueError(f"claim {id!r}: the control's band {control_band} meets the claim's {band}, so the control could pass")

    def save_figure(self, figure, name: str, numbers: dict[str, Any]) -> None:
        """Show a matplotlib figure, and keep it as figures/<notebook>/<name>.png with its numbers and provenance in <name>.json.

        At the quick profile the picture is shown and nothing is written.
        """
        from IPython.display import Image, display

        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        display(Image(buffer.getvalue(), width=figure.get_size_inches()[0] * 96))
        record = json.dumps({"figure": name, "numbers": numbers} | self._provenance(), indent=1, default=_plain)
        if self._figures is None:
            return
        folder = self._figures / self.notebook
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{name}.png", buffer.getvalue())
        _write(folder / f"{name}.json", record.encode() + b"\n")

    def close(self) -> None:
        """Show the page's claims, write them into figures/claims.json, and raise if one of them must not stand.

        Raises:
            ClaimError: a claim is VACUOUS or FAILED (the record is written first, so that it can be looked at).
        """
        from IPython.display import HTML, display

        seconds = round(time.monotonic() - self._start, 1)
        rows = [row | self._provenance() | {"seconds": seconds} for row in self.rows]
        display(HTML(as_html(rows)))
        if self._figures is not None:
            self._merge(rows)
        bad = [f"{row['id']}: {row['verdict']} ({row['reason']}) value {row['value']} band {row['band']} control {row['control']}" for row in rows]
        bad = [text for text, row in zip(bad, rows, strict=True) if row["verdict"] in (VACUOUS, FAILED)]
        if bad:
            raise ClaimError("\n".join(bad))

    def _merge(self, rows: list[dict[str, Any]]) -> None:
        path = self._figures / "claims.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(run.cache_root() / "claims.lock"):
            kept = [row for row in read(path) if row["notebook"] != self.notebook]
            ordered = sorted(kept + rows, key=lambda row: row["notebook"])  # stable: claims stay in the page's order
            _write(path, json.dumps(ordered, indent=1, default=_plain).encode() + b"\n")

    def _provenance(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "device": self.device,
            "versions": {"python": platform.python_version()} | {name: _version(name) for name in RECORDED_VERSIONS},
            "code": code_hash(self._root / "notebooks" / f"{self.notebook}.py"),
        }


def _closed(band: Sequence[float]) -> list[float | None]:
    """JSON has no infinity: an open end is null."""
    return [end if math.isfinite(end) else None for end in band]


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists with six significant digits: enough to redraw a figure, small enough to read."""
    numbers = np.asarray(value)
    if numbers.dtype.kind == "f":
        return np.vectorize(lambda x: float(f"{x:.6g}"), otypes=[object])(numbers).tolist() if numbers.size else []
    return numbers.tolist()


def _write(path: Path, data: bytes) -> None:
    """Write to a temporary sibling and rename, so that a reader never sees half a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def code_hash(notebook: Path) -> str:
    """First 12 hex digits of the sha256 of a percent notebook's code cells, prose left out; empty if there is none."""
    if not notebook.is_file():
        return ""
    lines = [line for line in notebook.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a claims.json; none if there is no such file."""
    return json.loads(path.read_text()) if path.is_file() else []


def show_value(values: Sequence[float], unit: str = "") -> str:
    """A value as text: three significant digits; over seeds the median and the range."""
    if not values:
        return ""
    middle = f"{np.median(values):.3g}{unit}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g} to {max(values):.3g}, {len(values)} seeds)"


def show_band(band: Sequence[float | None]) -> str:
    """A band as text: "at least 3", "0.4 to 0.6"."""
    low, high = band
    if high is None:
        return f"at least {low:.3g}"
    return f"at most {high:.3g}" if low is None else f"{low:.3g} to {high:.3g}"


def cells(row: dict[str, Any]) -> list[str]:
    """One row of the claims table: id, sentence, measured, band, control, verdict."""
    control = f"{show_value(row['control'], row['unit'])}: {row['control_is']}"
    share = f", {row['share']:.0%} of seeds" if row["seeds"] > 1 else ""
    return [row["id"], row["sentence"], show_value(row["value"], row["unit"]), show_band(row["band"]), control, row["verdict"] + share]


HEADER = ["claim", "what is said", "measured", "band", "control", "verdict"]
COLOURS = {CONFIRMED: "#2e7d32", REFUTED: "#b26a00", DEFERRED: "#666666", VACUOUS: "#b00020", FAILED: "#b00020"}


def as_html(rows: list[dict[str, Any]]) -> str:
    """The claims of a page as an HTML table."""
    head = "".join(f"<th style='text-align:left'>{name}</th>" for name in HEADER)
    body = ""
    for row in rows:
        texts = [html.escape(text) for text in cells(row)]
        texts[-1] = f"<b style='color:{COLOURS[row['verdict']]}'>{texts[-1]}</b>"
        body += "<tr>" + "".join(f"<td style='text-align:left;vertical-align:top'>{text}</td>" for text in texts) + "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
