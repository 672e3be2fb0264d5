"""Where a notebook runs: its profile, its device, its random streams, and the memory of what it trained.

This is the only module that reads the environment:

    COMPANION_PROFILE   quick | laptop (default) | paper: which row of a notebook's parameters is used
    COMPANION_DEVICE    a torch device name; default cuda at `paper`, cpu otherwise
    COMPANION_CACHE     where trained things are kept; default is the user's cache folder
    COMPANION_SUBJECT   shipped (default) | train: whether offline subject models are those of the package or trained here
"""

import ast
import dataclasses
import errno
import hashlib
import inspect
import json
import logging
import os
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

from filelock import FileLock

log = logging.getLogger("companion")
Row = TypeVar("Row")
Config = TypeVar("Config")
PROFILES = ("quick", "laptop", "paper")


class SetupError(RuntimeError):
    """What is missing on this machine, where, and what to do about it."""


def profile() -> str:
    """The profile in force.

    Raises:
        SetupError: COMPANION_PROFILE names none of `PROFILES`.
    """
    name = os.environ.get("COMPANION_PROFILE", "laptop")
    if name not in PROFILES:
        raise SetupError(f"COMPANION_PROFILE={name!r} is not a profile: set it to one of {', '.join(PROFILES)}, or unset it for 'laptop'.")
    return name


def choose(*, quick: Row, laptop: Row, paper: Row) -> Row:
    """The row of a notebook's three-row parameter table that this run uses.

    Raises:
        SetupError: unknown profile, or `paper` on a machine without a CUDA device.
    """
    name = profile()
    device()  # says now, not after ten cells, that the machine cannot do it
    return {"quick": quick, "laptop": laptop, "paper": paper}[name]


