"""Each figure from a few made-up arrays: it draws, and its axes and bars say what was given."""

import io

import numpy as np
import pytest

from companion.plots import speed

RATIOS = np.array([2.0, 16.0, 128.0])
TWO = np.array([[2.0, 3.0], [8.0, 9.0]])

FIGURES = {
    "parts": (lambda: speed.parts({"dense": {"encoder": 2.0, "decoder": 2.0}, "sparse": {"encoder": 2.0}}, "operations"), "operations"),
    "over_ratio": (lambda: speed.over_ratio(RATIOS, np.ones((2, 3)), "dense / sparse", RATIOS), "n / k   (latents per latent kept)"),
    "held": (lambda: speed.held([64, 128], {"sparse": np.array([0.1, 0.05]), "dense": np.array([3.0, 3.0])}, 0.15), "n, latents"),
    "losses": (lambda: speed.losses(np.arange(3), {"dense": np.ones((2, 3)), "sparse": np.ones((2, 3))}), "step"),
    "coarser": (lambda: speed.coarser(["bf16", "2 bits"], np.array([0.99, 0.5]), TWO), "share of the float32 selection found"),
    "company": (
        lambda: speed.company(["alone", "bound", "data"], [1, 1, 0.9], [1, 0.9, 0.8], [1, 1.1, 1], "there"),
        "work per second and process / that of one process alone",
    ),
    "recorded": (
        lambda: speed.recorded(["ours", "theirs"], TWO, TWO - 0.5, TWO + 0.5, ["small", "large"], "there"),
        "time of a step / encoder product",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_and_says_what_it_shows(name):
    make, xlabel = FIGURES[name]
    figure = make()
    figure.savefig(io.BytesIO())
    assert figure.axes[0].get_xlabel() == xlabel


def test_every_public_figure_is_drawn_here():
    public = {name for name, f in vars(speed).items() if hasattr(f, "__wrapped__") and f.__module__ == speed.__name__}
    assert public == FIGURES.keys()


def test_stacked_parts_end_at_their_sum():
    axis = FIGURES["parts"][0]().axes[0]
    assert {text.get_text() for text in axis.texts} == {"4", "2"}


def test_the_recorded_benchmark_names_its_machine():
    assert FIGURES["recorded"][0]().get_suptitle() == "there"
