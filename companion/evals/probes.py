"""How well one latent alone tells a label: one-dimensional logistic probes (Gao et al. 2024, section 4.2).

For a task y and a feature z, a latent after the activation function or a channel, the probe loss is the minimum over w and b of
    sum_t c_t [softplus(w z_t + b) - y_t (w z_t + b)],
with weights c_t that give each class one half: a feature that tells nothing has ln 2 nats whatever the base rate. The paper takes
the best latent of each task, and says neither which tokens choose it nor which ones judge it. With thousands of latents the best of
the useless ones looks useful on the tokens that chose it, so here one half of the contexts chooses and fits, the other judges.
All tokens on which a latent is zero are one value with their summed weights, so that a code costs its active entries.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from companion.evals import logistic
from companion.evals.logistic import Probes
from companion.evals.statistics import Interval, bootstrap
from companion.lm.labels import COLUMN, ContextLabels
from companion.sae.models import Code

NOTHING = math.log(2)
"""Loss in nats of a feature that tells nothing."""
FEWEST = 10
"""Contexts of each half that must hold a class: with fewer, resamples of the contexts without it are no longer rare."""
BLOCK = 2**17
"""Numbers (entries x tasks) per array at a time, as many as a core's cache holds."""


class Tasks(NamedTuple):
    """Binary labels of the tokens of C contexts."""

    names: tuple[str, ...]
    labels: Bool[Tensor, "C T Y"]
    within: Bool[Tensor, "C T Y"]
    """The tokens that a task is about: those with a known label, or of them those with one token id, so that the id tells nothing."""

    def of(self, contexts: slice) -> "Tasks":
        """The same tasks on some of the contexts."""
        return Tasks(self.names, self.labels[contexts], self.within[contexts])

    def only(self, which: Sequence[int]) -> "Tasks":
        """Some of the tasks, by number."""
        which = list(which)
        return Tasks(tuple(self.names[i] for i in which), self.labels[..., which], self.within[..., which])

    def permuted(self, generator: torch.Generator) -> "Tasks":
        """The labels of each task in another order over its own tokens: nothing is left to find, the base rates stay."""
        labels = self.labels.clone()
        for y in range(len(self.names)):
            mine = self.within[..., y]
            drawn = self.labels[..., y][mine]
            labels[..., y][mine] = drawn[torch.randperm(len(drawn), generator=generator).to(drawn.device)]
        return Tasks(self.names, labels, self.within)

    def classes(self) -> Bool[Tensor, "2 C T Y"]:
        """Which tokens are negatives, and which are positives."""
        return torch.stack([~self.labels & self.within, self.labels & self.within])


def of_labels(known: ContextLabels, tokens: Int[Tensor, "C T"], wanted: Sequence[tuple[str, int | None]]) -> Tasks:
    """Tasks from labels by name; with a token id beside the name, on the tokens that have it and no others."""
    labels = known.values[..., [COLUMN[name] for name, _ in wanted]]
    within = torch.stack([known.known if id is None else known.known & (tokens == id) for _, id in wanted], dim=-1)
    return Tasks(tuple(name if id is None else f"{name} of token {id}" for name, id in wanted), labels, within)


def usable(tasks: Tasks) -> list[int]:
    """Numbers of the tasks that `score` accepts: in both halves both classes are in `FEWEST` contexts or more."""
    contexts = torch.stack([tasks.of(half).classes().any(dim=2).sum(dim=1) for half in _halves(tasks)])
    return (contexts.amin(dim=(0, 1)) >= FEWEST).nonzero().flatten().tolist()


