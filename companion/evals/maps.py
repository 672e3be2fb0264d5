"""A map of directions in two dimensions, and whether directions that lie together stand for the same.

Bricken et al. 2023 draw theirs with UMAP. Here it is t-SNE, which needs no further package; what is claimed is measured in the full space.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize


def purity(directions: Float[Tensor, "L D"], label: Int[Tensor, " L"], group: Int[Tensor, " L"] | None = None, neighbours: int = 10) -> float:
    """Of the `neighbours` nearest directions by cosine, the share with the same label, in the mean over directions.

    Args:
        group: directions of one group, numbered from 0, are not taken as neighbours of each other; unless given, each is a group of its own.

    Raises:
        ValueError: a direction with fewer than `neighbours` directions outside of its group.
    """
    unit, same = normalize(directions, dim=1), []
    group = torch.arange(len(unit)) if group is None else group
    if len(unit) - torch.bincount(group).max() < neighbours:
        raise ValueError(f"{len(unit)} directions are too few for {neighbours} neighbours outside of each one's group")
    for own in torch.arange(len(unit)).split(1024):
        cosine = (unit[own] @ unit.T).masked_fill_(group[own][:, None] == group, -torch.inf)
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
    rows, columns, P = affinities(normalize(x, dim=1), perplexity)
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
