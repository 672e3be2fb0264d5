"""The subject model, opened: its tokens, its activations at a named site, its loss when the stream is replaced.

The bulk work runs on the bare Hugging Face module, one block after the other; `bridge` opens the same weights in
TransformerLens, and tests hold the two together. Works for every model of the GPT-2 architecture.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn

from companion.lm.sources import SubjectError, kept_steps, open_model
from companion.lm.training import token_losses

SITES = {  # TransformerLens name within a block -> (submodule of the block, which side of it)
    "hook_resid_pre": ("", "in"),
    "hook_attn_out": ("attn", "out"),
    "hook_resid_mid": ("ln_2", "in"),
    "mlp.hook_post": ("mlp.act", "out"),
    "hook_mlp_out": ("mlp", "out"),
    "hook_resid_post": ("", "out"),
}
CHUNK = 8192  # tokens per forward pass: bounds the memory of the logits


def open_subject(folder: Path, step: int | None = None, device: str = "cpu") -> "Subject":
    """Open what `sources.prepare` made, at its last or at an earlier step.

    Raises:
        SubjectError: the folder holds no subject, or the step was not kept or published.
    """
    if not ((folder / "tokens.safetensors").is_file() and (folder / "subject.json").is_file()):
        raise SubjectError(f"{folder} holds no subject model (tokens.safetensors and subject.json); make one with sources.prepare")
    steps = kept_steps(folder)
    if step is not None and step not in steps:
        raise SubjectError(f"step {step} of {folder.name} was not kept; there are: {', '.join(map(str, steps)) or 'none'}")
    return Subject(folder, open_model(folder, step).to(device).eval().requires_grad_(False))


class Subject:
    """A model of the GPT-2 architecture with the tokens to study it on. Layers count from 0."""

    def __init__(self, folder: Path, model: nn.Module):
        self.folder, self.model = folder, model
        self.blocks: nn.ModuleList = model.transformer.h
        self.d_model: int = model.config.n_embd
        self.device = next(model.parameters()).device
        self.name: str = json.loads((folder / "subject.json").read_text(encoding="utf-8"))["name"]
        """The model's own, on the hub or "python-stdlib-4l", to store beside whatever is computed from it."""

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
        """Activations of all positions as one list of vectors, shuffled across sequences. Its memory is the list and one chunk."""
        count, pool = tokens.numel(), None
        places = torch.randperm(count, generator=generator).to(self.device)
        for chunk, to in zip(self._chunks(tokens), places.split(self._contexts(tokens) * tokens.shape[1]), strict=True):
            vectors = self._reach(chunk, site).flatten(0, 1)
            pool = vectors.new_empty(count, vectors.shape[1]) if pool is None else pool
            pool[to] = vectors
        return pool

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
        return (chunk.to(self.device) for chunk in batch.split(self._contexts(batch)))

    def _contexts(self, batch: Tensor) -> int:
        return max(1, CHUNK // batch.shape[1])

    @torch.no_grad()
    def _reach(self, tokens: Int[Tensor, "N T"], site: str) -> Float[Tensor, "N T D"]:
        module, side = self._locate(site)

        def stop(_, inputs, output):
            value = inputs[0] if side == "in" else output
            raise _Reached(value[0] if isinstance(value, tuple) else value)

        handle = module.register_forward_hook(stop)
        try:
            self.model.transformer(tokens, use_cache=False)
        except _Reached as reached:
            return reached.args[0]
        finally:
            handle.remove()

    def _locate(self, site: str) -> tuple[nn.Module, str]:
        prefix, _, rest = site.partition(".")
        layer, _, name = rest.partition(".")
        if prefix != "blocks" or name not in SITES or not layer.isdigit() or int(layer) >= len(self.blocks):
            known = ", ".join(f"blocks.<0-{len(self.blocks) - 1}>.{name}" for name in SITES)
            raise SubjectError(f"{site!r} is no site of {self.name}; sites are {known}")
        path, side = SITES[name]
        return self.blocks[int(layer)].get_submodule(path), side


class _Reached(Exception):
    """Ends a forward pass at a site, with the activations there."""
