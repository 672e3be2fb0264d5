"""The primitives of `companion.sae.kernels` as Triton kernels: the same names, signatures and results, on a GPU.

Inputs are float32, float16 or bfloat16; every number is widened to float32 when it is read, and every sum is float32. Nothing is added by
floating-point atomics, so each function returns the same bits for the same input. Indices are trusted to lie in [0, L): looking at them
would make the host wait for the GPU. An entry that is NaN has no place in an order: rows of `select` must hold none.

Importing this module needs triton; it is imported only where this path is chosen. With TRITON_INTERPRET=1 set before triton's
own first import the kernels run on the CPU, slowly, in float32 and float16 (the interpreter's bfloat16 is wrong without a word).

Costs are stated for B rows, D columns, L latents, K kept and s bytes per number (Gao et al. 2024, appendix on kernels).
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from companion.sae.kernels import ByLatent, Selected

INTERPRETED = triton.knobs.runtime.interpret
"""Whether the kernels below were made for the interpreter: decided once, when this module is imported."""
CELLS = 2**28
"""Pre-activations held at a time by `select`: 0.5 GB in bfloat16, rows enough for a product at full speed."""
LOW = {"cuda": torch.bfloat16, "cpu": torch.float16}
"""What `select_low` selects in, by device; the CPU is the interpreter."""
BRANCH, GROUPS, WIDEST = 16, 128, 8192
"""Entries per group of the tournament (32 bytes in bfloat16, one sector of memory), groups per program, longest row held in registers."""
STEP, COLUMNS, PIECE = 8, 256, 256
"""Rows and columns of the tile of a sparse sum (fewer for a narrow x); pairs of one latent that one program adds."""


# --- selection ---------------------------------------------------------------------------------------------------


@triton.jit
def _group_maxima(x, b, maxima, L, groups, BRANCH: tl.constexpr, GROUPS: tl.constexpr):
    """maxima[r, i] = the largest x[r, l] + b[l] of the BRANCH neighbours l from i * BRANCH on. One pass over x.

    B*L additions and comparisons; reads B*L*s bytes, writes 4*B*L / BRANCH."""
    blocks = tl.cdiv(groups, GROUPS)
    row = (tl.program_id(0) // blocks).to(tl.int64)
    group = tl.program_id(0) % blocks * GROUPS + tl.arange(0, GROUPS)
    at = group[:, None] * BRANCH + tl.arange(0, BRANCH)[None, :]
    entries = tl.load(x + row * L + at, mask=at < L, other=float("-inf")).to(tl.float32)
    if b is not None:
        entries += tl.load(b + at, mask=at < L, other=0.0).to(tl.float32)
    tl.store(maxima + row * groups + group, tl.max(entries, 1), mask=group < groups)


@triton.jit
def _choose(x, b, winners, values, indices, L, K, BRANCH: tl.constexpr, WIDTH: tl.constexpr):
    """The K largest x[r, l] + b[l] of a row held in registers: of all L <= WIDTH, or of the members of K winning groups. In order of place.

    A float32 read as an integer keeps its order once the lower bits of negatives are turned over. The K-th largest integer is found
    from its highest bit down: a bit is set if at least K entries are still no smaller. Of those equal to it, the first ones are taken.

    33*B*WIDTH comparisons; reads B*L*s bytes, or B*K*(BRANCH*s + 8), and writes B*K*(s + 8)."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, WIDTH)
    columns, real = at, at < L
    if winners is not None:
        columns = tl.load(winners + row * K + at // BRANCH, mask=at // BRANCH < K, other=0) * BRANCH + at % BRANCH
        real = (at // BRANCH < K) & (columns < L)
    entries = tl.load(x + row * L + columns, mask=real, other=0.0).to(tl.float32)
    if b is not None:
        entries += tl.load(b + columns, mask=real, other=0.0).to(tl.float32)
    bits = entries.to(tl.int32, bitcast=True)
    keys = tl.where(real, tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits), -2147483648)
    least = tl.where(tl.sum((keys >= 0).to(tl.int32), 0) >= K, 0, -2147483648)
    for bit in range(31):
        raised = least | (1 << (30 - bit))
        least = tl.where(tl.sum((keys >= raised).to(tl.int32), 0) >= K, raised, least)
    above, equal = (keys > least).to(tl.int32), (keys == least).to(tl.int32)
    taken = above + equal * (tl.cumsum(equal, 0) <= K - tl.sum(above, 0)).to(tl.int32)
    slots = row * K + tl.cumsum(taken, 0) - 1
    tl.store(values + slots, entries, mask=taken == 1)
    tl.store(indices + slots, columns, mask=taken == 1)


def _tournament(x: Tensor, b: Tensor | None, k: int) -> Selected:
    """The k largest of each row of x + b, exactly, reading x once and the members of k groups again; x is contiguous.

    The k groups of neighbours with the largest maxima hold the k largest entries (`selection`).
    About 2*B*L comparisons for the maxima and 33*B*(L / BRANCH + BRANCH*k) for the choices; reads B*L*s bytes once."""
    (rows, length), winners, width = x.shape, None, triton.next_power_of_2(x.shape[1])
    if length > WIDEST:
        groups, width = triton.cdiv(length, BRANCH), triton.next_power_of_2(k) * BRANCH
        if k > groups or width > WIDEST:  # too many are kept for a tournament to save anything
            return (x if b is None else x + b.to(x.dtype)).topk(k, dim=1, sorted=False)
        maxima = torch.empty(rows, groups, dtype=torch.float32, device=x.device)
        _group_maxima[(rows * triton.cdiv(groups, GROUPS),)](x, b, maxima, length, groups, BRANCH=BRANCH, GROUPS=GROUPS)
        winners = _tournament(maxima, None, k)[1]
    values, indices = x.new_empty(rows, k), torch.empty(rows, k, dtype=torch.int64, device=x.device)
    warps = min(max(width // 512, 1), 16)  # sixteen entries to a thread
    _choose[(rows,)](x, b, winners, values, indices, length, k, BRANCH=BRANCH, WIDTH=width, num_warps=warps)
    return values, indices


@torch.no_grad()
def select(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """Values and indices of the k largest entries of each row of x Wᵀ + b, never holding (B, L): CELLS entries at a time. No gradient.

    The product is torch's (its setting decides on TF32) and is held in the inputs' dtype; the bias is added in float32 as it is read.
    ValueError for k > L, for unequal widths or dtypes.

    2*B*D*L FLOPs; writes and reads the product once, 2*B*L*s bytes, and reads W once per block of CELLS / L rows."""
    _check(x, W, b)
    _require(x.shape[1:] == W.shape[1:] and b.shape == W.shape[:1], f"x {tuple(x.shape)}, W {tuple(W.shape)}, b {tuple(b.shape)} do not fit")
    _require(x.dtype == W.dtype, f"x is {x.dtype}, W is {W.dtype}: one dtype is needed")
    _require(1 <= k <= len(W) and len(x) * k < 2**31, f"k = {k} of {len(W)} entries in {len(x)} rows: 1 <= k <= {len(W)}, B*K < 2**31 are needed")
    rows, b = max(1, CELLS // len(W)), b.contiguous()
    block = x.new_empty(min(rows, len(x)), len(W))
    parts = [_tournament(torch.mm(part, W.T, out=block[: len(part)]), b, k) for part in x.split(rows)]
    return torch.cat([values for values, _ in parts]), torch.cat([indices for _, indices in parts])


@torch.no_grad()
def select_low(x: Float[Tensor, "B D"], W: Float[Tensor, "L D"], b: Float[Tensor, " L"], k: int) -> Selected:
    """As `select`, but the product that decides which are largest is bfloat16; the k values are then computed anew in x's precision.

    A latent whose pre-activation is within bfloat16's rounding of the k-th may be chosen in place of another; no value is rounded.

    2*B*D*(L + k) FLOPs, all but k / L of them in bfloat16; 4*B*L bytes of products, B*k*D*s of gathered rows."""
    _check(x, W, b)
    low = LOW[x.device.type]
    indices = select(x.to(low), W.to(low), b, k)[1]
    return gathered_dot(indices, W, x) + b[indices], indices


# --- sparse products ---------------------------------------------------------------------------------------------


@triton.jit
def _sum_of_rows(begin, end, order, rows, values, x, D, columns, STEP: tl.constexpr, COLUMNS: tl.constexpr):
    """sum over p in [begin, end) of values[order[p]] x[rows[p], columns]; without an order, values[p]. STEP rows are read at a time."""
    sums = tl.zeros((STEP, COLUMNS), tl.float32)
    for start in range(begin, end, STEP):
        pairs = start + tl.arange(0, STEP)
        real = pairs < end
        places = pairs
        if order is not None:
            places = tl.load(order + pairs, mask=real, other=0)
        weights = tl.load(values + places, mask=real, other=0.0).to(tl.float32)
        at = tl.load(rows + pairs, mask=real, other=0).to(tl.int64)[:, None] * D + columns[None, :]
        sums += weights[:, None] * tl.load(x + at, mask=real[:, None] & (columns < D)[None, :], other=0.0).to(tl.float32)
    return tl.sum(sums, 0)


@triton.jit
def _weighted_gather(indices, values, W, out, K, D, STEP: tl.constexpr, COLUMNS: tl.constexpr):
    """One row of the result, COLUMNS of it at a time: see `weighted_gather`."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = _sum_of_rows(row * K, row * K + K, None, indices, values, W, D, columns, STEP, COLUMNS)
    tl.store(out + row * D + columns, total, mask=columns < D)


def weighted_gather(indices: Int[Tensor, "B K"], values: Float[Tensor, "B K"], W: Float[Tensor, "L D"]) -> Float[Tensor, "B D"]:
    """out[b] = sum_j values[b, j] W[indices[b, j]], in the wider dtype of values and W. ValueError for unequal shapes.

    2*B*K*D FLOPs; reads B*K*D*s bytes of rows (from L*D*s of memory: what the cache saves lies between) and writes B*D*s."""
    _check(indices, values, W)
    _require(values.shape == indices.shape, f"values are {tuple(values.shape)}, indices {tuple(indices.shape)}")
    (rows, kept), width, columns = _pairs(indices), W.shape[1], _columns(W)
    out = _empty((rows, width), values, W)
    grid = (rows, triton.cdiv(width, columns))
    _weighted_gather[grid](indices.contiguous(), values.contiguous(), W.contiguous(), out, kept, width, STEP=STEP, COLUMNS=columns)
    return out


@triton.jit
def _gathered_dot(indices, W, g, out, K, D, STEP: tl.constexpr, COLUMNS: tl.constexpr):
    """STEP products of one row: see `gathered_dot`."""
    row = tl.program_id(0).to(tl.int64)
    kept = tl.program_id(1) * STEP + tl.arange(0, STEP)
    latents = tl.load(indices + row * K + kept, mask=kept < K, other=0).to(tl.int64)
    sums = tl.zeros((STEP, COLUMNS), tl.float32)
    for start in range(0, D, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        real = (kept < K)[:, None] & (columns < D)[None, :]
        rows = tl.load(W + latents[:, None] * D + columns[None, :], mask=real, other=0.0).to(tl.float32)
        sums += rows * tl.load(g + row * D + columns, mask=columns < D, other=0.0).to(tl.float32)[None, :]
    tl.store(out + row * K + kept, tl.sum(sums, 1), mask=kept < K)


def gathered_dot(indices: Int[Tensor, "B K"], W: Float[Tensor, "L D"], g: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
    """out[b, j] = W[indices[b, j]] · g[b], in the wider dtype of W and g. ValueError for unequal shapes.

    2*B*K*D FLOPs; reads B*K*D*s bytes of rows and B*D*s of g per STEP of them, writes B*K*s."""
    _check(indices, W, g)
    (rows, kept), width = _pairs(indices), W.shape[1]
    _require(g.shape == (rows, width), f"g is {tuple(g.shape)}, not {(rows, width)}")
    out = _empty((rows, kept), W, g)
    grid = (rows, triton.cdiv(kept, STEP))
    _gathered_dot[grid](indices.contiguous(), W.contiguous(), g.contiguous(), out, kept, width, STEP=STEP, COLUMNS=_columns(W))
    return out


@triton.jit
def _sum_pieces(order, rows, begins, firsts, owners, values, x, sums, L, D, PIECE: tl.constexpr, STEP: tl.constexpr, COLUMNS: tl.constexpr):
    """The sum of one piece of a latent's run, at most PIECE pairs: see `transposed_gather`."""
    piece = tl.program_id(0)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    latent = tl.load(owners + piece)
    if latent < L:  # the grid is an upper bound on the number of pieces, so that the host need not wait to learn it
        begin = tl.load(begins + latent) + (piece - tl.load(firsts + latent)) * PIECE
        end = tl.minimum(begin + PIECE, tl.load(begins + latent + 1))
        total = _sum_of_rows(begin, end, order, rows, values, x, D, columns, STEP, COLUMNS)
        tl.store(sums + piece.to(tl.int64) * D + columns, total, mask=columns < D)


@triton.jit
def _join_pieces(firsts, sums, out, D, STEP: tl.constexpr, COLUMNS: tl.constexpr):
    """out[l] = the pieces of latent l added up by its one owner, every STEP-th first, always in this order."""
    latent = tl.program_id(0)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    begin, end = tl.load(firsts + latent), tl.load(firsts + latent + 1)
    total = tl.zeros((STEP, COLUMNS), tl.float32)
    for start in range(begin, end, STEP):
        pieces = start + tl.arange(0, STEP)
        real = (pieces < end)[:, None] & (columns < D)[None, :]
        total += tl.load(sums + pieces[:, None] * D + columns[None, :], mask=real, other=0.0)
    tl.store(out + latent.to(tl.int64) * D + columns, tl.sum(total, 0), mask=columns < D)


def transposed_gather(by: ByLatent, values: Float[Tensor, "B K"], x: Float[Tensor, "B D"]) -> Float[Tensor, "L D"]:
    """out[l] = sum over the pairs (b, j) of latent l of values[b, j] x[b]: a weighted gather with rows and latents exchanged.

    A latent's run of pairs is cut into pieces of PIECE, so that one that is on everywhere does not hold up the others. Each piece is
    summed by one program into a row of its own; then one program per latent adds up its pieces in order: the result is the same
    every time. The result is in the wider dtype of values and x; a latent without pairs gets zeros. ValueError for unequal shapes.

    2*B*K*D FLOPs; reads B*K*D*s bytes of rows, writes and reads at most 4*(L + B*K / PIECE)*D of pieces, writes L*D*s."""
    order, rows, begins = by.sorted
    _check(values, x, order, rows, begins)
    pairs = _pairs(values).numel()
    _require(len(values) == len(x), f"values have {len(values)} rows, x has {len(x)}")
    _require(len(order) == pairs, f"by holds {len(order)} pairs, values {pairs}")
    latents, pieces, width, columns = len(begins) - 1, pairs // PIECE + len(begins) - 1, x.shape[1], _columns(x)
    firsts = torch.zeros_like(begins)
    firsts[1:] = (begins.diff() + PIECE - 1).div(PIECE, rounding_mode="floor").cumsum(0)
    owners = torch.searchsorted(firsts, torch.arange(pieces, device=x.device), right=True) - 1
    sums = torch.empty(pieces, width, dtype=torch.float32, device=x.device)
    out, chunks = _empty((latents, width), values, x), triton.cdiv(width, columns)
    args = order, rows, begins, firsts, owners, values.contiguous(), x.contiguous(), sums, latents, width
    _sum_pieces[(pieces, chunks)](*args, PIECE=PIECE, STEP=STEP, COLUMNS=columns)
    _join_pieces[(latents, chunks)](firsts, sums, out, width, STEP=STEP, COLUMNS=columns)
    return out


# --- what is refused ---------------------------------------------------------------------------------------------


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _check(*tensors: Tensor) -> None:
    """One device, and one that these kernels run on; no dtype that float32 sums would not do justice to."""
    device, *others = {tensor.device for tensor in tensors}
    _require(not others, f"tensors on several devices: {sorted(map(str, [device, *others]))}")
    here = device.type == "cuda" and device.index == torch.cuda.current_device()
    _require(INTERPRETED or here, f"Triton kernels run on the current GPU and this tensor is on {device}: torch.cuda.set_device, or the eager path")
    wrong = {tensor.dtype for tensor in tensors if tensor.is_floating_point()} - {torch.float32, torch.float16, torch.bfloat16}
    _require(not wrong, f"Triton kernels add in float32: {wrong} is for the eager path")


def _pairs(code: Tensor) -> torch.Size:
    _require(code.dim() == 2 and code.numel() < 2**31, f"a code of shape {tuple(code.shape)}: (B, K) with B*K < 2**31 is needed")
    return code.shape


def _empty(shape: tuple[int, int], a: Tensor, b: Tensor) -> Tensor:
    return torch.empty(shape, dtype=torch.promote_types(a.dtype, b.dtype), device=a.device)


def _columns(x: Tensor) -> int:
    return min(COLUMNS, triton.next_power_of_2(x.shape[1]))
