"""The numbers of `report`, evaluation by evaluation: rows with intervals, or `Missing` with the reason why there are none."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from companion.evals import ablation, compute, downstream, explanations, n2g, probes, reconstruction
from companion.evals.setting import InParts, Missing, Row, Setting, spread
from companion.lm import labels, sources
from companion.lm.labels import ContextLabels
from companion.lm.subject import open_subject
from companion.sae.models import EPSILON, normalise

SHORT = 64
"""Tokens of a context in which N2G looks for patterns, the paper's."""
SEEN = 16
"""Times that a latent must be active on the text for patterns to be explained: as many examples as N2G takes."""


def _ratio(sums: Float[np.ndarray, "N 2"]) -> float:
    return sums[:, 0].sum() / sums[:, 1].sum()


def reconstructed(at: Setting, sae: InParts) -> tuple[Float[Tensor, "N T D"], list[Row]]:
    """The stream as the autoencoder gives it back, and how near it is.

    Raises:
        ValueError: it is of activations of another width, or gives back values that are not finite.
    """
    part, code = "reconstruction", sae.encode(at.resid)
    back = sae.decode(code, at.resid)
    if not back.isfinite().all():
        raise ValueError("the reconstruction is not finite: look for NaN or infinity in the autoencoder's weights")
    x, mean, std = normalise(at.resid.float())
    error = (x - (back - mean) / (std + EPSILON)).double().square().sum((1, 2))
    total = (x - x.mean(dim=(0, 1))).double().square().sum((1, 2))
    raw, own = (at.resid.double() - back.double()).square().sum(-1), at.resid.double().square().sum(-1)
    counted = f"latents that none of {code.values[..., 0].numel():,} tokens activates; no interval: in a resample more would be silent"
    dead = reconstruction.dead(reconstruction.firing_counts(code, sae.n)) if sae.n else None
    return back, [
        at.row(part, "L0", np.mean, (code.values > 0).sum(-1).double().mean(1), "active latents per token"),
        Row(part, "dead share", dead, note=counted if sae.n else "the autoencoder does not say how many latents it has"),
        at.row(part, "normalised MSE", _ratio, torch.stack([error, total], 1), "the paper's: after layer norm, error / error of the mean"),
        at.row(
            part,
            "raw MSE, ratio of totals",
            _ratio,
            torch.stack([raw.sum(1), own.sum(1)], 1),
            "as it is: sum of squares of the error / of the stream",
        ),
        at.row(part, "raw MSE, median token", np.median, raw / own.clamp_min(1e-30), "median of each token's own ratio"),
        at.row(
            part,
            "share of position 0",
            _ratio,
            torch.stack([own[:, 0], own.sum(1)], 1),
            "of the sum of squares of the stream; 1/T where all are alike",
        ),
    ]


def losses(at: Setting, back: Float[Tensor, "N T D"]) -> list[Row]:
    """What the splice costs the model, at all positions and with position 0 left as it is, and beside the anchors."""
    part, clean, first_kept = "loss", at.anchors["clean"], back.clone()
    first_kept[:, 0] = at.resid[:, 0]
    rows, rises = [at.row(part, "loss of the model", np.mean, clean, "nats per token")], []
    for where, stream in (("", back), (", position 0 kept", first_kept)):
        kl, rise = (each.double().mean(1) for each in downstream.splice(at.subject, at.tokens, at.resid, stream, at.layer))
        rows += [at.row(part, f"{name}{where}", np.mean, values, "nats per token") for name, values in (("rise of the loss", rise), ("KL", kl))]
        rises.append(rise)
    for name in ("zero", "mean", "unigram"):
        held = torch.stack([at.anchors[name], clean + rises[0], clean], 1)
        note = f"1 if nothing is lost; 0 at the anchor's {at.anchors[name].mean():.3f} nats"
        rows.append(at.row(part, f"loss recovered from {name}", _recovered, held, note))
    return rows


def _recovered(held: Float[np.ndarray, "N 3"]) -> float:
    anchor, spliced, clean = held.mean(axis=0)
    return (anchor - spliced) / (anchor - clean)


def share_of_compute(at: Setting, back: Float[Tensor, "N T D"]) -> list[Row]:
    """How much of the subject's own training a model with the splice's loss is worth."""
    part, folder = "compute", at.subject.folder
    steps = [step for step in sources.kept_steps(folder) if step > 0] if folder else []
    if len(steps) < 2:
        raise Missing(f"no checkpoints of {at.subject.name} are kept here, or were named when it was opened")
    places = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), at.sizes.checkpoints)).round().astype(int))
    steps = np.array(steps)[places]
    device, dtype = str(at.subject.device), at.subject.dtype
    curve = torch.stack([open_subject(folder, int(step), device, dtype).losses(at.tokens).double().mean(1).cpu() for step in steps])
    if abs(curve[-1].mean() - at.anchors["clean"].mean()) > 0.01:
        raise Missing(f"step {steps[-1]}, the last kept, is not the finished model: name that of its end as well")
    if curve.shape[1] < 2:
        raise Missing("one context has no interval")
    spliced = at.subject.losses_from(back, at.tokens, at.layer).double().mean(1).cpu()
    found = compute.compute_fraction(spliced, curve, steps, at.generator())
    note = f"by {len(steps)} checkpoints" + (", worse than the first of them: an upper bound" if found.below_first else "")
    return [Row(part, "share of compute", found.fraction, found.low, found.high, "contexts", note)]


