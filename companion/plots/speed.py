"""What a training step costs: its parts, its curves, and benchmarks that were recorded elsewhere. Arrays in, Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from companion.plots.bars import bars
from companion.plots.lines import FEW, MANY, WRITTEN, Log, Panel, Share, frame, level, lines, solid
from companion.plots.style import CONTROL, LIBRARIES, MARKED, OURS, PAGE, PALE, PARTS, QUIET, SECOND, THEORY, Row, Rows, panels, styled


def over_ratio(ratio: Row, measured: Rows, ylabel: str, formula: Row | None = None) -> Figure:
    """Measured ratios (dots per repeat, line through medians) against n/k, with what operations alone would give."""
    curves = {"measured, median": np.median(measured, axis=0), "each round": measured}
    looks = [dict(color=OURS), dict(color=OURS, marker=".", ls="", ms=4, alpha=0.5), dict(color=THEORY, ls="--", lw=1)]
    legend = "upper left" if formula is None else "lower right"
    curves |= {} if formula is None else {"operations, by the formula": formula}
    across, up = Log("n / k   (latents per latent kept)", ratio), Log(ylabel, every=FEW)
    figure = lines(Panel(ratio, curves, across, up, looks, legend=legend), size=(6.0, 3.4))
    level(figure.axes[0], 1, "equal", colour=QUIET)
    return figure


def held(latents: Sequence[int], shares: Mapping[str, Row], limit: float) -> Figure:
    """Memory beyond the weights' own, as a share of the (B, n) array, against n; the limit is a line."""
    across, up = Log("n, latents", latents, form=WRITTEN), Log("extra memory of a step\n/ (B, n) float32 array", every=FEW, form="{x:.0%}")
    limits = {f"{limit:.0%}": limit, "the array itself": 1}
    drawn = Panel(latents, shares, across, up, solid(OURS, PALE, CONTROL), limits, legend="center right")
    return lines(drawn, size=(6.0, 3.2), marker="o", ms=4)


def losses(steps: Row, curves: Mapping[str, Rows]) -> Figure:
    """Training error by step, one line per seed, one colour and dash per form of the step."""
    looks = zip((CONTROL, OURS, SECOND, MARKED), ("-", "--", ":", "-."), (3, 1.4, 1.4, 1.4), strict=True)
    looks = [dict(color=colour, ls=dash, lw=width) for colour, dash, width in looks]
    return lines(Panel(steps, curves, "step", Log("normalised MSE", every=MANY), looks), size=(6.0, 3.2))


@styled
def parts(steps: Mapping[str, Mapping[str, float]], xlabel: str, whole: Mapping[str, float] | None = None) -> Figure:
    """One stacked bar per name, its parts (keys of `PARTS`) in order. At the end stands the sum, or `whole` where it was measured by itself."""
    figure, (axes,) = panels(size=(8.0, 0.7 + 0.6 * len(steps) + 0.8))
    ends = [sum(step.values()) if whole is None else whole[name] for name, step in steps.items()]
    bars(axes, steps, ends, ["none"] * len(steps), "{:.3g}", xlabel=xlabel)
    for at, step in enumerate(steps.values()):
        ends = np.cumsum([0, *step.values()])
        axes.barh(at, list(step.values()), left=ends[:-1], color=[PARTS[part] for part in step], edgecolor=PAGE, lw=0.5)
    names = dict.fromkeys(part for step in steps.values() for part in step)
    for name in names:
        axes.barh(0, 0, color=PARTS[name], label=name)
    figure.legend(loc="outside upper center", ncols=min(len(names), 4))
    return figure


@styled
def coarser(names: Sequence[str], overlap: Row, error: Rows) -> Figure:
    """Selections of lower and lower precision: share of the right latents found, and the error of the model trained with them."""
    figure, (share, loss) = panels(1, 2, sharey=True, size=(4.2, 0.6 + 0.45 * len(names)))
    bars(loss, names, error, [OURS] * len(names), xlabel="normalised MSE after training")
    bars(share, names, overlap, [OURS] * len(names), "{:.1%}")
    frame(share, Share("share of the float32 selection found"), xlim=(0, 1.18), xticks=(0, 0.25, 0.5, 0.75, 1))
    return figure


@styled
def recorded(rows: Sequence[str], ratios: Rows, least: Rows, most: Rows, shapes: Sequence[str], source: str) -> Figure:
    """A stored benchmark: time of one step over that of the encoder product, (row, shape), a panel per shape; whiskers span the rounds.

    source: what recorded it and on which machine, written over the panels, because nothing here was measured in the page.
    """
    figure, axes = panels(1, len(shapes), sharey=True, sharex=True, size=(3.4, 0.9 + 0.38 * len(rows)))
    colours = [LIBRARIES[at % len(LIBRARIES)] for at in range(len(rows))]
    for panel, shape, ratio, low, high in zip(axes, shapes, ratios.T, least.T, most.T, strict=True):
        bars(panel, rows, ratio, colours, "{:.2g}", whiskers=(low, high), xlabel="time of a step / encoder product", title=shape)
        panel.axvline(1, color=THEORY, lw=1)
        panel.set_xlim(0, 1.15 * max(1, most.max()))
    figure.suptitle(source, fontsize=9)
    return figure


@styled
def company(names: Sequence[str], efficiency: Sequence[float], least: Sequence[float], most: Sequence[float], source: str) -> Figure:
    """Weak scaling: tokens (or latents) per second and process, relative to one process alone; whiskers are the rounds' extremes."""
    figure, (axes,) = panels(size=(6.2, 2.4))
    bars(axes, names, efficiency, [CONTROL, CONTROL] + [OURS] * (len(names) - 2), "{:.2f}", whiskers=(np.array(least), np.array(most)))
    axes.set(xlabel="work per second and process / that of one process alone")
    axes.axvline(1, color=THEORY, lw=0.8)
    figure.suptitle(source, fontsize=8)
    return figure
