"""Every figure from a few made-up arrays: it draws, and what it must not get wrong about the numbers it was given."""

import importlib
import io
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import is_color_like, to_rgb

from companion import plots
from companion.plots import (
    ablation,
    anatomy,
    bars,
    compute,
    concepts,
    density,
    dynamics,
    explanations,
    heatmaps,
    language,
    lines,
    neurons,
    polytopes,
    population,
    probes,
    sae,
    scaling,
    speed,
    splitting,
    steering,
    style,
    tokens,
    toy,
    vectors,
)

LEVELS, UP = np.array([1.0, 3.0, 10.0]), np.array([0.3, 0.2, 0.1])
SEEDS = np.array([[0.5, 0.4, 0.3], [0.52, 0.39, 0.31]])
SQUARE = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
SOLID = np.concatenate([np.eye(3), -np.eye(3)])
FATE = np.array([[0, 1, 2]] * 3)
SIZES, CURVE = (32, 64, 128), (np.array([32.0, 64, 128]), UP)
STEPS, EVENT = np.array([1, 10, 100]), (5, 50)
D = np.array([[0.1, 0.1, 0.1], [0.3, 0.3, 0.1], [0.5, 0.05, 0.0]])
PATH = np.linspace(0, 1, 3)[:, None, None] * SOLID  # (T, F, 3): opens into an octahedron
W1 = np.array([[1.0, -1.0, 0.0, 0.5], [0.0, 0.0, 1.0, -1.0]])
W2 = np.abs(W1)
STACK = neurons.Stack("p = .1", W1, np.array([0.0, 0.5]), np.array([True, True, True, False]), np.array([False, False, False, True]))
TWO = np.array([[2.0, 3.0], [8.0, 9.0]])
HISTORY = {"tokens": STEPS, "mse": UP, "dead": np.array([0, 0.1, 0.05])}
FACTORS = dict.fromkeys(("score", "vocabulary", "position"), UP)
READING = sae.Reading(4.0, 0.2, 0.15, 0.25)
OPTIMA = {32: [1.0, 3.0], 64: [3.0, 3.0]}

AT_A = [ablation.Point("latents", "A", 0, 0.1, 0.2), ablation.Point("PCA", "B1", 1, 1.0, 0.6)]
MEANS = {"a: latents": (0.3, 0.2, 0.4), "the attempt": (0.5, 0.4, 0.6)}

