"""Three designs of the same TopK training step, for gpu_step.py: ours, and two published ones written anew from their descriptions.

OPENAI (Gao et al. 2024, appendix on kernels): the whole (B, n) product is held and torch's top-k reads it; one Triton program per row loops
over its latents, D padded to a power of two; weight gradients sort the pairs each time, cut them into blocks of 128 and add with atomics.
SPARSIFY: the same selection, embedding_bag for the decoder, and weight gradients by index_add_ of a (B*k, D) tensor.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from companion.sae import kernels, triton_kernels
from companion.sae.paths import ComputePath


@triton.jit
def _decode_row(indices, values, W, out, K, D, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, WIDTH)
    total = tl.zeros((WIDTH,), tl.float32)
    for j in range(K):
        latent = tl.load(indices + row * K + j)
        value = tl.load(values + row * K + j).to(tl.float32)
        total += value * tl.load(W + latent * D + columns, mask=columns < D, other=0.0).to(tl.float32)
    tl.store(out + row * D + columns, total, mask=columns < D)


@triton.jit
def _dot_row(indices, W, g, out, K, D, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, WIDTH)
    wanted = tl.load(g + row * D + columns, mask=columns < D, other=0.0).to(tl.float32)
    for j in range(K):
        latent = tl.load(indices + row * K + j)
        found = tl.load(W + latent * D + columns, mask=columns < D, other=0.0).to(tl.float32)
        tl.store(out + row * K + j, tl.sum(wanted * found, 0))


@triton.jit
def _add_runs(latents, rows, values, x, out, pairs, D, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """A block of sorted pairs: a sum is added to its row of the result whenever the latent changes, and at the end."""
    first = tl.program_id(0).to(tl.int64) * BLOCK
    columns = tl.arange(0, WIDTH)
    here = tl.load(latents + first)
    total = tl.zeros((WIDTH,), tl.float32)
    for pair in range(first, tl.minimum(first + BLOCK, pairs)):
        latent = tl.load(latents + pair)
        if latent != here:
            tl.atomic_add(out + here * D + columns, total, mask=columns < D)
            total = tl.zeros((WIDTH,), tl.float32)
            here = latent
        row, value = tl.load(rows + pair), tl.load(values + pair).to(tl.float32)
        total += value * tl.load(x + row * D + columns, mask=columns < D, other=0.0).to(tl.float32)
    tl.atomic_add(out + here * D + columns, total, mask=columns < D)


def dense_select(x: Tensor, W: Tensor, b: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return torch.addmm(b.to(x.dtype), x, W.T).topk(k, dim=1, sorted=False)


def decode_by_row(indices: Tensor, values: Tensor, W: Tensor) -> Tensor:
    out = W.new_empty(len(indices), W.shape[1])
    _decode_row[(len(indices),)](indices, values, W, out, indices.shape[1], W.shape[1], WIDTH=triton.next_power_of_2(W.shape[1]))
    return out


def dot_by_row(indices: Tensor, W: Tensor, g: Tensor) -> Tensor:
    out = W.new_empty(indices.shape)
    _dot_row[(len(indices),)](indices, W, g, out, indices.shape[1], W.shape[1], WIDTH=triton.next_power_of_2(W.shape[1]))
    return out


def add_by_runs(by: kernels.ByLatent, values: Tensor, x: Tensor) -> Tensor:
    latents, order = by.indices.reshape(-1).sort()
    rows, values = order // by.indices.shape[1], values.reshape(-1)[order]
    out = torch.zeros(by.n, x.shape[1], dtype=torch.float32, device=x.device)
    _add_runs[(triton.cdiv(len(order), 128),)](
        latents, rows, values, x, out, len(order), x.shape[1], BLOCK=128, WIDTH=triton.next_power_of_2(x.shape[1])
    )
    return out


def add_materialised(by: kernels.ByLatent, values: Tensor, x: Tensor) -> Tensor:
    products = (values[:, :, None] * x[:, None, :]).reshape(-1, x.shape[1])
    return x.new_zeros(by.n, x.shape[1]).index_add_(0, by.indices.reshape(-1), products)


TRITON = ComputePath(triton_kernels.select, triton_kernels.weighted_gather, triton_kernels.gathered_dot, triton_kernels.transposed_gather)
DESIGNS: dict[str, ComputePath] = {
    "ours": TRITON,
    "ours, bf16 selection": TRITON._replace(select=triton_kernels.select_low),
    "openai": ComputePath(dense_select, decode_by_row, dot_by_row, add_by_runs),
    "sparsify": ComputePath(dense_select, kernels.weighted_gather, kernels.gathered_dot, add_materialised),
}


class Weights(NamedTuple):
    """Master weights in float32: (n, d), (n, d), (n), (d)."""

    W_enc: Tensor
    W_dec: Tensor
    b_enc: Tensor
    b_pre: Tensor

    @staticmethod
    def random(n: int, d: int, generator: torch.Generator) -> "Weights":
        rows = torch.randn(n, d, generator=generator, device=generator.device)
        rows /= rows.norm(dim=1, keepdim=True)
        tensors = rows, rows.clone(), torch.zeros(n, device=rows.device), torch.zeros(d, device=rows.device)
        return Weights(*(tensor.requires_grad_() for tensor in tensors))


@torch.no_grad()
def gradients(design: ComputePath, weights: Weights, x: Tensor, k: int) -> Tensor:
    """One forward and backward pass in x's dtype of the mean squared error of a TopK autoencoder; sets every .grad, returns the indices."""
    W_enc, W_dec, b_pre = (tensor.detach().to(x.dtype) for tensor in (weights.W_enc, weights.W_dec, weights.b_pre))
    centred = x - b_pre
    values, indices = design.select(centred, W_enc, weights.b_enc.to(x.dtype), k)
    kept = torch.relu(values)
    error = design.weighted_gather(indices, kept, W_dec) + b_pre - x
    grad = error * (2 / x.numel())
    grad_kept = design.gathered_dot(indices, W_dec, grad) * (kept > 0)
    by = kernels.ByLatent(indices, len(W_enc))
    totals = design.transposed_gather(by, grad_kept, x.new_ones(len(x), 1))[:, 0].float()
    weights.W_dec.grad = design.transposed_gather(by, kept, grad).float()
    weights.W_enc.grad = design.transposed_gather(by, grad_kept, centred).float()
    weights.b_enc.grad, weights.b_pre.grad = totals, grad.sum(0, dtype=torch.float32) - totals @ weights.W_enc
    return indices


def gradient_error(design: ComputePath, weights: Weights, x: Tensor, k: int) -> float:
    """Largest error of a gradient, relative to its largest entry, against float64 autograd on the latents the design chose."""
    indices = gradients(design, weights, x, k)
    W_enc, W_dec, b_enc, b_pre = wide = [tensor.detach().double().requires_grad_() for tensor in weights]
    kept = torch.relu(((x.double() - b_pre) @ W_enc.T + b_enc).gather(1, indices))
    loss = (kernels.dense(indices, kept, len(W_enc)) @ W_dec + b_pre - x).square().mean()
    exact = torch.autograd.grad(loss, wide)
    return max(((tensor.grad - g).abs().max() / g.abs().max()).item() for tensor, g in zip(weights, exact, strict=True))
