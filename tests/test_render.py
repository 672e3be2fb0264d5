import os

import jupytext
import nbformat
import pytest

from companion import render, tables
from companion.claims import record, registry

PAGE = """# %% [markdown]
# # 1. A page
# [![Open In Colab]
# Text.

# %% tags=["skip-execution"]
pass

# %%
import sys
from pathlib import Path
from companion import claims
from companion.claims import registry

# %%
registry.FOLDER = Path("../registry")
page = claims.Page("01_page")
page.check("a", VALUE, control={"zero": 0.0})
print("to stderr", file=sys.stderr)
display({"application/vnd.jupyter.widget-view+json": {"model_id": "gone"}, "text/plain": "(controls)"}, raw=True)
page.close()
"""
TOML = """notebook = "01_page"
paper = "A paper"
[[claim]]
id = "a"
paper = "One is one."
measure = "one"
band = [0.9, 1.1]
band_from = "theory"
why = "arithmetic"
control = ["zero"]
"""
LINK = "https://colab.research.google.com/github/old/old/blob/main/notebooks/01_page.ipynb"
README = f"# Name\n[![Open In Colab]({LINK})\n<!-- claims -->\n<!-- end of claims -->\nThe end.\n"


@pytest.fixture(autouse=True)
def _written(project, monkeypatch):
    (project / "README.md").write_text(README, encoding="utf-8")
    (project / "registry" / "01.toml").write_text(TOML, encoding="utf-8")
    (project / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/me/mine"\n', encoding="utf-8")
    write_page(project, "1.0")
    monkeypatch.setenv("COMPANION_OUTPUT", "here")  # main sets it; undone afterwards
    monkeypatch.setenv("COMPANION_SEED", "0")


def write_page(project, value: str) -> None:
    (project / "notebooks" / "01_page.py").write_text(PAGE.replace("VALUE", value), encoding="utf-8")


def recorded(project) -> list[dict]:
    return record.read(project / "figures" / "claims.json")


def test_only_a_record_rewrites_the_record_the_tables_and_the_outputs(project, capsys):
    assert render.main([]) == 0
    assert "[1/1] 01_page " in (out := capsys.readouterr().out)
    assert "a: not in the record; CONFIRMED here" in out
    assert out.splitlines()[-1] == "1 pages, 1 CONFIRMED"
    assert not recorded(project)
    assert not (project / "notebooks" / "01_page.ipynb").exists()

    assert render.main(["--record"]) == 0
    assert recorded(project)[0]["verdict"] == "CONFIRMED"
    assert record.faults(recorded(project), registry.all_pages()) == []
    notebook = nbformat.read(project / "notebooks" / "01_page.ipynb", as_version=4)
    pair = render.notebook_of(project / "notebooks" / "01_page.py")
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in pair.cells]  # links and badge were written before the run
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [None, 1, 2]
    assert not [output for cell in notebook.cells[1:] for output in cell.outputs if output.get("name") == "stderr"]
    assert [dict(output.data) for output in notebook.cells[3].outputs if "(controls)" in str(output)] == [{"text/plain": "(controls)"}]
    assert "One is one." in (project / "CLAIMS.md").read_text(encoding="utf-8")
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert "| [01_page](CLAIMS.md#01_page) | 1 | 1 CONFIRMED |" in readme
    assert readme.endswith("The end.\n")


def test_a_verdict_never_fails_a_run_but_is_counted_and_compared(project, capsys):
    render.main(["--record"])
    write_page(project, "5.0")
    assert render.main([]) == 0
    out = capsys.readouterr().out
    assert "a: CONFIRMED in the record, MISSED here (1 -> 5)" in out
    assert out.splitlines()[-1] == "1 pages, 1 MISSED"
    assert recorded(project)[0]["values"] == [1.0]
    assert "`01_page` has changed since" in record.as_markdown(
        recorded(project), registry.all_pages(), tables.changed_pages(project, recorded(project))
    )


@pytest.mark.parametrize("value", ["float('nan')", "1 / 0"])
def test_a_page_that_raises_fails_the_run_and_leaves_what_was_there(project, capsys, value):
    render.main(["--record"])
    before = (project / "notebooks" / "01_page.ipynb").read_bytes(), recorded(project)
    write_page(project, value)
    assert render.main(["--record"]) == 1
    assert "raised: 01_page" in capsys.readouterr().out
    assert ((project / "notebooks" / "01_page.ipynb").read_bytes(), recorded(project)) == before


def test_a_second_run_has_its_own_seed_cache_and_folder(project, capsys, monkeypatch):
    render.main(["--record"])
    for name in ("COMPANION_SEED", "COMPANION_CACHE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "caches"))
    write_page(project, "1.3")
    assert render.main(["--again"]) == 0
    out = capsys.readouterr().out
    assert "a: CONFIRMED in the record, MISSED here" in out
    assert "values that moved by more than a tenth:\na: 1 -> 1.3" in out
    assert os.environ.pop("COMPANION_SEED") == "1"
    assert os.environ.pop("COMPANION_CACHE").endswith("superposition-companion-again")
    assert (project / "figures" / "again" / "01_page.claims.json").is_file()
    assert recorded(project)[0]["values"] == [1.0]


def test_unknown_names_and_options_list_the_known_ones(project, capsys):
    assert render.main(["nothing"]) == 1
    assert render.main(["--fast"]) == 1
    out = capsys.readouterr().out
    assert "there are: 01_page" in out
    assert "there are --record, --again, --tables" in out


def test_the_address_is_written_everywhere_from_its_one_home(project):
    assert render.main(["--tables"]) == 0
    first, second = jupytext.read(project / "notebooks" / "01_page.py").cells[:2]
    assert "colab.research.google.com/github/me/mine/blob/main/notebooks/01_page.ipynb" in first.source
    assert second.source == tables.install_cell("https://github.com/me/mine")
    assert "github/me/mine/blob/main/notebooks/01_page.ipynb" in (project / "README.md").read_text(encoding="utf-8")


def test_the_code_of_a_page_is_hashed_without_its_prose(project):
    page = project / "notebooks" / "01_page.py"
    before = tables.code_hash(page)
    page.write_text(page.read_text(encoding="utf-8").replace("Text.", "Other text."), encoding="utf-8")
    assert tables.code_hash(page) == before
    write_page(project, "2.0")
    assert tables.code_hash(page) != before


def test_cell_ids_depend_on_position_alone(project):
    ids = [cell["id"] for cell in render.notebook_of(project / "notebooks" / "01_page.py").cells]
    assert ids == [f"cell-{i:02d}" for i in range(4)]