FIGURES = {
    ablation.against_reach: lambda f: f((LEVELS, UP), AT_A, ["after block 0", "after block 1"], {"the paper's channels": 0.6}, 16),
    ablation.rows: lambda f: f({"score": MEANS, "r": MEANS}, {"score": 0.64}, ["the attempt"]),
    ablation.sizes: lambda f: f(np.array([2.0, 0.5, 0.3]), 0.2, 0.25, "channels"),
    anatomy.specificity: lambda f: f(LEVELS, UP[:2], UP[1:], SEEDS, {"shuffled": SEEDS / 2}, "label"),
    anatomy.by_label: lambda f: f(["a", "b", "c"], {"latent": SEEDS, "untrained": SEEDS / 3, "neuron": SEEDS[:1] / 2, "token": SEEDS[:1]}),
    anatomy.coefficients: lambda f: f(UP, -UP, 0.1),
    anatomy.raised: lambda f: f(UP - 0.2, LEVELS, UP, {"None": 0.1, "not": 0.0}),
    anatomy.removed: lambda f: f({"the label holds": -UP, "it does not": UP}),
    bars.loss_when_replaced: lambda f: f({"trained": [3.1, 3.3], "zero": [9.0]}, 3.0),
    bars.times_worse: lambda f: f({"mild": [1.0, 1.2], "bad": [20.0, 24.0]}),
    bars.sparsity_factors: lambda f: f({"A": {"latents": FACTORS}, "B": {"latents": FACTORS}}, {"Gaussian": 0.64}, {"latents": 0.6}),
    compute.by_position: lambda f: f({"KL": SEEDS, "rise": SEEDS}, {"trained": SEEDS, "untrained": SEEDS}),
    compute.left_clean: lambda f: f([0, 1, 16], SEEDS, np.array([0.6, 0.7]), 0.1),
    compute.finished_runs: lambda f: f(UP, UP, (UP, UP), (UP, UP), [compute.Estimates(0.2, (0.3, 0.2, 0.4), (0.2, 0.1, 0.3))], [0.2]),
    compute.search_path: lambda f: f(UP, UP, [(0.3, 0.3), (0.2, 0.2)], 0.2, (0.15, 0.25)),
    compute.search_errors: lambda f: f({"search": UP, "evenly": 10 * UP}),
    compute.published_readings: lambda f: f(STEPS, UP, {"a": (0.2, {"linear": (10, 9, 12), "log": (9, 8, 11)})}),
    concepts.privileged_basis: lambda f: f(),
    concepts.superposition_hypothesis: lambda f: f(),
    concepts.experiment: lambda f: f(),
    concepts.fates: lambda f: f(),
    density.densities: lambda f: f({"2023": np.array([0, 1e-4, 0.1]), "April 2024": UP}, 1e-5, {"2023": 1e-2}),
    dynamics.energy_levels: lambda f: f(STEPS, D, np.array([5.0, 4, 3]), np.array([5.0, 4.5, 4.5]), 2.5, EVENT),
    dynamics.reallocation: lambda f: f(STEPS, D, np.full((3, 3), 1 / 3), EVENT),
    dynamics.jitter: lambda f: f(STEPS, {"one optimiser": D, "a new one in every step": D}),
    dynamics.unfolding: lambda f: f(STEPS, np.array([[2.0], [0.3], [0.01]]), {"octahedron": 0.01}, [("run", 0, PATH, [0, 2])]),
    dynamics.at_step: lambda f: f(STEPS, D, np.eye(3), 1),
    dynamics.vectors_at: lambda f: f(STEPS, {"run": PATH}, {"run": 2}),
    dynamics.branches: lambda f: f(STEPS, -np.array([[0.5, 0.6], [1, 0.7], [1, 1]]), np.array([1, 1]), np.linspace(-1, -0.7, 9)),
    explanations.taken_apart: lambda f: f(np.array([0.2, 0.7, 1.0]), ["a", "\n"], np.array([0.6, 1.0]), 0.5),
    explanations.by_kind: lambda f: f({"latents": [UP, UP / 2], "channels": [UP, UP]}),
    explanations.against_density: lambda f: f({"latents": (UP / 9, UP), "channels": (UP, UP)}),
    explanations.beside: lambda f: f(UP, UP / 2, "patterns", "labels", {0: "comment"}),
    explanations.loss_ladder: lambda f: f({"n = 256": {"clean": UP, "own": UP, "explained": 2 * UP, "silent": 3 * UP}}, {"bigram": 4.0}),
    heatmaps.matrices: lambda f: f([SQUARE @ SQUARE.T], ["a"]),
    heatmaps.overlaps: lambda f: f([SQUARE @ SQUARE.T] * 2, [np.zeros(4)] * 2, [np.ones(4)] * 2, ["a", "b"]),
    heatmaps.outcome_maps: lambda f: f([("theory", LEVELS, LEVELS, heatmaps.outcomes(FATE))], [(LEVELS, LEVELS)], {"superposed": (1, 1)}),
    heatmaps.weights_in_three: lambda f: f([SQUARE @ SQUARE.T] * 2, [np.ones(4)] * 2, [np.ones(4)] * 2, ["a", "b"]),
    heatmaps.fates_at_a_point: lambda f: f(LEVELS, LEVELS, FATE, (1.0, 1.0), dict.fromkeys(style.FATES, 0.5)),
    heatmaps.share_of_starts: lambda f: f(LEVELS, LEVELS, [np.eye(3)], ["n = 2, m = 1"]),
    heatmaps.loss_surfaces: lambda f: f(np.linspace(-1, 1, 9), [np.add.outer(np.arange(9.0), np.arange(9.0))], ["p = 1"], [np.array([[-1.0, -1.0]])]),
    language.attention: lambda f: f(np.tril(np.ones((2, 3, 3))), ["if", " x", "\n        "]),
    language.guesses: lambda f: f("if x", [" is", ":"], np.array([0.5, 0.25])),
    language.ladder: lambda f: f({"ours": np.array([3.1, 3.3]), "a control": 5.0}, ["ours"], "loss", zero=False),
    language.ways: lambda f: f(LEVELS, {"mask": SEEDS}, {"mask": SEEDS + 0.1}, 0.6),
    language.by_position: lambda f: f({"1 layer": (LEVELS, UP), "4 layers": (LEVELS, UP / 2)}, 0.25),
    language.training: lambda f: f(np.array([0, 10, 100]), {"all": UP, "without": 2 * UP}, 0.3, 0.25),
    language.layers: lambda f: f({"stream": LEVELS, "attention": UP, "MLP": UP}, UP, 0.25),
    population.beside_activations: lambda f: f(
        {"logits": {"A and B": (UP, UP), "A": (UP, UP)}, "effects": {"A": (UP, UP)}}, "x", {"logits": (0.9, 0.2)}
    ),
    population.by_what: lambda f: f("right", {"latents": 1 - UP, "neurons": [0.6]}, ["latents"], nothing=0.5),
    probes.latent_by_label: lambda f: f({"false": np.zeros(9), "true": np.arange(9.0)}, (LEVELS, UP)),
    probes.selection: lambda f: f([1, 2, 4], SEEDS, -SEEDS),
    probes.mean_gains: lambda f: f({"all tokens": {"trained": UP, "channels": 0.1}, "one token": {"trained": UP, "channels": -0.1}}),
    probes.by_task: lambda f: f({"all tokens": {"trained": UP, "channels": -UP}}, {"all tokens": ["a", "b", "c"]}),
    probes.before_and_after: lambda f: f(UP, UP[::-1], ["a", "b", "c"]),
    probes.against_size: lambda f: f([2, 4, 8], SEEDS, -SEEDS, [32, 64, 128], SEEDS, (32, 4)),
    neurons.weight_maps: lambda f: f([("a", W1), ("b", W2)]),
    neurons.explainer: lambda f: f(W1),
    neurons.regimes: lambda f: f([STACK, STACK]),
    neurons.absolute_value: lambda f: f(W1, W2),
    neurons.observed_model: lambda f: f(W1, W2),
    neurons.neuron_stacks: lambda f: f([STACK, STACK, STACK], columns=2),
    neurons.mixed_neurons: lambda f: f(STACK),
    neurons.motif: lambda f: f(W1, W2, neuron=3, companion=0, big=1, small=0),
    polytopes.polytope_and_matrix: lambda f: f({"digon": SQUARE[:2, :1], "square": SQUARE, "octahedron": SOLID}),
    polytopes.tegum_products: lambda f: f({"octahedron": SOLID}, {"octahedron": np.full(6, 0.5)}),
    sae.training_curves: lambda f: f([HISTORY, HISTORY], [0.25, 0.2]),
    sae.recovery: lambda f: f([{"trained": UP, "PCA": UP}], ["random"], 0.9),
    sae.frontiers: lambda f: f({"TopK": [(LEVELS, UP), (LEVELS[1:], UP[1:])], "Gated": [(LEVELS, UP)]}, (2, 9), "normalised MSE"),
    sae.activation_functions: lambda f: f(UP, {"TopK": UP, "ReLU (2023)": UP}, {"TopK": (0.2, "k-th"), "ReLU (2023)": (0.0, "zero")}),
    sae.kept_entries: lambda f: f(SEEDS, {"some": SEEDS > 0.4, "all": SEEDS > 0}),
    sae.against_latents: lambda f: f(SIZES, {"TopK": SEEDS}, 16),
    sae.refinement: lambda f: f({"TopK": np.array([0.0, 0.2, 0.4])}, {"TopK": ([0.3, 0.25, 0.2], [0.2, 0.15, 0.1])}),
    sae.other_sizes: lambda f: f(SIZES, {"TopK": SEEDS}, {"TopK": (LEVELS, UP)}, 32),
    sae.recovery_by_kind: lambda f: f({"TopK": UP, "PCA": UP}, {"TopK": UP, "PCA": UP}, 0.9),
    sae.loss_to_compute: lambda f: f(UP[::-1], np.array([8.0, 5, 3]), np.array([8.0, 5, 3]), {"k = 8": READING}, [READING], {"zero": 20.0}),
    sae.effect: lambda f: f(np.array([-1.0, 0, 2]), UP, 0.1, ["self", "."]),
    sae.two_scores: lambda f: f(SIZES, {64: UP}, {64: np.stack([UP - 0.1, UP + 0.1])}, {64: UP}, [{64: UP}, {64: UP}]),
    sae.loss_against_mse: lambda f: f({"trained": (UP, UP), "noise": (UP, UP)}, (UP, UP)),
    sae.reach: lambda f: f({"latents": np.array([2.0, 1.0, 0.5])}),
    scaling.compute_frontier: lambda f: f({32: [CURVE], 64: [CURVE, CURVE]}, CURVE, CURVE, 0.05),
    scaling.size_and_sparsity: lambda f: f(SIZES, {4: {"errors": SEEDS, "fit": UP, "floor": 0.2}}),
    scaling.quoted: lambda f: f(CURVE, 0.09, np.array(SIZES), {32: (UP, 0.2)}),
    scaling.rates: lambda f: f(LEVELS, {32: SEEDS, 64: SEEDS}, OPTIMA, {"exponent": CURVE}),
    scaling.convergence: lambda f: f(SIZES, {4: SEEDS}, CURVE, "exponent", {"paper": CURVE}),
    scaling.subject_widths: lambda f: f(SIZES, [32, 64], {"k = 8": [SEEDS, SEEDS]}),
    scaling.noise_floor: lambda f: f(
        SIZES, {"none": SEEDS, "some": SEEDS}, {"none": CURVE, "some": CURVE}, [0.0, 0.1], np.array([[0, -0.01, 0.02], [0.1, 0.09, 0.12]])
    ),
    speed.parts: lambda f: f({"dense": {"encoder": 2.0, "decoder": 2.0}, "sparse": {"encoder": 2.0}}, "operations"),
    splitting.children: lambda f: f(UP[::-1], {"trained": LEVELS, "untrained": UP}, 0.2),
    splitting.parents: lambda f: f((UP, UP), (UP, UP), (UP, UP)),
    splitting.roles: lambda f: f(np.array(SIZES, dtype=float), {"trained": SEEDS, "permuted": 0 * SEEDS}, 17),
    splitting.latent_map: lambda f: f(SQUARE, {"a": SQUARE[:, 0] > 0}, {"512": SQUARE[:, 1] > 0, "2,048": SQUARE[:, 1] <= 0}),
    splitting.graph: lambda f: f(["a", "b", "c"], [(0, 1, 0.4), (1, 0, 0.2), (2, 2, 0.1)]),
    speed.over_ratio: lambda f: f(LEVELS, SEEDS, "dense / sparse", UP),
    speed.held: lambda f: f(SIZES, {"sparse": UP, "dense": 3 * UP}, 0.15),
    speed.losses: lambda f: f(STEPS, {"dense": SEEDS, "sparse": SEEDS}),
    speed.coarser: lambda f: f(["bf16", "2 bits"], np.array([0.99, 0.5]), TWO),
    speed.recorded: lambda f: f(["ours", "theirs"], TWO, TWO - 0.5, TWO + 0.5, ["small", "large"], "there"),
    speed.company: lambda f: f(["alone", "bound", "data"], [1, 1, 0.9], [1, 0.9, 0.8], [1, 1.1, 1], "there"),
    steering.dose_response: lambda f: f(LEVELS, {"digits": {"the latent": SEEDS, "random": SEEDS}}, "strength"),
    steering.by_choice: lambda f: f(["comma", "self", "number"], {"next": SEEDS, "read": -SEEDS}, "nats"),
    tokens.picture: lambda f: f([tokens.Context(["if", " x", ":"], [0.0, 1.0, 4.0])], "a latent"),
    toy.runs_against_optimum: lambda f: f({"S = 0": np.array([0.0, 0.1])}),
    toy.counts: lambda f: f(UP, {"represented": np.array([[2, 3, 4]])}, "features"),
    toy.loss_by_active: lambda f: f(UP[::-1], np.full((2, 3), 0.5), np.full((2, 3), 0.5)),
    toy.fates: lambda f: f({"superposed": UP}, UP, LEVELS, "r = 1"),
    toy.two_branches: lambda f: f(LEVELS, {"pentagon": [(1.0, 2.0)], "square": []}, {"pentagon": LEVELS, "square": 2 * LEVELS}),
    toy.compression: lambda f: f(UP, {"Z = 3": UP}, 1 / 12, np.array([0.0, 1.0]), {"steps": np.array([0.0, 2.0])}),
    toy.dimensions_per_feature: lambda f: f(LEVELS, SEEDS, LEVELS, UP, [5.0], ["digon", "pentagon"]),
    toy.gain_per_dimension: lambda f: f(LEVELS, SEEDS, LEVELS, {"digon": UP}),
    toy.feature_dimensionality: lambda f: f(LEVELS, np.full((3, 6), 0.5), np.array([1.0, 0.5, 0.4])),
    toy.dimension_budget: lambda f: f(LEVELS, SEEDS, SEEDS, SEEDS),
    toy.clean_shares: lambda f: f({60: {1: UP, 3: UP}, 120: {1: UP, 3: UP}}, {60: [0.5, 0.6], 120: [0.7, 0.8]}),
    toy.shapes_of_features: lambda f: f({"digon": (LEVELS, UP), "other": (LEVELS, UP)}, LEVELS),
    toy.vulnerability: lambda f: f(LEVELS, 2 * SEEDS, {"all": SEEDS, "not zero": SEEDS}, UP, {"pairs": 2.0}),
    toy.against_features: lambda f: f(SEEDS, SEEDS, LEVELS, {"digon": (2.0, 2.0), "pentagon": (2.5, 3.27)}),
    toy.attack_and_chance: lambda f: f({"one": tuple(np.ones((3, 4)))}),
    toy.vulnerability_at: lambda f: f(LEVELS, SEEDS, (0.1, 0.2), 1),
    toy.sparse_end: lambda f: f(LEVELS, {"fixed": {"all": UP, "some": UP}, "sees": {"all": UP, "some": UP}}),
    toy.training: lambda f: f(UP, {"1 / D*": {"n": SEEDS}, "D": {"n": SEEDS}}, 0.8),
    vectors.feature_vectors: lambda f: f([SQUARE, SQUARE / 2], ["a", "b"], np.arange(4.0), "importance", [SQUARE, SQUARE]),
    vectors.moving_feature: lambda f: f([np.stack([SQUARE] * 3)], [np.array([0.1, 2.0, 10.0])], ["square"]),
    vectors.at_level: lambda f: f(SQUARE, np.ones(4), UP, UP, 1),
    vectors.small_model: lambda f: f(SQUARE, SQUARE @ SQUARE.T, np.eye(4), {"this run": 1.0, "optimum": 0.5}, np.ones(4)),
    vectors.stored_and_read: lambda f: f(np.array([1.0, 0, 0.5, 0]), SQUARE, np.array([0.9, 0, 0.4, 0])),
    vectors.feature_graphs: lambda f: f([("pair", np.array([[1.0, -1], [-1, 1]]), [[0, 1]])]),
}


