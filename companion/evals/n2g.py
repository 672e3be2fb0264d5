"""N2G, neuron to graph: on which tokens is a latent active? Patterns of tokens, found by editing the text (Foote et al. 2023).

In the form of Gao et al. 2024, section 4.3, as its public code has it. Of each of some random tokens that activate a latent: the
shortest run of tokens up to it that keeps half of the activation; whether that run needs the start of the text before it; which of
its tokens matter. The patterns go into a trie that reads backwards and predicts activations on any text.

What is explained is any function of token contexts, so a latent, a channel and a rule made up for a test are treated alike.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ANY = -1
"""Stands for any token in a pattern."""
TOKENS = 2**13
"""Tokens that are read at once."""

Activations = Callable[[Int[Tensor, "N T"]], Float[Tensor, "N T L"]]
"""Activations of L latents at every position of contexts of any length, each context read from its own start. Above 0 is active."""


@dataclass(frozen=True)
class Settings:
    """How patterns are found; the defaults are the paper's.

    Raises:
        ValueError: a share outside 0..1, or no examples.
    """

    padding: int
    """The token that replaces others: one that means little, " _" (4808) in the paper's tokens of GPT-2."""
    examples: int = 16
    """Random activations from which the patterns of a latent are made."""
    share: float = 0.5
    """Of an activation: what the shortest run must keep, and what must be lost for a token, or the start of the text, to matter."""
    longest: int | None = None
    """Longest run tried; an example that needs more tokens makes no pattern. None: the whole text before the token."""

    def __post_init__(self):
        if not 0 < self.share <= 1 or self.examples < 1 or (self.longest is not None and self.longest < 1):
            raise ValueError(f"share must lie in 0..1, and examples and longest must be 1 or more: {self}")


# --- where latents are active ---


class SilentError(ValueError):
    """No latent is active anywhere in the contexts."""


class Firings(NamedTuple):
    """Every (token, latent) with an activation above 0, latent by latent, and in the order of the text within one."""

    context: Int[Tensor, " F"]
    position: Int[Tensor, " F"]
    value: Float[Tensor, " F"]
    counts: Int[Tensor, " L"]
    """How many of these are the first latent's, the second's, and so on."""

    @property
    def latent(self) -> Int[Tensor, " F"]:
        """Which of the L latents each of them is of."""
        return torch.arange(len(self.counts)).repeat_interleave(self.counts)

    def chosen(self, which: Bool[Tensor, " F"] | Int[Tensor, " M"]) -> "Firings":
        """Some of them: a mask, or indices that increase."""
        counts = torch.bincount(self.latent[which], minlength=len(self.counts))
        return Firings(self.context[which], self.position[which], self.value[which], counts)


