"""Each figure from a few made-up arrays: it draws, its axes say what they show, and the numbers given are the ones drawn."""

import io

import matplotlib
import numpy as np
import pytest

from companion.plots import downstream, phase, sae, style, toy, vectors

LEVELS = np.array([1.0, 2.0, 4.0])
STEPS = np.array([1, 10, 100])
TOKENS = np.array([0, 10, 20])
SQUARE = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
GRID = np.array([0.1, 1.0, 10.0])

FIGURES = {
    "loss_to_compute": (
        lambda: downstream.loss_to_compute(STEPS, np.array([8.0, 5, 3]), np.array([8.0, 5, 3]), {"k = 8": 4.0}, {"k = 8": 0.3}, {"zero": 20.0}),
        "held-out loss (nats per token)",
    ),
    "two_scores": (
        lambda: downstream.two_scores([8, 16], {64: np.array([0.4, 0.6])}, {64: np.array([[0.3, 0.5], [0.5, 0.7]])}, {64: np.array([0.9, 0.95])}),
        "share",
    ),
    "loss_against_mse": (
        lambda: downstream.loss_against_mse({64: np.array([0.2, 0.1])}, {64: np.array([0.4, 0.2])}, [8, 16]),
        "rise of the loss (nats per token)",
    ),
    "sparsity_factors": (
        lambda: downstream.sparsity_factors(
            {"latents": {name: np.array([0.1, 0.2, 0.3]) for name in ("score", "vocabulary", "position")}}, {"Gaussian": 0.64}, {"paper": 0.6}
        ),
        "share (1: everything changes evenly)",
    ),
    "reach": (lambda: downstream.reach({"latents": np.array([2.0, 1.0, 0.5])}), "effect on the logits, relative to position t"),
    "training_curves": (
        lambda: sae.training_curves([{"tokens": TOKENS, "mse": np.array([1, 0.5, 0.2]), "dead": np.array([0, 0.1, 0.05])}], [0.25]),
        "normalised MSE",
    ),
    "recovery": (lambda: sae.recovery([{"trained": np.array([0.9, 1.0])}], ["random"], 0.9), "cosine with its matched row"),
    "error_by_position": (lambda: sae.error_by_position(np.array([[0.5, 0.1, 0.2]]), [0.2]), "normalised MSE"),
    "dead_latents": (
        lambda: sae.dead_latents(TOKENS, {name: np.zeros((1, 3)) for name in "abcd"}, 5, {name: np.zeros(1) for name in "abcd"}),
        "dead latents",
    ),
    "loss_when_replaced": (lambda: sae.loss_when_replaced({"trained": [3.1], "zero": [9.0]}, 3.0), ""),
    "dimensions_per_feature": (
        lambda: toy.dimensions_per_feature(LEVELS, np.array([[1.0, 0.5, 0.4]]), LEVELS, np.array([1.0, 0.5, 0.4]), [3.0], ["digon", "pentagon"]),
        "D* = m / |W|²  (hidden dimensions per feature)",
    ),
    "gain_per_dimension": (
        lambda: toy.gain_per_dimension(LEVELS, np.array([[1.0, 1.2, 1.5]]), LEVELS, {"digon": np.array([0.9, 1.2, 1.4])}),
        "features' worth of variance\nrecovered per hidden dimension",
    ),
    "feature_dimensionality": (
        lambda: toy.feature_dimensionality(LEVELS, np.full((3, 6), 0.5), np.array([1.0, 0.5, 0.4])),
        "feature dimensionality D",
    ),
    "feature_graphs": (lambda: toy.feature_graphs([("pair", np.array([[1.0, -1], [-1, 1]]), [[0, 1]])]), ""),
    "dimension_budget": (
        lambda: toy.dimension_budget(LEVELS, np.ones((1, 3)), np.full((1, 3), 0.6), np.zeros((1, 3))),
        "sum of D over features / m",
    ),
    "clean_shares": (lambda: toy.clean_shares({60: [0.5, 0.6], 120: [0.7]}), "features within .01 of a line"),
    "phase_diagram": (
        lambda: phase.phase_diagram(GRID, GRID, np.eye(3), np.eye(3) / 2, np.array([[0, 1, 2]] * 3), ["not learned", "superposed", "dedicated"]),
        "density p = 1 - S  (log)",
    ),
    "fates": (lambda: phase.fates({"superposed": np.array([0.1, 0.2, 0.3])}, np.array([0.1, 0.2, 0.3]), GRID, "r = 1"), "loss / V(p)"),
    "fates_at_a_point": (
        lambda: phase.fates_at_a_point(GRID, GRID, np.array([[0, 1, 2]] * 3), (1.0, 1.0), dict.fromkeys(phase.FATES, 0.5)),
        "density p = 1 - S  (log)",
    ),
    "loss_surfaces": (
        lambda: phase.loss_surfaces(np.linspace(-1, 1, 9), [np.add.outer(np.arange(9.0), np.arange(9.0))], ["p = 1"], [np.array([[-1.0, -1.0]])]),
        "weight of feature 2",
    ),
    "share_of_starts": (lambda: phase.share_of_starts(GRID, GRID, [np.eye(3)], ["n = 2, m = 1"]), "density p = 1 - S  (log)"),
    "feature_vectors": (lambda: vectors.feature_vectors([SQUARE, SQUARE / 2], ["a", "b"], np.arange(4.0), "importance", [SQUARE, SQUARE]), ""),
    "moving_feature": (lambda: vectors.moving_feature([np.stack([SQUARE, SQUARE])], [np.array([0.5, 2.0])], ["square"]), ""),
    "overlaps": (lambda: vectors.overlaps([SQUARE @ SQUARE.T] * 2, [np.zeros(4)] * 2, [np.ones(4)] * 2, ["a", "b"]), ""),
    "matrices": (lambda: vectors.matrices([SQUARE @ SQUARE.T], ["a"]), "feature"),
    "runs_against_optimum": (lambda: vectors.runs_against_optimum({"S = 0": np.array([0.0, 0.1])}), "loss / exact optimum - 1"),
    "counts": (lambda: vectors.counts([1, 0.1], {"represented": np.array([[2, 4]])}, "features"), "features"),
    "loss_by_active": (
        lambda: vectors.loss_by_active(np.array([0.01, 0.1, 1]), np.full((2, 3), 0.5), np.full((2, 3), 0.5)),
        "share by number k of active features",
    ),
    "small_model": (lambda: vectors.small_model(SQUARE, SQUARE @ SQUARE.T, np.eye(4), {"this run": 1.0, "optimum": 0.5}, np.ones(4)), ""),
    "two_branches": (
        lambda: vectors.two_branches(GRID, {"pentagon": [(1.0, 2.0)], "square": []}, {"pentagon": GRID, "square": 2 * GRID}),
        "expected loss  (log)",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_names_what_it_shows(name):
    make, label = FIGURES[name]
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_ylabel() == label


def test_every_public_figure_is_drawn_here():
    public = {
        name for module in (downstream, phase, sae, toy, vectors) for name, thing in vars(module).items() if getattr(thing, "__wrapped__", None)
    }
    assert public == set(FIGURES)


def test_the_measured_curve_is_drawn_as_given():
    figure = FIGURES["reach"][0]()
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([1.0, 0.5, 0.25])  # relative to position t


def test_fates_have_the_paper_s_colours():
    white, red, blue = phase.fate_colour(np.array([0.0, 1, 1]), np.array([0.0, 1, 0]))
    assert white == pytest.approx([1, 1, 1])
    assert red.argmax() == 0
    assert blue.argmax() == 2


def test_colours_of_densities_above_one_differ():
    """A published figure colours by the raw ratio under a logarithmic bar, so that everything denser looks alike."""
    figure = vectors.moving_feature([np.stack([SQUARE] * 3)], [np.array([0.1, 2.0, 10.0])], ["square"])
    dots = [line.get_color() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len({tuple(colour) for colour in dots}) == 3


def test_sparsity_runs_along_x_and_dimensions_along_y():
    """A published figure has the two labels exchanged."""
    axes = FIGURES["dimensions_per_feature"][0]().axes[0]
    (trained,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert (axes.get_xlabel(), axes.get_ylabel()[:2]) == (toy.INVERSE_DENSITY, "D*")
    assert (trained.get_xdata().tolist(), trained.get_ydata().tolist()) == (LEVELS.tolist(), [1.0, 0.5, 0.4])


def test_the_style_leaves_the_reader_s_settings_alone():
    before = dict(matplotlib.rcParams)
    FIGURES["reach"][0]()
    assert dict(matplotlib.rcParams) == before


def test_panels_belong_to_no_pyplot_state():
    import matplotlib.pyplot as plt

    open_before = plt.get_fignums()
    figure, axes = style.panels(2, 3)
    assert len(axes) == 6
    assert plt.get_fignums() == open_before
    assert figure.get_size_inches() == pytest.approx([13.5, 6.4])
