"""The benchmark at a tiny size: its processes answer, its rows do the same work, and what notebook 16 reads is in them."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "sae_step.py"
spec = importlib.util.spec_from_file_location("sae_step", SCRIPT)
sae_step = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sae_step)
SHAPE = sae_step.QUICK[0]


@pytest.fixture(scope="module")
def result():
    asked = sae_step.Asked(sae_step.DENSE, sys.executable)
    yield sae_step.measure(SHAPE, [asked], repeats=2, low_repeats=1)
    asked.close()


def test_a_process_answers_with_a_row(result):
    row = result["rows"]["dense reference"]
    assert 0 < row["least"] <= row["ratio"] <= row["most"]
    assert row["rounds"] == 2
    assert result["shape"] == SHAPE._asdict()


def test_ours_does_the_same_work_as_the_formula_and_learns():
    errors = [sae_step.Bench(name, SHAPE).error() for name in (sae_step.OURS, sae_step.DENSE)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-6)
    for name in (sae_step.OURS, sae_step.LOW, sae_step.DENSE):
        bench = sae_step.Bench(name, SHAPE)
        before = bench.error()
        for _ in range(20):
            bench.times()
        assert bench.error() < before, name


def test_the_table_says_what_was_not_measured(result):
    text = sae_step.table([result | {"memory": dict.fromkeys(sae_step.HERE) | {"ours": 0.05}}])
    assert "| B=64 d=16 n=512 k=4 |" in text
    assert "| extra memory / (B, n) array: ours | 5.0% |" in text
    assert "not measured" in text


def test_sweeps_hold_a_ratio_per_round_for_each_n_over_k():
    swept = sae_step.sweeps(SHAPE, (8, 1024), repeats=2)
    assert list(swept["step"]["rounds"]) == list(sae_step.RATIOS)
    assert list(swept["selection of equal entries"]["rounds"]) == [256, 512, 1024]
    assert all(len(rounds) == 2 and min(rounds) > 0 for sweep in swept.values() for rounds in sweep["rounds"].values())


def test_peers_are_pinned_and_leave_torch_to_the_lock():
    lines = [line for line in (SCRIPT.parent / "peers.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    names = {line.split("==")[0].lower() for line in lines}
    assert all(line.count("==") == 1 for line in lines)
    assert {"sae-lens", "eai-sparsify", "dictionary-learning"} <= names
    assert "torch" not in names
