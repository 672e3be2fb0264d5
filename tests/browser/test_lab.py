"""Pages and live parts in JupyterLab: they run, answer to keys and pointer, say what makes no sense, and stay readable without a kernel.

A further page is a line of PAGES; it is tried as soon as its notebook exists.
"""

import nbformat
import pytest

PAGES = ["01_demonstrating_superposition", "14_anatomy_of_a_feature", "15_steering"]
MARKUP = "<script>window.bad = 1</script><img src=x onerror='window.bad = 1'><b>bold</b>"
CODE = 'import os\n\n\ndef walk(path, *, depth=3):\n    """Names below."""\n    return [name for name in os.listdir(path)]\n'
SMALL = '''\
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
'''
"""The live parts of text, on a small model and an autoencoder that was not trained."""
TYPED, CARD, THRESHOLD, STEERED = range(4)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_and_every_control_answers(name, lab, opened, root):
    path = root / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        pytest.skip(f"there is no notebook {name} yet")
    lab.put(nbformat.read(path, as_version=4), path.name)
    notebook = opened(path.name)
    assert notebook.texts_of_controls() == ["(controls: they need a running notebook)"] * notebook.count_static()
    notebook.run_all()
    assert notebook.wider_than_its_place() == []
    assert notebook.live()
    _use(notebook, name)


def _use(notebook, name):
    for number, part in enumerate(notebook.live()):
        for label, seconds in part.use_all():
            print(f"{name}, {label}: {seconds:.2f} s")
        part.drawing.first.scroll_into_view_if_needed()
        notebook.picture(f"{name}.{number}")
    assert notebook.wider_than_its_place() == []


def test_a_typed_text_is_drawn_and_a_clicked_token_tells_its_latents(small):
    typed = small.live()[TYPED]
    seconds = typed.changes_on(lambda: typed.control("text").locator("textarea").fill(CODE))
    print(f"typed text: {seconds:.2f} s")
    token = typed.drawing.locator(".w", has_text="def")
    told = token.first.locator("span")
    assert not told.is_visible()
    token.first.click()
    assert told.is_visible()
    assert "·" in told.inner_text()
    small.picture("small.clicked")
    assert small.wider_than_its_place() == []


def test_typed_markup_becomes_no_element_and_runs_nothing(small):
    typed, threshold = small.live()[TYPED], small.live()[THRESHOLD]
    typed.changes_on(lambda: typed.control("text").locator("textarea").fill(MARKUP))
    threshold.control("label").locator("input").fill(MARKUP)
    threshold.control("label").locator("input").press("Enter")
    threshold.shows("there is no label")
    assert "<script>" in threshold.message()
    shown = typed.drawing.first
    assert "onerror" in "".join(shown.locator(".w").evaluate_all("words => words.map(word => word.firstChild.textContent)"))
    for part in (typed, threshold):
        assert part.drawing.locator("script, img, b").count() == 0
        assert part.controls.locator("script, img, b").count() == 0
    assert small.page.evaluate("window.bad") is None
    small.picture("small.markup")


def test_what_makes_no_sense_is_said_in_place_and_what_was_drawn_stays(small):
    for number, name in ((TYPED, "latent"), (CARD, "latent"), (STEERED, "latent")):
        part = small.live()[number]
        before, field = part.drawn(), part.control(name).locator("input")
        good = field.input_value()
        field.fill("99")
        field.press("Enter")
        part.shows("there is no latent 99: they are numbered 0 to 63")
        assert part.drawn() == before
        part.controls.scroll_into_view_if_needed()
        small.picture(f"small.refused.{number}")
        field.fill(good)
        field.press("Enter")
        part.says_nothing()


def test_every_control_of_the_parts_of_text_answers(small):
    _use(small, "small")


def test_a_trusted_notebook_without_its_kernel_shows_what_was_drawn_and_says_that_controls_need_one(small):
    drawn = [part.drawing.first.inner_text() for part in small.live()]
    small.open_without_its_kernel()
    small.picture("small.reopened")
