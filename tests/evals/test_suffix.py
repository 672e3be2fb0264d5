"""Only the positions that change, against the blocks above run on all of them; a model of every architecture with a window and without."""

import pytest
import torch

from companion.evals import suffix
from companion.lm.subject import Subject
from tests.lm.conftest import of_architecture

NAMES = ["gpt2", "gpt_neox", "gpt_neox, one after the other", "llama", "gemma", "gemma2", "gemma3_text", "gemma3"]
LENGTH = 12


@pytest.fixture(scope="module", params=NAMES)
def sub(request):
    return Subject(of_architecture(request.param), request.param)


def changed_from(sub, start, stop, dtype=torch.float32):
    generator = torch.Generator().manual_seed(start)
    tokens = torch.randint(1, 512, (1, LENGTH), generator=generator)
    resid = sub.residual(tokens, 0)[0]
    changed = resid.expand(3, -1, -1).clone()
    changed[1:, start:stop] += torch.randn(2, stop - start, sub.d_model, generator=generator).to(resid)
    return resid, changed


@pytest.mark.parametrize(("start", "stop"), [(0, 12), (1, 9), (7, 12), (11, 12)])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_same_as_all_positions(sub, start, stop, layer):
    resid, changed = changed_from(sub, start, stop)
    full = sub.logits_from(changed, layer, slice(start, stop))
    found = suffix.logits(sub, resid, changed[:, start:stop], layer, start)
    assert (full[1:] - full[:1]).abs().max() > 0.1
    torch.testing.assert_close(found, full, rtol=0, atol=1e-5)


def test_attention_with_masks_of_its_own(sub):
    resid, changed = changed_from(sub, 7, 12)
    usual = sub.config._attn_implementation
    sub.model.set_attn_implementation("eager")
    try:
        full, found = sub.logits_from(changed, 0, slice(7, 12)), suffix.logits(sub, resid, changed[:, 7:], 0, 7)
    finally:
        sub.model.set_attn_implementation(usual)
    torch.testing.assert_close(found, full, rtol=0, atol=1e-5)


def test_where_nothing_can_be_cut_all_positions_are_run(sub, monkeypatch):
    resid, changed = changed_from(sub, 7, 12)
    cut = suffix.logits(sub, resid, changed[:, 7:], 0, 7)
    monkeypatch.setattr(suffix, "MASKED", ())
    torch.testing.assert_close(suffix.logits(sub, resid, changed[:, 7:], 0, 7), cut, rtol=0, atol=1e-5)


def test_without_the_positions_before_the_answer_is_another(sub):
    """The control: a batch that starts at position 7 as if nothing stood before it."""
    resid, changed = changed_from(sub, 7, 12)
    full = sub.logits_from(changed, 0, slice(7, 12))
    assert (sub.logits_from(changed[:, 7:], 0) - full).abs().max() > 0.01
    suffix.logits(sub, resid, changed[:, 7:], 0, 7)
    assert not any(block._forward_pre_hooks for block in sub.blocks)
