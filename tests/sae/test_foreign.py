"""Files of other libraries: what ours become in them, what theirs become here, and a pickle that must not run.

The formulas of the formats are written out here; tests/benchmarks/interop.py asks the libraries themselves.
"""

import json
import os
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import load_file, save_file

from companion.sae import foreign, formats
from companion.sae.formats import FormatError, Raw
from companion.sae.models import normalise
from companion.sae.recipe import model_class

ORIGIN = dict(model_name="tiny", hook_name="blocks.2.hook_resid_post", layer=2, tokens=1000, seed=0, normalised_mse=0.25, dead_share=0.01)
KINDS = [kind for kinds in formats.KINDS.values() for kind in kinds]
D, L, K = 6, 20, 3


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def acts():
    return 2 + torch.randn(30, D, generator=stream(3))


def rebuilt(sae, acts):
    return sae.decode(sae.encode(acts), acts)


def keep(pre, k):
    """The k largest of each row, the rest zero."""
    top = pre.topk(k, dim=1)
    return torch.zeros_like(pre).scatter(1, top.indices, top.values)


# --- OpenAI ---


class Published(torch.nn.Module):
    """The tensors of the published class, whose state_dict carries its activation as text and numbers."""

    def __init__(self):
        super().__init__()
        self.pre_bias, self.latent_bias = (torch.nn.Parameter(torch.randn(size, generator=stream(4))) for size in (D, L))
        self.encoder, self.decoder = torch.nn.Linear(D, L, bias=False), torch.nn.Linear(L, D, bias=False)
        self.register_buffer("stats_last_nonzero", torch.zeros(L, dtype=torch.long))
        self.register_buffer("latents_activation_frequency", torch.ones(L))
        self.register_buffer("latents_mean_square", torch.zeros(L))

    def saved(self, path, **entries):
        torch.save(state := self.state_dict() | entries, path)
        assert isinstance(state, OrderedDict)
        return path

    def latents(self, x):
        return (x - self.pre_bias) @ self.encoder.weight.T + self.latent_bias

    def reconstruction(self, z):
        return (z @ self.decoder.weight.T + self.pre_bias).detach()


@pytest.fixture
def published():
    torch.manual_seed(0)
    return Published()


TOPK = dict(activation="TopK", activation_state_dict=OrderedDict(k=K, postact_fn="ReLU"))


@pytest.mark.parametrize("extra", [{}, {"activation.k": K, "activation.postact_fn": "ReLU"}])
def test_a_published_topk_file_gives_the_published_reconstruction(published, extra, acts, tmp_path):
    sae = foreign.read_openai(published.saved(tmp_path / "8.pt", **TOPK, **extra))
    x, mean, std = normalise(acts)
    assert (sae.kind, sae.k, sae.n, sae.d) == ("topk", K, L, D)
    wanted = published.reconstruction(keep(published.latents(x), K).relu()) * std + mean
    torch.testing.assert_close(rebuilt(sae, acts), wanted)


