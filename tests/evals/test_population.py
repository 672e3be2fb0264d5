"""Measures over whole dictionaries against plain definitions, on codes made by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from companion.evals import autointerp, features, population
from companion.lm.labels import ContextLabels

SHAPE = (6, 40)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


made = population.planted


def pearson(a, b):
    return np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1]


@pytest.fixture
def dense():
    """5 latents; the last is dead."""
    acts = (torch.randn(*SHAPE, 5, generator=stream()) - 0.5).relu()
    acts[..., 4] = 0
    return acts


@pytest.fixture
def other(dense):
    return (dense[..., [2, 0, 1]] + 0.3 * torch.rand(*SHAPE, 3, generator=stream(1)) - 0.2).relu()


@pytest.fixture
def tokens():
    return torch.randint(0, 7, SHAPE, generator=stream(2))


def test_neurons_are_a_dictionary_of_their_own(tiny):
    site, text = "blocks.0.mlp.hook_post", tiny.tokens("heldout")[:4]
    acts = tiny.activations(text, site)
    neurons = population.Neurons(acts.shape[-1])
    fired = features.fired(tiny, neurons, site, text)
    torch.testing.assert_close(fired.counts, (acts > 0).sum(dim=(0, 1)))
    assert torch.equal(neurons.decode(neurons.encode(acts), acts), acts)
    assert torch.equal(features.directions(neurons, torch.tensor([3, 1]), acts[0, 0]), torch.eye(acts.shape[-1])[[3, 1]])


def test_parts_begin_at_zero(dense):
    found, expected = population.part(made(dense), slice(2, 5)), made(dense[2:5])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_neurons_are_made_as_rare_as_is_asked(dense):
    fired, wanted = made(dense), torch.tensor([3, 10, 10_000, 1, 2])
    threshold = population.thresholds(fired, wanted)
    rare = population.above(fired, threshold)
    assert rare.counts.tolist() == [3, 10, fired.counts[2].item(), 1, 0]
    assert threshold[2] == threshold[4] == 0
    expected = (dense[..., 1] - threshold[1]).relu()
    torch.testing.assert_close(features.matrix(rare, SHAPE).toarray()[1], expected.flatten().double().numpy())


def test_correlations_of_two_dictionaries_are_pearsons(dense, other):
    found = population.alike(made(dense), made(other), SHAPE)
    for i in range(4):
        for j in range(3):
            assert found[i, j] == pytest.approx(pearson(dense[..., i], other[..., j]), abs=1e-5)
    assert (found[4] == 0).all()
    assert found[:3].argmax(dim=1).tolist() == [1, 2, 0]
    same = population.paired(features.only(made(dense), torch.tensor([2, 0])), features.only(made(other), torch.tensor([0, 1])), SHAPE)
    torch.testing.assert_close(same, found[[2, 0], [0, 1]])
    dead = population.paired(features.only(made(dense), torch.tensor([4])), features.only(made(other), torch.tensor([0])), SHAPE)
    assert dead.tolist() == [0]


def test_within_a_token_only_what_differs_between_its_places_counts(dense, other, tokens):
    pairs = torch.tensor([1, 2, 0])
    first = features.only(made(dense), torch.arange(3))
    found = population.within_token(first, features.only(made(other), pairs), tokens)

    def left(x):
        return x - torch.stack([x[tokens == v].mean() for v in range(7)])[tokens]

    for i, j in enumerate(pairs.tolist()):
        assert found[i] == pytest.approx(pearson(left(dense[..., i]), left(other[..., j])), abs=1e-5)
    of_token = made(torch.stack([(tokens == 3).float(), (tokens == 3) * 2.0], dim=-1))
    assert population.within_token(of_token, of_token, tokens).tolist() == [0, 0]


def test_attributions_weigh_the_token_that_follows(dense, tokens):
    weights = torch.randn(5, 7, generator=stream(3))
    found = features.matrix(population.attributions(made(dense), weights, tokens), SHAPE).toarray()
    for latent, context, position in ((0, 1, 5), (3, 5, 38), (2, 0, 39)):
        follows = tokens[context, position + 1] if position < 39 else None
        expected = 0 if follows is None else dense[context, position, latent] * weights[latent, follows]
        assert found[latent, context * SHAPE[1] + position] == pytest.approx(float(expected), abs=1e-6)


def test_rows_are_compared_on_some_columns():
    a, b, where = torch.randn(2, 9, generator=stream()), torch.randn(2, 9, generator=stream(1)), torch.arange(9) != 4
    assert population.rows_alike(a, b, where)[1] == pytest.approx(pearson(a[1, where], b[1, where]), abs=1e-6)


def test_a_latent_of_one_token_has_the_same_in_all_its_largest_contexts(tokens):
    acts = torch.zeros(*SHAPE, 3)
    acts[..., 0] = (tokens == 2) * torch.rand(SHAPE, generator=stream())
    acts[..., 1] = torch.rand(SHAPE, generator=stream(1))
    acts[0, 0, 2] = 1
    found = population.single_token(made(acts), tokens, top=5)
    places = acts[..., 1].amax(dim=1).argsort(descending=True)[:5]
    strongest = tokens[places, acts[places, :, 1].argmax(dim=1)]
    assert found[0] == 1
    assert found[1] == strongest.unique(return_counts=True)[1].max() / 5
    assert found[2].isnan()


# --- automatic interpretation ---


@pytest.fixture
def known(tokens):
    """Three labels: token 2, the first half of a context, a coin."""
    half = (torch.arange(40) < 20).expand(SHAPE)
    values = torch.stack([tokens == 2, half, torch.rand(SHAPE, generator=stream(4)) < 0.5], dim=-1)
    return ContextLabels(values, torch.ones(SHAPE, dtype=torch.bool))


def planted(where):
    return made((where * (1 + torch.rand(SHAPE, generator=stream(5))))[..., None])


def test_windows_hold_levels_of_their_own_tokens(dense, tokens):
    found = autointerp.windows(made(dense), 1, tokens, stream(), drawn=5, same=10, total=60)
    assert found.levels.shape == (60, 9)
    most = dense[..., 1].max()
    torch.testing.assert_close(found.levels, (9 * dense[found.context, found.position, 1] / most).ceil())
    assert found.levels.max() == 9
    assert (found.position.diff(dim=1) == 1).all()
    assert found.position.min() >= 0
    assert found.position.max() < 40
    with pytest.raises(ValueError, match="active on none"):
        autointerp.windows(made(dense), 4, tokens, stream(), drawn=5)


def test_the_best_labels_are_those_of_a_search_through_all_pairs(known):
    levels, rows = torch.randint(0, 10, (240,), generator=stream()).numpy(), known.values.flatten(0, 1)
    levels = levels + 3.0 * (rows[:, 0] & rows[:, 1]).numpy()
    pairs = {(a, b): spearmanr(levels, (rows[:, a] & rows[:, b]).numpy())[0] for a in range(3) for b in range(a, 3)}
    found = autointerp.best_labels(levels, rows)
    assert tuple(sorted(found)) == max(pairs, key=pairs.get)
    assert autointerp.spearman(levels, (rows[:, 0] & rows[:, 1]).numpy()) == pytest.approx(pairs[0, 1])
    assert autointerp.spearman(levels, np.ones(240)) == 0
    with_a_constant = torch.cat([rows, torch.ones(240, 1, dtype=torch.bool)], dim=1)
    assert tuple(sorted(autointerp.best_labels(levels, with_a_constant))) == max(pairs, key=pairs.get)


def test_planted_latents_are_explained_by_what_they_are(tokens, known):
    for where, kind in ((known.values[..., 0] & known.values[..., 1], (0, 1)), (tokens == 3, None)):
        fired = planted(where)
        rule = autointerp.explain(autointerp.windows(fired, 0, tokens, stream(), 5, 10), tokens, known)
        assert (tuple(sorted(rule.labels)) if rule.labels else None) == kind
        asked = autointerp.windows(fired, 0, tokens, stream(1), 26, total=60)
        assert autointerp.score(rule, asked, tokens, known) > 0.9
        wrong = autointerp.Rule((2, 2), {})
        assert abs(autointerp.score(wrong, asked, tokens, known)) < 0.3


def test_shares_of_labels_by_token(tokens, known):
    shares, counts = autointerp.label_shares(tokens, known, 9)
    assert counts.tolist() == torch.bincount(tokens.flatten(), minlength=9).tolist()
    assert shares[:7, 0].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert shares[3, 1] == pytest.approx(known.values[..., 1][tokens == 3].float().mean().item())


def test_logits_are_told_apart_by_a_label_of_the_tokens_and_random_ones_are_not():
    used, shares = torch.arange(0, 400, 2), torch.rand(400, 4, generator=stream())
    shares[:, 1] = (torch.arange(400) < 140).float()  # 70 of those in use
    clear, random = shares[:, 1] + 0.1 * torch.rand(400, generator=stream(1)), torch.rand(400, generator=stream(2))
    test = autointerp.logit_test(clear, used, stream())
    assert (test.asked % 2 == 0).all()
    assert len(test.asked.unique()) == 100
    assert len(test.shown) == 20
    assert not torch.isin(test.shown, test.asked).any()
    rule = autointerp.logit_rule(test, shares)
    assert rule[0] == 1
    assert autointerp.logit_score(rule, test, shares) > 0.9
    chance = [autointerp.logit_test(random, used, stream(seed)) for seed in range(20)]
    assert abs(np.mean([autointerp.logit_score(autointerp.logit_rule(each, shares), each, shares) for each in chance]) - 0.5) < 0.05
    with pytest.raises(ValueError, match="119 tokens are in use"):
        autointerp.logit_test(clear, used[:119], stream())
