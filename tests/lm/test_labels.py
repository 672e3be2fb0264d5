"""Each label on text marked by hand; what `tokenize` and `ast` count in the library; f-strings as later versions of Python read them."""

import ast
import io
import json
import keyword
import re
import tokenize
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tokenizers import processors

from companion.lm import corpus, labels, lexical
from companion.lm.pytokens import Source, Token, joined, tokens_of

# --- the snippets: what stands between « and » has the label, and nothing else does ---

EVERY_KEYWORD = """«class» A:
    «async» «def» f(x):
        «global» y; «nonlocal» z
        «try»: «await» x
        «except» E «as» e: «raise» E «from» «None»
        «else»: «del» x
        «finally»: «pass»
        «with» x: «assert» «lambda»: «True» «and» «False»
        «for» i «in» x:
            «if» i «is» «not» x: «continue»
            «elif» x «or» y: «break»
        «while» x: «yield» 1
        «return» x  # for x in prose
«import» match; f'the if of a {z «if» z «else» 1}'
"""

SNIPPETS = {
    "comment": "x = 1  «# two»\n«# 'three'»\ny = '# four'\n",
    "string": "x = «'a b'» + «rb\"c\"» + «f'd »{e!r:«>»{w}}«'»\n",
    "f-string": "x = 'a' + «f'b {c} d'» 'e'\n",
    "bytes": "x = «b'a'» + 'b' + «Rb'c'»\n",
    "raw string": "x = «r'a'» + 'b' + «bR'c'» + «fr'd{e}f'» + f'g'\n",
    "opening quote": "x = «'»a' + b«\"\"\"»b'\"\"\" + f«'»{c}' + «'»'\n",
    "closing quote": "x = 'a«'» + b\"\"\"b'«\"\"\"» + f'{c}«'» + '«'»\n",
    "number": "x1 = «1» + «0x1F» + «1_0.5e-3» + «2j» - «3»\n",
    "hex": "x = 1 + «0x1F» + 0b1\n",
    "float": "x = 1 + «1.» + «2e3» + 0xe1 + «.5j»\n",
    "operator": "x «+=» a«.»b«(»c«,» «*»d«)» «-»1  # -\nf'«{»x«!r:»d«}»'\n",
    "comparison operator": "x = a «<» b «>=» c «!=» d «==» e << f; y: 'a < b' = a is b\n",
    "assignment =": "x «=» y «=» f(a=1)\nz: int «=» lambda b=1: b\nz += 1; z == 1; (w := 1); f'lambda'; v «=» u\n",
    "keyword =": "x = f(a«=»1, *b, **c)\nclass A(metaclass«=»M): pass\ndef g(d=f(e«=»1)): return f'{x=}'\n(f'def', [g(h«=»2)])\n",
    "default =": "def f(a: int «=» 1, *, b«=»(2)) -> g(c=1): d = 3\nx = lambda y«=»1, *, z«=»h(i=2): y == z\n",
    "comma": "x = f(a«,» b)«,» 'c, d'\n",
    "colon": "if a«:» x«:» int = {b«:» c[1«:»2]}\ny = lambda d«:» f'{e:f} :'\n",
    "dot": "x = a«.»b + 1.5 + ...\nfrom «.» import c\n",
    "opening bracket": "x = «(»a, «[»b«[»'('], f'{«(»c)}' + «{»d}])\n",
    "closing bracket": "x = (a, [b['('«]», f'{(c«)»}' + {d«}»«]»«)»\n",
    "in brackets": "x = a«(b, [c]»)«[d»] + f'{«(e»)}'\n",
    "in two brackets": "x = a(b, «[c»])[d] + (f'{e} { «{g: (h)»} }')\n",
    "in ()": "x = a«([b], {c}»)[d] + f'{f\"({e}\"}'\n",
    "in []": "x = a(«[b, (c)»])«[d»]\n",
    "in {}": "x = a(«{b: [c]»}) + f'd {e} { «{f»} }'\n",
    "end of statement": "if a:«\n    »b = (1,\n  2)  # c«\n»\n\nc; d«\n»",
    "other newline": 'x = (1,«\n  »2)\n«\n\n    »# c«\n»y = """\n"""\n',
    "indent 0": "«a\nif b:\n»    c\n\n    # d\n# e\n«f\n»",
    "indent 1": "if a:\n«    if b:\n»        c\n«    d\n»e\n",
    "indent 2": "if a:\n  if b:\n«    c = (\n1)\n»",
    "indent 3": "if a:\n  if b:\n    if c:\n«      d\n»",
    "indent 4+": "if a:\n  if b:\n    if c:\n      if d:\n«       e\n       if f: g\n       else:\n        h\n»i\n",
    "keyword": EVERY_KEYWORD,
    "identifier": "«x» = «print»(«match», «é»)  # y\nif f'{«z»!r}': pass\n",
    "builtin": "x = «print»(«len», a.open, type=«type») + f'{«str»}'\ndef open(): pass\n",
    "dunder": "«__a__» = b.«__init__», __c, __, ____, '__d__'\n",
    "private": "«_a» = b.«__c», __d__, _, __, «_e_»\n",
    "ALL_CAPS": "«AB_1» = «_CD», A, Ab, e.«FG», True\n",
    "CamelCase": "«CamelCase» = «_Ab», A, AB, a, A_b, «ABc», True\n",
    "exception name": "«KeyError», a.«MyWarning», «Exception», Errors, Error_\n",
    "self": "def f(«self»): return «self».x, 'self', selfish\n",
    "attribute": "a.«b».«c»(1.5)\nfrom d.«e» import f\nfrom .«g» import h\n",
    "def name": "def «f»(a): pass\nasync def «g»(): h()\n",
    "class name": "class «A»(B): pass\nx = A.__class__\n",
    "called name": "«f»(a.«b»(c)) + (d)\ndef g(): return (e)\nclass H(i): pass\n",
    "keyword argument": "f(«a»=b, *c, **d)\ndef g(h=1): pass\nx = 2\nclass K(«l»=m): pass\n",
    "first of statement": "«'a'»; «b» = 1\n«@»c\n«def» d(): «return» e\n«if» f:\n    «pass»\n«else»: «g»\n«f'»h'\n",
    "import line": "«import a.b, c»\n«from d import (e,\n  f)»\nx = 'import'; import g\n",
    "decorator line": "«@a.b(c)  # d»\ndef e(): pass\nf @ g\n",
    "raise line": "if a:\n    «raise B from c»\nraised\n",
    "return line": "def f():\n    «return (a,\n b)»\n",
    "def line": "«def f(a): return»\n«async def g():»\n    pass\n",
    "class line": "@a\n«class B(c):»\n    pass\n",
    "except line": "try:\n    pass\n«except A as b:»\n    pass\n",
    "if line": "«if a: b»\n«elif c:»\n    d\nelse:\n    «while e: pass»\nx = 1 if y else 2\n",
    "for line": "«for a in b:»\n    pass\nasync def f():\n    «async for c in d: pass»\nx = [e for e in g]\n",
    "assert line": "«assert a, 'b'»\nasserted\n",
    "leading whitespace": 'if a:\n«    »b = """\n«  »c  \n"""\n«\t»\n',
    "escape": r"""x = 'a«\n»«\x41»«\101»\d«\\»n' + r'\n' + b'«\n»\N{EN DASH}\u0041' + '«\N{EN DASH}»«\u0041»«\'»' + f'«\t»{b}' + rf'\t'""",
    "format spec": "x = '«%s»: «%-5.2f» 5% of «{}» «{a.b[0]!r:>10}» {{c}} {d, e}' + r'\\d{3}«%d»' + f'%{f«!r:>»{g}}' + b'«%d» {}'\n",
    "URL": "# see «https://a.b/c?d=1», or («ftp://e.f/g»).\nx = 'http:' + '«http://h/i.html»'\n",
    "doctest": '"""A.\n\n    «>>> f(1)»\n    2\n    «>>> for x in y:\n    ...     z\n    ...»\n\n    ...\n"""\na >> b  # >>> c\n',
    "TODO": "# «TODO»: a, TODOS\nTODO = '«XXX» «FIXME» todo'\n",
    "docstring": "«\"\"\"A.\"\"\"»\nclass B:\n    «'b' 'c'»\n    'd'\ndef e():\n    «r'f'»; g\nasync def h():\n    b'i'\ndef j(): f'k'\n",
    "other string": "'''A.'''\nx = «'b'» + «b'c'» + «f'd»{e}«'»\n",
    "parameter": "def f(«a», /, «b»: int=c, *«d», «e»: g=1, **«h») -> i: j = lambda «k», *«l»: a\nf(b=1)\n",
    "annotation": "def f(a: «int» = 1, *b: «c.d», e) -> «List[f]»: x: «g» = 1\nx: «'h'»\n",
    "default value": "def f(a, b: int=«1», *, c=«(d, 2)», e): g = lambda h=«i(j=3)»: k\n",
    "call argument": "f(«a», «*b», «c=d(e)», «**g»)\nh((«i»))\nj(«k for k in l»)\nm(«(n for n in o)»)\n",
    "lambda body": "x = lambda a=1: «(a, b)»; y = lambda: «lambda: 2»\n",
    "comprehension": "x = «[a for a in b if c]», «{d: e for d, e in f}», g«(h for h in i)», [j]\n",
    "dict": "x = «{a: {1: 2}, **b}», {c}, {d for d in e}\n",
    "dict key": "x = {«a»: {«'b'»: c}, **d, «e[0]»: f}\n",
    "dict value": "x = {a: «b», **«c», d: «{e: f}»}\n",
    "subscript index": "a[«b»][«1:2, c»] = [d[«e[0]»]]\n",
    "slice": "a[«b:c»], d[«::2», e], f[g]\nx: h = {i: j}\n",
    "comparison": "x = «a < b <= c» and not «d in e»; f = «(g) is None»\n",
    "stored name": "«a», *«b» = c.d, e[f]\nfor «g» in h: («i» := j)\nwith k as «l»: pass\n«m»: n = 1\n«o» += 1\ndel p\nq.r = s\nimport t\n",
    "loaded name": "a = «b».c[«d»](e=«f»)\n«g».h = 1\ndel i\n«print»(f'{j}')\n",
    "try body": "try:\n    «a\n    b  # c\n    d»\nexcept e: f\nelse: g\nfinally: h\n",
    "except body": "try: a\nexcept b:\n    «c»\nelse: d\n",
    "finally body": "try: a\nfinally:\n    «b\n    c»\n",
    "with body": "with a: «b»\nasync def f():\n    async with g:\n        «@c\n        def d(): pass»\n",
    "loop body": "for a in b: «c»\nelse: d\nwhile e:\n    «f\n\n    g»\n",
    "function body": "def f(a=1):\n    «b\n    @c\n    def d():\n        e»\nclass G:\n    def h(self): «return»\nx = lambda: 1\n",
    "nested function body": "def f(a):\n    def g(): «b»\n    class H:\n        def i(self): «c»\n    d\n",
    "async body": "async def f():\n    «await a\n    def g(): b»\ndef h(): c\n",
    "bound before": """a = a
def f(b, c=a):
    d, e.f = «b», g
    «d» = «d» + g
    import h.i, j as k
    «h», «k», j, i
    def l(b, m=«d»): return «b», d
    «l»
    try: m
    except N as o: «o»
    [p for p in «b»]
    [«p», f'{b}', lambda q: «q»]
""",
    "class body": "class A:\n    «b = 1\n    def c(self):\n»        d\n«    e = 2»\nclass F: g\nif h:\n    class I:\n        j\n",
}
for word in keyword.kwlist:  # of the one snippet, the marks of this keyword
    SNIPPETS[f"keyword {word}"] = re.sub("«(.*?)»", lambda match, word=word: match[0] if match[1] == word else match[1], EVERY_KEYWORD)


