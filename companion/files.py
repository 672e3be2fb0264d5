"""Files that are whole or absent: written under another name beside their place, then renamed into it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write(path: Path, data: bytes | str) -> None:
    """Write a file, making its folder, so that a reader sees the old content or the new and never half of one. Text is UTF-8.

    Raises:
        OSError: the folder cannot be made or written; what was at `path` stays.
    """
    with opened(path) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to write bytes into, which takes the place of `path` when the block ends well and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with open(number, "wb") as file:
            yield file
        os.chmod(name, 0o644)  # mkstemp's files are private
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, renamed to `path` when the block ends well (in place of what was there) and removed otherwise.

    Raises:
        OSError: the folder cannot be made or put in its place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    old = partial.with_suffix(".old")
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's folders are private
        if path.exists():
            path.rename(old)
        partial.rename(path)
    finally:
        if old.exists() and not path.exists():  # interrupted between the two
            old.rename(path)
        shutil.rmtree(partial, ignore_errors=True)
        remove(old)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
