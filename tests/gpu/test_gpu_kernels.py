"""The Triton kernels compiled, at real sizes and with their own tiles, on a GPU: `make test-gpu`. Elsewhere every test here is skipped.

tests/sae/test_triton_kernels.py holds the small cases; where there is a GPU it runs them on it, compiled, in bfloat16 too.
"""

import pytest
import torch

from companion.sae import kernels as eager
from companion.sae import models, paths

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: the compiled Triton kernels are not tested")

B, D, N, K = 4099, 768, 32768, 32
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@pytest.fixture
def kernels():
    return pytest.importorskip("companion.sae.triton_kernels", exc_type=ImportError)


@pytest.fixture
def generator():
    return torch.Generator("cuda").manual_seed(0)


def _normal(generator, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=generator, device="cuda").to(dtype)


def _code(generator, dtype, n=N, kept=K):
    return torch.rand(B, n, generator=generator, device="cuda").topk(kept).indices, _normal(generator, B, kept, dtype=dtype)


def _close(result, wanted, dtype):
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * wanted.abs().max().item())


@pytest.mark.parametrize(("rows", "length", "k"), [(B, N, K), (257, 2**17, 32), (257, 50001, 500), (63, 3000, 64), (3, 2**20, 1), (5, 2**15, 4000)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_top_k_is_exact(kernels, rows, length, k, dtype, generator):
    x = _normal(generator, rows, length, dtype=dtype)
    values, indices = kernels._tournament(x, None, k)
    assert torch.equal(x.gather(1, indices), values)
    assert torch.equal(values.sort(dim=1).values, x.topk(k).values.flip(1))
    assert (indices.sort(dim=1).values.diff(dim=1) > 0).all()


def test_select_is_the_dense_selection_and_holds_one_block(kernels, generator, monkeypatch):
    x, W, b = (_normal(generator, *shape) for shape in ((B, D), (N, D), (N,)))
    wanted = x.double() @ W.double().T + b.double()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    monkeypatch.setattr(kernels, "CELLS", 256 * N)
    values, indices = kernels.select(x, W, b, K)
    assert torch.cuda.max_memory_allocated() - before < 0.15 * 4 * B * N
    _close(values, wanted.gather(1, indices), torch.float32)
    _close(values.sort(dim=1).values, wanted.topk(K).values.flip(1), torch.float32)


def test_select_low_computes_exactly_what_it_chose(kernels, generator):
    x, W, b = (_normal(generator, *shape) for shape in ((B, D), (N, D), (N,)))
    values, indices = kernels.select_low(x, W, b, K)
    wanted = x.double() @ W.double().T + b.double()
    _close(values, wanted.gather(1, indices), torch.float32)
    both = torch.zeros_like(wanted, dtype=torch.int8).scatter_(1, indices, 1).gather(1, wanted.topk(K).indices)
    assert both.float().mean() > 0.95  # near ties aside, the same latents


@pytest.mark.parametrize(("width", "kept"), [(D, K), (45, 1), (1000, 257)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_products_agree_with_their_dense_forms(kernels, dtype, width, kept, generator):
    n = 5003
    indices, values = _code(generator, dtype, n, kept)
    W, x = _normal(generator, n, width, dtype=dtype), _normal(generator, B, width, dtype=dtype)
    code = eager.dense(indices, values.double(), n)
    _close(kernels.weighted_gather(indices, values, W), code @ W.double(), dtype)
    _close(kernels.gathered_dot(indices, W, x), (x.double() @ W.double().T).gather(1, indices), dtype)
    _close(kernels.transposed_gather(eager.ByLatent(indices, n), values, x), code.T @ x.double(), dtype)


def test_a_latent_that_is_always_on_is_summed_exactly_and_the_same_every_time(kernels, generator):
    indices, values = _code(generator, torch.float32)
    indices[:, 0], x = N - 1, _normal(generator, B, D)
    indices[:, 1:] %= N - 1
    results = [kernels.transposed_gather(eager.ByLatent(indices, N), values, x) for _ in range(3)]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    _close(results[0], eager.dense(indices, values.double(), N).T @ x.double(), torch.float32)


def test_a_models_gradients_are_those_of_the_eager_path(kernels, generator):
    path = paths._triton()
    inputs = [_normal(generator, *shape).requires_grad_() for shape in ((B, D), (N, D), (N,), (D,), (N, D))]
    x, W_enc, b_enc, b_pre, W_dec = inputs
    values, indices = path.select(x - b_pre, W_enc, b_enc, K)
    by, gradients = eager.ByLatent(indices, N), []
    for form in (path, paths.EXACT):
        out = paths.decode(W_dec, paths.kept_values(x, W_enc, b_enc, b_pre, by, values, form), by, form)
        gradients.append(torch.autograd.grad(out.square().mean(), inputs))
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4 * plain.abs().max().item())


def test_both_paths_of_the_gpu_pass_their_check(kernels):
    assert paths.fault(paths._triton(), "cuda") is None
    assert paths.fault(paths._triton_low(), "cuda", paths.LOW_SLACK) is None
    assert paths.recommended("cuda").select is kernels.select


def test_a_model_on_the_gpu_path_learns(kernels, generator):
    sae = models.TopK.random(64, 4096, 8, torch.Generator().manual_seed(0)).to("cuda")
    sae.path = paths.low("cuda")
    x, adam, losses = _normal(generator, 2048, 64), torch.optim.Adam(sae.parameters(), lr=1e-3), []
    for _ in range(20):
        loss = (sae(x) - x).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
