"""True labels for the tokens of Python source: what `tokenize` and `ast` say of the text, for any tokenizer.

A label belongs to characters; a token has the labels of its last character, the one that has just been read where the model's
activations are taken. So an opening bracket is within its brackets and a closing one is not. The labels of newlines last until the
next line's first word, because a byte-level tokenizer puts a newline and the indentation after it into one token.

Eighty items have a number each: 1 to 62 need the tokens of Python, 63 to 80 its syntax tree.
"""

import ast
import keyword
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from companion.lm import lexical, syntax
from companion.lm.corpus import END_OF_TEXT
from companion.lm.pytokens import Source, tokens_of


class NotPythonError(ValueError):
    """A text that this version of Python does not parse."""


class Label(NamedTuple):
    number: int
    """The item: one item may have several labels."""
    meaning: str


LABELS = {
    "comment": Label(1, "a comment, its # included"),
    "string": Label(2, "a string literal, its prefix and quotes included; of an f-string the literal parts"),
    "f-string": Label(3, "from the prefix of an f-string to its last quote, the code in its fields included"),
    "bytes": Label(4, "a bytes literal"),
    "raw string": Label(5, "a literal whose prefix has an r"),
    "opening quote": Label(6, "the quotes that open a string literal, without the prefix"),
    "closing quote": Label(7, "the quotes that close a string literal"),
    "number": Label(8, "a number"),
    "hex": Label(9, "a number that begins with 0x"),
    "float": Label(10, "a number with a point or an exponent"),
    "operator": Label(11, "what tokenize calls OP: operators, brackets, punctuation; what delimits an f-string's fields, !r included"),
    "comparison operator": Label(12, "< > <= >= == !="),
    "assignment =": Label(13, "= outside of brackets and of a lambda's parameters"),
    "keyword =": Label(14, "= that passes a keyword argument"),
    "default =": Label(14, "= that gives a parameter of a def or a lambda its default"),
    "comma": Label(15, "a comma"),
    "colon": Label(16, "a colon; not the one before an f-string's format specification"),
    "dot": Label(17, "a dot between names; not one of a number or an ellipsis"),
    "opening bracket": Label(18, "( [ or {; not the brace of an f-string's field"),
    "closing bracket": Label(19, ") ] or }; not the brace of an f-string's field"),
    "in brackets": Label(20, "within one pair of brackets or more"),
    "in two brackets": Label(21, "within two pairs of brackets or more"),
    "in ()": Label(22, "within parentheses at whatever depth"),
    "in []": Label(23, "within square brackets at whatever depth"),
    "in {}": Label(24, "within braces at whatever depth"),
    "end of statement": Label(25, "the newline that ends a statement (NEWLINE) and the indentation after it"),
    "other newline": Label(26, "a newline of a blank line, after a comment alone, or within brackets (NL), and the indentation after it"),
    "indent 0": Label(27, "indentation level 0; every character has one of the five, comments and blank lines that of the statement above"),
    "indent 1": Label(28, "level 1"),
    "indent 2": Label(29, "level 2"),
    "indent 3": Label(30, "level 3"),
    "indent 4+": Label(31, "level 4 or deeper"),
    "keyword": Label(32, "one of the keywords (keyword.kwlist)"),
    **{f"keyword {word}": Label(32, f"the keyword {word}") for word in keyword.kwlist},
    "identifier": Label(33, "a name that is no keyword"),
    "builtin": Label(34, "a builtin's name, unless it is an attribute, an argument's name, or defined just here"),
    "dunder": Label(35, "a name like __init__"),
    "private": Label(36, "a name that begins with _ and is no dunder"),
    "ALL_CAPS": Label(37, "a name of two or more capitals, digits and underscores"),
    "CamelCase": Label(38, "a name that begins with a capital, has a small letter and no underscore between"),
    "exception name": Label(39, "a name that ends in Error, Exception or Warning"),
    "self": Label(40, "the name self"),
    "attribute": Label(41, "a name after a dot"),
    "def name": Label(42, "the name that a def defines"),
    "class name": Label(43, "the name that a class statement defines"),
    "called name": Label(44, "a name right before an opening parenthesis, unless it is defined there"),
    "keyword argument": Label(45, "the name before the = that passes a keyword argument"),
    "first of statement": Label(46, "the first token of a statement, or of a logical line such as else:"),
    "import line": Label(47, "a logical line, without its newline, that begins with import or from"),
    "decorator line": Label(48, "a logical line that begins with @"),
    "raise line": Label(49, "a logical line that begins with raise"),
    "return line": Label(50, "a logical line that begins with return"),
    "def line": Label(51, "a logical line that begins with def or async def"),
    "class line": Label(52, "a logical line that begins with class"),
    "except line": Label(53, "a logical line that begins with except"),
    "if line": Label(54, "a logical line that begins with if, elif or while"),
    "for line": Label(55, "a logical line that begins with for or async for"),
    "assert line": Label(56, "a logical line that begins with assert"),
    "leading whitespace": Label(57, "spaces and tabs at the beginning of a line, also of a line of a string"),
    "escape": Label(58, "an escape sequence that a string or bytes literal knows, such as \\n"),
    "format spec": Label(59, "a %-conversion or a {} field in a string; of an f-string's field the !r, the colon and what follows it"),
    "URL": Label(60, "an address that begins with http, https or ftp"),
    "doctest": Label(61, "the code of a doctest from >>> on, its ... lines included, without the output"),
    "TODO": Label(62, "TODO, FIXME or XXX in a comment or a string"),
    "docstring": Label(63, "the docstring of a module, class or function"),
    "other string": Label(64, "a string literal, as in 2, that is no docstring"),
    "parameter": Label(65, "the name of a parameter in the def or lambda"),
    "annotation": Label(66, "the annotation of a parameter, a returned value or a variable"),
    "default value": Label(67, "the default of a parameter"),
    "call argument": Label(68, "an argument of a call, with its name where it is passed by name"),
    "lambda body": Label(69, "the body of a lambda"),
    "comprehension": Label(70, "a comprehension or generator expression with its brackets"),
    "dict": Label(71, "a dict literal with its braces"),
    "dict key": Label(71, "a key of a dict literal"),
    "dict value": Label(71, "a value of a dict literal"),
    "subscript index": Label(72, "what stands in the brackets of a subscript"),
    "slice": Label(73, "a slice in a subscript"),
    "comparison": Label(74, "a comparison with both its sides"),
    "stored name": Label(75, "a plain name that is assigned here"),
    "loaded name": Label(75, "a plain name that is read here"),
    "try body": Label(76, "from the first statement of the body of a try to the end of its last"),
    "except body": Label(76, "the same of an except"),
    "finally body": Label(76, "the same of a finally"),
    "with body": Label(76, "the same of a with"),
    "loop body": Label(76, "the same of a for or while"),
    "function body": Label(77, "the same of a function: nesting depth 1 or deeper"),
    "nested function body": Label(77, "the same of a function within another: depth 2 or deeper"),
    "async body": Label(78, "the same of an async def"),
    "bound before": Label(79, "a plain name that the text of the same function has bound further up"),
    "class body": Label(80, "the body of a class at indentation level 1: statements and signatures, not the methods' bodies"),
}
"""What each column means. An item that names several things, or a number of levels, is several columns."""

