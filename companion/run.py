"""Where a notebook runs: its profile, its device, its random generators, its folders.

This is the only module that reads the environment. A value that is not known or not a number is a SetupError.

    COMPANION_PROFILE    quick | laptop (default) | published | paper: which row of a notebook's parameters is used
    COMPANION_DEVICE     a torch device name; default cuda at `paper`, at `published` cuda if torch sees one, cpu otherwise
    COMPANION_SUBJECT    shipped (default) | train: whether offline subject models are those of the package or trained here
    COMPANION_SEED       a whole number, default 0; another one replaces every random draw by another
    COMPANION_CACHE      where trained things are kept; default is the user's cache folder
    COMPANION_CACHE_GB   how large that folder may grow, in gigabytes; default 20
    COMPANION_OUTPUT     here (default) | figures | record | again: what a page may write; set by companion.render
"""

import hashlib
import os
from pathlib import Path
from typing import TypeVar

Row = TypeVar("Row")
PROFILES = ("quick", "laptop", "published", "paper")


class SetupError(RuntimeError):
    """What is missing on this machine, where, and what to do about it."""


def profile() -> str:
    """The profile in force: one of `PROFILES`."""
    return _one_of("COMPANION_PROFILE", PROFILES, "laptop")


def output() -> str:
    """What a page may write: `here`, run by hand, pictures into figures/here; `figures`, the tracked pictures; `record`, the
    record too; `again`, a second run with another seed, into figures/again."""
    return _one_of("COMPANION_OUTPUT", ("here", "figures", "record", "again"), "here")


def subject_source() -> str:
    """Where offline subject models come from: `shipped` with the package, or with `train` trained on this machine."""
    return _one_of("COMPANION_SUBJECT", ("shipped", "train"), "shipped")


def _one_of(variable: str, names: tuple[str, ...], default: str) -> str:
    name = os.environ.get(variable, default)
    if name not in names:
        raise SetupError(f"{variable}={name!r} is not known: set it to one of {', '.join(names)}, or unset it for {default!r}.")
    return name


def choose(*, quick: Row, laptop: Row, paper: Row, published: Row | None = None) -> Row:
    """The row of a notebook's parameter table that this run uses.

    Raises:
        SetupError: the notebook has no such row, or this machine lacks what the profile needs.
    """
    rows = {"quick": quick, "laptop": laptop, "published": published, "paper": paper}
    if (row := rows[profile()]) is None:
        has = ", ".join(name for name in PROFILES if rows[name] is not None)
        raise SetupError(f"this page has no profile {profile()!r}: set COMPANION_PROFILE to one that it has, which are {has}.")
    device()  # says now, not after ten cells, that the machine cannot do it
    return row


def device() -> str:
    """Device name for tensors; a CUDA device that is asked for, by name or by the profile, and that torch does not see is a SetupError."""
    import torch

    gpu = profile() == "paper" or (profile() == "published" and torch.cuda.is_available())
    name = os.environ.get("COMPANION_DEVICE") or ("cuda" if gpu else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise SetupError(
            f"profile {profile()!r} needs a CUDA device and torch {torch.__version__} sees none: run on a GPU machine"
            " (in Colab: Runtime > Change runtime type), or use COMPANION_PROFILE=laptop."
        )
    return name


def generator(seed: int, *names: str | int, device: str = "cpu"):
    """A torch.Generator of its own for one named use of randomness.

    Its seed is the first 63 bits of sha256(seed, names), so a draw added to one generator moves no other. COMPANION_SEED
    enters the hash too, unless it is 0: it replaces every generator of a run by another.
    """
    import torch

    named = (seed, *names) if (shift := seed_shift()) == 0 else ("COMPANION_SEED", shift, seed, *names)
    digest = hashlib.sha256(repr(named).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def seed_shift() -> int:
    """COMPANION_SEED."""
    return int(_number("COMPANION_SEED", "0", int))


def cache_root() -> Path:
    """Folder of memoised results: COMPANION_CACHE, else the user's cache folder as this system names it."""
    from platformdirs import user_cache_path

    own = os.environ.get("COMPANION_CACHE")
    return Path(own) if own else user_cache_path("superposition-companion", appauthor=False)


def cache_limit() -> float:
    """Bytes that the cache folder may hold."""
    return 1e9 * _number("COMPANION_CACHE_GB", "20", float)


def _number(variable: str, default: str, kind: type):
    text = os.environ.get(variable) or default
    try:
        return kind(text)
    except ValueError:
        raise SetupError(f"{variable}={text!r} is not a number: set it to one, or unset it for {default}.") from None


def project_root() -> Path:
    """The folder that holds `notebooks` and `companion`: the nearest above the working folder, else that folder itself."""
    above = (Path.cwd(), *Path.cwd().parents)
    return next((folder for folder in above if (folder / "notebooks").is_dir() and (folder / "companion").is_dir()), Path.cwd())