def unmarked(snippet: str) -> tuple[str, torch.Tensor]:
    parts = re.split("[«»]", snippet)
    marks = [bool(i % 2) for i, part in enumerate(parts) for _ in part]
    return "".join(parts), torch.tensor(marks)


def shown(text: str, mask: torch.Tensor) -> str:
    """The text with its marks, for a message that can be read."""
    at = [False, *mask.tolist(), False]
    signs = ["«" if b and not a else "»" if a and not b else "" for a, b in pairwise(at)]
    return "".join(sign + character for sign, character in zip(signs, [*text, ""], strict=True))


def joint(snippet: str) -> str:
    return snippet.replace("»«", "")


def test_every_label_has_a_snippet_and_every_item_a_label():
    assert set(SNIPPETS) == set(labels.LABELS)
    assert {label.number for label in labels.LABELS.values()} == set(range(1, 81))
    assert {labels.LABELS[name].number for name in labels.PROBES} == labels.PROBED


@pytest.mark.parametrize("name", labels.LABELS)
def test_a_label_is_on_the_marked_characters_and_on_no_others(name):
    text, _ = unmarked(SNIPPETS[name])
    assert shown(text, labels.of_source(text)[:, labels.COLUMN[name]]) == joint(SNIPPETS[name])


TEXTS = sorted({unmarked(snippet)[0] for snippet in SNIPPETS.values()})


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_labels_do_not_depend_on_how_lines_end(newline):
    for text in TEXTS:
        found = labels.of_source(other := text.replace("\n", newline))
        kept = torch.tensor([not other.startswith("\r\n", i) for i in range(len(other))])
        assert torch.equal(found[kept], labels.of_source(text)), text


