"""What a slider moves."""

import pytest
import torch

from companion.toy import data, playground


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_one_run_beside_the_best_and_the_linear_model():
    played = playground.play(0.1, 0.9, 4, 2, stream())
    assert played.W.shape == (4, 2)
    torch.testing.assert_close(played.M, played.W @ played.W.T)
    assert played.losses["best of six"] <= played.losses["this run"]
    assert played.losses["best of six"] < played.losses["linear"]
    assert played.importance.tolist() == pytest.approx([1, 0.9, 0.81, 0.729])


def test_the_linear_model_is_not_compared_where_its_closed_form_does_not_hold():
    assert set(playground.play(0.1, 1.0, 4, 2, stream(), data.Anticorrelated(2)).losses) == {"this run", "best of six"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dict(n=7, m=2), "at most 6"),
        (dict(n=2, m=3), "hidden=3 > features=2"),
        (dict(n=4, m=2, density=0.0), "density"),
        (dict(n=5, m=2, source=data.Correlated(2)), "sets of 2"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        playground.play(**dict(density=0.1, decay=0.9, stream=stream()) | wrong)
