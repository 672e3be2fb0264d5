"""Claims with a band and a control, judged where they are measured; figures with their numbers.

    page = claims.Page("03_superposition_geometry", cfg)
    page.save_figure(figure, "F8", {"D*": ...})
    page.check("F8.plateau", D_star, control={"orthogonal features": ...})     # shows a card at once
    page.close()                                                              # shows the table

What a claim says, its band and the names of its controls stand in NN.toml beside this file (`registry`), and were there before the
page measured. A verdict never stops a run: a page raises only for numbers that are not finite and for checks that do not fit.
"""

import dataclasses
import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion import files, memo, picture, run
from companion.claims import card, record, registry, verdicts
from companion.claims.registry import ClaimError

__all__ = ["ClaimError", "Page", "opening", "shipped"]

log = logging.getLogger("companion")
Numbers = float | Sequence[float]
MOST = 30_000
"""Bytes of a figure's JSON."""
OPENING = "opening"
"""Name under which a notebook finds its opening picture again."""


class Page:
    """One notebook's claims and figures.

    Args:
        notebook: the notebook's name without suffix; it names the claims file and the folder of figures.
        config: the row of the parameter table in force. A laptop run with another one than the record's is NOT JUDGED.

    Raises:
        ClaimError: the notebook has no claims file, or a faulty one.
    """

    def __init__(self, notebook: str, config: Any = None):
        self.registry = registry.load(notebook)
        self.notebook, self.config_hash = notebook, hash_of(config)
        self.profile, self.output = run.profile(), run.output()
        self.rows: dict[str, dict[str, Any]] = {}
        self._start, self._writable = time.monotonic(), True
        self._figures = run.project_root() / "figures"
        recorded = {row["config"] for row in record.read(self._figures / "claims.json") if row["notebook"] == notebook}
        self._same_config = self.output in ("record", "again") or self.profile != "laptop" or recorded <= {self.config_hash}

    def check(self, id: str, values: Numbers, *, control: dict[str, Numbers], witness: Numbers | None = None) -> None:
        """Judge one claim of the page's file and show its card; checked again, the earlier row is replaced.

        Args:
            values: what was measured; a sequence has one entry per seed, density, ...: what the claim is `over`.
            control: the same measurement on each thing for which the sentence must fail, by the names in the file.
            witness: the measurement on a case for which the sentence holds, where the file names one.

        Raises:
            ClaimError: no such claim, other names than the file's, no numbers, or some that are not finite.
        """
        from IPython.display import display

        claim = self._claim(id, set(control), witness is not None)
        measured = _finite(values, f"{id}: values")
        if len(measured) > 1 and not claim.over:
            raise ClaimError(f"claim {id!r}: {len(measured)} values, and the file does not say what they run over")
        controls = {name: _finite(control[name], f"{id}: control {name!r}") for name in claim.control}
        witnessed = [] if witness is None else _finite(witness, f"{id}: witness")
        verdict = verdicts.judge(claim, measured, [v for held in controls.values() for v in held], witnessed)
        if self.profile == "quick" and claim.needs != "quick":
            verdict = verdicts.Verdict(verdicts.DEFERRED, f"judged from profile {claim.needs!r} on")
        elif not self._same_config:
            verdict = verdicts.Verdict(verdicts.NOT_JUDGED, "the parameters are not those of the record")
        self.rows[id] = dict(id=id, notebook=self.notebook, values=measured, control=controls, witness=witnessed) | dict(
            verdict=verdict.name, reason=verdict.reason, judge=claim.judge_hash, config=self.config_hash, profile=self.profile
        )
        display({"text/html": card.as_html(claim, self.rows[id]), "text/plain": card.as_text(claim, self.rows[id])}, raw=True)

    def _claim(self, id: str, names: set[str], witnessed: bool) -> registry.Claim:
        file = registry.path_of(self.notebook).name
        if (claim := self.registry.claims.get(id)) is None:
            raise ClaimError(f"{id!r} is no claim of {file}; there are {', '.join(self.registry.claims)}")
        if names != set(claim.control):
            raise ClaimError(f"claim {id!r}: the controls measured are {sorted(names)}, those in {file} are {sorted(claim.control)}")
        if witnessed != bool(claim.witness):
            names, measures = ("a", "none") if claim.witness else ("no", "one")
            raise ClaimError(f"claim {id!r}: {file} names {names} witness, and the page measures {measures}")
        return claim

    def save_figure(self, figure, name: str, numbers: dict[str, Any], caption: str) -> None:
        """Show a matplotlib figure over its caption, and keep it as <name>.png with its numbers in <name>.json, below 30 kB.

        The folder is figures/<notebook> where `make figures` or `make record` runs the page, figures/here/<notebook> or
        figures/again/<notebook> otherwise. At the quick profile nothing is written. `make record` also puts the figure that the
        claims file calls `opening` at the head of the page, and keeps it for dark pages as <name>.dark.png.
        """
        from IPython.display import Markdown, display

        png = picture.as_png(figure, caption)
        display(_image(png))
        display(Markdown(f"*{caption}*"))
        if self.profile == "quick":
            return
        folder = self._figures / ("" if self.output in ("figures", "record") else self.output) / self.notebook
        self._keep(folder / f"{name}.png", png)
        about = {"profile": self.profile, "config": self.config_hash, "caption": caption}
        self._keep(folder / f"{name}.json", numbers_as_json(name, numbers, about))
        if name == self.registry.opening and self.output == "record":
            display(_image(png), display_id=OPENING, update=True)
            self._keep(picture.OPENINGS / f"{self.notebook}.png", png)
            self._keep(folder / f"{name}.dark.png", picture.as_dark_png(figure, caption))

    def ship(self, name: str, held: dict[str, Any]) -> None:
        """Keep what another page shows of this one as companion/openings/<name>.json, below 30 kB; only where the record is made."""
        if self.output == "record" and self.profile != "quick":
            about = {"profile": self.profile, "config": self.config_hash, "page": self.notebook}
            self._keep(picture.OPENINGS / f"{name}.json", numbers_as_json(name, held, about))

    def close(self) -> None:
        """Show the page's claims as a table, and note them for `make figures` and `make record`.

        Raises:
            ClaimError: a claim of the file was not checked.
        """
        from IPython.display import HTML, display

        if missing := [id for id in self.registry.claims if id not in self.rows]:
            raise ClaimError(f"{registry.path_of(self.notebook).name} holds claims that the page does not check: {', '.join(missing)}")
        display(HTML(card.table([(claim, self.rows[id]) for id, claim in self.registry.claims.items()])))
        if self.profile == "quick":
            return
        shared = {"trained_with": _trained_with(), "seconds": round(time.monotonic() - self._start, 1)}
        rows = [self.rows[id] | shared for id in self.registry.claims]
        self._keep(self._figures / ("again" if self.output == "again" else "here") / f"{self.notebook}.claims.json", record.as_json(rows))

    def _keep(self, path: Path, data: bytes | str) -> None:
        """Write a file. A page run by hand where nothing can be written goes on, and says so once.

        Raises:
            SetupError: `make figures` or `make record` cannot write.
        """
        if not self._writable:
            return
        try:
            files.write(path, data)
        except OSError as error:
            if self.output != "here":
                raise run.SetupError(f"cannot write {path}: {error}. Free some space, or work in a copy that can be written.") from error
            self._writable = False
            log.warning("companion: %s cannot be written (%s), so figures and verdicts are shown here and kept nowhere.", path.parent, error)