WIDER = dict(zip("eghjkl", "éĝĥ日ķ𝛚", strict=True))
"""Of two to four bytes, for names of one letter; none of these letters is a prefix, an escape or a conversion in the snippets."""


def test_labels_do_not_depend_on_characters_being_ascii():
    """ast counts bytes, tokenize characters: behind wide characters the labels stand where they stand behind narrow ones."""
    changed = 0
    for text in TEXTS:
        wide = re.sub(r"\b[eghjkl]\b", lambda match: WIDER[match[0]], text)
        changed += wide != text
        assert torch.equal(labels.of_source(wide), labels.of_source(text)), wide
    assert changed > 30


@pytest.mark.parametrize("text", ["x = (", "if x:\n", "x\0", "\ud800", "print 'hello'", "(" * 5000, "  x\n y\n", "Some prose, as of the web."])
def test_what_does_not_parse_is_one_clear_error(text):
    with pytest.raises(labels.NotPythonError, match="not Python as this version parses it"):
        labels.of_source(text)


def test_a_text_with_nothing_in_it_has_no_labels():
    assert labels.of_source("").shape == (0, len(labels.LABELS))
    assert not labels.of_tokens("", [0]).any()


# --- f-strings, by the rules of Python 3.12 ---

RECORDED = json.loads(Path(__file__).with_name("later_tokens.json").read_text(encoding="utf-8"))["texts"]
"""tokenize's tokens of three texts on Python 3.12.1, those of 3.13.0 too. The first is Python in 3.11 already; the third has type
parameters with a default, which 3.13 parses."""


