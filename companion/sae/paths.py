"""Which kernels a model computes with, and the two functions with gradients that are made of them.

EXACT serves everywhere and is what CPUs use; LOW selects in bfloat16; REFERENCE is the plain form. On a GPU `recommended` names the Triton
kernels, once they have agreed with the reference on that GPU in this process.
"""

import functools
import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.sae import kernels
from companion.sae.kernels import ByLatent, Selected


class ComputePath(NamedTuple):
    """The forms a model computes with; signatures as in `kernels`."""

    select: Callable[..., Selected]
    weighted_gather: Callable[..., Tensor]
    gathered_dot: Callable[..., Tensor]
    transposed_gather: Callable[..., Tensor]


EXACT = ComputePath(kernels.select, kernels.weighted_gather, kernels.gathered_dot, kernels.transposed_gather)
LOW = EXACT._replace(select=kernels.select_low)
REFERENCE = ComputePath(
    kernels.select_reference, kernels.weighted_gather_reference, kernels.gathered_dot_reference, kernels.transposed_gather_reference
)


# --- with gradients ----------------------------------------------------------------------------------------------


def kept_values_reference(x: Tensor, W_enc: Tensor, b_enc: Tensor, b_pre: Tensor, by: ByLatent, values: Tensor, path: ComputePath = EXACT) -> Tensor:
    """relu of the kept pre-activations (x - b_pre) W_encᵀ + b_enc, (B, K). `values` is what `select` returned, unused here."""
    return torch.relu(((x - b_pre) @ W_enc.T + b_enc).gather(1, by.indices))


def kept_values(x: Tensor, W_enc: Tensor, b_enc: Tensor, b_pre: Tensor, by: ByLatent, values: Tensor, path: ComputePath = EXACT) -> Tensor:
    """As `kept_values_reference`, computing nothing twice: the values are those found at selection, and the gradients of
    x, W_enc, b_enc and b_pre touch the kept pairs only."""
    return _KeptValues.apply(x, W_enc, b_enc, b_pre, by, values, path)


class _KeptValues(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, W_enc, b_enc, b_pre, by, values, path):
        kept = torch.relu(values)
        ctx.save_for_backward(x, W_enc, b_pre, kept)
        ctx.by, ctx.path = by, path
        return kept

    @staticmethod
    def backward(ctx, grad):
        x, W_enc, b_pre, kept = ctx.saved_tensors
        grad = grad * (kept > 0)
        grad_b = ctx.path.transposed_gather(ctx.by, grad, x.new_ones(len(x), 1))[:, 0]  # in a fixed order, unlike index_add_ on a GPU
        # x - b_pre is the same for every pair of a row, so b_pre's share is one (L)(L, D) product: (dL/db) W, not (B, D) sums
        grad_x = ctx.path.weighted_gather(ctx.by.indices, grad, W_enc) if ctx.needs_input_grad[0] else None
        grad_W = ctx.path.transposed_gather(ctx.by, grad, x - b_pre) if ctx.needs_input_grad[1] else None
        return grad_x, grad_W, grad_b, -(grad_b @ W_enc), None, None, None


def decode_reference(W_dec: Float[Tensor, "L D"], values: Float[Tensor, "B K"], by: ByLatent, path: ComputePath = EXACT) -> Float[Tensor, "B D"]:
    """out[b] = sum_j values[b, j] W_dec[indices[b, j]]: the decoder without its bias."""
    return kernels.weighted_gather_reference(by.indices, values, W_dec)


def decode(W_dec: Float[Tensor, "L D"], values: Float[Tensor, "B K"], by: ByLatent, path: ComputePath = EXACT) -> Float[Tensor, "B D"]:
    """As `decode_reference`, with sparse gradients: dL/dvalues[b, j] = W_dec[indices[b, j]] · dL/dout[b], and W_dec's from
    the pairs in order of latents."""
    return _Decode.apply(W_dec, values, by, path)


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, W_dec, values, by, path):
        ctx.save_for_backward(W_dec, values)
        ctx.by, ctx.path = by, path
        return path.weighted_gather(by.indices, values, W_dec)

    @staticmethod
    def backward(ctx, grad):
        W_dec, values = ctx.saved_tensors
        grad_W = ctx.path.transposed_gather(ctx.by, values, grad) if ctx.needs_input_grad[0] else None
        grad_values = ctx.path.gathered_dot(ctx.by.indices, W_dec, grad) if ctx.needs_input_grad[1] else None
        return grad_W, grad_values, None, None


