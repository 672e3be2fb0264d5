"""The style, and what figures of labelled curves are made of."""

import matplotlib
import numpy as np
import pytest

from companion.plots import lines, style
from companion.plots.lines import Log, Panel

X, SEEDS = np.array([1.0, 10.0, 100.0]), np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])


def test_the_style_leaves_the_reader_s_settings_alone():
    before = dict(matplotlib.rcParams)
    lines.lines(Panel(X, {"a": SEEDS}, "x", "y"))
    assert dict(matplotlib.rcParams) == before


def test_panels_belong_to_no_pyplot_state():
    import matplotlib.pyplot as plt

    open_before = plt.get_fignums()
    figure, axes = style.panels(2, 3)
    assert len(axes) == 6
    assert plt.get_fignums() == open_before
    assert figure.get_size_inches() == pytest.approx([13.5, 6.4])


def test_a_curve_has_a_line_per_seed_and_one_name_and_a_look_of_its_own():
    (axes,) = lines.lines(Panel(X, {"a": SEEDS, "b": X}, Log("size", X), "value", levels={"bound": 5}, settings=dict(ylim=(0, 9)))).axes
    a, again, b, bound = axes.lines
    assert [line.get_ydata().tolist() for line in (a, again, b)] == [*SEEDS.tolist(), X.tolist()]
    assert a.get_color() == again.get_color() != b.get_color()
    assert a.get_linestyle() != b.get_linestyle()
    assert list(bound.get_ydata()) == [5, 5]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "bound"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_ylim()) == ("size", "value", (0, 9))


def test_a_panel_without_names_has_no_legend():
    (axes,) = lines.lines(Panel(X, {"": SEEDS}, "x", "y")).axes
    assert axes.get_legend() is None


def test_ticks_of_a_log_axis_are_written_out_where_they_are_asked_for():
    (axes,) = lines.lines(Panel(X, {"a": SEEDS}, Log("n", X, form="{x:,.0f}"), Log("y", every=lines.FEW))).axes
    axes.figure.canvas.draw()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "10", "100"]
    assert {"1", "2"} <= {label.get_text() for label in axes.get_yticklabels()}
    assert len(axes.xaxis.get_minorticklocs()) == len(axes.yaxis.get_minorticklocs()) == 0


def test_over_many_decades_only_powers_of_ten_are_written():
    (axes,) = lines.lines(Panel(X, {"a": np.array([1e-6, 1e-3, 1.0])}, "x", Log("y", every=lines.MANY))).axes
    ticks = axes.yaxis.get_majorticklocs()
    assert np.log10(ticks) == pytest.approx(np.log10(ticks).round())


def test_colours_of_a_kind_differ():
    assert len(set(style.CATEGORIES)) == 10
    assert len(set(style.shades(5))) == 5