def probed(at: Setting, sae: InParts) -> list[Row]:
    """Mean gain over ln 2 of the best latent of each label of Python."""
    tokens, known = at.labelled
    tasks = probes.of_labels(known, tokens, [(name, None) for name in labels.PROBES])
    if not (which := probes.usable(tasks)):
        raise Missing(
            f"none of {len(labels.PROBES)} labels is in {probes.FEWEST} contexts of each half of {len(tokens)}: more labelled contexts are needed"
        )
    found = probes.score(sae.encode(at.subject.residual(tokens, at.layer)), tasks.only(which), at.generator())
    note = f"nats, at most {probes.NOTHING:.3f}; best latents of {len(which)} labels, chosen and judged on halves of {len(tokens)} contexts of Python"
    return [Row("probes", "mean gain", *map(float, found.gain), "contexts", note)]


def explained(at: Setting, sae: InParts) -> Iterator[Row]:
    """Patterns of tokens (N2G), and labels, that tell where some random latents are active."""
    train, heldout = (part[:, :SHORT] for part in (spread(at.train, at.sizes.examples), at.tokens))
    code = sae.encode(at.subject.residual(train, at.layer))
    often = (torch.bincount(code.indices[code.values > 0]) >= SEEN).nonzero().flatten().cpu()
    if not len(often):
        raise Missing(f"no latent is active on {SEEN} of {train.numel():,} tokens")
    latents = often[torch.randperm(len(often), generator=at.generator())[: at.sizes.latents]].sort().values
    activations = explanations.latent_activations(at.subject, sae, at.layer, latents)
    padding = at.subject.tokenizer(" _", add_special_tokens=False)["input_ids"][-1]
    tries = n2g.explain(activations, train, n2g.firings(activations, train), n2g.Settings(padding), at.generator())
    scores = explanations.score(tries, heldout, _fired(activations, heldout))
    chosen = f"{len(latents)} of the {len(often):,} latents that are active on {SEEN} tokens or more of {train.numel():,}"
    yield from _averages(at, "N2G", scores, ("precision", "recall", "f1"), chosen)
    yield from _best_labels(at, activations, chosen)


def _fired(activations: n2g.Activations, tokens: Tensor) -> n2g.Firings:
    try:
        return n2g.firings(activations, tokens)
    except n2g.SilentError as error:
        raise Missing(str(error)) from error


def _best_labels(at: Setting, activations: n2g.Activations, chosen: str) -> Iterator[Row]:
    tokens, known = at.labelled
    halves = slice(None, len(tokens) // 2), slice(len(tokens) // 2, None)
    fired, judged = ((_fired(activations, tokens[half]), ContextLabels(*(part[half] for part in known))) for half in halves)
    rules = explanations.best_labels(*fired)
    yield from _averages(at, "labels", explanations.score_labels(rules, *judged), ("f1",), f"best label or two of them; {chosen}")


def _averages(at: Setting, part: str, scores: explanations.Scores, names: tuple[str, ...], note: str) -> Iterator[Row]:
    for name in names:
        values = getattr(scores, name)
        defined = values[~values.isnan()]
        if not len(defined):
            yield Row(part, name, note=f"of none of these latents is it defined on this text; {note}")
            continue
        yield at.row(part, name.replace("f1", "F1"), np.mean, defined, f"{note}; defined for {len(defined)}", "latents")


def ablated(at: Setting, sae: InParts) -> list[Row]:
    """How sparse the effect of removing one active latent at one position is, with its two factors."""
    length, span = at.tokens.shape[1], at.sizes.span
    if length <= span:
        raise Missing(f"contexts of {length} tokens have no position from 1 on with {span} tokens to come")
    t, found = max(1, (length - span) // 2), []
    for context in spread(torch.arange(len(at.tokens))[:, None], at.sizes.ablated).flatten().tolist():
        removed = ablation.latent_removals(sae, at.resid[context], t, persist=False)
        effects = ablation.effects(at.subject, at.resid[context], removed, at.layer, t, span) if len(removed) else removed
        if len(effects := effects[effects.flatten(1).any(dim=1)]):
            found.append(torch.stack([part.double().mean() for part in ablation.sparsity(effects.float())]).cpu())
    if not found:
        raise Missing(f"no latent that is active at position {t} has an effect")
    note = f"each latent active at position {t} removed there only, T = {span}"
    names = ("score", "factor of the vocabulary", "factor of the position", "score at T = 1")
    return [at.row("ablation", name, np.mean, values, note) for name, values in zip(names, torch.stack(found).T, strict=True)]
