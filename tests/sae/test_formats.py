"""What is written is read back; what is not the autoencoder that was asked for is refused in one sentence."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from companion.sae import formats
from companion.sae.models import TopK

PROVENANCE = dict(model_name="tiny", hook_name="blocks.2.hook_resid_post", layer=2, tokens=1000, seed=0, normalised_mse=0.25, dead_share=0.01)


@pytest.fixture
def sae():
    made = TopK.random(6, 20, 3, torch.Generator().manual_seed(0))
    made.b_enc.data += 0.1
    made.b_pre.data -= 0.2
    return made


@pytest.fixture
def folder(sae, tmp_path):
    formats.save(sae, tmp_path / "sae", PROVENANCE)
    return tmp_path / "sae"


def test_round_trip_gives_equal_outputs(sae, folder):
    acts = torch.randn(4, 5, 6)
    again = formats.load(folder, d_model=6, hook_name=PROVENANCE["hook_name"], model_name="tiny")
    assert torch.equal(again.reconstruct(acts), sae.reconstruct(acts))


def test_the_files_are_what_saelens_expects(folder):
    shapes = {name: tuple(t.shape) for name, t in load_file(folder / "sae_weights.safetensors").items()}
    assert shapes == {"W_enc": (6, 20), "W_dec": (20, 6), "b_enc": (20,), "b_dec": (6,)}
    config = json.loads((folder / "cfg.json").read_text())
    wanted = dict(architecture="topk", d_in=6, d_sae=20, k=3, dtype="float32", apply_b_dec_to_input=True, normalize_activations="layer_norm")
    assert wanted.items() <= config.items()
    assert config["metadata"]["sae_lens_version"] >= "6.0.0"  # else SAELens reads it as an older format


def test_the_formula_of_the_format_gives_our_output(sae, folder):
    """What SAELens computes from these files, written out: layer norm, encode, top k, decode, undo the layer norm."""
    w, acts = load_file(folder / "sae_weights.safetensors"), torch.randn(7, 6)
    mean, std = acts.mean(dim=-1, keepdim=True), (acts - acts.mean(dim=-1, keepdim=True)).std(dim=-1, keepdim=True)
    pre = ((acts - mean) / (std + 1e-5) - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    top = pre.topk(3, dim=-1)
    z = torch.zeros_like(pre).scatter(-1, top.indices, top.values.relu())
    torch.testing.assert_close((z @ w["W_dec"] + w["b_dec"]) * std + mean, sae.reconstruct(acts))


def test_provenance_is_kept_and_completed(folder):
    metadata = formats.describe(folder)["metadata"]
    assert PROVENANCE.items() <= metadata.items()
    assert (metadata["n"], metadata["k"], metadata["normalisation"], len(metadata["sha256"])) == (20, 3, "layer_norm", 64)


def test_provenance_must_be_complete(sae, tmp_path):
    with pytest.raises(ValueError, match="lacks seed"):
        formats.save(sae, tmp_path / "sae", {name: value for name, value in PROVENANCE.items() if name != "seed"})
    assert not list(tmp_path.iterdir())


def test_saving_again_replaces_and_a_failure_leaves_the_former_file(sae, folder, monkeypatch):
    other = TopK.random(6, 20, 2, torch.Generator().manual_seed(1))
    formats.save(other, folder, PROVENANCE)
    assert formats.load(folder).k == 2

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(formats, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        formats.save(sae, folder, PROVENANCE)
    assert formats.load(folder).k == 2
    assert [path.name for path in folder.parent.iterdir()] == ["sae"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (dict(d_model=768), "width is 6, but 768 is wanted"),
        (dict(hook_name="blocks.1.hook_resid_post"), "site is blocks.2.hook_resid_post"),
        (dict(model_name="gpt2"), "model is tiny, but gpt2 is wanted"),
    ],
)
def test_another_width_site_or_model_is_refused(folder, asked, message):
    with pytest.raises(formats.FormatError, match=message):
        formats.load(folder, **asked)


@pytest.mark.parametrize("gone", ["cfg.json", "sae_weights.safetensors"])
def test_a_folder_without_an_autoencoder_is_refused(folder, gone):
    (folder / gone).unlink()
    with pytest.raises(formats.FormatError, match=f"holds no autoencoder: {gone} not found"):
        formats.load(folder)


def _reseal(folder, tensors):
    """Other tensors under a fresh checksum, as a foreign writer would leave them."""
    save_file(tensors, folder / "sae_weights.safetensors")
    config = json.loads((folder / "cfg.json").read_text())
    del config["metadata"]["sha256"]
    (folder / "cfg.json").write_text(json.dumps(config))


@pytest.mark.parametrize("change", ["missing", "extra", "misshapen"])
def test_missing_extra_and_misshapen_tensors_are_refused(folder, change):
    tensors = load_file(folder / "sae_weights.safetensors")
    if change == "missing":
        del tensors["b_enc"]
    elif change == "extra":
        tensors["threshold"] = torch.zeros(20)
    else:
        tensors["W_dec"] = tensors["W_dec"].T.contiguous()
    _reseal(folder, tensors)
    with pytest.raises(formats.FormatError, match=r"tensors is .* is wanted"):
        formats.load(folder)


def test_weights_that_were_changed_or_cut_short_are_refused(folder):
    weights = folder / "sae_weights.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(formats.FormatError, match="sha256 of the weights"):
        formats.load(folder)
    _reseal(folder, load_file(weights))
    weights.write_bytes(data[: len(data) // 2])
    with pytest.raises(formats.FormatError, match="no intact safetensors"):
        formats.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "jumprelu"}, "architecture is jumprelu, but topk is wanted"),
        ({"normalize_activations": "none"}, "normalize_activations is none, but layer_norm is wanted"),
        ({"k": None}, "does not describe a TopK autoencoder: k"),
    ],
)
def test_another_kind_of_autoencoder_is_refused(folder, change, message):
    config = json.loads((folder / "cfg.json").read_text()) | change
    (folder / "cfg.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    with pytest.raises(formats.FormatError, match=message):
        formats.load(folder)


def test_a_configuration_that_is_not_json_is_refused(folder):
    (folder / "cfg.json").write_text("{")
    with pytest.raises(formats.FormatError, match="is not JSON"):
        formats.load(folder)
