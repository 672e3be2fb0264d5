"""Autoencoders on disk, in the layout that SAELens reads: cfg.json beside sae_weights.safetensors.

    W_enc (D, L)   b_enc (L)   W_dec (L, D)   b_dec (D), our b_pre

What made the file stands in cfg.json under `metadata`, and is checked when it is opened.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from companion.sae.models import TopK

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
REQUIRED = ("model_name", "hook_name", "layer", "tokens", "seed", "normalised_mse", "dead_share")
NORMALISATION = "layer_norm"
WRITTEN_FOR = "6.0.0"
"""The SAELens version whose format this is. Without it SAELens takes the file for an older one."""


class FormatError(ValueError):
    """A folder is not the autoencoder that was asked for: what is wrong, where, and what was expected."""


def save(sae: TopK, folder: Path | str, provenance: dict[str, Any]) -> None:
    """Write an autoencoder and where it comes from, replacing what was in `folder`; all or nothing.

    Args:
        provenance: at least model_name, hook_name (the site), layer, tokens (activations trained on), seed,
            normalised_mse (`evals.reconstruction.normalised_mse`) and dead_share. n, k, normalisation and sha256 are added.

    Raises:
        ValueError: the provenance lacks an entry.
    """
    if missing := [name for name in REQUIRED if name not in provenance]:
        raise ValueError(f"the provenance of {folder} lacks {', '.join(missing)}")
    folder = Path(folder)
    partial, previous = (folder.with_name(f"{folder.name}.{os.getpid()}.{kind}") for kind in ("partial", "previous"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.mkdir()
        save_file(_to_file(sae), partial / WEIGHTS)
        (partial / CONFIG).write_text(json.dumps(_config(sae, provenance, _sha256(partial / WEIGHTS)), indent=1))
        if folder.exists():
            folder.rename(previous)
        partial.rename(folder)
    finally:
        if previous.exists() and not folder.exists():  # interrupted between the two renames
            previous.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)


def load(folder: Path | str, *, d_model: int | None = None, hook_name: str | None = None, model_name: str | None = None) -> TopK:
    """Open an autoencoder that `save` wrote, or a TopK one of SAELens with layer norm.

    Args:
        d_model: width, site and model it is wanted for. Those that are given must agree with the file.

    Raises:
        FormatError: no autoencoder there, not a TopK one in this space, tensors missing, left over or misshapen, weights
            that are not those the file was sealed with, or another width, site or model than asked for.
    """
    folder = Path(folder)
    config = describe(folder)
    metadata = config.get("metadata", {})
    _require(folder, "architecture", config.get("architecture"), "topk")
    _require(folder, "normalize_activations", config.get("normalize_activations"), NORMALISATION)
    _require(folder, "width", config.get("d_in"), d_model)
    _require(folder, "site", metadata.get("hook_name"), hook_name)
    _require(folder, "model", metadata.get("model_name"), model_name)
    _require(folder, "sha256 of the weights", _sha256(folder / WEIGHTS), metadata.get("sha256"))
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise FormatError(f"{folder / WEIGHTS} is no intact safetensors file: {error}") from error
    n, d = config["d_sae"], config["d_in"]
    _require(
        folder, "tensors", {name: tuple(t.shape) for name, t in sorted(tensors.items())}, dict(W_dec=(n, d), W_enc=(d, n), b_dec=(d,), b_enc=(n,))
    )
    return TopK(tensors["W_enc"].T, tensors["W_dec"], tensors["b_enc"], tensors["b_dec"], config["k"])


def describe(folder: Path | str) -> dict[str, Any]:
    """cfg.json of an autoencoder's folder; its provenance stands under `metadata`.

    Raises:
        FormatError: the folder holds no autoencoder in this layout.
    """
    folder = Path(folder)
    if absent := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise FormatError(f"{folder} holds no autoencoder: {' and '.join(absent)} not found")
    try:
        config = json.loads((folder / CONFIG).read_text())
    except ValueError as error:
        raise FormatError(f"{folder / CONFIG} is not JSON: {error}") from error
    if absent := [key for key in ("architecture", "d_in", "d_sae", "k") if key not in config]:
        raise FormatError(f"{folder / CONFIG} does not describe a TopK autoencoder: {', '.join(absent)} not found")
    return config


def _to_file(sae: TopK) -> dict[str, Any]:
    own = {name: tensor.cpu() for name, tensor in sae.tensors().items()}
    return dict(W_enc=own["W_enc"].T.contiguous(), W_dec=own["W_dec"].contiguous(), b_enc=own["b_enc"], b_dec=own["b_pre"])


def _config(sae: TopK, provenance: dict[str, Any], sha256: str) -> dict[str, Any]:
    fixed = dict(architecture="topk", dtype="float32", device="cpu", apply_b_dec_to_input=True, normalize_activations=NORMALISATION)
    fixed |= dict(reshape_activations="none", rescale_acts_by_decoder_norm=False, d_in=sae.d, d_sae=sae.n, k=sae.k)
    known = dict(sae_lens_version=WRITTEN_FOR, sae_lens_training_version=None, normalisation=NORMALISATION, n=sae.n, k=sae.k, sha256=sha256)
    return fixed | {"metadata": provenance | known}


def _require(folder: Path, what: str, found: Any, wanted: Any) -> None:
    if wanted is not None and found != wanted:
        raise FormatError(f"{folder}: {what} is {found}, but {wanted} is wanted")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
