"""The Triton kernels against plain float64 autograd: on a GPU where there is one, else in Triton's interpreter on tiny shapes.

bfloat16 is tested on a GPU only: in the interpreter its arithmetic is wrong without a word.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytest.importorskip("triton", reason="triton is not installed: it comes with torch for CUDA, and for this test with requirements.lock on Linux")

from companion.sae import kernels as eager  # noqa: E402
from companion.sae import paths  # noqa: E402
from companion.sae import triton_kernels as kernels  # noqa: E402

N, D, K, B = 11, 33, 3, 5
DTYPES = [torch.float32, torch.float16] + [torch.bfloat16] * (DEVICE == "cuda")
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles so small that tiny shapes need several: of columns, of pieces of a run, of rounds of a tournament."""
    for name, value in dict(COLUMNS=32, PIECE=4, BRANCH=2, GROUPS=4, WIDEST=8, STEP=2).items():
        monkeypatch.setattr(kernels, name, value)


def _normal(generator, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


def _code(generator, dtype, rows=B, kept=K, n=N):
    indices = torch.stack([torch.randperm(n, generator=generator)[:kept] for _ in range(rows)]).to(DEVICE)
    return indices, _normal(generator, rows, kept, dtype=dtype)


def _close(result, wanted, dtype):
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * wanted.detach().abs().max().item())


