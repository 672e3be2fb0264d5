"""The learning-rate sweep and the lessons draw, are labelled, and show the numbers they were given."""

import io

import numpy as np
import pytest

from companion.plots import lessons
from companion.plots.lessons import Lesson

RATES = np.array([1e-3, 2e-3, 4e-3])
SHORT = np.array([1e-4, 2e-4])
ERRORS = {64: np.array([[0.5, 0.4, 0.45], [0.5, 0.42, 0.41]]), 256: np.array([[0.4, 0.3, 0.35], [0.31, 0.32, 0.35]])}
SHORT_ERRORS = {n: np.array([[0.9, 0.8]]) for n in ERRORS}
WRONG = Lesson("Wrong space", "error", {"raw": [20.0, 21.0], "unit": [400.0, 410.0]}, {"common space": [0.1, 0.1]})
SAVED = Lesson("Saved too early", "deviation", {"as it was": [0.3]}, {"normalised": [0.0]}, ".0e")

FIGURES = {
    "rate_sweep": (lambda: lessons.rate_sweep(RATES, ERRORS, SHORT, SHORT_ERRORS), "learning rate"),
    "mistakes_and_cures": (lambda: lessons.mistakes_and_cures([WRONG, SAVED, WRONG, SAVED]), "error"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_names_what_it_shows(name):
    make, label = FIGURES[name]
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_xlabel() == label


def test_every_public_figure_is_drawn_here():
    assert {name for name, thing in vars(lessons).items() if getattr(thing, "__wrapped__", None)} == set(FIGURES)


def test_the_lowest_point_of_every_seed_is_ringed_and_drawn_as_best():
    curve, best = FIGURES["rate_sweep"][0]().axes
    ringed = [(line.get_xdata()[0], line.get_ydata()[0]) for line in curve.lines if line.get_markersize() == 8 and len(line.get_xdata())]
    assert ringed == [(2e-3, 0.4), (4e-3, 0.41), (2e-3, 0.3), (1e-3, 0.31)]
    dots = [line.get_ydata().tolist() for line in best.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert dots == [[2e-3, 4e-3], [2e-3, 1e-3]]


def test_the_rule_goes_through_the_mean_with_its_slope():
    _, best = FIGURES["rate_sweep"][0]().axes
    (rule,) = [line.get_ydata() for line in best.lines if line.get_linestyle() == "--"]
    assert rule[0] / rule[1] == pytest.approx(2)
    assert np.log(rule).mean() == pytest.approx(np.log([2e-3, 4e-3, 2e-3, 1e-3]).mean())


def test_a_lesson_s_bars_have_its_means_and_a_zero_keeps_the_axis_linear():
    wide, saved, *_, unused = FIGURES["mistakes_and_cures"][0]().axes
    assert [bar.get_x() + bar.get_width() for bar in wide.patches] == pytest.approx([20.5, 405.0, 0.1])
    assert (wide.get_xscale(), saved.get_xscale()) == ("log", "linear")
    assert [label.get_text() for label in saved.get_yticklabels()] == ["as it was", "normalised"]
    assert not unused.axison
