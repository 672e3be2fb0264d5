"""The tokens of a Python source by character, from `tokenize`, and what encloses each of them.

An f-string is read by the rules of Python 3.12 on every version, so that a text has the same labels on all of them: the opening
quotes, the literal parts and the closing quotes are tokens of the string, what its fields hold is code.
"""

import ast
import re
import tokenize
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
QUOTED = re.compile(r"(\w*)('''|\"\"\"|'|\")")


class Source:
    """A text, its lines as `tokenize` and `ast` count them, and the characters that rows (from 1) and columns (from 0) stand for."""

    def __init__(self, text: str):
        self.text, self.lines = text, LINE.findall(text)
        self.starts = [0, *accumulate(map(len, self.lines))]

    def at(self, row: int, column: int) -> int:
        """Of `tokenize`, which counts characters. The end of a text that lacks its last newline counts as one more of them."""
        return min(self.starts[row - 1] + column, len(self.text))

    def at_byte(self, row: int, column: int) -> int:
        """Of `ast`, which counts bytes of UTF-8."""
        line = self.lines[row - 1]
        return self.starts[row - 1] + (column if line.isascii() else len(line.encode()[:column].decode()))

    def extent(self, node: ast.AST) -> tuple[int, int]:
        """The first character of a node, and the one after its last."""
        return self.at_byte(node.lineno, node.col_offset), self.at_byte(node.end_lineno, node.end_col_offset)

    def line_start(self, place: int) -> int:
        return self.starts[bisect_right(self.starts, place) - 1]


class Token(NamedTuple):
    kind: str
    """`tokenize`'s name of its type, or FIELD: what delimits a field of an f-string, its conversion included."""
    text: str
    start: int
    end: int


def tokens_of(source: Source) -> list[Token]:
    """The tokens of a text that parses, as Python 3.12 and later give them."""
    return joined(source, read(source))


def read(source: Source) -> Iterator[Token]:
    """What `tokenize` says, an f-string that it gives whole (before 3.12) taken apart."""
    lines = iter(source.lines if "\r" not in source.text else [re.sub(r"[\r\n]+", "\n", line) for line in source.lines])
    for kind, text, start, end, _ in tokenize.generate_tokens(lambda: next(lines, "")):
        token = Token(tokenize.tok_name[kind].replace("TSTRING", "FSTRING"), text, source.at(*start), source.at(*end))
        if token.kind in ("NEWLINE", "NL"):  # \r\n is two characters
            yield token._replace(end=source.starts[min(end[0], len(source.lines))])
        elif token.kind == "STRING" and "f" in QUOTED.match(text)[1].lower():
            yield from _split(source.text, token)
        elif token.kind != "ERRORTOKEN" or text == "!":
            yield token


def joined(source: Source, tokens: Iterable[Token]) -> list[Token]:
    """The tokens with one FSTRING_MIDDLE per stretch of literal text. `tokenize` cuts it at doubled braces, of which it leaves one out."""
    out = []
    for token in tokens:
        middle, after = token.kind == "FSTRING_MIDDLE", bool(out) and out[-1].kind == "FSTRING_MIDDLE"
        if after and not middle:
            start = out.pop().start
            if start < token.start:
                out.append(Token("FSTRING_MIDDLE", source.text[start : token.start], start, token.start))
        if not (middle and after):
            out.append(token._replace(start=out[-1].end) if middle else token)
    return out


LITERAL = re.compile(r"(?:\\\\|\\N\{[^}]*\}|\{\{|\}\}|[^{}])*")
RAW_LITERAL = re.compile(r"(?:\{\{|\}\}|[^{}])*")
SPEC = re.compile(r"[^{}]*")


def _split(text: str, token: Token) -> Iterator[Token]:
    """An f-string as 3.12 gives it: FSTRING_START, then FSTRING_MIDDLE or { code ! conversion : literal or fields }, FSTRING_END."""
    prefix, quotes = QUOTED.match(token.text).groups()
    begin, stop = token.start + len(prefix + quotes), token.end - len(quotes)
    yield Token("FSTRING_START", prefix + quotes, token.start, begin)
    yield from _literal(text, begin, stop, RAW_LITERAL if "r" in prefix.lower() else LITERAL)
    yield Token("FSTRING_END", quotes, stop, token.end)


def _literal(text: str, at: int, stop: int, pattern: re.Pattern) -> Generator[Token, None, int]:
    """Literal text and fields up to `stop`, or to the brace that closes the field around a format specification."""
    while True:
        end = pattern.match(text, at, stop).end()
        yield Token("FSTRING_MIDDLE", text[at:end], at, end)
        if end == stop or text[end] == "}":
            return end
        at = yield from _field(text, end, stop)


def _field(text: str, at: int, stop: int) -> Generator[Token, None, int]:
    yield Token("OP", "{", at, at + 1)
    depth = 0
    for token in read(Source("(" + text[at + 1 : stop])):  # a bracket, since newlines in a field end no statement
        if token.start == 0:
            continue
        if token.kind == "OP":
            if depth == 0 and token.text[0] in ":}":  # := is a colon here
                break
            depth += (token.text in "([{") - (token.text in ")]}")
        yield Token("OP" if token.kind == "ERRORTOKEN" else token.kind, token.text, token.start + at, token.end + at)
    end = token.start + at
    if text[end] == ":":
        yield Token("OP", ":", end, end + 1)
        end = yield from _literal(text, end + 1, stop, SPEC)
    yield Token("OP", "}", end, end + 1)
    return end + 1


Enclosed = list[tuple[Token, str]]
"""Tokens, each with what directly encloses it: nothing, ( [ {, the brackets of a def, a lambda's parameters, or an f-string's
literal, field or spec."""
DELIMITERS = {"!", ":", "=", "}"}


def enclosed(tokens: Iterable[Token]) -> Enclosed:
    out, stack, signature = [], [""], None
    for token in tokens:
        inner, (kind, text, *_) = stack[-1], token
        if inner == "field" and ((kind == "OP" and text in DELIMITERS) or (out[-1][0].text == "!" and kind == "NAME")):
            token = token._replace(kind="FIELD")
        if kind == "OP" and inner in ("literal", "spec"):
            token = token._replace(kind="FIELD")
        out.append((token, inner))
        if kind == "FSTRING_START":
            stack.append("literal")
        elif kind == "NAME" and text == "lambda":
            stack.append("lambda")
        elif kind == "NAME" and text == "def":
            signature = len(stack)
        elif token.kind == "FIELD" and text in "{:":
            stack.append("field" if text == "{" else "spec")
        elif token.kind == "FIELD" and text == "}":
            del stack[-2 if inner == "spec" else -1 :]
        elif kind == "OP" and text in "([{":
            stack.append("def" if text == "(" and signature == len(stack) else text)
            signature = None if stack[-1] == "def" else signature
        elif kind == "FSTRING_END" or (kind == "OP" and (text in ")]}" or (text == ":" and inner == "lambda"))):
            stack.pop()
    return out