# --- selection -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "length", "k"),
    [
        (2, 1, 1),
        (3, 7, 1),  # one row in registers
        (3, 8, 8),  # everything is kept
        (5, 15, 3),  # a tournament of one round; no group divides the length
        (2, 61, 4),  # of three rounds
        (2, 21, 1),
        (2, 30, 7),  # too many for a tournament
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_top_k_is_exact(rows, length, k, dtype, generator):
    x = _normal(generator, rows, length, dtype=dtype)
    values, indices = kernels._tournament(x, None, k)
    assert (values.dtype, indices.dtype) == (dtype, torch.int64)
    assert torch.equal(x.gather(1, indices), values)
    assert torch.equal(values.sort(dim=1).values, x.topk(k).values.flip(1))
    assert all(len(set(row.tolist())) == k for row in indices)


@pytest.mark.parametrize("length", [7, 23])
def test_top_k_of_equal_negative_and_infinite_entries(length):
    x = torch.stack([torch.zeros(length), torch.full((length,), -torch.inf), -torch.arange(1.0, length + 1)]).to(DEVICE)
    x[1, 6], x[2, 3], x[2, 4] = -1e30, torch.inf, -0.0
    values, indices = kernels._tournament(x, None, 4)
    assert torch.equal(values.sort(dim=1).values, x.topk(4).values.flip(1))
    assert indices.max() < length
    assert all(len(set(row.tolist())) == 4 for row in indices)


@pytest.mark.parametrize("cells", [1, 2 * N, 2**20])  # a row at a time; a last block that is not full; all at once
def test_select_is_the_dense_selection_whatever_the_block(cells, generator, monkeypatch):
    monkeypatch.setattr(kernels, "CELLS", cells)
    x, W, b = (_normal(generator, *shape) for shape in ((3, D), (N, D), (N,)))
    values, indices = kernels.select(x, W, b, K)
    wanted, wanted_indices = (x.double() @ W.double().T + b.double()).topk(K)
    assert torch.equal(indices.sort(dim=1).values, wanted_indices.sort(dim=1).values)
    _close(values.sort(dim=1).values, wanted.flip(1), torch.float32)


def test_select_never_holds_the_whole_product(generator, monkeypatch):
    made, product = [], torch.mm
    monkeypatch.setattr(kernels, "CELLS", 4 * N)
    monkeypatch.setattr(torch, "mm", lambda a, b, out: made.append(out.numel()) or product(a, b, out=out))
    kernels.select(_normal(generator, B, D), _normal(generator, N, D), _normal(generator, N), K)
    assert max(made) == 4 * N


def test_select_low_chooses_coarsely_and_computes_exactly(generator):
    x, W, b = (_normal(generator, *shape) for shape in ((B, D), (N, D), (N,)))
    values, indices = kernels.select_low(x, W, b, K)
    dense = x.double() @ W.double().T + b.double()
    _close(values, dense.gather(1, indices), torch.float32)
    low = kernels.LOW[DEVICE]
    missed = dense.topk(K).values[:, -1:] - dense.gather(1, indices)  # a latent below the k-th is below it by a rounding at most
    assert missed.max() <= 4 * torch.finfo(low).eps * dense.abs().max()


# --- sparse products ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, K])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_products_agree_with_their_dense_forms(dtype, kept, generator):
    indices, values = _code(generator, dtype, kept=kept)
    W, x = _normal(generator, N, D, dtype=dtype), _normal(generator, B, D, dtype=dtype)
    code = eager.dense(indices, values.double(), N)
    _close(kernels.weighted_gather(indices, values, W), code @ W.double(), dtype)
    _close(kernels.gathered_dot(indices, W, x), (x.double() @ W.double().T).gather(1, indices), dtype)
    _close(kernels.transposed_gather(eager.ByLatent(indices, N), values, x), code.T @ x.double(), dtype)


def test_a_latent_that_is_always_on_is_summed_in_pieces_and_the_same_every_time(generator):
    indices, values = _code(generator, torch.float32, rows=13, kept=2)
    indices[:, 0], x = N - 1, _normal(generator, 13, D)
    indices[:, 1] %= N - 5  # four latents are empty
    results = [kernels.transposed_gather(eager.ByLatent(indices, N), values, x) for _ in range(2)]
    assert torch.equal(*results)
    _close(results[0], eager.dense(indices, values.double(), N).T @ x.double(), torch.float32)
    assert (results[0][N - 5 : N - 1] == 0).all()


def test_half_precision_is_summed_in_float32():
    ones = torch.ones(1, 16, device=DEVICE, dtype=torch.float16)
    W = torch.full((16, 1), 0.25, device=DEVICE, dtype=torch.float16)
    W[0] = 1024  # in float16 1024 + 0.25 is 1024: one at a time the others would be lost
    indices = torch.arange(16, device=DEVICE)[None]
    assert kernels.weighted_gather(indices, ones, W).item() == 1024 + 4  # float16's neighbours of 1027.75 are 1027 and 1028
    assert kernels.gathered_dot(torch.zeros_like(ones, dtype=torch.int64)[:, :1], W.T.contiguous(), ones).item() == 1028


def test_mixed_dtypes_give_the_wider():
    indices = torch.zeros(2, 1, dtype=torch.int32, device=DEVICE)
    values, W = torch.ones(2, 1, device=DEVICE), torch.ones(3, 4, device=DEVICE, dtype=torch.float16)
    assert kernels.weighted_gather(indices, values, W).dtype == torch.float32


# --- gradients of every output -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_every_output_are_those_of_float64_autograd(dtype, generator):
    inputs = [_normal(generator, *shape, dtype=dtype).requires_grad_() for shape in ((B, D), (N, D), (N,), (D,), (N, D))]
    x, W_enc, b_enc, b_pre, W_dec = inputs
    path = paths._triton()
    values, indices = path.select(x - b_pre, W_enc, b_enc, K)
    by = eager.ByLatent(indices, N)
    kept = paths.kept_values(x, W_enc, b_enc, b_pre, by, values, path)
    outputs = kept, paths.decode(W_dec, kept, by, path)
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
    x, W_enc, b_enc, b_pre, W_dec = wide
    kept = torch.relu(((x - b_pre) @ W_enc.T + b_enc).gather(1, indices))
    wanted = kept, eager.dense(indices, kept, N) @ W_dec
    for output, plain in zip(outputs, wanted, strict=True):
        _close(output, plain, dtype)
        weights = torch.randn(output.shape, generator=generator).to(output)
        gradients = torch.autograd.grad(output, inputs, weights, retain_graph=True, allow_unused=True)
        for gradient, exact in zip(gradients, torch.autograd.grad(plain, wide, weights.double(), retain_graph=True, allow_unused=True), strict=True):
            assert (gradient is None) == (exact is None)
            if exact is not None:
                _close(gradient, exact, dtype)


def test_the_check_at_first_use_passes_and_notices_a_broken_kernel(monkeypatch):
    monkeypatch.setattr(paths, "SIZES", (B, N, D, K))
    assert paths.fault(paths._triton(), DEVICE) is None
    whole = kernels.transposed_gather
    monkeypatch.setattr(kernels, "transposed_gather", lambda by, values, x: whole(by, values, x).index_fill(0, torch.tensor([7], device=DEVICE), 0.0))
    assert "gradient of W_dec off by" in paths.fault(paths._triton(), DEVICE)


# --- what is refused -----------------------------------------------------------------------------------------------


def test_bad_input_is_one_clear_error():
    x, W, b = (torch.zeros(*shape, device=DEVICE) for shape in ((2, 4), (8, 4), (8,)))
    code = torch.zeros(2, 3, dtype=torch.int64, device=DEVICE)
    huge = torch.zeros(1, 1, device=DEVICE).expand(2**26, 32)
    refusals = {
        "k = 9 of 8": lambda: kernels.select(x, W, b, 9),
        "k = 0 of 8": lambda: kernels.select(x, W, b, 0),
        r"B\*K < 2\*\*31": lambda: kernels.select(huge[:, :4], huge[:32, :4], huge[:32, 0], 32),
        "do not fit": lambda: kernels.select_low(x[:, :3], W, b, 2),
        "one dtype": lambda: kernels.select(x.half(), W, b, 2),
        "several devices": lambda: kernels.gathered_dot(code, W.to("meta"), x),
        "is for the eager path": lambda: kernels.select_low(x.double(), W.double(), b.double(), 2),
        "values are": lambda: kernels.weighted_gather(code, x, W),
        "g is": lambda: kernels.gathered_dot(code, W, x[:1]),
        "by holds 6 pairs": lambda: kernels.transposed_gather(eager.ByLatent(code, 8), code[:, :2].float(), x),
        "code of shape": lambda: kernels.transposed_gather(eager.ByLatent(code, 8), huge, x),
        "x has 1": lambda: kernels.transposed_gather(eager.ByLatent(code, 8), code.float(), x[:1]),
    }
    for message, call in refusals.items():
        with pytest.raises(ValueError, match=message):
            call()


def test_a_tensor_on_the_cpu_is_refused_without_the_interpreter(monkeypatch):
    monkeypatch.setattr(kernels, "INTERPRETED", False)
    with pytest.raises(ValueError, match=r"on cpu: .* the eager path"):
        kernels.select(torch.zeros(2, 4), torch.zeros(8, 4), torch.zeros(8), 2)


COMPILE = """
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

class OneGPU:
    get_current_target = lambda self: GPUTarget("cuda", 90, 32)
    get_current_device = lambda self: 0
    get_current_stream = lambda self, device: 0

triton.runtime.driver.set_active(OneGPU())
from companion.sae import kernels as eager, triton_kernels as kernels
kernels.INTERPRETED, kernels.WIDEST, made, run = True, 128, {}, JITFunction.run
def compile_only(self, *args, warmup, **kwargs):
    made[self.__name__] = run(self, *args, warmup=True, **kwargs).asm["ptx"]
JITFunction.run = compile_only
indices = torch.zeros(4, 3, dtype=torch.int64)
values, x, W, b = (torch.zeros(*shape, dtype=torch.bfloat16) for shape in ((4, 3), (4, 48), (256, 48), (256,)))
kernels.select(x, W, b, 3)
kernels.weighted_gather(indices, values, W)
kernels.gathered_dot(indices, W, x)
kernels.transposed_gather(eager.ByLatent(indices, 256), values, x)
print(*sorted(made), "atom" in "".join(made.values()))
"""


def test_every_kernel_compiles_for_a_gpu_in_bfloat16_and_adds_without_atomics(tmp_path):
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert run.stdout.split() == ["_choose", "_gathered_dot", "_group_maxima", "_join_pieces", "_sum_pieces", "_weighted_gather", "False"], run.stderr


BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("design", ["ours", "openai", "sparsify"])
def test_the_designs_that_are_benchmarked_all_compute_the_same_step(design, generator, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from gpu_designs import DESIGNS, Weights, gradient_error

    weights = Weights.random(N, D, torch.Generator(DEVICE).manual_seed(0))
    assert gradient_error(DESIGNS[design], weights, _normal(generator, 3, D), 2) < 1e-5


def test_the_benchmark_without_a_gpu_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_step.py", "--out", str(tmp_path / "x.json")])
    importlib.import_module("gpu_step").main()
    assert capsys.readouterr().out == "no GPU here: nothing measured, nothing written\n"
    assert not any(tmp_path.iterdir())
