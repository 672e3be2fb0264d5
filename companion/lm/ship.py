"""Make the subjects that ship with the package: train them here and write them under companion/lm/subjects.

python -m companion.lm.ship            those whose training configuration is not the one they were made with
python -m companion.lm.ship --again    all of them
"""

import json
import platform
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

from companion import files
from companion.lm import sources, training
from companion.lm.subject import open_subject

COMPILED = ("torch", "tokenizers", "transformers", "safetensors")


def current(config: training.SubjectConfig) -> bool:
    """Whether the shipped subject of this name was trained as `config` says, whatever the version of Python."""
    try:
        made = sources.provenance(config.name)["config"]
    except OSError:
        return False
    return made | {"python": ""} == asdict(config) | {"python": ""}


def ship(config: training.SubjectConfig, trained: Path, into: Path) -> None:
    """Write the subject of the folder `trained` as package data `into` a folder, all or nothing: in bfloat16, with the held-out
    loss of those rounded weights in nats per token, over every held-out context of this machine's library."""
    with files.folder(into) as folder:
        open_subject(trained).model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "generation_config.json").unlink()
        for name in sources.SHIPPED_FILES[2:]:
            (folder / name).write_bytes((trained / name).read_bytes())
        rounded = open_subject(trained)
        rounded.model.to(torch.bfloat16).float()
        versions = {package: version(package) for package in COMPILED}
        known = {"config": asdict(config), "versions": versions, "machine": platform.machine()}
        known["heldout_loss"] = rounded.losses(rounded.tokens("heldout")).mean().item()
        (folder / "provenance.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Train and write what is not current."""
    for config in training.OFFLINE.values():
        if current(config) and "--again" not in sys.argv[1:]:
            print(f"{config.name}: kept")
            continue
        with tempfile.TemporaryDirectory() as folder:
            sources.prepare(Path(folder), config)
            ship(config, Path(folder), sources.SUBJECTS / config.name)
        print(f"{config.name}: held-out loss {sources.provenance(config.name)['heldout_loss']:.3f} nats")


if __name__ == "__main__":
    main()
