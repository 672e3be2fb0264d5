import errno
import json
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from companion import run

CALLS = []
SCALE = 2.0


@dataclass(frozen=True)
class Config:
    n: int = 3
    seed: int = 0


def make(config: Config) -> dict:
    CALLS.append(config)
    return {"W": helper(config.n) * SCALE, "loss": 0.5, "shape": [config.n]}


def helper(n: int) -> torch.Tensor:
    return torch.ones(n)


def other(config: Config) -> dict:
    return {"W": torch.zeros(config.n)}


@pytest.fixture(autouse=True)
def _fresh(own_cache, monkeypatch):
    CALLS.clear()
    monkeypatch.setattr(run, "_ours", lambda module: module in (__name__, "test_run", "tests.test_run"))


def entry(own_cache: Path) -> Path:
    return next(path for path in own_cache.iterdir() if path.is_dir())


# --- profile, device, streams ---


def test_profile_is_laptop_unless_told(monkeypatch):
    monkeypatch.delenv("COMPANION_PROFILE")
    assert run.profile() == "laptop"
    assert run.choose(quick=1, laptop=2, paper=3) == 2


def test_unknown_profile_names_the_known_ones(monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "fast")
    with pytest.raises(run.SetupError, match="'fast' is not a profile: set it to one of quick, laptop, paper"):
        run.choose(quick=1, laptop=2, paper=3)


def test_paper_without_a_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "paper")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(run.SetupError, match=r"needs a CUDA device .* COMPANION_PROFILE=laptop"):
        run.choose(quick=1, laptop=2, paper=3)


def test_paper_with_a_gpu_uses_it(monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "paper")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert run.device() == "cuda"
    assert run.choose(quick=1, laptop=2, paper=3) == 3


def test_streams_are_named_apart_and_repeat():
    def draw(*names):
        return torch.rand(3, generator=run.stream(0, *names)).tolist()

    assert draw("data") == draw("data")
    assert draw("data") != draw("init") != draw("data", 1)


def test_one_more_draw_moves_no_other_stream():
    first = run.stream(0, "a")
    torch.rand(100, generator=first)
    assert torch.rand(1, generator=run.stream(0, "b")) == torch.rand(1, generator=run.stream(0, "b"))


# --- memo ---


def test_second_call_reads_what_the_first_made():
    first, second = run.memo(make, Config()), run.memo(make, Config())
    assert len(CALLS) == 1
    assert torch.equal(first["W"], torch.full((3,), 2.0))
    assert torch.equal(first["W"], second["W"])
    assert (second["loss"], second["shape"]) == (0.5, [3])


def test_another_configuration_or_function_is_another_entry():
    run.memo(make, Config())
    run.memo(make, Config(n=4))
    assert len(CALLS) == 2
    assert run.memo(other, Config())["W"].sum() == 0


def test_changed_code_of_a_helper_or_constant_is_another_entry(monkeypatch):
    run.memo(make, Config())
    monkeypatch.setattr(f"{__name__}.SCALE", 3.0)
    assert run.memo(make, Config())["W"][0] == 3.0
    before = run.fingerprint(make)

    def changed(n: int) -> torch.Tensor:
        return torch.ones(n) + 1

    monkeypatch.setattr(f"{__name__}.helper", changed)
    assert run.fingerprint(make) != before


def test_comments_and_docstrings_do_not_count(tmp_path, monkeypatch):
    sources = ["def f(x):\n    return x + 1\n", 'def f(x):\n    """Words."""\n    # more words\n    return x + 1\n', "def f(x):\n    return x + 2\n"]
    prints = []
    for i, source in enumerate(sources):
        path = tmp_path / f"m{i}.py"
        path.write_text(source)
        space = {"__name__": "m"}
        exec(compile(source, str(path), "exec"), space)
        prints.append(run.fingerprint(space["f"]))
    assert prints[0] == prints[1] != prints[2]


def damage_truncate(folder: Path) -> None:
    path = folder / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def damage_foreign(folder: Path) -> None:
    (folder / "manifest.json").write_text("not ours")


def damage_half(folder: Path) -> None:
    (folder / "values.json").unlink()


@pytest.mark.parametrize("damage", [damage_truncate, damage_foreign, damage_half])
def test_a_damaged_entry_is_rebuilt_said_in_one_line_and_nothing_else_is_lost(damage, own_cache, caplog):
    run.memo(make, Config())
    damaged = entry(own_cache)
    run.memo(make, Config(n=4))
    damage(damaged)
    assert torch.equal(run.memo(make, Config())["W"], torch.full((3,), 2.0))
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "damaged or foreign" in caplog.text
    run.memo(make, Config(n=4))
    assert len(CALLS) == 3  # first, other, rebuilt; the other entry was read


def test_a_stray_file_in_the_entry_s_place_is_replaced(own_cache):
    run.memo(make, Config())
    path = entry(own_cache)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    path.write_text("a file")
    run.memo(make, Config())
    assert path.is_dir()


def interrupted(config: Config) -> dict:
    if not CALLS:
        CALLS.append(config)
        raise KeyboardInterrupt
    return {"W": torch.ones(1)}


def test_ctrl_c_leaves_nothing_and_the_next_run_starts_cleanly(own_cache):
    with pytest.raises(KeyboardInterrupt):
        run.memo(interrupted, Config())
    assert [path.suffix for path in own_cache.iterdir()] == [".lock"]
    assert run.memo(interrupted, Config())["W"] == 1


def test_what_a_killed_run_left_is_cleared(own_cache):
    run.memo(make, Config())
    finished = entry(own_cache)
    finished.rename(finished.with_name(finished.name + ".partial"))
    run.memo(make, Config())
    assert len(CALLS) == 2
    assert not list(own_cache.glob("*.partial"))


def full_disk(config: Config) -> dict:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_clear_error(own_cache):
    with pytest.raises(run.SetupError, match=r"cannot write to the cache folder .*No space left.*COMPANION_CACHE"):
        run.memo(full_disk, Config())
    assert not list(own_cache.glob("*.partial"))


def test_a_read_only_cache_is_one_clear_error_and_still_serves_what_it_holds(own_cache, monkeypatch):
    run.memo(make, Config())

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(run.FileLock, "acquire", refuse)
    assert run.memo(make, Config())["loss"] == 0.5
    with pytest.raises(run.SetupError, match="cannot write to the cache folder"):
        run.memo(make, Config(n=9))


def test_a_cache_path_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "file"))
    with pytest.raises(run.SetupError, match="cannot write to the cache folder"):
        run.memo(make, Config())


def missing_input(config: Config) -> dict:
    raise FileNotFoundError(errno.ENOENT, "no such corpus")


def test_an_error_of_the_work_itself_is_not_blamed_on_the_cache():
    with pytest.raises(FileNotFoundError, match="no such corpus"):
        run.memo(missing_input, Config())


def slow(folder: Path, config: dict) -> None:
    with open(config["log"], "a") as log:
        log.write("made\n")
    time.sleep(0.5)
    (folder / "value.json").write_text(json.dumps(config))


def ask(log: str) -> None:
    run.memo_folder(slow, {"log": log})


def test_two_processes_that_ask_for_one_thing_make_it_once(tmp_path):
    log = str(tmp_path / "log")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=ask, args=(log,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert Path(log).read_text() == "made\n"
