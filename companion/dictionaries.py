"""Dictionaries of a subject model, for every page that studies one: the text, its activations, the training, all by configuration.

    config = DictionaryConfig(offline_subject("python-stdlib-4l"), TrainConfig(n=2048, k=16, steps=300, batch=2048))
    sae, text = dictionary(config), heldout(config)
    normalised_mse(text.x, sae(text.x.flatten(0, 1)).view_as(text.x))

A `PublishedConfig` in place of a `DictionaryConfig` names an autoencoder that others have trained: `dictionary` fetches it, and `heldout`
works as before. The only module that joins `lm` and `sae`. Pages import it; of the package only the command line does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion import memo, released, run
from companion.evals.reconstruction import normalised_mse
from companion.lm import hub, sources, subject, training
from companion.lm.shuffled import shuffle_weights
from companion.lm.subject import Subject
from companion.released import PublishedConfig
from companion.sae import recipe
from companion.sae.models import SAE, normalise
from companion.sae.recipe import ADDED, TrainConfig
from companion.sae.stream import Stream, shuffled
from companion.sae.train import fit
from companion.sae.weights import Raw

BLOCK = 32
"""Contexts that a stream takes from the subject at once."""
POOL_BYTES = 2**32
"""Activations beyond this are streamed through a buffer of this size instead of being held at once."""
WEIGHTS = ("averaged", "last", "untrained")
CHUNK = 4096
"""Held-out vectors reconstructed at once: the dense kinds make a code of this many rows."""


@dataclass(frozen=True)
class DictionaryConfig:
    """Which activations, how many of them, how the autoencoder is trained on it, and what of it is kept.

    Raises:
        ValueError: weights to keep that there are not.
    """

    subject: sources.Config
    train: TrainConfig
    layer: int = 2
    """Block, from 0, of which `hook` is taken: unless it is set the residual stream after the block; Gao et al. take three quarters of the depth."""
    contexts: int = 6000
    """Training contexts whose activations are trained on, all positions."""
    seed: int = 0
    heldout: int = 192
    """Held-out contexts for every measurement."""
    keep: tuple[str, ...] = ("averaged",)
    """Of `WEIGHTS`: the running mean, the weights after the last step, those before the first. The history is kept in any case."""
    hook: str = field(default="hook_resid_post", metadata=ADDED)
    """What of the block is taken, by TransformerLens' name: "mlp.hook_post" for its neurons after the activation function."""
    shuffled: bool = field(default=False, metadata=ADDED)
    """The dictionary is of the subject with the entries of its weight matrices shuffled, by the configuration's seed (`shuffle_weights`)."""

    def __post_init__(self):
        if unknown := set(self.keep) - set(WEIGHTS):
            raise ValueError(f"no weights called {', '.join(sorted(unknown))} can be kept; there are {', '.join(WEIGHTS)}")

    @property
    def site(self) -> str:
        """TransformerLens name of the site."""
        return f"blocks.{self.layer}.{self.hook}"


def variant(config: DictionaryConfig, *, seed: int | None = None, keep: tuple[str, ...] | None = None, **train: Any) -> DictionaryConfig:
    """The same dictionary with another seed, other weights kept, or other fields of its `TrainConfig` (n, k, lr, ...)."""
    own = dict(seed=config.seed if seed is None else seed, keep=config.keep if keep is None else keep)
    return replace(config, train=replace(config.train, **train), **own)


# --- the subject and its text -------------------------------------------------------------------------------------------


def offline_subject(name: str) -> sources.ShippedConfig | training.SubjectConfig:
    """A subject that needs no network, by name: the one that ships with the package, or with COMPANION_SUBJECT=train the
    configuration to train it here.

    Raises:
        SubjectError: none of that name ships.
    """
    known = sources.shipped(name)
    return replace(training.OFFLINE[name], seed=run.seed_shift()) if run.subject_source() == "train" else known


def open_subject(config: sources.Config, step: int | None = None) -> Subject:
    """The memoised subject model, made first if need be, at its last or a kept step."""
    return subject.open_subject(_prepared(config), step, run.device())


