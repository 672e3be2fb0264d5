"""The loop: what it trains, records, resumes and refuses, for every kind."""

import math

import numpy as np
import pytest
import torch

from companion.sae import formats, paths, recipe, stream, train
from companion.sae.mesh import Mesh
from companion.sae.models import normalise
from companion.sae.weights import Raw

SMALL = recipe.TrainConfig(n=48, k=4, steps=30, batch=64, lr=1e-3, dead_after_tokens=256)


KINDS = list(recipe.KINDS)


def _config(kind, **more):
    family = kind in KINDS[:4]
    return recipe.TrainConfig(**(dict(n=48, steps=30, batch=64, kind=kind, k=4 if family else None, penalty=0.0 if family else 0.1) | more))


def _fit(acts, config, generator):
    return train.fit(stream.shuffled(acts, config.batch, config.steps, generator), config, acts, generator)


def test_death_is_counted_in_tokens(acts, generator):
    """A latent that cannot fire is dead once more than 256 tokens have passed: at the 5th batch of 64, at the 9th of 32."""
    for batch, first in ((64, 5), (32, 9)):
        config = recipe.TrainConfig(n=48, k=4, steps=12, batch=batch, lr=1e-9, dead_after_tokens=256, log_every=1, aux_k=0)
        ones = torch.randn(16, generator=generator).expand(batch, 16)  # one vector for ever: all but k latents stay silent
        history = train.fit(iter([ones] * 12), config, acts, generator).history
        assert np.flatnonzero(history["dead"] > 0)[0] + 1 == first
        assert history["dead"][-1] >= 44 / 48


def test_short_run_averages_over_its_end(acts, generator, monkeypatch):
    decays = []
    average = recipe.Average
    monkeypatch.setattr(train, "Average", lambda sae, decay: decays.append(decay) or average(sae, decay))
    for steps in (10, 200):
        _fit(acts, recipe.TrainConfig(n=48, k=4, steps=steps, batch=64), generator)
    assert decays == [0.5, 0.9]


# --- fit ---------------------------------------------------------------------------------------------------------


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


def test_training_computes_with_what_is_recommended_for_where_the_sample_is(acts, monkeypatch):
    asked, chosen = [], paths.EXACT._replace()
    monkeypatch.setattr(paths, "recommended", lambda device: asked.append(device) or chosen)
    made = [train.Training(SMALL, sample, torch.Generator().manual_seed(0)) for sample in (acts, acts.half(), acts.double())]
    assert [training.sae.path is chosen for training in made] == [True, True, False]
    assert made[2].sae.path is paths.EXACT  # kernels for GPUs add in float32
    assert train.Training(SMALL, acts, torch.Generator(), path=paths.LOW).sae.path is paths.LOW
    assert [training.sae.W_enc.dtype for training in made] == [torch.float32, torch.float32, torch.float64]
    assert asked == [acts.device] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns(kind, acts, generator):
    """200 steps explain far more than one does, with unit rows where the kind has them and everything finite."""
    trained = _fit(acts, _config(kind, steps=200, batch=128, lr=3e-3, log_every=50), generator)
    mse = trained.history["mse"]
    assert mse[-1] < (0.8 if kind == "relu_norm" else 0.6) * mse[0]
    assert (trained.history["l0"] > 0).all()
    for sae in (trained.sae, trained.last):
        assert all(torch.isfinite(t).all() for t in sae.tensors().values())
        assert not sae.unit_rows or (sae.W_dec.norm(dim=1) - 1).abs().max() < 1e-5
    assert type(trained.sae).kind == kind


