"""Every figure of the learning dynamics draws, is labelled, and shows the numbers it was given."""

import io

import numpy as np
import pytest

from companion.plots import dynamics

STEPS = np.array([1, 10, 100])
EVENT = (5, 50)
D = np.array([[0.1, 0.1, 0.1], [0.3, 0.3, 0.1], [0.5, 0.05, 0.0]])
PATH = np.linspace(0, 1, 3)[:, None, None] * np.concatenate([np.eye(3), -np.eye(3)])  # (T, F, 3): opens into an octahedron

FIGURES = {
    "energy_levels": (
        lambda: dynamics.energy_levels(STEPS, D, np.array([5.0, 4, 3]), np.array([5.0, 4.5, 4.5]), 2.5, EVENT),
        "feature dimensionality D",
    ),
    "reallocation": (lambda: dynamics.reallocation(STEPS, D, np.full((3, 3), 1 / 3), EVENT), "dimensions (stacked D)"),
    "jitter": (lambda: dynamics.jitter(STEPS, {"one optimiser": D, "a new one in every step": D}), "feature dimensionality D"),
    "unfolding": (
        lambda: dynamics.unfolding(STEPS, np.array([[2.0], [0.3], [0.01]]), {"octahedron": 0.01}, [("run", 0, PATH, [0, 2])]),
        "exact loss / p",
    ),
    "branches": (
        lambda: dynamics.branches({"ends as": {"octahedron": 3}}, np.array([-1.0, -0.9, -0.7]), np.ones(3), np.ones(1), 1.0),
        "",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_names_what_it_shows(name):
    make, label = FIGURES[name]
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_ylabel() == label


def test_every_public_figure_is_drawn_here():
    assert {name for name, thing in vars(dynamics).items() if getattr(thing, "__wrapped__", None)} == set(FIGURES)


def test_features_are_sorted_into_winners_and_losers():
    legend = [text.get_text() for text in FIGURES["energy_levels"][0]().axes[0].get_legend().get_texts()]
    assert legend == ["never above 0.2: 1", "ends on a level: 1", "climbed, then lost it: 1"]


def test_a_stage_shows_the_vectors_at_its_marker():
    last = FIGURES["unfolding"][0]().axes[-1]
    vector = last.lines[1].get_data_3d()  # lines alternate: a path, then the vector at its end
    assert np.stack(vector, axis=1) == pytest.approx(np.array([[0, 0, 0], [1, 0, 0]]))
