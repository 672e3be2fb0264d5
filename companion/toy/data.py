"""Inputs of the toy models: sparse features, and a sampler that never draws the sample whose loss is already known.

An active feature is uniform on [0, 1], an inactive one 0. Three kinds of data differ in which features are active together:

    Independent         each feature with probability p (the density, 1 - sparsity); Var x_i = p/3 - p^2/4
    Correlated(k)       sets of k features; a set is active, all of it, with probability p
    Anticorrelated(k)   a set is active with probability p, and then one of its members, each as likely

Every function turns *given* uniforms into samples, so that models of several densities can look at the same draw: an
active feature of a sparse model is then active in the denser ones too (common random numbers).
"""

import functools
import itertools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

NEGLIGIBLE = 1e-12
"""Below this probability of an all-zero sample, plain and conditional sampling are the same."""
LIMIT = 10
"""Most independent features whose 2^n active sets are listed."""


class Uniforms(NamedTuple):
    """The random numbers behind one batch."""

    each: Float[Tensor, "B F"]
    """One per feature: active where it is below p, and then its value is 1 - u/p."""
    first: Float[Tensor, " B"]
    """One per sample: places the first active feature in conditional sampling."""


class Law(NamedTuple):
    """Which sets of features are active together, and how often: all that an exact expectation needs to know."""

    sets: Float[Tensor, "A F"]
    """One row per possible set, 1 where a feature is active."""
    chance: Float[Tensor, "I A"]
    """Probability of each set, per model."""


def check_density(density: Float[Tensor, "..."]) -> None:
    """Refuse a density outside (0, 1].

    Raises:
        ValueError: a value is not in (0, 1], NaN included.
    """
    if not bool(((density > 0) & (density <= 1)).all()):
        raise ValueError(f"density={density.tolist()}: every density must lie in (0, 1]; sparsity S corresponds to density 1 - S.")


def variance(density: Float[Tensor, "*I"]) -> Float[Tensor, "*I"]:
    """V(p) = p/3 - p^2/4, the variance of a feature and the loss of leaving it out.

    Raises:
        ValueError: a density outside (0, 1].
    """
    check_density(density)
    return density / 3 - density.square() / 4


def draw(features: int, batch: int, stream: Generator) -> Uniforms:
    """Uniforms for one batch, from one generator and on its device.

    Raises:
        ValueError: features or batch below 1.
    """
    if features < 1 or batch < 1:
        raise ValueError(f"features={features}, batch={batch}: both must be at least 1.")
    each = torch.rand(batch, features, generator=stream, device=stream.device)
    return Uniforms(each, torch.rand(batch, generator=stream, device=stream.device))


def plain(uniforms: Uniforms, density: Float[Tensor, " I"]) -> Float[Tensor, "I B F"]:
    """Samples of D1, one block per density: x = relu(1 - u/p), so that one uniform decides both mask and value."""
    return torch.div(uniforms.each, -density[:, None, None]).add_(1).relu_()


def conditional(uniforms: Uniforms, density: Float[Tensor, " I"]) -> Float[Tensor, "I B F"]:
    """Samples of D1 given that at least one feature is active.

    The first active index i has probability p(1-p)^i / (1 - (1-p)^n); the features before it are zero, those after it
    are independent. Together with the weight `share_active` and the exact loss of the zero sample this is unbiased,
    with the same batch spent only where something happens.
    """
    x = plain(uniforms, density)
    if bool((1 - share_active(density, x.shape[-1]) < NEGLIGIBLE).all()):
        return x
    first = _first_active(uniforms.first, density, x.shape[-1])[..., None]
    x.masked_fill_(torch.arange(x.shape[-1], device=x.device) < first, 0)
    return x.scatter_(-1, first, uniforms.each.to(x).expand_as(x).gather(-1, first))


def share_active(density: Float[Tensor, " I"], features: int) -> Float[Tensor, " I"]:
    """Probability 1 - (1-p)^n that a sample has an active feature."""
    return -torch.expm1(features * torch.log1p(-density))


