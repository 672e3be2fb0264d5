"""One training step of a TopK autoencoder, ours beside the libraries that people use; nothing is asserted but that all do the same work.

    python tests/benchmarks/sae_step.py --peers .peers/bin/python --out figures/16_speed/bench.json
    python tests/benchmarks/sae_step.py --sweeps --out figures/16_speed/sweeps.json
    python tests/benchmarks/sae_step.py --quick

Every library runs in a process of its own, with its own interpreter, on the same inputs from the same weights; processes that are
not asked wait. A round asks each in turn, and the turn rotates. Each time a process first multiplies B tokens by the encoder in
float32 into a buffer it keeps, then takes one step: the ratio of these two times is what is reported, as a median over rounds, so
that a machine whose clock drifts slows both. A step is forward, backward, optimiser and whatever the library itself does at each
step of its own trainer (see `step_of`); no latent is dead, so AuxK costs nothing. openai/sparse_autoencoder is on no package index:
its path without a GPU is a dense step, for which the dense reference stands.

The sweeps are ours alone, in this process and on one thread: the dense step over ours, and torch.topk over ours, for many n / k, with
every round's ratio, so that their spread is in the record.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor


class Shape(NamedTuple):
    B: int
    d: int
    n: int
    k: int


SHAPES = (Shape(4096, 128, 4096, 16), Shape(8192, 128, 16384, 32), Shape(2048, 768, 32768, 32))
QUICK = (Shape(64, 16, 512, 4),)
SWEPT = Shape(512, 128, 4096, 1)
"""The step whose n / k is swept; its k is not used."""
RATIOS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
TABLE = (512, 16384)
"""Rows and columns from which the largest of each row are selected."""
SHARES = (4, 16, 64, 256, 512, 1024)
RATE = 1e-4
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")


class Step(NamedTuple):
    """What a library brings: one step on a batch, a reconstruction, and its optimiser."""

    take: Callable[[Tensor], None]
    reconstruct: Callable[[Tensor], Tensor]
    adam: torch.optim.Optimizer


# --- the libraries: weights (n, d) with unit rows for encoder and decoder alike, no biases ---


def ours(shape: Shape, W: Tensor, x: Tensor, low: bool) -> Step:
    from companion.sae import paths, train

    config = train.TrainConfig(n=shape.n, k=shape.k, steps=10**6, batch=shape.B, lr=RATE, ema=None, log_every=10**6)
    run = train.Training(config, x[:64], torch.Generator().manual_seed(0), path=paths.LOW if low else paths.EXACT)
    run.step = 1  # past the step that is logged
    fill((run.sae.W_enc, W), (run.sae.W_dec, W), (run.sae.b_pre, torch.zeros(shape.d)))
    return Step(run.advance, run.sae, run.adam)


def dense_reference(shape: Shape, W: Tensor, x: Tensor) -> Step:
    """The formula, by autograd, with the fused optimiser: what a careful page of torch does."""
    W_enc, W_dec, b_enc, b_pre = weights = [t.clone().requires_grad_() for t in (W, W, torch.zeros(shape.n), torch.zeros(shape.d))]
    adam = torch.optim.Adam(weights, lr=RATE, fused=True)

    def reconstruct(x: Tensor) -> Tensor:
        pre = (x - b_pre) @ W_enc.T + b_enc
        top = pre.topk(shape.k, dim=1, sorted=False)
        return torch.zeros_like(pre).scatter(1, top.indices, top.values.relu()) @ W_dec + b_pre

    def take(x: Tensor) -> None:
        adam.zero_grad()
        (reconstruct(x) - x).square().sum(dim=1).mean().backward()
        with torch.no_grad():
            W_dec.div_(W_dec.norm(dim=1, keepdim=True))
            W_dec.grad.addcmul_((W_dec.grad * W_dec).sum(dim=1, keepdim=True), W_dec, value=-1)
        adam.step()

    return Step(take, reconstruct, adam)


def saelens(shape: Shape, W: Tensor, x: Tensor) -> Step:
    """With its default, dense activations: the backward pass of its sparse ones has no CPU kernel (aten::view on SparseCPU)."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=shape.d, d_sae=shape.n, k=shape.k))
    config = SAETrainerConfig(total_training_samples=10**6 * shape.B, train_batch_size_samples=shape.B, lr=RATE, lr_end=RATE)
    trainer = SAETrainer(config, sae, iter(()))
    fill((sae.W_enc, W.T), (sae.W_dec, W))
    return Step(trainer.step, sae, trainer.optimizer)


