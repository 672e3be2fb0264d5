"""Scaling laws of autoencoders: power laws with a floor, the frontier of compute, and curves of one run each.

The laws are those of Gao et al. 2024, section 3. Errors are positive numbers (normalised MSE), compute and sizes are positive, and every
fit is least squares in log space, so that a residual is a relative one, begun from several starts.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import least_squares

Array = np.ndarray


class PowerLaw(NamedTuple):
    """L(x) = floor + scale x^-exponent."""

    floor: float
    scale: float
    exponent: float

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.floor + self.scale * np.asarray(x, dtype=float) ** -self.exponent


class JointLaw(NamedTuple):
    """L(n, k) = exp(a + bk ln k + bn ln n + g ln k ln n) + exp(z + h ln k): the paper's form for converged runs (section 3.1).

    The first term falls with n by the exponent bn + g ln k; the second no number of latents removes.
    """

    a: float
    bk: float
    bn: float
    g: float
    z: float
    h: float

    def __call__(self, n: Float[Array, "..."], k: Float[Array, "..."]) -> Float[Array, "..."]:
        n, k = np.log(n), np.log(k)
        return np.exp(self.a + self.bk * k + self.bn * n + self.g * k * n) + np.exp(self.z + self.h * k)

    def floor(self, k: Float[Array, "..."]) -> Float[Array, "..."]:
        """The error left with infinitely many latents."""
        return np.exp(self.z + self.h * np.log(k))


PAPER_COMPUTE = PowerLaw(0.09, 0.056, 0.084)
"""GPT-4: error against compute as a share of the model's own pre-training."""
PAPER_JOINT = JointLaw(-0.50, 0.26, -0.017, -0.042, -1.32, -0.085)
"""GPT-4: error at convergence."""


class Quality(NamedTuple):
    residual: float
    """Largest relative residual |L - fit| / fit."""
    aic: float
    """N ln(RSS / N) + 2 parameters, residuals in ln L: the lower, the better the law has earned its parameters."""


def quality(L: Float[Array, " P"], fitted: Float[Array, " P"], parameters: int) -> Quality:
    """How well a law with so many fitted parameters describes the points."""
    _check(L, fitted)
    rss = np.square(np.log(L / fitted)).sum()
    aic = len(L) * np.log(max(rss, np.finfo(float).tiny) / len(L)) + 2 * parameters
    return Quality(float(np.abs(L / fitted - 1).max()), float(aic))


def _check(*columns: Float[Array, " P"], least: int = 1) -> None:
    if len(lengths := {len(column) for column in columns}) > 1 or min(lengths) < least:
        raise ValueError(f"a law needs at least {least} points with every coordinate; given were columns of {sorted(lengths)}")
    if not all(np.all(np.isfinite(column) & (np.asarray(column) > 0)) for column in columns):
        raise ValueError("errors, sizes and compute must be positive and finite: their logarithms are fitted")


def slope(x: Float[Array, " P"], y: Float[Array, " P"]) -> float:
    """Exponent p of y = c x^p, by a straight line through the logarithms (two points at least)."""
    _check(x, y, least=2)
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def fit_power_law(x: Float[Array, " P"], L: Float[Array, " P"]) -> PowerLaw:
    """argmin over E, a, b >= 0 of sum_i (ln L_i - ln(E + a x_i^-b))².

    Raises:
        ValueError: fewer than four points, or a value that has no logarithm.
    """
    x, L = np.asarray(x, dtype=float), np.asarray(L, dtype=float)
    _check(x, L, least=4)
    centre = np.log(x).mean()  # at the middle of the points scale and exponent are nearly independent
    u, low = np.log(x) - centre, L.min()

    def residuals(p: Array) -> Array:
        return np.log(low * p[0] + np.exp(p[1] - p[2] * u)) - np.log(L)

    def jacobian(p: Array) -> Float[Array, "P 3"]:
        falling = np.exp(p[1] - p[2] * u)
        return np.stack([np.full_like(u, low), falling, -u * falling], axis=1) / (low * p[0] + falling)[:, None]

    def start(share: float) -> list[float]:
        falling, level = np.polyfit(u, np.log(np.maximum(L - share * low, 1e-12)), 1)
        return [share, level, max(-falling, 1e-3)]

    starts = [start(share) for share in (0, 0.3, 0.6, 0.9, 0.99)]
    share, log_scale, exponent = _best(residuals, jacobian, starts, [0, -np.inf, 0], [1, np.inf, np.inf])
    return PowerLaw(float(low * share), float(np.exp(log_scale + exponent * centre)), float(exponent))


def _best(residuals: Callable, jacobian: Callable, starts: Iterable[Sequence[float]], low: Sequence[float], high: Sequence[float]) -> Array:
    """The lowest of the minima reached from the starts."""
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    fits = [least_squares(residuals, np.clip(start, low, high), jacobian, bounds=(low, high), x_scale="jac") for start in starts]
    return min(fits, key=lambda fit: fit.cost).x


