"""TensorFloat-32 without a GPU that has it: the inputs of matrix products rounded to 10 bits behind the binary point.

    with precision.tensor_float_32():
        logits = model(tokens)

as with torch.backends.cuda.matmul.allow_tf32 on such a GPU, up to the order of sums.
"""

from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

BITS = 10
"""Of the mantissa, where float32 has 23; sign and exponent stay."""
PRODUCTS = {
    torch.ops.aten.mm: (0, 1),
    torch.ops.aten.bmm: (0, 1),
    torch.ops.aten.addmm: (1, 2),
    torch.ops.aten.baddbmm: (1, 2),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (0, 1, 2),
    torch.ops.aten._scaled_dot_product_efficient_attention: (0, 1, 2),
}
"""Which arguments of each product are its factors; sums and biases stay in float32. Attention's own second product is left as it is."""


def rounded(x: Float32[Tensor, "..."]) -> Float32[Tensor, "..."]:
    """The nearest number with `BITS` bits of mantissa, ties away from zero."""
    dropped = 23 - BITS
    return ((x.contiguous().view(torch.int32) + (1 << (dropped - 1))) & -(1 << dropped)).view(torch.float32)


def tensor_float_32() -> TorchDispatchMode:
    """Inside it the factors of every float32 matrix product are `rounded`. Without gradients."""
    return _Rounding()


class _Rounding(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        factors = PRODUCTS.get(function.overloadpacket, ())
        args = tuple(rounded(each) if at in factors and each.dtype == torch.float32 else each for at, each in enumerate(args))
        return function(*args, **kwargs or {})
