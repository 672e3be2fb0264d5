"""What is known of the latents of one autoencoder at one site, measured once for everything that shows them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.evals import features
from companion.evals.n2g import Firings
from companion.evals.reconstruction import normalised_mse
from companion.lm import labels
from companion.lm.corpus import END_OF_TEXT
from companion.lm.labels import ContextLabels
from companion.lm.subject import Subject
from companion.sae.models import SAE

NAMES = tuple(labels.LABELS)
FEW = 10
"""Active tokens below which a masked cosine is not told: with a latent of one token every latent that is active there has 1."""
SIGNS = {"\n": "↵", "\t": "⇥"}


class View(NamedTuple):
    """Everything that is shown of the latents of one autoencoder at one site."""

    subject: Subject
    sae: SAE
    site: str
    tokens: Int[Tensor, "N T"]
    words: list[str]
    """What each token of the vocabulary looks like."""
    latents: Int[Tensor, " L"]
    """The numbers of those that are shown; what follows is in their order."""
    total: int
    """Latents of the autoencoder."""
    fired: Firings
    labels: ContextLabels
    """Nothing known of texts that are not Python."""
    by_label: Float[Tensor, "L Y"]
    """Correlation with each label, NaN where one of the two never changes."""
    by_neuron: Float[Tensor, "L M"]
    f1: Float[Tensor, "L Y"]
    token: Float[Tensor, " Y"]
    """Correlation of each label with what the token alone says of it."""
    siblings: dict[str, Float[Tensor, "L M"]]
    """Masked cosine with the latents of other dictionaries of the site; NaN where one of the two is active on fewer than `FEW` tokens."""
    typical: Float[Tensor, " D"]
    """Activations of middling length."""
    error: float
    """Squared error over variance, on some of the tokens."""

    def require(self, latent: int) -> None:
        """ValueError unless the autoencoder has a latent of this number."""
        if isinstance(latent, bool) or not isinstance(latent, int) or not 0 <= latent < self.total:
            raise ValueError(f"there is no latent {latent}: they are numbered 0 to {self.total - 1}")

    def place(self, latent: int) -> int:
        """Where a latent is among those shown.

        Raises:
            ValueError: it is none of them, or active nowhere in this text.
        """
        self.require(latent)
        found = (self.latents == latent).nonzero().flatten().tolist()
        if not found:
            raise ValueError(f"latent {latent} is not among the {len(self.latents)} that are shown")
        if not self.fired.counts[found[0]]:
            raise ValueError(
                f"latent {latent} is active on none of these {self.tokens.numel():,} tokens: it is dead, or rarer than this text can show"
            )
        return found[0]

    def best(self, place: int, most: int = 3) -> list[int]:
        """The labels that a latent goes best with, by correlation; none where no label is known."""
        found = self.by_label[place].nan_to_num(-1.0).topk(min(most, len(NAMES)))
        return [column for column, value in zip(found.indices.tolist(), found.values.tolist(), strict=True) if value > 0]


def default_site(subject: Subject) -> str:
    """The stream after three quarters of the blocks, where Gao et al. 2024 train theirs and `dictionaries` by default."""
    return f"blocks.{max(0, 3 * len(subject.blocks) // 4 - 1)}.hook_resid_post"


@torch.no_grad()
def look(
    subject: Subject,
    sae: SAE,
    site: str | None = None,
    latents: Sequence[int] | None = None,
    most: int | None = None,
    tokens: Int[Tensor, "N T"] | None = None,
    known: ContextLabels | None = None,
    others: dict[str, SAE] | None = None,
) -> View:
    """Measure what cards show, once for all of them.

    Args:
        site: where the autoencoder reads; `default_site` unless given.
        latents: the ones to show; else `most` of those that are active, evenly spaced in density; else all.
        tokens: contexts, with `known`, their labels; unless given, some 192 held-out contexts of the subject's own text.
        others: further autoencoders of the same site, by name.

    Raises:
        ValueError: a latent that does not exist; activations of another width than the autoencoder's.
        SubjectError: no such site; a subject without texts.
    """
    site = default_site(subject) if site is None else site
    tokens, known = _own_text(subject) if tokens is None else (tokens, known)
    known = known or _unlabelled(tokens)
    every = features.fired(subject, sae, site, tokens)
    latents = _chosen(every.counts, latents, most)
    fired = features.only(every, latents)
    siblings = {name: _siblings(fired, features.fired(subject, other, site, tokens), tokens.shape) for name, other in (others or {}).items()}
    shown = dict(tokens=tokens, words=_words(subject), latents=latents, total=len(every.counts), fired=fired, labels=known)
    return View(
        subject, sae, site, **shown, **_alike(subject, site, tokens, fired, known), siblings=siblings, **_reconstructed(subject, sae, site, tokens)
    )


def _alike(subject: Subject, site: str, tokens: Tensor, fired: Firings, known: ContextLabels) -> dict[str, Tensor]:
    """Which labels and neurons the latents go with."""
    neurons = f"blocks.{site.split('.')[1]}.mlp.hook_post"
    return {
        "by_label": features.correlation(fired, known.values, tokens.shape, known.known),
        "by_neuron": features.correlation(fired, lambda part: subject.activations(tokens[part], neurons), tokens.shape),
        "f1": features.f1(fired, known),
        "token": features.token_identity(tokens, known),
    }


def _reconstructed(subject: Subject, sae: SAE, site: str, tokens: Tensor) -> dict[str, Any]:
    """Activations of middling length, and the error on 16 of the contexts."""
    some = features.read(subject, site, tokens[:: max(1, len(tokens) // 16)]).flatten(0, 1)
    return {"typical": some[some.norm(dim=1).argsort()[len(some) // 2]], "error": normalised_mse(some, sae.decode(sae.encode(some), some))}


def _siblings(fired: Firings, other: Firings, shape: tuple[int, int]) -> Float[Tensor, "L M"]:
    rare = (fired.counts < FEW)[:, None] | (other.counts < FEW)
    return features.masked_cosine(fired, other, shape).masked_fill(rare, torch.nan)


def _unlabelled(tokens: Tensor) -> ContextLabels:
    return ContextLabels(*(torch.zeros(*shape, dtype=torch.bool, device=tokens.device) for shape in ((*tokens.shape, len(NAMES)), tokens.shape)))


def top_tokens(subject: Subject, tokens: Int[Tensor, "N T"], fired: Firings, latent: int, most: int = 5) -> str:
    """The tokens on which a latent's activations have the largest sums, as a reader sees them, the largest first."""
    own = features.own(fired, latent)
    mass = torch.bincount(tokens[own.context, own.position], weights=own.value)
    return " ".join(visible(subject.tokenizer.decode([token])) for token in mass.topk(min(most, len(mass))).indices.tolist() if mass[token] > 0)


