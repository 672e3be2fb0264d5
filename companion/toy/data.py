"""Inputs of the toy models: sparse features, and a sampler that never draws the sample whose loss is already known.

Data set D1 of the papers: feature i is active with probability p (the density, 1 - sparsity) and then uniform on [0, 1],

    x_i = Bernoulli(p) * Uniform[0, 1],    Var x_i = p/3 - p^2/4.

Every function turns *given* uniforms into samples, so that models of several densities can look at the same draw: an
active feature of a sparse model is then active in the denser ones too (common random numbers).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

NEGLIGIBLE = 1e-12
"""Below this probability of an all-zero sample, plain and conditional sampling are the same."""


class Uniforms(NamedTuple):
    """The random numbers behind one batch."""

    each: Float[Tensor, "B F"]
    """One per feature: active where it is below p, and then its value is 1 - u/p."""
    first: Float[Tensor, " B"]
    """One per sample: places the first active feature in conditional sampling."""


def check_density(density: Float[Tensor, "..."], name: str = "density") -> None:
    """Refuse a density outside (0, 1].

    Raises:
        ValueError: a value is not in (0, 1], NaN included.
    """
    if not bool(((density > 0) & (density <= 1)).all()):
        raise ValueError(f"{name}={density.tolist()}: every density must lie in (0, 1]; sparsity S corresponds to density 1 - S.")


def draw(features: int, batch: int, stream: Generator) -> Uniforms:
    """Uniforms for one batch, from one generator and on its device.

    Raises:
        ValueError: features or batch below 1.
    """
    if features < 1 or batch < 1:
        raise ValueError(f"features={features}, batch={batch}: both must be at least 1.")
    each = torch.rand(batch, features, generator=stream, device=stream.device)
    return Uniforms(each, torch.rand(batch, generator=stream, device=stream.device))


def plain(uniforms: Uniforms, density: Float[Tensor, " I"]) -> Float[Tensor, "I B F"]:
    """Samples of D1, one block per density: x = relu(1 - u/p), so that one uniform decides both mask and value."""
    return torch.div(uniforms.each, -density[:, None, None]).add_(1).relu_()


def conditional(uniforms: Uniforms, density: Float[Tensor, " I"]) -> Float[Tensor, "I B F"]:
    """Samples of D1 given that at least one feature is active.

    The first active index i has probability p(1-p)^i / (1 - (1-p)^n); the features before it are zero, those after it
    are independent. Together with the weight `share_active` and the exact loss of the zero sample this is unbiased,
    with the same batch spent only where something happens.
    """
    x = plain(uniforms, density)
    if bool((1 - share_active(density, x.shape[-1]) < NEGLIGIBLE).all()):
        return x
    first = _first_active(uniforms.first, density, x.shape[-1])[..., None]
    x.masked_fill_(torch.arange(x.shape[-1], device=x.device) < first, 0)
    return x.scatter_(-1, first, uniforms.each.to(x).expand_as(x).gather(-1, first))


def share_active(density: Float[Tensor, " I"], features: int) -> Float[Tensor, " I"]:
    """Probability 1 - (1-p)^n that a sample has an active feature."""
    return -torch.expm1(features * torch.log1p(-density))


def _first_active(uniform: Float[Tensor, " B"], density: Float[Tensor, " I"], features: int) -> Tensor:
    """Inverse of the truncated geometric distribution function. At p = 1 log(1-p) is -inf and the index 0."""
    tail = torch.log1p(-uniform * share_active(density, features)[:, None])
    index = torch.floor(tail / torch.log1p(-density)[:, None])
    # u close to 1 may round the tail up to (1-p)^n: the last feature is then meant
    return torch.nan_to_num(index, nan=0.0).clamp(0, features - 1).long()
