"""What the README tells a reader to type."""

import importlib.util
import re
from pathlib import Path

from companion.sae import formats

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_snippet_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        exec(compile(block, "README.md", "exec"), names)
    assert names["code"].indices.shape == (len(names["acts"]), names["config"].k)
    assert formats.load(tmp_path / "my_sae", d_model=64).n == names["config"].n


def test_every_command_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    typed = re.findall(r"^    make ([a-z-]+)|`make ([a-z-]+)|^\| `([a-z-]+)` \| `python", README, re.MULTILINE)
    assert typed
    assert {"".join(found) for found in typed} <= targets
    for module in re.findall(r"-m (companion\.\w+)", README):
        assert importlib.util.find_spec(module), module
    for script in re.findall(r"`python (\S+\.py)", README):
        assert (ROOT / script).is_file(), script
