"""Autoencoders on disk, in the layout that SAELens reads: cfg.json beside sae_weights.safetensors.

    W_enc (D, L)   W_dec (L, D)   b_dec (D), our b_pre   b_enc (L)
    jumprelu: threshold (L) besides;   gated: b_gate, r_mag, b_mag (L), the last in place of b_enc

Our kinds that infer alike share one of its architectures (`KINDS`); which it was stands under `metadata`, with everything
else that is known about the file, and is checked when it is opened. `normalize_activations` is the space: "layer_norm" is
ours, `models.normalise`; "none" is a model of activations as they are, which opens as `Raw`. Whatever a file holds, here
or in `foreign`, `reconstruct(acts)` of what opens takes activations as the model makes them and answers in their units.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from companion import files
from companion.sae.models import Autoencoder, Code, TopK
from companion.sae.recipe import model_class
from companion.sae.sparse import BatchTopK

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
REQUIRED, OPTIONAL = ("model_name", "hook_name"), ("tokens", "seed", "normalised_mse", "dead_share")
KINDS = dict(
    topk=("topk", "multi_topk"), standard=("relu", "relu_norm"), jumprelu=("jumprelu", "batch_topk", "matryoshka"), gated=("gated",)
)  # fmt: skip
"""SAELens' architectures, and our kinds that infer so; a file that does not say is of the first."""
BARE = dict(W_enc="W_enc", W_dec="W_dec", b_enc="b_enc", b_pre="b_dec")
JUMP, GATED = BARE | dict(threshold="threshold"), BARE | dict(b_enc="b_mag", b_gate="b_gate", r_mag="r_mag")
NAMES = dict(topk=BARE, standard=BARE, jumprelu=JUMP, gated=GATED)
"""Our names of the tensors, and theirs."""
TURNED = ("W_enc", "decoder.weight")
"""Names under which every library keeps a matrix the other way round than we do."""
WRITTEN_FOR = "6.0.0"
"""The SAELens version whose format this is. Without it SAELens takes the file for an older one."""


class FormatError(ValueError):
    """A file is not the autoencoder that was asked for, or cannot hold it: what is wrong, where, and what was expected."""


