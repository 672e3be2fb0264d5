"""What the tests of the engine draw from."""

import pytest
import torch

from companion.sae import recipe
from companion.sae.models import TopK


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def acts(generator):
    """Sparse combinations of 32 directions in 16 dimensions, in the units of no model in particular."""
    features = torch.randn(32, 16, generator=generator)
    amounts = torch.rand(2048, 32, generator=generator) * (torch.rand(2048, 32, generator=generator) < 0.1)
    return 5 + 3 * amounts @ features + 0.01 * torch.randn(2048, 16, generator=generator)


@pytest.fixture
def x(generator):
    """31 tokens in 9 dimensions, in double precision."""
    return 2 * torch.randn(31, 9, generator=generator, dtype=torch.float64)


@pytest.fixture
def made(generator):
    """A function that makes a model of a kind, 40 latents in 9 dimensions in double precision, every parameter away from its start."""

    def make(kind, k=3):
        cls = recipe.model_class(kind)
        sae = cls.random(9, 40, k if issubclass(cls, TopK) else None, generator).double()
        for parameter in sae.parameters():
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        return sae

    return make


@pytest.fixture
def random_sae():
    """A function that makes a model of a kind, of 20 latents in 6 dimensions, with biases, and thresholds above zero."""

    def make(kind):
        stream = torch.Generator().manual_seed(0)
        sae = recipe.model_class(kind).random(6, 20, 3, stream)
        for name, tensor in sae.tensors().items():
            if name != "W_dec":
                drawn = torch.randn(tensor.shape, generator=stream)
                tensor.copy_(0.2 + 0.2 * drawn.sigmoid() if name == "threshold" else drawn)
        return sae

    return make
