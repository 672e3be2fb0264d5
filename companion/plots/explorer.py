"""Live views of text: controls beside a function that draws HTML, which stays in the notebook as it was first drawn.

The functions are pure (`evals.live`, `evals.browser.card`) and come in as arguments. They draw without scripts, so that what is kept can be
read in a viewer without a kernel.
"""

import math
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, NamedTuple

from companion.plots import widgets
from companion.plots.widgets import Slider

PAUSE = 0.5
"""Seconds after a card has come in which a click rates nothing."""


class Text(NamedTuple):
    """Text that the reader types."""

    start: str
    lines: int = 5


class Number(NamedTuple):
    """A whole number that the reader types: any, so that the function says what is wrong with one that is too large."""

    start: int


class Choice(NamedTuple):
    """One of many names, which the reader types or chooses; any text, for the same reason."""

    start: str
    names: tuple[str, ...]


def live(draw: Callable[..., str], **controls: Slider | Text | Number | Choice | tuple[str, ...]) -> None:
    """Show draw(**values), and under it a control per argument; it is drawn anew at every change.

    Two outputs, as in `widgets.live`: without a kernel the first is what is left. Values that `draw` refuses leave what was drawn and
    show why; whatever else goes wrong is shown in the same place.
    """
    from IPython.display import HTML

    inputs = {name: _input(name, control) for name, control in controls.items()}

    def drawn() -> str:
        return draw(**{name: box.value for name, box in inputs.items()})

    # of any error: in a callback it would be lost, or shown as a traceback
    widgets.controlled(inputs, HTML(_or_why(drawn)), lambda: HTML(drawn()), Exception, _why)


def rated(turn: Callable[..., str], parts: Mapping[str, int]) -> None:
    """Show turn(), and under it a slider from 0 to its most for each part and a button; a click shows turn(the points by part) instead.

    Two outputs, as in `live`: without a kernel the first is what is left. What `turn` refuses leaves what was shown and says why;
    otherwise the sliders go back to 0, for what is shown next.
    """
    import ipywidgets
    from IPython.display import HTML, display

    inputs = {name: _input(name, Slider(0, most, 0)) for name, most in parts.items()}
    button, message = ipywidgets.Button(description="Rate, and show the next", layout={"width": "auto"}), ipywidgets.HTML()
    shown, ready = display(HTML(_or_why(turn)), display_id=True), -math.inf

    def click(_) -> None:
        nonlocal ready
        try:
            if time.monotonic() < ready:  # the second half of a double click would give 0 points to a card that nobody saw
                raise ValueError("the next card has only just come: rate it, and press again")
            shown.update(HTML(turn({name: box.value for name, box in inputs.items()})))
        except Exception as error:  # in a callback it would be lost
            message.value = escape(_why(error), quote=False)
            return
        ready, message.value = time.monotonic() + PAUSE, ""
        for box in inputs.values():
            box.value = 0

    button.on_click(click)
    widgets.display_controls([*inputs.values(), button], message)


def _or_why(drawn: Callable[[], str]) -> str:
    try:
        return drawn()
    except Exception as error:  # a page that is opened shows the message in the drawing's place
        return f"<p>{escape(_why(error))}</p>"


def _why(error: Exception) -> str:
    """A sentence for the reader; of an error that is not about a value, its kind too."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _input(name: str, control: Any) -> Any:
    import ipywidgets

    common = {"description": name.replace("_", " "), "style": {"description_width": "110px"}}
    if isinstance(control, Text):
        return ipywidgets.Textarea(control.start, rows=control.lines, layout={"width": "660px", "max_width": "calc(100% - 8px)"}, **common)
    if isinstance(control, Number):
        return ipywidgets.IntText(control.start, layout={"width": "330px"}, **common)
    if isinstance(control, Choice):
        return ipywidgets.Combobox(value=control.start, options=control.names, ensure_option=False, layout={"width": "330px"}, **common)
    return widgets.control_for(name, control)
