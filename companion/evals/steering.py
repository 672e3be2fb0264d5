"""Steering: text that a model writes while a latent is held at a value, and what the labels say of that text.

    with subject.spliced({site: sae}, error_term=True) as run:
        run.set(site, latent, 2 * largest)
        tokens = generate(subject, prompt, 100, 8, generator)

A site's activations are x = SAE(x) + error(x). With latent i held at v and the error kept they become, the decoder being affine,
    x + (v - f_i(x)) d_i
at every token of every pass (Templeton et al. 2024, "Scaling Monosemanticity"). v = 0 is the ablation of Bricken et al. 2023, v = f_i(x)
changes nothing. `run.add` instead gives x + a d_i, which stacks on what the latent does by itself.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.lm import labels
from companion.lm.subject import Subject


@torch.no_grad()
def generate(
    subject: Subject, prompt: Int[Tensor, "*R P"], new: int, samples: int, generator: torch.Generator, temperature: float = 1.0
) -> Int[Tensor, "S P+new"]:
    """The prompt continued `samples` times, token by token, each drawn from softmax(logits / temperature); the likeliest at temperature 0.

    Several prompts of one length, (R, P), are each continued `samples` times, in their order.

    Inside of `Subject.spliced` every token, the prompt's too, is read with the edits: keys and values are kept from edited passes. Only
    edits at all positions make sense there, since a pass after the first is of one token.

    Raises:
        ValueError: no prompt, a temperature below 0, or more tokens than the model has positions for.
    """
    limit = getattr(subject.config, "max_position_embeddings", math.inf)
    if prompt.ndim not in (1, 2) or not prompt.numel() or new < 0 or prompt.shape[-1] + new > limit:
        raise ValueError(f"{tuple(prompt.shape)} tokens and {new} more: a prompt needs one at least, and {subject.name} reads {limit}")
    if not temperature >= 0:
        raise ValueError(f"the temperature must be 0 or more, not {temperature}")
    tokens, past = prompt.reshape(-1, prompt.shape[-1]).repeat_interleave(samples, dim=0).to(subject.device), None
    for _ in range(new):
        out = subject.model(tokens if past is None else tokens[:, -1:], past_key_values=past, use_cache=True)
        past, logits = out.past_key_values, out.logits[:, -1].float().cpu()
        drawn = (logits / temperature).softmax(-1).multinomial(1, generator=generator) if temperature else logits.argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, drawn.to(tokens)], dim=1)
    return tokens.cpu()


def text_of(subject: Subject, tokens: Sequence[int]) -> str:
    """Tokens as text, up to the first end of text after the first token."""
    tokens, end = list(map(int, tokens)), subject.tokenizer.eos_token_id
    tokens = tokens[1:] if tokens[:1] == [end] else tokens
    return subject.tokenizer.decode(tokens[: tokens.index(end)] if end in tokens else tokens, clean_up_tokenization_spaces=False)


class Mix(NamedTuple):
    """What texts are made of, in shares of characters."""

    labels: Float[Tensor, " Y"]
    """Of the characters in lines that were kept, those that have each label of `labels.LABELS`. NaN if there are none."""
    kept: float
    """Of all characters, those in lines that were kept."""


def mix(texts: Sequence[str]) -> Mix:
    """How much of texts has each label. A line on which Python's parser stops is left out, until it can read the rest.

    Text that a model writes seldom parses as a whole. In the place of a line that opens a block stands another that does, so that
    the block can stay. The text is parsed, never run.
    """
    found = [_labels_of_most(text) for text in texts]
    total, kept = sum(map(len, texts)), sum(map(len, found))
    sums = sum((part.sum(dim=0) for part in found), torch.zeros(len(labels.LABELS)))
    return Mix(sums / kept if kept else torch.full_like(sums, torch.nan), kept / total if total else 0.0)


def _labels_of_most(text: str) -> Bool[Tensor, "C Y"]:
    lines = [(line, True) for line in text.splitlines(keepends=True)]
    while lines:
        try:
            found = labels.of_source("".join(line for line, _ in lines))
            return found[torch.tensor([own for line, own in lines for _ in line])]
        except labels.NotPythonError as error:
            at = min(_line_of(error.__cause__) or len(lines), len(lines)) - 1
            line, own = lines.pop(at)
            if own and line.rstrip().endswith(":"):
                lines.insert(at, (line[: len(line) - len(line.lstrip())] + "if 0:\n", False))
    return torch.zeros(0, len(labels.LABELS), dtype=torch.bool)


def _line_of(error: BaseException | None) -> int:
    """The line to blame, from 1: of a block or a bracket that is missing its end, where it begins. 0 if Python does not say."""
    begun = re.search(r"on line (\d+)", str(error))
    return int(begun[1]) if begun else getattr(error, "lineno", None) or 0
