"""The feature browser: what the text says of each latent of any autoencoder, as one HTML file that needs nothing else.

    browser(subject, sae, Path("features"), site="blocks.2.hook_resid_post")      # features/browser.html

A card per latent, after the interface of Bricken et al. 2023: the largest activations and examples of even intervals, density, the
distribution of activations coloured by label, logit weights, neurons that are like it, siblings in other dictionaries. A card is a
string of HTML without scripts, so that a notebook shows the same one (`card`). Every word that comes from a text is escaped.
"""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from companion import files
from companion.evals import features
from companion.evals.views import NAMES, View, look
from companion.lm.subject import Subject
from companion.sae.models import SAE

HTML = Path(__file__).parent / "html"
CARD = "latent mathjax_ignore tex2jax_ignore"
"""Class of what is shown of a latent: the rules of `style` hold within it, and a notebook reads no formulas in the signs of a text."""
SHADES = 9
"""Steps of a token's colour, in proportion to its activation."""
END = "⊣"
"""Where a context ends: the model read nothing to the right of it."""
LEFT, RIGHT = 12, 4
"""Tokens shown before and after an example's; the paper has 4 and 4, but Python says at the left what a token is for."""


# --- one file ---


def browser(
    subject: Subject, sae: SAE, folder: Path | str, latents: Sequence[int] | None = None, *, site: str | None = None, most: int = 200, **text
) -> Path:
    """Write browser.html into a folder and return its path: latents to search and sort, a card each. It opens from a file:// address.

    Args:
        latents: the ones to show; unless given, `most` of those that are active, evenly spaced in density.
        text: `tokens`, `known` and `others` of `look`, which says what is taken without them, and what is raised.

    Raises:
        OSError: the folder cannot be written; what was there stays.
    """
    view = look(subject, sae, site, latents, None if latents is not None else most, **text)
    path = Path(folder) / "browser.html"
    files.write(path, page(view))
    return path


def page(view: View) -> str:
    """All cards of a view as one HTML document, without a request to anywhere."""
    shown = sorted(view.latents.tolist(), key=lambda latent: -_score(view, latent))
    about = (
        f"{len(shown)} of {view.total:,} latents at {view.site} of {view.subject.name}, on {view.tokens.numel():,} tokens;"
        f" the autoencoder leaves {view.error:.2f} of the variance there."
    )
    whole = (HTML / "page.html").read_text(encoding="utf-8")
    script = whole.partition("<script>")[2].partition("</script>")[0]
    parts = {
        "hash": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),  # no other script may run
        "title": escape(f"Features of {view.subject.name}"),
        "style": style(),
        "about": escape(about),
        "list": "\n".join(_entry(view, latent) for latent in shown),
        "cards": "\n".join(_card_or_why(view, latent) for latent in shown),
    }
    before, *rest = whole.split("<!--")
    return before + "".join(parts[name] + after for name, _, after in (part.partition("-->") for part in rest))


def style() -> str:
    """The rules for cards; they hold within class `CARD` alone."""
    return (HTML / "card.css").read_text(encoding="utf-8")


def card(view: View, latent: int) -> str:
    """One latent's card, to be shown by itself.

    Raises:
        ValueError: there is no such latent among those shown, or it is dead on this text.
    """
    return f"<style>{style()}</style>{_card(view, latent)}"


def _entry(view: View, latent: int) -> str:
    """A link to a card, with what the list is searched and sorted by."""
    at, searched, name, density, most = view.latents.tolist().index(latent), [str(latent)], "dead", 0.0, 0.0
    if view.fired.counts[at]:
        best, mine = [NAMES[column] for column in view.best(at)], features.own(view.fired, at).value
        name, density, most = best[0] if best else "no label", len(mine) / view.tokens.numel(), float(mine.max())
        searched += [*best, *_said(view, at), *(word for word, _ in _logits(view, at)[0])]
    keys = dict(i=latent, d=f"{density:.6f}", m=f"{most:.4f}", f=f"{_score(view, latent):.4f}", s=" ".join([*searched, name]).lower())
    data = " ".join(f'data-{key}="{escape(str(value))}"' for key, value in keys.items())
    return f'<a href="#l{latent}" {data}><small>{latent}</small><span>{escape(name)}</span><small>{_score(view, latent):.2f}</small></a>'


def _score(view: View, latent: int) -> float:
    """F1 of a latent's best label, 0 for one that is dead or goes with none."""
    at = view.latents.tolist().index(latent)
    return max((view.f1[at, column].item() for column in view.best(at, 1)), default=0.0)


def _said(view: View, at: int) -> list[str]:
    """The words of the tokens on which a latent is most active."""
    found = features.examples(view.fired, at, torch.Generator(), top=5, intervals=1, each=0)
    return [view.words[token] for token in view.tokens[found.context, found.position].tolist()]


# --- one card ---


def _card_or_why(view: View, latent: int) -> str:
    """A card, or the reason that there is none."""
    try:
        return _card(view, latent)
    except ValueError as error:
        return f'<section class="{CARD}" id="l{latent}"><h2>Latent {latent}</h2><p class="message">{escape(str(error))}</p></section>'


