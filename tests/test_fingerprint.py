"""One change at a time: what a result depends on must give another key, what it does not depend on must not."""

import importlib.metadata
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from companion import fingerprint, render, run, source

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PAGE = """
import functools
from dataclasses import dataclass
from typing import NamedTuple
import torch

table = {"a": 1.0, "b": [1, 2]}
grid = torch.tensor([1.0, 2.0])
RATE = 0.1

class Meta(type):
    def __call__(cls):
        return super().__call__()

class Kind(metaclass=Meta):
    scale = 2.0

    @staticmethod
    def shift(x):
        return helper(x)

    @property
    def twice(self):
        return 2

    @twice.setter
    def twice(self, value):
        self.half = value / 2

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
    return max(x, default=least)

def outer(factor):
    def scaled(x):
        return factor * x
    return scaled

def repeated(times):
    def decorate(function):
        @functools.wraps(function)
        def again(x):
            return times * function(x)
        return again
    return decorate

@repeated(times=4)
def decorated(x):
    return x * decorated.power

decorated.power = 5

@functools.cache
def cached(n):
    return n - 7

triple = outer(3)
tripled = functools.update_wrapper(functools.partial(stop, least=3), stop)

def draw(x):  # never called by make
    return x

def make(config):
    "What it does."
    import companion.toy.schedule
    made = config.kind().build(cached(config.n)) + Kind.shift(1) + Square.apply(grid) + table["a"] * RATE
    return {"x": stop(triple(tripled(decorated(made))))}
"""

