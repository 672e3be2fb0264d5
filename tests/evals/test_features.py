"""Measures of latents against plain definitions, on codes made by hand and on the tiny subject."""

import pytest
import torch

from companion.evals import features
from companion.lm import labels
from companion.lm.labels import ContextLabels
from companion.sae.models import TopK
from companion.sae.weights import Raw
from tests.evals.conftest import made, stream

SITE = "blocks.0.hook_resid_post"


@pytest.fixture
def dense():
    """Activations of 6 latents on 4 contexts of 50 tokens; the last is dead."""
    acts = torch.randn(4, 50, 6, generator=stream()).relu()
    acts[..., 5] = 0
    return acts


@pytest.fixture
def known(dense):
    """Two labels: where the first latent is above 1, and a coin; 10 tokens have none."""
    values = torch.stack([dense[..., 0] > 1, torch.rand(4, 50, generator=stream(1)) < 0.3], dim=-1)
    where = torch.ones(4, 50, dtype=torch.bool)
    where[1, :10] = False
    return ContextLabels(values & where[..., None], where)


@pytest.fixture(scope="module")
def sae():
    return TopK.random(32, 64, 4, stream()).requires_grad_(False)


@pytest.fixture(scope="module")
def tokens(tiny):
    return tiny.tokens("heldout")[:20]


def test_firings_are_those_of_the_code(tiny, sae, tokens, monkeypatch):
    monkeypatch.setattr(features, "TOKENS", 100)  # several chunks
    code = sae.encode(tiny.residual(tokens, 0))
    full = torch.zeros(*tokens.shape, 64).scatter_(-1, code.indices, code.values)
    found, expected = features.fired(tiny, sae, SITE, tokens), made(full)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found[:2] + found[3:], expected[:2] + expected[3:], strict=True))
    torch.testing.assert_close(found.value, expected.value)
    torch.testing.assert_close(features.largest(found), full.amax(dim=(0, 1)))
    assert len(features.fired(tiny, Raw(sae), SITE, tokens).counts) == 64


def test_other_widths_and_no_contexts_are_refused(tiny, sae, tokens):
    with pytest.raises(ValueError, match="entries"):
        features.fired(tiny, sae, "blocks.0.mlp.hook_post", tokens)
    with pytest.raises(ValueError, match="contexts"):
        features.fired(tiny, sae, SITE, tokens[:0])


def test_some_latents_are_numbered_anew(dense):
    found, expected = features.only(made(dense), torch.tensor([3, 5, 0])), made(dense[..., [3, 5, 0]])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_examples_are_ordered_and_each_lies_in_its_interval(dense):
    fired = made(dense)
    found = features.examples(fired, 2, stream(), top=3, intervals=11, each=2)
    most = dense[..., 2].max()
    at_top = found.interval == -1
    assert found.value[0] == most
    assert found.value[at_top].tolist() == sorted(dense[..., 2].amax(dim=1).tolist(), reverse=True)[:3]
    torch.testing.assert_close(dense[found.context, found.position, 2], found.value)
    inside = found.value[~at_top] / most * 11
    assert ((found.interval[~at_top] < inside) & (inside <= found.interval[~at_top] + 1 + 1e-5)).all()
    assert (found.interval[~at_top].diff() <= 0).all()
    assert found.interval[~at_top].bincount().max() == 2


@pytest.mark.parametrize(("latent", "message"), [(5, "active on none"), (6, "numbered 0 to 5"), (-1, "numbered")])
def test_dead_and_missing_latents_say_so(dense, latent, message):
    with pytest.raises(ValueError, match=message):
        features.examples(made(dense), latent, stream())


def test_specificity_is_the_share_of_labels_in_each_bin(dense, known):
    found = features.specificity(made(dense), 0, known, bins=5)
    f, where = dense[..., 0], known.known
    for b in range(5):
        inside = (f > found.edges[b]) & (f <= found.edges[b + 1] * (1 + 1e-6)) & (f > 0)
        assert found.active[b] == inside.sum()
        assert found.known[b] == (inside & where).sum()
        torch.testing.assert_close(found.share[b], known.values[inside & where].float().mean(dim=0), equal_nan=True)
    assert found.share[-1, 0] == 1


def test_precision_and_recall_of_every_threshold(dense, known):
    found = features.precision_recall(made(dense), 0, known, 0)
    f, true, where = dense[..., 0], known.values[..., 0], known.known
    for threshold, precision, recall in list(zip(*found, strict=True))[::7]:
        said = (f >= threshold) & where
        assert precision == pytest.approx((said & true).sum().item() / said.sum().item())
        assert recall == pytest.approx((said & true).sum().item() / true.sum().item())
    assert found.recall[found.threshold > 1].max() == 1  # the label is that threshold
    assert found.precision[found.threshold > 1].min() == 1
    tied = made(dense.clamp_max(0.5))
    assert len(features.precision_recall(tied, 0, known, 0).threshold.unique()) == len(features.precision_recall(tied, 0, known, 0).threshold)


def test_a_label_that_never_holds_is_refused(dense, known):
    with pytest.raises(ValueError, match="no token of this text"):
        features.precision_recall(made(dense), 0, known._replace(values=torch.zeros_like(known.values)), 0)


