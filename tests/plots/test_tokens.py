"""Coloured tokens: what is escaped, what is marked, and that a line of the figure fits."""

import io

import pytest

from companion.plots import tokens
from companion.plots.tokens import Context

CONTEXTS = [Context(["if", " <b>", ":", "\n"], [0.0, 1.0, 4.0, -2.0]), Context(["x", "\x00", " =", "\t"], [0.0, 0.0, 2.0, 0.5])]


def test_html_escapes_the_text_and_keeps_the_pages_own_ink():
    page = tokens.as_html(CONTEXTS)
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "color:" not in page
    assert page.count("<span") == 8
    assert tokens.as_html([[list(words), list(values)] for words, values in CONTEXTS]) == page


def test_opacity_is_in_proportion_over_all_contexts_and_nothing_below_zero():
    assert tokens.opacities(CONTEXTS)[0] == pytest.approx([0, tokens.DEEPEST / 4, tokens.DEEPEST, 0])
    assert tokens.opacities(CONTEXTS)[1][2] == pytest.approx(tokens.DEEPEST / 2)
    assert tokens.opacities([Context(["a"], [0.0])]) == [[0.0]]
    assert tokens.opacities([]) == []


def test_text_brackets_the_strong_tokens():
    assert tokens.as_text(CONTEXTS) == "if <b>[:|4]↵\nx·[ =|2]⇥"


def test_a_heading_is_escaped_too():
    both = tokens.bundle("a < b", CONTEXTS, "raises '&'")
    assert "a &lt; b" in both["text/html"]
    assert both["text/plain"].startswith("a < b\nif")


def test_a_long_line_of_the_figure_keeps_its_strongest_token():
    long = Context([f"t{i:02} " for i in range(40)], [float(i == 30) for i in range(40)])
    kept = tokens._fitting(list(long.tokens), tokens.opacities([long])[0], columns=30)
    assert sum(len(token) for token, _ in kept) <= 30
    assert [token for token, shade in kept if shade] == ["t30 "]
    tokens.picture([long, *CONTEXTS], "a heading").savefig(io.BytesIO(), format="png")
