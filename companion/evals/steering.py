"""Steering: one latent held at a value while the model runs, what it writes then, and what the labels say of that text.

A site's activations are x = SAE(x) + error(x). With latent i held at v and the error kept they become, the decoder being affine,
    x + (v - f_i(x)) d_i,
at every token of every pass (Templeton et al. 2024, "Scaling Monosemanticity"). v = 0 is the ablation of Bricken et al. 2023, v = f_i(x)
changes nothing, and holding the code at v twice is holding it once. Addition, x + a d_i, stacks on what the latent does by itself.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.lm import labels
from companion.lm.subject import Subject
from companion.sae.models import SAE, Code

Edit = Callable[[Float[Tensor, "... D"]], Float[Tensor, "... D"]]
"""What becomes of a site's activations."""

# --- one latent ---


def activation(code: Code, latent: int) -> Float[Tensor, "..."]:
    """f_i of each token, 0 where the code does not name the latent."""
    return (code.values * (code.indices == latent)).sum(dim=-1)


def written(sae: SAE, acts: Float[Tensor, "... D"], latent: int, amount: Float[Tensor, "..."]) -> Float[Tensor, "... D"]:
    """What `amount` of a latent writes, amount d_i, in the units of `acts`: in an autoencoder of normalised activations times their std."""
    which, amount = torch.full((*acts.shape[:-1], 1), latent, device=acts.device), amount[..., None].to(acts.dtype)
    return sae.decode(Code(which, amount), acts) - sae.decode(Code(which, torch.zeros_like(amount)), acts)


def clamping(sae: SAE, latent: int, value: float) -> Edit:
    """Hold a latent at a value, in the units of the code: x + (v - f_i(x)) d_i.

    Raises:
        ValueError: the value is not finite.
    """
    _require_finite(value)

    def edit(acts: Tensor) -> Tensor:
        return acts + written(sae, acts, latent, value - activation(sae.encode(acts), latent))

    return edit


def adding(sae: SAE, latent: int, amount: float) -> Edit:
    """Add an amount of a latent to whatever is there: x + a d_i. Raises as `clamping`."""
    _require_finite(amount)
    return lambda acts: acts + written(sae, acts, latent, acts.new_full(acts.shape[:-1], amount))


def _require_finite(strength: float) -> None:
    if not math.isfinite(strength):
        raise ValueError(f"the strength must be a finite number, not {strength}")


@contextmanager
def edited(subject: Subject, site: str, edit: Edit) -> Iterator[None]:
    """Every pass of the model inside of the block has `edit` of the site's activations in their place.

    Raises:
        SubjectError: no such site.
        ValueError: hook_resid_mid, which is read by a norm beside the stream that goes on.
    """
    module, side = subject._locate(site)
    if site.endswith("hook_resid_mid"):
        raise ValueError(f"{site} can be read but not edited: take hook_resid_pre or hook_resid_post")

    def before(_, inputs: tuple) -> tuple:
        return edit(inputs[0]), *inputs[1:]

    def after(_, inputs: tuple, output):
        return (edit(output[0]), *output[1:]) if isinstance(output, tuple) else edit(output)

    handle = module.register_forward_pre_hook(before) if side == "in" else module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


# --- text ---


@torch.no_grad()
def generate(
    subject: Subject, prompt: Int[Tensor, " P"], new: int, samples: int, generator: torch.Generator, temperature: float = 1.0
) -> Int[Tensor, "S P+new"]:
    """The prompt continued `samples` times, token by token, each drawn from softmax(logits / temperature); the likeliest at temperature 0.

    Inside of `edited` every token, the prompt's too, is read with the edit: keys and values are kept from edited passes.

    Raises:
        ValueError: no prompt, a temperature below 0, or more tokens than the model has positions for.
    """
    limit = getattr(subject.config, "max_position_embeddings", math.inf)
    if prompt.ndim != 1 or not len(prompt) or new < 0 or len(prompt) + new > limit:
        raise ValueError(f"{prompt.numel()} tokens and {new} more: a prompt needs one at least, and {subject.name} reads {limit}")
    if not temperature >= 0:
        raise ValueError(f"the temperature must be 0 or more, not {temperature}")
    tokens, past = prompt.expand(samples, -1).to(subject.device), None
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
