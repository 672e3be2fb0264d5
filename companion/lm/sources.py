"""Where a subject model comes from: trained on this machine, shipped with this package, or published on a hub.

`prepare` brings each of them into one form, a folder that `subject.open_subject` opens:

    subject.json            the model's name, its source, and for a published one what was asked for and the commits it stood for, by step
    tokens.safetensors      train and heldout contexts, (N, T) int32; not if a published model was asked for without text
    tokenizer files, and unless published config.json, model.safetensors and checkpoint-<step>/
"""

import hashlib
import json
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from companion.lm import checkpoints, corpus
from companion.lm.training import SubjectConfig, quiet_transformers, save_tokens, train

SUBJECTS = Path(__file__).parent / "subjects"
"""Package data: a folder per shipped subject, written by `companion.lm.ship`."""
SHIPPED_FILES = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
COMMIT = re.compile("[0-9a-f]{40}")


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

    A revision that is a branch or a tag is resolved when it is first fetched; subject.json records the commit it stood for, and should
    it stand for another one when weights are downloaded, that is an error.
    """

    name: str
    """Hub name, e.g. "gpt2" or "stanford-crfm/alias-gpt2-small-x21"."""
    revision: str
    """Of the weights: a commit, a tag or a branch."""
    steps: tuple[int, ...] = ()
    """Published training steps to use, each of the revision that `checkpoints.revision` says."""
    dataset: str | None = "Skylion007/openwebtext"
    """Hub name of the text; None for a model alone."""
    dataset_revision: str = "main"
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


def prepare(folder: Path, config: Config) -> None:
    """Fill `folder` with a subject. Use as `memo.memo_folder(sources.prepare, config)`.

    Raises:
        SubjectError: the shipped files are not those of the configuration, or the hub did not give what was asked for.
        corpus.EmptyCorpusError: an offline subject, and no Python sources on this machine.
    """
    if isinstance(config, SubjectConfig):
        train(folder, config)
        known = {"source": "trained"}
    elif isinstance(config, ShippedConfig):
        known = _unpack(folder, config)
    else:
        known = _fetch(folder, config)
    (folder / "subject.json").write_text(json.dumps({"name": config.name} | known), encoding="utf-8")


def _unpack(folder: Path, config: ShippedConfig) -> dict[str, Any]:
    if shipped(config.name) != config:
        raise SubjectError(f"{SUBJECTS / config.name} or this Python has changed since the configuration was made: ask sources.shipped for a new one")
    source = SUBJECTS / config.name
    for file in SHIPPED_FILES[2:]:
        shutil.copyfile(source / file, folder / file)
    _open_local(source).save_pretrained(folder)  # in float32 from here on
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


def _open_local(folder: Path) -> nn.Module:
    try:
        return _gpt2().from_pretrained(folder, dtype=torch.float32)
    except OSError as error:
        raise SubjectError(f"{folder} holds no model that can be opened: {error}") from error


def _gpt2():
    from transformers import GPT2LMHeadModel

    quiet_transformers()
    return GPT2LMHeadModel


def kept_steps(folder: Path) -> list[int]:
    """Training steps of which the subject's weights can be opened, in order; none of a shipped one."""
    if (known := record(folder))["source"] == "hub":
        return sorted(map(int, known["steps"]))
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))


# --- the hub ------------------------------------------------------------------------------------------------------------


def _fetch(folder: Path, config: HubConfig) -> dict[str, Any]:
    """Tokenizer and tokens into `folder`; the weights are fetched when the subject is opened. Returns what was asked for, with the commits."""
    from transformers import AutoTokenizer

    _are_published(config)
    known = {"source": "hub", "asked": config.revision, "revision": commit(config.name, config.revision), "dtype": config.dtype}
    known["steps"] = {step: commit(config.name, checkpoints.revision(config.name, step)) for step in config.steps}
    tokenizer = from_hub(lambda: AutoTokenizer.from_pretrained(config.name, revision=known["revision"]), config.name)
    tokenizer.save_pretrained(folder)
    if config.dataset is None:
        return known
    pinned = commit(config.dataset, config.dataset_revision, "dataset")
    read = from_hub(lambda: list(_web_contexts(tokenizer, config, pinned)), config.dataset)
    contexts = torch.tensor(read, dtype=torch.int32)
    save_file({"heldout": contexts[: config.heldout_contexts], "train": contexts[config.heldout_contexts :]}, folder / "tokens.safetensors")
    return known | {"dataset": config.dataset, "dataset_revision": pinned}


def _are_published(config: HubConfig) -> None:
    published = checkpoints.published_steps(config.name)
    if published and (unknown := sorted(set(config.steps) - set(published))):
        near = sorted(published, key=lambda step: abs(step - unknown[0]))[:3]
        raise SubjectError(
            f"{config.name} was not published at step {unknown[0]}; of its {len(published)} steps the nearest are {', '.join(map(str, sorted(near)))}"
        )


def commit(name: str, revision: str, kind: str = "model") -> str:
    """The commit that a branch or a tag of the hub stands for now; a commit stands for itself, without asking.

    Raises:
        SubjectError: see `from_hub`.
    """
    if COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    return from_hub(lambda: HfApi().repo_info(name, revision=revision, repo_type=kind).sha, f"{name} at {revision}")


def _web_contexts(tokenizer, config: HubConfig, revision: str) -> Iterator[list[int]]:
    import datasets

    wanted, stream = config.heldout_contexts + config.train_contexts, []
    for row in datasets.load_dataset(config.dataset, revision=revision, split="train", streaming=True):
        stream += [*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]
        while len(stream) >= config.context:
            yield stream[: config.context]
            stream, wanted = stream[config.context :], wanted - 1
            if wanted == 0:
                return
    raise ValueError(f"the data set ended {wanted} contexts of {config.context} tokens too early")


def from_hub(load: Callable[[], Any], what: str) -> Any:
    """`load()`, with whatever the hub's libraries raise as one clear error.

    Raises:
        SubjectError: no network and nothing in the cache, or the hub has no such name, revision or file.
    """
    import httpx
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import EntryNotFoundError

    quiet_transformers()
    # a missing repository, no network, a name that is none, a script in place of data, a broken stream
    try:
        return load()
    except (OSError, ValueError, RuntimeError, httpx.HTTPError, DatasetsError, EntryNotFoundError) as error:
        raise SubjectError(
            f"{what} could not be fetched: {error}. It needs a network (or a filled Hugging Face cache), and a published name."
            " What ships with this package needs neither: sources.shipped('python-stdlib-4l')."
        ) from error
