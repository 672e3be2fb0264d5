"""The relatives of TopK against dense formulas in the papers' symbols: values, gradients of every parameter, and what each adds."""

import pytest
import torch

from companion.sae import kernels, paths, sparse
from companion.sae.models import TopK

D, N, K, B = 9, 40, 3, 23


@pytest.fixture
def x(generator):
    return 2 * torch.randn(B, D, generator=generator, dtype=torch.float64)


def _made(kind, generator, k=K):
    """A model in double precision whose parameters are all different from their start."""
    sae = kind.random(D, N, k, generator).double()
    for parameter in sae.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return sae


def _pre(sae, x):
    return (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc


def _top(pre, k):
    """z = relu(topk(pre)): zero but at the k largest of each row."""
    kept = torch.zeros_like(pre).scatter(1, pre.topk(k, dim=1).indices, 1.0)
    return torch.relu(pre) * kept


def _error(sae, x, z):
    return (z @ sae.W_dec + sae.b_pre - x).square().sum()


def _top_k(sae, x):
    return _error(sae, x, _top(_pre(sae, x), K))


def _multi(sae, x):
    return _error(sae, x, _top(_pre(sae, x), K)) + _error(sae, x, _top(_pre(sae, x), 4 * K)) / 8


def _top_of_batch(sae, x):
    pre = _pre(sae, x)
    return torch.relu(pre) * (pre >= pre.flatten().topk(len(x) * K).values[-1])


def _batch(sae, x):
    return _error(sae, x, _top_of_batch(sae, x))


def _nested(sae, x):
    """Bussmann et al. 2025: one code of BatchTopK, and the error of every prefix of it."""
    z = _top_of_batch(sae, x)
    return sum(_error(sae, x, z * (torch.arange(N) < size)) for size in (1, 4, 9, 19, 40)) / 5


FORMULAS = [(TopK, _top_k), (sparse.MultiTopK, _multi), (sparse.BatchTopK, _batch), (sparse.MatryoshkaBatchTopK, _nested)]
BY_BATCH = (sparse.BatchTopK, sparse.MatryoshkaBatchTopK)


@pytest.mark.parametrize(("kind", "formula"), FORMULAS, ids=lambda case: getattr(case, "kind", ""))
@pytest.mark.parametrize("path", [paths.EXACT, paths.REFERENCE], ids=["fast", "reference"])
def test_error_and_the_gradients_of_all_parameters_are_those_of_the_formula(kind, formula, path, x, generator):
    sae = _made(kind, generator)
    sae.path = path
    terms, wanted = sae.terms(x), formula(sae, x)
    torch.testing.assert_close(terms.error, wanted)
    assert terms.penalty == 0
    parameters = list(sae.parameters())
    found, expected = (torch.autograd.grad(value, parameters) for value in (terms.error, wanted))
    for (name, _), a, b in zip(sae.named_parameters(), found, expected, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", [TopK, sparse.MultiTopK])
def test_code_and_reconstruction_outside_training_are_those_of_top_k(kind, x, generator):
    """Multi-TopK differs in what it is trained on, not in what it answers."""
    sae = _made(kind, generator)
    z = _top(_pre(sae, x), K)
    code = sae.encode(x)
    torch.testing.assert_close(kernels.dense(code.indices, code.values, N), z)
    for x_hat in (sae(x), sae.terms(x).x_hat, sae.decode(code)):
        torch.testing.assert_close(x_hat, z @ sae.W_dec + sae.b_pre)


@pytest.mark.parametrize("kind", [kind for kind, _ in FORMULAS])
def test_what_fired_are_the_latents_above_a_thousandth_in_the_code_of_k(kind, x, generator):
    sae = _made(kind, generator)
    z = _top_of_batch(sae, x) if kind in BY_BATCH else _top(_pre(sae, x), K)
    counts = torch.bincount(sae.terms(x).fired, minlength=N)
    assert torch.equal(counts, (z > 1e-3).sum(dim=0))


def test_a_value_below_a_thousandth_is_kept_and_has_not_fired():
    sae = TopK(torch.tensor([[5e-4], [-1.0]]), torch.ones(2, 1), torch.zeros(2), torch.zeros(1), 2)
    terms = sae.terms(torch.ones(1, 1))
    assert len(terms.fired) == 0
    torch.testing.assert_close(terms.x_hat, torch.tensor([[5e-4]]))


# --- Multi-TopK --------------------------------------------------------------------------------------------------


def test_multi_top_k_is_capped_where_four_k_exceed_the_latents(x, generator):
    sae = _made(sparse.MultiTopK, generator, k=N // 2)
    wanted = _error(sae, x, _top(_pre(sae, x), N // 2)) + _error(sae, x, torch.relu(_pre(sae, x))) / 8
    torch.testing.assert_close(sae.terms(x).error, wanted)


# --- BatchTopK ---------------------------------------------------------------------------------------------------


def _kept(sae, x):
    return torch.isfinite(sae._select(x, K)[1])


def test_batch_top_k_keeps_exactly_k_per_token_in_the_mean(x, generator):
    kept = _kept(_made(sparse.BatchTopK, generator), x)
    assert kept.sum() == B * K
    assert len(set(kept.sum(dim=1).tolist())) > 1  # a mean, not a quota


def test_a_token_that_wins_with_all_its_candidates_is_asked_for_more(generator):
    """One token a thousand times as long as the others takes the whole budget: more than the 4k it is first asked for."""
    sae = _made(sparse.BatchTopK, generator)
    x = 1e-3 * torch.randn(8, D, generator=generator, dtype=torch.float64)
    x[5] *= 1e6
    widths = []
    select = kernels.select
    sae.path = paths.EXACT._replace(select=lambda *a: widths.append(a[3]) or select(*a))
    positive = int((_pre(sae, x[5:6]) > 1).sum())
    kept = _kept(sae, x)
    assert 4 * K < positive <= 8 * K  # the case is what it says
    assert widths == [4 * K, 8 * K]
    assert kept[5].sum() == positive
    assert kept.sum() == 8 * K
    torch.testing.assert_close(sae.terms(x).error, _batch(sae, x))


@pytest.mark.parametrize("kind", BY_BATCH)
def test_nothing_passes_before_there_is_a_threshold_and_training_sets_none(kind, x, generator):
    sae = _made(kind, generator)
    sae.terms(x)
    assert torch.isinf(sae.threshold)
    assert (sae.encode(x).values == 0).all()


@pytest.mark.parametrize("kind", BY_BATCH)
def test_the_threshold_is_that_of_the_weights_as_they_are(kind, x, generator):
    """The (B k)-th largest pre-activation: all but that one pass. Other weights, another threshold, whatever came before."""
    sae = _made(kind, generator)
    for scale in (1, 3):
        sae.W_enc.data *= scale
        sae.finalise(x)
        pre = _pre(sae, x)
        torch.testing.assert_close(sae.threshold, pre.flatten().topk(B * K).values[-1])
        torch.testing.assert_close(kernels.dense(*sae.encode(x), N), pre * (pre > sae.threshold))
        assert abs((sae.encode(x).values > 0).sum() - B * K) <= 1


def test_inference_by_threshold_keeps_k_in_the_mean_of_other_tokens_and_each_token_alone(generator):
    sae = _made(sparse.BatchTopK, generator)
    sae.finalise(torch.randn(10_000, D, generator=generator, dtype=torch.float64))
    x = torch.randn(4000, D, generator=generator, dtype=torch.float64)
    l0 = (sae.encode(x).values > 0).sum(dim=1).double().mean().item()
    assert abs(l0 - K) < 0.1  # a standard error of .02 from 4000 tokens, and the threshold's own
    torch.testing.assert_close(sae(x[:1]), sae(x)[:1])  # no token depends on its neighbours


def test_a_threshold_is_never_negative(x, generator):
    """With k latents kept of few that are positive, the smallest kept value is negative: nothing negative may pass for it."""
    sae = _made(sparse.BatchTopK, generator, k=N - 1)
    sae.finalise(x)
    assert sae.threshold == 0
    assert (sae.encode(x).values >= 0).all()


# --- Matryoshka --------------------------------------------------------------------------------------------------


def test_prefixes_are_those_of_the_paper():
    sae = sparse.MatryoshkaBatchTopK
    assert sae.prefixes(sae, 65536) == [2048, 6144, 14336, 30720, 65536]
    assert sae.prefixes(sae, 3) == [1, 3]  # no empty prefix, none twice
