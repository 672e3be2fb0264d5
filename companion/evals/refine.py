"""How much of an autoencoder's error is in its coefficients: the best ones for the latents it chose (Gao et al. 2024, 5.1)."""

import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

from companion.sae.models import SAE, Code


@torch.no_grad()
def refine(sae: SAE, acts: Float[Tensor, "B D"]) -> Code:
    """The encoder's latents with the non-negative coefficients that reconstruct the activations best, the decoder held fixed.

        minimise |decode(c, acts) - acts|²  over c >= 0, c_i = 0 where the encoder's z_i = 0

    Token by token, in float64, by the active-set method of `scipy.optimize.nnls`. A normalisation that the autoencoder undoes
    multiplies a token's error by one factor, so the best c are those of its own space. Returns a code with the encoder's indices;
    a coefficient may become 0.

    Raises:
        RuntimeError: a token has not converged.
    """
    code = sae.encode(acts)
    bias = sae.decode(code._replace(values=torch.zeros_like(code.values)), acts)
    best = torch.zeros(code.values.shape, dtype=torch.float64)
    for token, (indices, on) in enumerate(zip(code.indices, code.values > 0, strict=True)):
        if on.any():
            alone = Code(indices[on][:, None], torch.ones_like(code.values[token, on][:, None]))
            rows = sae.decode(alone, acts[token].expand(len(alone.indices), -1)) - bias[token]
            target = acts[token] - bias[token]
            best[token, on.cpu()] = torch.from_numpy(nnls(rows.T.double().cpu().numpy(), target.double().cpu().numpy())[0])
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
