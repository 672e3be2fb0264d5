"""The space an autoencoder works in, and the model against its formula."""

import math

import pytest
import torch

from companion.sae import models, recipe


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


def test_reconstruct_takes_any_leading_dimensions_and_answers_in_the_models_units(sae, generator):
    acts = 7 + 30 * torch.randn(2, 3, 12, generator=generator, dtype=torch.float64)
    x, mean, std = models.normalise(acts)
    whole = sae.reconstruct(acts)
    torch.testing.assert_close(whole[1, 2], (sae(x.view(-1, 12)).view(2, 3, 12) * std + mean)[1, 2])
    torch.testing.assert_close(sae.reconstruct(acts[0, 0]), whole[0, 0])
    assert not whole.requires_grad


# --- one interface for every kind --------------------------------------------------------------------------------

KINDS = list(recipe.KINDS)
EXTRAS = {"batch_topk": {"threshold"}, "matryoshka": {"threshold"}, "jumprelu": {"threshold"}, "gated": {"r_mag", "b_gate"}}


def _made(kind, generator):
    kind = recipe.model_class(kind)
    made = kind.random(12, 40, 5 if issubclass(kind, models.TopK) else None, generator).double()
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    made.finalise(torch.randn(30, 12, generator=generator, dtype=torch.float64))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_encode_then_decode_is_the_model(kind, generator):
    made, x = _made(kind, generator), torch.randn(20, 12, generator=generator, dtype=torch.float64)
    code = made.encode(x)
    assert code.indices.shape == code.values.shape
    assert (code.values >= 0).all()
    torch.testing.assert_close(made.decode(code), made(x))
    dense = torch.zeros(20, 40).double().scatter_add(1, code.indices, code.values)
    torch.testing.assert_close(made(x), dense @ made.W_dec + made.b_pre)


@pytest.mark.parametrize("kind", KINDS)
def test_encoding_carries_gradients(kind, generator):
    made, x = _made(kind, generator), torch.randn(20, 12, generator=generator, dtype=torch.float64)
    assert torch.autograd.grad(made.encode(x).values.sum(), made.W_enc)[0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_every_kind_are_the_interface_and_round_trip(kind, generator):
    made = _made(kind, generator)
    tensors = made.tensors()
    assert tensors.keys() == set(models.NAMES) | EXTRAS.get(kind, set())
    assert not any(t.requires_grad for t in tensors.values())
    again = type(made).from_tensors(tensors | {"of another kind": torch.zeros(1)}, made.k)
    x = torch.randn(20, 12, generator=generator, dtype=torch.float64)
    assert torch.equal(again(x), made(x))
    again.W_dec.data.zero_()
    assert made.W_dec.any()  # a copy


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in EXTRAS.items() for name in sorted(names)])
def test_a_tensor_of_the_kind_that_is_missing_or_misshapen_is_named(kind, name, generator):
    made = _made(kind, generator)
    for broken in ({k: t for k, t in made.tensors().items() if k != name}, made.tensors() | {name: torch.zeros(3)}):
        with pytest.raises(ValueError, match=f"a {kind} autoencoder needs {name} of shape"):
            type(made).from_tensors(broken, made.k)


@pytest.mark.parametrize("name", models.NAMES)
def test_a_tensor_of_all_kinds_that_is_missing_is_named(name, sae):
    with pytest.raises(ValueError, match=name):
        models.TopK.from_tensors({k: t for k, t in sae.tensors().items() if k != name}, sae.k)


def test_decoder_rows_at_the_start_are_uniform_on_the_sphere(generator):
    """Their mean is 0 and their second moment 1/D in all directions."""
    W = models.TopK.random(5, 20_000, 1, generator).W_dec.detach()
    assert W.mean(dim=0).abs().max() < 0.015
    torch.testing.assert_close(W.T @ W / len(W), torch.eye(5) / 5, atol=0.01, rtol=0)
