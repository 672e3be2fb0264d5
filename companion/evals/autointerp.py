"""Automatic interpretation without a language model: an explainer that knows the true labels, scored as Bricken et al. 2023 score theirs.

The explainer sees windows of text around activations of one latent and writes the best rule that it knows: one label, two labels at
once, or a list of tokens. The rule predicts the activations in other windows; the score is Spearman's correlation. For the logits the
rule is a label of the tokens that a latent raises most, and predicts which of other tokens it raises.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import rankdata
from torch import Tensor

from companion.evals import features
from companion.evals.n2g import Firings
from companion.lm.labels import ContextLabels

LEVELS, WINDOW = 9, 9
"""Activations are told in whole numbers from 0 to this, and examples are of so many tokens, as the paper's."""
TOP, EACH, INTERVALS = 10, 2, 12
"""Examples of the largest activations, and of each interval of activations."""
NEAR, FAR = 10, 60
"""Logits: a rule is made from the tokens raised most, and asked for those that follow up to this rank, beside as many random ones."""
CUTS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""A token has a label if it has it at more than this share of its places: which one is part of the rule."""


class Windows(NamedTuple):
    """Examples of one latent: E of `WINDOW` tokens each."""

    context: Int[Tensor, "E W"]
    position: Int[Tensor, "E W"]
    levels: Float[Tensor, "E W"]
    """Activations in whole numbers: 0 where there is none, `LEVELS` for the largest of the text."""


def windows(
    fired: Firings, latent: int, tokens: Int[Tensor, "N T"], generator: torch.Generator, drawn: int, same: int = 0, total: int | None = None
) -> Windows:
    """The largest activations, some of every interval, `drawn` random places, and `same` random places of the tokens of the largest ones.

    Args:
        total: so many examples altogether: further random places fill up what empty intervals leave.

    Raises:
        ValueError: as `features.examples`.
    """
    found = features.examples(fired, latent, generator, TOP, INTERVALS, EACH)
    centre = found.context * tokens.shape[1] + found.position
    like = torch.isin(tokens.flatten(), tokens.flatten()[centre[:TOP]]).nonzero().flatten()
    alike = like[torch.randperm(len(like), generator=generator)[:same]]
    missing = drawn if total is None else max(drawn, total - len(centre) - len(alike))
    centre = torch.cat([centre, alike, torch.randint(tokens.numel(), (missing,), generator=generator)])
    start = (centre % tokens.shape[1] - WINDOW // 2).clamp(0, max(0, tokens.shape[1] - WINDOW))
    position = start[:, None] + torch.arange(min(WINDOW, tokens.shape[1]))
    context = (centre // tokens.shape[1])[:, None].expand_as(position)
    mine = features.own(fired, latent)
    levels = torch.zeros(tokens.shape)
    levels[mine.context, mine.position] = (LEVELS * mine.value / mine.value.max()).ceil()
    return Windows(context, position, levels[context, position])


class Rule(NamedTuple):
    """One explanation: two labels (one alone is given twice), or the mean level of each token that was seen."""

    labels: tuple[int, int] | None
    tokens: dict[int, float]

    def predict(self, tokens: Int[Tensor, " F"], labels: Bool[Tensor, "F Y"]) -> ndarray:
        """A number per token: the higher, the more active the latent should be. Only the order counts."""
        if self.labels:
            return labels[:, list(self.labels)].all(dim=1).numpy().astype(float)
        return np.array([self.tokens.get(token, 0.0) for token in tokens.tolist()])


def spearman(a: ndarray, b: ndarray) -> float:
    """Spearman's correlation; 0 if one of the two is constant, as in the paper."""
    x, y = (rankdata(each) - (len(each) + 1) / 2 for each in (a, b))
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size else 0.0


def best_labels(levels: ndarray, labels: Bool[Tensor, "F Y"]) -> tuple[int, int]:
    """The label, or two at once, whose presence has the highest Spearman correlation with the levels; one alone is given twice.

    For a set of c of F tokens with ranks r (of mean 0) it is sum r / sqrt(c (1 - c / F) sum r²): one matrix product for all pairs.
    """
    x, r = labels.double(), torch.from_numpy(rankdata(levels) - (len(levels) + 1) / 2)
    count, total = x.T @ x, x.T @ (x * r[:, None])
    found = (total / (count * (1 - count / len(x))).clamp_min(0).sqrt()).nan_to_num(-torch.inf, -torch.inf, -torch.inf)
    found.diagonal().add_(1e-9)  # two labels that do no better than one are not preferred
    a, b = divmod(int(found.argmax()), len(found))
    return a, b


