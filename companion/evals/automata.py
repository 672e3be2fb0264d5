"""Latents as states of an automaton: one raises the tokens on which another is active next (Bricken et al. 2023, finite-state automata).

    M_ij = sum_v q_i(v) P(f_j > 0 | token v) - P(f_j > 0),    q_i(v) proportional to p(v) exp(f_i^max w_i(v) / s)

with p(v) the frequency of token v, w_i the logit weights (`features.logit_weights`) and s the mean scale by which the final norm divides.
A latent that raises nothing has M_ij = 0 for every j. The paper shows such loops and gives no formula; this one is ours.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.evals import features
from companion.evals.n2g import Firings
from companion.lm.subject import Subject
from companion.sae.models import SAE


def next_tokens(frequency: Float[Tensor, " V"], push: Float[Tensor, "L V"]) -> Float[Tensor, "L V"]:
    """q_i(v): the frequencies of tokens with the logits of each raised by `push`; a token that never occurs stays impossible."""
    return torch.softmax(frequency.log() + push, dim=1)


def given_token(fired: Firings, tokens: Int[Tensor, "N T"], vocabulary: int) -> Float[Tensor, "L V"]:
    """P(f_j > 0 | token v), each latent's share of the places of every token; 0 for a token that does not occur."""
    place = fired.latent * vocabulary + tokens[fired.context, fired.position]
    counts = torch.bincount(place, minlength=len(fired.counts) * vocabulary).view(-1, vocabulary)
    return counts / torch.bincount(tokens.flatten(), minlength=vocabulary).clamp_min(1)


def transitions(q: Float[Tensor, "L V"], given: Float[Tensor, "M V"], frequency: Float[Tensor, " V"]) -> Float[Tensor, "L M"]:
    """M_ij of the module's docstring, between -1 and 1."""
    return q @ given.T - given @ frequency


def final_scale(subject: Subject, tokens: Int[Tensor, "N T"]) -> float:
    """s: the standard deviation of the stream before the final norm, in the mean over tokens."""
    resid = subject.residual(tokens, len(subject.blocks) - 1)
    return resid.float().std(dim=-1, correction=0).mean().item()


@torch.no_grad()
def followers(
    subject: Subject, sae: SAE, site: str, prompts: Int[Tensor, "S T"], latent: int | None, value: float, generator: torch.Generator
) -> Float[Tensor, " L"]:
    """How often each latent is active on the next token, drawn once after each prompt while a latent is held at `value` (None: while none is).

    The error is kept and the latent is held at every token of the prompt. The new token is then read by the model as it is.
    """
    with subject.spliced({site: sae}, error_term=True) as run:
        if latent is not None:
            run.set(site, latent, value)
        logits = subject.model(prompts.to(subject.device), use_cache=False).logits[:, -1].float().cpu()
    drawn = logits.softmax(-1).multinomial(1, generator=generator)
    longer = torch.cat([prompts, drawn], dim=1)
    code = sae.encode(features.read(subject, site, longer)[:, -1:])
    active = code.indices[code.values > 0].cpu()
    return torch.bincount(active, minlength=features.latents_of(sae)) / len(prompts)


def exchanged(counts: Int[Tensor, " L"], generator: torch.Generator, near: int = 20) -> Int[Tensor, " L"]:
    """Another latent for each, of about the same density: the null's permutation of columns. Dead latents come among the rarest.

    Latents are ordered by density and those of each group of `near` are moved on by a random number of places within the group, so that
    none keeps its own.
    """
    order, other = counts.argsort(stable=True), torch.empty_like(counts)
    for group in order.tensor_split(max(1, len(order) // near)):
        other[group] = group.roll(int(torch.randint(1, len(group), (), generator=generator)))
    return other
