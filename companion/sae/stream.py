"""Batches of activations: from a pool that fits in memory, or from a model that makes them as they are needed."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

Batch = Float[Tensor, "... D"] | tuple | list
"""Activations of shape (B, D) or (N, T, D), or a tuple or list that begins with them, as a DataLoader makes them."""


def vectors(batch: Batch) -> Float[Tensor, "B D"]:
    """The activations of a batch as one list.

    Raises:
        ValueError: it is no tensor, and does not begin with one.
    """
    acts = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
    if not isinstance(acts, Tensor) or not acts.ndim:
        raise ValueError(f"a batch is a tensor of activations, or a tuple or list that begins with one, and not a {type(acts).__name__}")
    return acts.flatten(0, -2) if acts.ndim > 1 else acts[None]


def from_step(batches: Iterable[Batch], step: int) -> Iterator[Batch]:
    """The batches after the first `step`, epoch after epoch; one epoch of an iterator, which cannot begin again."""
    if hasattr(batches, "skip"):
        batches.skip(step)
        return iter(batches)
    return itertools.islice(_epochs(batches), step, None)


def _epochs(batches: Iterable[Batch]) -> Iterator[Batch]:
    again = True
    while again:
        again = False
        for batch in batches:
            yield batch
            again = not isinstance(batches, Iterator)


def seed_of(seed: int, name: str) -> int:
    """A seed of 32 bits, all that torch's CPU generator looks at, for the stream of that name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4])


def shuffled(pool: Float[Tensor, "N D"], batch: int, steps: int, generator: torch.Generator) -> Iterator[Float[Tensor, "B D"]]:
    """`steps` batches from epochs over the pool, each epoch in a new order; what is left of an epoch is dropped.

    Raises:
        ValueError: the pool holds less than one batch.
    """
    per_epoch = len(pool) // max(1, batch)
    if not per_epoch or batch < 1:
        raise ValueError(f"a pool of {len(pool)} activations holds no batch of {batch}: collect more, or use smaller batches")
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(pool), generator=generator, device=generator.device).to(pool.device)
        at = step % per_epoch * batch
        yield pool[order[at : at + batch]]


class Stream:
    """Endless shuffled batches from blocks of activations that are made when they are needed.

    Blocks come in a new random order each epoch. A buffer is filled with whole blocks, shuffled, and used up; then the next
    is filled. What a buffer holds follows from the seed and its number alone, so a run can begin at any batch.

    Memory: one buffer of buffer_tokens * D entries, and one block while it is filled. Nothing else grows.

    Args:
        make: the activations of block i, of `blocks`, always the same: (tokens, D), raw.
        buffer_tokens: room of the buffer; rounded down to whole blocks. Tokens left over from the last batch are dropped.

    Raises:
        ValueError: no block, blocks of unequal sizes, or a buffer smaller than a block or than a batch.
    """

    def __init__(self, make: Callable[[int], Float[Tensor, "M D"]], blocks: int, batch: int, buffer_tokens: int, seed: int):
        if blocks < 1 or batch < 1 or not len(first := make(0)):
            raise ValueError(f"nothing to stream: {blocks} blocks in batches of {batch}, or blocks without activations")
        self.make, self.blocks, self.batch, self.seed = make, blocks, batch, seed
        self.block_tokens, self.per_buffer = len(first), min(blocks, buffer_tokens // len(first))
        if buffer_tokens < max(len(first), batch) or self.per_buffer * len(first) < batch:
            raise ValueError(f"a buffer of {buffer_tokens} tokens holds no block of {len(first)} or no batch of {batch}: make it larger")
        self.buffer = first.new_empty(self.per_buffer * len(first), first.shape[1])
        self.filled, self.at = -1, 0

    def skip(self, batches: int) -> None:
        """Begin after so many batches; nothing is made for those skipped."""
        self.at = batches

    def __iter__(self) -> Iterator[Float[Tensor, "B D"]]:
        per_fill = len(self.buffer) // self.batch
        while True:
            fill, place = divmod(self.at, per_fill)
            if fill != self.filled:
                self._fill(fill)
            self.at += 1
            yield self.buffer[self.order[place * self.batch : (place + 1) * self.batch]]

    def _fill(self, fill: int) -> None:
        for slot in range(self.per_buffer):
            epoch, place = divmod(fill * self.per_buffer + slot, self.blocks)
            block = self.make(int(self._permutation(self.blocks, 2 * epoch)[place]))
            if len(block) != self.block_tokens:
                raise ValueError(f"a block of {len(block)} activations, but the first had {self.block_tokens}: all must be of one size")
            self.buffer[slot * self.block_tokens : (slot + 1) * self.block_tokens] = block
            del block  # it would live on while the next is made
        self.order = self._permutation(len(self.buffer), 2 * fill + 1).to(self.buffer.device)
        self.filled = fill

    def _permutation(self, n: int, number: int) -> Tensor:
        """The order of epoch e is number 2e of the seed, that of fill f is number 2f + 1."""
        return torch.randperm(n, generator=torch.Generator().manual_seed(seed_of(self.seed, str(number))))