def subject_of(config: DictionaryConfig | PublishedConfig) -> Subject:
    """The model that a dictionary is of: the subject, or the subject with its weights shuffled."""
    sub = open_subject(config.subject)
    return shuffle_weights(sub, run.generator(config.seed, "shuffle")) if getattr(config, "shuffled", False) else sub


def kept_steps(config: sources.Config) -> list[int]:
    """Training steps at which `open_subject` can open this subject."""
    return sources.kept_steps(_prepared(config))


def _prepared(config: sources.Config) -> Path:
    return memo.memo_folder(hub.prepare if isinstance(config, sources.HubConfig) else sources.prepare, config)


def spread(contexts: Int[Tensor, "N T"], count: int) -> Int[Tensor, "M T"]:
    """At most `count` of the contexts, evenly spaced: from every file, since files differ more than anything measured on them."""
    return contexts[:: max(1, len(contexts) // count)][:count]


class Heldout(NamedTuple):
    """The text on which everything about a dictionary is measured."""

    subject: Subject
    tokens: Int[Tensor, "N T"]
    resid: Float[Tensor, "N T D"]
    """Activations at the dictionary's site: the stream after its layer, unless its configuration names another hook."""
    x: Float[Tensor, "N T D"]
    """The same, layer-normed: what dictionaries of that space reconstruct."""


_held: dict[str, tuple[Any, Any]] = {}
"""The last pool and the last held-out text, each with what it was made for: several dictionaries are trained on one stream."""


def _last(name: str, key: Any, make) -> Any:
    if name not in _held or _held[name][0] != key:
        _held.pop(name, None)  # before the next is made: there is room for one
        _held[name] = key, make()
    return _held[name][1]


def heldout(config: DictionaryConfig | PublishedConfig) -> Heldout:
    """Held-out text of the dictionary's subject, the same contexts for all pages, with its activations at the dictionary's site."""

    def make() -> Heldout:
        sub = subject_of(config)
        tokens = spread(sub.tokens("heldout"), config.heldout)
        acts = sub.activations(tokens, config.site)
        return Heldout(sub, tokens, acts, normalise(acts).x)

    return _last("heldout", (*_model_and_site(config), config.heldout, run.device()), make)


def _model_and_site(config: DictionaryConfig | PublishedConfig) -> tuple[Any, ...]:
    return config.subject, config.site, config.seed if getattr(config, "shuffled", False) else None


def pool(config: DictionaryConfig) -> Float[Tensor, "N D"]:
    """Activations of the training contexts, all positions, as one shuffled list."""
    order = run.generator(0, "pool")

    def make() -> Tensor:
        sub = subject_of(config)
        return sub.pool(spread(sub.tokens("train"), config.contexts), config.site, order)

    return _last("pool", (*_model_and_site(config), config.contexts, run.device(), order.initial_seed()), make)


def stream(config: DictionaryConfig, buffer_tokens: int) -> Stream:
    """Shuffled batches of the same activations without a pool: made as they are needed, `BLOCK` contexts at a time."""
    sub = subject_of(config)
    tokens = spread(sub.tokens("train"), config.contexts)

    def make(block: int) -> Float[Tensor, "M D"]:
        return sub.activations(tokens[block * BLOCK : (block + 1) * BLOCK], config.site).flatten(0, 1)

    return Stream(make, len(tokens) // BLOCK, config.train.batch, buffer_tokens, run.generator(config.seed, "stream").initial_seed())


def first(batches: Stream, count: int) -> Float[Tensor, "S D"]:
    """At least `count` activations from the beginning of a stream, all of it if it is shorter."""
    return torch.cat([batches.make(block) for block in range(min(batches.blocks, -(-count // batches.block_tokens)))])


# --- training -----------------------------------------------------------------------------------------------------------


def batches_of(config: DictionaryConfig) -> tuple[Iterable[Float[Tensor, "B D"]], Float[Tensor, "S D"]]:
    """What `sae.train.fit` takes: the batches, and the sample for its start. From a pool, or streamed where that would be too large."""
    sub, wanted = open_subject(config.subject), config.train.median_sample
    vectors = min(config.contexts, len(tokens := sub.tokens("train"))) * tokens.shape[1]
    width = sub.activations(tokens[:1, :1], config.site).shape[-1]
    if vectors * width * 4 > POOL_BYTES:
        streamed = stream(config, POOL_BYTES // (4 * width))
        return streamed, first(streamed, wanted)
    acts = pool(config)
    return shuffled(acts, config.train.batch, config.train.steps, run.generator(config.seed, "order")), acts[:wanted]


def train_dictionary(config: DictionaryConfig) -> dict[str, Any]:
    """Train (for `memo.memo`). Returns <which>/<tensor> of the weights in `keep`, history/<column>, heldout/mse, the normalised error of
    the averaged weights on `heldout`, and factor, by which activations were multiplied, unless they were layer-normed."""
    batches, sample = batches_of(config)

    def start() -> torch.Generator:
        return run.generator(config.seed, "start", device=run.device())

    trained = fit(batches, config.train, sample, start())
    saes = {"averaged": trained.sae, "last": trained.last}
    raw = isinstance(trained.sae, Raw)
    if "untrained" in config.keep:
        x = sample.float() * trained.sae.factor if raw else normalise(sample.float()).x
        saes["untrained"] = recipe.start(x, config.train, start())
    made = {"factor": torch.tensor(trained.sae.factor)} if raw else {}
    made |= {f"history/{name}": torch.from_numpy(values) for name, values in trained.history.items()}
    for which in config.keep:
        made |= {f"{which}/{name}": tensor for name, tensor in getattr(saes[which], "sae", saes[which]).tensors().items()}
    text = heldout(config)
    return made | {"heldout/mse": error(trained.sae, text.resid if raw else text.x)}


@torch.no_grad()
def error(sae: SAE, x: Float[Tensor, "... D"]) -> float:
    """Normalised MSE of an autoencoder on what it is trained on, a chunk at a time: layer-normed activations, or for a `Raw` raw ones."""
    flat = x.flatten(0, -2)
    through = (lambda part: sae.decode(sae.encode(part), part)) if isinstance(sae, Raw) else sae
    return normalised_mse(flat, torch.cat([through(part) for part in flat.split(CHUNK)]))


def dictionary(config: DictionaryConfig | PublishedConfig, which: str = "averaged") -> SAE:
    """The autoencoder of this configuration without gradients: trained, from the memo or now; or published, from this machine or fetched.

    Args:
        which: of a published one "averaged" is the one there is, and "untrained" a random one of the same size and sparsity.

    Raises:
        ValueError: these weights are not among those the configuration keeps.
        ConnectionError, SubjectError: a published one that is not here and cannot be fetched.
    """
    keep = ("averaged", "untrained") if isinstance(config, PublishedConfig) else config.keep
    if which not in keep:
        raise ValueError(f"the {which} weights were not kept: keep={keep}")
    if isinstance(config, PublishedConfig):
        return released.autoencoder(config) if which == "averaged" else released.untrained(config, heldout(config).resid)
    made = memo.memo(train_dictionary, config)
    tensors = {name.removeprefix(f"{which}/"): value for name, value in made.items() if name.startswith(f"{which}/")}
    sae = recipe.model_class(config.train.kind).from_tensors(tensors, config.train.k).to(run.device()).requires_grad_(False)
    return Raw(sae, factor=made["factor"].item()) if "factor" in made else sae


def history(config: DictionaryConfig) -> dict[str, np.ndarray]:
    """Columns of the training's history: tokens, mse, dead, l0, one entry per logged step."""
    made = memo.memo(train_dictionary, config)
    return {name.removeprefix("history/"): value.numpy() for name, value in made.items() if name.startswith("history/")}


def heldout_error(config: DictionaryConfig) -> float:
    """Normalised MSE of the averaged weights on held-out text."""
    return memo.memo(train_dictionary, config)["heldout/mse"]
