"""Autoencoders in a model's forward pass, in the place of its activations, with latents clamped or added to.

    with subject.spliced({"blocks.2.hook_resid_post": sae, "blocks.1.mlp.hook_post": other}) as run:
        run.set("blocks.2.hook_resid_post", latent=7, value=5.0)
        logits = run.logits(tokens)

Any object with encode(acts) and decode(code, acts) in the units of the activations will do (`sae.models.SAE`); a code has the tensors
indices and values, (..., K), and entries of one latent add up.
"""

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.lm.sources import SubjectError

_spliced: set[int] = set()
"""Models inside a block of `spliced`, by id."""
Positions = int | slice | Sequence[int] | Tensor | None
"""Of a context: one, some, or None for all; negative ones count from its end."""


class Coder(Protocol):
    """What can be spliced."""

    def encode(self, acts: Float[Tensor, "N T D"]) -> Any:
        """The code of activations: a named tuple of indices and values, both (N, T, K)."""

    def decode(self, code: Any, acts: Float[Tensor, "N T D"]) -> Float[Tensor, "N T D"]:
        """The reconstruction, in the units of `acts`."""


class Edit(NamedTuple):
    """value, or the model's own activation plus value, for a latent at some positions."""

    latent: int
    value: float
    positions: Positions
    added: bool


class Place:
    """An autoencoder at a site: what takes the place of the activations there."""

    def __init__(self, site: str, sae: Coder, error_term: bool):
        self.site, self.sae, self.error_term = site, sae, error_term
        self.edits: list[Edit] = []
        self.codes: list[Any] | None = None
        """Where the codes of a pass are kept, if they are."""
        self.moved: Tensor | float = 0.0
        """What the last pass changed, spliced less own."""

    def __call__(self, acts: Float[Tensor, "N T D"]) -> Float[Tensor, "N T D"]:
        """decode(edited code), or with the error term x + decode(edited code) - decode(code): x itself where nothing is edited."""
        x = acts.to(torch.promote_types(acts.dtype, torch.float32))  # autoencoders compute in float32 at least
        edited = code = self.sae.encode(x)
        for edit in self.edits:
            edited = self._edited(edited, edit)
        if self.codes is not None:
            self.codes.append(edited)
        out = self.sae.decode(edited, x)
        out = (x + (out - self.sae.decode(code, x)) if self.error_term else out).to(acts.dtype)
        self.moved = out - acts
        return out

    def _edited(self, code: Any, edit: Edit) -> Any:
        """One more entry of each token's code, of this latent; what the code held of it is cleared where it is clamped."""
        here = torch.zeros(code.values.shape[1], dtype=torch.bool, device=code.values.device)
        try:
            here[slice(None) if edit.positions is None else edit.positions] = True
        except (IndexError, TypeError) as error:
            raise SubjectError(f"{self.site}: positions {edit.positions} of a context of {len(here)} tokens: {error}") from error
        shape = *code.values.shape[:2], 1
        index, value = code.indices.new_full(shape, edit.latent), code.values.new_full(shape, edit.value) * here[:, None]
        values = code.values if edit.added else code.values.masked_fill((code.indices == edit.latent) & here[:, None], 0)
        return code._replace(indices=torch.cat([code.indices, index], dim=-1), values=torch.cat([values, value], dim=-1))


