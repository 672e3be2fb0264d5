"""Planted activations: known sums, the wanted density, no short vectors, and no more memory than a batch."""

import pytest
import torch

from companion.toy import planted


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


W = planted.directions(40, 16, generator())


def test_directions_have_unit_length_and_mean_zero():
    torch.testing.assert_close(W.norm(dim=1), torch.ones(40))
    torch.testing.assert_close(W.mean(dim=1), torch.zeros(40), atol=1e-6, rtol=0)


def test_samples_are_sums_of_the_directions_at_the_density_given_that_one_is_active():
    amounts, acts = planted.draw(W, 0.1, 20_000, generator(1))
    torch.testing.assert_close(amounts @ W, acts)
    assert len(acts) == 20_000
    assert acts.norm(dim=1).min() > planted.SHORTEST
    expected = 0.1 / (1 - 0.9**40)  # the few short vectors that are left out are less than one in a hundred
    assert (amounts > 0).double().mean().item() == pytest.approx(expected, rel=0.02)


def test_batches_are_full_and_fresh():
    made = planted.batches(W, 0.001, 64, generator(2))
    first, second = next(made), next(made)
    assert first.shape == second.shape == (64, 16)
    assert not torch.equal(first, second)


def test_a_density_that_is_none_is_refused():
    with pytest.raises(ValueError, match="density"):
        planted.draw(W, 1.5, 10, generator())
