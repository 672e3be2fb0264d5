"""Train a dictionary of any size, on one process or under torchrun, with its state kept along the way.

    python -m companion.cli -n 4096 -k 16 --steps 700 --folder runs/mine
    torchrun --nproc-per-node 4 -m companion.cli --data 2 --latent 2 -n 32768 -k 32 --steps 20000 --folder runs/wide
    python -m companion.cli --subject stanford-crfm/alias-gpt2-small-x21@checkpoint-400000 --layer 8 -n 32768 -k 32 --steps 20000 --folder runs/gpt2

Started again with the same options it goes on where it stopped, on as many processes as it is then given. Activations are
streamed from the subject that ships with the package, or from a model of the hub; the result is written in SAELens's layout
to <folder>/sae.
"""

import argparse
import sys
from pathlib import Path

from companion import dictionaries, run
from companion.lm.sources import HubConfig
from companion.lm.training import TINY
from companion.sae import distributed, formats, paths
from companion.sae.mesh import SINGLE, Mesh
from companion.sae.models import Autoencoder
from companion.sae.recipe import TrainConfig
from companion.sae.train import Trained, fit

SMALL = "python-stdlib-4l"
"""The subject of --subject small."""
PATHS = {"recommended": paths.recommended, "exact": lambda device: paths.EXACT, "low": paths.low}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of a training. Those of `TrainConfig` that are not here keep their defaults."""
    parser = argparse.ArgumentParser(prog="python -m companion.cli", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the state and the result are kept")
    parser.add_argument("--subject", default="small", help="small or tiny (offline), or a model of the hub and its revision: name@revision")
    parser.add_argument("--layer", type=int, default=2)
    parser.add_argument("--contexts", type=int, default=6000, help="training contexts to stream, epoch after epoch")
    parser.add_argument("--buffer", type=int, default=2**19, help="tokens in the shuffle buffer; its memory is this times the width times 4 bytes")
    parser.add_argument("--every", type=int, default=1000, help="steps between two states on disk")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--path", choices=PATHS, default="recommended", help="kernels: a GPU's own or the exact ones; low selects in bfloat16")
    for name in ("data", "latent"):
        parser.add_argument(f"--{name}", type=int, default=1, help="processes that share the batch, or the latents")
    parser.add_argument("-n", type=int, required=True, help="latents")  # not --n: torchrun would take it for its --nnodes
    parser.add_argument("-k", type=int, default=argparse.SUPPRESS, help="latents kept per token")
    for name, kind in dict(steps=int, batch=int, kind=str, penalty=float, lr=float, warmup=int, dead_after_tokens=int).items():
        parser.add_argument(f"--{name}", type=kind, required=name == "steps", default=argparse.SUPPRESS)
    return parser.parse_args(arguments, argparse.Namespace(batch=4096))


def configure(options: argparse.Namespace) -> dictionaries.DictionaryConfig:
    """What is trained, from the options.

    Raises:
        ValueError: an unknown subject or one without a revision, or settings that `TrainConfig` refuses.
    """
    name, _, revision = options.subject.partition("@")
    if not revision and name not in ("small", "tiny"):
        raise ValueError(
            f"--subject {options.subject}: write {name}@REVISION with a branch, tag or commit of that model on the hub, so that the result "
            f"can say what it was trained on; offline there are small and tiny"
        )
    subject = HubConfig(name, revision) if revision else TINY if name == "tiny" else dictionaries.offline_subject(SMALL)
    fields = {field: value for field, value in vars(options).items() if field in TrainConfig.__dataclass_fields__}
    return dictionaries.DictionaryConfig(subject, TrainConfig(**fields), options.layer, options.contexts, options.seed)


def train(options: argparse.Namespace, mesh: Mesh = SINGLE) -> Autoencoder:
    """Train as the options say, or go on; the first process writes the result."""
    config = configure(options)
    stream = dictionaries.stream(config, options.buffer)
    sample = dictionaries.first(stream, config.train.median_sample)
    generator, path = run.generator(config.seed, "start", device=run.device()), PATHS[options.path](sample.device)
    trained = fit(stream, config.train, sample, generator, folder=options.folder, every=options.every, mesh=mesh, path=path)
    if not mesh.silent:
        formats.save(trained.sae, options.folder / "sae", provenance(config, trained))
    return trained.sae


def provenance(config: dictionaries.DictionaryConfig, trained: Trained) -> dict:
    """What the file says about itself; its error is that of held-out text."""
    text = dictionaries.heldout(config)
    error = dictionaries.error(trained.sae, text.x)
    known = dict(model_name=text.subject.name, hook_name=config.site, layer=config.layer, seed=config.seed, tokens=int(trained.history["tokens"][-1]))
    return known | dict(normalised_mse=error, dead_share=float(trained.history["dead"][-1]))


def main() -> None:
    """Parse the command line, join the other processes if there are any, and train."""
    options = parse(sys.argv[1:])
    try:
        configure(options)
    except ValueError as error:
        sys.exit(f"python -m companion.cli: {error}")
    mesh = distributed.mesh(options.data, options.latent, run.device()) if options.data * options.latent > 1 else SINGLE
    train(options, mesh)
    mesh.close()


if __name__ == "__main__":
    main()
