"""Autoencoders in the layouts of others: OpenAI's .pt files, Gemma Scope's .npz, dictionary_learning's and sparsify's folders.

What those layouts cannot say is stated beside them or refused. Both libraries run on the vectors they are handed, so
their files open as `weights.Raw`. A model of ours is written with an entry `companion` in the JSON file: provenance,
kind and `normalisation: layer_norm`, which means that the model takes `models.normalise(acts).x` and answers in that
space. Reading it back restores our model; the libraries pass over the entry, and whoever uses them must not.

Pickles are opened as weights only: tensors, numbers, text, lists and dictionaries, and nothing is added to torch's list
of what may be imported. A file that asks for anything else is refused before any of it is called. So is a .npz of objects,
which are pickles.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

from companion import files
from companion.sae import weights
from companion.sae.formats import JUMP, KINDS
from companion.sae.models import Autoencoder
from companion.sae.recipe import model_class
from companion.sae.weights import FormatError, Raw

STAMP = "companion"
"""Our entry in the JSON file of another library."""

LINEAR = dict(W_enc="encoder.weight", W_dec="decoder.weight", b_enc="encoder.bias", b_pre="b_dec")
"""Our names, and those of two nn.Linear."""

# --- OpenAI's published autoencoders of GPT-2 small ---

STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square", "activation.k", "activation.postact_fn")
"""Entries of a .pt file that its formula does not use."""


def read_openai(path: Path | str) -> Autoencoder | Raw:
    """One of OpenAI's .pt files: TopK in our space (v5), or ReLU on raw activations (v1, v4), which is `Raw`.

    The formula of both is the published code's: activation(encoder (x - pre_bias) + latent_bias), decoder without a bias
    of its own. Layer norm goes with TopK.

    `published.openai` fetches them by name.

    Raises:
        FormatError: no such file, a damaged one, one that would run code, or one with other tensors or another activation.
    """
    path = Path(path)
    state = {name: value for name, value in _unpickle(path).items() if name not in STATISTICS}
    activation, inner = state.pop("activation", "ReLU"), dict(state.pop("activation_state_dict", {}))
    weights.require(path, "activation", activation, ["TopK", "ReLU"])
    weights.require(path, "activation after TopK", inner.get("postact_fn", "ReLU"), ["ReLU"])
    own = weights.from_file(path, state, LINEAR | dict(b_enc="latent_bias", b_pre="pre_bias"), _size(state, "encoder.weight"))
    kind, space = ("topk", "layer_norm") if activation == "TopK" else ("relu", "none")
    return weights.restore(path, own, [kind], True, dict(k=inner.get("k"), normalisation=space))


# --- Gemma Scope ---


def read_gemma_scope(path: Path | str) -> Autoencoder | Raw:
    """One of Gemma Scope's params.npz: JumpReLU of activations as they are, its encoder without b_dec; `Raw`.

        z = p 1[p > threshold] for p = relu(acts W_enc + b_enc),   reconstruction = z W_dec + b_dec

    W_enc (D, L), W_dec (L, D), b_enc, threshold (L), b_dec (D) (Lieberum et al. 2024). The file does not say which model, site and
    layer it is of: its address does. Those of the token embeddings are of scaled ones and are not for this reader.

    Raises:
        FormatError: no such file, a damaged one, one that holds objects (nothing is unpickled), other arrays, or weights not sound.
    """
    path = Path(path)
    state = {name: torch.from_numpy(array) for name, array in _arrays(path).items()}
    state = {f"W_{name[2:]}" if name.startswith("w_") else name: tensor for name, tensor in state.items()}  # in some, w_enc and w_dec
    own = weights.from_file(path, state, JUMP, _size(state, "W_enc"))
    return weights.restore(path, own, ["jumprelu"], False, dict(normalisation="none"))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz of numbers."""
    if not path.is_file():
        raise FormatError(f"{path} is not a file")
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except Exception as error:  # a damaged archive can raise anything
        objects = "Object arrays" in str(error) or "pickled" in str(error)
        reason = "it holds objects, which only pickle could read" if objects else f"damaged, or no .npz ({type(error).__name__})"
        raise FormatError(f"{path} is refused, and nothing in it was run: {reason}") from None
    if odd := sorted(name for name, array in arrays.items() if array.dtype.kind != "f"):
        raise FormatError(f"{path}: {', '.join(odd)} do not hold real numbers")
    return arrays


