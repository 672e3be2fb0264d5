"""Closed forms against tables, limits and each other."""

import math

import pytest
import torch

from companion.toy import data, exact, geometry, theory

F64 = torch.float64


def exact_loss(W, b, density, importance=None):
    return exact.loss(W, b, data.Independent().law(density, W.shape[1]), importance)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=F64)


def test_linear_optimum_keeps_the_most_important_features():
    importance = torch.tensor([0.5, 1.0, 0.25, 0.8], dtype=F64)
    assert theory.linear_optimum(one(0.5), importance, 2).item() == pytest.approx((0.5 / 3 - 1 / 16) * 0.75)


@pytest.mark.parametrize(
    ("p", "square_norm", "bias", "loss"),
    [(0.01, 1.353, -0.275, 0.001001), (0.05, 1.287, -0.246, 0.008904), (0.1, 1.211, -0.210, 0.026305), (0.2, 1.068, -0.132, 0.079588)],
)
def test_pentagon_table_and_the_exact_loss_of_its_models(p, square_norm, bias, loss):
    best = theory.polytope_optimum("pentagon", one(p))
    assert (best.square_norm.item(), best.bias.item()) == pytest.approx((square_norm, bias), abs=6e-4)
    assert 5 * best.loss.item() == pytest.approx(loss, abs=1e-6)
    W = geometry.polytope("pentagon") * best.square_norm.sqrt()
    assert exact_loss(W[None], best.bias.expand(1, 5), one(p)).item() == pytest.approx(5 * best.loss.item(), abs=1e-12)


@pytest.mark.parametrize(("p", "loss"), [(0.25, 0.10856), (0.4, 0.19513), (0.6, 0.30755)])
def test_exact_losses_of_two_digons_and_a_dropped_feature(p, loss):
    best = theory.polytope_optimum("digon", one(p))
    # the table's models are free to use the fifth direction a little: a tenth of a percent
    assert 0 <= 4 * best.loss.item() + p / 3 - p * p / 4 - loss < 1.5e-3 * loss


def test_polytope_optimum_is_stationary():
    for name in ("triangle", "square antiprism"):
        best = theory.polytope_optimum(name, one(0.15))
        W = (geometry.polytope(name) * best.square_norm.sqrt())[None].requires_grad_()
        b = best.bias.repeat(W.shape[1])[None].requires_grad_()
        slopes = torch.autograd.grad(exact_loss(W, b, one(0.15)).sum(), (W, b))
        along_norm = (slopes[0] * W).sum().abs().item()
        assert max(along_norm, slopes[1].sum().abs().item()) < 1e-6


def test_transitions_of_the_envelope():
    names = ("triangle", "digon", "pentagon", "square antiprism", "hexagon", "heptagon")
    density = 1 / torch.logspace(math.log10(1.3), 2, 20, dtype=F64)
    found = theory.transitions(theory.envelope(density, names))
    assert [change.sparser for change in found] == list(names[1:])
    assert [change.density for change in found] == pytest.approx([0.6444, 0.2249, 0.1909, 1 / 48, 0.0139], rel=0.01)


def test_digons_on_the_plateau():
    density = torch.tensor([0.5, 0.4, 0.3, 0.25], dtype=F64)
    assert theory.envelope(density, ("digon",)).dimensions[0].tolist() == pytest.approx([0.533, 0.498, 0.490, 0.489], abs=6e-4)


def test_a_dedicated_feature_gains_exactly_its_variance():
    assert theory.envelope(torch.tensor([0.2, 1.0]), ("dedicated",)).gain[0].tolist() == pytest.approx([1, 1], abs=1e-12)


def test_every_polytope_does_at_least_what_a_linear_model_does_without_sparsity():
    assert theory.envelope(one(1.0)).gain.min().item() > 1 - 1e-12


def test_fates_meet_at_the_triple_point_and_on_the_boundaries():
    losses = theory.fates(one(4 / 7), one(1.0), 1)
    assert [loss.item() for loss in losses.values()] == pytest.approx([losses["dedicated"].item()] * 3)
    r = torch.tensor([0.3, 4.0], dtype=F64)
    below, above = theory.fates(4 * r / (2 + 5 * r), r, 1), theory.fates(4 / (5 + 2 * r), r, 1)
    assert below["superposed"][0].item() == pytest.approx(below["not learned"][0].item())
    assert above["superposed"][1].item() == pytest.approx(above["dedicated"][1].item())


def test_fates_are_the_exact_losses_of_their_weights():
    p, r = 0.3, 2.0
    W = {
        "not learned": [[1, 0], [0, 1], [0, 0]],
        "superposed": [[1, 0], [0, 1], [0, -1]],
        "dedicated": [[1, 0], [0, 0], [0, 1]],
        "dedicated, others superposed": [[1, 0], [-1, 0], [0, 1]],
    }
    losses, importance = theory.fates(one(p), one(r), 2), torch.tensor([1, 1, r], dtype=F64)
    for name, rows in W.items():
        rows = torch.tensor([rows], dtype=F64)
        b = p / 2 * (rows.norm(dim=-1) == 0)
        assert exact_loss(rows, b, one(p), importance).item() == pytest.approx(losses[name].item(), abs=1e-9), name


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="hidden=3"):
        theory.fates(one(0.5), one(1.0), 3)
    with pytest.raises(ValueError, match="density"):
        data.variance(torch.tensor(0.0))
    with pytest.raises(ValueError, match="hidden=5"):
        theory.linear_optimum(one(0.5), torch.ones(3), 5)
    with pytest.raises(ValueError, match="strictly decrease"):
        theory.transitions(theory.envelope(torch.tensor([0.1, 0.2]), ("digon",)))
