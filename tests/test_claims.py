import json
import math
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

import numpy as np
import pytest

from companion import claims, run
from companion.claims import card, record, registry, verdicts
from companion.plots import style
from companion.sae.recipe import TrainConfig

TOML = """
notebook = "01_page"
paper = "A paper"

[[claim]]
id = "a"
paper = "One is one | always (section 1)."
measure = "one"
band = [0.9, inf]
band_from = "theory"
why = "arithmetic"
control = ["zero", "noise"]
over = "seeds"
witness = "a case"

[[claim]]
id = "b"
paper = "Two is two (section 2)."
measure = "two"
band = [1.5, 2.5]
band_from = "paper"
why = "section 2"
control = ["one"]
needs = "laptop"
"""
CONTROL = {"zero": 0.0, "noise": [0.1, 0.2]}


@dataclass(frozen=True)
class Config:
    n: int = 3
    python: str = "3.11"


@pytest.fixture(autouse=True)
def _registered(project):
    (project / "registry" / "01.toml").write_text(TOML, encoding="utf-8")


def page(config=Config()) -> claims.Page:
    return claims.Page("01_page", config)


def checked(values=1.0, **changed) -> dict:
    one = page()
    one.check("a", values, **{"control": CONTROL, "witness": 1.0} | changed)
    return one.rows["a"]


# --- verdicts ---

CLAIM = registry.Claim("x", "p", "m", (0.9, math.inf), "theory", "w", ("zero",))


def judge(values, control=(0.0,), witness=(), **changed):
    return verdicts.judge(replace(CLAIM, **changed), values, control, witness).name


def test_verdicts():
    assert judge([1.0]) == "CONFIRMED"
    assert judge([1.0, 0.5], over="seeds") == "MIXED"
    assert judge([0.5], witness=[1.0]) == "NOT HERE"
    assert judge([0.5], witness=[1.0], setting="paper") == "REFUTED"
    assert judge([0.5]) == "MISSED"
    assert judge([0.5], witness=[1.0, 0.5]) == "MISSED"
    assert judge([1.0], again="0.5 with seed 1") == "MIXED"
    assert judge([0.5], again="1.0 with seed 1") == "MISSED"
    assert judge([1.0], control=[0.0, 0.9]) == "VACUOUS"
    assert judge([0.5], control=[2.0], witness=[1.0]) == "VACUOUS"


def test_over_seeds_the_median_keeps_its_distance_from_an_end():
    near, far = [0.92, 0.95, 1.0], [1.5, 1.52, 1.55]
    assert judge(near, over="seeds") == "MIXED"
    assert judge(near, over="densities") == "CONFIRMED"
    assert judge(far, over="seeds") == "CONFIRMED"
    assert judge(far, over="seeds", band=(0.9, 1.56)) == "MIXED"
    assert judge([1.0, 1.0], over="seeds", band=(1.0, 1.0)) == "CONFIRMED"


# --- what cannot be judged ---


@pytest.mark.parametrize("bad", [math.nan, math.inf, [], [1.0, math.nan]])
@pytest.mark.parametrize("where", ["values", "control", "witness"])
def test_numbers_that_are_not_finite_are_one_clear_error(bad, where):
    changed = {"values": dict(values=bad), "control": dict(control=CONTROL | {"zero": bad}), "witness": dict(witness=bad)}[where]
    with pytest.raises(claims.ClaimError, match=f"a: {where}.*cannot be judged; every number must be finite"):
        checked(**changed)


