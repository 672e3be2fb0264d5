"""Pages at the rows `published` and `paper`, offline: every cell, on stand-ins of the same form. Not a test: nothing is asserted of what is measured.

    python tests/paper_dry.py [PAGE[:ROW] ...]         without names, the rows of `COVERED` and every `published` row there is

GPT-2 stands here with the configuration file of the published model, 12 blocks and 12 heads, and 48 channels and 512 tokens in place of 768
and 50,257, trained for some steps; its larger models are wider, with as many blocks. Autoencoders are files in the published layouts, of GPT-2's
width here. Hub and storage are answered from folders, as in tests/lm/test_hub.py. Rows keep their structure (how many sizes, seeds, steps of the
subject); `SMALLER` says what becomes of their sizes.
What is not run: the other pages' `paper` rows, activations streamed for want of room (a stand-in's fit), downloads, a GPU, the true sizes, which
PAPER.md counts. Minutes for each page.
"""

import dataclasses
import json
import math
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import torch
from nbclient import NotebookClient
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from companion import pages, prices, released, render, run  # noqa: E402
from companion.lm import subject  # noqa: E402
from companion.lm.sources import HubConfig  # noqa: E402
from companion.sae import published, weights  # noqa: E402
from companion.sae.recipe import TrainConfig  # noqa: E402
from companion.sae.stream import shuffled  # noqa: E402
from companion.sae.train import fit  # noqa: E402

COVERED = ("10_downstream_loss_to_compute:paper", "13_ablation_sparsity:paper", "15b_self_explanation:paper")
OF_THE_STAND_IN = {"10_downstream_loss_to_compute:paper": "compute.power-law", "10b_splice_by_position:published": "planted = resid"}
"""What a cell may raise: a splice into a model of so little skill may lower its loss, and a rise below 0 has no logarithm; an autoencoder with
an error of one or two hundredths shows a missed first position among 64 also in the units of each vector."""
WIDTH, VOCABULARY, LATENTS, STEPS, KEPT = 48, 512, 64, 160, 16
WIDTHS = {"gpt2": WIDTH, "gpt2-medium": 72, "gpt2-large": 96, "stanford-crfm/alias-gpt2-small-x21": WIDTH, "stanford-crfm/arwen-gpt2-medium-x21": 72}
"""Of the models that stand in, by the name on the hub; each a model of its own, for what compares models of several sizes."""
GPT2 = dict(
    activation_function="gelu_new", attn_pdrop=0.1, embd_pdrop=0.1, resid_pdrop=0.1, layer_norm_epsilon=1e-5, initializer_range=0.02,
    n_positions=1024, n_head=12, n_layer=12, summary_type="cls_index", summary_use_proj=True, summary_activation=None, summary_first_dropout=0.1,
)  # fmt: skip
"""config.json of gpt2, but for its sizes and the numbers of its tokens."""
STANFORD = GPT2 | dict(scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True)

# --- smaller rows -------------------------------------------------------------------------------------------------------


