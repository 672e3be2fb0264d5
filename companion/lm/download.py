"""Weights of a published model: from the hub, or its cache on this machine, always at the commits that subject.json records.

A name that stood for one commit when it was first used (a branch, a tag, a training step) and stands for another when its weights are to
be downloaded is refused: what was measured on the one would be filed with the other.
"""

import json
import logging
import re
from pathlib import Path
from typing import Any

from companion.lm import checkpoints, families
from companion.lm.hub import commit, from_hub
from companion.lm.sources import SubjectError

log = logging.getLogger("companion")
WEIGHTS = ("model", "safetensors"), ("pytorch_model", "bin")
"""What a repository may hold them as, the first choice first."""


def weights(record: dict[str, Any], step: int | None) -> Path:
    """The folder with config.json and the weights of what subject.json (`record`) names, downloaded if this machine has no copy.

    Raises:
        SubjectError: no network, a name that now stands for another commit, an unknown architecture, or no weights there.
    """
    asked = record["asked"] if step is None else checkpoints.revision(record["name"], step)
    pinned = record["revision"] if step is None else record["steps"][str(step)]
    held = _cached(record["name"], pinned)
    return _download(record["name"], asked, pinned) if held is None else held


def files(name: str, pinned: str) -> dict[str, int]:
    """The files to download for one commit, with their sizes in bytes as the hub states them.

    Raises:
        SubjectError: no network, or a repository without weights that can be opened.
    """
    from huggingface_hub import HfApi

    info = from_hub(lambda: HfApi().repo_info(name, revision=pinned, repo_type="model", files_metadata=True), f"{name} at {pinned}")
    sizes = {file.rfilename: file.size or 0 for file in info.siblings}
    for stem, ending in WEIGHTS:
        parts = re.compile(rf"{stem}(-\d+-of-\d+)?\.{ending}")
        if found := {file: size for file, size in sizes.items() if parts.fullmatch(file)}:
            return {file: size for file, size in sizes.items() if file in (*found, "config.json", f"{stem}.{ending}.index.json")}
    raise SubjectError(f"{name} at {pinned} holds no weights in a form that can be opened: safetensors, or a PyTorch .bin")


def _cached(name: str, pinned: str) -> Path | None:
    """This machine's copy, if it is whole: a tokenizer alone makes a folder too, and so does a download that was broken off."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=pinned, local_files_only=True, allow_patterns=["config.json"]))
    except (OSError, ValueError):  # none, or no name of the hub's
        return None
    return folder if (folder / "config.json").is_file() and any(_whole(folder, f"{stem}.{ending}") for stem, ending in WEIGHTS) else None


def _whole(folder: Path, file: str) -> bool:
    index = folder / f"{file}.index.json"
    parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index.is_file() else {file}
    return all((folder / part).is_file() for part in parts)


def _download(name: str, asked: str, pinned: str) -> Path:
    from huggingface_hub import snapshot_download
    from tqdm.std import tqdm

    if (now := commit(name, asked)) != pinned:
        raise SubjectError(
            f"{asked} of {name} was commit {pinned} when it was first used here and is {now} now. To go on with what it was, ask for that commit"
            f" as the revision; to take the new one, `python -m companion.memo --clean` and start again"
        )
    sizes = files(name, pinned)
    what = f"{name} at {pinned} ({sum(sizes.values()) / 1e9:.3g} GB)"

    def get(wanted: list[str]) -> Path:
        # a plain bar of the hub's own progress: its usual one is switched off with those that a notebook stores as widgets
        return Path(from_hub(lambda: snapshot_download(name, revision=pinned, allow_patterns=wanted, tqdm_class=tqdm), what))

    families.architecture(get(["config.json"]))  # before gigabytes that could not be used
    log.warning("companion: downloading %s", what)
    return get(list(sizes))
