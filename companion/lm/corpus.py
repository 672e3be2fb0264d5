"""The offline corpus: Python sources found on this machine, a byte-level BPE trained on them, and their tokens.

The corpus depends on the Python version, so checks on it assert bands and orderings, not digits.
"""

import hashlib
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

END_OF_TEXT = "<|endoftext|>"
NOT_TEXT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "pydoc_data", "lib2to3"}
SMALLEST_CORPUS = 200_000  # characters: below this a vocabulary of some thousand tokens has nothing to learn from
SMALLEST_FILE, LARGEST_FILE = 200, 400_000  # characters: stubs teach nothing; the largest files are tables


class EmptyCorpusError(RuntimeError):
    """No Python sources where they were looked for, or too few to train on."""


def library_texts(roots: Iterable[Path] | None = None) -> dict[str, str]:
    """Sources of the standard library (no tests, no generated tables), or where they were stripped, of installed packages.

    Returns:
        Text by path relative to its root, in sorted order.

    Raises:
        EmptyCorpusError: every root together holds less than `SMALLEST_CORPUS` characters.
    """
    paths = sysconfig.get_paths()
    roots = [Path(paths["stdlib"]), Path(paths["purelib"])] if roots is None else list(roots)
    for root in roots:
        texts = dict(_sources(root))
        if sum(map(len, texts.values())) >= SMALLEST_CORPUS:
            return texts
    raise EmptyCorpusError(
        f"no Python sources to train on: looked for .py files in {', '.join(map(str, roots))} and found fewer than {SMALLEST_CORPUS:,} characters."
        " Some distributions ship the standard library compiled only: install its source package, or run in a virtual environment"
        " made from python.org's, conda's or pyenv's Python."
    )


def _sources(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if NOT_TEXT.intersection(relative.parts[:-1]):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):  # a few files are in another encoding on purpose
            continue
        if SMALLEST_FILE <= len(text) <= LARGEST_FILE:
            yield relative.as_posix(), text


def split_by_file(texts: dict[str, str], characters: int) -> dict[str, list[str]]:
    """The texts as {"train": ..., "heldout": ...}: files in the order of their paths' sha256 until `characters` are used.

    The last byte of that hash alone says whether a file is held out, one in ten: so a file that was held out from a model is
    held out from it on every version of Python, whatever other files that version has. The order mixes the library's packages.
    """
    split, used = {"train": [], "heldout": []}, 0
    for path in sorted(texts, key=_hash):
        split["heldout" if _hash(path)[-1] < 26 else "train"].append(texts[path])
        used += len(texts[path])
        if used >= characters:
            break
    return split


def _hash(path: str) -> bytes:
    return hashlib.sha256(path.encode()).digest()


def train_tokenizer(texts: Iterable[str], vocab: int):
    """A byte-level BPE of `vocab` tokens (a `tokenizers.Tokenizer`); token 0 is the end of a text.

    Raises:
        ValueError: `vocab` cannot hold the 256 bytes and the end of text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocab < 257:
        raise ValueError(f"a byte-level vocabulary needs at least 257 tokens (256 bytes and the end of text), not {vocab}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def contexts(tokenizer, texts: list[str], length: int) -> Int[Tensor, "N T"]:
    """The texts one after the other, each closed by the end-of-text token, cut into contexts of `length` tokens.

    Raises:
        EmptyCorpusError: there are not enough tokens for one context.
    """
    end = tokenizer.token_to_id(END_OF_TEXT)
    stream = [token for encoding in tokenizer.encode_batch_fast(texts) for token in (*encoding.ids, end)]
    if len(stream) < length:
        raise EmptyCorpusError(f"{len(texts)} texts make {len(stream)} tokens, fewer than one context of {length}")
    return torch.tensor(stream[: len(stream) // length * length]).view(-1, length)