@pytest.mark.parametrize("kind", ["batch_topk", "matryoshka"])
def test_the_model_that_ships_keeps_k_of_data_it_has_not_seen(kind, generator):
    """Its weights are the averaged ones, here with half the encoder of the last: with a threshold of theirs it would keep 1.5 or fewer."""
    features = torch.randn(64, 16, generator=generator)
    amounts = torch.rand(24_000, 64, generator=generator) * (torch.rand(24_000, 64, generator=generator) < 0.06)
    acts, fresh = (3 * amounts @ features).split([8000, 16_000])
    run = train.Training(config := _config(kind, n=128, steps=150, batch=256, lr=1e-2), acts, generator)
    for batch in stream.shuffled(acts, config.batch, config.steps, generator):
        run.advance(batch)
    run.average.means["W_enc"] /= 2
    trained, x = run.finish(), normalise(fresh).x
    torch.testing.assert_close(trained.sae.W_enc, trained.last.W_enc / 2, rtol=0, atol=0.1)

    def l0(sae):
        return (sae.encode_normalised(x).values > 0).sum(dim=1).double().mean().item()

    assert l0(trained.sae) == pytest.approx(4, rel=0.03)
    assert l0(trained.last) == pytest.approx(4, rel=0.03)
    assert (trained.sae(x) - x).square().sum() < 1.1 * trained.sae.losses(x, 0.0).sum()  # and serves as well as the rule in training
    trained.sae.threshold.copy_(trained.last.threshold)
    assert l0(trained.sae) < 1.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_step_is_adam_s_on_the_stated_loss(kind, acts, generator):
    """(error + penalty) / (tokens * |mean - x|²), projected where rows are unit, then one step of plain Adam."""
    config = _config(kind, steps=1, batch=256, lr=1e-3, ema=None, aux_k=0)
    x = normalise(acts).x
    sae = recipe.start(x, config, torch.Generator().manual_seed(3))
    scale = (x - x.mean(dim=0)).square().sum(dim=1).mean()
    terms = sae.terms(x[:256])
    ((terms.error + config.penalty * terms.penalty) / (256 * scale)).backward()
    recipe.constrain_decoder(sae)
    torch.optim.Adam(sae.parameters(), lr=1e-3, eps=6.25e-10).step()
    sae.finalise(x)
    last = train.fit([acts[:256]], config, acts, torch.Generator().manual_seed(3)).last
    recipe.constrain_decoder(sae)
    for name, t in sae.tensors().items():
        torch.testing.assert_close(last.tensors()[name], t, atol=1e-5, rtol=1e-5, msg=name)


def test_aux_k_counts_for_a_thirty_second(acts):
    losses, x = [], normalise(acts[:64]).x
    for aux_k in (0, 8):
        training = train.Training(_config("topk", aux_k=aux_k), acts, torch.Generator().manual_seed(0))
        training.sae.b_enc.data[:5], training.silence[:5] = -100.0, 10**8
        training.advance(acts[:64])
        losses.append(training.loss)
    sae = recipe.start(normalise(acts).x, training.config, torch.Generator().manual_seed(0))
    sae.b_enc.data[:5] = -100.0
    aux = recipe.aux_loss(sae, x, sae(x), torch.arange(5), 8)
    torch.testing.assert_close(losses[1] - losses[0], aux.detach() / 32, rtol=1e-3, atol=1e-6)


# --- activations of one's own ---


def test_the_last_batch_of_an_epoch_may_be_smaller_and_counts_as_what_it_is(acts):
    """Batches of 64, 64 and 22, twice, against each step by hand: tokens, silence, the loss and the logged error."""
    config = _config("topk", steps=6, lr=1e-3, dead_after_tokens=128, log_every=1, aux_k=8)
    loader = torch.utils.data.DataLoader(acts[:150], batch_size=64)
    log = []
    trained = train.fit(loader, config, acts, torch.Generator().manual_seed(0), log=log.append)
    assert trained.history["tokens"].tolist() == [64, 128, 150, 214, 278, 300]
    training, x = train.Training(config, acts, torch.Generator().manual_seed(0)), normalise(acts).x
    tokens, last = 0, torch.zeros(48, dtype=torch.long)
    for row, batch in zip(log, 2 * acts[:150].split(64), strict=True):
        own, sae = normalise(batch).x, training.sae
        dead = (tokens - last > 128).nonzero()[:, 0]
        assert torch.equal(training.dead(), dead)
        tokens += len(batch)
        code = sae.encode_normalised(own)
        last[code.indices[code.values > 1e-3]] = tokens
        dead = (tokens - last > 128).nonzero()[:, 0]
        mse = (sae(own) - own).square().sum() / len(batch) / (x - x.mean(dim=0)).square().sum(dim=1).mean()
        loss = mse + recipe.aux_loss(sae, own, sae(own), dead, 8) / 32
        assert (row["mse"], row["loss"]) == pytest.approx((mse.item(), loss.item()), rel=1e-4)
        training.advance(batch)
    assert trained.history["dead"][-1] > 0


@pytest.mark.parametrize("how", ["sequences", "tuples", "lists of sequences", "loader", "loader of tuples", "epochs"])
def test_batches_come_as_they_are_made(how, acts):
    """All of these are the same activations in the same order, so the same model, bit for bit."""
    config, pool = _config("topk", steps=9), acts[: 3 * 64]
    data = torch.utils.data
    batches = {
        "sequences": [batch.view(4, 16, 16) for batch in pool.split(64)] * 3,
        "tuples": [(batch, torch.zeros(64)) for batch in pool.split(64)] * 3,
        "lists of sequences": [[batch.view(4, 16, 16)] for batch in pool.split(64)] * 3,
        "loader": data.DataLoader(pool, batch_size=64),
        "loader of tuples": data.DataLoader(data.TensorDataset(pool.view(12, 16, 16)), batch_size=4),
        "epochs": pool.split(64),
    }[how]
    wanted = train.fit(iter(pool.split(64) * 3), config, acts, torch.Generator().manual_seed(0)).last
    made = train.fit(batches, config, acts.view(32, 64, 16), torch.Generator().manual_seed(0)).last
    assert all(torch.equal(a, b) for a, b in zip(wanted.parameters(), made.parameters(), strict=True))