def dictionary_learning(shape: Shape, W: Tensor, x: Tensor) -> Step:
    from dictionary_learning.trainers.top_k import TopKTrainer

    trainer = TopKTrainer(10**6, shape.d, shape.n, shape.k, layer=0, lm_name="none", lr=RATE, device="cpu")
    fill((trainer.ae.encoder.weight, W), (trainer.ae.decoder.weight, W.T))
    return Step(lambda x: trainer.update(1, x), trainer.ae, trainer.optimizer)


def sparsify(shape: Shape, W: Tensor, x: Tensor) -> Step:
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(shape.d, SparseCoderConfig(num_latents=shape.n, k=shape.k))
    adam = torch.optim.Adam(coder.parameters(), lr=RATE)
    silent = torch.zeros(shape.n, dtype=torch.long)
    fill((coder.encoder.weight, W), (coder.W_dec, W))

    def take(x: Tensor) -> None:  # the body of its trainer's loop, which cannot be called without a language model
        coder.set_decoder_norm_to_unit_norm()
        out = coder(x, dead_mask=silent > 10_000_000)
        fired = torch.zeros(shape.n, dtype=torch.bool)
        fired[out.latent_indices.flatten()] = True
        (out.fvu + out.auxk_loss / 32).backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        adam.step()
        adam.zero_grad()
        silent.add_(len(x))[fired] = 0

    return Step(take, lambda x: coder(x).sae_out, adam)


@torch.no_grad()
def fill(*pairs: tuple[Tensor, Tensor]) -> None:
    for parameter, value in pairs:
        parameter.copy_(value)


OURS, LOW, DENSE, PRODUCT, PRODUCT_LOW = "ours", "ours, bf16 selection", "dense reference", "encoder product", "encoder product, bf16"
MAKERS: dict[str, Callable[[Shape, Tensor, Tensor], Step]] = {
    OURS: lambda *a: ours(*a, low=False),
    LOW: lambda *a: ours(*a, low=True),
    DENSE: dense_reference,
    "sparsify": sparsify,
    "dictionary_learning": dictionary_learning,
    "SAELens": saelens,
}
HERE = (OURS, LOW, DENSE)
step_of = {
    OURS: "companion.sae.train.Training.advance: normalisation, forward, backward, unit norm and projection, fused Adam, count of silent latents",
    LOW: "the same with companion.sae.paths.LOW: candidates by bfloat16, a few more than k, and the k largest of these in float32",
    DENSE: "autograd through the formula, unit norm and projection, fused Adam",
    "sparsify": "the body of Trainer.fit: unit norm, SparseCoder.forward (eager), backward, projection, Adam, count of silent latents",
    "dictionary_learning": "TopKTrainer.update: forward, backward, projection, clipping, Adam, unit norm, count of silent latents",
    "SAELens": "SAETrainer.step: forward, backward, clipping, Adam, firing statistics (no unit norm: norms are folded into the selection)",
}


# --- a process that works ---


def worker(name: str) -> None:
    """Answer requests, a JSON value per line each way, until the input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print must not mix with the answers
    with contextlib.redirect_stdout(sys.stderr):
        bench = Bench(name, QUICK[0])  # imports, and the buffers that libraries of the processor make at first use
        bench.times()
    for line in sys.stdin:
        request = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            if "shape" in request:
                bench = None  # frees the last shape before the next is made
                bench = Bench(name, Shape(*request["shape"]))
                answer = bench.error()
            elif "memory" in request:
                bench = None
                answer = extra_memory(name, Shape(*request["memory"]))
            else:
                answer = facts() if "facts" in request else bench.times()
        print(json.dumps(answer), file=out, flush=True)


def inputs(shape: Shape) -> tuple[Tensor, Tensor]:
    """Activations and encoder rows, the same in every process."""
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(shape.B, shape.d, generator=stream)
    x = (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True)
    return x, torch.nn.functional.normalize(torch.randn(shape.n, shape.d, generator=stream), dim=1)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Bench:
    def __init__(self, name: str, shape: Shape):
        self.x, self.W = inputs(shape)
        self.step = MAKERS[name](shape, self.W, self.x)
        self.product = torch.empty(shape.B, shape.n)
        self.low = (self.x.bfloat16(), self.W.T.bfloat16(), self.product.bfloat16()) if name == LOW else None

    @torch.no_grad()
    def error(self) -> float:
        """Share of the inputs' variance left before the first step: equal in all libraries, if they do the same work."""
        x = self.x[:256]
        return ((self.step.reconstruct(x) - x).square().sum() / x.square().sum()).item()

    def times(self) -> dict[str, float]:
        """Seconds of one product and of one step."""
        taken = {"product": seconds(lambda: torch.mm(self.x, self.W.T, out=self.product)), "step": seconds(lambda: self.step.take(self.x))}
        if self.low:
            taken["low"] = seconds(lambda: torch.mm(self.low[0], self.low[1], out=self.low[2]))
        return taken


