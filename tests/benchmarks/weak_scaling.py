"""Tokens per second of one training run on one process and on two, one thread each, with the same work for each process.

    python tests/benchmarks/weak_scaling.py --out figures/16_speed/weak_scaling.json

Two ways to give a second process as much as the first: a batch twice as large (data parallel), or twice as many latents
(latent parallel). Efficiency is seconds per step on one process over seconds per step on two: 1 if company costs nothing.

Beside both stands a bound, two processes that each train by themselves and exchange nothing: what they lose is the
machine's (shared memory bandwidth, shared cores), not the engine's. The four are measured in turns, so that whatever else
the machine does falls on all of them; every process is started once and waits while another set-up has its turn.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import torch

from companion.sae import distributed, train
from companion.sae.mesh import SINGLE
from companion.sae.recipe import TrainConfig


class Work(NamedTuple):
    """What one process has to do."""

    batch: int
    d: int
    n: int
    k: int


FULL, QUICK = Work(2048, 256, 8192, 16), Work(256, 32, 256, 4)
STEPS = 2
"""Steps per measurement."""
ONE, APART, DATA, LATENT = "one process", "two that exchange nothing", "data parallel", "latent parallel"
SETUPS = {ONE: (1, 1), APART: None, DATA: (2, 1), LATENT: (1, 2)}
"""Mesh of each, data x latent."""


# --- a process that works ---


def worker(work: Work, shape: tuple[int, int] | None) -> None:
    """Answer each line of input with the seconds of some steps, until the input ends."""
    torch.set_num_threads(1)
    data, latent = shape or (1, 1)
    mesh = distributed.mesh(data, latent, patience=300.0) if data * latent > 1 else SINGLE
    stream = torch.Generator().manual_seed(0)
    acts = torch.randn(data * work.batch, work.d, generator=stream)
    config = TrainConfig(latent * work.n, 10**6, data * work.batch, work.k)
    run = train.Training(config, acts[: work.batch], stream, mesh)
    run.advance(acts)
    for _ in sys.stdin:
        begin = time.perf_counter()
        for _ in range(STEPS):
            run.advance(acts)
        print((time.perf_counter() - begin) / STEPS, flush=True)


# --- the process that asks ---


class Asked:
    """The processes of one set-up, from this side."""

    def __init__(self, work: Work, shape: tuple[int, int] | None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        count = 2 if shape is None else shape[0] * shape[1]
        command = [sys.executable, __file__, "--worker", json.dumps([work, shape])]
        settings = [os.environ | address | {"WORLD_SIZE": str(count), "RANK": str(rank)} for rank in range(count)]
        self.processes = [subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for env in settings]

    def seconds(self) -> float:
        """Seconds per step: all processes begin at once, the last to end counts."""
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        return max(float(process.stdout.readline()) for process in self.processes)

    def close(self) -> None:
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait()


def measure(work: Work, repeats: int) -> dict[str, list[float]]:
    """Seconds per step of each set-up, one per turn."""
    asked = {name: Asked(work, shape) for name, shape in SETUPS.items()}
    taken: dict[str, list[float]] = {name: [] for name in asked}
    names = list(asked)
    for turn in range(repeats + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[name].append(asked[name].seconds())
    for one in asked.values():
        one.close()
    return {name: seconds[1:] for name, seconds in taken.items()}  # the first turn warms up


def row(name: str, work: Work, seconds: list[float], one: list[float]) -> dict:
    """Tokens per second of the whole set-up, and its efficiency turn by turn against one process in the same turn."""
    tokens = work.batch * (2 if name in (APART, DATA) else 1)
    ratios = [alone / step for alone, step in zip(one, seconds, strict=True)]
    return {
        "processes": 1 if name == ONE else 2,
        "mesh": SETUPS[name],
        "batch": work.batch * (2 if name == DATA else 1),
        "latents": work.n * (2 if name == LATENT else 1),
        "seconds_per_step": round(statistics.median(seconds), 5),
        "tokens_per_s": round(tokens / statistics.median(seconds), 1),
        "efficiency": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
    }


def table(rows: dict[str, dict]) -> str:
    lines = ["| set-up | processes | batch | latents | ms per step | tokens/s | efficiency (least to most) |", "|---|---|---|---|---|---|---|"]
    for name, r in rows.items():
        cells = [name, r["processes"], r["batch"], r["latents"], f"{1e3 * r['seconds_per_step']:.0f}", f"{r['tokens_per_s']:,.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} | {r['efficiency']:.2f} ({r['least']:.2f} to {r['most']:.2f}) |")
    return "\n".join(lines)


def machine() -> dict:
    """What the numbers depend on, as far as the system tells."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), platform.processor())
    return {"cpu": model, "cores": os.cpu_count(), "torch": torch.__version__, "date": date.today().isoformat()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: that it works, not how fast")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked_for = parser.parse_args()
    if asked_for.worker:
        work, shape = json.loads(asked_for.worker)
        worker(Work(*work), shape)
        return
    work = QUICK if asked_for.quick else FULL
    taken = measure(work, asked_for.repeats)
    rows = {name: row(name, work, seconds, taken[ONE]) for name, seconds in taken.items()}
    record = {"machine": machine(), "threads_per_process": 1, "work_per_process": work._asdict(), "repeats": asked_for.repeats, "setups": rows}
    print(table(rows), flush=True)
    if asked_for.out:
        asked_for.out.parent.mkdir(parents=True, exist_ok=True)
        asked_for.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
