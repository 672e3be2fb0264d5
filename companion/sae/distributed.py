"""One training on several processes: `data` of them share the batch, `latent` of them the latents.

A script that ends in `train.fit(..., mesh=distributed.mesh(data=2, latent=2))` is started by `torchrun --nproc-per-node 4`,
on several machines with torchrun's own options. Process r holds latents block r % latent and trains on part r // latent of
each batch. All processes must be given the same batches, sample and seed; what they compute is, up to rounding, what one would.

What crosses per step, in numbers of 4 bytes, for a batch of B tokens in P parts, S shards: B/P * k * S to find the k largest
latents of all shards, B/P * D to add up the shards' reconstructions, 2 * L/S * D to add up the gradients of the parts.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.sae.mesh import Mesh
from companion.sae.models import Autoencoder
from companion.sae.recipe import TrainConfig


def mesh(data: int, latent: int, device: str = "cpu", patience: float = 600.0) -> "Distributed":
    """This process's place among data * latent of them, which torchrun has started. Gloo on CPUs, NCCL on GPUs.

    Args:
        device: "cpu", or "cuda" for the GPU with this process's number on its machine.
        patience: seconds to wait for the others before giving the run up; more than a state takes to be written. Gloo then
            raises, and `train.fit` says what to resume from; NCCL's watchdog ends the process itself.

    Raises:
        ValueError: not as many processes as the mesh has places, or this process was not started as one of several.
    """
    if missing := [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise ValueError(f"{', '.join(missing)} not set: start the script with torchrun --nproc-per-node {data * latent}")
    if (world := int(os.environ["WORLD_SIZE"])) != data * latent or min(data, latent) < 1:
        raise ValueError(f"{world} processes do not make a mesh of {data} x {latent} (data x latent)")
    wait = timedelta(seconds=patience)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=wait)
    ranks = torch.arange(world).view(data, latent)
    columns, rows = (dist.new_subgroups_by_enumeration(lines.tolist(), timeout=wait)[0] for lines in (ranks.T, ranks))
    return Distributed(Axis(columns, device), Axis(rows, device), Axis(dist.group.WORLD, device))


@contextlib.contextmanager
def _contact() -> Iterator[None]:
    """Whatever a collective fails with means that another process is gone, or does not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ConnectionError(f"rank {dist.get_rank()} of {dist.get_world_size()} lost contact with another one ({reason})") from error


class Axis:
    """The processes that this one shares something with."""

    def __init__(self, group: dist.ProcessGroup, device: str):
        self.group, self.device = group, device
        self.size, self.rank = dist.get_world_size(group), dist.get_rank(group)

    def total(self, t: Tensor, op: dist.ReduceOp = dist.ReduceOp.SUM) -> Tensor:
        """Sum (or another reduction) over the processes, without gradient."""
        if self.size == 1:
            return t
        out = t.detach().to(self.device).clone(memory_format=torch.contiguous_format)
        with _contact():
            dist.all_reduce(out, op, group=self.group)
        return out.to(t.device)

    def joined(self, t: Tensor, dim: int) -> Tensor:
        """The processes' tensors of one shape, side by side in order of rank."""
        if self.size == 1:
            return t
        parts = [torch.empty_like(t, device=self.device, memory_format=torch.contiguous_format) for _ in range(self.size)]
        with _contact():
            dist.all_gather(parts, t.detach().to(self.device).contiguous(), group=self.group)
        return torch.cat(parts, dim=dim).to(t.device)

    def slice(self, length: int) -> slice:
        """This process's part of an axis of that length."""
        part = length // self.size
        return slice(self.rank * part, (self.rank + 1) * part)