def _latents(n: int) -> int:
    return max(16, n // 2**7) if n >= 2**11 else min(n, LATENTS)


def _kept(k: int) -> int:
    return max(2, k // 4)


def _steps(steps: int) -> int:
    return max(2, min(12, steps // 1000))


SMALLER = dict(n=_latents, widths=_latents, sizes=_latents, narrow=_latents, k=_kept, kept=_kept, judged=_kept, steps=_steps, shorter=_steps)
"""What becomes of numbers of latents, of kept ones, and of steps, by the names of the fields."""
MOST = dict(batch=256, dead_after_tokens=1000, median_sample=512, contexts=128, heldout=48, least=4, train_contexts=400, heldout_contexts=80)
MOST |= dict(channels=8, sampled=6, whole=6, labelled=200, longest=6, characters=2_000_000, untrained=4)
"""The most of others that a dry run takes."""


def smaller(value, name: str = ""):
    """The same row with smaller numbers."""
    if dataclasses.is_dataclass(value):
        parts = {field.name: smaller(getattr(value, field.name), field.name) for field in dataclasses.fields(value) if field.init}
        return dataclasses.replace(value, **parts | ({"steps": value.steps} if isinstance(value, HubConfig) else {}))
    if isinstance(value, (tuple, list)):
        return type(value)(smaller(each, name) for each in value)
    if isinstance(value, dict):
        return {key: smaller(each, name) for key, each in value.items()}
    if type(value) is int and name in SMALLER:
        return SMALLER[name](value)
    return min(value, MOST[name]) if type(value) is int and name in MOST else value


def row(**rows):
    """In the place of `run.choose` on a page."""
    return smaller(rows[run.profile()])


# --- what stands for the hub --------------------------------------------------------------------------------------------


def build(folder: Path, names: set[str]) -> None:
    """The models of these names and their tokenizer, and autoencoders where the package looks for them."""
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from companion.lm import corpus

    texts = list(corpus.library_texts().values())[:60]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=corpus.train_tokenizer(texts, VOCABULARY), bos_token=corpus.END_OF_TEXT, eos_token=corpus.END_OF_TEXT
    )
    contexts = corpus.contexts(tokenizer.backend_tokenizer, texts, 64)
    for name in sorted(names):
        known = STANFORD if "/" in name else GPT2
        torch.manual_seed(0)
        sizes = dict(n_embd=WIDTHS[name], vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0)
        _train(GPT2LMHeadModel(GPT2Config(**known | sizes)), contexts, folder / name)
        tokenizer.save_pretrained(folder / name)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    if "gpt2" in names:
        for layer in range(12):
            _autoencoders(folder, layer, _stream(folder / "gpt2", contexts[-64:], layer))


def _stream(folder: Path, contexts: torch.Tensor, layer: int) -> torch.Tensor:
    return subject.open_subject(folder).residual(contexts, layer)[:, 1:].flatten(0, 1)


def _autoencoders(folder: Path, layer: int, acts: torch.Tensor) -> None:
    """Of one layer, trained for some steps, so that they are better than one that was never trained."""
    for release in ("v5_32k", "v5_128k"):
        path = folder / "cache" / "published" / published.address(release, "hook_resid_post", layer).removeprefix(published.ROOT)
        _openai(path, _fitted(acts, int(release == "v5_128k"), k=4))
    site = f"blocks.{layer + 1}.hook_resid_pre" if layer + 1 < published.LAYERS else f"blocks.{layer}.hook_resid_post"
    centred = acts - acts.mean(-1, keepdim=True)
    _res_jb(folder / "res_jb" / site, layer, _fitted(centred, 2, kind="relu", penalty=0.02, space="none"))


def _fitted(acts: torch.Tensor, seed: int, **more):
    config = TrainConfig(n=LATENTS, steps=150, batch=256, lr=5e-3, **more)
    draw = torch.Generator().manual_seed(seed)
    return fit(shuffled(acts, config.batch, config.steps, draw), config, acts, draw).sae


def _train(model, contexts: torch.Tensor, folder: Path) -> None:
    """A short training at a falling rate, so that losses fall and what is read matters; `KEPT` states of it are kept."""
    optimiser = torch.optim.AdamW(model.eval().parameters(), lr=5e-3)
    for step, batch in enumerate(contexts[torch.randperm(len(contexts))][: 16 * STEPS].split(16)):
        if step % (STEPS // KEPT) == 0:
            model.save_pretrained(folder / f"state-{step // (STEPS // KEPT)}")
        optimiser.param_groups[0]["lr"] = 5e-3 * (1 - step / STEPS)
        model(batch, labels=batch).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    for last in (f"state-{KEPT}", "."):
        model.save_pretrained(folder / last)


def _openai(path: Path, sae) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"pre_bias": sae.b_pre, "latent_bias": sae.b_enc, "encoder.weight": sae.W_enc, "decoder.weight": sae.W_dec.T.contiguous()}
    torch.save(state | {"activation": "TopK", "activation_state_dict": {"k": sae.k, "postact_fn": "ReLU"}}, path)


def _res_jb(folder: Path, layer: int, sae) -> None:
    folder.mkdir(parents=True)
    own = sae.sae
    tensors = dict(W_enc=own.W_enc.T.contiguous(), W_dec=own.W_dec, b_enc=own.b_enc, b_dec=own.b_pre)
    save_file(tensors, folder / "sae_weights.safetensors")
    known = dict(d_in=WIDTH, d_sae=LATENTS, hook_point=folder.name, hook_point_layer=layer, model_name="gpt2-small", dtype="torch.float32")
    known |= dict(model_from_pretrained_kwargs=dict(center_writing_weights=True), device="cpu")
    weights.write_json(folder / "cfg.json", known)


class Hub:
    """Any revision of a model is its stand-in; a step's is a state of its training, by the logarithm. Autoencoders are those built."""

    def __init__(self, folder: Path):
        self.folder = folder

    def _of(self, name: str) -> Path:
        return self.folder / ("res_jb" if name == released.RES_JB_AT[0] else name)

    def repo_info(self, name, revision, repo_type="model", files_metadata=False):
        step = revision.removeprefix("checkpoint-")
        sha = revision if len(revision) == 40 else f"{int(step):040d}" if step.isdigit() else "f" * 40
        files = [SimpleNamespace(rfilename=path.name, size=path.stat().st_size) for path in self._of(name).glob("*.*")] if files_metadata else None
        return SimpleNamespace(sha=sha, siblings=files)

    def snapshot_download(self, name, revision, allow_patterns=None, local_files_only=False, **_):
        held = self.folder / "downloads" / name / revision
        if local_files_only and not (held / "model.safetensors").is_file():
            raise FileNotFoundError(revision)
        for file in allow_patterns if not local_files_only else ():
            (held / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._of(name) / file, held / file)
            if file == "model.safetensors" and revision.isdigit():
                save_file(self._between(self._of(name), int(revision)), held / file, {"format": "pt"})
        return str(held)

    def _between(self, folder: Path, step: int) -> dict[str, torch.Tensor]:
        """Weights at the logarithm of the step, between the two states that are nearest."""
        place = KEPT * math.log1p(step) / math.log1p(400_000)
        before = min(int(place), KEPT - 1)
        start, end = (load_file(folder / f"state-{at}" / "model.safetensors") for at in (before, before + 1))
        return {name: start[name].lerp(end[name], place - before) for name in end}


def stand_in(folder: str) -> None:
    """In a page's kernel, before its first cell."""
    import datasets
    import huggingface_hub
    import transformers

    fake, texts = Hub(Path(folder)), json.loads((Path(folder) / "texts.json").read_text(encoding="utf-8"))
    own = transformers.AutoTokenizer.from_pretrained
    huggingface_hub.HfApi, huggingface_hub.snapshot_download = lambda: fake, fake.snapshot_download
    transformers.AutoTokenizer.from_pretrained = lambda name, **more: own(name if Path(name).is_dir() else Path(folder) / name)
    datasets.load_dataset = lambda *_, **__: [{"text": text} for text in texts * 50]


# --- a run --------------------------------------------------------------------------------------------------------------


def dry(page: Path, profile: str, folder: Path) -> list[str]:
    """Runs a page at a row; what went wrong, cell by cell."""
    notebook = render.notebook_of(page)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = cell.source.replace("run.choose(", "paper_dry.row(")
    setup = f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\nimport paper_dry\npaper_dry.stand_in({str(folder)!r})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(setup))
    os.environ |= dict(COMPANION_PROFILE=profile, COMPANION_DEVICE="cpu", COMPANION_CACHE=str(folder / "cache"), COMPANION_OUTPUT="here")
    client = NotebookClient(notebook, timeout=None, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": folder / "notebooks"}})
    client.execute()
    failed = []
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                failed.append(f"cell {index}: {output.ename}: {output.evalue}\n{cell.source[:300]}")
    known = OF_THE_STAND_IN.get(f"{page.stem}:{profile}")
    return [each for each in failed if known is None or known not in each]


def counted(page: Path, profile: str, folder: Path) -> str:
    """What `prices` counts beside the dictionaries that were trained."""
    made = len(list((folder / "cache").glob("dictionaries.train_dictionary-*/")))
    expected = sum(each.count for each in prices.trained_by(page.stem, profile, pages.rows_of(page)[profile]) if each.streamed)
    return f"{made} dictionaries trained, {expected} counted in PAPER.md"


def models_of(page: Path, profile: str) -> set[str]:
    """Names on the hub of a row's models."""
    return {config.name for config in prices.held(pages.rows_of(page)[profile], HubConfig)}


def main(asked: list[str]) -> int:
    """One line per page and row; 1 if a cell of one raised."""
    known = {page.stem: page for page in sorted((ROOT / "notebooks").glob("*.py"))}
    rows = asked or [*COVERED, *(f"{stem}:published" for stem, page in known.items() if pages.rows_of(page).get("published") is not None)]
    named = [(stem, profile or "paper") for stem, _, profile in (each.partition(":") for each in rows)]
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        (built := Path(temporary) / "built").mkdir()
        build(built, set().union(*(models_of(known[stem], profile) for stem, profile in named)))
        for stem, profile in named:
            folder = Path(temporary) / f"{stem}-{profile}"
            shutil.copytree(built, folder)
            for name in ("notebooks", "companion", "figures"):
                (folder / name).mkdir()
            start = time.monotonic()
            failed = dry(known[stem], profile, folder)
            trained = counted(known[stem], profile, folder)
            print(f"{stem} {profile}: {time.monotonic() - start:.0f} s, {trained}; {len(failed)} cells raised", flush=True)
            print("\n".join(failed), end="\n" if failed else "", flush=True)
            wrong += bool(failed)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
