"""Self-explanation: a direction stands in the place of a word, and the model is asked what the word means.

    found = sweep(subject, prompt, places, d, scales, layer)
    score = composite(from_zero(self_similarity(found.stream[:, at], d)), from_zero(entropy(found.logits)))
    answer = found.logits[best(score, scales)].argmax()

The vector of the stream after block `layer` at the placeholder is *replaced* by scale * d. Measures and their signs are those of the
code by the authors of "Self-explaining SAE features" (2024). They are made of one forward pass per scale, without knowing the answer.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.lm.subject import Subject

FAILED = 0.01
"""A direction whose self-similarity rises by less at every scale is not explained (the authors' filter)."""


class Sweep(NamedTuple):
    """The last token of the prompt, at each scale; in float32, on the CPU."""

    logits: Float[Tensor, "S V"]
    stream: Float[Tensor, "S L D"]
    """After each block above `layer`; L is 0 where there is none."""


@torch.no_grad()
def sweep(
    subject: Subject, prompt: Int[Tensor, " P"], places: Int[Tensor, " X"], d: Float[Tensor, " D"], scales: Float[Tensor, " S"], layer: int
) -> Sweep:
    """Run the blocks above `layer` with scale * d in the place of the stream at `places`, at every scale.

    Raises:
        ValueError: no place, or one outside of the prompt.
        SubjectError: no such layer.
    """
    if not len(places) or not 0 <= min(places) <= max(places) < len(prompt):
        raise ValueError(f"the placeholder's places {list(map(int, places))} must lie in the prompt's {len(prompt)} tokens, one at least")
    resid = subject.residual(prompt[None], layer).repeat(len(scales), 1, 1)
    resid[:, places] = (scales.to(resid)[:, None] * d.to(resid))[:, None]
    above = []
    for block in range(layer + 1, len(subject.blocks)):
        resid = subject.block(resid, block)
        above.append(resid[:, -1])
    stream = torch.stack(above, dim=1) if above else resid.new_zeros(len(scales), 0, resid.shape[-1])
    return Sweep(subject.unembed(resid[:, -1]).float().cpu(), stream.float().cpu())


def self_similarity(stream: Float[Tensor, "... D"], d: Float[Tensor, " D"]) -> Float[Tensor, "..."]:
    """cos(stream, d): does the last token carry what was put in the placeholder? 0 for a stream of zeros."""
    return torch.nn.functional.cosine_similarity(stream, d.expand_as(stream), dim=-1)


def entropy(logits: Float[Tensor, "... V"]) -> Float[Tensor, "..."]:
    """-sum p ln p of the next token, in nats: ln V if nothing is known of it, 0 if it is certain."""
    return torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1)


def cross_entropy(logits: Float[Tensor, "... V"], base: Float[Tensor, " V"]) -> Float[Tensor, "..."]:
    """-sum p ln p_base, in nats; `base` are the logits with a vector in the placeholder that says nothing, such as the mean embedding."""
    return -(logits.softmax(dim=-1) * base.log_softmax(dim=-1)).sum(dim=-1)


def from_zero(curve: Float[Tensor, "S ..."]) -> Float[Tensor, "S ..."]:
    """A measure less its value at the first scale, which is 0 in a sweep that begins there."""
    return curve - curve[:1]


def composite(similarity: Float[Tensor, " S"], spread: Float[Tensor, " S"], a: float = 0.5) -> Float[Tensor, " S"]:
    """a minmax(similarity) - (1 - a) minmax(spread); `spread` is the entropy or the cross-entropy, which is small at a good scale.

    minmax(c) = (c - min c) / (max c - min c) over the scales, 0 for a flat curve: no unit and no offset of either curve counts.
    """
    return a * _minmax(similarity) - (1 - a) * _minmax(spread)


def _minmax(curve: Tensor) -> Tensor:
    span = curve.max() - curve.min()
    return (curve - curve.min()) / span if span > 0 else torch.zeros_like(curve)


def best(score: Float[Tensor, " S"], scales: Float[Tensor, " S"], least: float = 0.0) -> int:
    """Number of the scale with the highest score; scales below `least` do not count. The first of several."""
    return int(score.masked_fill(scales < least, -torch.inf).argmax())


def failed(similarity: Float[Tensor, "S ..."]) -> Tensor:
    """Whether the self-similarity, less its value at scale 0, stays at or below `FAILED` at every scale."""
    return similarity.amax(dim=0) <= FAILED