def drawn(plot):
    return FIGURES[plot](plot)


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("plot", FIGURES, ids=lambda plot: plot.__name__)
def test_figure_draws_something_in_every_panel(plot):
    figure = drawn(plot)
    figure.savefig(io.BytesIO(), format="png")
    assert all(axes.has_data() or axes.texts for axes in figure.axes if axes.axison)


def test_every_figure_is_drawn_here():
    modules = [importlib.import_module(f"companion.plots.{info.name}") for info in pkgutil.iter_modules(plots.__path__)]
    found = {thing for module in modules for thing in vars(module).values() if getattr(thing, "__annotations__", {}).get("return") is style.Figure}
    assert {thing for thing in found if not thing.__name__.startswith("_")} - {lines.lines} == set(FIGURES)


def test_no_other_module_of_plots_names_a_colour():
    sources = [path.read_text(encoding="utf-8") for path in Path(style.__file__).parent.glob("*.py") if path.name != "style.py"]
    assert {text for source in sources for text in re.findall(r'"([\w#]{3,})"', source) if is_color_like(text)} == {"none"}


# --- curves ---


@pytest.mark.parametrize(
    ("plot", "panel", "values"),
    [
        (toy.vulnerability, 0, SEEDS[0]),
        (toy.vulnerability, 1, 2 * SEEDS[1]),
        (toy.compression, 1, UP),
        (toy.compression, 1, [1 / 12, 1 / 12]),
        (sae.reach, 0, [1.0, 0.5, 0.25]),  # relative to the ablated position
        (sae.refinement, 1, [0.3, 0.2]),  # before and after
        (scaling.quoted, 0, [0.09, 0.09]),
    ],
)
def test_a_panel_shows_the_curve_that_it_is_given(plot, panel, values):
    assert any(np.array_equal(line.get_ydata(), values) for line in drawn(plot).axes[panel].lines)


