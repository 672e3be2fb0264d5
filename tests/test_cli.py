import pytest
import torch
from torch.distributed.run import get_args_parser

from companion import cli, dictionaries, run
from companion.lm.sources import HubConfig
from companion.sae import formats, paths

OPTIONS = ["--subject", "tiny", "--layer", "0", "--contexts", "128", "--buffer", "2048", "-n", "64", "-k", "4", "--batch", "256", "--every", "5"]


def options(folder, *more):
    return cli.parse([*OPTIONS, "--folder", str(folder), *more])


def test_a_run_is_streamed_kept_and_written_with_its_origin(tiny, tmp_path):
    sae = cli.train(options(tmp_path, "--steps", "12"))
    again = formats.load(tmp_path / "sae", d_model=tiny.d_model, hook_name="blocks.0.hook_resid_post", model_name=tiny.name)
    assert torch.equal(again.W_dec, sae.W_dec)
    assert formats.describe(tmp_path / "sae")["metadata"]["tokens"] == 12 * 256
    same = cli.train(options(tmp_path, "--steps", "12"))  # finished: nothing is left to do
    assert torch.equal(same.W_dec, sae.W_dec)


def test_another_configuration_does_not_take_up_the_run(tiny, tmp_path):
    cli.train(options(tmp_path, "--steps", "5"))
    with pytest.raises(ValueError, match="another configuration"):
        cli.train(options(tmp_path, "--steps", "6"))


def test_a_stream_of_the_subject_gives_its_activations(tiny, tmp_path):
    config = cli.configure(options(tmp_path, "--steps", "5"))
    stream = dictionaries.stream(config, 2048)
    batch = next(iter(stream))
    assert batch.shape == (256, tiny.d_model)
    pool = torch.cat([stream.make(block) for block in range(stream.blocks)])
    assert (batch[:4, None] == pool).all(dim=2).any(dim=1).all()


def test_a_model_without_its_revision_is_refused_with_the_way_to_write_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cli", "--folder", str(tmp_path), "-n", "64", "-k", "4", "--steps", "5", "--subject", "gpt2"])
    with pytest.raises(SystemExit, match="--subject gpt2: write gpt2@REVISION"):
        cli.main()


def test_the_examples_of_the_help_are_valid():
    lines = [line.split() for line in cli.__doc__.splitlines() if "companion.cli " in line]
    assert [line[0] for line in lines] == ["python", "torchrun", "python"]
    given = [line[line.index("companion.cli") + 1 :] for line in lines]
    assert [cli.configure(cli.parse(options)).train.n for options in given] == [4096, 32768, 32768]
    assert cli.configure(cli.parse(given[2])).subject == HubConfig("stanford-crfm/alias-gpt2-small-x21", "checkpoint-400000")
    assert get_args_parser().parse_args(lines[1][1:]).training_script_args == given[1]  # torchrun takes none of them for its own


def test_low_precision_is_taken_by_name_alone(tiny, tmp_path, monkeypatch):
    taken, fit = [], cli.fit
    monkeypatch.setattr(cli, "fit", lambda *args, path, **more: taken.append(path) or fit(*args, path=path, **more))
    for more in ((), ("--path", "low")):
        cli.train(options(tmp_path / "-".join(more), "--steps", "2", *more))
    assert taken == [paths.recommended(run.device()), paths.low(run.device())]
