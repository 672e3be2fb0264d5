"""Probes are the minimum they say they are, for codes and for dense features, and what chance chooses is worth nothing where it is judged."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from companion.evals import logistic, probes
from companion.lm import labels
from companion.sae.models import Code

LN2 = math.log(2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def code_of(dense):
    """The code of dense features (C, T, F) with zeros, one entry per feature that is anywhere on a token."""
    k = max(1, int((dense != 0).sum(-1).max()))
    indices = dense.abs().topk(k, dim=-1).indices
    return Code(indices, dense.gather(-1, indices))


def tasks_of(y, within=None):
    within = torch.ones_like(y) if within is None else within
    return probes.Tasks(tuple(f"task {i}" for i in range(y.shape[-1])), y, within)


def drawn(seed=0, contexts=12, width=20, features=6, tasks=3, density=0.3):
    """Sparse features, labels of which each leans on one of them, and the tokens of each task; the last feature is on everywhere."""
    g = generator(seed)
    z = torch.randn(contexts, width, features, generator=g, dtype=torch.float64).exp()
    on = torch.rand(z.shape, generator=g) < density
    on[..., -1] = True
    z = z * on
    lean = 1.5 * z[..., :tasks] - 1.5 * (torch.arange(tasks) % 2) * z[..., 1 : tasks + 1] - 1
    y = torch.rand(lean.shape, generator=g) < lean.sigmoid()
    return z, tasks_of(y, torch.rand(y.shape, generator=g) < 0.8)


def weights_of(tasks, y):
    inside, label = tasks.within[..., y].flatten().numpy(), tasks.labels[..., y].flatten().double().numpy()
    positive, negative = (label == 1) & inside, (label == 0) & inside
    return label, positive / (2 * positive.sum()) + negative / (2 * negative.sum())


def loss_at(z, label, weight, w, b):
    q = w * z + b
    return (weight * (np.logaddexp(0, q) - label * q)).sum()


def gradient_at(z, label, weight, w, b):
    residual = weight * (1 / (1 + np.exp(-w * z - b)) - label)
    return np.array([(residual * z).sum(), residual.sum()])


# --- the minimum ---


@pytest.mark.parametrize("seed", range(3))
def test_every_pair_is_the_minimum_that_scipy_finds(seed):
    z, tasks = drawn(seed)
    found = probes.fit(code_of(z), tasks)
    assert not found.separated.any()
    for i, y in np.ndindex(*found.loss.shape):
        values = z[..., i].flatten().numpy()
        label, weight = weights_of(tasks, y)
        problem = (lambda wb, *of: loss_at(*of, *wb)), (lambda wb, *of: gradient_at(*of, *wb))
        best = minimize(problem[0], np.zeros(2), (values, label, weight), jac=problem[1], method="BFGS", options={"gtol": 1e-9})
        w, b = found.w[i, y].item(), found.b[i, y].item()
        assert found.loss[i, y].item() == pytest.approx(best.fun, abs=1e-8)
        assert loss_at(values, label, weight, w, b) == pytest.approx(found.loss[i, y].item(), abs=1e-12)
        assert np.abs(gradient_at(values, label, weight, w, b)).max() < 1e-6


def test_no_point_of_a_grid_is_lower():
    z, tasks = drawn(7)
    found = probes.fit(code_of(z), tasks).loss
    for i, y in np.ndindex(*found.shape):
        values, (label, weight) = z[..., i].flatten().numpy(), weights_of(tasks, y)
        grid = [loss_at(values, label, weight, w, b) for w in np.linspace(-3, 3, 25) for b in np.linspace(-4, 4, 25)]
        assert found[i, y] <= min(grid) + 1e-12
        assert found[i, y] <= LN2 + 1e-12


def entropy(p):
    return -sum(x * math.log(x) for x in (p, 1 - p) if x > 0)


@pytest.mark.parametrize("table", [((30, 10), (5, 15)), ((400, 1), (1, 3)), ((20, 0), (5, 15)), ((7, 0), (0, 9)), ((12, 0), (6, 0))])
def test_loss_of_a_binary_feature_is_the_conditional_entropy_of_its_table(table):
    """Rows are negatives and positives, columns the feature off and on. Empty cells separate: the loss is the limit, with the same formula."""
    z = torch.tensor([z for row in table for value, count in enumerate(row) for z in [2.0 * value] * count])
    y = torch.tensor([label for label, row in enumerate(table) for _ in range(sum(row))]).bool()
    found = probes.fit(code_of(z[None, :, None]), tasks_of(y[None, :, None]))
    (off0, on0), (off1, on1) = ([count / sum(row) / 2 for count in row] for row in table)
    off, on = off0 + off1, on0 + on1
    expected = sum(mass * entropy(part / mass) for mass, part in ((off, off1), (on, on1)) if mass)
    assert found.loss.item() == pytest.approx(expected, abs=1e-10)
    assert found.separated.item() == any(0 in row for row in table)


def test_a_code_and_its_dense_form_have_the_same_probes():
    z, tasks = drawn(3, density=0.05)
    sparse, dense = probes.fit(code_of(z), tasks), probes.fit(z, tasks)
    assert torch.equal(sparse.separated, dense.separated)
    for ours, theirs in zip(sparse[:3], dense[:3], strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert torch.allclose(sparse.loss, dense.loss, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1e5])
def test_units_of_a_feature_do_not_matter(scale):
    z, tasks = drawn(4, density=0.1)
    found, scaled = probes.fit(code_of(z), tasks), probes.fit(code_of(z * scale), tasks)
    assert torch.allclose(found.loss, scaled.loss, rtol=0, atol=1e-12)
    assert torch.allclose(found.w, scaled.w * scale, rtol=1e-6, atol=1e-7)


def test_an_offset_of_a_dense_feature_does_not_matter():
    z, tasks = drawn(5)
    found, moved = probes.fit(z, tasks), probes.fit(z - 1e4, tasks)
    assert torch.allclose(found.loss, moved.loss, rtol=0, atol=1e-9)
    assert torch.allclose(found.w, moved.w, atol=1e-5)


@pytest.mark.parametrize("offset", [0, 1e6])
def test_outliers_of_any_size_are_fitted(offset):
    """A few tokens with activations far beyond all others, such as a first position's, and a label that the bulk tells."""
    g = generator(12)
    z = (4 * torch.randn(20, 50, 8, generator=g, dtype=torch.float64)).exp() + offset
    y = (z > z.flatten(0, 1).quantile(0.9, dim=0)) ^ (torch.rand(z.shape, generator=g) < 0.01)
    tasks = tasks_of(y)
    found = probes.fit(z, tasks)
    assert not found.separated.any()
    assert (found.loss < LN2).all()
    for i in range(8):
        values, (label, weight) = (z[..., i] - offset).flatten().numpy(), weights_of(tasks, i)
        w, b = found.w[i, i].item(), (found.b + found.w * offset)[i, i].item()
        assert loss_at(values, label, weight, w, b) == pytest.approx(found.loss[i, i].item(), abs=1e-7)
        nearby = [loss_at(values, label, weight, w * f, b + d) for f in (0.9, 1.1) for d in (-0.1, 0, 0.1)]
        assert found.loss[i, i] < min(nearby)


