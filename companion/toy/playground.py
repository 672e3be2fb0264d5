"""What a slider moves: one small model trained on the exact loss, beside its optimum, in under a second."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.toy import data, exact, theory
from companion.toy.model import Config, initial

STARTS, STEPS = 6, 100
LARGEST = 6
"""Most features: the exact loss has 3^n terms, and a move must not take longer than a second."""


class Played(NamedTuple):
    """One run, and the best of several."""

    W: Float[Tensor, "F H"]
    M: Float[Tensor, "F F"]
    """W W^T of this run."""
    optimum: Float[Tensor, "F F"]
    """W W^T of the best run: the optimum, as far as so few starts find it."""
    losses: dict[str, float]
    """Exact loss / V(p) of this run, of the best of STARTS runs, and for independent features of the best linear model."""
    importance: Float[Tensor, " F"]


def play(density: float, decay: float, n: int, m: int, stream: Generator, source: data.Independent = data.INDEPENDENT) -> Played:
    """Train n features of importance decay^i in m dimensions from one random start, and look for the optimum from several.

    Raises:
        ValueError: n above LARGEST, m above n, a density outside (0, 1], or sets that do not divide n.
    """
    if n > LARGEST:
        raise ValueError(f"n={n}: at most {LARGEST} features follow a slider; use train.fit for more.")
    start, _ = initial(Config(n, m), [stream] * STARTS)
    p, importance = torch.tensor([density], dtype=torch.float64), decay ** torch.arange(n, dtype=torch.float64)
    law = source.law(p, n)
    each = data.Law(law.sets, law.chance.expand(STARTS, -1))
    path = exact.descend(start, torch.zeros(STARTS, n), each, importance, steps=STEPS, rate=0.08)
    best = path.W[path.loss.argmin()]
    losses = {"this run": path.loss[0], "best of six": path.loss.min()}
    if source == data.INDEPENDENT:
        losses["linear"] = theory.linear_optimum(p[0], importance, m)
    over_V = {name: (loss / data.variance(p[0])).item() for name, loss in losses.items()}
    return Played(path.W[0], path.W[0] @ path.W[0].mT, best @ best.mT, over_V, importance)
