"""Live figures without a front end: what they display, and what a move does."""

import base64
import io

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from companion.plots import dynamics, splitting, style, widgets

PNG = b"\x89PNG"


@pytest.fixture
def made(monkeypatch):
    """The sliders and the place of messages that are made from here on."""
    boxes = []
    for kind in (ipywidgets.FloatLogSlider, ipywidgets.IntSlider, ipywidgets.Dropdown, ipywidgets.Text, ipywidgets.HTML):
        monkeypatch.setattr(ipywidgets, kind.__name__, lambda kind=kind, **settings: boxes.append(kind(**settings)) or boxes[-1])
    return boxes


def controls_of(shown) -> ipywidgets.Widget:
    """The widget that the second output is a view of."""
    return ipywidgets.widgets.widget._instances[shown[1]["application/vnd.jupyter.widget-view+json"]["model_id"]]


def figure(width: float):
    return style.panels(size=(width, 2.0))[0]


def test_sliders_draw_at_once_and_again_at_every_move(shown, made):
    drawn = []

    def draw(p, n, kind):
        drawn.append((p, n, kind))
        return figure(2 + n)

    widgets.live(draw, p=widgets.Slider(0.01, 1, 0.1, log=True), n=widgets.Slider(1, 4, 2), kind=("a", "b"))
    first = shown[0].data
    made[1].value = 3
    made[2].value = "b"
    assert drawn == [(pytest.approx(0.1), 2, "a"), (pytest.approx(0.1), 3, "a"), (pytest.approx(0.1), 3, "b")]
    assert first.startswith(PNG)
    assert shown[0].data.startswith(PNG)
    assert shown[0].data != first
    assert isinstance(controls_of(shown), ipywidgets.VBox)
    assert shown[1]["text/plain"] == widgets.WITHOUT_KERNEL
    assert len(shown) == 2


def test_a_text_is_drawn_as_it_stands_and_as_it_is_typed(shown, made):
    drawn = []

    def draw(code):
        drawn.append(code)
        return figure(3)

    widgets.live(draw, code="if x")
    made[0].value = "if y"
    assert drawn == ["if x", "if y"]


def test_controls_keep_their_width_and_wrap(shown, made):
    widgets.live(lambda p, n: figure(2 + n), p=widgets.Slider(0.01, 1, 0.1, log=True), n=widgets.Slider(1, 4, 2))
    row = controls_of(shown).children[0]
    assert row.layout.flex_flow == "row wrap"
    assert {box.layout.width for box in row.children} == {"330px"}


@pytest.mark.parametrize("end", [0.01, 1.0])
def test_a_slider_reaches_both_ends(shown, made, end):
    drawn = []
    widgets.live(lambda p: drawn.append(p) or figure(2), p=widgets.Slider(0.01, 1, 0.1, log=True))
    made[0].value = end
    assert drawn[-1] == pytest.approx(end)


def test_a_value_that_makes_no_sense_shows_why_and_keeps_the_picture(shown, made):
    def draw(m):
        if m > 2:
            raise ValueError("hidden=3 > features=2")
        return figure(2)

    widgets.live(draw, m=widgets.Slider(1, 4, 1))
    slider, message = made
    slider.value = 3
    assert message.value == "hidden=3 &gt; features=2"
    slider.value = 2
    assert message.value == ""


def test_solids_to_turn_have_their_edges_and_spokes_and_a_picture_of_the_same_size(shown):
    octahedron = np.concatenate([np.eye(3), -np.eye(3)])
    static = figure(2)
    data = widgets.solids({"octahedron": octahedron, "other": -octahedron}, static)
    edges, spokes = data["data"][:2]
    assert edges["x"].count(None) == 12  # one gap after each edge
    assert spokes["x"][:6] == [0, 1, None, 0, 0, None]
    assert {trace["scene"] for trace in data["data"]} == {"scene", "scene2"}
    assert [data["layout"][side] for side in ("width", "height")] == (96 * static.get_size_inches()).astype(int).tolist()
    assert set(shown[0]) == {"application/vnd.plotly.v1+json", "image/png", "text/plain"}
    picture = Image.open(io.BytesIO(base64.b64decode(shown[0]["image/png"])))  # JupyterLab shows it one dot to a pixel
    assert [*picture.size] == [data["layout"][side] for side in ("width", "height")]


def test_points_have_their_text_on_the_axes_of_the_picture(shown):
    static = figure(2)
    static.axes[0].set(xscale="log", xlim=(1, 10), ylim=(0, 1))
    data = widgets.hoverable_points({"pair": (np.array([2.0]), np.array([0.5]))}, {"pair": ["feature 3 of 3, 7"]}, static)
    assert data["data"][0]["text"] == ["feature 3 of 3, 7"]
    assert data["layout"]["xaxis"]["range"] == [0, 1]
    assert "image/png" in shown[0]


def test_points_of_a_map_have_their_texts_by_group(shown):
    at = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    groups = {"import line": np.array([False, True, False])}
    static = splitting.latent_map(at, groups, {"512": np.array([True, True, True])})
    data = splitting.hoverable_map(at, groups, ["a", "b", "c"], static)
    assert [(part["name"], list(part["text"])) for part in data["data"]] == [("the rest", ["a", "c"]), ("import line", ["b"])]
    assert data["layout"]["xaxis"]["range"] == list(static.axes[0].get_xlim())
    assert "image/png" in shown[0]


def test_a_run_in_space_has_a_slider_that_needs_no_kernel(shown):
    opening = np.linspace(0, 1, 7)[:, None, None] * np.concatenate([np.eye(3), -np.eye(3)])  # (T, F, 3)
    data = dynamics.turnable_vectors(np.arange(1, 8), {"run": opening}, {"run": 3})
    (slider,) = data["layout"]["sliders"]
    moves = {step["label"]: step["args"][0] for step in slider["steps"]}
    assert list(moves) == ["1", "4", "7"]
    assert moves["7"]["x"][0] == [0, 1, None, 0, 0, None, 0, 0, None]
    assert data["data"][0]["x"] == [0, 0.5, None, 0, 0, None, 0, 0, None]
    assert shown[0]["image/png"]
