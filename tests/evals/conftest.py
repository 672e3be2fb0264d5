"""What several tests of evaluations need: random generators, and where latents are active, from activations made by hand."""

import torch

from companion.evals.n2g import Firings


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def made(dense):
    """The firings of activations (N, T, L)."""
    latent, context, position = (dense > 0).permute(2, 0, 1).nonzero(as_tuple=True)
    return Firings(context, position, dense[context, position, latent], (dense > 0).sum(dim=(0, 1)))
