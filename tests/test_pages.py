"""The form of a page (links, contents, cells, captions, exercises), and what is generated of it."""

import ast
import os
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from companion import pages, render
from companion.claims import registry

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
PAGES = sorted(FOLDER.glob("*.py"))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
LINK = re.compile(r"\]\(([\w./-]*)(#[\w-]+)?\)")


def read(page: Path) -> nbformat.NotebookNode:
    return jupytext.read(page, fmt="py:percent")


def prose(page: Path) -> str:
    return "\n".join(cell.source for cell in read(page).cells if cell.cell_type == "markdown")


def anchors(page: Path) -> set[str]:
    return set(re.findall(r'<a id="([\w-]+)"></a>', prose(page)))


@each_page
def test_the_way_to_other_pages_and_the_contents_are_generated(page):
    first = read(page).cells[0].source.splitlines()
    assert pages.navigation(FOLDER, page.stem) in first
    assert pages.contents(read(page)) in first


@each_page
def test_every_section_has_an_anchor_and_every_link_an_end(page):
    text = prose(page)
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(pages.sections(read(page)))
    for path, anchor in LINK.findall(text):
        target = (FOLDER / path).resolve() if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".ipynb":
            assert anchor[1:] in anchors(target.with_suffix(".py")), f"{path}{anchor}"
        elif not path:
            assert anchor[1:] in anchors(page), anchor


@each_page
def test_a_page_is_short_enough_to_read(page):
    cells = read(page).cells
    assert len(cells) <= 60
    for cell in cells:
        if cell.cell_type == "code" and "skip-execution" not in cell.metadata.get("tags", []):
            assert max(map(len, cell.source.splitlines())) <= 110, cell.source


@each_page
def test_every_figure_has_a_caption(page):
    tree = ast.parse("\n".join(cell.source for cell in read(page).cells if cell.cell_type == "code"))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "page.save_figure":
            assert len(call.args) == 4 or "caption" in {word.arg for word in call.keywords}, ast.unparse(call)[:80]


@each_page
def test_exercises_have_minutes_a_hint_and_an_answer(page):
    if page.stem == pages.START:
        return
    after = prose(page).partition('<a id="your-turn"></a>')[2].partition('<a id="')[0]
    number = len(re.findall(r"^\d\. \*\(\d+ minutes\)\*", after, re.MULTILINE))
    assert 3 <= number <= 5
    assert after.count("<summary>Hint</summary>") == after.count("<summary>Answer</summary>") == number
    assert len(pages.solutions(read(page))) == number
    for solution in pages.solutions(read(page)):
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(solution))), solution


@each_page
def test_the_answers_to_the_exercises_run_after_the_page(page):
    notebook = render.notebook_of(page)
    notebook.cells += [nbformat.v4.new_code_cell(solution) for solution in pages.solutions(notebook)]
    assert os.environ["COMPANION_PROFILE"] == "quick"
    if pages.solutions(notebook):
        render.execute(notebook, FOLDER)


@each_page
def test_the_opening_picture_ships_and_stands_on_the_page(page):
    if page.stem == pages.START:
        return
    opening = registry.load(page.stem).opening
    assert f'"{opening}"' in page.read_text(encoding="utf-8")
    assert (ROOT / "companion" / "openings" / f"{page.stem}.png").is_file()
    assert (ROOT / "figures" / page.stem / f"{opening}.dark.png").is_file()


def test_contents_and_solutions_are_found():
    text = '<a id="a"></a>\n## 1 Data\ntext\n<a id="b-c"></a>\n## 2 Model\n'
    folded = "<details><summary>Answer</summary>\n\n   ```python\n   x = 1\n   assert x\n   ```\n   </details>"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), nbformat.v4.new_markdown_cell(folded)])
    assert pages.contents(notebook) == "**On this page** [1 Data](#a) · [2 Model](#b-c)"
    assert pages.solutions(notebook) == ["x = 1\nassert x\n"]


def test_navigation_knows_its_neighbours(tmp_path):
    for stem, title in (("00_start_here", "Start here"), ("01_a", "1. A"), ("02_b", "2. B")):
        (tmp_path / f"{stem}.py").write_text(f"# %% [markdown]\n# # {title}\n", encoding="utf-8")
    assert pages.navigation(tmp_path, "01_a") == "**Pages** [Start here](00_start_here.ipynb) · [2. B →](02_b.ipynb)"
    assert pages.navigation(tmp_path, "02_b") == "**Pages** [← 1. A](01_a.ipynb) · [Start here](00_start_here.ipynb)"
    assert pages.navigation(tmp_path, "00_start_here") == "**Pages** [1. A →](01_a.ipynb)"
