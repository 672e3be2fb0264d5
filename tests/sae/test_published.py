"""Autoencoders that others have published: files that their libraries wrote, and OpenAI's by name."""

import hashlib
import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from companion.sae import foreign, formats, kernels, published
from companion.sae.models import TopK
from companion.sae.weights import FormatError, Raw

FIXTURES = Path(os.environ.get("SAELENS_FIXTURES", Path(__file__).parents[1] / "fixtures" / "saelens"))
"""What tests/benchmarks/saelens_fixtures.py wrote under three versions of SAELens; `make test-peers` writes it anew."""
FOLDERS = sorted(path.parent for path in FIXTURES.glob("*/*/expected.safetensors"))
SITE, D, L = "blocks.1.hook_resid_pre", 6, 12


def fixture(name):
    return next(folder for folder in FOLDERS if f"{folder.parent.name.partition('.')[0]}/{folder.name}" == name)


def opened(folder, **asked):
    if (folder / "params.npz").is_file():
        return foreign.read_gemma_scope(folder / "params.npz")
    factor = load_file(folder / "expected.safetensors")["factor"].item()
    return formats.load(folder, **dict(norm_factor=factor or None) | asked)


def rewritten(name, tmp_path, tensors=None, **change):
    """A copy of a fixture with entries of its cfg.json changed, None for removed, or with other weights."""
    folder = tmp_path / "copy"
    folder.mkdir()
    config = json.loads((fixture(name) / "cfg.json").read_text(encoding="utf-8")) | change
    (folder / "cfg.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}), encoding="utf-8")
    kept = load_file(fixture(name) / "sae_weights.safetensors")
    save_file(kept | (tensors or {}), folder / "sae_weights.safetensors")
    return folder


# --- SAELens, by its own files ---


def test_there_are_fixtures_of_each_generation_and_they_are_small():
    assert {folder.parent.name.partition(".")[0] for folder in FOLDERS} == {"2", "5", "6"}
    assert len(FOLDERS) == 15
    assert sum(path.stat().st_size for path in FIXTURES.rglob("*")) < 500_000
    assert sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file()) < 50_000


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_latents_and_reconstruction_are_those_of_the_library_that_wrote_the_file(folder):
    sae, expected = opened(folder), load_file(folder / "expected.safetensors")
    acts = expected["acts"]
    code = sae.encode(acts)
    mean = acts.mean(dim=1, keepdim=True) if folder.name == "res_jb" else 0.0  # there the library was given centred activations
    torch.testing.assert_close(kernels.dense(*code, L), expected["latents"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sae.decode(code, acts) - mean, expected["rebuilt"], rtol=1e-4, atol=1e-5)
    assert (expected["latents"] > 0).any(dim=1).sum() > len(acts) / 2
    block, parts = acts.view(2, 4, D), sae.encode(acts.view(2, 4, D))
    assert parts.values.shape == parts.indices.shape == (2, 4, code.values.shape[-1])
    torch.testing.assert_close(sae.decode(parts, block).view_as(acts), sae.decode(code, acts))
    torch.testing.assert_close(sae.decode(sae.encode(acts[0]), acts[0]), sae.decode(code, acts)[0], rtol=1e-4, atol=1e-5)


def test_the_keys_of_gpt2_small_res_jb_are_understood():
    folder = fixture("6/res_jb")
    config = formats.describe(folder)
    assert (config["architecture"], config["normalize_activations"], config["dtype"]) == ("standard", "none", "float32")
    known = config["metadata"]
    assert (known["hook_name"], known["layer"], known["tokens"], known["context_size"]) == (SITE, 1, 300_000_000, 128)
    sae = formats.load(folder, d_model=D, hook_name=SITE, model_name="gpt2")
    assert (sae.centred, sae.rescaled, sae.sae.kind) == (True, False, "relu")
    for name in ("openai-community/gpt2", "gpt2-small"):
        formats.load(folder, model_name=name)
    for asked, message in ((dict(model_name="gpt2-medium"), "model is gpt2-small, but gpt2-medium"), (dict(d_model=768), "width is 6")):
        with pytest.raises(FormatError, match=message):
            formats.load(folder, **asked)


def test_a_model_whose_writing_weights_were_centred_has_no_mean_and_none_is_seen():
    sae, acts = opened(fixture("6/res_jb")), load_file(fixture("6/res_jb") / "expected.safetensors")["acts"]
    there, moved = sae.encode(acts), sae.encode(acts + 5)
    torch.testing.assert_close(moved.values, there.values, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sae.decode(moved, acts + 5), sae.decode(there, acts) + 5)


@pytest.mark.parametrize(("name", "stored"), [("6/jumprelu_bfloat16", "bfloat16"), ("6/standard_float16", "float16")])
def test_half_precision_is_read_as_float32_and_said(name, stored):
    assert formats.describe(fixture(name))["dtype"] == stored
    sae = opened(fixture(name))
    tensors = (sae.sae if isinstance(sae, Raw) else sae).tensors()
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


# --- the scalar normalisations ---


@pytest.mark.parametrize("name", ["6/jumprelu_scaled", "6/topk_scaled"])
def test_the_factor_of_expected_average_is_estimated_as_the_library_does(name):
    expected = load_file(fixture(name) / "expected.safetensors")
    assert formats.norm_factor(expected["acts"].view(2, 4, D)) == pytest.approx(expected["factor"].item(), rel=1e-6)


def test_the_factor_is_never_assumed():
    with pytest.raises(FormatError, match="norm_factor is not given, and the file does not hold it"):
        formats.load(fixture("6/jumprelu_scaled"))
    with pytest.raises(FormatError, match="normalize_activations is none, which knows no norm_factor"):
        formats.load(fixture("6/standard_none"), norm_factor=1.0)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(FormatError, match="a positive number is wanted"):
            formats.load(fixture("6/jumprelu_scaled"), norm_factor=bad)
    for acts in (torch.zeros(3, D), torch.full((3, D), torch.nan)):
        with pytest.raises(ValueError, match="the mean length of these activations is"):
            formats.norm_factor(acts)


def test_a_vector_of_zeros_has_no_length_and_stays_zero():
    sae, acts = opened(fixture("6/topk_rescaled")), torch.zeros(2, D)
    assert torch.isfinite(sae.encode(acts).values).all()
    assert sae.decode(sae.encode(acts), acts).abs().max() < 1e-30


@pytest.mark.parametrize("change", [dict(), dict(centred=True), dict(rescaled=True), dict(centred=True, rescaled=True)])
def test_what_a_raw_model_does_to_activations_is_written_and_read_back(change, random_sae, tmp_path):
    made, acts = Raw(random_sae("topk"), **change), 2 + torch.randn(5, D)
    formats.save(made, tmp_path, dict(model_name="tiny", hook_name=SITE))
    again = formats.load(tmp_path)
    assert (again.centred, again.rescaled) == (made.centred, made.rescaled)
    assert torch.equal(again.decode(again.encode(acts), acts), made.decode(made.encode(acts), acts))
    foreign.write_sparsify(made, tmp_path / "sparsify", dict(model_name="tiny", hook_name=SITE))
    sparsify = foreign.read_sparsify(tmp_path / "sparsify")
    assert (sparsify.centred, sparsify.rescaled, sparsify.factor) == (made.centred, made.rescaled, 1)
    assert sparsify.origin["hook_name"] == again.origin["hook_name"] == SITE


def test_centring_does_not_show_where_nothing_is_written_into_the_stream(random_sae, tmp_path):
    with pytest.raises(FormatError, match="nothing is written into the stream at blocks"):
        formats.save(Raw(random_sae("topk"), centred=True), tmp_path / "sae", dict(model_name="tiny", hook_name="blocks.1.mlp.hook_post"))


@pytest.mark.parametrize("name", ["6/standard_none", "6/standard_float16", "6/topk_rescaled"])
def test_activations_of_another_width_are_refused(name):
    with pytest.raises(ValueError, match="these activations have 12 entries, but the autoencoder is of activations with 6"):
        opened(fixture(name)).encode(torch.randn(4, 12))


# --- what is refused of the older files ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(activation_fn_str="tanh-relu"), "activation_fn is tanh-relu, but relu or topk is wanted"),
        (dict(hook_head_index=3), "hook_head_index is 3, but None is wanted"),
        (dict(is_transcoder=True), "is_transcoder is True, but False is wanted"),
        (dict(hook_name="blocks.1.attn.hook_z"), "reshape_activations is hook_z, but none is wanted"),
        (dict(activation_fn_str="topk", activation_fn_kwargs={}), "does not describe an autoencoder: k not found"),
        (dict(architecture="gated", activation_fn_str="topk"), "architecture of a TopK activation is gated"),
        (dict(normalize_activations=True), "normalize_activations is expected_average_only_in, norm_factor is not given"),
        (dict(d_sae=None), "d_sae not found"),
        (dict(finetuning_scaling_factor=False), "holds factors of its latents that are not ones, and says that they are not in use"),
        (dict(d_sae=13), r"shape of the factors is \(12,\), but \(13,\) is wanted"),
    ],
)
def test_an_older_file_that_does_something_else_is_refused(change, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        formats.load(rewritten("5/standard_finetuned", tmp_path, **change))


def test_factors_of_latents_must_be_finite(tmp_path):
    with pytest.raises(FormatError, match="factors of the latents are NaN"):
        formats.load(rewritten("5/standard_finetuned", tmp_path, {"finetuning_scaling_factor": torch.full((L,), torch.nan)}))


# --- Gemma Scope ---


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_an_npz_of_objects_is_refused_and_nothing_runs(tmp_path):
    arrays = dict(np.load(fixture("6/gemma_scope") / "params.npz"))
    bomb = np.array([Canary(tmp_path / "ran")], dtype=object)
    np.savez(tmp_path / "objects.npz", **arrays | dict(threshold=bomb))
    (tmp_path / "pickled.npz").write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
    for name in ("objects.npz", "pickled.npz"):
        with pytest.raises(FormatError, match=f"{name} is refused, and nothing in it was run: it holds objects"):
            foreign.read_gemma_scope(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(b_skip=np.zeros((D, D), np.float32)), "tensors is .*b_skip.* is wanted"),
        (dict(threshold=np.zeros(L, np.int64)), "threshold do not hold real numbers"),
        (dict(threshold=np.zeros(L + 1, np.float32)), r"'threshold': \(13,\)"),
        (dict(W_enc=np.zeros(3, np.float32)), "tensors is .* is wanted"),
        (dict(b_enc=np.full(L, np.nan, np.float32)), "12 of 12 entries of b_enc .* are NaN"),
        (dict(b_enc=np.zeros(L)), "type of the tensors is .*float64"),
    ],
)
def test_an_npz_with_other_arrays_is_refused(change, message, tmp_path):
    np.savez(tmp_path / "params.npz", **dict(np.load(fixture("6/gemma_scope") / "params.npz")) | change)
    with pytest.raises(FormatError, match=message):
        foreign.read_gemma_scope(tmp_path / "params.npz")


