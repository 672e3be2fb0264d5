"""Controls beside HTML without a front end: what is displayed, and what a change does."""

import ipywidgets

from companion.plots import explorer, widgets
from companion.plots.explorer import Choice, Number, Text


def controls(shown) -> tuple[dict[str, ipywidgets.Widget], ipywidgets.HTML]:
    view = shown[1]["application/vnd.jupyter.widget-view+json"]["model_id"]
    row, message = ipywidgets.widgets.widget._instances[view].children
    return {box.description: box for box in row.children}, message


def draw(text: str, latent: int, label: str = "", at: float = 0.0) -> str:
    if latent > 9:
        raise ValueError(f"there is no latent {latent}")
    if text == "burst":
        raise ZeroDivisionError("by <b>zero</b>")
    return f"<p>{text} {latent} {label} {at:g}</p>"


def test_html_and_controls_are_two_outputs_and_a_change_draws_anew(shown):
    explorer.live(draw, text=Text("x = 1"), latent=Number(3), label=Choice("comma", ("comma", "colon")), at=widgets.Slider(0.0, 2.0, 1.0))
    assert shown[0].data == "<p>x = 1 3 comma 1</p>"
    assert shown[1]["text/plain"] == widgets.WITHOUT_KERNEL
    boxes, message = controls(shown)
    boxes["text"].value = "y = 2"
    boxes["latent"].value = 4
    boxes["label"].value = "nothing of the kind"
    boxes["at"].value = 2.0
    assert shown[0].data == "<p>y = 2 4 nothing of the kind 2</p>"
    assert message.value == ""
    assert len(shown) == 2


def test_what_is_refused_shows_why_and_keeps_what_was_drawn(shown):
    explorer.live(draw, text=Text("x"), latent=Number(3))
    boxes, message = controls(shown)
    boxes["latent"].value = 10
    assert message.value == "there is no latent 10"
    boxes["latent"].value = 3
    boxes["text"].value = "burst"
    assert message.value == "ZeroDivisionError: by &lt;b&gt;zero&lt;/b&gt;"
    assert shown[0].data == "<p>x 3  0</p>"
    boxes["text"].value = "y"
    assert message.value == ""


def test_a_start_that_makes_no_sense_shows_the_message_in_its_place(shown):
    explorer.live(draw, text=Text("burst"), latent=Number(3))
    assert shown[0].data == "<p>ZeroDivisionError: by &lt;b&gt;zero&lt;/b&gt;</p>"


def test_points_go_to_the_turn_at_a_click_and_start_from_zero_again(shown, monkeypatch):
    given = []

    def turn(points=None) -> str:
        if points == {"confidence": 3, "logits": 0}:
            raise ValueError("too sure")
        given.append(points)
        return f"<p>card {len(given)}</p>"

    now = [0.0]
    monkeypatch.setattr(explorer.time, "monotonic", lambda: now[0])
    explorer.rated(turn, {"confidence": 3, "logits": 2})
    assert shown[0].data == "<p>card 1</p>"
    assert shown[1]["text/plain"] == widgets.WITHOUT_KERNEL
    boxes, message = controls(shown)
    button = next(box for name, box in boxes.items() if name.startswith("Rate"))
    boxes["confidence"].value = 3
    assert given == [None]  # a slider alone rates nothing
    button.click()
    assert (message.value, shown[0].data) == ("too sure", "<p>card 1</p>")
    boxes["logits"].value = 2
    button.click()
    assert given == [None, {"confidence": 3, "logits": 2}]
    assert (message.value, shown[0].data) == ("", "<p>card 2</p>")
    assert [boxes[name].value for name in ("confidence", "logits")] == [0, 0]
    assert boxes["logits"].max == 2
    now[0] = explorer.PAUSE - 0.01
    button.click()  # the second half of a double click: nobody has seen card 2
    assert (message.value, shown[0].data) == ("the next card has only just come: rate it, and press again", "<p>card 2</p>")
    now[0] = explorer.PAUSE
    button.click()
    assert given == [None, {"confidence": 3, "logits": 2}, {"confidence": 0, "logits": 0}]
    assert (message.value, shown[0].data) == ("", "<p>card 3</p>")