COLUMN = {name: index for index, name in enumerate(LABELS)}
PROBED = {13, 14, 6, 7, 5, 9, 25, 26, 12, 39, 41, 42, 43, 44, 45, 47, 48, 49, 53, 58, 59, 65, 72, 75}
PROBES = tuple(name for name, label in LABELS.items() if label.number in PROBED)
"""Labels for one-dimensional probes: rare ones that are not one token's identity."""


def of_source(text: str) -> Bool[Tensor, "C Y"]:
    """The labels of each character of a whole source file; columns are those of `LABELS`.

    Raises:
        NotPythonError: the text does not parse; says where.
    """
    return _drawn(text)[:, 1:].T


def _drawn(text: str) -> Bool[Tensor, "Y C+1"]:
    """Labels by the number of characters read: none before the first."""
    values = np.zeros((len(LABELS), len(text) + 1), dtype=bool)
    for name, start, end in _spans(text):
        values[COLUMN[name], start + 1 : end + 1] = True
    string, docstring, class_body = (values[COLUMN[name]] for name in ("string", "docstring", "class body"))
    values[COLUMN["other string"]] = string & ~docstring
    values[COLUMN["TODO"]] &= string | values[COLUMN["comment"]]
    class_body &= values[COLUMN["indent 1"]]
    return torch.from_numpy(values)


NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError)
"""What Python raises for a text that is none: beside its syntax, null bytes, lone surrogates, and nesting beyond what its parser takes."""


def _spans(text: str) -> Iterator[lexical.Span]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes that no string knows, for one: the text is not ours
            tree = ast.parse(text)
        source = Source(text)
        tokens = tokens_of(source)
    except NOT_PYTHON as error:
        raise NotPythonError(f"this text is not Python as this version parses it, so it has no labels: {error}") from error
    yield from lexical.spans(source, tokens)
    yield from syntax.spans(source, tokens, tree)


def of_tokens(text: str, ends: Sequence[int] | Int[Tensor, " T"]) -> Bool[Tensor, "T Y"]:
    """The labels of each token of a whole source file: those of its last character.

    Args:
        ends: number of characters up to the end of each token: of decoded byte lengths `character_ends`, of a fast tokenizer
            `[end for _, end in offset_mapping]`, unless it trims its offsets (as RoBERTa's does, not GPT-2's): then a newline with
            indentation ends too early. A token that ends within a character of several bytes counts as ending after it. A token
            of no character (end 0: special tokens, in an offset mapping) has no label.

    Raises:
        NotPythonError: the text does not parse; says where.
        ValueError: a token ends beyond the text.
    """
    ends = torch.as_tensor(ends, dtype=torch.long)
    if len(ends) and not 0 <= ends.min() <= ends.max() <= len(text):
        raise ValueError(f"tokens end at characters {ends.min()} to {ends.max()}, the text has {len(text)}: they are of another text")
    return _drawn(text)[:, ends].T


def character_ends(text: str, lengths: Int[Tensor, " T"]) -> Int[Tensor, " T"]:
    """Where tokens of so many bytes end, in characters; within a character of several bytes, at its end.

    Raises:
        ValueError: the lengths are not those of the text.
    """
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    ends = lengths.cumsum(0)
    if len(ends) and ends[-1] != len(data):
        raise ValueError(f"the tokens have {ends[-1]} bytes and the text {len(data)}: they are of another text")
    begun = np.cumsum((data & 0xC0) != 0x80)  # bytes that begin a character
    return torch.from_numpy(np.append(0, begun))[ends]


# --- a subject's contexts ---


class ContextLabels(NamedTuple):
    values: Bool[Tensor, "N T Y"]
    known: Bool[Tensor, "N T"]
    """False where there are no labels: the text around does not parse, or is cut off by the end of the contexts; the end of a text."""


def of_contexts(tokens: Int[Tensor, "N T"], tokenizer, wanted: slice = slice(None)) -> ContextLabels:
    """Labels of the contexts `wanted` among `tokens`, which are all those of a split, as `corpus.contexts` and `Subject.tokens` give them.

    Contexts are one stream of files cut to length: a file begins after an end-of-text token, wherever that is in a context, and
    goes on in the next context. Each file that has a token in `wanted` is put together from all of its tokens, and parsed whole.

    Args:
        tokenizer: the byte-level `tokenizers.Tokenizer` that made the tokens (of a fast one of transformers, its backend_tokenizer).
        wanted: contexts in a row.
    """
    first, last, _ = wanted.indices(len(tokens))
    stream, width = tokens.flatten(), tokens.shape[1]
    begin, end = first * width, last * width
    values, known = torch.zeros(end - begin, len(LABELS), dtype=torch.bool), torch.zeros(end - begin, dtype=torch.bool)
    start = 0
    for stop in (stream == tokenizer.token_to_id(END_OF_TEXT)).nonzero().flatten().tolist():
        inside = slice(max(start, begin), min(stop, end))
        if inside.start < inside.stop and (labels := _of_file(stream[start:stop].tolist(), tokenizer)) is not None:
            values[inside.start - begin : inside.stop - begin] = labels[inside.start - start : inside.stop - start]
            known[inside.start - begin : inside.stop - begin] = True
        start = stop + 1
    return ContextLabels(values.view(-1, width, len(LABELS)), known.view(-1, width))


def _of_file(ids: list[int], tokenizer) -> Bool[Tensor, "T Y"] | None:
    lengths = torch.tensor([len(tokenizer.id_to_token(id)) for id in ids])  # a byte-level vocabulary writes each byte as one character
    text = tokenizer.decode(ids, skip_special_tokens=False)
    try:
        return of_tokens(text, character_ends(text, lengths))
    except NotPythonError:
        return None
