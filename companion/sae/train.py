"""Training an autoencoder of any kind: one loop, whose state can be kept on disk and taken up again exactly."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.std import tqdm

from companion.sae import paths, state
from companion.sae.mesh import SINGLE, Mesh
from companion.sae.models import Autoencoder, Terms, TopK, normalise
from companion.sae.recipe import AUX_WEIGHT, Average, TrainConfig, aux_loss, constrain_decoder, learning_rate, rate_factor, resample, rising, start
from companion.sae.stream import Batch, from_step, seed_of, vectors
from companion.sae.weights import Raw

COLUMNS = ("tokens", "mse", "dead", "l0")
Log = Callable[[dict[str, float]], None]


class Trained(NamedTuple):
    sae: Autoencoder | Raw
    """Running mean of the weights, decoder rows of unit norm where the kind holds them: the model to use. It encodes and decodes activations
    in their own units; `Raw`, with the number that they were multiplied by, unless they were layer-normed."""
    history: dict[str, np.ndarray]
    """One entry per logged step: tokens seen, normalised mse of that batch before its step, dead share, l0."""
    last: Autoencoder | Raw
    """The weights after the last step, constrained likewise."""


def fit(
    batches: Iterable[Batch],
    config: TrainConfig,
    sample: Float[Tensor, "*leading D"],
    generator: torch.Generator,
    *,
    folder: Path | str | None = None,
    every: int = 1000,
    log: Log | None = None,
    mesh: Mesh = SINGLE,
    path: paths.ComputePath | None = None,
) -> Trained:
    """Train on raw activations; what they are brought into, config.space, happens here. In float32, or in float64 if the sample is.

    Loss: (error + penalty) / |mean - x|² per token, the denominator taken once, from `sample`, plus `AUX_WEIGHT` * `aux_loss`.

    Args:
        batches: raw activations, at most config.batch vectors each, of shape (B, D) or (N, T, D); a DataLoader, a list, a generator.
            What gives fewer than config.steps batches is gone through again, epoch after epoch, unless it is an iterator. For a run to
            be resumed it must give the same ones each time. One with a method `skip` is told how many a resumed run has used; another
            is read past them.
        sample: raw activations for b_pre, the initial scale, the loss' denominator, resampling, the threshold of BatchTopK and the
            factor of the space "scalar".
        folder: where to keep the state every so many steps. Training that finds a state there goes on from it, bit for bit as if it
            had never stopped. Several processes must see the same folder.
        log: called at every logged step with step, tokens, mse, dead, l0, loss and lr, in the process that shows the bar.
        mesh: the other processes that train this model (`distributed.mesh`).
        path: the kernels to compute with; None for `paths.recommended`, in float64 `paths.EXACT`.

    Raises:
        ValueError: the batches run out or hold nothing, a batch is too large or of another width, an activation is NaN or infinite, a
            batch is all zeros, the loss is not finite, or the state in `folder` is damaged, of another configuration or width, or not
            the same for all processes.
        RuntimeError: another process of the mesh is gone; says what the last state kept is.
    """
    training, folder = Training(config, sample, generator, mesh, path), None if folder is None else Path(folder)
    try:
        if folder is not None:
            _resume(training, folder)
        _advance(training, batches, folder, every, log)
        return training.finish()
    except ConnectionError as error:
        raise RuntimeError(f"step {training.step}: {error}; {state.kept(folder)}") from error


def _resume(training: "Training", folder: Path) -> None:
    """Go on from the state in the folder, if it holds one."""
    if found := state.read(folder):
        try:
            training.load_state_dict(found)
        except ValueError as error:
            raise ValueError(f"{folder / state.FILE} {error}") from None
    mesh = training.mesh
    steps, processes = mesh.batch_total(mesh.latent_total(torch.tensor([training.step, 1])))
    if steps != training.step * processes:
        raise ValueError(f"the processes do not all see the state in {folder}: give them one folder that they share")


def _advance(training: "Training", batches: Iterable[Batch], folder: Path | None, every: int, log: Log | None) -> None:
    """To the last step, with a bar, a log, and the state kept every so often."""
    config, silent, begin = training.config, training.mesh.silent, training.step
    bar = tqdm(total=config.steps * config.batch, initial=training.tokens, unit="tok", unit_scale=True, mininterval=1.0, disable=silent)
    bar.set_description(f"{config.kind} n={config.n}")
    for acts in itertools.islice(from_step(batches, begin), config.steps - begin):
        measures = training.advance(acts)
        bar.update(training.tokens - bar.n)
        if measures:
            bar.set_postfix(mse=f"{measures['mse']:.3f}", l0=f"{measures['l0']:.3g}", dead=f"{measures['dead']:.0%}", refresh=False)
            if log and not silent:
                log(measures)
        if folder is not None and (training.step % every == 0 or training.step == config.steps):
            training.finite_loss()
            whole = training.state_dict()
            if not silent:
                state.write(whole, folder)
    bar.close()
    if training.step < config.steps:
        none = ": nothing came (a DataLoader with drop_last gives nothing of fewer activations than a batch)" if training.step == begin else ""
        raise ValueError(f"the batches ran out after {training.step} of {config.steps} steps{none}")


class Training:
    """Training at some step: the model, the optimiser, the running mean, the silence of each latent, the history. Arguments as for `fit`."""

    def __init__(self, config: TrainConfig, sample: Tensor, generator: torch.Generator, mesh: Mesh = SINGLE, path: paths.ComputePath | None = None):
        mesh.check(config)
        acts = vectors(sample if (double := sample.dtype == torch.float64) else sample.float())
        self.config, self.mesh, self.step, self.tokens = config, mesh, 0, 0
        self.factor = (acts.shape[1] / acts.square().sum(dim=1).mean()).sqrt().item() if config.space == "scalar" else 1.0
        x = self._brought(acts)[0]
        self.parts = config.batch // len(mesh.rows(x.new_empty(config.batch)))  # of each batch
        # resampling draws from a stream of its own: batches that draw from the caller's come out the same when read past
        self.generator = torch.Generator().manual_seed(seed_of(generator.initial_seed(), "resampling"))
        self.sae = mesh.part(start(x.float(), config, generator).to(x.dtype))
        self.sae.mesh, self.sae.path = mesh, path or (paths.EXACT if double else paths.recommended(x.device))
        self.sample = x[: config.median_sample].clone()
        self.error_of_mean = (x - x.mean(dim=0)).square().sum(dim=1).mean()
        self.rate = config.lr or learning_rate(config.n, config.batch)
        # epsilon: gradients of a batch mean are tiny, and the usual 1e-8 would damp Adam's step (published code)
        self.adam = torch.optim.Adam(self.sae.parameters(), lr=self.rate, betas=config.betas or self.sae.betas, eps=6.25e-10, fused=True)
        self.average = Average(self.sae, min(config.ema, 1 - 20 / max(config.steps, 40))) if config.ema else None
        self.silence = torch.zeros(self.sae.n, dtype=torch.long, device=x.device)  # tokens since a latent last fired
        self.history: list[list[float]] = []

    def advance(self, acts: Batch) -> dict[str, float] | None:
        """One step; what was measured, if this step is logged.

        Raises:
            ValueError: a batch that is too large or of another width, of zeros, with values that are not finite, or a loss that is not finite.
        """
        config, batch = self.config, self._checked(acts)
        if self.step in config.resample_at:
            dead = self.dead()
            resample(self.sae, self.adam, self.sample, dead, self.generator, config.penalty * rising(self.step, config.penalty_warmup))
            self.silence[dead] = 0
        x = self.mesh.rows(batch)
        terms = self._backward(x, len(batch))
        self.tokens += len(batch)
        logged = self.step % config.log_every == 0 or self.step == config.steps - 1
        measures = self._measure(x, terms, len(batch)) if logged else None
        self._update()
        self.step += 1
        return measures

    def dead(self) -> Tensor:
        """Indices of the latents that have been silent for longer than the configuration allows."""
        return (self.silence > self.config.dead_after_tokens).nonzero()[:, 0]

    def finish(self) -> Trained:
        """Both models, and the history by column."""
        tensors = self.average.value(self.sae) if self.average else self.sae.tensors()
        both = []
        for values in (tensors, self.sae.tensors()):
            sae = type(self.sae).from_tensors({name: self.mesh.whole(t, name) for name, t in values.items()}, self.config.k)
            constrain_decoder(sae)
            sae.finalise(self.sample)
            both.append(sae if self.config.space == "layer_norm" else Raw(sae, factor=self.factor))
        history = dict(zip(COLUMNS, np.array(self.history).T, strict=True))
        return Trained(both[0], history, both[1])

    def state_dict(self) -> state.State:
        """Weights, Adam's memory, running mean, silences, random stream, step and history of the whole model, whatever the number of
        processes, so that another number can take it up. Every process must ask; what the silent ones get is empty."""
        tensors = {}
        for name, t in self._tensors().items():
            whole = self.mesh.whole(t, name)
            tensors |= {} if self.mesh.silent else {name: whole.cpu()}
        weight = self.average.weight if self.average else 1.0
        notes = {"config": self._settings(), "step": self.step, "tokens": self.tokens, "history": list(self.history), "weight": weight}
        return state.State(tensors | {"random": self.generator.get_state()}, notes)

    def load_state_dict(self, kept: state.State) -> None:
        """Be where the training was that `state_dict` was taken of.

        Raises:
            ValueError: it was another configuration or width, or something is missing. Nothing has changed then.
        """
        tensors, notes = dict(kept.tensors), kept.notes
        there = notes["config"]
        if differing := [f"{name} is {there.get(name)} there and {here} here" for name, here in self._settings().items() if there.get(name) != here]:
            raise ValueError(f"is of another configuration: {', '.join(differing)}; choose another folder")
        random, own = tensors.pop("random", None), self._tensors()
        shapes = {name: self.mesh.own(t, name).shape for name, t in tensors.items()}
        odd = sorted(name for name in shapes.keys() | own.keys() if name not in own or shapes.get(name) != own[name].shape)
        if odd or random is None:
            raise ValueError(f"does not hold the tensors of this training: {', '.join(odd) or 'random'} missing, unknown or of another shape")
        for name, t in own.items():
            t.copy_(self.mesh.own(tensors[name], name))
        self.generator.set_state(random)
        self.step, self.tokens, self.history = notes["step"], notes["tokens"], notes["history"]
        if self.average:
            self.average.weight = notes["weight"]

    def _settings(self) -> dict:
        return json.loads(json.dumps(dataclasses.asdict(self.config)))  # as it comes back from a file: lists, not tuples

    def _tensors(self) -> dict[str, Tensor]:
        """Every tensor by name; the last part of a name tells what is split over latents and what is not."""
        found = {f"sae.{name}": t for name, t in self.sae.tensors().items()} | {"silence": self.silence, "error_of_mean": self.error_of_mean}
        for name, parameter in self.sae.named_parameters():
            if not self.adam.state[parameter]:  # Adam makes its memory at its first step
                moments = {moment: torch.zeros_like(parameter) for moment in ("exp_avg", "exp_avg_sq")}
                self.adam.state[parameter] = moments | {"step": torch.zeros((), device=parameter.device)}
            found |= {f"adam.{moment}.{name}": t for moment, t in self.adam.state[parameter].items()}
        if self.average:
            found |= {f"mean.{name}": t for name, t in self.average.means.items()}
        return found

    def _brought(self, acts: Float[Tensor, "B D"]) -> tuple[Tensor, Tensor]:
        """Activations in the space of training, and where there is more in them than rounding. ValueError if one is not finite."""
        x, mean, std = normalise(acts)
        return (x, std > 1e-6 * mean.abs()) if self.config.space == "layer_norm" else (acts * self.factor, acts != 0)

    def _checked(self, batch: Batch) -> Float[Tensor, "B D"]:
        acts = vectors(batch).to(self.error_of_mean)
        count, width = acts.shape
        if not 1 <= count <= self.config.batch or width != self.sae.d:
            wanted = f"this run takes at most {self.config.batch} with {self.sae.d}"
            raise ValueError(f"step {self.step}: a batch of {count} activations with {width} entries, but {wanted}")
        if count % self.parts:
            raise ValueError(f"step {self.step}: {count} activations cannot be split evenly over {self.parts} processes: leave such a batch out")
        x, varied = self._brought(acts)  # the whole batch, so that every process refuses a bad one
        if not varied.any():
            raise ValueError(f"step {self.step}: every activation of the batch is zero or constant: nothing can be learned from it")
        return x

    def _backward(self, x: Tensor, tokens: int) -> Terms:
        config, sae = self.config, self.sae
        sae.zero_grad(set_to_none=True)
        terms = sae.terms(x)
        self.silence += tokens
        self.silence[self.mesh.fired(terms.fired, sae.n)] = 0
        penalty = config.penalty * rising(self.step, config.penalty_warmup) * terms.penalty
        loss = (terms.error + penalty) / (tokens * self.error_of_mean)
        aux_k = (sae.d // 2 if isinstance(sae, TopK) else 0) if config.aux_k is None else config.aux_k
        loss = loss + AUX_WEIGHT * aux_loss(sae, x, terms.x_hat, self.dead(), aux_k)
        loss.backward()
        self.mesh.sum_gradients(sae)
        self.loss = loss.detach()
        return terms

    def _update(self) -> None:
        config = self.config
        constrain_decoder(self.sae)
        if config.clip:
            norm = self.mesh.norm_of_gradients(self.sae)
            torch._foreach_mul_([p.grad for p in self.sae.parameters()], (config.clip / norm).clamp_max(1).item())
        for group in self.adam.param_groups:
            group["lr"] = self.rate * rate_factor(self.step, config)
        self.adam.step()
        if self.average:
            self.average.update()

    def finite_loss(self) -> float:
        """Loss of the last batch.

        Raises:
            ValueError: it is NaN or infinite, and with it the weights.
        """
        loss = self.mesh.batch_total(self.loss).item()
        if not np.isfinite(loss):
            raise ValueError(f"step {self.step}: the loss is {loss}: lower the learning rate ({self.rate:g})")
        return loss

    def _measure(self, x: Tensor, terms: Terms, tokens: int) -> dict[str, float]:
        mesh, loss = self.mesh, self.finite_loss()
        mse = mesh.batch_total((terms.x_hat.detach() - x).square().sum()) / (tokens * self.error_of_mean)
        dead = mesh.latent_total(torch.tensor(len(self.dead()))) / self.config.n
        l0 = mesh.batch_total(mesh.latent_total(torch.tensor(len(terms.fired)))) / tokens
        row = [self.tokens, mse.item(), dead.item(), l0.item()]
        self.history.append(row)
        return dict(zip(COLUMNS, row, strict=True)) | {"step": self.step, "loss": loss, "lr": self.rate * rate_factor(self.step, self.config)}
