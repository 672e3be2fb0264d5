"""Streamed batches: each block once an epoch, the same batches wherever one begins, and no more memory than was stated."""

import itertools
import weakref

import pytest
import torch

from companion.sae import stream

TOKENS = 6
"""Activations per block."""


def _block(i):
    """Activations that say where they come from: block and place in it."""
    return torch.stack([torch.full((TOKENS,), float(i)), torch.arange(TOKENS).float()], dim=1)


def _stream(blocks=8, batch=4, buffer_tokens=12, seed=0, make=_block):
    return stream.Stream(make, blocks, batch, buffer_tokens, seed)


def _take(batches, count):
    return [batch.clone() for batch in itertools.islice(batches, count)]


# --- stream ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "buffer_tokens"), [(8, 12), (8, 24), (8, 48), (8, 1000), (5, 12), (7, 18), (1, 6)])
def test_each_epoch_shows_each_activation_of_each_block_once(blocks, buffer_tokens):
    """Whether or not buffers divide an epoch: after as many buffers as make whole epochs, all were seen equally often."""
    batches = _stream(blocks, batch=6, buffer_tokens=buffer_tokens)
    per_buffer = min(blocks, buffer_tokens // TOKENS)
    seen = torch.cat(_take(batches, blocks * per_buffer)).long()  # per_buffer epochs
    counts = torch.bincount(seen[:, 0] * TOKENS + seen[:, 1], minlength=blocks * TOKENS)
    assert counts.tolist() == [per_buffer] * (blocks * TOKENS)


def test_blocks_are_asked_for_once_an_epoch_in_a_new_order():
    asked = []
    batches = _stream(blocks=8, batch=4, buffer_tokens=12, make=lambda i: asked.append(i) or _block(i))
    del asked[:]  # one was made to learn its size
    _take(batches, 2 * 8 * TOKENS // 4)
    first, second = asked[:8], asked[8:16]
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    assert first != list(range(8))


def test_a_buffer_is_shuffled_across_its_blocks():
    first = _take(_stream(blocks=4, batch=6, buffer_tokens=24), 1)[0]
    assert len(set(first[:, 0].tolist())) > 1
    second = _take(_stream(blocks=4, batch=6, buffer_tokens=24), 5)[4]
    assert not torch.equal(first, second)  # the next epoch is another order


def test_what_does_not_fill_a_batch_is_dropped_with_its_buffer():
    """12 tokens in batches of 5: two of a buffer, then the next buffer, and no activation twice within one."""
    batches = _take(_stream(batch=5, buffer_tokens=12), 4)
    assert all(len(batch) == 5 for batch in batches)
    for pair in (batches[:2], batches[2:]):
        assert len({tuple(row) for row in torch.cat(pair).tolist()}) == 10
    assert not {row[0].item() for row in torch.cat(batches[:2])} & {row[0].item() for row in torch.cat(batches[2:])}


@pytest.mark.parametrize("skipped", [0, 1, 2, 3, 5, 6, 11, 40])
def test_skipping_is_exact(skipped):
    whole = _take(_stream(), skipped + 5)[skipped:]
    late = _stream()
    late.skip(skipped)
    assert all(torch.equal(a, b) for a, b in zip(whole, _take(late, 5), strict=True))


def test_skipping_makes_no_block_but_those_of_the_buffer_it_lands_in():
    made = []
    late = _stream(make=lambda i: made.append(i) or _block(i))
    del made[:]
    late.skip(10_000)
    next(iter(late))
    assert len(made) == 2


def test_seeds_differ_and_agree_with_themselves():
    a, b, c = (torch.cat(_take(_stream(seed=seed), 6)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_batches_are_copies_that_the_next_buffer_leaves_alone():
    batches = iter(_stream())
    first = next(batches)
    before = first.clone()
    list(itertools.islice(batches, 10))
    assert torch.equal(first, before)


def test_memory_is_the_buffer_that_was_asked_for_and_one_block():
    """What is alive when a block is made: none of those before it."""
    alive, most = weakref.WeakSet(), []

    def make(i):
        most.append(len(alive))
        block = _block(i)
        alive.add(block)
        return block

    batches = _stream(blocks=50, batch=4, buffer_tokens=20, make=make)
    del most[:]
    _take(batches, 60)
    assert batches.buffer.numel() == 3 * TOKENS * 2 <= 20 * 2  # three whole blocks of two floats in room for 20 tokens
    assert len(most) == 3 * 60 // (3 * TOKENS // 4)
    assert max(most) == 0


def test_activations_keep_their_type():
    batches = _stream(make=lambda i: _block(i).half())
    assert next(iter(batches)).dtype == torch.float16


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (dict(blocks=0), "nothing to stream"),
        (dict(buffer_tokens=TOKENS - 1, batch=2), "holds no block of 6"),
        (dict(buffer_tokens=3, batch=2), "holds no block of 6"),
        (dict(buffer_tokens=12, batch=13), "no batch of 13"),
        (dict(buffer_tokens=13, batch=13), "no batch of 13"),  # room for 13 is two blocks of 6
        (dict(blocks=1, buffer_tokens=100, batch=7), "no batch of 7"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        _stream(**wrong)


@pytest.mark.parametrize("odd", [1, 5, 7])
def test_a_block_of_another_size_is_refused(odd):
    """One of a single activation would otherwise be spread over the room of a block without a word."""
    with pytest.raises(ValueError, match=f"a block of {odd} activations, but the first had 6"):
        _take(_stream(make=lambda i: _block(i) if i == 0 else torch.zeros(odd, 2)), 20)


# --- pool --------------------------------------------------------------------------------------------------------


def test_shuffled_visits_every_vector_once_per_epoch(generator):
    pool = torch.arange(10.0)[:, None]
    batches = list(stream.shuffled(pool, 5, 5, generator))
    assert len(batches) == 5
    assert sorted(torch.cat(batches[:2]).flatten().tolist()) == list(range(10))
    assert sorted(torch.cat(batches[2:4]).flatten().tolist()) == list(range(10))
    assert not torch.equal(batches[0], batches[2])


def test_shuffled_drops_what_is_left_of_an_epoch(generator):
    batches = list(stream.shuffled(torch.arange(11.0)[:, None], 4, 6, generator))
    assert all(len(batch) == 4 for batch in batches)
    for epoch in (batches[:2], batches[2:4], batches[4:]):
        assert len(set(torch.cat(epoch).flatten().tolist())) == 8


def test_a_pool_without_one_batch_is_refused(generator):
    with pytest.raises(ValueError, match="a pool of 10 activations holds no batch of 64"):
        next(stream.shuffled(torch.zeros(10, 2), 64, 1, generator))
