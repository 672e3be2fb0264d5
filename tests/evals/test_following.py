"""Labels of the next token, and effects that single out the tokens with a label."""

import pytest
import torch

from companion.evals.following import Remembered, next_labels, selective
from companion.lm.labels import ContextLabels
from companion.sae.models import TopK


@pytest.fixture
def known():
    generator = torch.Generator().manual_seed(0)
    return ContextLabels(torch.rand(4, 9, 3, generator=generator) < 0.3, torch.rand(4, 9, generator=generator) < 0.8)


def test_the_next_tokens_labels_stand_one_place_earlier(known):
    found = next_labels(known)
    assert torch.equal(found.values[:, :-1], known.values[:, 1:])
    assert torch.equal(found.known[:, :-1], known.known[:, 1:] & known.known[:, :-1])
    assert not found.known[:, -1].any()


def test_a_planted_effect_is_found_and_one_on_all_tokens_is_none(known):
    following = next_labels(known)
    planted = 0.7 * following.values[:, :-1, 1].float()
    assert selective(planted, following, 1) == pytest.approx(0.7)
    assert selective(torch.full((4, 8), -3.0), following, 1) == pytest.approx(0.0)


def test_tokens_whose_labels_are_not_known_do_not_count(known):
    following = next_labels(known)
    change = torch.where(following.known[:, :-1], 1.0, torch.nan)
    assert selective(change, following, 2) == pytest.approx(0.0)


def test_a_label_that_never_holds_has_no_effect(known):
    following = next_labels(known._replace(values=torch.zeros_like(known.values)))
    assert selective(torch.randn(4, 8), following, 0) == 0.0


def test_what_is_remembered_is_what_the_autoencoder_gives():
    generator = torch.Generator().manual_seed(0)
    sae, (first, second) = TopK.random(8, 16, 2, generator), torch.randn(2, 3, 4, 8, generator=generator)
    kept = Remembered(sae)
    for acts in (first, first[:1], first, second, first):
        code, expected = kept.encode(acts), sae.encode(acts)
        assert all(torch.equal(*pair) for pair in zip(code, expected, strict=True))
        torch.testing.assert_close(kept.decode(code, acts), sae.decode(expected, acts))
    assert kept.encode(first) is kept.encode(first.clone())
    assert kept.n == 16
