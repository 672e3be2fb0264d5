"""What a result depends on: the configuration, the code and the values that `make(config)` can reach, as one JSON object.

Two calls may share a result only if these are equal:

    configuration   its type and its values
    make            the function: of the page (or of the reader's own modules), its source, defaults, closure and the globals it
                    reads, by value; tensors and arrays by their bytes; and so on through what they reach (`reached`)
    modules         of the package, all that the import closure of what is reached holds (`companion.source`)
    versions        of the compiled libraries reached
    device, seed    the device in force, and COMPANION_SEED

Where the rule is in doubt it is too careful: an edit of anything in a module that training imports trains again.
"""

import dataclasses
import functools
import importlib.metadata
import json
from collections.abc import Callable
from enum import Enum
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from companion import run, source

COMPILED = ("torch", "numpy", "scipy", "tokenizers", "transformers")
"""Libraries whose version belongs to a result: another one may round or draw differently."""


class UnhashableError(TypeError):
    """A value that a memoised function reads and that cannot be told apart from another one."""


def of(make: Callable, config: Any) -> dict[str, Any]:
    """Everything that `make(config)` depends on, as JSON: equal if and only if the result may be read back.

    Raises:
        UnhashableError: `make` reads a global, a default or a part of the configuration whose value cannot be hashed.
        SetupError: a module of the package was changed on disk after this process imported it.
    """
    walk = _Walk()
    described = {"configuration": walk.value(config, "the configuration"), "make": walk.value(make, "make"), "reached": walk.reached}
    modules = sorted(source.closure(walk.modules))
    libraries = walk.libraries.union(*map(source.libraries_of, modules))
    return described | {
        "modules": {name: source.module_hash(name) for name in modules},
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


PLAIN = (float, complex, bytes, PurePath, range, slice, type(Ellipsis), type(NotImplemented))
GENERATED = {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__slots__"}
GENERATED |= {"__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__conditional_annotations__", "__match_args__"}
GENERATED |= {"__dataclass_fields__", "__dataclass_params__", "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__"}
"""What Python writes into a class beside what its author wrote."""
DESCRIPTORS = ("member_descriptor", "getset_descriptor", "wrapper_descriptor", "_tuplegetter")


class _Walk:
    """Describes values by plain JSON, and collects on the way the code of the page, the modules and the libraries reached."""

    def __init__(self) -> None:
        self.reached: dict[str, Any] = {}
        self.modules: set[str] = set()
        self.libraries: set[str] = set()
        self._known: dict[int, tuple[Any, str]] = {}  # the object is kept, so that no other can take its id

    def value(self, value: Any, where: str) -> Any:
        """A description that differs when the value does."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) in PLAIN or isinstance(value, PurePath):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, ModuleType):
            return self.module(value.__name__)
        if isinstance(value, type):
            return self.type(value)
        if isinstance(value, functools.partial):
            return ["partial", *(self.value(part, where) for part in (value.func, value.args, value.keywords))]
        if isinstance(value, MethodType):
            return ["method", self.value(value.__func__, where), self.value(value.__self__, where)]
        if isinstance(value, FunctionType) or hasattr(value, "__wrapped__"):
            return self.function(source.function_behind(value))
        described = _array(value)
        return self._parts(value, where) if described is None else described

    def _parts(self, value: Any, where: str) -> Any:
        """Containers and records, with their type: two classes of equal fields differ."""
        if type(value).__module__ in ("typing", "types", "torch._ops") or isinstance(value, BuiltinFunctionType):
            return repr(getattr(value, "__qualname__", value))
        kind = self.type(type(value))
        if isinstance(value, Enum):
            return [kind, value.name]
        if isinstance(value, dict):
            return [kind, [[self.value(key, where), self.value(held, where)] for key, held in value.items()]]
        if isinstance(value, (list, tuple)):
            return [kind, [self.value(held, where) for held in value]]
        if isinstance(value, (set, frozenset)):
            return [kind, sorted((self.value(held, where) for held in value), key=repr)]
        if dataclasses.is_dataclass(value):
            return [kind, {field.name: self.value(getattr(value, field.name), where) for field in dataclasses.fields(value)}]
        if kind.split(".")[1:2] and kind.split(".")[0] == "companion" and kind.split(".")[1] in source.BESIDE:
            return kind
        raise UnhashableError(
            f"{where}: a {type(value).__qualname__} cannot be hashed, so a result that depends on it could go stale."
            " Pass what is needed of it through the configuration (numbers, strings, arrays, dataclasses, functions)."
        )

    def type(self, kind: type) -> str:
        """The name of a class; a class of the page is walked: bases, methods, attributes, defaults of its fields."""
        name = f"{kind.__module__}.{kind.__qualname__}"
        if self.module(kind.__module__):
            return name
        return self._once(kind, name, lambda: self._class(kind, name))

    def _class(self, kind: type, name: str) -> Any:
        held = {at: value for at, value in vars(kind).items() if at not in GENERATED and type(value).__name__ not in DESCRIPTORS}
        held = {at: function for at, value in held.items() if not _is_written_by_dataclass(function := source.function_behind(value))}
        if dataclasses.is_dataclass(kind):
            fields = dataclasses.fields(kind)
            held |= {f"default of {each.name}": each.default for each in fields if each.default is not dataclasses.MISSING}
            held |= {f"default of {each.name}": each.default_factory for each in fields if each.default_factory is not dataclasses.MISSING}
        bases = [self.type(base) for base in kind.__bases__]
        return {"bases": bases, "held": {at: self.value(value, f"{name}.{at}") for at, value in held.items()}}

    def function(self, function: Callable) -> Any:
        """The name of a function; one of the page is walked: source, defaults, closure, the globals it reads."""
        name = f"{function.__module__}.{getattr(function, '__qualname__', function)}"
        if not isinstance(function, FunctionType) or self.module(function.__module__ or "", function.__code__.co_filename):
            return name
        return self._once(function, name, lambda: self._function(function, name))

    def _function(self, function: FunctionType, name: str) -> Any:
        tree, code, space = source.tree_of(function), function.__code__, function.__globals__
        for imported in set().union(*source.imports(tree)) if tree else ():
            self.module(imported)
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        return {
            "code": source.digest(source.text_of(tree) if tree else source.bytecode(code)),
            "defaults": [self.value(held, f"a default of {name}") for held in (function.__defaults__, function.__kwdefaults__)],
            "closure": {at: self.value(cell.cell_contents, f"{at!r}, which {name} closes over,") for at, cell in cells.items()},
            "globals": {
                at: self.value(space[at], f"the global {at!r}, read by {function.__qualname__}")
                for at in sorted(source.globals_read(code))
                if at in space
            },
        }

    def _once(self, thing: Any, name: str, describe: Callable[[], Any]) -> str:
        """Describe a class or function of the page once; equal names may stand for different code (lambdas, a cell run again)."""
        if id(thing) not in self._known:
            self._known[id(thing)] = thing, f"{name}, itself"
            described = describe()
            label = f"{name} {source.digest(json.dumps(described, sort_keys=True))[:12]}"
            self.reached[label] = described
            self._known[id(thing)] = thing, label
        return self._known[id(thing)][1]

    def module(self, name: str, file: str | None = None) -> str:
        """Note a module of the package or of a library, and return its name; nothing for the page's own."""
        if name.split(".")[0] == "companion":
            self.modules.add(name)
        elif source.is_library(name, file):
            self.libraries.add(name.split(".")[0])
        else:
            return ""
        return name


def _is_written_by_dataclass(value: Any) -> bool:
    return isinstance(value, FunctionType) and value.__code__.co_filename == "<string>"


def _array(value: Any) -> Any:
    """A tensor, an array, a number, a type of numbers, a device or a generator; nothing for any other value."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        held = value.detach().cpu().contiguous()
        return ["tensor", str(value.dtype), list(value.shape), source.digest(held.reshape(-1).view(torch.uint8).numpy().tobytes())]
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        return ["array", str(value.dtype), list(value.shape), source.digest(np.ascontiguousarray(value).tobytes())]
    if isinstance(value, torch.Generator):
        return ["generator", source.digest(value.get_state().numpy().tobytes())]
    return repr(value) if isinstance(value, (torch.dtype, torch.device, np.dtype, np.ufunc)) else None