# --- the choice --------------------------------------------------------------------------------------------------

TOLERANCE = 2e-3
"""Of the largest entry. TF32, if it is switched on, rounds to 5e-4; a pair that is lost or counted twice weighs far more."""
LOW_SLACK = 2e-2
"""The same for what selection in bfloat16 may leave out."""
SIZES = 300, 8209, 272, 4
"""Tokens, latents, width and k of the check. They make the GPU kernels take all their branches: more latents than fit a row in registers,
more columns than a tile, and one latent that is on more often than a program adds."""


def recommended(device: torch.device | str) -> ComputePath:
    """Triton's kernels on a GPU where they pass `fault`, EXACT on every other device. LOW is never chosen for you."""
    device = torch.device(device)
    return checked(_triton, device) if device.type == "cuda" else EXACT


def low(device: torch.device | str) -> ComputePath:
    """As `recommended`, with selection in bfloat16: exact values of nearly the right latents."""
    device = torch.device(device)
    return checked(_triton_low, device, LOW_SLACK) if device.type == "cuda" else LOW


@functools.cache
def checked(make: Callable[[], ComputePath], device: torch.device, slack: float = TOLERANCE) -> ComputePath:
    """The path that `make` gives, or EXACT and one line in the log if it has a fault there. Tried once per process and device."""
    try:
        path = make()
        why = fault(path, device, slack)
    except Exception as error:  # a compiler or a driver may raise anything
        why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    if why:
        logging.getLogger(__name__).warning("the GPU kernels are not used on %s, the exact path is: %s", device, why)
    return EXACT if why else path


def fault(path: ComputePath, device: torch.device | str, slack: float = TOLERANCE) -> str | None:
    """What a path gets wrong in one small batch: its selection, its values or a gradient, against plain float64; None if nothing."""
    (tokens, n, d, k), draw = SIZES, torch.Generator().manual_seed(0)
    x, W_enc, b_enc, b_pre, W_dec = (torch.randn(*shape, generator=draw) for shape in ((tokens, d), (n, d), (n,), (d,), (n, d)))
    inputs = [t.to(device).requires_grad_() for t in (x, W_enc / d**0.5, b_enc.index_fill(0, torch.tensor([7]), 9.0), b_pre, W_dec)]
    weights = [torch.randn(*shape, generator=draw).to(device) for shape in ((tokens, k), (tokens, d))]
    values, indices = path.select(inputs[0] - inputs[3], *inputs[1:3], k)
    by = ByLatent(indices, len(W_enc))

    def computed(keep: Callable[..., Tensor], back: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
        kept = keep(*inputs[:4], by, values, path)
        outputs = [kept, back(inputs[4], kept, by, path)]
        return outputs + list(torch.autograd.grad(outputs, inputs, [w.to(o) for w, o in zip(weights, outputs, strict=True)]))

    wide = [t.detach().double().requires_grad_() for t in inputs]
    dense = ((wide[0] - wide[3]) @ wide[1].T + wide[2]).detach()
    left_out = (dense.scatter(1, indices, -torch.inf).amax(dim=1) - dense.gather(1, indices).amin(dim=1)).max()
    if not left_out <= slack * dense.abs().max():
        return f"selection leaves out a latent that is larger than one it takes, by {left_out:.2g}"
    names = ("selection", "kept values", "reconstruction", *(f"gradient of {name}" for name in ("x", "W_enc", "b_enc", "b_pre", "W_dec")))
    ours = [values, *computed(kept_values, decode, inputs)]
    plain = [dense.gather(1, indices), *computed(kept_values_reference, decode_reference, wide)]
    errors = {name: ((a - b).abs().max() / b.abs().max()).item() for name, a, b in zip(names, ours, plain, strict=True)}
    wrong = [f"{name} off by {error:.1g} of its largest entry" for name, error in errors.items() if not error <= TOLERANCE]
    return ", ".join(wrong) or None


def _triton() -> ComputePath:
    from companion.sae import triton_kernels as gpu  # where it is installed: it comes with torch for CUDA

    return ComputePath(gpu.select, gpu.weighted_gather, gpu.gathered_dot, gpu.transposed_gather)


def _triton_low() -> ComputePath:
    from companion.sae.triton_kernels import select_low

    return _triton()._replace(select=select_low)
