import pytest
import torch

from companion import run


def test_profile_is_laptop_unless_told(monkeypatch):
    monkeypatch.delenv("COMPANION_PROFILE")
    assert run.profile() == "laptop"
    assert run.choose(quick=1, laptop=2, paper=3) == 2


@pytest.mark.parametrize(
    ("variable", "ask"),
    [
        ("COMPANION_PROFILE", run.profile),
        ("COMPANION_OUTPUT", run.output),
        ("COMPANION_SEED", run.seed_shift),
        ("COMPANION_CACHE_GB", run.cache_limit),
    ],
)
def test_a_setting_that_is_not_known_is_one_clear_error(variable, ask, monkeypatch):
    monkeypatch.setenv(variable, "fast")
    with pytest.raises(run.SetupError, match=f"{variable}='fast' is not .*set it to one.*or unset it"):
        ask()


def test_paper_uses_a_gpu_and_says_what_to_do_without_one(monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "paper")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(run.SetupError, match=r"needs a CUDA device .* COMPANION_PROFILE=laptop"):
        run.choose(quick=1, laptop=2, paper=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert run.device() == "cuda"
    assert run.choose(quick=1, laptop=2, paper=3) == 3


def test_published_takes_a_gpu_if_there_is_one_and_a_page_may_lack_it(monkeypatch):
    monkeypatch.setenv("COMPANION_PROFILE", "published")
    assert run.choose(quick=1, laptop=2, published=4, paper=3) == 4
    with pytest.raises(run.SetupError, match=r"no profile 'published': .* which are quick, laptop, paper"):
        run.choose(quick=1, laptop=2, paper=3)
    for there, device in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert run.device() == device


def draw(*names):
    return torch.rand(3, generator=run.generator(0, *names)).tolist()


def test_generators_are_named_apart_and_repeat():
    first, second, third = draw("data"), draw("init"), draw("data", 1)
    assert first == draw("data")
    assert first not in (second, third)
    assert second != third


def test_another_seed_replaces_every_draw_and_zero_none(monkeypatch):
    before = draw("data")
    monkeypatch.setenv("COMPANION_SEED", "0")
    assert draw("data") == before
    monkeypatch.setenv("COMPANION_SEED", "1")
    assert draw("data") != before


def test_the_cache_is_where_it_is_told_or_in_the_user_s_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path))
    assert run.cache_root() == tmp_path
    monkeypatch.delenv("COMPANION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run.cache_root().name == "superposition-companion"
