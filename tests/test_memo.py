import errno
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from companion import files, memo, run

CALLS = Path("calls")
"""Where `make` notes its calls: a list among the globals would change the key with every call."""


@dataclass(frozen=True)
class Config:
    n: int = 3
    seed: int = 0


def note(config) -> None:
    with CALLS.open("a", encoding="utf-8") as log:
        log.write(f"{config}\n")


def calls() -> int:
    return len(CALLS.read_text(encoding="utf-8").splitlines()) if CALLS.is_file() else 0


def make(config: Config) -> dict:
    note(config)
    return {"W": torch.full((config.n,), 2.0), "loss": 0.5, "shape": [config.n]}


def other(config: Config) -> dict:
    return {"W": torch.zeros(config.n)}


def outer(config: Config) -> dict:
    note(config)
    return {"W": 2 * memo.memo(make, config)["W"]}


@pytest.fixture(autouse=True)
def _fresh(own_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memo._verified.clear()


def entry(own_cache: Path) -> Path:
    return next(path for path in own_cache.iterdir() if path.is_dir())


def test_second_call_reads_what_the_first_made():
    first, second = memo.memo(make, Config()), memo.memo(make, Config())
    assert calls() == 1
    assert torch.equal(first["W"], torch.full((3,), 2.0))
    assert torch.equal(first["W"], second["W"])
    assert (second["loss"], second["shape"]) == (0.5, [3])


def test_another_configuration_or_function_is_another_entry():
    memo.memo(make, Config())
    memo.memo(make, Config(n=4))
    assert calls() == 2
    assert memo.memo(other, Config())["W"].sum() == 0


def test_a_memo_within_a_memo_is_two_entries(own_cache):
    assert torch.equal(memo.memo(outer, Config())["W"], torch.full((3,), 4.0))
    memo.memo(make, Config())
    memo.memo(outer, Config())
    assert calls() == 2
    assert len(list(own_cache.glob("*/manifest.json"))) == 2


def test_the_manifest_says_what_it_depends_on_and_what_it_was_made_with(own_cache):
    memo.memo(make, Config())
    manifest = json.loads((entry(own_cache) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["depends_on"]["configuration"][1] == {"n": 3, "seed": 0}
    assert manifest["made_with"]["versions"]["torch"] == importlib.metadata.version("torch")
    assert {"cpu", "threads", "device", "seconds"} <= set(manifest["made_with"])
    assert set(manifest["sums"]) == {"tensors.safetensors", "values.json"}
    assert memo.made_with[-1] == manifest["made_with"]


def damage_truncate(folder: Path) -> None:
    path = folder / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def damage_foreign(folder: Path) -> None:
    (folder / "manifest.json").write_text("not ours", encoding="utf-8")


def damage_half(folder: Path) -> None:
    (folder / "values.json").unlink()


def damage_stray(folder: Path) -> None:
    files.remove(folder)
    folder.write_text("a file in the entry's place", encoding="utf-8")


@pytest.mark.parametrize("damage", [damage_truncate, damage_foreign, damage_half, damage_stray])
def test_a_damaged_entry_is_rebuilt_said_in_one_line_and_nothing_else_is_lost(damage, own_cache, caplog):
    memo.memo(make, Config())
    damaged = entry(own_cache)
    memo.memo(make, Config(n=4))
    damage(damaged)
    memo._verified.clear()  # as in the next process
    assert torch.equal(memo.memo(make, Config())["W"], torch.full((3,), 2.0))
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "damaged or foreign" in caplog.text
    memo.memo(make, Config(n=4))
    assert calls() == 3  # first, other, rebuilt; the other entry was read


def test_checksums_are_compared_once_per_process(own_cache, monkeypatch):
    memo.memo(make, Config())
    memo._verified.clear()
    read = []
    sums = memo._sums
    monkeypatch.setattr(memo, "_sums", lambda folder: read.append(folder) or sums(folder))
    for _ in range(3):
        memo.memo(make, Config())
    assert len(read) == 1


def interrupted(config: Config) -> dict:
    if not calls():
        note(config)
        raise KeyboardInterrupt
    return {"W": torch.ones(1)}


def test_ctrl_c_leaves_nothing_and_the_next_run_starts_cleanly(own_cache):
    with pytest.raises(KeyboardInterrupt):
        memo.memo(interrupted, Config())
    assert [path.suffix for path in own_cache.iterdir()] == [".lock"]
    assert memo.memo(interrupted, Config())["W"] == 1


# --- storage and its errors ---


def failing(error: Exception):
    def make(config):
        raise error

    return make


def test_a_full_disk_is_one_clear_error(own_cache):
    with pytest.raises(run.SetupError, match=r"cannot write to the cache folder .*No space left.*COMPANION_CACHE"):
        memo.memo(failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), Config())
    assert not list(own_cache.glob(".*.partial"))


def test_a_read_only_cache_is_one_clear_error_and_still_serves_what_it_holds(own_cache, monkeypatch):
    memo.memo(make, Config())

    def refuse(lock, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(lock.lock_file))

    monkeypatch.setattr(memo.FileLock, "acquire", refuse)
    monkeypatch.setattr(memo.os, "utime", lambda path: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
    assert memo.memo(make, Config())["loss"] == 0.5
    with pytest.raises(run.SetupError, match="cannot write to the cache folder"):
        memo.memo(make, Config(n=9))


def test_a_cache_path_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "file"))
    with pytest.raises(run.SetupError, match="cannot write to the cache folder"):
        memo.memo(make, Config())


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_an_error_of_the_work_itself_is_not_blamed_on_the_cache(number):
    with pytest.raises(OSError, match="/corpus"):
        memo.memo(failing(OSError(number, os.strerror(number), "/corpus")), Config())


# --- the size of the cache ---


def used(own_cache: Path, hours_ago: float, **config) -> Path:
    memo.memo(make, Config(**config))
    path = max((path for path in own_cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    os.utime(path, (time.time() - 3600 * hours_ago,) * 2)
    return path


def test_the_entries_used_longest_ago_are_removed_first(own_cache, caplog):
    oldest, older, recent = used(own_cache, 9, n=1000), used(own_cache, 8, n=1001), used(own_cache, 0.1, n=1002)
    each = sum(file.stat().st_size for file in oldest.iterdir())
    assert memo.evict(2.5 * each) == [oldest.name]
    assert "removed 1 entries" in caplog.text
    assert memo.evict(0.0) == [older.name]  # the recent one may be in use
    assert recent.is_dir()


def test_reading_an_entry_counts_as_use_and_building_one_evicts(own_cache, monkeypatch):
    first, second = used(own_cache, 9, n=1000), used(own_cache, 8, n=1001)
    memo.memo(make, Config(n=1000))
    monkeypatch.setattr(run, "cache_limit", lambda: 0.0)
    memo.memo(make, Config(n=5))
    assert first.is_dir()
    assert not second.exists()


def test_an_entry_that_is_being_built_is_not_evicted(own_cache):
    path = used(own_cache, 9)
    with memo.FileLock(f"{path}.lock"):
        assert memo.evict(0.0) == []
    assert path.is_dir()


def run_twice_at_once(*arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(memo.__file__).parents[1])}
    processes = [subprocess.Popen([sys.executable, *arguments], env=environment) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]


def test_two_processes_evict_at_once(own_cache):
    for n in range(12):
        used(own_cache, 9, n=n + 1)
    run_twice_at_once("-c", "from companion import memo; memo.evict(0.0)")
    assert not [path for path in own_cache.iterdir() if path.is_dir()]


SLOW = """
import json, sys, time
from companion import memo

def slow(folder, config):
    with open(config["log"], "a") as log:
        log.write("made\\n")
    time.sleep(1)
    (folder / "value.json").write_text(json.dumps(config))

memo.memo_folder(slow, {"log": sys.argv[1]})
"""


def test_two_processes_that_ask_for_one_thing_make_it_once(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    run_twice_at_once(str(tmp_path / "slow.py"), str(tmp_path / "log"))
    assert (tmp_path / "log").read_text(encoding="utf-8") == "made\n"


def test_cleaning_empties_the_cache(own_cache):
    memo.memo(make, Config())
    (own_cache / ".left.partial").mkdir()
    assert memo.clean() == 1
    assert not list(own_cache.iterdir())
    assert memo.clean() == 0


# --- files ---


def test_a_file_is_whole_or_absent(tmp_path):
    files.write(tmp_path / "a" / "b.txt", "grün")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "grün"
    with pytest.raises(FileNotFoundError), files.folder(tmp_path / "a") as partial:
        (partial / "missing").rename(partial / "c.txt")
    assert [path.name for path in tmp_path.iterdir() if path.name != "calls"] == ["a"]
    with files.folder(tmp_path / "a") as partial:
        (partial / "c.txt").write_text("", encoding="utf-8")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["c.txt"]
