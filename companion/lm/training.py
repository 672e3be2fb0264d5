"""Train the offline subject: a GPT-2 of a few layers on this machine's own Python library, its checkpoints kept."""

import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor
from tqdm.std import trange

from companion.lm import corpus


@dataclass(frozen=True)
class SubjectConfig:
    """A subject model and its training, in steps and tokens. Defaults are the laptop's model."""

    layers: int = 4
    d_model: int = 128
    heads: int = 4
    context: int = 128
    vocab: int = 4096
    activation: str = "relu"
    steps: int = 2000
    batch: int = 16
    """Contexts per step."""
    lr: float = 2.5e-3
    warmup: float = 0.04
    """Share of the steps with a rising learning rate; a cosine to a tenth of it fills the rest."""
    weight_decay: float = 0.1
    checkpoints: int = 32
    """Log-spaced steps at which weights are kept, the untrained and the last included."""
    characters: int = 100_000_000
    """Most characters of source to read."""
    seed: int = 0
    python: str = field(default_factory=platform.python_version)
    """The corpus is the library of this version, so the version is part of the model's identity."""

    @property
    def name(self) -> str:
        """What the model is called in files: python-stdlib-4l; a width other than the usual one is said."""
        return f"python-stdlib-{self.layers}l" + (f"-d{self.d_model}" if self.d_model != 128 else "")


SMALL = SubjectConfig()
TINY = SubjectConfig(layers=2, d_model=32, heads=2, context=32, vocab=512, steps=300, batch=16, lr=2e-2, checkpoints=12, characters=600_000)
"""For tests: trains in seconds and knows little more than token frequencies."""
OFFLINE = {config.name: config for config in (replace(SMALL, layers=1), SMALL)}
"""How the subjects that ship with the package were trained."""


def train(folder: Path, config: SubjectConfig) -> None:
    """Train the subject and fill `folder` with what `transformers` and `transformer_lens` open:

        model.safetensors, config.json, tokenizer files    the trained model
        checkpoint-<step>/                                 the same model along the way
        tokens.safetensors                                 train and heldout contexts, (N, T) int32

    Raises:
        corpus.EmptyCorpusError: no Python sources on this machine.
    """
    tokens = prepare_tokens(folder, config)
    model = new_model(config)
    kept = set(checkpoint_steps(config.steps, config.checkpoints))
    batches = context_batches(tokens["train"], config.batch, config.steps, torch.Generator().manual_seed(config.seed))
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, config))
    bar = trange(config.steps, desc="subject model", unit="step", mininterval=2)
    for step, batch in zip(bar, batches, strict=True):
        if step in kept:
            model.save_pretrained(folder / f"checkpoint-{step}")
        loss = _step(model, optimiser, batch)
        schedule.step()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss:.2f}", tokens=f"{(step + 1) * batch.numel():,}", refresh=False)
    model.save_pretrained(folder / f"checkpoint-{config.steps}")
    model.save_pretrained(folder)