def test_blocks_do_not_matter_and_bound_the_memory(monkeypatch):
    z, tasks = drawn(6, features=40)
    whole, sizes = probes.fit(code_of(z), tasks), []
    least = logistic.least

    def watched(z, negative, positive):
        sizes.append(negative.numel())
        return least(z, negative, positive)

    monkeypatch.setattr(logistic, "least", watched)
    monkeypatch.setattr(probes, "BLOCK", 300)
    for features in (code_of(z), z):
        sizes.clear()
        parts = probes.fit(features, tasks)
        assert torch.allclose(whole.loss, parts.loss, rtol=0, atol=1e-12)
        assert len(sizes) > 10
        assert max(sizes) <= 300


# --- separation, and features that tell nothing ---


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_separates_the_classes_has_the_loss_zero_and_a_finite_probe(sign):
    z = sign * torch.tensor([0.0, 0, 0, 1, 2, 3, 4])[None, :, None]
    y = torch.tensor([0, 0, 0, 0, 1, 1, 1]).bool()[None, :, None]
    found = probes.fit(code_of(z), tasks_of(y))
    assert found.separated.item()
    assert found.loss.item() == 0
    q = (found.w * z + found.b)[..., 0]
    assert torch.equal(q > 0, y[..., 0])
    assert 3 < q.abs().max() < 40


