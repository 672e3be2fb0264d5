"""What a latent does to the token that comes next, by that token's true label."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.evals.features import latents_of
from companion.lm.labels import ContextLabels
from companion.sae.models import SAE, Code


def next_labels(known: ContextLabels) -> ContextLabels:
    """At each token the labels of the one after it; nothing is known at a context's last."""
    values, whole = known.values.roll(-1, dims=1), known.known & known.known.roll(-1, dims=1)
    whole[:, -1] = False
    return ContextLabels(values, whole)


def selective(change: Float[Tensor, "N T-1"], following: ContextLabels, column: int) -> float:
    """Mean change (of the log-probability of each next token, in nats) where the next token has a label, less the mean where it has not.

    0 for what moves all tokens alike, and where one of the two kinds is missing.

    Args:
        following: `next_labels` of the contexts (N, T).
    """
    holds: Bool[Tensor, "N T-1"] = following.values[:, :-1, column]
    yes, no = (change[mask & following.known[:, :-1]] for mask in (holds, ~holds))
    return float(yes.mean() - no.mean()) if len(yes) and len(no) else 0.0


class Remembered:
    """An autoencoder that encodes the same activations once: for many latents held in turn on one text."""

    def __init__(self, sae: SAE):
        self.sae, self.n = sae, latents_of(sae)
        self._last: dict[torch.Size, tuple[Tensor, Code]] = {}

    def encode(self, acts: Float[Tensor, "... D"]) -> Code:
        """See `models.SAE`; the code of the last activations of each shape is kept."""
        held = self._last.get(acts.shape)
        if held is None or not torch.equal(held[0], acts):
            held = self._last[acts.shape] = acts, self.sae.encode(acts)
        return held[1]

    def decode(self, code: Code, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """See `models.SAE`."""
        return self.sae.decode(code, acts)
