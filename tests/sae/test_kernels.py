"""Every fast form against its plain reference: values, and the gradient of every output with respect to every input."""

import pytest
import torch

from companion.sae import kernels

N, D, K, B = 96, 7, 4, 33


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("length", "k"),
    [
        (8 * 8 * 32, 2),  # three rounds
        (1000, 16),
        (1001, 5),  # a length that no group divides
        (40, 40),  # everything is kept
        (17, 1),
    ],
)
def test_top_k_is_exact(length, k, generator):
    x = torch.randn(50, length, generator=generator, dtype=torch.float64)
    values, indices = kernels.top_k(x, k)
    assert torch.equal(x.gather(1, indices), values)
    assert torch.equal(indices.sort(dim=1).values, kernels.top_k_reference(x, k)[1].sort(dim=1).values)


def test_top_k_keeps_distinct_entries_when_all_are_equal():
    values, indices = kernels.top_k(torch.zeros(3, 512), 8)
    assert (values == 0).all()
    assert all(len(set(row.tolist())) == 8 for row in indices)


def test_top_k_of_rows_that_are_negative_or_minus_infinity(generator):
    x = -torch.rand(4, 513, generator=generator)
    x[:, 3:] = -torch.inf
    values, indices = kernels.top_k(x, 3)
    assert torch.equal(values.sort(dim=1).values, x[:, :3].sort(dim=1).values)
    assert indices.max() < 513


def test_select_is_the_dense_selection_whatever_the_block(generator, monkeypatch):
    x, W, b = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((B, D), (N, D), (N,)))
    wanted_values, wanted = kernels.select_reference(x, W, b, K)
    for cells in (1, 5 * N, 2**21):  # one row at a time, a last block that is not full, all at once
        monkeypatch.setitem(kernels.CELLS, "cpu", cells)
        values, indices = kernels.select(x, W, b, K)
        assert torch.equal(indices.sort(dim=1).values, wanted.sort(dim=1).values)
        torch.testing.assert_close(values.sort(dim=1).values, wanted_values.sort(dim=1).values, rtol=0, atol=1e-12)


def test_select_never_holds_the_whole_product(generator, monkeypatch):
    monkeypatch.setitem(kernels.CELLS, "cpu", 4 * N)
    made = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: made.append(out.numel()) or product(a, b, out=out))
    kernels.select(torch.randn(B, D, generator=generator), torch.randn(N, D, generator=generator), torch.zeros(N), K)
    assert max(made) <= B * N / 6


def _code(generator):
    indices = torch.stack([torch.randperm(N, generator=generator)[:K] for _ in range(B)])
    return indices, torch.rand(B, K, generator=generator, dtype=torch.float64)


def test_gathers_agree_with_their_dense_forms(generator):
    indices, values = _code(generator)
    W, x = torch.randn(N, D, generator=generator, dtype=torch.float64), torch.randn(B, D, generator=generator, dtype=torch.float64)
    by = kernels.ByLatent(indices, N)
    torch.testing.assert_close(kernels.weighted_gather(indices, values, W), kernels.weighted_gather_reference(indices, values, W))
    torch.testing.assert_close(kernels.transposed_gather(by, values, x), kernels.transposed_gather_reference(by, values, x))
    torch.testing.assert_close(kernels.transposed_gather(by, values, values.new_ones(B, 1))[:, 0], kernels.dense(indices, values, N).sum(dim=0))


def test_pairs_are_sorted_once(generator, monkeypatch):
    indices, values = _code(generator)
    sorts = []
    sort = torch.Tensor.sort
    monkeypatch.setattr(torch.Tensor, "sort", lambda self, **kwargs: sorts.append(1) or sort(self, **kwargs))
    by = kernels.ByLatent(indices, N)
    kernels.transposed_gather(by, values, torch.ones(B, D, dtype=torch.float64))
    kernels.transposed_gather(by, values, torch.zeros(B, D, dtype=torch.float64))
    assert len(sorts) == 1


def _inputs(generator):
    shapes = ((B, D), (N, D), (N,), (D,), (N, D))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def _run(kept_values, decode, inputs):
    """Both outputs of the pair of kernels: the kept values and the reconstruction without bias."""
    x, W_enc, b_enc, b_pre, W_dec = inputs
    values, indices = kernels.select(x - b_pre, W_enc, b_enc, K)
    by = kernels.ByLatent(indices, N)
    kept = kept_values(x, W_enc, b_enc, b_pre, by, values)
    return kept, decode(W_dec, kept, by)


FAST, REFERENCE = (kernels.kept_values, kernels.decode), (kernels.kept_values_reference, kernels.decode_reference)


@pytest.mark.parametrize("output", ["values", "reconstruction", "both"])
def test_gradients_of_every_output_are_those_of_dense_autograd(output, generator):
    inputs = _inputs(generator)
    weights = [torch.randn(B, K, generator=generator, dtype=torch.float64), torch.randn(B, D, generator=generator, dtype=torch.float64)]
    if output != "both":
        weights[["values", "reconstruction"].index(output) - 1].zero_()
    gradients = []
    for form in (FAST, REFERENCE):
        outputs = _run(*form, inputs)
        gradients.append(torch.autograd.grad([(o * w).sum() for o, w in zip(outputs, weights, strict=True)], inputs))
    for fast, plain, name in zip(*gradients, ("x", "W_enc", "b_enc", "b_pre", "W_dec"), strict=True):
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-10, msg=name)
        assert (name, output) == ("W_dec", "values") or plain.abs().max() > 0  # a gradient that is lost would agree with nothing


def test_gradient_of_a_kept_but_negative_value_is_zero():
    x, W = torch.ones(1, 2, dtype=torch.float64), torch.full((3, 2), -1.0, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    values, indices = kernels.select(x, W, zeros[0], 2)
    kept = kernels.kept_values(x, W, *zeros, kernels.ByLatent(indices, 3), values)
    kept.sum().backward()
    assert (kept == 0).all()
    assert (W.grad == 0).all()
