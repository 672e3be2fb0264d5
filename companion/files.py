"""Files that are whole or not there: written under a temporary name beside their place, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, data: str | bytes) -> None:
    """Write a file, text as UTF-8, replacing what was there; an interruption leaves the old one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `path` if all goes well and leaves no trace if not."""
    partial, previous = (path.with_name(f"{path.name}.{os.getpid()}.{kind}") for kind in ("partial", "previous"))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.mkdir()
        yield partial
        if path.exists():
            path.rename(previous)
        partial.rename(path)
    finally:
        if previous.exists() and not path.exists():  # interrupted between the two renames
            previous.rename(path)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)
