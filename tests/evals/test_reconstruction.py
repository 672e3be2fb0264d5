"""Every measure on a model whose score is known: identity, mean only, random, an exact dictionary."""

import numpy as np
import pytest
import torch

from companion.evals import reconstruction
from companion.sae.models import Code, TopK


@pytest.fixture
def x():
    return 4 + 3 * torch.randn(20, 8, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("share", "error"), [(1, 0), (0, 1), (0.5, 0.25)])  # the identity, the mean, half of every deviation
def test_a_share_of_every_deviation_leaves_the_square_of_the_rest(share, error, x):
    mean = x.flatten(0, 1).mean(dim=0)
    assert reconstruction.normalised_mse(x, mean + share * (x - mean)) == pytest.approx(error, abs=1e-6)


def test_a_random_autoencoder_of_the_right_length_is_worse_than_the_mean():
    x = torch.randn(2000, 16, generator=torch.Generator().manual_seed(0))
    sae = TopK.random(16, 64, 1, torch.Generator().manual_seed(1))
    sae.W_dec.data = sae.W_dec.data[torch.randperm(64, generator=torch.Generator().manual_seed(2))]
    assert reconstruction.normalised_mse(x, sae(x).detach()) > 1


def test_error_by_position_averages_to_the_error_and_stands_where_it_was_made(x):
    x_hat = x.clone()
    x_hat[:, 3] += 1
    errors = reconstruction.by_position(x, x_hat)
    assert errors.argmax() == 3
    assert (errors > 0).sum() == 1
    assert abs(errors.mean().item() - reconstruction.normalised_mse(x, x_hat)) < 1e-9


@pytest.mark.parametrize("measure", [reconstruction.normalised_mse, reconstruction.by_position])
def test_shapes_that_would_broadcast_are_refused(measure, x):
    with pytest.raises(ValueError, match="cannot be compared"):
        measure(x, x[:1])


def test_l0_counts_what_is_active_and_dead_what_never_was():
    code = Code(torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0.5, 0.0], [0.1, 2.0]]))
    assert reconstruction.l0(code) == 1.5
    counts = reconstruction.firing_counts(code, 4)
    assert counts.tolist() == [1, 1, 1, 0]
    assert reconstruction.dead(counts) == 0.25


def test_loss_recovered_at_its_anchors():
    clean, ablated = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 6.0, 7.0])
    assert reconstruction.loss_recovered(clean, clean, ablated) == 1
    assert reconstruction.loss_recovered(clean, ablated, ablated) == 0
    assert reconstruction.loss_recovered(clean, (3 * clean + ablated) / 4, ablated) == 0.75
    with pytest.raises(ValueError, match="different tokens"):
        reconstruction.loss_recovered(clean, clean[:2], ablated)


def test_recovery_finds_features_in_any_order_and_scale_but_not_twice():
    features = torch.eye(4)[:3]
    assert np.allclose(reconstruction.recovery(7 * features[[2, 0, 1]], features), 1)
    repeated = reconstruction.recovery(features[[0, 0, 0]], features)
    assert sorted(repeated.tolist()) == [0, 0, 1]
    assert np.allclose(reconstruction.recovery(features[:2], features), [1, 1, 0])  # fewer rows than features
    assert np.allclose(reconstruction.recovery(-features, features), 0)  # an opposite direction is another feature