def test_a_damaged_npz_is_refused(tmp_path):
    whole = (fixture("6/gemma_scope") / "params.npz").read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name, message in (("cut.npz", "damaged, or no .npz"), ("one.npy", "damaged, or no .npz"), ("none.npz", "is not a file")):
        with pytest.raises(FormatError, match=message):
            foreign.read_gemma_scope(tmp_path / name)


# --- OpenAI's, by name ---

NAME = ("v5_32k", "hook_resid_post", 8)
ADDRESS = "https://openaipublic.blob.core.windows.net/sparse-autoencoder/gpt2-small/resid_post_mlp_v5_32k/autoencoders/8.pt"


class Hub:
    """Answers for the network, and remembers which addresses were asked for."""

    def __init__(self, sae, data):
        self.sae, self.bytes, self.asked, self.answer = sae, data, [], [data[:100], data[100:]]

    def fetch(self, url):
        self.asked.append(url)
        yield from self.answer


@pytest.fixture
def hub(tmp_path):
    sae = TopK.random(D, L, 3, torch.Generator().manual_seed(0))
    own = sae.tensors()
    state = {"encoder.weight": own["W_enc"], "decoder.weight": own["W_dec"].T.contiguous(), "latent_bias": own["b_enc"], "pre_bias": own["b_pre"]}
    torch.save(state | dict(activation="TopK", activation_state_dict=dict(k=3, postact_fn="ReLU")), tmp_path / "published.pt")
    return Hub(sae, (tmp_path / "published.pt").read_bytes())


