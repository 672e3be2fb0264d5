from types import SimpleNamespace

import pytest
import torch

from companion.evals import ablation
from companion.sae.models import TopK, normalise
from companion.sae.weights import Raw


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(scope="module")
def sae(tiny):
    return TopK.random(tiny.d_model, 64, 4, torch.Generator().manual_seed(0)).requires_grad_(False)


@pytest.fixture(scope="module")
def resid(tiny):
    return tiny.residual(tiny.tokens("heldout")[:1], 0)[0]


def test_one_changed_logit_scores_one_over_all():
    v = torch.zeros(1, 3, 50)
    v[0, 1, 7] = -2.0
    found = ablation.sparsity(v)
    assert found.score.item() == pytest.approx(1 / 150)
    assert found.vocabulary.item() == pytest.approx(1 / 50)
    assert found.position.item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("positions", [16, 1])
def test_gaussian_effects_score_two_over_pi_times_their_share_of_the_positions(positions):
    """The paper's 10 to 14 % needs no sparsity over the vocabulary: this is the trap the two factors are for."""
    found = ablation.sparsity(randn(1, 16, 4000) * (torch.arange(16) < positions)[:, None])
    assert found.score.item() == pytest.approx(ablation.GAUSSIAN * positions / 16, rel=0.02)


def test_score_is_the_product_of_its_factors():
    v = randn(5, 6, 100, dtype=torch.float64) * torch.rand(5, 6, 1, generator=torch.Generator().manual_seed(1)) ** 3
    found = ablation.sparsity(v)
    centred = v - v.median(dim=-1, keepdim=True).values
    direct = (centred.abs().sum((1, 2)) / centred.norm(dim=(1, 2))) ** 2 / 600
    assert torch.allclose(found.score, direct)
    assert torch.allclose(found.score, found.vocabulary * found.position)


def test_scores_ignore_scale_and_a_constant_per_position():
    v = randn(2, 4, 101, dtype=torch.float64)
    moved = 3 * v + randn(2, 4, 1, seed=1, dtype=torch.float64)
    assert torch.allclose(ablation.sparsity(v).score, ablation.sparsity(moved).score)


def test_an_effect_of_zero_has_no_score():
    with pytest.raises(ValueError, match="change nothing"):
        ablation.sparsity(torch.zeros(1, 2, 5))


def test_effects_are_the_difference_of_two_runs(tiny, resid):
    removed = randn(2, *resid.shape) * 0.1
    expected = tiny.logits_from(resid - removed, 0)[:, 4:12] - tiny.logits_from(resid[None], 0)[:, 4:12]
    assert torch.allclose(ablation.effects(tiny, resid, removed, 0, 4, 8), expected, atol=1e-5)


def test_a_window_outside_the_context(tiny, resid):
    with pytest.raises(ValueError, match="do not lie in a context of 32"):
        ablation.effects(tiny, resid, torch.zeros(1, *resid.shape), 0, 20, 16)


def test_latents_removed_together_leave_the_bias(sae, resid):
    """The sum of all latents' contributions is the whole reconstruction but for b_pre and the mean: the factor std is in place."""
    removed = ablation.latent_removals(sae, resid, 5, persist=False)
    inputs = normalise(resid)
    assert torch.allclose(removed.sum(0)[5], sae.decode(sae.encode(resid), resid)[5] - inputs.mean[5] - sae.b_pre * inputs.std[5], atol=1e-4)
    assert removed.abs().sum(-1)[:, [*range(5), *range(6, 32)]].max() == 0


def test_persistent_removal_covers_every_later_position_where_the_latent_is_active(sae, resid):
    removed = ablation.latent_removals(sae, resid, 5, persist=True)
    code = sae.encode_normalised(normalise(resid).x)
    latent = code.indices[5][code.values[5] > 0][0]
    active = ((code.indices == latent) & (code.values > 0)).any(-1)
    assert torch.equal(removed[0].norm(dim=-1) > 0, active & (torch.arange(32) >= 5))


