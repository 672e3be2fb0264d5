"""The map of directions and the purity of neighbourhoods, against plain definitions."""

import pytest
import torch
from torch.nn.functional import normalize

from companion.evals import maps
from tests.evals.conftest import stream


def test_purity_is_one_for_groups_and_by_chance_for_coins():
    label = torch.arange(300) % 3
    grouped = torch.randn(300, 20, generator=stream()) + 9 * torch.eye(20)[label]
    assert maps.purity(grouped, label) == 1
    assert maps.purity(torch.randn(300, 20, generator=stream()), label) == pytest.approx(1 / 3, abs=0.05)


def test_neighbours_of_the_same_group_do_not_count_for_the_purity():
    label = torch.arange(60) % 3
    group = torch.arange(60) // 3 % 2 + 2 * label  # half of each label
    x = torch.randn(60, 20, generator=stream()) + 9 * torch.eye(20)[label]
    expected = []
    for own in range(60):
        others = (group != group[own]).nonzero().flatten()
        nearest = others[torch.cosine_similarity(x[others], x[own][None]).argsort(descending=True)[:12]]
        expected.append((label[nearest] == label[own]).float().mean().item())
    assert maps.purity(x, label, group, neighbours=12) == pytest.approx(sum(expected) / 60)
    assert maps.purity(x, label, group, neighbours=12) < maps.purity(x, label, neighbours=12)
    with pytest.raises(ValueError, match="too few"):
        maps.purity(x, label, label, neighbours=41)


def test_the_gradient_of_the_map_is_that_of_its_loss():
    x, y = torch.randn(40, 5, generator=stream()).double(), torch.randn(40, 2, generator=stream(1)).double().requires_grad_()
    rows, columns, P = maps.affinities(normalize(x, dim=1), perplexity=5.0)
    full = torch.zeros(40, 40, dtype=torch.float64).index_put_((rows, columns), P, accumulate=True)
    assert full.sum() == pytest.approx(1)
    torch.testing.assert_close(full, full.T)
    off = ~torch.eye(40, dtype=torch.bool)
    w = 1 / (1 + (y[:, None] - y[None]).square().sum(-1))
    Q = w / w[off].sum()
    loss = torch.special.xlogy(full[off], full[off]).sum() - (full[off] * Q[off].log()).sum()
    loss.backward()
    torch.testing.assert_close(4 * maps.tsne_gradient(y.detach(), rows, columns, P), y.grad)


def test_each_direction_has_neighbours_of_the_perplexity():
    unit = normalize(torch.randn(200, 10, generator=stream()), dim=1)
    rows, columns, P = maps.affinities(unit, perplexity=10.0)
    own = (P * 400)[: len(P) // 2].view(200, -1)  # p_j|i
    entropy = -(own * own.clamp_min(1e-30).log()).sum(1)
    torch.testing.assert_close(entropy.exp(), torch.full((200,), 10.0), rtol=1e-2, atol=0)
    assert (rows != columns).all()


def test_the_map_keeps_groups_together():
    label = torch.arange(240) % 3
    x = torch.randn(240, 20, generator=stream()) + 6 * torch.eye(20)[label]
    at = maps.tsne(x, stream(1), perplexity=15, steps=150, early=50)
    nearest = torch.cdist(at, at).fill_diagonal_(torch.inf).argmin(1)
    assert (label[nearest] == label).float().mean() > 0.95
    torch.testing.assert_close(at.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
