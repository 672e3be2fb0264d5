"""Weights in another order: the same numbers, the same text, another function."""

import torch

from companion.lm.shuffled import shuffle_weights


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_matrices_keep_their_entries_in_another_order_and_vectors_stay(tiny):
    other = shuffle_weights(tiny, generator())
    for (name, old), new in zip(tiny.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values), name
        assert torch.equal(old, new) == (old.ndim == 1 or bool((old == old.flatten()[0]).all())), name


def test_the_embeddings_stay_tied_and_the_subject_is_left_alone(tiny):
    before = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    other = shuffle_weights(tiny, generator())
    assert other.model.lm_head.weight is other.model.transformer.wte.weight
    assert all(torch.equal(before[name], tensor) for name, tensor in tiny.model.state_dict().items())


def test_it_reads_the_same_text_and_predicts_it_worse(tiny):
    other, tokens = shuffle_weights(tiny, generator()), tiny.tokens("heldout")
    assert torch.equal(other.tokens("heldout"), tokens)
    assert other.losses(tokens[:8]).mean() > tiny.losses(tokens[:8]).mean() + 0.5
    assert other.name != tiny.name


def test_a_seed_gives_one_order(tiny):
    tokens = tiny.tokens("heldout")[:2]
    one, same, another = (shuffle_weights(tiny, generator(seed)).residual(tokens, 1) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, another, atol=1e-2)
