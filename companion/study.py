"""A dictionary of the subject model, as the notebooks of part two use it: one recipe, trained once, shared by its memo.

The only module that joins `lm` and `sae`. Notebooks import it; nothing in the package does.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion import run
from companion.lm import subject
from companion.lm.subject import HubConfig, Subject
from companion.lm.training import SubjectConfig
from companion.sae.models import TopK
from companion.sae.recipe import TrainConfig
from companion.sae.stream import Stream, shuffled
from companion.sae.train import fit

BLOCK = 32
"""Contexts that a stream takes from the subject at once."""


@dataclass(frozen=True)
class DictionaryConfig:
    """Which residual stream, how much of it, and how the autoencoder is trained on it."""

    subject: SubjectConfig | HubConfig
    train: TrainConfig
    layer: int = 2
    """Block after which the residual stream is taken, from 0; the paper takes three quarters of the depth."""
    contexts: int = 6000
    """Training contexts whose activations make the pool, all positions."""
    seed: int = 0

    @property
    def site(self) -> str:
        """TransformerLens name of the site."""
        return f"blocks.{self.layer}.hook_resid_post"


def open_subject(config: SubjectConfig | HubConfig, step: int | None = None) -> Subject:
    """The memoised subject model, trained first if need be."""
    return subject.open_subject(memo.memo_folder(subject.prepare, config), step, run.device())


@lru_cache(maxsize=1)
def _pool(config: SubjectConfig | HubConfig, site: str, contexts: int) -> Float[Tensor, "N D"]:
    """Kept from one dictionary to the next: several are trained on one stream."""
    sub = open_subject(config)
    return sub.pool(sub.tokens("train")[:contexts], site, run.generator(0, "pool"))


def stream(config: DictionaryConfig, buffer_tokens: int) -> Stream:
    """Shuffled batches of the study's activations without a pool: made as they are needed, `BLOCK` contexts at a time."""
    sub = open_subject(config.subject)
    tokens = sub.tokens("train")[: config.contexts]

    def make(block: int) -> Float[Tensor, "M D"]:
        return sub.activations(tokens[block * BLOCK : (block + 1) * BLOCK], config.site).flatten(0, 1)

    return Stream(make, len(tokens) // BLOCK, config.train.batch, buffer_tokens, config.seed)


def kept_steps(config: SubjectConfig | HubConfig) -> list[int]:
    """Training steps at which `open_subject` can open this subject."""
    return subject.kept_steps(memo.memo_folder(subject.prepare, config))


def train_dictionary(config: DictionaryConfig) -> dict[str, Any]:
    """Collect activations, train, and return the weights with the training's history (for `run.memo`)."""
    pool = _pool(config.subject, config.site, config.contexts)
    batches = shuffled(pool, config.train.batch, config.train.steps, run.generator(config.seed, "order"))
    trained = fit(batches, config.train, pool[: config.train.median_sample], run.generator(config.seed, "start", device=run.device()))
    history = {f"history.{name}": torch.from_numpy(values) for name, values in trained.history.items()}
    return trained.sae.tensors() | history


def dictionary(config: DictionaryConfig) -> TopK:
    """The trained autoencoder of this configuration, from the memo or trained now."""
    return TopK.from_tensors(memo.memo(train_dictionary, config), k=config.train.k).to(run.device()).requires_grad_(False)


def variant(config: DictionaryConfig, *, n: int | None = None, k: int | None = None, seed: int | None = None) -> DictionaryConfig:
    """The same study with another number of latents, of kept latents, or another seed."""
    train = replace(config.train, n=n or config.train.n, k=k or config.train.k)
    return replace(config, train=train, seed=config.seed if seed is None else seed)
