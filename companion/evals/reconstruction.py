"""How well an autoencoder reconstructs, how many latents it uses, and whether it found what is there.

Errors are meant for the space of `models.normalise`; each function says what a perfect and a useless model score.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from companion.sae.models import Code


def normalised_mse(x: Float[Tensor, "... D"], x_hat: Float[Tensor, "... D"]) -> float:
    """sum |x - x_hat|² / sum |x - mean(x)|², the mean over tokens. 0 for the identity, 1 for always answering the mean.

    Raises:
        ValueError: the two differ in shape, so that broadcasting would invent errors.
    """
    error = _squared_error(x, x_hat)
    return (error.sum() / _spread(x).sum()).item()


def by_position(x: Float[Tensor, "N T D"], x_hat: Float[Tensor, "N T D"]) -> Float[Tensor, " T"]:
    """Normalised error of each position, all over one denominator: their mean is `normalised_mse`.

    A denominator per position would be 0 at position 0, where every sequence holds nearly the same vector.
    """
    return _squared_error(x, x_hat).mean(dim=0) / _spread(x).mean()


def _squared_error(x: Tensor, x_hat: Tensor) -> Float[Tensor, "..."]:
    if x.shape != x_hat.shape:
        raise ValueError(f"activations of shape {tuple(x.shape)} and reconstructions of shape {tuple(x_hat.shape)} cannot be compared")
    return (x - x_hat).double().square().sum(dim=-1)


def _spread(x: Tensor) -> Float[Tensor, "..."]:
    mean = x.double().flatten(0, -2).mean(dim=0)
    return (x - mean).square().sum(dim=-1)


def l0(code: Code) -> float:
    """Mean number of active latents per token; below k where a kept pre-activation was negative."""
    return (code.values > 0).sum(dim=-1).double().mean().item()


def firing_counts(code: Code, n: int) -> Int[Tensor, " L"]:
    """Number of tokens on which each latent is active. Counts of several batches add up."""
    return torch.bincount(code.indices[code.values > 0], minlength=n)


def dead(counts: Int[Tensor, " L"]) -> float:
    """Share of latents that fired on none of the tokens counted."""
    return (counts == 0).double().mean().item()


def loss_recovered(clean: Float[Tensor, "..."], patched: Float[Tensor, "..."], ablated: Float[Tensor, "..."]) -> float:
    """(ablated - patched) / (ablated - clean), in mean losses over the same tokens: 1 if nothing is lost, 0 if no better than the ablation.

    Raises:
        ValueError: the losses are not of the same tokens.
    """
    if not clean.shape == patched.shape == ablated.shape:
        raise ValueError(f"losses of different tokens cannot be compared: {tuple(clean.shape)}, {tuple(patched.shape)}, {tuple(ablated.shape)}")
    clean, patched, ablated = (losses.double().mean() for losses in (clean, patched, ablated))
    return ((ablated - patched) / (ablated - clean)).item()


def recovery(rows: Float[Tensor, "L D"], features: Float[Tensor, "F D"]) -> Float[np.ndarray, " F"]:
    """Cosine of each true feature with the row matched to it, one row to one feature, so that the sum is largest.

    With fewer rows than features the unmatched ones score 0. A dictionary that holds every feature scores 1 everywhere.
    """
    unit = torch.nn.functional.normalize
    cosines = (unit(features, dim=1) @ unit(rows, dim=1).T).double().cpu().numpy()
    at, matched = linear_sum_assignment(cosines, maximize=True)
    best = np.zeros(len(features))
    best[at] = cosines[at, matched]
    return best
