"""Refined coefficients against optimality conditions and planted scales."""

import math
from types import SimpleNamespace

import pytest
import torch

from companion.evals import refine
from companion.sae import dense, recipe
from companion.sae.models import Code, TopK, normalise
from companion.sae.weights import Raw

D, N, B = 12, 40, 64


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def x(generator):
    return 2 * torch.randn(B, D, generator=generator, dtype=torch.float64)


def _made(kind, generator):
    kind = recipe.model_class(kind)
    sae = kind.random(D, N, 5 if issubclass(kind, TopK) else None, generator).double()
    for parameter in sae.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    sae.finalise(2 * torch.randn(B, D, generator=generator, dtype=torch.float64))
    return sae


def _errors(sae, x, code):
    return (sae.decode_normalised(code) - x).square().sum(dim=1)


@pytest.mark.parametrize("kind", ["topk", "matryoshka", "relu", "relu_norm", "gated", "jumprelu"])
def test_no_sample_is_worse_the_support_is_kept_and_the_optimality_conditions_hold(kind, x, generator):
    """The conditions: no derivative where a coefficient is positive, none that asks for more where it is zero."""
    sae = _made(kind, generator)
    code, refined = sae.encode_normalised(x), refine.refine(Raw(sae), x)
    assert (_errors(sae, x, refined) <= _errors(sae, x, code) + 1e-12).all()
    assert _errors(sae, x, refined).mean() < 0.95 * _errors(sae, x, code).mean()
    assert torch.equal(refined.indices, code.indices)
    assert (refined.values >= 0).all()
    assert (refined.values[code.values == 0] == 0).all()
    slope = ((sae.decode_normalised(refined) - x) @ sae.W_dec.T).gather(1, refined.indices)
    positive = refined.values > 0
    assert slope[positive].abs().max() < 1e-5
    assert (slope[(code.values > 0) & ~positive] > -1e-5).all()


@pytest.mark.parametrize("kind", ["topk", "relu_norm"])
def test_a_normalisation_that_is_undone_changes_no_coefficient(kind, x, generator):
    sae, acts = _made(kind, generator), 5 + 300 * x
    inner = refine.refine(Raw(sae), normalise(acts).x)
    torch.testing.assert_close(refine.refine(sae, acts).values, inner.values, atol=1e-5, rtol=1e-5)
    bare = SimpleNamespace(encode=sae.encode, decode=sae.decode)  # all that is asked for
    assert torch.equal(refine.refine(bare, acts).values, refine.refine(sae, acts).values)
    rescaled = refine.refine(Raw(sae, rescaled=True), acts - acts.mean(dim=1, keepdim=True))
    torch.testing.assert_close(refine.refine(Raw(sae, centred=True, rescaled=True), acts).values, rescaled.values)


def _planted(generator):
    """Sums of three of D orthonormal directions with coefficients above 1, and a ReLU encoder that takes .4 off each."""
    basis = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64)).Q
    on = torch.stack([torch.randperm(D, generator=generator)[:3] for _ in range(B)])
    c = torch.zeros(B, D, dtype=torch.float64).scatter(1, on, 1 + torch.rand(B, 3, generator=generator, dtype=torch.float64))
    shrunk = dense.ReLU(basis, basis, torch.full((D,), -0.4, dtype=torch.float64), torch.zeros(D, dtype=torch.float64))
    return basis, c, shrunk


def test_refined_relu_recovers_the_true_scale(generator):
    _, c, sae = _planted(generator)
    x = c @ sae.W_dec.detach()
    code, refined = sae.encode_normalised(x), refine.refine(Raw(sae), x)
    found = torch.zeros_like(c).scatter(1, refined.indices, refined.values)
    torch.testing.assert_close(found, c, atol=1e-6, rtol=0)
    wanted = (c[c > 0] / (c[c > 0] - 0.4)).log().mean().item()
    assert wanted > 0.3
    assert refine.shrinkage(code, refined) == pytest.approx(wanted, abs=1e-6)


def test_top_k_with_the_same_dictionary_has_shrunk_nothing(generator):
    basis, c, _ = _planted(generator)
    sae = TopK(basis, basis, torch.zeros(D).double(), torch.zeros(D).double(), 3)
    x = c @ basis
    assert abs(refine.shrinkage(sae.encode_normalised(x), refine.refine(Raw(sae), x))) < 1e-9


def test_a_factor_on_all_coefficients_is_its_logarithm():
    values = torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]])
    code = Code(torch.tensor([[0, 1, 2], [2, 1, 0]]), values)
    assert refine.shrinkage(code, code._replace(values=1.5 * values)) == pytest.approx(math.log(1.5))
    one_lost = torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]])
    assert refine.shrinkage(code, code._replace(values=one_lost)) == 0


def test_a_token_without_active_latents_stays_empty(x, generator):
    sae = _made("relu", generator)
    sae.b_enc.data.fill_(-1e3)
    assert (refine.refine(Raw(sae), x).values == 0).all()


def test_more_latents_than_dimensions_still_converge(generator):
    """Half of 200 latents are active in 12 dimensions: many best codes, one best error, which is nothing."""
    sae = dense.ReLU.random(D, 200, None, generator)
    x = torch.randn(20, D, generator=generator)
    refined = refine.refine(Raw(sae), x)
    assert refined.values.dtype == torch.float32
    assert (_errors(sae, x, refined) < 1e-6).all()


def test_what_is_no_refinement_is_refused():
    code = Code(torch.tensor([[0, 1]]), torch.tensor([[1.0, 2.0]]))
    with pytest.raises(ValueError, match="not of the same latents"):
        refine.shrinkage(code, code._replace(indices=torch.tensor([[1, 0]])))
    with pytest.raises(ValueError, match="no latent is active"):
        refine.shrinkage(code, code._replace(values=torch.zeros(1, 2)))
