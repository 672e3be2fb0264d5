"""Autoencoders that a penalty makes sparse: relu with L1, its April 2024 form, Gated and JumpReLU.

How many latents fire is not known beforehand, so these are trained with dense products.
"""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.sae.models import FIRED, Autoencoder, Code, Terms


def from_dense(z: Float[Tensor, "B L"]) -> Code:
    """The code of non-negative latents, as wide as the busiest token needs."""
    widest = max(1, int((z > 0).sum(dim=1).max()))
    values, indices = z.topk(widest, dim=1)
    return Code(indices, values)


class Dense(Autoencoder):
    """What the penalised models share: dense latents, and a reconstruction from them."""

    decisive: ClassVar[str] = "b_enc"
    """The bias of the pre-activation that must be positive for a latent to fire."""

    def latents(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B L"]:
        """Activations of all latents."""
        raise NotImplementedError

    def encode_normalised(self, x: Float[Tensor, "B D"]) -> Code:
        return from_dense(self.latents(x))

    def dead_code(self, x: Float[Tensor, "B D"], dead: Int[Tensor, " dead"], k: int) -> Float[Tensor, "B D"]:
        """What the `k` largest of the dead latents make of x, by the pre-activations that decide whether they fire."""
        rows = dead if len(dead) else dead.new_zeros(1)  # the dead are in other shards: one that cannot win keeps the graph the same
        p = self._seen(x) @ self.W_enc[rows].T + getattr(self, self.decisive)[rows]
        values, at = p.topk(min(k, len(rows)), dim=1)
        offered = values.detach() if len(dead) else torch.full_like(values, -torch.inf)
        chosen = torch.isfinite(self.mesh.rivals(offered, k))
        return self._gathered(torch.relu(values) * chosen, self._by(rows[at]))

    def _seen(self, x: Tensor) -> Tensor:
        return x - self.mesh.shared(self.b_pre) if self.centred else x

    def _projected(self, x: Tensor) -> Tensor:
        return self._seen(x) @ self.W_enc.T

    def _decoded(self, z: Tensor) -> Tensor:
        return self.mesh.summed(z @ self.W_dec) + self.b_pre

    def _terms(self, x: Tensor, z: Tensor, penalty: Tensor) -> Terms:
        x_hat = self._decoded(z)
        return Terms(x_hat, (x_hat - x).square().sum(), self.mesh.summed(penalty), (z > FIRED).nonzero()[:, 1])


class ReLU(Dense):
    """z = relu(W_enc (x - b_pre) + b_enc), penalty = sum z, decoder rows of unit norm (Bricken et al. 2023)."""

    kind = "relu"

    def latents(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B L"]:
        return torch.relu(self._projected(x) + self.b_enc)

    def terms(self, x: Float[Tensor, "B D"]) -> Terms:
        z = self.latents(x)
        return self._terms(x, z, self._penalties(z).sum())

    @torch.no_grad()
    def losses(self, x: Float[Tensor, "B D"], penalty: float) -> Float[Tensor, " B"]:
        z = self.latents(x)
        return (self._decoded(z) - x).square().sum(dim=1) + penalty * self._penalties(z)

    def _penalties(self, z: Tensor) -> Tensor:
        return z.sum(dim=1)


class ReLUNorm(ReLU):
    """z = relu(W_enc x + b_enc), penalty = sum z_i |W_dec,i|, decoder rows free (Conerly et al., April 2024 update).

    Shrinking z and growing W_dec leaves the penalty as it was, so no constraint is needed. There is no bias before the encoder.
    """

    kind = "relu_norm"
    unit_rows = False
    centred = False
    START = 0.1
    """Length of the rows of both matrices before the first step; the update allows .05 to 1."""

    def _penalties(self, z: Tensor) -> Tensor:
        return z @ self.W_dec.norm(dim=1)


class Gated(Dense):
    """Whether a latent fires and how strongly are two questions with one direction (Rajamanoharan et al. 2024a).

        p = W_enc (x - b_pre),   gate = 1[p + b_gate > 0],   z = gate * relu(exp(r_mag) p + b_enc)
        penalty = sum relu(p + b_gate),   error = |x_hat - x|² + |x_gate - x|²,   x_gate = relu(p + b_gate) W_dec + b_pre

    x_gate trains the gate, through a decoder held fixed. b_enc is the paper's b_mag.
    """

    kind = "gated"
    betas = (0.0, 0.999)
    decisive = "b_gate"

    def __init__(self, W_enc: Tensor, W_dec: Tensor, b_enc: Tensor, b_pre: Tensor, k: int | None = None):
        super().__init__(W_enc, W_dec, b_enc, b_pre, k)
        self.r_mag, self.b_gate = (nn.Parameter(torch.zeros_like(b_enc)) for _ in range(2))

    def latents(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B L"]:
        return self._gates_and_latents(x)[1]

    def terms(self, x: Float[Tensor, "B D"]) -> Terms:
        gates, z = self._gates_and_latents(x)
        by_gates = self.mesh.summed(gates @ self.W_dec.detach()) + self.b_pre.detach()
        terms = self._terms(x, z, gates.sum())
        return terms._replace(error=terms.error + (by_gates - x).square().sum())

    def _gates_and_latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = self._projected(x)
        gates = torch.relu(p + self.b_gate)
        return gates, torch.relu(self.r_mag.exp() * p + self.b_enc) * (gates > 0)


class JumpReLU(Dense):
    """A threshold of its own for every latent, learned through a pseudo-derivative (Rajamanoharan et al. 2024b).

        p = W_enc (x - b_pre) + b_enc,   z = p 1[p > threshold],   penalty = number of latents above their threshold

    Both steps are flat almost everywhere, so the threshold gets the derivative of a kernel of width `bandwidth`:
        dz/dthreshold = -threshold/bandwidth * 1[|p - threshold| < bandwidth/2],   d1/dthreshold the same without the factor threshold.
    In the mean over inputs they give the true derivative as the bandwidth goes to 0. The paper learns log threshold; here Adam's
    steps are in the threshold itself.
    """

    kind = "jumprelu"
    betas = (0.0, 0.999)
    BANDWIDTH = 1e-2
    """Of the kernel, times sqrt(D), the length of x here. The paper has 1e-3, and a hundred times our steps."""
    START = 1e-2
    """Of every threshold, in the same unit; 1e-3 there."""

    def __init__(self, W_enc: Tensor, W_dec: Tensor, b_enc: Tensor, b_pre: Tensor, k: int | None = None):
        super().__init__(W_enc, W_dec, b_enc, b_pre, k)
        self.threshold = nn.Parameter(torch.full_like(b_enc, self.START * self.d**0.5))

    def latents(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B L"]:
        return self._latents_and_active(x)[0]

    def terms(self, x: Float[Tensor, "B D"]) -> Terms:
        z, active = self._latents_and_active(x)
        return self._terms(x, z, active.sum())

    def _latents_and_active(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The relu stands for a threshold that is never below zero."""
        return _Jump.apply(torch.relu(self._projected(x) + self.b_enc), self.threshold, self.BANDWIDTH * self.d**0.5)


class _Jump(torch.autograd.Function):
    """p 1[p > threshold] and 1[p > threshold], both for p > 0; p is not negative."""

    @staticmethod
    def forward(ctx, p, threshold, bandwidth):
        ctx.save_for_backward(p, threshold)
        ctx.bandwidth = bandwidth
        return p * (p > threshold), ((p > threshold) & (p > 0)).to(p.dtype)

    @staticmethod
    def backward(ctx, grad_z, grad_active):
        p, threshold = ctx.saved_tensors
        near = (((p - threshold).abs() < ctx.bandwidth / 2) & (p > 0)).to(p.dtype)
        by_z, by_active = (-(grad * near).sum(dim=0) for grad in (grad_z, grad_active))
        return grad_z * (p > threshold), by_z * threshold / ctx.bandwidth + by_active / ctx.bandwidth, None


# --- three ways to write the same L1 loss -------------------------------------------------------------------------------


class L1Convention(NamedTuple):
    """How a loss |x - x_hat|² + coefficient * |z|_1 is reduced; each of the two is a sum or a mean."""

    error_over_width: str
    """Over the D entries. Over the batch it is a mean in all three."""
    penalty_over_batch: str


BRICKEN_2023 = L1Convention(error_over_width="mean", penalty_over_batch="mean")
"""Towards Monosemanticity: coefficient .004."""
APRIL_2024 = L1Convention(error_over_width="sum", penalty_over_batch="mean")
"""The April 2024 update and Scaling Monosemanticity: coefficient 5. `TrainConfig.penalty` is in this one."""
NANDA_2023 = L1Convention(error_over_width="sum", penalty_over_batch="sum")
"""The open replication of the 2023 paper: coefficient 3e-4 at a batch of 4096."""


def convert_l1(coefficient: float, source: L1Convention, target: L1Convention, width: int, batch: int) -> float:
    """The coefficient with which the target's loss is the source's, up to a constant factor, which Adam does not notice.

    sum form = coefficient * (D if the error is a mean over D) * (B if the penalty is a sum over B)
    """

    def to_sum_form(convention: L1Convention) -> float:
        return (width if convention.error_over_width == "mean" else 1) * (batch if convention.penalty_over_batch == "sum" else 1)

    return coefficient * to_sum_form(source) / to_sum_form(target)
