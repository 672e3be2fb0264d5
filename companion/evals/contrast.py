"""Steering along any direction: a batch in which each row is pushed in its own way, and directions from contrasting contexts.

    pairs = matched(in_call, begins, tokens, generator)
    v = difference(acts, pairs)
    with subject.spliced({site: Rows(None, latents, lengths, directions)}):
        tokens = steering.generate(subject, prompts, 32, 1, generator)

Rimsky et al. 2023 ("Steering Llama 2 via Contrastive Activation Addition") take v as the mean difference of activations over pairs of texts
that differ in the behaviour alone. Here the pairs are places in text that share the token just read and differ in its true label.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.sae.models import SAE, Code


class Rows(NamedTuple):
    """What `Subject.spliced` takes, without its error term: row s of a batch becomes x + (value_s - f_s(x)) d_s at every token.

    f_s is the activation of row s's own latent: with d_s its decoder direction the latent is clamped to value_s, and with another d_s the same
    push goes elsewhere. A latent of -1 has f = 0: value_s d_s is added. One row holds for a whole batch of any size.
    """

    sae: SAE | None
    """Gives f; None where nothing is clamped."""
    latents: Int[Tensor, " S"]
    values: Float[Tensor, " S"]
    directions: Float[Tensor, "S D"]

    @torch.no_grad()
    def encode(self, acts: Float[Tensor, "S T D"]) -> Code:
        """Each row's own latent and its activation."""
        latents = self.latents[: len(acts), None, None].expand(len(acts), acts.shape[1], 1)
        if self.sae is None:
            return Code(latents, torch.zeros_like(acts[..., :1]))
        code = self.sae.encode(acts)
        return Code(latents, (code.values * (code.indices == latents)).sum(dim=-1, keepdim=True))

    def decode(self, code: Code, acts: Float[Tensor, "S T D"]) -> Float[Tensor, "S T D"]:
        """What stands in the place of `acts`."""
        return acts + (self.values[: len(acts), None, None] - code.values) * self.directions[: len(acts), None]


class Pairs(NamedTuple):
    """Places of two kinds in text, as positions in the flattened contexts; the two of a pair have the same token."""

    first: Int[Tensor, " M"]
    second: Int[Tensor, " M"]


def matched(first: Bool[Tensor, "N T"], second: Bool[Tensor, "N T"], tokens: Int[Tensor, "N T"], generator: torch.Generator) -> Pairs:
    """Pairs of a place where `first` holds and one where `second` does, with the same token there; as many as each token allows.

    No token tells the two sides of the pairs apart, so their mean difference is one of contexts.

    Raises:
        ValueError: no token has both.
    """
    ids, found = tokens.flatten(), []
    sides = [mask.flatten().nonzero().flatten() for mask in (first, second)]
    for token in sorted(set(ids[sides[0]].tolist()) & set(ids[sides[1]].tolist())):
        places = [side[ids[side] == token] for side in sides]
        count = min(map(len, places))
        found.append([place[torch.randperm(len(place), generator=generator)[:count]] for place in places])
    if not found:
        raise ValueError("no token of this text stands on both sides, so there are no pairs")
    return Pairs(*map(torch.cat, zip(*found, strict=True)))


def difference(acts: Float[Tensor, "N T D"], pairs: Pairs) -> Float[Tensor, " D"]:
    """v: the mean over pairs of the activation at the first place less that at the second."""
    flat = acts.flatten(0, 1)
    return (flat[pairs.first] - flat[pairs.second]).mean(dim=0)


def halves(pairs: Pairs, generator: torch.Generator) -> Pairs:
    """The same places on sides drawn at random: what a difference of means is where nothing tells the two sides apart."""
    places = torch.cat(pairs)
    return Pairs(*places[torch.randperm(len(places), generator=generator)].chunk(2))
