"""A run on several processes gives the model of one. Run as a script, this file starts those processes and keeps what they find:
a script imports once and forks, where every process started by itself would import torch anew."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

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
    "relu_norm": dict(penalty=20.0, lr=1e-2, decoder_norm=0.3, clip=0.5),
    "gated": dict(penalty=10.0, lr=1e-2),
    "jumprelu": dict(penalty=3.0, lr=2e-2),
}
MESHES = [(2, 1), (1, 2), (2, 2)]
TOLERANCE = 1e-5


def config(kind: str, **changes) -> TrainConfig:
    """Silence for three batches is death: many latents die, and AuxK has work."""
    base = dict(n=64, steps=50, batch=64, lr=3e-3, kind=kind, dead_after_tokens=128, log_every=16, warmup=5, decay=0.2, aux_k=6)
    return TrainConfig(**(base | KINDS[kind] | changes))


def acts():
    stream = torch.Generator().manual_seed(0)
    amounts = torch.rand(512, 24, generator=stream) * (torch.rand(512, 24, generator=stream) < 0.1)
    return 5 + 3 * amounts @ torch.randn(24, 16, generator=stream) + 0.01 * torch.randn(512, 16, generator=stream)


def batches(config):
    return stream.shuffled(acts(), config.batch, config.steps, torch.Generator().manual_seed(2))


def fit(config, mesh=SINGLE, given=None, seed=1, **options) -> dict:
    trained = train.fit(given or batches(config), config, acts(), torch.Generator().manual_seed(seed), mesh=mesh, **options)
    return {"sae": trained.sae.tensors(), "last": trained.last.tensors(), "history": trained.history}


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
    distinct = torch.randn(20, 6, generator=stream)
    fired = torch.tensor([mesh.everyone.rank, 5])
    asked = {
        name: (values, mesh.rivals(values, 4), mesh.rivals(values, 8), mesh.largest(values, 5)) for name, values in (("t", ties), ("d", distinct))
    }
    return asked | {"shard": mesh.shard, "part": mesh.data.rank, "fired": mesh.fired(fired, 8)}


def dead_in_one_shard(mesh, folder):
    """One step in which the first shard has no dead latent."""
    run = train.Training(config("topk"), acts(), torch.Generator().manual_seed(1), mesh)
    silent = torch.zeros(64, dtype=torch.long).index_fill_(0, torch.arange(40, 50), 10**6)
    run.silent.copy_(mesh.own(silent, "silent"))
    run.advance(acts()[:64])
    return {name: mesh.whole(p.grad, name) for name, p in run.sae.named_parameters()}


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


def killed(mesh, folder):
    """The second process dies on its way to step 24 of a run that is kept every ten."""

    def dying():
        for step, batch in enumerate(batches(config("topk"))):
            if step == 23 and mesh.everyone.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    return lost(mesh, dying(), folder / "killed")


def silent(mesh, folder):
    """The second process hangs at step 3."""

    def hanging():
        for step, batch in enumerate(batches(config("topk"))):
            if step == 3 and mesh.everyone.rank == 1:
                time.sleep(60)
            yield batch

    return lost(mesh, hanging(), None)


def lost(mesh, given, folder):
    begin = time.monotonic()
    with pytest.raises(RuntimeError) as error:
        fit(config("topk"), mesh, given=given, folder=folder, every=10)
    return str(error.value), time.monotonic() - begin


def resumed(mesh, folder):
    return fit(config("topk"), mesh, folder=folder / "killed", every=1000)


# --- how they are started ------------------------------------------------------------------------------------------


def start(shape: tuple[int, int], folder: Path, *tasks, patience: float = 60.0) -> list:
    """One process per place of the mesh; each writes what it found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(shape[0] * shape[1])}
    forked = multiprocessing.get_context("fork")
    processes = [forked.Process(target=work, args=(shape, folder, rank, patience, tasks), daemon=True) for rank in range(shape[0] * shape[1])]
    for process in processes:
        process.start()
    return processes


def work(shape, folder, rank, patience, tasks):
    os.environ["RANK"] = str(rank)
    mesh = distributed.mesh(*shape, patience=patience)
    for task in tasks:
        torch.save(task(mesh, folder), folder / name_of(task, shape, rank))
    mesh.close()


def name_of(task, shape, rank):
    return f"{task.__name__}_{shape[0]}x{shape[1]}.{rank}"


def script(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # its import takes seconds, so it is done before forking
    hanging = start((2, 1), folder, silent, patience=8.0)
    join(start((2, 1), folder, killed))
    shutil.copytree(folder / "killed", folder / "one" / "killed")
    join(start((2, 1), folder, every_kind, resampled))
    join(start((1, 2), folder, every_kind))
    join(start((2, 2), folder, every_kind, resumed, questions, dead_in_one_shard, refusals, forgetful))
    hanging[0].join()
    hanging[1].kill()


def join(processes: list) -> None:
    for process in processes:
        process.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(distributed.__file__).parents[2])}
    done = subprocess.run([sys.executable, __file__, str(folder)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder / "stderr").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    def read(task, shape, rank=0):
        path = folder / name_of(task, shape, rank)
        assert path.is_file(), (folder / "stderr").read_text()[-3000:]
        return torch.load(path, weights_only=False)

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
        assert distance(forgotten, whole) > 100 * TOLERANCE


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
        torch.testing.assert_close(gradient, wanted[name], rtol=0, atol=TOLERANCE * wanted[name].abs().max().item())


def test_resampling_draws_the_same_inputs_on_every_part_of_the_batch(found):
    assert distance(found(resampled, (2, 1)), fit(config("relu", resample_at=(10, 20)))) < TOLERANCE


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
    said, seconds = found(killed, (2, 1))
    assert "step 23: rank 0 of 2 lost contact" in said
    assert "the state after step 20 is in" in said
    assert seconds < 30
    assert distance(found(resumed, (2, 2)), alone["topk"]) < TOLERANCE
    assert distance(resumed(SINGLE, folder / "one"), alone["topk"]) < TOLERANCE


def test_a_process_that_hangs_ends_the_run_when_patience_does(found):
    said, seconds = found(silent, (2, 1))
    assert "step 3: rank 0 of 2 lost contact" in said
    assert "no state of this run had been kept" in said
    assert seconds < 20


if __name__ == "__main__":
    script(Path(sys.argv[1]))
