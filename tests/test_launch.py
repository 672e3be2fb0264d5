import pytest
import torch

from companion import dictionaries, launch
from companion.sae import formats
from companion.sae.models import ALONE

OPTIONS = ["--subject", "tiny", "--layer", "0", "--contexts", "128", "--buffer", "2048", "--n", "64", "--k", "4", "--batch", "256", "--every", "5"]


def options(folder, *more):
    return launch.parse([*OPTIONS, "--folder", str(folder), *more])


def test_a_run_is_streamed_kept_and_written_with_its_origin(tiny, tmp_path):
    sae = launch.train(options(tmp_path, "--steps", "12"), ALONE)
    again = formats.load(tmp_path / "sae", d_model=tiny.d_model, hook_name="blocks.0.hook_resid_post", model_name=tiny.name)
    assert torch.equal(again.W_dec, sae.W_dec)
    assert formats.describe(tmp_path / "sae")["metadata"]["tokens"] == 12 * 256
    same = launch.train(options(tmp_path, "--steps", "12"), ALONE)  # finished: nothing is left to do
    assert torch.equal(same.W_dec, sae.W_dec)


def test_another_configuration_does_not_take_up_the_run(tiny, tmp_path):
    launch.train(options(tmp_path, "--steps", "5"), ALONE)
    with pytest.raises(ValueError, match="another configuration"):
        launch.train(options(tmp_path, "--steps", "6"), ALONE)


def test_a_stream_of_the_subject_gives_its_activations(tiny, tmp_path):
    config = launch.configure(options(tmp_path, "--steps", "5"))
    stream = dictionaries.stream(config, 2048)
    batch = next(iter(stream))
    assert batch.shape == (256, tiny.d_model)
    pool = torch.cat([stream.make(block) for block in range(stream.blocks)])
    assert (batch[:4, None] == pool).all(dim=2).any(dim=1).all()


def test_unpinned_models_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name@revision"):
        launch.configure(options(tmp_path, "--steps", "5", "--subject", "gpt2"))