@pytest.mark.parametrize("entries", [{}, {"activation": "ReLU", "activation_state_dict": OrderedDict()}])
def test_an_older_relu_file_works_on_activations_as_they_are(published, entries, acts, tmp_path):
    raw = foreign.read_openai(published.saved(tmp_path / "0.pt", **entries))
    assert isinstance(raw, Raw)
    torch.testing.assert_close(rebuilt(raw, acts), published.reconstruction(published.latents(acts).relu()))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (dict(activation="JumpReLU"), "activation is JumpReLU, but TopK or ReLU is wanted"),
        (dict(activation="TopK", activation_state_dict=dict(k=K, postact_fn="Identity")), "activation after TopK is Identity"),
        (dict(activation="TopK"), "type of k is .*NoneType"),
        (dict(activation="TopK", activation_state_dict=dict(k=L + 1)), "k=21 latents cannot be kept out of n=20"),
        (TOPK | dict(threshold=torch.zeros(L)), "tensors is .*threshold.* is wanted"),
        (TOPK | {"pre_bias": torch.zeros(D + 1)}, r"'pre_bias': \(7,\).* is wanted"),
        (TOPK | {"decoder.weight": torch.zeros(L, D)}, r"'decoder.weight': \(20, 6\).* is wanted"),
        (TOPK | {"encoder.weight": "none"}, r"'encoder.weight': 'no plain tensor \(str\)'"),
        (TOPK | {"pre_bias": torch.zeros(D).to_sparse()}, r"'pre_bias': 'no plain tensor \(Tensor\)'"),
        (TOPK | {"latent_bias": torch.zeros(L, device="meta")}, r"'latent_bias': 'no plain tensor \(Tensor\)'"),
        (TOPK | {"latent_bias": torch.zeros(L, dtype=torch.int64)}, "type of the tensors is .*torch.int64.*"),
        (TOPK | {"decoder.weight": torch.zeros(D, L)}, "20 of 20 decoder rows are zero"),
        (TOPK | {"pre_bias": torch.full((D,), 1e5).half()}, r"6 of 6 entries of b_pre \(torch.float16\) are NaN or infinite"),
        (TOPK | {"pre_bias": torch.zeros(D).double()}, "type of the tensors is .*torch.float64.*"),
    ],
)
def test_a_published_file_that_is_not_one_is_refused(published, entries, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        foreign.read_openai(published.saved(tmp_path / "8.pt", **entries))


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class Shell(Canary):
    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("which", [Canary, Shell])
@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_code_in_a_pickle_is_refused_and_does_not_run(which, form, published, tmp_path):
    canary, path = tmp_path / "canary", tmp_path / "ae.pt"
    state = published.state_dict() | TOPK | {"latents_mean_square": which(canary)}
    if form == "bare":
        path.write_bytes(pickle.dumps({"activation": which(canary)}, protocol=2))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    (tmp_path / "config.json").write_text(json.dumps({"trainer": {"dict_class": "AutoEncoder"}}), encoding="utf-8")
    for read in (lambda: foreign.read_openai(path), lambda: foreign.read_dictionary_learning(tmp_path)):
        with pytest.raises(FormatError, match=r"is refused, and nothing in it was run: its pickle asks for (posix.system|io.open)") as refusal:
            read()
        assert "weights_only" not in str(refusal.value)  # torch's own advice is to run the file
        assert not canary.exists()
    _ = pickle.loads(path.read_bytes()) if form == "bare" else torch.load(path, weights_only=False)
    assert canary.exists()  # the same file, trusted: the canary is alive


def test_a_pickle_cut_short_absent_or_of_something_else_is_refused(published, tmp_path):
    whole = published.saved(tmp_path / "8.pt", **TOPK).read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 50):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"refused, and nothing in it was run: damaged"):
            foreign.read_openai(tmp_path / "cut.pt")
    with pytest.raises(FormatError, match=r"9\.pt is not a file"):
        foreign.read_openai(tmp_path / "9.pt")
    for other in ([torch.zeros(2)], {1: torch.zeros(2), "a": torch.zeros(2)}):
        torch.save(other, tmp_path / "8.pt")
        with pytest.raises(FormatError, match="holds no dictionary of names and tensors"):
            foreign.read_openai(tmp_path / "8.pt")


# --- both libraries ---

WRITERS = {
    "dictionary_learning": (foreign.write_dictionary_learning, foreign.read_dictionary_learning, "config.json", "ae.pt"),
    "sparsify": (foreign.write_sparsify, foreign.read_sparsify, "cfg.json", "sae.safetensors"),
}
each_library = pytest.mark.parametrize("library", WRITERS)
HELD = [("dictionary_learning", kind) for kind in KINDS] + [("sparsify", kind) for kind in formats.KINDS["topk"]]


def unstamp(folder, config, **changes):
    """Take our entry away, as if the library had written the file, and change others."""
    written = json.loads((folder / config).read_text(encoding="utf-8"))
    written.pop("companion", None)
    (folder / config).write_text(json.dumps(written | changes), encoding="utf-8")


@pytest.mark.parametrize(("library", "kind"), HELD)
@pytest.mark.parametrize("raw", [False, True])
def test_round_trip_gives_the_same_model(library, kind, raw, acts, random_sae, tmp_path):
    write, read, config, _ = WRITERS[library]
    sae = random_sae(kind)
    write(made := Raw(sae) if raw else sae, tmp_path / "sae", ORIGIN)
    again = read(tmp_path / "sae")
    assert type(again) is type(made)
    inner = again.sae if raw else again
    assert (inner.kind, inner.k) == (kind, K)
    assert all(tensor.is_contiguous() for tensor in inner.tensors().values())
    torch.testing.assert_close(rebuilt(again, acts), rebuilt(made, acts))
    stated = json.loads((tmp_path / "sae" / config).read_text(encoding="utf-8"))["companion"]
    assert (ORIGIN | dict(kind=kind, normalisation="none" if raw else "layer_norm")).items() <= stated.items()


@each_library
def test_a_file_without_our_entry_works_on_activations_as_they_are(library, acts, random_sae, tmp_path):
    write, read, config, _ = WRITERS[library]
    write(made := random_sae("multi_topk"), tmp_path, ORIGIN)
    unstamp(tmp_path, config)
    opened = read(tmp_path)
    assert isinstance(opened, Raw)
    assert opened.sae.kind == "topk"
    torch.testing.assert_close(rebuilt(opened, acts), rebuilt(Raw(made), acts))