def recorded(text: str, tokens: list) -> tuple[Source, list[Token]]:
    source = Source(text)
    return source, joined(source, [Token(kind, word, source.at(*start), source.at(*end)) for kind, word, start, end in tokens])


def test_f_strings_are_read_by_the_rules_of_3_12_on_every_version():
    source, tokens = recorded(**RECORDED[0])
    assert sum(token.kind == "FSTRING_START" for token in tokens) == 8
    assert tokens_of(source) == tokens


LATER = {
    "string": """é = call(«f"»{a[«"k"»]}{«'\\n'».join(xs)}«"», key=«f'»{\n    x  # why\n}«'», z=«f"»{«f"»{«f"»{1 + 1}«"»}«"»}«"»)\n""",
    "f-string": """é = call(«f"{a["k"]}{'\\n'.join(xs)}"», key=«f'{\n    x  # why\n}'», z=«f"{f"{f"{1 + 1}"}"}"»)\n""",
    "comment": """é = call(f"{a["k"]}{'\\n'.join(xs)}", key=f'{\n    x  «# why»\n}', z=f"{f"{f"{1 + 1}"}"}")\n""",
    "in two brackets": """é = call(f"{a«["k"»]}{'\\n'.join«(xs»)}", key=f'{\n    x  # why\n}', z=f"{f"{f"{1 + 1}"}"}")\n""",
    "identifier": """«é» = «call»(f"{«a»["k"]}{'\\n'.«join»(«xs»)}", «key»=f'{\n    «x»  # why\n}', «z»=f"{f"{f"{1 + 1}"}"}")\n""",
    "keyword =": """é = call(f"{a["k"]}{'\\n'.join(xs)}", key«=»f'{\n    x  # why\n}', z«=»f"{f"{f"{1 + 1}"}"}")\n""",
    "escape": """é = call(f"{a["k"]}{'«\\n»'.join(xs)}", key=f'{\n    x  # why\n}', z=f"{f"{f"{1 + 1}"}"}")\n""",
}


