"""The code that runs, as text that differs when it computes something else: comments, layout and docstrings do not count."""

import ast
import contextlib
import dis
import functools
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from companion.run import SetupError

PACKAGE = Path(__file__).parent
BESIDE = ("memo", "fingerprint", "source", "files", "claims", "plots", "render", "cli")
"""Modules and folders of the package that store, judge or draw: no trained result depends on them."""
LITERALS = (bool, int, float, str, bytes, list, tuple, dict, set)


def digest(text: str | bytes) -> str:
    """sha256, as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8") if isinstance(text, str) else text).hexdigest()


# --- compiled code -----------------------------------------------------------------------------------------------


@functools.cache
def instructions(code: CodeType) -> str:
    """sha256 of what a code object does: its arguments, its instructions with what they name and load, and what it catches where."""
    steps = [(step.opname, _operand(code, step)) for step in dis.get_instructions(code)]
    return digest(repr((tuple(inspect.getargs(code)), steps, code.co_exceptiontable)))


def _operand(code: CodeType, step: dis.Instruction) -> str:
    value = code.co_consts[step.arg] if step.opname == "KW_NAMES" else step.argval  # dis leaves the names of keywords unknown
    if isinstance(value, CodeType):
        return instructions(value)
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)  # the order of a set changes from process to process


@functools.cache
def reads(code: CodeType) -> tuple[set[str], set[str]]:
    """The globals that code looks up and the dotted names that it imports, in functions and classes inside it too."""
    looked_up, imported, module = set(), set(), ""
    for step in (step for each in _codes(code) for step in dis.get_instructions(each)):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            looked_up.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            imported.add(module := step.argval)
        elif step.opname == "IMPORT_FROM":
            imported.add(f"{module}.{step.argval}")
    return looked_up, imported


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def is_own(module: str) -> bool:
    """Whether a module is the page or a file of the reader's own: neither the package's, nor Python's, nor an installed library's."""
    root = module.split(".")[0]
    if root in ("__main__", "companion"):
        return root == "__main__"
    file = next((held.__file__ for held in map(sys.modules.get, (root, module)) if getattr(held, "__file__", None)), None)
    if file is None and root not in sys.modules and (spec := importlib.util.find_spec(root)):
        file = spec.origin if spec.has_location else next(iter(spec.submodule_search_locations or ()), None)
    if file is None or {"site-packages", "dist-packages"} & set(Path(file).parts):
        return False
    return not any(Path(file).resolve().is_relative_to(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib"))


# --- files of the package ----------------------------------------------------------------------------------------


class File(NamedTuple):
    """What a module's file holds."""

    imports: set[str]
    """Dotted names that it imports, anywhere in it."""
    sum: str
    """sha256 of its code; of `companion.run` only the random generators count."""
    named: dict[str, list[Any]]
    """Its functions and methods (`instructions`) and its literals, by dotted name; a name may be given more than once."""


def closure(names: set[str]) -> dict[str, set[str]]:
    """The modules of the package among these names and all that they import, `BESIDE` apart; each with the names that it imports."""
    found, waiting = {}, list(names)
    while waiting:
        for module in _in_package(waiting.pop()):
            if module not in found and not is_beside(module):
                found[module] = _file(module).imports
                waiting += found[module]
    return found


def is_beside(module: str) -> bool:
    """Whether a module is one of `BESIDE`."""
    return module.split(".")[0] == "companion" and module.split(".")[1] in BESIDE


def module_hash(name: str) -> str:
    """sha256 of a module's code.

    Raises:
        SetupError: the module that this process imported is not the file's any more, or something in it was replaced. A result is filed
            under the code of the file, so that must be the code that runs.
    """
    file, module = _file(name), sys.modules.get(name)
    for at, given in file.named.items():
        if module is not None and (live := _comparable(_look_up(module, at))) is not None and live not in given:
            raise SetupError(
                f"{name}.{at} is not what {_path(name)} holds: the file was edited after this process imported it, or the name was given"
                " another value. Restart the kernel, so that what is computed and what it is filed under agree."
            )
    return file.sum


def _in_package(name: str) -> list[str]:
    """The modules that importing a dotted name runs; the name may end in something that a module holds."""
    parts = name.split(".") if name.startswith("companion.") else []
    return [module for length in range(2, len(parts) + 1) if _path(module := ".".join(parts[:length]))]


def _path(name: str) -> Path | None:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _file(name: str) -> File:
    path = _path(name)
    return _read(name, path, path.stat().st_mtime_ns, path.stat().st_size)


@functools.lru_cache(maxsize=512)
def _read(name: str, path: Path, *_: int) -> File:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    code, named = compile(tree, path, "exec"), {}
    for at, given in (*((each.co_qualname, instructions(each)) for each in _codes(code)), *_literals(tree)):
        named.setdefault(at, []).append(given)
    if name == "companion.run":
        tree = ast.Module([node for node in tree.body if getattr(node, "name", "") == "generator"], [])
    return File(reads(code)[1], digest(ast.dump(_Undocumented().visit(tree))), named)


class _Undocumented(ast.NodeTransformer):
    """Drops the statements that are bare strings: docstrings, and the notes under fields."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _literals(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Literals that are assigned in a module or in its classes, by dotted name; not empty ones, which are there to be filled."""
    bodies = {"": tree.body} | {f"{node.name}.": node.body for node in tree.body if isinstance(node, ast.ClassDef)}
    for prefix, node in ((prefix, node) for prefix, body in bodies.items() for node in body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(target, ast.Name):
            with contextlib.suppress(ValueError):
                if (value := ast.literal_eval(node.value)) not in ([], {}):
                    yield f"{prefix}{target.id}", value


def _look_up(module: Any, dotted: str) -> Any:
    """What a dotted name of a module holds, without calling properties; nothing if it is gone (a class under a decorator)."""
    for part in dotted.split("."):
        module = vars(module).get(part) if hasattr(module, "__dict__") else None
    return module


def _comparable(held: Any) -> Any:
    """A literal, or the instructions of the function under a property or a decorator that says what it wraps; nothing for the rest."""
    if type(held) in LITERALS:
        return held
    getter = {property: "fget", functools.cached_property: "func"}.get(type(held))
    function = inspect.unwrap(getattr(held, getter) if getter else held)
    return instructions(function.__code__) if isinstance(function, FunctionType) else None
