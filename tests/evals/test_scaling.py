"""Planted constants are found again; envelopes are those of the definition."""

import numpy as np
import pytest

from companion.evals import scaling
from companion.evals.scaling import JointLaw, PowerLaw

X = np.geomspace(1e8, 1e12, 25)
N, K = (axis.ravel().astype(float) for axis in np.meshgrid([32, 64, 128, 256, 512], [4, 8, 16], indexing="ij"))
PLANTED = JointLaw(-0.5, 0.9, -0.18, -0.3, -0.75, -0.5)


def noise(size, seed, amount):
    return np.exp(amount * np.random.default_rng(seed).standard_normal(size))


# --- laws ---


@pytest.mark.parametrize("law", [PowerLaw(0.09, 900.0, 0.4), PowerLaw(0.0, 30.0, 0.2), PowerLaw(0.3, 1e6, 0.7)])
def test_power_law_is_found_again(law):
    found = scaling.fit_power_law(X, law(X))
    assert found.exponent == pytest.approx(law.exponent, rel=1e-4)
    assert found.floor == pytest.approx(law.floor, abs=1e-4)
    np.testing.assert_allclose(found(X), law(X), rtol=1e-5)


def test_power_law_survives_one_per_cent_of_noise():
    law = PowerLaw(0.09, 900.0, 0.4)
    found = scaling.fit_power_law(X, law(X) * noise(len(X), 1, 0.01))
    assert found.exponent == pytest.approx(0.4, abs=0.02)
    assert found.floor == pytest.approx(0.09, abs=0.01)


def test_the_paper_s_laws_are_as_quoted():
    np.testing.assert_allclose(scaling.PAPER_COMPUTE(np.array([1e-9, 1e-7, 1e-5, 4e-4])), [0.409, 0.307, 0.237, 0.198], atol=1e-3)
    assert scaling.PAPER_JOINT(2.0**11, 32.0) == pytest.approx(0.631, abs=1e-3)
    assert scaling.PAPER_JOINT(2.0**19, 512.0) == pytest.approx(0.235, abs=1e-3)
    assert scaling.PAPER_JOINT.floor(128.0) == pytest.approx(0.177, abs=1e-3)


@pytest.mark.parametrize("law", [PLANTED, scaling.PAPER_JOINT])
def test_joint_law_is_found_again(law):
    n, k = (N, K) if law is PLANTED else (N * 64, K * 8)
    np.testing.assert_allclose(scaling.fit_joint(n, k, law(n, k)), law, rtol=1e-4)


def test_joint_law_survives_noise_in_what_is_claimed_of_it():
    for seed in range(3):
        found = scaling.fit_joint(N, K, PLANTED(N, K) * noise(len(N), seed, 0.005))
        assert found.g == pytest.approx(PLANTED.g, abs=0.08)
        np.testing.assert_allclose(found.floor(K), PLANTED.floor(K), rtol=0.06)


def test_quality_by_hand():
    L, fitted = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.0])
    quality = scaling.quality(L, fitted, parameters=2)
    assert quality.residual == pytest.approx(1.0)
    assert quality.aic == pytest.approx(3 * np.log(np.log(2) ** 2 / 3) + 4)


def test_slope_is_the_exponent():
    assert scaling.slope(X, 3 * X**-0.5) == pytest.approx(-0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_what_has_no_logarithm_is_refused(bad):
    L = np.where(np.arange(len(X)) == 3, bad, 1.0)
    for fit in (scaling.fit_power_law, scaling.slope, scaling.log_binned, scaling.lower_envelope):
        with pytest.raises(ValueError, match="positive and finite"):
            fit(X, L)
    with pytest.raises(ValueError, match="positive and finite"):
        scaling.fit_joint(N, K, np.where(np.arange(len(N)) == 3, bad, 1.0))


def test_too_few_points_are_refused():
    for fit, points in ((scaling.fit_power_law, 3), (scaling.slope, 1)):
        with pytest.raises(ValueError, match="at least"):
            fit(X[:points], X[:points])
    with pytest.raises(ValueError, match="at least 7"):
        scaling.fit_joint(N[:6], K[:6], N[:6])
    with pytest.raises(ValueError, match="every coordinate"):
        scaling.slope(X, X[:5])


# --- curves ---


def test_log_bins_average_and_keep_the_shape():
    x = np.arange(1.0, 2049)
    at, means = scaling.log_binned(x, 5 * x**-0.5)
    assert len(at) == 22  # eleven doublings of two bins each and the last point, less the bin between 1 and 2
    np.testing.assert_allclose(means, 5 * at**-0.5, rtol=0.01)


def test_envelope_is_the_lower_convex_hull_in_log_log():
    rng = np.random.default_rng(0)
    C, L = np.exp(rng.uniform(0, 5, 60)), np.exp(rng.uniform(0, 1, 60))
    corners = scaling.lower_envelope(C, L)
    inside = C / C[corners[-1]] <= 1
    assert np.all(L[inside] / scaling.interpolate(C[inside], C[corners], L[corners]) > 1 - 1e-9)
    slopes = np.diff(np.log(L[corners])) / np.diff(np.log(C[corners]))
    assert np.all(np.diff(slopes) > 0)
    assert np.all(slopes < 0)
    assert L[corners[-1]] == L.min()


def test_envelope_of_a_power_law_with_a_floor_is_all_of_it():
    law = PowerLaw(0.1, 900.0, 0.4)
    lies_above = 1.2 * law(X)
    corners = scaling.lower_envelope(np.concatenate([X, X]), np.concatenate([lies_above, law(X)]))
    np.testing.assert_array_equal(corners, len(X) + np.arange(len(X)))


def test_settling_is_where_a_doubling_gains_what_it_should():
    tokens = np.geomspace(1, 2**16, 65)
    law = PowerLaw(1.0, 10.0, 1.0)  # 1 - L(2t)/L(t) = 5 / (t + 10)
    assert scaling.settled_at(tokens, law(tokens), 0.05) == pytest.approx(90, rel=0.02)
    assert scaling.settled_at(tokens, tokens**-1.0, 0.05) == np.inf
    assert scaling.settled_at(tokens, 1 + 0 * tokens, 0.05) == 1


def test_settling_does_not_know_how_long_the_run_was():
    tokens = np.geomspace(1, 2**16, 65)
    L = PowerLaw(1.0, 10.0, 1.0)(tokens)
    assert scaling.settled_at(tokens[:45], L[:45], 0.05) == pytest.approx(scaling.settled_at(tokens, L, 0.05))


def test_optimum_is_the_vertex_and_an_edge_is_none():
    rates = 2.0 ** np.arange(-10, -4)
    L = np.exp((np.log(rates) - np.log(0.01)) ** 2)
    assert scaling.optimum(rates, L) == (pytest.approx(0.01), True)
    assert scaling.optimum(rates[:3], L[:3]) == (rates[2], False)
    with pytest.raises(ValueError, match="increase"):
        scaling.optimum(rates[::-1], L)
