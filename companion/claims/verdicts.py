"""What a measurement says of a claim: numbers against a band, with a control that must lie outside it."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from companion.claims.registry import Claim

CONFIRMED, MIXED, NOT_HERE, REFUTED = "CONFIRMED", "MIXED", "NOT HERE", "REFUTED"
MISSED, VACUOUS, DEFERRED, NOT_JUDGED = "MISSED", "VACUOUS", "DEFERRED", "NOT JUDGED"
RECORDABLE = (CONFIRMED, MIXED, NOT_HERE, REFUTED)
"""Verdicts that the committed record may hold."""
MARGIN = 2.0
"""Standard deviations of the seeds that must lie between their median and an end of the band."""


class Verdict(NamedTuple):
    name: str
    reason: str


def within(values: Sequence[float], band: tuple[float, float]) -> int:
    """How many of the values lie in the band, ends included."""
    return sum(band[0] <= value <= band[1] for value in values)


def judge(claim: Claim, values: Sequence[float], controls: Sequence[float], witness: Sequence[float]) -> Verdict:
    """Verdict on finite numbers; one that another run did not give (`Claim.again`) is MIXED.

    VACUOUS    a control lies in the band: the check could not have failed
    CONFIRMED  every value lies in the band; over seeds the median also lies `MARGIN` standard deviations from each finite end
    MIXED      some values lie in the band, or all do but too near to an end
    NOT HERE   none does, and the witness does, so the check could have passed; REFUTED if this is the paper's own setting
    MISSED     none does, and there is no witness or it misses too
    """
    verdict = _judge_alone(claim, values, controls, witness)
    return Verdict(MIXED, f"another run differed: {claim.again}") if claim.again and verdict.name in RECORDABLE else verdict


def _judge_alone(claim: Claim, values: Sequence[float], controls: Sequence[float], witness: Sequence[float]) -> Verdict:
    inside = within(values, claim.band)
    if passing := within(controls, claim.band):
        return Verdict(VACUOUS, f"{passing} of {len(controls)} control values lie in the band too")
    if inside == len(values):
        margin = seeds_margin(values, claim.band) if claim.over == "seeds" else float("inf")
        if margin >= MARGIN:
            return Verdict(CONFIRMED, "")
        return Verdict(MIXED, f"in the band, but the median is only {margin:.1f} standard deviations of the seeds from its end")
    if inside:
        return Verdict(MIXED, f"{inside} of {len(values)} values lie in the band")
    if witness and within(witness, claim.band) == len(witness):
        return Verdict(REFUTED if claim.setting == "paper" else NOT_HERE, "outside the band, where the positive example lies inside")
    return Verdict(MISSED, "outside the band, and the positive example too" if witness else "outside the band, and no positive example")


def seeds_margin(values: Sequence[float], band: tuple[float, float]) -> float:
    """Distance of the median from the nearer finite end of the band, in sample standard deviations; inf for a single value."""
    if len(values) < 2:
        return float("inf")
    middle, spread = statistics.median(values), statistics.stdev(values)
    distance = min(middle - band[0], band[1] - middle)
    return distance / spread if spread > 0 else float("inf")