def _card(view: View, latent: int) -> str:
    at = view.place(latent)
    mine, best = features.own(view.fired, at), view.best(at)
    count, name = len(mine.value), f"Best label: {NAMES[best[0]]}, correlation {view.by_label[at, best[0]]:.2f}. " if best else ""
    high, low = _logits(view, at)
    fits = [(NAMES[y], view.by_label[at, y], view.token[y], view.f1[at, y]) for y in best]
    tables = [
        *(table(name, ("token", "logit"), end) for name, end in (("Raises", high), ("Lowers", low))),
        table("Neurons", ("number", "corr."), _nearest(view.by_neuron[at])),
        *(table(f"In {other}", ("latent", "cosine"), _nearest(cosines[at])) for other, cosines in view.siblings.items()),
    ]
    said = f"{name}Active on {count:,} of {view.tokens.numel():,} tokens ({count / view.tokens.numel():.3%}), at most {mine.value.max():.3g}"
    left = _histogram(view, at, best) + table("Labels", ("label", "corr.", "token alone", "F1"), fits)
    return (
        f'<section class="{CARD}" id="l{latent}"><h2>Latent {latent}</h2><p>{escape(said)}.</p>'
        f'<div class="row"><div>{left}</div><div class="row">{"".join(tables)}</div></div>{_examples(view, at)}</section>'
    )


def _nearest(values: Float[Tensor, " M"], most: int = 3) -> list[tuple[str, float]]:
    found = values.nan_to_num(-1.0).topk(min(most, len(values)))
    return [(str(number), value) for number, value in zip(found.indices.tolist(), found.values.tolist(), strict=True) if value > 0]


def _logits(view: View, at: int, most: int = 8) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The tokens that a latent raises most, and those that it lowers most."""
    weights = features.logit_weights(view.subject, view.site, features.directions(view.sae, view.latents[at : at + 1], view.typical))[0]
    ends = [weights.topk(most, largest=largest) for largest in (True, False)]
    high, low = ([(_edged(view, token), value) for value, token in zip(*map(Tensor.tolist, end), strict=True)] for end in ends)
    return high, low


def _edged(view: View, token: int) -> str:
    """A token that stands alone: the space that it begins with can be seen, and one that is a part of a character has its number."""
    word = view.words[token]
    return "␣" + word[1:] if word.startswith(" ") else word if word.strip("·�") else f"token {token}"


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """A small table; words are escaped, numbers have two digits. Nothing if there are no rows."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = [[f"<td><code>{escape(c)}</code></td>" if isinstance(c, str) else f'<td class="n">{float(c):.2f}</td>' for c in row] for row in rows]
    lines = "".join(f"<tr>{''.join(cells)}</tr>" for cells in body)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{lines}</table>" if rows else ""


def _histogram(view: View, at: int, best: Sequence[int], bins: int = 20) -> str:
    """Tokens by activation, on a logarithmic scale; of each bar the share that has the best label is coloured, from below."""
    found, (width, height, foot) = features.specificity(view.fired, at, view.labels, bins), (300, 90, 14)
    heights, step = found.active.float().log1p(), width / bins
    heights = heights / heights.max() * height
    parts = []
    for b in range(bins):
        known = (found.known[b] / found.active[b].clamp_min(1)).item()
        share = found.share[b, best[0]].nan_to_num().item() * known if best else 0.0
        drawn, top = heights[b].item(), height
        for kind, part in (("y", share), ("o", known - share), ("u", 1 - known)):
            if (tall := part * drawn) > 0.2:
                top -= tall
                parts.append(f'<rect class="{kind}" x="{b * step + 0.5:g}" y="{top:.1f}" width="{step - 1:g}" height="{tall:.1f}"/>')
    ends = f'<text y="{height + foot}">0</text><text x="{width}" y="{height + foot}" text-anchor="end">{found.edges[-1]:.3g}</text>'
    says = f"tokens by activation, {found.active.max()} in the fullest of {bins} bars"
    names = {"y": NAMES[best[0]], "o": "not", "u": "unknown"} if best else {}
    key = " ".join(f'<span><i class="key {kind}"></i>{escape(name)}</span>' for kind, name in names.items())
    return (
        f'<svg viewBox="0 0 {width} {height + foot + 2}" role="img" aria-label="{says}"><title>{says}</title>{"".join(parts)}{ends}</svg>'
        f"<small>activation; bars: log(1 + tokens), at most {found.active.max()} {key}</small>"
    )


def _examples(view: View, at: int, intervals: int = 11) -> str:
    found = features.examples(view.fired, at, torch.Generator().manual_seed(int(view.latents[at])), top=10, intervals=intervals)
    most, parts, last = float(found.value.max()), [], None
    own = features.own(view.fired, at)
    acts = {place: value for *place_, value in zip(*own[:3], strict=True) for place in [(int(place_[0]), int(place_[1]))]}
    for context, position, number in zip(*(part.tolist() for part in (found.context, found.position, found.interval)), strict=True):
        if number != last:
            between = f"{number * most / intervals:.3g} to {(number + 1) * most / intervals:.3g}"
            parts.append(f"<h3>{'Largest activations, one per context' if number < 0 else f'Activations of {between}'}</h3>")
            last = number
        row = range(max(0, position - LEFT), min(view.tokens.shape[1], position + RIGHT + 1))
        words = [view.words[token] for token in view.tokens[context, row.start : row.stop].tolist()]
        values = [float(acts.get((context, place), 0.0)) for place in row]
        ends = [END] * (row.stop == view.tokens.shape[1])
        parts.append(line(words + ends, values + [0.0] * len(ends), most, position - row.start))
    return "".join(parts)


# --- text ---


def shade(value: float, most: float) -> int:
    """The step of a token's colour, 0 for none."""
    return min(SHADES, -int(-SHADES * value // most)) if value > 0 else 0


def line(words: Sequence[str], values: Sequence[float], most: float, at: int) -> str:
    """Tokens of one example, coloured by activation, the one that it is of in a frame, with its activation before them."""
    parts = []
    for place, (word, value) in enumerate(zip(words, values, strict=True)):
        kind = "b" if place == at else "i"
        step = shade(value, most)
        parts.append(f'<{kind} class="a{step}" title="{value:.3g}">{escape(word)}</{kind}>' if step or place == at else escape(word))
    return f'<div class="t"><span>{values[at]:.3g}</span>{"".join(parts)}</div>'
