"""All probes of a code, timed, and a sample of them beside scikit-learn's logistic regression; scikit-learn is no dependency of ours.

    pip install --target /tmp/skl scikit-learn
    PYTHONPATH=.:/tmp/skl python tests/benchmarks/probes.py

The code is drawn, not a model's: 16 latents a token of 4,096, which are on for 40 % to less than 0.1 % of the tokens, and 24
labels of 0.1 to 10 % of the tokens, every other one of which leans on a latent. Half of the sample are pairs whose classes overlap and
are fitted, half are separated, where ours is the limit; at most one in five of each is a task's best. scikit-learn is asked for the
same minimum, without a penalty and with balanced classes, and its loss is computed from its coefficients.
"""

import argparse
import importlib.util
import json
import time
import warnings

import numpy as np
import torch
from torch.nn.functional import softplus

from companion.evals import logistic, probes
from companion.sae.models import Code

SAMPLE = 50


def drawn(contexts: int, width: int, n: int, k: int, tasks: int, generator: torch.Generator) -> tuple[Code, probes.Tasks]:
    """One latent from each of k groups, those at the beginning of a group the more often; labels and the latents they lean on."""
    each = n // k
    skewed = torch.rand(contexts, width, k, generator=generator, dtype=torch.float64) ** 6
    indices = (skewed * each).long() + torch.arange(k) * each
    values = torch.randn(contexts, width, k, generator=generator).exp()
    labels = torch.rand(contexts, width, tasks, generator=generator) < torch.logspace(-3, -1, tasks)
    for task in range(0, tasks, 2):
        leaning = (values * (indices == 8 * task + 5)).sum(-1)
        labels[..., task] |= torch.rand(contexts, width, generator=generator) < (2 * leaning - 4).sigmoid() * (leaning > 0)
    return Code(indices, values), probes.Tasks(tuple(f"task {i}" for i in range(tasks)), labels, torch.ones_like(labels))


def sample(found: probes.Probes, generator: torch.Generator) -> list[tuple[int, int]]:
    """Pairs of latent and task: of the overlapping and of the separated alike, some tasks' best and others at random."""
    pairs = []
    for kind in (found.separated, ~found.separated):
        best = found.loss.masked_fill(~kind, torch.inf).argmin(0)
        some = [(int(latent), task) for task, latent in enumerate(best) if kind[latent, task]][: SAMPLE // 10]
        others = kind.nonzero()
        pairs += some + others[torch.randperm(len(others), generator=generator)[: SAMPLE // 2 - len(some)]].tolist()
    return pairs


def theirs(z: torch.Tensor, y: torch.Tensor) -> float:
    """The balanced loss of scikit-learn's coefficients."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, class_weight="balanced", solver="lbfgs", tol=1e-8, max_iter=2000)
    with warnings.catch_warnings(action="ignore"):  # it says that separated classes do not converge
        model.fit((z / z.abs().max().clamp_min(1e-30)).numpy()[:, None], y.numpy())
    q = model.coef_[0, 0] * (z / z.abs().max().clamp_min(1e-30)) + model.intercept_[0]
    return ((softplus(-q)[y].mean() + softplus(q)[~y].mean()) / 2).item()


def compared(code: Code, tasks: probes.Tasks, found: probes.Probes, generator: torch.Generator) -> dict[str, object]:
    """Largest difference of the two losses, and how far apart they are in the direction that counts."""
    start, rows = time.perf_counter(), []
    for latent, task in sample(found, generator):
        z = (code.values * (code.indices == latent)).sum(-1).flatten().double()
        rows.append((bool(found.separated[latent, task]), theirs(z, tasks.labels[..., task].flatten()) - found.loss[latent, task].item()))
    seconds, out = time.perf_counter() - start, {}
    for name, kind in (("overlapping", False), ("separated", True)):
        above = np.array([difference for separated, difference in rows if separated is kind])
        out[name] = {"pairs": len(above), "theirs less ours, least": above.min(), "theirs less ours, most": above.max()}
    return out | {"seconds of theirs for the sample": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contexts", type=int, default=782, help="of 128 tokens")
    parser.add_argument("-n", type=int, default=4096)
    parser.add_argument("--tasks", type=int, default=24)
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    code, tasks = drawn(options.contexts, 128, options.n, 16, options.tasks, generator)
    wall, processor = time.perf_counter(), time.process_time()
    found = probes.fit(code, tasks, options.n)
    row = {"tokens": code.values[..., 0].numel(), "latents": options.n, "tasks": options.tasks, "threads": torch.get_num_threads()}
    row |= {"seconds": time.perf_counter() - wall, "processor seconds": time.process_time() - processor}
    row |= {"share separated": found.separated.double().mean().item(), "gradient below": logistic.TOLERANCE}
    if importlib.util.find_spec("sklearn"):
        row |= compared(code, tasks, found, generator)
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
