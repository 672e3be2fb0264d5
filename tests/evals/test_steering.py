"""Holding a latent at a value: what must not change, what must, and text that is made with it."""

import pytest
import torch

from companion.evals import features, steering
from companion.lm import labels
from companion.lm.sources import SubjectError
from companion.sae.models import TopK

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


def spliced(subject, sae, **edits):
    """The losses with the error kept and `set` or `add` applied to the one latent, each as often as there are values."""

    def losses(tokens, latent):
        with subject.spliced({SITE: sae}, error_term=True) as run:
            for name, values in edits.items():
                for value in values:
                    getattr(run, name)(SITE, latent, value)
            return run.losses(tokens)

    return losses


def test_the_model_runs_on_x_plus_v_less_f_times_d(tiny, sae, tokens, active):
    acts = tiny.residual(tokens, 0)
    code = sae.encode(acts)
    f = (code.values * (code.indices == active)).sum(dim=-1)
    edited = acts + ((5.0 - f) * acts.std(dim=-1))[..., None] * sae.W_dec[active]
    torch.testing.assert_close(spliced(tiny, sae, set=[5.0])(tokens, active), tiny.losses_from(edited, tokens, 0), atol=1e-4, rtol=1e-4)


def test_its_own_value_changes_nothing(tiny, sae, tokens):
    one = tokens[:1, :1]  # a context of one token: the latent's activation is one number
    code = sae.encode(tiny.residual(one, 0))
    with tiny.spliced({SITE: sae}, error_term=True) as run:
        run.set(SITE, int(code.indices[0, 0, 0]), float(code.values[0, 0, 0]))
        torch.testing.assert_close(run.logits(one), tiny.logits(one), atol=1e-5, rtol=1e-4)


def test_clamping_is_idempotent_and_addition_stacks(tiny, sae, tokens, active):
    once, twice = (spliced(tiny, sae, set=values)(tokens, active) for values in ([3.0], [3.0, 3.0]))
    torch.testing.assert_close(once, twice)
    torch.testing.assert_close(
        spliced(tiny, sae, add=[3.0, 3.0])(tokens, active), spliced(tiny, sae, add=[6.0])(tokens, active), atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(spliced(tiny, sae, add=[3.0])(tokens, active), once)


def test_without_the_error_the_reconstruction_is_what_is_read(tiny, sae, tokens):
    with tiny.spliced({SITE: sae}) as run:
        dropped = run.losses(tokens)
    torch.testing.assert_close(spliced(tiny, sae)(tokens, 0), tiny.losses(tokens))
    assert (dropped - tiny.losses(tokens)).abs().max() > 0.01


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("edit", ["set", "add"])
def test_a_strength_that_is_not_finite_is_refused(tiny, sae, tokens, strength, edit):
    with pytest.raises(SubjectError, match="cannot be set"):
        spliced(tiny, sae, **{edit: [strength]})(tokens, 0)


def test_kept_keys_and_values_give_what_reading_everything_anew_gives(tiny, sae, tokens, active):
    prompt = tokens[0, :5]
    with tiny.spliced({SITE: sae}, error_term=True) as run:
        run.set(SITE, active, 4.0)
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
