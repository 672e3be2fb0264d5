"""The blocks above a site, run only on the positions that change.

Position p of a decoder reads positions <= p. If the stream of a context is changed from position `start` on, everything before
stays as it was: of those positions the blocks above need the keys and values of the untouched run, once, and no query. So a
batch of changed streams costs its own positions, whatever the length of the context before them.
"""

import inspect
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.lm.subject import Subject

CACHES = ("past_key_values", "layer_past")
"""What blocks call the argument that hands them earlier keys and values."""
MASKED = ("sdpa", "eager")
"""Implementations of attention that take a mask with fewer rows than columns."""


@torch.no_grad()
def logits(subject: Subject, resid: Float[Tensor, "T D"], changed: Float[Tensor, "A P D"], layer: int, start: int) -> Float[Tensor, "A P V"]:
    """Logits at positions start .. start+P-1 of one context, for A streams after `layer` that differ from `resid` there and nowhere before.

    Equal to running the blocks above on all positions, up to rounding. Blocks that take no earlier keys and values are run so.
    """
    whole, stop = resid[None], start + changed.shape[1]
    if not _can_cut(subject, layer):
        full = torch.cat([resid[:start].expand(len(changed), -1, -1), changed], dim=1)
        return subject.logits_from(full, layer, slice(start, stop))
    for above in range(layer + 1, len(subject.blocks)):
        prefix = _Prefix(start)
        whole, given = _untouched(subject, whole, above, prefix)
        changed = subject.blocks[above](changed, **{name: _cut(name, value, start, stop, changed) for name, value in given.items()})
    return subject.unembed(changed)


class _Prefix:
    """A block's cache: it keeps the keys and values before `start` of the first run, and puts them before those of every later one."""

    def __init__(self, start: int):
        self.start, self.kept = start, None

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, ...]:
        if self.kept is None:
            self.kept = tuple(each[:, :, : self.start] for each in (keys, values))
            return keys, values
        return tuple(torch.cat([before.expand(len(own), -1, -1, -1), own], dim=2) for before, own in zip(self.kept, (keys, values), strict=True))


def _untouched(subject: Subject, whole: Tensor, above: int, prefix: _Prefix) -> tuple[Tensor, dict[str, Any]]:
    """The stream after block `above`, and all that the block was given beside the stream, by name."""
    block, given = subject.blocks[above], {}

    def note(_, positional, named):
        if positional[0] is not whole:  # a pass of the subject's own, to learn what it gives its blocks
            return None
        signature = inspect.signature(block.forward)
        bound = signature.bind(*positional, **named).arguments
        stream = next(iter(bound))
        for name, value in bound.items():
            given.update(value if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD else {name: value})
        given[_cache_of(block)] = prefix
        return (given.pop(stream),), given

    handle = block.register_forward_pre_hook(note, with_kwargs=True)
    try:
        return subject.block(whole, above), given
    finally:
        handle.remove()


def _cut(name: str, value: Any, start: int, stop: int, like: Tensor) -> Any:
    """What belongs to positions start .. stop-1 of an argument of the whole context: rows of a mask, positions and their angles."""
    if name == "attention_mask":
        if value is None:  # attention then masks by itself, as if the first query were at position 0
            return torch.ones(1, 1, stop - start, stop, dtype=torch.bool, device=like.device).tril(start)
        return value[..., start:stop, :stop]
    if isinstance(value, tuple):
        return tuple(_cut(name, each, start, stop, like) for each in value)
    if isinstance(value, Tensor):
        return value[:, start:stop] if value.ndim > 1 else value[start:stop]
    return value


def _cache_of(block: nn.Module) -> str | None:
    return next((name for name in CACHES if name in inspect.signature(block.forward).parameters), None)


def _can_cut(subject: Subject, layer: int) -> bool:
    return subject.config._attn_implementation in MASKED and all(map(_cache_of, subject.blocks[layer + 1 :]))
