import numpy as np
import pytest
import torch

from companion.evals import compute, search
from companion.lm.checkpoints import STANFORD

STEPS = np.array(STANFORD[1:])


def losses_at(step, n=64):
    hard = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return 3.0 + 4.0 * step**-0.3 + hard


def spliced_at(step, noise=0.02):
    own = torch.randn(64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return losses_at(step) + noise * (own - own.mean())


@pytest.mark.parametrize("step", [15, 700, 33_333, 250_500])
def test_at_most_twelve_of_609_find_what_reading_all_finds(step):
    asked = []

    def read(at):
        asked.append(at)
        return losses_at(at)

    found = search.search(spliced_at(step), read, STEPS, torch.Generator())
    everything = compute.compute_fraction(spliced_at(step), torch.stack([losses_at(at) for at in STEPS.tolist()]), STEPS, torch.Generator())
    assert len(asked) == len(set(asked)) <= 12
    assert tuple(asked) == found.read
    assert everything.low <= found.share.fraction <= everything.high
    assert found.share.fraction == pytest.approx(step / 400_000, rel=0.05)


def test_without_any_spread_it_stops_at_neighbours():
    found = search.search(losses_at(1001.0), losses_at, STEPS, torch.Generator(), most=30)
    assert {1000, 1050} <= set(found.read)
    assert found.share.fraction == pytest.approx(1001 / 400_000, rel=1e-3)


@pytest.mark.parametrize(("loss", "share", "at_most"), [(99.0, 10 / 400_000, True), (-99.0, 1.0, False)])
def test_a_loss_outside_the_curve_costs_two_checkpoints(loss, share, at_most):
    found = search.search(torch.full((64,), loss), losses_at, STEPS, torch.Generator())
    assert len(found.read) == 2
    assert found.share.fraction == pytest.approx(share)
    assert found.share.below_first == at_most


def test_fewer_than_three_are_refused():
    with pytest.raises(ValueError, match="3 or more"):
        search.search(losses_at(100), losses_at, STEPS, torch.Generator(), most=2)