def test_a_limit_is_approached_from_above_and_counts_the_threshold_alone():
    """On wherever it is on for negatives alone: what stays is the entropy of the zeros."""
    z = torch.tensor([0.0, 0, 0, 0, 0, 1, 2], dtype=torch.float64)[None, :, None]
    y = torch.tensor([1, 1, 0, 0, 0, 0, 0]).bool()[None, :, None]
    found = probes.fit(code_of(z), tasks_of(y))
    mass = 0.5 + 0.5 * 3 / 5
    assert found.loss.item() == pytest.approx(mass * entropy(0.5 / mass))
    label, weight = weights_of(tasks_of(y), 0)
    steep = [loss_at(z.flatten().numpy(), label, weight, -w, math.log(0.5 / 0.3)) for w in (1, 10, 50)]
    assert steep == sorted(steep, reverse=True)
    assert steep[-1] == pytest.approx(found.loss.item(), abs=1e-12)


def test_nearly_separated_classes_are_fitted_without_the_ridge():
    z = torch.linspace(0, 1, 400)
    y = z > 0.5
    y[200], y[199] = False, True
    found = probes.fit(z[None, :, None], tasks_of(y[None, :, None]))
    assert not found.separated.item()
    assert 0 < found.loss.item() < 0.02
    assert found.w.item() > 100


def test_dead_and_constant_features_tell_nothing():
    z, tasks = drawn(1)
    z[..., 1], z[..., -1] = 0, 3.7
    for found in (probes.fit(code_of(z), tasks, n=9), probes.fit(z, tasks)):
        for feature in (1, 5, *range(6, len(found.loss))):
            assert found.loss[feature].numpy() == pytest.approx(LN2)
            assert found.w[feature].abs().max() < 1e-8
    assert len(probes.fit(code_of(z), tasks, n=9).loss) == 9


def test_tokens_outside_of_a_task_do_not_matter():
    z, tasks = drawn(2)
    found = probes.fit(z, tasks)
    other = torch.where(tasks.within[..., :1], z, torch.randn(z.shape, generator=generator(9), dtype=z.dtype))
    assert torch.allclose(found.loss[:, 0], probes.fit(other, tasks).loss[:, 0], rtol=0, atol=1e-10)


def test_tasks_on_the_same_tokens_are_fitted_together_and_each_as_if_alone():
    z, tasks = drawn(3)
    tasks = tasks._replace(within=torch.stack([tasks.within[..., 0], tasks.within[..., 1], tasks.within[..., 0]], dim=-1))
    for features in (z, code_of(z)):
        found = probes.fit(features, tasks, n=z.shape[-1])
        for y in range(3):
            alone = probes.fit(features, tasks.only([y]), n=z.shape[-1])
            for together, own in zip(found, alone, strict=True):
                assert torch.allclose(together[:, y].double(), own[:, 0].double(), rtol=1e-6, atol=1e-9)


def test_the_first_step_is_newton_s_and_knows_the_best_of_dense_features():
    z, tasks = drawn(4, contexts=40, features=20)
    x = torch.randn(40, 20, 12, generator=generator(5), dtype=z.dtype) + 0.4 * tasks.labels.repeat(1, 1, 4)
    directions = torch.randn(30, 12, generator=generator(6), dtype=z.dtype)
    promised, dense = probes.first_step(x, tasks, directions), x @ directions.T
    for feature, y in ((0, 0), (7, 1), (29, 2)):
        label, weight = weights_of(tasks, y)
        values = dense[..., feature].flatten().numpy()
        gradient, half = gradient_at(values, label, weight, 0, 0), weight * values / 4
        hessian = np.array([[(half * values).sum(), half.sum()], [half.sum(), weight.sum() / 4]])
        assert promised[feature, y].item() == pytest.approx(gradient @ np.linalg.solve(hessian, gradient) / 2)
    best = probes.fit(dense, tasks).loss.argmin(0)
    assert all(best[y] in promised[:, y].topk(5).indices for y in range(3))


# --- choosing and judging ---


@pytest.fixture(scope="module")
def chance():
    """Many latents, and labels that have nothing to do with them but for the first, which its latent tells."""
    g = generator(11)
    code = Code(torch.rand(160, 64, 400, generator=g).topk(8, dim=-1).indices, torch.randn(160, 64, 8, generator=g).exp())
    y = torch.rand(160, 64, 3, generator=g) < 0.03
    y[..., 0] |= ((code.values * (code.indices == 7)).sum(-1) > 0.2) & (torch.rand(160, 64, generator=g) < 0.9)
    return code, tasks_of(y)


