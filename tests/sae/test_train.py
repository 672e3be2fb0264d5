"""Each item of the training recipe on a case with a known answer."""

import math

import numpy as np
import pytest
import torch

from companion.sae import kernels, recipe, stream, train
from companion.sae.models import TopK, normalise

SMALL = recipe.TrainConfig(n=48, k=4, steps=30, batch=64, lr=1e-3, dead_after_tokens=256)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def acts(generator):
    """Sparse combinations of 32 directions in 16 dimensions, in the units of no model in particular."""
    features = torch.randn(32, 16, generator=generator)
    amounts = torch.rand(2048, 32, generator=generator) * (torch.rand(2048, 32, generator=generator) < 0.1)
    return 5 + 3 * amounts @ features + 0.01 * torch.randn(2048, 16, generator=generator)


def _fit(acts, config, generator):
    return train.fit(stream.shuffled(acts, config.batch, config.steps, generator), config, acts, generator)


# --- start -------------------------------------------------------------------------------------------------------


def test_geometric_median_of_a_cross_is_its_centre_and_of_a_majority_is_the_majority():
    cross = torch.tensor([[1.0, 2], [3, 2], [2, 1], [2, 3]])
    torch.testing.assert_close(recipe.geometric_median(cross), torch.tensor([2.0, 2.0]))
    majority = torch.cat([torch.tensor([[1.0, 1.0]]).expand(60, 2), 1000 * torch.eye(2).repeat(20, 1)])
    torch.testing.assert_close(recipe.geometric_median(majority, steps=500), torch.tensor([1.0, 1.0]), atol=1e-2, rtol=0)


def test_geometric_median_lies_where_the_unit_vectors_to_the_points_cancel(generator):
    points = torch.randn(300, 5, generator=generator).double().exp()
    away = points - recipe.geometric_median(points, steps=1000, tolerance=1e-12)
    assert (away / away.norm(dim=1, keepdim=True)).mean(dim=0).norm() < 1e-6


def test_b_pre_starts_as_the_median_of_what_the_encoder_sees(acts, generator):
    x = normalise(acts).x
    torch.testing.assert_close(recipe.start(x, SMALL, generator).b_pre, recipe.geometric_median(x))


def test_start_has_parallel_rows_and_reconstructions_as_long_as_inputs(acts, generator):
    x = normalise(acts).x
    sae = recipe.start(x, SMALL, generator)
    torch.testing.assert_close(torch.cosine_similarity(sae.W_enc, sae.W_dec), torch.ones(48))
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(48))
    ratio = (sae(x) - sae.b_pre).norm(dim=1).mean() / (x - sae.b_pre).norm(dim=1).mean()
    assert abs(ratio.item() - 1) < 1e-5
    assert sae.W_enc.data_ptr() != sae.W_dec.data_ptr()


def test_start_without_transposition_has_independent_rows(acts, generator):
    config = recipe.TrainConfig(n=48, k=4, steps=1, batch=1, transposed_start=False)
    sae = recipe.start(normalise(acts).x, config, generator)
    assert torch.cosine_similarity(sae.W_enc, sae.W_dec).abs().mean() < 0.4


def test_rows_are_still_parallel_after_a_hundred_steps_at_the_papers_rate(acts, generator):
    """What a start at the wrong scale destroys: entries far smaller than Adam's step are scrambled within a few."""
    config = recipe.TrainConfig(n=48, k=4, steps=100, batch=64, lr=4e-4, ema=None)
    sae = _fit(acts, config, generator).sae
    assert torch.cosine_similarity(sae.W_enc, sae.W_dec).median() > 0.9


# --- AuxK --------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_dead(generator):
    """A model in double precision, inputs, and ten of its latents declared dead."""
    sae = TopK.random(16, 48, 4, generator).double()
    sae.b_pre.data += 0.3 * torch.randn(16, generator=generator, dtype=torch.float64)
    x = torch.randn(64, 16, generator=generator, dtype=torch.float64)
    return sae, x, torch.arange(48)[::5]


