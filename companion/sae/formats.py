"""Autoencoders on disk, in the layout that SAELens reads: cfg.json beside sae_weights.safetensors.

    W_enc (D, L)   W_dec (L, D)   b_dec (D), our b_pre   b_enc (L)
    jumprelu: threshold (L) besides;   gated: b_gate, r_mag, b_mag (L), the last in place of b_enc

Our kinds that infer alike share one of its architectures (`KINDS`); which it was stands under `metadata`, with everything
else that is known about the file, and is checked when it is opened. `normalize_activations` is the space: "layer_norm" is
ours, `models.normalise`; the others open as `Raw`. Folders of SAELens before 6 are read through `older.current`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from companion import files
from companion.sae import older
from companion.sae.models import Autoencoder
from companion.sae.recipe import model_class
from companion.sae.weights import (
    NONE,
    SPACES,
    FormatError,
    Raw,
    checked,
    folded,
    from_file,
    read_json,
    require,
    restore,
    safetensors,
    sha256,
    to_file,
    write_json,
)

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
KINDS = dict(
    topk=("topk", "multi_topk"), standard=("relu", "relu_norm"), jumprelu=("jumprelu", "batch_topk", "matryoshka"), gated=("gated",)
)  # fmt: skip
"""SAELens' architectures, and our kinds that infer so; a file that does not say is of the first."""
BARE = dict(W_enc="W_enc", W_dec="W_dec", b_enc="b_enc", b_pre="b_dec")
JUMP, GATED = BARE | dict(threshold="threshold"), BARE | dict(b_enc="b_mag", b_gate="b_gate", r_mag="r_mag")
NAMES = dict(topk=BARE, standard=BARE, jumprelu=JUMP, gated=GATED)
"""Our names of the tensors, and theirs."""
WRITTEN_FOR = "6.0.0"
"""The SAELens version whose format this is. Without it SAELens takes the file for an older one."""
SCALED = "expected_average_only_in"
"""The space of activations times one factor, which makes their mean length sqrt(D). No file holds the factor."""
STORED = dict(F32="float32", BF16="bfloat16", F16="float16", F64="float64")
"""Types of tensors, as safetensors names them."""
ALIASES = {"gpt2-small": "gpt2"}
"""TransformerLens' name of a model whose name on the hub is another."""


def save(sae: Autoencoder | Raw, folder: Path | str, about: Mapping[str, Any] | None = None) -> None:
    """Write an autoencoder and where it comes from, replacing what was in `folder`; all or nothing.

    BatchTopK and Matryoshka are written for inference: the threshold, once per latent, in place of the choice among a batch.

    What was trained on activations times a factor is written for activations as they are, with the factor in its weights.

    Args:
        about: what is known of its origin. model_name, the name under which the model itself is opened (of the hub, or that of a
            folder), and hook_name, the site, by TransformerLens' names: where they are not given, those of the file that it was opened
            from, else "unknown", which the file then says and `load` refuses where a model or site is asked for. Further layer (else
            read from the site), tokens (activations trained on), seed, normalised_mse (`evals.reconstruction.normalised_mse`),
            dead_share, and whatever else JSON can hold. kind, n, k, normalisation and sha256 are added, and norm_factor if one was folded.

    Raises:
        FormatError: the weights are not float32 or not finite, or a decoder row is zero.
    """
    own, known = checked(sae, folder, about or {})
    architecture = next(name for name, kinds in KINDS.items() if known["kind"] in kinds)
    if "threshold" in own:
        own["threshold"] = own["threshold"].expand(known["n"])
    config = dict(architecture=architecture, dtype="float32", device="cpu", normalize_activations=known["normalisation"])
    config |= dict(d_in=own["W_enc"].shape[1], d_sae=known["n"], apply_b_dec_to_input=model_class(known["kind"]).centred, reshape_activations="none")
    if architecture == "topk":
        config |= dict(k=known["k"], rescale_acts_by_decoder_norm=False)
    with files.folder(Path(folder)) as partial:
        save_file(to_file(own, NAMES[architecture]), partial / WEIGHTS)
        known |= dict(sae_lens_version=WRITTEN_FOR, sae_lens_training_version=None, sha256=sha256(partial / WEIGHTS))
        write_json(partial / CONFIG, config | {"metadata": known})


def load(
    folder: Path | str,
    *,
    d_model: int | None = None,
    hook_name: str | None = None,
    model_name: str | None = None,
    norm_factor: float | None = None,
) -> Autoencoder | Raw:
    """Open an autoencoder that `save` or SAELens wrote: of its kind if it works on layer-normed activations, else `Raw`.
    What its file says of it is its attribute `origin`.

    Weights in bfloat16 or float16 are read as float32; `describe` says what they were.

    Args:
        d_model: width, site and model it is wanted for. Those that are given must agree with the file.
        norm_factor: of expected_average_only_in, and of no other space: what activations are multiplied by before the encoder, and
            reconstructions divided by. It is not in the file: `norm_factor` estimates it from activations. It is folded into the
            weights: W_enc f, W_dec / f, b_pre / f.

    Raises:
        FormatError: none there, one that computes something else, weights missing, left over, misshapen, of another type or not
            finite, a zero decoder row, not the weights the file was sealed with, another width, site or model, or a factor that is
            missing or not wanted.
    """
    folder = Path(folder)
    config = describe(folder)
    known, architecture, space = config["metadata"], config["architecture"], config["normalize_activations"]
    _require_wanted(folder, config, d_model, hook_name, model_name)
    own, space = _folded(folder, _weights(folder, config), space, norm_factor)
    subtracts = config.get("apply_b_dec_to_input", True)
    kinds = sorted(KINDS[architecture], key=lambda kind: model_class(kind).centred != subtracts)
    return restore(folder, own, kinds, subtracts, known | dict(k=config.get("k", known.get("k")), normalisation=space))


