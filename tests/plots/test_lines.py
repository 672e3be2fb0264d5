"""The style, and what figures of labelled curves are made of."""

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest

from companion.plots import style
from companion.plots.lines import FEW, MANY, Log, Panel, Share, lines

X, SEEDS = np.array([1.0, 10.0, 100.0]), np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])


def test_a_figure_leaves_the_reader_s_settings_and_pyplot_alone():
    before, open_before = dict(matplotlib.rcParams), matplotlib.pyplot.get_fignums()
    lines(Panel(X, {"a": SEEDS}, "x", "y"))
    assert (dict(matplotlib.rcParams), matplotlib.pyplot.get_fignums()) == (before, open_before)


def test_a_curve_has_a_line_per_seed_and_one_name_and_a_look_of_its_own():
    (axes,) = lines(Panel(X, {"a": SEEDS, "b": X}, Log("size", X), "value", levels={"bound": 5}, settings=dict(ylim=(0, 9)))).axes
    a, again, b, bound = axes.lines
    assert [line.get_ydata().tolist() for line in (a, again, b)] == [*SEEDS.tolist(), X.tolist()]
    assert a.get_color() == again.get_color() != b.get_color()
    assert a.get_linestyle() != b.get_linestyle()
    assert list(bound.get_ydata()) == [5, 5]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "bound"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_ylim()) == ("size", "value", (0, 9))


def test_curves_may_bring_their_own_x_and_a_panel_without_names_has_no_legend():
    (axes,) = lines(Panel(None, {"": [(X, X), (X[1:], SEEDS[0, 1:])]}, "x", Share("y"))).axes
    assert [line.get_xdata().tolist() for line in axes.lines] == [X.tolist(), X[1:].tolist()]
    assert axes.get_legend() is None
    assert axes.yaxis.get_major_formatter()(0.125) == "12.5%"


def test_ticks_of_a_log_axis_are_written_out_where_they_are_asked_for_and_over_many_decades_only_powers_of_ten():
    near, far = lines(Panel(X, {"a": SEEDS}, Log("n", X), Log("y", every=FEW)), Panel(X, {"a": 1e-6 * X**3}, "x", Log("y", every=MANY))).axes
    near.figure.canvas.draw()
    assert (near.get_xscale(), near.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in near.get_xticklabels()] == ["1", "10", "100"]
    assert {"1", "2"} <= {label.get_text() for label in near.get_yticklabels()}
    assert len(near.xaxis.get_minorticklocs()) == len(near.yaxis.get_minorticklocs()) == 0
    assert np.log10(far.yaxis.get_majorticklocs()) == pytest.approx(np.log10(far.yaxis.get_majorticklocs()).round())


def test_colours_of_a_kind_differ():
    assert len(set(style.CATEGORIES)) == 10
    assert len(set(style.shades(5))) == 5
