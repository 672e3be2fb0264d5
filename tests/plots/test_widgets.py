"""Live figures without a front end: what they display, and what a move does."""

import base64

import ipywidgets
import numpy as np
import pytest

from companion.plots import style, widgets

PNG = b"\x89PNG"


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: a list of bundles by kind."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: bundles.append(data))
    return bundles


@pytest.fixture
def made(monkeypatch):
    """The sliders and the label of messages that are made from here on."""
    boxes = []
    for kind in (ipywidgets.FloatLogSlider, ipywidgets.IntSlider, ipywidgets.Dropdown, ipywidgets.Label):
        monkeypatch.setattr(ipywidgets, kind.__name__, lambda kind=kind, **settings: boxes.append(kind(**settings)) or boxes[-1])
    return boxes


def figure(width: float):
    return style.panels(size=(width, 2.0))[0]


def test_sliders_draw_at_once_and_again_at_every_move(shown, made):
    drawn = []

    def draw(p, n, kind):
        drawn.append((p, n, kind))
        return figure(2 + n)

    widgets.live(draw, p=widgets.Slider(0.01, 1, 0.1, log=True), n=widgets.Slider(1, 4, 2), kind=("a", "b"))
    made[1].value = 3
    made[2].value = "b"
    assert drawn == [(pytest.approx(0.1), 2, "a"), (pytest.approx(0.1), 3, "a"), (pytest.approx(0.1), 3, "b")]
    assert base64.b64decode(shown[0]["image/png"]).startswith(PNG)
    assert "application/vnd.jupyter.widget-view+json" in shown[0]


def test_a_value_that_makes_no_sense_shows_why_and_keeps_the_picture(shown, made):
    def draw(m):
        if m > 2:
            raise ValueError("hidden=3 > features=2")
        return figure(2)

    widgets.live(draw, m=widgets.Slider(1, 4, 1))
    slider, message = made
    slider.value = 3
    assert message.value == "hidden=3 > features=2"
    slider.value = 2
    assert message.value == ""


def test_features_to_turn_have_a_picture_beside_them(shown):
    W = np.eye(3)
    data = widgets.feature_vectors_3d({"axes": W, "other": -W}, figure(2))
    assert [trace["name"] for trace in data["data"]] == ["axes", "other"]
    assert data["data"][0]["x"] == [0, 1, None, 0, 0, None, 0, 0, None]
    assert set(shown[0]) == {"application/vnd.plotly.v1+json", "image/png", "text/plain"}
