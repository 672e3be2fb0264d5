"""Sparse autoencoders: one interface, the space it works in, and the TopK model of Gao et al. 2024.

`sparse.py` has what keeps a fixed number of latents per batch or in nested parts, `dense.py` what a penalty makes sparse.
"""

import math
from typing import ClassVar, NamedTuple, Protocol, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.sae import kernels, paths
from companion.sae.mesh import SINGLE, Mesh

EPSILON = 1e-5
FIRED = 1e-3
"""A latent has fired on a token if its activation there exceeds this (published code)."""
NAMES = ("W_enc", "W_dec", "b_enc", "b_pre")


class Normalised(NamedTuple):
    x: Float[Tensor, "... D"]
    """Activations centred over D and divided by their standard deviation: norm sqrt(D - 1)."""
    mean: Float[Tensor, "... 1"]
    std: Float[Tensor, "... 1"]


def normalise(acts: Float[Tensor, "... D"]) -> Normalised:
    """Layer norm without parameters, token by token: x = (a - mean) / (std + 1e-5), std unbiased over D.

    This is the space of the published weights (the paper's text has unit norm, a factor sqrt(D - 1) away). Loading, b_pre, every
    metric and every patch go through here. The way back is x * std + mean, as the published code has it (without the 1e-5).

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


class Code(NamedTuple):
    indices: Int[Tensor, "... K"]
    """The latents kept for each token, in no particular order."""
    values: Float[Tensor, "... K"]
    """Their activations, zero where fewer than K are active."""

    def shaped(self, *leading: int) -> "Code":
        """The same code with other leading dimensions."""
        return Code(*(part.reshape(*leading, part.shape[-1]) for part in self))


class SAE(Protocol):
    """What every evaluation takes: an autoencoder of activations as the subject makes them, whatever it does to them inside."""

    def encode(self, acts: Float[Tensor, "... D"]) -> Code:
        """The code of each activation vector. Without gradients."""

    def decode(self, code: Code, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """The reconstruction that a code stands for, in the units of `acts`, whose mean and length it may need. Without gradients.

        Affine in the values of the code: what a latent adds is decode of it alone less decode of a code of zeros.
        """


class Terms(NamedTuple):
    """What a model contributes to the loss of one batch, each summed over its tokens."""

    x_hat: Float[Tensor, "B D"]
    error: Float[Tensor, ""]
    """Squared error, with that of every further reconstruction the model is trained on."""
    penalty: Float[Tensor, ""]
    """What its sparsity penalty adds, before its coefficient; 0 where sparsity is imposed."""
    fired: Int[Tensor, " P"]
    """The latent of each (token, latent) pair that fired."""


class Autoencoder(nn.Module):
    """An encoder, a decoder with one row per latent, and two biases, in the space of `normalise`.

    `encode` and `decode` are the interface of `SAE`, in the subject's units. Training, and what is measured in the space of the
    weights, works on normalised activations x: `encode_normalised`, `decode_normalised`, and both at once, sae(x).
    Subclasses say what becomes of the pre-activations W_enc (x - b_pre) + b_enc.

    Raises:
        ValueError: shapes that do not fit together, or k outside 1..L.
    """

    kind: ClassVar[str]
    unit_rows: ClassVar[bool] = True
    """Decoder rows are held at unit norm in training."""
    centred: ClassVar[bool] = True
    """The encoder sees x - b_pre."""
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    """Adam's, in the paper that the kind is from."""
    mesh: Mesh = SINGLE
    path: paths.ComputePath = paths.EXACT

    def __init__(
        self, W_enc: Float[Tensor, "L D"], W_dec: Float[Tensor, "L D"], b_enc: Float[Tensor, " L"], b_pre: Float[Tensor, " D"], k: int | None = None
    ):
        super().__init__()
        n, d = W_enc.shape
        if (W_dec.shape, b_enc.shape, b_pre.shape) != ((n, d), (n,), (d,)):
            shapes = {name: tuple(t.shape) for name, t in zip(NAMES, (W_enc, W_dec, b_enc, b_pre), strict=True)}
            raise ValueError(f"these tensors do not make one autoencoder: {shapes}")
        if k is not None and not 1 <= k <= n:
            raise ValueError(f"k={k} latents cannot be kept out of n={n}: k must lie in 1..n")
        self.k = k
        self.W_enc, self.W_dec, self.b_enc, self.b_pre = (nn.Parameter(t.detach().clone()) for t in (W_enc, W_dec, b_enc, b_pre))

    @classmethod
    def random(cls, d: int, n: int, k: int | None, generator: torch.Generator) -> Self:
        """Decoder rows uniform on the sphere, encoder equal to the decoder, no biases."""
        W = torch.randn(n, d, generator=generator, device=generator.device)
        W /= W.norm(dim=1, keepdim=True)
        return cls(W, W, W.new_zeros(n), W.new_zeros(d), k)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], k: int | None = None) -> Self:
        """The inverse of `tensors`; other entries of the dictionary are ignored.

        Raises:
            ValueError: a tensor of this kind is missing or of another shape.
        """
        if missing := [name for name in NAMES if name not in tensors]:
            raise ValueError(f"a {cls.kind} autoencoder needs {', '.join(missing)}")
        sae = cls(*(tensors[name] for name in NAMES), k)
        for name, own in sae.tensors().items():
            if name not in tensors or tensors[name].shape != own.shape:
                raise ValueError(f"a {cls.kind} autoencoder needs {name} of shape {tuple(own.shape)}")
            own.copy_(tensors[name])
        return sae

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by name, detached: W_enc (L, D), W_dec (L, D), b_enc (L), b_pre (D), and what the kind adds."""
        return {name: tensor.detach() for name, tensor in self.state_dict(keep_vars=True).items()}

    @property
    def n(self) -> int:
        """Number of latents."""
        return self.W_enc.shape[0]

    @property
    def d(self) -> int:
        """Width of the activations."""
        return self.W_enc.shape[1]

    def encode(self, acts: Float[Tensor, "... D"]) -> Code:
        """The code of raw activations. See `SAE`.

        Raises:
            ValueError: an activation is NaN or infinite, or of another width.
        """
        return coded(self, normalise(acts))

    def decode(self, code: Code, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """The reconstruction of raw activations from a code, with the mean and the std of `acts`. See `SAE`. Raises as `encode`."""
        return decoded(self, code, normalise(acts))

    def encode_normalised(self, x: Float[Tensor, "B D"]) -> Code:
        """The code of normalised activations; its values carry gradients."""
        raise NotImplementedError

    def terms(self, x: Float[Tensor, "B D"]) -> Terms:
        """Reconstruction and terms of the training loss of one batch."""
        raise NotImplementedError

    @torch.no_grad()
    def losses(self, x: Float[Tensor, "B D"], penalty: float) -> Float[Tensor, " B"]:
        """What each token adds to the loss, given the coefficient of the penalty: here its squared error in training."""
        return (self.terms(x).x_hat - x).square().sum(dim=1)

    def finalise(self, x: Float[Tensor, "S D"]) -> None:
        """Set what only inference needs, from normalised training activations; once the weights are those that ship."""

    def decode_normalised(self, code: Code) -> Float[Tensor, "B D"]:
        """Normalised activations from a code."""
        return self._gathered(code.values, self._by(code.indices)) + self.b_pre

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """decode_normalised(encode_normalised(x))"""
        return self.decode_normalised(self.encode_normalised(x))

    def dead_code(self, x: Float[Tensor, "B D"], dead: Int[Tensor, " dead"], k: int) -> Float[Tensor, "B D"]:
        """What the `k` largest of the dead latents make of x, decoded without the bias: the ê of AuxK.

        Gradients reach the encoder and the decoder rows of the dead latents.
        """
        if len(dead):
            values, at = self.path.select(x - self.b_pre, self.W_enc[dead], self.b_enc[dead], min(k, len(dead)))
            indices = dead[at]
        else:  # the dead are in other shards, which wait for this one's part: it offers a latent that cannot win
            values, indices = x.new_full((len(x), 1), -torch.inf), dead.new_zeros(len(x), 1)
        by = self._by(indices)
        return self._gathered(self._kept(x, by, self.mesh.rivals(values, k)), by)

    def _by(self, indices: Int[Tensor, "B K"]) -> kernels.ByLatent:
        return kernels.ByLatent(indices, self.n)

    def _kept(self, x: Tensor, by: kernels.ByLatent, values: Tensor) -> Tensor:
        return paths.kept_values(x, self.W_enc, self.b_enc, self.mesh.shared(self.b_pre), by, values, self.path)

    def _gathered(self, values: Tensor, by: kernels.ByLatent) -> Tensor:
        return self.mesh.summed(paths.decode(self.W_dec, values, by, self.path))


@torch.no_grad()
def coded(sae: Autoencoder, inputs: Normalised) -> Code:
    """The code of activations brought into the space of the weights, whatever the leading dimensions.

    Raises:
        ValueError: they are not of the autoencoder's width.
    """
    if inputs.x.shape[-1] != sae.d:
        raise ValueError(f"these activations have {inputs.x.shape[-1]} entries, but the autoencoder is of activations with {sae.d}")
    return sae.encode_normalised(inputs.x.reshape(-1, sae.d)).shaped(*inputs.x.shape[:-1])


@torch.no_grad()
def decoded(sae: Autoencoder, code: Code, inputs: Normalised) -> Float[Tensor, "... D"]:
    """The reconstruction of a code, brought back to where the activations came from: x_hat * std + mean."""
    return sae.decode_normalised(code.shaped(-1)).reshape(inputs.x.shape) * inputs.std + inputs.mean


class TopK(Autoencoder):
    """Keeps the k largest pre-activations of each token (Gao et al. 2024, 2.3).

        z = relu(topk(W_enc (x - b_pre) + b_enc)),   reconstruction = z W_dec + b_pre

    b_enc and the relu are in the published code, not in the paper's equation.
    """

    kind = "topk"

    def encode_normalised(self, x: Float[Tensor, "B D"]) -> Code:
        by, kept = self._trained_code(x)
        return Code(by.indices, kept)

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """As decode_normalised(encode_normalised(x)), sorting the code once for both gradients."""
        by, kept = self._trained_code(x)
        return self._gathered(kept, by) + self.b_pre

    def terms(self, x: Float[Tensor, "B D"]) -> Terms:
        by, kept = self._trained_code(x)
        x_hat = self._gathered(kept, by) + self.b_pre
        e = (x_hat - x).reshape(-1)
        return Terms(x_hat, torch.dot(e, e), x.new_zeros(()), by.indices[kept > FIRED])  # the squares are added in one pass

    def _trained_code(self, x: Tensor) -> tuple[kernels.ByLatent, Tensor]:
        """The code that training computes: the pairs, and their activations."""
        by, values = self._select(x, self.k)
        return by, self._kept(x, by, values)

    def _select(self, x: Tensor, k: int) -> tuple[kernels.ByLatent, Tensor]:
        """The pairs kept, ready to be sorted by latent once for everything that follows, and their pre-activations."""
        values, indices = self.path.select(x - self.b_pre, self.W_enc, self.b_enc, min(k, self.n))
        return self._by(indices), self.mesh.rivals(values, k)
