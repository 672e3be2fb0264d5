"""A TopK autoencoder in which nothing is dense but the encoder product.

Beside each fast form stands `*_reference`, the same function written plainly; tests/sae/test_kernels.py holds the two
together, gradients of every output included. All forms are plain torch and run on any device.

Counted in multiply-adds for B tokens, width D, L latents and K kept: the encoder costs B*D*L, everything after it B*D*K
(Gao et al. 2024, appendix on kernels; the dense form costs B*D*L five times over). The order of costs after that is
selection first, so selection is a tournament and is done while the pre-activations are still in the cache.
"""

import functools

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

BRANCH = 8
"""Entries per group of the tournament. Measured on CPU for L = 4096: 4, 16 and 32 cost 10-30 % more."""
CELLS = {"cpu": 2**21, "cuda": 2**28}
"""Pre-activations held at a time: 8 MB stay in a core's cache; a GPU wants large products."""


# --- selection ---------------------------------------------------------------------------------------------------


def top_k_reference(x: Float[Tensor, "B L"], k: int) -> tuple[Float[Tensor, "B K"], Int[Tensor, "B K"]]:
    """Values and indices of the k largest entries of each row, in no particular order."""
    return x.topk(k, dim=1, sorted=False)


def top_k(x: Float[Tensor, "B L"], k: int) -> tuple[Float[Tensor, "B K"], Int[Tensor, "B K"]]:
    """Values and indices of the k largest entries of each row, exactly, as a tournament.

    Split a row into groups. The k groups with the largest maxima hold the k largest entries: an entry of any other
    group is no larger than k maxima. So: maxima, their own top k (the same function), and a choice among k * BRANCH.
    Group i takes every (L / BRANCH)-th entry from i on: its maximum is then an elementwise maximum of long rows.
    """
    rows, length = x.shape
    groups = -(-length // BRANCH)
    if groups < 4 * k:  # a tournament no longer saves anything
        return x.topk(k, dim=1, sorted=False)
    if length % BRANCH:
        x = F.pad(x, (0, groups * BRANCH - length), value=-torch.inf)
    winners = top_k(x.view(rows, BRANCH, groups).amax(dim=1), k)[1]
    strides = torch.arange(0, BRANCH * groups, groups, device=x.device)
    members = (winners[:, None, :] + strides[:, None]).view(rows, -1)
    values, at = x.gather(1, members).topk(k, dim=1, sorted=False)
    return values, members.gather(1, at)


def select_reference(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row of x Wᵀ + b: values and indices, each (B, K)."""
    return top_k_reference(x @ W.T + b, k)


def select(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> tuple[Tensor, Tensor]:
    """As `select_reference`, without ever holding the (B, L) product: a block of rows at a time, no gradient."""
    rows = max(1, CELLS.get(x.device.type, CELLS["cuda"]) // W.shape[0])
    block = x.new_empty(min(rows, x.shape[0]), W.shape[0])
    with torch.no_grad():
        # the bias as the weight of one more input that is always 1: adding it afterwards is a pass over (B, L)
        x, W = F.pad(x, (0, 1), value=1.0), torch.cat([W, b[:, None]], dim=1)
        parts = [top_k(torch.mm(part, W.T, out=block[: len(part)]), k) for part in x.split(rows)]
    return torch.cat([values for values, _ in parts]), torch.cat([indices for _, indices in parts])


# --- sparse products ------------------------------------------------------------------------------------


def weighted_gather_reference(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], W: Float[Tensor, "L D"]) -> Float[Tensor, "B D"]:
    """out[b] = sum_j values[b, j] W[indices[b, j]]."""
    return dense(indices, values, W.shape[0]) @ W


def weighted_gather(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], W: Float[Tensor, "L D"]) -> Float[Tensor, "B D"]:
    """As `weighted_gather_reference`; reads the B*K rows it needs and writes only the sum."""
    return F.embedding_bag(indices, W, per_sample_weights=values, mode="sum")


def transposed_gather_reference(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], x: Float[Tensor, "B D"], n: int) -> Float[Tensor, "L D"]:
    """out[l] = sum over the (b, j) with indices[b, j] = l of values[b, j] x[b]."""
    return dense(indices, values, n).T @ x


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

    def transposed_gather(self, values: Float[Tensor, "B K"], x: Float[Tensor, "B D"]) -> Float[Tensor, "L D"]:
        """As `transposed_gather_reference`: a weighted gather with rows and latents exchanged."""
        order, rows, begins = self.sorted
        weights = values.reshape(-1)[order]
        return F.embedding_bag(rows, x, begins, per_sample_weights=weights, mode="sum", include_last_offset=True)

    def totals(self, values: Float[Tensor, "B K"]) -> Float[Tensor, " L"]:
        """Sum of the values of each latent."""
        return values.new_zeros(self.n).index_add_(0, self.indices.reshape(-1), values.reshape(-1))


def dense(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], n: int) -> Float[Tensor, "B L"]:
    """The code as a mostly empty matrix. For the reference forms and for small sizes."""
    return values.new_zeros(indices.shape[0], n).scatter_add(1, indices, values)


# --- with gradients ----------------------------------------------------------------------------------------------


def kept_values_reference(x: Tensor, W_enc: Tensor, b_enc: Tensor, b_pre: Tensor, by: ByLatent, values: Tensor) -> Tensor:
    """relu of the kept pre-activations (x - b_pre) W_encᵀ + b_enc, (B, K). `values` is what `select` returned, unused here."""
    return torch.relu(((x - b_pre) @ W_enc.T + b_enc).gather(1, by.indices))


def kept_values(x: Tensor, W_enc: Tensor, b_enc: Tensor, b_pre: Tensor, by: ByLatent, values: Tensor) -> Tensor:
    """As `kept_values_reference`, computing nothing twice: the values are those found at selection, and the gradients of
    x, W_enc, b_enc and b_pre touch the kept pairs only."""
    return _KeptValues.apply(x, W_enc, b_enc, b_pre, by, values)


class _KeptValues(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, W_enc, b_enc, b_pre, by, values):
        kept = torch.relu(values)
        ctx.save_for_backward(x, W_enc, b_pre, kept)
        ctx.by = by
        return kept

    @staticmethod
    def backward(ctx, grad):
        x, W_enc, b_pre, kept = ctx.saved_tensors
        grad = grad * (kept > 0)
        grad_b = ctx.by.totals(grad)
        # x - b_pre is the same for every pair of a row, so b_pre's share is one (L)(L, D) product: (dL/db) W, not (B, D) sums
        grad_x = weighted_gather(ctx.by.indices, grad, W_enc) if ctx.needs_input_grad[0] else None
        grad_W = ctx.by.transposed_gather(grad, x - b_pre) if ctx.needs_input_grad[1] else None
        return grad_x, grad_W, grad_b, -(grad_b @ W_enc), None, None


def decode_reference(W_dec: Float[Tensor, "L D"], values: Float[Tensor, "B K"], by: ByLatent) -> Float[Tensor, "B D"]:
    """out[b] = sum_j values[b, j] W_dec[indices[b, j]]: the decoder without its bias."""
    return weighted_gather_reference(by.indices, values, W_dec)


def decode(W_dec: Float[Tensor, "L D"], values: Float[Tensor, "B K"], by: ByLatent) -> Float[Tensor, "B D"]:
    """As `decode_reference`, with sparse gradients.

    dL/dvalues[b, j] = W_dec[indices[b, j]] · dL/dout[b] is the gradient of a weighted gather with respect to its weights,
    which torch has as one pass (an einsum would hold a (B, K, D) tensor). Only W_dec's own gradient is added by hand.
    """
    gathered = weighted_gather(by.indices, values, W_dec.detach())
    return _WithRowGradient.apply(gathered, W_dec, values, by)


class _WithRowGradient(torch.autograd.Function):
    """The identity on what was gathered, which sends W_dec its gradient on the way back."""

    @staticmethod
    def forward(ctx, gathered, W_dec, values, by):
        ctx.save_for_backward(values)
        ctx.by = by
        return gathered.view_as(gathered)

    @staticmethod
    def backward(ctx, grad):
        (values,) = ctx.saved_tensors
        grad_W = ctx.by.transposed_gather(values, grad) if ctx.needs_input_grad[1] else None
        return grad, grad_W, None, None
