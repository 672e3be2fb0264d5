"""What the rows `published` and `paper` of the pages would take, counted from the rows themselves: PAPER.md is written from here.

    python -m companion.prices

Nobody has run these rows. Hours are operations divided by an assumed rate; only trainings, and the passes of the subject that feed them, are
counted. What is counted is told apart from what is guessed.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from companion import dictionaries, files, pages, released, run
from companion.lm.sources import HubConfig, ShippedConfig
from companion.lm.training import SubjectConfig
from companion.sae import published
from companion.sae.recipe import TrainConfig, model_class

RATE = 1e13
"""Operations a second, assumed: half of what an A100 does in float32 without its tensor cores."""
CPU_RATE = 5e10
"""The same of two laptop cores, for `published`."""
PER_PARAMETER = 20
"""Bytes: the weight, its gradient, two moments of Adam, the running mean, in float32."""
PYTHON_INTEGER = 36
"""Bytes of a number in a list of Python: contexts are read into one before they become a tensor."""
ENTRIES = 2**31
"""From so many entries on, some kernels count with too few bits."""
GPT2_SMALL, MEDIUM, LARGE = (768, 12, 50_257), (1024, 24, 50_257), (1280, 36, 50_257)
"""Width, blocks, vocabulary."""


class Fetched(NamedTuple):
    name: str
    revision: str
    size: float
    """Bytes, of one revision."""
    shape: tuple[int, int, int] | None
    """Of a model."""
    checked: str


PINS = "the commit stands in the code of several public projects; no file was fetched"
STEPS = "the steps and names are those of TransformerLens's table (a test compares them); no file was fetched"
FETCHED = (
    Fetched("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", 5.5e8, GPT2_SMALL, PINS),
    Fetched("gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", 1.52e9, MEDIUM, PINS),
    Fetched("gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519", 3.25e9, LARGE, PINS),
    Fetched("stanford-crfm/alias-gpt2-small-x21", "checkpoint-N, 609 steps", 5.0e8, GPT2_SMALL, STEPS),
    Fetched("stanford-crfm/arwen-gpt2-medium-x21", "checkpoint-400000", 1.4e9, MEDIUM, "whether this revision exists is disputed; not fetched"),
    Fetched(
        "Skylion007/openwebtext", "refs/convert/parquet", math.nan, None, "the hub makes this branch itself; streamed, only what the contexts need"
    ),
    *(
        Fetched(
            release,
            "no checksum is published: kept at the first use",
            published.size(release, "hook_resid_post"),
            None,
            "addresses as OpenAI's code has them",
        )
        for release in ("v5_32k", "v5_128k")
    ),
    Fetched(released.RES_JB, "{} {}".format(*released.RES_JB_AT), 1.511e8, None, "the commit and the size are named in another project's survey"),
)
SIZES = {fetched.name: fetched for fetched in FETCHED}
DENSE = "codes of all held-out tokens at once, dense"
TEXT = 5.0
"""Bytes that are streamed for a token of web text, guessed."""


def held(value: Any, kind: type) -> list[Any]:
    """The different objects of a kind within a row: in its fields, tuples and dictionaries."""
    found = [value] if isinstance(value, kind) else []
    if dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        parts = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, (tuple, list)) else []
    for part in parts:
        found += [each for each in held(part, kind) if each not in found]
    return found


# --- what is trained ----------------------------------------------------------------------------------------------------


class Trained(NamedTuple):
    count: int
    recipe: TrainConfig
    width: int
    streamed: bool = True
    """On activations of a subject, which makes them anew in every epoch; otherwise on made-up data."""

    @property
    def tokens(self) -> int:
        """Seen by one training."""
        return self.recipe.steps * self.recipe.batch

    def operations(self, layer: int) -> float:
        """Of all of them, with the subject's blocks up to the layer: 2 n d a token for the product of the encoder, as much again for AuxK;
        kinds with a penalty have dense codes, whose decoder and gradients are products too."""
        dense = 12 if model_class(self.recipe.kind).kind in ("relu", "relu_norm", "gated", "jumprelu") else 4
        own = dense * self.recipe.n * self.width
        return self.count * self.tokens * (own + (24 * self.width**2 * (layer + 1) if self.streamed else 0))


def _page_08(c: Any) -> Iterator[Trained]:
    yield Trained(c.seeds + 1, c.stream, 768)
    yield Trained(2, c.plain, 768)
    yield Trained(c.seeds, c.planted.sae, c.planted.width, streamed=False)


def _page_08a(c: Any) -> Iterator[Trained]:
    yield Trained(4 * c.seeds, c.stream, 768)
    yield Trained(4 * c.watched, dataclasses.replace(c.stream, steps=c.longer), 768)
    yield from (Trained(2 * c.counted, dataclasses.replace(c.stream, n=n), 768) for n in c.alive)
    yield from (Trained(c.seeds * len(c.rates), dataclasses.replace(c.sweep, n=n), 768) for n in c.sizes)
    yield Trained(5 * c.seeds, c.short, 768)


def _page_08b(c: Any) -> Iterator[Trained]:
    for kind, rates in c.rates.items():
        own = dict(k=None) if kind in c.penalties else dict(k=1)
        pilot = 2 * len(rates) if len(rates) > 1 else 0
        seeds = c.seeds if kind in ("topk", "relu_norm") else 1
        yield Trained(len(c.kept) * (pilot + seeds), dataclasses.replace(c.stream.train, kind=kind, **own), 768)


def _page_09(c: Any) -> Iterator[Trained]:
    recipe = c.base.train
    yield from (Trained(len(c.kept) * c.seeds, dataclasses.replace(recipe, n=n), 768) for n in c.sizes)
    yield from (Trained(len(c.rates) * c.seeds, dataclasses.replace(recipe, n=n, steps=c.rate_steps), 768) for n in c.rate_sizes)
    yield from (Trained(len(c.subjects) * c.seeds, dataclasses.replace(recipe, n=n), 1024) for n in c.subject_sizes)


def _page_10(c: Any) -> Iterator[Trained]:
    yield from (Trained(len(c.kept) * c.seeds, dataclasses.replace(c.base.train, n=n), 768) for n in c.widths)
    yield from (Trained(c.seeds, dataclasses.replace(c.base.train, steps=steps, n=c.widths[-1]), 768) for steps in c.shorter)


def _others(c: Any) -> Iterator[Trained]:
    """Every dictionary of a model of the hub that the row names, once per seed. A block has four times as many neurons as channels."""
    for config in held(c, dictionaries.DictionaryConfig):
        if isinstance(config.subject, HubConfig):
            width = SIZES[config.subject.name].shape[0] * (4 if config.hook == "mlp.hook_post" else 1)
            yield Trained(getattr(c, "seeds", 1), config.train, width)


COUNTED: dict[str, Callable[[Any], Iterator[Trained]]] = {
    "08_sae_training": _page_08,
    "08a_sae_recipe": _page_08a,
    "08b_activation_functions": _page_08b,
    "09_sae_scaling_laws": _page_09,
    "10_downstream_loss_to_compute": _page_10,
}
"""How many trainings a page makes of its `paper` row; of the other pages at least the dictionaries that the row names."""


def download(row: Any) -> float:
    """Bytes: models with the steps that are named, published autoencoders, and the text."""
    models = {config.name: config for config in held(row, HubConfig)}
    total = sum(SIZES[name].size * max(1, len(config.steps)) for name, config in models.items())
    total += sum(SIZES[config.release].size for config in held(row, dictionaries.PublishedConfig))
    tokens = [(c.train_contexts + c.heldout_contexts) * c.context for c in models.values() if c.dataset]
    return total + TEXT * max(tokens, default=0)


class Array(NamedTuple):
    what: str
    entries: int
    size: float


def arrays(row: Any, trained: list[Trained]) -> list[Array]:
    """The large ones, in float32 but for the text; each is there on its own."""
    subjects, found = held(row, HubConfig), []
    vocabulary = max((SIZES[config.name].shape[2] for config in subjects), default=0)
    found.append(Array("logits of a chunk of 8,192 tokens", 8192 * vocabulary, 4 * 8192 * vocabulary))
    for config in subjects:
        if config.dataset:
            tokens = (config.train_contexts + config.heldout_contexts) * config.context
            found.append(Array("the text, as lists of Python", tokens, PYTHON_INTEGER * tokens))
    for subject, contexts, heldout in _texts(row):
        per_context = subject.context * SIZES[subject.name].shape[0]
        room = min(dictionaries.POOL_BYTES // 4, contexts * per_context)
        found += [Array(what, n, 4 * n) for what, n in (("the stream on held-out text", heldout * per_context), ("the shuffle buffer", room))]
        if hasattr(row, "window"):  # page 8a cuts every context into windows and holds the activations of all
            found.append(Array("all windows of the training text at once", contexts * per_context, 4 * contexts * per_context))
    for each in held(row, dictionaries.PublishedConfig):
        size = SIZES[each.release].size
        found.append(Array(f"the weights of {each.release}", int(size / 4), size))
        if each.release == released.RES_JB:
            codes = each.heldout * each.subject.context * int(size / 8 / SIZES[each.subject.name].shape[0])
            found.append(Array(DENSE, codes, 4 * codes))
    for each in trained:
        size = 2 * each.recipe.n * each.width
        found.append(Array(f"weights and optimiser of n = {each.recipe.n:,}", size, PER_PARAMETER * size))
        if each.recipe.kind in ("relu", "relu_norm", "gated", "jumprelu"):
            codes = each.recipe.batch * each.recipe.n
            found.append(Array("pre-activations of a batch, dense", codes, 4 * codes))
            for subject, _, heldout in _texts(row):
                codes = heldout * subject.context * each.recipe.n
                found.append(Array(DENSE, codes, 4 * codes))
    return sorted(set(found), key=lambda array: -array.size)


def _texts(row: Any) -> list[tuple[HubConfig, int, int]]:
    """Subjects of the hub with the contexts that are trained on (0 where nothing is) and held out."""
    named = [*held(row, (dictionaries.DictionaryConfig, dictionaries.PublishedConfig)), *([row] if hasattr(row, "subject") else [])]
    return [(each.subject, getattr(each, "contexts", 0), each.heldout) for each in named if isinstance(each.subject, HubConfig)]


HEADER = f"""# What the rows `published` and `paper` would take

