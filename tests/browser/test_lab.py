"""Pages and live parts in JupyterLab: they run, answer to keys and pointer, say what makes no sense, and stay readable without a kernel.

A further page is a line of PAGES; it is tried as soon as its notebook exists.
"""

from pathlib import Path

import nbformat
import pytest

from companion.plots import explorer
from companion.plots.widgets import WITHOUT_KERNEL

FIRST_POINT = """plot => {
  const {xaxis, yaxis, _size} = plot._fullLayout, first = plot._fullData.at(-1);
  return [xaxis.l2p(first.x[0]) + _size.l, yaxis.l2p(first.y[0]) + _size.t];
}"""
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGES = [
    "01_demonstrating_superposition",
    "14_anatomy_of_a_feature",
    "15_steering",
]
MARKUP = "<img src=x onerror='window.bad = 1'><b><script>window.bad = 1</script>"
CODE = 'import os\n\n\ndef walk(path, *, depth=3):\n    """Names below."""\n    return [name for name in os.listdir(path)]\n'
TEX = "'$x_1$'\n"
SMALL = """\
import numpy as np
import torch
from IPython.display import HTML
from companion import memo
from companion.evals import browser, game, live, views
from companion.lm import sources, subject, training
from companion.plots import explorer, splitting
from companion.plots.explorer import Choice, Number, Slider, Text
from companion.sae.models import TopK

tiny = subject.open_subject(memo.memo_folder(sources.prepare, training.TINY))
sae = TopK.random(32, 64, 4, torch.Generator().manual_seed(0)).requires_grad_(False)
view = views.look(tiny, sae, "blocks.0.hook_resid_post", others={"itself": sae})
some = int(view.fired.counts.argmax())
HTML("$x_0$")  # which a notebook sets as a formula
---
explorer.live(lambda text, latent: live.typed(view, text, latent), text=Text("x = 1\\n"), latent=Number(some))
---
explorer.live(lambda latent: browser.card(view, latent), latent=Number(some))
---
thresholds = dict(latent=Number(some), label=Choice("comma", views.NAMES), at=Slider(0.0, 4.0, 1.0))
explorer.live(lambda latent, label, at: live.threshold(view, latent, label, at), **thresholds)
---
def steer(prompt, latent, strength):
    base, held = (live.write(view, prompt, which, strength, new=16, samples=2) for which in (None, latent))
    return live.steered(base, held)


explorer.live(steer, prompt=Text("import os\\n", 2), latent=Number(some), strength=Slider(0.0, 5.0, 1.0))
---
def children(latent, at):
    return live.children(view, latent, "itself", view, at)


explorer.live(children, latent=Number(some), at=Slider(0.3, 1.0, 0.8))
---
def blind(card):
    return game.blind_card([("Strongest", [browser.line(["x", "<b>"], [0.5, 1.0], 1.0, 1)])], ["<i>", "y"])


explorer.rated(game.Sitting(game.deal({"latent": [1, 2], "neuron": [7]}, 0), blind).turn, game.RUBRIC)
---
at = np.stack([np.linspace(-3.0, 3.0, 30), np.linspace(-3.0, 3.0, 30) ** 2], axis=1)
groups = {"right": at[:, 0] > 0}
drawn = splitting.latent_map(at, groups, {"64": np.ones(30, dtype=bool)})
_ = splitting.hoverable_map(at, groups, [f"64: {i}<br>comma<br><img src=x onerror='window.bad = 1'>" for i in range(30)], drawn)
"""
"""The live parts of text, on a small model and an autoencoder that was not trained; a game of three cards; a map."""
DRAWN = TYPED, CARD, THRESHOLD, STEERED, CHILDREN = range(5)
GAME = 5


def _if_it_exists(name: str):
    there = (NOTEBOOKS / f"{name}.ipynb").is_file()
    return pytest.param(name, marks=pytest.mark.skipif(not there, reason=f"there is no notebook {name} yet"))