@pytest.mark.parametrize(("text", "name"), [(1, name) for name in LATER] + [(2, "default =")])
def test_labels_of_what_only_later_versions_parse(text, name):
    source, tokens = recorded(**RECORDED[text])
    mask = torch.zeros(len(source.text), dtype=torch.bool)
    for label, start, end in lexical.spans(source, tokens):
        if label == name:
            mask[start:end] = True
    assert shown(source.text, mask) == (LATER[name] if text == 1 else "def f[T: (int, str) «=» int](a«=»1, b«=»g(c=2)): d = 3\n")


# --- the library ---


@pytest.fixture(scope="module")
def library() -> dict[str, tuple[str, torch.Tensor]]:
    """Texts with their labels: files of the library as they come by hash, and some with characters of several bytes."""
    texts = corpus.library_texts()
    paths = sorted((path for path in texts if len(texts[path]) < 60_000), key=corpus._hash)
    chosen = paths[:25] + [path for path in paths if not texts[path].isascii()][:5]
    return {path: (texts[path], labels.of_source(texts[path])) for path in chosen}


def column(values: torch.Tensor, name: str) -> torch.Tensor:
    return values[:, labels.COLUMN[name]]


def any_of(values: torch.Tensor, *names: str) -> torch.Tensor:
    return values[:, [labels.COLUMN[name] for name in names]].any(1)


def taken(text: str, mask: torch.Tensor) -> str:
    return "".join(text[i] for i in mask.nonzero().flatten().tolist())


def runs(text: str, mask: torch.Tensor) -> list[str]:
    return re.findall("«(.*?)»", shown(text, mask), re.DOTALL)


KINDS = {"comment": "COMMENT", "string": "STRING", "number": "NUMBER", "operator": "OP", "keyword": "NAME", "identifier": "NAME"}


