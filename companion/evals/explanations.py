"""How good an explanation of a latent is: against its activations, against true labels of the text, and in the latent's place.

An explanation is whatever predicts activations from tokens: the patterns of `n2g`, or a label, or two at once. Explanation
reconstruction is Gao et al. 2024, section 4.4: every latent's activation is replaced by the predicted one, and the loss measured.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.evals.n2g import TOKENS, Activations, Firings, Trie, require_within
from companion.lm.labels import ContextLabels
from companion.lm.subject import Subject
from companion.sae.models import SAE, Code

# --- what is explained ---


def latent_activations(subject: Subject, sae: SAE, layer: int, latents: Int[Tensor, " L"]) -> Activations:
    """Activations of some latents of an autoencoder of the residual stream after block `layer`, in the units of its code."""

    def activations(tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T L"]:
        code = sae.encode(subject.residual(tokens, layer))
        out = code.values.new_zeros(*tokens.shape, len(latents) + 1)
        return out.scatter_add_(-1, _columns(code, latents)[code.indices], code.values)[..., :-1]

    return activations


def _columns(code: Code, latents: Int[Tensor, " L"]) -> Int[Tensor, " n"]:
    """Of each latent that a code may name, where it is among `latents`; L if it is not."""
    latents = latents.to(code.indices.device)
    columns = latents.new_full((int(max(code.indices.max(), latents.max())) + 1,), len(latents))
    columns[latents] = torch.arange(len(latents), device=latents.device)
    return columns


def at_density(activations: Activations, tokens: Int[Tensor, "N T"], density: Float[Tensor, " L"]) -> Activations:
    """The same units less a threshold each, 0 below it, so that they are active at these shares of these tokens.

    Channels of the residual stream become a baseline for latents in this way: a latent is a threshold on a direction, too.
    """
    acts = torch.cat([activations(chunk) for chunk in tokens.split(max(1, TOKENS // tokens.shape[1]))]).flatten(0, 1)
    ranks = (density.to(acts) * len(acts)).round().long().clamp(0, len(acts) - 1)
    threshold = acts.sort(dim=0, descending=True).values.gather(0, ranks[None])[0]
    return lambda tokens: (activations(tokens) - threshold).relu()


# --- scores ---


class Scores(NamedTuple):
    """Of predictions of where L latents are active, on tokens that they were not made from. NaN where nothing is defined."""

    precision: Float[Tensor, " L"]
    """Of the tokens predicted active, the share that is."""
    recall: Float[Tensor, " L"]
    """Of the active tokens, the share that was predicted."""
    f1: Float[Tensor, " L"]
    """Harmonic mean of the two, 0 if nothing is predicted; NaN, as the recall, for a latent that is not active on these tokens."""
    chance: Float[Tensor, " L"]
    """F1 of predicting activity everywhere, 2 p / (1 + p) at density p: nothing that is independent of the latent is expected to do better."""


def _scores(right: Tensor, predicted: Tensor, active: Tensor, tokens: int) -> Scores:
    """From counts of each latent's tokens: rightly predicted active, predicted active, active; and of all tokens."""
    right, predicted, active = right.double(), predicted.double(), active.double()
    f1 = torch.where(active > 0, 2 * right / (predicted + active), torch.nan)
    return Scores(right / predicted, right / active, f1, 2 * active / (tokens + active))


def score(tries: list[Trie], tokens: Int[Tensor, "N T"], fired: Firings, where: Bool[Tensor, "N T"] | None = None) -> Scores:
    """Scores of each latent's patterns on held-out contexts.

    Args:
        fired: `firings` of the explained latents on the same contexts.
        where: the tokens that count, as `ContextLabels.known` beside `score_labels`; all, unless given.

    Raises:
        ValueError: firings of more or fewer latents than are explained, or of other contexts.
    """
    _require_same(tries, tokens, fired)
    where = torch.ones(tokens.shape, dtype=torch.bool) if where is None else where
    fired = fired.chosen(where[fired.context, fired.position])
    right, predicted = torch.zeros_like(fired.counts), torch.zeros_like(fired.counts)
    for latent, (trie, own) in enumerate(zip(tries, _places(fired, tokens), strict=True)):
        positive = ((trie.predict(tokens) > 0) & where).flatten()
        right[latent], predicted[latent] = positive[own].sum(), positive.sum()
    return _scores(right, predicted, fired.counts, int(where.sum()))


def _require_same(tries: list[Trie], tokens: Tensor, fired: Firings) -> None:
    require_within(fired, tokens.shape)
    if len(tries) != len(fired.counts):
        raise ValueError(f"{len(tries)} latents are explained, and the firings are of {len(fired.counts)}: they do not belong together")


def _places(fired: Firings, tokens: Tensor) -> tuple[Tensor, ...]:
    """Each latent's firings as indices of the flattened tokens."""
    return (fired.context * tokens.shape[1] + fired.position).split(fired.counts.tolist())


# --- labels ---


