"""What is written is read back; what is not the autoencoder that was asked for is refused in one sentence."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from companion.sae import formats
from companion.sae.models import TopK, normalise
from companion.sae.recipe import model_class

ORIGIN = dict(model_name="tiny", hook_name="blocks.2.hook_resid_post", layer=2, tokens=1000, seed=0, normalised_mse=0.25, dead_share=0.01)
ARCHITECTURES = {kind: architecture for architecture, kinds in formats.KINDS.items() for kind in kinds}
each_kind = pytest.mark.parametrize("kind", ARCHITECTURES)


def rebuilt(sae, acts):
    return sae.decode(sae.encode(acts), acts)


@pytest.fixture
def sae(random_sae):
    return random_sae("topk")


@pytest.fixture
def folder(sae, tmp_path):
    formats.save(sae, tmp_path / "sae", ORIGIN)
    return tmp_path / "sae"


def rewrite(folder, change=None, tensors=None, seal=False):
    """Change entries of cfg.json (None removes one), or the weights; without the seal, as a foreign writer would leave them."""
    config = json.loads((folder / "cfg.json").read_text(encoding="utf-8")) | (change or {})
    if not seal:
        config.get("metadata", {}).pop("sha256", None)
    (folder / "cfg.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}), encoding="utf-8")
    if tensors is not None:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "sae_weights.safetensors")


def by_the_format(folder, acts):
    """What SAELens computes from these files, written out from its formulas."""
    w, config = load_file(folder / "sae_weights.safetensors"), json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    layer_norm = config["normalize_activations"] == "layer_norm"
    mean, std = (acts.mean(dim=-1, keepdim=True), acts.std(dim=-1, keepdim=True)) if layer_norm else (0.0, 1.0)
    x = (acts - mean) / (std + 1e-5) if layer_norm else acts
    projected = (x - w["b_dec"] * config["apply_b_dec_to_input"]) @ w["W_enc"]
    if config["architecture"] == "gated":
        z = (projected + w["b_gate"] > 0) * torch.relu(projected * w["r_mag"].exp() + w["b_mag"])
    else:
        pre = projected + w["b_enc"]
        z = torch.relu(pre) * (pre > w.get("threshold", torch.tensor(-torch.inf)))
    if config["architecture"] == "topk":
        top = z.topk(config["k"], dim=-1)
        z = torch.zeros_like(z).scatter(-1, top.indices, top.values)
    return (z @ w["W_dec"] + w["b_dec"]) * std + mean


@each_kind
def test_the_files_are_what_saelens_expects(kind, random_sae, tmp_path):
    formats.save(random_sae(kind), tmp_path, ORIGIN)
    shapes = {name: tuple(t.shape) for name, t in load_file(tmp_path / "sae_weights.safetensors").items()}
    extras = dict(topk=["b_enc"], standard=["b_enc"], jumprelu=["b_enc", "threshold"], gated=["b_gate", "r_mag", "b_mag"])
    architecture = ARCHITECTURES[kind]
    assert shapes == {"W_enc": (6, 20), "W_dec": (20, 6), "b_dec": (6,)} | dict.fromkeys(extras[architecture], (20,))
    config = json.loads((tmp_path / "cfg.json").read_text(encoding="utf-8"))
    wanted = dict(architecture=architecture, d_in=6, d_sae=20, dtype="float32", normalize_activations="layer_norm")
    assert wanted.items() <= config.items()
    assert config["apply_b_dec_to_input"] == (kind != "relu_norm")
    assert config.get("k") == (3 if architecture == "topk" else None)
    assert config["metadata"]["sae_lens_version"] >= "6.0.0"  # else SAELens reads it as an older format


@each_kind
@pytest.mark.parametrize("raw", [False, True])
def test_round_trip_gives_the_same_model_and_the_formula_of_the_format_its_output(kind, raw, random_sae, tmp_path):
    made, acts = random_sae(kind), 2 + torch.randn(4, 5, 6)
    written = formats.Raw(made) if raw else made
    formats.save(written, tmp_path, ORIGIN)
    torch.testing.assert_close(by_the_format(tmp_path, acts), rebuilt(written, acts), rtol=1e-5, atol=1e-5)
    opened = formats.load(tmp_path, d_model=6, hook_name=ORIGIN["hook_name"], model_name="tiny")
    assert isinstance(opened, formats.Raw) == raw
    assert torch.equal(rebuilt(opened, acts), rebuilt(written, acts))
    again = opened.sae if raw else opened
    assert (type(again), again.k) == (type(made), 3)
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in made.tensors().items())
    assert all(tensor.is_contiguous() for tensor in again.tensors().values())  # gathering rows of a turned matrix is slow


def test_a_model_of_raw_activations_cannot_be_taken_for_one_of_ours(sae):
    raw, acts = formats.Raw(sae), torch.randn(2, 3, 6)
    torch.testing.assert_close(rebuilt(raw, acts)[1, 2], sae(acts.view(-1, 6))[5])
    assert torch.equal(raw.encode(acts[0]).values, sae.encode_normalised(acts[0]).values)
    assert not {"encode_normalised", "decode_normalised", "forward", "__call__"} & set(dir(raw))


@pytest.mark.parametrize(
    ("architecture", "change", "kind"),
    [
        ("topk", {}, "topk"),
        ("standard", {}, "relu"),
        ("standard", {"apply_b_dec_to_input": False}, "relu_norm"),
        ("jumprelu", {}, "jumprelu"),
        ("jumprelu", {"apply_b_dec_to_input": False}, "jumprelu"),
        ("gated", {"apply_b_dec_to_input": False}, "gated"),
        ("topk", {"apply_b_dec_to_input": False}, "topk"),
        ("topk", {"normalize_activations": "none"}, "topk"),
    ],
)
def test_a_file_of_saelens_itself_opens_as_the_model_it_is(architecture, change, kind, random_sae, tmp_path):
    made, acts = random_sae(formats.KINDS[architecture][0]), 2 + torch.randn(30, 6)
    formats.save(made, tmp_path, ORIGIN)
    rewrite(tmp_path, change | {"metadata": {"sae_lens_version": "6.54.1"}})
    opened = formats.load(tmp_path)
    assert (opened.sae if isinstance(opened, formats.Raw) else opened).kind == kind
    assert isinstance(opened, formats.Raw) == (change.get("normalize_activations") == "none")
    torch.testing.assert_close(rebuilt(opened, acts), by_the_format(tmp_path, acts), rtol=1e-4, atol=1e-4)


def test_selection_by_length_times_decoder_norm_is_folded_in(sae, folder):
    """With rescale_acts_by_decoder_norm SAELens keeps the largest z |W_dec| and divides by |W_dec| again when it decodes."""
    w, acts = load_file(folder / "sae_weights.safetensors"), torch.randn(9, 6)
    w["W_dec"] *= torch.rand(20, 1) + 0.5
    rewrite(folder, {"rescale_acts_by_decoder_norm": True}, w)
    x, mean, std = normalise(acts)
    scaled = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * w["W_dec"].norm(dim=1)
    top = scaled.topk(3, dim=1)
    z = torch.zeros_like(scaled).scatter(1, top.indices, top.values.relu()) / w["W_dec"].norm(dim=1)
    torch.testing.assert_close(rebuilt(formats.load(folder), acts), (z @ w["W_dec"] + w["b_dec"]) * std + mean)


def test_provenance_is_kept_and_completed(folder):
    metadata = formats.describe(folder)["metadata"]
    assert ORIGIN.items() <= metadata.items()
    assert (metadata["kind"], metadata["n"], metadata["k"], metadata["normalisation"], len(metadata["sha256"])) == ("topk", 20, 3, "layer_norm", 64)


@pytest.mark.parametrize("about", [None, {}, {"model_name": "", "hook_name": None}, {"model_name": "tiny"}, {"hook_name": ORIGIN["hook_name"]}])
def test_what_is_not_known_of_its_origin_is_said_to_be_unknown_and_refused_only_where_it_is_asked_for(about, sae, tmp_path):
    formats.save(sae, tmp_path, about)
    known, about = formats.describe(tmp_path)["metadata"], about or {}
    for name in ("model_name", "hook_name"):
        assert known[name] == formats.load(tmp_path).origin[name] == (about.get(name) or "unknown")
        if about.get(name):
            assert formats.load(tmp_path, **{name: ORIGIN[name]}).n == 20
        else:
            with pytest.raises(formats.FormatError, match="is unknown, but"):
                formats.load(tmp_path, **{name: ORIGIN[name]})
    assert known["layer"] == (2 if about.get("hook_name") else None)


@pytest.mark.parametrize("raw", [False, True])
def test_what_was_opened_is_saved_with_the_origin_that_its_file_had(raw, sae, tmp_path):
    formats.save(formats.Raw(sae) if raw else sae, tmp_path / "one", ORIGIN)
    opened = formats.load(tmp_path / "one")
    assert ORIGIN.items() <= opened.origin.items()
    formats.save(opened, tmp_path / "two", dict(model_name="another"))
    known = formats.describe(tmp_path / "two")["metadata"]
    assert (known["model_name"], known["hook_name"], known["normalised_mse"]) == ("another", ORIGIN["hook_name"], None)


@each_kind
@pytest.mark.parametrize("centred", [False, True])
def test_a_factor_is_written_into_the_weights(kind, centred, random_sae, tmp_path):
    """So that whoever opens the file needs no factor: it is of activations as they are, with the same code and reconstructions."""
    acts = 20 + 7 * torch.randn(4, 5, 6)
    raw = formats.Raw(random_sae(kind), centred=centred, factor=0.05)
    formats.save(raw, tmp_path, ORIGIN)
    known, opened = formats.describe(tmp_path), formats.load(tmp_path)
    assert (known["normalize_activations"], known["metadata"]["norm_factor"]) == ("none", 0.05)
    assert (opened.centred, opened.factor) == (centred, 1)
    torch.testing.assert_close(rebuilt(opened, acts), rebuilt(raw, acts), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(opened.encode(acts).values, raw.encode(acts).values, rtol=1e-4, atol=1e-4)
    if not centred:
        torch.testing.assert_close(by_the_format(tmp_path, acts), rebuilt(raw, acts), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(rebuilt(raw._replace(factor=1.0), acts), rebuilt(raw, acts), atol=0.1)


@pytest.mark.parametrize(("site", "layer"), [("blocks.11.hook_resid_post", 11), ("hook_embed", None)])
def test_what_else_is_not_known_is_written_as_unknown(site, layer, sae, tmp_path):
    formats.save(sae, tmp_path, dict(model_name="gpt2 – ein Zwölftel", hook_name=site))
    known = formats.describe(tmp_path)["metadata"]
    assert (known["model_name"], known["layer"]) == ("gpt2 – ein Zwölftel", layer)
    assert all(known[name] is None for name in ("tokens", "seed", "normalised_mse", "dead_share"))
    assert torch.equal(formats.load(tmp_path, hook_name=site).W_enc, sae.W_enc)


def spoil(name, change):
    def spoiled(sae):
        change(getattr(sae, name).data)
        return sae

    return spoiled


UNSOUND = {
    r"1 of 120 entries of W_enc \(torch.float32\) are NaN": spoil("W_enc", lambda W: W[3, 1].fill_(torch.nan)),
    r"6 of 6 entries of b_pre \(torch.float16\) are NaN or infinite": lambda sae: spoil("b_pre", lambda b: b.fill_(1e5))(sae).half(),
    r"type of the tensors is {torch.float64}, but {torch.float32}": lambda sae: sae.double(),
    "2 of 20 decoder rows are zero": spoil("W_dec", lambda W: W[4:6].zero_()),
}


@pytest.mark.parametrize("message", UNSOUND)
def test_weights_that_make_no_sense_are_neither_written_nor_read(sae, folder, message):
    own = UNSOUND[message](sae).tensors()
    with pytest.raises(formats.FormatError, match=message):
        formats.save(sae, folder.parent / "other", ORIGIN)
    assert [path.name for path in folder.parent.iterdir()] == ["sae"]
    rewrite(folder, tensors=dict(W_enc=own["W_enc"].T, W_dec=own["W_dec"], b_enc=own["b_enc"], b_dec=own["b_pre"]))
    with pytest.raises(formats.FormatError, match=message):
        formats.load(folder)


def test_a_batch_topk_model_without_a_threshold_is_not_written(tmp_path):
    untrained = model_class("batch_topk").random(6, 20, 3, torch.Generator().manual_seed(0))
    with pytest.raises(formats.FormatError, match=r"1 of 1 entries of threshold .* infinite"):
        formats.save(untrained, tmp_path / "sae", ORIGIN)


def test_saving_again_replaces_and_a_failure_leaves_the_former_file(sae, folder, monkeypatch):
    other = TopK.random(6, 20, 2, torch.Generator().manual_seed(1))
    formats.save(other, folder, ORIGIN)
    assert formats.load(folder).k == 2

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(formats, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        formats.save(sae, folder, ORIGIN)
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


@pytest.mark.parametrize("change", ["missing", "extra", "misshapen"])
def test_missing_extra_and_misshapen_tensors_are_refused(folder, change):
    tensors = load_file(folder / "sae_weights.safetensors")
    if change == "missing":
        del tensors["b_enc"]
    elif change == "extra":
        tensors["threshold"] = torch.zeros(20)
    else:
        tensors["W_dec"] = tensors["W_dec"].T
    rewrite(folder, tensors=tensors)
    with pytest.raises(formats.FormatError, match=r"tensors is .* is wanted"):
        formats.load(folder)


def test_weights_that_were_changed_or_cut_short_are_refused(folder):
    weights = folder / "sae_weights.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(formats.FormatError, match="sha256 of the weights"):
        formats.load(folder)
    rewrite(folder)
    weights.write_bytes(data[: len(data) // 2])
    with pytest.raises(formats.FormatError, match="no intact safetensors"):
        formats.load(folder)


@pytest.mark.parametrize("kind", ["batch_topk", "matryoshka"])
def test_thresholds_that_differ_are_not_those_of_batch_topk(kind, random_sae, tmp_path):
    formats.save(random_sae(kind), tmp_path, ORIGIN)
    tensors = load_file(tmp_path / "sae_weights.safetensors")
    tensors["threshold"][0] += 1
    rewrite(tmp_path, tensors=tensors)
    with pytest.raises(formats.FormatError, match="number of different thresholds is 2, but 1 is wanted"):
        formats.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "matching_pursuit"}, "architecture is matching_pursuit, but topk or standard or jumprelu or gated is wanted"),
        ({"architecture": "standard"}, "kind is topk, but relu or relu_norm is wanted"),
        ({"normalize_activations": "none"}, "normalize_activations is none, but layer_norm is wanted"),
        ({"normalize_activations": "constant_norm_rescale"}, "normalize_activations is constant_norm_rescale, but layer_norm is wanted"),
        ({"normalize_activations": "covariance_whitening"}, "normalize_activations is covariance_whitening, but layer_norm or none or"),
        ({"reshape_activations": "hook_z"}, "reshape_activations is hook_z"),
        ({"k": None}, "does not describe an autoencoder: k not found"),
        ({"k": "3"}, "type of k is .*str.*, but .*int.* is wanted"),
        ({"k": 21}, "k=21 latents cannot be kept out of n=20"),
        ({"d_in": 7, "metadata": {"sae_lens_version": "6.0.0"}}, r"tensors is .*\(6, 20\).*, but .*\(7, 20\).* is wanted"),
        ({"metadata": []}, "type of an entry is list, but dict is wanted"),
    ],
)
def test_another_kind_of_autoencoder_is_refused(folder, change, message):
    rewrite(folder, change, seal=True)
    with pytest.raises(formats.FormatError, match=message):
        formats.load(folder)


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "type of an entry is list, but dict is wanted")])
def test_a_configuration_that_is_no_json_object_is_refused(folder, text, message):
    (folder / "cfg.json").write_text(text, encoding="utf-8")
    with pytest.raises(formats.FormatError, match=message):
        formats.load(folder)
