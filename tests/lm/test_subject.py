import pytest
import torch

from companion.lm import families, subject, training


@pytest.fixture(scope="module")
def bridge(tiny_home):
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_transformers(str(tiny_home), device="cpu")


@pytest.mark.parametrize("site", families.GPT2_SITES)
def test_every_site_is_the_one_transformer_lens_names(tiny, bridge, site):
    """The bridge opens the folder by itself: another loader, another way to the same activations."""
    tokens = tiny.tokens("heldout")[:4]
    _, cache = bridge.run_with_cache(tokens)
    assert torch.allclose(tiny.activations(tokens, f"blocks.1.{site}"), cache[f"blocks.1.{site}"], atol=1e-5)


def test_the_loss_of_the_bridge_is_ours(tiny, bridge):
    tokens = tiny.tokens("heldout")[:8]
    assert torch.allclose(tiny.losses(tokens), bridge(tokens, return_type="loss", loss_per_token=True), atol=1e-5)


def test_a_replaced_stream_gives_the_loss_that_a_hook_of_the_bridge_gives(tiny, bridge):
    tokens = tiny.tokens("heldout")[:4]
    halved = tiny.residual(tokens, 0) * 0.5
    hooks = [("blocks.0.hook_resid_post", lambda resid, hook: resid * 0.5)]
    hooked = bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type="loss", loss_per_token=True)
    assert torch.allclose(tiny.losses_from(halved, tokens, 0), hooked, atol=1e-5)


def test_the_stream_put_back_changes_nothing(tiny):
    tokens = tiny.tokens("heldout")[:300]  # more than one chunk
    for layer in (0, 1):
        assert torch.allclose(tiny.losses_from(tiny.residual(tokens, layer), tokens, layer), tiny.losses(tokens), atol=1e-5)


def test_the_forward_pass_stops_at_the_site(tiny):
    ran = []
    handle = tiny.blocks[1].register_forward_hook(lambda *_: ran.append(1))
    tiny.residual(tiny.tokens("heldout")[:2], 0)
    handle.remove()
    assert not ran


def test_the_name_is_the_model_s_and_not_the_cache_s(tiny, tiny_home):
    assert tiny.name == training.TINY.name == "python-stdlib-2l-d32"
    assert tiny_home.name != tiny.name


def test_hooks_are_gone_afterwards(tiny):
    tiny.activations(tiny.tokens("heldout")[:2], "blocks.0.mlp.hook_post")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in tiny.model.modules())


def test_pool_holds_every_position_once_in_another_order(tiny):
    tokens = tiny.tokens("heldout")[:6]
    pool = tiny.pool(tokens, "blocks.0.hook_resid_post", torch.Generator().manual_seed(0))
    flat = tiny.residual(tokens, 0).flatten(0, 1)
    assert not torch.equal(pool, flat)
    assert torch.allclose(pool.sort(dim=0).values, flat.sort(dim=0).values)


@pytest.mark.parametrize("site", ["blocks.9.hook_resid_post", "blocks.0.hook_nothing", "hook_embed"])
def test_an_unknown_site_names_the_known_ones(tiny, site):
    with pytest.raises(subject.SubjectError, match=r"is no site of .*hook_resid_post"):
        tiny.activations(tiny.tokens("heldout")[:1], site)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(subject.SubjectError, match="holds no subject model"):
        subject.open_subject(tmp_path)


def test_a_checkpoint_that_was_not_kept(tiny_home):
    with pytest.raises(subject.SubjectError, match=r"step 5 of .* was not kept; there are: 0, 1, 2"):
        subject.open_subject(tiny_home, step=5)
