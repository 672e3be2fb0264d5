"""Published subjects. No hub here: what would go there is answered from folders that the tests make, and what is asked for is checked."""

import copy
import json
import logging
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from companion import dictionaries
from companion.lm import checkpoints, download, hub, subject
from companion.lm.sources import HubConfig, SubjectError

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
TEXT = dict(context=8, train_contexts=3, heldout_contexts=2)


class Hub:
    """Repositories by (name, revision), and the commits that revisions stand for; it notes what is asked."""

    def __init__(self, cache):
        self.cache, self.commits, self.folders, self.asked, self.downloaded = cache, {}, {}, [], []

    def publish(self, name, revision, folder):
        self.commits[name, revision] = sha = f"{len(self.commits):040x}"
        self.folders[sha] = folder
        return sha

    def repo_info(self, name, revision, repo_type, files_metadata=False):
        self.asked.append((repo_type, name, revision))
        sha = revision if hub.COMMIT.fullmatch(revision) else self.commits.get((name, revision))
        if sha is None:
            raise OSError(f"no {revision}")
        held = self.folders.get(sha)
        files = [SimpleNamespace(rfilename=path.name, size=path.stat().st_size) for path in held.iterdir()] if files_metadata else None
        return SimpleNamespace(sha=sha, siblings=files)

    def snapshot_download(self, name, revision, allow_patterns, local_files_only=False, tqdm_class=None):
        held = self.cache / revision
        if local_files_only:
            if not held.is_dir():
                raise FileNotFoundError(revision)
            return str(held)
        assert tqdm_class is not None
        held.mkdir(parents=True, exist_ok=True)
        for file in allow_patterns:
            shutil.copyfile(self.folders[revision] / file, held / file)
            self.downloaded.append(file)
        return str(held)


@pytest.fixture
def fake(tmp_path, tiny_home, monkeypatch):
    import transformers

    fake = Hub(tmp_path / "hub")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_home)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: fake)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fake.snapshot_download)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name, revision=None: tokenizer)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: [{"text": "import os\nprint(os.getcwd())\n"}] * 10)
    fake.commits["Skylion007/openwebtext", "refs/convert/parquet"] = "d" * 40
    return fake


@pytest.fixture
def saved(make, tmp_path):
    """`saved("llama")` is the folder of a tiny model, `saved("llama", "half", torch.float16)` of another one in half precision."""

    def save(name, folder=None, dtype=torch.float32, **options):
        make(name).to(dtype).save_pretrained(tmp_path / (folder or name), **options)
        return tmp_path / (folder or name)

    return save


# --- the commits ---


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma2"])
def test_a_published_model_is_opened_at_the_commits_it_was_first_used_at(name, fake, saved, make, tmp_path):
    (folder := tmp_path / "home").mkdir()
    shas = [fake.publish("some/model", revision, saved(name)) for revision in ("main", "checkpoint-10", "checkpoint-20")]
    hub.prepare(folder, HubConfig("some/model", "main", steps=(10, 20), **TEXT))
    known = json.loads((folder / "subject.json").read_text(encoding="utf-8"))
    assert (known["asked"], known["revision"], known["dataset_revision"]) == ("main", shas[0], "d" * 40)
    assert known["steps"] == {"10": shas[1], "20": shas[2]}
    assert fake.downloaded == []
    sub = subject.open_subject(folder)
    assert (sub.name, sub.dtype) == ("some/model", torch.float32)
    assert [sub.tokens(split).shape for split in ("train", "heldout")] == [(3, 8), (2, 8)]
    tokens = torch.arange(1, 9)[None]
    assert torch.equal(sub.model(tokens).logits, make(name)(tokens).logits)
    subject.open_subject(folder, step=20)
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == [shas[0], shas[2]]
    with pytest.raises(SubjectError, match=r"step 30 .* there are: 10, 20"):
        subject.open_subject(folder, step=30)


def test_a_commit_is_taken_at_its_word(fake, saved, tmp_path):
    fake.folders[COMMIT] = saved("gpt2")
    hub.prepare(tmp_path, HubConfig("gpt2", COMMIT, dataset=None))
    assert fake.asked == []
    assert subject.open_subject(tmp_path).name == "gpt2"
    assert {revision for _, _, revision in fake.asked} == {COMMIT}


def test_a_name_that_stands_for_another_commit_now_is_refused(fake, saved, tmp_path):
    old = fake.publish("some/model", "main", saved("llama"))
    hub.prepare(tmp_path, HubConfig("some/model", "main", dataset=None))
    new = fake.publish("some/model", "main", saved("llama", "changed"))
    with pytest.raises(SubjectError, match=f"main of some/model was commit {old} when .* is {new} now. .* ask for that commit"):
        subject.open_subject(tmp_path)
    assert fake.downloaded == []
    fake.commits["some/model", "main"] = old
    subject.open_subject(tmp_path)
    fake.commits["some/model", "main"] = new
    subject.open_subject(tmp_path)  # what is here already is what it was