def test_a_planted_latent_is_found_and_its_loss_holds_on_other_contexts(chance):
    found = probes.score(*chance, generator())
    assert found.best[0] == 7
    assert found.loss.low[0] < found.loss.value[0] < found.loss.high[0] < 0.6
    assert found.loss.value[0] == pytest.approx(found.fitted[0], abs=0.1)
    assert found.gain.low < found.gain.value < found.gain.high
    assert found.gain.value == pytest.approx(LN2 - found.loss.value.mean())


def test_the_gain_of_permuted_labels_is_selection_and_vanishes_on_the_other_half(chance):
    code, tasks = chance
    found = probes.score(code, tasks.permuted(generator(1)), generator())
    assert (LN2 - found.fitted > 0.003).all()  # the best of 400, where they were chosen
    assert (found.loss.value > 0.98 * LN2).all()
    assert found.gain.low < 0 < (LN2 - found.fitted).mean() - found.gain.high


def test_permuted_labels_keep_their_rates_and_their_tokens():
    _, tasks = drawn(8)
    other = tasks.permuted(generator())
    assert torch.equal(other.classes().sum((1, 2)), tasks.classes().sum((1, 2)))
    assert torch.equal(other.labels | tasks.within, tasks.labels | tasks.within)
    assert not torch.equal(other.labels, tasks.labels)


def test_the_loss_that_judges_is_that_of_the_probe_on_the_second_half(chance):
    code, tasks = chance
    found = probes.score(code, tasks, generator())
    first, second = tasks.of(slice(0, 80)), tasks.of(slice(80, 160))
    probe = probes.fit(Code(*(part[:80] for part in code)), first)
    for y, latent in enumerate(found.best.tolist()):
        values = (code.values * (code.indices == latent)).sum(-1)[80:].double().flatten().numpy()
        label, weight = weights_of(second, y)
        expected = loss_at(values, label, weight, probe.w[latent, y].item(), probe.b[latent, y].item())
        assert found.loss.value[y] == pytest.approx(expected)
        assert found.fitted[y] == pytest.approx(probe.loss[:, y].min().item())


def test_channels_have_a_score_too(chance):
    code, tasks = chance
    dense = torch.zeros(160, 64, 400).scatter(-1, code.indices, code.values)[..., :20]
    assert probes.score(dense, tasks, generator()).best[0] == 7


# --- what is refused ---


def test_a_label_with_one_class_is_named(chance):
    code, tasks = chance
    labels_ = tasks.labels.clone()
    labels_[..., 1] = False
    for function in (probes.fit, lambda *of: probes.score(*of, generator())):
        with pytest.raises(ValueError, match="task 'task 1' has one class only, 10240 negatives and 0 positives"):
            function(code, tasks._replace(labels=labels_))


def test_a_class_in_too_few_contexts_is_named_and_can_be_left_out(chance):
    code, tasks = chance
    labels_ = tasks.labels.clone()
    labels_[60:, :, 2] = False
    labels_[95:100, 5, 2] = True
    rare = tasks._replace(labels=labels_)
    with pytest.raises(ValueError, match=r"\['task 2'\] need each class in 10 contexts of each half"):
        probes.score(code, rare, generator())
    assert probes.usable(rare) == [0, 1]
    assert probes.score(code, rare.only(probes.usable(rare)), generator()).names == ("task 0", "task 1")


def test_features_of_other_tokens_other_models_or_not_finite():
    z, tasks = drawn()
    with pytest.raises(ValueError, match="not of the tokens of labels"):
        probes.fit(z[:-1], tasks)
    with pytest.raises(ValueError, match="0 to 3: they do not belong together"):
        probes.fit(code_of(z), tasks, n=4)
    z[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="not all finite"):
        probes.fit(z, tasks)


# --- labels ---


def test_tasks_of_labels_by_name_and_of_one_token():
    values = torch.rand(2, 5, len(labels.LABELS), generator=generator()) < 0.5
    known = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    tokens = torch.tensor([[1, 2, 1, 2, 1], [2, 2, 1, 1, 2]])
    found = probes.of_labels(labels.ContextLabels(values, known), tokens, [("comma", None), ("keyword =", 2)])
    assert found.names == ("comma", "keyword = of token 2")
    assert torch.equal(found.labels[..., 1], values[..., labels.COLUMN["keyword ="]])
    assert torch.equal(found.within[..., 0], known)
    assert torch.equal(found.within[..., 1], known & (tokens == 2))
