"""Pages and live parts in JupyterLab: they run, answer to keys and pointer, say what makes no sense, and stay readable without a kernel.

A further page is a line of PAGES; it is tried as soon as its notebook exists.
"""

from pathlib import Path

import nbformat
import pytest

from companion.plots.widgets import WITHOUT_KERNEL

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGES = [
    "01_demonstrating_superposition",
    "14_anatomy_of_a_feature",
    "15_steering",
]
MARKUP = "<img src=x onerror='window.bad = 1'><b><script>window.bad = 1</script>"
CODE = 'import os\n\n\ndef walk(path, *, depth=3):\n    """Names below."""\n    return [name for name in os.listdir(path)]\n'
SMALL = """\
import torch
from companion import memo
from companion.evals import browser, live, views
from companion.lm import sources, subject, training
from companion.plots import explorer
from companion.plots.explorer import Choice, Number, Slider, Text
from companion.sae.models import TopK

tiny = subject.open_subject(memo.memo_folder(sources.prepare, training.TINY))
sae = TopK.random(32, 64, 4, torch.Generator().manual_seed(0)).requires_grad_(False)
view = views.look(tiny, sae, "blocks.0.hook_resid_post")
some = int(view.fired.counts.argmax())
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
"""
"""The live parts of text, on a small model and an autoencoder that was not trained."""
TYPED, CARD, THRESHOLD, STEERED = range(4)


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
    _use(notebook, name)


def _use(notebook, name: str) -> None:
    for number, part in enumerate(notebook.live()):
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
    for number in (TYPED, CARD, THRESHOLD, STEERED):
        part = small.live()[number]
        good, before = part.field("latent").input_value(), part.drawn()
        part.put("latent", "99")
        part.says("there is no latent 99: they are numbered 0 to 63")
        assert part.drawn() == before
        part.controls.scroll_into_view_if_needed()
        small.picture(f"small.refused.{number}")
        part.put("latent", good)
        part.says("")


def test_every_control_of_the_parts_of_text_answers(small):
    _use(small, "small")


def test_a_trusted_notebook_without_its_kernel_shows_what_was_drawn_and_a_message_for_the_controls(small):
    drawn = [part.drawing.first.text_content() for part in small.live()]
    small.open_without_its_kernel()
    without = small.page.get_by_text("Error displaying widget: model not found")  # Lab's words
    without.nth(len(drawn) - 1).wait_for()
    assert [above.text_content() for above in map(small.above, map(without.nth, range(len(drawn))))] == drawn
    small.picture("small.reopened")
    assert small.wider_than_its_place() == []
