"""The subject model, opened: its tokens, its activations at a named site, its loss when the stream is replaced.

The bulk work runs on the bare Hugging Face module, one block after the other; `bridge` opens the same weights in
TransformerLens, and tests hold the two together. Works for every model of the GPT-2 architecture.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from companion.lm.training import SubjectConfig, token_losses, train

SITES = {  # TransformerLens name within a block -> (submodule of the block, which side of it)
    "hook_resid_pre": ("", "in"),
    "hook_attn_out": ("attn", "out"),
    "hook_resid_mid": ("ln_2", "in"),
    "mlp.hook_post": ("mlp.act", "out"),
    "hook_mlp_out": ("mlp", "out"),
    "hook_resid_post": ("", "out"),
}
CHUNK = 8192  # tokens per forward pass: bounds the memory of the logits


class SubjectError(RuntimeError):
    """A folder, hub name, checkpoint or site that is not what it was taken for."""


@dataclass(frozen=True)
class HubConfig:
    """A published model instead of an offline one: for the `paper` profile, where there is a network."""

    name: str
    """Hub name, e.g. "gpt2" or "stanford-crfm/alias-gpt2-small-x21"."""
    revision: str
    """Commit of the weights: a download is pinned."""
    steps: tuple[int, ...] = ()
    """Published training steps to use, each the revision checkpoint-<step>."""
    dataset: str = "Skylion007/openwebtext"
    dataset_revision: str = "main"
    context: int = 64
    train_contexts: int = 400_000
    heldout_contexts: int = 8_000


def prepare(folder: Path, config: SubjectConfig | HubConfig) -> None:
    """Fill `folder` with a subject that `open_subject` opens: train it here, or note where it is published and take tokens.

    Use as `memo.memo_folder(subject.prepare, config)`.
    """
    if isinstance(config, SubjectConfig):
        return train(folder, config)
    return _prepare_published(folder, config)


def _prepare_published(folder: Path, config: HubConfig) -> None:
    tokenizer = _from_hub(lambda hub: hub.AutoTokenizer.from_pretrained(config.name, revision=config.revision), config.name)
    tokenizer.save_pretrained(folder)
    wanted = config.heldout_contexts + config.train_contexts
    contexts = torch.tensor(list(_web_contexts(tokenizer, config, wanted)), dtype=torch.int32)
    save_file({"heldout": contexts[: config.heldout_contexts], "train": contexts[config.heldout_contexts :]}, folder / "tokens.safetensors")
    published = {"name": config.name, "revision": config.revision, "steps": config.steps}
    (folder / "published.json").write_text(json.dumps(published))


def _web_contexts(tokenizer, config: HubConfig, wanted: int) -> Iterator[list[int]]:
    import datasets

    texts = _from_hub(
        lambda _: datasets.load_dataset(config.dataset, revision=config.dataset_revision, split="train", streaming=True), config.dataset
    )
    stream: list[int] = []
    for row in texts:
        stream += [*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]
        while len(stream) >= config.context:
            yield stream[: config.context]
            stream, wanted = stream[config.context :], wanted - 1
            if wanted == 0:
                return


def _from_hub(load: Callable, what: str):
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        return load(transformers)
    except OSError as error:
        raise SubjectError(
            f"{what} could not be fetched: {error}. It needs a network (or a filled Hugging Face cache), and a published name."
        ) from error


def open_subject(folder: Path, step: int | None = None, device: str = "cpu") -> "Subject":
    """Open what `prepare` made, at its last or at an earlier step.

    Raises:
        SubjectError: the folder holds no subject, or the step was not kept or published.
    """
    folder = Path(folder)
    if not (folder / "tokens.safetensors").is_file() or not ((folder / "config.json").is_file() or (folder / "published.json").is_file()):
        raise SubjectError(f"{folder} holds no subject model (tokens.safetensors with config.json or published.json); make one with subject.prepare")
    steps = kept_steps(folder)
    if step is not None and step not in steps:
        raise SubjectError(f"step {step} of {folder.name} was not kept; there are: {', '.join(map(str, steps))}")
    model = _published_model(folder, step) if (folder / "published.json").is_file() else _local_model(folder, step)
    return Subject(folder, model.to(device).eval().requires_grad_(False))


def kept_steps(folder: Path) -> list[int]:
    """Training steps of which the subject's weights can be opened, in order."""
    published = folder / "published.json"
    if published.is_file():
        return list(json.loads(published.read_text())["steps"])
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))


def _local_model(folder: Path, step: int | None) -> nn.Module:
    return _from_hub(lambda hub: hub.GPT2LMHeadModel.from_pretrained(folder if step is None else folder / f"checkpoint-{step}"), str(folder))


def _published_model(folder: Path, step: int | None) -> nn.Module:
    published = json.loads((folder / "published.json").read_text())
    revision = published["revision"] if step is None else f"checkpoint-{step}"
    return _from_hub(lambda hub: hub.GPT2LMHeadModel.from_pretrained(published["name"], revision=revision), f"{published['name']} at {revision}")