class Raw(NamedTuple):
    """An autoencoder of activations as they are, as most other libraries train them.

    Not an `Autoencoder`, so that nothing that normalises first takes it for one.
    """

    sae: Autoencoder
    """Its arithmetic. Its own `reconstruct` would normalise."""

    def code(self, acts: Float[Tensor, "B D"]) -> Code:
        """The code of activations as they are."""
        return self.sae.encode(acts)

    @torch.no_grad()
    def reconstruct(self, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Reconstruction of activations in their own units, whatever the leading dimensions."""
        return self.sae(acts.reshape(-1, self.sae.d)).reshape(acts.shape)


def save(sae: Autoencoder | Raw, folder: Path | str, provenance: dict[str, Any]) -> None:
    """Write an autoencoder and where it comes from, replacing what was in `folder`; all or nothing.

    BatchTopK and Matryoshka are written for inference: the threshold, once per latent, in place of the choice among a batch.

    Args:
        provenance: model_name, the name under which the model itself is opened (of the hub, or that of a folder), and
            hook_name, the site, by TransformerLens' names. If known: layer (else read from the site), tokens (activations
            trained on), seed, normalised_mse (`evals.reconstruction.normalised_mse`), dead_share, and whatever else JSON
            can hold. kind, n, k, normalisation and sha256 are added.

    Raises:
        ValueError: the provenance lacks the model or the site.
        FormatError: the weights are not float32 or not finite, or a decoder row is zero.
    """
    own, known = checked(sae, folder, provenance)
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


def load(folder: Path | str, *, d_model: int | None = None, hook_name: str | None = None, model_name: str | None = None) -> Autoencoder | Raw:
    """Open an autoencoder that `save` or SAELens (6 and later) wrote: of its kind if it works on layer-normed activations,
    `Raw` if on activations as they are.

    Args:
        d_model: width, site and model it is wanted for. Those that are given must agree with the file.

    Raises:
        FormatError: none there, one that computes something else, weights missing, left over, misshapen, not float32 or
            not finite, a zero decoder row, not the weights the file was sealed with, or another width, site or model.
    """
    folder = Path(folder)
    config = describe(folder)
    known, architecture, space = config["metadata"], config["architecture"], config["normalize_activations"]
    for what, found, wanted in (
        ("width", config["d_in"], d_model),
        ("site", known.get("hook_name"), hook_name),
        ("model", known.get("model_name"), model_name),
        ("normalize_activations", space, known.get("normalisation")),
        ("sha256 of the weights", sha256(folder / WEIGHTS), known.get("sha256")),
    ):
        require(folder, what, found, [found if wanted is None else wanted])
    own = from_file(folder / WEIGHTS, safetensors(folder / WEIGHTS), NAMES[architecture], (config["d_sae"], config["d_in"]))
    if config.get("rescale_acts_by_decoder_norm"):  # SAELens selects by z |W_dec|: the same as with rows of length 1
        length = own["W_dec"].norm(dim=1)
        own |= dict(W_enc=own["W_enc"] * length[:, None], b_enc=own["b_enc"] * length, W_dec=own["W_dec"] / length[:, None])
    subtracts = config.get("apply_b_dec_to_input", True)
    kinds = sorted(KINDS[architecture], key=lambda kind: model_class(kind).centred != subtracts)
    return restore(folder, own, kinds, subtracts, known | dict(k=config.get("k", known.get("k")), normalisation=space))


def describe(folder: Path | str) -> dict[str, Any]:
    """cfg.json of an autoencoder's folder; its provenance stands under `metadata`.

    Raises:
        FormatError: the folder holds no autoencoder in this layout, or one that does what none of ours does.
    """
    folder = Path(folder)
    config = dict(metadata={}, reshape_activations="none") | read_json(folder, CONFIG, WEIGHTS)
    needed = ("architecture", "normalize_activations", "d_in", "d_sae") + ("k",) * (config.get("architecture") == "topk")
    if absent := [key for key in needed if key not in config]:
        raise FormatError(f"{folder / CONFIG} does not describe an autoencoder: {', '.join(absent)} not found")
    major = str(config.get("sae_lens_version") or config["metadata"].get("sae_lens_version")).partition(".")[0]
    if not major.isdigit() or int(major) < 6:
        raise FormatError(f"{folder / CONFIG} is of a SAELens before 6, which named things otherwise: save it again with a later one")
    for key, wanted in dict(architecture=KINDS, normalize_activations=("layer_norm", "none"), reshape_activations=["none"]).items():
        require(folder, key, config[key], wanted)
    return config


# --- what every layout shares -------------------------------------------------------------------------------------------


def checked(sae: Autoencoder | Raw, where: Path | str, provenance: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What is to be written: the tensors if they make sense, and the provenance with what `restore` needs. Raises as `save`."""
    if missing := [name for name in REQUIRED if not provenance.get(name)]:
        raise ValueError(f"the provenance of {where} lacks {' and '.join(missing)}: say which model and which site its activations are from")
    space, model = ("none", sae.sae) if isinstance(sae, Raw) else ("layer_norm", sae)
    own = sound(f"the autoencoder for {where}", {name: tensor.cpu() for name, tensor in model.tensors().items()})
    block = re.search(r"\.(\d+)\.", provenance["hook_name"])
    known = dict.fromkeys(OPTIONAL) | dict(layer=int(block[1]) if block else None) | provenance
    return own, known | dict(kind=model.kind, n=model.n, k=model.k, normalisation=space)


def restore(where: Path, own: dict[str, Tensor], kinds: Iterable[str], subtracts: bool, known: Mapping[str, Any]) -> Autoencoder | Raw:
    """The autoencoder of a file's tensors. FormatError if there is none.

    Args:
        kinds: what they can be; the first is what they are if the file, `known`, does not say.
        subtracts: the file's encoder sees x - b_pre, not x.
    """
    kinds, k = list(kinds), known.get("k")
    require(where, "kind", kind := known.get("kind", kinds[0]), kinds)
    require(where, "type of k", type(k), [int] if issubclass(model_class(kind), TopK) else [int, type(None)])
    own = recentred(own, subtracts, model_class(kind).centred)
    if "threshold" in own:  # what is kept passes a relu too, so that a threshold below 0, elsewhere "unset", is 0
        own["threshold"] = own["threshold"].clamp_min(0)
    if issubclass(model_class(kind), BatchTopK):
        require(where, "number of different thresholds", len(own["threshold"].unique()), [1])
        own["threshold"] = own["threshold"].max()
    try:
        sae = model_class(kind).from_tensors(own, k)
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from error
    return sae if known["normalisation"] == "layer_norm" else Raw(sae)


