"""Pictures: small, with their caption inside, and legible on a dark page."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from companion import claims, picture


def drawn(**look) -> Figure:
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], **look)
    axes.set_title("a title")
    return figure


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float)


def test_few_colours_are_small_and_look_the_same():
    figure, full = Figure(figsize=(4, 3)), io.BytesIO()
    figure.subplots().imshow(np.random.default_rng(0).random((40, 40)), cmap="viridis")
    figure.savefig(full, format="png", dpi=picture.DPI)
    small = picture.as_png(figure)
    assert len(small) < 0.7 * len(full.getvalue())
    assert np.abs(pixels(full.getvalue()) - pixels(small)).mean() < 3  # of 255


def test_a_picture_knows_its_caption_and_the_size_at_which_it_is_shown():
    png = picture.as_png(drawn(), "Look at the diagonal: n = 5, p ≤ 1.")
    assert picture.description(png) == "Look at the diagonal: n = 5, p ≤ 1."
    assert picture.width(png) == 4 * 96


def test_on_a_dark_page_ground_and_ink_change_and_colours_stay():
    blue = (0x00, 0x72, 0xB2)
    figure = drawn(color="#0072b2", lw=6)
    figure.axes[0].text(0.2, 0.8, "a note", bbox=dict(fc="white", ec="black"))
    before = picture.as_png(figure)
    png = pixels(picture.as_dark_png(figure))
    assert picture.as_png(figure) == before  # a page may show it once more
    ground = png[3, 3]
    assert ground.max() < 40
    assert (np.abs(png - blue).max(-1) < 12).any()  # the curve
    assert (png.min(-1) > 200).any()  # letters and axes
    assert (png.min(-1) > 200).mean() < 0.05  # and no white slab


def test_on_a_dark_page_pale_markers_are_dark_too():
    pale, without = (pixels(picture.as_dark_png(drawn(color="#dcdcdc", marker="o", ms=size))) for size in (30, 0))
    assert (pale.min(-1) > 150).sum() <= (without.min(-1) > 150).sum()  # no marker is as light as the letters
    assert (np.abs(pale - without).max(-1) > 12).any()  # and they can be seen


def test_a_page_without_an_opening_picture_shows_none():
    assert picture.opening("99_nothing") is None


def test_a_new_page_keeps_a_place_for_its_opening_picture(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **place: shown.append((data.data, place)))
    claims.opening("99_nothing")
    assert shown == [("*The opening picture is made with the record.*", {"display_id": claims.OPENING})]
