"""What is generated from the pages, their claims files and the record: the README's gallery, findings and counts, the map of the pages."""

import hashlib
import html
import json
import re
import tomllib
from pathlib import Path
from statistics import median

import jupytext

from companion import files, pages
from companion.claims import record, registry

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
        "**Where the pentagon gives way is not one number.** With one feature sparser than four others, the exact optimum changes from the"
        " pentagon to two pairs when the density of that one is {values} of the others' if theirs is 0.05, and {witness} of it if theirs is"
        " 0.09. The paper says about 2.5 times sparser, which is 0.4.",
    ),
    (
        "13_ablation_sparsity",
        "ablation.dense-over-vocabulary",
        "**The ablation-sparsity score measures reach, not sparsity over tokens.** At the position where a latent is removed, its effect on the"
        " vocabulary scores {values}, nearly that of independent Gaussian changes (2/π = 0.637); what varies is how far along the text it reaches.",
    ),
)
"""Page, claim and sentences of what the README tells first."""


def write(root: Path) -> None:
    """CLAIMS.md; the README's gallery, findings and counts; links, map, badge and Colab cell of every notebook."""
    rows, address = record.read(root / "figures" / "claims.json"), repository(root)
    files.write(root / "CLAIMS.md", record.as_markdown(rows, registry.all_pages(), changed_pages(root, rows)))
    readme = (root / "README.md").read_text(encoding="utf-8")
    for name, text in (("gallery", gallery(root)), ("findings", findings(rows)), ("claims", summary(rows))):
        readme = filled(readme, name, text)
    readme = re.sub(r"https://colab\.research\.google\.com/github/[\w./-]+/notebooks/(\w+)\.ipynb", lambda match: in_colab(address, match[1]), readme)
    files.write(root / "README.md", readme)
    every_page = page_map(root / "notebooks")
    for page in sorted((root / "notebooks").glob("*.py")):
        notebook = pages.with_links(page)
        notebook.cells[0].source = re.sub(r"\[!\[Open In Colab.*", badge(address, page.stem), notebook.cells[0].source)
        notebook.cells[1].source = install_cell(address)
        for cell in notebook.cells:
            cell.source = filled(cell.source, "map", every_page)
        text = jupytext.writes(notebook, fmt="py:percent")
        if text != page.read_text(encoding="utf-8"):
            files.write(page, text)


def filled(text: str, name: str, content: str) -> str:
    """The text with what stands between <!-- name --> and <!-- end of name --> replaced, if it has these marks."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{content}\n{end}", text, flags=re.DOTALL)


def code_hash(page: Path) -> str:
    """First 12 hex digits of the sha256 of a percent notebook's code cells, prose left out."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def changed_pages(root: Path, rows: list[record.Row]) -> set[str]:
    """Pages whose code is not what the record was made with."""
    recorded = {row["notebook"]: (root / "notebooks" / f"{row['notebook']}.py", row.get("code")) for row in rows}
    return {name for name, (page, code) in recorded.items() if not page.is_file() or code != code_hash(page)}


def repository(root: Path) -> str:
    """The project's public address, from its only home in pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def in_colab(address: str, notebook: str) -> str:
    """The address at which Colab opens a notebook."""
    return f"https://colab.research.google.com/github/{address.removeprefix('https://github.com/')}/blob/main/notebooks/{notebook}.ipynb"


def badge(address: str, notebook: str) -> str:
    """Markdown of the button that opens a notebook in Colab."""
    return f"[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]({in_colab(address, notebook)})"


def install_cell(address: str) -> str:
    """Source of the cell that installs the package in Colab and does nothing elsewhere."""
    return f'''import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+{address}'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"'''


def findings(rows: list[record.Row]) -> str:
    """The README's findings, their numbers from the record."""
    found = {row["id"]: row for row in rows}
    return "\n".join(f"- {_told(found[id], text)} [Page](notebooks/{page}.ipynb)." for page, id, text in FINDINGS if id in found)


def _told(row: record.Row, text: str) -> str:
    controls = [f"{median(held):.3g}" for held in row["control"].values()]
    witness = f"{median(row['witness']):.3g}" if row["witness"] else ""
    return text.format(values=f"{median(row['values']):.3g}", control=controls, witness=witness)


def gallery(root: Path) -> str:
    """One picture per page that has an opening one, two to a row, with the question that the page answers."""
    cells, address = [], repository(root)
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
            f'<br><b><a href="notebooks/{stem}.ipynb">{title}</a></b> (<a href="{in_colab(address, stem)}">Colab</a>)<br>{held.question}</td>'
        )
    rows = [f"<tr>{''.join(cells[at : at + 2])}</tr>" for at in range(0, len(cells), 2)]
    return "\n".join(["<table>", *rows, "</table>"])


def summary(rows: list[record.Row]) -> str:
    """The README's lines about the record: verdicts in all, and by page."""
    lines = [f"{len(rows)} claims: {record.counts(rows)}. All of them, with values, bands and controls: [CLAIMS.md](CLAIMS.md).", ""]
    lines += ["| page | claims | verdicts | seconds, with what was trained in the cache |", "|---|---|---|---|"]
    for name in dict.fromkeys(row["notebook"] for row in rows):
        own = [row for row in rows if row["notebook"] == name]
        lines.append(f"| [{name}](CLAIMS.md#{name}) | {len(own)} | {record.counts(own)} | {own[0]['seconds']:.0f} |")
    return "\n".join(lines)


def page_map(folder: Path) -> str:
    """A table of the pages for the first of them: what each answers, and from which paper."""
    lines = ["| page | question | paper |", "|---|---|---|"]
    for stem, title in pages.titles(folder).items():
        if registry.path_of(stem).is_file():
            held = registry.load(stem)
            lines.append(f"| [{title}]({stem}.ipynb) | {held.question} | {held.paper} |")
    return "\n".join(lines)
