"""OpenAI's autoencoders of GPT-2 small, fetched by name: release, site and layer.

No checksum of these files is published. The sha256 of a file is therefore recorded when it is first fetched or found, and
from then on another file in its place is refused: trust on first use. Who knows a checksum from elsewhere gives it.
"""

import datetime
import hashlib
import http.client
import json
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm.std import tqdm

from companion import files
from companion.sae import weights
from companion.sae.foreign import read_openai
from companion.sae.models import Autoencoder
from companion.sae.weights import Raw

ROOT = "https://openaipublic.blob.core.windows.net/sparse-autoencoder/"
SITES = {
    "hook_attn_out": "resid_delta_attn",
    "hook_mlp_out": "resid_delta_mlp",
    "hook_resid_mid": "resid_post_attn",
    "hook_resid_post": "resid_post_mlp",
    "mlp.hook_post": "mlp_post_act",
}
"""TransformerLens' names of the sites within a block, and OpenAI's."""
ALL, MLP = ("hook_attn_out", "hook_mlp_out", "hook_resid_mid", "hook_resid_post"), ("hook_mlp_out", "mlp.hook_post")
RELEASES = {"v5_32k": (2**15, ALL), "v5_128k": (2**17, ALL), "v4": (2**15, MLP), "v1": (2**15, MLP)}
"""Latents, and the sites there are: v5 is TopK on layer-normed activations, v1 and v4 are ReLU on activations as they are."""
LAYERS, WIDTH, MLP_WIDTH = 12, 768, 3072
CHUNK = 2**20

Fetch = Callable[[str], Iterable[bytes]]


def address(release: str, site: str, layer: int) -> str:
    """Where one is published. `site` is TransformerLens' name within a block, as in blocks.8.hook_resid_post, or OpenAI's.

    Raises:
        ValueError: no such release, a site or a layer that it has not.
    """
    location = SITES.get(site, site)
    if release not in RELEASES:
        raise ValueError(f"{release!r} is none of OpenAI's releases: {', '.join(RELEASES)}")
    if location not in (known := {SITES[name]: name for name in RELEASES[release][1]}):
        listed = ", ".join(f"{hook} ({name})" for name, hook in known.items())
        raise ValueError(f"{release} has no autoencoders of {site!r}; there are: {listed}")
    if layer not in range(LAYERS):
        raise ValueError(f"GPT-2 small has layers 0 to {LAYERS - 1}, and not {layer}")
    return f"{ROOT}gpt2-small/{location}{'' if release == 'v1' else '_' + release}/autoencoders/{layer}.pt"


def size(release: str, site: str) -> int:
    """About how many bytes one of its files has: two float32 matrices, and five numbers per latent."""
    n, d = RELEASES[release][0], MLP_WIDTH if SITES.get(site, site) == SITES["mlp.hook_post"] else WIDTH
    return 4 * (2 * n * d + 5 * n + d)


def download(url: str) -> Iterator[bytes]:
    """The bytes at an address, in pieces, under a bar.

    Raises:
        OSError: no connection, no such file, or one that ends too early.
    """
    with urllib.request.urlopen(url, timeout=60) as answer:
        total, got = int(answer.headers.get("Content-Length") or 0), 0
        with tqdm(total=total or None, unit="B", unit_scale=True, desc=url.rpartition("gpt2-small/")[2]) as bar:
            while piece := answer.read(CHUNK):
                got += len(piece)
                bar.update(len(piece))
                yield piece
    if total and got != total:
        raise OSError(f"it ended after {got} of {total} bytes")


def openai(release: str, site: str, layer: int, folder: Path | str, *, sha256: str | None = None, fetch: Fetch = download) -> Autoencoder | Raw:
    """One of OpenAI's published autoencoders, from `folder` if it is there, otherwise fetched into it.

    Beside FILE.pt stands FILE.pt.json, the record of its first use. The site is blocks.LAYER.SITE of the hub's "gpt2".

    Args:
        folder: where files are kept, each at the end of its address. One copied there by hand is used as well.
        sha256: what the file must have. Otherwise what the record says; at the first use, whatever it has.
        fetch: what brings the bytes of an address.

    Raises:
        ValueError: no such release, site or layer.
        ConnectionError: it is not there and cannot be fetched.
        FormatError: another file than at the first use or than `sha256` says, or one that `foreign.read_openai` refuses.
    """
    url = address(release, site, layer)
    path = Path(folder) / url.removeprefix(ROOT)
    record = path.with_name(f"{path.name}.json")
    first = weights.read_json(path.parent, record.name) if record.is_file() else {}
    there = path.is_file()
    found = weights.sha256(path) if there else _fetched(url, path, size(release, site), fetch)
    try:
        _require(path, found, sha256, first)
        sae = read_openai(path)
    except weights.FormatError:
        if not there:
            files.remove(path)
        raise
    if first.get("sha256") != found:
        day, trust = datetime.datetime.now(datetime.UTC).date().isoformat(), "given" if sha256 else "on first use"
        files.write(record, json.dumps(dict(address=url, sha256=found, first_use=day, trust=trust), indent=1))
    return sae


def _fetched(url: str, path: Path, size: int, fetch: Fetch) -> str:
    """Puts what is fetched at a path, and gives its checksum."""
    missing = f"It needs a network, and {size / 1e6:.0f} MB; a copy of the file at {path} is used as well"
    with files.opened(path) as file:
        digest = hashlib.sha256()
        for piece in _pieces(url, fetch, missing):
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def _pieces(url: str, fetch: Fetch, missing: str) -> Iterator[bytes]:
    """What is fetched; whatever goes wrong on the way is one error."""
    try:
        yield from fetch(url)
    except (OSError, http.client.HTTPException) as error:
        offline = "Without either there are the subjects of this package and the dictionaries that its pages train"
        raise ConnectionError(f"{url} could not be fetched: {error}. {missing}. {offline}.") from error


def _require(path: Path, found: str, given: str | None, first: dict[str, str]) -> None:
    """FormatError unless the checksum is the one given, or else that of the first use."""
    if given is not None:
        weights.require(path, "sha256", found, [given.lower()])
    elif first and found != first.get("sha256"):
        wanted = f"{first.get('sha256')}, that of its first use on {first.get('first_use')},"
        raise weights.FormatError(f"{path}: sha256 is {found}, but {wanted} is wanted")