def test_latents_that_are_never_active_are_counted_beside_the_histogram_and_not_in_it():
    first, second = drawn(density.densities).axes
    assert [sum(bar.get_height() for bar in axes.patches) for axes in (first, second)] == [2, 3]
    assert [axes.get_title("right") for axes in (first, second)] == ["never active: 1 of 3", "never active: 0 of 3"]
    assert [len(axes.lines) for axes in (first, second)] == [2, 1]  # the median, and the border where there is one


def test_sparsity_runs_along_x_and_dimensions_along_y():
    """A published figure has the two labels exchanged. Counts grow sparser to the right."""
    assert drawn(toy.counts).axes[0].xaxis.get_inverted()
    (axes,) = drawn(toy.dimensions_per_feature).axes
    trained = [line for line in axes.lines if line.get_marker() == "o"]
    assert (axes.get_xlabel()[:9], axes.get_ylabel()[:2], axes.get_xscale()) == ("1 / (1 - ", "D*", "log")
    assert [line.get_xdata().tolist() for line in trained] == [LEVELS.tolist()] * 2
    assert [line.get_ydata().tolist() for line in trained] == SEEDS.tolist()


def test_runs_keep_the_look_of_their_geometry_where_another_has_none():
    (axes,) = toy.two_branches(LEVELS, {"pentagon": [], "square": [(1.0, 2.0)]}, {"pentagon": LEVELS, "square": 2 * LEVELS}).axes
    assert legend_of(axes) == ["runs: square", "exact: pentagon", "exact: square"]
    assert (axes.lines[0].get_color(), axes.lines[0].get_marker()) == (style.SECOND, "s")
    assert np.array_equal(axes.lines[2].get_ydata(), 2 * LEVELS)


