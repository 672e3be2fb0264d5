"""How sparse is the effect of removing one latent on the logits downstream (Gao et al. 2024, section 4.5).

One ablation subtracts a vector from the residual stream at position t (variant A), the same vector at every position >= t
(B1), or wherever its latent is active from t on (B2). Its effect v is the change of the logits at positions t .. t+T-1, less its
median over the vocabulary at each position: a constant shift does not change the softmax. Smaller scores are sparser effects.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.evals import suffix
from companion.lm.subject import Subject
from companion.sae.models import SAE, Code

GAUSSIAN = 2 / torch.pi
"""Score of i.i.d. Gaussian effects: (E|x|)^2 / E[x^2]. Nothing that is called sparse should come near it."""


class Sparsity(NamedTuple):
    """score = vocabulary * position, exactly."""

    score: Float[Tensor, " A"]
    """(|v|_1 / |v|_2)^2 / (T V): the effective share of (position, token) pairs that an ablation changes."""
    vocabulary: Float[Tensor, " A"]
    """Squared mean of sqrt(score of position t alone), weighted by the norms |v_t|_2: sparsity over the vocabulary."""
    position: Float[Tensor, " A"]
    """(|n|_1 / |n|_2)^2 / T of the norms n_t = |v_t|_2: how far along the text the effect travels."""
    first: Float[Tensor, " A"]
    """Score of position t alone (T = 1)."""


def sparsity(effects: Float[Tensor, "A T V"]) -> Sparsity:
    """Scores of A effects on T positions and V tokens; the median over the vocabulary is taken off here.

    With r_t = |v_t|_1 / (|v_t|_2 sqrt V) and n_t = |v_t|_2,
        score = (sum_t n_t r_t)^2 / (T sum n_t^2) = (sum n_t r_t / sum n_t)^2 * (sum n_t)^2 / (T sum n_t^2).

    Raises:
        ValueError: an effect that is zero everywhere (no score is defined: drop identity patches first).
    """
    v = effects - effects.median(dim=-1, keepdim=True).values
    norms = v.norm(dim=-1)
    if (norms.sum(-1) == 0).any():
        raise ValueError("an effect is zero everywhere and has no sparsity; drop ablations that change nothing")
    vocab = v.shape[-1]
    roots = v.abs().sum(-1) / (norms * vocab**0.5).clamp_min(torch.finfo(v.dtype).tiny)
    mean_root = (norms * roots).sum(-1) / norms.sum(-1)
    position = norms.sum(-1) ** 2 / (norms.square().sum(-1) * v.shape[1])
    return Sparsity(mean_root**2 * position, mean_root**2, position, roots[:, 0] ** 2)


def effects(
    subject: Subject, resid: Float[Tensor, "T D"], removed: Float[Tensor, "A T D"], layer: int, t: int, span: int
) -> Float[Tensor, "A span V"]:
    """Change of the logits at positions t .. t+span-1 when `removed` is subtracted from the residual stream after `layer`.

    The clean run goes through in the same batch, so that rounding is the same for both. Only the blocks above and only the
    positions from the first that is changed to t+span-1 are computed (`suffix.logits`).

    Raises:
        ValueError: the window leaves the context.
    """
    if not 0 <= t <= len(resid) - span:
        raise ValueError(f"positions {t} to {t + span - 1} do not lie in a context of {len(resid)}")
    touched = removed.ne(0).any(dim=-1).any(dim=0).nonzero()
    start = min([t, *touched[:1, 0].tolist()])
    batch = torch.cat([resid[None], resid - removed])[:, start : t + span]
    logits = suffix.logits(subject, resid, batch, layer, start)[:, t - start :]
    return logits[1:] - logits[:1]


def rounding_floor(subject: Subject, resid: Float[Tensor, "T D"], count: int, layer: int, t: int, span: int) -> float:
    """Largest |v|_2 of `count` patches that move each entry of the stream by about its last bit (eps |resid| times a Gaussian): what
    arithmetic alone does to the logits."""
    tiny = torch.finfo(resid.dtype).eps * resid.abs() * torch.randn(count, *resid.shape, generator=torch.Generator().manual_seed(0)).to(resid)
    return effects(subject, resid, tiny, layer, t, span).flatten(1).norm(dim=1).max().item()


def latent_removals(sae: SAE, resid: Float[Tensor, "T D"], t: int, persist: bool) -> Float[Tensor, "A T D"]:
    """For each latent active at t, what it adds to the reconstruction in the stream's units, at t only or (`persist`) at all
    positions >= t.

    In an autoencoder of normalised activations that is std * z_i * d_i; without the factor std the ablation is a nudge.
    """
    code = sae.encode(resid)
    latents = code.indices[t][code.values[t] > 0]
    if not len(latents):
        return resid.new_zeros(0, *resid.shape)
    z = (code.values * (code.indices == latents[:, None, None])).sum(dim=-1, keepdim=True)  # (A, T, 1)
    each, acts = latents[:, None, None].expand(z.shape), resid.expand(len(latents), *resid.shape)
    added = sae.decode(Code(each, z), acts) - sae.decode(Code(each, torch.zeros_like(z)), acts)
    return torch.stack([_from(t, vectors, persist) for vectors in added])


def channel_removals(resid: Float[Tensor, "T D"], channels: list[int], t: int, persist: bool) -> Float[Tensor, "A T D"]:
    """For each channel, its value in the stream, at t only or (`persist`) at all positions >= t."""
    eye = torch.eye(resid.shape[1], dtype=resid.dtype, device=resid.device)
    return torch.stack([_from(t, resid * eye[channel], persist) for channel in channels])


def component_removals(
    resid: Float[Tensor, "T D"], directions: Float[Tensor, "A D"], centre: Float[Tensor, " D"], t: int, persist: bool
) -> Float[Tensor, "A T D"]:
    """For each unit direction u, what moves the stream along it to `centre`: (u . (h - centre)) u, at t only or (`persist`) at all
    positions >= t. Principal components are removed so; channels are the unit vectors, with centre 0."""
    along = (resid - centre) @ directions.T  # (T, A)
    return torch.stack([_from(t, amount[:, None] * direction, persist) for amount, direction in zip(along.T, directions, strict=True)])


def repeated(removed: Float[Tensor, "A T D"], t: int) -> Float[Tensor, "A T D"]:
    """Variant B1: the vector that is removed at t, at every position >= t."""
    same = torch.zeros_like(removed)
    same[:, t:] = removed[:, t : t + 1]
    return same


def expected_score(first: Float[Tensor, "..."], r: Float[Tensor, "..."], span: int) -> Float[Tensor, "..."]:
    """Score on T positions of an effect that has the score `first` at t alone, and on each of the T-1 others the same density and r
    times the size: first (1 + (T-1) r)^2 / (T (1 + (T-1) r^2)). Later effects of unequal sizes, with mean r, score less."""
    return first * (1 + (span - 1) * r) ** 2 / (span * (1 + (span - 1) * r**2))


def random_removals(like: Float[Tensor, "A T D"], generator: torch.Generator) -> Float[Tensor, "A T D"]:
    """One random direction per ablation, with the norm of `like` at every position: what any vector of that size does."""
    directions = torch.randn(len(like), 1, like.shape[-1], generator=generator).to(like)
    return directions / directions.norm(dim=-1, keepdim=True) * like.norm(dim=-1, keepdim=True)


def _from(t: int, vectors: Float[Tensor, "T D"], persist: bool) -> Float[Tensor, "T D"]:
    end = len(vectors) if persist else t + 1
    kept = torch.zeros_like(vectors)
    kept[t:end] = vectors[t:end]
    return kept