def test_a_run_over_smaller_batches_is_resumed_where_it_stopped(acts, tmp_path):
    config = _config("topk", steps=8, log_every=1)
    loader = torch.utils.data.DataLoader(acts[:150], batch_size=64)
    whole = train.fit(loader, config, acts, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="ran out after 4 of 8"):
        train.fit(iter([*loader, next(iter(loader))]), config, acts, torch.Generator().manual_seed(0), folder=tmp_path, every=4)
    again = train.fit(loader, config, acts, torch.Generator().manual_seed(0), folder=tmp_path)
    assert torch.equal(whole.last.W_enc, again.last.W_enc)
    assert whole.history["tokens"].tolist() == again.history["tokens"].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", ["none", "scalar"])
def test_every_kind_learns_in_every_space(kind, space, acts, generator):
    """And answers in the units of the activations, far better than their mean does."""
    trained = _fit(acts, _config(kind, steps=200, batch=128, lr=3e-3 if space == "scalar" else 3e-2, log_every=50, space=space), generator)
    for sae in trained.sae, trained.last:
        assert isinstance(sae, Raw)
        rebuilt = sae.decode(sae.encode(acts), acts)
        assert (rebuilt - acts).square().sum() < 0.6 * (acts - acts.mean(dim=0)).square().sum()
        assert not sae.sae.unit_rows or (sae.sae.W_dec.norm(dim=1) - 1).abs().max() < 1e-5
    assert trained.history["mse"][-1] < trained.history["mse"][0]


def test_the_scalar_makes_the_mean_square_of_the_sample_the_width(acts):
    config = _config("topk", steps=1, space="scalar")
    sae = train.fit([acts[:64]], config, acts, torch.Generator().manual_seed(0)).sae
    assert (sae.factor * acts).square().sum(dim=1).mean().item() == pytest.approx(16, rel=1e-5)
    assert train.fit([acts[:64]], _config("topk", steps=1, space="none"), acts, torch.Generator().manual_seed(0)).sae.factor == 1


def test_the_unit_of_the_activations_makes_no_difference_with_the_scalar(acts):
    """A power of two changes no digit: the weights are the same, and what they decode to is as much larger."""
    saes = {}
    for unit in (1, 1024):
        pool = unit * acts
        saes[unit] = train.fit(pool.split(64), _config("topk", lr=1e-3, space="scalar"), pool, torch.Generator().manual_seed(0)).sae
    one, other = saes.values()
    assert other.factor == one.factor / 1024
    assert all(torch.equal(a, b) for a, b in zip(one.sae.parameters(), other.sae.parameters(), strict=True))
    torch.testing.assert_close(other.decode(other.encode(1024 * acts), 1024 * acts), 1024 * one.decode(one.encode(acts), acts))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", recipe.SPACES)
def test_what_was_trained_in_any_space_is_saved_and_opened(kind, space, acts, generator, tmp_path):
    made = _fit(acts, _config(kind, space=space, lr=1e-3), generator).sae
    formats.save(made, tmp_path)
    again = formats.load(tmp_path, d_model=16)
    assert isinstance(again, Raw) == (space != "layer_norm")
    for x in acts[:100], acts[:100].view(4, 25, 16):
        torch.testing.assert_close(again.decode(again.encode(x), x), made.decode(made.encode(x), x), rtol=1e-4, atol=1e-4)


