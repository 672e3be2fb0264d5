"""Nulls for feature splitting, the roles of a token and the automaton's matrix, against plain definitions on codes made by hand."""

import pytest
import torch

from companion.evals import automata, features, splitting
from companion.sae.models import TopK
from tests.evals.conftest import made, stream

SITE = "blocks.0.hook_resid_post"


def dense_of(fired, shape):
    full = torch.zeros(*shape, len(fired.counts))
    full[fired.context, fired.position, fired.latent] = fired.value
    return full


@pytest.fixture
def dense():
    return torch.randn(6, 50, 8, generator=stream()).relu()


@pytest.fixture
def tokens():
    return torch.randint(5, (6, 50), generator=stream(1))


def test_moved_activations_keep_their_token_and_their_company(dense, tokens):
    found = splitting.moved(made(dense), tokens, stream(2))
    full = dense_of(found, tokens.shape)
    assert torch.equal(found.counts, made(dense).counts)
    for token in range(5):
        before, after = dense[tokens == token], full[tokens == token]
        assert torch.equal(before.sum(1).sort().values, after.sum(1).sort().values)  # rows move whole
    assert (full != dense).any()


def test_latents_are_matched_with_those_of_their_density():
    null_counts = torch.arange(200).flip(0)
    null = null_counts / 200
    found = splitting.matched(torch.tensor([100, 0, 500]), null_counts, null, near=21)
    assert found.shape == (3, 21)
    for row, middle in zip(found, (100, 10, 189), strict=True):  # the last two at the ends of the null
        torch.testing.assert_close(row.sort().values, torch.arange(middle - 10, middle + 11) / 200)
    assert splitting.has_match(torch.tensor([9, 10, 100, 189, 190]), null_counts, near=21).tolist() == [False, True, True, True, False]
    with pytest.raises(ValueError, match="too few"):
        splitting.matched(null_counts, null_counts[:5], null[:5])


def test_coverage_is_the_share_on_tokens_of_a_child(dense):
    other = torch.randn(6, 50, 4, generator=stream(3)).relu()
    dense[..., 7] = 0
    joined = torch.zeros(8, 4, dtype=torch.bool)
    joined[0, [1, 2]] = joined[1, 3] = joined[7, 0] = True
    found = splitting.coverage(made(dense), made(other), joined, (6, 50))
    for latent, children in ((0, [1, 2]), (1, [3])):
        some = (other[..., children] > 0).any(-1)
        assert found[latent] == pytest.approx((dense[..., latent] * some).sum().item() / dense[..., latent].sum().item(), abs=1e-6)
    assert (found[2:7] == 0).all()
    assert found[7].isnan()


def planted(strength):
    """Latent 0 is strong on token 1 in role 0, latent 1 on token 1 anywhere, latent 2 in role 0 on every token; and the roles of token 1."""
    tokens = torch.arange(5).repeat(10, 40)
    context_role = (torch.arange(200) % 10 < 5).long().expand(10, -1)
    full = torch.zeros(10, 200, 3)
    full[..., 0] = ((tokens == 1) & (context_role == 0)) * strength
    full[..., 1] = (tokens == 1) * 1.0
    full[..., 2] = (context_role == 0) * 1.0
    full[..., 0] += (tokens == 2) * 0.2  # weakly active elsewhere
    return made(full), tokens, torch.where(tokens == 1, context_role, -1)


def test_specialists_are_strong_on_the_token_and_in_the_role():
    fired, tokens, roles = planted(1.0)
    found = splitting.specialists(fired, tokens, 1, roles, 2)
    assert [each.tolist() for each in found.latents] == [[0], []]
    assert found.recall.tolist() == [1, 0]
    weak = splitting.specialists(planted(0.3)[0], tokens, 1, roles, 2)  # half of its largest is below what it has elsewhere
    assert [each.tolist() for each in weak.latents] == [[], []]
    assert not splitting.specialists(fired, tokens, 1, roles, 2, least=1000).latents[0].numel()


# --- automata ---


def test_the_matrix_is_the_rise_of_activity(dense, tokens):
    given = automata.given_token(made(dense), tokens, 6)  # token 5 does not occur
    for token in range(5):
        torch.testing.assert_close(given[:, token], (dense[tokens == token] > 0).float().mean(0))
    assert (given[:, 5] == 0).all()
    p = torch.bincount(tokens.flatten(), minlength=6) / tokens.numel()
    push = torch.zeros(2, 6)
    push[1, 3] = 50.0  # token 3 is certain
    q = automata.next_tokens(p, push)
    torch.testing.assert_close(q[0], p)
    found = automata.transitions(q, given, p)
    torch.testing.assert_close(found[0], torch.zeros(8), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1], given[:, 3] - (dense > 0).float().mean((0, 1)))


def test_exchanged_latents_have_about_the_same_density_and_are_others():
    counts = torch.randint(1000, (205,), generator=stream())
    other = automata.exchanged(counts, stream(1), near=20)
    assert torch.equal(other.sort().values, torch.arange(205))
    assert (other != torch.arange(205)).all()
    rank = counts.argsort(stable=True).argsort()
    assert (rank[other] - rank).abs().max() < 25


def test_followers_are_active_on_a_token_drawn_while_a_latent_is_held(tiny):
    sae = TopK.random(32, 64, 4, stream()).requires_grad_(False)
    prompts = tiny.tokens("heldout")[:8, :10]
    found = automata.followers(tiny, sae, SITE, prompts, 3, 0.0, stream(1))
    free = automata.followers(tiny, sae, SITE, prompts, None, 0.0, stream(1))
    assert found.shape == (64,)
    assert free.sum() == pytest.approx(4)  # k latents of each new token
    with tiny.spliced({SITE: sae}, error_term=True) as held:
        held.set(SITE, 3, 9.0)
        drawn = held.logits(prompts)[:, -1].softmax(-1).multinomial(1, generator=stream(2))
    code = sae.encode(features.read(tiny, SITE, torch.cat([prompts, drawn], 1))[:, -1])
    expected = torch.bincount(code.indices[code.values > 0], minlength=64) / 8
    torch.testing.assert_close(automata.followers(tiny, sae, SITE, prompts, 3, 9.0, stream(2)), expected)


def test_the_scale_is_that_of_the_stream(tiny):
    tokens = tiny.tokens("heldout")[:4]
    expected = tiny.residual(tokens, len(tiny.blocks) - 1).std(dim=-1, correction=0).mean().item()
    assert automata.final_scale(tiny, tokens) == pytest.approx(expected, rel=1e-5)