@each_library
def test_a_failure_leaves_the_former_folder(library, random_sae, tmp_path, monkeypatch):
    write, read, *_ = WRITERS[library]
    write(random_sae("topk"), tmp_path / "sae", ORIGIN)

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(OSError, match="No space"):
        write(random_sae("multi_topk"), tmp_path / "sae", ORIGIN)
    assert read(tmp_path / "sae").kind == "topk"
    assert [path.name for path in tmp_path.iterdir()] == ["sae"]


@each_library
def test_changed_missing_and_unreadable_files_are_refused(library, random_sae, tmp_path):
    write, read, config, weights = WRITERS[library]
    write(random_sae("topk"), tmp_path, ORIGIN)
    data = (tmp_path / weights).read_bytes()
    (tmp_path / weights).write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="sha256 of the weights"):
        read(tmp_path)
    unstamp(tmp_path, config)
    with pytest.raises(FormatError, match=r"damaged|no intact safetensors"):
        read(tmp_path)
    (tmp_path / config).write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="is not JSON"):
        read(tmp_path)
    (tmp_path / config).write_text('{"companion": 1}', encoding="utf-8")
    with pytest.raises(FormatError, match="type of an entry is int, but dict is wanted"):
        read(tmp_path)
    (tmp_path / weights).unlink()
    with pytest.raises(FormatError, match=f"holds no autoencoder: {weights} not found"):
        read(tmp_path)


@each_library
@pytest.mark.parametrize("change", ["missing", "extra", "misshapen"])
def test_tensors_that_are_not_the_format_s_are_refused(library, change, random_sae, tmp_path):
    """What their entries may be is asked of OpenAI's files above."""
    write, read, config, weights = WRITERS[library]
    write(random_sae("topk"), tmp_path, ORIGIN)
    unstamp(tmp_path, config)
    load, save = (torch.load, torch.save) if library == "dictionary_learning" else (load_file, save_file)
    state = load(tmp_path / weights)
    if change == "missing":
        del state["b_dec"]
    else:
        state["W_skip" if change == "extra" else "encoder.weight"] = torch.zeros(D, D)
    save(state, tmp_path / weights)
    with pytest.raises(FormatError, match=r"tensors is .* is wanted"):
        read(tmp_path)


# --- dictionary_learning ---


def write_state(folder, dict_class, state):
    torch.save(state, folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps({"trainer": {"dict_class": dict_class}, "buffer": {}}), encoding="utf-8")


def dictionary(*names):
    """Random tensors by dictionary_learning's names."""
    shapes = {"encoder.weight": (L, D), "decoder.weight": (D, L), "W_enc": (D, L), "W_dec": (L, D)}
    shapes |= dict.fromkeys(["b_dec", "bias", "decoder.bias", "decoder_bias"], (D,))
    return {name: torch.randn(shapes.get(name, (L,)), generator=stream(9)) for name in names}


@pytest.mark.parametrize("threshold", [-1.0, 0.7])
@pytest.mark.parametrize("dict_class", ["BatchTopKSAE", "MatryoshkaBatchTopKSAE"])
def test_one_threshold_for_all_latents(dict_class, threshold, acts, tmp_path):
    nested = dict_class.startswith("Matryoshka")
    s = dictionary("W_enc", "W_dec", "b_enc", "b_dec") if nested else dictionary("encoder.weight", "encoder.bias", "decoder.weight", "b_dec")
    s |= dict(k=torch.tensor(K, dtype=torch.int32), threshold=torch.tensor(threshold)) | ({"group_sizes": torch.tensor([5, 15])} if nested else {})
    write_state(tmp_path, dict_class, s)
    opened = foreign.read_dictionary_learning(tmp_path)
    W_enc, W_dec, b = (s["W_enc"], s["W_dec"], s["b_enc"]) if nested else (s["encoder.weight"].T, s["decoder.weight"].T, s["encoder.bias"])
    z = ((acts - s["b_dec"]) @ W_enc + b).relu()
    assert (opened.sae.kind, opened.sae.k) == ("batch_topk", K)
    torch.testing.assert_close(rebuilt(opened, acts), (z * (z > threshold)) @ W_dec + s["b_dec"])


