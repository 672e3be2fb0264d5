"""The blind game: its rubric, its order, what it hides, and what it refuses."""

import re

import pytest

from companion.evals import game
from companion.evals.browser import CARD
from companion.evals.game import RUBRIC

KINDS = {"latent": [3, 4, 5], "neuron": [3, 9]}
FULL = RUBRIC | {"separation": 0}


def rated(points):
    """A game in which the i-th card has points[i] of consistency alone."""
    dealt = game.deal(KINDS, 0)
    for place, each in enumerate(points):
        dealt = game.record(dealt, place, dict.fromkeys(RUBRIC, 0) | {"consistency": each})
    return dealt


def test_no_rating_has_more_than_fourteen_points():
    assert game.total(FULL) == game.MOST == 14
    assert game.total(FULL | {"logits": 2, "separation": 1}) == 14
    assert game.total(dict.fromkeys(RUBRIC, 0)) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"separation": 1}, "separation counts only"),
        ({"confidence": 4}, "confidence takes whole points from 0 to 3, not 4"),
        ({"consistency": -1}, "from 0 to 5"),
        ({"specificity": 1.5}, "whole points"),
        ({"logits": True}, "whole points"),
        *(({"consistency": wrong}, "consistency takes whole points") for wrong in (None, "", "3", "<b>", [3], float("nan"), 10**30)),
        (dict.fromkeys(RUBRIC, "<script>"), "confidence takes whole points"),
        ({"beauty": 1}, "parts confidence"),
    ],
)
def test_ratings_outside_the_rubric_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        game.total(FULL | change)
    for few in ({"confidence": 1}, {}):
        with pytest.raises(ValueError, match=r"not confidence|not none"):
            game.total(few)


def test_the_order_is_random_and_that_of_the_seed():
    orders = [game.deal(KINDS, seed).cards for seed in range(20)]
    assert game.deal(KINDS, 3) == game.deal(KINDS, 3)
    assert len(set(orders)) > 5
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert {order[0].kind for order in orders} == set(KINDS)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [({}, "two kinds"), ({"latent": [1]}, "two kinds"), (KINDS | {"neuron": []}, "in each"), (KINDS | {"latent": [1, 1]}, "twice")],
)
def test_a_game_that_is_not_blind_is_refused(kinds, message):
    with pytest.raises(ValueError, match=message):
        game.deal(kinds, 0)


def test_a_step_makes_another_game_and_leaves_the_first():
    dealt = game.deal(KINDS, 0)
    after = game.record(dealt, 2, FULL)
    assert dealt.left == (0, 1, 2, 3, 4)
    assert after.left == (0, 1, 3, 4)
    assert game.record(after, 2, FULL | {"confidence": 0}).totals[2] == 11
    for place in (-1, 5, True, "1"):
        with pytest.raises(ValueError, match="no card"):
            game.record(dealt, place, FULL)


def test_kinds_stay_hidden_until_all_is_rated_and_have_their_medians_then():
    with pytest.raises(ValueError, match="1 of 5 cards are not rated"):
        game.reveal(rated([5, 4, 3, 2]))
    whole = rated([5, 4, 3, 2, 1])
    found = game.reveal(whole)
    for kind, numbers in KINDS.items():
        points = sorted(total for card, total in zip(*whole, strict=True) if card.kind == kind)
        assert sorted(found.totals[kind]) == points
        assert found.medians[kind] == (points[1] if len(numbers) == 3 else sum(points) / 2)


def test_a_sitting_shows_nothing_of_the_kind_before_the_end():
    sitting = game.Sitting(game.deal(KINDS, 0), lambda card: game.blind_card([("Largest", ["<div>x</div>"])], ["<b>", "y"]))
    for place in range(5):
        shown = sitting.turn(None if place == 0 else FULL)
        assert f"Card {place + 1} of 5" in shown
        read = re.sub("<style>.*?</style>", "", shown, flags=re.DOTALL).replace(f'class="{CARD}"', "")
        assert not any(kind in read for kind in KINDS)
        assert "&lt;b&gt;" in shown
        assert sitting.turn() == shown  # looking again rates nothing
    with pytest.raises(ValueError, match="separation"):
        sitting.turn(FULL | {"separation": 1})
    assert sitting.game.left == (4,)
    end = sitting.turn(FULL)
    assert "neuron 9" in end
    assert "<code>14</code>" in end
    with pytest.raises(ValueError, match="every card is rated"):
        sitting.turn(FULL)
