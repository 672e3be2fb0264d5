"""Every architecture through the same questions: are the parts where the table says, and do they make up the model's own numbers?"""

import copy

import pytest
import torch

from companion.lm import families, sources, subject
from companion.lm.subject import Subject

NAMES = ["gpt2", "gpt_neox", "gpt_neox, one after the other", "llama", "gemma", "gemma2", "gemma3_text", "gemma3"]
LENGTH = 12
"""Of the contexts: longer than the sliding window of the models that have one."""
PRECISE = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


@pytest.fixture(scope="module")
def tokenizer(tiny_home):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_home)


@pytest.fixture(scope="module", params=NAMES)
def opened(request, tokenizer, make):
    return Subject(make(request.param), request.param, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(1, 512, (5, LENGTH), generator=torch.Generator().manual_seed(1))


def in_dtype(sub: Subject, dtype: torch.dtype) -> Subject:
    return Subject(copy.deepcopy(sub.model).to(dtype), sub.name)


def last(sub: Subject) -> int:
    return len(sub.blocks) - 1


def test_every_row_is_tested():
    assert {name.split(",")[0] for name in NAMES} == set(families.FAMILIES)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISE)
def test_logits_from_the_stream_of_each_layer_are_the_model_s(opened, tokens, dtype, tolerance):
    sub = in_dtype(opened, dtype)
    own = sub.model(tokens).logits
    assert own.dtype == dtype == sub.dtype
    assert own.std() > 0.3  # weights and soft caps leave something to compare
    for layer in range(len(sub.blocks)):
        resid = sub.residual(tokens, layer)
        assert resid.dtype == dtype
        assert torch.allclose(sub.logits_from(resid, layer), own, rtol=0, atol=tolerance)
        assert torch.allclose(sub.logits_from(resid, layer, slice(3, 7)), own[:, 3:7], rtol=0, atol=tolerance)


def test_masks_are_those_of_the_length_at_hand(opened, tokens):
    """One subject, three lengths: inside the window, beyond it, and back."""
    for part in (tokens[:, :4], tokens, tokens[:, :4], tokens[:2, :9]):
        own = opened.model(part).logits
        assert torch.allclose(opened.logits_from(opened.residual(part, 0), 0), own, rtol=0, atol=1e-5)


def test_without_its_masks_and_positions_the_same_blocks_give_something_else(tokens, make):
    """The control of the tests above."""
    sub = Subject(make("gemma2"), "gemma2")
    sub._arguments = sub._arguments[0], []
    resid, own = sub.residual(tokens, 0), sub.model(tokens).logits
    assert torch.allclose(sub.logits_from(resid, 0), own, atol=1e-5)
    held_for, given = sub._arguments
    sub._arguments = held_for, [given[1]] * 3  # the mask of the layer that sees everything
    assert (sub.logits_from(resid, 0) - own).abs().max() > 0.01


