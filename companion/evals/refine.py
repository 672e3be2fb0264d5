"""How much of an autoencoder's error is in its coefficients: the best ones for the latents it chose (Gao et al. 2024, 5.1)."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.sae.models import Autoencoder, Code

CELLS = 2**22
"""Entries of gathered decoder rows and Gram matrices held at a time, in float64: 32 MB."""
TOLERANCE = 1e-7
"""KKT residual at which the iteration stops, relative to the largest |W_dec,i · (x - b_pre)| of the token."""
STEPS = 20_000


@torch.no_grad()
def refine(sae: Autoencoder, x: Float[Tensor, "B D"]) -> Code:
    """The encoder's latents with the non-negative coefficients that reconstruct x best, the decoder held fixed.

        minimise |sum_i c_i W_dec,i + b_pre - x|²  over c >= 0, c_i = 0 where the encoder's z_i = 0

    Token by token, by projected gradient steps of length 1 / L with Nesterov's momentum, restarted where it points uphill, on
    the Gram matrix of the kept rows; in float64. No token comes out worse than it went in. Returns a code with the encoder's
    indices; a coefficient may become 0.

    Raises:
        ValueError: a token has not converged, as with decoder rows that nearly coincide.
    """
    code = sae.encode(x)
    tokens = max(1, CELLS // (code.indices.shape[1] * (code.indices.shape[1] + sae.d)))
    chunks = zip(x.split(tokens), code.indices.split(tokens), code.values.split(tokens), strict=True)
    W, b_pre = sae.W_dec.double(), sae.b_pre.double()
    parts = []
    for target, indices, start in chunks:
        rows = W[indices] * (start > 0)[..., None]
        start = start.double()
        gram, pull = rows @ rows.mT, (rows @ (target.double() - b_pre)[..., None])[..., 0]
        best = _non_negative(gram, pull, start)
        parts.append(best.where(_half_error(gram, pull, best) <= _half_error(gram, pull, start), start))
    return Code(code.indices, torch.cat(parts).to(code.values.dtype))


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


def kkt_residual(gram: Float[Tensor, "B K K"], pull: Float[Tensor, "B K"], c: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """How far c is from the minimum of c·Gc/2 - p·c over c >= 0: the largest |g_i| where c_i > 0, and -g_i where c_i = 0, of g = Gc - p."""
    g = (gram @ c[..., None])[..., 0] - pull
    return torch.where(c > 0, g.abs(), (-g).clamp_min(0)).amax(dim=1)


def _half_error(gram: Tensor, pull: Tensor, c: Tensor) -> Float[Tensor, "B 1"]:
    """Half the squared error, without its part that does not depend on c."""
    return ((gram @ c[..., None])[..., 0] / 2 - pull).mul(c).sum(dim=1, keepdim=True)


def _non_negative(gram: Tensor, pull: Tensor, start: Tensor) -> Float[Tensor, "B K"]:
    # two bounds on the largest eigenvalue; a token without active latents has a Gram matrix of zeros
    lipschitz = torch.minimum(gram.flatten(1).norm(dim=1), gram.abs().sum(dim=2).amax(dim=1)).clamp_min(1e-300)[:, None]
    goal = TOLERANCE * pull.abs().amax(dim=1)
    c = ahead = start
    age = start.new_zeros(len(start), 1)
    for step in range(STEPS):
        moved = torch.relu(ahead - ((gram @ ahead[..., None])[..., 0] - pull) / lipschitz)
        uphill = ((ahead - moved) * (moved - c)).sum(dim=1, keepdim=True) > 0
        age = torch.where(uphill, 0, age + 1)
        c, ahead = moved, moved + age / (age + 3) * (moved - c)
        if step % 10 == 9 and (kkt_residual(gram, pull, c) <= goal).all():
            return c
    away = kkt_residual(gram, pull, c) > goal
    raise ValueError(f"{int(away.sum())} of {len(c)} tokens have not converged after {STEPS} steps: do decoder rows nearly coincide?")
