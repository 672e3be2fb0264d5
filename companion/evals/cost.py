"""What one training step of a TopK autoencoder costs: floating-point operations, bytes moved, bytes held.

Gao et al. 2024, appendix on kernels: of the five products of a step only the encoder's has to be dense. A multiply-add
counts as two operations. Counted are products, not selection, elementwise work or sums.
"""

import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

ADAM_BYTES = 28
"""Per float32 parameter and step: reads parameter, gradient and two moments, writes parameter and moments."""


class Step(NamedTuple):
    """Sizes of one training step, in the paper's symbols.

    Every part of a cost is a dictionary of whole numbers by name; their sum is the step's.
    """

    B: int
    """Tokens."""
    d: int
    """Width of the activations."""
    n: int
    """Latents."""
    k: int
    """Latents kept per token."""
    k_aux: int = 0
    """Dead latents that AuxK keeps per token; 0 if nothing is dead."""
    s: int = 4
    """Bytes per number."""

    def dense_flops(self) -> dict[str, int]:
        """10 Bdn in five products of 2 Bdn (encoder, decoder, dL/dz, dL/dW_dec, dL/dW_enc), 8 Bdn for AuxK, 2nd for the gradient of b_pre.

        The count that does not depend on how a step is computed: axes of compute use it (`training_flops`)."""
        return self._flops(self.B * self.d * self.n, bool(self.k_aux) * self.B * self.d * self.n)

    def sparse_flops(self) -> dict[str, int]:
        """2 Bdn + 8 Bd (k + k_aux), and 2nd for the gradient of b_pre. AuxK ranks pre-activations that the encoder made."""
        return self._flops(self.B * self.d * self.k, self.B * self.d * self.k_aux)

    def _flops(self, each: int, each_aux: int) -> dict[str, int]:
        parts = dict.fromkeys(("decoder", "dL/dz", "dL/dW_dec", "dL/dW_enc"), 2 * each)
        return {"encoder": 2 * self.B * self.d * self.n} | parts | {"dL/db_pre": 2 * self.n * self.d, "AuxK": 8 * each_aux}

    def sparse_bytes(self, fused: bool = True) -> dict[str, int]:
        """Bytes when k rows per token are gathered, each from memory every time, which is the most it can be.

        Args:
            fused: pre-activations are ranked before they leave the cache; otherwise they are written and read once.
        """
        code, w, x, rows = (self.s * size for size in (0 if fused else self.B * self.n, self.n * self.d, self.B * self.d, self.B * self.k * self.d))
        parts = {"encoder": code + w + x, "selection": code, "decoder": rows + x, "dL/dz": rows + x, "dL/dW_dec": rows + w, "dL/dW_enc": rows + w}
        return parts | {"Adam": ADAM_BYTES * (2 * self.n * self.d + self.n + self.d)}


def training_flops(tokens: Float[np.ndarray, "..."], d: int, n: int) -> Float[np.ndarray, "..."]:
    """Compute of training an autoencoder of n latents on so many tokens of width d, counted densely: 10 dn per token.

    That is `Step.dense_flops` without AuxK, whose share depends on what is dead, and without the gradient of b_pre, which is paid
    once per batch. The sparse step of this package does 2 dn + 8 dk of them.
    """
    return 10.0 * d * n * tokens


def counted_flops(call: Callable[[], Any]) -> int:
    """Operations of the products that `call` does, its backward pass included if it runs one.

    torch's own counter knows dense products only, and counts a weighted gather as nothing; here a gather of N rows of
    width D, a gradient with respect to N weights and N entries of a product over D count 2ND each.
    """
    aten = torch.ops.aten
    counts = dict.fromkeys((aten._embedding_bag, aten._embedding_bag_forward_only), _gather_flops)
    of_weights = {aten._embedding_bag_per_sample_weights_backward: lambda grad, *shapes, **_: _gather_flops(*shapes)}
    counts |= of_weights | {aten.sparse_sampled_addmm: _sampled_flops}
    with FlopCounterMode(display=False, custom_mapping=counts) as counter:
        call()
    return counter.get_total_flops()


def _gather_flops(W: tuple[int, ...], indices: tuple[int, ...], *_: Any, **__: Any) -> int:
    return 2 * indices[0] * W[-1]


def _sampled_flops(wanted: Tensor, left: Tensor, *_: Any, **__: Any) -> int:
    return 2 * wanted._nnz() * left.shape[1]


_sampled_flops._get_raw = True  # the counter passes tensors, not their shapes: how many entries are wanted is in no shape


def peak_bytes(call: Callable[[], Any]) -> int:
    """Most bytes of CPU tensors and scratch that torch's allocator held during `call`, above those before it.

    Buffers that libraries of products keep for themselves are not torch's and not seen.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profile:
        call()
    with tempfile.TemporaryDirectory() as folder:
        profile.export_chrome_trace(str(trace := Path(folder) / "trace.json"))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [e for e in events if e["name"] == "[memory]" and e["args"]["Device Type"] == 0]
    return max([0, *itertools.accumulate(e["args"]["Bytes"] for e in sorted(changes, key=lambda e: e["ts"]))])


def by_turns(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Float[np.ndarray, " R"]]:
    """Seconds of each call, `repeats` of each. The calls take turns, so that whatever slows the machine slows all of them: ratios
    within a round are what to report. A first round is dropped."""
    taken = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: np.array(seconds[1:]) for name, seconds in taken.items()}


def overlap(a: Tensor, b: Tensor) -> float:
    """Mean share of the entries of a row of `a` (B, K) that stand in the same row of `b`: how well two selections agree."""
    return (a[:, :, None] == b[:, None, :]).any(dim=2).double().mean().item()
