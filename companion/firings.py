"""The held-out text of a dictionary with its true labels, and where each latent is active on it: computed once, for every page that asks."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from companion import dictionaries, memo
from companion.dictionaries import DictionaryConfig
from companion.evals import features
from companion.evals.n2g import Firings
from companion.lm import labels, sources
from companion.lm.labels import ContextLabels


@dataclass(frozen=True)
class _Text:
    subject: sources.Config
    heldout: int


@dataclass(frozen=True)
class _Coded:
    dictionary: DictionaryConfig
    which: str


def _label(text: _Text) -> dict[str, Any]:
    subject = dictionaries.open_subject(text.subject)
    every = subject.tokens("heldout")
    known = labels.of_contexts(every, subject.tokenizer.backend_tokenizer)
    at = dictionaries.spread(torch.arange(len(every)), text.heldout)
    return {"tokens": every[at], "values": known.values[at], "known": known.known[at]}


def _code(of: _Coded) -> dict[str, Any]:
    text, sae = dictionaries.heldout(of.dictionary), dictionaries.dictionary(of.dictionary, of.which)
    found = features.fired(text.subject, sae, of.dictionary.site, text.tokens)
    length = text.tokens.shape[1]
    return {"place": (found.context * length + found.position).int(), "value": found.value, "counts": found.counts, "length": length}


def labelled(config: DictionaryConfig) -> tuple[Int[Tensor, "N T"], ContextLabels]:
    """The contexts of `dictionaries.heldout`, and the labels of their tokens."""
    made = memo.memo(_label, _Text(config.subject, config.heldout))
    return made["tokens"], ContextLabels(made["values"], made["known"])


def fired_by(config: DictionaryConfig, which: str = "averaged") -> Firings:
    """Every activation above 0 on these contexts.

    Args:
        which: of `dictionaries.WEIGHTS`.
    """
    made = memo.memo(_code, _Coded(config, which))
    place, length = made["place"].long(), made["length"]
    return Firings(place // length, place % length, made["value"], made["counts"])
