"""Activations whose features are known: sums of planted directions with sparse positive amounts, made as they are needed."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.toy import data

SHORTEST = 1e-2
"""Length below which a vector is left out: layer normalisation would blow its rounding up."""


class Planted(NamedTuple):
    """True amounts, and the activations they add up to."""

    amounts: Float[Tensor, "B F"]
    acts: Float[Tensor, "B D"]


def directions(features: int, width: int, generator: Generator) -> Float[Tensor, "F D"]:
    """Random unit directions. Each has mean zero over its entries, so that normalisation's centring leaves it alone."""
    W = torch.randn(features, width, generator=generator, device=generator.device)
    return torch.nn.functional.normalize(W - W.mean(dim=1, keepdim=True), dim=1)


def draw(W: Float[Tensor, "F D"], density: float, count: int, generator: Generator) -> Planted:
    """`count` samples of a = sum_i f_i W_i: each f_i is uniform on [0, 1] with probability `density` and 0 otherwise, given that
    at least one is active and that |a| > `SHORTEST`. The generator is on the device of W.

    Raises:
        ValueError: a density outside (0, 1], or one of no samples.
    """
    p, parts, found = W.new_tensor([density]), [], 0
    data.check_density(p)
    while found < count or not parts:
        few_more = count + count // 32 + 8  # at most densities one draw is then enough
        amounts = data.conditional(data.draw(len(W), few_more, generator), p)[0]
        acts = amounts @ W
        seen = acts.norm(dim=1) > SHORTEST
        parts.append(Planted(amounts[seen], acts[seen]))
        found += int(seen.sum())
    return Planted(*(torch.cat(part)[:count] for part in zip(*parts, strict=True)))


def batches(W: Float[Tensor, "F D"], density: float, batch: int, generator: Generator) -> Iterator[Float[Tensor, "B D"]]:
    """Fresh batches of `batch` activations without end; memory is that of one batch and its amounts."""
    while True:
        yield draw(W, density, batch, generator).acts
