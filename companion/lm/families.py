"""Decoder-only language models by architecture: where their parts live, and how their logits are finished.

A row per `model_type` of the model's config.json. To add an architecture whose modules are named and arranged like those of a known
one, give it that row; otherwise write a `Family`:

    families.FAMILIES["mistral"] = families.FAMILIES["llama"]

and compare `logits_from(residual(tokens, layer), layer)` with the model's own logits, as tests/lm/test_families.py does for every row.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from companion.lm.sources import SubjectError
from companion.lm.training import quiet_transformers

Site = tuple[str, str]
"""A submodule of the block ("" for the block itself), and which side of it: "in" or "out"."""


@dataclass(frozen=True)
class Family:
    """Paths are those of `nn.Module.get_submodule`. The unembedding is what `get_output_embeddings` gives."""

    trunk: str
    """From the model: the module that takes tokens to the last hidden state."""
    blocks: str
    """From the trunk: the list of blocks. Each takes the residual stream first and returns it."""
    norm: str
    """From the trunk: the norm after the last block."""
    sites: dict[str, Site]
    """TransformerLens name within a block -> where it is read."""
    parallel: str = ""
    """Name in the config of the switch under which attention and MLP read one stream, so that there is no hook_resid_mid."""
    soft_cap: str = ""
    """Name in the config of the c in logits = c tanh(logits / c)."""
    gain: float = 0.0
    """What the final norm adds to its weight before it multiplies with it."""


GPT2_SITES = {
    "hook_resid_pre": ("", "in"),
    "hook_attn_out": ("attn", "out"),
    "hook_resid_mid": ("ln_2", "in"),
    "mlp.hook_post": ("mlp.act", "out"),
    "hook_mlp_out": ("mlp", "out"),
    "hook_resid_post": ("", "out"),
}
NEOX_SITES = GPT2_SITES | {"hook_attn_out": ("attention", "out"), "hook_resid_mid": ("post_attention_layernorm", "in")}
# what a gated MLP multiplies with its last matrix is act(gate) * up, which is no module's output
GATED_MLP = {"mlp.hook_post": ("mlp.down_proj", "in")}
LLAMA_SITES = NEOX_SITES | GATED_MLP | {"hook_attn_out": ("self_attn", "out")}
# these normalise what attention and MLP wrote before it is added to the stream: TransformerLens hooks what is added
GEMMA2_SITES = LLAMA_SITES | {
    "hook_attn_out": ("post_attention_layernorm", "out"),
    "hook_resid_mid": ("pre_feedforward_layernorm", "in"),
    "hook_mlp_out": ("post_feedforward_layernorm", "out"),
}

FAMILIES = {
    "gpt2": Family("transformer", "h", "ln_f", GPT2_SITES),
    "gpt_neox": Family("gpt_neox", "layers", "final_layer_norm", NEOX_SITES, parallel="use_parallel_residual"),
    "llama": Family("model", "layers", "norm", LLAMA_SITES),
    "gemma": Family("model", "layers", "norm", LLAMA_SITES, gain=1.0),
    "gemma2": Family("model", "layers", "norm", GEMMA2_SITES, soft_cap="final_logit_softcapping", gain=1.0),
    "gemma3_text": Family("model", "layers", "norm", GEMMA2_SITES, soft_cap="final_logit_softcapping", gain=1.0),
    "gemma3": Family("model.language_model", "layers", "norm", GEMMA2_SITES, gain=1.0),  # reads pictures too, by a part that text alone does not use
}
"""By `model_type`: GPT-2, Pythia, Llama, Gemma 1 to 3."""


def family(model_type: str, name: str) -> Family:
    """The row of an architecture; `name` says whose it is.

    Raises:
        SubjectError: there is none.
    """
    if model_type not in FAMILIES:
        raise SubjectError(
            f"{name} is of the architecture {model_type!r}; known are {', '.join(FAMILIES)}. If its modules are named and arranged like those of"
            f" one of these, add a row before opening it: families.FAMILIES[{model_type!r}] = families.FAMILIES['llama']; otherwise write a"
            " companion.lm.families.Family for it"
        )
    return FAMILIES[model_type]


def sites(row: Family, config) -> dict[str, Site]:
    """The sites that a model with this config has."""
    without = {"hook_resid_mid"} if row.parallel and getattr(config, row.parallel) else set()
    return {name: site for name, site in row.sites.items() if name not in without}


def architecture(folder: Path) -> str:
    """`model_type` of a folder's config.json, if `FAMILIES` has it.

    Raises:
        SubjectError: no config.json, or an architecture without a row.
    """
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError) as error:
        raise SubjectError(f"{folder} holds no model that can be opened: {error!r}") from error
    family(model_type, str(folder))
    return model_type


def load(folder: Path, dtype: torch.dtype | None = None) -> nn.Module:
    """The causal language model of a local folder, in evaluation mode, its weights as they are stored or in `dtype`.

    Raises:
        SubjectError: an unknown architecture, or files that are missing, damaged or of another model.
    """
    from transformers import AutoModelForCausalLM

    architecture(folder)
    quiet_transformers()
    try:
        model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto", output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise SubjectError(f"{folder} holds no model that can be opened: {error}") from error
    if missing := sorted(info["missing_keys"]):
        raise SubjectError(f"the weights in {folder} lack {len(missing)} tensors of the model, {missing[0]} for one")
    return model.eval()
