"""Exact losses against closed forms, quadrature-free identities and sampling; descent on them."""

import math

import pytest
import torch

from companion.toy import data, exact, geometry, model, theory

F64 = torch.float64


def exact_loss(W, b, density, importance=None):
    return exact.loss(W, b, data.Independent().law(density, W.shape[1]), importance)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=F64)


def loss_of(W: torch.Tensor, b: float, density: float, importance=None) -> float:
    return exact_loss(W[None], torch.full((1, len(W)), b, dtype=F64), one(density), importance).item()


@pytest.mark.parametrize("p", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("r", [0.3, 2.0])
def test_two_features_in_one_dimension(p, r):
    V, importance = p / 3 - p * p / 4, torch.tensor([1, r], dtype=F64)
    assert loss_of(torch.tensor([[1.0], [-1.0]], dtype=F64), 0.0, p, importance) == pytest.approx((1 + r) * p * p / 6, abs=1e-10)
    alone = exact_loss(torch.tensor([[[1.0], [0.0]]], dtype=F64), torch.tensor([[0, p / 2]], dtype=F64), one(p), importance)
    assert alone.item() == pytest.approx(r * V, abs=1e-10)


def test_variance_is_what_a_dropped_feature_costs():
    density = torch.tensor([0.1, 0.7, 1.0], dtype=F64)
    got = exact_loss(torch.zeros(3, 1, 1, dtype=F64), density[:, None] / 2, density)
    torch.testing.assert_close(got, data.variance(density), atol=1e-12, rtol=0)


def test_orthogonal_features_cost_nothing():
    assert loss_of(torch.eye(4, dtype=F64), 0.0, 0.4) == pytest.approx(0, abs=1e-12)


def test_triangle_against_digon_and_a_dedicated_feature_in_the_sparse_limit():
    p = 1e-4
    assert loss_of(geometry.polytope("triangle"), 0.0, p) / p**2 == pytest.approx(3 / 8, rel=1e-3)
    assert loss_of(geometry.tegum("digon", "dedicated"), 0.0, p) / p**2 == pytest.approx(1 / 3, rel=1e-3)


@pytest.mark.parametrize("p", [0.08, 0.5, 1.0])
def test_exact_loss_agrees_with_sampling(p):
    stream = torch.Generator().manual_seed(3)
    W = 0.6 * torch.randn(2, 6, 3, generator=stream, dtype=F64)
    W[1, 2], W[1, 4] = 0, 1e-5  # a dropped feature and one almost dropped
    b = 0.2 * torch.randn(2, 6, generator=stream, dtype=F64)
    density = torch.full((2,), p, dtype=F64)
    x = data.plain(data.draw(6, 300_000, stream), density)
    error = (x - model.forward(W, b, x)).square().sum(-1)
    noise = error.std(1) / math.sqrt(error.shape[1])
    assert bool(((exact_loss(W, b, density) - error.mean(1)).abs() < 4 * noise).all())


def test_exact_loss_is_continuous_across_the_removable_singularity():
    def turned(angle: float) -> float:
        W = torch.tensor([[1.0, 0.0], [math.sin(angle), math.cos(angle)], [-1.0, 0.1]], dtype=F64)
        return loss_of(W, -0.05, 0.3)

    below, above = turned(exact.WEAK * 0.999), turned(exact.WEAK * 1.001)
    assert above == pytest.approx(below, abs=1e-6)


def test_exact_loss_is_differentiable():
    W = geometry.polytope("pentagon").clone()[None].requires_grad_()
    b = torch.full((1, 5), -0.1, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda W, b: exact_loss(W, b, one(0.2)), (W, b), atol=1e-6)


@pytest.mark.parametrize("source", [data.Correlated(2), data.Correlated(3), data.Anticorrelated(2), data.Anticorrelated(3)])
def test_exact_loss_of_correlated_data_agrees_with_sampling(source):
    stream = torch.Generator().manual_seed(1)
    W, b = 0.6 * torch.randn(1, 6, 2, generator=stream, dtype=F64), 0.2 * torch.randn(1, 6, generator=stream, dtype=F64)
    x = source.sample(source.uniforms(6, 200_000, stream), one(0.3))
    errors = (x - model.forward(W, b, x)).square().sum(-1)
    q = source.share_active(one(0.3), 6).item()
    sampled, noise = q * errors.mean().item() + (1 - q) * b.relu().square().sum().item(), q * errors.std().item() / errors.shape[1] ** 0.5
    assert exact.loss(W, b, source.law(one(0.3), 6)).item() == pytest.approx(sampled, abs=4 * noise)


def test_each_feature_may_have_a_density_of_its_own():
    stream = torch.Generator().manual_seed(1)
    W, b = 0.6 * torch.randn(1, 3, 2, generator=stream, dtype=F64), 0.2 * torch.randn(1, 3, generator=stream, dtype=F64)
    p = torch.tensor([[0.1, 0.5, 1.0]], dtype=F64)
    x = torch.cat([data.plain(data.draw(1, 400_000, stream), p[:, i]) for i in range(3)], dim=-1)
    errors = (x - model.forward(W, b, x)).square().sum(-1)
    assert exact.loss(W, b, data.independent_law(p)).item() == pytest.approx(errors.mean().item(), abs=4 * errors.std().item() / 400_000**0.5)


def test_collapsed_pair_costs_a_twelfth_and_an_anticorrelated_pair_nothing():
    p = one(0.2)
    together, apart = torch.full((1, 2, 1), 0.5**0.5, dtype=F64), torch.tensor([[[1.0], [-1.0]]], dtype=F64)
    assert exact.loss(together, torch.zeros(1, 2), data.Correlated(2).law(p, 2)).item() == pytest.approx(0.2 / 12)
    assert exact.loss(apart, torch.zeros(1, 2), data.Anticorrelated(2).law(p, 2)).item() == pytest.approx(0, abs=1e-12)


def test_descent_reaches_the_square_of_four_features_in_a_plane():
    law = data.Independent().law(torch.tensor([0.3, 0.1]), 4)
    starts = torch.randn(12, 4, 2, generator=torch.Generator().manual_seed(0)) * 0.6
    best = exact.optimum(starts, law, steps=200, rate=0.05)
    expected = 4 * theory.polytope_optimum("digon", torch.tensor([0.3, 0.1])).loss
    torch.testing.assert_close(best.loss, expected, rtol=1e-3, atol=0)
    torch.testing.assert_close(exact.loss(best.W, best.b, law), best.loss)


def test_descent_keeps_what_it_is_asked_to():
    start = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)) * 0.5
    law = data.Correlated(2).law(torch.full((3,), 0.2), 4)
    path = exact.descend(start, torch.zeros(3, 4), law, steps=10, rate=0.01, kept=(0, 5))
    assert len(path.W_at) == len(path.loss_at) == 2
    torch.testing.assert_close(path.W_at[0], start.double())
    torch.testing.assert_close(path.loss_at[0], exact.loss(start, torch.zeros(3, 4), law))
    assert bool((path.loss < path.loss_at[1]).all())


W, B, PAIR = torch.zeros(1, 2, 2), torch.zeros(1, 2), data.Independent().law(one(0.5), 2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: data.Independent().law(one(0.5), 11), "stops at n=10"),
        (lambda: exact.loss(torch.zeros(1, 32, 2), torch.zeros(1, 32), data.Correlated(16).law(one(0.5), 32)), "stops at 60000"),
        (lambda: exact.loss(math.nan * W, B, PAIR), "NaN"),
        (lambda: exact.loss(W, math.nan * B, PAIR), "b holds"),
        (lambda: exact.loss(torch.zeros(1, 3, 2), torch.zeros(1, 3), PAIR), "must agree"),
        (lambda: exact.descend(W, B, PAIR, steps=0, rate=0.1), "at least one step"),
        (lambda: exact.loss(W, B, PAIR, torch.ones(3)), "one per feature"),
        (lambda: exact.loss(W, B, PAIR, torch.tensor([1.0, -1])), "not negative"),
        (lambda: exact.loss(W, B, PAIR, torch.zeros(2)), "at least one above 0"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
