"""What is generated from the pages, their claims files and the record: the README's gallery, findings and counts, the map of the pages."""

import html
import json
from pathlib import Path
from statistics import median

from companion import pages
from companion.claims import card, record, registry

FINDINGS = (
    (
        "10_downstream_loss_to_compute",
        "compute.untrained-passes",
        "**The usual score cannot tell a trained dictionary from an untrained one.** Measured against zero ablation, a sparse autoencoder that was"
        " never trained recovers {values} of the loss; measured against knowing the token frequencies alone, the same one recovers {control[0]}.",
    ),
    (
        "03b_correlated_features",
        "F12.switch",
        "**The pentagon switches later than the paper says.** With one feature sparser than four others, the exact optimum changes from the pentagon"
        " to two pairs at a density ratio of {values}, where the paper's run changed at {band}.",
    ),
    (
        "13_ablation_sparsity",
        "ablation.dense-over-vocabulary",
        "**The ablation-sparsity score measures reach, not sparsity over tokens.** At the position where a latent is removed, its effect on the"
        " vocabulary scores {values}, nearly that of independent Gaussian changes (2/π = 0.637); what varies is how far along the text it reaches.",
    ),
)
"""Page, claim and sentences of what the README tells first."""


def findings(rows: list[record.Row]) -> str:
    """The README's findings, their numbers from the record."""
    found = {row["id"]: row for row in rows}
    return "\n".join(f"- {_told(found[id], text)} [Page](notebooks/{page}.ipynb)." for page, id, text in FINDINGS if id in found)


def _told(row: record.Row, text: str) -> str:
    claim = registry.load(row["notebook"]).claims[row["id"]]
    controls = [f"{median(held):.3g}" for held in row["control"].values()]
    return text.format(values=f"{median(row['values']):.3g}", control=controls, band=card.show_band(claim.band))


def gallery(root: Path) -> str:
    """One picture per page that has an opening one, two to a row, with the question that the page answers."""
    cells = []
    for stem, title in pages.titles(root / "notebooks").items():
        held = registry.load(stem) if registry.path_of(stem).is_file() else None
        if held is None or not held.opening or not (root / "figures" / stem / f"{held.opening}.json").is_file():
            continue
        picture = f"figures/{stem}/{held.opening}"
        about = html.escape(json.loads((root / f"{picture}.json").read_text(encoding="utf-8")).get("caption", ""), quote=True)
        cells.append(
            f'<td width="50%" valign="top"><a href="notebooks/{stem}.ipynb"><picture>'
            f'<source media="(prefers-color-scheme: dark)" srcset="{picture}.dark.png">'
            f'<img src="{picture}.png" width="420" alt="{about}"></picture></a>'
            f'<br><b><a href="notebooks/{stem}.ipynb">{title}</a></b><br>{held.question}</td>'
        )
    rows = [f"<tr>{''.join(cells[at : at + 2])}</tr>" for at in range(0, len(cells), 2)]
    return "\n".join(["<table>", *rows, "</table>"])


def summary(rows: list[record.Row]) -> str:
    """The README's lines about the record: verdicts in all, and by page."""
    names = list(dict.fromkeys(row["notebook"] for row in rows))
    lines = ["| page | claims | verdicts | seconds, with what was trained in the cache |", "|---|---|---|---|"]
    for name in names:
        own = [row for row in rows if row["notebook"] == name]
        lines.append(f"| [{name}](CLAIMS.md#{name}) | {len(own)} | {record.counts(own)} | {own[0]['seconds']:.0f} |")
    first = f"{len(rows)} claims: {record.counts(rows)}. All of them, with values, bands and controls: [CLAIMS.md](CLAIMS.md)."
    return "\n".join([first, "", *lines])


def page_map(folder: Path) -> str:
    """A table of the pages for the first of them: what each answers, and from which paper."""
    lines = ["| page | question | paper |", "|---|---|---|"]
    for stem, title in pages.titles(folder).items():
        if registry.path_of(stem).is_file():
            held = registry.load(stem)
            lines.append(f"| [{title}]({stem}.ipynb) | {held.question} | {held.paper} |")
    return "\n".join(lines)
