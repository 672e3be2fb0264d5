"""The code that runs, as text that differs when it computes something else: comments, layout and docstrings do not count."""

import ast
import copy
import dis
import functools
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from companion.run import SetupError

PACKAGE = Path(__file__).parent
BESIDE = ("memo", "fingerprint", "source", "files", "claims", "plots", "render", "cli")
"""Modules and folders of the package that store, judge or draw: no trained result depends on them."""
LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))
HAS_DOCSTRING = 0x4000000
"""A flag of code objects from Python 3.13 on; before, the first constant of a function is its docstring or None."""


def closure(modules: set[str]) -> set[str]:
    """The modules of the package that these import, directly or not, in functions too; themselves included, `BESIDE` apart."""
    found: set[str] = set()
    waiting = [module for name in modules for module in _in_package(name)]
    while waiting:
        name = waiting.pop()
        if name not in found and name.split(".")[1] not in BESIDE:
            found.add(name)
            imported = () if name == "companion.run" else imports(_tree(name))[0]
            waiting += [module for other in imported for module in _in_package(other)]
    return found


def _in_package(name: str) -> Iterator[str]:
    """The modules that importing a dotted name runs; the name may end in something that a module holds."""
    parts = name.split(".")
    return (module for length in range(2, len(parts) + 1) if _file(module := ".".join(parts[:length])))


def _file(name: str) -> Path | None:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _tree(name: str) -> ast.Module:
    return _parsed(*_state(name))


def _state(name: str) -> tuple[Path, int, int]:
    file = _file(name)
    return file, (status := file.stat()).st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=512)
def _parsed(file: Path, *_: int) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def module_hash(name: str) -> str:
    """sha256 of a module's code; of `companion.run` only the random generators count.

    Raises:
        SetupError: the module that this process imported is not the file's any more, or something in it was replaced.
    """
    _refuse_edited(name)
    return _hash_of(name, *_state(name))


@functools.lru_cache(maxsize=512)
def _hash_of(name: str, *state: Any) -> str:
    tree = _parsed(*state)
    if name == "companion.run":
        tree = ast.Module([node for node in tree.body if getattr(node, "name", "") == "generator"], [])
    return digest(text_of(tree))


def text_of(tree: ast.AST) -> str:
    """A syntax tree as text, without the statements that are bare strings: docstrings, and the notes under fields."""
    return ast.dump(_Undocumented().visit(copy.deepcopy(tree)))


class _Undocumented(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def tree_of(function: FunctionType) -> ast.Module | None:
    """The source of a function, parsed; nothing where it has none or cannot stand alone (a lambda within an expression)."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None


def imports(tree: ast.AST) -> tuple[set[str], set[str]]:
    """What code imports, anywhere in it: dotted names in the package, and the top-level names of libraries."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] == "companion"}
    return ours, {name.split(".")[0] for name in names - ours}


def libraries_of(module: str) -> set[str]:
    """Top-level names of the libraries that a module of the package imports."""
    return imports(_tree(module))[1]


def globals_read(code: CodeType) -> set[str]:
    """Names that code looks up among the globals of its module, functions and classes inside it included."""
    return {step.argval for each in _codes(code) for step in dis.get_instructions(each) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def is_library(name: str, file: str | None = None) -> bool:
    """Whether a module belongs to Python or to an installed library, rather than to a page or the reader's own files."""
    root = name.split(".")[0]
    if root in ("__main__", "companion"):
        return False
    file = file or getattr(sys.modules.get(name), "__file__", None)
    if file is None and root not in sys.modules and (spec := importlib.util.find_spec(root)):
        file = spec.origin
    return file is None or not Path(file).exists() or any(Path(file).resolve().is_relative_to(folder) for folder in LIBRARIES)


@functools.cache
def bytecode(code: CodeType) -> str:
    """What a code object does, without its lines, its file and its docstring."""
    constants = list(code.co_consts)
    documented = code.co_flags & HAS_DOCSTRING if sys.version_info >= (3, 13) else not code.co_name.startswith("<")
    if documented and code.co_flags & inspect.CO_OPTIMIZED and constants:
        constants[0] = None
    held = [bytecode(each) if isinstance(each, CodeType) else repr(each) for each in constants]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, held))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


# --- what was imported against what the file holds ---------------------------------------------------------------


def _refuse_edited(name: str) -> None:
    """A result is filed under the code of the file, so that must be the code that runs."""
    module = sys.modules.get(name)
    for at in () if module is None else _changed(module, *_state(name)):
        raise SetupError(
            f"{name}.{at} is not what {_file(name)} holds: the file was edited after this process imported it, or the name was given"
            " another value. Restart the kernel, so that what is computed and what it is filed under agree."
        )


def _changed(module: ModuleType, *state: Any) -> Iterator[str]:
    functions, constants = _expected(*state)
    for at, codes in functions.items():
        live = function_behind(_look_up(module, at))
        if isinstance(live, FunctionType) and bytecode(live.__code__) not in codes:
            yield at
    for at, value in constants.items():
        live = _look_up(module, at)
        if isinstance(live, (int, float, str, bytes)) and not isinstance(live, Enum) and live != value:  # a field of a record is no constant
            yield at


@functools.lru_cache(maxsize=512)
def _expected(*state: Any) -> tuple[dict[str, set[str]], dict[str, Any]]:
    """Functions, methods and literal constants of a file, by their dotted names; a name may be defined more than once."""
    tree = _parsed(*state)
    functions: dict[str, set[str]] = {}
    for code in _codes(compile(tree, str(state[0]), "exec")):
        if "<" not in code.co_qualname:
            functions.setdefault(code.co_qualname, set()).add(bytecode(code))
    bodies = {"": tree.body} | {f"{node.name}.": node.body for node in tree.body if isinstance(node, ast.ClassDef)}
    assigned = [(prefix, target) for prefix, body in bodies.items() for target in _constants(body)]
    return functions, {f"{prefix}{name}": value for prefix, (name, value) in assigned if [n for _, (n, _) in assigned].count(name) == 1}


def _constants(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(target, ast.Name) and isinstance(node.value, ast.Constant):
            yield target.id, node.value.value


def _look_up(module: ModuleType, dotted: str) -> Any:
    """What a dotted name of a module holds, without calling properties; nothing if it is gone (a class under a decorator)."""
    held: Any = module
    for part in dotted.split("."):
        held = vars(held).get(part) if hasattr(held, "__dict__") else None
    return held


def function_behind(held: Any) -> Any:
    """The function under a static method, a class method, a property's getter or a decorator that says what it wraps."""
    if isinstance(held, (staticmethod, classmethod)):
        held = held.__func__
    elif isinstance(held, property):
        held = held.fget
    elif isinstance(held, functools.cached_property):
        held = held.func
    return inspect.unwrap(held) if isinstance(held, Callable) else held


def digest(text: str | bytes) -> str:
    """sha256, as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8") if isinstance(text, str) else text).hexdigest()