@pytest.mark.parametrize("name", [*map(_if_it_exists, PAGES)])
def test_a_page_runs_and_every_control_answers(name, lab, opened):
    kept = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    outputs = [output for cell in kept.cells if cell.cell_type == "code" for output in cell.outputs]
    count = sum(output.get("data", {}).get("text/plain") == WITHOUT_KERNEL for output in outputs)
    lab.put(kept, f"{name}.ipynb")
    notebook = opened(f"{name}.ipynb")
    static = notebook.page.get_by_text(WITHOUT_KERNEL, exact=True)
    static.nth(count - 1).wait_for(state="attached")  # Lab fills a page from the top
    assert all(notebook.above(static.nth(at)).locator("img, .latent").count() for at in range(count))
    notebook.run_all()
    assert len(notebook.live()) == count > 0
    assert notebook.wider_than_its_place() == []
    _use(notebook, name, notebook.live())


def _use(notebook, name: str, parts: list) -> None:
    for number, part in enumerate(parts):
        for label, seconds in part.use_all():
            print(f"{name}, {label}: {seconds:.2f} s")
        part.drawing.first.scroll_into_view_if_needed()
        notebook.picture(f"{name}.{number}")
    assert notebook.wider_than_its_place() == []


def test_a_typed_text_is_drawn_and_a_clicked_token_tells_its_latents(small):
    typed = small.live()[TYPED]
    seconds = typed.answers(lambda: typed.put("text", CODE))
    assert typed.message() == ""
    print(f"typed text: {seconds:.2f} s")
    token = typed.drawing.locator(".w", has_text="def")
    told = token.first.locator("span")
    assert not told.is_visible()
    token.first.click()
    assert told.is_visible()
    assert "·" in told.text_content()
    assert not small.is_cut(told)
    small.picture("small.clicked")
    assert small.wider_than_its_place() == []


def test_typed_markup_becomes_no_element_and_runs_nothing(small):
    typed, threshold = small.live()[TYPED], small.live()[THRESHOLD]
    typed.answers(lambda: typed.put("text", MARKUP))
    threshold.put("label", MARKUP)
    threshold.says("there is no label")
    assert "<script>" in threshold.message()
    words = typed.drawing.locator(".w").evaluate_all("words => words.map(word => word.firstChild.textContent)")
    assert MARKUP.startswith("".join(words))
    assert "<img src=x onerror=" in "".join(words)
    for place in (part for live in (typed, threshold) for part in (live.drawing, live.controls)):
        assert place.locator("script, img, b").count() == 0
    assert small.page.evaluate("window.bad") is None
    small.picture("small.markup")
    threshold.put("label", "comma")
    threshold.says("")


def test_what_makes_no_sense_is_said_in_place_and_what_was_drawn_stays(small):
    for number in DRAWN:
        part = small.live()[number]
        good, before = part.field("latent").input_value(), part.drawn()
        part.put("latent", "99")
        part.says("there is no latent 99: they are numbered 0 to 63")
        assert part.drawn() == before
        part.controls.scroll_into_view_if_needed()
        small.picture(f"small.refused.{number}")
        part.put("latent", good)
        part.says("")


@pytest.mark.parametrize("number", DRAWN)
def test_numbers_that_are_none_or_too_large_leave_no_traceback(small, number):
    part = small.live()[number]
    good, before = part.field("latent").input_value(), part.drawn()
    for nonsense in ("", "+", "-1", "9" * 30):
        part.type_over("latent", nonsense)
    part.says("there is no latent 1000000")  # a front end knows a number of so many digits nearly
    assert part.drawn() == before
    part.put("latent", good)
    part.says("")
    assert small.errors() == []


@pytest.mark.parametrize(("number", "label", "most"), [(THRESHOLD, "at", 4), (STEERED, "strength", 5), (CHILDREN, "at", 1)])
def test_a_slider_takes_the_nearest_number_that_it_has_and_no_text(small, number, label, most):
    part = small.live()[number]
    good = part.number(label).text_content()
    for typed in ("999", "", "nan", "<b>", "1e999"):
        part.type_over(label, typed)
        part.type_over(label, "999")
        assert float(part.number(label).text_content()) == most, typed
    part.type_over(label, "-999")
    assert 0 <= float(part.number(label).text_content()) < most
    part.answers(lambda: part.type_over(label, good))
    assert part.message() == ""
    assert part.controls.locator("b").count() == 0