def test_a_model_may_come_without_text(fake, saved, tmp_path):
    fake.publish("some/model", "main", saved("llama"))
    hub.prepare(tmp_path, HubConfig("some/model", "main", dataset=None))
    assert not (tmp_path / "tokens.safetensors").exists()
    assert "dataset" not in {kind for kind, *_ in fake.asked}
    with pytest.raises(SubjectError, match="some/model was opened without texts"):
        subject.open_subject(tmp_path).tokens("train")


def test_every_context_begins_as_the_model_expects(fake, saved, tmp_path, monkeypatch):
    import transformers

    plain = transformers.AutoTokenizer.from_pretrained("whatever")
    assert hub.first_tokens(plain) == []
    begins = tokenizer_that_begins(plain, tmp_path)
    assert hub.first_tokens(begins) == [begins.bos_token_id]
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name, revision=None: begins)
    fake.publish("some/model", "main", saved("llama"))
    (folder := tmp_path / "home").mkdir()
    hub.prepare(folder, HubConfig("some/model", "main", **TEXT))
    rest = load_file(folder / "tokens.safetensors")
    contexts = torch.cat([rest["heldout"], rest["train"]])
    assert contexts.shape == (5, 8)
    assert (contexts[:, 0] == begins.bos_token_id).all()
    text = [*plain("import os\nprint(os.getcwd())\n")["input_ids"], plain.eos_token_id] * 10
    assert contexts[:, 1:].flatten().tolist() == text[:35]  # one stream, cut every 7 tokens


def tokenizer_that_begins(plain, folder):
    """The same tokenizer, which puts token 0 before every text, as those of Llama and Gemma do with their own."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    token = plain.convert_ids_to_tokens(0)
    inner = copy.deepcopy(plain.backend_tokenizer)
    inner.post_processor = TemplateProcessing(single=f"{token} $A", special_tokens=[(token, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=token, eos_token=plain.eos_token)


def test_text_that_ends_too_early(fake, saved, tmp_path, monkeypatch):
    fake.publish("some/model", "main", saved("gpt2"))
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: [{"text": "import os\n"}])
    with pytest.raises(SubjectError, match="contexts of 8 tokens too early"):
        hub.prepare(tmp_path, HubConfig("some/model", "main", **TEXT))


def test_the_dtype_is_the_published_one_unless_another_is_asked_for(fake, saved, tmp_path):
    fake.publish("some/model", "main", saved("gpt_neox", "half", torch.float16))
    for asked, opened in ((None, torch.float16), ("float32", torch.float32)):
        (folder := tmp_path / str(asked)).mkdir()
        hub.prepare(folder, HubConfig("some/model", "main", dataset=None, dtype=asked))
        assert subject.open_subject(folder).dtype == opened
        assert subject.open_subject(folder, dtype=torch.float64).dtype == torch.float64


def test_pages_and_the_command_line_open_published_subjects_by_the_same_call(fake, saved, own_cache):
    fake.publish("some/model", "main", saved("llama"))
    fake.publish("some/model", "checkpoint-3", saved("llama"))
    config = HubConfig("some/model", "main", steps=(3,), **TEXT)
    assert dictionaries.open_subject(config, 3).tokens("train").shape == (3, 8)
    assert dictionaries.kept_steps(config) == [3]
    assert [path.name.split("-")[0] for path in own_cache.glob("*/")] == ["hub.prepare"]


# --- the download ---


def test_the_size_is_said_before_the_weights_are_fetched(fake, saved, tmp_path, caplog):
    fake.publish("some/model", "main", folder := saved("llama"))
    (folder / "flax_model.msgpack").write_bytes(bytes(1000))
    (folder / "pytorch_model.bin").write_bytes(bytes(1000))
    hub.prepare(tmp_path, HubConfig("some/model", "main", dataset=None))
    with caplog.at_level(logging.WARNING, "companion"):
        subject.open_subject(tmp_path)
    size = sum((folder / file).stat().st_size for file in ("model.safetensors", "config.json"))
    assert [record.message.split("(")[1] for record in caplog.records] == [f"{size / 1e9:.3g} GB)"]
    assert sorted(fake.downloaded) == ["config.json", "config.json", "model.safetensors"]
    subject.open_subject(tmp_path)
    assert len(fake.downloaded) == 3


def test_weights_in_parts_are_fetched_with_their_index(fake, saved, tmp_path):
    folder = saved("llama", max_shard_size="20KB")
    sha = fake.publish("some/model", "main", folder)
    parts = sorted(path.name for path in folder.glob("model*"))
    assert len(parts) > 3
    assert sorted(download.files("some/model", sha)) == ["config.json", *parts]
    hub.prepare(tmp_path, HubConfig("some/model", "main", dataset=None))
    subject.open_subject(tmp_path)
    (tmp_path / "hub" / sha / parts[0]).unlink()  # as a download that was broken off leaves it
    subject.open_subject(tmp_path)
    assert fake.downloaded.count(parts[0]) == 2


def test_an_unknown_architecture_is_refused_before_its_weights_are_fetched(fake, saved, tmp_path):
    fake.publish("some/model", "main", saved("mistral"))
    hub.prepare(tmp_path, HubConfig("some/model", "main", dataset=None))
    with pytest.raises(SubjectError, match="architecture 'mistral'"):
        subject.open_subject(tmp_path)
    assert fake.downloaded == ["config.json"]


def test_a_repository_without_weights_that_can_be_opened(fake, tmp_path):
    (folder := tmp_path / "held").mkdir()
    (folder / "flax_model.msgpack").write_bytes(b"x")
    with pytest.raises(SubjectError, match="holds no weights in a form that can be opened"):
        download.files("some/model", fake.publish("some/model", "main", folder))


def test_the_hub_s_own_cache_is_used_without_a_network(saved, tmp_path, monkeypatch):
    """Its real library, on folders as it lays them out."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    at = tmp_path / "cache" / "models--some--model" / "snapshots" / COMMIT
    record = {"name": "some/model", "asked": "main", "revision": COMMIT, "steps": {}}
    shutil.copytree(folder := saved("llama"), at)
    assert load_file(download.weights(record, None) / "model.safetensors").keys() == load_file(folder / "model.safetensors").keys()
    (at / "model.safetensors").unlink()
    with pytest.raises(SubjectError, match="could not be fetched"):
        download.weights(record, None)