def device() -> str:
    """Device name for tensors: COMPANION_DEVICE, else cuda at `paper` and cpu elsewhere.

    Raises:
        SetupError: a CUDA device is asked for (by name or by the profile) and torch sees none.
    """
    import torch

    name = os.environ.get("COMPANION_DEVICE") or ("cuda" if profile() == "paper" else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise SetupError(
            f"profile {profile()!r} needs a CUDA device and torch {torch.__version__} sees none: run on a GPU machine"
            " (in Colab: Runtime > Change runtime type), or use COMPANION_PROFILE=laptop."
        )
    return name


def subject_source() -> str:
    """Where offline subject models come from: "shipped" with the package, or with COMPANION_SUBJECT=train trained on this machine.

    Raises:
        SetupError: COMPANION_SUBJECT is neither.
    """
    name = os.environ.get("COMPANION_SUBJECT", "shipped")
    if name not in ("shipped", "train"):
        raise SetupError(f"COMPANION_SUBJECT={name!r} is neither 'shipped' nor 'train': unset it for the models that come with the package.")
    return name


def stream(seed: int, *names: str | int, device: str = "cpu"):
    """A torch.Generator of its own for one named use of randomness.

    Its seed is the first 63 bits of sha256(seed, names), so a draw added to one stream moves no other.
    """
    import torch

    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def cache_root() -> Path:
    """Folder of memoised results: COMPANION_CACHE, else `companion` in the user's cache folder."""
    own = os.environ.get("COMPANION_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(shared) / "superposition-companion"


def project_root() -> Path:
    """The folder that holds `notebooks` and `figures`: the nearest above the working folder, else that folder itself."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "companion").is_dir():
            return folder
    return here


# --- memo: what was trained once is read back, as long as neither its configuration nor its code changed ----------


def memo(make: Callable[[Config], dict[str, Any]], config: Config) -> dict[str, Any]:
    """`make(config)`, computed once per (config, code of make) and read back afterwards.

    `make` returns a flat dict of tensors and of values JSON can hold; so does memo. Tensors are kept as
    safetensors, the rest as JSON. See `memo_folder` for the key, atomicity and errors.
    """
    from safetensors.torch import load_file

    def build(folder: Path, config: Config) -> None:
        _write_result(folder, make(config))

    folder = memo_folder(build, config, key_of=make)
    result = json.loads((folder / "values.json").read_text())
    return result | load_file(folder / "tensors.safetensors")


def _write_result(folder: Path, result: dict[str, Any]) -> None:
    from safetensors.torch import save_file
    from torch import Tensor

    tensors = {name: value.detach().cpu().contiguous() for name, value in result.items() if isinstance(value, Tensor)}
    save_file(tensors, folder / "tensors.safetensors")
    (folder / "values.json").write_text(json.dumps({name: value for name, value in result.items() if name not in tensors}))


def memo_folder(build: Callable[[Path, Config], None], config: Config, key_of: Callable | None = None) -> Path:
    """The folder that `build(folder, config)` filled, built once per (config, code).

    The key is a sha256 of the configuration and of the code that `build` reaches (`fingerprint`). The folder is
    filled under a temporary name and renamed when complete, with a manifest of sha256 sums that is checked on every
    read: an entry that is truncated, foreign or half-written is rebuilt and said so in one line. A second process
    that asks for the same entry waits for the first. An interrupted build leaves nothing behind.

    Raises:
        SetupError: the cache folder cannot be written (read-only, no space left).
    """
    made_by = key_of or build
    entry = cache_root() / f"{made_by.__module__.rsplit('.', 1)[-1]}.{made_by.__name__}-{_key(made_by, config)}"
    if _intact(entry):
        return entry
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{entry}.lock"):
            if not _intact(entry):
                _replace(entry, lambda folder: build(folder, config))
    except Exception as error:
        if not _is_storage_trouble(error):
            raise
        raise SetupError(
            f"cannot write to the cache folder {entry.parent}: {error}. Free some space or make it writable, or set"
            " COMPANION_CACHE to another folder. Nothing that was there has changed."
        ) from error
    return entry


def _is_storage_trouble(error: Exception) -> bool:
    """Full or read-only. safetensors reports a full disk as an error type of its own, with the number in its text."""
    trouble = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
    return getattr(error, "errno", None) in trouble or f"os error {errno.ENOSPC}" in str(error)


def _replace(entry: Path, fill: Callable[[Path], None]) -> None:
    """Fill a temporary sibling of `entry`, seal it with a manifest, and only then put it in the entry's place."""
    if entry.exists():
        log.warning("companion: cache entry %s is damaged or foreign; building it again.", entry.name)
    partial = entry.with_name(entry.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed: we hold the lock
    try:
        partial.mkdir()
        fill(partial)
        (partial / "manifest.json").write_text(json.dumps(_sums(partial)))
        if entry.exists():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        partial.rename(entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _intact(entry: Path) -> bool:
    try:
        return json.loads((entry / "manifest.json").read_text()) == _sums(entry)
    except (OSError, ValueError):
        return False


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _key(make: Callable, config: Any) -> str:
    described = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config
    return hashlib.sha256(json.dumps([described, fingerprint(make)], sort_keys=True, default=repr).encode()).hexdigest()[:16]


def fingerprint(make: Callable) -> str:
    """sha256 of the code that `make` reaches: its own source and, through its global names, every function, class
    and constant of the package and of the notebook. Comments, docstrings and layout do not count, so prose may be
    edited without training anything again."""
    reached: dict[str, str] = {}
    _reach(make, reached)
    return hashlib.sha256(json.dumps(reached, sort_keys=True).encode()).hexdigest()


def _reach(thing: Any, reached: dict[str, str]) -> None:
    thing = inspect.unwrap(thing)
    name = f"{thing.__module__}.{thing.__qualname__}"
    if name in reached:
        return
    reached[name] = _bare_source(thing)
    functions = [thing] if inspect.isfunction(thing) else [f for f in vars(thing).values() if inspect.isfunction(f)]
    if inspect.isclass(thing):  # what it inherits, and functions it holds in a tuple
        held = [f for value in vars(thing).values() if isinstance(value, tuple) for f in value if inspect.isfunction(f)]
        for other in (thing for thing in (*thing.__bases__, *held) if _ours(thing.__module__)):
            _reach(other, reached)
    for function in functions:
        names = set(_global_names(function.__code__))
        known = {n: function.__globals__[n] for n in names & function.__globals__.keys()}
        for module in [m for m in known.values() if inspect.ismodule(m) and _ours(m.__name__)]:
            known |= {f"{module.__name__}.{n}": getattr(module, n) for n in names if hasattr(module, n)}
        for at, value in ((at, inspect.unwrap(value) if callable(value) else value) for at, value in known.items()):
            if (inspect.isfunction(value) or inspect.isclass(value)) and _ours(value.__module__):
                _reach(value, reached)
            elif isinstance(value, (int, float, str, tuple)):
                reached[f"{function.__module__}:{at}"] = repr(value)


def _ours(module: str) -> bool:
    return module == "__main__" or (module.split(".")[0] == "companion" and module not in ("companion.run", "companion.ledger"))


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _bare_source(thing: Any) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, TypeError):  # a class of a notebook has no source file; its methods are reached one by one
        return repr(getattr(thing, "__annotations__", {}))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
