"""The toy autoencoders: x' = relu(W W^T x + b), and the same without the relu (Toy Models of Superposition, section 2).

Row W_i is the direction of feature i, so W is (F, H): the transpose of the paper's. A sweep stacks its models on a
leading instance axis I, and no operation here mixes instances.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor


@dataclass(frozen=True)
class Config:
    """Shape of one toy model."""

    features: int
    hidden: int
    relu: bool = True
    """False makes the linear model x' = W W^T x + b."""

    def __post_init__(self):
        if self.features < 1 or self.hidden < 1:
            raise ValueError(f"features={self.features}, hidden={self.hidden}: a model needs at least one of each.")
        if self.hidden > self.features:
            raise ValueError(f"hidden={self.hidden} > features={self.features}: every feature has a dimension of its own; use hidden <= features.")


def initial(config: Config, streams: Sequence[Generator]) -> tuple[Float[Tensor, "I F H"], Float[Tensor, "I F"]]:
    """W ~ N(0, 2/(n+m)) per model and b = 0; instance i draws from streams[i] alone.

    Xavier's rule applied to the stacked tensor would mix the number of instances into the scale.
    """
    scale = math.sqrt(2 / (config.features + config.hidden))
    shape = (config.features, config.hidden)
    W = torch.stack([scale * torch.randn(shape, generator=stream, device=stream.device) for stream in streams])
    return W, torch.zeros(W.shape[:2], device=W.device)


def forward(W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], x: Float[Tensor, "I B F"], *, relu: bool = True) -> Float[Tensor, "I B F"]:
    """x' = relu(W W^T x + b), one block per instance."""
    pre = torch.baddbmm(b[:, None], x @ W, W.mT)
    return pre.relu() if relu else pre


def loss(
    W: Float[Tensor, "I F H"], b: Float[Tensor, "I F"], x: Float[Tensor, "I B F"], importance: Float[Tensor, " F"] | None = None, *, relu: bool = True
) -> Float[Tensor, " I"]:
    """L = sum_i I_i (x_i - x'_i)^2, a sum over features and a mean over samples."""
    error = (x - forward(W, b, x, relu=relu)).square()
    return (error if importance is None else error * importance).sum(-1).mean(-1)


def check_weights(W: Float[Tensor, "*I F H"], name: str = "W") -> None:
    """Refuse weights that no measure is defined for.

    Raises:
        ValueError: fewer than two axes, an empty axis, NaN or infinite entries.
    """
    if W.ndim < 2 or W.shape[-1] < 1 or W.shape[-2] < 1:
        raise ValueError(f"{name} has shape {tuple(W.shape)}: expected (..., features, hidden) with at least one of each.")
    if not bool(W.isfinite().all()):
        broken = int((~W.isfinite()).sum())
        raise ValueError(f"{name} holds {broken} entries that are NaN or infinite: training diverged; lower the learning rate.")


def check_importance(importance: Float[Tensor, "*I F"] | None, features: int) -> None:
    """Refuse importances that weigh no loss; None stands for all equal.

    Raises:
        ValueError: another number of them than features, a negative, NaN or infinite one, or none above 0.
    """
    if importance is None:
        return
    if importance.shape[-1:] != (features,):
        raise ValueError(f"importance has shape {tuple(importance.shape)}: expected one per feature, ({features},).")
    if not bool(importance.isfinite().all() & (importance >= 0).all() & (importance > 0).any(-1).all()):
        raise ValueError("importances must be finite and not negative, and at least one above 0.")