# --- no network ---


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_no_network_is_one_clear_error(tmp_path, revision):
    with pytest.raises(SubjectError, match=r"needs a network.*sources.shipped\('python-stdlib-4l'\)"):
        hub.prepare(tmp_path, HubConfig("stanford-crfm/alias-gpt2-small-x21", revision, dataset_revision=COMMIT))


def test_what_the_hub_raises_beside_missing_files(tmp_path):
    """A name that is none (ValueError), a data set that is a script (RuntimeError), no connection (the hub's HTTP library, no OSError)."""
    from datasets.exceptions import DatasetBuildError
    from huggingface_hub.errors import HTTPError

    for error in (ValueError("x"), RuntimeError("x"), HTTPError("x"), DatasetBuildError("x")):

        def load(error=error):
            raise error

        with pytest.raises(SubjectError, match="what could not be fetched: x"):
            hub.from_hub(load, "what")


# --- steps ---


def test_published_steps():
    alias, pythia = (checkpoints.published_steps(name) for name in ("stanford-crfm/alias-gpt2-small-x21", "EleutherAI/pythia-70m-deduped"))
    assert (len(alias), alias[:3], alias[-2:]) == (609, (0, 10, 20), (399_000, 400_000))
    assert (len(pythia), pythia[:3], pythia[9:13], pythia[-1]) == (154, (0, 1, 2), (256, 512, 1000, 2000), 143_000)
    assert len(checkpoints.published_steps("EleutherAI/pythia-70m-v0")) == 143
    assert checkpoints.published_steps("gpt2") == ()
    for steps in (alias, pythia):
        assert list(steps) == sorted(set(steps))


@pytest.mark.parametrize("name", [*checkpoints.STANFORD_SMALL, "EleutherAI/pythia-160m", "EleutherAI/pythia-160m-v0"])
def test_published_steps_are_those_of_transformer_lens(name):
    from transformer_lens.tools.model_registry.checkpoints import get_checkpoint_labels

    labels, kind = get_checkpoint_labels(name)
    assert (list(checkpoints.published_steps(name)), kind) == (labels, "step")


def test_revisions_of_steps():
    assert checkpoints.revision("EleutherAI/pythia-70m", 512) == "step512"
    assert checkpoints.revision("stanford-crfm/alias-gpt2-small-x21", 400_000) == "checkpoint-400000"


def test_a_step_that_was_not_published_names_the_nearest(fake, tmp_path):
    with pytest.raises(SubjectError, match=r"pythia-70m was not published at step 3; of its 154 steps the nearest are 1, 2, 4"):
        hub.prepare(tmp_path, HubConfig("EleutherAI/pythia-70m", "main", steps=(3, 1000)))
    assert fake.asked == []


def test_a_pythia_at_two_of_its_steps(fake, saved, tmp_path):
    for revision in ("main", "step0", "step512"):
        fake.publish("EleutherAI/pythia-70m", revision, saved("gpt_neox"))
    hub.prepare(tmp_path, HubConfig("EleutherAI/pythia-70m", "main", steps=(0, 512), **TEXT))
    sub = subject.open_subject(tmp_path, step=0)
    assert sub.losses(sub.tokens("heldout")).shape == (2, 7)