def test_features_are_sorted_into_winners_and_losers():
    assert legend_of(drawn(dynamics.energy_levels).axes[0]) == ["never above 0.2: 1", "ends on a level: 1", "climbed, then lost it: 1"]


def test_kinds_are_told_apart_without_colour_and_controls_are_grey():
    assert len({marker for _, marker, _ in style.KINDS.values()}) == len(style.KINDS) == 8
    colours = [line.get_color() for line in drawn(sae.recovery_by_kind).axes[0].lines[::2]]
    assert colours == [style.KINDS["TopK"][0], style.CONTROL]


def test_a_kind_is_named_once_at_its_end_and_further_seeds_are_pale():
    (axes,) = drawn(sae.frontiers).axes
    first, second, _ = axes.lines
    assert sorted(text.get_text() for text in axes.texts) == ["Gated", "TopK", "compared here"]
    assert (first.get_alpha(), second.get_alpha()) == (None, 0.35)
    assert second.get_ydata().tolist() == UP[1:].tolist()


def test_the_paper_s_rule_goes_through_the_mean_of_the_optima_with_its_slope():
    curves, best = drawn(scaling.rates).axes
    (rule,) = [line.get_ydata() for line in best.lines if line.get_linestyle() == "--"]
    assert rule[0] / rule[1] == pytest.approx(np.sqrt(2))
    assert np.log(rule).mean() == pytest.approx(np.log(list(OPTIMA.values())).mean())
    assert sum(line.get_linestyle() == ":" for line in curves.lines) == 4