def test_a_batch_that_processes_cannot_share_evenly_is_refused(acts):
    class First(Mesh):
        """One of two processes that share each batch, as far as the check goes."""

        def rows(self, batch):
            return batch[: len(batch) // 2]

    training = train.Training(_config("topk"), acts, torch.Generator(), First())
    training.advance(acts[:62])
    with pytest.raises(ValueError, match="step 1: 63 activations cannot be split evenly over 2 processes"):
        training.advance(acts[:63])


@pytest.mark.parametrize("space", ["none", "scalar"])
@pytest.mark.parametrize(
    ("batch", "why"),
    [
        (lambda acts: acts.zero_(), "every activation of the batch is zero"),
        (lambda acts: acts.index_fill(0, torch.tensor([5]), torch.inf), "1 of 64 activation vectors"),
    ],
)
def test_a_bad_batch_is_refused_in_every_space(space, batch, why, acts, generator):
    with pytest.raises(ValueError, match=why):
        train.fit([batch(acts[:64].clone())], _config("topk", space=space), acts, generator)


@pytest.mark.parametrize("sample", [lambda acts: acts * 0, lambda acts: acts[:0], lambda acts: acts[:1].expand(50, 16)])
def test_a_sample_without_a_scale_or_in_which_nothing_varies_is_refused(sample, acts, generator):
    with pytest.raises(ValueError, match="nothing to learn"):
        train.fit([acts[:64]], _config("topk", space="scalar"), sample(acts), generator)


# --- schedules in the loop ---------------------------------------------------------------------------------------


def test_the_log_tells_of_rates_that_rise_and_fall_to_nothing(acts, generator):
    log = []
    config = _config("relu", steps=10, warmup=2, decay=0.5, lr=1e-3, log_every=1)
    train.fit(stream.shuffled(acts, 64, 10, generator), config, acts, generator, log=log.append)
    assert [row["lr"] for row in log] == pytest.approx([5e-4, 1e-3, 1e-3, 1e-3, 1e-3, 8e-4, 6e-4, 4e-4, 2e-4, 0])


def test_the_last_step_of_a_falling_rate_changes_nothing(acts):
    ends = []
    for steps in (9, 10):
        training = train.Training(_config("relu", steps=10, decay=0.5, lr=1e-3), acts, torch.Generator().manual_seed(0))
        for _ in range(steps):
            training.advance(acts[:64])
        ends.append(training.sae)
    recipe.constrain_decoder(ends[0])  # which the last step does before it does nothing
    assert all(torch.equal(a, b) for a, b in zip(*(sae.tensors().values() for sae in ends), strict=True))


def test_the_penalty_counts_nothing_at_step_zero_and_all_after_its_warm_up(acts):
    """The first loss is the same with and without a coefficient; the loss of a run that has warmed up is not."""
    rows = {}
    for penalty, warmup in ((0.0, 0), (2.0, 4), (2.0, 0)):
        log = []
        config = _config("relu", steps=6, penalty=penalty, penalty_warmup=warmup, lr=1e-12, log_every=1, ema=None, aux_k=0)
        train.fit([acts[:64]] * 6, config, acts, torch.Generator().manual_seed(0), log=log.append)
        rows[penalty, warmup] = [row["loss"] for row in log]
    none, warm, full = (np.array(rows[key]) for key in ((0.0, 0), (2.0, 4), (2.0, 0)))
    assert (warm - none) / (full - none) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1], abs=1e-4)


@pytest.mark.parametrize("clip", [1e-3, 1e3])
def test_gradients_are_clipped_to_the_length_asked_for(clip, acts, monkeypatch):
    """What Adam is given has the length `clip` if it was longer, and its own if not; its direction stays."""
    given = []
    for limit in (clip, None):
        training = train.Training(_config("relu", lr=1e-3, clip=limit), acts, torch.Generator().manual_seed(0))
        gradients = lambda sae=training.sae: given.append(torch.cat([p.grad.flatten() for p in sae.parameters()]))  # noqa: E731
        monkeypatch.setattr(training.adam, "step", gradients)
        training.advance(acts[:64])
    clipped, whole = given
    assert 1e-3 < whole.norm() < 1e3
    torch.testing.assert_close(clipped.norm(), whole.norm().clamp_max(clip))
    torch.testing.assert_close(clipped / clipped.norm(), whole / whole.norm())


# --- dead latents ------------------------------------------------------------------------------------------------


def test_resampling_in_the_loop_wakes_the_dead(acts, generator):
    """Latents that were shut before the step named in `resample_at` are alive after it, and their silence begins anew."""
    config = _config("relu", steps=20, dead_after_tokens=128, resample_at=(5,), aux_k=0, lr=1e-4, transposed_start=False)
    training = train.Training(config, acts, generator)
    shut = torch.tensor([1, 30])
    training.sae.b_enc.data[shut] = -1e3
    for step in range(5):
        training.advance(acts[64 * step : 64 * step + 64])
    assert set(shut.tolist()) <= set(training.dead().tolist())
    training.advance(acts[320:384])
    assert not len(training.dead())
    assert (training.sae.b_enc[shut] > -1).all()
    training.advance(acts[384:448])
    assert (training.silence[shut] < 3 * 64).all()


# --- logs --------------------------------------------------------------------------------------------------------


