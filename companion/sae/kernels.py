"""A sparse autoencoder in which nothing is dense but the encoder product.

Beside each fast form stands `*_reference`, the same function written plainly; tests/sae/test_kernels.py holds the two
together. `paths` joins the forms to what a model computes with, gradients included.

Counted in multiply-adds for B tokens, width D, L latents and K kept: the encoder costs B*D*L, everything after it B*D*K
(Gao et al. 2024, appendix on kernels; the dense form costs B*D*L five times over). What costs most after that is
selection, so it is done on a block of rows while the pre-activations are still in the cache.
"""

import functools
import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from companion.sae.selection import NAN, Selected, best, top_k, top_k_reference

CELLS = {"cpu": 2**21, "cuda": 2**28}
"""Pre-activations held at a time: 8 MB stay in a core's cache; a GPU wants large products."""
ROWS = 512
"""Fewest tokens per block, unless that is more than an eighth of the batch: W is read once per block."""
WIDE = 512
"""From this width on, a pass over the product is cheap beside the product itself."""

# --- selection ---------------------------------------------------------------------------------------------------


def select_reference(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """The k largest entries of each row of x Wᵀ + b: values and indices, each (B, K)."""
    return top_k_reference(x @ W.T + b, k)


@torch.no_grad()
def select(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """As `select_reference`, without ever holding the (B, L) product: a block of rows at a time, no gradient."""
    parts = [top_k(block, k) for block in _products(x, W, b, x.dtype)]
    return torch.cat([values for values, _ in parts]), torch.cat([indices for _, indices in parts])


def _products(x: Tensor, W: Tensor, b: Tensor, dtype: torch.dtype) -> Iterator[Tensor]:
    """Blocks of rows of x Wᵀ + b, all in the same memory."""
    rows = max(min(ROWS, -(-len(x) // 8)), CELLS.get(x.device.type, CELLS["cuda"]) // max(1, len(W)))
    rows *= 2 if dtype is torch.bfloat16 else 1  # as many bytes
    block = x.new_empty(min(rows, len(x)), len(W), dtype=dtype)
    if x.shape[1] >= WIDE and dtype is x.dtype:
        yield from (torch.addmm(b, part, W.T, out=block[: len(part)]) for part in x.split(rows))
    else:  # the bias as the weight of one more input that is always 1: adding it afterwards would be a pass over (B, L)
        x, W = _widened(x, 1.0, dtype), _widened(W, b, dtype)
        yield from (torch.mm(part, W.T, out=block[: len(part)]) for part in x.split(rows))


def _widened(t: Tensor, last: Tensor | float, dtype: torch.dtype) -> Tensor:
    """With one more column, and of another type, in one copy."""
    out = t.new_empty(len(t), t.shape[1] + 1, dtype=dtype)
    out[:, :-1], out[:, -1] = t, last
    return out


@torch.no_grad()
def select_low(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """The k largest of exact values, among a few more that are largest in bfloat16.

    Pays where the hardware multiplies bfloat16 faster. What `select` keeps and this does not is what more than K/4 others
    passed by rounding: nothing at all in nearly every row (a test says how many).
    """
    few = min(len(W), k + max(4, k // 4))
    indices = torch.cat([top_k(block, few)[1] for block in _products(x, W, b, torch.bfloat16)])
    values = gathered_dot(indices, W, x) + b.index_select(0, indices.flatten()).view_as(indices)
    if values.isnan().any():
        raise ValueError(NAN)
    return best(values, indices, k)


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
    """As `gathered_dot_reference`: a product of which only some entries are computed. An einsum would hold a (B, K, D) tensor.

    On a GPU the gradient of a weighted gather with respect to its weights, which torch has as one pass there too.
    """
    if g.device.type != "cpu":
        with torch.enable_grad():
            weights = g.new_zeros(indices.shape).requires_grad_()
            return torch.autograd.grad(weighted_gather(indices, weights, W.detach()), weights, g)[0]
    begins = torch.arange(0, indices.numel() + 1, indices.shape[1])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        wanted = torch.sparse_csr_tensor(begins, indices.flatten(), g.new_zeros(indices.numel()), (len(g), len(W)), check_invariants=False)
        return torch.sparse.sampled_addmm(wanted, g, W.T, beta=0.0).values().view_as(indices)


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
        order = _order(flat.to(torch.int16 if self.n < 2**15 else torch.int32))  # a radix sort's time goes with the bytes of its keys
        ends = torch.bincount(flat, minlength=self.n).cumsum(0)
        return order, order // self.indices.shape[1], F.pad(ends, (1, 0))


def _order(keys: Int[Tensor, " P"]) -> Int[Tensor, " P"]:
    """Where each key stands that comes next in order, equal ones as they were: by radix either way. Of fewer than 2^15
    keys torch's sort compares them, and takes ten times as long."""
    if keys.device.type == "cpu" and keys.dtype is torch.int16 and len(keys) < 2**15:
        return torch.from_numpy(keys.numpy().argsort(kind="stable"))
    return keys.sort(stable=True).indices


def dense(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], n: int) -> Float[Tensor, "B L"]:
    """The code as a matrix: values at their indices, zero elsewhere."""
    return values.new_zeros(len(indices), n).scatter_add(1, indices, values)