def _require_wanted(folder: Path, config: dict[str, Any], d_model: int | None, hook_name: str | None, model_name: str | None) -> None:
    """FormatError unless the file agrees with itself and with what is wanted of it."""
    known = config["metadata"]
    for what, found, wanted in (
        ("width", config["d_in"], d_model),
        ("site", known.get("hook_name"), hook_name),
        ("normalize_activations", config["normalize_activations"], known.get("normalisation")),
        ("sha256 of the weights", sha256(folder / WEIGHTS), known.get("sha256")),
    ):
        require(folder, what, found, [found if wanted is None else wanted])
    if model_name is not None and not _same_model(found := known.get("model_name"), model_name):
        raise FormatError(f"{folder}: model is {found}, but {model_name} is wanted")


def _weights(folder: Path, config: dict[str, Any]) -> dict[str, Tensor]:
    """The file's tensors under our names, with the factors of its latents in them."""
    tensors = safetensors(folder / WEIGHTS)
    scales = older.scales(folder, tensors, config) if "finetuning_scaling_factor" in config else None
    own = from_file(folder / WEIGHTS, tensors, NAMES[config["architecture"]], (config["d_sae"], config["d_in"]))
    if config.get("rescale_acts_by_decoder_norm"):  # SAELens selects by z |W_dec|: the same as with rows of length 1
        length = own["W_dec"].norm(dim=1)
        own |= dict(W_enc=own["W_enc"] * length[:, None], b_enc=own["b_enc"] * length, W_dec=own["W_dec"] / length[:, None])
    return own if scales is None else own | dict(W_dec=own["W_dec"] * scales[:, None])


def norm_factor(acts: Float[Tensor, "... D"]) -> float:
    """The factor of expected_average_only_in, sqrt(D) / mean |a|, estimated from activations of the model the autoencoder is of.

    If the file says that this model's writing weights were centred, those are activations less their mean over D.

    Raises:
        ValueError: they are all zero, or not finite.
    """
    length = acts.double().norm(dim=-1).mean().item()
    if not 0 < length < math.inf:
        raise ValueError(f"the mean length of these activations is {length}: no factor makes it sqrt(D)")
    return math.sqrt(acts.shape[-1]) / length


def _folded(where: Path, own: dict[str, Tensor], space: str, factor: float | None) -> tuple[dict[str, Tensor], str]:
    """Weights for activations as they are, if the file's are for activations times the factor."""
    if (space == SCALED) != (factor is not None):
        lacks = "norm_factor is not given, and the file does not hold it: formats.norm_factor(acts) estimates it from its model's activations"
        raise FormatError(f"{where}: normalize_activations is {space}, " + (lacks if factor is None else "which knows no norm_factor"))
    if factor is None:
        return own, space
    if not 0 < factor < math.inf:
        raise FormatError(f"{where}: norm_factor is {factor}, but a positive number is wanted")
    return folded(own, factor), NONE


def _same_model(found: str | None, wanted: str | None) -> bool:
    """Whether two names are of one model; one of them may lack the organisation, or be TransformerLens' own."""
    if not found or not wanted or ("/" in found and "/" in wanted):
        return found == wanted
    first, second = (ALIASES.get(name, name).rpartition("/")[2].lower() for name in (found, wanted))
    return first == second


def describe(folder: Path | str) -> dict[str, Any]:
    """cfg.json of an autoencoder's folder, an older one in the form of SAELens 6; its provenance stands under `metadata`, and
    `dtype` is the type in which the weights are stored.

    Raises:
        FormatError: the folder holds no autoencoder in this layout, or one that does what none of ours does.
    """
    folder = Path(folder)
    config = dict(metadata={}, reshape_activations="none") | read_json(folder, CONFIG, WEIGHTS)
    major = str(config.get("sae_lens_version") or config["metadata"].get("sae_lens_version")).partition(".")[0]
    if not major.isdigit() or int(major) < 6:
        config = older.current(folder / CONFIG, config)
    needed = ("architecture", "normalize_activations", "d_in", "d_sae") + ("k",) * (config.get("architecture") == "topk")
    if absent := [key for key in needed if key not in config]:
        raise FormatError(f"{folder / CONFIG} does not describe an autoencoder: {', '.join(absent)} not found")
    for key, wanted in dict(architecture=KINDS, normalize_activations=(*SPACES, SCALED), reshape_activations=["none"]).items():
        require(folder, key, config[key], wanted)
    return config | dict(dtype=_stored(folder / WEIGHTS))


def _stored(path: Path) -> str:
    """The types of the tensors of a safetensors file, without reading them."""
    try:
        with safe_open(path, framework="pt") as found:
            types = {found.get_slice(name).get_dtype() for name in found.keys()}  # noqa: SIM118, no dictionary
    except SafetensorError as error:
        raise FormatError(f"{path} is no intact safetensors file: {error}") from error
    return " and ".join(sorted(STORED.get(kind, kind) for kind in types))
