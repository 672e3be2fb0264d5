"""What the live parts of a page draw, as pure functions from what a reader chose to a piece of HTML.

Each takes a `views.View` and raises ValueError, with a message for the reader, for what makes no sense. Typed text is read by the model
and by Python's parser; it is never run, and it is escaped before it is shown. Nothing here needs a front end: `plots.explorer` puts
controls beside it.
"""

import difflib
import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.evals import features, steering
from companion.evals.browser import CARD, shade, style, table
from companion.evals.views import FEW, NAMES, View, visible
from companion.lm import labels

LONGEST = 16
"""Characters per token of a context: what is typed beyond that is not looked at."""
SHOWN, CHILDREN = 10, 30
"""Labels in a chart, and rows of a list, at most."""
BAR = 6
"""Length of the longest bar of a chart, in the height of its letters."""


def _framed(*parts: str) -> str:
    return f'<style>{style()}</style><div class="{CARD}">{"".join(parts)}</div>'


def _note(text: str) -> str:
    return f'<p class="message">{escape(text)}</p>' if text else ""


# --- typed text ---


def typed(view: View, text: str, latent: int, most: int = 5) -> str:
    """A typed text, its tokens coloured by one latent; a token that is pointed at or clicked shows the latents most active there.

    Raises:
        ValueError: nothing typed, or what is no text; no such latent.
    """
    tokens, notes = _read(view, text)
    view.require(latent)
    code = view.sae.encode(features.read(view.subject, view.site, tokens[None]))
    indices, values = code.indices[0, 1:].cpu(), code.values[0, 1:].cpu()
    own = (values * (indices == latent)).sum(dim=-1)
    known = features.largest(view.fired)[view.latents == latent]
    scale = max(own.max().item(), known.max().item() if len(known) else 0.0)
    parts = []
    for token, value, row, column in zip(tokens[1:].tolist(), own.tolist(), indices, values, strict=True):
        word = escape(view.words[token]).replace("↵", "↵\n")
        parts.append(f'<i class="w a{shade(value, scale)}" tabindex="0">{word}<span>{escape(_most_active(view, row, column, most))}</span></i>')
    said = f"Latent {latent}{_named(view, latent)}: largest here {own.max():.3g}, in the browser's text {scale if len(known) else math.nan:.3g}."
    return _framed(f"<p>{escape(said)}</p>", *map(_note, notes), f'<div class="typed tells">{"".join(parts)}</div>')


