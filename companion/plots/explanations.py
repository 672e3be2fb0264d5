"""Explanations of latents: one taken apart, how well many predict, and what they are worth in the latents' place. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from companion.plots.lines import Log, Share, direct, frame, level
from companion.plots.style import CONTROL, CONTROLS, MARKED, OURS, PAGE, PALE, QUIET, SECOND, THEORY, Row, note, panels, sheet, styled
from companion.plots.tokens import visible

KIND_LOOKS = [dict(color=colour, ls=dash) for colour, dash in zip((OURS, *CONTROLS), ("-", "--", "-.", ":"), strict=True)]
"""The first kind is what is studied, the others are compared with it."""
LADDER = {
    "clean": (THEORY, "|"),
    "own": (OURS, "o"),
    "explained": (SECOND, "D"),
    "one factor": (SECOND, "d"),
    "without scale": (MARKED, "X"),
    "constant": (QUIET, "P"),
    "swapped": (CONTROL, "s"),
    "silent": (PALE, "v"),
}
"""Colour and marker of each loss."""


@styled
def taken_apart(runs: Row, tokens: Sequence[str], saliency: Row, share: float) -> Figure:
    """One example. Left: activation on its last 1, 2, ... tokens, over that in the text. Right: saliency of each token of the shortest run."""
    figure, (kept, salient) = panels(1, 2, size=(4.2, 2.9))
    lengths = np.arange(1, len(runs) + 1)
    kept.plot(lengths, runs, "o-", ms=4, color=OURS)
    kept.plot(len(tokens), runs[len(tokens) - 1], "o", ms=10, mfc="none", color=MARKED)
    level(kept, share, "half")
    kept.xaxis.get_major_locator().set_params(integer=True)
    frame(kept, "length of the run", "activation / that in the text", title="truncate: the shortest run that keeps half", ylim=(0, None))
    colours = [OURS if value >= share else CONTROL for value in saliency]
    salient.bar(range(len(tokens)), saliency, color=colours)
    salient.axhline(0, color=THEORY, lw=0.6)
    level(salient, share, "half")
    salient.set_xticks(range(len(tokens)), [visible(token).replace(" ", "·") for token in tokens], family="DejaVu Sans Mono", fontsize=8)
    frame(salient, "token that is replaced", "saliency", title="which of its tokens matter", ylim=(min(-0.1, saliency.min()), 1.1))
    return figure


@styled
def by_kind(f1: Mapping[str, Sequence[Row]]) -> Figure:
    """F1 of what is explained, by kind and seed. Left: the share of it that scores more, a line per seed. Right: means, a dot per seed."""
    figure, (shares, means) = panels(1, 2, size=(3.7, 3.1), width_ratios=(1.25, 1))
    for (kind, seeds), look in zip(f1.items(), KIND_LOOKS, strict=False):
        for at, values in enumerate(seeds):
            above = 1 - np.arange(1, len(values) + 1) / len(values)
            shares.step(np.sort(values), above, where="post", lw=1.1, alpha=0.75, label=None if at else kind, **look)
    frame(shares, "F1 on held-out text", Share("share that scores more"), "upper right", xlim=(0, 1), ylim=(0, 1))
    for at, (seeds, look) in enumerate(zip(f1.values(), KIND_LOOKS, strict=False)):
        row = [values.mean() for values in seeds]
        means.plot(np.full(len(row), at) + np.linspace(-0.15, 0.15, len(row)), row, "o", ms=5, color=look["color"])
        note(means, f"{np.mean(row):.2f}", (at, max(row)), (0, 6), ha="center", fontsize=9)
    means.set_xticks(range(len(f1)), [kind.replace(" ", "\n", 1) for kind in f1], fontsize=8)
    frame(means, "", "mean F1", ylim=(0, 1.25 * max(values.mean() for seeds in f1.values() for values in seeds)), xlim=(-0.5, len(f1) - 0.5))
    return figure


@styled
def against_density(kinds: Mapping[str, tuple[Row, Row]], up: str = "F1 on held-out text") -> Figure:
    """F1 against density, (density, F1) by kind, a panel each; the dark line is 2p / (1 + p), the F1 of predicting activity everywhere."""
    figure, axes = sheet(len(kinds), 4, (2.7, 2.8))
    low = min(density[density > 0].min() for density, _ in kinds.values())
    line = np.geomspace(low, 1, 100)
    for at, (panel, (kind, (density, f1)), look) in enumerate(zip(axes, kinds.items(), KIND_LOOKS, strict=False)):
        panel.plot(density, f1, "o", ms=3, alpha=0.5, mew=0, color=look["color"])
        panel.plot(line, 2 * line / (1 + line), color=THEORY, lw=1)
        frame(panel, Log("density p", every=(1,)), "" if at else up, title=kind, xlim=(low / 1.5, 1), ylim=(0, 1.02))
    note(axes[0], "predict everywhere", (0.98, 0.93), where="axes fraction", ha="right", color=THEORY)
    return figure


@styled
def beside(first: Row, second: Row, across: str, up: str, names: Mapping[int, str] = {}) -> Figure:
    """Two scores of the same latents against each other; some of them are named."""
    figure, (axes,) = panels(size=(5.2, 4.2))
    axes.plot([0, 1], [0, 1], color=THEORY, lw=0.7)
    axes.plot(first, second, "o", ms=4, mew=0, alpha=0.55, color=OURS)
    ends = {}
    for at, name in names.items():
        axes.plot(first[at], second[at], "o", ms=7, mfc="none", color=MARKED)
        ends[f"{name} [{at}]" if name in ends else name] = (first[at], second[at], MARKED)
    frame(axes, across, up, xlim=(0, 1.02), ylim=(0, 1.02))
    direct(axes, ends)
    return figure


@styled
def loss_ladder(groups: Mapping[str, Mapping[str, Row]], anchors: Mapping[str, float]) -> Figure:
    """Cross-entropy with the stream replaced, a row per group of dictionaries and a mark per seed and replacement; lines: losses without a model.

    groups: by name, then by the names of `LADDER`.
    """
    figure, (axes,) = panels(size=(7.2, 1.4 + 0.55 * len(groups)))
    for at, losses in enumerate(groups.values()):
        for name, values in losses.items():
            colour, marker = LADDER[name]
            axes.plot(values, np.full(len(values), at), marker, color=colour, ms=7, mec=PAGE if marker != "|" else colour, mew=0.7, ls="",
                      label=None if at else name)  # fmt: skip
    for name, height in anchors.items():
        axes.axvline(height, color=QUIET, lw=0.9, ls=":")
        note(axes, name, (height, 1), (0, 3), ("data", "axes fraction"), ha="center", color=QUIET)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.yaxis.set_inverted(True)
    frame(axes, "cross-entropy, nats per token", ylim=(len(groups) - 0.5, -0.5))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=8, handletextpad=0.2)
    return figure
