"""How long and how fast to train: one schedule for every trainer of the toy models."""

import math
from dataclasses import dataclass


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


def cosine(rate: float, step: int, steps: int) -> float:
    """The learning rate before a step: rate (1 + cos(pi step / steps)) / 2, from `rate` down to 0."""
    return rate * (1 + math.cos(math.pi * step / steps)) / 2
