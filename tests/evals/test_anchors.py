import math

import pytest
import torch

from companion.evals import anchors


def test_unigram_losses_by_hand():
    train = torch.tensor([[0, 0, 1], [0, 2, 1]])  # counts 3, 2, 1, 0 and one more each, of 10
    losses = anchors.unigram_losses(train, torch.tensor([[1, 0, 3]]), 4)
    assert losses.tolist() == [pytest.approx([-math.log(0.4), -math.log(0.1)])]


def test_anchors_lie_in_their_order(tiny):
    tokens = tiny.tokens("heldout")[:32]
    losses = anchors.anchor_losses(tiny, tokens, 0)
    assert torch.equal(losses["clean"], tiny.losses(tokens))
    assert losses["clean"].mean() < losses["unigram"].mean() < math.log(tiny.model.config.vocab_size)
    assert losses["unigram"].mean() < min(losses["mean"].mean(), losses["zero"].mean())
    assert {values.shape for values in losses.values()} == {losses["clean"].shape}
