"""The state of a training on disk: everything its next step depends on, in one file that is replaced at once."""

import json
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from companion import files

FILE = "state.safetensors"


class State(NamedTuple):
    """What `train.Training.state_dict` gives and `load_state_dict` takes: that of the whole model, whatever the number of processes."""

    tensors: dict[str, Tensor]
    notes: dict
    """config, step, tokens seen, history, and the weight of the running mean: numbers and text, as JSON has them."""


NOTES = {"config", "step", "tokens", "history", "weight"}


def write(state: State, folder: Path) -> None:
    """Put a state in the place of the one that `folder` held."""
    tensors = {name: t.cpu().contiguous() for name, t in state.tensors.items()}
    files.write(folder / FILE, save(tensors, {name: json.dumps(note) for name, note in state.notes.items()}))


def read(folder: Path) -> State | None:
    """The state that `write` left in a folder, if any.

    Raises:
        ValueError: the file is damaged, or is something else.
    """
    if not (path := folder / FILE).is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            notes, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{path} is no intact state of a training: {error}; delete it to begin anew") from error
    if missing := NOTES - notes.keys():
        raise ValueError(f"{path} is no state of a training: its header lacks {', '.join(sorted(missing))}")
    return State(tensors, {name: json.loads(note) for name, note in notes.items()})


def kept(folder: Path | None) -> str:
    """A sentence on what there is to go on from."""
    if folder is None or not (path := folder / FILE).is_file():
        return "no state of it had been kept"
    with safe_open(path, "pt") as file:
        return f"the state after step {file.metadata()['step']} is in {path}: started again, on any number of processes, training resumes from it"
