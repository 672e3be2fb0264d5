"""What a latent stands for: where it is active, which labels it goes with, which tokens it raises, and which neurons are like it.

The analyses of Bricken et al. 2023 ("Towards Monosemanticity") on the latents of any autoencoder at any site of a subject. What the
paper takes from likelihood ratios of hand-written proxies comes here from the labels of `lm.labels`, which are known for every token.

Codes are sparse and stay so: sums over tokens are products of sparse matrices (latents x tokens) with a few columns at a time.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from torch import Tensor, nn

from companion.evals.n2g import Firings
from companion.lm import families
from companion.lm.labels import ContextLabels
from companion.lm.subject import Subject
from companion.sae.models import SAE, Code

TOKENS = 2**11
"""Tokens read at once: the dense kinds make a number per latent of each."""
DOWN = ("mlp.c_proj", "mlp.dense_4h_to_h", "mlp.down_proj")
"""Names of the matrix by which neurons write into the stream."""
Columns = Callable[[slice], Float[Tensor, "n T M"]]
"""Numbers of some contexts."""


# --- where latents are active ---


def latents_of(sae: SAE) -> int:
    """Number of latents of a model of ours, or of one in a `weights.Raw`; 0 if it does not say."""
    return getattr(getattr(sae, "sae", sae), "n", 0)


def read(subject: Subject, site: str, tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T D"]:
    """Activations at a site, in float32 at least: autoencoders compute in it whatever the model does."""
    acts = subject.activations(tokens, site)
    return acts.to(torch.promote_types(acts.dtype, torch.float32))


@torch.no_grad()
def fired(subject: Subject, sae: SAE, site: str, tokens: Int[Tensor, "N T"]) -> Firings:
    """Every activation above 0 of every latent, on the CPU: density is `counts` / number of tokens.

    Raises:
        ValueError: no contexts, or activations that are not of the autoencoder's width.
        SubjectError: no such site.
    """
    if tokens.ndim != 2 or not tokens.numel():
        raise ValueError(f"contexts must be tokens (N, T), at least one of at least one token, not {tuple(tokens.shape)}")
    found, first = [], 0
    for chunk in tokens.split(max(1, TOKENS // tokens.shape[1])):
        code = sae.encode(read(subject, site, chunk))
        context, position, slot = (code.values > 0).nonzero(as_tuple=True)
        at = context, position, slot
        found.append([part.cpu() for part in (context + first, position, code.values[at], code.indices[at])])
        first += len(chunk)
    context, position, value, latent = map(torch.cat, zip(*found, strict=True))
    order = latent.argsort(stable=True)
    return Firings(context[order], position[order], value[order], torch.bincount(latent, minlength=latents_of(sae)))


def own(fired: Firings, latent: int) -> Firings:
    """The activations of one latent.

    Raises:
        ValueError: no such latent, or one that is active nowhere: no feature can be read off it.
    """
    if not 0 <= latent < len(fired.counts):
        raise ValueError(f"there is no latent {latent}: they are numbered 0 to {len(fired.counts) - 1}")
    if not fired.counts[latent]:
        raise ValueError(f"latent {latent} is active on none of these tokens: it is dead, or rarer than this text can show")
    return only(fired, torch.tensor([latent]))


def only(fired: Firings, latents: Int[Tensor, " L"]) -> Firings:
    """The activations of some latents, which are numbered anew, in this order."""
    starts = fired.counts.cumsum(0) - fired.counts
    places = [torch.arange(start, start + count) for start, count in zip(starts[latents].tolist(), fired.counts[latents].tolist(), strict=True)]
    at = torch.cat(places) if places else torch.zeros(0, dtype=torch.long)
    return Firings(fired.context[at], fired.position[at], fired.value[at], fired.counts[latents])


def largest(fired: Firings) -> Float[Tensor, " L"]:
    """Each latent's largest activation, 0 if it has none."""
    return torch.zeros(len(fired.counts)).scatter_reduce_(0, fired.latent, fired.value, "amax")


class Examples(NamedTuple):
    """Places where one latent is active."""

    context: Int[Tensor, " E"]
    position: Int[Tensor, " E"]
    value: Float[Tensor, " E"]
    interval: Int[Tensor, " E"]
    """-1: among the largest activations; i: drawn from those in (i, i + 1] max / intervals."""


def examples(fired: Firings, latent: int, generator: torch.Generator, top: int = 20, intervals: int = 11, each: int = 2) -> Examples:
    """The largest activations, one per context and in order, and random ones of `intervals` intervals from the highest to the lowest.

    The intervals are evenly spaced in activation between 0 and the largest, as the paper's are; equal numbers of tokens per interval
    would put nearly all of them near 0. An interval may hold fewer than `each`. Raises as `own`.
    """
    mine = own(fired, latent)
    order = mine.value.argsort(descending=True, stable=True).tolist()
    strongest = dict(zip(reversed(mine.context[order].tolist()), reversed(order), strict=True)).values()  # the last one written stays
    chosen = [(-1, i) for i in sorted(strongest, key=lambda i: -mine.value[i])[:top]]
    interval = interval_of(mine.value, intervals)
    for number in reversed(range(intervals)):
        inside = (interval == number).nonzero().flatten()
        drawn = inside[torch.randperm(len(inside), generator=generator)[:each]].tolist()
        chosen += [(number, i) for i in sorted(drawn, key=lambda i: -mine.value[i])]
    numbers, at = torch.tensor(chosen).T
    return Examples(mine.context[at], mine.position[at], mine.value[at], numbers)


