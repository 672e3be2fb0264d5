"""The labels of a Python source that need its syntax tree: items 63 to 80 of the table in `companion.lm.labels`, and spans of them.

They stop at f-strings: before Python 3.12 `ast` does not say where in the file the code of their fields stands.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator

from companion.lm.lexical import Span
from companion.lm.pytokens import Source, Token

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
F_STRINGS = (ast.JoinedStr, getattr(ast, "TemplateStr", ast.JoinedStr))
PLACELESS = (ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop)
Functions = tuple[ast.AST, ...]
"""The functions around a node, innermost last."""


def spans(source: Source, tokens: list[Token], tree: ast.Module) -> Iterator[Span]:
    """Labels of the characters of a text, in no order; a span may come twice, and spans of a label may overlap."""
    ends = {token.start: token.end for token in tokens if token.start < token.end and token.kind != "INDENT"}
    names = defaultdict(list)  # of each function: where a name stands, the name that this binds, the name that this is
    for node, functions in _walk(tree):
        yield from ((name, *extent) for part, name in _expressions(node) for extent in [_argument(source, node, part)])
        for body, name in _bodies(node, functions):
            if body:
                yield name, _begin(source, body[0]), source.extent(body[-1])[1]
        if isinstance(node, ast.stmt | ast.arg):
            start, _ = source.extent(node)
            yield "parameter" if isinstance(node, ast.arg) else "first of statement", start, ends.get(start, start + 1)
        if functions and isinstance(node, BINDING):
            names[functions[-1]].append((source.extent(node), _binds(node), getattr(node, "id", None)))
    for places in names.values():
        yield from _bound_before(places)


def _walk(tree: ast.Module) -> Iterator[tuple[ast.AST, Functions]]:
    """Nodes with the functions around them: a function's parameters are within it, its defaults, decorators and annotations are not."""
    todo: list[tuple[ast.AST, Functions]] = [(tree, ())]
    while todo:
        node, functions = todo.pop()
        yield node, functions
        if isinstance(node, F_STRINGS):
            continue
        inner = (*functions, node) if isinstance(node, FUNCTIONS) else functions
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.arguments):
                todo += [(part, inner if isinstance(part, ast.arg) else functions) for part in ast.iter_child_nodes(child)]
            elif not isinstance(child, PLACELESS):
                todo.append((child, inner if isinstance(child, ast.stmt) else functions))


def _expressions(node: ast.AST) -> list[tuple[ast.AST, str]]:
    """Parts of a node with their labels."""
    match node:
        case ast.Name(ctx=ast.Load()):
            return [(node, "loaded name")]
        case ast.Name(ctx=ast.Store()):
            return [(node, "stored name")]
        case ast.Call():
            return [(part, "call argument") for part in (*node.args, *node.keywords)]
        case ast.Subscript():
            return [(node.slice, "subscript index")]
        case ast.Compare():
            return [(node, "comparison")]
        case ast.Slice():
            return [(node, "slice")]
        case ast.Dict():
            parts = [(part, "dict key") for part in node.keys if part] + [(part, "dict value") for part in node.values]
            return [(node, "dict"), *parts]
        case ast.Lambda():
            return [(node.body, "lambda body"), *_defaults(node.args)]
        case ast.arg() | ast.AnnAssign():
            return [(node.annotation, "annotation")] * bool(node.annotation)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [(node.returns, "annotation")] * bool(node.returns) + _defaults(node.args)
    return [(node, "comprehension")] * isinstance(node, COMPREHENSIONS)


def _defaults(arguments: ast.arguments) -> list[tuple[ast.AST, str]]:
    return [(value, "default value") for value in (*arguments.defaults, *arguments.kw_defaults) if value]


def _argument(source: Source, node: ast.AST, part: ast.AST) -> tuple[int, int]:
    """The extent of a part. `ast` counts the brackets of a call to a generator that is its one argument."""
    start, end = source.extent(part)
    borrowed = isinstance(node, ast.Call) and isinstance(part, ast.GeneratorExp) and end == source.extent(node)[1]
    return (start + 1, end - 1) if borrowed else (start, end)


def _bodies(node: ast.AST, functions: Functions) -> Iterator[tuple[list[ast.stmt], str]]:
    """Lists of statements with their labels."""
    if isinstance(node, FUNCTIONS):
        yield node.body, "function body"
        if functions:
            yield node.body, "nested function body"
        if isinstance(node, ast.AsyncFunctionDef):
            yield node.body, "async body"
    elif isinstance(node, ast.Try | ast.TryStar):
        yield node.body, "try body"
        yield node.finalbody, "finally body"
    elif isinstance(node, ast.ExceptHandler):
        yield node.body, "except body"
    elif isinstance(node, ast.With | ast.AsyncWith):
        yield node.body, "with body"
    elif isinstance(node, LOOPS):
        yield node.body, "loop body"
    elif isinstance(node, ast.ClassDef):
        yield node.body, "class body"
    if isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS[0] | FUNCTIONS[1]) and ast.get_docstring(node, clean=False) is not None:
        yield node.body[:1], "docstring"


def _begin(source: Source, statement: ast.stmt) -> int:
    """Where a statement begins, its decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    return source.text.rfind("@", 0, source.extent(decorators[0])[0]) if decorators else source.extent(statement)[0]


# --- names ---

BINDING = (ast.Name, ast.arg, ast.alias, ast.ExceptHandler, ast.ClassDef, *FUNCTIONS, ast.MatchAs, ast.MatchStar)


def _binds(node: ast.AST) -> str | None:
    match node:
        case ast.Name():
            return node.id if isinstance(node.ctx, ast.Store) else None
        case ast.arg():
            return node.arg
        case ast.alias():
            return node.asname or node.name.partition(".")[0]
    return node.name


def _bound_before(places: list[tuple[tuple[int, int], str | None, str | None]]) -> Iterator[Span]:
    """Uses of names that the text of a function has bound further up."""
    seen = set()
    for (start, end), binds, used in sorted(places, key=lambda place: place[0]):
        if used in seen:
            yield "bound before", start, end
        if binds:
            seen.add(binds)