def _first_active(uniform: Float[Tensor, " B"], density: Float[Tensor, " I"], features: int) -> Tensor:
    """Inverse of the truncated geometric distribution function. At p = 1 log(1-p) is -inf and the index 0."""
    tail = torch.log1p(-uniform * share_active(density, features)[:, None])
    index = torch.floor(tail / torch.log1p(-density)[:, None])
    # u close to 1 may round the tail up to (1-p)^n: the last feature is then meant
    return torch.nan_to_num(index, nan=0.0).clamp(0, features - 1).long()


# --- the three kinds ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Independent:
    """Every feature by itself (D1)."""

    def uniforms(self, features: int, batch: int, stream: Generator) -> tuple[Uniforms, ...]:
        """The random numbers of one batch; `sample` turns them into inputs of any density."""
        return (draw(features, batch, stream),)

    def sample(self, uniforms: tuple[Uniforms, ...], density: Float[Tensor, " I"]) -> Float[Tensor, "I B F"]:
        """Samples given that at least one feature is active."""
        return conditional(uniforms[0], density)

    def share_active(self, density: Float[Tensor, " I"], features: int) -> Float[Tensor, " I"]:
        """Probability that a sample has an active feature."""
        return share_active(density, features)

    def law(self, density: Float[Tensor, " I"], features: int) -> Law:
        """The exact law of the active sets."""
        return independent_law(density[:, None].expand(-1, features))


INDEPENDENT = Independent()


@dataclass(frozen=True)
class Correlated(Independent):
    """Sets of `size` neighbouring features that are active together, with values of their own (D2).

    Raises:
        ValueError: size below 1, or (in use) one that does not divide the number of features.
    """

    size: int

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"size={self.size}: a set holds at least one feature.")

    def uniforms(self, features, batch, stream):
        return draw(self._sets(features), batch, stream), draw(features, batch, stream)

    def sample(self, uniforms, density):
        active = conditional(uniforms[0], density) > 0  # (I, B, sets)
        return uniforms[1].each.to(density) * active.repeat_interleave(self.size, dim=-1)

    def share_active(self, density, features):
        return share_active(density, self._sets(features))

    def law(self, density, features):
        per_set = independent_law(density[:, None].expand(-1, self._sets(features)))
        return Law(per_set.sets.repeat_interleave(self.size, dim=-1), per_set.chance)

    def _sets(self, features: int) -> int:
        if features % self.size:
            raise ValueError(f"{features} features cannot be split into sets of {self.size}: choose a multiple of {self.size}.")
        return features // self.size


@dataclass(frozen=True)
class Anticorrelated(Correlated):
    """Sets of `size` neighbouring features of which one at a time is active, each with density p / size (D3)."""

    def sample(self, uniforms, density):
        active = conditional(uniforms[0], density) > 0  # (I, B, sets)
        values = uniforms[1].each.to(density)
        # the member is drawn from the values of another sample, which are independent of this one's
        member = (values.roll(1, dims=0)[:, :: self.size] * self.size).long().clamp_max(self.size - 1)
        chosen = torch.nn.functional.one_hot(member, self.size).flatten(-2)
        return values * chosen * active.repeat_interleave(self.size, dim=-1)

    def law(self, density, features):
        choices = torch.cat([torch.zeros(1, self.size), torch.eye(self.size)]).double().to(density.device)
        picks = torch.tensor(list(itertools.product(range(self.size + 1), repeat=self._sets(features))), device=density.device)
        p = density.double()[:, None]
        each = torch.cat([1 - p, (p / self.size).expand(-1, self.size)], dim=-1)  # (I, size + 1)
        return Law(choices[picks].flatten(-2), each[:, picks].prod(-1))


def independent_law(density: Float[Tensor, "I F"]) -> Law:
    """Law of features that are active by themselves, each with a density of its own: 2^F sets.

    Raises:
        ValueError: a density outside (0, 1], or more than LIMIT features.
    """
    check_density(density)
    if density.shape[1] > LIMIT:
        raise ValueError(f"n={density.shape[1]} features: the exact law has 2^n sets and stops at n={LIMIT}; use train.sampled_loss.")
    sets, p = _all_sets(density.shape[1]).to(density.device), density.double()[:, None]
    return Law(sets, torch.where(sets > 0, p, 1 - p).prod(-1))


@functools.cache
def _all_sets(features: int) -> Float[Tensor, "A F"]:
    return ((torch.arange(2**features)[:, None] >> torch.arange(features)) & 1).double()