def test_characters_of_a_kind_join_to_the_tokens_of_tokenize(library):
    for text, values in library.values():
        tokens, level = dict.fromkeys(KINDS, ""), 0
        for kind, word, *_ in tokenize.generate_tokens(io.StringIO(text).readline):
            level += {"FSTRING_START": 1, "FSTRING_END": -1}.get(tokenize.tok_name[kind], 0)
            in_f_string = level or tokenize.tok_name[kind] == "FSTRING_END" or re.match("(?i:r?fr?)['\"]", word)
            for name in [] if in_f_string else [name for name, of in KINDS.items() if of == tokenize.tok_name[kind]]:
                if kind != tokenize.NAME or (name == "keyword") == keyword.iskeyword(word):
                    tokens[name] += word
        for name, words in tokens.items():
            assert taken(text, column(values, name) & ~column(values, "f-string")) == words


def test_every_character_of_code_is_of_one_kind_and_white_space_of_none(library):
    for text, values in library.values():
        kinds = values[:, [labels.COLUMN[name] for name in KINDS]].sum(1)
        free = ~any_of(values, "comment", "string")
        white = torch.tensor([c.isspace() or c == "\\" for c in text])
        assert (kinds[~white] == 1).all()
        assert (kinds[white & free] == 0).all()
        newlines = torch.tensor([c == "\n" and before != "\\" for before, c in pairwise(" " + text)])
        assert any_of(values, "end of statement", "other newline")[newlines & free].all()


def test_labels_that_share_out_others(library):
    for _, values in library.values():
        levels = [f"indent {level}" for level in (0, 1, 2, 3, "4+")]
        assert (values[:, [labels.COLUMN[name] for name in levels]].sum(1) == 1).all()
        words = values[:, [labels.COLUMN[f"keyword {word}"] for word in keyword.kwlist]]
        assert torch.equal(words.sum(1), column(values, "keyword").long())
        assert torch.equal(column(values, "in brackets"), any_of(values, "in ()", "in []", "in {}"))
        assert torch.equal(column(values, "string"), (column(values, "docstring") & column(values, "string")) | column(values, "other string"))
        for name in ("loaded name", "stored name"):
            assert not (column(values, name) & ~column(values, "identifier")).any()
        assert not (column(values, "loaded name") & column(values, "stored name")).any()
        assert not (column(values, "end of statement") & column(values, "other newline")).any()
        assert not (column(values, "other string") & column(values, "docstring")).any()


WITHIN = {
    "string": ["bytes", "opening quote", "closing quote", "escape", "other string"],
    "function body": ["nested function body", "async body", "bound before"],
    "identifier": ["builtin", "dunder", "private", "ALL_CAPS", "CamelCase", "exception name", "self", "attribute", "def name"],
    "in brackets": ["in two brackets", "opening bracket", "keyword =", "call argument"],
    "operator": ["comparison operator", "assignment =", "comma", "colon", "dot", "opening bracket", "closing bracket"],
    "number": ["hex", "float"],
}


def test_labels_within_others(library):
    for _, values in library.values():
        for outer, inner in WITHIN.items():
            assert not (any_of(values, *inner) & ~column(values, outer)).any()
        assert column(values, "opening bracket").sum() == column(values, "closing bracket").sum()


def test_names_and_docstrings_are_those_of_the_syntax_tree(library):
    class Names(ast.NodeVisitor):
        def __init__(self):
            self.found = {"parameter": [], "stored name": [], "loaded name": [], "docstring": [], "def name": []}

        def visit_JoinedStr(self, node):
            """Code in f-strings is left out."""

        def generic_visit(self, node):
            if isinstance(node, ast.arg):
                self.found["parameter"].append(node.arg)
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Del):
                self.found["stored name" if isinstance(node.ctx, ast.Store) else "loaded name"].append(node.id)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.found["def name"].append(node.name)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                self.found["docstring"] += [doc] if (doc := ast.get_docstring(node, clean=False)) is not None else []
            super().generic_visit(node)

    for text, values in library.values():
        names = Names()
        names.visit(ast.parse(text))
        for name, words in names.found.items():
            marked = runs(text, column(values, name))
            assert sorted(map(ast.literal_eval, marked) if name == "docstring" else marked) == sorted(words)


# --- tokens ---


