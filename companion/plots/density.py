"""How often latents are active: histograms of their density, one dictionary under the other. Arrays in, Figure out."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from companion.plots.lines import frame
from companion.plots.style import MARKED, OURS, QUIET, THEORY, Row, panels, styled

DECADE = 5
"""Bins of a factor of ten."""


@styled
def densities(dictionaries: Mapping[str, Row], rarest: float, low: Mapping[str, float] = {}) -> Figure:
    """A histogram of log10 density per dictionary, by its name, all over one axis; latents that were never active are counted at the left.

    dictionaries: density of every latent, 0 for one that was never active. rarest: the smallest that this text can show, one over its
    tokens. low: the density below which a latent counts as rare, dashed, by the same names.
    """
    figure, axes = panels(len(dictionaries), 1, size=(5.6, 1.35), sharex=True)
    start = np.floor(np.log10(rarest))
    bins = np.linspace(start, 0, round(-start * DECADE) + 1)
    for panel, (name, density) in zip(axes, dictionaries.items(), strict=True):
        active = density[density > 0]
        panel.hist(np.log10(active), bins, color=OURS)
        if len(active):
            panel.axvline(np.log10(np.median(active)), color=THEORY, lw=0.9)
        if name in low:
            panel.axvline(np.log10(low[name]), color=MARKED, lw=0.9, ls="--")
        silent = len(density) - len(active)
        panel.set_title(name, loc="left", fontsize=9)
        panel.set_title(f"never active: {silent:,} of {len(density):,}", loc="right", fontsize=8, color=QUIET)
        frame(panel, "", "latents")
    frame(axes[-1], "density: log10 of the share of tokens on which a latent is active")
    return figure