def test_correlation_is_pearsons_where_it_counts(dense, known, monkeypatch):
    monkeypatch.setattr(features, "TOKENS", 150)  # three contexts, then one
    found = features.correlation(made(dense), known.values, (4, 50), known.known)
    for latent in range(5):
        for column in range(2):
            pair = torch.stack([dense[..., latent][known.known], known.values[..., column][known.known].float()])
            assert found[latent, column] == pytest.approx(torch.corrcoef(pair)[0, 1].item(), abs=1e-5)
    assert found[5].isnan().all()
    assert features.correlation(made(dense), torch.ones(4, 50, 1), (4, 50)).isnan().all()
    torch.testing.assert_close(features.correlation(made(dense), dense.__getitem__, (4, 50))[:5, :5].diagonal(), torch.ones(5))


def test_f1_is_that_of_being_active(dense, known):
    found = features.f1(made(dense), known)
    for latent in range(5):
        said, true = (dense[..., latent] > 0) & known.known, known.values[..., 1] & known.known
        assert found[latent, 1] == pytest.approx(2 * (said & true).sum().item() / (said.sum() + true.sum()).item())
    assert (found[5] == 0).all()


def test_token_identity_is_one_for_a_token_and_nothing_for_a_coin():
    tokens = torch.randint(3, (20, 500), generator=stream())
    coin = torch.rand(20, 500, generator=stream(1)) < 0.5
    known = ContextLabels(torch.stack([tokens == 1, coin, (tokens == 1) & coin], dim=-1), torch.ones(20, 500, dtype=torch.bool))
    identity = features.token_identity(tokens, known)
    means = torch.tensor([known.values[..., 2][tokens == token].float().mean() for token in range(3)])[tokens]
    expected = torch.corrcoef(torch.stack([means.flatten(), known.values[..., 2].flatten().float()]))[0, 1]
    assert identity[0] == pytest.approx(1)
    assert identity[1] < 0.05
    assert identity[2] == pytest.approx(expected.item(), abs=1e-5)


def test_masked_cosine_is_the_larger_of_two_restrictions(dense):
    other = torch.randn(4, 50, 3, generator=stream(2)).relu()
    other[..., 0] = dense[..., 1] * (dense[..., 1] > 1)  # a part of latent 1
    found = features.masked_cosine(made(dense), made(other), (4, 50))
    for i in range(6):
        for j in range(3):
            a, b = dense[..., i].flatten(), other[..., j].flatten()
            both = [torch.cosine_similarity(a[where], b[where], dim=0) for where in (a > 0, b > 0) if where.any()]
            assert found[i, j] == pytest.approx(max(both).item(), abs=1e-5)
    assert found[1, 0] == pytest.approx(1)
    assert (found[5] == 0).all()


def test_logit_weights_are_what_a_small_push_does(tiny, sae):
    """The derivative of the logits along a direction, at a stream that is orthogonal to it, so that the norm's scale stays."""
    d = features.directions(sae, torch.arange(3), torch.randn(32, generator=stream(3)))
    torch.testing.assert_close(d / d.norm(dim=1, keepdim=True), sae.W_dec[:3], atol=1e-5, rtol=1e-4)
    for direction, weights in zip(d, features.logit_weights(tiny, "blocks.1.hook_resid_post", d), strict=True):
        fixed = torch.linalg.qr(torch.stack([torch.ones(32), direction], dim=1)).Q
        at = torch.randn(32, generator=stream(4))
        at = 100 * (at - fixed @ (fixed.T @ at))
        pushed = torch.autograd.functional.jvp(tiny.unembed, at, direction)[1] * at.std(correction=0)
        torch.testing.assert_close(weights, pushed - pushed.median(), atol=1e-4, rtol=1e-3)
        assert weights.median() == 0


def test_logit_weights_of_neurons_go_through_their_matrix(tiny):
    eye, last = torch.eye(4 * 32), len(tiny.blocks) - 1
    W_down = tiny.blocks[last].mlp.c_proj.weight  # (neurons, D)
    neurons = features.logit_weights(tiny, f"blocks.{last}.mlp.hook_post", eye)
    torch.testing.assert_close(neurons, features.logit_weights(tiny, f"blocks.{last}.hook_mlp_out", W_down), atol=1e-5, rtol=1e-4)


def test_ablation_does_nothing_before_the_latent_is_active(tiny, sae, tokens):
    fired = features.fired(tiny, sae, SITE, tokens)
    latent = int((fired.counts - 40).abs().argmin())
    effect = features.ablation_effect(tiny, sae, SITE, tokens, latent)
    mine = features.own(fired, latent)
    firsts = torch.full((len(tokens),), tokens.shape[1]).scatter_reduce_(0, mine.context, mine.position, "amin")
    before = torch.arange(tokens.shape[1] - 1) < firsts[:, None]
    assert effect.shape == (len(tokens), tokens.shape[1] - 1)
    assert (effect[before] == 0).all()
    assert (effect[mine.context, mine.position.clamp_max(tokens.shape[1] - 2)] != 0).any()


def test_labels_of_the_subjects_own_text_go_in(tiny, sae):
    tokens = tiny.tokens("heldout")
    known = labels.of_contexts(tokens, tiny.tokenizer.backend_tokenizer)
    found = features.correlation(features.fired(tiny, sae, SITE, tokens), known.values, tokens.shape, known.known)
    assert found.shape == (64, len(labels.LABELS))
    assert found.nan_to_num().abs().max() <= 1
    identity = features.token_identity(tokens, known)
    assert identity[labels.COLUMN["comma"]] > identity[labels.COLUMN["docstring"]]
