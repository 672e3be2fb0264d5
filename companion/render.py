"""`make figures` and `make record`: run the notebooks one after the other, and say what came out.

    python -m companion.render             every notebook: refresh the tracked pictures, compare the claims with the record
    python -m companion.render geometry    those whose name contains the word
    python -m companion.render --record    the same, and rewrite the record, CLAIMS.md, the README and the notebooks' outputs
    python -m companion.render --again     with another seed and a cache of its own, into figures/again; compare with the record
    python -m companion.render --tables    only rewrite what is generated: CLAIMS.md, the README's parts, badges

A verdict never fails a run; a page that raises does.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from companion import files, run, tables
from companion.claims import record

OPTIONS = ("--record", "--again", "--tables")


def main(arguments: list[str]) -> int:
    """Run what is asked for; 1 if a notebook raised or none matches."""
    root = run.project_root()
    options, words = [a for a in arguments if a.startswith("--")], [a for a in arguments if not a.startswith("--")]
    known = sorted((root / "notebooks").glob("*.py"))
    pages = [page for page in known if all(word in page.stem for word in words)]
    if unknown := [option for option in options if option not in OPTIONS]:
        print(f"unknown option {unknown[0]}; there are {', '.join(OPTIONS)}")
        return 1
    if not pages:
        print(f"no notebook's name contains {' '.join(words)!r}; there are: {', '.join(page.stem for page in known)}")
        return 1
    if "--tables" in options:
        tables.write(root)
        return 0
    os.environ["COMPANION_OUTPUT"] = options[0].removeprefix("--") if options else "figures"
    if run.output() == "again":
        pages = [page for page in pages if not page.stem.startswith("16")]  # timings: other seeds say nothing about them
        os.environ.setdefault("COMPANION_SEED", "1")
        os.environ.setdefault("COMPANION_CACHE", str(run.cache_root().with_name("superposition-companion-again")))
    return _render_all(root, pages)


def _render_all(root: Path, pages: list[Path]) -> int:
    at = root / "figures" / "claims.json"
    recorded, seen, failed = record.read(at), [], []
    if run.output() == "record":
        tables.write(root)  # links and contents, before the pages are read: a notebook and its pair agree at once
    for index, page in enumerate(pages, 1):
        rows = render(page, f"{index}/{len(pages)}")
        if rows is None:
            failed.append(page.stem)
            continue
        seen += rows
        for line in record.differences(recorded, rows):
            print(f"    {line}", flush=True)
        if run.output() == "record" and rows:
            files.write(at, record.as_json(record.merge(record.read(at), rows)))
            tables.write(root)
    if run.output() == "again":
        print("\n".join(["values that moved by more than a tenth:", *record.moved(recorded, seen)]))
    raised = f"; raised: {', '.join(failed)}" if failed else ""
    print(f"{len(pages) - len(failed)} pages, {record.counts(seen) or 'no claims'}{raised}")
    return 1 if failed else 0


def render(page: Path, position: str) -> list[record.Row] | None:
    """Execute one percent notebook in a fresh kernel and print one line. Its claims; nothing if it raised.

    Where the record is made, its .ipynb is written, outputs included.
    """
    print(f"[{position}] {page.stem} ", end="", flush=True)
    start, notebook, code = time.monotonic(), notebook_of(page), tables.code_hash(page)
    noted = page.parents[1] / "figures" / ("again" if run.output() == "again" else "here") / f"{page.stem}.claims.json"
    noted.unlink(missing_ok=True)
    try:
        execute(notebook, page.parent)
    except Exception as error:
        print(f"raised after {time.monotonic() - start:.0f} s\n{error}", flush=True)
        return None
    if run.output() == "record":
        tidy(notebook)
        files.write(page.with_suffix(".ipynb"), nbformat.writes(notebook) + "\n")
    rows = [row | {"code": code} for row in record.read(noted)]
    print(f"{time.monotonic() - start:.0f} s, {record.counts(rows)}", flush=True)
    return rows


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in a fresh kernel. Its own log is not shown: cells' errors come by message."""
    client = NotebookClient(notebook, timeout=None, startup_timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute(stderr=subprocess.DEVNULL)


def notebook_of(page: Path) -> nbformat.NotebookNode:
    """The percent notebook as nbformat, with cell ids that depend on nothing but their position."""
    notebook = jupytext.read(page, fmt="py:percent")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:02d}"
    return notebook


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Drop what changes from run to run or hides a static picture: widget state, timing stamps, versions, progress bars.

    Of controls their text is kept: JupyterLab shows an error in place of a widget whose kernel is gone.
    """
    notebook.metadata.pop("widgets", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
