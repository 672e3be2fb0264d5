"""Each figure of the hidden-relu models from a few made-up arrays: it draws, its axes say what they show, the numbers are the ones given."""

import io

import numpy as np
import pytest

from companion.plots import computing

W1 = np.array([[1.0, -1.0, 0.0, 0.5], [0.0, 0.0, 1.0, -1.0]])
W2 = np.abs(W1)
FLAGS = np.array([True, True, True, False])
STACK = computing.Stack("p = .1", W1, np.array([0.0, 0.5]), FLAGS, ~FLAGS)
WIDTH = np.array([0.01, 0.1])

FIGURES = {
    "weight_maps": (lambda: computing.weight_maps([("a", W1), ("b", W2)]), "feature, by importance"),
    "explainer": (lambda: computing.explainer(W1), "feature"),
    "regimes": (lambda: computing.regimes([STACK, STACK]), "feature, by importance"),
    "absolute_value": (lambda: computing.absolute_value(W1, W2), "weight (each neuron's largest input is 1)"),
    "observed_model": (lambda: computing.observed_model(W1, W2), ""),
    "neuron_stacks": (lambda: computing.neuron_stacks([STACK, STACK, STACK], columns=2), "|W1|, stacked"),
    "mixed_neurons": (lambda: computing.mixed_neurons(STACK), "|W1|, stacked (largest of a neuron: 1)"),
    "motif": (lambda: computing.motif(W1, W2, neuron=3, companion=0, big=1, small=0), "weight (each neuron's largest input is 1)"),
    "compression": (
        lambda: computing.compression(WIDTH, {"Z = 3": WIDTH}, 1 / 12, np.array([0.0, 1.0]), {"steps": np.array([0.0, 2.0])}),
        "number of the step of x",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_names_what_it_shows(name):
    make, label = FIGURES[name]
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_ylabel() == label


def test_every_public_figure_is_drawn_here():
    assert {name for name, thing in vars(computing).items() if getattr(thing, "__wrapped__", None)} == set(FIGURES)


def test_a_stack_is_as_high_as_its_positive_weights_and_as_deep_as_its_negative_ones():
    axes = FIGURES["explainer"][0]().axes[1]
    corners = np.concatenate([path.vertices for shapes in axes.collections for path in shapes.get_paths()])
    for a in range(W1.shape[1]):
        of_neuron = corners[np.abs(corners[:, 0] - a) < 0.45, 1]
        assert of_neuron.max() == pytest.approx(W1[:, a].clip(0).sum())
        assert of_neuron.min() == pytest.approx(W1[:, a].clip(None, 0).sum())


def test_the_compression_curve_is_drawn_as_given():
    lines = FIGURES["compression"][0]().axes[1].lines
    assert lines[0].get_ydata() == pytest.approx(WIDTH)
    assert lines[1].get_ydata() == pytest.approx([1 / 12, 1 / 12])
