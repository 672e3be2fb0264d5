"""How the latents of a narrow dictionary split into those of a wide one, and how much of that any two dictionaries would show.

Bricken et al. 2023 ("Towards Monosemanticity", feature splitting) join two latents by an edge where their masked cosine
(`features.masked_cosine`) is large. It is large for boring reasons too: a rare latent has a cosine of nearly 1 with whatever is steady where it
is active. So every number here has a null beside it, of latents of the same density.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from companion.evals.features import largest, matrix
from companion.evals.n2g import Firings

NEAR = 101
"""Latents of about the same density from which a quantile is taken."""


def moved(fired: Firings, tokens: Int[Tensor, "N T"], generator: torch.Generator) -> Firings:
    """The same activations, each at another place with the same token, drawn at random; one permutation of places for all latents.

    What two latents share afterwards is a matter of the current token alone, not of its context.
    """
    flat = tokens.flatten()
    drawn = torch.randperm(len(flat), generator=generator)
    to = torch.empty_like(flat)
    to[flat.argsort(stable=True)] = drawn[flat[drawn].argsort(stable=True)]
    place = to[fired.context * tokens.shape[1] + fired.position]
    order = (fired.latent * len(flat) + place).argsort()
    return Firings(place[order] // tokens.shape[1], place[order] % tokens.shape[1], fired.value[order], fired.counts)


def matched(counts: Int[Tensor, " L"], null_counts: Int[Tensor, " M"], null: Float[Tensor, " M"], near: int = NEAR) -> Float[Tensor, "L near"]:
    """For each latent the values of `null` of the `near` null latents whose number of active tokens is nearest to its own in rank.

    At both ends of the null's densities the nearest are those of its end, on one side of the latent: see `has_match`.

    Raises:
        ValueError: fewer null latents than `near`.
    """
    if len(null) < near:
        raise ValueError(f"{len(null)} latents are too few for a comparison with {near} of nearly the same density")
    order = null_counts.argsort(stable=True)
    windows = null[order].unfold(0, near, 1)
    at = torch.searchsorted(null_counts[order].contiguous(), counts.contiguous()) - near // 2
    return windows[at.clamp(0, len(windows) - 1)]


def has_match(counts: Int[Tensor, " L"], null_counts: Int[Tensor, " M"], near: int = NEAR) -> Bool[Tensor, " L"]:
    """Whether half of the `near` null latents of a latent are at least as rare as it, and half at least as dense. Raises as `matched`."""
    low, *_, high = null_counts.sort().values[near // 2 : -(near // 2)].tolist()
    return (counts >= low) & (counts <= high)


def coverage(parents: Firings, children: Firings, joined: Bool[Tensor, "L M"], shape: tuple[int, int]) -> Float[Tensor, " L"]:
    """The share of each parent's activation that lies on tokens where at least one of its children is active; NaN for a dead parent.

    sum_t f_i(t) [some child of i is active at t] / sum_t f_i(t)
    """
    acts, there = matrix(parents, shape), (matrix(children, shape) > 0).astype(np.float64)
    some = (csr_array(joined.numpy().astype(np.float64)) @ there) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return torch.from_numpy(acts.multiply(some).sum(axis=1) / acts.sum(axis=1)).float()


# --- the roles of one token ---


class Specialists(NamedTuple):
    """The latents that are specialised on each role of one token."""

    latents: list[Int[Tensor, " S"]]
    """By role: those that were specialised on the first half of the contexts and are on the second."""
    recall: Float[Tensor, " R"]
    """Of the tokens of each role in the second half, those on which one of its specialists is active."""


def specialists(
    fired: Firings, tokens: Int[Tensor, "N T"], token: int, roles: Int[Tensor, "N T"], count: int, sure: float = 0.9, least: int = 10
) -> Specialists:
    """The latents that are strongly active on one token and in one of its roles, chosen on the first half of the contexts, kept if the second agrees.

    Strongly: at half of the largest activation in the first half or more. On each half most of these tokens of a latent are `token` in some role,
    at least `sure` of those have the one role, and they are at least `least`.

    Args:
        roles: a number from 0 to `count` - 1 where the token has a role, -1 elsewhere.
    """
    half, inside = len(tokens) // 2, (tokens == token) & (roles >= 0)
    strong = largest(fired.chosen(fired.context < half))[fired.latent] / 2
    fired = fired.chosen((fired.value >= strong) & (strong > 0))
    found = torch.ones(len(fired.counts), count, dtype=torch.bool)
    latent, role, on = fired.latent, roles[fired.context, fired.position], inside[fired.context, fired.position]
    for which in (fired.context < half, fired.context >= half):
        active = torch.bincount(latent[which], minlength=len(found))[:, None]
        by_role = torch.bincount((latent * count + role)[which & on], minlength=found.numel()).view(found.shape)
        own = by_role.sum(dim=1, keepdim=True)
        found &= (2 * own >= active) & (by_role >= sure * own) & (by_role >= least)
    later, recall = inside & (torch.arange(len(tokens)) >= half)[:, None], []
    for number in range(count):
        hit, wanted = torch.zeros_like(later), later & (roles == number)
        chosen = found[latent, number]
        hit[fired.context[chosen], fired.position[chosen]] = True
        recall.append((hit & wanted).sum() / wanted.sum().clamp_min(1))
    return Specialists([found[:, number].nonzero().flatten() for number in range(count)], torch.stack(recall))
