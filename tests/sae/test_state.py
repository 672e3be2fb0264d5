"""A run that was stopped and taken up again is, bit for bit, the run that never stopped."""

import itertools
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from companion import files
from companion.sae import recipe, state, stream, train

KINDS = {
    "topk": dict(k=3),
    "multi_topk": dict(k=3),
    "batch_topk": dict(k=3),
    "matryoshka": dict(k=3, clip=0.5),
    "relu": dict(penalty=4.0, lr=4e-2, resample_at=(14, 16, 24), dead_after_tokens=31),  # some are dead at 14: its draws precede those of 16
    "relu_norm": dict(penalty=20.0, lr=4e-2, clip=0.5, penalty_warmup=25),
    "gated": dict(penalty=10.0, lr=4e-2),
    "jumprelu": dict(penalty=10.0, lr=1e-1, ema=None),
}
STEPS, STOP, EVERY = 30, 17, 5
"""Stopped in the middle of an epoch, two steps after a state was kept."""


def config(kind="topk", **changes):
    base = dict(n=48, steps=STEPS, batch=32, lr=1e-2, kind=kind, dead_after_tokens=64, log_every=3, warmup=20, decay=0.5, aux_k=6)
    return recipe.TrainConfig(**(base | KINDS[kind] | changes))


@pytest.fixture(scope="module")
def acts():
    made = torch.Generator().manual_seed(0)
    amounts = torch.rand(320, 24, generator=made) * (torch.rand(320, 24, generator=made) < 0.1)
    return 5 + 3 * amounts @ torch.randn(24, 16, generator=made) + 0.01 * torch.randn(320, 16, generator=made)


def pool(acts, config, shared):
    return stream.shuffled(acts, config.batch, config.steps, torch.Generator().manual_seed(2))


def pool_from_the_stream_of_the_model(acts, config, shared):
    return stream.shuffled(acts, config.batch, config.steps, shared)


def streamed(acts, config, shared):
    return stream.Stream(lambda i: acts[20 * i : 20 * (i + 1)], 16, config.batch, buffer_tokens=110, seed=5)


class Power(BaseException):
    """Cut off: nothing catches it."""


def cut(batches, stop):
    yield from itertools.islice(batches, stop)
    raise Power


def fit(acts, config, folder, source=pool, stop=None, **options):
    shared = torch.Generator().manual_seed(1)
    batches = source(acts, config, shared)
    return train.fit(batches if stop is None else cut(batches, stop), config, acts, shared, folder=folder, every=EVERY, **options)


def contents(folder):
    """All that a state holds: weights, Adam's memory, running mean, silences, random stream; and its notes."""
    with safe_open(folder / state.FILE, "pt") as file:
        return load_file(folder / state.FILE), file.metadata()


def assert_same(one, other):
    (tensors, notes), (others, other_notes) = one, other
    assert notes == other_notes
    assert tensors.keys() == others.keys()
    for name, t in tensors.items():
        assert torch.equal(t, others[name]), name


@pytest.fixture
def stopped(acts, tmp_path):
    """The folder of a run that was cut off at step 17; its state is that after step 15."""
    with pytest.raises(Power):
        fit(acts, config(), tmp_path / "stopped", stop=STOP)
    return tmp_path / "stopped"


# --- resuming ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind"),
    [*((pool, kind) for kind in KINDS), *((s, kind) for s in (pool_from_the_stream_of_the_model, streamed) for kind in ("topk", "relu"))],
)
def test_a_resumed_run_is_the_run_that_never_stopped(source, kind, acts, tmp_path):
    whole = fit(acts, config(kind), tmp_path / "whole", source)
    with pytest.raises(Power):
        fit(acts, config(kind), tmp_path / "stopped", source, stop=STOP)
    assert contents(tmp_path / "stopped")[1]["step"] == "15"
    again = fit(acts, config(kind), tmp_path / "stopped", source)
    assert_same(contents(tmp_path / "whole"), contents(tmp_path / "stopped"))
    for part in ("sae", "last"):
        for name, t in getattr(whole, part).tensors().items():
            assert torch.equal(t, getattr(again, part).tensors()[name]), name
    assert {name: column.tolist() for name, column in whole.history.items()} == {name: column.tolist() for name, column in again.history.items()}
    assert whole.history["dead"].max() > 0  # AuxK and resampling had work


def test_a_finished_run_needs_no_more_batches(acts, tmp_path):
    done = fit(acts, config(), tmp_path)
    again = fit(acts, config(), tmp_path, source=lambda *given: [])
    assert all(torch.equal(a, b) for a, b in zip(done.sae.parameters(), again.sae.parameters(), strict=True))


def test_without_a_folder_nothing_is_written(acts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(acts, config(steps=6), None)
    assert not list(tmp_path.iterdir())


# --- what is refused ---------------------------------------------------------------------------------------------


def refused(acts, config, folder, match):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=match):
        fit(acts, config, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (dict(n=64), "n is 48 there and 64 here"),
        (dict(k=4, lr=1e-3), "k is 3 there and 4 here, lr is 0.01 there and 0.001 here"),
        (dict(steps=31), "steps is 30 there and 31 here"),
        (dict(kind="multi_topk"), "kind is topk there and multi_topk here"),
        (dict(ema=None), "ema is 0.999 there and None here"),
    ],
)
def test_a_run_with_another_configuration_is_refused_and_the_file_left_alone(changes, match, acts, stopped):
    refused(acts, config(**changes), stopped, match)


def test_activations_of_another_width_are_refused(acts, stopped):
    refused(acts[:, :12].contiguous(), config(), stopped, "adam.exp_avg.W_dec, .* of another shape")


@pytest.mark.parametrize("share", [0, 0.0001, 0.5, 0.999])
def test_a_truncated_file_is_refused(share, acts, stopped):
    data = (stopped / state.FILE).read_bytes()
    (stopped / state.FILE).write_bytes(data[: int(share * len(data))])
    refused(acts, config(), stopped, "no intact state of a training.*delete it to begin anew")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda t, notes: t.pop("mean.W_enc"), "mean.W_enc missing"),
        (lambda t, notes: t.pop("random"), "random missing"),
        (lambda t, notes: t.update(more=torch.zeros(3)), "more missing, unknown"),
        (lambda t, notes: t.update({"sae.b_enc": torch.zeros(1)}), "sae.b_enc missing, unknown or of another shape"),
        (lambda t, notes: notes.pop("step"), "no state of a training: its header lacks step"),
        (lambda t, notes: notes.clear(), "no state of a training: its header lacks config, history, step, tokens, weight"),
    ],
)
def test_a_file_with_anything_missing_or_odd_is_refused(spoil, match, acts, stopped):
    tensors, notes = contents(stopped)
    spoil(tensors, notes)
    save_file(tensors, stopped / state.FILE, notes)
    refused(acts, config(), stopped, match)


def test_a_kill_in_the_middle_of_writing_leaves_the_state_before(acts, stopped, tmp_path, monkeypatch):
    whole = fit(acts, config(), tmp_path / "whole")
    before = (stopped / state.FILE).read_bytes()

    def half(partial, _):
        Path(partial).write_bytes(Path(partial).read_bytes()[:1000])
        raise Power

    with monkeypatch.context() as cut_off:
        cut_off.setattr(files.os, "replace", half)
        with pytest.raises(Power):
            fit(acts, config(), stopped)
    assert (stopped / state.FILE).read_bytes() == before
    again = fit(acts, config(), stopped)
    assert torch.equal(whole.last.W_enc, again.last.W_enc)
    assert [path.name for path in stopped.iterdir()] == [state.FILE]  # the half is gone
