"""Each figure of an attacked model from a few made-up arrays: it draws, its axes say what they show, and the numbers given are drawn."""

import io

import numpy as np
import pytest

from companion.plots import adversarial

LEVELS = np.array([1.0, 3.0, 10.0])
ROWS = np.array([[1.0, 2.0, 3.0]])
IDEAL = {"digon": (2.0, 2.0), "pentagon": (2.5, 3.27)}

FIGURES = {
    "vulnerability": (
        lambda: adversarial.vulnerability(LEVELS, ROWS, {"all": ROWS, "not zero": ROWS}, ROWS[0], {"pairs": 2.0}),
        adversarial.VULNERABILITY,
    ),
    "against_features": (lambda: adversarial.against_features(ROWS, ROWS, LEVELS, IDEAL), adversarial.VULNERABILITY),
    "attack_and_chance": (lambda: adversarial.attack_and_chance({"one": tuple(np.ones((3, 4)))}), "loss added / eps²"),
    "sparse_end": (lambda: adversarial.sparse_end(LEVELS, {"fixed": ROWS[0], "sees": ROWS[0]}), "vulnerability V  (log scale)"),
    "training": (
        lambda: adversarial.training(np.array([0, 0.5, 1]), {"n": ROWS}, {"n": ROWS / 3}, 0.8),
        "features per dimension, 1 / D*",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_names_what_it_shows(name):
    make, label = FIGURES[name]
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_ylabel() == label


def test_every_public_figure_is_drawn_here():
    assert {name for name, thing in vars(adversarial).items() if getattr(thing, "__wrapped__", None)} == set(FIGURES)


def test_both_panels_of_f21_show_what_they_are_given():
    above, below = adversarial.vulnerability(LEVELS, 2 * ROWS, {"all": ROWS}, ROWS[0], {}).axes
    assert above.lines[0].get_ydata() == pytest.approx(ROWS[0])
    assert below.lines[0].get_ydata() == pytest.approx(2 * ROWS[0])
