"""Autoencoders that a penalty makes sparse, against dense formulas in the papers' symbols, gauges and pseudo-derivatives included."""

import itertools

import pytest
import torch

from companion.sae import dense, kernels, recipe
from companion.sae.models import FIRED

D, N, B = 9, 30, 41
KINDS = (dense.ReLU, dense.ReLUNorm, dense.Gated, dense.JumpReLU)


@pytest.fixture
def x(generator):
    return 2 * torch.randn(B, D, generator=generator, dtype=torch.float64)


def _made(kind, generator):
    """A model in double precision whose parameters are all different from their start."""
    sae = kind.random(D, N, None, generator).double()
    for parameter in sae.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return sae


def _squared(e):
    return e.square().sum()


# --- one formula each: error, penalty, latents -------------------------------------------------------------------


def _relu(sae, x):
    """Bricken et al. 2023: f = ReLU(W_e (x - b_d) + b_e), |x - x_hat|² and |f|_1."""
    f = torch.relu((x - sae.b_pre) @ sae.W_enc.T + sae.b_enc)
    return _squared(f @ sae.W_dec + sae.b_pre - x), f.sum(), f


def _relu_norm(sae, x):
    """April 2024: f = ReLU(W_e x + b_e), |x - x_hat|² and sum_i f_i |W_d,i|."""
    f = torch.relu(x @ sae.W_enc.T + sae.b_enc)
    lengths = sae.W_dec.square().sum(dim=1).sqrt()
    return _squared(f @ sae.W_dec + sae.b_pre - x), (f * lengths).sum(), f


def _gated(sae, x):
    """Rajamanoharan et al. 2024a: W_mag = exp(r_mag) W_gate; the auxiliary reconstruction has a frozen decoder."""
    W_gate = sae.W_enc
    W_mag = torch.exp(sae.r_mag)[:, None] * W_gate
    pi = (x - sae.b_pre) @ W_gate.T + sae.b_gate
    f = (pi > 0).double() * torch.relu((x - sae.b_pre) @ W_mag.T + sae.b_enc)
    frozen = torch.relu(pi) @ sae.W_dec.detach() + sae.b_pre.detach()
    return _squared(f @ sae.W_dec + sae.b_pre - x) + _squared(frozen - x), torch.relu(pi).sum(), f