def test_anything_that_encodes_and_decodes_can_be_ablated(sae, resid):
    """Another library's model behind the two methods; here ours with its other members hidden, and one of raw activations."""
    bare = SimpleNamespace(encode=sae.encode, decode=sae.decode)
    assert torch.equal(ablation.latent_removals(bare, resid, 5, True), ablation.latent_removals(sae, resid, 5, True))
    raw = Raw(sae)
    latent = (code := raw.encode(resid)).indices[5][code.values[5] > 0][0]
    z = (code.values * (code.indices == latent)).sum(-1, keepdim=True)[5:]
    torch.testing.assert_close(ablation.latent_removals(raw, resid, 5, True)[0, 5:], z * sae.W_dec[latent], atol=1e-5, rtol=1e-4)


def test_channels_are_set_to_zero(resid):
    removed = ablation.channel_removals(resid, [0, 3], 5, persist=True)
    after = resid - removed[1]
    assert after[5:, 3].abs().max() == 0
    assert torch.equal(after[:5], resid[:5])
    assert torch.equal(after[:, 0], resid[:, 0])


def test_components_move_to_the_centre(resid):
    """Channels are the unit vectors about zero; along a direction the rest of the stream stays."""
    eye, none = torch.eye(resid.shape[1]), torch.zeros(resid.shape[1])
    torch.testing.assert_close(ablation.component_removals(resid, eye[[0, 3]], none, 5, True), ablation.channel_removals(resid, [0, 3], 5, True))
    u = torch.nn.functional.normalize(randn(1, resid.shape[1]), dim=1)
    removed = ablation.component_removals(resid, u, resid.mean(0), 5, persist=False)[0]
    assert ((resid - removed - resid.mean(0)) @ u[0])[5].abs() < 1e-5
    torch.testing.assert_close(removed[5], (removed[5] @ u[0]) * u[0])
    assert not removed[[*range(5), *range(6, 32)]].any()


def test_a_repeated_removal_is_the_vector_of_t_from_t_on(sae, resid):
    once = ablation.latent_removals(sae, resid, 5, persist=False)
    again = ablation.repeated(once, 5)
    assert torch.equal(again[:, 5:], once[:, 5:6].expand(-1, 27, -1))
    assert not again[:, :5].any()


def test_the_expected_score_is_that_of_equal_later_effects():
    """And more than that of unequal ones of the same mean. Numbers of the table: r = .05 gives .117, r = .2 gives .398 for Gaussian effects."""
    expected = ablation.expected_score(torch.tensor(ablation.GAUSSIAN), torch.tensor([0.0, 0.05, 0.2, 1.0]), 16)
    assert expected.tolist() == pytest.approx([0.0398, 0.117, 0.398, 0.637], abs=1e-3)
    sizes = torch.tensor([1.0] + 15 * [0.2])
    v = randn(1, 16, 4000) * sizes[:, None]
    assert ablation.sparsity(v).score.item() == pytest.approx(0.398, rel=0.02)
    unequal = randn(1, 16, 4000) * torch.tensor([1.0, 3.0] + 14 * [0.0])[:, None]
    assert ablation.sparsity(unequal).score < 0.2


def test_only_positions_that_change_and_are_measured_are_computed(tiny, resid):
    """A change before the window is not forgotten: the computation starts there."""
    removed = randn(2, *resid.shape) * 0.1
    removed[:, :2] = 0
    full = tiny.logits_from(torch.cat([resid[None], resid - removed]), 0)[:, 9:14]
    assert torch.allclose(ablation.effects(tiny, resid, removed, 0, 9, 5), full[1:] - full[:1], atol=1e-5)


def test_random_removals_have_the_norms_they_are_matched_to(sae, resid):
    like = ablation.latent_removals(sae, resid, 5, persist=True)
    drawn = ablation.random_removals(like, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.norm(dim=-1), like.norm(dim=-1), atol=1e-5)
    assert not torch.allclose(drawn, like)


def test_rounding_is_far_below_a_real_effect(tiny, sae, resid):
    real = ablation.effects(tiny, resid, ablation.latent_removals(sae, resid, 5, persist=False), 0, 5, 8).flatten(1).norm(dim=1)
    assert 0 < ablation.rounding_floor(tiny, resid, 4, 0, 5, 8) < real.min() / 100
