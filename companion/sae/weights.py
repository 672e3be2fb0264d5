"""What every layout of autoencoders on disk shares: the checks of their tensors, and the model that these become.

Whatever a file holds, what opens has the interface of `models.SAE`: encode(acts) and decode(code, acts), in the units of the
activations as the subject makes them.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from companion.sae.models import Autoencoder, Code, Normalised, TopK, coded, decoded
from companion.sae.recipe import model_class
from companion.sae.sparse import BatchTopK

REQUIRED, OPTIONAL = ("model_name", "hook_name"), ("tokens", "seed", "normalised_mse", "dead_share")
UNKNOWN = "unknown"
"""What a file says of what is required and was not given. It agrees with no model and no site that a loader asks for."""
TURNED = ("W_enc", "decoder.weight")
"""Names under which every library keeps a matrix the other way round than we do."""
HALF = (torch.bfloat16, torch.float16)
"""Types of weights that are read as float32, which holds them exactly."""
LAYER_NORM, NONE, RESCALED = SPACES = ("layer_norm", "none", "constant_norm_rescale")
"""What becomes of activations before the encoder: ours, `models.normalise`; nothing; every vector brought to length sqrt(D)."""
WRITES = re.compile(r"hook_(resid_(pre|mid|post)|mlp_out|attn_out|embed|pos_embed)$")
"""Sites that hold what the model writes into its stream, where centring its weights subtracts the mean over D."""


class FormatError(ValueError):
    """A file is not the autoencoder that was asked for, or cannot hold it: what is wrong, where, and what was expected."""


class Raw(NamedTuple):
    """An autoencoder in another space than `models.normalise`: of activations as they are, as most other libraries train them.

    Not an `Autoencoder`, so that nothing that normalises first takes it for one.
    """

    sae: Autoencoder
    """Its arithmetic, in its own space. Its own `encode` and `decode` would normalise."""
    centred: bool = False
    """It is of a model whose writing weights were centred: it takes activations less their mean over D, which decode adds again.

    Activations of such a model have no mean, so that both give the same."""
    rescaled: bool = False
    """It takes activations at length sqrt(D), and decode gives them back the length that they had (constant_norm_rescale)."""
    factor: float = 1.0
    """It takes activations times this, by which decode divides (`recipe.TrainConfig.space`). On disk it is in the weights."""
    origin: dict[str, Any] | None = None
    """What the file that it was opened from says of it, model_name and hook_name for two; an attribute `origin` of an `Autoencoder`."""

    @property
    def n(self) -> int:
        """Number of latents."""
        return self.sae.n

    def encode(self, acts: Float[Tensor, "... D"]) -> Code:
        """The code of activations. See `models.SAE`."""
        return coded(self.sae, self._inputs(acts))

    def decode(self, code: Code, acts: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """The reconstruction of activations from a code. See `models.SAE`."""
        return decoded(self.sae, code, self._inputs(acts))

    def to(self, device: torch.device | str) -> "Raw":
        """With its weights on a device."""
        return self._replace(sae=self.sae.to(device))

    def _inputs(self, acts: Tensor) -> Normalised:
        mean = acts.mean(dim=-1, keepdim=True) if self.centred else torch.zeros_like(acts[..., :1])
        x, unit = acts - mean, torch.full_like(mean, 1 / self.factor)
        if self.rescaled:
            unit = unit * (x.norm(dim=-1, keepdim=True) / math.sqrt(x.shape[-1])).clamp_min(torch.finfo(x.dtype).tiny)
        return Normalised(x / unit, mean, unit)


def checked(sae: Autoencoder | Raw, where: Path | str, about: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What is to be written: the tensors if they make sense, and the provenance with what `restore` needs. Raises as `save`."""
    opened = getattr(sae, "origin", None) or {}
    about = {**about} | {name: about.get(name) or opened.get(name) or UNKNOWN for name in REQUIRED}
    raw = sae if isinstance(sae, Raw) else None
    model, space = (raw.sae, RESCALED if raw.rescaled else NONE) if raw else (sae, LAYER_NORM)
    own = sound(f"the autoencoder for {where}", {name: tensor.cpu() for name, tensor in model.tensors().items()})
    block = re.search(r"\.(\d+)\.", about["hook_name"])
    known = dict.fromkeys(OPTIONAL) | dict(layer=int(block[1]) if block else None) | about
    if raw and raw.factor != 1:
        own, known["norm_factor"] = folded(own, raw.factor), raw.factor
    if raw and raw.centred != centred(known):
        opened = known.get("model_from_pretrained_kwargs") or {}
        known["model_from_pretrained_kwargs"] = opened | dict(center_writing_weights=raw.centred)
        if raw.centred != centred(known):
            raise FormatError(f"{where}: nothing is written into the stream at {known['hook_name']}, so that centring does not show there")
    return own, known | dict(kind=model.kind, n=model.n, k=model.k, normalisation=space)


def centred(known: Mapping[str, Any]) -> bool:
    """Whether the file says that the model's writing weights were centred, and its site is where that shows."""
    opened = known.get("model_from_pretrained_kwargs") or {}
    return bool(opened.get("center_writing_weights")) and bool(WRITES.search(known.get("hook_name") or ""))


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
    sae.origin = dict(known)
    return sae if known["normalisation"] == LAYER_NORM else Raw(sae, centred(known), known["normalisation"] == RESCALED, origin=sae.origin)


def folded(own: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """Weights for activations as they are, from those for activations times a factor: W_enc f, W_dec / f, b_pre / f; the code is the same."""
    return own | dict(W_enc=own["W_enc"] * factor, W_dec=own["W_dec"] / factor, b_pre=own["b_pre"] / factor)


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
    return sound(where, {name: (found[theirs].T if theirs in TURNED else found[theirs]).contiguous() for name, theirs in names.items()}, HALF)


def plain(value: Any) -> bool:
    """Whether a value is a tensor whose entries lie in memory one by one, so that it can be looked at."""
    return isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"


def sound(where: Path | str, own: dict[str, Tensor], widened: Iterable[torch.dtype] = ()) -> dict[str, Tensor]:
    """The tensors, if they are float32, or `widened` to it, and finite, and no decoder row is zero. FormatError if not."""
    for name, tensor in own.items():
        if tensor.is_floating_point() and (bad := int((~torch.isfinite(tensor)).sum())):
            raise FormatError(f"{where}: {bad} of {tensor.numel()} entries of {name} ({tensor.dtype}) are NaN or infinite")
    own = {name: tensor.float() if tensor.dtype in widened else tensor for name, tensor in own.items()}
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