def extra_memory(name: str, shape: Shape) -> int | None:
    """Bytes by which a step raises the resident set at its highest above the weights, gradients and optimiser state that it
    finds; None where the system does not let the high-water mark be reset (only Linux does)."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    x, W = inputs(shape)
    step = MAKERS[name](shape, W, x)
    step.take(x)  # makes that state, and reads from disk the code that is needed
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    step.take(x)
    return resident("VmHWM") - before


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def facts() -> dict:
    """Versions and threads of this process."""
    packages = ("torch", "numpy", "sae-lens", "dictionary-learning", "eai-sparsify", "transformers")
    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {"python": platform.python_version(), "threads": torch.get_num_threads()} | found


# --- sweeps over n / k ---


def sweeps(swept: Shape, table: tuple[int, int], repeats: int) -> dict:
    """Every round's ratio by n / k, of the dense step to ours and of torch.topk to ours; of the latter also for rows of equal entries, of
    which the bound that ours rests on leaves nothing out."""
    rows, n = table
    scores = torch.randn(rows, n, generator=torch.Generator().manual_seed(0))
    step = {ratio: step_ratios(swept._replace(k=swept.n // ratio), repeats) for ratio in RATIOS if ratio <= swept.n}
    shares = [share for share in SHARES if share <= n]
    by_name = {
        "step": ("dense step / ours", {symbol: size for symbol, size in swept._asdict().items() if symbol != "k"}, step),
        "selection": ("torch.topk / ours", {"rows": rows, "n": n}, {share: topk_ratios(scores, n // share, repeats) for share in shares}),
        "selection of equal entries": (
            "torch.topk / ours, equal entries", {"rows": rows, "n": n},
            {share: topk_ratios(torch.ones_like(scores), n // share, repeats) for share in shares if share >= 256},
        ),
    }  # fmt: skip
    return {name: {"what": what, "sizes": sizes, "rounds": rounds} for name, (what, sizes, rounds) in by_name.items()}


def step_ratios(shape: Shape, repeats: int) -> list[float]:
    ours, dense = Bench(OURS, shape), Bench(DENSE, shape)
    return by_turns({"over": lambda: dense.step.take(dense.x), "under": lambda: ours.step.take(ours.x)}, repeats)


def topk_ratios(scores: Tensor, k: int, repeats: int) -> list[float]:
    from companion.sae import selection

    return by_turns({"over": lambda: selection.top_k_reference(scores, k), "under": lambda: selection.top_k(scores, k)}, repeats)


def by_turns(calls: dict[str, Callable[[], object]], repeats: int) -> list[float]:
    from companion.evals import cost

    taken = cost.by_turns(calls, repeats)
    return [round(float(ratio), 4) for ratio in taken["over"] / taken["under"]]


# --- the process that asks ---


class Asked:
    """A library's process, from this side."""

    def __init__(self, name: str, interpreter: str, **environment: str):
        self.name = name
        command, pipe = [interpreter, __file__, "--worker", name], subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=os.environ | environment)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} ended: {self.process.stderr.read()[-2000:]}")
        return json.loads(answer)

    def close(self) -> None:
        self.process.communicate()