class Distributed(Mesh):
    """The answers of several processes."""

    def __init__(self, data: Axis, latent: Axis, everyone: Axis):
        self.data, self.latent, self.everyone = data, latent, everyone
        self.shard, self.shards, self.silent = latent.rank, latent.size, everyone.rank > 0

    def check(self, config: TrainConfig) -> None:
        """Refuse a run that cannot be split evenly.

        Raises:
            ValueError: latents or batch not divisible by their number of processes; resampling with split latents.
        """
        if config.n % self.shards:
            raise ValueError(f"n={config.n} latents cannot be split evenly over {self.shards} shards")
        if config.batch % self.data.size:
            raise ValueError(f"a batch of {config.batch} tokens cannot be split evenly over {self.data.size} processes")
        if config.resample_at and self.shards > 1:
            raise ValueError("resampling needs all latents in one place: use a mesh with latent=1, or resample_at=()")

    def shared(self, t: Tensor) -> Tensor:
        return _Shared.apply(t, self.latent)

    def summed(self, t: Tensor) -> Tensor:
        return _Summed.apply(t, self.latent)

    def rivals(self, values: Float[Tensor, "B K"], k: int) -> Float[Tensor, "B K"]:
        """Exact: the k largest of the union lie in the union of the shards' k largest. Of equal values at the boundary those of
        the first shards are taken or not by the same choice on every shard, so that k remain, not more."""
        if self.shards == 1:
            return super().rivals(values, k)
        top = values.topk(min(k, values.shape[1]), dim=1, sorted=False)
        offered = self.latent.joined(F.pad(top.values, (0, k - top.values.shape[1]), value=-torch.inf), dim=1)
        won = torch.zeros_like(offered, dtype=torch.bool).scatter_(1, offered.topk(k, dim=1, sorted=False).indices, True)
        won = won[:, self.latent.slice(won.shape[1])][:, : top.values.shape[1]]
        return torch.full_like(values, -torch.inf).scatter(1, top.indices, top.values.where(won, -torch.inf))

    def largest(self, values: Float[Tensor, "B K"], per_token: int) -> Float[Tensor, ""]:
        """Found byte by byte: 256 bounds, how many values reach each of them, and again between two of them. As many messages of
        256 counts as a value has bytes, where the candidates themselves would be B * k numbers from every process."""
        integer = torch.int64 if values.dtype == torch.float64 else torch.int32
        keys = _ordered(values.flatten().view(integer)).sort().values.long()
        wanted, bound = len(values) * self.data.size * per_token, torch.tensor(torch.iinfo(integer).min, device=values.device)
        for bits in range(8 * values.element_size() - 8, -1, -8):
            bounds = bound + (torch.arange(256, device=values.device) << bits)
            reached = self.everyone.total(len(keys) - torch.searchsorted(keys, bounds))
            bound = bounds[reached >= wanted][-1]
        return _ordered(bound.to(integer)).view(values.dtype)

    def batch_total(self, t: Tensor) -> Tensor:
        return self.data.total(t)

    def latent_total(self, t: Tensor) -> Tensor:
        return self.latent.total(t)

    def rows(self, batch: Tensor) -> Tensor:
        return batch[self.data.slice(len(batch))]

    def fired(self, latents: Int[Tensor, " P"], n: int) -> Int[Tensor, " P"]:
        mask = torch.zeros(n, dtype=torch.uint8, device=latents.device).index_fill_(0, latents, 1)
        return self.data.total(mask, dist.ReduceOp.MAX).nonzero()[:, 0]

    def sum_gradients(self, sae: nn.Module) -> None:
        if self.data.size > 1:
            with _contact():
                sums = [dist.all_reduce(p.grad, group=self.data.group, async_op=True) for p in sae.parameters()]
                for one in sums:
                    one.wait()

    def norm_of_gradients(self, sae: nn.Module) -> Float[Tensor, ""]:
        squares = {name: p.grad.square().sum() for name, p in sae.named_parameters()}
        everywhere = squares.pop("b_pre")
        return (self.latent_total(torch.stack(list(squares.values())).sum()) + everywhere).sqrt()

    def part(self, sae: Autoencoder) -> Autoencoder:
        """This shard of a whole model.

        Raises:
            ValueError: the processes do not have the same one.
        """
        mark = torch.cat([sae.W_enc[0], sae.b_pre]).detach()[None]
        if not torch.allclose(self.everyone.joined(mark, dim=0), mark, rtol=1e-3, atol=1e-5):
            raise ValueError("the processes did not start from one model: give all of them the same sample and seed")
        part = type(sae).from_tensors({name: self.own(t, name) for name, t in sae.tensors().items()}, None)
        part.k = sae.k  # set afterwards: a shard may hold fewer latents than are kept of all
        return part

    def whole(self, t: Tensor, name: str) -> Tensor:
        return self.latent.joined(t, dim=0) if _split(t, name) else t

    def own(self, t: Tensor, name: str) -> Tensor:
        return t[self.latent.slice(len(t))] if _split(t, name) else t

    def close(self) -> None:
        dist.destroy_process_group()


def _split(t: Tensor, name: str) -> bool:
    """All but numbers and the bias in front of the encoder have latents as their first axis."""
    return t.dim() > 0 and name.rpartition(".")[2] != "b_pre"


def _ordered(bits: Int[Tensor, " P"]) -> Int[Tensor, " P"]:
    """Bits of floats as integers of the same order, and back: below zero, floats with larger bits are smaller."""
    return bits.where(bits >= 0, bits ^ torch.iinfo(bits.dtype).max)


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx, t, axis):
        ctx.axis = axis
        return t.view_as(t)

    @staticmethod
    def backward(ctx, grad):
        return ctx.axis.total(grad), None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, t, axis):
        return axis.total(t.view_as(t))

    @staticmethod
    def backward(ctx, grad):
        return grad, None
