"""What a replaced residual stream does to the model's predictions, token by token: Kullback-Leibler divergence and rise of the loss.

Gao et al. 2024, section 4.1, reports both. A splice at every position also damages position 0, on which many models rest their
attention; with that position left clean, later tokens say what the other positions cost.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from companion.lm.subject import Subject
from companion.lm.training import token_losses

CHUNK = 4096
"""Tokens at once: two tables of logits are held."""


class Splice(NamedTuple):
    """Nats at each position t that predicts a token, on the CPU. A mean over contexts is what a splice costs at that position."""

    kl: Float[Tensor, "N T-1"]
    """KL(clean || spliced) = sum_v p_v ln(p_v / q_v), p and q being the model's guesses at position t without and with the splice."""
    rise: Float[Tensor, "N T-1"]
    """Cross-entropy of the token that came next, spliced less clean; of one token it may be negative."""


def divergence(clean: Float[Tensor, "... V"], spliced: Float[Tensor, "... V"]) -> Float[Tensor, "..."]:
    """KL(clean || spliced) in nats, of logits. Zero where they differ by a constant only, and never below it but by rounding."""
    p, q = (logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1) for logits in (clean, spliced))
    return F.kl_div(q, p, reduction="none", log_target=True).sum(-1)


@torch.no_grad()
def splice(subject: Subject, tokens: Int[Tensor, "N T"], resid: Float[Tensor, "N T D"], spliced: Float[Tensor, "N T D"], layer: int) -> Splice:
    """Both measures of the stream `spliced` in the place of `resid`, the stream after block `layer`.

    Raises:
        ValueError: streams or tokens that do not belong together.
    """
    if resid.shape != spliced.shape or resid.shape[:2] != tokens.shape:
        raise ValueError(f"do not belong together: tokens {tuple(tokens.shape)}, streams {tuple(resid.shape)} and {tuple(spliced.shape)}")
    found = []
    for parts in zip(*(held.split(max(1, CHUNK // tokens.shape[1])) for held in (tokens, resid, spliced)), strict=True):
        text, *streams = (part.to(subject.device) for part in parts)
        clean, changed = (subject.logits_from(stream, layer, slice(0, -1)) for stream in streams)
        rise = token_losses(changed.float(), text) - token_losses(clean.float(), text)
        found.append((divergence(clean, changed).cpu(), rise.cpu()))
    return Splice(*map(torch.cat, zip(*found, strict=True)))


def position_share(stream: Float[Tensor, "N T D"]) -> Float[Tensor, " T"]:
    """Share of the stream's summed squares that each position holds: 1/T where all are alike, .93 for position 0 of 64 of GPT-2 small.

    An error in raw units divided by the stream's own square is mostly that of the position which holds most.
    """
    squares = stream.double().square().sum(dim=(0, 2))
    return squares / squares.sum()
