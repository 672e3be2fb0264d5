"""What the tests of the engine draw from."""

import pytest
import torch

from companion.sae import recipe


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
def random_sae():
    """A function that makes a model of a kind, of 20 latents in 6 dimensions, with biases, and thresholds above zero."""

    def make(kind):
        stream = torch.Generator().manual_seed(0)
        made = recipe.model_class(kind).random(6, 20, 3, stream)
        for name, tensor in made.tensors().items():
            if name != "W_dec":
                drawn = (
                    torch.rand(tensor.shape, generator=stream).mul(0.2).add(0.2)
                    if name == "threshold"
                    else torch.randn(tensor.shape, generator=stream)
                )
                tensor.copy_(drawn)
        return made

    return make
