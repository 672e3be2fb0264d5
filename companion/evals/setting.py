"""What a report is made on: a subject at a layer, its texts, how much of them, and the rows that the evaluations (`measures`) fill."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.evals import anchors, statistics
from companion.lm import corpus, labels, sources
from companion.lm.labels import ContextLabels
from companion.lm.subject import Subject
from companion.sae.models import SAE, Code

TOKENS = 1024
"""Tokens encoded at once: with 2^17 latents half a gigabyte of pre-activations."""


class Row(NamedTuple):
    part: str
    """The evaluation."""
    name: str
    value: float | None = None
    low: float | None = None
    """Ends of the 95 % interval of a bootstrap over `over`."""
    high: float | None = None
    over: str = ""
    note: str = ""
    """Unit and conditions; or why there is no value or no interval."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured. The defaults take about a minute for 2,048 latents of an offline subject on one core."""

    contexts: int = 192
    """Of held-out text, for reconstruction and losses."""
    labelled: int = 768
    """Contexts of Python, for probes and labels: one half chooses, the other judges."""
    examples: int = 400
    """Contexts from which patterns are made."""
    latents: int = 80
    """Latents that are explained, drawn from those active often enough."""
    ablated: int = 48
    """Contexts in one position of which each active latent is removed."""
    span: int = 16
    """T: positions over which the effect of an ablation is measured."""
    checkpoints: int = 30
    """Steps of the subject's training that are read at most."""


SIZES = Sizes()


class Missing(Exception):
    """Why an evaluation has no numbers here."""


class InParts:
    """The same autoencoder, `TOKENS` tokens at a time, since a wide one makes a table of tokens by latents; and in float32, whatever the
    activations are in: reconstructions come back as the subject takes them."""

    def __init__(self, sae: SAE):
        self.sae = sae
        own = getattr(sae, "sae", sae)
        self.n, self.k, self.kind = (getattr(own, name, None) for name in ("n", "k", "kind"))

    def encode(self, acts: Float[Tensor, "... D"]) -> Code:
        """See `models.SAE`. Codes of unequal widths are filled up with zeros."""
        codes = [self.sae.encode(part) for part in acts.reshape(-1, acts.shape[-1]).float().split(TOKENS)]
        widest = max(code.values.shape[1] for code in codes)
        padded = [[torch.nn.functional.pad(part, (0, widest - part.shape[1])) for part in code] for code in codes]
        return Code(*map(torch.cat, zip(*padded, strict=True))).shaped(*acts.shape[:-1])

    def decode(self, code: Code, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """See `models.SAE`."""
        parts = zip(*(part.reshape(-1, part.shape[-1]).split(TOKENS) for part in (*code, acts.float())), strict=True)
        return torch.cat([self.sae.decode(Code(indices, values), own) for indices, values, own in parts]).view(acts.shape).to(acts.dtype)


class Setting:
    """A subject at a layer, and the text on which everything is measured; what does not depend on an autoencoder is computed once.

    Args:
        texts: (train, heldout) contexts (N, T); the subject's own without them, and Python's library if it has none.

    Raises:
        ValueError: no such layer, or fewer than one context of two tokens.
    """

    def __init__(self, subject: Subject, layer: int, texts: tuple[Tensor, Tensor] | None = None, sizes: Sizes = SIZES, seed: int = 0):
        if layer not in range(len(subject.blocks)):
            raise ValueError(f"{subject.name} has no stream after block {layer}: its blocks are 0 to {len(subject.blocks) - 1}")
        self.subject, self.layer, self.sizes, self.seed = subject, layer, sizes, seed
        self.train, heldout = texts or self._own()
        self.tokens = spread(heldout, sizes.contexts)
        if self.tokens.ndim != 2 or not len(self.tokens) or self.tokens.shape[1] < 2:
            raise ValueError(f"held-out text must be contexts (N, T) of two tokens or more, not {tuple(self.tokens.shape)}")

    def _own(self) -> tuple[Tensor, Tensor]:
        try:
            return self.subject.tokens("train"), self.subject.tokens("heldout")
        except sources.SubjectError:
            split = corpus.split_by_file(corpus.library_texts(), 10 * corpus.SMALLEST_CORPUS)
            length = min(128, getattr(self.subject.config, "max_position_embeddings", 128))
            return tuple(corpus.contexts(self._byte_level(), split[name], length) for name in ("train", "heldout"))

    def generator(self) -> torch.Generator:
        """A new one for each use, so that a number does not depend on which others were asked for."""
        return torch.Generator().manual_seed(self.seed)

    @cached_property
    def resid(self) -> Float[Tensor, "N T D"]:
        """The stream after the layer, on the held-out text."""
        return self.subject.residual(self.tokens, self.layer)

    @cached_property
    def anchors(self) -> dict[str, Float[Tensor, " N"]]:
        """Mean loss of each context with the stream replaced: clean (by nothing), zero, mean; unigram is frequencies alone."""
        found = anchors.anchor_losses(self.subject, self.tokens, self.layer, self.train)
        return {name: losses.double().mean(1) for name, losses in found.items()}

    @cached_property
    def labelled(self) -> tuple[Int[Tensor, "C T"], ContextLabels]:
        """Python that was held out from the offline subjects, with its true labels, in this subject's tokens."""
        tokenizer = self._byte_level()
        texts = corpus.split_by_file(corpus.library_texts(), sys.maxsize)["heldout"]
        tokens = corpus.contexts(tokenizer, texts, self.tokens.shape[1])
        return tokens[: self.sizes.labelled], labels.of_contexts(tokens, tokenizer, slice(0, self.sizes.labelled))

    def _byte_level(self):
        tokenizer = getattr(self.subject.tokenizer, "backend_tokenizer", None)
        if tokenizer is None or tokenizer.token_to_id(corpus.END_OF_TEXT) is None:
            raise Missing(
                f"the tokenizer of {self.subject.name} is not byte-level with the token {corpus.END_OF_TEXT}, so Python has no labels in it"
            )
        return tokenizer

    def row(self, part: str, name: str, statistic: Callable, values: Tensor | np.ndarray, note: str = "", over: str = "contexts") -> Row:
        """A number with the interval of its bootstrap: `statistic(values)`, the first axis of the values being what is drawn from."""
        values = np.asarray(values.cpu() if isinstance(values, Tensor) else values, dtype=float)
        if len(values) < 2:
            return Row(part, name, float(statistic(values)), note=f"{note}; no interval of {len(values)} of {over}".removeprefix("; "))
        found = statistics.bootstrap(lambda groups: statistic(groups[0]), [values], self.generator())
        return Row(part, name, *map(float, found), over, note)


def spread(contexts: Int[Tensor, "N T"], count: int) -> Int[Tensor, "M T"]:
    """At most `count` of the contexts, evenly spaced."""
    return contexts[:: max(1, len(contexts) // count)][:count]
