"""What the tests of the engine draw from."""

import pytest
import torch


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def acts(generator):
    """Sparse combinations of 32 directions in 16 dimensions, in the units of no model in particular."""
    features = torch.randn(32, 16, generator=generator)
    amounts = torch.rand(2048, 32, generator=generator) * (torch.rand(2048, 32, generator=generator) < 0.1)
    return 5 + 3 * amounts @ features + 0.01 * torch.randn(2048, 16, generator=generator)
