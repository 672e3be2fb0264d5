"""Measures of self-explanation on closed forms, and the injection against the model's own passes."""

import math

import pytest
import torch

from companion.evals import selfexplain

SCALES = torch.linspace(0, 4, 41)
PLANTED = 15


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def prompt(tiny):
    return tiny.tokens("heldout")[0, :8]


def sweep(tiny, prompt, d, scales=SCALES, layer=0, places=(2, 5)):
    return selfexplain.sweep(tiny, prompt, torch.tensor(places), d, scales, layer)


# --- the injection ---


def test_the_stream_at_the_places_is_replaced_and_nothing_else(tiny, prompt):
    d, scale = draw(tiny.d_model), 3.0
    stream = tiny.residual(prompt[None], 0)
    stream[0, [2, 5]] = scale * d
    found = sweep(tiny, prompt, d, torch.tensor([0.0, scale]))
    torch.testing.assert_close(found.logits[1], tiny.logits_from(stream, 0)[0, -1], atol=1e-5, rtol=1e-5)
    assert found.stream.shape == (2, len(tiny.blocks) - 1, tiny.d_model)
    torch.testing.assert_close(tiny.unembed(found.stream[:, -1]), found.logits)


def test_what_is_added_leaves_the_stream_that_is_there(tiny, prompt):
    d, scale = draw(tiny.d_model), 3.0
    stream = tiny.residual(prompt[None], 0)
    stream[0, [2, 5]] += scale * d
    found = selfexplain.sweep(tiny, prompt, torch.tensor([2, 5]), d, torch.tensor([0.0, scale]), 0, add=True)
    torch.testing.assert_close(found.logits[1], tiny.logits_from(stream, 0)[0, -1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.logits[0], tiny.logits(prompt[None])[0, -1], atol=1e-5, rtol=1e-5)


def test_after_the_last_block_nothing_reaches_the_answer(tiny, prompt):
    found = sweep(tiny, prompt, draw(tiny.d_model), layer=len(tiny.blocks) - 1)
    assert found.stream.shape[1] == 0
    torch.testing.assert_close(found.logits, tiny.logits(prompt[None])[:, -1].expand_as(found.logits))


def test_with_one_block_above_the_scale_does_not_count(tiny, prompt):
    found = sweep(tiny, prompt, draw(tiny.d_model), torch.tensor([10.0, 100.0, 1000.0]), layer=len(tiny.blocks) - 2)
    torch.testing.assert_close(found.logits, found.logits[:1].expand_as(found.logits), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("places", [(), (8,), (-1,), (2, 9)])
def test_a_place_outside_of_the_prompt_is_refused(tiny, prompt, places):
    with pytest.raises(ValueError, match="places"):
        sweep(tiny, prompt, draw(tiny.d_model), places=places)


# --- the measures ---


@pytest.mark.parametrize("V", [2, 50, 4096])
def test_entropy_of_uniform_and_of_certain(V):
    assert math.isclose(selfexplain.entropy(torch.zeros(V)), math.log(V), rel_tol=1e-5)
    certain = torch.full((V,), -torch.inf)
    certain[1] = 0.0
    assert selfexplain.entropy(certain) == 0


def test_cross_entropy_is_least_where_the_two_agree():
    logits, base = draw(5, 30), draw(30, seed=1)
    torch.testing.assert_close(selfexplain.cross_entropy(base, base), selfexplain.entropy(base))
    assert (selfexplain.cross_entropy(logits, base) > 0).all()
    torch.testing.assert_close(selfexplain.cross_entropy(logits, torch.zeros(30)), torch.full((5,), math.log(30)))


def test_self_similarity_of_a_stream_that_only_adds_what_was_injected_goes_to_1():
    h, d = draw(16), draw(16, seed=1)
    cosines = selfexplain.self_similarity(h + torch.tensor([0.0, 1.0, 1e2, 1e5])[:, None] * d, d)
    assert (cosines.diff() > 0).all()
    assert cosines[-1] > 1 - 1e-6
    assert selfexplain.self_similarity(torch.zeros(2, 16), d).tolist() == [0, 0]


def test_values_are_counted_from_scale_0():
    torch.testing.assert_close(selfexplain.from_zero(torch.tensor([[3.0, 1.0], [4.0, 0.0]])), torch.tensor([[0.0, 0.0], [1.0, -1.0]]))


# --- the choice ---


def planted():
    near = (SCALES - SCALES[PLANTED]) ** 2
    return torch.exp(-near), 3 - 2 * torch.exp(-10 * near)


@pytest.mark.parametrize("a", [0.1, 0.5, 0.9])
def test_the_composite_finds_a_planted_scale(a):
    assert selfexplain.best(selfexplain.composite(*planted(), a), SCALES) == PLANTED


def test_with_the_other_sign_it_chooses_another():
    similarity, spread = planted()
    assert selfexplain.best(selfexplain.composite(similarity, -spread), SCALES) != PLANTED


@pytest.mark.parametrize(("gain", "shift"), [(2.0, 0.0), (1e-3, 5.0), (70.0, -1.0)])
def test_units_and_offsets_of_either_curve_drop_out(gain, shift):
    first, second = (curve.double() for curve in planted())
    whole = selfexplain.composite(first, second)
    torch.testing.assert_close(selfexplain.composite(gain * first + shift, second), whole)
    torch.testing.assert_close(selfexplain.composite(first, gain * second + shift), whole)


def test_a_flat_curve_decides_nothing():
    similarity, spread = planted()
    flat = torch.full_like(similarity, 2.0)
    assert selfexplain.best(selfexplain.composite(flat, spread), SCALES) == selfexplain.best(-spread, SCALES)
    assert selfexplain.composite(flat, flat).tolist() == [0] * len(flat)


def test_scales_below_the_least_do_not_count():
    score = -SCALES
    assert selfexplain.best(score, SCALES) == 0
    assert selfexplain.best(score, SCALES, least=1.0) == 10


def test_the_filter_keeps_what_rises_above_it_anywhere():
    curves = torch.stack([torch.zeros(41), torch.full((41,), selfexplain.FAILED), planted()[0]], dim=1)
    assert selfexplain.failed(curves).tolist() == [True, True, False]


# --- many directions ---


def test_answers_are_the_sweeps_of_their_directions(tiny, prompt):
    d = draw(3, tiny.d_model)
    found = selfexplain.answers(tiny, prompt, torch.tensor([2, 5]), d, SCALES, 0)
    logits, stream = sweep(tiny, prompt, d[1])
    assert found.token[1].tolist() == logits.argmax(dim=-1).tolist()
    torch.testing.assert_close(found.entropy[1], selfexplain.entropy(logits) - selfexplain.entropy(logits[0]))
    similar = selfexplain.self_similarity(stream[:, -1], d[1])  # the tiny model has two blocks
    torch.testing.assert_close(found.similarity[1], similar - similar[0])
    assert found.cross.shape == found.token.shape == (3, len(SCALES))


def test_each_measure_chooses_its_own_scale():
    similarity, spread = (curve[None] for curve in planted())
    found = selfexplain.Answers(torch.zeros(1, 41, dtype=torch.long), similarity, spread, -SCALES[None])
    by = {name: int(at) for name, at in selfexplain.chosen(found, SCALES).items()}
    assert by["self-similarity"] == by["entropy"] == by["composite"] == PLANTED
    assert by["cross-entropy"] == 40
    assert by["cross-entropy, other sign"] == 1  # the first scale is not among the choices
    assert by["composite, other sign"] != PLANTED


def test_a_random_direction_as_near_has_the_cosine_and_no_more():
    d, toward, other = draw(500, 64), draw(500, 64, seed=1), torch.Generator().manual_seed(2)
    d = d + 0.5 * toward
    near = selfexplain.as_near(d, toward, other)
    torch.testing.assert_close(near.norm(dim=-1), torch.ones(500))
    torch.testing.assert_close(torch.cosine_similarity(near, toward), torch.cosine_similarity(d, toward))
    left = [
        torch.nn.functional.normalize(
            v - torch.cosine_similarity(v, toward)[:, None] * v.norm(dim=-1, keepdim=True) * toward / toward.norm(dim=-1, keepdim=True)
        )
        for v in (near, d)
    ]
    assert abs((left[0] * left[1]).sum(dim=-1).mean()) < 0.02  # 500 cosines of independent directions in 63 dimensions: sd of the mean .0056