# --- dictionary_learning ---


class Layout(NamedTuple):
    """How one of dictionary_learning's classes names what we have."""

    kinds: tuple[str, ...]
    names: dict[str, str]
    scalars: tuple[str, ...] = ()
    """What is one number in it: k, and a threshold that TopK does not use."""
    subtracts: bool = True
    """Whether its encoder sees x - b_pre, as ours does, or x."""


GATED = dict(W_enc="encoder.weight", W_dec="decoder.weight", b_pre="decoder_bias", b_gate="gate_bias", b_enc="mag_bias", r_mag="r_mag")
CLASSES = {
    "AutoEncoderTopK": Layout(KINDS["topk"], LINEAR, ("k", "threshold")),
    "BatchTopKSAE": Layout(("batch_topk", "matryoshka"), LINEAR | dict(threshold="threshold"), ("k", "threshold")),
    "MatryoshkaBatchTopKSAE": Layout(("batch_topk",), JUMP, ("k", "threshold")),
    "AutoEncoder": Layout(("relu",), LINEAR | dict(b_pre="bias")),
    "AutoEncoderNew": Layout(("relu_norm",), LINEAR | dict(b_pre="decoder.bias"), subtracts=False),
    "JumpReluAutoEncoder": Layout(("jumprelu",), JUMP, subtracts=False),
    "GatedAutoEncoder": Layout(("gated",), GATED),
}
"""dict_class, by what infers alike. We write the first that can hold a kind."""


def write_dictionary_learning(sae: Autoencoder | Raw, folder: Path | str, about: Mapping[str, Any] | None = None) -> None:
    """Write ae.pt and config.json as dictionary_learning does, replacing what was in `folder`; all or nothing. `about` as for `formats.save`.

    Its class is the one that infers alike (`CLASSES`), on what our model takes: see the top of this module.

    Raises:
        FormatError: the weights are not sound.
    """
    own, known = weights.checked(sae, folder, about or {})
    name, layout = next((name, layout) for name, layout in CLASSES.items() if known["kind"] in layout.kinds)
    own = weights.recentred(own, model_class(known["kind"]).centred, layout.subtracts)
    besides = dict(k=torch.tensor(known["k"] or 0, dtype=torch.int32), threshold=torch.tensor(-1.0))  # -1 says "unset" there
    state = {name: besides[name] for name in layout.scalars} | weights.to_file(own, layout.names)
    trainer = dict(dict_class=name, activation_dim=own["W_enc"].shape[1], dict_size=known["n"], k=known["k"])
    trainer |= dict(lm_name=known["model_name"], layer=known["layer"], submodule_name=known["hook_name"])
    with files.folder(Path(folder)) as partial:
        torch.save(state, partial / "ae.pt")
        sealed = known | dict(sha256=weights.sha256(partial / "ae.pt"))
        weights.write_json(partial / "config.json", {"trainer": trainer, STAMP: sealed})


def read_dictionary_learning(folder: Path | str) -> Autoencoder | Raw:
    """Open a folder of dictionary_learning (trainer_i): `Raw`, or our model if `write_dictionary_learning` wrote it.

    Its BatchTopK and Matryoshka classes infer with one threshold: both are our batch_topk.

    Raises:
        FormatError: no such folder, a class we do not know, other tensors than the class has, or weights that are not sound.
    """
    folder = Path(folder)
    config = weights.read_json(folder, "config.json", "ae.pt")
    name, known = config.get("trainer", {}).get("dict_class"), _known(folder, config, "ae.pt")
    weights.require(folder, "dict_class", name, CLASSES)
    layout, state = CLASSES[name], _unpickle(folder / "ae.pt")
    if name == "MatryoshkaBatchTopKSAE":
        state.pop("group_sizes", None)
    own = weights.from_file(folder / "ae.pt", state, layout.names, _size(state, layout.names["W_enc"]), layout.scalars)
    k = {"k": int(state["k"])} if "k" in state else {}
    return weights.restore(folder, own, layout.kinds, layout.subtracts, dict(normalisation="none") | known | k)


