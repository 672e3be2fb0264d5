"""How much of an autoencoder's error is in its coefficients: the best ones for the latents it chose (Gao et al. 2024, 5.1)."""

import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

from companion.sae.models import Autoencoder, Code


@torch.no_grad()
def refine(sae: Autoencoder, x: Float[Tensor, "B D"]) -> Code:
    """The encoder's latents with the non-negative coefficients that reconstruct x best, the decoder held fixed.

        minimise |sum_i c_i W_dec,i + b_pre - x|²  over c >= 0, c_i = 0 where the encoder's z_i = 0

    Token by token, in float64, by the active-set method of `scipy.optimize.nnls`. Returns a code with the encoder's indices; a
    coefficient may become 0.

    Raises:
        RuntimeError: a token has not converged.
    """
    code = sae.encode(x)
    W, targets = sae.W_dec.double().cpu(), (x.double() - sae.b_pre.double()).cpu()
    best = torch.zeros(code.values.shape, dtype=torch.float64)
    for token, (on, indices) in enumerate(zip((code.values > 0).cpu(), code.indices.cpu(), strict=True)):
        if on.any():
            best[token, on] = torch.from_numpy(nnls(W[indices[on]].T.numpy(), targets[token].numpy())[0])
    return Code(code.indices, best.to(code.values))


def shrinkage(code: Code, refined: Code) -> float:
    """Mean of log(refined / original) over the pairs active in both: above 0 where the encoder's coefficients are too small.

    The few that refinement sets to 0 have no logarithm and are left out.

    Raises:
        ValueError: the codes are not of the same latents, or nothing is active.
    """
    if not torch.equal(code.indices, refined.indices):
        raise ValueError("these codes are not of the same latents: the second must be the first, refined")
    active = (code.values > 0) & (refined.values > 0)
    if not active.any():
        raise ValueError("no latent is active in both codes: nothing can have shrunk")
    return (refined.values[active].double() / code.values[active].double()).log().mean().item()
