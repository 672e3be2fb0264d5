"""The drawings draw, and show the matrices they are given."""

import io

import numpy as np
import pytest

from companion.plots import concepts

SQUARE = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
SOLID = np.concatenate([np.eye(3), -np.eye(3)])

DRAWINGS = {
    "privileged_basis": concepts.privileged_basis,
    "superposition_hypothesis": concepts.superposition_hypothesis,
    "experiment": concepts.experiment,
    "fates": concepts.fates,
    "views_of_weights": lambda: concepts.views_of_weights(SQUARE),
    "polytope_and_matrix": lambda: concepts.polytope_and_matrix({"digon": SQUARE[:2, :1], "square": SQUARE, "octahedron": SOLID}),
    "tegum_products": lambda: concepts.tegum_products({"octahedron": SOLID}, {"octahedron": np.full(6, 0.5)}),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing_draws(name):
    DRAWINGS[name]().savefig(io.BytesIO(), format="png")


def test_every_drawing_is_drawn_here():
    assert {name for name, thing in vars(concepts).items() if getattr(thing, "__wrapped__", None)} == set(DRAWINGS)


def test_matrix_beside_a_polytope_is_its_gram_matrix():
    figure = concepts.polytope_and_matrix({"square": SQUARE})
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), SQUARE @ SQUARE.T)


def test_stack_has_one_bar_per_weight_and_as_much_below_as_is_negative():
    figure = concepts.views_of_weights(SQUARE)
    bars = [bar for bar in figure.axes[1].patches if bar.get_height()]
    assert len(bars) == 4
    assert sum(bar.get_height() for bar in bars if bar.get_height() < 0) == pytest.approx(-2)
