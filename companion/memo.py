"""What was trained is kept, and read back as long as nothing that it depends on has changed (`companion.fingerprint`).

    result = memo.memo(make, config)            a dict of tensors and of values JSON can hold
    folder = memo.memo_folder(build, config)    a folder that build(folder, config) filled

Each entry of the cache is a folder with a manifest.json: what the result depends on, what it was made with, and the sha256 of
every file. `python -m companion.memo --clean` empties the cache.
"""

import errno
import json
import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from companion import files, fingerprint, run, source

log = logging.getLogger("companion")
Config = TypeVar("Config")
RECENT = 3600
"""Seconds for which an entry that was just used is not evicted: a process may be reading it."""

made_with: list[dict[str, Any]] = []
"""What each entry that this process asked for was made with, in order: for whoever records results."""
_verified: dict[Path, int] = {}
"""Entries whose checksums this process has compared, with the time of their manifest."""


def memo(make: Callable[[Config], dict[str, Any]], config: Config) -> dict[str, Any]:
    """`make(config)`, computed once and read back as long as its fingerprint is the same.

    `make` returns a flat dict of tensors and of values JSON can hold; so does memo. Tensors are kept as safetensors, the
    rest as JSON. See `memo_folder` for atomicity and errors.
    """
    from safetensors.torch import load_file

    folder = _entry(make, config, lambda folder: _write_result(folder, make(config)))
    result = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    return result | load_file(folder / "tensors.safetensors")


def memo_folder(build: Callable[[Path, Config], None], config: Config) -> Path:
    """The folder that `build(folder, config)` filled, built once per fingerprint.

    It is filled under a temporary name and renamed when complete. An entry that is truncated, foreign or half-written is
    rebuilt and said so in one line; checksums are compared once per process. A second process that asks for the same entry
    waits for the first. An interrupted build leaves nothing behind. When the cache outgrows `run.cache_limit()`, the entries
    that were used longest ago are removed.

    Raises:
        UnhashableError: see `fingerprint.of`.
        SetupError: the cache folder cannot be written (read-only, no space left), or the code was edited after its import.
    """
    return _entry(build, config, lambda folder: build(folder, config))


def _write_result(folder: Path, result: dict[str, Any]) -> None:
    from safetensors.torch import save_file
    from torch import Tensor

    tensors = {name: value.detach().cpu().contiguous() for name, value in result.items() if isinstance(value, Tensor)}
    save_file(tensors, folder / "tensors.safetensors")
    files.write(folder / "values.json", json.dumps({name: value for name, value in result.items() if name not in tensors}))


def _entry(make: Callable, config: Any, fill: Callable[[Path], None]) -> Path:
    depends_on = fingerprint.of(make, config)
    key = source.digest(json.dumps(depends_on, sort_keys=True))[:16]
    entry = run.cache_root() / f"{make.__module__.rsplit('.', 1)[-1]}.{make.__name__}-{key}"
    built = not _intact(entry)
    if built:
        with _storage_trouble_named(entry.parent):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{entry}.lock"):
                if not _intact(entry):
                    _build(entry, depends_on, fill)
    with suppress(OSError):  # a cache that cannot be written is still read
        os.utime(entry)  # its use, for `evict`
    if built:
        evict(run.cache_limit())
    made_with.append(json.loads((entry / "manifest.json").read_text(encoding="utf-8"))["made_with"])
    return entry


def _build(entry: Path, depends_on: dict[str, Any], fill: Callable[[Path], None]) -> None:
    if entry.exists():
        log.warning("companion: cache entry %s is damaged or foreign; building it again.", entry.name)
    start = time.monotonic()
    with files.folder(entry) as partial:
        fill(partial)
        made = _environment() | {"seconds": round(time.monotonic() - start, 1)}
        manifest = {"made_with": made, "depends_on": depends_on, "sums": _sums(partial)}
        files.write(partial / "manifest.json", json.dumps(manifest, indent=1))
    _verified[entry] = (entry / "manifest.json").stat().st_mtime_ns


