"""The space an autoencoder works in, and the model against its formula."""

import math

import pytest
import torch

from companion.sae import models


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def sae(generator):
    made = models.TopK.random(12, 40, 5, generator).double()
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return made


def test_normalised_vectors_have_no_mean_and_norm_sqrt_d_minus_one(generator):
    acts = 3 + 50 * torch.randn(4, 6, 768, generator=generator)
    x, mean, std = models.normalise(acts)
    torch.testing.assert_close(x.mean(dim=-1), torch.zeros(4, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.norm(dim=-1), torch.full((4, 6), 27.695), atol=1e-3, rtol=0)  # 27.695 = sqrt(767)
    torch.testing.assert_close(std[..., 0], acts.std(dim=-1))
    torch.testing.assert_close(models.denormalise(x, mean, std), acts, atol=1e-3, rtol=0)


def test_error_in_normalised_space_is_raw_error_over_std(generator):
    acts, x_hat = 40 * torch.randn(9, 64, generator=generator).double(), torch.randn(9, 64, generator=generator).double()
    x, mean, std = models.normalise(acts)
    raw = (models.denormalise(x_hat, mean, std) - acts).square().sum(dim=-1)
    torch.testing.assert_close((x_hat - x).square().sum(dim=-1), raw / std[:, 0].square(), rtol=1e-5, atol=0)


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


def test_code_and_reconstruction_follow_the_formula(sae, generator):
    x = torch.randn(20, 12, generator=generator, dtype=torch.float64)
    pre = (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc
    kept = torch.zeros_like(pre).scatter(1, pre.topk(5, dim=1).indices, 1.0)
    z = torch.relu(pre) * kept
    code = sae.encode(x)
    torch.testing.assert_close(torch.zeros_like(z).scatter(1, code.indices, code.values), z)
    torch.testing.assert_close(sae.decode(code), z @ sae.W_dec + sae.b_pre)
    torch.testing.assert_close(sae(x), sae.decode(code))


def test_all_parameters_get_the_gradient_of_the_dense_model(sae, generator):
    x = torch.randn(20, 12, generator=generator, dtype=torch.float64)
    pre = (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc
    kept = torch.zeros_like(pre).scatter(1, pre.topk(5, dim=1).indices, 1.0)
    dense = (torch.relu(pre) * kept) @ sae.W_dec + sae.b_pre
    parameters = list(sae.parameters())
    wanted = torch.autograd.grad((dense - x).square().sum(), parameters)
    for found, expected in zip(torch.autograd.grad((sae(x) - x).square().sum(), parameters), wanted, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_reconstruct_takes_any_leading_dimensions_and_answers_in_the_models_units(sae, generator):
    acts = 7 + 30 * torch.randn(2, 3, 12, generator=generator, dtype=torch.float64)
    x, mean, std = models.normalise(acts)
    whole = sae.reconstruct(acts)
    torch.testing.assert_close(whole[1, 2], (sae(x.view(-1, 12)).view(2, 3, 12) * std + mean)[1, 2])
    torch.testing.assert_close(sae.reconstruct(acts[0, 0]), whole[0, 0])


def test_a_large_k_reconstructs_exactly_with_an_orthonormal_dictionary(generator):
    basis = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    both_signs = torch.cat([basis, -basis])
    identity = models.TopK(both_signs, both_signs, torch.zeros(16).double(), torch.zeros(8).double(), 16)
    x = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(identity(x), x)


def test_tensors_round_trip(sae):
    again = models.TopK.from_tensors(sae.tensors(), sae.k)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), sae.parameters(), strict=True))
    assert again.k == sae.k
