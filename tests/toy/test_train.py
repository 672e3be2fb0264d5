"""The hand-written gradient, the control variate, and the independence of instances."""

import re
from pathlib import Path

import pytest
import torch

from companion.toy import adversarial, computing, data, exact, geometry, model, schedule, theory, train

F64 = torch.float64
QUICK, BRIEF = train.Schedule(steps=20, batch=16, rate=0.01), train.Schedule(steps=3, batch=16, rate=0.01)


def streams(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def case(source=data.INDEPENDENT, *, relu: bool = True):
    """Two models with everything a gradient depends on, in float64."""
    stream = torch.Generator().manual_seed(0)
    W = (0.5 * torch.randn(2, 6, 3, generator=stream, dtype=F64)).requires_grad_()
    b = (0.2 * torch.randn(2, 6, generator=stream, dtype=F64)).requires_grad_()
    density, weight = torch.tensor([0.2, 0.7], dtype=F64), torch.rand(6, generator=stream, dtype=F64)
    uniforms = tuple(data.Uniforms(*(u.double() for u in each)) for each in source.uniforms(6, 40, stream))
    return W, b, train.Batch(source.sample(uniforms, density), density, weight, source, relu)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("source", [data.INDEPENDENT, data.Correlated(2), data.Anticorrelated(3)])
def test_gradient_equals_autograd(source, relu):
    W, b, batch = case(source, relu=relu)
    expected = torch.autograd.grad(train.batch_loss(W, b, batch).sum(), (W, b))
    with torch.no_grad():
        got = train.gradient(W, b, batch)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-13, rtol=1e-12)


@pytest.mark.parametrize("relu", [True, False])
def test_control_variate_and_centred_bias_equal_autograd(relu):
    """The gradient `fit` uses: sample minus linear sample plus exact linear expectation, through the centred bias."""
    W, centre, batch = case(relu=relu)
    x, density, weight, *_ = batch
    V, trust, active = data.variance(density), (1 - W.detach().square().sum(-1)).clamp_min(0), data.share_active(density, 6)
    b = train.bias_of(W, centre, density)
    linear = active * ((model.forward(W, b, x, relu=False) - x).square() * (trust * weight)[:, None]).sum(-1).mean(-1)
    linear = linear + (1 - active) * (b.square() * trust * weight).sum(-1)
    left_out = (torch.eye(6, dtype=F64) - W @ W.mT).square().sum(-1)
    exact = (trust * weight * (V[:, None] * left_out + (centre - density[:, None] / 2).square())).sum(-1)
    estimate = (train.batch_loss(W, b, batch) - linear + exact) / V
    expected = torch.autograd.grad(estimate.sum(), (W, centre))
    with torch.no_grad():
        got = train.scaled_gradient(W, centre, batch)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)


def test_control_variate_has_the_expectation_of_what_it_replaces():
    W, centre, (_, density, *_) = case()
    x = data.plain(data.draw(6, 400_000, torch.Generator().manual_seed(1)), density)
    sampled = (model.forward(W, train.bias_of(W, centre, density), x, relu=False) - x).square().mean(1)
    left_out = (torch.eye(6, dtype=F64) - W @ W.mT).square().sum(-1)
    exact = data.variance(density)[:, None] * left_out + (centre - density[:, None] / 2).square()
    torch.testing.assert_close(sampled, exact, atol=2e-3, rtol=0.02)