def token_means(levels: ndarray, tokens: Int[Tensor, " F"]) -> dict[int, float]:
    ids, place = tokens.unique(return_inverse=True)
    sums = np.bincount(place.numpy(), weights=levels) / np.bincount(place.numpy())
    return dict(zip(ids.tolist(), sums.tolist(), strict=True))


def explain(shown: Windows, tokens: Int[Tensor, "N T"], labels: ContextLabels) -> Rule:
    """The better of the two kinds of rule: made from every second example, compared on the others, made again from all of them."""

    def made(examples: slice) -> tuple[Rule, Rule]:
        at, levels = (shown.context[examples], shown.position[examples]), shown.levels[examples].flatten().numpy()
        return Rule(best_labels(levels, labels.values[at].flatten(0, 1)), {}), Rule(None, token_means(levels, tokens[at].flatten()))

    held = Windows(*(part[1::2] for part in shown))
    tried = [score(rule, held, tokens, labels) for rule in made(slice(0, None, 2))]
    return made(slice(None))[int(np.argmax(tried))]


def score(rule: Rule, shown: Windows, tokens: Int[Tensor, "N T"], labels: ContextLabels) -> float:
    """Spearman's correlation of a rule's predictions with the levels in these windows."""
    at = shown.context, shown.position
    return spearman(rule.predict(tokens[at].flatten(), labels.values[at].flatten(0, 1)), shown.levels.flatten().numpy())


# --- logits ---


def label_shares(tokens: Int[Tensor, "N T"], labels: ContextLabels, vocabulary: int) -> tuple[Float[Tensor, "V Y"], Int[Tensor, " V"]]:
    """At what share of its labelled places each token of the vocabulary has each label, and how many places these are."""
    ids, true = tokens[labels.known], labels.values[labels.known].float()
    counts = torch.bincount(ids, minlength=vocabulary)
    return torch.zeros(vocabulary, true.shape[1]).index_add_(0, ids, true) / counts[:, None].clamp_min(1), counts


class LogitTest(NamedTuple):
    """Tokens of one latent, by number: those raised most and as many others again to make a rule from, and those to be told apart."""

    shown: Int[Tensor, " S"]
    asked: Int[Tensor, " A"]

    @property
    def raised(self) -> Bool[Tensor, " A"]:
        """Which of those asked for are raised: the first half."""
        return torch.arange(len(self.asked)) < len(self.asked) // 2


def logit_test(weights: Float[Tensor, " V"], used: Int[Tensor, " U"], generator: torch.Generator) -> LogitTest:
    """The `NEAR` tokens of the highest weights with random ones; those of ranks `NEAR` to `FAR` with as many other random ones.

    Raises:
        ValueError: too few tokens are used.
    """
    if len(used) < 2 * FAR:
        raise ValueError(f"{len(used)} tokens are in use, and {2 * FAR} are needed")
    ranked = used[weights[used].argsort(descending=True)]
    others = ranked[FAR:][torch.randperm(len(used) - FAR, generator=generator)]
    return LogitTest(torch.cat([ranked[:NEAR], others[:NEAR]]), torch.cat([ranked[NEAR:FAR], others[NEAR:FAR]]))


def logit_rule(test: LogitTest, shares: Float[Tensor, "V Y"]) -> tuple[int, float]:
    """The label, and the least share of a token's places that must have it, that tell the shown tokens apart best."""
    best = []
    for cut in CUTS:
        has = (shares[test.shown] > cut).float()
        accuracy = (has[:NEAR].sum(dim=0) + (1 - has[NEAR:]).sum(dim=0)) / len(has)
        best.append((accuracy.max().item(), int(accuracy.argmax()), cut))
    return max(best)[1:]


def logit_score(rule: tuple[int, float], test: LogitTest, shares: Float[Tensor, "V Y"]) -> float:
    """The share of the asked tokens that a rule puts on the right side; 1/2 for one that says the same of all."""
    return ((shares[test.asked, rule[0]] > rule[1]) == test.raised).float().mean().item()