def _read(view: View, text: str) -> tuple[Int[Tensor, " T"], list[str]]:
    """An end of text, after which a file begins, and the tokens of what was typed, as far as a context goes; and what to say of it."""
    if not isinstance(text, str) or not text:
        raise ValueError("type some Python" if isinstance(text, str) else f"this is a {type(text).__name__}: type text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"this is no text: {error.reason} at character {error.start}") from error
    room, tokenizer = view.tokens.shape[1] - 1, view.subject.tokenizer
    some = text[: LONGEST * room]
    ids = tokenizer(some, add_special_tokens=False)["input_ids"]
    notes = []
    if len(ids) > room or len(some) < len(text):
        notes.append(f"The model reads {room} tokens at a time: of these {len(text):,} characters the first {min(room, len(ids))} tokens.")
    elif not _is_python(text):
        notes.append("This is not Python as this version parses it. The model reads it all the same.")
    begin = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else ids[0]
    return torch.tensor([begin, *ids[:room]]), notes


def _is_python(text: str) -> bool:
    try:
        labels.of_source(text)
    except labels.NotPythonError:
        return False
    return True


def _most_active(view: View, indices: Int[Tensor, " K"], values: Float[Tensor, " K"], most: int) -> str:
    top = values.topk(min(most, len(values)))
    pairs = [(int(indices[slot]), value) for slot, value in zip(top.indices.tolist(), top.values.tolist(), strict=True) if value > 0]
    return "\n".join(f"{latent} · {value:.3g}{_named(view, latent)}" for latent, value in pairs) or "no latent is active here"


def _named(view: View, latent: int) -> str:
    found = (view.latents == latent).nonzero().flatten().tolist()
    best = view.best(found[0], 1) if found and view.fired.counts[found[0]] else []
    return f" · {NAMES[best[0]]}" if best else ""


# --- a threshold ---


def threshold(view: View, latent: int, label: str, at: float) -> str:
    """Precision and recall of saying that a label holds where a latent's activation is at least `at`, beside those of other thresholds.

    Raises:
        ValueError: no such latent or label, a dead latent, a label that never holds here, or a threshold that is not finite.
    """
    if not isinstance(at, (int, float)) or not math.isfinite(at):
        raise ValueError(f"the threshold must be a finite number, not {at}")
    column = _column(label)
    curve = features.precision_recall(view.fired, view.place(latent), view.labels, column)
    passed = int((curve.threshold >= at).sum())
    rate = view.labels.values[..., column][view.labels.known].float().mean().item()
    precision, recall = (part[passed - 1].item() if passed else math.nan for part in curve[1:])
    score = 2 * precision * recall / (precision + recall) if passed and precision + recall else 0.0
    row = [("activation at least " + f"{at:.3g}", precision, recall if passed else 0.0, score), ("every token", rate, 1.0, 2 * rate / (1 + rate))]
    note = "" if passed else f"No activation of latent {latent} is so large: its largest is {curve.threshold[0]:.3g}."
    return _framed(table(f"Latent {latent} for {label}", ("said of", "precision", "recall", "F1"), row), _curves(curve, at), _note(note))


def _column(label: str) -> int:
    if label not in labels.COLUMN:
        near = difflib.get_close_matches(str(label), NAMES, n=3)
        raise ValueError(f"there is no label {str(label)[:60]!r}{f'; there is {chr(44).join(near)}' if near else ''}")
    return labels.COLUMN[label]


def _curves(curve: features.Curve, at: float, points: int = 120) -> str:
    """Precision and recall by threshold, from 0 to the largest activation, with the chosen one marked."""
    width, height, most = 320, 120, curve.threshold[0].item()
    some = torch.linspace(0, len(curve.threshold) - 1, min(points, len(curve.threshold))).long()
    lines = []
    for kind, values in (("y", curve.precision), ("o", curve.recall)):
        pairs = zip(curve.threshold[some].tolist(), values[some].tolist(), strict=True)
        path = " ".join(f"{width * x / most:.1f},{height * (1 - y):.1f}" for x, y in pairs)
        lines.append(f'<polyline class="line {kind}" points="{path}"/>')
    x = width * min(max(at / most, 0.0), 1.0)
    mark = f'<path class="edge" d="M0 .5H{width}M0 {height}H{width}"/><path class="mark" d="M{x:.1f} 0V{height}"/>'
    ends = f'<text y="{height + 13}">0</text><text x="{width}" y="{height + 13}" text-anchor="end">{most:.3g}</text>'
    says = "precision and recall by threshold, both from 0 to 1"
    drawn = f'<svg viewBox="0 0 {width} {height + 16}" role="img" aria-label="{says}">{"".join(lines)}{mark}{ends}</svg>'
    return drawn + '<small>threshold<i class="key y"></i>precision<i class="key o"></i>recall, 0 to 1</small>'


# --- splitting ---


def children(view: View, latent: int, name: str, wide: View, at: float) -> str:
    """The latents of a wider dictionary into which one of a narrower splits: those with a masked cosine of `at` or more with it.

    Args:
        view: of the narrower dictionary, with the wider one among its `others` as `name`.
        wide: of the wider one, all its latents.

    Raises:
        ValueError: no such latent, one that is active on fewer than `FEW` tokens, no such dictionary, a view of other latents, or a threshold
            that is not finite.
    """
    if not isinstance(at, (int, float)) or not math.isfinite(at):
        raise ValueError(f"the threshold must be a finite number, not {at}")
    if name not in view.siblings:
        raise ValueError(f"there is no dictionary {str(name)[:60]!r} beside this one; there is {', '.join(view.siblings) or 'none'}")
    cosines, count = view.siblings[name][view.place(latent)], int(view.fired.counts[view.place(latent)])
    if count < FEW:
        raise ValueError(f"latent {latent} is active on {count} of these tokens: a masked cosine needs {FEW}")
    if len(cosines) != len(wide.latents):
        raise ValueError(f"{name} has {len(cosines)} latents, and the view of it has {len(wide.latents)}: look at all of them")
    order = cosines.argsort(descending=True, stable=True).tolist()
    found = [i for i in order if cosines[i] >= at]
    rows = [(_titled(wide, i), float(cosines[i]), 100 * int(wide.fired.counts[i]) / wide.tokens.numel()) for i in found[:CHILDREN]]
    often = f"{int((wide.fired.counts >= FEW).sum()):,} latents of {name} that are active on {FEW} tokens or more"
    said = f"Latent {latent}{_named(view, latent)}: of the {often}, {len(found)} have a masked cosine of at least {at:.3g}."
    return _framed(f"<p>{escape(said)}</p>", table(f"The nearest in {name}", ("latent", "cosine", "density, %"), rows))


def _titled(view: View, place: int) -> str:
    latent = int(view.latents[place])
    return f"{latent}{_named(view, latent)}"


# --- steering ---


class Written(NamedTuple):
    """Continuations of a prompt."""

    prompt: str
    """As much of it as the model read."""
    texts: list[str]
    mix: steering.Mix
    """Of the continuations without the prompt's lines."""
    said: str
    """How they were made."""
    note: str = ""
    """What of the prompt was left out."""


def write(view: View, prompt: str, latent: int | None, strength: float = 0.0, new: int = 48, samples: int = 6, seed: int = 0) -> Written:
    """Continue a prompt while a latent is held at `strength` times its largest activation, the error kept; with None, while none is.

    A prompt is cut where it leaves no room for what is written; `note` says so.

    Raises:
        ValueError: no such latent, a dead one, a strength that is not finite, or no prompt.
    """
    tokens = _read(view, prompt)[0][: view.tokens.shape[1] - new]
    begun = steering.text_of(view.subject, tokens)
    draw = (tokens, new, samples, torch.Generator().manual_seed(seed))
    if latent is None:
        made, said = steering.generate(view.subject, *draw), "as it is"
    else:
        if not isinstance(strength, (int, float)) or not math.isfinite(strength):
            raise ValueError(f"the strength must be a finite number, not {strength}")
        largest = features.largest(view.fired)[view.place(latent)].item()
        with view.subject.spliced({view.site: view.sae}, error_term=True) as run:
            run.set(view.site, latent, strength * largest)
            made = steering.generate(view.subject, *draw)
        said = f"latent {latent}{_named(view, latent)} at {strength:g} times its largest activation"
    texts = [steering.text_of(view.subject, row)[len(begun) :] for row in made]
    cut = f"There is no room for more than the first {len(tokens) - 1} tokens of the prompt. The rest was not read."
    return Written(begun, texts, steering.mix(texts), said, cut if len(begun) < len(prompt) else "")


def steered(base: Written, held: Written) -> str:
    """The labels whose share of the text changed most, and the texts."""
    change = (held.mix.labels - base.mix.labels).nan_to_num(0.0)
    columns = [column for column in change.abs().topk(SHOWN).indices.tolist() if change[column]]
    rows = [(NAMES[column], 100 * base.mix.labels[column].item(), 100 * held.mix.labels[column].item()) for column in columns]
    most = max((max(row[1:]) for row in rows), default=1.0)
    bars = "".join(
        f"<tr><td><code>{escape(name)}</code></td>"
        + "".join(
            f'<td class="bar"><i class="{kind}" style="width:{BAR * value / most:.2f}em"></i>{value:.1f}</td>' for kind, value in (("o", a), ("y", b))
        )
        + "</tr>"
        for name, a, b in rows
    )
    heads = ("label", '<i class="key o"></i>as it is', f'<i class="key y"></i>{escape(held.said)}')
    head = "<tr>" + "".join(f'<th scope="col">{each}</th>' for each in heads) + "</tr>"
    chart = f"<table><caption>Share of characters with a label, in %</caption>{head}{bars}</table>"
    kept = f"Written with {held.said}. Of the text {held.mix.kept:.0%} can be read as Python, and {base.mix.kept:.0%} as it is. Nothing was run."
    return _framed(chart if rows else "", f"<p>{escape(kept)}</p>", _note(held.note), *_texts(held))


def _texts(held: Written) -> Sequence[str]:
    rows = (visible(held.prompt + "⟶" + text).replace("↵", "↵\n") for text in held.texts[:3])
    return [f'<div class="typed">{escape(row)}</div>' for row in rows]
