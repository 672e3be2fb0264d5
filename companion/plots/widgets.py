"""Live views: sliders over a drawing function, and figures to turn and hover, each with a static picture under it.

A viewer without a kernel (GitHub, nbconvert, a reopened notebook) shows the picture; the functions that draw are pure and are tested
without a front end.
"""

import base64
import io
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from companion.plots.style import OURS, THEORY


class Slider(NamedTuple):
    """Range of one number that the reader may change."""

    low: float
    high: float
    start: float
    log: bool = False
    """On a logarithmic scale."""


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def live(draw: Callable[..., Figure], **controls: Slider | tuple[str, ...]) -> None:
    """Show draw(**values) above one slider (or menu of names) per argument, drawn anew at every move.

    Whole numbers as limits make a slider of whole numbers. A value for which `draw` raises ValueError leaves the picture and shows the
    message.
    """
    import ipywidgets

    inputs = {name: _input(name, control) for name, control in controls.items()}
    picture, message = ipywidgets.Image(format="png"), ipywidgets.Label()

    def refresh(_=None) -> None:
        try:
            picture.value = png(draw(**{name: box.value for name, box in inputs.items()}))
            message.value = ""
        except ValueError as error:
            message.value = str(error)

    refresh()
    for box in inputs.values():
        box.observe(refresh, names="value")
    whole = ipywidgets.VBox([picture, ipywidgets.HBox(list(inputs.values())), message])
    _show({"application/vnd.jupyter.widget-view+json": {"version_major": 2, "version_minor": 0, "model_id": whole.model_id}}, picture.value)


def _input(name: str, control: Slider | tuple[str, ...]) -> Any:
    import ipywidgets

    if not isinstance(control, Slider):
        return ipywidgets.Dropdown(options=control, description=name)
    common = {"description": name, "value": control.start, "continuous_update": False}
    if control.log:
        return ipywidgets.FloatLogSlider(min=math.log10(control.low), max=math.log10(control.high), step=0.05, **common)
    if all(isinstance(number, int) for number in control[:3]):
        return ipywidgets.IntSlider(min=control.low, max=control.high, **common)
    return ipywidgets.FloatSlider(min=control.low, max=control.high, step=(control.high - control.low) / 50, **common)


def _show(data: dict[str, Any], picture: bytes) -> None:
    from IPython.display import display

    display(data | {"image/png": base64.b64encode(picture).decode(), "text/plain": "a live figure; without a kernel, its picture"}, raw=True)


def feature_vectors_3d(W: dict[str, Float[ndarray, "F 3"]], static: Figure) -> dict[str, Any]:
    """Show features in three dimensions, to be turned by hand, one set of rows at a time; returns what plotly drew."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, (name, rows) in enumerate(W.items()):
        spokes = [value for row in rows for value in ([0, 0, 0], row.round(4).tolist(), [None] * 3)]
        x, y, z = zip(*spokes, strict=True)
        figure.add_scatter3d(x=x, y=y, z=z, mode="lines+markers", marker={"size": 4}, line={"width": 5, "color": OURS}, name=name, visible=i == 0)
    buttons = [dict(label=name, method="update", args=[{"visible": [other == name for other in W]}]) for name in W]
    axis = dict(range=[-1.3, 1.3], color=THEORY)
    figure.update_layout(
        width=560, height=480, updatemenus=[dict(buttons=buttons, x=0, y=1.1)], scene=dict(xaxis=axis, yaxis=axis, zaxis=axis, aspectmode="cube")
    )
    return turnable(figure, static)


def turnable(figure: Any, static: Figure) -> dict[str, Any]:
    """Show a plotly figure where it can be drawn, and the static picture where it cannot."""
    from plotly.utils import PlotlyJSONEncoder

    data = json.loads(json.dumps(figure.to_plotly_json(), cls=PlotlyJSONEncoder))
    data["layout"].pop("template", None)
    _show({"application/vnd.plotly.v1+json": data}, png(static))
    return data
