"""The figures of scaling laws draw, say what their axes show, and draw the numbers given."""

import io

import numpy as np
import pytest

from companion.plots import scaling

X, Y = np.array([1.0, 10.0, 100.0]), np.array([0.9, 0.5, 0.3])
SIZES = (32, 64, 128)
SEEDS = np.array([[0.5, 0.4, 0.3], [0.52, 0.41, 0.3]])
CURVE = (np.array(SIZES, dtype=float), Y)

FIGURES = {
    "compute_frontier": (
        lambda: scaling.compute_frontier({32: [(X, Y)], 64: [(X, Y), (X, Y)]}, (X, Y), (X, Y), 0.2, (X, Y), 0.09),
        "normalised MSE",
    ),
    "size_and_sparsity": (
        lambda: scaling.size_and_sparsity(SIZES, {4: {"errors": SEEDS, "fit": Y, "floor": 0.2}}, np.array(SIZES), {32: (Y, 0.2)}),
        "normalised MSE",
    ),
    "rates": (
        lambda: scaling.rates(X, {32: SEEDS, 64: SEEDS}, {32: [10.0, 11.0], 64: [9.0, 9.5]}, CURVE, CURVE, "exponent"),
        "normalised MSE, held out",
    ),
    "convergence": (lambda: scaling.convergence(SIZES, {4: SEEDS}, CURVE, "exponent", {"paper": CURVE}), "tokens to convergence"),
    "subject_widths": (lambda: scaling.subject_widths(SIZES, {64: SEEDS}), "normalised MSE, held out"),
    "noise_floor": (
        lambda: scaling.noise_floor(
            SIZES, {"none": SEEDS, "some": SEEDS}, {"none": CURVE, "some": CURVE}, [0.0, 0.1], np.array([[0, -0.01, 0.02], [0.1, 0.09, 0.12]])
        ),
        "normalised MSE, held out",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_says_what_it_shows(name):
    draw, label = FIGURES[name]
    figure = draw()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_ylabel() == label
    assert all(axis.get_xlabel() for axis in figure.axes)


def test_every_figure_is_drawn_here():
    assert {name for name, thing in vars(scaling).items() if getattr(thing, "__wrapped__", None)} == set(FIGURES)


def test_each_run_of_the_frontier_is_the_curve_given():
    lines = FIGURES["compute_frontier"][0]().axes[0].lines
    np.testing.assert_array_equal(lines[0].get_xydata(), np.stack([X, Y], axis=1))


def test_floors_stand_over_their_noise_share():
    marks = FIGURES["noise_floor"][0]().axes[1].lines
    assert [0.1, 0.1] in [line.get_xydata().ravel().tolist() for line in marks]