def test_addresses_are_those_published():
    assert published.address(*NAME) == published.address("v5_32k", "resid_post_mlp", 8) == ADDRESS
    assert published.address("v5_128k", "hook_attn_out", 0).endswith("/resid_delta_attn_v5_128k/autoencoders/0.pt")
    assert published.address("v4", "mlp.hook_post", 3).endswith("/mlp_post_act_v4/autoencoders/3.pt")
    assert published.address("v1", "hook_mlp_out", 3).endswith("/resid_delta_mlp/autoencoders/3.pt")
    assert [round(published.size(release, "hook_resid_post") / 1e6) for release in ("v5_32k", "v5_128k")] == [202, 808]
    assert published.size("v1", "mlp.hook_post") > 3.9 * published.size("v1", "hook_mlp_out")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (("v6", "hook_resid_post", 8), "'v6' is none of OpenAI's releases: v5_32k, v5_128k, v4, v1"),
        (("v5_32k", "hook_resid_pre", 8), r"v5_32k has no autoencoders of 'hook_resid_pre'; there are: hook_attn_out \(resid_delta_attn\)"),
        (("v5_32k", "mlp.hook_post", 8), "v5_32k has no autoencoders of 'mlp.hook_post'"),
        (("v5_32k", "hook_resid_post", 12), "layers 0 to 11, and not 12"),
    ],
)
def test_names_that_are_none_are_refused(name, message, hub, tmp_path):
    with pytest.raises(ValueError, match=message):
        published.openai(*name, tmp_path, fetch=hub.fetch)
    assert hub.asked == []