def recentred(own: dict[str, Tensor], subtracts: bool, wanted: bool) -> dict[str, Tensor]:
    """The same function with an encoder that sees x - b_pre, or x, as wanted: W_enc b_pre moves to the encoder's biases."""
    shift = (wanted - subtracts) * (own["W_enc"] @ own["b_pre"])
    moved = {"b_gate": shift, "b_enc": own["r_mag"].exp() * shift} if "b_gate" in own else {"b_enc": shift}
    return own | ({name: own[name] + by for name, by in moved.items()} if wanted != subtracts else {})


def to_file(own: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """The tensors under their names in a file, in its orientation."""
    return {theirs: (own[ours].T if theirs in TURNED else own[ours]).contiguous() for ours, theirs in names.items()}


def from_file(where: Path, found: Mapping[str, Any], names: dict[str, str], size: tuple[int, int], scalars: Iterable[str] = ()) -> dict[str, Tensor]:
    """The inverse of `to_file` for `size` = (L, D), if the file holds just these and `scalars`. FormatError if not."""
    ours = dict(W_enc=size, W_dec=size, b_pre=size[1:]) | dict.fromkeys(scalars, ())
    shapes = dict.fromkeys(scalars, ()) | {theirs: ours.get(name, size[:1]) for name, theirs in names.items()}
    shapes = {name: shape[::-1] if name in TURNED else shape for name, shape in sorted(shapes.items())}
    shown = {name: tuple(t.shape) if plain(t) else f"no plain tensor ({type(t).__name__})" for name, t in sorted(found.items())}
    require(where, "tensors", shown, [shapes])
    return sound(where, {name: (found[theirs].T if theirs in TURNED else found[theirs]).contiguous() for name, theirs in names.items()})


def plain(value: Any) -> bool:
    """Whether a value is a tensor whose entries lie in memory one by one, so that it can be looked at."""
    return isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"


def sound(where: Path | str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, if they are float32 and finite and no decoder row is zero. FormatError if not."""
    for name, tensor in own.items():
        if tensor.is_floating_point() and (bad := int((~torch.isfinite(tensor)).sum())):
            raise FormatError(f"{where}: {bad} of {tensor.numel()} entries of {name} ({tensor.dtype}) are NaN or infinite")
    require(where, "type of the tensors", {tensor.dtype for tensor in own.values()}, [{torch.float32}])
    if empty := int((own["W_dec"].norm(dim=1) == 0).sum()):
        raise FormatError(f"{where}: {empty} of {len(own['W_dec'])} decoder rows are zero: latents without a direction")
    return own


def safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. FormatError if it is damaged."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FormatError(f"{path} is no intact safetensors file: {error}") from error


def read_json(folder: Path, name: str, *beside: str) -> dict[str, Any]:
    """A JSON object in a folder that must hold the files `beside` as well. FormatError if not."""
    if absent := [part for part in (name, *beside) if not (folder / part).is_file()]:
        raise FormatError(f"{folder} holds no autoencoder: {' and '.join(absent)} not found")
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{folder / name} is not JSON: {error}") from error
    for part in (found, *(found[part] for part in ("metadata", "trainer", "companion") if part in found)):
        require(folder / name, "type of an entry", type(part).__name__, ["dict"])
    return found


def write_json(path: Path, entries: dict[str, Any]) -> None:
    """A JSON object as a file."""
    path.write_text(json.dumps(entries, indent=1), encoding="utf-8")


def require(where: Path | str, what: str, found: Any, wanted: Iterable[Any]) -> None:
    """FormatError unless what was found is one of those wanted."""
    if found not in (wanted := list(wanted)):
        raise FormatError(f"{where}: {what} is {found}, but {' or '.join(map(str, wanted))} is wanted")


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
