"""Train a dictionary of any size, on one process or under torchrun, with its state kept along the way; or report on any autoencoder.

    python -m companion.cli train -n 4096 -k 16 --steps 700 --folder runs/mine
    torchrun --nproc-per-node 4 -m companion.cli train --data 2 --latent 2 -n 32768 -k 32 --steps 20000 --folder runs/wide
    python -m companion.cli train --subject stanford-crfm/alias-gpt2-small-x21@checkpoint-400000 --layer 8 -n 32768 -k 32 --steps 20000 --folder gpt2
    python -m companion.cli report --sae runs/mine/sae
    python -m companion.cli report --subject gpt2@607a30d783dfa663caf39e06633721c8d4cfcd7e --sae v5_32k --layer 8 --json gpt2.json

A training that is started again with the same options goes on where it stopped, on as many processes as it is then given. Activations
are streamed from the subject that ships with the package, or from a model of the hub; the result is written in SAELens's layout
to <folder>/sae. A report has every number of the evaluations, with intervals (`evals.report`).
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from companion import dictionaries, files, released, run
from companion.evals import report
from companion.evals.setting import SIZES
from companion.lm import sources
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
    """The options of a training or a report."""
    parser = argparse.ArgumentParser(prog="python -m companion.cli", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about, add in (("train", "train a dictionary, or go on", _of_training), ("report", "every number of an autoencoder", _of_report)):
        one = commands.add_parser(name, help=about, description=about)
        one.add_argument("--subject", default="small", help="small or tiny (offline), or a model of the hub and its revision: name@revision")
        one.add_argument("--dtype", help="of a hub subject's weights, e.g. float32; otherwise as they are published")
        one.add_argument("--seed", type=int, default=0)
        add(one)
    return parser.parse_args(arguments)


def _of_training(parser: argparse.ArgumentParser) -> None:
    """Those of `TrainConfig` that are not here keep their defaults."""
    parser.add_argument("--folder", type=Path, required=True, help="where the state and the result are kept")
    parser.add_argument("--layer", type=int, default=2)
    parser.add_argument("--contexts", type=int, default=6000, help="training contexts to stream, epoch after epoch")
    parser.add_argument("--buffer", type=int, default=2**19, help="tokens in the shuffle buffer; its memory is this times the width times 4 bytes")
    parser.add_argument("--every", type=int, default=1000, help="steps between two states on disk")
    parser.add_argument("--path", choices=PATHS, default="recommended", help="kernels: a GPU's own or the exact ones; low selects in bfloat16")
    for name in ("data", "latent"):
        parser.add_argument(f"--{name}", type=int, default=1, help="processes that share the batch, or the latents")
    parser.add_argument("-n", type=int, required=True, help="latents")  # not --n: torchrun would take it for its --nnodes
    parser.add_argument("-k", type=int, default=argparse.SUPPRESS, help="latents kept per token")
    parser.add_argument("--batch", type=int, default=4096)
    for name, kind in dict(steps=int, kind=str, penalty=float, lr=float, warmup=int, dead_after_tokens=int).items():
        parser.add_argument(f"--{name}", type=kind, required=name == "steps", default=argparse.SUPPRESS)


def _of_report(parser: argparse.ArgumentParser) -> None:
    several = f"a folder in SAELens's layout, or a published one of GPT-2 small: {', '.join(released.RELEASES)}; several are compared"
    parser.add_argument("--sae", nargs="+", required=True, help=several)
    parser.add_argument("--layer", type=int, help="block after which it reads the stream; a folder says so itself")
    parser.add_argument("--json", type=Path, help="write every digit to this file as well")
    parser.add_argument(
        "--checkpoints", type=int, nargs="*", default=(), help="steps of a hub subject's training, for the share of compute; each a download"
    )
    for name, value in vars(SIZES).items():
        if name != "checkpoints":
            parser.add_argument(f"--{name}", type=int, default=value, help=f"see evals.setting.Sizes; default {value}")


def subject_of(options: argparse.Namespace, **text: object) -> sources.Config:
    """The subject that the options name.

    Raises:
        ValueError: an unknown subject, one without a revision, or a dtype for an offline one.
    """
    name, _, revision = options.subject.partition("@")
    if not revision and name not in ("small", "tiny"):
        raise ValueError(
            f"--subject {options.subject}: write {name}@REVISION with a branch, tag or commit of that model on the hub, so that the result "
            f"can say what it was trained on; offline there are small and tiny"
        )
    if not revision and options.dtype:
        raise ValueError(f"--dtype {options.dtype}: the offline subjects are float32; it is for models of the hub")
    if revision:
        return HubConfig(name, revision, dtype=options.dtype, **text)
    return TINY if name == "tiny" else dictionaries.offline_subject(SMALL)


# --- training -----------------------------------------------------------------------------------------------------------


def configure(options: argparse.Namespace) -> dictionaries.DictionaryConfig:
    """What is trained, from the options.

    Raises:
        ValueError: see `subject_of`; or settings that `TrainConfig` refuses.
    """
    fields = {field: value for field, value in vars(options).items() if field in TrainConfig.__dataclass_fields__}
    return dictionaries.DictionaryConfig(subject_of(options), TrainConfig(**fields), options.layer, options.contexts, options.seed)


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


# --- a report -----------------------------------------------------------------------------------------------------------


def reported(options: argparse.Namespace) -> report.Report | report.Comparison:
    """The report that the options ask for; of several autoencoders, their comparison.

    Raises:
        ValueError: see `subject_of` and `evals.report`; a published release without a layer, or another subject than theirs.
    """
    hub = dict(steps=tuple(options.checkpoints), train_contexts=4000, heldout_contexts=2000)
    config = subject_of(options, **hub)
    saes = {name: _opened(name, config, options.layer) for name in options.sae}
    sub = dictionaries.open_subject(config)
    sizes = replace(SIZES, **{name: getattr(options, name) for name in vars(SIZES) if name != "checkpoints"})
    found = report.compare(sub, saes, layer=options.layer, sizes=sizes, seed=options.seed)
    if options.json:
        files.write(options.json, found.json())
    return next(iter(found.reports.values())) if len(saes) == 1 else found


def _opened(name: str, config: sources.Config, layer: int | None):
    """A folder as it is, for `evals.report` to compare with the subject; a published release opened."""
    if name not in released.RELEASES:
        return Path(name)
    if layer is None or not isinstance(config, HubConfig):
        raise ValueError(f"--sae {name} is of GPT-2 small: give --layer, and --subject gpt2@REVISION")
    return dictionaries.dictionary(dictionaries.PublishedConfig(config, name, layer))


def main() -> None:
    """Parse the command line; train, with the other processes if there are any, or print a report."""
    options = parse(sys.argv[1:])
    try:
        if options.command == "report":
            print(reported(options).markdown())
            return
        configure(options)
    except (ValueError, OSError, sources.SubjectError, run.SetupError) as error:
        sys.exit(f"python -m companion.cli: {error}")
    mesh = distributed.mesh(options.data, options.latent, run.device()) if options.data * options.latent > 1 else SINGLE
    train(options, mesh)
    mesh.close()


if __name__ == "__main__":
    main()
