"""What is generated on every page from the pages there are: the way to the others, the contents; and the exercises' solutions. Also a page's rows of
parameters, for those who count on them.

A page's first cell holds a line that begins with **Pages** and one that begins with **On this page**; `make record` and
`make badges` write what follows. A section is a heading of the second level with an anchor in the line above it:

    # <a id="data"></a>
    # ## 1 Data
"""

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import jupytext
import nbformat

START = "00_start_here"
SECTION = re.compile(r'<a id="([\w-]+)"></a>\n## (.+)')
SOLUTION = re.compile(r"<details>\s*<summary>Answer</summary>(.*?)</details>", re.DOTALL)
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def titles(folder: Path) -> dict[str, str]:
    """Title of each page by its file's stem, in reading order: "1. Demonstrating superposition"."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        heading = re.search(r"^# # (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        found[path.stem] = heading[1].strip() if heading else path.stem
    return found


def navigation(folder: Path, stem: str) -> str:
    """The line that leads to the page before, to the start and to the page after."""
    names = titles(folder)
    order = list(names)
    at = order.index(stem)
    before, after = order[max(at - 1, 0)], order[min(at + 1, len(order) - 1)]
    links = [f"[← {names[before]}]({before}.ipynb)"] if before not in (stem, START) else []
    links += [f"[{names[START]}]({START}.ipynb)"] if START in names and stem != START else []
    links += [f"[{names[after]} →]({after}.ipynb)"] if after != stem else []
    return "**Pages** " + " · ".join(links)


def sections(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Heading of each section by its anchor."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return dict(SECTION.findall(prose))


def contents(notebook: nbformat.NotebookNode) -> str:
    """The line that leads to the page's own sections."""
    return "**On this page** " + " · ".join(f"[{heading}](#{anchor})" for anchor, heading in sections(notebook).items())


def with_links(path: Path) -> nbformat.NotebookNode:
    """The page with both lines of its first cell as they should be."""
    notebook = jupytext.read(path, fmt="py:percent")
    first = notebook.cells[0]
    for line in (navigation(path.parent, path.stem), contents(notebook)):
        begin = line[: line.index("**", 2) + 2]
        first.source = re.sub(rf"^{re.escape(begin)}.*$", lambda _, line=line: line, first.source, flags=re.MULTILINE)
    return notebook


def solutions(notebook: nbformat.NotebookNode) -> list[str]:
    """Python source of each exercise's folded answer, in the page's order."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    blocks = ["\n".join(textwrap.dedent(block[2]) for block in BLOCK.finditer(answer)) for answer in SOLUTION.findall(prose)]
    return [block for block in blocks if block]


def rows_of(page: Path) -> dict[str, Any]:
    """The rows of a page's parameters by profile; none of a page without. Its code is run up to there, without what is only shown."""
    space: dict[str, Any] = {"__name__": "__main__"}
    for cell in jupytext.read(page, fmt="py:percent").cells:
        if cell.cell_type != "code" or "skip-execution" in cell.metadata.get("tags", []):
            continue
        for node in ast.parse(cell.source).body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "run.choose":
                return {word.arg: eval(compile(ast.Expression(word.value), str(page), "eval"), space) for word in value.keywords}
            if not isinstance(node, ast.Expr):
                exec(compile(ast.Module([node], []), str(page), "exec"), space)
    return {}
