"""Every kind against a dense formula in its paper's symbols: values, gradients of all parameters, what fired, AuxK; and the interface they share."""

import pytest
import torch

from companion.sae import kernels, models, paths, recipe

D, N, K, B = 9, 40, 3, 31
KINDS, BY_BATCH = list(recipe.KINDS), ["batch_topk", "matryoshka"]
EXTRAS = {"batch_topk": {"threshold"}, "matryoshka": {"threshold"}, "jumprelu": {"threshold"}, "gated": {"r_mag", "b_gate"}}


# --- formulas: squared error, penalty, latents ---------------------------------------------------------------------


def _pre(sae, x):
    return (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc


def _error(sae, x, z):
    return (z @ sae.W_dec + sae.b_pre - x).square().sum()


def _top(pre, k):
    """z = relu(topk(pre)): zero but at the k largest of each row."""
    kept = torch.zeros_like(pre).scatter(1, pre.topk(min(k, N), dim=1).indices, 1.0)
    return torch.relu(pre) * kept


def _top_of_batch(sae, x):
    pre = _pre(sae, x)
    return torch.relu(pre) * (pre >= pre.flatten().topk(len(x) * sae.k).values[-1])


def _topk(sae, x):
    z = _top(_pre(sae, x), sae.k)
    return _error(sae, x, z), torch.zeros(()).double(), z


def _multi_topk(sae, x):
    """Gao et al. 2024, 5.3: L(k) + L(4k) / 8."""
    z = _top(_pre(sae, x), sae.k)
    return _error(sae, x, z) + _error(sae, x, _top(_pre(sae, x), 4 * sae.k)) / 8, torch.zeros(()).double(), z


def _batch_topk(sae, x):
    z = _top_of_batch(sae, x)
    return _error(sae, x, z), torch.zeros(()).double(), z


def _matryoshka(sae, x):
    """Bussmann et al. 2025: one code of BatchTopK, and the error of every prefix of it."""
    z = _top_of_batch(sae, x)
    return sum(_error(sae, x, z * (torch.arange(N) < size)) for size in (1, 4, 9, 19, 40)) / 5, torch.zeros(()).double(), z


def _relu(sae, x):
    """Bricken et al. 2023: f = ReLU(W_e (x - b_d) + b_e), |x - x_hat|² and |f|_1."""
    f = torch.relu(_pre(sae, x))
    return _error(sae, x, f), f.sum(), f


def _relu_norm(sae, x):
    """April 2024: f = ReLU(W_e x + b_e), |x - x_hat|² and sum_i f_i |W_d,i|."""
    f = torch.relu(x @ sae.W_enc.T + sae.b_enc)
    return _error(sae, x, f), (f * sae.W_dec.square().sum(dim=1).sqrt()).sum(), f


def _gated(sae, x):
    """Rajamanoharan et al. 2024a: W_mag = exp(r_mag) W_gate; the auxiliary reconstruction has a frozen decoder."""
    W_mag = torch.exp(sae.r_mag)[:, None] * sae.W_enc
    pi = (x - sae.b_pre) @ sae.W_enc.T + sae.b_gate
    f = (pi > 0).double() * torch.relu((x - sae.b_pre) @ W_mag.T + sae.b_enc)
    frozen = torch.relu(pi) @ sae.W_dec.detach() + sae.b_pre.detach()
    return _error(sae, x, f) + (frozen - x).square().sum(), torch.relu(pi).sum(), f


def _jumprelu(sae, x):
    """Rajamanoharan et al. 2024b: z = p H(p - theta), and the number of active latents; gradients with the active set held."""
    p = _pre(sae, x)
    active = (p > sae.threshold.clamp_min(0)).double()
    return _error(sae, x, p * active), active.sum() + 0 * p.sum(), p * active


FORMULAS = dict(zip(KINDS, (_topk, _multi_topk, _batch_topk, _matryoshka, _relu, _relu_norm, _gated, _jumprelu), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", [paths.EXACT, paths.REFERENCE], ids=["fast", "reference"])
@pytest.mark.parametrize("k", [K, N // 2])  # 4k exceed the latents
def test_terms_and_the_gradients_of_all_parameters_are_those_of_the_formula(kind, path, k, x, made):
    """But those of a threshold, which are flat almost everywhere: test_dense.py."""
    sae = made(kind, k)
    sae.path = path
    terms, (error, penalty, z) = sae.terms(x), FORMULAS[kind](sae, x)
    torch.testing.assert_close(terms.x_hat, z @ sae.W_dec + sae.b_pre)
    assert torch.equal(torch.bincount(terms.fired, minlength=N), (z > models.FIRED).sum(dim=0))
    names, parameters = zip(*((name, p) for name, p in sae.named_parameters() if name != "threshold"), strict=True)
    for found, wanted in ((terms.error, error), (terms.penalty, penalty)):
        torch.testing.assert_close(found, wanted)
        if wanted.requires_grad:
            pairs = [torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True) for value in (found, wanted)]
            for name, a, b in zip(names, *pairs, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_holds_the_latents_reconstructs_as_they_do_and_carries_gradients(kind, x, made):
    """Multi-TopK differs from TopK in what it is trained on, not in what it answers; BatchTopK answers by its threshold."""
    sae = made(kind)
    sae.finalise(x)
    z = _pre(sae, x) * (_pre(sae, x) > sae.threshold) if kind in BY_BATCH else FORMULAS[kind](sae, x)[2]
    code = sae.encode_normalised(x)
    assert code.indices.shape == code.values.shape
    assert all(len(set(row.tolist())) == len(row) for row in code.indices)
    torch.testing.assert_close(kernels.dense(*code, N), z)
    for x_hat in (sae(x), sae.decode_normalised(code)):
        torch.testing.assert_close(x_hat, z @ sae.W_dec + sae.b_pre)
    assert torch.autograd.grad(code.values.sum(), sae.W_enc)[0].any()


def _decisive(sae, x):
    """The pre-activations that must be positive for a latent to fire."""
    return (x - sae.b_pre * sae.centred) @ sae.W_enc.T + getattr(sae, "b_gate", sae.b_enc)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 5, 50])  # fewer than are dead, all of them, more than there are
def test_aux_loss_and_all_its_gradients_are_those_of_dense_autograd(kind, k, x, made):
    """The paper's symbols: e_hat is what the top k dead latents make of x, without b_pre, of e = x - x_hat."""
    sae, dead = made(kind), torch.tensor([1, 4, 5, 17, 29])
    pre = torch.full((B, N), -torch.inf, dtype=torch.float64).index_copy(1, dead, _decisive(sae, x)[:, dead])
    top = pre.topk(min(k, 5), dim=1)
    e_hat = torch.zeros_like(pre).scatter(1, top.indices, torch.relu(top.values)) @ sae.W_dec
    e = (x - sae.terms(x).x_hat).detach()
    wanted = (e_hat - e).square().sum() / (e - e.mean(dim=0)).square().sum()
    found = recipe.aux_loss(sae, x, sae.terms(x).x_hat, dead, k)
    torch.testing.assert_close(found, wanted)
    both = [torch.autograd.grad(loss, list(sae.parameters()), materialize_grads=True, allow_unused=True) for loss in (found, wanted)]
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


# --- tensors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_every_kind_are_the_interface_and_round_trip(kind, x, made):
    sae = made(kind)
    sae.finalise(x)
    tensors = sae.tensors()
    assert tensors.keys() == set(models.NAMES) | EXTRAS.get(kind, set())
    assert not any(t.requires_grad for t in tensors.values())
    again = type(sae).from_tensors(tensors | {"of another kind": torch.zeros(1)}, sae.k)
    assert torch.equal(again(x), sae(x))
    again.W_dec.data.zero_()
    assert sae.W_dec.any()  # a copy


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in EXTRAS.items() for name in sorted(names)])
def test_a_tensor_of_the_kind_that_is_missing_or_misshapen_is_named(kind, name, made):
    sae = made(kind)
    for broken in ({k: t for k, t in sae.tensors().items() if k != name}, sae.tensors() | {name: torch.zeros(3)}):
        with pytest.raises(ValueError, match=f"a {kind} autoencoder needs {name} of shape"):
            type(sae).from_tensors(broken, sae.k)


@pytest.mark.parametrize("name", models.NAMES)
def test_a_tensor_of_all_kinds_that_is_missing_is_named(name, made):
    sae = made("topk")
    with pytest.raises(ValueError, match=name):
        models.TopK.from_tensors({k: t for k, t in sae.tensors().items() if k != name}, sae.k)


# --- TopK and its relatives ----------------------------------------------------------------------------------------


def test_a_value_below_a_thousandth_is_kept_and_has_not_fired():
    sae = models.TopK(torch.tensor([[5e-4], [-1.0]]), torch.ones(2, 1), torch.zeros(2), torch.zeros(1), 2)
    terms = sae.terms(torch.ones(1, 1))
    assert len(terms.fired) == 0
    torch.testing.assert_close(terms.x_hat, torch.tensor([[5e-4]]))


def _kept(sae, x):
    return torch.isfinite(sae._select(x, K)[1])


def test_batch_top_k_keeps_exactly_k_per_token_in_the_mean(x, made):
    kept = _kept(made("batch_topk"), x)
    assert kept.sum() == B * K
    assert len(set(kept.sum(dim=1).tolist())) > 1  # a mean, not a quota


def test_a_token_that_wins_with_all_its_candidates_is_asked_for_more(generator, made):
    """One token a thousand times as long as the others takes the whole budget: more than the 4k it is first asked for."""
    sae = made("batch_topk")
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
    torch.testing.assert_close(sae.terms(x).error, _batch_topk(sae, x)[0])


@pytest.mark.parametrize("kind", BY_BATCH)
def test_nothing_passes_before_there_is_a_threshold_and_training_sets_none(kind, x, made):
    sae = made(kind)
    sae.terms(x)
    assert torch.isinf(sae.threshold)
    assert (sae.encode_normalised(x).values == 0).all()


@pytest.mark.parametrize("kind", BY_BATCH)
def test_the_threshold_is_that_of_the_weights_as_they_are(kind, x, made):
    """The (B k)-th largest pre-activation: all but that one pass. Other weights, another threshold, whatever came before."""
    sae = made(kind)
    for scale in (1, 3):
        sae.W_enc.data *= scale
        sae.finalise(x)
        pre = _pre(sae, x)
        torch.testing.assert_close(sae.threshold, pre.flatten().topk(B * K).values[-1])
        torch.testing.assert_close(kernels.dense(*sae.encode_normalised(x), N), pre * (pre > sae.threshold))
        assert abs((sae.encode_normalised(x).values > 0).sum() - B * K) <= 1


def test_inference_by_threshold_keeps_k_in_the_mean_of_other_tokens_and_each_token_alone(generator, made):
    sae = made("batch_topk")
    sae.finalise(torch.randn(10_000, D, generator=generator, dtype=torch.float64))
    x = torch.randn(4000, D, generator=generator, dtype=torch.float64)
    l0 = (sae.encode_normalised(x).values > 0).sum(dim=1).double().mean().item()
    assert abs(l0 - K) < 0.1  # a standard error of .02 from 4000 tokens, and the threshold's own
    torch.testing.assert_close(sae(x[:1]), sae(x)[:1])  # no token depends on its neighbours


def test_a_threshold_is_never_negative(x, made):
    """With k latents kept of few that are positive, the smallest kept value is negative: nothing negative may pass for it."""
    sae = made("batch_topk", k=N - 1)
    sae.finalise(x)
    assert sae.threshold == 0
    assert (sae.encode_normalised(x).values >= 0).all()


def test_prefixes_are_those_of_the_paper():
    sae = recipe.KINDS["matryoshka"]
    assert sae.prefixes(sae, 65536) == [2048, 6144, 14336, 30720, 65536]
    assert sae.prefixes(sae, 3) == [1, 3]  # no empty prefix, none twice
