"""A sparse autoencoder in which nothing is dense but the encoder product.

Beside each fast form stands `*_reference`, the same function written plainly; tests/sae/test_kernels.py holds the two
together. `paths` joins the forms to what a model computes with, gradients included.

Counted in multiply-adds for B tokens, width D, L latents and K kept: the encoder costs B*D*L, everything after it B*D*K
(Gao et al. 2024, appendix on kernels; the dense form costs B*D*L five times over). What costs most after that is
selection, so it is done on a block of rows while the pre-activations are still in the cache.
"""

import functools
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

BRANCH = 8
"""Entries per group of the tournament."""
CELLS = {"cpu": 2**21, "cuda": 2**28}
"""Pre-activations held at a time: 8 MB stay in a core's cache; a GPU wants large products."""
ROWS = 512
"""Fewest tokens per block, unless that is more than an eighth of the batch: W is read once per block."""
WIDE = 512
"""From this width on, a pass over the product is cheap beside the product itself."""

Selected = tuple[Float[Tensor, "B K"], Int[Tensor, "B K"]]


# --- selection ---------------------------------------------------------------------------------------------------


def top_k_reference(x: Float[Tensor, "B L"], k: int) -> Selected:
    """Values and indices of the k largest entries of each row, in no particular order."""
    return x.topk(k, dim=1, sorted=False)


def top_k(x: Float[Tensor, "B L"], k: int) -> Selected:
    """Values and indices of the k largest entries of each row, exactly: by a bound on a CPU, elsewhere by a tournament."""
    group = 32 if x.shape[1] < 2**13 else 64
    by_bound = x.device.type == "cpu" and x.shape[1] % group == 0 and x.shape[1] >= 4 * group * k
    return _by_bound(x, k, group) if by_bound else _by_tournament(x, k)


