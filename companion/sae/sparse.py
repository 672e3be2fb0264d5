"""Relatives of TopK: a code that works at several sizes, one budget for a whole batch, nested dictionaries."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.sae import kernels
from companion.sae.dense import from_dense
from companion.sae.models import FIRED, Code, Terms, TopK


class MultiTopK(TopK):
    """TopK trained at two sizes of its code at once, so that it works for all between (Gao et al. 2024, 5.3).

    error = |x_hat(k) - x|² + |x_hat(4k) - x|² / 8,   the same weights in both
    """

    kind = "multi_topk"
    FACTOR, WEIGHT = 4, 1 / 8

    def terms(self, x: Float[Tensor, "B D"]) -> Terms:
        by, wide = self._select(x, self.FACTOR * self.k)
        values = self._kept(x, by, wide)
        narrow = values * torch.isfinite(self.mesh.rivals(wide, self.k))
        x_hat, x_wide = (self._gathered(v, by) + self.b_pre for v in (narrow, values))
        error = (x_hat - x).square().sum() + self.WEIGHT * (x_wide - x).square().sum()
        return Terms(x_hat, error, x.new_zeros(()), by.indices[narrow > FIRED])


class BatchTopK(TopK):
    """Keeps the B*k largest pre-activations of a batch of B tokens: k is a mean, not a quota (Bussmann et al. 2024).

    Outside training there is no batch to compete with: latents above `threshold` are kept. It belongs to the weights at which
    `finalise` found it, and is infinite before, so that nothing passes.
    """

    kind = "batch_topk"
    WIDTH = 4
    """Candidates taken per token, as a multiple of k. A token that wins with all of them is asked for more."""

    def __init__(self, W_enc: Tensor, W_dec: Tensor, b_enc: Tensor, b_pre: Tensor, k: int):
        super().__init__(W_enc, W_dec, b_enc, b_pre, k)
        self.register_buffer("threshold", b_enc.new_full((), torch.inf))

    def encode_normalised(self, x: Float[Tensor, "B D"]) -> Code:
        """z = p where p = W_enc (x - b_pre) + b_enc exceeds the threshold, which is never below zero."""
        pre = (x - self.b_pre) @ self.W_enc.T + self.b_enc
        return from_dense(pre * (pre > self.threshold))

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        return self.decode_normalised(self.encode_normalised(x))

    @torch.no_grad()
    def finalise(self, x: Float[Tensor, "S D"]) -> None:
        """threshold = the (S k)-th largest pre-activation of S tokens, at least 0: k latents per token pass, in their mean.

        The paper averages the smallest kept value over batches; this is the same with all tokens as one batch, at the final weights.
        """
        self.threshold.copy_(self._candidates(x, self.k)[2].clamp_min(0))

    def _select(self, x: Tensor, k: int) -> tuple[kernels.ByLatent, Tensor]:
        values, indices, bar = self._candidates(x, k)
        values = values.where(values >= bar, -torch.inf)
        widest = max(1, int(torch.isfinite(values).sum(dim=1).max()))
        values, at = values.topk(widest, dim=1)
        return self._by(indices.gather(1, at)), values

    def _candidates(self, x: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pre-activations and latents, as many per token as can be among the B*k largest, and the smallest of those B*k."""
        width = min(self.WIDTH * k, self.n)
        while True:
            values, indices = self.path.select(x - self.b_pre, self.W_enc, self.b_enc, width)
            bar = self.mesh.largest(values, k)
            hidden = (values.amin(dim=1) > bar).sum()  # tokens that may have more above the bar than were looked at
            if width == self.n or not self.mesh.batch_total(self.mesh.latent_total(hidden)):
                return values, indices, bar
            width = min(2 * width, self.n)


class MatryoshkaBatchTopK(BatchTopK):
    """BatchTopK whose first latents must also do alone: nested dictionaries (Bussmann et al. 2025).

    error = mean over prefixes m of |x_hat(latents < m) - x|²,   one code for all of them, BatchTopK's over all latents
    """

    kind = "matryoshka"
    SHARES = (1 / 32, 3 / 32, 7 / 32, 15 / 32, 1)
    """The paper's: 2048, 6144, 14336, 30720 and 65536 latents."""

    def prefixes(self, n: int) -> list[int]:
        """Sizes of the nested dictionaries of n latents."""
        return sorted({max(1, round(share * n)) for share in self.SHARES})

    def terms(self, x: Float[Tensor, "B D"]) -> Terms:
        by, kept = self._trained_code(x)
        sizes, first = self.prefixes(self.n * self.mesh.shards), self.n * self.mesh.shard
        x_hat, error, begin = self.b_pre, x.new_zeros(()), 0
        for size in sizes:
            part = (by.indices + first >= begin) & (by.indices + first < size)
            x_hat = x_hat + self._gathered(kept * part, by)
            error, begin = error + (x_hat - x).square().sum() / len(sizes), size
        return Terms(x_hat, error, x.new_zeros(()), by.indices[kept > FIRED])
