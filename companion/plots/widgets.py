"""Live views: sliders over a drawing function, and figures to turn and hover, each with a static picture under it.

A viewer without a kernel (GitHub, nbconvert, a reopened notebook) shows the picture; the functions that draw are pure and are tested
without a front end.
"""

import base64
import json
import math
import sys
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy import ndarray

from companion import picture
from companion.plots import polytopes
from companion.plots.style import CATEGORIES, OURS, THEORY, Row

MARGIN = dict(l=60, r=35, t=40, b=50)
WITHOUT_KERNEL = "(controls: they need a running notebook)"
WRAPPED = {"display": "flex", "flex_flow": "row wrap"}


class Slider(NamedTuple):
    """Range of one number that the reader may change."""

    low: float
    high: float
    start: float
    log: bool = False
    """On a logarithmic scale."""


def live(draw: Callable[..., Figure], **controls: Slider | tuple[str, ...] | str) -> None:
    """Show draw(**values), and under it one slider (or menu of names, or line of text) per argument; the picture is drawn anew at every move.

    Picture and controls are two outputs: a reopened notebook, whose sliders have no kernel, still shows the first. Whole numbers as
    limits make a slider of whole numbers. A value for which `draw` raises ValueError leaves the picture and shows the message.
    """
    inputs = {name: control_for(name, control) for name, control in controls.items()}

    def drawn() -> Figure:
        return draw(**{name: box.value for name, box in inputs.items()})

    controlled(inputs, picture.image(picture.as_png(drawn())), lambda: picture.image(picture.at_once(drawn())))


def controlled(
    inputs: dict[str, Any], first: Any, again: Callable[[], Any], refused: type[Exception] = ValueError, why: Callable[[Exception], str] = str
) -> None:
    """Display `first`, which is kept, and the controls under it as a second output; at every change `again()` takes its place.

    If that raises `refused`, what was there stays and `why` of the error is shown under the controls.
    """
    import ipywidgets
    from IPython.display import display

    message, shown = ipywidgets.HTML(), display(first, display_id=True)

    def refresh(_=None) -> None:
        try:
            shown.update(again())
            message.value = ""
        except refused as error:
            message.value = escape(why(error), quote=False)  # a Label would cut it where it is long, and read formulas in it

    for box in inputs.values():
        box.observe(refresh, names="value")
    display_controls(list(inputs.values()), message)


def display_controls(boxes: Sequence[Any], message: Any) -> None:
    """Display controls side by side over a line of text, as an output of its own; a page without a kernel says so in their place."""
    import ipywidgets
    from IPython.display import display

    below = ipywidgets.VBox([ipywidgets.Box(boxes, layout=WRAPPED), message])
    view = {"version_major": 2, "version_minor": 0, "model_id": below.model_id}
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": WITHOUT_KERNEL}, raw=True)


def control_for(name: str, control: Slider | tuple[str, ...] | str) -> Any:
    """The ipywidgets control of an argument: a slider, a menu of names, or a line of text."""
    import ipywidgets

    common = {"description": name.replace("_", " "), "layout": {"width": "330px"}, "style": {"description_width": "110px"}}
    if isinstance(control, str):
        return ipywidgets.Text(value=control, continuous_update=False, **common)
    if not isinstance(control, Slider):
        return ipywidgets.Dropdown(options=control, **common)
    common |= {"value": control.start, "continuous_update": False}
    if control.log:
        return ipywidgets.FloatLogSlider(min=math.log10(control.low), max=math.log10(control.high), step=0.05, **common)
    if all(isinstance(number, int) for number in control[:3]):
        return ipywidgets.IntSlider(min=control.low, max=control.high, **common)
    return ipywidgets.FloatSlider(min=control.low, max=control.high, step=(control.high - control.low) / 50, **common)