def fit(features: Code | Float[Tensor, "C T F"], tasks: Tasks, n: int | None = None) -> Probes:
    """The probe of every feature for every task, in float64. A feature that never changes has ln 2.

    Args:
        features: a code, whose missing latents are zeros, or dense features such as channels or pre-activations.
        n: number of latents of a code; without it, as many as the last one that occurs.

    Raises:
        ValueError: a task with one class; labels of other tokens; features that are not finite, or a latent beyond n.
    """
    _same_tokens(features.values if isinstance(features, Code) else features, tasks)
    n = _latents(features, n) if isinstance(features, Code) else features.shape[-1]
    found = _empty(n, tasks)
    for alike in _on_the_same_tokens(tasks):
        part = _fit(*_taken(features, tasks.only(alike), tasks.within[..., alike[0]]), n)
        for whole, values in zip(found, part, strict=True):
            whole[:, alike] = values
    return found


def _on_the_same_tokens(tasks: Tasks) -> list[list[int]]:
    """Numbers of tasks, those with the same `within` together: a task of one token id has few tokens, and needs no others."""
    _, which = tasks.within.flatten(0, 1).unique(dim=1, return_inverse=True)
    return [(which == group).nonzero().flatten().tolist() for group in range(int(which.max()) + 1)]


def _taken(features: Code | Tensor, tasks: Tasks, mine: Bool[Tensor, "C T"]) -> tuple[Code | Tensor, Tasks]:
    """What is on some of the tokens, as one long context."""
    parts = [part[mine][None] for part in (*(features if isinstance(features, Code) else (features,)), *tasks[1:])]
    return Code(*parts[:2]) if isinstance(features, Code) else parts[0], Tasks(tasks.names, *parts[-2:])


def _empty(n: int, tasks: Tasks) -> Probes:
    kinds = (*[torch.float64] * 3, torch.bool)
    return Probes(*(torch.empty(n, len(tasks.names), dtype=kind, device=tasks.labels.device) for kind in kinds))


def _fit(features: Code | Tensor, tasks: Tasks, n: int) -> Probes:
    signed, per_class = _weights(tasks)
    source = _sparse(features, n) if isinstance(features, Code) else _dense(features)
    found = _empty(n, tasks)
    for rows, columns in _blocks(source.counts, len(tasks.names)):
        part = logistic.least(*_block(source, rows, signed[:, columns], per_class[:, columns]))
        for whole, values in zip(found, part, strict=True):
            whole[rows, columns] = values
    return found._replace(b=found.b - found.w * source.centre[:, None])


# --- entries: what a feature is on the tokens where it is not zero ---
class _Entries(NamedTuple):
    counts: Int[Tensor, " F"]
    starts: Int[Tensor, " F"]
    """Each feature's first entry in `token`, and in `value` where that is a list."""
    token: Int[Tensor, " E"]
    value: Float[Tensor, " E"] | Float[Tensor, "F N"]
    """Dense features have all the same tokens: a table."""
    centre: Float[Tensor, " F"]
    """Median of a dense feature, subtracted because far from 0 w and b would cancel digits; a mean would follow outliers. 0 in a code."""
    tokens: int
    """N."""

    def rows(self, which: Int[Tensor, " L"]) -> tuple[Float[Tensor, "L M"], Int[Tensor, "L M"]]:
        """Values and tokens of some features, filled up to one length with entries of token N, which has no weight."""
        if self.value.ndim == 2:
            return self.value[which].double() - self.centre[which, None], self.token.expand(len(which), -1)
        counts = self.counts[which, None]
        place = torch.arange(int(counts.max()), device=which.device)
        at = (self.starts[which, None] + place).clamp_max(len(self.token) - 1)
        return self.value[at].double().masked_fill(place >= counts, 0), self.token[at].masked_fill(place >= counts, self.tokens)


def _latents(code: Code, n: int | None) -> int:
    """Number of latents of a code, at least as many as occur."""
    n = int(code.indices.max()) + 1 if n is None else n
    if code.indices.min() < 0 or code.indices.max() >= n:
        ends = f"{code.indices.min()} to {code.indices.max()}"
        raise ValueError(f"the code has latents {ends}, the autoencoder 0 to {n - 1}: they do not belong together")
    return n