@torch.no_grad()
def firings(activations: Activations, tokens: Int[Tensor, "N T"]) -> Firings:
    """Where each latent is active in these contexts, on the CPU.

    Raises:
        ValueError: no contexts; activations of another shape than (N, T, L), or not finite.
        SilentError: none of them is above 0.
    """
    if tokens.ndim != 2 or not tokens.numel():
        raise ValueError(f"contexts must be tokens (N, T), at least one of at least one token, not {tuple(tokens.shape)}")
    rows = max(1, TOKENS // tokens.shape[1])
    found, first = [], 0
    for chunk in tokens.split(rows):
        acts = activations(chunk).cpu()
        _require_usable(acts, chunk)
        context, position, latent = (acts > 0).nonzero(as_tuple=True)
        found.append((context + first, position, acts[context, position, latent], latent))
        first += len(chunk)
    context, position, value, latent = map(torch.cat, zip(*found, strict=True))
    if not len(latent):
        raise SilentError(f"none of the {acts.shape[2]} latents is active anywhere in these {len(tokens)} contexts of {tokens.shape[1]} tokens")
    order = latent.argsort(stable=True)
    return Firings(context[order], position[order], value[order], torch.bincount(latent, minlength=acts.shape[2]))


def _require_usable(acts: Tensor, tokens: Tensor) -> None:
    if acts.ndim != 3 or acts.shape[:2] != tokens.shape:
        raise ValueError(f"of contexts {tuple(tokens.shape)} there must be activations (N, T, L), not {tuple(acts.shape)}")
    if not acts.isfinite().all():
        raise ValueError("some activations are NaN or infinite: look for them in the model that made them")


def require_within(fired: Firings, shape: torch.Size) -> None:
    """Refuse firings of more or longer contexts than those of `shape`, (N, T).

    Raises:
        ValueError: one lies outside.
    """
    if len(fired.value) and not (fired.context.max() < shape[0] and fired.position.max() < shape[1]):
        raise ValueError(f"some firings lie outside of {shape[0]} contexts of {shape[1]} tokens: they are of other contexts")


def _drawn(fired: Firings, examples: int, generator: torch.Generator) -> Firings:
    """At most so many firings of each latent, at random."""
    order = torch.randperm(len(fired.value), generator=generator)
    order = order[fired.latent[order].argsort(stable=True)]  # shuffled within each latent
    rank = torch.arange(len(order)) - (fired.counts.cumsum(0) - fired.counts).repeat_interleave(fired.counts)
    return fired.chosen(order[rank < examples].sort().values)


# --- from an example to a pattern ---


class Pattern(NamedTuple):
    tokens: tuple[int, ...]
    """In the order of the text, `ANY` where the token does not matter; the last is the one the activation is on."""
    anchored: bool
    """It begins where the text begins."""
    value: float
    """The activation on the run of tokens it was made from."""


def explain(activations: Activations, tokens: Int[Tensor, "N T"], fired: Firings, settings: Settings, generator: torch.Generator) -> list["Trie"]:
    """Patterns of each latent, in a trie each. A latent that is never active gets an empty one, which predicts 0.

    Every step is made for the examples of all latents at once: runs of one length are one batch, in which each text is read once.

    Args:
        fired: `firings` of the same two.

    Raises:
        ValueError: firings outside of these contexts.
    """
    require_within(fired, tokens.shape)
    tokens, drawn = tokens.cpu(), _drawn(fired, settings.examples, generator)
    lengths, values = shortest(activations, tokens, drawn, settings)
    patterns: list[list[Pattern]] = [[] for _ in fired.counts]
    for length in lengths[lengths > 0].unique().tolist():
        these = drawn.chosen(lengths == length)
        runs, kept = _runs(tokens, these, length), values[lengths == length]
        read = torch.where(matters(activations, runs, these.latent, kept, settings), runs, ANY)
        anchored = torch.ones(len(runs), dtype=torch.bool)  # a run as long as a context, which has no room for padding
        if length < tokens.shape[1]:
            anchored = needs_start(activations, runs, these, settings)
        for latent, run, *rest in zip(these.latent.tolist(), read.tolist(), anchored.tolist(), kept.tolist(), strict=True):
            patterns[latent].append(Pattern(tuple(run), *rest))
    return [Trie(own) for own in patterns]


def shortest(
    activations: Activations, tokens: Int[Tensor, "N T"], drawn: Firings, settings: Settings
) -> tuple[Int[Tensor, " E"], Float[Tensor, " E"]]:
    """Of each example the length of the shortest run up to its token that keeps the share of the activation, and the activation there.

    The whole text before the token keeps it by definition. An example that needs more than `settings.longest` tokens has length 0.
    """
    lengths, values, latents = torch.zeros_like(drawn.position), drawn.value.clone(), drawn.latent
    for length in range(1, min(settings.longest or tokens.shape[1], tokens.shape[1]) + 1):
        lengths[(lengths == 0) & (drawn.position + 1 == length)] = length
        left = (lengths == 0).nonzero().flatten()
        if not len(left):
            break
        last = last_activation(activations, _runs(tokens, drawn.chosen(left), length), latents[left])
        enough = last >= settings.share * drawn.value[left]
        lengths[left[enough]], values[left[enough]] = length, last[enough]
    return lengths, values


def needs_start(activations: Activations, runs: Int[Tensor, "E R"], drawn: Firings, settings: Settings) -> Bool[Tensor, " E"]:
    """Whether a padding token in front of a run takes its activation below the share of what it is in the text."""
    padded = torch.cat([torch.full_like(runs[:, :1], settings.padding), runs], dim=1)
    return last_activation(activations, padded, drawn.latent) < settings.share * drawn.value


def matters(
    activations: Activations, runs: Int[Tensor, "E R"], latents: Int[Tensor, " E"], values: Float[Tensor, " E"], settings: Settings
) -> Bool[Tensor, "E R"]:
    """Whether each token's saliency is at least the share: 1 - activation with the padding token in its place / activation of the run."""
    length = runs.shape[1]
    edited = runs[:, None].expand(-1, length, length).clone()
    edited.diagonal(dim1=1, dim2=2).fill_(settings.padding)
    acts = last_activation(activations, edited.flatten(0, 1), latents.repeat_interleave(length)).view(-1, length)
    return 1 - acts / values[:, None] >= settings.share


def _runs(tokens: Tensor, drawn: Firings, length: int) -> Int[Tensor, "E R"]:
    """The last tokens up to that of each example, so many of them."""
    return tokens[drawn.context[:, None], drawn.position[:, None] + torch.arange(1 - length, 1)]


@torch.no_grad()
def last_activation(activations: Activations, rows: Int[Tensor, "E R"], latents: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
    """The activation of one latent at the end of each row. Rows that are equal are read once, for whatever latents."""
    unique, which = torch.unique(rows, dim=0, return_inverse=True)
    order, out, first = which.argsort(), torch.empty(len(rows)), 0
    ends = torch.bincount(which, minlength=len(unique)).cumsum(0).tolist()
    size = max(1, TOKENS // rows.shape[1])
    for start in range(0, len(unique), size):
        acts = activations(unique[start : start + size])[:, -1].cpu()
        mine = order[first : (first := ends[start + len(acts) - 1])]
        out[mine] = acts[which[mine] - start, latents[mine]].to(out)
    return out


# --- from patterns to predictions ---


@dataclass
class _Node:
    after: dict[int, "_Node"] = field(default_factory=dict)
    ends: list[float] = field(default_factory=list)
    """Activations of the patterns that end here; of those that end here at the start of the text:"""
    anchored: list[float] = field(default_factory=list)


class Trie:
    """The patterns of one latent, joined where their last tokens are the same."""

    def __init__(self, patterns: Iterable[Pattern]):
        self.patterns = tuple(patterns)
        self._root = _Node()
        for pattern in self.patterns:
            node = self._root
            for token in reversed(pattern.tokens):
                node = node.after.setdefault(token, _Node())
            (node.anchored if pattern.anchored else node.ends).append(pattern.value)

    def predict(self, tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T"]:
        """The activation at each token: that of the pattern that a walk back from it ends in, 0 if in none.

        At each step the token itself is followed if it is in the trie, any token only if not, and no step is taken back: so a
        pattern can be missed (as in the paper's code). The end of a shorter pattern hides a longer one. The mean, where several
        patterns end.
        """
        text, start = tokens.cpu().numpy().ravel(), np.tile(np.arange(tokens.shape[1]), len(tokens))
        out = np.zeros(len(text), dtype=np.float32)
        waiting = [(self._root, np.arange(len(text)), 0)]
        while waiting:
            node, places, depth = waiting.pop()
            for child, there in _steps(node, places, text[places - depth]):
                at_start = start[there] == depth
                if child.ends:
                    out[there] = np.mean(child.ends)
                    continue
                if child.anchored:
                    out[there[at_start]] = np.mean(child.anchored)
                waiting.append((child, there[~at_start], depth + 1))
        return torch.from_numpy(out).view(tokens.shape)


def _steps(node: _Node, places: np.ndarray, read: np.ndarray) -> Iterator[tuple[_Node, np.ndarray]]:
    """Where the walks that have come to a node go: each child, with its places."""
    if not len(places):
        return
    rest = np.ones(len(places), dtype=bool)
    for token, child in node.after.items():
        if token != ANY:
            rest &= (other := read != token)
            yield child, places[~other]
    if ANY in node.after:
        yield node.after[ANY], places[rest]
