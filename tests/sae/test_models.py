"""The space an autoencoder works in, and the model against its formula."""

import math

import pytest
import torch

from companion.sae import models


def test_normalised_vectors_have_no_mean_and_norm_sqrt_d_minus_one(generator):
    acts = 3 + 50 * torch.randn(4, 6, 768, generator=generator)
    x, mean, std = models.normalise(acts)
    torch.testing.assert_close(x.mean(dim=-1), torch.zeros(4, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.norm(dim=-1), torch.full((4, 6), 27.695), atol=1e-3, rtol=0)  # 27.695 = sqrt(767)
    torch.testing.assert_close(std[..., 0], acts.std(dim=-1))
    torch.testing.assert_close(x * std + mean, acts, atol=1e-3, rtol=0)


def test_a_vector_without_spread_becomes_zero():
    assert torch.equal(models.normalise(torch.full((2, 8), 3.0)).x, torch.zeros(2, 8))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
def test_bad_activations_are_refused_and_counted(bad):
    acts = torch.randn(3, 5, 8)
    acts[1, 2, 3] = bad
    with pytest.raises(ValueError, match="1 of 15 activation vectors"):
        models.normalise(acts)


@pytest.mark.parametrize("k", [0, -1, 41])
def test_k_outside_the_latents_is_refused(k, generator):
    with pytest.raises(ValueError, match=r"k must lie in 1\.\.n"):
        models.TopK.random(12, 40, k, generator)


def test_tensors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not make one autoencoder"):
        models.TopK(torch.zeros(4, 3), torch.zeros(4, 2), torch.zeros(4), torch.zeros(3), 1)


def test_a_reconstruction_has_the_leading_dimensions_and_the_units_of_the_activations(made, generator):
    sae, acts = made("topk"), 7 + 30 * torch.randn(2, 3, 9, generator=generator, dtype=torch.float64)
    x, mean, std = models.normalise(acts)
    whole = sae.decode(sae.encode(acts), acts)
    torch.testing.assert_close(whole[1, 2], (sae(x.view(-1, 9)).view(2, 3, 9) * std + mean)[1, 2])
    torch.testing.assert_close(sae.decode(sae.encode(acts[0, 0]), acts[0, 0]), whole[0, 0])
    assert not whole.requires_grad


def test_decoder_rows_at_the_start_are_uniform_on_the_sphere(generator):
    """Their mean is 0 and their second moment 1/D in all directions."""
    W = models.TopK.random(5, 20_000, 1, generator).W_dec.detach()
    assert W.mean(dim=0).abs().max() < 0.015
    torch.testing.assert_close(W.T @ W / len(W), torch.eye(5) / 5, atol=0.01, rtol=0)
