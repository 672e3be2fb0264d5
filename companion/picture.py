"""Pictures as bytes: sharp PNGs with their caption inside, in few colours where they are kept; a dark variant; a page's opening picture."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

DPI = 192
"""Twice what a screen of common density shows."""
OPENINGS = Path(__file__).parent / "openings"
DARK, PALE = "#0d1117", "#e6edf3"
"""Ground and ink where the reader's page is dark."""


def as_png(figure: Figure, caption: str = "", **look: Any) -> bytes:
    """The figure in at most 256 colours, a third of the bytes; the caption is kept as the file's description."""
    buffer, about = io.BytesIO(), PngImagePlugin.PngInfo()
    about.add_itxt("Description", caption)
    few = Image.open(io.BytesIO(at_once(figure, **look))).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True, pnginfo=about)
    return buffer.getvalue()


def at_once(figure: Figure, dpi: int = DPI, **look: Any) -> bytes:
    """The figure in all its colours: larger and sooner made than in few."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, **look)
    return buffer.getvalue()


def image(png: bytes, **metadata: str):
    """A picture of `DPI` as IPython shows it, at its true width."""
    from IPython import display

    return display.Image(png, width=width(png), metadata=metadata)


def width(png: bytes) -> int:
    """Pixels at which a picture of `DPI` is shown."""
    return round(Image.open(io.BytesIO(png)).width * 96 / DPI)


def description(png: bytes) -> str:
    """The caption inside a picture; "" if it has none."""
    return Image.open(io.BytesIO(png)).info.get("Description", "")


def as_dark_png(figure: Figure, caption: str = "") -> bytes:
    """The same picture for a dark page: ground and ink change places, colours that mean something stay, and so does the figure."""
    artists = figure.findobj(lambda artist: not isinstance(artist, (Axes, Figure)))  # their grounds are patches, found by themselves
    boxes = [getattr(artist, "get_bbox_patch", lambda: None)() for artist in artists]  # grounds of labels, which are found nowhere else
    back = [change for artist in (*artists, *filter(None, boxes)) for change in _exchange(artist)]
    try:
        return as_png(figure, caption, facecolor=DARK)
    finally:
        for put, colour in reversed(back):
            put(colour)


def _exchange(artist: Any) -> list[tuple[Callable, Any]]:
    """Turn an artist's black and grey inks pale, and its white and near-white grounds dark; what was there, and what puts it back."""
    parts = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
    known = [part for part in parts if hasattr(artist, f"get_{part}") and hasattr(artist, f"set_{part}")]
    colours = {part: getattr(artist, f"get_{part}")() for part in known}  # all of them first: a marker takes the colour of its line
    back = []
    for part, colour in colours.items():
        if isinstance(colour, (str, tuple)) and (other := _other(colour)):
            put = getattr(artist, f"set_{part}")
            back.append((put, colour))
            put(other)
    return back


def _other(colour: Any) -> tuple[float, ...] | None:
    """The grey of opposite lightness for a grey; nothing for a colour, nor for what is not drawn."""
    try:
        red, green, blue, alpha = to_rgba(colour)
    except ValueError:
        return None
    if alpha == 0 or max(red, green, blue) - min(red, green, blue) > 0.08:
        return None
    dark, pale = to_rgba(DARK), to_rgba(PALE)
    return (*(pale[i] + (dark[i] - pale[i]) * green for i in range(3)), alpha)


def opening(notebook: str) -> bytes | None:
    """A page's opening picture as it ships with the package, so that a page copied to Colab has it too."""
    path = OPENINGS / f"{notebook}.png"
    return path.read_bytes() if path.is_file() else None