# --- sparsify ---

SPARSIFY = dict(W_enc="encoder.weight", W_dec="W_dec", b_enc="encoder.bias", b_pre="b_dec")


def write_sparsify(sae: Autoencoder | Raw, folder: Path | str, about: Mapping[str, Any] | None = None) -> None:
    """Write cfg.json and sae.safetensors as sparsify does, replacing what was in `folder`; all or nothing. `about` as for `formats.save`.

    Its model runs on what ours takes: see the top of this module.

    Raises:
        FormatError: sparsify has no such model (it has TopK only), or the weights are not sound.
    """
    own, known = weights.checked(sae, folder, about or {})
    weights.require(f"sparsify cannot hold the autoencoder for {folder}", "kind", known["kind"], KINDS["topk"])
    n, d = own["W_enc"].shape
    config = dict(activation="topk", expansion_factor=max(1, n // d), num_latents=n, k=known["k"], d_in=d, normalize_decoder=True)
    config |= dict(multi_topk=False, skip_connection=False, transcode=False)  # with multi_topk its forward would use 4k latents
    with files.folder(Path(folder)) as partial:
        save_file(weights.to_file(own, SPARSIFY), partial / "sae.safetensors")
        sealed = known | dict(sha256=weights.sha256(partial / "sae.safetensors"))
        weights.write_json(partial / "cfg.json", config | {STAMP: sealed})


def read_sparsify(folder: Path | str) -> Autoencoder | Raw:
    """Open a folder of sparsify (one hookpoint): `Raw`, or our model if `write_sparsify` wrote it.

    Raises:
        FormatError: no such folder, a transcoder, a skip connection, another activation than TopK, other tensors, or
            weights that are not sound.
    """
    folder = Path(folder)
    config = dict(num_latents=0, expansion_factor=32, multi_topk=False) | weights.read_json(folder, "cfg.json", "sae.safetensors")
    for key, wanted in dict(activation="topk", transcode=False, skip_connection=False, signed=False).items():
        weights.require(folder, key, config.get(key, wanted), [wanted])
    for key in ("d_in", "k", "num_latents", "expansion_factor"):
        weights.require(folder, f"type of {key}", type(config.get(key)), [int])
    known, d = _known(folder, config, "sae.safetensors"), config["d_in"]
    size = (config["num_latents"] or d * config["expansion_factor"], d)
    own = weights.from_file(folder / "sae.safetensors", weights.safetensors(folder / "sae.safetensors"), SPARSIFY, size)
    kinds = sorted(KINDS["topk"], key=lambda kind: (kind == "multi_topk") != config["multi_topk"])
    return weights.restore(folder, own, kinds, True, dict(normalisation="none") | known | dict(k=config["k"]))


# --- what they share ---


def _known(folder: Path, config: dict[str, Any], name: str) -> dict[str, Any]:
    """Our entry in the JSON file, if there is one, after checking the weights' seal."""
    known = config.get(STAMP, {})
    weights.require(folder, "sha256 of the weights", found := weights.sha256(folder / name), [known.get("sha256", found)])
    return known


def _size(state: dict[str, Any], encoder: str) -> tuple[int, int]:
    """(L, D) of a file that states them nowhere else."""
    shape = tuple(getattr(state.get(encoder), "shape", ()))
    n, d = shape if len(shape) == 2 else (0, 0)
    return (d, n) if encoder in weights.TURNED else (n, d)


def _unpickle(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FormatError(f"{path} is not a file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"its pickle asks for {asked[1]}" if asked else f"damaged, or no file of tensors, numbers and text ({type(error).__name__})"
        # without the cause: torch's text advises to run the file
        raise FormatError(f"{path} is refused, and nothing in it was run: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise FormatError(f"{path} holds no dictionary of names and tensors")
    return dict(state)
