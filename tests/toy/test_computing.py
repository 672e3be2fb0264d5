"""Models with a relu hidden layer: the weighted samples, the hand-written gradient, the explicit model, and the measures."""

import pytest
import torch

from companion.toy import computing, data
from companion.toy.computing import Config, Weights
from companion.toy.train import Schedule

F64 = torch.float64
QUICK = Schedule(steps=20, batch=16, rate=0.01)
ABS, TIED = Config(5, 4), Config(5, 4, tied=True)
IMPORTANCE = 0.7 ** torch.arange(5, dtype=F64)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def case(config: Config):
    """Two models and one batch, in float64."""
    W1, W2 = (0.7 * torch.randn(2, 5, 4, generator=stream(k), dtype=F64) for k in (1, 2))
    b = 0.2 * torch.randn(2, 5, generator=stream(3), dtype=F64)
    draw = computing.draw(config, IMPORTANCE, 60, stream(4))
    draw = draw._replace(uniform=draw.uniform.double(), sign=draw.sign.double(), chance=draw.chance.double())
    return Weights(W1, W1 if config.tied else W2, b), draw, torch.tensor([0.2, 0.8], dtype=F64)


def single(config: Config, *seeds: int) -> Weights:
    return computing.initial(config, [stream(seed) for seed in seeds])


# --- gradient ---


@pytest.mark.parametrize("config", [ABS, TIED])
def test_gradient_equals_autograd(config):
    weights, draw, density = case(config)
    free = [t.clone().requires_grad_() for t in weights]
    expected = torch.autograd.grad(computing.batch_loss(Weights(*free), draw, density, IMPORTANCE)[0].sum(), free)
    for ours, theirs in zip(computing.gradient(weights, draw, density, IMPORTANCE), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-13, rtol=1e-12)


def test_revived_gradient_pulls_outputs_that_are_off_while_their_feature_is_active():
    weights, draw, density = case(ABS)
    free = Weights(*(t.clone().requires_grad_() for t in weights))
    size, weight = computing.sample(draw, density)
    pre = torch.relu(size * draw.sign @ free.W1) @ free.W2.mT + free.b[:, None]
    pull = -2 * size * pre * (pre <= 0)
    surrogate = computing.batch_loss(free, draw, density, IMPORTANCE)[0] + 0.3 * (weight * (pull @ IMPORTANCE)).mean(1)
    expected = torch.autograd.grad(surrogate.sum(), free)
    for ours, theirs in zip(computing.gradient(weights, draw, density, IMPORTANCE, 0.3), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-13, rtol=1e-12)


# --- samples ---


@pytest.mark.parametrize("config", [ABS, TIED])
def test_weighted_samples_have_the_expectation_of_plain_ones(config):
    weights, density = Weights(*(t.float() for t in case(config)[0])), torch.tensor([0.05, 0.5])
    size = data.plain(data.draw(5, 200_000, stream(5)), density)
    sign = torch.ones(()) if config.tied else (torch.rand(size.shape, generator=stream(6)) < 0.5) * 2.0 - 1
    each = (computing.forward(weights, size * sign) - size).square() @ IMPORTANCE.float()
    ours = computing.sampled_loss(config, weights, density, IMPORTANCE, stream(7), 200_000)
    assert ((ours.loss - each.mean(1)).abs() < 4 * (each.var(1) / 200_000 + ours.error**2).sqrt()).all()


def test_every_sample_has_its_forced_feature_and_important_ones_come_up_more_often():
    draw = computing.draw(Config(20, 2), 0.5 ** torch.arange(20.0), 400, stream())
    size, weight = computing.sample(draw, torch.tensor([0.001, 1.0]))
    assert (size.gather(-1, draw.forced[None, :, None].expand(2, -1, -1)) > 0).all()
    assert ((draw.forced.bincount(minlength=20) - 400 * draw.chance).abs() <= 2).all()
    assert draw.chance[0] > 3 * draw.chance[-1]
    torch.testing.assert_close(weight[1], torch.ones(400))  # dense: nothing to weigh


# --- models ---


def test_forward_is_the_formula():
    weights, _, _ = case(ABS)
    x = torch.randn(2, 3, 5, generator=stream(8), dtype=F64)
    expected = torch.einsum("ifh,ibh->ibf", weights.W2, torch.einsum("ifh,ibf->ibh", weights.W1, x).relu()) + weights.b[:, None]
    torch.testing.assert_close(computing.forward(weights, x), expected.relu())


@pytest.mark.parametrize("features", [0, 1, 2])
def test_dedicated_model_costs_what_it_says(features):
    density = torch.tensor([0.1, 1.0])
    weights = computing.dedicated(ABS, density, features)
    ours = computing.sampled_loss(ABS, weights, density, IMPORTANCE, stream(), 100_000)
    expected = data.variance(density) * IMPORTANCE[features:].sum().float()
    assert ((ours.loss - expected).abs() < 4 * ours.error).all()


