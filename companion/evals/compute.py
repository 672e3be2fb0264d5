"""What a loss is worth in pre-training compute: the step of the subject's own training at which it had that loss.

Gao et al. 2024, section 4.1, states the result and gives no procedure; this one is ours. With a constant batch the
compute up to step s is proportional to s, so the fraction of compute is s / s_final. A second estimate asks finished
trainings of several sizes instead: checkpoints in mid-training have not had their learning rate lowered.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import isotonic_regression

from companion.evals import scaling
from companion.evals.statistics import Interval, bootstrap


class ComputeFraction(NamedTuple):
    """Share of the subject's pre-training compute, with a 95 % bootstrap interval."""

    fraction: float
    low: float
    high: float
    below_first: bool
    """The loss is worse than at the first kept step: `fraction` is that step's share, an upper bound."""


def monotone(curve: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """The non-increasing curve nearest to `curve` in squared error (isotonic regression)."""
    return isotonic_regression(curve, increasing=False).x


def invert(loss: float, steps: Int[np.ndarray, " S"], curve: Float[np.ndarray, " S"]) -> float:
    """The earliest step at which a non-increasing loss curve is down to `loss`, interpolated linearly in (log step, loss).

    A loss above the whole curve gives the first step, one below it the last.

    Raises:
        ValueError: steps that are not positive and increasing, or a curve that rises.
    """
    if steps[0] <= 0 or np.any(np.diff(steps) <= 0):
        raise ValueError("steps must be positive and increasing (step 0 has no logarithm: leave it out)")
    if np.any(np.diff(curve) > 0):
        raise ValueError("the curve rises somewhere; pass it through monotone() first")
    reached = np.flatnonzero(curve <= loss)
    if len(reached) == 0:
        return float(steps[-1])
    after = reached[0]
    if after == 0:
        return float(steps[0])
    before = after - 1
    share = (curve[before] - loss) / (curve[before] - curve[after])
    return float(np.exp((1 - share) * np.log(steps[before]) + share * np.log(steps[after])))


def compute_fraction(
    spliced: Float[torch.Tensor, " N"],
    curve: Float[torch.Tensor, "S N"],
    steps: Int[np.ndarray, " S"],
    generator: torch.Generator,
    resamples: int = 500,
) -> ComputeFraction:
    """Fraction of pre-training compute that a model with loss `spliced` is worth.

    `curve` has the mean loss of each context at each kept step, the last row that of the finished model, and `spliced` that of the
    same contexts with the reconstruction in place; the bootstrap resamples contexts, so the noise they share cancels.

    Raises:
        ValueError: the contexts do not pair, or `steps` is not as said.
    """
    if curve.shape != (len(steps), len(spliced)):
        raise ValueError(f"losses do not pair: curve {tuple(curve.shape)}, steps {len(steps)}, contexts {len(spliced)}")
    everything = torch.cat([curve, spliced[None]]).double()

    def fraction(groups: list[np.ndarray]) -> float:
        means = groups[0].mean(axis=0)
        return invert(means[-1], steps, monotone(means[:-1])) / steps[-1]

    found = bootstrap(fraction, [everything.T.numpy()], generator, resamples)
    return ComputeFraction(*map(float, found), bool(spliced.double().mean() > everything[0].mean()))


# --- the second estimate: finished trainings of several sizes -----------------------------------------------------------

MOST = 700.0
"""ln of the largest compute that is told from infinity."""


def finished_law(compute: Float[np.ndarray, " R"], losses: Float[np.ndarray, " R"]) -> scaling.PowerLaw:
    """L(C) = E + A C^-a through finished trainings, C being 6 parameters x tokens of each; with fewer than four of them E is 0.

    Raises:
        ValueError: fewer than two trainings, or a loss or a compute that has no logarithm.
    """
    if len(losses) >= 4:
        return scaling.fit_power_law(compute, losses)
    exponent = -scaling.slope(compute, losses)
    return scaling.PowerLaw(0.0, float(np.exp(np.mean(np.log(losses) + exponent * np.log(compute)))), exponent)


def compute_for(loss: float, law: scaling.PowerLaw) -> float:
    """C = ((loss - E) / A)^(-1/a), the compute at which the law has this loss; inf at or below its floor E, and of a law that does not fall."""
    if loss <= law.floor or law.exponent <= 0:
        return float("inf")
    return float(np.exp(min(MOST, np.log(law.scale / (loss - law.floor)) / law.exponent)))


def finished_fraction(
    spliced: Float[torch.Tensor, " N"],
    losses: Float[torch.Tensor, "R N"],
    compute: Float[np.ndarray, " R"],
    whole: float,
    generator: torch.Generator,
    resamples: int = 100,
) -> Interval:
    """Share of the compute `whole` that a finished training needs for the loss `spliced`, with its 95 % bootstrap interval over contexts.

    `losses` has the mean loss of each context for each finished training, of the same contexts as `spliced`. The interval does not hold
    what another seed of the trainings, or a curve that is no power law, would change.
    """

    def fraction(groups: list[np.ndarray]) -> float:
        means = groups[0].mean(axis=0)
        return compute_for(means[-1], finished_law(compute, means[:-1])) / whole

    return bootstrap(fraction, [torch.cat([losses, spliced[None]]).double().T.numpy()], generator, resamples)
