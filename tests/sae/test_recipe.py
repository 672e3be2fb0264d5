"""Each item of the published recipes on a case with a known answer."""

import dataclasses
import math

import pytest
import torch

from companion.sae import dense, recipe, sparse, train
from companion.sae.models import TopK, normalise

SMALL = recipe.TrainConfig(n=48, k=4, steps=30, batch=64, lr=1e-3, dead_after_tokens=256)
KINDS = list(recipe.KINDS)


def _config(kind, **more):
    family = kind in KINDS[:4]
    return recipe.TrainConfig(**(dict(n=48, steps=30, batch=64, kind=kind, k=4 if family else None, penalty=0.0 if family else 0.1) | more))


# --- published recipes -------------------------------------------------------------------------------------------


def test_april_2024_is_the_recipe_of_the_update():
    """lambda 5 rising over 5 % of 200k steps, Adam at 5e-5, to 0 over the last 20 %, clipped at 1, biases 0, no remedy, rows free and short."""
    stated = dict(kind="relu_norm", penalty=5.0, penalty_warmup=10_000, lr=5e-5, decay=0.2, clip=1.0, median_start=False, aux_k=0, ema=None)
    assert recipe.april_2024(131_072, 200_000, 4096) == recipe.TrainConfig(131_072, 200_000, 4096, **stated)
    assert (dense.ReLUNorm.START, dense.ReLUNorm.unit_rows) == (0.1, False)


def test_bricken_2023_is_the_recipe_of_the_paper():
    """A million steps of 8192: resampled at 25k, 50k, 75k and 100k those silent for 12,500 steps; unit rows, untied start, median."""
    stated = dict(kind="relu", penalty=2.0, lr=1e-4, resample_at=(25_000, 50_000, 75_000, 100_000), dead_after_tokens=12_500 * 8192)
    wanted = recipe.TrainConfig(4096, 1_000_000, 8192, **stated, transposed_start=False, aux_k=0, ema=None)
    assert recipe.bricken_2023(4096, 1_000_000, 8192, penalty=2.0, lr=1e-4) == wanted
    assert dense.ReLU.unit_rows


def test_defaults_are_those_of_the_top_k_paper():
    config = recipe.TrainConfig(n=2**15, k=32, steps=1, batch=2**17)
    assert (recipe.AUX_WEIGHT, config.dead_after_tokens, config.ema) == (1 / 32, 10_000_000, 0.999)
    assert (config.warmup, config.decay, config.clip, config.median_sample) == (0, 0.0, None, 32_768)
    assert (config.median_start, config.transposed_start, config.resample_at, config.penalty_warmup) == (True, True, (), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_adam_has_no_momentum_where_the_paper_has_none_and_what_is_asked_for_elsewhere(kind, acts, generator):
    wanted = (0.0, 0.999) if kind in ("gated", "jumprelu") else (0.9, 0.999)
    assert train.Training(_config(kind), acts, generator).adam.defaults["betas"] == wanted
    assert train.Training(_config(kind, betas=(0.5, 0.9)), acts, generator).adam.defaults["betas"] == (0.5, 0.9)


@pytest.mark.parametrize(("steps", "wanted"), [(100, ()), (250, (100, 200)), (401, (100, 200, 300, 400)), (4000, (100, 200, 300, 400))])
def test_resampling_has_the_floor_of_the_warm_ups(steps, wanted):
    """With 400 steps 2.5 % are 10, in which hardly a latent has fired."""
    config = recipe.bricken_2023(64, steps, 32, 1.0, 1e-3)
    assert (config.resample_at, config.dead_after_tokens) == (wanted, 50 * 32)


def test_recipes_take_what_else_a_run_needs_and_what_it_wants_otherwise():
    assert recipe.april_2024(64, 10, 32, median_sample=7).median_sample == 7
    config = recipe.bricken_2023(64, 500, 32, 1.0, 1e-3, log_every=5, resample_at=(3,))
    assert (config.log_every, config.resample_at) == (5, (3,))


# --- rates and warm-ups ------------------------------------------------------------------------------------------


def test_rate_rises_to_one_and_falls_whichever_is_lower():
    config = _config("topk", steps=10, warmup=4, decay=0.5)
    factors = [recipe.rate_factor(step, config) for step in range(10)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.8, 0.6, 0.4, 0.2, 0])
    assert {recipe.rate_factor(step, SMALL) for step in range(30)} == {1.0}  # constant unless asked
    crossing = [recipe.rate_factor(step, _config("topk", steps=4, warmup=4, decay=1.0)) for step in range(4)]
    assert crossing == pytest.approx([0.25, 0.5, 0.25, 0])