def interval_of(value: Float[Tensor, " F"], intervals: int) -> Int[Tensor, " F"]:
    """In which of so many equal parts of 0 to the largest each value lies; the largest in the last."""
    return (value / value.max() * intervals).ceil().long().sub(1).clamp(0, intervals - 1)


# --- labels ---


class Specificity(NamedTuple):
    edges: Float[Tensor, " B+1"]
    active: Int[Tensor, " B"]
    """Tokens in each bin."""
    known: Int[Tensor, " B"]
    """Of these the ones that have labels."""
    share: Float[Tensor, "B Y"]
    """P(label | activation in the bin); NaN for a bin without labelled tokens."""


def specificity(fired: Firings, latent: int, labels: ContextLabels, bins: int = 5) -> Specificity:
    """How sure each label is, given how active a latent is: in `bins` equal parts of 0 to its largest activation. Raises as `own`."""
    mine = own(fired, latent)
    known, true = labels.known[mine.context, mine.position], labels.values[mine.context, mine.position]
    within = torch.nn.functional.one_hot(interval_of(mine.value, bins), bins).T.float()
    counts = within @ known.float()
    edges = torch.linspace(0, mine.value.max().item(), bins + 1)
    return Specificity(edges, within.sum(dim=1).long(), counts.long(), within @ (true & known[:, None]).float() / counts[:, None])


class Curve(NamedTuple):
    """Of saying that a label holds where the activation is at least a threshold; from the largest activation down."""

    threshold: Float[Tensor, " E"]
    precision: Float[Tensor, " E"]
    recall: Float[Tensor, " E"]


def precision_recall(fired: Firings, latent: int, labels: ContextLabels, column: int) -> Curve:
    """Precision and recall of every threshold that changes them, on the tokens that have labels.

    Raises:
        ValueError: the label holds on no token, or the latent is active on no labelled one; as `own`.
    """
    mine = own(fired, latent)
    mine = mine.chosen(labels.known[mine.context, mine.position])
    positives = int((labels.values[..., column] & labels.known).sum())
    if not positives or not len(mine.value):
        raise ValueError("the label holds on no token of this text" if not positives else f"latent {latent} is active on no token that has labels")
    value, order = mine.value.sort(descending=True)
    right = labels.values[mine.context[order], mine.position[order], column].cumsum(0)
    last = torch.cat([value[1:] < value[:-1], torch.ones(1, dtype=torch.bool)])  # equal activations pass a threshold together
    said = torch.arange(1, len(value) + 1)
    return Curve(value[last], (right / said)[last], (right / positives)[last])


def token_identity(tokens: Int[Tensor, "N T"], labels: ContextLabels) -> Float[Tensor, " Y"]:
    """corr(E[label | token], label): how well the token alone tells each label. In sample, so a little too high for rare tokens.

    The baseline beside a latent's correlation: many labels are nearly a matter of the token. With the mean of a label within each token
    as its prediction, the correlation is sqrt(var E[label | token] / var label). NaN for a label that never changes.
    """
    ids, true = tokens[labels.known], labels.values[labels.known].double()
    _, place, counts = ids.unique(return_inverse=True, return_counts=True)
    means = torch.zeros(len(counts), true.shape[1], dtype=torch.float64).index_add_(0, place, true) / counts[:, None]
    p = true.mean(dim=0)
    return (((counts[:, None] * means.square()).sum(dim=0) / len(ids) - p**2).clamp_min(0) / (p - p**2)).sqrt()


# --- sums over tokens ---


def matrix(fired: Firings, shape: tuple[int, int]) -> csr_array:
    """Activations as a sparse matrix, latents x tokens of contexts of `shape`, in float64."""
    place, starts = fired.context * shape[1] + fired.position, np.append(0, fired.counts.cumsum(0).numpy())
    return csr_array((fired.value.double().numpy(), place.numpy(), starts), (len(fired.counts), shape[0] * shape[1]))


