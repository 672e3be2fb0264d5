import pytest
import torch

from companion.evals import ablation, precision


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_ten_bits_are_kept_and_the_nearest_number_taken():
    x = randn(1000) * 10.0 ** torch.arange(-4, 6).repeat(100)
    near = precision.rounded(x)
    assert ((near / x - 1).abs() <= 2.0**-11).all()
    assert (near / x - 1).abs().max() > 2.0**-12
    mantissa = torch.frexp(near).mantissa * 2**11
    assert torch.equal(mantissa, mantissa.round())
    assert torch.equal(precision.rounded(near), near)
    exact = torch.tensor([0.0, 1.0, -1.5, 1 + 2.0**-10, 2.0**20])
    assert torch.equal(precision.rounded(exact), exact)
    assert precision.rounded(torch.tensor(1 + 2.0**-11)) == 1 + 2.0**-10  # a tie goes away from zero


@pytest.mark.parametrize(("product", "shapes"), [(torch.mm, [(5, 7), (7, 3)]), (torch.bmm, [(2, 5, 7), (2, 7, 3)])])
def test_factors_of_products_are_rounded_and_sums_are_not(product, shapes):
    a, b = (randn(*shape) for shape in shapes)
    with precision.tensor_float_32():
        found = product(a, b)
    assert torch.equal(found, product(precision.rounded(a), precision.rounded(b)))
    assert not torch.equal(found, product(a, b))


def test_a_bias_stays_and_so_does_float64():
    x, weight, bias = randn(5, 7), randn(3, 7), randn(3)
    with precision.tensor_float_32():
        found, double = torch.nn.functional.linear(x, weight, bias), x.double() @ weight.double().T
    assert torch.allclose(found, precision.rounded(x) @ precision.rounded(weight).T + bias, rtol=0, atol=1e-6)
    assert torch.equal(double, x.double() @ weight.double().T)


def test_a_whole_ablation_does_not_feel_it_and_a_nudge_does(tiny):
    """What page 13b shows on a planted position: rounding of about 1 part in 2,000 against effects far above and far below."""
    resid = tiny.residual(tiny.tokens("heldout")[:1], 0)[0]
    removed = torch.zeros(4, *resid.shape)
    removed[:, 5] = randn(4, resid.shape[1])
    apart = []
    for size in (1.0, 1e-4):
        exact = ablation.effects(tiny, resid, size * removed, 0, 5, 8)
        with precision.tensor_float_32():
            coarse = ablation.effects(tiny, resid, size * removed, 0, 5, 8)
        apart.append(((coarse - exact).norm() / exact.norm()).item())
    assert apart[0] < 0.05
    assert apart[1] > 10 * apart[0]
