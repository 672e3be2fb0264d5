"""The share of the compute with few checkpoints read: a published one is a download of half a gigabyte, and there may be hundreds.

Every checkpoint is measured on the same tokens as the splice, so that the differences between texts cancel.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from companion.evals.compute import ComputeFraction, compute_fraction


class Found(NamedTuple):
    """A share of the compute, and which checkpoints it took."""

    share: ComputeFraction
    read: tuple[int, ...]
    """Steps in the order in which they were read."""


def search(
    spliced: Float[torch.Tensor, " N"],
    read: Callable[[int], Float[torch.Tensor, " N"]],
    steps: Int[np.ndarray, " S"],
    generator: torch.Generator,
    most: int = 12,
    resamples: int = 200,
) -> Found:
    """The step at which the model had the loss `spliced`, by bisection in log step.

    After the first and the last step, the step nearest to sqrt(a b) of the bracket a < b that holds the answer is read, until the whole
    bracket lies inside the 95 % bootstrap interval of what was read so far, no step is left inside it, or `most` were read.

    Args:
        spliced: mean loss of each context with the reconstruction in place.
        read: the mean loss of each of these contexts at a step; called once per step.
        steps: the published ones but 0, in order; the last is the finished model's.

    Raises:
        ValueError: fewer than three checkpoints to read; steps as in `compute.invert`.
    """
    if most < 3:
        raise ValueError("the ends and at least one step between them are read: most must be 3 or more")
    loss, last = spliced.double().mean(), len(steps) - 1
    held = {end: read(int(steps[end])) for end in (0, last)}
    low, high = 0, last
    while True:
        known = sorted(held)
        found = compute_fraction(spliced, torch.stack([held[at] for at in known]), steps[known], generator, resamples)
        settled = found.low * steps[last] <= steps[low] and steps[high] <= found.high * steps[last]
        outside = not held[last].double().mean() < loss <= held[0].double().mean()
        if settled or outside or high - low < 2 or len(held) >= most:
            return Found(found, tuple(int(steps[at]) for at in held))
        middle = _nearest(steps, np.sqrt(float(steps[low]) * float(steps[high])), low, high)
        held[middle] = read(int(steps[middle]))
        low, high = (low, middle) if held[middle].double().mean() <= loss else (middle, high)


def _nearest(steps: Int[np.ndarray, " S"], wanted: float, low: int, high: int) -> int:
    """Of the steps strictly between two places the one nearest to `wanted` in log step."""
    between = np.arange(low + 1, high)
    return int(between[np.abs(np.log(steps[between] / wanted)).argmin()])