class Run:
    """A model with autoencoders in its forward pass, inside the block of `Subject.spliced`."""

    def __init__(self, subject: Any, places: dict[str, Place]):
        self._subject, self._places = subject, places
        self._codes: dict[str, list[Any]] = {}

    def logits(self, tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """The logits of the spliced model, in its dtype."""
        return self._pass(self._subject.logits, tokens)

    def losses(self, tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T-1"]:
        """Its cross-entropy in nats of each token given those before it."""
        return self._pass(self._subject.losses, tokens)

    def code(self, site: str) -> Any:
        """The code that stood at a site in the last `logits` or `losses`, edits included: indices and values, (N, T, K).

        An edited latent has an entry more than the encoder gave it; entries of one latent add up.

        Raises:
            SubjectError: nothing is spliced at this site, or nothing has been run.
        """
        self._place(site)
        if not (codes := self._codes.get(site)):
            raise SubjectError(f"{site}: there is no code before logits or losses of some tokens")
        width = max(code.values.shape[-1] for code in codes)
        joined = (torch.cat([_padded(part, width) for part in parts]) for parts in zip(*codes, strict=True))
        return type(codes[0])(*joined)

    def set(self, site: str, latent: int, value: float, positions: Positions = None) -> None:
        """Clamp a latent: its activation is `value`, in the units of the code, in every pass from now on.

        Raises:
            SubjectError: nothing is spliced at this site, no such latent, or a value that is not finite.
        """
        self._edit(site, Edit(latent, value, positions, added=False))

    def add(self, site: str, latent: int, value: float, positions: Positions = None) -> None:
        """Add to a latent's activation, in the units of the code, in every pass from now on. Raises as `set`."""
        self._edit(site, Edit(latent, value, positions, added=True))

    def clear(self) -> None:
        """Forget all edits."""
        for place in self._places.values():
            place.edits.clear()

    def _edit(self, site: str, edit: Edit) -> None:
        place = self._place(site)
        n = getattr(place.sae, "n", math.inf)
        if not 0 <= edit.latent < n:
            raise SubjectError(f"{site}: {edit.latent} is no latent of this autoencoder: they are 0 to {n - 1}")
        if not math.isfinite(edit.value):
            raise SubjectError(f"{site}: latent {edit.latent} cannot be set or raised by {edit.value}")
        place.edits.append(edit)

    def _pass(self, run: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
        codes = {site: [] for site in self._places}
        try:
            for site, place in self._places.items():
                place.codes = codes[site]
            return run(tokens)
        finally:
            for place in self._places.values():
                place.codes = None
            self._codes = codes

    def _place(self, site: str) -> Place:
        if site not in self._places:
            raise SubjectError(f"nothing is spliced at {site!r}; there is something at {', '.join(self._places) or 'no site'}")
        return self._places[site]


def _padded(part: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(part, (0, width - part.shape[-1]))


@contextmanager
def spliced(subject: Any, saes: Mapping[str, Coder], error_term: bool) -> Iterator[Run]:
    """See `Subject.spliced`."""
    if id(subject.model) in _spliced:
        raise SubjectError(f"{subject.name} is spliced already: give all sites in one dictionary")
    places = {site: Place(site, sae, error_term) for site, sae in saes.items()}
    for place in places.values():
        _require_fit(subject, place)
    order = list(subject.family.sites)  # within a block: what changes first is hooked first
    handles = []
    _spliced.add(id(subject.model))
    try:
        for place in sorted(places.values(), key=lambda place: order.index(place.site.split(".", 2)[2])):
            handles += _hooked(subject, place)
        yield Run(subject, places)
    finally:
        _spliced.discard(id(subject.model))
        for handle in handles:
            handle.remove()


def _hooked(subject: Any, place: Place) -> list[Any]:
    """Hooks that put `place` where its site is."""
    module, side, block = subject.locate(place.site)

    def before(_, inputs):
        return place(inputs[0]), *inputs[1:]

    def after(_, inputs, output):
        return (place(output[0]), *output[1:]) if isinstance(output, tuple) else place(output)

    def moved(_, inputs, output):
        return (output[0] + place.moved, *output[1:]) if isinstance(output, tuple) else output + place.moved

    if side == "out":
        return [module.register_forward_hook(after)]
    handles = [module.register_forward_pre_hook(before)]
    if place.site.endswith("hook_resid_mid"):  # the norm reads the stream there, and the block adds the stream itself to what follows
        handles.append(block.register_forward_hook(moved))
    return handles


def _require_fit(subject: Any, place: Place) -> None:
    """SubjectError unless an autoencoder takes what is at its site and gives the like."""
    site, sae = place.site, place.sae
    acts = subject.activations(torch.zeros(1, 1, dtype=torch.long), site)  # also refuses a site that there is not
    if not (hasattr(sae, "encode") and hasattr(sae, "decode")):
        raise SubjectError(f"{site}: a {type(sae).__name__} has no encode and decode")
    try:
        shape = place(acts).shape
    except (ValueError, RuntimeError) as error:
        raise SubjectError(f"{site}: the autoencoder does not take activations of shape {tuple(acts.shape)}: {error}") from error
    if shape != acts.shape:
        raise SubjectError(f"{site}: activations have the shape {tuple(acts.shape)}, and what the autoencoder makes of them {tuple(shape)}")
    _require_origin(subject.name, site, getattr(sae, "origin", None) or {})


def _require_origin(name: str, site: str, origin: Mapping[str, Any]) -> None:
    """SubjectError if the file that it was opened from names another site; a warning if it names another model: names vary."""
    hook, model = (origin.get(key) or "unknown" for key in ("hook_name", "model_name"))
    if re.match(r"blocks\.\d+\.", hook) and _stream(hook) != _stream(site):
        raise SubjectError(f"{site}: this autoencoder is of {hook}, as its file says; to splice it here all the same, sae.origin.clear() first")
    if model != "unknown" and _short(model) != _short(name):
        warnings.warn(f"{site}: this autoencoder is of {model}, as its file says, and this model is {name}", stacklevel=5)


def _stream(site: str) -> str:
    """The stream after a block is the stream before the next."""
    before = re.fullmatch(r"blocks\.(\d+)\.hook_resid_pre", site)
    return f"blocks.{int(before[1]) - 1}.hook_resid_post" if before else site


def _short(name: str) -> str:
    return name.rpartition("/")[2].lower().removesuffix("-small")