def opening(notebook: str) -> None:
    """Show the picture that a page leads to, as it ships with the package; `make record` puts a new page's in its place."""
    from IPython.display import Markdown, display

    png = picture.opening(notebook)
    display(_image(png) if png else Markdown("*The opening picture is made with the record.*"), display_id=OPENING)


def shipped(name: str) -> dict[str, Any]:
    """What one page keeps with the package for others to show: companion/openings/<name>.json."""
    return json.loads((picture.OPENINGS / f"{name}.json").read_text(encoding="utf-8"))


def _image(png: bytes):
    return picture.image(png, alt=picture.description(png))


def hash_of(config: Any) -> str:
    """First 12 hex digits of the sha256 of a page's parameters. The Python version, which a subject's settings hold, does not count, nor
    does a field with the metadata {"added": True} while it has its default: a setting that came later leaves the records of before valid."""
    return hashlib.sha256(repr(_described(config)).encode()).hexdigest()[:12]


def _described(held: Any) -> Any:
    if dataclasses.is_dataclass(held) and not isinstance(held, type):
        settings = {field: getattr(held, field.name) for field in dataclasses.fields(held)}
        held = {field.name: value for field, value in settings.items() if not (field.metadata.get("added") and value == field.default)}
    if isinstance(held, dict):
        return {name: _described(value) for name, value in held.items() if name != "python"}
    return [_described(each) for each in held] if isinstance(held, (list, tuple)) else held


def _finite(values: Numbers, what: str) -> list[float]:
    numbers = np.atleast_1d(np.asarray(values, dtype=float)).ravel().tolist()
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise ClaimError(f"{what}: {numbers or 'nothing'} cannot be judged; every number must be finite")
    return numbers


def _trained_with() -> list[dict[str, Any]]:
    """The different environments in which what this process read or trained was made."""
    made = [{name: value for name, value in entry.items() if name != "seconds"} for entry in memo.made_with]
    return [entry for index, entry in enumerate(made) if entry not in made[:index]]


def numbers_as_json(name: str, numbers: dict[str, Any], about: dict[str, str]) -> str:
    """A figure's arrays with four significant digits, one name a line; long arrays thinned until the whole is below `MOST`."""
    for longest in (None, *(2**power for power in range(13, 2, -1))):
        held = {"figure": name} | about | record.plain(numbers, 4, longest)
        text = "{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in held.items()) + "\n}\n"
        if len(text) <= MOST:
            break
    return text
