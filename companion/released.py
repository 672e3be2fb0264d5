"""Autoencoders that others have trained and published, by configuration. `dictionaries.dictionary` opens them like those trained here.

Their files are kept apart from what is memoised: no edit of code downloads them again.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from companion import run
from companion.lm import hub, sources
from companion.sae import formats, published, recipe
from companion.sae.models import Autoencoder, normalise
from companion.sae.recipe import TrainConfig
from companion.sae.weights import Raw

CHUNK = 4096
"""Vectors encoded at once: a ReLU's code has an entry per latent."""
RES_JB = "gpt2-small-res-jb"
RES_JB_AT = ("jbloom/GPT2-Small-SAEs-Reformatted", "57d08a4fd333fbf18caf3fbea63ceeb88e2f50d9")
"""Repository of the hub and its commit: folders as SAELens wrote them before version 6, ReLU, of GPT-2 with centred weights."""
RELEASES = ("v5_32k", "v5_128k", RES_JB)
"""Published autoencoders of the residual stream of GPT-2 small, all layers: OpenAI's two (TopK, k = 32), and RES_JB."""


@dataclass(frozen=True)
class PublishedConfig:
    """A published autoencoder of GPT-2 small, and the text to measure it on. Nothing is trained; a network is needed once.

    Raises:
        ValueError: no such release or layer, or another subject than the one that all of them are of.
    """

    subject: sources.HubConfig
    """GPT-2 small with its text. Of the contexts only the held-out ones are used: few training contexts make a short download."""
    release: str
    """One of `RELEASES`."""
    layer: int
    """Block after which the residual stream is taken, from 0, as in `DictionaryConfig`."""
    heldout: int = 192
    """Held-out contexts for every measurement."""
    seed: int = 0
    """Of the untrained one beside it."""

    def __post_init__(self):
        if self.release not in RELEASES:
            raise ValueError(f"no published release {self.release!r}; there are {', '.join(RELEASES)}")
        if self.layer not in range(published.LAYERS) or self.subject.name.rpartition("/")[2] != "gpt2":
            has = f"the layers 0 to {published.LAYERS - 1} of gpt2"
            raise ValueError(f"{self.release} is of {has}, and not of {self.subject.name}, layer {self.layer}")

    @property
    def site(self) -> str:
        """TransformerLens name of the site."""
        return f"blocks.{self.layer}.hook_resid_post"


def autoencoder(config: PublishedConfig) -> Autoencoder | Raw:
    """The published one, from this machine or fetched, without gradients.

    Raises:
        ConnectionError, SubjectError: it is not here and cannot be fetched.
        FormatError: the file is not what it was at its first use, or not the autoencoder that was asked for.
    """
    if config.release == RES_JB:
        sae = _from_hub(f"blocks.{config.layer + 1}.hook_resid_pre" if config.layer + 1 < published.LAYERS else config.site)
    else:
        sae = published.openai(config.release, "hook_resid_post", config.layer, run.cache_root() / "published")
    _arithmetic(sae).requires_grad_(False)
    return sae.to(run.device())


def _arithmetic(sae: Autoencoder | Raw) -> Autoencoder:
    return sae.sae if isinstance(sae, Raw) else sae


def _from_hub(site: str) -> Autoencoder | Raw:
    from huggingface_hub import snapshot_download

    name, commit = RES_JB_AT
    wanted = [f"{site}/{file}" for file in (formats.CONFIG, formats.WEIGHTS)]
    folder = hub.from_hub(lambda: snapshot_download(name, revision=commit, allow_patterns=wanted), f"{site} of {name} at {commit}")
    return formats.load(Path(folder) / site, hook_name=site, model_name="gpt2")


def untrained(config: PublishedConfig, resid: Float[Tensor, "N T D"]) -> Autoencoder:
    """What a training would start from (`recipe.start`): TopK with as many latents as the published one, and on average as many active.

    Args:
        resid: the stream on held-out text. Position 0 is left out: in GPT-2 it is like no other.
    """
    sae, acts = autoencoder(config), resid[:, 1:].flatten(0, 1)
    active = torch.cat([(sae.encode(part).values > 0).sum(dim=-1) for part in acts.split(CHUNK)])
    own, count = _arithmetic(sae), max(1, round(active.double().mean().item()))
    like = TrainConfig(n=own.n, k=own.k or count, steps=1, batch=1)
    start = run.generator(config.seed, "start", device=run.device())
    return recipe.start(normalise(acts[: like.median_sample]).x, like, start).requires_grad_(False)
