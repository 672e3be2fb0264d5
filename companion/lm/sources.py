"""Where a subject model comes from: trained on this machine, shipped with this package, or published on a hub.

`prepare` brings each of them into one form, a folder that `subject.open_subject` opens:

    subject.json            the model's name, its source, and for a published one the commits of its weights by step
    tokens.safetensors      train and heldout contexts, (N, T) int32
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

from companion.lm import corpus
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

    A revision that is a branch or a tag is resolved when it is first fetched; subject.json records the commit it stood for.
    """

    name: str
    """Hub name, e.g. "gpt2" or "stanford-crfm/alias-gpt2-small-x21"."""
    revision: str
    """Of the weights: a commit, a tag or a branch."""
    steps: tuple[int, ...] = ()
    """Published training steps to use, each the revision checkpoint-<step>."""
    dataset: str = "Skylion007/openwebtext"
    dataset_revision: str = "main"
    context: int = 64
    train_contexts: int = 400_000
    heldout_contexts: int = 8_000


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


def open_model(folder: Path, step: int | None) -> nn.Module:
    """The model of a prepared folder, in float32, at its last or at a kept step."""
    known = json.loads((folder / "subject.json").read_text(encoding="utf-8"))
    if known["source"] != "hub":
        return _open_local(folder if step is None else folder / f"checkpoint-{step}")
    revision = known["revision"] if step is None else known["steps"][str(step)]
    return _from_hub(lambda: _gpt2().from_pretrained(known["name"], revision=revision, dtype=torch.float32), f"{known['name']} at {revision}")


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
    known = json.loads((folder / "subject.json").read_text(encoding="utf-8"))
    if known["source"] == "hub":
        return sorted(map(int, known["steps"]))
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))


# --- the hub ------------------------------------------------------------------------------------------------------------


def _fetch(folder: Path, config: HubConfig) -> dict[str, Any]:
    """Tokenizer and tokens into `folder`; the weights are fetched when the subject is opened. Returns the commits."""
    from transformers import AutoTokenizer

    commits = {"source": "hub", "revision": _commit(config.name, config.revision), "dataset": config.dataset}
    commits["dataset_revision"] = _commit(config.dataset, config.dataset_revision, "dataset")
    commits["steps"] = {step: _commit(config.name, f"checkpoint-{step}") for step in config.steps}
    tokenizer = _from_hub(lambda: AutoTokenizer.from_pretrained(config.name, revision=commits["revision"]), config.name)
    tokenizer.save_pretrained(folder)
    read = _from_hub(lambda: list(_web_contexts(tokenizer, config, commits["dataset_revision"])), config.dataset)
    contexts = torch.tensor(read, dtype=torch.int32)
    save_file({"heldout": contexts[: config.heldout_contexts], "train": contexts[config.heldout_contexts :]}, folder / "tokens.safetensors")
    return commits


def _commit(name: str, revision: str, kind: str = "model") -> str:
    if COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    return _from_hub(lambda: HfApi().repo_info(name, revision=revision, repo_type=kind).sha, f"{name} at {revision}")


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


def _from_hub(load: Callable[[], Any], what: str) -> Any:
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
        ) from error