def test_a_check_that_does_not_fit_its_entry():
    with pytest.raises(claims.ClaimError, match=r"'c' is no claim of 01.toml; there are a, b"):
        page().check("c", 1.0, control=CONTROL)
    with pytest.raises(claims.ClaimError, match=r"the controls measured are \['zero'\], those in 01.toml are \['noise', 'zero'\]"):
        checked(control={"zero": 0.0})
    with pytest.raises(claims.ClaimError, match=r"01\.toml names a witness, and the page measures none"):
        checked(witness=None)
    with pytest.raises(claims.ClaimError, match="2 values, and the file does not say what they run over"):
        page().check("b", [2.0, 2.0], control={"one": 1.0})
    with pytest.raises(claims.ClaimError, match="holds claims that the page does not check: a, b"):
        page().close()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('id = "b"', 'id = "a"', r"01.toml: \['a'\] stand there twice"),
        ("[1.5, 2.5]", "[2.5, 1.5]", "is no band; give the lower end first"),
        ("[1.5, 2.5]", "[nan, 2.5]", "is no band"),
        ("[1.5, 2.5]", "[1.5]", "is no band"),
        ('control = ["one"]', "control = []", "'b' needs at least one named control"),
        ('control = ["one"]', 'control = "one"', "'b' needs `control`, a list of names"),
        ('control = ["one"]', "", "'b' needs `control`"),
        ('band_from = "paper"', 'band_from = "luck"', "band_from is 'luck'"),
        ('why = "section 2"', 'why = ""', "needs `paper`, `measure` and `why`"),
        ('why = "section 2"', 'whence = "x"', r"unknown fields \['whence'\]"),
        ("[[claim]]", "[[claim]", "01.toml"),
    ],
)
def test_a_faulty_registry_is_one_clear_error(project, before, after, said):
    (project / "registry" / "01.toml").write_text(TOML.replace(before, after), encoding="utf-8")
    with pytest.raises(claims.ClaimError, match=said):
        page()


def test_an_id_of_two_pages_and_a_page_without_a_file(project):
    (project / "registry" / "02.toml").write_text(TOML.replace("01_page", "02_page"), encoding="utf-8")
    with pytest.raises(claims.ClaimError, match=r"claims files: \['a', 'b'\] stand there twice"):
        registry.all_pages()
    with pytest.raises(claims.ClaimError, match=r"no claims file 03\.toml"):
        claims.Page("03_page")


def test_what_judges_is_hashed_and_prose_is_not():
    assert replace(CLAIM, why="other words", paper="other").judge_hash == CLAIM.judge_hash
    for change in (dict(band=(0.8, math.inf)), dict(measure="n"), dict(control=("one",)), dict(over="seeds"), dict(needs="laptop")):
        assert replace(CLAIM, **change).judge_hash != CLAIM.judge_hash


# --- a page ---


def test_checked_again_the_row_is_replaced():
    one = page()
    for value in (0.5, 1.0):
        one.check("a", value, control=CONTROL, witness=1.0)
    assert one.rows["a"]["verdict"] == "CONFIRMED"
    assert list(one.rows) == ["a"]