def test_the_other_classes_give_their_own_reconstruction(acts, tmp_path):
    s = dictionary("encoder.weight", "encoder.bias", "decoder.weight", "bias")
    write_state(tmp_path, "AutoEncoder", s)
    z = ((acts - s["bias"]) @ s["encoder.weight"].T + s["encoder.bias"]).relu()
    torch.testing.assert_close(rebuilt(foreign.read_dictionary_learning(tmp_path), acts), z @ s["decoder.weight"].T + s["bias"])

    s = dictionary("encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias")
    write_state(tmp_path, "AutoEncoderNew", s)
    z = (acts @ s["encoder.weight"].T + s["encoder.bias"]).relu()
    opened = foreign.read_dictionary_learning(tmp_path)
    assert opened.sae.kind == "relu_norm"
    torch.testing.assert_close(rebuilt(opened, acts), z @ s["decoder.weight"].T + s["decoder.bias"])

    s = dictionary("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
    write_state(tmp_path, "JumpReluAutoEncoder", s)
    z = acts @ s["W_enc"] + s["b_enc"]
    z = (z * (z > s["threshold"])).relu()
    torch.testing.assert_close(rebuilt(foreign.read_dictionary_learning(tmp_path), acts), z @ s["W_dec"] + s["b_dec"], rtol=1e-4, atol=1e-4)

    s = dictionary("encoder.weight", "decoder.weight", "decoder_bias", "r_mag", "gate_bias", "mag_bias")
    write_state(tmp_path, "GatedAutoEncoder", s)
    p = (acts - s["decoder_bias"]) @ s["encoder.weight"].T
    z = (p + s["gate_bias"] > 0) * (p * s["r_mag"].exp() + s["mag_bias"]).relu()
    torch.testing.assert_close(rebuilt(foreign.read_dictionary_learning(tmp_path), acts), z @ s["decoder.weight"].T + s["decoder_bias"])


@pytest.mark.parametrize("dict_class", ["IdentityDict", None])
def test_a_class_that_is_no_model_of_ours_is_refused(dict_class, tmp_path):
    write_state(tmp_path, dict_class, dictionary("encoder.weight"))
    with pytest.raises(FormatError, match=f"dict_class is {dict_class}, but AutoEncoderTopK or .* is wanted"):
        foreign.read_dictionary_learning(tmp_path)


# --- sparsify ---


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in formats.KINDS["topk"]])
def test_sparsify_holds_topk_models_only(kind, random_sae, tmp_path):
    with pytest.raises(FormatError, match=f"sparsify cannot hold .*: kind is {kind}, but topk or multi_topk is wanted"):
        foreign.write_sparsify(random_sae(kind), tmp_path / "sae", ORIGIN)
    assert not list(tmp_path.iterdir())


def test_the_formula_of_sparsify_gives_our_output(acts, random_sae, tmp_path):
    foreign.write_sparsify(made := random_sae("multi_topk"), tmp_path, ORIGIN)
    w, config, x = load_file(tmp_path / "sae.safetensors"), json.loads((tmp_path / "cfg.json").read_text(encoding="utf-8")), normalise(acts).x
    z = keep(((x - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]).relu(), config["k"])
    torch.testing.assert_close(z @ w["W_dec"] + w["b_dec"], made(x))
    assert (config["num_latents"], config["d_in"], config["activation"]) == (L, D, "topk")
    assert config["multi_topk"] is False  # its forward would answer with 4k latents


@pytest.mark.parametrize(("changes", "kind"), [(dict(multi_topk=True), "multi_topk"), (dict(num_latents=0, expansion_factor=4), "topk")])
def test_a_file_of_sparsify_itself_opens_as_the_model_it_is(changes, kind, tmp_path):
    n = 4 * D if "expansion_factor" in changes else L
    foreign.write_sparsify(model_class("topk").random(D, n, K, stream()), tmp_path, ORIGIN)
    unstamp(tmp_path, "cfg.json", **changes)
    opened = foreign.read_sparsify(tmp_path)
    assert (opened.sae.kind, opened.sae.n, opened.sae.k) == (kind, n, K)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(activation="groupmax"), "activation is groupmax, but topk is wanted"),
        (dict(transcode=True), "transcode is True"),
        (dict(skip_connection=True), "skip_connection is True"),
        (dict(k=None), "type of k is .*NoneType"),
        (dict(d_in="6"), "type of d_in is .*str"),
        (dict(k=L + 1), "k=21 latents cannot be kept out of n=20"),
        (dict(num_latents=24), r"tensors is .*\(20, 6\).*\(24, 6\).* is wanted"),
    ],
)
def test_what_is_no_topk_autoencoder_is_refused(changes, message, random_sae, tmp_path):
    foreign.write_sparsify(random_sae("topk"), tmp_path, ORIGIN)
    unstamp(tmp_path, "cfg.json", **changes)
    with pytest.raises(FormatError, match=message):
        foreign.read_sparsify(tmp_path)