CHANGES = {
    "a function reached through an argument's method": ("return x + 1", "return x + 2"),
    "what a static method calls": ("return x - 1", "return x - 2"),
    "what an autograd function calls": ("return x * x", "return x * x * x"),
    "a class attribute": ("scale = 2.0", "scale = 3.0"),
    "a property": ("return 2\n", "return 3\n"),
    "what sets a property": ("value / 2", "value / 3"),
    "what is cached": ("n - 7", "n - 8"),
    "a metaclass": ("super().__call__()", "None"),
    "a decorator": ("times * function(x)", "times + function(x)"),
    "an argument of a decorator": ("times=4", "times=3"),
    "an attribute of a function": ("power = 5", "power = 6"),
    "a default of a function": ("least=0", "least=1"),
    "the name of an argument": ("max(x, default=least)", "max(x, key=least)"),
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


def page(*cells: str) -> dict:
    """The names of a page with these cells, as in a notebook: module __main__."""
    space = {"__name__": "__main__"}
    for cell in cells:
        exec(compile(cell, "/tmp/ipykernel_1/1.py", "exec"), space)
    return space


def key_of_page(text: str) -> dict:
    space = page(text)
    return fingerprint.of(space["make"], space["Config"]())


@pytest.mark.parametrize("change", [*CHANGES, *HARMLESS])
def test_a_change_of_the_page(change):
    before, after = (CHANGES | HARMLESS)[change]
    assert PAGE.count(before) == 1
    assert key_of_page(PAGE) == key_of_page(PAGE)
    assert (key_of_page(PAGE) == key_of_page(PAGE.replace(before, after))) == (change in HARMLESS)


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


def scaled(factor):
    return lambda x: factor * x


def test_what_a_function_of_the_package_closes_over_belongs_to_the_key(monkeypatch):
    monkeypatch.setattr(source, "is_own", lambda module: False)
    assert fingerprint.of(make, scaled(2)) != fingerprint.of(make, scaled(3))


def test_a_global_that_cannot_be_hashed_is_an_error_that_says_what_to_do():
    lock = "import threading\nheld = threading.Lock()\ndef make(config):\n    return {'x': held}\n"
    with pytest.raises(fingerprint.UnhashableError, match=r"the global 'held', read by \S+.*cannot be hashed.*through the configuration"):
        fingerprint.of(page(lock)["make"], None)


def test_a_value_that_holds_itself_is_an_error():
    held = []
    held.append(held)
    with pytest.raises(fingerprint.UnhashableError, match="holds itself and cannot be hashed"):
        fingerprint.of(make, held)


@pytest.mark.parametrize(
    "text", ["import own\ndef make(config):\n    return own.f()\n", "def make(config):\n    from own import f\n    return f()\n"]
)
def test_what_is_used_of_a_module_of_one_s_own_must_be_seen(tmp_path, monkeypatch, text):
    (tmp_path / "own.py").write_text("def f():\n    return {'x': 1}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(fingerprint.UnhashableError, match=r"your own module 'own.*' cannot be seen.*Write `from own"):
        fingerprint.of(page(text)["make"], None)
    function = page("from own import f")["f"]
    before = fingerprint.of(function, None)
    monkeypatch.setattr(function, "__code__", (lambda: {"x": 2}).__code__)  # as after an edit and a reload
    assert fingerprint.of(function, None) != before
    del sys.modules["own"]


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


@pytest.mark.parametrize(
    ("name", "before", "after", "same"),
    [
        ("a", "width = 2", "width = 3", False),
        ("a", "SIZE = 3", "SIZE = 4", False),
        ("b", "return far(x)", "return far(x) + 1", False),
        ("c", "return x ", "return -x ", False),
        ("a", "Docstring.", "Another.", True),
        ("c", "as it is", "unchanged", True),
        ("plots", "return x", "return 2 * x", True),
        ("claims", "BAND = 1", "BAND = 2", True),
    ],
)
def test_an_edit_in_the_import_closure_is_another_key_but_for_prose_plots_and_claims(package, name, before, after, same):
    key, path = key_of_module(), package / f"{name}.py"
    assert set(key) == {"companion.a", "companion.b", "companion.c"}
    assert before in MODULES[name]
    path.write_text(MODULES[name].replace(before, after), encoding="utf-8")
    assert (key_of_module() == key) == same


def test_of_run_only_the_random_generators_count(tmp_path, monkeypatch):
    text = Path(run.__file__).read_text(encoding="utf-8")
    monkeypatch.setattr(source, "PACKAGE", tmp_path)
    monkeypatch.delitem(sys.modules, "companion.run")
    hashes = []
    for changed in (text, text.replace("is not known", "is unknown"), text.replace("digest[:8]", "digest[:7]")):
        (tmp_path / "run.py").write_text(changed, encoding="utf-8")
        hashes.append(source.module_hash("companion.run"))
    assert hashes[0] == hashes[1] != hashes[2]


HELD = "SIZES = {'a': 3}\n\ndef far(x):\n    return x\n"


@pytest.mark.parametrize(
    ("text", "given"),
    [(HELD.replace("return x", "return -x"), {}), (HELD.replace("3", "4"), {}), (HELD, {"far": lambda x: -x}), (HELD, {"SIZES": {"a": 4}})],
    ids=["function edited", "literal edited", "function replaced", "literal replaced"],
)
def test_code_that_is_not_the_file_s_is_refused(package, monkeypatch, text, given):
    module = types.ModuleType("companion.c")
    exec(HELD, vars(module))
    monkeypatch.setitem(sys.modules, "companion.c", module)
    (package / "c.py").write_text(HELD, encoding="utf-8")
    key_of_module()
    (package / "c.py").write_text(text, encoding="utf-8")
    vars(module).update(given)
    with pytest.raises(run.SetupError, match=r"companion\.c\.(far|SIZES) is not what .*Restart the kernel"):
        key_of_module()


def test_every_module_of_the_package_is_what_its_file_holds():
    """No module rewrites its own functions or constants, which would make every memo refuse it."""
    import companion.sae.train
    import companion.toy.computing

    assert companion.sae.train.__name__ in (modules := source.closure({"companion.sae.train", "companion.toy.computing"}))
    assert all(len(source.module_hash(name)) == 64 for name in modules)


def test_edit_run_again_it_changes_on_a_real_page(monkeypatch):
    """Notebook 02 up to its phase diagram, then with one number of CANDIDATES changed in the same session."""
    monkeypatch.chdir(NOTEBOOKS)
    cells = [cell for cell in render.notebook_of(NOTEBOOKS / "02_phase_change.py").cells if cell.cell_type == "code"]
    texts = [cell.source for cell in cells if "skip-execution" not in cell.metadata.get("tags", [])]
    last = next(index for index, text in enumerate(texts) if "memo.memo(optima" in text)
    space = page(*texts[:last], texts[last].split("\nfound = ")[0])
    before = fingerprint.of(space["optima"], space["cfg"])
    candidates = next(text for text in texts if text.startswith("CANDIDATES = "))
    for text, same in ((candidates, True), (candidates.replace("[[1, 0], [0, 1], [1, -1]]", "[[1, 0], [0, 1], [2, -1]]"), False)):
        exec(text, space)
        assert (fingerprint.of(space["optima"], space["cfg"]) == before) == same
