"""The labels of a Python source that need only its tokens: items 1 to 62 of the table in `companion.lm.labels`, and spans of them."""

import builtins
import functools
import keyword
import re
from collections.abc import Iterator
from itertools import chain, pairwise

from companion.lm.pytokens import QUOTED, Enclosed, Source, Token, enclosed

Span = tuple[str, int, int]
"""A label, and the characters start:end that have it."""


def spans(source: Source, tokens: list[Token]) -> Iterator[Span]:
    """Labels of the characters of a text, in no order; a span may come twice, and spans of a label may overlap."""
    within = enclosed(tokens)
    of_layout = [_levels(source, tokens), _lines(tokens), _newlines(source.text, tokens), _numbers(tokens), _patterns(source.text)]
    return chain(*of_layout, *(labels(within) for labels in (_kinds, _strings, _operators, _brackets, _names)))


KINDS = {"COMMENT": "comment", "STRING": "string", "NUMBER": "number", "OP": "operator", "FIELD": "operator"} | dict.fromkeys(
    ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END"), "string"
)
NEWLINES = {"NEWLINE": "end of statement", "NL": "other newline"}
INDENTATION = re.compile(r"[ \t\f]*")


def _kinds(within: Enclosed) -> Iterator[Span]:
    return ((KINDS[kind], start, end) for (kind, _, start, end), _ in within if kind in KINDS)


def _newlines(text: str, tokens: list[Token]) -> Iterator[Span]:
    return ((NEWLINES[kind], start, INDENTATION.match(text, end).end()) for kind, _, start, end in tokens if kind in NEWLINES)


ESCAPE = re.compile(r"\\(?:\r\n|[\r\n\\'\"abfnrtv]|[0-7]{1,3}|x[\da-fA-F]{2})")
TEXT_ESCAPE = re.compile(ESCAPE.pattern[:-1] + r"|N\{[^}]*\}|u[\da-fA-F]{4}|U[\da-fA-F]{8})")
PERCENT = re.compile(r"%(?:\(\w+\))?[#0+-]*(?:\d+|\*)?(?:\.(?:\d+|\*))?[hlL]?[diouxXeEfFgGcrsa%]")
BRACES = re.compile(r"(?<!\{)\{(?:\w+(?:\.\w+|\[[^\]{}]*\])*)?(?:![rsa])?(?::[^{}\s]*)?\}")


def _strings(within: Enclosed) -> Iterator[Span]:
    opened: list[Token] = []  # the f-strings around a token
    for token, inner in within:
        kind, text, start, end = token
        if kind == "STRING":
            yield from _string(token)
        elif kind == "FSTRING_START":
            opened.append(token)
            yield "opening quote", start + QUOTED.match(text).start(2), end
        elif kind == "FSTRING_MIDDLE" and "r" not in opened[-1].text.lower():
            yield from (("escape", start + m.start(), start + m.end()) for m in TEXT_ESCAPE.finditer(text))
        elif kind == "FSTRING_END":
            first = opened.pop()
            yield from (("f-string", first.start, end), ("closing quote", start, end))
            yield from [("raw string", first.start, end)] * ("r" in first.text.lower())
        if (kind == "FSTRING_MIDDLE" and inner == "spec") or (kind == "FIELD" and text not in ("{", "}", "=")):
            yield "format spec", start, end


def _string(token: Token) -> Iterator[Span]:
    _, text, start, end = token
    prefix, quotes = QUOTED.match(text).groups()
    body = start + len(prefix + quotes)
    yield from (("opening quote", start + len(prefix), body), ("closing quote", end - len(quotes), end))
    in_bytes, raw = "b" in prefix.lower(), "r" in prefix.lower()
    yield from [("bytes", start, end)] * in_bytes + [("raw string", start, end)] * raw
    patterns = [("format spec", PERCENT)] + [("escape", ESCAPE if in_bytes else TEXT_ESCAPE)] * (not raw)
    patterns += [("format spec", BRACES)] * (not raw and not in_bytes)  # in a regular expression \d{3} is no field
    for name, pattern in patterns:
        yield from ((name, start + m.start(), start + m.end()) for m in pattern.finditer(text, body - start, len(text) - len(quotes)))


def _numbers(tokens: list[Token]) -> Iterator[Span]:
    for kind, text, start, end in tokens:
        if kind == "NUMBER" and text[:2] in ("0x", "0X"):
            yield "hex", start, end
        elif kind == "NUMBER" and set(".eE") & set(text):
            yield "float", start, end


OPERATORS = {",": "comma", ":": "colon", ".": "dot"} | dict.fromkeys("([{", "opening bracket") | dict.fromkeys(")]}", "closing bracket")
OPERATORS |= dict.fromkeys(("<", ">", "<=", ">=", "==", "!="), "comparison operator")


