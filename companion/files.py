"""Write, then rename: what was there before stays whole until what replaces it is complete."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


def write(path: Path, data: bytes | str) -> None:
    """Write a file, its folder if need be; text as UTF-8. Whoever reads meanwhile sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _sibling(path)
    try:
        partial.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A new folder to fill. It takes the place of `path` when the block ends, and is removed if the block fails."""
    partial, old = _sibling(path), _sibling(path)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():  # a folder that is not empty cannot be replaced in one move
            os.replace(path, old)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _sibling(path: Path) -> Path:
    """A name in the same folder that no other process has."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