def _sparse(code: Code, n: int) -> _Entries:
    indices, values = code.indices.flatten(), code.values.flatten()
    active = values.nonzero().flatten()
    active = active[indices[active].argsort()]
    counts = indices[active].bincount(minlength=n)
    centre = torch.zeros(n, dtype=torch.float64, device=values.device)
    return _Entries(counts, counts.cumsum(0) - counts, active // code.values.shape[-1], values[active], centre, math.prod(code.values.shape[:2]))


def _dense(features: Float[Tensor, "C T F"]) -> _Entries:
    value = features.flatten(0, 1).T
    counts = torch.full((len(value),), value.shape[1], device=value.device)
    token = torch.arange(value.shape[1], device=value.device)
    return _Entries(counts, torch.zeros_like(counts), token, value, value.median(1).values.double(), value.shape[1])


def _same_tokens(features: Tensor, tasks: Tasks) -> None:
    if features.shape[:2] != tasks.labels.shape[:2] or features.ndim != 3:
        raise ValueError(f"features of shape {tuple(features.shape)} are not of the tokens of labels of shape {tuple(tasks.labels.shape)}")
    if not features.isfinite().all():
        raise ValueError("the features are not all finite, so no probe can be fitted: look for NaN or infinity in the activations")


def _weights(tasks: Tasks) -> tuple[Float[Tensor, "N+1 Y"], Float[Tensor, "2 Y"]]:
    """Each token's weight, negative for negatives and 0 outside of the task, last a token of no weight; and tokens per class."""
    negative, positive = tasks.classes().flatten(1, 2)
    per_class = torch.stack([negative.sum(0), positive.sum(0)]).double()
    for name, (negatives, positives) in zip(tasks.names, per_class.T.long().tolist(), strict=True):
        if not negatives or not positives:
            raise ValueError(f"task {name!r} has one class only, {negatives} negatives and {positives} positives: a probe needs both")
    signed = positive / (2 * per_class[1]) - negative / (2 * per_class[0])
    return torch.cat([signed, signed.new_zeros(1, len(tasks.names))]), per_class


def _blocks(counts: Int[Tensor, " F"], tasks: int) -> Iterator[tuple[Int[Tensor, " L"], slice]]:
    """Features, longest first, so that those of a block are of like length, and tasks: together about `BLOCK` numbers."""
    order, start = counts.argsort(descending=True), 0
    while start < len(order):
        longest = int(counts[order[start]]) + 1
        together = min(tasks, max(1, BLOCK // longest))
        rows = order[start : start + max(1, BLOCK // (longest * together))]
        for first in range(0, tasks, together):
            yield rows, slice(first, first + together)
        start += len(rows)


def _block(source: _Entries, rows: Tensor, signed: Tensor, per_class: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values with the zeros as one more, and weights of negatives and of positives."""
    z, token = source.rows(rows)
    signed = signed[token]
    entries = torch.stack([(signed < 0).sum(1), (signed > 0).sum(1)])
    zeros = (per_class[:, None] - entries) / (2 * per_class[:, None])  # counted, not as a difference of weights: exact where there are none
    negative, positive = (torch.cat([part.clamp_min(0), rest[:, None]], dim=1) for part, rest in zip((-signed, signed), zeros, strict=True))
    return torch.nn.functional.pad(z, (0, 1)), negative, positive


def first_step(x: Float[Tensor, "C T D"], tasks: Tasks, directions: Float[Tensor, "F D"]) -> Float[Tensor, "F Y"]:
    """What Newton's first step from w = b = 0 promises of the dense features z = directions x, in nats: (m1 - m0)² / (8 v).

    m0 and m1 are the means of z over the two classes, v its variance when each counts one half. To choose which of many are worth a `fit`,
    which reads every token for every step; this reads them once for all features. Raises as `fit`.
    """
    _same_tokens(x, tasks)
    _weights(tasks)
    gains = []
    for classes in tasks.classes().unbind(-1):
        held = [x[mine].double() for mine in classes]
        means, squares = torch.stack([z.mean(0) for z in held]), sum(z.mT @ z / (2 * len(z)) for z in held)
        spread = squares - torch.outer(means.mean(0), means.mean(0))
        own = directions.double()
        variance = ((own @ spread) * own).sum(1)
        gains.append((own @ (means[1] - means[0])) ** 2 / (8 * variance.clamp_min(torch.finfo(variance.dtype).tiny)))
    return torch.stack(gains, dim=1)


# --- choosing on one half, judging on the other ---


class Score(NamedTuple):
    """In nats; a gain is ln 2 less a loss. Intervals are of a bootstrap over the contexts that judge, with the choice fixed."""

    names: tuple[str, ...]
    best: Int[Tensor, " Y"]
    """The feature of least loss on the first half of the contexts."""
    fitted: Float[np.ndarray, " Y"]
    """Its loss there: too low by what choosing among many gains."""
    loss: Interval
    """Its loss on the second half, with w and b of the first; one per task."""
    gain: Interval
    """Mean gain over the tasks on the second half."""


def score(features: Code | Float[Tensor, "C T F"], tasks: Tasks, generator: torch.Generator) -> Score:
    """The best feature of each task, chosen and fitted on the first half of the contexts and judged on the second.

    Contexts that follow one another may be of one file, so the halves are cut once, not drawn.

    Raises:
        ValueError: a task with one class, or with a class in fewer than `FEWEST` contexts of a half (`usable` tells which have enough);
            what `fit` raises.
    """
    _weights(tasks)  # refuses a class that is missing altogether
    if few := sorted({*range(len(tasks.names))} - {*usable(tasks)}):
        names = [tasks.names[i] for i in few]
        raise ValueError(f"tasks {names} need each class in {FEWEST} contexts of each half: give more text, or leave them out (probes.usable)")
    choosing, judging = _halves(tasks)
    probes = fit(_part(features, choosing), tasks.of(choosing))
    best = probes.loss.argmin(0)
    fitted, w, b = (part.gather(0, best[None])[0] for part in probes[:3])
    sums = _sums(_part(features, judging), tasks.of(judging), best, w, b).cpu().numpy()
    value, low, high = bootstrap(lambda groups: _balanced(groups[0]), [sums], generator)
    gain = Interval(NOTHING - value[-1], NOTHING - high[-1], NOTHING - low[-1])
    return Score(tasks.names, best, fitted.cpu().numpy(), Interval(value[:-1], low[:-1], high[:-1]), gain)


def _halves(tasks: Tasks) -> tuple[slice, slice]:
    half = len(tasks.labels) // 2
    return slice(None, half), slice(half, None)


def _part(features: Code | Tensor, contexts: slice) -> Code | Tensor:
    return Code(*(part[contexts] for part in features)) if isinstance(features, Code) else features[contexts]


def _sums(features: Code | Tensor, tasks: Tasks, best: Tensor, w: Tensor, b: Tensor) -> Float[Tensor, "C 4 Y"]:
    """Per context: the losses of negatives and of positives, and their numbers."""
    q = torch.stack([w[y] * _chosen(features, feature).double() + b[y] for y, feature in enumerate(best.tolist())], dim=-1)
    negative, positive = tasks.classes().double()
    parts = (softplus(q, threshold=40) * negative, softplus(-q, threshold=40) * positive, negative, positive)
    return torch.stack([part.sum(1) for part in parts], dim=1)


def _chosen(features: Code | Tensor, which: int) -> Float[Tensor, "C T"]:
    return (features.values * (features.indices == which)).sum(-1) if isinstance(features, Code) else features[..., which]


def _balanced(sums: Float[np.ndarray, "C 4 Y"]) -> Float[np.ndarray, " Y+1"]:
    """The balanced loss of each task, and last their mean."""
    losses, counts = sums.sum(axis=0).reshape(2, 2, -1)
    each = (losses / counts).mean(axis=0)
    return np.append(each, each.mean())
