"""One small subject model for every test that needs one."""

from pathlib import Path

import pytest


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