def _words(subject: Subject) -> list[str]:
    """Every token of the vocabulary, on one line."""
    return [visible(word) for word in subject.tokenizer.batch_decode([[i] for i in range(len(subject.unembedding()))])]


def _own_text(subject: Subject, contexts: int = 192) -> tuple[Tensor, ContextLabels | None]:
    every = subject.tokens("heldout")
    some = slice(None, None, max(1, len(every) // contexts))
    tokenizer = getattr(subject.tokenizer, "backend_tokenizer", None)
    if tokenizer is None or tokenizer.token_to_id(END_OF_TEXT) is None:  # its texts cannot be told apart
        return every[some], None
    return every[some], ContextLabels(*(part[some] for part in labels.of_contexts(every, tokenizer)))


def _chosen(counts: Tensor, latents: Sequence[int] | None, most: int | None) -> Tensor:
    if latents is not None:
        if unknown := [latent for latent in latents if not 0 <= latent < len(counts)]:
            raise ValueError(f"there is no latent {unknown[0]}: they are numbered 0 to {len(counts) - 1}")
        return torch.tensor([*latents], dtype=torch.long)
    active = counts.argsort(descending=True, stable=True)[: int((counts > 0).sum())]
    if most is None or most >= len(active):
        return torch.arange(len(counts)) if most is None else active.sort().values
    return active[torch.linspace(0, len(active) - 1, most).round().long()].sort().values


def visible(word: str) -> str:
    """A token on one line: line breaks and tabs as signs, other characters that do not print as dots."""
    return "".join(SIGNS.get(letter, letter if letter.isprintable() else "·") for letter in word)
