"""What several tests need: one small subject model, a cache and a project of their own."""

from collections import Counter
from pathlib import Path

import pytest

ANSWERS = "test_the_answers_to_the_exercises_run_after_the_page"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pages first, their answers last: two workers would otherwise train the same page at the same time."""
    items.sort(key=lambda item: (ANSWERS in item.nodeid) - item.nodeid.startswith("notebooks/"))


def pytest_terminal_summary(terminalreporter):
    """Why tests were skipped: -q counts them only."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    for reason, count in Counter(reasons).items():
        terminalreporter.write_line(f"skipped {count}: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(scope="session")
def tiny_home() -> Path:
    """The folder of the subject that the quick notebooks use as well."""
    from companion import memo
    from companion.lm import sources, training

    return memo.memo_folder(sources.prepare, training.TINY)


@pytest.fixture(scope="session")
def tiny(tiny_home):
    from companion.lm import subject

    return subject.open_subject(tiny_home)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path, monkeypatch, own_cache) -> Path:
    """An empty project with claims files of its own, in which pages run at the laptop profile."""
    from companion.claims import registry

    for name in ("notebooks", "companion", "figures", "registry"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(registry, "FOLDER", tmp_path / "registry")
    monkeypatch.setenv("COMPANION_PROFILE", "laptop")
    monkeypatch.chdir(tmp_path)
    return tmp_path
