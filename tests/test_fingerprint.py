"""One change at a time: what a result depends on must give another key, what it does not depend on must not."""

import dataclasses
import functools
import importlib.metadata
import linecache
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from companion import fingerprint, render, run, source

PAGE = """
import functools
from dataclasses import dataclass
from typing import NamedTuple
import torch

table = {"a": 1.0, "b": [1, 2]}
grid = torch.tensor([1.0, 2.0])
RATE = 0.1

class Kind:
    scale = 2.0

    @staticmethod
    def shift(x):
        return helper(x)

    @property
    def twice(self):
        return 2

    def build(self, x):
        return inner(x) + self.scale

@dataclass(frozen=True)
class Config:
    n: int = 3
    kind: Kind = Kind

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return called_by_forward(x)

def called_by_forward(x):
    return x * x

def inner(x):
    return x + 1

def helper(x):
    return x - 1

def stop(x, least=0):
    return max(x, least)

def outer(factor):
    def scaled(x):
        return factor * x
    return scaled

triple = outer(3)
tripled = functools.partial(stop, least=3)

def draw(x):  # never called by make
    return x

def make(config):
    "What it does."
    import companion.toy.schedule
    made = config.kind().build(config.n) + Kind.shift(1) + Square.apply(grid) + table["a"] * RATE
    return {"x": stop(triple(tripled(made)))}
"""

CHANGES = {
    "a function reached through an argument's method": ("return x + 1", "return x + 2"),
    "what a static method calls": ("return x - 1", "return x - 2"),
    "what an autograd function calls": ("return x * x", "return x * x * x"),
    "a class attribute": ("scale = 2.0", "scale = 3.0"),
    "a property": ("return 2\n", "return 3\n"),
    "a default of a function": ("least=0", "least=1"),
    "a default of a field": ("n: int = 3", "n: int = 4"),
    "what a function closes over": ("outer(3)", "outer(4)"),
    "an argument of a partial": ("least=3)", "least=4)"),
    "a number among the globals": ("RATE = 0.1", "RATE = 0.2"),
    "a dict among the globals": ('"b": [1, 2]', '"b": [1, 3]'),
    "a tensor among the globals": ("torch.tensor([1.0, 2.0])", "torch.tensor([1.0, 2.0], dtype=torch.float64)"),
    "an import inside a function": ("import companion.toy.schedule", "import companion.toy.theory"),
}
HARMLESS = {
    "a docstring": ("What it does.", "What it does, said better."),
    "a comment": ("# never called by make", "# another comment"),
    "layout": ("def inner(x):\n    return x + 1", "def inner(x):\n\n    return (x + 1)"),
    "a function for a plot": ("def draw(x):", "def draw(x, colour=None):"),
}


def key_of_page(text: str) -> dict:
    """The fingerprint of `make` on a page with this source, as in a notebook: module __main__, the source in linecache."""
    space = {"__name__": "__main__"}
    name = f"/tmp/ipykernel_1/{hash(text)}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)
    return fingerprint.of(space["make"], space["Config"]())


@pytest.mark.parametrize("change", CHANGES)
def test_another_key(change):
    before, after = CHANGES[change]
    assert PAGE.count(before) == 1
    assert key_of_page(PAGE) == key_of_page(PAGE)
    assert key_of_page(PAGE) != key_of_page(PAGE.replace(before, after))


@pytest.mark.parametrize("change", HARMLESS)
def test_the_same_key(change):
    before, after = HARMLESS[change]
    assert PAGE.count(before) == 1
    assert key_of_page(PAGE) == key_of_page(PAGE.replace(before, after))


@dataclass(frozen=True)
class One:
    n: int = 3


@dataclass(frozen=True)
class Other:
    n: int = 3


def make(config):
    return {"n": config.n}


def test_two_types_of_equal_fields_have_two_keys():
    assert fingerprint.of(make, One()) != fingerprint.of(make, Other())


def test_long_arrays_are_told_apart_by_their_bytes():
    long = np.zeros(5000)
    changed = long.copy()
    changed[2500] = 1
    assert fingerprint.of(make, {"a": long}) != fingerprint.of(make, {"a": changed})
    assert fingerprint.of(make, {"a": long}) == fingerprint.of(make, {"a": long.copy()})


def test_a_version_the_device_and_the_seed_belong_to_the_key(monkeypatch):
    before = fingerprint.of(importing, None)
    assert before["versions"] == {"torch": importlib.metadata.version("torch")}
    monkeypatch.setattr(fingerprint, "version", lambda name: "9.9")
    assert fingerprint.of(importing, None) != before
    monkeypatch.undo()
    monkeypatch.setenv("COMPANION_SEED", "3")
    assert fingerprint.of(importing, None) != before
    monkeypatch.delenv("COMPANION_SEED")
    monkeypatch.setattr(run, "device", lambda: "cuda")
    assert fingerprint.of(importing, None) != before


def importing(config):
    return {"x": torch.zeros(1)}


class Opaque:
    pass


held = Opaque()


def reads_opaque(config):
    return {"x": held}


state = object()


def reads_an_object(config):
    return {"x": state}


@pytest.mark.parametrize("function", [reads_opaque, reads_an_object])
def test_a_global_that_cannot_be_hashed_is_an_error_that_says_what_to_do(function):
    with pytest.raises(fingerprint.UnhashableError, match=r"the global '\w+', read by \w+.*cannot be hashed.*through the configuration"):
        fingerprint.of(function, None)


