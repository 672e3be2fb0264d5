"""The subject model, opened: its tokens, its activations at a named site, its loss when the stream is replaced.

The bulk work runs on the bare Hugging Face module, one block after the other; `bridge` opens the same weights in
TransformerLens, and tests hold the two together. Works for every architecture that `families.FAMILIES` has a row for.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn

from companion.lm import download, families, sources, splicing
from companion.lm.sources import SubjectError
from companion.lm.training import token_losses

CHUNK = 8192  # tokens per forward pass: bounds the memory of the logits


def open_subject(folder: Path, step: int | None = None, device: str = "cpu", dtype: torch.dtype | None = None) -> "Subject":
    """Open what `sources.prepare` or `hub.prepare` made, or any folder with a causal language model of a known architecture, at its last
    or at an earlier step. The weights keep the dtype that they are stored in (or that the `HubConfig` asked for) unless `dtype` says another.

    Raises:
        SubjectError: the folder holds no model, one of an unknown architecture, or the step was not kept or published.
    """
    if not any((folder / file).is_file() for file in ("subject.json", "config.json")):
        raise SubjectError(f"{folder} holds no subject model (subject.json or config.json); make one with sources.prepare")
    steps, record = sources.kept_steps(folder), sources.record(folder)
    if step is not None and step not in steps:
        raise SubjectError(f"step {step} of {folder.name} was not kept; there are: {', '.join(map(str, steps)) or 'none'}")
    wanted = dtype or (getattr(torch, record["dtype"]) if record.get("dtype") else None)
    at = download.weights(record, step) if record["source"] == "hub" else folder if step is None else folder / f"checkpoint-{step}"
    model = families.load(at, wanted).to(device).requires_grad_(False)
    return Subject(model, record["name"], folder)


class Subject:
    """A decoder-only language model, with the tokens to study it on if it has a folder. Layers count from 0."""

    def __init__(self, model: nn.Module, name: str, folder: Path | None = None, tokenizer: Any = None):
        """A causal language model of `transformers` that is in memory, as it is: no copy, no change. `open_subject` opens those on disk.

        Raises:
            SubjectError: an unknown architecture, no unembedding, or a model in training mode.
        """
        self.family = families.family(model.config.model_type, name)
        if model.get_output_embeddings() is None:
            raise SubjectError(f"{name} has no unembedding: open it as a causal language model (AutoModelForCausalLM)")
        if model.training:
            raise SubjectError(f"{name} is in training mode, where dropout changes every number: call model.eval() first")
        self.model, self.folder = model, folder
        self.name = name
        """The model's own, on the hub or "python-stdlib-4l", to store beside whatever is computed from it."""
        self.config = model.config.get_text_config()
        self.trunk = model.get_submodule(self.family.trunk)
        self.blocks: nn.ModuleList = self.trunk.get_submodule(self.family.blocks)
        self.d_model: int = self.config.hidden_size
        self.device = next(model.parameters()).device
        self._tokenizer = tokenizer
        self._arguments: tuple[Any, list] = None, []
        """What each block is given beside the stream, and what that holds for."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, so of the activations and the logits; losses are in float32 at least."""
        return self.model.dtype

    @property
    def tokenizer(self) -> Any:
        """The model's own, from its folder unless it was given.

        Raises:
            SubjectError: neither a folder nor a tokenizer.
        """
        if self._tokenizer is None:
            if self.folder is None:
                raise SubjectError(f"{self.name} was opened without a tokenizer: Subject(model, name, tokenizer=...)")
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(self.folder)
        return self._tokenizer

    def tokens(self, split: str) -> Int[Tensor, "N T"]:
        """All contexts of a split, "train" or "heldout", on the CPU.

        Raises:
            SubjectError: the model was opened without texts.
        """
        if self.folder is None or not (self.folder / "tokens.safetensors").is_file():
            raise SubjectError(f"{self.name} was opened without texts: pass contexts of your own, token numbers of shape (N, T)")
        return load_file(self.folder / "tokens.safetensors")[split].long()

    def bridge(self):
        """The same weights as a TransformerLens bridge, raw (no folding, no centring). They are shared, and the subject stays as it is.

        Raises:
            SubjectError: a model that also reads pictures.
        """
        if self.config is not self.model.config:
            # TransformerLens 4.3 runs `pip install torchvision` by itself for these, which may replace the installed torch
            raise SubjectError(f"{self.name} also reads pictures, and TransformerLens would install packages to open it: there is no bridge of it")
        from transformer_lens.model_bridge import TransformerBridge

        # a bridge rebuilds the modules it is given and sets their attention to another implementation: it gets modules of its own
        held = {id(tensor): tensor for tensor in (*self.model.parameters(), *self.model.buffers())}
        own = copy.deepcopy(self.model, held)
        own.config.architectures = [type(own).__name__]  # it looks there, and a model that was never saved has none
        known = dict(hf_model=own, tokenizer=self.tokenizer, dtype=self.dtype)
        return TransformerBridge.boot_transformers(str(self.folder or self.name), device=str(self.device), **known)

    # --- activations ----------------------------------------------------------------------------------------------------

    def activations(self, tokens: Int[Tensor, "N T"], site: str) -> Float[Tensor, "N T D"]:
        """Activations at a TransformerLens site such as "blocks.2.hook_resid_post", every position; the forward pass stops there.

        Raises:
            SubjectError: no such site or layer in this architecture; the error lists those it has.
        """
        return torch.cat([self._reach(chunk, site) for chunk in self._chunks(tokens)])

    def residual(self, tokens: Int[Tensor, "N T"], layer: int) -> Float[Tensor, "N T D"]:
        """The residual stream after block `layer`."""
        return self.activations(tokens, f"blocks.{layer}.hook_resid_post")

    def pool(self, tokens: Int[Tensor, "N T"], site: str, generator: torch.Generator) -> Float[Tensor, "M D"]:
        """Activations of all positions as one list of vectors, shuffled across sequences. Its memory is the list and one chunk."""
        count, pool = tokens.numel(), None
        places = torch.randperm(count, generator=generator).to(self.device)
        for chunk, to in zip(self._chunks(tokens), places.split(self._contexts(tokens) * tokens.shape[1]), strict=True):
            vectors = self._reach(chunk, site).flatten(0, 1)
            pool = vectors.new_empty(count, vectors.shape[1]) if pool is None else pool
            pool[to] = vectors
        return pool

    # --- logits and losses ----------------------------------------------------------------------------------------------

    def unembedding(self) -> Float[Tensor, "V D"]:
        """A row per token of the vocabulary: what the normalised stream is multiplied with."""
        return self.model.get_output_embeddings().weight

    def final_gain(self) -> Float[Tensor, " D"]:
        """What the norm before the unembedding multiplies each channel with, after it has divided by the scale of the vector."""
        return self.trunk.get_submodule(self.family.norm).weight + self.family.gain

    def unembed(self, resid: Float[Tensor, "... D"]) -> Float[Tensor, "... V"]:
        """Logits of the stream after the last block: final norm, unembedding, and where there is a soft cap c, c tanh(logits / c)."""
        logits = self.model.get_output_embeddings()(self.trunk.get_submodule(self.family.norm)(resid))
        cap = getattr(self.config, self.family.soft_cap) if self.family.soft_cap else None
        return logits if cap is None else torch.tanh(logits / cap) * cap

    @torch.no_grad()
    def logits(self, tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Logits at every position: N T V numbers, so for few contexts."""
        last = f"blocks.{len(self.blocks) - 1}.hook_resid_post"
        return torch.cat([self.unembed(self._reach(chunk, last)) for chunk in self._chunks(tokens)])

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
        for above in range(layer + 1, len(self.blocks)):
            resid = self.block(resid, above)
        return self.unembed(resid[:, positions])

    def spliced(self, saes: Mapping[str, splicing.Coder], *, error_term: bool = False) -> AbstractContextManager[splicing.Run]:
        """The model with autoencoders in the place of its activations, inside a `with` block: `splicing.Run`.

        Whatever runs the model in the block, `losses`, `activations` or `model.generate`, runs it spliced; afterwards it is as before,
        also after an exception. No gradient passes through an autoencoder of this package.

        Args:
            saes: by site, such as "blocks.2.hook_resid_post". An autoencoder must be on the model's device. At hook_resid_mid it takes the
                place of the stream itself; the hook of that name in a bridge changes only what the norm before the MLP reads.
            error_term: add x - decode(encode(x)), so that only what is edited changes anything.

        Raises:
            SubjectError: no such site, an autoencoder of another width or site, or the model is spliced already.
        """
        return splicing.spliced(self, saes, error_term)

    def block(self, resid: Float[Tensor, "N T D"], layer: int) -> Float[Tensor, "N T D"]:
        """The stream after block `layer` when it is `resid` before: the block with the masks and positions that the model gives it."""
        held_for = resid.shape[1], resid.dtype, resid.device, self.config._attn_implementation
        if self._arguments[0] != held_for:
            self._arguments = held_for, self._given(resid)
        positional, named = self._arguments[1][layer]
        return self.blocks[layer](resid, *positional, **named)

    @torch.no_grad()
    def _given(self, like: Float[Tensor, "N T D"]) -> list[tuple[tuple, dict]]:
        """What the model gives each block beside the stream, in a pass of one context of this length; it depends on no token."""
        given = []

        def note(_, positional, named):
            given.append((positional[1:], named))
            if len(given) == len(self.blocks):
                raise _Reached

        handles = [block.register_forward_pre_hook(note, with_kwargs=True) for block in self.blocks]
        try:
            self.trunk(inputs_embeds=like.new_zeros(1, *like.shape[1:]), use_cache=False)
        except _Reached:
            return given
        finally:
            for handle in handles:
                handle.remove()
        raise SubjectError(f"{self.name} does not run its blocks one after the other")

    def _losses(self, resid: Tensor, tokens: Tensor, layer: int) -> Tensor:
        logits = self.logits_from(resid, layer, slice(0, -1))
        return token_losses(logits.to(torch.promote_types(logits.dtype, torch.float32)), tokens)  # a loss in bfloat16 has two digits

    def _chunks(self, batch: Tensor) -> Iterator[Tensor]:
        return (chunk.to(self.device) for chunk in batch.split(self._contexts(batch)))

    def _contexts(self, batch: Tensor) -> int:
        return max(1, CHUNK // batch.shape[1])

    @torch.no_grad()
    def _reach(self, tokens: Int[Tensor, "N T"], site: str) -> Float[Tensor, "N T D"]:
        module, side, _ = self.locate(site)

        def stop(_, inputs, output=None):
            value = inputs[0] if side == "in" else output
            raise _Reached(value[0] if isinstance(value, tuple) else value)

        handle = module.register_forward_pre_hook(stop) if side == "in" else module.register_forward_hook(stop)
        try:
            self.trunk(tokens, use_cache=False)
        except _Reached as reached:
            return reached.args[0]
        finally:
            handle.remove()

    def locate(self, site: str) -> tuple[nn.Module, str, nn.Module]:
        """The module of a site, which side of it is meant, "in" or "out", and the block that it lies in.

        Raises:
            SubjectError: no such site or layer in this architecture.
        """
        prefix, _, rest = site.partition(".")
        layer, _, name = rest.partition(".")
        sites = families.sites(self.family, self.config)
        if prefix != "blocks" or name not in sites or not layer.isdigit() or int(layer) >= len(self.blocks):
            known = ", ".join(f"blocks.<0-{len(self.blocks) - 1}>.{name}" for name in sites)
            raise SubjectError(f"{site!r} is no site of {self.name} ({self.config.model_type}); sites are {known}")
        path, side = sites[name]
        block = self.blocks[int(layer)]
        return block.get_submodule(path), side, block


class _Reached(Exception):
    """Ends a forward pass at a site, with the activations there."""
