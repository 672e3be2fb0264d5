"""Published models by name: which commits of the hub they stand for, their tokenizer, and text from the hub as contexts for them.

The weights are fetched by `download.weights` when a subject is opened, at the commits that subject.json records.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from companion.lm import checkpoints
from companion.lm.sources import HubConfig, SubjectError
from companion.lm.training import quiet_transformers

COMMIT = re.compile("[0-9a-f]{40}")


def prepare(folder: Path, config: HubConfig) -> None:
    """Fill `folder` with what `sources` says of a published subject. Use as `memo.memo_folder(hub.prepare, config)`.

    Raises:
        SubjectError: the hub did not give what was asked for, or the model was not published at a step.
    """
    from transformers import AutoTokenizer

    known = {"name": config.name, "source": "hub", "dtype": config.dtype} | _commits(config)
    tokenizer = from_hub(lambda: AutoTokenizer.from_pretrained(config.name, revision=known["revision"]), config.name)
    tokenizer.save_pretrained(folder)
    if config.dataset is not None:
        known |= {"dataset": config.dataset, "dataset_revision": commit(config.dataset, config.dataset_revision, "dataset")}
        read = from_hub(lambda: list(_web_contexts(tokenizer, config, known["dataset_revision"])), config.dataset)
        contexts = torch.tensor(read, dtype=torch.int32)
        save_file({"heldout": contexts[: config.heldout_contexts], "train": contexts[config.heldout_contexts :]}, folder / "tokens.safetensors")
    (folder / "subject.json").write_text(json.dumps(known), encoding="utf-8")


def _commits(config: HubConfig) -> dict[str, Any]:
    published = checkpoints.published_steps(config.name)
    if published and (unknown := sorted(set(config.steps) - set(published))):
        near = sorted(sorted(published, key=lambda step: abs(step - unknown[0]))[:3])
        nearest = f"of its {len(published)} steps the nearest are {', '.join(map(str, near))}"
        raise SubjectError(f"{config.name} was not published at step {unknown[0]}; {nearest}")
    steps = {step: commit(config.name, checkpoints.revision(config.name, step)) for step in config.steps}
    return {"asked": config.revision, "revision": commit(config.name, config.revision), "steps": steps}


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

    wanted, stream, first = config.heldout_contexts + config.train_contexts, [], first_tokens(tokenizer)
    room = config.context - len(first)
    for row in datasets.load_dataset(config.dataset, revision=revision, split="train", streaming=True):
        stream += [*tokenizer(row["text"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        while len(stream) >= room:
            yield first + stream[:room]
            stream, wanted = stream[room:], wanted - 1
            if wanted == 0:
                return
    raise ValueError(f"the data set ended {wanted} contexts of {config.context} tokens too early")


def first_tokens(tokenizer: Any) -> list[int]:
    """What a model of this tokenizer expects before any text: its BOS token if the tokenizer puts it there by itself (Llama, Gemma),
    otherwise nothing (GPT-2, Pythia). Without it Llama's and Gemma's activations are not those they were trained with."""
    empty = tokenizer("")["input_ids"]
    return empty[:1] if empty and empty[0] == tokenizer.bos_token_id else []


def from_hub(load: Callable[[], Any], what: str) -> Any:
    """`load()`, with whatever the hub's libraries raise as one clear error.

    Raises:
        SubjectError: no network and nothing in the cache, or the hub has no such name, revision or file.
    """
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import EntryNotFoundError, HTTPError  # of the HTTP library that the hub's uses: httpx, later httpx2

    quiet_transformers()
    # a missing repository, no network, a name that is none, a script in place of data, a broken stream
    try:
        return load()
    except (OSError, ValueError, RuntimeError, HTTPError, DatasetsError, EntryNotFoundError) as error:
        raise SubjectError(
            f"{what} could not be fetched: {error}. It needs a network (or a filled Hugging Face cache), and a published name."
            " What ships with this package needs neither: sources.shipped('python-stdlib-4l')."
        ) from error