def solids(W: dict[str, Float[ndarray, "F 3"]], static: Figure) -> dict[str, Any]:
    """Show polytopes to be turned by hand, three to a row, from the view and at the size of the static picture; returns what plotly drew."""
    from plotly.subplots import make_subplots
    from scipy.spatial import ConvexHull

    down, across = -(-len(W) // 3), min(3, len(W))
    figure = make_subplots(down, across, specs=[[{"type": "scene"}] * across] * down, subplot_titles=list(W))
    for at, rows in enumerate(W.values()):
        joined = [(rows[i], rows[j]) for i, j in polytopes.edges(ConvexHull(rows))]
        for ends, colour, width in ((joined, THEORY, 2), ([(0 * row, row) for row in rows], OURS, 5)):
            x, y, z = zip(*(place for a, b in ends for place in (a.round(4).tolist(), b.round(4).tolist(), [None] * 3)), strict=True)
            look = dict(mode="lines", line={"width": width, "color": colour}, hoverinfo="skip", showlegend=False)
            figure.add_scatter3d(x=x, y=y, z=z, row=at // 3 + 1, col=at % 3 + 1, **look)
    hidden = dict(visible=False, range=[-1.05, 1.05])
    eye = dict(zip("xyz", 1.5 * polytopes.to_viewer(), strict=True))
    figure.update_scenes(xaxis=hidden, yaxis=hidden, zaxis=hidden, aspectmode="cube", camera={"eye": eye})
    figure.update_layout(margin=MARGIN)
    return turnable(figure, static)


def hoverable_points(
    points: dict[str, tuple[Row, Row]], texts: dict[str, list[str]], static: Figure, colours: Sequence = CATEGORIES
) -> dict[str, Any]:
    """Show named groups of points with a text under the pointer, on the axes of the static picture; returns what plotly drew."""
    import plotly.graph_objects as go

    axes, figure = static.axes[0], go.Figure()
    told = axes.get_ylabel() + " = %{y}<br>%{text}"
    for (name, (x, y)), colour in zip(points.items(), map(to_hex, colours), strict=False):
        marker = dict(size=5, color=colour, opacity=0.7)
        figure.add_scatter(x=x.round(3), y=y.round(3), text=texts[name], name=name, mode="markers", marker=marker, hovertemplate=told)
    figure.update_xaxes(type="log", range=np.log10(axes.get_xlim()).tolist(), title=axes.get_xlabel(), tickvals=axes.get_xticks().tolist())
    figure.update_yaxes(range=list(axes.get_ylim()), title=axes.get_ylabel())
    figure.update_layout(margin=MARGIN, legend={"orientation": "h", "y": 1, "yanchor": "bottom"})
    return turnable(figure, static)


def turnable(figure: Any, static: Figure) -> dict[str, Any]:
    """Show a plotly figure where it can be drawn, and the static picture, in the same size, where it cannot.

    One bundle holds both, so that a viewer takes what it can. JupyterLab shows the picture until the pointer enters it, one dot to a
    pixel whatever width the bundle gives, so this picture is no finer than it is shown. Colab has plotly's own way of showing a
    figure, and gets the picture above it.
    """
    from IPython.display import display
    from plotly.utils import PlotlyJSONEncoder

    width, height = (round(96 * inches) for inches in static.get_size_inches())
    figure.update_layout(width=width, height=height, modebar={"orientation": "v"})  # beside the titles, not over them
    if "google.colab" in sys.modules:
        display(picture.image(picture.as_png(static)))
        figure.show()
    data = json.loads(json.dumps(figure.to_plotly_json(), cls=PlotlyJSONEncoder))
    data["layout"].pop("template", None)
    if "google.colab" not in sys.modules:
        still = base64.b64encode(picture.at_once(static, dpi=96)).decode()
        both = {"application/vnd.plotly.v1+json": data, "image/png": still}
        display(both | {"text/plain": "a figure to turn or hover over"}, raw=True, metadata={"image/png": {"width": width}})
    return data
