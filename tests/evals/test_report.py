"""A report's numbers are those of the plain definitions, and what does not belong together or cannot be had is said."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from companion.evals import reconstruction, report, setting
from companion.evals.setting import Setting, Sizes
from companion.lm.subject import Subject
from companion.sae import formats
from companion.sae.models import Code, TopK, normalise
from companion.sae.weights import FormatError, Raw

FEW = Sizes(contexts=24, labelled=160, examples=30, latents=6, ablated=4, span=4, checkpoints=5)
SITE = "blocks.0.hook_resid_post"


class Identity:
    """Every channel is a latent."""

    def encode(self, acts):
        return Code(torch.arange(acts.shape[-1]).expand(acts.shape), acts)

    def decode(self, code, acts):
        return torch.zeros_like(acts).scatter_add(-1, code.indices, code.values)


@pytest.fixture(scope="module")
def sae(tiny):
    return TopK.random(tiny.d_model, 64, 4, torch.Generator().manual_seed(0)).requires_grad_(False)


@pytest.fixture(scope="module")
def both(tiny, sae):
    return report.compare(tiny, {"random": sae, "identity": Identity()}, layer=0, sizes=FEW)


def value(found, part, name):
    return found.get(part, name).value


def test_every_evaluation_has_its_numbers_with_intervals(both):
    found = both.reports["random"]
    assert {row.part for row in found.rows} == {"reconstruction", "loss", "compute", "probes", "N2G", "labels", "ablation"}
    for row in found.rows:
        assert row.value is not None, row
        assert (row.name == "dead share") or row.low <= row.value <= row.high, row
    assert all(value(found, *at) is not None for at in report.HEADLINES)


def test_numbers_of_reconstruction_are_those_of_the_definitions(tiny, sae, both):
    found, tokens = both.reports["random"], setting.spread(tiny.tokens("heldout"), FEW.contexts)
    resid = tiny.residual(tokens, 0)
    x, back = normalise(resid).x, sae.decode(sae.encode(resid), resid)
    own = resid.square().sum()
    code = sae.encode(resid)
    for name, expected in (
        ("L0", reconstruction.l0(code)),
        ("dead share", reconstruction.dead(reconstruction.firing_counts(code, 64))),
        ("normalised MSE", reconstruction.normalised_mse(x, sae(x.flatten(0, 1)).view_as(x))),
        ("raw MSE, ratio of totals", ((resid - back).square().sum() / own).item()),
        ("share of position 0", (resid[:, 0].square().sum() / own).item()),
    ):
        assert value(found, "reconstruction", name) == pytest.approx(expected, rel=1e-4), name
    rise = (tiny.losses_from(back, tokens, 0) - tiny.losses(tokens)).mean().item()
    assert value(found, "loss", "rise of the loss") == pytest.approx(rise, abs=1e-5)


def test_nothing_is_lost_by_the_identity(both):
    found = both.reports["identity"]
    assert value(found, "reconstruction", "normalised MSE") == pytest.approx(0, abs=1e-9)
    for name in ("rise of the loss", "KL", "KL, position 0 kept"):
        assert value(found, "loss", name) == pytest.approx(0, abs=1e-5)
    for name in ("zero", "mean", "unigram"):
        assert value(found, "loss", f"loss recovered from {name}") == pytest.approx(1, abs=1e-4)
    assert value(found, "compute", "share of compute") > 0.99
    assert "does not say how many latents" in found.get("reconstruction", "dead share").note


def test_an_autoencoder_of_something_else_is_recognised_by_its_numbers(tiny, both):
    (warning,) = both.reports["random"].about["warnings"]
    assert "this autoencoder was not trained, is of another model, site or layer" in warning
    assert both.reports["identity"].about["warnings"] == []
    assert "**Warning**, random: " in both.markdown()

    class Elsewhere(Identity):
        """As one of another model: what it gives back lies along other axes, at the right length."""

        def decode(self, code, acts):
            return super().decode(code, acts).roll(1, -1)

    rolled = report.report(tiny, Elsewhere(), layer=0, sizes=replace(FEW, labelled=4, latents=1, ablated=1))
    assert value(rolled, "loss", "rise of the loss") > 0.5
    assert len(rolled.about["warnings"]) == 1


def test_a_report_is_the_same_alone_and_beside_others_and_can_be_written(tiny, sae, both):
    alone = report.report(tiny, sae, layer=0, sizes=FEW)
    assert alone.rows == both.reports["random"].rows
    held = json.loads(alone.json())
    assert held["about"]["subject"] == tiny.name
    assert [row["value"] for row in held["rows"]] == [row.value for row in alone.rows]
    assert len(alone.markdown().splitlines()) >= len(alone.rows) + 3
    table = [line for line in both.markdown().splitlines() if line.startswith("|")]
    assert table[0] == "| | random | identity |"
    assert {line.count("|") for line in table} == {4}
    assert [line.split(" | ")[0] for line in table[2:5]] == [
        "| reconstruction: L0",
        "| reconstruction: dead share",
        "| reconstruction: normalised MSE",
    ]
    assert set(json.loads(both.json())) == {"random", "identity"}


def test_a_code_in_parts_is_the_code(tiny, sae, monkeypatch):
    monkeypatch.setattr(setting, "TOKENS", 7)
    resid = tiny.residual(tiny.tokens("heldout")[:3], 0)
    parts = setting.InParts(sae)
    code = parts.encode(resid)
    assert all(torch.equal(a, b) for a, b in zip(code, sae.encode(resid), strict=True))
    torch.testing.assert_close(parts.decode(code, resid), sae.decode(code, resid))
    assert (parts.n, parts.k, parts.kind) == (64, 4, "topk")
    assert setting.InParts(Raw(sae)).n == 64


def test_a_model_in_half_precision_has_nearly_the_same_numbers(tiny, sae, both):
    half = Subject(copy.deepcopy(tiny.model).bfloat16(), tiny.name, tiny.folder)
    found = report.report(half, sae, layer=0, sizes=replace(FEW, labelled=4))
    assert found.about["dtype"] == "bfloat16"
    for part, name in (("reconstruction", "normalised MSE"), ("loss", "rise of the loss"), ("loss", "KL"), ("ablation", "score")):
        assert value(found, part, name) == pytest.approx(value(both.reports["random"], part, name), rel=0.1), name


# --- what does not belong together ---


@pytest.fixture
def saved(tiny, sae, tmp_path):
    def save(model_name=tiny.name, hook_name=SITE, model=sae):
        formats.save(model, tmp_path / "sae", dict(model_name=model_name, hook_name=hook_name))
        return tmp_path / "sae"

    return save


def test_a_folder_says_what_it_is_of(tiny, saved):
    opened, layer = report.opened_for(tiny, saved(hook_name="blocks.1.hook_resid_pre"))
    assert (opened.n, layer) == (64, 0)
    few = replace(FEW, contexts=4, labelled=4, examples=4, latents=1, ablated=1)
    assert report.report(tiny, saved(), sizes=few).about["layer"] == 0


def test_an_autoencoder_of_another_model_site_layer_or_width_is_refused(tiny, sae, saved):
    wide = TopK.random(16, 64, 4, torch.Generator().manual_seed(0))
    for written, layer, message in (
        (dict(model_name="gpt2"), None, "model is gpt2, but"),
        (dict(hook_name="blocks.0.mlp.hook_post"), None, "is of blocks.0.mlp.hook_post: a report is of an autoencoder of the residual stream"),
        (dict(), 1, "the stream after block 0, but layer 1 is wanted"),
        (dict(model=wide), None, "width is 16, but 32 is wanted"),
    ):
        with pytest.raises(FormatError, match=message):
            report.report(tiny, saved(**written), layer=layer, sizes=FEW)
    with pytest.raises(ValueError, match="32 entries, but the autoencoder is of activations with 16"):
        report.report(tiny, wide, layer=0, sizes=FEW)
    with pytest.raises(ValueError, match="say after which block"):
        report.report(tiny, sae)
    with pytest.raises(ValueError, match="no stream after block 5: its blocks are 0 to 1"):
        report.report(tiny, sae, layer=5)


# --- what cannot be had ---


def notes(found):
    return {row.part: row.note for row in found.rows if row.value is None}


def test_too_little_text_has_numbers_without_intervals_or_reasons(tiny, sae):
    few = replace(FEW, contexts=1, labelled=2)
    found = report.report(tiny, sae, layer=0, sizes=few)
    row = found.get("loss", "KL")
    assert (row.low, "no interval of 1 of contexts" in row.note) == (None, True)
    assert "labels is in 10 contexts of each half of 2" in notes(found)["probes"]
    assert notes(found)["compute"] == "not measured: one context has no interval"
    with pytest.raises(ValueError, match="contexts \\(N, T\\) of two tokens or more"):
        report.report(tiny, sae, layer=0, texts=(torch.zeros(2, 8).long(), torch.zeros(2, 1).long()))


def test_contexts_shorter_than_the_span_of_an_ablation(tiny, sae):
    text = tuple(tiny.tokens(split)[:20, :8] for split in ("train", "heldout"))
    found = report.report(tiny, sae, layer=0, texts=text, sizes=replace(FEW, span=8))
    assert notes(found)["ablation"] == "not measured: contexts of 8 tokens have no position from 1 on with 8 tokens to come"


def test_a_model_alone_has_python_for_text_and_no_checkpoints(tiny, sae):
    alone = Subject(tiny.model, "alone", tokenizer=tiny.tokenizer)
    found = report.report(alone, sae, layer=0, sizes=replace(FEW, contexts=6))
    assert "no checkpoints of alone" in notes(found)["compute"]
    assert found.get("loss", "KL").value > 0
    assert Setting(alone, 0, sizes=FEW).tokens.shape == (24, 32)


def test_a_tokenizer_in_which_python_has_no_labels(tiny, sae, monkeypatch):
    monkeypatch.setattr("companion.lm.corpus.END_OF_TEXT", "<none>")
    found = report.report(tiny, sae, layer=0, sizes=replace(FEW, contexts=6))
    assert "is not byte-level with the token <none>" in notes(found)["probes"]


def test_values_that_are_not_finite_are_refused(tiny, sae):
    class Broken(Identity):
        def decode(self, code, acts):
            return acts / 0 * 0

    with pytest.raises(ValueError, match="the reconstruction is not finite"):
        report.report(tiny, Broken(), layer=0, sizes=FEW)
