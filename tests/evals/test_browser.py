"""The browser's file and the live parts: what they hold, that nothing of a text becomes markup, and messages for what makes no sense."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
import torch

from companion.evals import browser, features, live, steering, views
from companion.evals.n2g import Firings
from companion.lm import labels, subject
from companion.sae.models import TopK
from companion.sae.weights import Raw

SITE = "blocks.0.hook_resid_post"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Elements(HTMLParser):
    """Tags with their attributes, the text outside of scripts and styles, and the text of scripts."""

    def __init__(self, document: str):
        super().__init__()
        self.tags, self.text, self.scripts, self.within = [], "", [], ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.within = tag

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        if self.within == "script":
            self.scripts.append(data)
        elif self.within != "style":
            self.text += data

    def require_harmless(self):
        assert not {"img", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in self.tags}
        for _, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action")]
            assert attributes.get("href", "#").startswith("#")


@pytest.fixture(scope="module")
def sae():
    made = TopK.random(32, 64, 4, torch.Generator().manual_seed(0)).requires_grad_(False)
    made.b_enc[5] = -1e6  # never active, on any machine
    return made


@pytest.fixture(scope="module")
def view(tiny, sae):
    return views.look(tiny, sae, SITE, others={MARKUP: sae})


@pytest.fixture(scope="module")
def active(view):
    return int(view.fired.counts.argmax())


def test_the_file_has_a_card_for_each_latent_and_runs_one_script(tiny, sae, tmp_path):
    path = browser.browser(tiny, sae, tmp_path / "new", most=20, site=SITE)
    document = path.read_text(encoding="utf-8")
    found = Elements(document)
    cards = [attributes["id"] for tag, attributes in found.tags if tag == "section"]
    links = [attributes["href"][1:] for tag, attributes in found.tags if tag == "a"]
    assert path == tmp_path / "new" / "browser.html"
    assert len(cards) == 20
    assert cards == links
    assert len(document.encode()) / 20 < 5_000_000 / 200
    assert len(found.scripts) == 1
    digest = base64.b64encode(hashlib.sha256(found.scripts[0].encode()).digest()).decode()
    (policy,) = [attributes["content"] for _, attributes in found.tags if attributes.get("http-equiv")]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    found.require_harmless()
    assert not re.search(r"@import|url\(", document.partition("</style>")[0])
    assert "<!--" not in document


def test_the_latents_asked_for_are_shown_best_label_first(tiny, sae, tmp_path, view):
    path = browser.browser(tiny, sae, tmp_path, latents=[5, 3, 9], site=SITE)
    found = Elements(path.read_text(encoding="utf-8"))
    entries = [attributes for tag, attributes in found.tags if tag == "a"]
    assert {entry["data-i"] for entry in entries} == {"5", "3", "9"}
    scores = [float(entry["data-f"]) for entry in entries]
    assert scores == sorted(scores, reverse=True)
    assert view.fired.counts[5] == 0
    assert "latent 5 is active on none" in found.text
    for entry in entries[:2]:
        own = features.own(view.fired, int(entry["data-i"]))
        assert float(entry["data-m"]) == pytest.approx(own.value.max().item(), abs=1e-4)
        assert float(entry["data-d"]) == pytest.approx(len(own.value) / view.tokens.numel(), abs=1e-6)


def test_latents_by_default_are_spread_over_density(tiny, sae, view):
    some = views.look(tiny, sae, SITE, most=10)
    counts = view.fired.counts
    assert len(some.latents.unique()) == 10
    assert counts.argmax() in some.latents
    assert torch.equal(some.fired.counts, counts[some.latents])
    torch.testing.assert_close(some.by_label, view.by_label[some.latents], equal_nan=True)


def test_nothing_of_a_text_becomes_markup(view, active):
    hostile = view._replace(words=[MARKUP] * len(view.words))
    whole = browser.page(hostile)
    for piece in (whole, browser.card(hostile, active), live.typed(view, MARKUP, active), live.typed(hostile, "x = 1", active)):
        found = Elements(piece)
        found.require_harmless()
        assert len(found.scripts) == (piece is whole)
        assert MARKUP in found.text or "alert(1)" not in piece  # its tokens apart, in what is typed
        assert "<script>alert" not in piece
        assert "<img" not in piece


def test_a_card_shows_the_largest_activation_first_and_its_siblings(view, active):
    text = Elements(browser.card(view, active)).text
    own = features.own(view.fired, active)
    assert f"{own.value.max():.3g}" in text.partition("one per context")[2][:10]
    assert f"Active on {len(own.value):,} of" in text
    assert "1.00" in text  # the dictionary is its own sibling
    alike = view.siblings[MARKUP][active]
    assert alike[active] == pytest.approx(1, abs=1e-5)
    assert alike.nan_to_num(0).max() <= alike[active] + 1e-5
    rare = view.fired.counts < views.FEW
    assert rare.any()
    assert view.siblings[MARKUP][rare].isnan().all()  # a latent of one token has 1 with all that are active there
    assert view.siblings[MARKUP][:, rare].isnan().all()
    assert not view.siblings[MARKUP][~rare][:, ~rare].isnan().any()


def test_a_card_names_its_columns_and_says_where_a_context_ends(view, active):
    found = Elements(browser.card(view, active))
    (section,) = (attributes for tag, attributes in found.tags if tag == "section")
    assert "mathjax_ignore" in section["class"].split()  # else a notebook would read formulas between two dollars of a text
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", browser.card(view, active))
    assert all(heads)
    assert found.text.count("corr.") == 2
    last = view.fired.position == view.tokens.shape[1] - 1
    ending = int(view.fired.latent[last].mode().values)
    assert browser.END in browser.card(view, ending)


def test_shades_are_in_proportion():
    assert [browser.shade(value, 9.0) for value in (-1.0, 0.0, 0.01, 1.0, 1.1, 9.0, 20.0)] == [0, 0, 1, 1, 2, 9, 9]


def test_without_labels_there_is_no_word_of_them(tiny, sae, tmp_path):
    tokens = tiny.tokens("heldout")[:8]
    path = browser.browser(tiny, sae, tmp_path, site=SITE, most=5, tokens=tokens)
    assert "no label" in Elements(path.read_text(encoding="utf-8")).text
    some = views.look(tiny, sae, SITE, most=5, tokens=tokens)
    with pytest.raises(ValueError, match="label holds on no token"):
        live.threshold(some, int(some.latents[0]), "comma", 0.1)


def test_other_sites_and_other_spaces(tiny, tmp_path):
    wide = Raw(TopK.random(128, 256, 4, torch.Generator().manual_seed(1)).requires_grad_(False))
    path = browser.browser(tiny, wide, tmp_path, site="blocks.0.mlp.hook_post", most=3)
    assert "of 256 latents at blocks.0.mlp.hook_post" in path.read_text(encoding="utf-8")


def test_a_model_in_bfloat16_is_read_in_float32(tiny_home, sae):
    half = subject.open_subject(tiny_home, dtype=torch.bfloat16)
    some = views.look(half, sae, SITE, most=3, tokens=half.tokens("heldout")[:8])
    assert "<svg" in browser.card(some, int(some.latents[0]))
    assert "Latent 1" in live.typed(some, "x = 1", 1)


def test_the_default_site_is_three_quarters_up(tiny):
    assert views.default_site(tiny) == SITE  # 2 blocks


def test_what_cannot_be_shown_says_why_and_writes_nothing(tiny, sae, tmp_path):
    with pytest.raises(ValueError, match="no latent 64: they are numbered 0 to 63"):
        browser.browser(tiny, sae, tmp_path / "a", latents=[64], site=SITE)
    with pytest.raises(ValueError, match="entries"):
        browser.browser(tiny, sae, tmp_path / "a", site="blocks.0.mlp.hook_post")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        browser.browser(tiny, sae, tmp_path / "file", site=SITE, most=3)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("latent", [-1, 64, 10**9, 10**30, 1.5, float("nan"), True, None, "3", "<b>"])
def test_no_such_latent(view, latent):
    for draw in (
        lambda: browser.card(view, latent),
        lambda: live.typed(view, "x", latent),
        lambda: live.threshold(view, latent, "comma", 0.5),
        lambda: live.children(view, latent, MARKUP, view, 0.5),
    ):
        with pytest.raises(ValueError, match="there is no latent"):
            draw()


def test_a_dead_latent(view):
    counts = view.fired.counts.clone()
    own = features.own(view.fired, 3)
    keep = torch.ones(len(view.fired.value), dtype=torch.bool)
    keep[int(counts[:3].sum()) : int(counts[:3].sum()) + len(own.value)] = False
    silent = view._replace(fired=view.fired.chosen(keep))
    with pytest.raises(ValueError, match="latent 3 is active on none"):
        browser.card(silent, 3)
    assert "latent 3 is active on none" in browser.page(silent)
    assert "Latent 3" in live.typed(silent, "x = 1\n", 3)  # it may be active on what is typed


# --- live parts ---


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("def f(x):\n    return x\n", None),
        ("def f(:", "not Python"),
        ("x = 1\n" * 20_000, "of these 120,000 characters the first 31 tokens"),
        ("\x00\x01\x7f\xff\x1b[31m", "not Python"),
        ("Привет, שלום, 你好 🙂 \u202e", "not Python|31 tokens"),
        ("(" * 3000, "31 tokens"),
        (" ", None),
    ],
)
def test_whatever_is_typed_is_shown(view, active, text, note):
    found = Elements(live.typed(view, text, active))
    found.require_harmless()
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text
    messages = [attributes for tag, attributes in found.tags if attributes.get("class") == "message"]
    assert bool(messages) == bool(note)
    assert re.search(note or "", found.text)


@pytest.mark.parametrize(("text", "message"), [("", "type some"), (b"x", "bytes"), (None, "NoneType"), ("\ud800", "no text")])
def test_what_is_no_text_is_refused(view, active, text, message):
    with pytest.raises(ValueError, match=message):
        live.typed(view, text, active)


def test_typed_code_is_not_run(view, active, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    live.typed(view, "open('made', 'w')\nraise SystemExit\n", active)
    live.write(view, "open('made', 'w')\n", None, new=2, samples=1)
    assert not list(tmp_path.iterdir())


def test_typed_tokens_have_the_activations_of_the_model(tiny, sae, view):
    text = "import os\n"
    ids = torch.tensor([tiny.tokenizer.eos_token_id, *tiny.tokenizer(text)["input_ids"]])
    code = sae.encode(tiny.residual(ids[None], 0))
    latent = int(code.indices[0, 1, code.values[0, 1].argmax()])
    found = Elements(live.typed(view, text, latent))
    tokens = [attributes for tag, attributes in found.tags if "w" in attributes.get("class", "").split()]
    assert len(tokens) == len(ids) - 1
    assert all(attributes["tabindex"] == "0" for attributes in tokens)
    assert tokens[0]["class"] != "w a0"
    assert f"{latent} · {code.values[0, 1].max():.3g}" in found.text


def test_a_threshold_has_the_precision_and_recall_of_the_tokens(view, active):
    column = labels.COLUMN["identifier"]
    known, true = view.labels.known, view.labels.values[..., column]
    acts = torch.zeros(known.shape)
    own = features.own(view.fired, active)
    acts[own.context, own.position] = own.value
    at = own.value.median().item()
    said = (acts >= at) & known
    text = Elements(live.threshold(view, active, "identifier", at)).text
    precision, recall = ((said & true).sum() / part.sum() for part in (said, true & known))
    assert f"{precision:.2f}{recall:.2f}" in text
    assert "its largest is" in live.threshold(view, active, "identifier", 1e6)


@pytest.mark.parametrize(
    ("label", "at", "message"),
    [
        ("identifer", 0.1, "there is identifier"),
        (MARKUP, 0.1, "there is no label"),
        ("", 0.1, "there is no label ''"),
        (None, 0.1, "there is no label 'None'"),
        ("comma", None, "finite"),
        ("comma", float("nan"), "finite"),
        ("comma", float("inf"), "finite"),
        ("comma", "0.1", "finite"),
    ],
)
def test_thresholds_and_labels_that_make_no_sense(view, active, label, at, message):
    with pytest.raises(ValueError, match=message):
        live.threshold(view, active, label, at)


def test_children_are_those_at_the_threshold_and_above(view, active):
    text = Elements(live.children(view, active, MARKUP, view, 0.999)).text
    assert f"{int((view.siblings[MARKUP][active] >= 0.999).sum())} have a masked cosine of at least 0.999" in text
    assert f"{active} · " in text
    every = live.children(view, active, MARKUP, view, -1.0)
    Elements(every).require_harmless()
    often = int((view.fired.counts >= views.FEW).sum())
    assert f"of the {often} latents" in Elements(every).text
    assert f"more, {often} have" in Elements(every).text
    for wrong, message in (
        ({"name": "none"}, "no dictionary"),
        ({"name": None}, "no dictionary"),
        *(({"at": at}, "finite") for at in (float("nan"), float("-inf"), "0.5", "", None)),
        ({"latent": 5}, "dead"),
        ({"latent": int((view.fired.counts == view.fired.counts[view.fired.counts > 0].min()).nonzero()[0])}, "needs 10"),
        ({"latent": 64}, "no latent"),
    ):
        with pytest.raises(ValueError, match=message):
            live.children(view, **({"latent": active, "name": MARKUP, "wide": view, "at": 0.5} | wrong))


def test_a_prompt_is_shown_as_far_as_it_was_read(view):
    text = "x = 1\ny = 2\n" * 50
    whole, cut = (live.write(view, prompt, None, new=12, samples=2) for prompt in ("x = 1\n", text))
    assert (whole.prompt, whole.note) == ("x = 1\n", "")
    assert text.startswith(cut.prompt)
    assert f"the first {view.tokens.shape[1] - 13} tokens" in cut.note  # 12 to write, and an end of text before the prompt
    assert cut.note in Elements(live.steered(whole, cut)).text


@pytest.mark.parametrize("prompt", ["", None, b"x", "\ud800"])
def test_a_prompt_that_is_no_text_is_refused(view, prompt):
    with pytest.raises(ValueError, match=r"type|no text"):
        live.write(view, prompt, None, new=2)


def test_steering_shows_what_changed_beside_what_did_not(view, active):
    base = live.write(view, "import os\n", None, new=12, samples=2)
    held = live.write(view, "import os\n", active, 5.0, new=12, samples=2)
    assert len(held.texts) == 2
    assert held.texts != base.texts
    assert held.texts == live.write(view, "import os\n", active, 5.0, new=12, samples=2).texts
    found = Elements(live.steered(base, held))
    found.require_harmless()
    assert f"latent {active}" in found.text
    harmful = held._replace(texts=[MARKUP], prompt=MARKUP)
    assert "<script>" not in live.steered(base, harmful)


def test_bars_are_as_long_as_their_shares(view):
    base = live.write(view, "x = 1\n", None, new=2, samples=1)
    shares = torch.zeros(2, len(views.NAMES))
    shares[:, :3] = torch.tensor([[0.886, 0.057, 0.114], [0.141, 0.667, 0.455]])
    drawn = live.steered(*(base._replace(mix=steering.Mix(row, 1.0)) for row in shares))
    bars = {float(share): float(long) for long, share in re.findall(r"width:([\d.]+)em\"></i>([\d.]+)<", drawn)}
    assert set(bars) == {88.6, 5.7, 11.4, 14.1, 66.7, 45.5}
    assert all(long == pytest.approx(live.BAR * share / 88.6, abs=0.01) for share, long in bars.items())


@pytest.mark.parametrize(
    ("latent", "strength", "message"), [(64, 1.0, "there is no latent"), (0, float("nan"), "finite"), (0, float("inf"), "finite")]
)
def test_steering_that_makes_no_sense(view, latent, strength, message):
    with pytest.raises(ValueError, match=message):
        live.write(view, "import os\n", latent, strength, new=2)


def test_top_tokens_are_those_with_the_largest_sums(tiny):
    tokens = torch.tensor([[40, 41, 40, 42]])
    fired = Firings(torch.zeros(4, dtype=torch.long), torch.arange(4), torch.tensor([1.0, 3.0, 1.5, 0.5]), torch.tensor([4]))
    words = [views.visible(tiny.tokenizer.decode([token])) for token in (41, 40, 42)]
    assert views.top_tokens(tiny, tokens, fired, 0) == " ".join(words)
    assert views.top_tokens(tiny, tokens, fired, 0, most=1) == words[0]