def _by_bound(x: Tensor, k: int, group: int) -> Selected:
    """Split a row into groups. The k-th largest of their maxima is a bound that k entries reach, and few others do.

    So: maxima, the bound, the groups that reach it, the entries in them that reach it, and a choice among these. In numpy,
    which partitions rows and finds the set entries of a mask many times faster than torch does on a CPU.
    """
    rows, length = x.shape
    x = x.float() if x.dtype is torch.bfloat16 else x  # unknown to numpy
    maxima = x.view(rows, -1, group).amax(dim=2).numpy()
    bound = np.partition(maxima, maxima.shape[1] - k, axis=1)[:, maxima.shape[1] - k]
    reached = np.flatnonzero(maxima >= bound[:, None])
    row_of_group = reached // maxima.shape[1]
    members = x.view(-1, group).index_select(0, torch.from_numpy(reached)).numpy()
    found = np.flatnonzero(members >= bound[row_of_group][:, None])
    rows_found = row_of_group[found // group]
    columns = reached[found // group] * group + found % group - rows_found * length
    return _first_k(torch.from_numpy(members.reshape(-1)[found]), rows_found, columns, rows, k)


def _first_k(values: Tensor, row: np.ndarray, column: np.ndarray, rows: int, k: int) -> Selected:
    """The k largest of each row of a ragged list, rows in order, at least k in each."""
    counts = np.bincount(row, minlength=rows)
    width = int(counts.max())
    if counts.min() < k:  # nothing reaches a bound that is NaN
        raise ValueError("there are NaN among the pre-activations: the weights or the inputs hold NaN, or training has diverged (lower the rate)")
    at = torch.from_numpy(np.arange(len(row)) + (np.arange(rows) * width - np.cumsum(counts) + counts)[row])
    padded = values.new_full((rows * width,), -torch.inf).index_copy_(0, at, values).view(rows, width)
    columns = torch.zeros(rows * width, dtype=torch.long).index_copy_(0, at, torch.from_numpy(column)).view(rows, width)
    top, among = padded.topk(k, dim=1, sorted=False)
    return top, columns.gather(1, among)


def _by_tournament(x: Tensor, k: int) -> Selected:
    """The k groups with the largest maxima hold the k largest entries: an entry of any other group is no larger than k
    maxima. So: maxima, their own top k (the same function), and a choice among k * BRANCH."""
    rows, length = x.shape
    groups = -(-length // BRANCH)
    if groups < 4 * k:
        return x.topk(k, dim=1, sorted=False)
    if length % BRANCH:
        x = F.pad(x, (0, groups * BRANCH - length), value=-torch.inf)
    winners = _by_tournament(x.view(rows, BRANCH, groups).amax(dim=1), k)[1]
    strides = torch.arange(0, BRANCH * groups, groups, device=x.device)
    members = (winners[:, None, :] + strides[:, None]).view(rows, -1)
    values, at = x.gather(1, members).topk(k, dim=1, sorted=False)
    return values, members.gather(1, at)


def select_reference(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """The k largest entries of each row of x Wᵀ + b: values and indices, each (B, K)."""
    return top_k_reference(x @ W.T + b, k)


@torch.no_grad()
def select(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """As `select_reference`, without ever holding the (B, L) product: a block of rows at a time, no gradient."""
    parts = [top_k(block, k) for block in _products(x, W, b)]
    return torch.cat([values for values, _ in parts]), torch.cat([indices for _, indices in parts])


def _products(x: Tensor, W: Tensor, b: Tensor) -> Iterator[Tensor]:
    """Blocks of rows of x Wᵀ + b, all in the same memory."""
    rows = max(min(ROWS, -(-len(x) // 8)), CELLS.get(x.device.type, CELLS["cuda"]) // max(1, len(W)))
    block = x.new_empty(min(rows, len(x)), len(W))
    if x.shape[1] >= WIDE:
        yield from (torch.addmm(b, part, W.T, out=block[: len(part)]) for part in x.split(rows))
    else:  # the bias as the weight of one more input that is always 1: adding it afterwards would be a pass over (B, L)
        x, W = F.pad(x, (0, 1), value=1.0), torch.cat([W, b[:, None]], dim=1)
        yield from (torch.mm(part, W.T, out=block[: len(part)]) for part in x.split(rows))


@torch.no_grad()
def select_low(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """The k largest in bfloat16, their values then computed in full precision: exact values of nearly the right set.

    Pays where the hardware multiplies bfloat16 faster; which latents differ from `select` is a matter of near ties.
    """
    indices = select(x.bfloat16(), W.bfloat16(), b.bfloat16(), k)[1]
    return gathered_dot(indices, W, x) + b[indices], indices


# --- sparse products ---------------------------------------------------------------------------------------------


def weighted_gather_reference(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], W: Float[Tensor, "L D"]) -> Float[Tensor, "B D"]:
    """out[b] = sum_j values[b, j] W[indices[b, j]]."""
    return dense(indices, values, W.shape[0]) @ W


def weighted_gather(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], W: Float[Tensor, "L D"]) -> Float[Tensor, "B D"]:
    """As `weighted_gather_reference`; reads the B*K rows it needs and writes only the sum."""
    return F.embedding_bag(indices, W, per_sample_weights=values, mode="sum")


def gathered_dot_reference(indices: Int[Tensor, "B K"], W: Float[Tensor, "L D"], g: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
    """out[b, j] = W[indices[b, j]] · g[b]."""
    return (g @ W.T).gather(1, indices)


def gathered_dot(indices: Int[Tensor, "B K"], W: Float[Tensor, "L D"], g: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
    """As `gathered_dot_reference`: the gradient of a weighted gather with respect to its weights, which torch has as one
    pass. An einsum would hold a (B, K, D) tensor."""
    with torch.enable_grad():
        weights = g.new_zeros(indices.shape).requires_grad_()
        return torch.autograd.grad(weighted_gather(indices, weights, W.detach()), weights, g)[0]


def transposed_gather_reference(by: "ByLatent", values: Float[Tensor, "B K"], x: Float[Tensor, "B D"]) -> Float[Tensor, "L D"]:
    """out[l] = sum over the (b, j) with indices[b, j] = l of values[b, j] x[b]."""
    return dense(by.indices, values, by.n).T @ x


def transposed_gather(by: "ByLatent", values: Float[Tensor, "B K"], x: Float[Tensor, "B D"]) -> Float[Tensor, "L D"]:
    """As `transposed_gather_reference`: a weighted gather with rows and latents exchanged."""
    order, rows, begins = by.sorted
    weights = values.reshape(-1)[order]
    return F.embedding_bag(rows, x, begins, per_sample_weights=weights, mode="sum", include_last_offset=True)


class ByLatent:
    """The B*K (row, latent) pairs of a code in order of latents. Sorted once, when first needed, for all uses."""

    def __init__(self, indices: Int[Tensor, "B K"], n: int):
        self.indices, self.n = indices, n

    @functools.cached_property
    def sorted(self) -> tuple[Int[Tensor, " BK"], Int[Tensor, " BK"], Int[Tensor, " L+1"]]:
        """In order of latents: where each pair stands in the code, its row; and where each latent's run begins."""
        flat = self.indices.reshape(-1)
        narrow = torch.int16 if self.n < 2**15 else torch.int32  # a radix sort's time goes with the bytes of its keys
        order = flat.to(narrow).sort(stable=True).indices
        ends = torch.bincount(flat, minlength=self.n).cumsum(0)
        return order, order // self.indices.shape[1], F.pad(ends, (1, 0))


def dense(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], n: int) -> Float[Tensor, "B L"]:
    """The code as a matrix: values at their indices, zero elsewhere."""
    return values.new_zeros(len(indices), n).scatter_add(1, indices, values)
