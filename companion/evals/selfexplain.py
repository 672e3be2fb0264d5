"""Self-explanation: a direction stands in the place of a word, and the model is asked what the word means.

    found = sweep(subject, prompt, places, d, scales, layer)
    score = composite(from_zero(self_similarity(found.stream[:, at], d)), from_zero(entropy(found.logits)))
    answer = found.logits[best(score, scales)].argmax()

    found = answers(subject, prompt, places, directions, scales, layer)         of many directions at once
    found.token.gather(1, chosen(found, scales)["composite"][:, None])

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
    subject: Subject,
    prompt: Int[Tensor, " P"],
    places: Int[Tensor, " X"],
    d: Float[Tensor, " D"],
    scales: Float[Tensor, " S"],
    layer: int,
    *,
    add: bool = False,
) -> Sweep:
    """Run the blocks above `layer` with scale * d in the place of the stream at `places`, at every scale.

    add: the stream that is there stays, and scale * d is added to it; not what the authors do.

    Raises:
        ValueError: no place, or one outside of the prompt.
        SubjectError: no such layer.
    """
    if not len(places) or not 0 <= min(places) <= max(places) < len(prompt):
        raise ValueError(f"the placeholder's places {list(map(int, places))} must lie in the prompt's {len(prompt)} tokens, one at least")
    resid = subject.residual(prompt[None], layer).repeat(len(scales), 1, 1)
    resid[:, places] = resid[:, places] * add + (scales.to(resid)[:, None] * d.to(resid))[:, None]
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


class Answers(NamedTuple):
    """Of N directions at S scales: the likeliest next token, and the measures of the authors, each less its value at the first scale."""

    token: Int[Tensor, "N S"]
    similarity: Float[Tensor, "N S"]
    """With the stream after the last block but one; after the last where no other follows."""
    entropy: Float[Tensor, "N S"]
    cross: Float[Tensor, "N S"]
    """Against the logits with the mean embedding, of length 1, at the placeholder."""


def answers(
    subject: Subject, prompt: Int[Tensor, " P"], places: Int[Tensor, " X"], d: Float[Tensor, "N D"], scales: Float[Tensor, " S"], layer: int, **how
) -> Answers:
    """The sweep of every direction; at least one block must follow `layer`. `how` and errors are those of `sweep`."""
    nothing = torch.nn.functional.normalize(subject.unembedding().mean(dim=0), dim=0)
    base = sweep(subject, prompt, places, nothing, torch.ones(1), layer).logits[0]
    rows = []
    for direction in d:
        logits, stream = sweep(subject, prompt, places, direction, scales, layer, **how)
        measured = self_similarity(stream[:, -min(2, stream.shape[1])], direction.to(stream)), entropy(logits), cross_entropy(logits, base)
        rows.append((logits.argmax(dim=-1), *map(from_zero, measured)))
    return Answers(*map(torch.stack, zip(*rows, strict=True)))


def chosen(found: Answers, scales: Float[Tensor, " S"]) -> dict[str, Int[Tensor, " N"]]:
    """Numbers of the scales that each measure chooses, and with the other sign; the first scale is not among the choices."""
    scores = {
        "self-similarity": found.similarity,
        "entropy": -found.entropy,
        "composite": _each(composite, found.similarity, found.entropy),
        "composite with cross-entropy": _each(composite, found.similarity, found.cross),
        "composite, other sign": _each(composite, found.similarity, -found.entropy),
        "cross-entropy": -found.cross,
        "cross-entropy, other sign": found.cross,
    }
    return {name: torch.tensor([best(row, scales, least=float(scales[1])) for row in score]) for name, score in scores.items()}


def _each(joined, *curves: Tensor) -> Tensor:
    return torch.stack([joined(*row) for row in zip(*curves, strict=True)])


def as_near(d: Float[Tensor, "N D"], toward: Float[Tensor, "N D"], generator: torch.Generator) -> Float[Tensor, "N D"]:
    """Random directions with the cosines that `d` has with `toward`, and nothing else of `d`; all of length 1."""
    normalize, along = torch.nn.functional.normalize, torch.nn.functional.normalize(toward, dim=-1)
    cosines = (normalize(d, dim=-1) * along).sum(dim=-1, keepdim=True)
    noise = torch.randn(d.shape, generator=generator)
    across = normalize(noise - (noise * along).sum(dim=-1, keepdim=True) * along, dim=-1)
    return cosines * along + (1 - cosines.square()).clamp_min(0).sqrt() * across