def test_losses(opened, tokens):
    own = torch.nn.functional.cross_entropy(opened.model(tokens).logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(5, -1)
    assert torch.allclose(opened.losses(tokens), own, atol=1e-5)
    for layer in range(len(opened.blocks)):
        resid = opened.residual(tokens, layer)
        assert torch.allclose(opened.losses_from(resid, tokens, layer), own, atol=1e-5)
        assert not torch.allclose(opened.losses_from(resid.flip(-1), tokens, layer), own, atol=0.1)


def test_pool_holds_every_position_once(opened, tokens):
    pool = opened.pool(tokens, "blocks.1.hook_resid_post", torch.Generator().manual_seed(0))
    flat = opened.residual(tokens, 1).flatten(0, 1)
    assert not torch.equal(pool, flat)
    assert torch.allclose(pool.sort(dim=0).values, flat.sort(dim=0).values)


def test_chunks_make_no_difference(opened, tokens, monkeypatch):
    whole = opened.losses(tokens)
    monkeypatch.setattr(subject, "CHUNK", 2 * LENGTH)
    assert torch.allclose(opened.losses(tokens), whole, atol=1e-5)


# --- the sites ---


def sites_of(sub: Subject) -> dict:
    return families.sites(sub.family, sub.config)


def test_sites_are_what_a_hook_on_the_full_pass_sees(opened, tokens):
    seen = {}

    def note(name, side):
        def hook(_, inputs, output):
            value = inputs[0] if side == "in" else output
            seen[name] = value[0] if isinstance(value, tuple) else value

        return hook

    for layer in range(len(opened.blocks)):
        for name, (path, side) in sites_of(opened).items():
            handle = opened.blocks[layer].get_submodule(path).register_forward_hook(note(name, side))
            opened.model(tokens)
            handle.remove()
            assert torch.equal(opened.activations(tokens, f"blocks.{layer}.{name}"), seen[name]), name


def test_the_stream_is_the_sum_of_what_is_written_to_it(opened, tokens):
    """Where the table's modules lie is told by the model itself: its hidden states, and the additions in a block."""
    hidden = opened.model(tokens, output_hidden_states=True).hidden_states
    for layer in range(len(opened.blocks)):
        at = {name: opened.activations(tokens, f"blocks.{layer}.{name}") for name in sites_of(opened)}
        assert torch.equal(at["hook_resid_pre"], hidden[layer])
        assert torch.allclose(at["hook_resid_pre"] + at["hook_attn_out"] + at["hook_mlp_out"], at["hook_resid_post"], atol=1e-4)
        if "hook_resid_mid" in at:
            assert torch.allclose(at["hook_resid_pre"] + at["hook_attn_out"], at["hook_resid_mid"], atol=1e-4)
            assert (at["hook_resid_mid"] - at["hook_resid_post"]).abs().max() > 0.01
        if layer < last(opened):
            assert torch.equal(at["hook_resid_post"], hidden[layer + 1])


def test_what_the_mlp_s_last_matrix_is_given(opened, tokens):
    site, out = (opened.activations(tokens, f"blocks.1.{name}") for name in ("mlp.hook_post", "hook_mlp_out"))
    block = opened.blocks[1]
    projection = next(getattr(block.mlp, name) for name in ("c_proj", "dense_4h_to_h", "down_proj") if hasattr(block.mlp, name))
    after = getattr(block, "post_feedforward_layernorm", torch.nn.Identity())
    assert torch.allclose(after(projection(site)), out, atol=1e-5)


def test_a_site_that_an_architecture_lacks_is_one_clear_error(tokens, make):
    """Attention and MLP of a Pythia read one stream, side by side; of the same architecture with the switch off they do not."""
    with pytest.raises(sources.SubjectError, match=r"mid' is no site of pythia \(gpt_neox\); sites are blocks.<0-2>.hook_resid_pre, ") as told:
        Subject(make("gpt_neox"), "pythia").activations(tokens, "blocks.1.hook_resid_mid")
    assert "hook_resid_mid" not in str(told.value).split("sites are")[1]
    assert Subject(make("gpt_neox, one after the other"), "x").activations(tokens, "blocks.1.hook_resid_mid").shape == (5, 12, 32)


# --- the end of the model ---


def test_logits_are_the_unembedding_of_the_normalised_stream(opened, tokens):
    """The gain is what the norm of a vector that needs no other scaling is multiplied with."""
    resid = opened.residual(tokens, last(opened))
    norm = opened.trunk.get_submodule(opened.family.norm)
    if "gpt" in opened.name:
        resid = resid - resid.mean(dim=-1, keepdim=True)
    unit = resid / resid.square().mean(dim=-1, keepdim=True).sqrt()
    scaled = unit * opened.final_gain() + getattr(norm, "bias", 0)
    assert torch.allclose(norm(resid), scaled, atol=1e-4)
    logits = scaled @ opened.unembedding().T
    cap = 2.0 if opened.name == "gemma2" else None
    assert torch.allclose(opened.unembed(resid), logits if cap is None else cap * torch.tanh(logits / cap), atol=1e-3)


# --- another implementation ---


def test_the_bridge_agrees_and_leaves_the_subject_as_it_was(opened, tokens):
    if opened.name == "gemma3":  # it would run pip
        with pytest.raises(sources.SubjectError, match="gemma3 also reads pictures"):
            opened.bridge()
        return
    before = opened.losses(tokens)
    bridge = opened.bridge()
    _, cache = bridge.run_with_cache(tokens)
    for layer in range(len(opened.blocks)):
        for name in sites_of(opened):
            site = f"blocks.{layer}.{name}"
            assert torch.allclose(opened.activations(tokens, site), cache[site], atol=1e-4), site
    assert torch.allclose(bridge(tokens, return_type="logits"), opened.model(tokens).logits, atol=1e-4)
    assert torch.equal(opened.losses(tokens), before)
    shared = {parameter.data_ptr() for parameter in bridge.parameters()}
    assert opened.unembedding().data_ptr() in shared


def test_another_implementation_of_attention_gives_the_same(opened, tokens):
    """Attention written out takes its causal mask from the model, PyTorch's makes its own, and refuses the soft caps of Gemma 2."""
    model, possible = copy.deepcopy(opened.model), ["eager"] if opened.name == "gemma2" else ["eager", "sdpa"]
    sub = Subject(model, opened.name)
    for implementation in possible:
        model.set_attn_implementation(implementation)
        assert torch.allclose(sub.losses_from(sub.residual(tokens, 0), tokens, 0), opened.losses(tokens), atol=1e-4)


# --- opened from a folder, and from memory ---


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_folder_is_opened_in_the_dtype_it_is_stored_in(name, dtype, tokens, tmp_path, make):
    model = make(name).to(dtype)
    model.save_pretrained(tmp_path / "mine")
    sub = subject.open_subject(tmp_path / "mine")
    assert (sub.name, sub.dtype, sub.d_model, len(sub.blocks)) == ("mine", dtype, 32, 3)
    assert sub.residual(tokens, 1).dtype == dtype
    assert sub.losses(tokens).dtype == torch.float32
    assert torch.equal(sub.unembedding(), model.get_output_embeddings().weight)
    wide = subject.open_subject(tmp_path / "mine", dtype=torch.float64)
    assert wide.dtype == wide.losses(tokens).dtype == torch.float64
    with pytest.raises(sources.SubjectError, match=r"mine was opened without texts: pass contexts of your own, .*\(N, T\)"):
        sub.tokens("heldout")


def test_a_model_in_memory_is_not_touched(opened, tokens, make):
    model = make("llama")
    parameters = {name: value.clone() for name, value in model.state_dict().items()}
    sub = Subject(model.requires_grad_(True), "my model")
    assert not sub.losses(tokens).requires_grad
    assert sub.model is model
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(parameters[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for use, told in ((lambda: sub.tokens("train"), "without texts"), (lambda: sub.tokenizer, r"without a tokenizer: Subject\(model")):
        with pytest.raises(sources.SubjectError, match=f"my model was opened {told}"):
            use()


def test_models_that_are_none_of_these(make):
    import transformers as hf

    with pytest.raises(sources.SubjectError, match=r"x is of the architecture 'opt'; known are gpt2, gpt_neox, llama, gemma, .*FAMILIES\['opt'\] ="):
        Subject(hf.OPTForCausalLM(hf.OPTConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, ffn_dim=8, num_attention_heads=1)), "x")
    with pytest.raises(sources.SubjectError, match="x has no unembedding: open it as a causal language model"):
        Subject(make("gpt2").transformer, "x")
    with pytest.raises(sources.SubjectError, match=r"x is in training mode.* call model.eval"):
        Subject(make("gpt2").train(), "x")


def test_a_row_added_opens_another_architecture(monkeypatch, tokens, tmp_path, make):
    """As the error says: Mistral's modules are named and arranged like Llama's."""
    make("mistral").save_pretrained(tmp_path)
    with pytest.raises(sources.SubjectError, match="architecture 'mistral'"):
        subject.open_subject(tmp_path)
    monkeypatch.setitem(families.FAMILIES, "mistral", families.FAMILIES["llama"])
    sub = subject.open_subject(tmp_path)
    assert torch.allclose(sub.logits_from(sub.residual(tokens, 0), 0), sub.model(tokens).logits, atol=1e-5)


def test_weights_that_lack_a_tensor_are_not_filled_with_noise(tmp_path, make):
    from safetensors.torch import load_file, save_file

    make("llama").save_pretrained(tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    held.pop("model.layers.1.mlp.up_proj.weight")
    save_file(held, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(sources.SubjectError, match=r"lack 1 tensors of the model, model.layers.1.mlp.up_proj.weight for one"):
        subject.open_subject(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(sources.SubjectError, match="holds no model that can be opened"):
        subject.open_subject(tmp_path)


def test_gpt2_is_computed_as_before_there_were_families(tmp_path):
    """To the last bit, on the subject that ships: the blocks on the bare stream, then norm and unembedding."""
    sources.prepare(tmp_path, sources.shipped("python-stdlib-4l"))
    sub = subject.open_subject(tmp_path)
    tokens, model = sub.tokens("heldout")[:70], sub.model
    hidden = model.transformer(tokens[: subject.CHUNK // 128], use_cache=False, output_hidden_states=True).hidden_states
    for layer in range(3):
        h = resid = sub.residual(tokens, layer)
        assert torch.equal(resid[:64], hidden[layer + 1])
        for block in sub.blocks[layer + 1 :]:
            h = block(h)
        assert torch.equal(sub.logits_from(resid, layer), model.lm_head(model.transformer.ln_f(h)))
