import numpy as np
import pytest
import torch

from companion.evals import compute

STEPS = np.array([1, 10, 100, 1000])
CURVE = np.array([4.0, 3.0, 2.0, 1.0])


def contexts(means, n=40, noise=0.0, seed=0):
    shared = noise * torch.randn(n, generator=torch.Generator().manual_seed(seed))
    return torch.tensor(means)[:, None] + shared


def test_invert_is_linear_in_log_step_and_loss_and_ends_where_the_curve_does():
    losses = [*CURVE, 2.5, 5.0, 0.5]
    assert [compute.invert(loss, STEPS, CURVE) for loss in losses] == pytest.approx([*STEPS, 10**1.5, 1, 1000])


def test_a_plateau_gives_the_earliest_step():
    assert compute.invert(2.0, STEPS, np.array([4.0, 2.0, 2.0, 1.0])) == pytest.approx(10)


def test_monotone_pools_what_rises():
    assert compute.monotone(np.array([3.0, 1.0, 2.0, 0.5])) == pytest.approx([3.0, 1.5, 1.5, 0.5])


@pytest.mark.parametrize(("steps", "curve"), [([0, 1], [2.0, 1.0]), ([2, 1], [2.0, 1.0]), ([1, 2], [1.0, 2.0])])
def test_bad_curves_are_refused(steps, curve):
    with pytest.raises(ValueError, match=r"positive and increasing|rises"):
        compute.invert(1.5, np.array(steps), np.array(curve))


def test_fraction_is_one_for_the_finished_model_and_falls_with_the_loss():
    fractions = [compute.compute_fraction(contexts([loss])[0], contexts(CURVE), STEPS, torch.Generator()).fraction for loss in (1.0, 1.5, 2.0)]
    assert fractions == pytest.approx([1.0, 10**-0.5, 0.1])


def test_noise_that_contexts_share_cancels_and_unpaired_noise_does_not():
    paired = compute.compute_fraction(contexts([1.5], noise=1.0)[0], contexts(CURVE, noise=1.0), STEPS, torch.Generator())
    unpaired = compute.compute_fraction(contexts([1.5], noise=1.0, seed=1)[0], contexts(CURVE, noise=1.0), STEPS, torch.Generator())
    assert paired.high - paired.low < 1e-6
    assert unpaired.high - unpaired.low > 0.1


def test_worse_than_the_first_step_is_said():
    assert compute.compute_fraction(contexts([9.0])[0], contexts(CURVE), STEPS, torch.Generator()) == (0.001, 0.001, 0.001, True)


def test_contexts_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="do not pair"):
        compute.compute_fraction(torch.zeros(3), contexts(CURVE), STEPS, torch.Generator())


@pytest.mark.parametrize("sizes", [3, 5])
def test_finished_trainings_on_a_power_law_give_the_compute_back(sizes):
    C = 10.0 ** np.arange(sizes)
    floor = 2.0 if sizes > 3 else 0.0  # with three sizes no floor can be fitted
    losses = floor + 3 * C**-0.2
    law = compute.finished_law(C, losses)
    assert law == pytest.approx((floor, 3, 0.2), rel=1e-3, abs=1e-6)
    assert compute.compute_for(floor + 3 * 50**-0.2, law) == pytest.approx(50, rel=1e-2)
    found = compute.finished_fraction(contexts([floor + 3 * 50**-0.2])[0], contexts(losses), C, 100.0, torch.Generator(), resamples=5)
    assert found.value == pytest.approx(0.5, rel=1e-2)
    assert found.high - found.low < 1e-3


def test_no_compute_reaches_the_floor():
    assert compute.compute_for(2.0, compute.scaling.PowerLaw(2.0, 3.0, 0.2)) == float("inf")


def test_one_finished_training_is_no_law():
    with pytest.raises(ValueError, match="at least 2"):
        compute.finished_law(np.array([1.0]), np.array([2.0]))
