"""Every figure that compares kinds of autoencoder draws, is labelled, and shows the numbers it was given."""

import io

import numpy as np
import pytest

from companion.plots import activations

L0, ERRORS = np.array([8.0, 16.0, 32.0]), np.array([0.3, 0.2, 0.1])

FIGURES = {
    "frontiers": (
        lambda: activations.frontiers({"normalised MSE": {"TopK": [(L0, ERRORS), (L0, 2 * ERRORS)], "Gated": [(L0, ERRORS)]}}, (9, 24)),
        "normalised MSE",
    ),
    "against_latents": (
        lambda: activations.against_latents([256, 512, 1024], {"TopK": np.stack([ERRORS, ERRORS])}, 16),
        "normalised MSE at L0 = 16",
    ),
    "refinement": (lambda: activations.refinement({"TopK": np.zeros(9)}, {"TopK": ([0.3, 0.2], [0.2, 0.1])}), "density"),
    "other_sizes": (lambda: activations.other_sizes([8, 16, 32], {"TopK": ERRORS[None]}, {"TopK": (L0, ERRORS)}, 8), "normalised MSE"),
    "recovery_by_kind": (lambda: activations.recovery_by_kind({"TopK": ERRORS, "PCA": ERRORS}, {"TopK": ERRORS, "PCA": ERRORS}, 0.9), ""),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_names_what_it_shows(name):
    make, label = FIGURES[name]
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_ylabel() == label


def test_every_public_figure_is_drawn_here():
    assert {name for name, thing in vars(activations).items() if getattr(thing, "__wrapped__", None)} == set(FIGURES)


def test_kinds_are_told_apart_without_colour():
    assert len({marker for _, marker, _ in activations.LOOKS.values()}) == len(activations.LOOKS) == 8


def test_a_kind_stands_in_the_legend_once_and_further_seeds_are_pale():
    figure = FIGURES["frontiers"][0]()
    first, second, _ = figure.axes[0].lines
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["TopK", "Gated"]
    assert second.get_alpha() < first.get_alpha() == 1
    assert second.get_ydata() == pytest.approx(2 * ERRORS)


def test_refinement_marks_the_mean_and_joins_before_with_after():
    moved, error = activations.refinement({"TopK": np.array([0.0, 0.2, 0.4])}, {"TopK": ([0.3], [0.2])}).axes
    assert any(line.get_xdata() == pytest.approx([0.2, 0.2]) for line in moved.lines)
    assert error.lines[0].get_ydata() == pytest.approx([0.3, 0.2])


def test_controls_of_recovery_are_grey():
    lines = FIGURES["recovery_by_kind"][0]().axes[0].lines
    assert [line.get_color() for line in lines[::2]] == [activations.LOOKS["TopK"][0], activations.CONTROL]
