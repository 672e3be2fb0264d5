import pytest
import torch

from companion.evals import downstream

LAYER = 0


@pytest.fixture(scope="module")
def held(tiny):
    tokens = tiny.tokens("heldout")[:7]
    return tokens, tiny.residual(tokens, LAYER)


def test_the_stream_put_back_unchanged_changes_nothing(tiny, held):
    tokens, resid = held
    same = downstream.splice(tiny, tokens, resid, resid, LAYER)
    assert same.kl.shape == same.rise.shape == (7, tokens.shape[1] - 1)
    assert same.kl.abs().max() < 1e-6
    assert torch.equal(same.rise, torch.zeros_like(same.rise))


def test_both_agree_with_their_definitions_and_divergence_is_never_negative(tiny, held):
    tokens, resid = held
    found = downstream.splice(tiny, tokens, resid, resid / 2, LAYER)
    p, q = (tiny.logits_from(stream, LAYER).double().softmax(-1)[:, :-1] for stream in (resid, resid / 2))
    assert torch.allclose(found.kl.double(), (p * (p / q).log()).sum(-1), atol=1e-4)
    assert found.kl.min() > 0
    assert torch.allclose(found.rise, tiny.losses_from(resid / 2, tokens, LAYER) - tiny.losses(tokens), atol=1e-4)


def test_chunks_change_nothing(tiny, held, monkeypatch):
    tokens, resid = held
    whole = downstream.splice(tiny, tokens, resid, resid / 2, LAYER)
    monkeypatch.setattr(downstream, "CHUNK", 2 * tokens.shape[1])
    for one, other in zip(whole, downstream.splice(tiny, tokens, resid, resid / 2, LAYER), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_divergence_does_not_see_a_constant_and_knows_half_precision():
    logits = torch.randn(3, 11, generator=torch.Generator().manual_seed(0))
    assert downstream.divergence(logits, logits + 5).abs().max() < 1e-6
    assert downstream.divergence(logits.bfloat16(), logits.bfloat16() * 2).dtype == torch.float32


def test_a_massive_position_holds_nearly_all_of_the_squares():
    stream = torch.ones(2, 8, 4)
    assert downstream.position_share(stream).tolist() == pytest.approx([1 / 8] * 8)
    stream[:, 0] *= 30
    assert downstream.position_share(stream)[0] == pytest.approx(900 / 907)


def test_streams_that_do_not_belong_together_are_refused(tiny, held):
    tokens, resid = held
    with pytest.raises(ValueError, match="belong together"):
        downstream.splice(tiny, tokens, resid, resid[:, :3], LAYER)
