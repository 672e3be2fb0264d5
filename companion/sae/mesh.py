"""What training asks of the processes that share a run: `Mesh`, with the answers of a process on its own."""

from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class Mesh:
    """The processes of a run: some hold different latents (shards), some work on different parts of each batch. Here it is one process,
    in `distributed.Distributed` several. A method must be called by all of them, in one order.
    """

    shard: int = 0
    """Which block of the latents is this process's own."""
    shards: int = 1
    silent: bool = False
    """Leave bars, logs and files to another process."""

    def check(self, config) -> None:
        """Refuse a run that the processes cannot share."""

    def shared(self, t: Tensor) -> Tensor:
        """A tensor that every shard reads: its gradient is the sum of theirs."""
        return t

    def summed(self, t: Tensor) -> Tensor:
        """The sum of the shards' parts; each part gets the whole gradient."""
        return t

    def rivals(self, values: Float[Tensor, "B K"], k: int) -> Float[Tensor, "B K"]:
        """`values` where they are among the row's k largest of all shards, elsewhere -inf."""
        if values.shape[1] <= k:
            return values
        return torch.full_like(values, -torch.inf).scatter(1, (top := values.topk(k, dim=1)).indices, top.values)

    def largest(self, values: Float[Tensor, "B K"], per_token: int) -> Float[Tensor, ""]:
        """The (tokens * per_token)-th largest value of the whole batch and all shards."""
        return values.flatten().topk(len(values) * per_token).values[-1]

    def batch_total(self, t: Tensor) -> Tensor:
        """The sum over the parts of the batch that other processes hold, without gradient."""
        return t

    def latent_total(self, t: Tensor) -> Tensor:
        """The sum over the shards, without gradient."""
        return t

    def rows(self, batch: Tensor) -> Tensor:
        """This process's part of a batch."""
        return batch

    def fired(self, latents: Int[Tensor, " P"], n: int) -> Int[Tensor, " P"]:
        """Those of this shard's n latents that fired anywhere in the batch, repetitions allowed."""
        return latents

    def sum_gradients(self, sae: nn.Module) -> None:
        """Add up the gradients of the parts of the batch."""

    def norm_of_gradients(self, sae: nn.Module) -> Float[Tensor, ""]:
        """Length of the whole model's gradient."""
        return torch.nn.utils.get_total_norm([p.grad for p in sae.parameters()])

    def part(self, sae: Model) -> Model:
        """This shard of a whole model."""
        return sae

    def whole(self, t: Tensor, name: str) -> Tensor:
        """A tensor of the whole model from the shards' parts; `name` ends in the parameter it belongs to."""
        return t

    def own(self, t: Tensor, name: str) -> Tensor:
        """This shard's part of a tensor of the whole model."""
        return t

    def close(self) -> None:
        """Take leave of the other processes."""


SINGLE = Mesh()
