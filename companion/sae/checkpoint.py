"""The state of a training run on disk: everything the next step depends on, in one file that is replaced at once."""

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

if TYPE_CHECKING:
    from companion.sae.train import Run

FILE = "run.safetensors"
PARTIAL = f"{FILE}.partial"


def keep(run: "Run", folder: Path) -> None:
    """Write weights, optimiser, running mean, silences, random stream, step and history, gathered from all processes.

    The state is that of the whole model, whatever the number of processes: another number can take it up.
    """
    tensors = {}
    for name, t in _state(run).items():
        whole = run.mesh.whole(t, name)
        tensors |= {} if run.mesh.silent else {name: whole.cpu().contiguous()}
    if not run.mesh.silent:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / PARTIAL
        notes = {"config": _text(run.config), "step": str(run.step), "history": json.dumps(run.history)}
        save_file(tensors | {"random": run.generator.get_state()}, partial, notes | {"weight": repr(run.average.weight if run.average else 1.0)})
        os.replace(partial, folder / FILE)


def resume(run: "Run", folder: Path) -> bool:
    """Put a run where `keep` left it; False if there is nothing in the folder. Bit-equal to a run that never stopped.

    Raises:
        ValueError: the file is damaged, of a run with another configuration or width, or not the same for all processes.
    """
    path = folder / FILE
    if found := path.is_file():
        _restore(run, path)
    steps, processes = run.mesh.batch_total(run.mesh.latent_total(torch.tensor([run.step, 1])))
    if steps != run.step * processes:
        raise ValueError(f"the processes do not all see the state in {folder}: give them one folder that they share")
    return found


def kept(folder: Path | str | None) -> str:
    """A sentence on what there is to go on from."""
    if folder is None or not (path := Path(folder) / FILE).is_file():
        return "no state of this run had been kept"
    with safe_open(path, "pt") as file:
        return f"the state after step {file.metadata()['step']} is in {path}: started again, on any number of processes, the run resumes from it"


def _restore(run: "Run", path: Path) -> None:
    notes, tensors = _read(path)
    if notes["config"] != _text(run.config):
        raise ValueError(f"{path} is a run with another configuration: {_difference(notes['config'], _text(run.config))}; choose another folder")
    for parameter in run.sae.parameters():  # Adam makes its memory at its first step
        run.adam.state[parameter] = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        run.adam.state[parameter]["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
    random, state = tensors.pop("random", None), _state(run)
    shapes = {name: run.mesh.own(t, name).shape for name, t in tensors.items()}
    if random is None or shapes != {name: t.shape for name, t in state.items()}:
        odd = sorted(name for name in shapes.keys() | state.keys() if name not in state or shapes.get(name) != state[name].shape)
        raise ValueError(f"{path} does not hold the tensors of this run: {', '.join(odd) or 'random'} missing, unknown or of another shape")
    for name, own in state.items():
        own.copy_(run.mesh.own(tensors[name], name))
    run.generator.set_state(random)
    run.step, run.history = int(notes["step"]), json.loads(notes["history"])
    if run.average:
        run.average.weight = float(notes["weight"])


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            notes, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{path} is no intact state of a run: {error}; delete it to begin anew") from error
    if missing := {"config", "step", "history", "weight"} - notes.keys():
        raise ValueError(f"{path} is no state of a run: its header lacks {', '.join(sorted(missing))}")
    return notes, tensors


def _state(run: "Run") -> dict[str, Tensor]:
    """Every tensor of the run by name; the last part of a name tells what is split over latents and what is not."""
    state = {f"sae.{name}": t for name, t in run.sae.tensors().items()} | {"silent": run.silent, "error_of_mean": run.error_of_mean}
    for name, parameter in run.sae.named_parameters():
        state |= {f"adam.{moment}.{name}": t for moment, t in run.adam.state[parameter].items()}
    if run.average:
        names = [name for name, _ in run.sae.named_parameters()]
        state |= {f"mean.{name}": t for name, t in zip(names, run.average.means, strict=True)}
    return state


def _text(config) -> str:
    return json.dumps(dataclasses.asdict(config))


def _difference(there: str, here: str) -> str:
    old, new = json.loads(there), json.loads(here)
    return ", ".join(f"{name} is {old.get(name)} there and {new[name]} here" for name in new if old.get(name) != new[name])
