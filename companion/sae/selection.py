"""The k largest entries of each row, exactly: in place of torch.topk, which is what a sparse step would wait for.

All forms leave out most of a row first. The k groups of entries with the largest maxima hold the k largest entries, since an
entry of any other group is no larger than k maxima; so maxima are all that is taken of every entry.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

BRANCH = 8
"""Entries per group of the tournament."""
NAN = "there are NaN among the pre-activations: the weights or the inputs hold NaN, or training has diverged (lower the rate)"

Selected = tuple[Float[Tensor, "B K"], Int[Tensor, "B K"]]


def top_k_reference(x: Float[Tensor, "B L"], k: int) -> Selected:
    """Values and indices of the k largest entries of each row, in no particular order."""
    return x.topk(k, dim=1, sorted=False)


def top_k(x: Float[Tensor, "B L"], k: int) -> Selected:
    """Values and indices of the k largest entries of each row, exactly: on a CPU by their bits in bfloat16 and by a bound in
    other types, elsewhere by a tournament."""
    length = x.shape[1]
    group = 32 if length < 2**13 else 64
    if x.device.type == "cpu" and x.dtype is torch.bfloat16:
        by_bits = length % BRANCH == 0 and 2 * BRANCH * k <= length <= 2**17
        return _by_bits(x, k) if by_bits else _by_tournament(x, k)
    by_bound = x.device.type == "cpu" and length % group == 0 and length >= 4 * group * k
    return _by_bound(x, k, group) if by_bound else _by_tournament(x, k)


def _by_bits(x: Tensor, k: int) -> Selected:
    """The bits of bfloat16, read as int16, have the order of the numbers from zero up, and all others are below zero.

    So negative numbers count only in rows with fewer than k of the others, where their order is turned round.
    """
    bits = x.view(torch.int16)
    indices, least = _largest_bits(bits, k)
    if len(short := (least < 0).nonzero()[:, 0]):
        bits = bits[short]
        indices[short] = _largest_bits(bits ^ ((bits >> 15) & 0x7FFF), k)[0]
    values = x.gather(1, indices)
    if values.isnan().any() or x[0].isnan().any():  # NaN inputs fill a row, NaN weights a column, which the first row shows
        raise ValueError(NAN)
    return values, indices


def _largest_bits(bits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices of the k largest of each row of int16, and the least of these: as `_by_tournament`, whose passes are over
    half as many bytes here, while a row is left that is long enough."""
    rows, length = bits.shape
    if length % BRANCH or length < 2 * BRANCH * k:
        tags, least = _largest_tags(bits, torch.arange(length, dtype=torch.int32), k)
        return tags.long(), least
    groups = bits.view(rows, BRANCH, -1)
    winners = _largest_bits(groups.amax(dim=1), k)[0]
    members = groups.gather(2, winners[:, None, :].expand(rows, BRANCH, k))
    tags, least = _largest_tags(members, torch.arange(0, 2**16, 2**13, dtype=torch.int32)[:, None] + torch.arange(k, dtype=torch.int32), k)
    return winners.gather(1, (tags & 0x1FFF).long()) + (tags >> 13) * groups.shape[2], least


def _largest_tags(bits: Tensor, tags: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The tags, below 2^16, of the k largest of each row, and the least of these: numpy partitions numbers with their tags as
    their last two bytes faster than anything says where in a row they stand."""
    keys = torch.add(tags, bits, alpha=2**16).view(len(bits), -1).numpy()
    first = keys.shape[1] - k
    keys.partition(first, axis=1)
    kept = torch.from_numpy(keys[:, first:])
    return kept & 0xFFFF, kept[:, 0] >> 16


def _by_bound(x: Tensor, k: int, group: int) -> Selected:
    """Split a row into groups. The k-th largest of their maxima is a bound that k entries reach, and few others do.

    So: maxima, the bound, the groups that reach it, the entries in them that reach it, and a choice among these. In numpy,
    which partitions rows and finds the set entries of a mask many times faster than torch does on a CPU.
    """
    rows, length = x.shape
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
        raise ValueError(NAN)
    at = torch.from_numpy(np.arange(len(row)) + (np.arange(rows) * width - np.cumsum(counts) + counts)[row])
    padded = values.new_full((rows * width,), -torch.inf).index_copy_(0, at, values).view(rows, width)
    columns = torch.zeros(rows * width, dtype=torch.long).index_copy_(0, at, torch.from_numpy(column)).view(rows, width)
    return best(padded, columns, k)


def best(values: Tensor, columns: Tensor, k: int) -> Selected:
    """The k largest values of each row, where few more are given, and what stands beside them in `columns`."""
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        first = values.shape[1] - k
        at = torch.from_numpy(np.argpartition(values.numpy(), first, axis=1)[:, first:])  # several times as fast as topk
    else:
        at = values.topk(k, dim=1, sorted=False).indices
    return values.gather(1, at), columns.gather(1, at)


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
