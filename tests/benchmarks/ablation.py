"""All ablations of one token at once, timed against one full forward pass per latent and against the least that must be computed.

    PYTHONPATH=. python tests/benchmarks/ablation.py                       shapes of the offline subject, on the CPU
    PYTHONPATH=. python tests/benchmarks/ablation.py --shape gpt2 --device cuda

Three ways, by turns, so that a slow minute of the machine meets all of them:

    passes   per latent the whole model on the whole context, with a hook that subtracts the latent's vector at t
    batch    `ablation.effects`: the blocks above the site, on positions t to t+T-1, all latents in one batch
    floor    the blocks above and the unembedding on as many vectors as the batch has of ablated streams, and nothing else

Weights are random: no time depends on them. The first two must find the same effects.
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from companion.evals import ablation
from companion.lm.subject import Subject

SHAPES = {
    "offline": (dict(n_embd=128, n_layer=4, n_head=4, vocab_size=4096, bos_token_id=0, eos_token_id=0), 2),
    "gpt2": (dict(n_embd=768, n_layer=12, n_head=12, vocab_size=50257), 8),
}
"""Sizes, and the block after which latents are removed."""


def opened(shape: str, device: str) -> tuple[Subject, int]:
    sizes, layer = SHAPES[shape]
    torch.manual_seed(0)
    return Subject(GPT2LMHeadModel(GPT2Config(**sizes)).eval().requires_grad_(False).to(device), shape), layer


@torch.no_grad()
def passes(subject: Subject, tokens: torch.Tensor, removed: torch.Tensor, layer: int, t: int, span: int) -> torch.Tensor:
    """The effects, each by a forward pass of its own."""
    clean, found = subject.model(tokens).logits[0, t : t + span], []
    for one in removed:
        handle = subject.blocks[layer].register_forward_hook(lambda _, inputs, output, one=one: output - one)
        found.append(subject.model(tokens).logits[0, t : t + span] - clean)
        handle.remove()
    return torch.stack(found)


def seconds(ways: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, np.ndarray]:
    """Every way once a round, after one round that does not count."""
    taken = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            taken[name] += [time.perf_counter() - start] if turn else []
    return {name: np.array(of) for name, of in taken.items()}


def spread(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("least", "median", "most"), np.quantile(values, [0, 0.5, 1]).round(6).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="offline")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--span", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    subject, layer = opened(options.shape, options.device)
    tokens = torch.randint(0, subject.config.vocab_size, (1, options.length), device=options.device)
    resid, t, span = subject.residual(tokens, layer)[0], (options.length - options.span) // 2, options.span
    removed = torch.zeros(options.latents, *resid.shape, device=options.device)
    removed[:, t] = torch.randn(options.latents, subject.d_model, device=options.device) * resid[t].std()
    alone = torch.randn(options.latents, span, subject.d_model, device=options.device)
    ways = {
        "passes": lambda: passes(subject, tokens, removed, layer, t, span),
        "batch": lambda: ablation.effects(subject, resid, removed, layer, t, span),
        "floor": lambda: subject.logits_from(alone, layer),
    }
    torch.testing.assert_close(ways["batch"](), ways["passes"](), rtol=0, atol=1e-4)
    taken = seconds(ways, options.rounds, options.device)
    row = vars(options) | {"t": t, "layer": layer, "threads": torch.get_num_threads(), "torch": torch.__version__}
    row |= {f"{name}, seconds": spread(of) for name, of in taken.items()}
    row |= {"passes / batch": spread(taken["passes"] / taken["batch"]), "batch / floor": spread(taken["batch"] / taken["floor"])}
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
