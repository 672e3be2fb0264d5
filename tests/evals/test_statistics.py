"""Intervals cover as often as they say."""

import numpy as np
import pytest
import torch

from companion.evals import statistics


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("repeats", [3, 20])
def test_bootstrap_covers_a_mean_about_as_often_as_it_says(repeats):
    rng, hits = np.random.default_rng(0), 0
    for trial in range(150):
        groups = [list(rng.standard_normal(repeats)) for _ in range(5)]
        interval = statistics.bootstrap(np.mean, groups, generator(trial), resamples=100)
        hits += interval.low <= 0 <= interval.high
    assert 0.85 <= hits / 150 <= 0.99


def test_bootstrap_of_an_array_has_an_interval_each():
    groups = [[1.0, 2.0, 3.0], [10.0, 10.0, 10.0]]
    interval = statistics.bootstrap(lambda drawn: np.mean(drawn, axis=1), groups, generator())
    np.testing.assert_allclose(interval.value, [2, 10])
    assert interval.low[0] < 2 < interval.high[0]
    assert interval.low[1] == interval.high[1] == 10


def test_bootstrap_repeats_with_its_generator_and_refuses_single_values():
    groups = [[1.0, 2.0, 4.0]]
    assert statistics.bootstrap(np.mean, groups, generator(3)) == statistics.bootstrap(np.mean, groups, generator(3))
    for bad in ([], [[1.0, 2.0], [1.0]]):
        with pytest.raises(ValueError, match="two repeats"):
            statistics.bootstrap(np.mean, bad, generator())


def test_arrays_are_drawn_by_row_so_that_pairs_stay_pairs():
    noise = np.random.default_rng(0).standard_normal(50)
    pairs = np.stack([noise, noise + 1], axis=1)
    low, high = statistics.bootstrap(lambda groups: np.diff(groups[0].mean(axis=0))[0], [pairs], generator())[1:]
    assert low == pytest.approx(1)
    assert high == pytest.approx(1)


def test_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).standard_normal(2000)
    interval = statistics.mean_interval(values, generator(), resamples=2000)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std(ddof=1) / 2000**0.5, rel=0.1)
