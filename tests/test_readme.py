"""What the README tells a reader to type."""

import contextlib
import importlib.util
import re
import shutil
from pathlib import Path

import pytest
import torch

from companion.sae import formats

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


SCRIPTS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LONGEST = 10
"""Lines of code of a script."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> list[dict]:
    """The names that each script leaves behind, run one after the other in one folder; none sees the names of another."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "tests" / "fixtures", folder / "tests" / "fixtures")
    left = []
    with contextlib.chdir(folder):
        for script in SCRIPTS:
            exec(compile(script, "README.md", "exec"), names := {"here": folder})
            left.append(names)
    return left


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.split("\n\n")[1].split()[0])
def test_scripts_are_short(script):
    lines = [line for line in script.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= LONGEST
    assert max(map(len, script.splitlines())) <= 110


def test_every_script_runs(ran):
    own, layer, published, evaluated, saved, edited = ran
    assert own["code"].indices.shape == (len(own["acts"]), own["config"].k)
    assert own["trained"].history["tokens"][-1] == 3 * len(own["acts"])
    assert own["rebuilt"].shape == own["acts"].shape
    assert layer["trained"].history["mse"][-1] < 0.6 * layer["trained"].history["mse"][0]
    assert published["sae"].origin["hook_name"] == "blocks.1.hook_resid_pre"
    assert published["rebuilt"].shape == published["acts"].shape
    assert evaluated["found"].about["layer"] == 2
    assert 0 < evaluated["rise"].low < evaluated["rise"].value < evaluated["rise"].high
    assert formats.load(saved["here"] / "my_sae", d_model=64, model_name="gpt2").n == saved["config"].n
    subject, tokens = edited["subject"], edited["tokens"]
    clean = subject.logits(tokens)
    assert torch.allclose(edited["logits"][:, :20], clean[:, :20], atol=1e-4)
    assert not torch.allclose(edited["logits"][:, 20:], clean[:, 20:], atol=1e-2)
    assert ((edited["code"].indices == 7) & (edited["code"].values == 5)).any(dim=-1)[:, 20:].all()


def test_every_command_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    typed = re.findall(r"^    make ([a-z-]+)|`make ([a-z-]+)|^\| `([a-z-]+)` \| `python", README, re.MULTILINE)
    assert typed
    assert {"".join(found) for found in typed} <= targets
    for module in re.findall(r"-m (companion\.\w+)", README):
        assert importlib.util.find_spec(module), module
    for script in re.findall(r"`python (\S+\.py)", README):
        assert (ROOT / script).is_file(), script
