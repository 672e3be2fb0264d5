"""What pip installs: Colab has the wheel and nothing else of the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

from companion import claims

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_every_file_of_the_package(tmp_path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True, capture_output=True)
    packed = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    files = {path for path in (ROOT / "companion").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert files
    assert {path.relative_to(ROOT).as_posix() for path in files} <= packed


def test_a_page_in_a_folder_of_its_own_still_finds_its_claims(tmp_path, monkeypatch, own_cache):
    """As in Colab: no checkout around it, the claims come with the package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_PROFILE", "laptop")
    one = claims.Page("02_phase_change")
    assert one.registry.claims
    assert one._figures == tmp_path / "figures"
