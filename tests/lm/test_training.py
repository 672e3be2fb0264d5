import math

import torch
from safetensors.torch import load_file

from companion.lm import training


def test_checkpoint_steps_are_log_spaced_and_hold_both_ends():
    steps = training.checkpoint_steps(2000, 32)
    assert steps[0] == 0
    assert steps[1] == 1
    assert steps[-1] == 2000
    assert len(steps) >= 25  # some of the first ones coincide
    late = [math.log(b / a) for a, b in zip(steps[-8:-1], steps[-7:], strict=True)]
    assert max(late) / min(late) < 1.05


def test_learning_rate_rises_then_falls_to_a_tenth():
    factors = [training.learning_rate_factor(step, training.SMALL) for step in range(training.SMALL.steps)]
    warm = round(training.SMALL.warmup * training.SMALL.steps)
    assert factors[warm - 1] == factors[warm] == 1.0
    assert abs(factors[-1] - 0.1) < 0.01
    assert all(a >= b for a, b in zip(factors[warm:], factors[warm + 1 :], strict=False))


def test_batches_visit_every_context_once_an_epoch():
    contexts = torch.arange(10)[:, None]
    batches = list(training.context_batches(contexts, 4, 5, torch.Generator().manual_seed(0)))
    seen = torch.cat(batches).flatten()
    assert sorted(seen[:10].tolist()) == list(range(10))
    assert sorted(seen[10:].tolist()) == list(range(10))


def test_training_loss_agrees_with_the_model_s_own(tiny):
    batch = tiny.tokens("heldout")[:4]
    own = tiny.model(input_ids=batch, labels=batch).loss
    assert torch.allclose(training.training_loss(tiny.model, batch), own, atol=1e-5)
    logits = tiny.model(input_ids=batch).logits[:, :-1]
    assert torch.allclose(training.token_losses(logits, batch).mean(), own, atol=1e-5)


def test_unembedding_loss_and_both_gradients_agree_with_autograd(monkeypatch):
    monkeypatch.setattr(training.UnembedLoss, "BLOCK", 3)  # several blocks, the last one short
    generator = torch.Generator().manual_seed(0)
    hidden, W = (torch.randn(n, 5, generator=generator, dtype=torch.float64).requires_grad_() for n in (8, 11))
    targets = torch.randint(11, (8,), generator=generator)
    assert torch.autograd.gradcheck(lambda h, w: training.UnembedLoss.apply(h, w, targets), (hidden, W))
    assert torch.allclose(training.UnembedLoss.apply(hidden, W, targets), torch.nn.functional.cross_entropy(hidden @ W.T, targets))


def test_a_new_model_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    training.new_model(training.TINY)
    assert torch.equal(before, torch.random.get_rng_state())


def test_training_lowers_the_loss_and_keeps_its_checkpoints(tiny_home, tiny):
    from companion.lm import sources, subject

    steps = sources.kept_steps(tiny_home)
    assert steps == training.checkpoint_steps(training.TINY.steps, training.TINY.checkpoints)
    tokens = tiny.tokens("heldout")[:64]
    first = subject.open_subject(tiny_home, step=0).losses(tokens).mean()
    assert abs(first - math.log(training.TINY.vocab)) < 0.2  # an untrained model guesses evenly
    assert tiny.losses(tokens).mean() < first - 0.5
    last, kept = (load_file(folder / "model.safetensors") for folder in (tiny_home, tiny_home / f"checkpoint-{steps[-1]}"))
    assert all(torch.equal(last[name], kept[name]) for name in last)
