"""How sure a number is: one bootstrap for everything that has an interval."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch


class Interval(NamedTuple):
    """A number, or an array of them, with the ends of its 95 % interval."""

    value: np.ndarray | float
    low: np.ndarray | float
    high: np.ndarray | float


def bootstrap(
    statistic: Callable[[list[Any]], np.ndarray | float], groups: Sequence[Sequence[Any]], generator: torch.Generator, resamples: int = 200
) -> Interval:
    """The statistic of groups of repeats (the seeds of one size, the contexts of a text) with its 95 % bootstrap interval.

    Each resample draws every group anew from itself, with replacement. Drawing from m repeats understates their spread by
    sqrt((m-1)/m), much for three seeds, so the quantiles' distances from the value are stretched by the inverse.

    Args:
        groups: lists, or arrays whose first axis is the repeats. What belongs together is one repeat: a pair is drawn whole.
        statistic: takes the groups, arrays as arrays and others as lists, and returns a number or an array.

    Raises:
        ValueError: a group has fewer than two repeats: nothing is known of its spread.
    """
    fewest = min(map(len, groups), default=0)
    if fewest < 2:
        raise ValueError("each group needs at least two repeats (seeds) for an interval")
    value = np.asarray(statistic([_drawn(group, range(len(group))) for group in groups]), dtype=float)
    drawn = []
    for _ in range(resamples):
        which = [torch.randint(len(group), (len(group),), generator=generator).tolist() for group in groups]
        drawn.append(statistic([_drawn(group, at) for group, at in zip(groups, which, strict=True)]))
    low, high = value + (np.quantile(drawn, [0.025, 0.975], axis=0) - value) * np.sqrt(fewest / (fewest - 1))
    return Interval(value[()], low[()], high[()])


def _drawn(group: Sequence[Any], at: Sequence[int]) -> Any:
    return group[list(at)] if isinstance(group, np.ndarray) else [group[i] for i in at]


def mean_interval(values: Sequence[float], generator: torch.Generator, resamples: int = 400) -> Interval:
    """Mean of the values with its interval."""
    return bootstrap(lambda groups: groups[0].mean(), [np.asarray(values, dtype=float)], generator, resamples)