def test_means_stand_where_they_are_and_floors_over_their_noise_share():
    assert any(np.allclose(line.get_xdata(), 0.2) for line in drawn(sae.refinement).axes[0].lines)
    assert [0.1, 0.1] in [line.get_xydata().ravel().tolist() for line in drawn(scaling.noise_floor).axes[1].lines]


# --- bars ---


def test_a_label_s_mark_stands_at_the_mean_of_its_seeds():
    (axes,) = steering.by_choice(["comma", "self", "number"], {"next": SEEDS, "read": -SEEDS}, "nats").axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), SEEDS.mean(axis=0))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["comma", "self", "number"]


def test_mistakes_are_sorted_and_their_bars_begin_at_no_harm():
    (axes,) = drawn(bars.times_worse).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bad", "mild"]
    assert [bar.get_x() for bar in axes.patches] == [1.0, 1.0]
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == pytest.approx([22, 1.1])


def test_a_score_s_bar_begins_where_nothing_is_known_and_ends_at_its_mean():
    (axes,) = drawn(population.by_what).axes
    assert [bar.get_x() for bar in axes.patches] == [0.5, 0.5]
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == pytest.approx([1 - UP.mean(), 0.6])
    assert axes.get_xlim()[0] < min(np.min(line.get_xdata()) for line in axes.lines)  # no dot is cut in two
    assert [bar.get_facecolor()[:3] for bar in axes.patches] == [to_rgb(style.OURS), to_rgb(style.CONTROL)]


