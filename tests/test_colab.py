"""Colab, without Colab: its versions against our bounds, and pages with nothing of the repository but the wheel."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from companion import render

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WITHOUT_THE_REPOSITORY = ("00_start_here", "01_demonstrating_superposition", "10_downstream_loss_to_compute")


def installed_there() -> dict[str, str]:
    lines = (ROOT / "tests" / "colab.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_colab_keeps_what_it_has():
    there = installed_there()
    assert SpecifierSet(PROJECT["requires-python"]).contains(there["python"])
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = [Requirement(line) for group in groups for line in group]
    refused = [str(each) for each in wanted if each.name in there and not each.specifier.contains(there[each.name])]
    assert refused == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A folder that holds the package as pip unpacks it, and no notebook or figure."""
    folder = tmp_path_factory.mktemp("colab")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True, capture_output=True)
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_file_of_the_package(wheel):
    files = [path for path in (ROOT / "companion").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert files
    assert all((wheel / path.relative_to(ROOT)).is_file() for path in files)


@pytest.mark.parametrize("stem", WITHOUT_THE_REPOSITORY)
def test_a_page_needs_nothing_but_the_wheel(stem, wheel, tmp_path, monkeypatch):
    shutil.copy(ROOT / "notebooks" / f"{stem}.py", tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.fspath(wheel))
    notebook = render.notebook_of(tmp_path / f"{stem}.py")
    notebook.cells.append(nbformat.v4.new_code_cell(f"assert claims.__file__.startswith({os.fspath(wheel)!r}), claims.__file__"))
    render.execute(notebook, tmp_path)
