"""Autoencoders that a penalty makes sparse: the gauge of their rows, JumpReLU's pseudo-derivatives, conventions of the L1 loss."""

import itertools

import pytest
import torch

from companion.sae import dense

D, N, B = 9, 40, 31


def test_tokens_without_active_latents_have_a_code_of_zeros(x, made):
    sae = made("relu")
    sae.b_enc.data.fill_(-1e3)
    assert sae.encode_normalised(x).values.shape == (B, 1)
    torch.testing.assert_close(sae(x), sae.b_pre.expand(B, D))


# --- gauge of the decoder's length -------------------------------------------------------------------------------


def _rescaled(sae, c):
    """W_dec -> c W_dec, (W_enc, b_enc) -> /c, latent by latent."""
    other = type(sae).from_tensors(sae.tensors())
    other.W_dec.data *= c[:, None]
    other.W_enc.data /= c[:, None]
    other.b_enc.data /= c
    return other


@pytest.mark.parametrize(("kind", "invariant"), [("relu", False), ("relu_norm", True)])
def test_only_the_decoder_norm_penalty_ignores_the_gauge(kind, invariant, x, generator, made):
    """Longer decoder rows and shorter encoder rows say the same; the plain L1 can be cheated by it."""
    sae = made(kind)
    there, back = sae.terms(x), _rescaled(sae, 0.5 + torch.rand(N, generator=generator, dtype=torch.float64)).terms(x)
    torch.testing.assert_close(back.x_hat, there.x_hat)
    assert torch.isclose(back.penalty, there.penalty).item() == invariant
    torch.testing.assert_close(_rescaled(sae, torch.full((N,), 10.0)).terms(x).penalty, there.penalty / (1 if invariant else 10))


# --- JumpReLU ----------------------------------------------------------------------------------------------------


@pytest.fixture
def jump(generator, made):
    """Thresholds in the middle of the pre-activations and a wide kernel, so that many pairs lie within it."""
    sae = made("jumprelu")
    sae.threshold.data = 0.5 + torch.rand(N, generator=generator, dtype=torch.float64)
    sae.BANDWIDTH = 0.3 / D**0.5
    return sae


def test_thresholds_get_the_papers_pseudo_derivatives(x, jump):
    """Rajamanoharan et al. 2024b with K the rectangle: dz/dtheta = -theta/eps K((p - theta)/eps), dH/dtheta = -1/eps K."""
    eps = 0.3
    p = (x - jump.b_pre) @ jump.W_enc.T + jump.b_enc
    kernel = (((p - jump.threshold) / eps).abs() < 0.5).double()
    assert kernel.sum() > 50
    dL_dz = 2 * ((p * (p > jump.threshold)) @ jump.W_dec + jump.b_pre - x) @ jump.W_dec.T
    terms = jump.terms(x)
    found = [torch.autograd.grad(value, jump.threshold, retain_graph=True)[0] for value in (terms.error, terms.penalty)]
    torch.testing.assert_close(found[0], (dL_dz * -(jump.threshold / eps) * kernel).sum(dim=0))
    torch.testing.assert_close(found[1], (-kernel / eps).sum(dim=0))


@pytest.mark.parametrize("coefficient", [0.0, 0.3])
def test_the_mean_pseudo_derivative_is_the_true_derivative(coefficient, generator):
    """Over inputs that spread, the mean loss is smooth in the threshold; its slope is a finite difference of that mean.

    One latent, so that the true loss is E|x - p 1[p > theta] w|² + coefficient P(p > theta). The bias falls with the width
    of the kernel. Normal inputs from evenly spread points, so that their noise is below the tolerance.
    """
    sae = dense.JumpReLU.random(2, 1, None, generator).double()
    sae.b_enc.data.fill_(0.1)
    spread = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(2**18, dtype=torch.float64)
    x = 2**0.5 * torch.erfinv(2 * spread.clamp(1e-9, 1 - 1e-9) - 1)

    def loss(theta):
        sae.threshold.data.fill_(theta)
        terms = sae.terms(x)
        return (terms.error + coefficient * terms.penalty) / len(x)

    theta, step = 0.8, 0.05
    with torch.no_grad():
        true = ((loss(theta + step) - loss(theta - step)) / (2 * step)).item()
    away = []
    for width in (0.4, 0.1):
        sae.BANDWIDTH = width / 2**0.5
        away.append(abs(torch.autograd.grad(loss(theta), sae.threshold)[0].item() - true))
    assert away[1] < away[0] / 4
    assert away[1] < 0.05 * abs(true)


# --- three conventions of one loss -------------------------------------------------------------------------------

CONVENTIONS = {"Bricken 2023": dense.BRICKEN_2023, "April 2024": dense.APRIL_2024, "Nanda 2023": dense.NANDA_2023}


def _published(convention, coefficient, sae, x):
    """Each loss as its authors wrote it."""
    f = torch.relu((x - sae.b_pre) @ sae.W_enc.T + sae.b_enc)
    e = f @ sae.W_dec + sae.b_pre - x
    if convention == "Bricken 2023":  # mean over entries and examples; |f|_1 averaged over examples
        return e.square().mean() + coefficient * f.sum(dim=1).mean()
    if convention == "April 2024":  # summed over entries
        return e.square().sum(dim=1).mean() + coefficient * f.sum(dim=1).mean()
    return e.square().sum(dim=1).mean() + coefficient * f.sum()  # Nanda: |f|_1 summed over the batch too


CONSTANT = {"Bricken 2023": 1 / D, "April 2024": 1, "Nanda 2023": 1}
"""Each loss over the sum form, once their coefficients agree: what the error is divided by."""


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(CONVENTIONS, 2)))
def test_converted_losses_have_equal_gradients_but_for_a_constant(source, target, x, made):
    sae = made("relu")
    converted = dense.convert_l1(0.07, CONVENTIONS[source], CONVENTIONS[target], width=D, batch=B)
    parameters = list(sae.parameters())
    a = torch.autograd.grad(_published(source, 0.07, sae, x), parameters)
    b = torch.autograd.grad(_published(target, converted, sae, x), parameters)
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one / CONSTANT[source], other / CONSTANT[target], rtol=1e-12, atol=1e-14)
    wrong = torch.autograd.grad(_published(target, 1.1 * converted, sae, x), parameters)  # any other coefficient does not do
    assert not torch.allclose(wrong[2] / CONSTANT[target], a[2] / CONSTANT[source])


def test_terms_are_the_sum_form(x, made):
    """`TrainConfig.penalty` is a coefficient of April 2024: (error + penalty) / tokens."""
    sae = made("relu")
    terms = sae.terms(x)
    torch.testing.assert_close((terms.error + 5 * terms.penalty) / B, _published("April 2024", 5, sae, x))


def test_published_coefficients_are_of_one_size():
    """.004 with a mean over 512 entries, and 3e-4 with a sum over 4096 examples, are 2.05 and 1.23 beside April 2024's 5."""
    assert dense.convert_l1(0.004, dense.BRICKEN_2023, dense.APRIL_2024, width=512, batch=8192) == pytest.approx(2.05, abs=5e-3)
    assert dense.convert_l1(3e-4, dense.NANDA_2023, dense.APRIL_2024, width=2048, batch=4096) == pytest.approx(1.23, abs=5e-3)