def test_a_token_has_the_labels_of_its_last_character():
    text, _ = unmarked(EVERY_KEYWORD)
    of_characters = labels.of_source(text)
    ends = torch.tensor([3, 3, 5, len(text), 1])
    assert torch.equal(labels.of_tokens(text, ends), of_characters[ends - 1])
    assert torch.equal(labels.of_tokens(text, [0, 5]), torch.stack([torch.zeros_like(of_characters[0]), of_characters[4]]))
    with pytest.raises(ValueError, match="of another text"):
        labels.of_tokens(text, [len(text) + 1])


@pytest.fixture(scope="module")
def tokenizer():
    """With few merges, so that it cuts characters; its offsets are GPT-2's, white space included."""
    tokenizer = corpus.train_tokenizer(["def f(self):\n    return self.x  # é\n\n\nclass A:\n    pass\n" * 50], 300)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


WIDE = "class É:\n    é = '日本😀'  # ✓✓\n\n    def f(self):\n        return self.é < 2\n"


def test_a_token_that_ends_within_a_character_counts_as_ending_after_it(tokenizer):
    assert labels.character_ends("aé😀b", torch.tensor([1, 1, 1, 3, 1, 1])).tolist() == [1, 2, 2, 3, 3, 4]
    encoding = tokenizer.encode(WIDE)
    lengths = torch.tensor([len(word) for word in encoding.tokens])
    ends = labels.character_ends(WIDE, lengths)
    assert len(set(ends.tolist())) < len(ends)
    assert ends.tolist() == [end for _, end in encoding.offsets]
    found = labels.of_tokens(WIDE, ends)
    assert column(found, "string").sum() == 2 + 3 + 3 + 4  # quotes, and the bytes of 日, 本 and 😀, none of which is one token
    with pytest.raises(ValueError, match="of another text"):
        labels.character_ends(WIDE + "x", lengths)


# --- contexts ---

FILES = ["import a\n\nclass É:\n    x = 1\n", "no Python here", WIDE, "\n", "def cut(off):\n    return 'before the end'\n"]


def test_contexts_have_the_labels_of_the_whole_files_they_are_cut_from(tokenizer):
    tokens = corpus.contexts(tokenizer, FILES, 8)
    values, known = labels.of_contexts(tokens, tokenizer)
    assert values.shape == (*tokens.shape, len(labels.LABELS))
    stream, mask, start = values.flatten(0, 1), known.flatten(), 0
    for text in FILES:
        encoding = tokenizer.encode(text)
        end = start + len(encoding.ids)
        if text in (FILES[1], FILES[4]):
            assert not mask[start:end].any()
            assert not stream[start:end].any()
        else:
            assert mask[start:end].all()
            assert torch.equal(stream[start:end], labels.of_tokens(text, [end for _, end in encoding.offsets]))
        assert not mask[end : end + 1].any()  # the end of the text
        start = end + 1


@pytest.mark.parametrize("wanted", [slice(2, 5), slice(3, 4), slice(None, 2), slice(-2, None), slice(3, 3)])
def test_some_contexts_have_the_labels_that_they_have_among_all(tokenizer, wanted):
    tokens = corpus.contexts(tokenizer, FILES, 8)
    some, all_of_them = labels.of_contexts(tokens, tokenizer, wanted), labels.of_contexts(tokens, tokenizer)
    assert torch.equal(some.values, all_of_them.values[wanted])
    assert torch.equal(some.known, all_of_them.known[wanted])


def test_a_subject_s_held_out_contexts_have_labels(tiny):
    from tokenizers import Tokenizer

    tokens = tiny.tokens("heldout")
    values, known = labels.of_contexts(tokens, Tokenizer.from_file(str(tiny.folder / "tokenizer.json")))
    assert known.float().mean() > 0.5  # the last file is cut, and there are few
    assert sum(0.0005 < column(values[known], name).float().mean() < 0.08 for name in labels.PROBES) > len(labels.PROBES) / 2