@pytest.mark.parametrize(("kind", "formula"), [(dense.ReLU, _relu), (dense.ReLUNorm, _relu_norm), (dense.Gated, _gated)], ids=lambda c: c.__name__)
def test_terms_and_the_gradients_of_all_parameters_are_those_of_the_formula(kind, formula, x, generator):
    sae = _made(kind, generator)
    terms, (error, penalty, f) = sae.terms(x), formula(sae, x)
    torch.testing.assert_close(terms.error, error)
    torch.testing.assert_close(terms.penalty, penalty)
    torch.testing.assert_close(sae.latents(x), f)
    torch.testing.assert_close(terms.x_hat, f @ sae.W_dec + sae.b_pre)
    names, parameters = zip(*sae.named_parameters(), strict=True)
    for found, wanted in ((terms.error, error), (terms.penalty, penalty)):
        pairs = zip(*(torch.autograd.grad(v, parameters, retain_graph=True, materialize_grads=True) for v in (found, wanted)), strict=True)
        for name, (a, b) in zip(names, pairs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_code_holds_the_latents_and_reconstructs_as_they_do(kind, x, generator):
    sae = _made(kind, generator)
    z, code = sae.latents(x), sae.encode(x)
    torch.testing.assert_close(kernels.dense(*code, N), z)
    assert code.indices.shape[1] == (z > 0).sum(dim=1).max()
    torch.testing.assert_close(sae(x), z @ sae.W_dec + sae.b_pre)
    torch.testing.assert_close(sae.terms(x).x_hat, sae(x))


@pytest.mark.parametrize("kind", KINDS)
def test_what_fired_are_the_latents_above_a_thousandth(kind, x, generator):
    sae = _made(kind, generator)
    assert torch.equal(torch.bincount(sae.terms(x).fired, minlength=N), (sae.latents(x) > FIRED).sum(dim=0))


def test_a_token_without_active_latents_has_a_code_of_zeros(generator):
    sae = _made(dense.ReLU, generator)
    sae.b_enc.data.fill_(-1e3)
    x = torch.randn(4, D, generator=generator, dtype=torch.float64)
    assert sae.encode(x).values.shape == (4, 1)
    torch.testing.assert_close(sae(x), sae.b_pre.expand(4, D))


# --- gauge of the decoder's length -------------------------------------------------------------------------------


def _rescaled(sae, c):
    """W_dec -> c W_dec, (W_enc, b_enc) -> /c, latent by latent."""
    other = type(sae).from_tensors(sae.tensors())
    other.W_dec.data *= c[:, None]
    other.W_enc.data /= c[:, None]
    other.b_enc.data /= c
    return other


@pytest.mark.parametrize(("kind", "invariant"), [(dense.ReLU, False), (dense.ReLUNorm, True)])
def test_only_the_decoder_norm_penalty_ignores_the_gauge(kind, invariant, x, generator):
    """Longer decoder rows and shorter encoder rows say the same; the plain L1 can be cheated by it."""
    sae = _made(kind, generator)
    there, back = sae.terms(x), _rescaled(sae, 0.5 + torch.rand(N, generator=generator, dtype=torch.float64)).terms(x)
    torch.testing.assert_close(back.x_hat, there.x_hat)
    assert torch.isclose(back.penalty, there.penalty).item() == invariant
    torch.testing.assert_close(_rescaled(sae, torch.full((N,), 10.0)).terms(x).penalty, there.penalty / (1 if invariant else 10))


# --- JumpReLU ----------------------------------------------------------------------------------------------------


def _jump(sae, p):
    return p * (p > sae.threshold)


@pytest.fixture
def jump(generator):
    """Thresholds in the middle of the pre-activations and a wide kernel, so that many pairs lie within it."""
    sae = _made(dense.JumpReLU, generator)
    sae.threshold.data = 0.5 + torch.rand(N, generator=generator, dtype=torch.float64)
    sae.BANDWIDTH = 0.3 / D**0.5
    return sae


def test_jumprelu_keeps_what_exceeds_its_threshold_unshrunk(x, jump):
    p = (x - jump.b_pre) @ jump.W_enc.T + jump.b_enc
    torch.testing.assert_close(jump.latents(x), p * (p > jump.threshold))
    terms = jump.terms(x)
    assert terms.penalty == (p > jump.threshold).sum()
    torch.testing.assert_close(terms.error, _squared(_jump(jump, p) @ jump.W_dec + jump.b_pre - x))


def test_a_negative_threshold_lets_nothing_negative_through(x, jump):
    jump.threshold.data.fill_(-1.0)
    p = (x - jump.b_pre) @ jump.W_enc.T + jump.b_enc
    torch.testing.assert_close(jump.latents(x), torch.relu(p))
    assert jump.terms(x).penalty == (p > 0).sum()


def test_thresholds_get_the_papers_pseudo_derivatives(x, jump):
    """Rajamanoharan et al. 2024b with K the rectangle: dz/dtheta = -theta/eps K((p - theta)/eps), dH/dtheta = -1/eps K."""
    eps = 0.3
    assert jump.bandwidth == pytest.approx(eps)
    p = (x - jump.b_pre) @ jump.W_enc.T + jump.b_enc
    kernel = (((p - jump.threshold) / eps).abs() < 0.5).double()
    assert kernel.sum() > 50
    dL_dz = 2 * (_jump(jump, p) @ jump.W_dec + jump.b_pre - x) @ jump.W_dec.T
    terms = jump.terms(x)
    found = [torch.autograd.grad(value, jump.threshold, retain_graph=True)[0] for value in (terms.error, terms.penalty)]
    torch.testing.assert_close(found[0], (dL_dz * -(jump.threshold / eps) * kernel).sum(dim=0))
    torch.testing.assert_close(found[1], (-kernel / eps).sum(dim=0))


def test_all_else_gets_the_gradient_with_the_active_set_held(x, jump):
    active = ((x - jump.b_pre) @ jump.W_enc.T + jump.b_enc > jump.threshold).double()
    plain = _squared((((x - jump.b_pre) @ jump.W_enc.T + jump.b_enc) * active) @ jump.W_dec + jump.b_pre - x)
    parameters = (jump.W_enc, jump.b_enc, jump.W_dec, jump.b_pre)
    terms = jump.terms(x)
    for a, b in zip(torch.autograd.grad(terms.error, parameters, retain_graph=True), torch.autograd.grad(plain, parameters), strict=True):
        torch.testing.assert_close(a, b)
    for parameter in parameters:  # the number of active latents moves with the threshold alone
        gradient = torch.autograd.grad(terms.penalty, parameter, retain_graph=True, allow_unused=True)[0]
        assert gradient is None or not gradient.any()


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


# --- AuxK --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "decisive"),
    [
        (dense.ReLU, lambda sae, x: (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc),
        (dense.ReLUNorm, lambda sae, x: x @ sae.W_enc.T + sae.b_enc),
        (dense.Gated, lambda sae, x: (x - sae.b_pre) @ sae.W_enc.T + sae.b_gate),
        (dense.JumpReLU, lambda sae, x: (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc),
    ],
)
@pytest.mark.parametrize("k", [2, 50])
def test_aux_k_ranks_dead_latents_by_what_must_be_positive_for_them_to_fire(kind, decisive, k, x, generator):
    sae, dead = _made(kind, generator), torch.tensor([1, 4, 5, 17, 29])
    pre = torch.full((B, N), -torch.inf, dtype=torch.float64).index_copy(1, dead, decisive(sae, x)[:, dead])
    top = pre.topk(min(k, 5), dim=1)
    e_hat = torch.zeros_like(pre).scatter(1, top.indices, torch.relu(top.values)) @ sae.W_dec
    e = (x - sae(x)).detach()
    wanted = _squared(e_hat - e) / _squared(e - e.mean(dim=0))
    found = recipe.aux_loss(sae, x, sae.terms(x).x_hat, dead, k)
    torch.testing.assert_close(found, wanted)
    parameters = list(sae.parameters())
    both = [torch.autograd.grad(loss, parameters, materialize_grads=True, allow_unused=True) for loss in (found, wanted)]
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


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
def test_converted_losses_have_equal_gradients_but_for_a_constant(source, target, x, generator):
    sae = _made(dense.ReLU, generator)
    converted = dense.convert_l1(0.07, CONVENTIONS[source], CONVENTIONS[target], width=D, batch=B)
    parameters = list(sae.parameters())
    a = torch.autograd.grad(_published(source, 0.07, sae, x), parameters)
    b = torch.autograd.grad(_published(target, converted, sae, x), parameters)
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one / CONSTANT[source], other / CONSTANT[target], rtol=1e-12, atol=1e-14)
    wrong = torch.autograd.grad(_published(target, 1.1 * converted, sae, x), parameters)  # any other coefficient does not do
    assert not torch.allclose(wrong[2] / CONSTANT[target], a[2] / CONSTANT[source])


def test_terms_are_the_sum_form(x, generator):
    """`TrainConfig.penalty` is a coefficient of April 2024: (error + penalty) / tokens."""
    sae = _made(dense.ReLU, generator)
    terms = sae.terms(x)
    torch.testing.assert_close((terms.error + 5 * terms.penalty) / B, _published("April 2024", 5, sae, x))


def test_published_coefficients_are_of_one_size():
    """.004 with a mean over 512 entries, and 3e-4 with a sum over 4096 examples, are 2.05 and 1.23 beside April 2024's 5."""
    assert dense.convert_l1(0.004, dense.BRICKEN_2023, dense.APRIL_2024, width=512, batch=8192) == pytest.approx(2.05, abs=5e-3)
    assert dense.convert_l1(3e-4, dense.NANDA_2023, dense.APRIL_2024, width=2048, batch=4096) == pytest.approx(1.23, abs=5e-3)
