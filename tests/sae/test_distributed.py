"""Training on several processes gives the model of one. Run as a script, this file is one of those processes: it meets the others
on one mesh after another and writes down what it finds there."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from companion.sae import distributed, stream, train
from companion.sae.mesh import SINGLE
from companion.sae.recipe import TrainConfig

KINDS = {
    "topk": dict(k=3),
    "multi_topk": dict(k=3),
    "batch_topk": dict(k=3),
    "matryoshka": dict(k=3),
    "relu": dict(penalty=4.0, lr=1e-2),
    "relu_norm": dict(penalty=20.0, lr=1e-2, clip=0.5),
    "gated": dict(penalty=10.0, lr=1e-2),
    "jumprelu": dict(penalty=3.0, lr=2e-2, betas=(0.9, 0.999)),  # with which some die
}
MESHES = [(2, 1), (1, 2), (2, 2)]
TOLERANCE = 1e-9
"""In float64: in float32 a rounding decides now and then whether a latent fires, and fifty steps make another model of that."""
ONE_STEP = 1e-5
"""In float32."""


def config(kind: str, **changes) -> TrainConfig:
    """Silence for three batches is death: many latents die, and AuxK has work."""
    base = dict(n=64, steps=50, batch=64, lr=3e-3, kind=kind, dead_after_tokens=128, log_every=16, warmup=5, decay=0.2, aux_k=6)
    return TrainConfig(**(base | KINDS[kind] | changes))


def acts(dtype=torch.float64):
    stream = torch.Generator().manual_seed(0)
    amounts = torch.rand(512, 24, generator=stream) * (torch.rand(512, 24, generator=stream) < 0.1)
    return (5 + 3 * amounts @ torch.randn(24, 16, generator=stream) + 0.01 * torch.randn(512, 16, generator=stream)).to(dtype)


def batches(config):
    return stream.shuffled(acts(), config.batch, config.steps, torch.Generator().manual_seed(2))


def fit(config, mesh=SINGLE, given=None, seed=1, **options) -> dict:
    trained = train.fit(given or batches(config), config, acts(), torch.Generator().manual_seed(seed), mesh=mesh, **options)
    sae, last = (getattr(model, "sae", model) for model in trained[::2])  # of a Raw, its weights
    return {"sae": sae.tensors(), "last": last.tensors(), "history": trained.history}


def distance(found: dict, wanted: dict) -> float:
    """Largest difference of any weight, relative to the largest of its tensor."""
    pairs = [(found[part][name], t) for part in ("sae", "last") for name, t in wanted[part].items()]
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


# --- what the processes do -----------------------------------------------------------------------------------------


def every_kind(mesh, folder):
    return {kind: fit(config(kind), mesh) for kind in KINDS}


def forgetful(mesh, folder):
    """Meshes that leave out one sum each."""
    mesh.sum_gradients = lambda sae: None
    parts = fit(config("topk", steps=10), mesh)
    del mesh.sum_gradients
    mesh.shared = lambda t: t
    return {"gradients of the batch": parts, "gradient of the shared bias": fit(config("topk", steps=10), mesh)}


def questions(mesh, folder):
    """Answers of the mesh for values with many ties and none, and the values."""
    stream = torch.Generator().manual_seed(mesh.everyone.rank)
    ties = torch.randint(-2, 3, (20, 6), generator=stream).float()
    distinct = torch.randn(20, 6, generator=stream, dtype=torch.float64)
    fired = torch.tensor([mesh.everyone.rank, 5])
    asked = {
        name: (values, mesh.rivals(values, 4), mesh.rivals(values, 8), mesh.largest(values, 5)) for name, values in (("t", ties), ("d", distinct))
    }
    return asked | {"shard": mesh.shard, "part": mesh.data.rank, "fired": mesh.fired(fired, 8)}


def dead_in_one_shard(mesh, folder):
    """One step in which the first shard has no dead latent."""
    given = acts(torch.float32)
    training = train.Training(config("topk"), given, torch.Generator().manual_seed(1), mesh)
    silent = torch.zeros(64, dtype=torch.long).index_fill_(0, torch.arange(40, 50), 10**6)
    training.silence.copy_(mesh.own(silent, "silence"))
    training.advance(given[:64])
    return {name: mesh.whole(p.grad, name) for name, p in training.sae.named_parameters()}


def refusals(mesh, folder):
    broken = acts()[:64].clone()
    broken[-1, 0] = torch.nan  # in the last process's part
    said = []
    cases = [(config("topk", n=63), None), (config("topk", batch=63), None), (config("relu", resample_at=(3,)), None)]
    for case, given in [*cases, (config("topk"), [broken]), (config("topk"), [torch.ones(64, 16)])]:
        with pytest.raises(ValueError) as error:  # noqa: PT011 (each is matched by a test)
            fit(case, mesh, given=given, folder=folder / "refused")
        said.append(str(error.value))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        fit(config("topk"), mesh, seed=mesh.everyone.rank)
    return [*said, str(error.value)]


def resampled(mesh, folder):
    return fit(config("relu", resample_at=(10, 20)), mesh)


def smaller_at_the_end(mesh, folder):
    """Epochs of 64, 64 and 20 activations, as they are and layer-normed."""
    given, cases = acts()[:148].split(64), [(kind, space) for kind in ("topk", "batch_topk") for space in ("layer_norm", "none")]
    return {(kind, space): fit(config(kind, steps=9, space=space), mesh, given) for kind, space in cases}


def killed(mesh, folder):
    """The second process dies on its way to step 24 of a training that is kept every ten."""

    def dying():
        for step, batch in enumerate(batches(config("topk"))):
            if step == 23 and mesh.everyone.rank == 1:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
            yield batch

    said = lost(mesh, dying(), folder / "killed")
    shutil.copytree(folder / "killed", folder / "one" / "killed")
    return said


def silent(mesh, folder):
    """The second process does not answer from step 3 on, until the first has given up."""
    given_up = folder / "given up"

    def hanging():
        for step, batch in enumerate(batches(config("topk"))):
            while step == 3 and mesh.everyone.rank == 1 and not given_up.exists():
                time.sleep(0.1)
            yield batch

    said = lost(mesh, hanging(), None)
    given_up.touch()
    return said


def lost(mesh, given, folder):
    with pytest.raises(RuntimeError) as error:
        fit(config("topk"), mesh, given=given, folder=folder, every=10)
    return str(error.value)


def resumed(mesh, folder):
    return fit(config("topk"), mesh, folder=folder / "killed", every=1000)


# --- how they meet -------------------------------------------------------------------------------------------------


class Meeting(NamedTuple):
    """Processes that make a mesh, and what they do on it."""

    shape: tuple[int, int]
    who: tuple[int, ...]
    tasks: tuple[Callable, ...]
    patience: float = 120.0


MEETINGS = (
    Meeting((2, 1), (0, 4), (killed,)),
    Meeting((2, 1), (2, 3), ()),  # whoever starts first waits here, not where patience is short
    Meeting((2, 1), (2, 3), (silent,), patience=8.0),
    Meeting((2, 1), (0, 1), (every_kind, resampled)),
    Meeting((1, 2), (2, 3), (every_kind,)),
    Meeting((2, 2), (0, 1, 2, 3), (every_kind, resumed, smaller_at_the_end, questions, dead_in_one_shard, refusals, forgetful)),
)
"""Each process goes from one to the next that it is part of. Process 4 is killed in its only one."""


def attend(me: int, folder: Path, ports: list[str]) -> None:
    torch.set_num_threads(1)
    for meeting, port in zip(MEETINGS, ports, strict=True):
        if me in meeting.who:
            rank = meeting.who.index(me)
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(len(meeting.who)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            mesh = distributed.mesh(*meeting.shape, patience=meeting.patience)
            for task in meeting.tasks:
                torch.save(task(mesh, folder), folder / name_of(task, meeting.shape, rank))
            mesh.close()


def name_of(task, shape, rank):
    return f"{task.__name__}_{shape[0]}x{shape[1]}.{rank}"


def free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, processes = tmp_path_factory.mktemp("processes"), []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(distributed.__file__).parents[2])}
    ports = free_ports(len(MEETINGS))
    try:
        for me in range(5):
            with (folder / f"stderr.{me}").open("w", encoding="utf-8") as stderr:
                processes.append(subprocess.Popen([sys.executable, __file__, str(me), str(folder), *ports], env=environment, stderr=stderr))
        codes = [process.wait(timeout=600) for process in processes[:4]]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert codes == [0] * 4, "\n".join(tail(folder, me) for me in range(4))
    return folder


def tail(folder: Path, me: int) -> str:
    return (folder / f"stderr.{me}").read_text(encoding="utf-8")[-2000:]


@pytest.fixture(scope="module")
def found(folder):
    def read(task, shape, rank=0):
        return torch.load(folder / name_of(task, shape, rank), weights_only=False)

    return read


@pytest.fixture(scope="module")
def alone():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield {kind: fit(config(kind)) for kind in KINDS}
    torch.set_num_threads(threads)


# --- what must be so -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", MESHES, ids=str)
def test_fifty_steps_on_several_processes_are_those_of_one(shape, kind, found, alone):
    here, there = alone[kind], found(every_kind, shape)[kind]
    assert distance(there, here) < TOLERANCE
    for column, values in here["history"].items():
        torch.testing.assert_close(torch.tensor(there["history"][column]), torch.tensor(values), rtol=TOLERANCE, atol=1e-12)
    assert here["history"]["dead"].max() > 0  # there were some to count and to revive


def test_without_one_of_the_sums_it_would_be_another_model(found):
    whole = fit(config("topk", steps=10))
    for forgotten in found(forgetful, (2, 2)).values():
        assert distance(forgotten, whole) > 1e-3


@pytest.mark.parametrize(("name", "k", "which"), [("d", 4, 1), ("d", 8, 2), ("t", 4, 1), ("t", 8, 2)])
def test_the_largest_of_all_shards_are_kept_and_no_more_than_k(name, k, which, found):
    """Six latents in each of two shards: with k = 8 a shard has fewer than k to offer. `t` has values of five kinds only."""
    answers = [found(questions, (2, 2), rank) for rank in range(4)]
    for part in (0, 1):
        mine = sorted((a for a in answers if a["part"] == part), key=lambda a: a["shard"])
        union, kept = (torch.cat([a[name][i] for a in mine], dim=1) for i in (0, which))
        assert (torch.isfinite(kept).sum(dim=1) == k).all()
        assert torch.equal(kept.sort(dim=1, descending=True).values[:, :k], union.sort(dim=1, descending=True).values[:, :k])
        assert torch.equal(kept[torch.isfinite(kept)], union[torch.isfinite(kept)])


@pytest.mark.parametrize("name", ["d", "t"])
def test_the_bar_of_the_batch_is_that_of_all_values(name, found):
    answers = [found(questions, (2, 2), rank) for rank in range(4)]
    everything = torch.cat([a[name][0].flatten() for a in answers])
    assert {a[name][3].item() for a in answers} == {everything.sort(descending=True).values[40 * 5 - 1].item()}


def test_what_fired_in_any_part_of_the_batch_has_fired(found):
    for rank, others in ((0, 2), (1, 3)):  # the two parts of the batch, in the first shard and in the second
        assert found(questions, (2, 2), rank)["fired"].tolist() == found(questions, (2, 2), others)["fired"].tolist() == [rank, others, 5]


def test_a_shard_without_dead_latents_waits_for_the_one_that_has_them(found):
    wanted = dead_in_one_shard(SINGLE, None)
    assert wanted["W_enc"][40:50].norm(dim=1).min() > 0
    for name, gradient in found(dead_in_one_shard, (2, 2)).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=0, atol=ONE_STEP * wanted[name].abs().max().item())


def test_resampling_draws_the_same_inputs_on_every_part_of_the_batch(found):
    assert distance(found(resampled, (2, 1)), fit(config("relu", resample_at=(10, 20)))) < TOLERANCE


def test_smaller_batches_are_shared_too(found):
    for case, there in found(smaller_at_the_end, (2, 2)).items():
        here = smaller_at_the_end(SINGLE, None)[case]
        assert distance(there, here) < TOLERANCE, case
        assert here["history"]["tokens"].tolist() == there["history"]["tokens"].tolist() == [64, 444]


def test_what_cannot_be_shared_or_learned_is_refused_by_all_in_one_sentence(folder, found):
    first, second = (found(refusals, (2, 2), rank) for rank in (0, 3))
    assert first == second
    wanted = ["63 latents cannot be split evenly over 2", "63 tokens cannot be split evenly over 2", "all latents in one place"]
    wanted += ["1 of 64 activation vectors", "zero or constant", "did not start from one model"]
    assert all(part in sentence for part, sentence in zip(wanted, first, strict=True))
    assert not (folder / "refused").exists()


def test_a_mesh_needs_its_processes(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="start the script with torchrun --nproc-per-node 6"):
        distributed.mesh(2, 3)
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="4 processes do not make a mesh of 2 x 3"):
        distributed.mesh(2, 3)


def test_a_killed_process_ends_the_run_and_another_number_of_processes_resumes_it(folder, found, alone):
    said = found(killed, (2, 1))
    assert "step 23: rank 0 of 2 lost contact" in said
    assert "the state after step 20 is in" in said
    assert distance(found(resumed, (2, 2)), alone["topk"]) < TOLERANCE
    assert distance(resumed(SINGLE, folder / "one"), alone["topk"]) < TOLERANCE


def test_a_process_that_hangs_ends_the_run_when_patience_does(found):
    said = found(silent, (2, 1))
    assert re.search(r"step \d: rank 0 of 2 lost contact", said)  # a busy machine may not come to step 3 in time
    assert "no state of it had been kept" in said


if __name__ == "__main__":
    attend(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