def test_dollars_in_a_text_are_no_formula_and_a_long_message_is_whole(small):
    small.page.locator("mjx-container").wait_for(state="attached")  # the one that is meant as a formula
    typed, threshold, steered = (small.live()[number] for number in (TYPED, THRESHOLD, STEERED))
    for part, label in ((typed, "text"), (steered, "prompt")):
        part.answers(lambda part=part, label=label: part.put(label, TEX))
    assert TEX.strip() in steered.drawing.locator(".typed").first.text_content()
    small.page.set_viewport_size({"width": 800, "height": 900})
    threshold.put("label", "$x_1$ " * 12)
    threshold.says("there is no label '$x_1$ $x_1$")
    assert not threshold.cuts_its_message()
    small.picture("small.long")
    threshold.put("label", "comma")
    threshold.says("")
    small.page.set_viewport_size({"width": 1280, "height": 900})
    assert small.page.locator("mjx-container").count() == 1


def test_steering_says_what_of_a_prompt_was_not_read(small):
    steered = small.live()[STEERED]
    steered.answers(lambda: steered.put("prompt", CODE * 3))
    shown = steered.drawing.locator(".typed").first.text_content()
    assert "no room for more than the first" in steered.drawing.locator(".message").text_content()
    assert CODE[:20] in shown.replace("↵", "")
    assert "listdir" not in shown.partition("⟶")[0]
    steered.answers(lambda: steered.put("prompt", "import os\n"))


def test_a_game_refuses_ratings_that_make_no_sense_and_the_second_half_of_a_double_click(small):
    part = small.live()[GAME]
    button = part.controls.get_by_role("button")
    assert button.evaluate("button => button.scrollWidth <= button.clientWidth")
    for typed, kept in (("99", "3"), ("-5", "0"), ("<b>", "0"), ("", "0"), ("2.9", "2")):
        part.type_over("confidence", typed)
        assert part.number("confidence").text_content() == kept
    for label in ("logits", "separation"):
        part.type_over(label, "9")
    button.click()
    part.says("separation counts only if")
    assert "Card 1 of 3" in part.drawn()
    small.picture("small.game")
    part.type_over("logits", "2")
    button.dblclick()
    part.says("the next card has only just come")
    assert "Card 2 of 3" in part.drawn()
    assert part.number("confidence").text_content() == "0"
    for heading in ("Card 3 of 3", "Medians"):
        small.page.wait_for_timeout(1000 * explorer.PAUSE)
        button.click()
        part.drawing.get_by_text(heading).wait_for()
    small.page.wait_for_timeout(1000 * explorer.PAUSE)
    button.click()
    part.says("every card is rated")
    assert small.errors() == []


def test_a_map_tells_what_a_point_is_and_a_click_beside_the_points_does_nothing(small):
    page, place = small.page, small.page.locator(".jp-OutputArea-child:has(.jp-RenderedPlotly)")
    place.scroll_into_view_if_needed()
    place.hover()
    plot = page.locator(".js-plotly-plot")
    plot.wait_for()
    box, (x, y) = plot.bounding_box(), plot.evaluate(FIRST_POINT)
    page.mouse.move(box["x"] + x, box["y"] + y)
    plot.locator(".hoverlayer .hovertext").wait_for()
    assert "<img src=x" in plot.locator(".hoverlayer").text_content()
    for where in ((2, box["height"] - 2), (box["width"] / 2, 8)):
        page.mouse.click(box["x"] + where[0], box["y"] + where[1])
    assert page.evaluate("window.bad") is None
    small.picture("small.map")
    assert small.wider_than_its_place() == []


def test_every_control_of_the_parts_of_text_answers(small):
    _use(small, "small", [small.live()[number] for number in DRAWN])


def test_a_trusted_notebook_without_its_kernel_shows_what_was_drawn_and_a_message_for_the_controls(small):
    drawn = [part.drawing.first.text_content() for part in small.live()]
    small.open_without_its_kernel()
    without = small.page.get_by_text("Error displaying widget: model not found")  # Lab's words
    without.nth(len(drawn) - 1).wait_for()
    assert [above.text_content() for above in map(small.above, map(without.nth, range(len(drawn))))] == drawn
    small.picture("small.reopened")
    assert small.wider_than_its_place() == []