def _step(model, optimiser, batch: Int[Tensor, "B T"]) -> float:
    loss = training_loss(model, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()
    return loss.item()


def training_loss(model, batch: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats of each token given those before it."""
    hidden = model.transformer(batch, use_cache=False).last_hidden_state[:, :-1]
    return UnembedLoss.apply(hidden.flatten(0, 1), model.lm_head.weight, batch[:, 1:].flatten())


class UnembedLoss(torch.autograd.Function):
    """mean_i -log softmax(h_i W^T)[target_i], rows in blocks, with the gradients taken on the way:

        dL/dlogits_i = softmax(h_i W^T) - onehot(target_i)

    The (tokens, vocabulary) logits never exist whole; a training step is 1.3 times as fast as with them, on 2 cores.
    """

    BLOCK = 256

    @staticmethod
    def forward(ctx, hidden: Float[Tensor, "N D"], W: Float[Tensor, "V D"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
        grad_hidden, grad_W, loss = torch.empty_like(hidden), torch.zeros_like(W), hidden.new_zeros(())
        for rows in torch.arange(len(targets), device=targets.device).split(UnembedLoss.BLOCK):
            block, target = hidden[rows], targets[rows, None]
            p = torch.softmax(block @ W.T, dim=-1)
            loss -= p.gather(1, target).log().sum()
            p.scatter_add_(1, target, p.new_full(target.shape, -1.0))
            grad_hidden[rows] = p @ W
            grad_W.addmm_(p.T, block)
        ctx.save_for_backward(grad_hidden / len(targets), grad_W / len(targets))
        return loss / len(targets)

    @staticmethod
    def backward(ctx, grad: Float[Tensor, ""]):
        grad_hidden, grad_W = ctx.saved_tensors
        return grad * grad_hidden, grad * grad_W, None


def token_losses(logits: Float[Tensor, "B T-1 V"], batch: Int[Tensor, "B T"]) -> Float[Tensor, "B T-1"]:
    """Cross-entropy of each token from the logits before it. Flat, since a softmax over a strided axis takes twice the time."""
    targets = batch[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def prepare_tokens(folder: Path, config: SubjectConfig) -> dict[str, Int[Tensor, "N T"]]:
    """Read the corpus, train the tokenizer on the training files, and keep both in `folder`."""
    from transformers import PreTrainedTokenizerFast

    split = corpus.split_by_file(corpus.library_texts(), config.characters)
    tokenizer = corpus.train_tokenizer(split["train"], config.vocab)
    end = corpus.END_OF_TEXT
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=end, eos_token=end).save_pretrained(folder)
    return save_tokens(folder, tokenizer, split, config.context)


def save_tokens(folder: Path, tokenizer, split: dict[str, list[str]], length: int) -> dict[str, Int[Tensor, "N T"]]:
    """The texts of each split as contexts of `length` tokens, kept in `folder` and returned."""
    tokens = {name: corpus.contexts(tokenizer, texts, length) for name, texts in split.items()}
    save_file({name: value.int() for name, value in tokens.items()}, folder / "tokens.safetensors")
    return tokens


def quiet_transformers() -> None:
    """No progress bars for reading or writing a file: they are stored in a notebook as widgets that never show again."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def new_model(config: SubjectConfig):
    """An untrained GPT-2 of the configured shape. Leaves torch's global random state as it was."""
    from transformers import GPT2Config, GPT2LMHeadModel

    quiet_transformers()
    sizes = dict(vocab_size=config.vocab, n_positions=config.context, n_embd=config.d_model, n_layer=config.layers, n_head=config.heads)
    no_dropout = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    shape = GPT2Config(**sizes, **no_dropout, activation_function=config.activation, bos_token_id=0, eos_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return GPT2LMHeadModel(shape)


def checkpoint_steps(total: int, count: int) -> list[int]:
    """0, then `count` - 1 steps spaced evenly in log step up to `total`; those that round to one step count once."""
    spaced = [round(math.exp(math.log(total) * i / (count - 2))) for i in range(count - 1)]
    return sorted({0, *spaced})


def learning_rate_factor(step: int, config: SubjectConfig) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine from 1 to 0.1."""
    warm = max(1, round(config.warmup * config.steps))
    if step < warm:
        return (step + 1) / warm
    return 0.55 + 0.45 * math.cos(math.pi * (step - warm) / (config.steps - warm))


def context_batches(contexts: Int[Tensor, "N T"], size: int, steps: int, generator: torch.Generator) -> Iterator[Int[Tensor, "B T"]]:
    """`steps` batches of `size` contexts, each epoch in a new order."""
    order = torch.randperm(len(contexts), generator=generator)
    for _ in range(steps):
        while len(order) < size:
            order = torch.cat([order, torch.randperm(len(contexts), generator=generator)])
        yield contexts[order[:size]]
        order = order[size:]
