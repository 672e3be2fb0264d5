import json

import pytest
import torch
from torch.distributed.run import get_args_parser

from companion import cli, dictionaries, run
from companion.lm.sources import HubConfig
from companion.sae import formats, paths

OPTIONS = [
    "train",
    "--subject",
    "tiny",
    "--layer",
    "0",
    "--contexts",
    "128",
    "--buffer",
    "2048",
    "-n",
    "64",
    "-k",
    "4",
    "--batch",
    "256",
    "--every",
    "5",
]


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
    monkeypatch.setattr("sys.argv", ["cli", "train", "--folder", str(tmp_path), "-n", "64", "-k", "4", "--steps", "5", "--subject", "gpt2"])
    with pytest.raises(SystemExit, match="--subject gpt2: write gpt2@REVISION"):
        cli.main()


def test_the_examples_of_the_help_are_valid():
    lines = [line.split() for line in cli.__doc__.splitlines() if "companion.cli " in line]
    given = [cli.parse(line[line.index("companion.cli") + 1 :]) for line in lines]
    assert [(line[0], options.command) for line, options in zip(lines, given, strict=True)] == [
        ("python", "train"),
        ("torchrun", "train"),
        ("python", "train"),
        ("python", "report"),
        ("python", "report"),
    ]
    assert [cli.configure(options).train.n for options in given[:3]] == [4096, 32768, 32768]
    assert cli.configure(given[2]).subject == HubConfig("stanford-crfm/alias-gpt2-small-x21", "checkpoint-400000")
    assert (given[4].sae, given[4].layer, cli.subject_of(given[4]).name) == (["v5_32k"], 8, "gpt2")
    own = lines[1][lines[1].index("companion.cli") + 1 :]
    assert get_args_parser().parse_args(lines[1][1:]).training_script_args == own  # torchrun takes none of them for its own


def test_the_dtype_of_a_hub_subject_is_asked_for():
    base = ["train", "--folder", "x", "-n", "64", "-k", "4", "--steps", "5", "--dtype", "float32"]
    assert cli.configure(cli.parse([*base, "--subject", "EleutherAI/pythia-70m@main"])).subject.dtype == "float32"
    with pytest.raises(ValueError, match="--dtype float32: the offline subjects are float32"):
        cli.configure(cli.parse(base))


FEW = ["--contexts", "8", "--labelled", "160", "--examples", "20", "--latents", "3", "--ablated", "3", "--span", "4"]


def test_a_report_is_printed_and_written(tiny, tmp_path, monkeypatch, capsys):
    cli.train(options(tmp_path, "--steps", "12"))
    asked = ["--subject", "tiny", "--sae", str(tmp_path / "sae"), "--json", str(tmp_path / "found.json"), *FEW]
    monkeypatch.setattr("sys.argv", ["cli", "report", *asked])
    cli.main()
    shown = capsys.readouterr().out
    assert "| loss | KL |" in shown
    held = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    (found,) = held.values()
    assert found["about"]["layer"] == 0
    both = cli.reported(cli.parse(["report", *asked[:2], "--sae", str(tmp_path / "sae"), f"{tmp_path}/./sae", *FEW]))
    assert len(both.reports) == 2


def test_a_report_of_what_does_not_belong_together_ends_with_one_line(tiny, tmp_path, monkeypatch):
    cli.train(options(tmp_path, "--steps", "5"))
    for asked, message in (
        (["--subject", "tiny", "--sae", str(tmp_path / "sae"), "--layer", "1"], "but layer 1 is wanted"),
        (["--subject", "small", "--sae", str(tmp_path / "sae")], "width is 32, but 128 is wanted"),
        (["--subject", "tiny", "--sae", str(tmp_path / "none")], "holds no autoencoder"),
        (["--subject", "tiny", "--sae", "v5_32k", "--layer", "8"], "--sae v5_32k is of GPT-2 small: give --layer, and --subject gpt2@REVISION"),
    ):
        monkeypatch.setattr("sys.argv", ["cli", "report", *asked])
        with pytest.raises(SystemExit, match=message):
            cli.main()


def test_low_precision_is_taken_by_name_alone(tiny, tmp_path, monkeypatch):
    taken, fit = [], cli.fit
    monkeypatch.setattr(cli, "fit", lambda *args, path, **more: taken.append(path) or fit(*args, path=path, **more))
    for more in ((), ("--path", "low")):
        cli.train(options(tmp_path / "-".join(more), "--steps", "2", *more))
    assert taken == [paths.recommended(run.device()), paths.low(run.device())]