def correlation(fired: Firings, columns: Tensor | Columns, shape: tuple[int, int], where: Bool[Tensor, "N T"] | None = None) -> Float[Tensor, "L M"]:
    """Pearson correlation over tokens of every latent's activation with every column: labels, neurons, whatever (N, T, M) there is.

    corr(f, y) = (E[f y] - E[f] E[y]) / (sd f sd y). NaN for what never changes.

    Args:
        columns: the numbers, or what makes those of some contexts, so that they need not be held at once.
        shape: (N, T).
        where: the tokens that count, as `ContextLabels.known`; all, unless given.
    """
    where = torch.ones(shape, dtype=torch.bool) if where is None else where
    acts, count = matrix(fired.chosen(where[fired.context, fired.position]), shape).tocsc(), int(where.sum())
    f, f2 = (torch.from_numpy(part.sum(axis=1)) / count for part in (acts, acts.power(2)))
    rows, sums = max(1, TOKENS // shape[1]), 0
    for first in range(0, shape[0], rows):
        part = slice(first, first + rows)
        y = (columns(part) if callable(columns) else columns[part]).cpu().double().flatten(0, 1) * where[part].flatten()[:, None]
        together = torch.from_numpy(acts[:, first * shape[1] : (first + rows) * shape[1]] @ y.numpy())
        sums = torch.cat([y.sum(dim=0)[None], y.square().sum(dim=0)[None], together]) + sums
    mean, square, both = sums[0] / count, sums[1] / count, sums[2:] / count
    return ((both - f[:, None] * mean) / ((f2 - f**2)[:, None] * (square - mean**2)).clamp_min(0).sqrt()).float()


def f1(fired: Firings, labels: ContextLabels) -> Float[Tensor, "L Y"]:
    """F1 of taking each latent's activity (above 0) for each label, on the tokens that have labels; 0 where the two never meet."""
    known, shape = labels.known, labels.known.shape
    mine = fired.chosen(known[fired.context, fired.position])
    active = matrix(mine._replace(value=torch.ones_like(mine.value)), shape)
    true = (labels.values & known[..., None]).flatten(0, 1)
    both = torch.from_numpy(active @ true.double().numpy())
    return (2 * both / (mine.counts[:, None] + true.sum(dim=0)).clamp_min(1)).float()


def masked_cosine(first: Firings, second: Firings, shape: tuple[int, int]) -> Float[Tensor, "L M"]:
    """How alike the latents of two dictionaries are on the same contexts: the paper's measure of feature splitting.

    The cosine of the two latents' activations, on the tokens where the first is active or on those where the second is, whichever
    is larger. So a latent that is a part of another has one of nearly 1 with it.
    """
    a, b = matrix(first, shape), matrix(second, shape)
    dot = (a @ b.T).toarray()
    cosines = []
    for norms, others in ((a, b), (b, a)):  # on the tokens of `norms` its own norm is whole, the other's is not
        whole = np.sqrt(norms.power(2).sum(axis=1))
        partial = np.sqrt(((norms > 0).astype(np.float64) @ others.power(2).T).toarray())
        product = whole[:, None] * partial
        cosines.append(product if norms is a else product.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [np.nan_to_num(dot / product, posinf=0.0) for product in cosines]
    return torch.from_numpy(np.maximum(*found)).float()


# --- what latents do ---


def directions(sae: SAE, latents: Int[Tensor, " L"], at: Float[Tensor, " D"]) -> Float[Tensor, "L D"]:
    """What one unit of each latent adds to activations like `at`: d_i, in an autoencoder of normalised ones times their std."""
    acts, which = at.expand(len(latents), -1), latents[:, None].to(at.device)
    one = torch.ones_like(acts[:, :1])
    return sae.decode(Code(which, one), acts) - sae.decode(Code(which, 0 * one), acts)


@torch.no_grad()
def logit_weights(subject: Subject, site: str, d: Float[Tensor, "L D"]) -> Float[Tensor, "L V"]:
    """What directions at a site do to the logits by the direct path to the unembedding, with a median of 0 over the vocabulary.

    d_i (through W_down from the neurons), less its mean where the final norm subtracts it, times that norm's gain, times W_U. A
    direction must not go through the norm itself, which would blow it up to unit variance; the division by the scale of
    the whole stream, which this leaves out, is a number per token.

    Raises:
        ValueError: no linear way from this site to the stream.
    """
    block, name = subject.blocks[int(site.split(".")[1])], site.split(".", 2)[2]
    if name in ("mlp.hook_post", "hook_mlp_out") and families.sites(subject.family, subject.config)["hook_mlp_out"][0] != "mlp":
        raise ValueError(f"{subject.name} normalises what its MLP writes, so directions at {site} have no fixed logit weights")
    if name == "mlp.hook_post":
        down = next(module for path, module in block.named_modules() if path in DOWN)
        d = down(d.to(subject.dtype)) - down(torch.zeros_like(d, dtype=subject.dtype))
    centred = d - d.mean(dim=-1, keepdim=True) if isinstance(subject.trunk.get_submodule(subject.family.norm), nn.LayerNorm) else d
    logits = (centred * subject.final_gain()).to(subject.dtype) @ subject.unembedding().T
    return (logits - logits.median(dim=-1, keepdim=True).values).float().cpu()


def ablation_effect(subject: Subject, sae: SAE, site: str, tokens: Int[Tensor, "N T"], latent: int) -> Float[Tensor, "N T-1"]:
    """Change of the log-probability of each next token when a latent is held at 0 at every token, the error kept; below 0 it helped.

    Exactly 0 up to its first activation in a context; contexts without one can be left out.
    """
    with subject.spliced({site: sae}, error_term=True) as run:
        run.set(site, latent, 0.0)
        without = run.losses(tokens)
    return (subject.losses(tokens) - without).cpu()