def test_neither_more_densities_nor_more_streams_change_a_model():
    config = model.Config(features=12, hidden=3)
    small = train.fit(config, torch.tensor([0.1, 0.5]), streams(2), BRIEF)
    large = train.fit(config, torch.tensor([0.1, 0.5, 1.0]), streams(1, 2), BRIEF)
    torch.testing.assert_close(large.W[3:5], small.W, atol=1e-5, rtol=0)
    torch.testing.assert_close(large.b[3:5], small.b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("room", [1, 16 * 12 * 2, 16 * 12 * 7])  # of one model, of two, of two streams
def test_how_the_models_are_cut_into_pieces_changes_nothing(room, monkeypatch):
    density, config = torch.tensor([0.1, 0.3, 0.5]), model.Config(features=12, hidden=3)
    whole = train.fit(config, density, streams(0, 1, 2), BRIEF)
    monkeypatch.setattr("companion.toy.schedule.CACHE", room)
    cut = train.fit(config, density, streams(0, 1, 2), BRIEF)
    torch.testing.assert_close(cut.W, whole.W, atol=1e-5, rtol=0)
    torch.testing.assert_close(cut.b, whole.b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("module", [train, computing, adversarial, schedule, data, model])
def test_what_trains_imports_no_closed_form_and_no_measure(module):
    """Trained weights are kept by the source of all that their trainer imports."""
    imported = re.findall(r"^(?:from|import) companion.*", Path(module.__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert not re.search(r"\b(exact|theory|geometry|playground)\b", " ".join(imported))


def test_initial_scale_is_that_of_one_model():
    W, b = model.initial(model.Config(400, 30), streams(1, 2, 3))
    assert W.std().item() == pytest.approx((2 / 430) ** 0.5, rel=0.02)
    assert W.shape == (3, 400, 30)
    assert not b.any()


def test_training_finds_the_digons():
    fitted = train.fit(model.Config(4, 2), torch.tensor([0.3]), streams(0, 1, 2, 3), train.Schedule(600, 128, 0.02))
    losses = exact.loss(fitted.W, fitted.b, data.Independent().law(torch.full((4,), 0.3), fitted.W.shape[1]))
    best = 4 * theory.polytope_optimum("digon", torch.tensor([0.3])).loss.item()
    assert losses.min().item() == pytest.approx(best, rel=0.02)
    winner = fitted.W[losses.argmin()]
    assert [c.name for c in geometry.components(winner)] == ["digon", "digon"]


def test_training_the_linear_model_reaches_its_optimum():
    config, importance = model.Config(6, 2, relu=False), 0.7 ** torch.arange(6.0)
    fitted = train.fit(config, torch.tensor([0.3]), streams(0), train.Schedule(800, 64, 0.02), importance)
    got = train.sampled_loss(fitted.W, fitted.b, torch.tensor([0.3]), streams(9)[0], 50_000, importance, relu=False)
    assert got.item() == pytest.approx(theory.linear_optimum(torch.tensor(0.3), importance, 2).item(), rel=0.02)


def test_sampled_loss_agrees_with_the_exact_loss():
    W, b, (_, density, weight, *_) = case()
    with torch.no_grad():
        got = train.sampled_loss(W.float(), b.float(), density.float(), streams(5)[0], 200_000, weight.float())
        torch.testing.assert_close(got.double(), exact.loss(W, b, data.Independent().law(density, W.shape[1]), weight), rtol=0.01, atol=0)


CONFIG, HALF, ZEROS = model.Config(4, 2), torch.tensor([0.5]), (torch.zeros(1, 4, 2), torch.zeros(1, 4))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: model.Config(0, 1), "at least one"),
        (lambda: model.Config(3, 0), "at least one"),
        (lambda: model.Config(3, 4), "hidden <= features"),
        (lambda: train.Schedule(0, 8, 0.1), "at least 1"),
        (lambda: train.Schedule(8, 0, 0.1), "at least 1"),
        (lambda: train.Schedule(8, 8, 0.0), "positive"),
        (lambda: train.fit(CONFIG, 3 * HALF, streams(0), QUICK), "density"),
        (lambda: train.fit(CONFIG, HALF, [], QUICK), "0 streams"),
        (lambda: train.fit(CONFIG, HALF, streams(0), QUICK, torch.ones(3)), "importance has shape"),
        (lambda: train.fit(CONFIG, HALF, streams(0), train.Schedule(50, 8, 1e30)), "diverged"),
        (lambda: train.sampled_loss(torch.nan * ZEROS[0], ZEROS[1], HALF, streams(0)[0], 10), "NaN or infinite"),
        (lambda: train.sampled_loss(*ZEROS, HALF, streams(0)[0], 0), "samples=0"),
    ],
)
def test_bad_input_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_kept_weights_are_those_of_the_same_run_and_start_at_the_scale_asked_for():
    plain = train.fit(CONFIG, HALF, streams(0), train.Schedule(20, 16, 0.01, start=0.1))
    watched = train.fit(CONFIG, HALF, streams(0), train.Schedule(20, 16, 0.01, start=0.1, kept=(0, 5)))
    assert torch.equal(plain.W, watched.W)  # one optimiser for the whole run: looking changes nothing
    assert torch.equal(watched.W_at[0], 0.1 * model.initial(CONFIG, streams(0))[0])
    assert not torch.equal(watched.W_at[1], watched.W_at[0])
    assert plain.W_at.shape == (0, 1, 4, 2)


def test_training_on_anticorrelated_pairs_costs_nothing():
    source, config = data.Anticorrelated(2), model.Config(4, 2)
    fitted = train.fit(config, torch.tensor([0.2]), streams(0, 1, 2, 3), train.Schedule(800, 128, 0.02), source=source)
    losses = exact.loss(fitted.W, fitted.b, source.law(torch.full((4,), 0.2), 4))
    assert losses.min().item() < 1e-5
