"""Pushing each row of a batch in its own way, and differences of contrasting contexts."""

import pytest
import torch

from companion.evals import contrast, features, steering
from companion.evals.contrast import Pairs, Rows
from companion.sae.models import TopK
from companion.sae.weights import Raw

SITE = "blocks.0.hook_resid_post"


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def sae():
    return Raw(TopK.random(32, 64, 4, stream()).requires_grad_(False), factor=2.0)


@pytest.fixture(scope="module")
def tokens(tiny):
    return tiny.tokens("heldout")[:6]


def rows(sae, latents, values):
    d = features.directions(sae, torch.tensor(latents), torch.zeros(32))
    return Rows(sae, torch.tensor(latents), torch.tensor(values), d)


def test_each_row_is_clamped_as_run_set_clamps_a_batch(tiny, sae, tokens):
    latents = features.fired(tiny, sae, SITE, tokens).counts.topk(3).indices.tolist()
    values = [5.0, 0.0, 2.0]
    with tiny.spliced({SITE: rows(sae, latents, values)}) as run:
        together = run.losses(tokens[:3])
    for row, (latent, value) in enumerate(zip(latents, values, strict=True)):
        with tiny.spliced({SITE: sae}, error_term=True) as run:
            run.set(SITE, latent, value)
            torch.testing.assert_close(together[row], run.losses(tokens[row : row + 1])[0], atol=1e-4, rtol=1e-4)


def test_without_a_latent_the_push_is_added(sae):
    acts, d = torch.randn(2, 3, 32, generator=stream()), torch.randn(2, 32, generator=stream(1))
    for own in (None, sae):
        pushed = Rows(own, torch.tensor([-1, -1]), torch.tensor([2.0, 0.0]), d)
        made = pushed.decode(pushed.encode(acts), acts)
        torch.testing.assert_close(made, acts + torch.tensor([2.0, 0.0])[:, None, None] * d[:, None])


def test_one_row_holds_for_a_batch_of_any_size(tiny, sae, tokens):
    pushed = rows(sae, [7], [3.0])
    with tiny.spliced({SITE: pushed}) as run:
        assert run.losses(tokens).shape == (6, tokens.shape[1] - 1)


def test_several_prompts_are_continued_in_their_order(tiny, tokens):
    made = steering.generate(tiny, tokens[:2, :4], 3, 2, stream(), temperature=0)
    assert torch.equal(made[:, :4], tokens[:2, :4].repeat_interleave(2, dim=0))
    assert torch.equal(made[2], steering.generate(tiny, tokens[1, :4], 3, 1, stream(), temperature=0)[0])


def test_pairs_share_their_token_and_stand_on_their_sides():
    ids = torch.randint(0, 6, (20, 10), generator=stream())
    first, second = (torch.rand(20, 10, generator=stream(seed)) < share for seed, share in ((1, 0.3), (2, 0.5)))
    second &= ~first
    pairs = contrast.matched(first, second, ids, stream())
    assert torch.equal(ids.flatten()[pairs.first], ids.flatten()[pairs.second])
    assert first.flatten()[pairs.first].all()
    assert second.flatten()[pairs.second].all()
    assert len(pairs.first.unique()) == len(pairs.first)
    expected = sum(min(int((first & (ids == token)).sum()), int((second & (ids == token)).sum())) for token in range(6))
    assert len(pairs.first) == expected


def test_no_common_token_has_no_pairs():
    ids = torch.tensor([[0, 1]])
    with pytest.raises(ValueError, match="no pairs"):
        contrast.matched(ids == 0, ids == 1, ids, stream())


def test_the_difference_is_a_planted_one_and_turns_with_the_pairs():
    acts, planted = torch.randn(8, 10, 4, generator=stream()), torch.tensor([1.0, -2.0, 0.0, 3.0])
    acts[:, 5:] = acts[:, :5] + planted
    places = torch.arange(80).view(8, 10)
    pairs = Pairs(places[:, 5:].flatten(), places[:, :5].flatten())
    v = contrast.difference(acts, pairs)
    torch.testing.assert_close(v, planted)
    order = torch.randperm(40, generator=stream())
    torch.testing.assert_close(contrast.difference(acts, Pairs(pairs.first[order], pairs.second[order])), v)
    torch.testing.assert_close(contrast.difference(acts, Pairs(pairs.second, pairs.first)), -v)
    assert not contrast.difference(acts, Pairs(pairs.first, pairs.first)).any()
    drawn = contrast.halves(pairs, stream())
    assert sorted(torch.cat(drawn).tolist()) == sorted(torch.cat(pairs).tolist())
