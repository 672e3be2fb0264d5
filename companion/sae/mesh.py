"""What training asks of the processes that share a run: `Mesh`, and the answers of a process on its own, `Single`."""

from typing import Protocol, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class Mesh(Protocol):
    """The processes of a run: some hold different latents (shards), some work on different parts of each batch.

    A method must be called by all of them, in one order. `Single` is one process, `distributed.Distributed` are several.
    """

    shard: int
    """Which block of the latents is this process's own."""
    shards: int
    silent: bool
    """Leave bars, logs and files to another process."""

    def check(self, config) -> None:
        """Refuse a run that the processes cannot share."""

    def shared(self, t: Tensor) -> Tensor:
        """A tensor that every shard reads: its gradient is the sum of theirs."""

    def summed(self, t: Tensor) -> Tensor:
        """The sum of the shards' parts; each part gets the whole gradient."""

    def rivals(self, values: Float[Tensor, "B K"], k: int) -> Float[Tensor, "B K"]:
        """`values` where they are among the row's k largest of all shards, elsewhere -inf."""

    def largest(self, values: Float[Tensor, "B K"], per_token: int) -> Float[Tensor, ""]:
        """The (tokens * per_token)-th largest value of the whole batch and all shards."""

    def batch_total(self, t: Tensor) -> Tensor:
        """The sum over the parts of the batch that other processes hold, without gradient."""

    def latent_total(self, t: Tensor) -> Tensor:
        """The sum over the shards, without gradient."""

    def rows(self, batch: Tensor) -> Tensor:
        """This process's part of a batch."""

    def fired(self, latents: Int[Tensor, " P"], n: int) -> Int[Tensor, " P"]:
        """Those of this shard's n latents that fired anywhere in the batch, repetitions allowed."""

    def sum_gradients(self, sae: nn.Module) -> None:
        """Add up the gradients of the parts of the batch."""

    def norm_of_gradients(self, sae: nn.Module) -> Float[Tensor, ""]:
        """Length of the whole model's gradient."""

    def part(self, sae: Model) -> Model:
        """This shard of a whole model."""

    def whole(self, t: Tensor, name: str) -> Tensor:
        """A tensor of the whole model from the shards' parts; `name` ends in the parameter it belongs to."""

    def own(self, t: Tensor, name: str) -> Tensor:
        """This shard's part of a tensor of the whole model."""

    def close(self) -> None:
        """Take leave of the other processes."""


class Single:
    """One process: the answers of a `Mesh` where there is nobody to ask."""

    shard, shards, silent = 0, 1, False

    def rivals(self, values: Tensor, k: int) -> Tensor:
        if values.shape[1] <= k:
            return values
        return torch.full_like(values, -torch.inf).scatter(1, (top := values.topk(k, dim=1)).indices, top.values)

    def largest(self, values: Tensor, per_token: int) -> Tensor:
        return values.flatten().topk(len(values) * per_token).values[-1]

    def fired(self, latents: Tensor, n: int) -> Tensor:
        return latents

    def norm_of_gradients(self, sae: nn.Module) -> Tensor:
        return torch.nn.utils.get_total_norm([p.grad for p in sae.parameters()])

    def _itself(self, t, name: str = ""):
        return t

    def _nothing(self, *_) -> None:
        pass

    shared = summed = batch_total = latent_total = rows = part = whole = own = _itself
    check = sum_gradients = close = _nothing


SINGLE = Single()
