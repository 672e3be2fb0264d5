import base64
import io

import jupytext
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

from companion import ledger, render

PAGE = """# %% [markdown]
# # 1. A page
# [![Open In Colab]
# Text.

# %% tags=["skip-execution"]
pass

# %%
import sys
from companion import ledger

# %%
page = ledger.Page("01_page", paper="A paper")
page.claim("a", says="one | is one", value=1.0, band=(0.9, 1.1), why="theory", control=CONTROL, control_is="zero", section="1")
print("to stderr", file=sys.stderr)
page.close()
"""
README = f"""# Name
[![Open In Colab](https://old/notebooks/01_page.ipynb)
{render.BEGIN}
{render.END}
The end.
"""


@pytest.fixture
def project(tmp_path, monkeypatch, own_cache):
    for name in ("notebooks", "companion", "figures"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/me/mine"\n')
    (tmp_path / "notebooks" / "01_page.py").write_text(PAGE.replace("CONTROL", "0.0"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_PROFILE", "laptop")
    return tmp_path


def test_a_page_is_run_tidied_and_its_claims_reach_the_readme(project, capsys):
    assert render.main([]) == 0
    assert "[1/1] 01_page " in (out := capsys.readouterr().out)
    assert "1/1 claims confirmed" in out
    notebook = nbformat.read(project / "notebooks" / "01_page.ipynb", as_version=4)
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [None, 1, 2]
    assert not [output for cell in notebook.cells[1:] for output in cell.outputs if output.get("name") == "stderr"]
    readme = (project / "README.md").read_text()
    assert "| a | one \\| is one | 1 | 0.9 to 1.1 | 0: zero | CONFIRMED |" in readme
    assert readme.endswith("The end.\n")


def test_a_failing_page_leaves_its_last_good_outputs(project, capsys):
    render.main([])
    before = (project / "notebooks" / "01_page.ipynb").read_bytes()
    (project / "notebooks" / "01_page.py").write_text(PAGE.replace("CONTROL", "1.0"))
    assert render.main([]) == 1
    assert "VACUOUS" in capsys.readouterr().out
    assert (project / "notebooks" / "01_page.ipynb").read_bytes() == before


def test_an_unknown_name_lists_the_known_ones(project, capsys):
    assert render.main(["nothing"]) == 1
    assert "there are: 01_page" in capsys.readouterr().out


def test_the_address_is_written_everywhere_from_its_one_home(project):
    render.write_addresses(project)
    first, second = jupytext.read(project / "notebooks" / "01_page.py").cells[:2]
    assert "colab/github" not in first.source
    assert "colab.research.google.com/github/me/mine/blob/main/notebooks/01_page.ipynb" in first.source
    assert second.source == render.install_cell("https://github.com/me/mine")
    assert "github/me/mine/blob/main/notebooks/01_page.ipynb" in (project / "README.md").read_text()


def test_a_page_changed_since_its_record_is_a_warning_in_the_table(project):
    render.main([])
    assert "has changed since" not in render.claims_table(project)
    path = project / "notebooks" / "01_page.py"
    path.write_text(path.read_text() + "\nx = 1\n")
    assert "`01_page` has changed since" in render.claims_table(project)


def test_cell_ids_depend_on_position_alone(project):
    ids = [cell["id"] for cell in render.notebook_of(project / "notebooks" / "01_page.py").cells]
    assert ids == [f"cell-{i:02d}" for i in range(4)]
    assert ledger.code_hash(project / "notebooks" / "01_page.py")


def test_pictures_are_kept_small_and_look_the_same():
    figure, axes = plt.subplots()
    axes.imshow(np.random.default_rng(0).random((40, 40)), cmap="viridis")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    output = nbformat.v4.new_output("display_data", data={"image/png": base64.b64encode(buffer.getvalue()).decode()})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    render.tidy(notebook)
    small = base64.b64decode(notebook.cells[0].outputs[0].data["image/png"])
    assert len(small) < len(buffer.getvalue())
    full, kept = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float) for data in (buffer.getvalue(), small))
    assert np.abs(full - kept).mean() < 3  # of 255
