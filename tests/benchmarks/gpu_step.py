"""One TopK training step on a GPU: our kernels beside OpenAI's design and sparsify's, in one run; not a test, nothing is asserted.

    python tests/benchmarks/gpu_step.py --out figures/16/gpu_step.json [--repeats 7] [--rows 131072]

The step is forward, backward and a fused Adam, without AuxK. The floor is the encoder's product alone in the same precision, block by
block of the same size. Each time is the median over repeats, by the GPU's own clock. FLOP/s are 2Bdn + 8Bdk (Gao et al. 2024, appendix
on kernels) over the time; bytes/s are those of `traffic` over the time, the same for every design: what a design moves beyond them shows
as fewer. `extra_bytes` is the peak of memory above weights, Adam's moments and data, `extra_over_dense` its ratio to the dense (B, n)
array in fp32. `gradient_error` is measured on 1024 rows against float64 autograd. A design that does not fit in memory gets its error in
place of numbers.
"""

import argparse
import itertools
import json
import platform
from collections.abc import Callable
from pathlib import Path

import torch

WIDTH, KEPT, LATENTS = 768, 32, (2**15, 2**17)
PRECISIONS = {"fp32": (torch.float32, False), "tf32": (torch.float32, True), "bf16": (torch.bfloat16, False)}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median over repeats, after two for compiling and warming up."""
    times = []
    for repeat in range(repeats + 2):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times += [begin.elapsed_time(end) / 1000] * (repeat >= 2)
    return sorted(times)[len(times) // 2]


def flops(rows: int, n: int) -> int:
    return 2 * rows * WIDTH * n + 8 * rows * WIDTH * KEPT


def traffic(rows: int, n: int, size: int) -> int:
    """Bytes that the step has to move when nothing stays in a cache: the product written and read, both weights read, the gathered rows
    of four sparse operations, and Adam's 28 bytes per parameter. `size` is the bytes of a number."""
    return size * (2 * rows * n + 2 * n * WIDTH + 4 * rows * KEPT * WIDTH) + 28 * (2 * n * WIDTH + n + WIDTH)


def floor(x: torch.Tensor, W: torch.Tensor, cells: int, repeats: int) -> float:
    """Seconds of the encoder's product alone, in blocks of `cells` entries."""
    block = x.new_empty(max(1, cells // len(W)), len(W))
    return seconds(lambda: [torch.mm(part, W.T, out=block[: len(part)]) for part in x.split(len(block))], repeats)


def measure(design, weights, x: torch.Tensor, repeats: int) -> dict[str, float | int]:
    """Seconds of one step and the peak of memory above what is held between steps."""
    from gpu_designs import gradients

    adam = torch.optim.Adam(weights, lr=1e-4, fused=True)

    def step() -> None:
        gradients(design, weights, x, KEPT)
        adam.step()

    step()  # Adam's moments exist from here on
    adam.zero_grad()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    return {"seconds": seconds(step, repeats), "extra_bytes": torch.cuda.max_memory_allocated() - held}


def row(name: str, precision: str, n: int, rows: int, repeats: int) -> dict[str, object]:
    """One line of the table: a design at a precision and a number of latents, or why there is none."""
    from gpu_designs import DESIGNS, Weights, gradient_error

    from companion.sae import triton_kernels

    dtype, torch.backends.cuda.matmul.allow_tf32 = PRECISIONS[precision]
    generator = torch.Generator("cuda").manual_seed(0)
    found: dict[str, object] = {"design": name, "precision": precision, "B": rows, "d": WIDTH, "n": n, "k": KEPT, "repeats": repeats}
    try:
        weights = Weights.random(n, WIDTH, generator)
        x = torch.randn(rows, WIDTH, generator=generator, device="cuda").to(dtype)
        found["floor_seconds"] = floor(x, weights.W_enc.detach().to(dtype), triton_kernels.CELLS, repeats)
        found |= measure(DESIGNS[name], weights, x, repeats)
        found["over_floor"] = found["seconds"] / found["floor_seconds"]
        found["flops_per_second"] = flops(rows, n) / found["seconds"]
        found["extra_over_dense"] = found["extra_bytes"] / (4 * rows * n)
        found["bytes_per_second"] = traffic(rows, n, x.element_size()) / found["seconds"]
        small = Weights.random(4096, WIDTH, generator)
        found["gradient_error"] = gradient_error(DESIGNS[name], small, x[:1024], KEPT)
    except RuntimeError as error:  # out of memory is one; so is a shape that a library's kernel cannot take
        found["error"] = str(error).splitlines()[0]
    return found


def compare(rows: int, repeats: int) -> list[dict[str, object]]:
    """Every line of the table, each printed as it is measured."""
    from gpu_designs import DESIGNS

    table = []
    for n, precision, name in itertools.product(LATENTS, PRECISIONS, DESIGNS):
        if name == "ours, bf16 selection" and precision == "bf16":
            continue  # the same as "ours"
        table.append(row(name, precision, n, rows, repeats))
        torch.cuda.empty_cache()
        print(json.dumps(table[-1]), flush=True)
    return table


def machine() -> dict[str, object]:
    import triton

    gpu = torch.cuda.get_device_properties(0)
    hardware = {"gpu": gpu.name, "capability": f"{gpu.major}.{gpu.minor}", "processors": gpu.multi_processor_count, "memory_bytes": gpu.total_memory}
    return hardware | {"torch": torch.__version__, "cuda": torch.version.cuda, "triton": triton.__version__, "python": platform.python_version()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rows", type=int, default=131072)
    options = parser.parse_args()
    if torch.cuda.is_available():
        table = compare(options.rows, options.repeats)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"machine": machine(), "rows": table}, indent=1) + "\n")
    else:
        print("no GPU here: nothing measured, nothing written")


if __name__ == "__main__":
    main()
