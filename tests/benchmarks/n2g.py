"""Seconds that N2G takes for latents of an autoencoder of the shipped four-layer subject; not a test, nothing is asserted.

    python tests/benchmarks/n2g.py [--latents 500] [--contexts 1500] [--heldout 192] [--length 64] [--longest R] [--random]

The autoencoder is page 13's at `laptop`, trained first if it is not in the cache, or with --random one of the same shape that is
not trained. Latents are drawn from those that are active on the first training contexts. Contexts are cut to the paper's 64 tokens:
the time grows with the square of the runs, which are as long as a context where a latent needs all of it. Printed: seconds of each
stage, and of the processor for it, the lengths of the runs, and the mean F1 with its interval over latents.
"""

import argparse
import time

import torch

from companion import dictionaries, run
from companion.evals import explanations, n2g, statistics
from companion.sae.models import TopK
from companion.sae.recipe import TrainConfig

RECIPE = TrainConfig(n=2048, k=16, steps=300, batch=2048, dead_after_tokens=50_000)
PADDING = "Ġ_"
"""The paper's " _", as a byte-level vocabulary writes it."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("latents", 500), ("contexts", 1500), ("heldout", 192), ("length", 64), ("longest", None)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--random", action="store_true")
    return parser.parse_args()


class Stages:
    """Prints what has taken how long since the last, and at the end since the first."""

    def __init__(self):
        self.first = self.last = self.now()

    def now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def __call__(self, what: str, *, since_first: bool = False) -> None:
        now, then = self.now(), self.first if since_first else self.last
        print(f"{now[0] - then[0]:8.1f} s  {now[1] - then[1]:8.1f} s of the processor  {what}", flush=True)
        self.last = now


def main() -> None:
    from tokenizers import Tokenizer

    asked, torch_stream = options(), torch.Generator().manual_seed(run.seed_shift())
    config = dictionaries.DictionaryConfig(dictionaries.offline_subject("python-stdlib-4l"), RECIPE, contexts=4000, keep=("averaged", "untrained"))
    subject = dictionaries.open_subject(config.subject)
    sae = TopK.random(subject.d_model, RECIPE.n, RECIPE.k, torch_stream) if asked.random else dictionaries.dictionary(config)
    train, heldout = (
        dictionaries.spread(subject.tokens(split), count)[:, : asked.length]
        for split, count in (("train", asked.contexts), ("heldout", asked.heldout))
    )
    padding = Tokenizer.from_file(str(subject.folder / "tokenizer.json")).token_to_id(PADDING)
    every = torch.arange(RECIPE.n)
    alive = n2g.firings(explanations.latent_activations(subject, sae, config.layer, every), train[:100]).counts.nonzero().flatten()
    latents = alive[torch.randperm(len(alive), generator=torch_stream)[: asked.latents]]
    activations = explanations.latent_activations(subject, sae, config.layer, latents)

    print(f"{len(latents)} latents, {torch.get_num_threads()} threads, {tuple(train.shape)} and {tuple(heldout.shape)} tokens")
    stage = Stages()
    fired, held = n2g.firings(activations, train), n2g.firings(activations, heldout)
    stage("activations on the text")
    tries = n2g.explain(activations, train, fired, n2g.Settings(padding, longest=asked.longest), torch_stream)
    stage("patterns")
    scores = explanations.score(tries, heldout, held)
    stage("predictions and scores")
    stage("in all", since_first=True)
    lengths = torch.tensor([len(pattern.tokens) for trie in tries for pattern in trie.patterns], dtype=torch.float)
    print("lengths of runs, at 50, 90, 99 and 100 %:", lengths.quantile(torch.tensor([0.5, 0.9, 0.99, 1])).tolist())
    shown = statistics.mean_interval(scores.f1[~scores.f1.isnan()].numpy(), torch_stream)
    print(f"mean F1 {shown.value:.3f} ({shown.low:.3f} to {shown.high:.3f}), by chance {scores.chance.mean():.3f}")


if __name__ == "__main__":
    main()
