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


def matched_quantile(
    counts: Int[Tensor, " L"], null_counts: Int[Tensor, " M"], null: Float[Tensor, " M"], q: float = 0.95, near: int = NEAR
) -> Float[Tensor, " L"]:
    """For each latent the q-quantile of `null` over the `near` null latents whose number of active tokens is nearest to its own in rank.

    Raises:
        ValueError: fewer null latents than `near`.
    """
    if len(null) < near:
        raise ValueError(f"{len(null)} latents are too few for a quantile over {near} of nearly the same density")
    order = null_counts.argsort(stable=True)
    windows = null[order].unfold(0, near, 1).quantile(q, dim=1)
    at = torch.searchsorted(null_counts[order].contiguous(), counts.contiguous()) - near // 2
    return windows[at.clamp(0, len(windows) - 1)]


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


def permuted(roles: Int[Tensor, "N T"], generator: torch.Generator) -> Int[Tensor, "N T"]:
    """The roles dealt anew among the places that have one, within each half of the contexts."""
    dealt, half = roles.clone(), len(roles) // 2
    for part in (dealt[:half], dealt[half:]):
        known = part[part >= 0]
        part[part >= 0] = known[torch.randperm(len(known), generator=generator)]
    return dealt


# --- the map ---


def purity(directions: Float[Tensor, "L D"], label: Int[Tensor, " L"], neighbours: int = 10) -> float:
    """Of the `neighbours` nearest directions by cosine, the share with the same label, in the mean over directions."""
    unit = torch.nn.functional.normalize(directions, dim=1)
    same = []
    for rows, own in zip(unit.split(1024), torch.arange(len(unit)).split(1024), strict=True):
        cosine = rows @ unit.T
        cosine[torch.arange(len(own)), own] = -torch.inf
        same.append((label[cosine.topk(neighbours, dim=1).indices] == label[own][:, None]).float().mean(dim=1))
    return torch.cat(same).mean().item()


def tsne(x: Float[Tensor, "L D"], generator: torch.Generator, perplexity: float = 30.0, steps: int = 300, early: int = 100) -> Float[Tensor, "L 2"]:
    """A map of directions in two dimensions on which near ones stay near: t-SNE (van der Maaten and Hinton 2008) by plain gradient descent.

        P_ij = (p_j|i + p_i|j) / 2L,  p_j|i from exp(-beta_i |x_i - x_j|^2), beta_i such that p_.|i has the perplexity
        Q_ij = w_ij / sum w,  w_ij = 1 / (1 + |y_i - y_j|^2),   loss = sum P log(P / Q)

    of unit directions, each with its 3 perplexity nearest neighbours. Starts from their two principal components; P is
    multiplied by 12 in the first `early` steps; the rate is L / 12 of the gradient, L / 3 of a quarter of it (Belkina et al. 2019). The generator
    breaks ties where directions coincide.
    """
    rows, columns, P = affinities(torch.nn.functional.normalize(x, dim=1), perplexity)
    U, S, _ = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False)
    y = U[:, :2] * S[:2]
    y = 1e-4 * (y / y.std() + 1e-3 * torch.randn(y.shape, generator=generator))
    speed = torch.zeros_like(y)
    for step in range(steps):
        slope = tsne_gradient(y, rows, columns, P * (12.0 if step < early else 1.0))
        speed = (0.5 if step < early else 0.8) * speed - len(x) / 3 * slope
        y = y + speed
    return y - y.mean(dim=0)


def affinities(unit: Float[Tensor, "L D"], perplexity: float) -> tuple[Int[Tensor, " E"], Int[Tensor, " E"], Float[Tensor, " E"]]:
    """The pairs that attract each other and how strongly, both directions of a pair; the strengths sum to 1."""
    near = min(int(3 * perplexity), len(unit) - 1)
    cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
    squared, columns = (2 - 2 * cosine.topk(near, dim=1).values).clamp_min(0), cosine.topk(near, dim=1).indices
    low, high = torch.zeros(len(unit), 1), torch.full((len(unit), 1), 1e4)
    for _ in range(40):
        beta = (low + high) / 2
        p = torch.softmax(-beta * squared, dim=1)
        broad = -(p * p.clamp_min(1e-30).log()).sum(dim=1, keepdim=True) > np.log(perplexity)
        low, high = torch.where(broad, beta, low), torch.where(broad, high, beta)
    rows = torch.arange(len(unit)).repeat_interleave(near)
    return torch.cat([rows, columns.flatten()]), torch.cat([columns.flatten(), rows]), p.flatten().repeat(2) / (2 * len(unit))


def tsne_gradient(y: Float[Tensor, "L 2"], rows: Int[Tensor, " E"], columns: Int[Tensor, " E"], P: Float[Tensor, " E"]) -> Float[Tensor, "L 2"]:
    """A quarter of the gradient of the loss: sum_j (P_ij - Q_ij) w_ij (y_i - y_j), where P sums to 1."""
    length = y.square().sum(dim=1)
    w = (1 + length[:, None] + length - 2 * y @ y.T).clamp_min(1).reciprocal().fill_diagonal_(0)
    apart = y[rows] - y[columns]
    pull = torch.zeros_like(y).index_add_(0, rows, P[:, None] * apart / (1 + apart.square().sum(dim=1, keepdim=True)))
    total = w.sum()
    w = w.square_()
    return pull - (w.sum(dim=1, keepdim=True) * y - w @ y) / total