def test_the_first_use_is_recorded_and_the_file_is_used_again(hub, tmp_path):
    sae = published.openai(*NAME, tmp_path / "kept", fetch=hub.fetch)
    assert hub.asked == [ADDRESS]
    assert all(torch.equal(tensor, hub.sae.tensors()[name]) for name, tensor in sae.tensors().items())
    path = tmp_path / "kept" / "gpt2-small" / "resid_post_mlp_v5_32k" / "autoencoders" / "8.pt"
    record = json.loads(path.with_name("8.pt.json").read_text(encoding="utf-8"))
    assert (record["address"], record["sha256"], record["trust"]) == (ADDRESS, hashlib.sha256(hub.bytes).hexdigest(), "on first use")
    published.openai(*NAME, tmp_path / "kept", fetch=hub.fetch)
    assert hub.asked == [ADDRESS]


@pytest.mark.parametrize("where", ["on the disk", "at its address"])
def test_another_file_than_at_the_first_use_is_refused(where, hub, tmp_path):
    published.openai(*NAME, tmp_path, fetch=hub.fetch)
    path = next(tmp_path.rglob("8.pt"))
    changed = hub.bytes[:-1] + bytes([hub.bytes[-1] ^ 1])
    if where == "on the disk":
        path.write_bytes(changed)
    else:
        path.unlink()
        hub.answer = [changed]
    with pytest.raises(FormatError, match=r"sha256 is .*, but .*, that of its first use on 20.*, is wanted"):
        published.openai(*NAME, tmp_path, fetch=hub.fetch)
    assert path.exists() == (where == "on the disk")  # what was fetched and refused is not kept


def test_a_checksum_that_is_given_decides(hub, tmp_path):
    right = hashlib.sha256(hub.bytes).hexdigest()
    with pytest.raises(FormatError, match=f"sha256 is {right}, but {'0' * 64} is wanted"):
        published.openai(*NAME, tmp_path, sha256="0" * 64, fetch=hub.fetch)
    assert not list(tmp_path.rglob("8.pt*"))
    published.openai(*NAME, tmp_path, sha256=right.upper(), fetch=hub.fetch)
    assert json.loads(next(tmp_path.rglob("8.pt.json")).read_text(encoding="utf-8"))["trust"] == "given"


def test_a_copy_put_there_by_hand_is_used_and_recorded(hub, tmp_path):
    path = tmp_path / ADDRESS.removeprefix(published.ROOT)
    path.parent.mkdir(parents=True)
    path.write_bytes(hub.bytes)
    assert published.openai(*NAME, tmp_path, fetch=hub.fetch).n == L
    assert hub.asked == []
    assert path.with_name("8.pt.json").is_file()


def test_a_page_in_place_of_the_file_is_refused_and_not_kept(hub, tmp_path):
    hub.answer = [b"<html>not here</html>"]
    with pytest.raises(FormatError, match="is refused, and nothing in it was run"):
        published.openai(*NAME, tmp_path / "kept", fetch=hub.fetch)
    assert not list((tmp_path / "kept").rglob("8.pt*"))


def test_without_a_network_it_says_what_is_needed(hub, tmp_path):
    def broken(url):
        yield hub.bytes[:50]
        raise OSError("no route to host")

    with pytest.raises(ConnectionError, match=r"could not be fetched: no route to host\. It needs a network, and 202 MB; a copy of the file at"):
        published.openai(*NAME, tmp_path / "kept", fetch=broken)
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


def test_a_download_that_ends_too_early_is_an_error(monkeypatch):
    class Answer(io.BytesIO):
        def __init__(self):
            super().__init__(b"1234")
            self.headers = {"Content-Length": "10"}

    monkeypatch.setattr(published.urllib.request, "urlopen", lambda *_, **__: Answer())
    with pytest.raises(OSError, match="ended after 4 of 10 bytes"):
        list(published.download(ADDRESS))
