"""All latents of a dictionary at once: is each one in another model, too, and what do they do there that neurons do not?

The measures of Bricken et al. 2023 ("Towards Monosemanticity") over whole dictionaries: universality, the similarity of attributions,
and latents with one token. Firings are sparse and stay so: a correlation of two dictionaries is a product of two sparse matrices.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from companion.evals import features
from companion.evals.n2g import Firings
from companion.sae.models import Code

DENSE = 0.05
"""Share of tokens beyond which a product of sparse matrices costs more than one with a dense matrix."""


class Neurons(NamedTuple):
    """The neurons of a site as a dictionary of their own: latent i is neuron i, and its direction is the i-th axis.

    So whatever is measured of latents is measured of neurons by the same code.
    """

    n: int

    def encode(self, acts: Float[Tensor, "... D"]) -> Code:
        return Code(torch.arange(self.n, device=acts.device).expand(acts.shape), acts)

    def decode(self, code: Code, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        return torch.zeros_like(acts).scatter(-1, code.indices, code.values)


# --- parts of firings ---


def part(fired: Firings, contexts: slice) -> Firings:
    """The activations in some contexts in a row, which are numbered anew from 0."""
    found = fired.chosen((fired.context >= contexts.start) & (fired.context < contexts.stop))
    return found._replace(context=found.context - contexts.start)


def thresholds(fired: Firings, counts: Int[Tensor, " L"]) -> Float[Tensor, " L"]:
    """Of each latent what it exceeds at so many tokens (fewer if activations are equal); 0 for one that is active at no more."""
    found = torch.zeros(len(counts))
    for latent, (own, count) in enumerate(zip(fired.value.split(fired.counts.tolist()), counts.tolist(), strict=True)):
        if count < len(own):
            found[latent] = own.sort(descending=True).values[count]
    return found


def above(fired: Firings, threshold: Float[Tensor, " L"]) -> Firings:
    """What exceeds each latent's threshold, by as much as it does: a neuron made as rare as a latent."""
    over = fired.value - threshold[fired.latent]
    return fired._replace(value=over).chosen(over > 0)


# --- correlations of two dictionaries ---


def alike(first: Firings, second: Firings, shape: tuple[int, int]) -> Float[Tensor, "L M"]:
    """Pearson correlation over the tokens of contexts of `shape` of every latent with every one of another dictionary; 0 for dead ones."""
    a, b, count = features.matrix(first, shape), features.matrix(second, shape), shape[0] * shape[1]
    few = b.nnz < DENSE * count * b.shape[0]
    both = torch.from_numpy((a @ b.T).toarray() if few else a @ b.toarray().T)
    (mean_a, var_a), (mean_b, var_b) = _moments(a, count), _moments(b, count)
    return ((both / count - mean_a[:, None] * mean_b) / (var_a[:, None] * var_b).sqrt()).nan_to_num(0.0, 0.0, 0.0).float()


def _moments(rows: csr_array, count: int) -> tuple[Tensor, Tensor]:
    mean, square = (torch.from_numpy(part.sum(axis=1)) / count for part in (rows, rows.power(2)))
    return mean, (square - mean**2).clamp_min(0)


def paired(first: Firings, second: Firings, shape: tuple[int, int]) -> Float[Tensor, " L"]:
    """Correlation of latent i of the first with latent i of the second (line them up with `features.only`); 0 for dead ones."""
    return within_token(first, second, torch.zeros(shape, dtype=torch.long))


def within_token(first: Firings, second: Firings, tokens: Int[Tensor, "N T"]) -> Float[Tensor, " L"]:
    """The same of what is left of both activations when the mean of each token has been subtracted: f - E[f | token].

    Two latents that depend on the current token alone have 0 here, however alike they are. In sample: a token that is there once
    leaves nothing.
    """
    a, b = (features.matrix(each, tuple(tokens.shape)) for each in (first, second))
    _, place, counts = tokens.flatten().unique(return_inverse=True, return_counts=True)
    one_hot = csr_array((np.ones(len(place)), place.numpy(), np.arange(len(place) + 1)), (len(place), len(counts)))
    root = csr_array((counts.double().rsqrt().numpy(), (range(len(counts)), range(len(counts)))))
    sums = [rows @ one_hot @ root for rows in (a, b)]  # of each token, over the root of how often it is there

    def product(x: csr_array, y: csr_array, of_x: csr_array, of_y: csr_array) -> Tensor:
        return torch.from_numpy(x.multiply(y).sum(axis=1) - of_x.multiply(of_y).sum(axis=1))

    both, own, other = product(a, b, *sums), product(a, a, sums[0], sums[0]), product(b, b, sums[1], sums[1])
    least = [1e-9 * torch.from_numpy(rows.power(2).sum(axis=1)) for rows in (a, b)]  # nothing is left but rounding
    return torch.where((own > least[0]) & (other > least[1]), both / (own * other).sqrt(), 0.0).float()


# --- what they do to the next token ---


def attributions(fired: Firings, weights: Float[Tensor, "L V"], tokens: Int[Tensor, "N T"]) -> Firings:
    """f_i(t_j) times the logit weight of the token that follows, wherever one follows in the same context."""
    inside = fired.chosen(fired.position < tokens.shape[1] - 1)
    following = tokens[inside.context, inside.position + 1]
    return inside._replace(value=inside.value * weights[inside.latent, following])


def rows_alike(first: Float[Tensor, "L V"], second: Float[Tensor, "L V"], where: Bool[Tensor, " V"]) -> Float[Tensor, " L"]:
    """Correlation of row i of two matrices over some of their columns, as of logit weights over the tokens that occur."""
    a, b = ((rows - rows.mean(dim=1, keepdim=True)) for rows in (first[:, where].double(), second[:, where].double()))
    return torch.cosine_similarity(a, b, dim=1).float()


# --- one token ---


def single_token(fired: Firings, tokens: Int[Tensor, "N T"], top: int = 20) -> Float[Tensor, " L"]:
    """Of each latent's `top` contexts with the largest activations, the share with its commonest token there; 1: a latent of one token.

    Bricken et al. call a latent single-token if it is 1. NaN for latents that are active in fewer contexts.
    """
    found = []
    for latent in range(len(fired.counts)):
        mine = fired.value[(at := slice(int(fired.counts[:latent].sum()), int(fired.counts[: latent + 1].sum())))].argsort(descending=True)
        context, position = fired.context[at][mine], fired.position[at][mine]
        first = np.sort(np.unique(context.numpy(), return_index=True)[1])[:top]  # a context's largest comes first
        counts = tokens[context[first], position[first]].unique(return_counts=True)[1]
        found.append(counts.max().item() / top if len(first) == top else torch.nan)
    return torch.tensor(found)


def planted(activations: Float[Tensor, "N T L"]) -> Firings:
    """The firings of activations that are made up, as positive examples."""
    latent, context, position = (activations > 0).permute(2, 0, 1).nonzero(as_tuple=True)
    return Firings(context, position, activations[context, position, latent].float(), torch.bincount(latent, minlength=activations.shape[-1]))
