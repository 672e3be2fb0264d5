"""What a latent does to the token that comes next, by that token's true label."""

from jaxtyping import Bool, Float
from torch import Tensor

from companion.lm.labels import ContextLabels


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
