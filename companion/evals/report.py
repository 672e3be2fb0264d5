"""Every number that the five evaluations have for one autoencoder of a residual stream, with intervals, as a table; and several side by side.

    print(report(subject, sae, layer=2).markdown())
    print(compare(subject, {"k = 16": one, "k = 32": other}, layer=2).markdown())

An autoencoder is anything with `encode` and `decode` (`models.SAE`), or a folder in SAELens's layout, which says what it is of.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from companion.evals import measures
from companion.evals.setting import SIZES, InParts, Missing, Row, Setting, Sizes
from companion.lm.subject import Subject
from companion.sae import formats
from companion.sae.models import SAE
from companion.sae.weights import FormatError

SUSPECT = 0.5
"""Of the way from the model's own loss to the nearest anchor, or normalised MSE, from which on an autoencoder is taken for one of something
else. That of a neighbouring layer stays below: only the file can tell. (Set on an untrained one, and one of another model of the same width.)"""
HEADLINES = (
    *(("reconstruction", name) for name in ("L0", "dead share", "normalised MSE", "raw MSE, ratio of totals", "raw MSE, median token")),
    *(("loss", name) for name in ("rise of the loss", "rise of the loss, position 0 kept", "KL", "loss recovered from unigram")),
    *(("compute", "share of compute"), ("probes", "mean gain"), ("N2G", "F1"), ("labels", "F1")),
    *(("ablation", name) for name in ("score", "score at T = 1")),
)
"""What `compare` shows; its JSON has everything."""


class Report(NamedTuple):
    about: dict[str, Any]
    """The subject, the layer, the autoencoder, how much was measured, and warnings."""
    rows: list[Row]

    def get(self, part: str, name: str) -> Row | None:
        """One row, if there is such a one."""
        return next((row for row in self.rows if (row.part, row.name) == (part, name)), None)

    def markdown(self) -> str:
        """A table under a line of what it is of, and the warnings."""
        about = ", ".join(f"{name} {value}" for name, value in self.about.items() if name != "warnings" and value is not None)
        lines = [about, "", *(f"**Warning**: {warning}\n" for warning in self.about["warnings"])]
        lines += ["| evaluation | | value | 95 % interval | over | |", "|---|---|---|---|---|---|"]
        return "\n".join([*lines, *("| " + " | ".join(_cells(row)) + " |" for row in self.rows)])

    def json(self) -> str:
        """The same, every digit."""
        return json.dumps(
            dict(about=self.about, rows=[{name: _plain(value) for name, value in row._asdict().items()} for row in self.rows]), indent=1
        )


class Comparison(NamedTuple):
    reports: dict[str, Report]

    def markdown(self) -> str:
        """A column for each autoencoder, and a row for each number of `HEADLINES` that any of them has, with 95 % intervals."""
        lines = ["| | " + " | ".join(self.reports) + " |", "|---" * (len(self.reports) + 1) + "|"]
        for part, name in HEADLINES:
            found = [each.get(part, name) or Row(part, name) for each in self.reports.values()]
            if any(row.value is not None for row in found):
                lines.append(f"| {part}: {name} | " + " | ".join(f"{_number(row.value)} {_interval(row, ' to ')}".strip() for row in found) + " |")
        warned = [f"**Warning**, {name}: {warning}" for name, each in self.reports.items() for warning in each.about["warnings"]]
        return "\n".join([*lines, "", *warned])

    def json(self) -> str:
        """The reports by name, every digit."""
        return json.dumps({name: json.loads(each.json()) for name, each in self.reports.items()}, indent=1)


def _cells(row: Row) -> tuple[str, ...]:
    return row.part, row.name, _number(row.value), _interval(row, " to "), row.over, row.note.replace("|", "\\|")


def _number(value: float | None) -> str:
    return "none" if _plain(value) is None else f"{value:.4g}"


def _interval(row: Row, between: str) -> str:
    return "" if row.low is None else f"({row.low:.4g}{between}{row.high:.4g})"


def _plain(value: Any) -> Any:
    """A number that JSON has, or None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- making one ---