def _environment() -> dict[str, Any]:
    """Versions, processor, device and threads of this process."""
    import torch

    versions = {"python": platform.python_version()} | {name: fingerprint.version(name) for name in fingerprint.COMPILED}
    cpu, device = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}", run.device()
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {}
    return {"versions": versions, "cpu": cpu, "threads": torch.get_num_threads(), "device": device} | gpu


@contextmanager
def _storage_trouble_named(root: Path) -> Iterator[None]:
    """A full or read-only cache as one clear error; an error of the work itself passes as it is."""
    try:
        yield
    except Exception as error:
        if not _is_storage_trouble(error, root.absolute()):
            raise
        raise run.SetupError(
            f"cannot write to the cache folder {root}: {error}. Free some space or make it writable, or set"
            " COMPANION_CACHE to another folder. Nothing that was there has changed."
        ) from error


def _is_storage_trouble(error: Exception, root: Path) -> bool:
    """No space, or a refusal that names a path of the cache. safetensors reports a full disk in its text alone."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or f"os error {errno.ENOSPC}" in str(error):
        return True
    if not isinstance(error, OSError) or not isinstance(error.filename, (str, os.PathLike)):
        return False
    named = Path(error.filename).absolute()
    return named.is_relative_to(root) or root.is_relative_to(named)


# --- what is in the cache ----------------------------------------------------------------------------------------


def _intact(entry: Path) -> bool:
    """Whether the files are those of the manifest; read whole once per process, afterwards only the manifest is looked at."""
    try:
        changed = (entry / "manifest.json").stat().st_mtime_ns
        if _verified.get(entry) != changed:
            if json.loads((entry / "manifest.json").read_text(encoding="utf-8"))["sums"] != _sums(entry):
                return False
            _verified[entry] = changed
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _sums(folder: Path) -> dict[str, str]:
    held = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): source.digest(path.read_bytes()) for path in held}


def evict(limit: float) -> list[str]:
    """Remove the entries used longest ago until the cache holds at most `limit` bytes; names of what was removed.

    Entries used within the last `RECENT` seconds and those being built stay. Any number of processes may evict at once.
    """
    used = []
    for path in _entries():
        with suppress(OSError):  # another process evicted it
            used.append((path.stat().st_mtime, sum(file.stat().st_size for file in path.rglob("*") if file.is_file()), path))
    total, removed = sum(size for _, size, _ in used), []
    for last, size, path in sorted(used):
        if total > limit and last < time.time() - RECENT and _remove(path):
            total -= size
            removed.append(path.name)
    if removed:
        message = "companion: the cache held more than %.3g GB (COMPANION_CACHE_GB); removed %d entries not used lately."
        log.warning(message, limit / 1e9, len(removed))
    return removed


def _entries() -> list[Path]:
    return [path.parent for path in run.cache_root().glob("*/manifest.json") if not path.parent.name.startswith(".")]


def _remove(path: Path) -> bool:
    """Remove an entry unless somebody builds it; by renaming it first, so that nobody meets half of it."""
    try:
        with FileLock(f"{path}.lock", timeout=0):
            gone = path.with_name(f".{path.name}.{os.getpid()}.gone")
            path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    except (OSError, Timeout):
        return False
    return True


def clean() -> int:
    """Empty the cache folder of entries, locks and what killed runs left; how many entries there were."""
    entries = _entries()
    leftovers = [path for pattern in ("*.lock", ".*.partial", ".*.gone", ".*.old") for path in run.cache_root().glob(pattern)]
    for path in [*entries, *leftovers]:
        files.remove(path)
    return len(entries)


if __name__ == "__main__":
    if sys.argv[1:] != ["--clean"]:
        sys.exit("python -m companion.memo --clean   empties the cache folder")
    print(f"removed {clean()} entries from {run.cache_root()}")
