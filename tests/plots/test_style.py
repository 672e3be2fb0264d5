"""The palette: colours that mean something can be told apart, whatever colours a reader's eyes tell apart."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from companion.claims import card
from companion.plots import style, tokens

# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as seen without the cones for long, medium, short waves.
SEEN = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
APART = 15
"""CIE 1976 colour difference; some 2.3 can just be noticed side by side."""


GROUNDS = {"#ffffff": "#000000", "#111111": "#ffffff"}
"""JupyterLab's light and dark page, each with its ink."""


def linear(colour) -> np.ndarray:
    srgb = np.array(to_rgb(colour))
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(colour, seen) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(np.array(seen) @ linear(colour), 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("colours", [style.MEANINGS, style.CATEGORIES[:6], (style.POSITIVE, style.NEGATIVE, style.PAGE)])
def test_colours_can_be_told_apart(colours, eyes):
    for one, other in combinations(colours, 2):
        assert np.linalg.norm(lab(one, SEEN[eyes]) - lab(other, SEEN[eyes])) > APART, (one, other)


def test_the_measure_sees_what_protanopes_confuse():
    rose, grey = "#cc6677", "#777777"
    assert np.linalg.norm(lab(rose, SEEN["all cones"]) - lab(grey, SEEN["all cones"])) > 2 * APART
    assert np.linalg.norm(lab(rose, SEEN["protanopia"]) - lab(grey, SEEN["protanopia"])) < APART


def contrast(one, other) -> float:
    """WCAG 2: from 1 to 21; text of common size wants 4.5, bold or large text 3."""
    low, high = sorted(TO_XYZ[1] @ linear(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", GROUNDS)
def test_verdicts_can_be_read_on_light_and_dark_pages(ground):
    assert min(contrast(colour, ground) for colour in card.COLOURS.values()) > 4


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_page_s_ink_can_be_read_on_the_deepest_token(ground):
    behind = tokens.DEEPEST * np.array(to_rgb(style.SECOND)) + (1 - tokens.DEEPEST) * np.array(to_rgb(ground))
    assert contrast(behind, GROUNDS[ground]) > 4.5


def test_the_measure_sees_what_only_one_page_can_bear():
    assert contrast("#b00020", "#ffffff") > 7
    assert contrast("#b00020", "#111111") < 3
