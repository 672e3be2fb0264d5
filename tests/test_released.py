"""Published autoencoders by configuration. Neither hub nor OpenAI's storage here: files of stand-in size lie where they would be kept."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from companion import dictionaries, released
from companion.lm import sources
from companion.lm.sources import HubConfig
from companion.sae import published
from companion.sae.models import TopK
from companion.sae.weights import Raw

GPT2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", train_contexts=1, heldout_contexts=8)
RES_JB = Path(__file__).parent / "fixtures" / "saelens"


def config(release="v5_32k", layer=1, **others):
    return dictionaries.PublishedConfig(GPT2, release, layer, **others)


def openai_file(path, d, n, k=3):
    """What OpenAI's class writes, of another size."""
    stream, path = torch.Generator().manual_seed(0), Path(path)
    path.parent.mkdir(parents=True)
    tensors = {"pre_bias": torch.randn(d, generator=stream), "latent_bias": torch.randn(n, generator=stream)}
    tensors |= {"encoder.weight": torch.randn(n, d, generator=stream), "decoder.weight": torch.randn(d, n, generator=stream)}
    torch.save(tensors | {"activation": "TopK", "activation_state_dict": {"k": k, "postact_fn": "ReLU"}}, path)


@pytest.fixture
def stand_in(tiny, own_cache, monkeypatch):
    """The tiny subject in place of GPT-2, and an autoencoder of its width in place of OpenAI's."""
    monkeypatch.setattr(dictionaries, "open_subject", lambda config: tiny)
    place = published.address("v5_32k", "hook_resid_post", 1).removeprefix(published.ROOT)
    openai_file(own_cache / "published" / place, tiny.d_model, 48)
    monkeypatch.setitem(dictionaries._held, "heldout", (None, None))


def test_a_published_autoencoder_is_opened_like_one_trained_here(stand_in, tiny):
    sae, text = dictionaries.dictionary(config(layer=1)), dictionaries.heldout(config(layer=0, heldout=10))
    assert isinstance(sae, TopK)
    assert (sae.n, sae.k, sae.d) == (48, 3, tiny.d_model)
    assert not any(p.requires_grad for p in sae.parameters())
    assert text.resid.shape[0] == 10
    assert sae.decode(sae.encode(text.resid), text.resid).shape == text.resid.shape
    assert config(layer=8).site == "blocks.8.hook_resid_post"


def test_the_untrained_one_has_its_size_and_sparsity_and_another_seed_is_another(stand_in):
    text = dictionaries.heldout(config(layer=0)).resid
    first, again, other = (released.untrained(config(seed=seed), text) for seed in (0, 0, 1))
    assert (first.n, first.k) == (48, 3)
    assert torch.equal(first.W_dec, again.W_dec)
    assert not torch.equal(first.W_dec, other.W_dec)


def test_a_release_of_the_hub_is_fetched_at_its_commit_from_the_site_that_holds_the_layer(monkeypatch, tmp_path):
    asked = []

    def snapshot_download(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        source = next(RES_JB.glob("6*/res_jb"))
        for file in allow_patterns:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / Path(file).name, tmp_path / file)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    sae = dictionaries.dictionary(config(released.RES_JB, layer=0))
    assert isinstance(sae, Raw)
    assert sae.centred
    site = "blocks.1.hook_resid_pre"
    assert asked == [(*released.RES_JB_AT, [f"{site}/cfg.json", f"{site}/sae_weights.safetensors"])]
    acts = load_file(next(RES_JB.glob("6*/res_jb")) / "expected.safetensors")["acts"]
    random = released.untrained(config(released.RES_JB, layer=0), acts.view(2, -1, acts.shape[1]))
    active = (sae.encode(acts).values > 0).sum(dim=1).double().mean().item()
    assert (random.n, abs(random.k - active) < 2) == (12, True)


def test_what_is_not_published_is_refused():
    with pytest.raises(ValueError, match="no published release 'v6'; there are v5_32k, v5_128k, gpt2-small-res-jb"):
        config("v6")
    with pytest.raises(ValueError, match="layers 0 to 11 of gpt2, and not of gpt2, layer 12"):
        config(layer=12)
    with pytest.raises(ValueError, match="and not of gpt2-medium, layer 1"):
        dictionaries.PublishedConfig(HubConfig("gpt2-medium", "main"), "v5_32k", 1)
    with pytest.raises(ValueError, match="the last weights were not kept"):
        dictionaries.dictionary(config(), "last")


def test_no_network_is_one_clear_error(own_cache, monkeypatch):
    def refuse(url, timeout):
        raise OSError("no connection")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(ConnectionError, match=r"v5_32k/autoencoders/1.pt could not be fetched: no connection. It needs a network, and 202 MB"):
        dictionaries.dictionary(config())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(sources.SubjectError, match=r"blocks.9.hook_resid_pre of jbloom/.* could not be fetched"):
        dictionaries.dictionary(config(released.RES_JB, layer=8))
