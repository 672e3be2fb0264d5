"""Losses that a replaced residual stream is read against: nothing lost, everything lost, and what knowing only frequencies costs."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.lm.subject import Subject


def unigram_losses(train: Int[Tensor, "M T"], tokens: Int[Tensor, "N T"], vocab: int) -> Float[Tensor, "N T-1"]:
    """-ln of each token's frequency in `train`, in nats: the loss of a model that reads nothing of the context.

    The first token of a context is not predicted, as in `Subject.losses`. Frequencies are (count + 1) / (total + vocab), so that a
    token that never came has one. An ablation whose loss lies above this one has not removed information but put in noise.
    """
    counts = torch.bincount(train.flatten(), minlength=vocab).double() + 1
    return -(counts / counts.sum()).log()[tokens[:, 1:]].float()


@torch.no_grad()
def anchor_losses(
    subject: Subject, tokens: Int[Tensor, "N T"], layer: int, train: Int[Tensor, "M T"] | None = None
) -> dict[str, Float[Tensor, "N T-1"]]:
    """Losses of each token, on the CPU, with the residual stream after block `layer` replaced.

    clean: as it is. mean, zero: the mean over these tokens, or 0, everywhere. unigram: no model at all, only the frequencies of
    the `train` tokens (`unigram_losses`), the subject's own unless given.
    """
    resid = subject.residual(tokens, layer)
    mean = resid.mean(dim=(0, 1), dtype=torch.promote_types(resid.dtype, torch.float32)).to(resid)  # a sum in half precision overflows
    losses = {"clean": subject.losses(tokens), "mean": subject.losses_from(mean.expand_as(resid), tokens, layer)}
    losses["zero"] = subject.losses_from(torch.zeros_like(resid), tokens, layer)
    losses["unigram"] = unigram_losses(subject.tokens("train") if train is None else train, tokens, len(subject.unembedding()))
    return {name: values.cpu() for name, values in losses.items()}
