"""Where a subject model comes from: trained on this machine, shipped with this package, or published on a hub.

`prepare`, and for a published one `hub.prepare`, bring each of them into one form, a folder that `subject.open_subject` opens:

    subject.json            the model's name, its source, and for a published one what was asked for and the commits it stood for, by step
    tokens.safetensors      train and heldout contexts, (N, T) int32; not if a published model was asked for without text
    tokenizer files, and unless published config.json, model.safetensors and checkpoint-<step>/

What opens published models is not imported here, so that an edit of it trains no subject again (`companion.memo`).
"""

import hashlib
import json
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from companion.lm import corpus
from companion.lm.training import SubjectConfig, quiet_transformers, save_tokens, train

SUBJECTS = Path(__file__).parent / "subjects"
"""Package data: a folder per shipped subject, written by `companion.lm.ship`."""
SHIPPED_FILES = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")


class SubjectError(RuntimeError):
    """A folder, name, checkpoint or site that is not what it was taken for."""


@dataclass(frozen=True)
class ShippedConfig:
    """A subject of this package, with the text of this machine's own Python library. Made by `shipped`."""

    name: str
    sha256: str
    """Of its files: another shipped subject of the same name is another configuration."""
    python: str = field(default_factory=platform.python_version)
    """The text is the library of this version."""


@dataclass(frozen=True)
class HubConfig:
    """A published model instead of an offline one: for the `paper` profile, where there is a network.

    A revision that is a branch or a tag is resolved by `hub.prepare`; subject.json records the commit it stood for, and should it stand
    for another one when weights are downloaded, that is an error.
    """

    name: str
    """Hub name, e.g. "gpt2" or "stanford-crfm/alias-gpt2-small-x21"."""
    revision: str
    """Of the weights: a commit, a tag or a branch."""
    steps: tuple[int, ...] = ()
    """Published training steps to use, each of the revision that `checkpoints.revision` says."""
    dataset: str | None = "Skylion007/openwebtext"
    """Hub name of the text; None for a model alone."""
    dataset_revision: str = "refs/convert/parquet"
    """The branch that the hub makes itself of every data set. The main one of this data set held a loading script, which `datasets` 4
    and later refuse (karpathy/nanoGPT issue 633)."""
    context: int = 64
    train_contexts: int = 400_000
    heldout_contexts: int = 8_000
    dtype: str | None = None
    """Of the weights, e.g. "float32"; None keeps them as they are published (Pythia in float16, Gemma in bfloat16)."""


Config = SubjectConfig | ShippedConfig | HubConfig


def shipped(name: str) -> ShippedConfig:
    """The configuration of a subject that ships with this package.

    Raises:
        SubjectError: none of that name; says which there are.
    """
    if not (SUBJECTS / name / SHIPPED_FILES[0]).is_file():
        names = ", ".join(sorted(path.parent.name for path in SUBJECTS.glob("*/provenance.json"))) or "none"
        raise SubjectError(f"no subject model {name!r} ships with this package; there are: {names}")
    sums = [hashlib.sha256((SUBJECTS / name / file).read_bytes()).hexdigest() for file in SHIPPED_FILES]
    return ShippedConfig(name, hashlib.sha256("".join(sums).encode()).hexdigest())


def provenance(name: str) -> dict[str, Any]:
    """How a shipped subject was trained: its configuration, versions, and held-out loss (nats per token)."""
    return json.loads((SUBJECTS / name / "provenance.json").read_text(encoding="utf-8"))


def prepare(folder: Path, config: SubjectConfig | ShippedConfig) -> None:
    """Fill `folder` with a subject that needs no network. Use as `memo.memo_folder(sources.prepare, config)`.

    Raises:
        SubjectError: the shipped files are not those of the configuration.
        corpus.EmptyCorpusError: an offline subject, and no Python sources on this machine.
    """
    if isinstance(config, SubjectConfig):
        train(folder, config)
        known = {"source": "trained"}
    else:
        known = _unpack(folder, config)
    (folder / "subject.json").write_text(json.dumps({"name": config.name} | known), encoding="utf-8")


def _unpack(folder: Path, config: ShippedConfig) -> dict[str, Any]:
    if shipped(config.name) != config:
        raise SubjectError(f"{SUBJECTS / config.name} or this Python has changed since the configuration was made: ask sources.shipped for a new one")
    source = SUBJECTS / config.name
    for file in SHIPPED_FILES[2:]:
        shutil.copyfile(source / file, folder / file)
    _open_gpt2(source).save_pretrained(folder)  # in float32 from here on
    from tokenizers import Tokenizer

    trained = provenance(config.name)["config"]
    split = corpus.split_by_file(corpus.library_texts(), trained["characters"])
    save_tokens(folder, Tokenizer.from_file(str(folder / "tokenizer.json")), split, trained["context"])
    return {"source": "shipped", "sha256": config.sha256}


def record(folder: Path) -> dict[str, Any]:
    """What subject.json says; a folder without one is a model alone, called like its folder."""
    if not (folder / "subject.json").is_file():
        return {"name": folder.resolve().name, "source": "folder"}
    return json.loads((folder / "subject.json").read_text(encoding="utf-8"))


def _open_gpt2(folder: Path) -> nn.Module:
    from transformers import GPT2LMHeadModel

    quiet_transformers()
    try:
        return GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    except OSError as error:
        raise SubjectError(f"{folder} holds no model that can be opened: {error}") from error


def kept_steps(folder: Path) -> list[int]:
    """Training steps of which the subject's weights can be opened, in order; none of a shipped one."""
    if (known := record(folder))["source"] == "hub":
        return sorted(map(int, known["steps"]))
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))
