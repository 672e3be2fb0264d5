"""Holding a latent at a value: what must not change, what must, and text that is made with it."""

import pytest
import torch

from companion.evals import features, steering
from companion.lm import labels
from companion.sae.models import TopK
from companion.sae.sparse import BatchTopK
from companion.sae.weights import Raw

SITE = "blocks.0.hook_resid_post"


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def sae():
    return TopK.random(32, 64, 4, stream()).requires_grad_(False)


@pytest.fixture(scope="module")
def tokens(tiny):
    return tiny.tokens("heldout")[:6]


@pytest.fixture(scope="module")
def active(tiny, sae, tokens):
    """The latent that is active most often."""
    return int(features.fired(tiny, sae, SITE, tokens).counts.argmax())


def orthonormal(d=16):
    """An autoencoder that keeps every latent, of orthonormal directions: encoding what was decoded gives the code again."""
    Q = torch.linalg.qr(torch.randn(d, d, generator=stream(5), dtype=torch.float64)).Q
    return Raw(TopK(Q, Q, torch.full((d,), 3.0, dtype=torch.float64), torch.zeros(d, dtype=torch.float64), d).requires_grad_(False))


def test_clamping_to_its_own_value_changes_nothing_and_another_moves_along_the_direction(tiny, sae, tokens, active):
    acts = tiny.residual(tokens, 0)
    f = steering.activation(sae.encode(acts), active)
    torch.testing.assert_close(acts + steering.written(sae, acts, active, f - f), acts, rtol=0, atol=0)
    moved = steering.clamping(sae, active, 7.0)(acts) - acts
    expected = ((7.0 - f) * acts.std(dim=-1))[..., None] * sae.W_dec[active]
    torch.testing.assert_close(moved, expected, atol=1e-4, rtol=1e-3)
    assert (steering.clamping(sae, active, 0.0)(acts)[f == 0] == acts[f == 0]).all()


def test_clamping_is_idempotent_and_addition_stacks():
    sae, acts = orthonormal(), torch.randn(5, 16, generator=stream(6), dtype=torch.float64) / 10
    clamp, add = steering.clamping(sae, 3, 2.0), steering.adding(sae, 3, 2.0)
    torch.testing.assert_close(clamp(clamp(acts)), clamp(acts))
    torch.testing.assert_close(add(add(acts)) - acts, 2 * (add(acts) - acts))
    torch.testing.assert_close(steering.activation(sae.encode(clamp(acts)), 3), torch.full((5,), 2.0, dtype=torch.float64))


@pytest.mark.parametrize("site", [SITE, "blocks.1.hook_resid_pre", "blocks.0.hook_mlp_out", "blocks.1.hook_attn_out"])
def test_the_model_runs_on_what_was_edited_and_is_itself_again(tiny, sae, tokens, site):
    clean = tiny.losses(tokens)
    with steering.edited(tiny, site, lambda acts: acts):
        assert torch.equal(tiny.losses(tokens), clean)
    with steering.edited(tiny, site, torch.zeros_like):
        assert not torch.equal(tiny.losses(tokens), clean)
        assert (tiny.activations(tokens, site) == 0).all()
    assert torch.equal(tiny.losses(tokens), clean)


def test_an_edit_of_the_stream_is_the_stream_replaced(tiny, sae, tokens, active):
    edit = steering.clamping(sae, active, 5.0)
    with steering.edited(tiny, SITE, edit):
        inside = tiny.losses(tokens)
    torch.testing.assert_close(inside, tiny.losses_from(edit(tiny.residual(tokens, 0)), tokens, 0))


def test_the_hook_goes_when_the_block_fails(tiny, tokens):
    clean = tiny.losses(tokens)
    with pytest.raises(RuntimeError, match="inside"), steering.edited(tiny, SITE, torch.zeros_like):
        raise RuntimeError("inside")
    assert torch.equal(tiny.losses(tokens), clean)
    with pytest.raises(ValueError, match="not edited"), steering.edited(tiny, "blocks.0.hook_resid_mid", torch.zeros_like):
        pass


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("edit", [steering.clamping, steering.adding])
def test_a_strength_that_is_not_finite_is_refused(sae, strength, edit):
    with pytest.raises(ValueError, match="finite"):
        edit(sae, 0, strength)


def test_kept_keys_and_values_give_what_reading_everything_anew_gives(tiny, sae, tokens, active):
    prompt = tokens[0, :5]
    with steering.edited(tiny, SITE, steering.clamping(sae, active, 4.0)):
        made = steering.generate(tiny, prompt, 12, 2, stream(), temperature=0)
        again = prompt[None]
        for _ in range(12):
            again = torch.cat([again, tiny.model(again).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(made, again.expand(2, -1))
    assert not torch.equal(made, steering.generate(tiny, prompt, 12, 2, stream(), temperature=0))


def test_sampling_is_a_matter_of_the_seed(tiny, tokens):
    drawn = [steering.generate(tiny, tokens[0, :3], 20, 4, stream(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].shape == (4, 23)


@pytest.mark.parametrize(("count", "new", "temperature"), [(0, 5, 1.0), (3, 30, 1.0), (3, 5, -1.0), (3, 5, float("nan"))])
def test_prompts_that_do_not_fit_and_temperatures_below_zero_are_refused(tiny, tokens, count, new, temperature):
    with pytest.raises(ValueError, match=r"prompt|temperature"):
        steering.generate(tiny, tokens[0, :count], new, 1, stream(), temperature)


def test_text_ends_with_the_first_end_of_text(tiny):
    ids = tiny.tokenizer("import os\n")["input_ids"]
    end = tiny.tokenizer.eos_token_id
    assert steering.text_of(tiny, [end, *ids, end, *ids]) == "import os\n"
    assert steering.text_of(tiny, torch.tensor(ids)) == "import os\n"


def test_the_mix_of_a_text_is_the_mean_of_its_labels():
    text = "import os\nx = 12345  # five\n"
    found = steering.mix([text, text])
    torch.testing.assert_close(found.labels, labels.of_source(text).float().mean(dim=0))
    assert found.kept == 1


@pytest.mark.parametrize("broken", ["def f(:\n", "    indented\n", "x = (((\n", "'''\n", "\x00\n", "(" * 5000 + "\n"])
def test_lines_that_are_not_python_are_left_out(broken):
    good = "x = 1\n" * 3
    found = steering.mix([good + broken])
    assert found.kept == pytest.approx(len(good) / len(good + broken))
    assert found.labels[labels.COLUMN["number"]] == pytest.approx(1 / 6)


def test_the_block_of_a_line_that_is_left_out_stays():
    text = "def (x):\n    y = 5\n    z = 'six'\nclass A:\n"
    found = steering.mix([text])
    assert found.kept == pytest.approx(len("    y = 5\n    z = 'six'\n") / len(text))
    assert found.labels[labels.COLUMN["string"]] > 0


@pytest.mark.parametrize("texts", [[], [""], ["(\n"]])
def test_nothing_to_label_has_no_mix(texts):
    found = steering.mix(texts)
    assert found.labels.isnan().all()
    assert found.kept == 0


def test_another_kind_is_steered_too(tiny, tokens):
    other = BatchTopK.random(32, 64, 4, stream()).requires_grad_(False)
    acts = tiny.residual(tokens, 0)
    assert not torch.equal(steering.clamping(other, 0, 3.0)(acts), acts)