def test_no_verdict_stops_a_page_and_its_rows_are_noted(project):
    one = page()
    one.check("a", 0.0, control=CONTROL, witness=0.0)
    one.check("b", [2.0], control={"one": [2.0]})
    one.close()
    rows = json.loads((project / "figures" / "here" / "01_page.claims.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert [row["verdict"] for row in rows] == ["MISSED", "VACUOUS"]
    assert {"judge", "config", "trained_with", "seconds", "profile", "control", "values", "witness", "reason"} <= rows[0].keys()
    assert not (project / "figures" / "claims.json").exists()


def test_quick_defers_what_needs_more_and_writes_nothing(project, monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "quick")
    one = page()
    one.check("a", 1.0, control=CONTROL, witness=1.0)
    one.check("b", 7.0, control={"one": 1.0})
    assert [row["verdict"] for row in one.rows.values()] == ["CONFIRMED", "DEFERRED"]
    figure, _ = style.panels()
    one.save_figure(figure, "F1", {}, "a caption")
    one.close()
    assert not list((project / "figures").iterdir())


def test_a_field_that_came_later_counts_once_it_has_another_value_than_its_default():
    @dataclass(frozen=True)
    class Later(Config):
        space: str = field(default="a", metadata={"added": True})

    @dataclass(frozen=True)
    class Whole:
        parts: tuple
        named: dict

    def nested(config):
        return claims.hash_of(Whole((config, 2), {"one": config}))

    assert claims.hash_of(Later()) == claims.hash_of(Config()) == claims.hash_of({"n": 3})
    assert nested(Later()) == nested(Config())
    assert claims.hash_of(Later(space="b")) != claims.hash_of(Config())
    assert nested(Later(space="b")) != nested(Config())
    assert claims.hash_of(Later(n=4)) == claims.hash_of(Config(n=4)) != claims.hash_of(Config())


def test_the_configuration_of_a_training_is_known_by_the_hash_it_had_before_it_had_a_space():
    """Written down before the field was added."""
    assert claims.hash_of(TrainConfig(n=48, steps=30, batch=64, k=4)) == "f1393fff3993"


def test_other_parameters_than_the_record_s_are_not_judged(project, monkeypatch):
    recorded = [{"id": "a", "notebook": "01_page", "config": claims.hash_of(Config())}]
    (project / "figures" / "claims.json").write_text(record.as_json(recorded), encoding="utf-8")
    assert checked()["verdict"] == "CONFIRMED"
    for config, output, verdict in (
        (Config(n=4), "here", "NOT JUDGED"),
        (Config(python="3.14"), "here", "CONFIRMED"),
        (Config(n=4), "record", "CONFIRMED"),
    ):
        monkeypatch.setenv("COMPANION_OUTPUT", output)
        one = page(config)
        one.check("a", 1.0, control=CONTROL, witness=1.0)
        assert one.rows["a"]["verdict"] == verdict


@pytest.mark.parametrize(("output", "folder"), [("here", "here/"), ("figures", ""), ("record", ""), ("again", "again/")])
def test_a_figure_goes_where_the_run_may_write(project, monkeypatch, output, folder):
    monkeypatch.setenv("COMPANION_OUTPUT", output)
    figure, axes = style.panels()
    axes[0].plot([0, 1], [1, 2])
    page().save_figure(figure, "F1", {"loss": [1 / 3, 2.0], "n": 3, "nan": np.nan}, "a caption")
    held = json.loads((project / f"figures/{folder}01_page/F1.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert (held["loss"], held["n"], held["nan"]) == ([0.3333, 2.0], 3, None)
    assert (project / f"figures/{folder}01_page/F1.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("output", ["here", "record"])
def test_a_clone_that_cannot_be_written(monkeypatch, caplog, output):
    """By hand a page goes on and says so once; where the record is made it is one clear error."""

    def refuse(path, data):
        raise PermissionError(13, "read-only", str(path))

    monkeypatch.setenv("COMPANION_OUTPUT", output)
    monkeypatch.setattr(claims.files, "write", refuse)
    one, (figure, _) = page(), style.panels()
    if output == "record":
        with pytest.raises(run.SetupError, match=r"cannot write .*F1\.png"):
            one.save_figure(figure, "F1", {}, "a caption")
        return
    one.save_figure(figure, "F1", {}, "a caption")
    one.check("a", 1.0, control=CONTROL, witness=1.0)
    one.check("b", 2.0, control={"one": 1.0})
    one.close()
    assert [message.count("kept nowhere") for message in caplog.messages] == [1]


def test_the_numbers_of_a_figure_stay_small():
    text = claims.numbers_as_json("F1", {"W": np.random.default_rng(0).normal(size=(40, 500)), "short": [1.0, 2.0]}, {})
    held = json.loads(text)
    assert len(text) < claims.MOST
    assert held["short"] == [1.0, 2.0]
    assert {(row["every"], row["of"], len(row["kept"])) for row in held["W"]} == {(8, 500, 63)}


# --- cards and tables ---


def test_a_card_shows_the_sentence_the_values_the_band_and_the_control():
    claim, row = registry.load("01_page").claims["a"], checked([1.0, 1.1, 1.2])
    text, shown = card.as_text(claim, row), ElementTree.fromstring(card.as_html(claim, row))
    assert text.startswith("✔ CONFIRMED a: One is one | always (section 1). one: 1.1 (1 to 1.2, 3 seeds)")
    assert "band at least 0.9; control 0: zero; 0.15 (0.1 to 0.2, 2 values): noise" in text
    assert len(list(shown.iter("path"))) == 3
    assert [0 <= float(dot.get("cx")) <= card.WIDTH for dot in shown.iter("circle")] == [True] * 3
    assert ElementTree.fromstring(card.table([(claim, row)])).tag == "table"


def test_bands_as_text():
    ends = [(1, math.inf), (-math.inf, 2), (1, 2), (-math.inf, math.inf)]
    assert [card.show_band(band) for band in ends] == ["at least 1", "at most 2", "1 to 2", "any"]


# --- the record ---


def rows_of(project, *values) -> list[dict]:
    one = page()
    one.check("a", values[0], control=CONTROL, witness=1.0)
    one.check("b", values[1], control={"one": 1.0})
    return list(one.rows.values())


def test_a_record_replaces_the_rows_of_one_page(project):
    first, second = rows_of(project, 1.0, 2.0), rows_of(project, 1.1, 2.0)
    others = [row | {"notebook": "00_other", "id": "z"} for row in first[:1]]
    merged = record.merge([*first, *others], second)
    assert [(row["notebook"], row["id"]) for row in merged] == [("00_other", "z"), ("01_page", "a"), ("01_page", "b")]
    assert merged[1]["values"] == [1.1]


def test_differences_and_moved_values_are_listed(project):
    first, second = rows_of(project, 1.0, 2.0), rows_of(project, 3.0, 9.0)
    assert record.differences(first, second) == ["b: CONFIRMED in the record, MISSED here (2 -> 9)"]
    assert record.moved(first, second) == ["a: 1 -> 3", "b: 2 -> 9"]
    assert record.differences(first[:1], second)[0] == "b: not in the record; MISSED here"


def test_a_record_that_must_not_stand_says_why(project):
    pages = registry.all_pages()
    good = rows_of(project, 1.0, 2.0)
    assert record.faults(good, pages) == []
    assert record.faults(good[:1], pages) == ["b: not in the record"]
    assert record.faults([good[0], good[1] | {"judge": "0"}], pages) == ["b: what judges it has changed since it was recorded"]
    assert record.faults([good[0], good[1] | {"values": [1.0]}], pages) == ["b: CONFIRMED is recorded, MISSED is what its numbers say"]
    assert record.faults([*good, good[0] | {"id": "c"}], pages) == ["c: not in the registry"]


def test_the_table_of_claims(project):
    text = record.as_markdown(rows_of(project, 1.0, 2.0), registry.all_pages(), {"01_page"})
    assert "| a | One is one \\| always (section 1). — one | 1 | at least 0.9 | 0: zero; 0.15 (0.1 to 0.2, 2 values): noise |" in text
    assert "| CONFIRMED | theory: arithmetic. |" in text
    assert "2 CONFIRMED" in text
    assert "`01_page` has changed since" in text


def test_what_a_page_ships_is_read_back_and_only_the_record_writes_it(project, monkeypatch):
    monkeypatch.setattr(claims.picture, "OPENINGS", project / "openings")
    held = {"latent": 3, "contexts": [{"tokens": ["a", "\n"], "activations": [0.0, 1.5]}]}
    page().ship("latent", held)
    assert not (project / "openings" / "latent.json").exists()
    monkeypatch.setenv("COMPANION_OUTPUT", "record")
    page().ship("latent", held)
    assert claims.shipped("latent").items() >= held.items()