def best_labels(fired: Firings, labels: ContextLabels) -> Int[Tensor, "L 2"]:
    """Of each latent the label, or two labels at once, whose F1 for its activity is highest on these contexts.

    Columns of the labels; one alone is given twice, and preferred to two that do no better. -1 for a latent that is active on no
    labelled token. Chosen among Y (Y + 1) / 2: score it on other contexts.

    Args:
        fired: `n2g.firings` on the contexts that the labels are of.

    Raises:
        ValueError: no token of these contexts has labels, or there are firings outside of them.
    """
    pairs, own = _tallies(fired, labels)
    found = []
    for rows in own:
        f1 = 2 * (rows.T @ rows) / (pairs + len(rows)).clamp_min(1)
        f1.diagonal().add_(1e-9)  # less than F1 differs by unless it is equal
        found.append(divmod(int(f1.argmax()), len(f1)) if len(rows) else (-1, -1))
    return torch.tensor(found).sort(dim=1).values


def score_labels(rules: Int[Tensor, "L 2"], fired: Firings, labels: ContextLabels) -> Scores:
    """Scores, on the tokens that have labels, of predicting a latent active where both its labels are true. Raises as `best_labels`."""
    pairs, own = _tallies(fired, labels)
    right = torch.stack([rows[:, rule].all(dim=1).sum() for rows, rule in zip(own, rules, strict=True)])
    active = torch.tensor([len(rows) for rows in own])
    given = rules[:, 0] >= 0
    first, second = rules.T
    return _scores(right * given, pairs[first, second] * given, active, int(labels.known.sum()))


def _tallies(fired: Firings, labels: ContextLabels) -> tuple[Float[Tensor, "Y Y"], tuple[Float[Tensor, "F Y"], ...]]:
    """On how many tokens each two labels are both true, and each latent's labels where it is active. Whole numbers as float64."""
    if not labels.known.any():
        raise ValueError("no token of these contexts has labels: their texts are not Python, or are cut off at both ends")
    require_within(fired, labels.known.shape)
    known = fired.chosen(labels.known[fired.context, fired.position])
    every = labels.values[labels.known].float()  # sums of ones below 2^24: exact
    own = labels.values[known.context, known.position].double()
    return (every.T @ every).double(), own.split(known.counts.tolist())


# --- explanations in the latents' place ---


def scales(tries: list[Trie], tokens: Int[Tensor, "N T"], fired: Firings) -> Float[Tensor, " L"]:
    """E[s a] / E[s²] of each latent's predictions s and activations a: the factor that brings s nearest to a. 0 where s is.

    Args:
        tokens, fired: the contexts that the patterns were made from, and `n2g.firings` on them.

    Raises:
        ValueError: firings of more or fewer latents than are explained, or of other contexts.
    """
    _require_same(tries, tokens, fired)
    found, values = [], fired.value.double().split(fired.counts.tolist())
    for trie, own, value in zip(tries, _places(fired, tokens), values, strict=True):
        s = trie.predict(tokens).flatten().double()
        a = torch.zeros_like(s).index_put_((own,), value)
        found.append((s @ a) / (s @ s) if s.any() else s.new_zeros(()))
    return torch.stack(found).float()


def simulation(tries: list[Trie], scale: Float[Tensor, " L"]) -> Activations:
    """What the explanations say that the latents' activations are, on any contexts."""
    return lambda tokens: torch.stack([trie.predict(tokens) for trie in tries], dim=-1) * scale


def replaced(code: Code, latents: Int[Tensor, " L"], simulated: Float[Tensor, "... L"]) -> Code:
    """A code in which these latents have the simulated activations, and the others their own.

    An entry that stays active stays where it is: with simulations that are equal to the activations, the code is the same.
    """
    simulated, slots = simulated.to(code.values), _columns(code, latents)[code.indices]
    mine, active = slots < len(latents), code.values > 0
    left = torch.cat([simulated, torch.zeros_like(simulated[..., :1])], dim=-1)
    values = torch.where(mine, left.gather(-1, slots) * active, code.values)
    left = left.scatter(-1, torch.where(active, slots, len(latents)), 0.0)[..., :-1]  # simulated, but not active
    added = left.topk(int((left > 0).sum(dim=-1).max()), dim=-1)
    indices = latents.to(code.indices)[added.indices]
    return Code(torch.cat([code.indices, indices], dim=-1), torch.cat([values, added.values], dim=-1))


class Losses(NamedTuple):
    """Cross-entropy in nats of each token given those before it, with the residual stream replaced at every position."""

    clean: Float[Tensor, "N T-1"]
    """By nothing."""
    own: Float[Tensor, "N T-1"]
    """By the autoencoder's reconstruction."""
    explained: Float[Tensor, "N T-1"]
    """By that of the code with the simulated activations: equal to `own` where every explanation is perfect."""
    silent: Float[Tensor, "N T-1"]
    """By that of the code without the explained latents: with all of them explained, of b_pre alone."""


def explained_losses(subject: Subject, sae: SAE, layer: int, tokens: Int[Tensor, "N T"], latents: Int[Tensor, " L"], simulate: Activations) -> Losses:
    """What explanations are worth downstream, beside the activations that they stand for and beside nothing.

    The paper's measure has all latents explained. Of a part of them, the others keep their own activations.
    """
    parts = []
    for chunk in tokens.split(max(1, TOKENS // tokens.shape[1])):
        resid, simulated = subject.residual(chunk, layer), simulate(chunk)
        code = sae.encode(resid)
        codes = (code, replaced(code, latents, simulated), replaced(code, latents, torch.zeros_like(simulated)))
        spliced = [subject.losses_from(sae.decode(each, resid), chunk, layer) for each in codes]
        parts.append(torch.stack([subject.losses_from(resid, chunk, layer), *spliced]).cpu())
    return Losses(*torch.cat(parts, dim=1))
