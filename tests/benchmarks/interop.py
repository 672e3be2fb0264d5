"""SAELens, dictionary_learning and sparsify open our files, and we theirs: equal outputs, or exit status 1.

    python tests/benchmarks/interop.py [--out FILE]

Runs in an environment that has the three libraries besides what the package needs. Each model has random weights, biases and
thresholds; both sides answer for the same random activations in float64, so that nothing but the formula can differ (what a
writer folds into a bias is rounded to float32 on disk). Reported is the largest |theirs - ours| / |ours| of a token, and how many
latents were active, for models without any agree on nothing. SAELens knows layer norm, so its models get activations as a language
model makes them; the other two get what our model gets: normalised ones in files of ours, activations as they are in theirs.

sparsify's models are asked for decode(encode(x)): its forward answers with 4k latents where `multi_topk` is set.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from companion.sae import foreign, formats
from companion.sae.formats import Raw
from companion.sae.models import Autoencoder, normalise
from companion.sae.recipe import model_class

warnings.filterwarnings("ignore")
with contextlib.redirect_stdout(io.StringIO()):  # one of them announces at import which decoder it has
    import dictionary_learning.dictionary as dl
    import sae_lens
    import sparsify
    from dictionary_learning.trainers import batch_top_k, matryoshka_batch_top_k, top_k
    from dictionary_learning.utils import load_dictionary
    from sparsify.config import SparseCoderConfig

D, L, K, TOKENS, LIMIT = 48, 192, 12, 256, 1e-6
ORIGIN = dict(model_name="random", hook_name="blocks.0.hook_resid_post", layer=0, tokens=0, seed=0, normalised_mse=1.0, dead_share=0.0)
KINDS = [kind for kinds in formats.KINDS.values() for kind in kinds]
READ, WROTE = "they read ours", "we read theirs"


class Row(NamedTuple):
    library: str
    version: str
    direction: str
    architecture: str
    difference: float
    active: float


class Case(NamedTuple):
    direction: str
    architecture: str
    theirs: Tensor
    ours: Tensor
    code: Tensor


def activations() -> Tensor:
    """Tokens of different lengths around a mean that is not zero."""
    stream = torch.Generator().manual_seed(1)
    return (2 + torch.randn(TOKENS, D, generator=stream) * torch.rand(TOKENS, 1, generator=stream).add(0.5)).double()


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """The model with every vector that was constant drawn anew; thresholds above zero."""
    stream = torch.Generator().manual_seed(2)
    for name, tensor in model.state_dict().items():
        if "threshold" in name:
            tensor.copy_(0.3 + 0.4 * torch.rand(tensor.shape, generator=stream))
        elif tensor.ndim == 1 and tensor.is_floating_point():
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=stream))
    return model


def ours(kind: str) -> Autoencoder:
    """A random autoencoder of a kind, whose encoder is not its decoder."""
    stream = torch.Generator().manual_seed(3)
    sae = randomised(model_class(kind).random(D, L, K, stream))
    sae.W_enc.data += 0.1 * torch.randn(L, D, generator=stream)
    if not sae.unit_rows:
        sae.W_dec.data *= torch.rand(L, 1, generator=stream).add(0.5)
    return sae


def read_ours(name: str, theirs: Callable[[Tensor], Tensor], sae: Autoencoder, x: Tensor) -> Case:
    """What a model of theirs makes of a file of ours, in the space of our model."""
    sae.double()
    return Case(READ, name, theirs(x), sae(x), sae.encode_normalised(x).values)


def read_theirs(name: str, theirs: Callable[[Tensor], Tensor], opened: Autoencoder | Raw, acts: Tensor) -> Case:
    """What we make of a file of theirs."""
    (opened.sae if isinstance(opened, Raw) else opened).double()
    code = opened.encode(acts)
    return Case(WROTE, name, theirs(acts), opened.decode(code, acts), code.values)


def with_sae_lens(folder: Path, acts: Tensor) -> Iterator[Case]:
    for kind in KINDS:
        formats.save(Raw(sae := ours(kind)), folder / "raw", ORIGIN)
        theirs = sae_lens.SAE.load_from_disk(folder / "raw", dtype="float64")
        yield read_ours(f"{kind} of raw activations as {theirs.cfg.architecture()}", theirs, sae, acts)
        formats.save(sae.float(), folder / "ours", ORIGIN)
        theirs = sae_lens.SAE.load_from_disk(folder / "ours", dtype="float64")
        case = read_ours(f"{kind} as {theirs.cfg.architecture()}", theirs, sae, normalise(acts).x)
        yield case._replace(theirs=theirs(acts), ours=sae.decode(sae.encode(acts), acts))
        formats.save(rescaled := Raw(sae.float(), rescaled=True), folder / "rescaled", ORIGIN)
        theirs = sae_lens.SAE.load_from_disk(folder / "rescaled", dtype="float64")
        case = read_ours(f"{kind} of activations at one length as {theirs.cfg.architecture()}", theirs, sae, acts)
        yield case._replace(ours=rescaled.decode(code := rescaled.encode(acts), acts), code=code.values)
    for name in ("standard", "jumprelu", "gated", "topk"):
        which, config = sae_lens.registry.get_sae_class(name)
        norms = (dict(normalize_activations=norm) for norm in ("layer_norm", "constant_norm_rescale"))
        for settings in (*norms, dict(), dict(apply_b_dec_to_input=False)):
            extra = dict(k=K, rescale_acts_by_decoder_norm=not settings) if name == "topk" else {}
            model = randomised(which(config(d_in=D, d_sae=L, **settings, **extra)))
            model.save_model(folder / "theirs")
            given = ", ".join(f"{key}={value}" for key, value in (settings | extra).items())
            yield read_theirs(f"{name}({given})", model.to(torch.float64), formats.load(folder / "theirs"), acts)
    for name in ("batchtopk", "matryoshka_batchtopk"):
        which, config = sae_lens.registry.get_sae_training_class(name)
        extra = dict(matryoshka_widths=[L // 4, L]) if "matryoshka" in name else {}
        randomised(which(config(d_in=D, d_sae=L, k=K, decoder_init_norm=1.0, **extra))).save_inference_model(folder / "theirs")
        model = sae_lens.SAE.load_from_disk(folder / "theirs", dtype="float64")
        yield read_theirs(f"{name} as jumprelu", model, formats.load(folder / "theirs"), acts)


def with_dictionary_learning(folder: Path, acts: Tensor) -> Iterator[Case]:
    for kind in KINDS:
        foreign.write_dictionary_learning(sae := ours(kind), folder, ORIGIN)
        theirs = load_dictionary(str(folder), "cpu")[0].double()
        yield read_ours(f"{kind} as {type(theirs).__name__}", theirs, sae, normalise(acts).x)
    for model in (
        top_k.AutoEncoderTopK(D, L, K),
        batch_top_k.BatchTopKSAE(D, L, K),
        matryoshka_batch_top_k.MatryoshkaBatchTopKSAE(D, L, K, [L // 4, L - L // 4]),
        *(which(D, L) for which in (dl.AutoEncoder, dl.AutoEncoderNew, dl.GatedAutoEncoder, dl.JumpReluAutoEncoder)),
    ):
        name = type(randomised(model)).__name__
        torch.save(model.state_dict(), folder / "ae.pt")
        (folder / "config.json").write_text(json.dumps({"trainer": {"dict_class": name}}))
        yield read_theirs(name, model.double(), foreign.read_dictionary_learning(folder), acts)


def with_sparsify(folder: Path, acts: Tensor) -> Iterator[Case]:
    for kind in formats.KINDS["topk"]:
        foreign.write_sparsify(sae := ours(kind), folder, ORIGIN)
        theirs = sparsify.SparseCoder.load_from_disk(folder).double()
        yield read_ours(kind, lambda x, theirs=theirs: theirs(x).sae_out, sae, normalise(acts).x)
    for config in (SparseCoderConfig(k=K, expansion_factor=4), SparseCoderConfig(k=K, num_latents=L, multi_topk=True)):
        model = randomised(sparsify.SparseCoder(D, config))
        model.save_to_disk(folder)
        model.double()
        yield read_theirs(
            "multi_topk" if config.multi_topk else "topk",
            lambda x, model=model: model.decode(*model.encode(x)[:2]),
            foreign.read_sparsify(folder),
            acts,
        )


def rows(library: str, cases: Callable[[Path, Tensor], Iterator[Case]]) -> Iterator[Row]:
    """Every case of one library, in a folder of its own."""
    version = importlib.metadata.version(library)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for case in cases(Path(folder), activations()):
            difference = ((case.theirs - case.ours).norm(dim=1) / case.ours.norm(dim=1)).max().item()
            active = (case.code > 0).sum(dim=1).double().mean().item()
            yield Row(library, version, case.direction, case.architecture, difference, active)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the rows")
    asked = parser.parse_args()
    libraries = {"sae-lens": with_sae_lens, "dictionary-learning": with_dictionary_learning, "eai-sparsify": with_sparsify}
    print("| library | direction | architecture | largest relative difference | L0 |\n|---|---|---|---|---|")
    found = []
    for library, cases in libraries.items():
        for row in rows(library, cases):
            print(f"| {row.library} {row.version} | {row.direction} | {row.architecture} | {row.difference:.1e} | {row.active:.1f} |", flush=True)
            found.append(row)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(dict(torch=torch.__version__, tokens=TOKENS, limit=LIMIT, rows=[row._asdict() for row in found]), indent=1))
    return int(not all(row.difference <= LIMIT and row.active > 1 for row in found))


if __name__ == "__main__":
    sys.exit(main())