def fit_joint(n: Float[Array, " P"], k: Float[Array, " P"], L: Float[Array, " P"]) -> JointLaw:
    """The six constants of `JointLaw` with the least sum of squares in ln L.

    Raises:
        ValueError: fewer than seven points, or a value that has no logarithm.
    """
    _check(n, k, L, least=7)
    u, v = np.log(n) - np.log(n).mean(), np.log(k) - np.log(k).mean()
    low, log_L = np.log(L.min()), np.log(L)
    design = np.stack([np.ones_like(u), v, u, u * v], axis=1)

    def residuals(p: Array) -> Array:
        return np.logaddexp(design @ p[:4], low + p[4] + p[5] * v) - log_L

    def jacobian(p: Array) -> Float[Array, "P 6"]:
        falling = 1 / (1 + np.exp(low + p[4] + p[5] * v - design @ p[:4]))[:, None]  # the falling term's share of the sum
        return np.concatenate([falling * design, (1 - falling) * np.stack([np.ones_like(v), v], axis=1)], axis=1)

    def start(share: float, h: float) -> list[float]:
        rest = np.maximum(L - np.exp(low + h * v) * share, 1e-3 * L)
        return [*np.linalg.lstsq(design, np.log(rest), rcond=None)[0], np.log(share), h]

    starts = [start(share, h) for share, h in product((0.1, 0.5, 0.9), (-0.3, 0.3))]
    p = _best(residuals, jacobian, starts, [-np.inf] * 4 + [-20, -5], [np.inf] * 4 + [1, 5])
    return JointLaw(*_uncentred(p[:4], n, k), float(low + p[4] - p[5] * np.log(k).mean()), float(p[5]))


def _uncentred(p: Array, n: Array, k: Array) -> tuple[float, ...]:
    """a, bk, bn, g from the plane about the mean of ln n and ln k."""
    (level, in_k, in_n, g), n, k = p.tolist(), float(np.log(n).mean()), float(np.log(k).mean())
    return level - in_k * k - in_n * n + g * n * k, in_k - g * n, in_n - g * k, g


# --- curves of one run each ---------------------------------------------------------------------------------------


def log_binned(x: Float[Array, " P"], y: Float[Array, " P"]) -> tuple[Float[Array, " Q"], Float[Array, " Q"]]:
    """Means of y over bins of equal width in ln x, two per doubling, at the bins' geometric mean x: batch noise goes, the shape stays."""
    _check(x, y)
    at = np.floor(np.log2(x / x[0]) * 2 + 1e-9).astype(int)
    bins = [at == i for i in np.unique(at)]
    return np.array([np.exp(np.log(x[b]).mean()) for b in bins]), np.array([y[b].mean() for b in bins])


def settled_at(tokens: Float[Array, " P"], L: Float[Array, " P"], gain: float) -> float:
    """Tokens from which on a doubling lowers the error by less than the share `gain`: a rule that does not know the run's length.

    The points should be `log_binned`. inf if the run's last doubling still gained more, the first tokens if none did.
    """
    _check(tokens, L, least=2)
    whole = 2 * tokens <= tokens[-1] * (1 + 1e-6)  # points whose double is still within the run
    gains = 1 - interpolate(2 * tokens[whole], tokens, L) / L[whole]
    falling = np.flatnonzero(gains >= gain)
    if len(falling) == 0:
        return float(tokens[0])
    last = falling[-1]
    if last == len(gains) - 1:
        return float("inf")
    share = (gains[last] - gain) / (gains[last] - gains[last + 1])
    return float(tokens[last] ** (1 - share) * tokens[last + 1] ** share)


def lower_envelope(C: Float[Array, " P"], L: Float[Array, " P"]) -> Int[Array, " Q"]:
    """Corners of the lower convex envelope of the points (ln C, ln L), down to the lowest: indices in order of C.

    A power law with a floor is convex in these coordinates, so it is its own envelope.
    """
    _check(C, L)
    order = np.lexsort((L, C))
    u, v = np.log(C)[order], np.log(L)[order]
    corners: list[int] = []
    for i in range(int(v.argmin()) + 1):
        if corners and u[corners[-1]] == u[i]:
            continue
        # a corner on or above the line from the one before it to this point is none
        while len(corners) > 1 and _cross(u, v, *corners[-2:], i) <= 0:
            corners.pop()
        corners.append(i)
    return order[corners]


def _cross(u: Array, v: Array, a: int, b: int, c: int) -> float:
    return (u[b] - u[a]) * (v[c] - v[a]) - (v[b] - v[a]) * (u[c] - u[a])


def interpolate(at: Float[Array, " Q"], x: Float[Array, " P"], y: Float[Array, " P"]) -> Float[Array, " Q"]:
    """y at other x, on straight lines between the points in log-log; the ends are continued level."""
    return np.exp(np.interp(np.log(at), np.log(x), np.log(y)))


class Optimum(NamedTuple):
    at: float
    interior: bool
    """The lowest point of the grid is not at one of its ends."""


def optimum(rates: Float[Array, " R"], L: Float[Array, " R"]) -> Optimum:
    """Where the error is lowest: vertex of the parabola through the lowest point and its neighbours, in (ln rate, ln L).

    Raises:
        ValueError: fewer than three rates, or rates that do not increase.
    """
    _check(rates, L, least=3)
    if np.any(np.diff(rates) <= 0):
        raise ValueError("the rates must increase")
    lowest = int(np.argmin(L))
    if lowest in (0, len(L) - 1):
        return Optimum(float(rates[lowest]), False)
    near = slice(lowest - 1, lowest + 2)
    curve, tilt, _ = np.polyfit(np.log(rates[near]) - np.log(rates[lowest]), np.log(L[near]), 2)
    return Optimum(float(rates[lowest] * np.exp(-tilt / (2 * curve))), True)