def test_a_replacement_s_bar_ends_at_the_rise_over_the_clean_loss():
    (axes,) = drawn(bars.loss_when_replaced).axes
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == pytest.approx([0.2, 6])
    assert {"+0.2 nats", "+6 nats"} <= {text.get_text() for text in axes.texts}


def test_stacked_parts_end_at_their_sum():
    assert {text.get_text() for text in drawn(speed.parts).axes[0].texts} == {"4", "2"}


def test_tasks_are_sorted_by_the_first_gain_and_keep_their_names():
    first, second = np.array([0.3, 0.1, 0.2]), np.array([0.03, 0.01, 0.02])
    (axes,) = probes.by_task({"all": {"trained": first, "channels": second}}, {"all": ["a", "b", "c"]}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "c", "a"]
    assert [line.get_xdata().tolist() for line in axes.lines[:2]] == [sorted(first), sorted(second)]


@pytest.mark.parametrize("plot", [speed.recorded, speed.company])
def test_what_was_recorded_elsewhere_says_where(plot):
    assert drawn(plot).get_suptitle() == "there"


# --- matrices, stacks, vectors ---


def test_text_is_cut_into_lines_and_both_parts_of_a_cut_token_keep_its_number():
    lines_of_text = language.by_line(["if", ":", "\n    ", "x", "\n\n", "y"], [1, 2, 3, 4, 5, 6])
    assert lines_of_text == [(["if", ":", "\n"], [1, 2, 3]), (["    ", "x", "\n\n"], [3, 4, 5]), (["y"], [6])]


def test_spaces_of_a_label_can_be_seen():
    assert [language.label(piece) for piece in (" in", "\n        ", "a  b")] == ["␣in", "↵␣×8", "a␣␣b"]


def test_a_ladder_s_axis_begins_at_zero_or_below_the_least_value():
    from_zero, cut = (language.ladder({"a": 3.0, "b": 5.0}, ["a"], "loss", zero=zero).axes[0].get_xlim() for zero in (True, False))
    assert from_zero[0] == 0
    assert 2 < cut[0] < 3
    assert language.ladder({"a": -0.5, "b": 1.0}, [], "rise").axes[0].get_xlim()[0] == -0.5  # a change may also help


def test_the_untrained_model_stands_at_the_left_of_a_logarithmic_axis():
    curve = drawn(language.training).axes[0].lines[0]
    assert 0 < curve.get_xdata()[0] < 10
    assert curve.get_ydata()[0] == UP[0]


