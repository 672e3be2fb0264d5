"""What a result depends on: the configuration, the code and the values that `make(config)` can reach, as one JSON object.

Two calls may share a result only if these are equal:

    configuration   its type and its values
    make            the function: its defaults and what it closes over, by value; one of the page (or of the reader's own modules)
                    also by its code and the globals that it reads; and so on through all that these reach (`reached`)
    modules         of the package, all that the import closure of what is reached holds (`companion.source`)
    versions        of the compiled libraries reached
    device, seed    the device in force, and COMPANION_SEED

Where the rule is in doubt it is too careful: an edit of anything in a module that training imports trains again.
"""

import copyreg
import dataclasses
import functools
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from companion import run, source

COMPILED = ("torch", "numpy", "scipy", "tokenizers", "transformers")
"""Libraries whose version belongs to a result: another one may round or draw differently."""
GENERATED = {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__slots__"}
GENERATED |= {
    "__match_args__",
    "_abc_impl",
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__conditional_annotations__",
}
GENERATED |= {"__dataclass_fields__", "__dataclass_params__", "__abstractmethods__", "__parameters__", "__orig_bases__"}
"""What Python writes into a class beside what its author wrote."""


class UnhashableError(TypeError):
    """A value that a memoised function reads and that cannot be told apart from another one."""


def of(make: Callable, config: Any) -> dict[str, Any]:
    """Everything that `make(config)` depends on, as JSON: equal if and only if the result may be read back.

    Raises:
        UnhashableError: `make` reads a global, a default or a part of the configuration whose value cannot be hashed.
        SetupError: a module of the package was changed on disk after this process imported it.
    """
    walk = _Walk()
    try:
        described = {"configuration": walk.value(config, "the configuration"), "make": walk.value(make, "make"), "reached": walk.reached}
    except RecursionError:
        raise UnhashableError(f"the configuration, or a value that {make.__name__} reads, holds itself and cannot be hashed.") from None
    modules = source.closure(walk.imported)
    libraries = {name.split(".")[0] for name in walk.imported.union(*modules.values())}
    return described | {
        "modules": {name: source.module_hash(name) for name in sorted(modules)},
        "versions": {name: version(name) for name in COMPILED if name in libraries},
        "device": run.device(),
        "seed": run.seed_shift(),
    }


def version(distribution: str) -> str:
    """Version of an installed distribution, or "absent"."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


class _Walk:
    """Describes values by plain JSON, and collects on the way the code of the page and the names of what is imported."""

    def __init__(self) -> None:
        self.reached: dict[str, Any] = {}
        self.imported: set[str] = set()
        self._known: dict[int, tuple[Any, str]] = {}  # the object is kept, so that no other can take its id

    def value(self, value: Any, where: str) -> Any:
        """A description that differs when the value does; `where` the value stands, for the error."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, ModuleType):
            return ["module", self._import(value.__name__, where)]
        if isinstance(value, type):
            return ["class", self.type(value)]
        if isinstance(value, FunctionType):
            return ["function", self.function(value)]
        kind = self.type(type(value))
        return [kind] if source.is_beside(kind) else [kind, self._parts(value, where)]

    def _parts(self, value: Any, where: str) -> Any:
        """What a value is made of: in the end, that from which pickle would build it again."""
        import torch

        if isinstance(value, bytes):
            return source.digest(value)
        if isinstance(value, torch.Tensor):
            held = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            return [str(value.dtype), list(value.shape), source.digest(held.tobytes())]
        if dataclasses.is_dataclass(value):
            return {field.name: self.value(getattr(value, field.name), where) for field in dataclasses.fields(value)}
        if isinstance(value, (set, frozenset)):
            return sorted((self.value(held, where) for held in value), key=repr)
        if type(value) is dict:
            return [[self.value(key, where), self.value(held, where)] for key, held in value.items()]
        parts = value if type(value) in (list, tuple) else _pickled(value, where)
        return [self.value(list(part) if isinstance(part, Iterator) else part, where) for part in parts]

    def _import(self, name: str, where: str) -> str:
        if source.is_own(name):
            raise UnhashableError(
                f"{where}: what is used of your own module {name!r} cannot be seen, so a result that depends on it could go stale."
                f" Write `from {name} import ...` at the top of the page, with the functions and classes that you need."
            )
        self.imported.add(name)
        return name

    def _is_own(self, module: str) -> bool:
        """Whether code is the page's or the reader's; the name of any other module is noted."""
        own = module not in sys.modules or source.is_own(module)
        if not own:
            self.imported.add(module)
        return own

    def type(self, kind: type) -> str:
        """The name of a class; a class of the page is walked: bases, methods, attributes, defaults of its fields."""
        name = f"{kind.__module__}.{kind.__qualname__}"
        return self._once(kind, name, lambda: self._class(kind, name)) if self._is_own(kind.__module__) else name

    def _class(self, kind: type, name: str) -> Any:
        held = {at: value for at, value in vars(kind).items() if at not in GENERATED and not _is_written_by_dataclass(value)}
        if dataclasses.is_dataclass(kind):
            held |= {f"default of {each.name}": (each.default, each.default_factory) for each in dataclasses.fields(kind)}
        bases = [self.type(base) for base in (type(kind), *kind.__bases__)]
        return {"bases": bases, "held": {at: self.value(value, f"{name}.{at}") for at, value in held.items()}}

    def function(self, function: FunctionType) -> str:
        """The name of a function, walked: defaults, closure; of one of the page also its code and the globals it reads."""
        name = f"{function.__globals__.get('__name__')}.{function.__qualname__}"
        return self._once(function, name, lambda: self._function(function, name))

    def _function(self, function: FunctionType, name: str) -> Any:
        code, space = function.__code__, function.__globals__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        described = {
            "defaults": [self.value(held, f"a default of {name}") for held in (function.__defaults__, function.__kwdefaults__)],
            "closure": {at: self.value(cell.cell_contents, f"{at!r}, which {name} closes over,") for at, cell in cells.items()},
        }
        if not self._is_own(space.get("__name__", "__main__")):
            return described
        looked_up, imported = source.reads(code)
        for module in imported:
            self._import(module, f"an import in {name}")
        return described | {
            "code": source.instructions(code),
            "attributes": self.value(vars(function), f"an attribute of {name}"),
            "globals": {at: self.value(space[at], f"the global {at!r}, read by {name}") for at in sorted(looked_up) if at in space},
        }

    def _once(self, thing: Any, name: str, describe: Callable[[], Any]) -> str:
        """Describe a class or function once; equal names may stand for different code (lambdas, a cell run again)."""
        if id(thing) not in self._known:
            self._known[id(thing)] = thing, f"{name}, itself"
            described = describe()
            label = f"{name} {source.digest(json.dumps(described, sort_keys=True))[:12]}"
            self.reached[label] = described
            self._known[id(thing)] = thing, label
        return self._known[id(thing)][1]


def _is_written_by_dataclass(value: Any) -> bool:
    return isinstance(value, FunctionType) and value.__code__.co_filename == "<string>"


def _pickled(value: Any, where: str) -> tuple:
    """What pickle would build a value from again; functions under a property, a static method or a cache are what they wrap.

    Raises:
        UnhashableError: pickle refuses, as it does for locks, open files and generators.
    """
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, functools.cached_property):
        return (value.func,)
    try:
        reduced = copyreg.dispatch_table.get(type(value), lambda held: held.__reduce_ex__(4))(value)
    except Exception as error:
        if not hasattr(value, "__wrapped__"):
            raise UnhashableError(
                f"{where}: a {type(value).__qualname__} cannot be hashed, so a result that depends on it could go stale."
                " Pass what is needed of it through the configuration (numbers, strings, arrays, dataclasses, functions)."
            ) from error
        reduced = ""
    return (getattr(value, "__wrapped__", reduced),) if isinstance(reduced, str) else reduced