class Subject:
    """A model of the GPT-2 architecture with the tokens to study it on. Layers count from 0."""

    def __init__(self, folder: Path, model: nn.Module):
        self.folder, self.model = folder, model
        self.blocks: nn.ModuleList = model.transformer.h
        self.d_model: int = model.config.n_embd
        self.device = next(model.parameters()).device

    @property
    def name(self) -> str:
        """Identity to store beside whatever is computed from this model."""
        return self.folder.name

    def tokens(self, split: str) -> Int[Tensor, "N T"]:
        """All contexts of a split, "train" or "heldout", on the CPU."""
        return load_file(self.folder / "tokens.safetensors")[split].long()

    def bridge(self):
        """The same weights as a TransformerLens bridge, raw (no folding, no centring)."""
        from transformer_lens.model_bridge import TransformerBridge
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.folder)
        return TransformerBridge.boot_transformers(str(self.folder), hf_model=self.model, tokenizer=tokenizer, device=str(self.device))

    def activations(self, tokens: Int[Tensor, "N T"], site: str) -> Float[Tensor, "N T D"]:
        """Activations at a TransformerLens site such as "blocks.2.hook_resid_post", every position; the forward pass stops there.

        Raises:
            SubjectError: no such site or layer; `SITES` lists the sites.
        """
        return torch.cat([self._reach(chunk, site) for chunk in self._chunks(tokens)])

    def residual(self, tokens: Int[Tensor, "N T"], layer: int) -> Float[Tensor, "N T D"]:
        """The residual stream after block `layer`."""
        return self.activations(tokens, f"blocks.{layer}.hook_resid_post")

    def pool(self, tokens: Int[Tensor, "N T"], site: str, generator: torch.Generator) -> Float[Tensor, "M D"]:
        """Activations of all positions as one list of vectors, shuffled across sequences."""
        flat = self.activations(tokens, site).flatten(0, 1)
        return flat[torch.randperm(len(flat), generator=generator).to(flat.device)]

    @torch.no_grad()
    def losses(self, tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T-1"]:
        """Cross-entropy in nats of each token given those before it."""
        last = len(self.blocks) - 1
        return torch.cat([self._losses(self._reach(chunk, f"blocks.{last}.hook_resid_post"), chunk, last) for chunk in self._chunks(tokens)])

    @torch.no_grad()
    def losses_from(self, resid: Float[Tensor, "N T D"], tokens: Int[Tensor, "N T"], layer: int) -> Float[Tensor, "N T-1"]:
        """The same losses when the residual stream after block `layer` is `resid`."""
        parts = zip(self._chunks(resid), self._chunks(tokens), strict=True)
        return torch.cat([self._losses(part, chunk, layer) for part, chunk in parts])

    @torch.no_grad()
    def logits_from(self, resid: Float[Tensor, "N T D"], layer: int, positions: slice = slice(None)) -> Float[Tensor, "N P V"]:
        """Logits at `positions` when the residual stream after block `layer` is `resid`: the blocks above, run on it."""
        for block in self.blocks[layer + 1 :]:
            resid = block(resid)
        return self.model.lm_head(self.model.transformer.ln_f(resid[:, positions]))

    def _losses(self, resid: Tensor, tokens: Tensor, layer: int) -> Tensor:
        return token_losses(self.logits_from(resid, layer, slice(0, -1)), tokens)

    def _chunks(self, batch: Tensor) -> Iterator[Tensor]:
        return (chunk.to(self.device) for chunk in batch.split(max(1, CHUNK // batch.shape[1])))

    @torch.no_grad()
    def _reach(self, tokens: Int[Tensor, "N T"], site: str) -> Float[Tensor, "N T D"]:
        with self._capture(site) as caught:
            try:
                self.model.transformer(tokens, use_cache=False)
            except _Reached:
                return caught[0]
        raise SubjectError(f"the forward pass of {self.name} never came to {site}")

    @contextmanager
    def _capture(self, site: str) -> Iterator[list[Tensor]]:
        block, path, side = self._locate(site)
        module, caught = block.get_submodule(path), []

        def stop(_, inputs, output=None):
            value = inputs[0] if side == "in" else output
            caught.append(value[0] if isinstance(value, tuple) else value)
            raise _Reached

        handle = module.register_forward_pre_hook(stop) if side == "in" else module.register_forward_hook(stop)
        try:
            yield caught
        finally:
            handle.remove()

    def _locate(self, site: str) -> tuple[nn.Module, str, str]:
        prefix, _, rest = site.partition(".")
        layer, _, name = rest.partition(".")
        if prefix != "blocks" or name not in SITES or not layer.isdigit() or int(layer) >= len(self.blocks):
            known = ", ".join(f"blocks.<0-{len(self.blocks) - 1}>.{name}" for name in SITES)
            raise SubjectError(f"{site!r} is no site of {self.name}; sites are {known}")
        return self.blocks[int(layer)], *SITES[name]


class _Reached(Exception):
    pass
