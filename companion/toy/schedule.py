"""How long and how fast to train, and the loop around Adam that every trainer of the toy models shares."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.std import tqdm

CACHE = 2**18
"""Elements of (instances, batch, features) worked on at once on a CPU: what stays in its second-level cache."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: Adam, its rate falling from `rate` to 0 along a cosine."""

    steps: int
    batch: int
    rate: float
    start: float = 1.0
    """The initial weights are this times those of `model.initial`."""
    kept: tuple[int, ...] = ()
    """Steps before which the weights are kept; the optimiser goes on as if nobody looked."""

    def __post_init__(self):
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps={self.steps}, batch={self.batch}: both must be at least 1.")
        if not self.rate > 0:
            raise ValueError(f"rate={self.rate}: the learning rate must be positive.")


def adam(weights: Sequence[Tensor], steps: int, rate: float, *, fused: bool, bar: str = "") -> Iterator[int]:
    """Yield each step, whose gradients the caller puts into `.grad`, and then take it, at the rate (1 + cos(pi step / steps)) / 2 of `rate`.

    The fused kernel reads a gradient in the memory layout of its weight: `backward` provides it, `torch.autograd.grad` does not.
    One optimiser for the whole run. `bar` names a progress bar; without it there is none.

    Raises:
        ValueError: weights that are not finite after the last step.
    """
    optimiser = torch.optim.Adam(weights, lr=rate, betas=(0.9, 0.99), fused=fused)
    for step in tqdm(range(steps), desc=bar, mininterval=1, disable=not bar):
        yield step
        optimiser.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        optimiser.step()
    if not all(bool(t.isfinite().all()) for t in weights):
        raise ValueError(f"training diverged: weights are not finite after {steps} steps at rate {rate}; lower the rate.")


def pieces(count: int, size: int, device: torch.device) -> list[slice]:
    """`count` things of `size` elements each in runs that fit in the cache; all at once on a GPU."""
    most = count if device.type == "cuda" else max(1, CACHE // size)
    return [slice(first, min(first + most, count)) for first in range(0, count, most)]