def test_penalty_is_zero_at_the_first_step_and_whole_after_its_warm_up():
    assert [recipe.rising(step, 4) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert recipe.rising(0, 0) == 1


@pytest.mark.parametrize(("steps", "wanted"), [(200_000, 10_000), (2000, 100), (1000, 100), (170, 100), (40, 40)])
def test_a_warm_up_has_a_floor_in_steps(steps, wanted):
    """With 170 steps 5 % are 8: the floor makes it 100."""
    assert recipe.warmup_steps(0.05, steps) == wanted


@pytest.mark.parametrize(("n", "paper"), [(2**11, 5.66e-4), (2**12, 4e-4), (2**15, 1.41e-4), (2**17, 7.07e-5)])
def test_rate_follows_the_papers_rule_at_its_batch(n, paper):
    assert math.isclose(recipe.learning_rate(n, batch=131_072), paper, rel_tol=5e-3)
    assert math.isclose(recipe.learning_rate(n, batch=131_072 // 8), 2 * paper, rel_tol=5e-3)


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


def test_start_without_transposition_has_independent_rows_and_without_the_median_no_bias(acts, generator):
    config = recipe.TrainConfig(n=48, k=4, steps=1, batch=1, transposed_start=False, median_start=False)
    sae = recipe.start(normalise(acts).x, config, generator)
    assert torch.cosine_similarity(sae.W_enc, sae.W_dec).abs().mean() < 0.4
    assert (sae.b_pre == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_starts_with_reconstructions_as_long_as_inputs_or_short_rows(kind, acts, generator):
    x = normalise(acts).x
    sae = recipe.start(x, _config(kind), generator)
    torch.testing.assert_close(torch.cosine_similarity(sae.W_enc, sae.W_dec), torch.ones(48))
    assert (sae.b_enc == 0).all()
    assert sae.W_enc.data_ptr() != sae.W_dec.data_ptr()
    if kind == "relu_norm":
        for W in (sae.W_enc, sae.W_dec):
            torch.testing.assert_close(W.norm(dim=1), torch.full((48,), 0.1))
    else:
        torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(48))
        ratio = (sae.terms(x).x_hat - sae.b_pre).norm(dim=1).mean() / (x - sae.b_pre).norm(dim=1).mean()
        assert abs(ratio.item() - 1) < (0.05 if kind == "jumprelu" else 1e-5)


def test_the_median_is_of_the_first_of_the_sample(acts, generator):
    x = normalise(acts).x
    config = dataclasses.replace(SMALL, median_sample=50)
    torch.testing.assert_close(recipe.start(x, config, generator).b_pre, recipe.geometric_median(x[:50]))


# --- AuxK --------------------------------------------------------------------------------------------------------


def test_aux_is_zero_when_nothing_is_dead_or_nothing_is_left(x, made):
    sae, dead = made("topk"), torch.arange(40)[::5]
    assert recipe.aux_loss(sae, x, sae(x), dead[:0], 3) == 0
    loss = recipe.aux_loss(sae, x, x, dead, 3)
    assert loss == 0
    loss.backward()
    assert torch.isfinite(sae.W_enc.grad).all()


# --- resampling --------------------------------------------------------------------------------------------------


@pytest.fixture
def silent(acts, generator):
    """A model with five latents that cannot fire, Adam after two steps of it, and inputs."""
    x = normalise(acts).x
    sae = recipe.start(x, _config("relu", transposed_start=False), generator)
    dead = torch.tensor([3, 7, 20, 21, 47])
    sae.b_enc.data[dead] = -1e3
    adam = torch.optim.Adam(sae.parameters(), lr=1e-3)
    for _ in range(2):
        adam.zero_grad()
        (sae(x).square().sum() + sum(p.sum() for p in sae.parameters())).backward()
        adam.step()
    return sae, adam, x, dead


@pytest.mark.parametrize("penalty", [0.0, 2.0])
def test_inputs_are_drawn_in_proportion_to_their_loss_squared(penalty, silent, generator):
    """Chi-square over 12 inputs and 2000 draws for one latent: its mean is 11, and 31.3 is passed once in a thousand times."""
    sae, adam, x, _ = silent
    x, one, draws = x[:12], torch.tensor([3]), 2000
    error, penalties = (sae(x) - x).square().sum(dim=1).detach(), sae.latents(x).sum(dim=1).detach()
    counts = torch.zeros(12)
    for _ in range(draws):
        counts[recipe.resample(sae, adam, x, one, generator, penalty)] += 1
        sae.b_enc.data[3] = -1e3  # silent again, so that the losses stay as they are

    def chi_square(weights):
        expected = draws * weights / weights.sum()
        return ((counts - expected).square() / expected).sum().item()

    assert chi_square((error + penalty * penalties) ** 2) < 31.3
    assert chi_square(error + penalty * penalties) > 100  # as likely as their loss, they would not be drawn like this
    assert not penalty or chi_square(error**2) > 100  # nor by what the loss is without its penalty


@pytest.mark.parametrize("kind", KINDS[:6])  # those that can be resampled
def test_the_losses_of_tokens_add_up_to_error_and_penalty(kind, acts, generator):
    x = normalise(acts).x[:64]
    sae, x = recipe.start(x, _config(kind), generator).double(), x.double()
    terms = sae.terms(x)
    wanted = (terms.x_hat - x).square().sum() + 0.7 * terms.penalty
    torch.testing.assert_close(sae.losses(x, 0.7).sum(), wanted)


def test_the_loop_draws_from_its_whole_sample_by_the_loss_of_that_step(acts, generator, monkeypatch):
    """Not from the batch at hand; and the penalty counts as far as it has risen."""
    given = []
    monkeypatch.setattr(train, "resample", lambda *args: given.append(args))
    run = train.Training(_config("relu", resample_at=(1,), penalty=2.0, penalty_warmup=4, median_sample=1500), acts, generator)
    for step in range(2):
        run.advance(acts[64 * step : 64 * step + 64])
    assert len(given) == 1
    torch.testing.assert_close(given[0][2], normalise(acts).x[:1500])
    assert given[0][5] == 0.5


def test_a_resampled_latent_is_its_input_at_the_published_lengths(silent, generator):
    sae, adam, x, dead = silent
    alive = torch.ones(48, dtype=torch.bool).index_fill(0, dead, False)
    before = {name: t.clone() for name, t in sae.tensors().items()}
    drawn = recipe.resample(sae, adam, x, dead, generator)
    assert len(set(drawn.tolist())) == 5  # no two latents restart on one input
    torch.testing.assert_close(sae.W_dec[dead], x[drawn] / x[drawn].norm(dim=1, keepdim=True))
    torch.testing.assert_close(sae.W_enc[dead], 0.2 * before["W_enc"][alive].norm(dim=1).mean() * sae.W_dec[dead])
    assert (sae.b_enc[dead] == 0).all()
    for name, t in sae.tensors().items():  # the others are as they were
        kept = slice(None) if name == "b_pre" else alive
        assert torch.equal(t[kept], before[name][kept])


def test_adam_forgets_the_resampled_and_no_other(silent, generator):
    sae, adam, x, dead = silent
    alive = torch.ones(48, dtype=torch.bool).index_fill(0, dead, False)
    before = {p: {name: t.clone() for name, t in state.items()} for p, state in adam.state.items()}
    recipe.resample(sae, adam, x, dead, generator)
    for parameter in (sae.W_dec, sae.W_enc, sae.b_enc):
        for moment in ("exp_avg", "exp_avg_sq"):
            assert before[parameter][moment][dead].any()
            assert not adam.state[parameter][moment][dead].any()
            assert torch.equal(adam.state[parameter][moment][alive], before[parameter][moment][alive])
    assert all(torch.equal(adam.state[sae.b_pre][name], t) for name, t in before[sae.b_pre].items())


def test_resampling_nothing_changes_nothing_and_draws_nothing(silent, generator):
    sae, adam, x, dead = silent
    before, state = {name: t.clone() for name, t in sae.tensors().items()}, generator.get_state()
    assert len(recipe.resample(sae, adam, x, dead[:0], generator)) == 0
    assert all(torch.equal(t, before[name]) for name, t in sae.tensors().items())
    assert torch.equal(generator.get_state(), state)


def test_more_dead_than_inputs_share_them(silent, generator):
    sae, adam, x, _ = silent
    drawn = recipe.resample(sae, adam, x[:10], torch.arange(48), generator)
    assert len(drawn) == 48
    assert drawn.max() < 10
    assert torch.isfinite(sae(x)).all()


def test_resampling_before_the_first_step_needs_no_memory_of_adam(acts, generator):
    sae = recipe.start(normalise(acts).x, _config("relu"), generator)
    adam = torch.optim.Adam(sae.parameters(), lr=1e-3)
    recipe.resample(sae, adam, normalise(acts).x, torch.tensor([0]), generator)
    sae(normalise(acts).x).sum().backward()
    adam.step()
    assert torch.isfinite(sae.W_enc).all()


# --- decoder, average --------------------------------------------------------------------------------------------


def test_average_is_corrected_for_its_start():
    sae = TopK(*(torch.full(shape, 0.0) for shape in ((2, 1), (2, 1), (2,), (1,))), k=1)
    average = recipe.Average(sae, 0.9)
    for value in (1.0, 4.0):
        sae.b_enc.data.fill_(value)
        average.update()
    wanted = (0.9 * 1 + 4) / 1.9  # weights 0.1 * 0.9 and 0.1, divided by 1 - 0.9²
    torch.testing.assert_close(average.value(sae)["b_enc"], torch.full((2,), wanted))


@pytest.mark.parametrize("n", [48, 2**14 + 5])  # one block of rows, several with a rest
def test_projection_leaves_what_is_tangent_and_removes_what_is_not(n, generator):
    sae = TopK.random(16, n, 4, generator)
    tangent = torch.randn(n, 16, generator=generator)
    tangent -= (tangent * sae.W_dec).sum(dim=1, keepdim=True) * sae.W_dec.detach()
    sae.W_dec.grad = tangent.detach() + 7 * sae.W_dec.detach()
    sae.W_dec.data *= 2
    recipe.constrain_decoder(sae)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(n))
    torch.testing.assert_close(sae.W_dec.grad, tangent, atol=1e-5, rtol=0)


def test_free_decoder_rows_are_left_alone(generator):
    sae = dense.ReLUNorm.random(16, 48, None, generator)
    sae.W_dec.data *= 3
    sae.W_dec.grad = torch.randn(48, 16, generator=generator)
    before = sae.W_dec.detach().clone(), sae.W_dec.grad.clone()
    recipe.constrain_decoder(sae)
    assert torch.equal(sae.W_dec, before[0])
    assert torch.equal(sae.W_dec.grad, before[1])


def test_average_carries_what_is_no_parameter(generator):
    sae = sparse.BatchTopK.random(16, 48, 4, generator)
    sae.finalise(torch.randn(8, 16, generator=generator))
    average = recipe.Average(sae, 0.9)
    average.update()
    assert torch.equal(average.value(sae)["threshold"], sae.threshold)


# --- configurations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (dict(k=None), r"k must lie in 1\.\.n"),
        (dict(penalty=0.1), "made sparse by k alone"),
        (dict(kind="relu"), "made sparse by a penalty alone"),
        (dict(kind="relu", k=None, penalty=-1.0), "cannot be negative"),
        (dict(kind="relu", k=None, penalty=math.nan), "must be finite"),
        (dict(kind="relu", k=None, n=0), "must be positive"),
        (dict(kind="prolu"), "no autoencoder of kind 'prolu'; there are topk, multi_topk"),
        (dict(lr=math.nan), "lr=nan"),
        (dict(lr=math.inf), "lr=inf"),
        (dict(lr=-1.0), "lr=-1.0"),
        (dict(clip=0.0), "clip=0.0"),
        (dict(decay=1.5), "decay=1.5 must be a share"),
        (dict(ema=1.0), "ema=1.0 and betas=None shares below 1"),
        (dict(betas=(0.9, 1.0)), r"betas=\(0.9, 1.0\) shares below 1"),
        (dict(steps=0), "must be positive"),
        (dict(batch=0), "must be positive"),
        (dict(dead_after_tokens=0), "must be positive"),
        (dict(k=0), r"k must lie in 1\.\.n"),
        (dict(k=49), r"k must lie in 1\.\.n"),
        (dict(warmup=-1), "cannot be negative"),
        (dict(penalty_warmup=-1), "cannot be negative"),
        (dict(aux_k=-1), "cannot be negative"),
        (dict(median_sample=0), "must be positive"),
        (dict(log_every=0), "must be positive"),
        (dict(resample_at=(1,)), r"steps in 0\.\.0"),
        (dict(resample_at=(-1,)), r"steps in 0\.\.0"),
        (dict(kind="gated", k=None, resample_at=(0,)), "of a kind other than gated"),
        (dict(space="unit"), "no space is called 'unit'; there are layer_norm, none, scalar"),
    ],
)
def test_each_impossible_configuration_has_its_sentence(wrong, why):
    with pytest.raises(ValueError, match=why):
        recipe.TrainConfig(**(dict(n=48, k=4, steps=1, batch=1) | wrong))