def test_the_append_of_a_list_is_a_log(acts, generator):
    log = []
    trained = train.fit(stream.shuffled(acts, 64, 30, generator), SMALL, acts, generator, log=log.append)
    assert [row["step"] for row in log] == [0, 10, 20, 29]
    assert trained.history["tokens"].tolist() == [64, 704, 1344, 1920]
    for name, column in trained.history.items():
        assert [row[name] for row in log] == column.tolist()
    assert all(np.isfinite(list(row.values())).all() for row in log)


# --- bad input ---------------------------------------------------------------------------------------------------


def _bad(acts, case):
    batch = acts[:64].clone()
    if case == "NaN":
        batch[3, 3] = torch.nan
    if case == "zeros":
        batch.zero_()
    if case == "constant":
        batch = torch.arange(64.0)[:, None].expand(64, 16)
    if case == "float16 overflow":
        batch = (1e5 * batch).half()
    if case == "none":
        batch = batch[:0]
    if case == "too many":
        batch = acts[:65]
    if case == "another width":
        batch = acts[:64].reshape(4, 32, 8)[..., :7]
    if case == "a dictionary":
        batch = {"acts": batch}
    return batch


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("NaN", "1 of 64 activation vectors hold NaN"),
        ("zeros", "step 2: every activation of the batch is zero"),
        ("constant", "step 2: every activation of the batch is zero or constant"),
        ("float16 overflow", "64 of 64 activation vectors hold NaN, infinite or overflowing"),
        ("none", "step 2: a batch of 0 activations with 16 entries, but this run takes at most 64 with 16"),
        ("too many", "step 2: a batch of 65 activations with 16 entries, but this run takes at most 64 with 16"),
        ("another width", "step 2: a batch of 128 activations with 7 entries, but this run takes at most 64 with 16"),
        ("a dictionary", "a batch is a tensor of activations, or a tuple or list that begins with one, and not a dict"),
    ],
)
def test_a_bad_batch_ends_the_run_in_a_sentence_and_keeps_nothing_of_it(case, why, acts, generator, tmp_path):
    good = acts[:64]
    with pytest.raises(ValueError, match=why):
        train.fit([good, good, _bad(acts, case), good], SMALL, acts, generator, folder=tmp_path / "run", every=3)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (lambda acts: acts.fill_(7.0), "nothing to learn"),
        (lambda acts: torch.linspace(1, 2, 100)[:, None] * acts[:1], "nothing to learn"),  # the same vector once normalised
        (lambda acts: acts[:0], "nothing to learn"),
        (lambda acts: acts.index_fill(0, torch.tensor([5]), torch.nan), "1 of 2048 activation vectors"),
        (lambda acts: (1e5 * acts).half(), "2048 of 2048 activation vectors"),
    ],
    ids=["constant", "one direction", "empty", "NaN", "float16 overflow"],
)
def test_a_sample_that_cannot_serve_is_refused(sample, why, acts, generator):
    with pytest.raises(ValueError, match=why):
        train.fit([acts[:64].clone()], SMALL, sample(acts.clone()), generator)


def test_activations_in_float16_that_do_not_overflow_are_trained_on_in_full_precision(acts):
    """float16 is how activations are kept: their rounding is all that is lost, not the sum of their squares."""
    half = (200 * acts).half()  # squares of these exceed float16
    ends = [train.fit([batch] * 30, SMALL, batch[:64], torch.Generator().manual_seed(0)).sae for batch in (half[:64], half[:64].float())]
    assert all(torch.equal(a, b) for a, b in zip(ends[0].parameters(), ends[1].parameters(), strict=True))


def test_batches_that_run_out_are_missed(acts, generator):
    with pytest.raises(ValueError, match=r"ran out after 1 of 30 steps$"):
        train.fit(iter([acts[:64]]), SMALL, acts, generator)


def test_a_loader_that_yields_nothing_is_one_error_and_no_endless_loop(acts, generator):
    empty = torch.utils.data.DataLoader(acts[:63], batch_size=64, drop_last=True)
    for batches in (empty, [], iter([])):
        with pytest.raises(ValueError, match=r"ran out after 0 of 30 steps: nothing came \(a DataLoader with drop_last"):
            train.fit(batches, SMALL, acts, generator)


@pytest.mark.parametrize("kind", ["relu", "gated"])
def test_a_loss_that_is_not_finite_ends_the_run(kind, acts, generator):
    config = _config(kind, lr=1e30, log_every=1)
    with pytest.raises(ValueError, match=r"step \d+: the loss is (nan|inf): lower the learning rate"):
        _fit(acts, config, generator)
