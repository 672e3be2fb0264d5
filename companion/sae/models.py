"""The TopK autoencoder of Gao et al. 2024, and the one definition of the space it works in."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.sae import kernels

EPSILON = 1e-5
NAMES = ("W_enc", "W_dec", "b_enc", "b_pre")


class Normalised(NamedTuple):
    x: Float[Tensor, "... D"]
    """Activations centred over D and divided by their standard deviation: norm sqrt(D - 1)."""
    mean: Float[Tensor, "... 1"]
    std: Float[Tensor, "... 1"]


def normalise(acts: Float[Tensor, "... D"]) -> Normalised:
    """Layer norm without parameters, token by token: x = (a - mean) / (std + 1e-5), std unbiased over D.

    This is the space of the published weights (the paper's text has unit norm, a factor sqrt(D - 1) away). Loading,
    b_pre, every metric and every patch go through here and through `denormalise`.

    Raises:
        ValueError: an activation is NaN or infinite.
    """
    mean = acts.mean(dim=-1, keepdim=True)
    centred = acts - mean
    std = centred.norm(dim=-1, keepdim=True) / math.sqrt(acts.shape[-1] - 1)
    if not (finite := torch.isfinite(std)).all():  # one bad entry spoils its token's std
        bad = int((~finite).sum())
        raise ValueError(
            f"{bad} of {std.numel()} activation vectors hold NaN, infinite or overflowing values: look for them in the model that made them"
        )
    return Normalised(centred / (std + EPSILON), mean, std)


def denormalise(x: Float[Tensor, "... D"], mean: Float[Tensor, "... 1"], std: Float[Tensor, "... 1"]) -> Float[Tensor, "... D"]:
    """Back to the units of the model: x * std + mean, as the published code has it (without the 1e-5)."""
    return x * std + mean


class Code(NamedTuple):
    indices: Int[Tensor, "B K"]
    """The k latents kept for each token, in no particular order."""
    values: Float[Tensor, "B K"]
    """Their activations, zero where the kept pre-activation was negative."""


class TopK(nn.Module):
    """Sparse autoencoder that keeps the k largest pre-activations of each token (Gao et al. 2024, 2.3).

        z = relu(topk(W_enc (x - b_pre) + b_enc)),   reconstruction = z W_dec + b_pre,   in the space of `normalise`

    Both matrices have one row per latent. b_enc and the relu are in the published code, not in the paper's equation.

    Raises:
        ValueError: k outside 1..L, or shapes that do not fit together.
    """

    def __init__(self, W_enc: Float[Tensor, "L D"], W_dec: Float[Tensor, "L D"], b_enc: Float[Tensor, " L"], b_pre: Float[Tensor, " D"], k: int):
        super().__init__()
        n, d = W_enc.shape
        if (W_dec.shape, b_enc.shape, b_pre.shape) != ((n, d), (n,), (d,)):
            shapes = {name: tuple(t.shape) for name, t in zip(NAMES, (W_enc, W_dec, b_enc, b_pre), strict=True)}
            raise ValueError(f"these tensors do not make one autoencoder: {shapes}")
        if not 1 <= k <= n:
            raise ValueError(f"k={k} latents cannot be kept out of n={n}: k must lie in 1..n")
        self.k = k
        self.W_enc, self.W_dec, self.b_enc, self.b_pre = (nn.Parameter(t.detach().clone()) for t in (W_enc, W_dec, b_enc, b_pre))

    @classmethod
    def random(cls, d: int, n: int, k: int, generator: torch.Generator) -> "TopK":
        """Decoder rows uniform on the sphere, encoder equal to the decoder, no biases."""
        W = torch.randn(n, d, generator=generator, device=generator.device)
        W /= W.norm(dim=1, keepdim=True)
        return cls(W, W, W.new_zeros(n), W.new_zeros(d), k)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], k: int) -> "TopK":
        """The inverse of `tensors`; other entries of the dictionary are ignored."""
        return cls(*(tensors[name] for name in NAMES), k)

    def tensors(self) -> dict[str, Tensor]:
        """W_enc (L, D), W_dec (L, D), b_enc (L), b_pre (D), detached."""
        return {name: getattr(self, name).detach() for name in NAMES}

    @property
    def n(self) -> int:
        """Number of latents."""
        return self.W_enc.shape[0]

    @property
    def d(self) -> int:
        """Width of the activations."""
        return self.W_enc.shape[1]

    def encode(self, x: Float[Tensor, "B D"]) -> Code:
        """The code of normalised activations; its values carry gradients."""
        return self.encode_sorted(x)[0]

    def encode_sorted(self, x: Float[Tensor, "B D"]) -> tuple[Code, kernels.ByLatent]:
        """As `encode`, with the pairs of the code ready to be sorted by latent once for everything that follows."""
        values, indices = kernels.select(x - self.b_pre, self.W_enc, self.b_enc, self.k)
        by = kernels.ByLatent(indices, self.n)
        return Code(indices, kernels.kept_values(x, self.W_enc, self.b_enc, self.b_pre, by, values)), by

    def decode(self, code: Code) -> Float[Tensor, "B D"]:
        """Normalised activations from a code."""
        return kernels.decode(self.W_dec, code.values, kernels.ByLatent(code.indices, self.n)) + self.b_pre

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """decode(encode(x)), sorting the code once for both gradients."""
        code, by = self.encode_sorted(x)
        return kernels.decode(self.W_dec, code.values, by) + self.b_pre

    def dead_code(self, x: Float[Tensor, "B D"], dead: Int[Tensor, " dead"], k: int) -> Float[Tensor, "B D"]:
        """What the `k` largest of the dead latents make of x, decoded without the bias: the ê of AuxK.

        Gradients reach the encoder and the decoder rows of the dead latents.
        """
        values, at = kernels.select(x - self.b_pre, self.W_enc[dead], self.b_enc[dead], min(k, len(dead)))
        by = kernels.ByLatent(dead[at], self.n)
        return kernels.decode(self.W_dec, kernels.kept_values(x, self.W_enc, self.b_enc, self.b_pre, by, values), by)

    @torch.no_grad()
    def reconstruct(self, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Reconstruction of raw activations, in the model's units, whatever the leading dimensions."""
        normalised = normalise(acts)
        x_hat = self(normalised.x.reshape(-1, self.d)).reshape(acts.shape)
        return denormalise(x_hat, normalised.mean, normalised.std)