def test_functions_that_call_each_other_come_to_an_end():
    text = (
        "def a(n):\n    return b(n)\n\ndef b(n):\n    return a(n - 1) if n else 0\n\ndef make(config):\n    return {'x': a(config)}\nConfig = int\n"
    )
    assert key_of_page(text) == key_of_page(text) != key_of_page(text.replace("else 0", "else 1"))


# --- the package's own modules ---

MODULES = {
    "a": '"""Docstring."""\nfrom companion import b, plots\nSIZE = 3\nclass Layer:\n    width = 2\n    def forward(x):\n        return b.near(x)\n',
    "b": "def near(x):\n    from companion.c import far\n    return far(x)\n",
    "c": "def far(x):\n    return x  # as it is\n",
    "plots": "def draw(x):\n    return x\n",
    "claims": "BAND = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in the place of the real one."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(source, "PACKAGE", tmp_path)
    return tmp_path


def key_of_module() -> dict[str, str]:
    return {name: source.module_hash(name) for name in source.closure({"companion.a"})}


def edit(package: Path, name: str, before: str, after: str) -> dict[str, str]:
    path = package / f"{name}.py"
    assert before in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    return key_of_module()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("a", "width = 2", "width = 3"), ("a", "SIZE = 3", "SIZE = 4"), ("b", "return far(x)", "return far(x) + 1"), ("c", "return x ", "return -x ")],
)
def test_any_edit_in_the_import_closure_is_another_key(package, name, before, after):
    key = key_of_module()
    assert set(key) == {"companion.a", "companion.b", "companion.c"}
    assert edit(package, name, before, after) != key


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("a", "Docstring.", "Another."), ("c", "as it is", "unchanged"), ("plots", "return x", "return 2 * x"), ("claims", "BAND = 1", "BAND = 2")],
)
def test_prose_plots_and_claims_are_not(package, name, before, after):
    key = key_of_module()
    assert edit(package, name, before, after) == key


def test_of_run_only_the_random_generators_count(tmp_path, monkeypatch):
    text = Path(run.__file__).read_text(encoding="utf-8")
    monkeypatch.setattr(source, "PACKAGE", tmp_path)
    monkeypatch.delitem(sys.modules, "companion.run")
    hashes = []
    for changed in (text, text.replace("is not known", "is unknown"), text.replace("digest[:8]", "digest[:7]")):
        (tmp_path / "run.py").write_text(changed, encoding="utf-8")
        hashes.append(source.module_hash("companion.run"))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("change", ["edited", "replaced", "constant"])
def test_code_that_is_not_the_file_s_is_refused(package, change):
    module = types.ModuleType("companion.c")
    module.__file__ = str(package / "c.py")
    (package / "c.py").write_text("SIZE = 3\n\ndef far(x):\n    return x\n", encoding="utf-8")
    exec(compile((package / "c.py").read_text(encoding="utf-8"), module.__file__, "exec"), vars(module))
    sys.modules["companion.c"] = module
    try:
        key_of_module()
        if change == "edited":
            (package / "c.py").write_text("SIZE = 3\n\ndef far(x):\n    return -x\n", encoding="utf-8")
        elif change == "replaced":
            module.far = lambda x: -x
        else:
            module.SIZE = 4
        with pytest.raises(run.SetupError, match=r"companion\.c\.(far|SIZE) is not what .*Restart the kernel"):
            key_of_module()
    finally:
        del sys.modules["companion.c"]


def test_every_module_of_the_package_is_what_its_file_holds():
    """No module rewrites its own functions or constants, which would make every memo refuse it."""
    import companion.sae.train
    import companion.toy.computing

    assert companion.sae.train.__name__ in (modules := source.closure({"companion.sae.train", "companion.toy.computing"}))
    assert all(len(source.module_hash(name)) == 64 for name in modules)


def test_edit_run_again_it_changes_on_a_real_page():
    """Notebook 02 up to its phase diagram, run in a kernel, then with one number of CANDIDATES changed in the same session."""
    page = render.notebook_of(Path(__file__).parents[1] / "notebooks" / "02_phase_change.py")
    kept = [cell for cell in page.cells if cell.cell_type == "code" and "skip-execution" not in cell.metadata.get("tags", [])]
    last = next(index for index, cell in enumerate(kept) if "memo.memo(optima" in cell.source)
    candidates = next(cell for cell in kept if cell.source.startswith("CANDIDATES = "))
    changed = candidates.source.replace("[[1, 0], [0, 1], [1, -1]]", "[[1, 0], [0, 1], [2, -1]]")
    assert changed != candidates.source
    show = "from companion import fingerprint\nprint(fingerprint.of(optima, cfg)['reached'].keys())"
    cells = [*[cell.source.replace("memo.memo(optima, cfg)", "{}") for cell in kept[: last + 1]], show, show, changed, show]
    cells[last] = cells[last].split("\nfound = ")[0]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells], metadata=page.metadata)
    where = {"metadata": {"path": Path(__file__).parents[1] / "notebooks"}}
    NotebookClient(notebook, timeout=600, startup_timeout=300, kernel_name="python3", resources=where).execute()
    first, again, after = (notebook.cells[index].outputs[0].text for index in (-4, -3, -1))
    assert first == again != after


def test_wrapped_cached_and_generated_functions_are_described():
    @functools.cache
    def cached(x):
        return x

    def make(config):
        return {"x": cached(dataclasses.replace(One(), n=2).n)}

    assert fingerprint.of(make, None)["reached"]
