import pytest
import torch

from companion.lm import corpus


def write_library(root, files: int, characters: int):
    root.mkdir()
    for i in range(files):
        (root / f"module{i}.py").write_text(f"def f{i}(x):\n    return x + {i}\n" * (characters // 28), encoding="utf-8")
    return root


def test_standard_library_is_found_without_tests_or_installed_packages():
    texts = corpus.library_texts()
    assert "argparse.py" in texts
    assert not [path for path in texts if set(path.split("/")[:-1]) & corpus.NOT_TEXT]


def test_falls_back_to_the_next_root_when_sources_are_missing(tmp_path):
    (tmp_path / "stripped").mkdir()
    full = write_library(tmp_path / "packages", 3, 100_000)
    assert len(corpus.library_texts([tmp_path / "stripped", full])) == 3


def test_no_sources_anywhere_is_one_clear_error(tmp_path):
    with pytest.raises(corpus.EmptyCorpusError, match=r"looked for \.py files in .*stripped.*python\.org"):
        corpus.library_texts([tmp_path / "stripped"])


def test_split_is_by_file_disjoint_and_stable_under_the_budget():
    texts = {f"{i}.py": f"text {i} " * 50 for i in range(1000)}
    whole, part = corpus.split_by_file(texts, 10**9), corpus.split_by_file(texts, 10_000)
    assert 80 <= len(whole["heldout"]) <= 120
    assert not set(whole["heldout"]) & set(whole["train"])
    assert set(part["train"]) <= set(whole["train"])


def test_what_is_held_out_stays_so_whatever_other_files_there_are():
    """Else another version's library would put the training text of a shipped model among its held-out text."""
    texts = {f"{i}.py": f"text {i} " * 50 for i in range(100)}
    fewer = corpus.split_by_file({path: text for path, text in texts.items() if path not in ("3.py", "70.py")}, 10**9)
    assert set(fewer["heldout"]) <= set(corpus.split_by_file(texts, 10**9)["heldout"])


def test_tokenizer_returns_every_text_it_encodes():
    text = "class Ünï:\n\tdef f(self):  # ✓\n\t\treturn self\n"
    tokenizer = corpus.train_tokenizer([text * 20], 300)
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.token_to_id(corpus.END_OF_TEXT) == 0


def test_vocabulary_too_small_for_bytes():
    with pytest.raises(ValueError, match="at least 257"):
        corpus.train_tokenizer(["x"], 100)


def test_contexts_are_the_stream_of_texts_cut_to_length():
    tokenizer = corpus.train_tokenizer(["abc " * 50], 260)
    found = corpus.contexts(tokenizer, ["abc", "b"], 2)
    ids = [*tokenizer.encode("abc").ids, 0, *tokenizer.encode("b").ids, 0]
    assert torch.equal(found.flatten(), torch.tensor(ids[: len(ids) // 2 * 2]))


def test_too_few_tokens_for_one_context():
    tokenizer = corpus.train_tokenizer(["abc " * 50], 260)
    with pytest.raises(corpus.EmptyCorpusError, match="fewer than one context of 64"):
        corpus.contexts(tokenizer, ["abc"], 64)
