"""How long ours takes to reach the loss of a plain training loop, side by side in one process; not a test, nothing is asserted.

    python tests/benchmarks/toy_models.py [F3 F8 F27 F6] [--steps-divided-by 10]

The plain loop is what a public code companion to the paper does, written here from its description: instances on the second axis and
einsum, two random draws per sample, autograd, AdamW, one gradient clipping over all instances, a cosine, Xavier's rule on the stacked
tensor. Its steps, batch and rate are that companion's. Ours is run for more and more steps, each time from scratch, until its
evaluated loss (mean over models of loss / V(p), fresh samples) is no larger than the plain loop's at its end; those seconds count.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from companion.toy import computing, data, exact, model, train


class Plain(NamedTuple):
    """Settings of the plain loop."""

    features: int
    hidden: int
    density: Tensor
    importance: Tensor
    steps: int
    batch: int
    rate: float
    absolute: bool = False
    decay: float = 0.01


def plain_fit(p: Plain) -> list[Tensor]:
    """[W, b] of relu-output models, or [W1, W2, b] of absolute-value models, trained the plain way."""
    shapes = [(len(p.density), p.features, p.hidden)] * (2 if p.absolute else 1)
    weights = [torch.nn.init.xavier_normal_(torch.empty(shape)).requires_grad_() for shape in shapes]
    weights.append(torch.zeros(len(p.density), p.features, requires_grad=True))
    optimiser = torch.optim.AdamW(weights, lr=p.rate, weight_decay=p.decay)
    for step in range(p.steps):
        for group in optimiser.param_groups:
            group["lr"] = p.rate * (1 + math.cos(math.pi * step / p.steps)) / 2
        value = torch.rand(p.batch, len(p.density), p.features)
        x = torch.where(torch.rand(p.batch, len(p.density), p.features) < p.density[:, None], 2 * value - 1 if p.absolute else value, 0)
        hidden = torch.einsum("bif,ifh->bih", x, weights[0])
        out = torch.einsum("bih,ifh->bif", hidden.relu() if p.absolute else hidden, weights[-2]) + weights[-1]
        loss = ((out.relu() - (x.abs() if p.absolute else x)).square() * p.importance).mean((0, 2)).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 2.0)
        optimiser.step()
    return [w.detach() for w in weights]


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def evaluate(p: Plain, weights: list[Tensor]) -> float:
    """Mean over models of loss / V(p), on samples with an active feature and the exact loss of the zero sample."""
    if p.absolute:
        config = computing.Config(p.features, p.hidden, tied=False)
        loss = computing.sampled_loss(config, computing.Weights(*weights), p.density, p.importance, stream(99), 50_000).loss
    else:
        batches = [data.conditional(data.draw(p.features, 2048, stream(100 + i)), p.density) for i in range(16)]
        loss = torch.stack([train.batch_loss(*weights, train.Batch(x, p.density, p.importance)) for x in batches]).mean(0)
    return (loss / data.variance(p.density)).mean().item()


def ours(p: Plain, steps: int) -> list[Tensor]:
    """The same models by the package's trainers, at a batch of 128."""
    if p.absolute:
        config = computing.Config(p.features, p.hidden, tied=False)
        start = computing.initial(config, [stream(i) for i in range(len(p.density))])
        return list(computing.fit(config, start, p.density, p.importance, train.Schedule(steps, 128, 0.01), stream(0)))
    rate = 0.005 if p.features > 100 else 0.01
    return list(train.fit(model.Config(p.features, p.hidden), p.density, [stream(0)], train.Schedule(steps, 128, rate), p.importance)[:2])


def timed(make: Callable[[], list[Tensor]]) -> tuple[float, list[Tensor]]:
    start = time.perf_counter()
    made = make()
    return time.perf_counter() - start, made


def race(name: str, p: Plain) -> None:
    """Print one row."""
    torch.manual_seed(0)
    plain_seconds, weights = timed(lambda: plain_fit(p))
    target, steps = evaluate(p, weights), 25
    while True:
        seconds, weights = timed(lambda steps=steps: ours(p, steps))
        reached = evaluate(p, weights)
        if reached <= target or seconds > plain_seconds:
            break
        steps = math.ceil(steps * 1.5)
    mark = "" if reached <= target else "  NOT REACHED"
    print(
        f"| {name} | {p.steps} steps of {p.batch}: {plain_seconds:.1f} s, loss/V {target:.4f}"
        f" | {steps} steps of 128: {seconds:.1f} s, loss/V {reached:.4f} | {plain_seconds / seconds:.1f} x{mark} |",
        flush=True,
    )


def race_phases(cells: int) -> None:
    """F6: the optimum of every cell, exact against ten restarts of the plain loop (2,000 steps of 128 each)."""
    p, r = torch.logspace(-2, 0, cells), torch.logspace(-1, 1, cells)
    density, extra = p.repeat_interleave(cells), r.repeat(cells)
    importance = torch.stack([torch.ones(len(extra)), extra], dim=1)
    starts = 0.7 * torch.randn(6, 2, 1, generator=stream(0), dtype=torch.float64)
    law = data.Independent().law(density, 2)
    seconds, best = timed(lambda: exact.optimum(starts, law, importance.double(), steps=120, rate=0.02))
    each = Plain(2, 1, density.repeat(10), importance.repeat(10, 1), 2000, 128, 0.01)
    part, _ = timed(lambda: plain_fit(each._replace(steps=40)))  # the cost of a step does not change
    plain_seconds = part / 40 * each.steps
    trained = plain_fit(each._replace(density=density[::7], importance=importance[::7]))
    excess = exact.loss(*trained, data.Independent().law(density[::7], 2), importance[::7].double()) / best.loss[::7] - 1
    print(
        f"| F6, {cells} x {cells} | 10 restarts of 2000 steps: {plain_seconds:.0f} s (from 40 steps),"
        f" median excess of one restart {excess.median():.3f} | exact: {seconds:.1f} s | {plain_seconds / seconds:.0f} x |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=["F3", "F8", "F27", "F6"])
    parser.add_argument("--steps-divided-by", type=int, default=1, help="shorten the plain loop, for a trial")
    asked = parser.parse_args()
    part = asked.steps_divided_by
    seven = torch.tensor([1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
    cases = {
        "F3": Plain(20, 5, seven, 0.7 ** torch.arange(20.0), 2000 // part, 128, 0.01),
        "F8": Plain(400, 30, 1 / torch.linspace(1, 10, 8), torch.ones(400), 10_000 // part, 128, 0.001),
        "F27": Plain(100, 40, seven, 0.8 ** torch.arange(100.0), 2000 // part, 128, 0.01, absolute=True, decay=0.1),
    }
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n| figure | plain | ours | ratio |\n|---|---|---|---|")
    for name in asked.which:
        race_phases(20) if name == "F6" else race(name, cases[name])


if __name__ == "__main__":
    main()