def test_fates_have_the_paper_s_colours():
    white, red, blue, pale = heatmaps.fate_colour(np.array([0.0, 1, 1, 1]), np.array([0.0, 1, 0, 0]), np.array([0.0, 0, 0, 1]))
    assert white == pytest.approx([1, 1, 1])
    assert (red.argmax(), blue.argmax()) == (0, 2)
    assert (pale > blue).all()


def test_the_curve_of_a_kind_ends_where_none_scores_more_and_its_mean_is_written():
    shares, means = explanations.by_kind({"latents": [UP, UP / 2]}).axes
    assert [line.get_ydata()[-1] for line in shares.lines] == [0, 0]
    assert shares.lines[0].get_xdata().tolist() == sorted(UP)
    assert [text.get_text() for text in means.texts] == [f"{0.75 * UP.mean():.2f}"]


def test_a_stack_is_as_high_as_its_positive_weights_and_as_deep_as_its_negative_ones():
    axes = drawn(neurons.explainer).axes[1]
    corners = np.concatenate([path.vertices for shapes in axes.collections for path in shapes.get_paths()])
    for a in range(W1.shape[1]):
        of_neuron = corners[np.abs(corners[:, 0] - a) < 0.45, 1]
        assert (of_neuron.max(), of_neuron.min()) == pytest.approx((W1[:, a].clip(0).sum(), W1[:, a].clip(None, 0).sum()))


def test_a_motif_s_graph_has_the_weights_of_its_two_features_and_neurons_alone():
    graph = drawn(neurons.motif).axes[2]  # neurons 0 and 3 of features 1 and 0
    written = [text.get_text() for text in graph.texts]
    assert [text for text in written if text[0] in "-0123456789"] == ["-1", "1", "0.5", "1", "1", "0.5"]
    assert {"shared\n3", "companion\n0", "$x_{1}$", "$y'_{0}$"} <= set(written)


def test_a_polytope_stands_over_its_gram_matrix_and_four_dimensions_are_refused():
    figure = polytopes.polytope_and_matrix({"square": SQUARE})
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), SQUARE @ SQUARE.T)
    with pytest.raises(ValueError, match="16-cell"):
        polytopes.polytope_and_matrix({"16-cell": np.eye(4)})


def test_a_stage_shows_the_vectors_at_its_marker():
    vector = drawn(dynamics.unfolding).axes[-1].lines[1].get_data_3d()  # lines alternate: a path, then the vector at its end
    assert np.stack(vector, axis=1) == pytest.approx(np.array([[0, 0, 0], [1, 0, 0]]))


def test_colours_of_densities_above_one_differ():
    """A published figure colours by the raw ratio under a logarithmic bar, so that everything denser looks alike."""
    dots = [line.get_color() for line in drawn(vectors.moving_feature).axes[0].lines if line.get_marker() == "o"]
    assert len({tuple(colour) for colour in dots}) == 3


def test_sets_of_features_have_a_legend_and_importances_a_scale():
    by_set = vectors.feature_vectors([SQUARE, SQUARE[:2]], ["four", "two"], np.array([0, 0, 1, 1]), "set")
    assert [text.get_text() for text in by_set.legends[0].get_texts()] == ["set 1", "set 2"]
    assert len(by_set.axes) == 2
    by_importance = vectors.feature_vectors([SQUARE], ["four"], np.arange(4.0), "importance")
    assert not by_importance.legends
    assert len(by_importance.axes) == 2  # the scale has axes of its own
    assert not vectors.feature_vectors([SQUARE], ["four"], np.zeros(4, int), "set").legends
    assert len(vectors.feature_vectors([SQUARE], ["four"], 0.4 + 1e-5 * np.arange(4), "share").axes) == 1  # equal but for rounding: no scale


@pytest.mark.parametrize("loss", [4.0, 40.0])
def test_the_highest_label_stays_below_the_title(loss):
    curve = np.array([8.0, 5, 3])
    figure = sae.loss_to_compute(UP[::-1], curve, curve, {"zero ablation": sae.Reading(loss, 0.2, 0.15, 0.25)})
    close = figure.axes[1]
    figure.draw_without_rendering()
    (label,) = [text for text in close.texts if "zero ablation" in text.get_text()]
    assert label.get_window_extent().y1 < close.title.get_window_extent().y0