Each notebook shows a table of parameters with a row per profile (`COMPANION_PROFILE` picks one). This page counts what the two large rows need.
Written by `python -m companion.prices` from the rows themselves; a test fails when it is out of date. **Not yet run**: no GPU and no network were
there when this was written, so nothing below was measured. Downloads are as the sources state them, with {TEXT:.0f} bytes a token of text, guessed.
Memory is of the largest arrays, one of each at once. Hours are those of the trainings alone, with the subject's passes that feed them:
operations / {RATE:.0e} a second, which is assumed (half of an A100's float32 without tensor cores). Minutes at `published` are one pass of the
held-out text through the model and each autoencoder at {CPU_RATE:.0e} a second, two laptop cores; the evaluations come on top and are not counted.
Epochs are over the distinct tokens that a row trains on: where there are many, the row is not the paper's single pass over fresh text.
`make paper-dry` runs pages at these rows offline, on stand-ins of the same form; `tests/paper_dry.py` says which.
"""


def text(root: Path) -> str:
    """PAPER.md."""
    lines = [HEADER, "## Rows", "", "| page | row | trained | tokens seen by one (epochs) | download | memory | time | |", "|" + "---|" * 8]
    large = []
    for page in sorted((root / "notebooks").glob("*.py")):
        rows = pages.rows_of(page)
        for profile in ("published", "paper"):
            if (row := rows.get(profile)) is not None:
                lines.append(_line(page.stem, profile, row))
                large += [(page.stem, profile, array) for array in arrays(row, trained_by(page.stem, profile, row)) if array.entries >= ENTRIES]
    lines += ["", "## Steps with 2^31 entries or more", ""]
    lines += [f"- {page}, `{profile}`: {array.what}, {array.entries:.2e} entries, {_bytes(array.size)}" for page, profile, array in large] or [
        "None."
    ]
    lines += ["", "## What is fetched", "", "| name | revision | size | where that was checked |", "|---|---|---|---|"]
    lines += [f"| {each.name} | {each.revision} | {_bytes(each.size)} | {each.checked} |" for each in FETCHED]
    return "\n".join([*lines, ""])


def trained_by(page: str, profile: str, row: Any) -> list[Trained]:
    """The trainings of a row; none of a published one that has no dictionary to train, and none where there is no subject of the hub."""
    if not held(row, HubConfig) or (profile == "published" and not held(row, dictionaries.DictionaryConfig)):
        return []
    return list(COUNTED.get(page, _others)(row))


def _line(page: str, profile: str, row: Any) -> str:
    trained = trained_by(page, profile, row)
    if not held(row, HubConfig):
        what = "offline models" if held(row, (ShippedConfig, SubjectConfig)) else "toy models or planted data"
        return f"| {page} | `{profile}` | {what} | not counted | none | not counted | not counted | not yet run |"
    layer = max((config.layer for config in held(row, (dictionaries.DictionaryConfig, dictionaries.PublishedConfig))), default=8)
    hours = sum(each.operations(layer) for each in trained) / RATE / 3600
    memory = sum(array.size for array in _one_of_each(arrays(row, trained)))
    time = f"{float(f'{hours:.2g}'):g} h" if trained else f"{_minutes(row):.2g} min"
    count = f"{sum(each.count for each in trained):,}" + ("" if page in COUNTED else " or more") if trained else "nothing"
    cells = (page, f"`{profile}`", count, _epochs(row, trained), _bytes(download(row)), _bytes(memory), time, "not yet run")
    return f"| {' | '.join(cells)} |"


def _one_of_each(found: list[Array]) -> list[Array]:
    """The largest of each purpose, the first as they are sorted."""
    kinds = {}
    for array in found:
        kinds.setdefault(" ".join(array.what.split()[:3]), array)
    return list(kinds.values())


def _epochs(row: Any, trained: list[Trained]) -> str:
    streamed = [each for each in trained if each.streamed]
    if not streamed:
        return "none"
    longest = max(streamed, key=lambda each: each.tokens)
    distinct = max(contexts * subject.context for subject, contexts, _ in _texts(row))
    return f"{longest.tokens / 1e6:.3g} M ({longest.tokens / distinct:.0f} of {distinct / 1e6:.3g} M)"


def _minutes(row: Any) -> float:
    """Of a pass of the held-out text through the model and the encoders of a `published` row."""
    operations = 0.0
    for each in held(row, dictionaries.PublishedConfig):
        width, blocks, vocabulary = SIZES[each.subject.name].shape
        own = 2 * SIZES[each.release].size / 8 + 2 * (12 * width**2 * blocks + width * vocabulary)
        operations += each.heldout * each.subject.context * own
    return operations / CPU_RATE / 60


def _bytes(size: float) -> str:
    return "a part" if math.isnan(size) else f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


if __name__ == "__main__":
    files.write((root := run.project_root()) / "PAPER.md", text(root))
