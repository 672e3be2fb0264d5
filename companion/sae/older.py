"""Configurations of SAELens before version 6, which has flat keys and other names, in the form that `formats` reads.

Three generations are in use: `hook_point` (to 2), `hook_name` with `activation_fn_str` (3 to 5), and files that state no version.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from companion.sae.weights import FormatError, require

RENAMED = dict(
    hook_point="hook_name",
    hook_point_layer="layer",
    hook_layer="layer",
    hook_point_head_index="hook_head_index",
    activation_fn_str="activation_fn",
    total_training_tokens="tokens",
    training_tokens="tokens",
)
DEFAULTS = dict(
    architecture="standard",
    activation_fn="relu",
    activation_fn_kwargs={},
    apply_b_dec_to_input=True,
    normalize_activations="none",
    finetuning_scaling_factor=False,
    hook_head_index=None,
    is_transcoder=False,
)
STRUCTURE = ("architecture", "d_in", "d_sae", "dtype", "device", "apply_b_dec_to_input", "normalize_activations", "finetuning_scaling_factor", "k")
"""What says how to compute; the rest of a flat file is provenance."""
SCALES = ("scaling_factor", "finetuning_scaling_factor")
"""Names of a tensor that multiplies the latents before they are decoded."""


def current(where: Path, config: dict[str, Any]) -> dict[str, Any]:
    """A flat configuration in the form of version 6, with what was a default when it was written.

    Raises:
        FormatError: another activation function than relu and TopK, one head of several, or a transcoder.
    """
    flat = DEFAULTS | {RENAMED.get(key, key): value for key, value in config.items() if value is not None}
    for key, wanted in dict(activation_fn=("relu", "topk"), hook_head_index=[None], is_transcoder=[False]).items():
        require(where, key, flat[key], wanted)
    if flat["activation_fn"] == "topk":
        require(where, "architecture of a TopK activation", flat["architecture"], ["standard", "topk"])
        flat["architecture"] = "topk"
        flat |= {key: value for key, value in flat["activation_fn_kwargs"].items() if key == "k"}
    if isinstance(flat["normalize_activations"], bool):
        flat["normalize_activations"] = "expected_average_only_in" if flat["normalize_activations"] else "none"
    merged = flat.get("reshape_activations") == "hook_z" or str(flat.get("hook_name")).endswith("_z")  # one vector of all heads
    provenance = {key: value for key, value in flat.items() if key not in (*STRUCTURE, "metadata", "reshape_activations")}
    found = {key: flat[key] for key in STRUCTURE if key in flat} | dict(reshape_activations="hook_z" if merged else "none")
    return found | dict(metadata=provenance | config["metadata"])


def scales(where: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> Tensor | None:
    """Takes the factors of the latents out of an older file's tensors: what z is multiplied by before it is decoded, None if nothing.

    For a while every file had them, all ones. Others must be announced by `finetuning_scaling_factor`.

    Raises:
        FormatError: factors that are not ones and are not announced, of another number than the latents, or not finite.
    """
    found = [tensors.pop(name) for name in SCALES if name in tensors]
    if not found or all(bool((tensor == 1).all()) for tensor in found):
        return None
    require(where, "number of tensors of factors", len(found), [1])
    require(where, "shape of the factors", tuple(found[0].shape), [(config["d_sae"],)])
    if not config["finetuning_scaling_factor"]:
        raise FormatError(f"{where}: the file holds factors of its latents that are not ones, and says that they are not in use")
    if not bool(torch.isfinite(found[0]).all()):
        raise FormatError(f"{where}: factors of the latents are NaN or infinite")
    return found[0].float()