def report(
    subject: Subject,
    sae: SAE | Path | str,
    *,
    layer: int | None = None,
    texts: tuple[Tensor, Tensor] | None = None,
    sizes: Sizes = SIZES,
    seed: int = 0,
) -> Report:
    """Every number of one autoencoder. What cannot be had is a row that says why.

    Args:
        sae: of the residual stream after block `layer`; of a folder the layer may be left out.
        texts: (train, heldout) contexts (N, T) to measure on, in place of the subject's own.
        seed: of the bootstrap, the choice of latents and N2G's examples.

    Raises:
        FormatError: a folder whose autoencoder is of another model, width, site or layer, or that cannot be opened.
        ValueError: no layer, or no such one; activations of another width; text without a context; values that are not finite.
    """
    return compare(subject, {"": sae}, layer=layer, texts=texts, sizes=sizes, seed=seed).reports[""]


def compare(
    subject: Subject,
    saes: Mapping[str, SAE | Path | str],
    *,
    layer: int | None = None,
    texts: tuple[Tensor, Tensor] | None = None,
    sizes: Sizes = SIZES,
    seed: int = 0,
) -> Comparison:
    """`report` of several autoencoders by name, of one layer, on the same text with the same draws."""
    at, reports = None, {}
    for name, sae in saes.items():
        opened, its_layer = opened_for(subject, sae, layer)
        if at is None or at.layer != its_layer:
            at = Setting(subject, its_layer, texts, sizes, seed)
        reports[name] = _measured(at, InParts(opened), str(sae) if isinstance(sae, (str, Path)) else None)
    return Comparison(reports)


def opened_for(subject: Subject, sae: SAE | Path | str, layer: int | None = None) -> tuple[SAE, int]:
    """An autoencoder that belongs to a subject, and the layer after which it reads the stream. Raises as `report`."""
    if not isinstance(sae, (str, Path)):
        if layer is None:
            raise ValueError("say after which block the autoencoder reads the stream: layer=")
        return sae, layer
    site = formats.describe(sae)["metadata"].get("hook_name") or "nothing that it names"
    found = re.fullmatch(r"blocks\.(\d+)\.hook_resid_(pre|post)", site)
    if not found:
        raise FormatError(f"{sae} is of {site}: a report is of an autoencoder of the residual stream, at hook_resid_pre or hook_resid_post")
    its_layer = int(found[1]) - (found[2] == "pre")
    if layer not in (None, its_layer):
        raise FormatError(f"{sae} is of {site}, the stream after block {its_layer}, but layer {layer} is wanted")
    return formats.load(sae, d_model=subject.d_model, model_name=subject.name).to(subject.device), its_layer


def _measured(at: Setting, sae: InParts, source: str | None) -> Report:
    back, rows = measures.reconstructed(at, sae)
    rows += measures.losses(at, back)
    warnings = [warning for warning in [_of_something_else(at, rows)] if warning]
    for part, measure in (
        ("compute", lambda: measures.share_of_compute(at, back)),
        ("probes", lambda: measures.probed(at, sae)),
        ("N2G", lambda: measures.explained(at, sae)),
        ("ablation", lambda: measures.ablated(at, sae)),
    ):
        try:
            rows += measure()
        except Missing as why:
            rows.append(Row(part, "", note=f"not measured: {why}"))
    about = dict(subject=at.subject.name, layer=at.layer, dtype=str(at.subject.dtype).removeprefix("torch."), autoencoder=source)
    about |= dict(kind=sae.kind, n=sae.n, k=sae.k, tokens=f"{len(at.tokens):,} contexts of {at.tokens.shape[1]}", seed=at.seed)
    return Report(about | dict(warnings=warnings), rows)


def _of_something_else(at: Setting, rows: list[Row]) -> str | None:
    """Whether the splice loses much of what the model knows beyond an anchor, or the reconstruction is nearly nothing."""
    own, found = {name: losses.mean().item() for name, losses in at.anchors.items()}, {row.name: row.value for row in rows}
    rise, error = found["rise of the loss"], found["normalised MSE"]
    anchor = min((name for name in own if name != "clean"), key=own.get)
    if rise < SUSPECT * (own[anchor] - own["clean"]) and error < SUSPECT:
        return None
    return (
        f"with the reconstruction the loss is {own['clean'] + rise:.3f} nats, the model's own being {own['clean']:.3f} and that of the anchor"
        f" {anchor!r} {own[anchor]:.3f}, and the normalised MSE is {error:.3f}: this autoencoder was not trained, is of another model, site or"
        " layer, or keeps very little"
    )