def _operators(within: Enclosed) -> Iterator[Span]:
    for (kind, text, start, end), inner in within:
        if kind == "OP" and text in OPERATORS:
            yield OPERATORS[text], start, end
        elif kind == "OP" and text == "=":
            yield {"": "assignment =", "(": "keyword ="}.get(inner, "default ="), start, end


def _brackets(within: Enclosed) -> Iterator[Span]:
    """From each bracket up to the one that closes it: what has been opened once the character is read."""
    opened: list[Token] = []
    for (kind, text, start, _), _inner in within:
        if kind == "OP" and text in "([{":
            opened.append(Token(kind, text, start, start))
        elif kind == "OP" and text in ")]}":
            begin = opened.pop()
            yield "in " + begin.text + text, begin.start, start
            if len(opened) < 2:
                yield ("in brackets", "in two brackets")[len(opened)], begin.start, start


ADDED = {"copyright", "credits", "display", "exit", "get_ipython", "help", "license", "quit"}  # by site or by IPython
BUILTINS = {name for name in dir(builtins) if not name.startswith("_")} - ADDED
SPELLINGS = {
    "dunder": re.compile(r"__\w*[^\W_]\w*__"),
    "private": re.compile(r"(?!__\w*__$)_+[^\W_]\w*"),
    "ALL_CAPS": re.compile(r"_*[A-Z][A-Z0-9_]+"),
    "CamelCase": re.compile(r"_*(?=[A-Z0-9]*[a-z])[A-Z][A-Za-z0-9]*"),
    "exception name": re.compile(r"\w*(?:Error|Exception|Warning)"),
    "self": re.compile("self"),
}
LAYOUT = ("COMMENT", "NL", "INDENT", "DEDENT")


def _names(within: Enclosed) -> Iterator[Span]:
    code = [(token, inner) for token, inner in within if token.kind not in LAYOUT]
    edge = (Token("", "", 0, 0), "")
    for (before, _), ((kind, text, start, end), inner), (after, _) in zip([edge, *code], code, [*code[1:], edge], strict=False):
        if kind == "NAME":
            argument = after.kind == "OP" and after.text == "=" and inner == "("
            yield from ((name, start, end) for name in _spelling(text))
            yield from ((name, start, end) for name in _roles(text, before.text, after.text, argument))


@functools.cache
def _spelling(text: str) -> list[str]:
    if keyword.iskeyword(text):
        return ["keyword", f"keyword {text}"]
    return ["identifier", *(name for name, pattern in SPELLINGS.items() if pattern.fullmatch(text))]


def _roles(text: str, before: str, after: str, argument: bool) -> Iterator[str]:
    if keyword.iskeyword(text):
        return
    if before in ("def", "class"):
        yield f"{before} name"
        return
    if argument:
        yield "keyword argument"
    elif before == ".":
        yield "attribute"
    elif text in BUILTINS:
        yield "builtin"
    if after == "(":
        yield "called name"


def _levels(source: Source, tokens: list[Token]) -> Iterator[Span]:
    """A level lasts from the first line of its first statement to that of the next level's: comments and blank lines belong to what is above."""
    changes, level = [(0, 0)], 0
    for token in tokens:
        if token.kind in ("INDENT", "DEDENT"):
            level += 1 if token.kind == "INDENT" else -1
            changes.append((source.line_start(token.start), level))
    for (start, level), (end, _) in pairwise([*changes, (len(source.text), 0)]):
        yield (f"indent {level}" if level < 4 else "indent 4+"), start, end


WORDS = ("import", "raise", "return", "def", "class", "except", "if", "for", "assert")
LINES = {"@": "decorator line", "from": "import line", "elif": "if line", "while": "if line", **{word: f"{word} line" for word in WORDS}}


def _lines(tokens: list[Token]) -> Iterator[Span]:
    line: list[Token] = []
    for token in tokens:
        if token.kind == "NEWLINE":
            word = line[line[0].text == "async"].text
            yield "first of statement", line[0].start, line[0].end
            if word in LINES:
                yield LINES[word], line[0].start, token.start
            line = []
        elif token.kind not in LAYOUT:
            line.append(token)


PATTERNS = {
    "leading whitespace": re.compile(r"(?:\A|(?<=[\r\n]))([ \t\f]+)"),
    "URL": re.compile(r"\b((?:https?|ftp)://[^\s\"'<>()\[\]{}]*[^\s\"'<>()\[\]{}.,;:])"),
    "doctest": re.compile(r"(?:\A|[\r\n]|\"{3}|'{3})[ \t]*(>>> [^\r\n]*(?:(?:\r\n|\r|\n)[ \t]*\.\.\.(?: [^\r\n]*)?(?=[\r\n]))*)"),
    "TODO": re.compile(r"\b(TODO|FIXME|XXX)\b"),
}


def _patterns(text: str) -> Iterator[Span]:
    for name, pattern in PATTERNS.items():
        yield from ((name, *match.span(1)) for match in pattern.finditer(text))
