"""Blind scoring: someone rates latents and neurons by a rubric without being told which is which (Bricken et al. 2023, the human study).

Pure: a game is a value, and every step makes another one. `Sitting` alone changes, for controls that call it.
"""

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from companion.evals.browser import CARD, style, table

RUBRIC = {"confidence": 3, "consistency": 5, "logits": 3, "separation": 1, "specificity": 3}
"""Parts of a rating and the most points of each, from 0. The last point of the logits is either for all of them or for separation."""
MOST = 14
"""`separation` counts only where the logits did not get all of theirs, so no rating has more."""


class Card(NamedTuple):
    """One thing to be rated: what it is stays in the game until the end."""

    kind: str
    number: int


class Game(NamedTuple):
    """Cards in the order in which they are shown, and the ratings so far, None for a card without one."""

    cards: tuple[Card, ...]
    totals: tuple[int | None, ...]

    @property
    def left(self) -> tuple[int, ...]:
        """Places of the cards without a rating."""
        return tuple(place for place, total in enumerate(self.totals) if total is None)


class Revealed(NamedTuple):
    """Of each kind the totals of its cards, and their median."""

    totals: dict[str, tuple[int, ...]]
    medians: dict[str, float]


def deal(kinds: Mapping[str, Sequence[int]], seed: int) -> Game:
    """All things of all kinds in random order, none of them rated.

    Raises:
        ValueError: fewer than two kinds, a kind with nothing in it, or a thing that is there twice.
    """
    cards = [Card(kind, number) for kind, numbers in kinds.items() for number in numbers]
    if len(kinds) < 2 or not all(len(numbers) for numbers in kinds.values()):
        raise ValueError(f"a blind comparison needs at least two kinds with something in each, not {', '.join(kinds) or 'none'}")
    if len(set(cards)) < len(cards):
        raise ValueError("something is there twice: it would be rated twice")
    random.Random(seed).shuffle(cards)
    return Game(tuple(cards), (None,) * len(cards))


def total(rating: Mapping[str, int]) -> int:
    """Points of a rating, 0 to `MOST`.

    Raises:
        ValueError: other parts than the rubric's, points outside of a part's range, or separation beside all points for the logits.
    """
    if rating.keys() != RUBRIC.keys():
        raise ValueError(f"a rating has the parts {', '.join(RUBRIC)}, not {', '.join(map(str, rating)) or 'none'}")
    for name, most in RUBRIC.items():
        if isinstance(rating[name], bool) or not isinstance(rating[name], int) or not 0 <= rating[name] <= most:
            raise ValueError(f"{name} takes whole points from 0 to {most}, not {rating[name]}")
    if rating["separation"] and rating["logits"] == RUBRIC["logits"]:
        raise ValueError("separation counts only if the logits are not all consistent: leave it at 0, or give the logits less than 3")
    return sum(rating.values())


def record(game: Game, place: int, rating: Mapping[str, int]) -> Game:
    """The game with one card rated, or rated again. Raises ValueError as `total`, or for a card that there is not."""
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(game.cards):
        raise ValueError(f"there is no card {place}: they are numbered 0 to {len(game.cards) - 1}")
    return game._replace(totals=(*game.totals[:place], total(rating), *game.totals[place + 1 :]))


def reveal(game: Game) -> Revealed:
    """What the cards were, once all of them are rated.

    Raises:
        ValueError: some are not rated: the rest would no longer be blind.
    """
    if game.left:
        raise ValueError(f"{len(game.left)} of {len(game.cards)} cards are not rated yet: the kinds stay hidden until then")
    kinds = sorted({card.kind for card in game.cards})
    totals = {kind: tuple(t for card, t in zip(game.cards, game.totals, strict=True) if card.kind == kind) for kind in kinds}
    return Revealed(totals, {kind: float(statistics.median(points)) for kind, points in totals.items()})


def as_html(game: Game) -> str:
    """The kinds of all cards, with their points and the medians. Raises as `reveal`."""
    found = reveal(game)
    medians = [(kind, f"{found.medians[kind]:g}", str(len(points))) for kind, points in found.totals.items()]
    rows = [(str(place + 1), f"{card.kind} {card.number}", str(points)) for place, (card, points) in enumerate(zip(*game, strict=True))]
    tables = table(f"Medians, of {MOST} points", ("kind", "median", "cards"), medians) + table("Cards", ("card", "what it was", "points"), rows)
    return f'<style>{style()}</style><div class="{CARD}"><div class="row">{tables}</div></div>'


class Sitting:
    """One reader's game: `turn` rates the card that is shown and shows the next one, and at the end the kinds.

    Args:
        draw: HTML of a card, without a word of what it is.
    """

    def __init__(self, game: Game, draw: Callable[[Card], str]):
        self.game, self.draw = game, draw

    def turn(self, rating: Mapping[str, int] | None = None) -> str:
        """HTML of the next card without a rating, after this rating of the one before; without one, of the card that is to be rated.

        Raises:
            ValueError: a rating that makes no sense, or one more than there are cards; nothing is recorded.
        """
        if rating is not None:
            if not self.game.left:
                raise ValueError("every card is rated")
            self.game = record(self.game, self.game.left[0], rating)
        if not self.game.left:
            return as_html(self.game)
        place = self.game.left[0]
        return f"<p><b>Card {place + 1} of {len(self.game.cards)}</b></p>{self.draw(self.game.cards[place])}"


def blind_card(groups: Sequence[tuple[str, Sequence[str]]], raised: Sequence[str]) -> str:
    """A card to be rated: lines of text by group (HTML of `browser.line`), and the tokens raised most. Neither kind nor number."""
    shown = "".join(f"<h3>{escape(heading)}</h3>{''.join(lines)}" for heading, lines in groups if lines)
    words = ", ".join("<code>" + escape(word).replace(" ", "␣") + "</code>" for word in raised)
    return f'<style>{style()}</style><div class="{CARD}">{shown}<p>Raises: {words}</p></div>'
