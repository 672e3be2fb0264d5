"""Samplers: the right distribution, and the conditional one unbiased."""

import pytest
import torch

from companion.toy import data, model, train


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_plain_samples_have_the_density_and_are_uniform_when_active():
    density = torch.tensor([0.1, 0.5, 1.0])
    x = data.plain(data.draw(20, 20_000, generator()), density)
    active = x > 0
    assert active.double().mean((1, 2)).tolist() == pytest.approx([0.1, 0.5, 1.0], abs=0.002)
    for one, on in zip(x, active, strict=True):
        assert one[on].mean().item() == pytest.approx(1 / 2, abs=0.005)
        assert one[on].var().item() == pytest.approx(1 / 12, abs=0.001)


def test_a_feature_active_in_a_sparse_model_is_active_in_a_denser_one():
    x = data.plain(data.draw(20, 500, generator()), torch.tensor([0.1, 0.4]))
    assert bool((x[1] > 0)[x[0] > 0].all())


@pytest.mark.parametrize("density", [0.002, 0.1, 0.6, 1.0])
def test_conditional_samples_have_an_active_feature_and_the_conditional_marginals(density):
    n, p = 6, torch.tensor([density])
    x = data.conditional(data.draw(n, 200_000, generator()), p)[0]
    assert bool((x > 0).any(1).all())
    expected = density / data.share_active(p, n).item()
    assert (x > 0).double().mean(0).tolist() == pytest.approx([expected] * n, abs=0.005)
    assert x.sum().item() / (x > 0).sum().item() == pytest.approx(1 / 2, abs=0.003)


def test_loss_from_conditional_samples_is_unbiased():
    W = torch.randn(1, 5, 2, generator=generator(1)) * 0.7
    b = torch.tensor([[0.1, -0.2, 0.3, 0.0, 0.05]])
    density = torch.tensor([0.1])
    uniforms = data.draw(5, 400_000, generator())
    ordinary = model.loss(W, b, data.plain(uniforms, density))
    cheap = train.batch_loss(W, b, train.Batch(data.conditional(uniforms, density), density, torch.ones(5)))
    assert cheap.item() == pytest.approx(ordinary.item(), rel=0.005)


def test_many_features_are_sampled_plainly():
    uniforms, density = data.draw(400, 8, generator()), torch.tensor([0.2])
    assert torch.equal(data.conditional(uniforms, density), data.plain(uniforms, density))


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.2, float("nan")])
def test_a_density_outside_its_range_is_refused(bad):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        data.check_density(torch.tensor([0.5, bad]))


def test_a_correlated_set_is_active_together_with_values_of_its_own():
    source, density = data.Correlated(3), torch.tensor([0.2, 0.6])
    x = source.sample(source.uniforms(6, 20_000, torch.Generator().manual_seed(0)), density)
    sets = (x > 0).unflatten(-1, (2, 3)).double()
    assert bool((sets == sets[..., :1]).all())
    share = source.share_active(density, 6)
    torch.testing.assert_close(sets.mean((1, 2, 3)) * share, density.double(), atol=0.01, rtol=0)
    both = x[0, x[0, :, 0] > 0]
    assert abs(torch.corrcoef(both[:, :2].T)[0, 1].item()) < 0.05


def test_one_member_of_an_anticorrelated_set_at_a_time():
    source, density = data.Anticorrelated(2), torch.tensor([0.5])
    x = source.sample(source.uniforms(4, 40_000, torch.Generator().manual_seed(0)), density)[0]
    assert int((x > 0).unflatten(-1, (2, 2)).sum(-1).max()) == 1
    each = (x > 0).double().mean(0) * source.share_active(density, 4)
    torch.testing.assert_close(each, torch.full((4,), 0.25, dtype=torch.float64), atol=0.01, rtol=0)
    values = x[x > 0]  # uniform, where a published batch puts the value 1
    assert values.mean().item() == pytest.approx(0.5, abs=0.01)
    assert values.var().item() == pytest.approx(1 / 12, abs=0.003)


@pytest.mark.parametrize("source", [data.Independent(), data.Correlated(2), data.Anticorrelated(2)])
def test_law_is_that_of_the_samples(source):
    p = torch.tensor([0.3], dtype=torch.float64)
    law = source.law(p, 4)
    assert law.chance.sum().item() == pytest.approx(1)
    x = source.sample(source.uniforms(4, 40_000, torch.Generator().manual_seed(0)), p)[0]
    share = source.share_active(p, 4).item()
    seen = torch.stack([((x > 0) == (row > 0)).all(-1).double().mean() for row in law.sets])
    expected = torch.where(law.sets.sum(-1) > 0, law.chance[0] / share, 0)
    torch.testing.assert_close(seen, expected, atol=0.012, rtol=0)


def test_empty_batches_and_bad_sets_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        data.draw(0, 8, generator())
    with pytest.raises(ValueError, match="sets of 4"):
        data.Correlated(4).uniforms(6, 2, generator())
    with pytest.raises(ValueError, match="size=0"):
        data.Anticorrelated(0)