def _dense_aux(sae, x, dead, k):
    """AuxK in the paper's symbols, with dense products only."""
    e = (x - sae(x)).detach()
    pre = (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc
    alive = torch.ones(len(pre.T), dtype=bool).index_fill(0, dead, False)
    pre = pre.masked_fill(alive, -torch.inf)
    z = torch.zeros_like(pre).scatter(1, (top := pre.topk(min(k, len(dead)), dim=1)).indices, torch.relu(top.values))
    return (z @ sae.W_dec - e).square().sum() / (e - e.mean(dim=0)).square().sum()


@pytest.mark.parametrize("k", [3, 10, 200])  # fewer than are dead, all of them, more than there are
def test_aux_loss_and_all_its_gradients_are_those_of_dense_autograd(k, with_dead):
    sae, x, dead = with_dead
    wanted = _dense_aux(sae, x, dead, k)
    found = recipe.aux_loss(sae, x, sae(x), dead, k)
    torch.testing.assert_close(found, wanted)
    parameters = list(sae.parameters())
    dense, sparse = torch.autograd.grad(wanted, parameters), torch.autograd.grad(found, parameters)
    for a, b in zip(sparse, dense, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_aux_gradient_reaches_the_encoder_of_the_dead_and_of_no_other(with_dead):
    sae, x, dead = with_dead
    gradient = torch.autograd.grad(recipe.aux_loss(sae, x, sae(x), dead, 3), sae.W_enc)[0].norm(dim=1)
    assert (gradient[dead] > 0).all()
    assert gradient.sum() == gradient[dead].sum()


def test_aux_target_is_detached(with_dead):
    sae, x, dead = with_dead
    assert torch.autograd.grad(recipe.aux_loss(sae, x, sae(x), dead, 3), sae.W_dec)[0].norm(dim=1)[1] == 0  # latent 1 is alive


def test_aux_is_normalised_per_batch(with_dead):
    """Ten times smaller activations (and their b_pre) leave the same aux loss."""
    sae, x, dead = with_dead
    before = recipe.aux_loss(sae, x, sae(x), dead, 3)
    sae.b_pre.data /= 10
    torch.testing.assert_close(recipe.aux_loss(sae, x / 10, sae(x / 10), dead, 3), before)


def test_aux_decode_is_free_of_the_bias(generator):
    """Dead latents that are silent reconstruct nothing: the error is all of e, not e minus b_pre."""
    sae = TopK.random(16, 48, 4, generator)
    sae.b_pre.data += 5
    sae.b_enc.data[-8:] = -100
    dead, x = torch.arange(40, 48), torch.randn(32, 16, generator=generator)
    e = x - sae(x)
    wanted = e.square().sum() / (e - e.mean(dim=0)).square().sum()
    torch.testing.assert_close(recipe.aux_loss(sae, x, sae(x), dead, 4), wanted)


def test_aux_is_zero_when_nothing_is_dead_or_nothing_is_left(with_dead):
    sae, x, dead = with_dead
    assert recipe.aux_loss(sae, x, sae(x), dead[:0], 3) == 0
    loss = recipe.aux_loss(sae, x, x, dead, 3)
    assert loss == 0
    loss.backward()
    assert torch.isfinite(sae.W_enc.grad).all()


def test_death_is_counted_in_tokens(acts, generator):
    """A latent that cannot fire is dead once more than 256 tokens have passed: at the 5th batch of 64, at the 9th of 32."""
    for batch, first in ((64, 5), (32, 9)):
        config = recipe.TrainConfig(n=48, k=4, steps=12, batch=batch, lr=1e-9, dead_after_tokens=256, log_every=1, aux_k=0)
        ones = torch.randn(16, generator=generator).expand(batch, 16)  # one vector for ever: all but k latents stay silent
        history = train.fit(iter([ones] * 12), config, acts, generator).history
        assert np.flatnonzero(history["dead"] > 0)[0] + 1 == first
        assert history["dead"][-1] >= 44 / 48


# --- decoder, average, rate --------------------------------------------------------------------------------------


def test_decoder_has_unit_rows_and_a_gradient_tangent_to_the_sphere(generator):
    sae = TopK.random(16, 48, 4, generator)
    sae.W_dec.data *= 3
    sae.W_dec.grad = torch.randn(48, 16, generator=generator)
    recipe.constrain_decoder(sae)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(48))
    torch.testing.assert_close((sae.W_dec * sae.W_dec.grad).sum(dim=1), torch.zeros(48), atol=1e-6, rtol=0)


def test_what_training_returns_has_unit_decoder_rows(acts, generator):
    trained = _fit(acts, SMALL, generator)
    for sae in (trained.sae, trained.last):
        assert (sae.W_dec.norm(dim=1) - 1).abs().max() < 1e-5


def test_short_run_averages_over_its_end(acts, generator, monkeypatch):
    decays = []
    average = recipe.Average
    monkeypatch.setattr(train, "Average", lambda sae, decay: decays.append(decay) or average(sae, decay))
    for steps in (10, 200):
        _fit(acts, recipe.TrainConfig(n=48, k=4, steps=steps, batch=64), generator)
    assert decays == [0.5, 0.9]


def test_average_is_corrected_for_its_start():
    sae = TopK(*(torch.full(shape, 0.0) for shape in ((2, 1), (2, 1), (2,), (1,))), k=1)
    average = recipe.Average(sae, 0.9)
    for value in (1.0, 4.0):
        sae.b_enc.data.fill_(value)
        average.update()
    wanted = (0.9 * 1 + 4) / 1.9  # weights 0.1 * 0.9 and 0.1, divided by 1 - 0.9²
    torch.testing.assert_close(average.value(sae)["b_enc"], torch.full((2,), wanted))


@pytest.mark.parametrize(("n", "paper"), [(2**11, 5.66e-4), (2**12, 4e-4), (2**15, 1.41e-4), (2**17, 7.07e-5)])
def test_rate_follows_the_papers_rule_at_its_batch(n, paper):
    assert math.isclose(recipe.learning_rate(n, batch=131_072), paper, rel_tol=5e-3)
    assert math.isclose(recipe.learning_rate(n, batch=131_072 // 8), 2 * paper, rel_tol=5e-3)


# --- fit ---------------------------------------------------------------------------------------------------------


def test_training_reduces_the_error_and_its_record_is_complete(acts, generator):
    config = recipe.TrainConfig(n=48, k=4, steps=300, batch=256, lr=3e-3, log_every=50)
    trained = _fit(acts, config, generator)
    assert trained.history["mse"][-1] < 0.6 * trained.history["mse"][0]
    assert trained.history["tokens"].tolist() == [256 * step for step in (1, 51, 101, 151, 201, 251, 300)]
    assert ((trained.history["l0"] > 0) & (trained.history["l0"] <= 4)).all()


def test_logged_error_is_the_normalised_mse(acts, generator):
    """On a batch that is the whole sample, before the first step."""
    config = recipe.TrainConfig(n=48, k=4, steps=1, batch=2048)
    x = normalise(acts).x
    sae = recipe.start(x, config, torch.Generator().manual_seed(3))
    wanted = (sae(x) - x).square().sum() / (x - x.mean(dim=0)).square().sum()
    logged = train.fit(iter([acts]), config, acts, torch.Generator().manual_seed(3)).history["mse"][0]
    assert math.isclose(logged, wanted.item(), rel_tol=1e-5)


def test_same_generator_same_model_and_the_global_state_is_left_alone(acts):
    before = torch.get_rng_state()
    a, b = (_fit(acts, SMALL, torch.Generator().manual_seed(seed)).sae for seed in (5, 5))
    assert torch.equal(a.W_enc, b.W_enc)
    assert torch.equal(torch.get_rng_state(), before)


def test_selection_in_training_is_the_kernel_under_test(acts, generator, monkeypatch):
    calls = []
    select = kernels.select
    counted = kernels.EXACT._replace(select=lambda *a: calls.append(1) or select(*a))
    train.fit(stream.shuffled(acts, SMALL.batch, SMALL.steps, generator), SMALL, acts, generator, path=counted)
    assert len(calls) >= SMALL.steps


def test_shuffled_visits_every_vector_once_per_epoch(generator):
    pool = torch.arange(10.0)[:, None]
    batches = list(stream.shuffled(pool, 5, 5, generator))
    assert len(batches) == 5
    assert sorted(torch.cat(batches[:2]).flatten().tolist()) == list(range(10))
    assert sorted(torch.cat(batches[2:4]).flatten().tolist()) == list(range(10))
    assert not torch.equal(batches[0], batches[2])


def test_bad_input_is_refused_in_a_sentence(acts, generator):
    with pytest.raises(ValueError, match="holds no batch of 64"):
        next(stream.shuffled(acts[:10], 64, 1, generator))
    with pytest.raises(ValueError, match="ran out after 1 of 30"):
        train.fit(iter([acts[:64]]), SMALL, acts, generator)
    broken = acts[:64].clone()
    broken[3, 3] = torch.nan
    with pytest.raises(ValueError, match="1 of 64 activation vectors"):
        train.fit(iter([broken]), SMALL, acts, generator)


@pytest.mark.parametrize("wrong", [dict(k=0), dict(k=49), dict(steps=0), dict(batch=0), dict(lr=-1.0), dict(dead_after_tokens=0)])
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        recipe.TrainConfig(**(dict(n=48, k=4, steps=1, batch=1) | wrong))
