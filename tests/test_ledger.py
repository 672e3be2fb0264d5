import json
import math

import pytest

from companion import ledger, run
from companion.plots import style


@pytest.fixture
def project(tmp_path, monkeypatch, own_cache):
    for name in ("notebooks", "companion"):
        (tmp_path / name).mkdir()
    (tmp_path / "notebooks" / "01_page.py").write_text("# %% [markdown]\n# Prose\n\n# %%\nx = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_PROFILE", "laptop")
    return tmp_path


def enter(page, id="a", value=1.0, band=(0.9, 1.1), control=0.0, **kwargs):
    return page.claim(id, says="it is one", value=value, band=band, why="theory", control=control, control_is="nothing", section="1", **kwargs)


def page():
    return ledger.Page("01_page", paper="A paper")


@pytest.mark.parametrize(
    ("value", "control", "kwargs", "verdict"),
    [
        (1.0, 0.0, {}, "CONFIRMED"),
        (1.1, 0.0, {}, "CONFIRMED"),  # the ends belong to the band
        (2.0, 0.0, {}, "FAILED"),
        (math.nan, 0.0, {}, "FAILED"),
        (1.0, 1.0, {}, "VACUOUS"),
        (2.0, 1.0, {}, "VACUOUS"),
        (1.0, 0.5, {"control_band": (-0.1, 0.1)}, "FAILED"),  # the control fails, but not as it must
        (2.0, 0.0, {"open_because": "spec", "witness": 1.0}, "REFUTED"),
        (2.0, 0.0, {"open_because": "spec"}, "FAILED"),  # nothing shows that it could have been confirmed
        (2.0, 0.0, {"open_because": "spec", "witness": 3.0}, "FAILED"),
        (1.0, 0.0, {"open_because": "spec", "witness": 1.0}, "CONFIRMED"),
        ([1.0, 1.0, 2.0], 0.0, {}, "FAILED"),
        ([1.0, 1.0, 2.0], 0.0, {"need": 0.6}, "CONFIRMED"),
        ([1.0, 1.0, 1.0], [0.0, 1.0, 1.0], {"need": 0.6}, "VACUOUS"),
    ],
)
def test_verdicts(project, value, control, kwargs, verdict):
    assert enter(page(), value=value, control=control, **kwargs) == verdict


def test_a_bad_page_raises_after_it_is_recorded(project):
    bad = page()
    enter(bad, "good")
    enter(bad, "vacuous", control=1.0)
    with pytest.raises(ledger.ClaimError, match="vacuous: VACUOUS"):
        bad.close()
    assert [row["verdict"] for row in ledger.read(project / "figures" / "claims.json")] == ["CONFIRMED", "VACUOUS"]


def test_a_refuted_sentence_is_a_result(project):
    refuting = page()
    enter(refuting, value=2.0, open_because="the spec says so", witness=1.0, witness_is="constructed")
    refuting.close()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"band": (2.0, 1.0)}, "is empty"),
        ({"value": []}, "at least one value"),
        ({"control": []}, "at least one value"),
        ({"control_band": (1.0, 3.0)}, "the control could pass"),
    ],
)
def test_claims_that_make_no_sense(project, kwargs, message):
    with pytest.raises(ValueError, match=message):
        enter(page(), **kwargs)


def test_one_id_once(project):
    twice = page()
    enter(twice)
    with pytest.raises(ValueError, match="entered twice"):
        enter(twice)


def test_record_holds_what_the_design_lists(project):
    one = page()
    enter(one, band=(0.9, math.inf), unit=" nats")
    one.close()
    (row,) = json.loads((project / "figures" / "claims.json").read_text(), parse_constant=pytest.fail)
    assert row["band"] == [0.9, None]
    assert row["code"] == ledger.code_hash(project / "notebooks" / "01_page.py")
    assert {"id", "paper", "section", "sentence", "value", "unit", "control", "verdict", "seeds", "profile", "versions", "device", "seconds"} <= set(
        row
    )


def test_a_page_replaces_its_own_rows_only(project):
    for name, ids in (("02_b", "x"), ("01_page", "y"), ("02_b", "z")):
        one = ledger.Page(name, paper="A paper")
        enter(one, ids)
        one.close()
    assert [(row["notebook"], row["id"]) for row in ledger.read(project / "figures" / "claims.json")] == [("01_page", "y"), ("02_b", "z")]


def test_figure_is_kept_with_its_numbers(project):
    figure, axes = style.panels()
    axes[0].plot([0, 1], [1, 2])
    page().save_figure(figure, "F1", {"loss": [1 / 3, 2.0]})
    record = json.loads((project / "figures" / "01_page" / "F1.json").read_text())
    assert record["numbers"]["loss"] == [1 / 3, 2.0] or record["numbers"]["loss"][0] == pytest.approx(1 / 3)
    assert (project / "figures" / "01_page" / "F1.png").read_bytes().startswith(b"\x89PNG")


def test_quick_defers_what_needs_more_and_writes_nothing(project, monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "quick")
    quick = page()
    assert enter(quick, value=5.0, needs="laptop") == "DEFERRED"
    figure, _ = style.panels()
    quick.save_figure(figure, "F1", {})
    quick.close()
    assert not (project / "figures").exists()


def test_code_hash_reads_code_and_no_prose(project):
    path = project / "notebooks" / "01_page.py"
    before = ledger.code_hash(path)
    path.write_text(path.read_text().replace("Prose", "Other prose"))
    assert ledger.code_hash(path) == before
    path.write_text(path.read_text().replace("x = 1", "x = 2"))
    assert ledger.code_hash(path) != before
    assert ledger.code_hash(project / "absent.py") == ""


def test_values_and_bands_as_text():
    assert ledger.show_value([0.12345]) == "0.123"
    assert ledger.show_value([1.0, 2.0, 4.0], " nats") == "2 nats (1 to 4, 3 seeds)"
    assert [ledger.show_band(band) for band in ([1, None], [None, 2], [1, 2])] == ["at least 1", "at most 2", "1 to 2"]


def test_unknown_profile_stops_the_page_at_once(project, monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "huge")
    with pytest.raises(run.SetupError):
        page()