def machine() -> dict:
    """What the numbers depend on, as far as the system tells."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), platform.processor())
    flags = next((line.split(":")[1].split() for line in info.splitlines() if line.startswith("flags")), [])
    copied = torch.empty(2**26)
    copied.zero_()
    source = torch.ones(2**26)
    gigabytes = statistics.median(2 * source.nbytes / seconds(lambda: copied.copy_(source)) / 1e9 for _ in range(5))
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "bf16_matrix_units": "amx_bf16" in flags,
        "copy_GB_per_s": round(gigabytes, 1),
        "date": date.today().isoformat(),
    }


def measure(shape: Shape, asked: list[Asked], repeats: int, low_repeats: int) -> dict:
    """Rows of one shape: ratios to the encoder product, and the times they come from."""
    errors = {one.name: one.ask(shape=shape) for one in asked}
    exact = {name: error for name, error in errors.items() if name != LOW}
    if max(exact.values()) - min(exact.values()) > 1e-3:
        raise SystemExit(f"the libraries do not do the same work: error of the first reconstruction {errors}")
    taken: dict[str, list[dict[str, float]]] = {one.name: [] for one in asked}
    for turn in range(repeats + 1):
        for one in asked[turn % len(asked) :] + asked[: turn % len(asked)]:
            if one.name != LOW or turn <= low_repeats:
                taken[one.name].append(one.ask())
    kept = {name: times[1:] for name, times in taken.items()}  # the first round warms up
    rows = {name: summary([t["step"] for t in times], [t["product"] for t in times]) for name, times in kept.items()}
    rows |= {PRODUCT_LOW: summary([t["low"] for t in kept[LOW]], [t["product"] for t in kept[LOW]])} if LOW in kept else {}
    product = statistics.median(t["product"] for times in kept.values() for t in times)
    flops = 2 * shape.B * shape.d * shape.n
    return {"shape": shape._asdict(), "product_ms": round(1e3 * product, 3), "GFLOP_per_s": round(flops / product / 1e9, 1), "rows": rows}


def summary(steps: list[float], products: list[float]) -> dict:
    ratios = [step / product for step, product in zip(steps, products, strict=True)]
    ends = [round(f(ratios), 3) for f in (statistics.median, min, max)]
    return dict(zip(("ratio", "least", "most"), ends, strict=True)) | {"ms": round(1e3 * statistics.median(steps), 3), "rounds": len(steps)}


def memory(shape: Shape) -> dict:
    """Extra bytes of a step over those of the (B, n) float32 array, each in a fresh process."""
    shares = {}
    for name in HERE:
        asked = Asked(name, sys.executable, MALLOC_MMAP_THRESHOLD_=str(2**18))  # what is freed goes back to the system at once
        extra = asked.ask(memory=shape)
        asked.close()
        shares[name] = None if extra is None else round(extra / (4 * shape.B * shape.n), 4)
    return shares


def table(results: list[dict]) -> str:
    """The ratios as markdown, libraries down, shapes across."""
    rows = [["time / encoder product", *(" ".join(f"{name}={value:,}" for name, value in one["shape"].items()) for one in results)]]
    rows.append(["---"] * (len(results) + 1))
    rows.append([f"{PRODUCT} (float32)", *("{:.1f} ms = 1.00".format(one["product_ms"]) for one in results)])
    rows += [[name, *(format(one["rows"][name]["ratio"], ".2f") for one in results)] for name in results[0]["rows"]]
    for name in HERE:
        shares = [one["memory"][name] for one in results]
        rows.append([f"extra memory / (B, n) array: {name}", *("not measured" if share is None else f"{share:.1%}" for share in shares)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="interpreter of an environment with peers.txt; without it their rows are left out")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the shapes, from 0")
    parser.add_argument("--quick", action="store_true", help="one tiny shape: that it works, not how fast")
    parser.add_argument("--sweeps", action="store_true", help="ours alone over n / k, on one thread, in place of the comparison")
    parser.add_argument("--worker", choices=MAKERS, help=argparse.SUPPRESS)
    asked_for = parser.parse_args()
    if asked_for.worker:
        worker(asked_for.worker)
        return
    if asked_for.sweeps:
        torch.set_num_threads(1)
        swept, rows = (QUICK[0], (16, 2048)) if asked_for.quick else (SWEPT, TABLE)
        write({"machine": machine(), "versions": facts(), "repeats": asked_for.repeats} | sweeps(swept, rows, asked_for.repeats), asked_for.out)
        return
    shapes = QUICK if asked_for.quick else [SHAPES[i] for i in asked_for.only or range(len(SHAPES))]
    names = [name for name in MAKERS if name in HERE or asked_for.peers]
    asked = [Asked(name, sys.executable if name in HERE else asked_for.peers) for name in names]
    versions = {one.name: one.ask(facts=True) for one in asked}
    here = machine()
    # without units for it a product in bfloat16 is slower than in float32 by far: shown, but not five times
    low_repeats = asked_for.repeats if here["bf16_matrix_units"] else 1
    results = []
    for at, shape in enumerate(shapes, 1):
        print(f"shape {at} of {len(shapes)}: {shape}", file=sys.stderr, flush=True)
        results.append(measure(shape, asked, asked_for.repeats, low_repeats))
    for one in asked:
        one.close()
    for result, shape in zip(results, shapes, strict=True):
        result["memory"] = memory(shape)
    record = {"machine": here, "versions": versions, "repeats": asked_for.repeats, "step_of": {n: step_of[n] for n in names}, "shapes": results}
    print(f"{record['machine']['cpu']}, {versions[OURS]['threads']} threads, torch {versions[OURS]['torch']}\n{table(results)}", flush=True)
    write(record, asked_for.out)


def write(record: dict, path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