def test_rescaled_model_is_the_same_model():
    weights, _, _ = case(ABS)
    x = torch.randn(2, 7, 5, generator=stream(8), dtype=F64)
    scaled = computing.rescaled(weights)
    torch.testing.assert_close(computing.forward(scaled, x), computing.forward(weights, x))
    torch.testing.assert_close(scaled.W1.abs().amax(1), torch.ones(2, 4, dtype=F64))


# --- training ---


def test_dense_absolute_value_of_one_feature_is_learned():
    config, ones = Config(1, 4), torch.ones(1)
    fitted = computing.fit(config, single(config, 0, 1, 2, 3), torch.ones(4), ones, Schedule(400, 64, 0.02), stream())
    assert computing.sampled_loss(config, fitted, torch.ones(4), ones, stream(1), 2000).loss.min() < 1e-4


def test_instances_do_not_touch_each_other():
    density, start = torch.tensor([0.1, 0.5, 1.0]), single(ABS, 0, 1, 2)
    together = computing.fit(ABS, start, density, IMPORTANCE, QUICK, stream())
    for i in range(3):
        alone = computing.fit(ABS, start.at([i]), density[i : i + 1], IMPORTANCE, QUICK, stream())
        torch.testing.assert_close(alone.W1[0], together.W1[i], atol=1e-5, rtol=1e-4)


def test_tied_weights_stay_tied_and_start_weights_stay_as_they_were():
    start = single(TIED, 0)
    before = start.W1.clone()
    fitted = computing.fit(TIED, start, torch.tensor([0.5]), IMPORTANCE, QUICK, stream())
    assert torch.equal(fitted.W1, fitted.W2)
    assert torch.equal(start.W1, before)
    assert not torch.equal(fitted.W1, before)


def test_instance_depends_on_its_own_stream():
    assert torch.equal(single(ABS, 0, 1).W1[1], single(ABS, 1).W1[0])
    assert (single(ABS, 0).W2 >= 0).all()


# --- measures ---


def test_neurons_are_sorted_by_how_many_features_they_serve():
    W1 = torch.tensor([[1.0, 0.2, 1.0, 0.0], [0.0, -1.0, -0.5, 0.001]])
    found = computing.neurons(W1)
    assert found.mono.tolist() == [True, True, False, False]
    assert found.poly.tolist() == [False, False, True, False]
    assert computing.neurons(W1, 0.1).poly.tolist() == [False, True, True, False]


def test_the_paper_s_motif_is_found_and_its_parts_are_needed():
    W1 = torch.tensor([[[2.0, 1.0], [-0.5, 0.0]]])  # features by neurons: 0 big, 1 small; neuron 1 is the companion
    W2 = torch.tensor([[[0.5, 0.0], [2.0, -4.0]]])
    b = torch.zeros(1, 2)
    assert computing.motifs(Weights(W1, W2, b)).nonzero().tolist() == [[0, 0, 0, 1]]
    assert computing.motifs(computing.rescaled(Weights(W1, W2, b))).any()
    wrong_sign = W1 * torch.tensor([1.0, -1.0])
    no_companion, symmetric = W2 * torch.tensor([1.0, 0.0]), torch.tensor([[[2.0, 0.0], [2.0, -4.0]]])
    for broken in ((wrong_sign, W2), (W1, no_companion), (W1, symmetric)):
        assert not computing.motifs(Weights(*broken, b)).any()


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Config(0, 3), "at least one of each"),
        (lambda: computing.dedicated(ABS, torch.ones(1), 3), "hold 2 of 5 features"),
        (lambda: computing.fit(ABS, single(ABS, 0), torch.tensor([0.0]), IMPORTANCE, QUICK, stream()), "every density"),
        (lambda: computing.fit(ABS, single(ABS, 0), torch.ones(2), IMPORTANCE, QUICK, stream()), "one model per density"),
        (lambda: computing.fit(ABS, single(ABS, 0), torch.ones(1), IMPORTANCE[:3], QUICK, stream()), "one per feature"),
        (lambda: computing.fit(ABS, single(ABS, 0)._replace(b=torch.full((1, 5), torch.nan)), torch.ones(1), IMPORTANCE, QUICK, stream()), "NaN"),
        (lambda: computing.sampled_loss(ABS, single(ABS, 0), torch.ones(1), IMPORTANCE, stream(), 1), "at least two"),
        (lambda: computing.neurons(torch.ones(3, 2), 1.0), "between 0 and 1"),
        (lambda: computing.fit(ABS, single(ABS, 0), torch.ones(1), IMPORTANCE, Schedule(60, 16, 1e30), stream()), "diverged"),
    ],
)
def test_bad_input_is_one_clear_error(call, says):
    with pytest.raises(ValueError, match=says):
        call()
