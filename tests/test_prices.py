"""PAPER.md is what the rows of the pages say, and its counts are right where they can be checked by hand."""

import math
from pathlib import Path

import pytest

from companion import dictionaries, pages, prices
from companion.lm.sources import HubConfig
from companion.sae.recipe import TrainConfig

ROOT = Path(__file__).parents[1]
GPT2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", train_contexts=900, heldout_contexts=100)


@pytest.fixture(scope="module")
def rows():
    return {page.stem: pages.rows_of(page) for page in sorted((ROOT / "notebooks").glob("*.py"))}


def test_the_document_is_up_to_date():
    assert (ROOT / "PAPER.md").read_text(encoding="utf-8") == prices.text(ROOT), "run python -m companion.prices"


def test_every_page_but_the_first_has_rows_and_what_they_fetch_is_in_the_table(rows):
    assert [stem for stem, found in rows.items() if not found] == [pages.START]
    for stem, found in list(rows.items())[1:]:
        assert {"quick", "laptop", "paper"} <= set(found), stem
        for config in prices.held(found, HubConfig):
            assert config.name in prices.SIZES, stem
        for config in prices.held(found, dictionaries.PublishedConfig):
            assert config.release in prices.SIZES, stem


def test_neurons_are_four_times_as_wide_as_the_stream_and_offline_models_cost_nothing():
    recipe = TrainConfig(n=64, k=4, steps=10, batch=32)
    of = [dictionaries.DictionaryConfig(GPT2, recipe, hook=hook) for hook in ("hook_resid_post", "mlp.hook_post")]
    of.append(dictionaries.DictionaryConfig(dictionaries.offline_subject("python-stdlib-1l"), recipe, layer=0))
    assert [each.width for each in prices.trained_by("no page", "paper", tuple(of))] == [768, 3072]
    assert "offline models" in prices._line("no page", "paper", of[2])


def test_no_row_holds_an_array_of_more_entries_than_kernels_count(rows):
    for stem, found in rows.items():
        for profile in {"published", "paper"} & set(found):
            trained = list(prices.trained_by(stem, profile, found[profile]))
            assert all(array.entries < prices.ENTRIES for array in prices.arrays(found[profile], trained)), stem


def test_what_a_row_holds_is_found_wherever_it_stands():
    config = dictionaries.DictionaryConfig(GPT2, TrainConfig(n=8, k=2, steps=3, batch=4), 8)
    assert prices.held({"a": (config, [config])}, dictionaries.DictionaryConfig) == [config]
    assert prices.held((config,), HubConfig) == [GPT2]


def test_a_training_s_tokens_and_operations_by_hand():
    one = prices.Trained(3, TrainConfig(n=1000, k=2, steps=10, batch=100), 50)
    assert one.tokens == 1000
    assert one.operations(layer=1) == 3 * 1000 * (4 * 1000 * 50 + 2 * 24 * 50**2)
    dense = prices.Trained(1, TrainConfig(n=1000, kind="relu", penalty=1.0, steps=10, batch=100), 50, streamed=False)
    assert dense.operations(layer=1) == 1000 * 12 * 1000 * 50


def test_a_published_row_by_hand():
    row = tuple(dictionaries.PublishedConfig(GPT2, release, 8, heldout=64) for release in ("v5_32k", "v5_128k"))
    text = 1000 * 64 * prices.TEXT
    assert prices.download(row) == pytest.approx(5.5e8 + 201e6 + 805e6 + text, rel=0.01)
    found = {array.what: array for array in prices.arrays(row, [])}
    assert found["the stream on held-out text"].entries == 64 * 64 * 768
    assert found["the weights of v5_128k"].size == pytest.approx(4 * 2 * 2**17 * 768, rel=0.01)
    assert found["logits of a chunk of 8,192 tokens"].entries == 8192 * 50_257
    assert max(array.entries for array in found.values()) < prices.ENTRIES


def test_models_are_as_large_as_their_shape_says():
    """Float32 weights: the embedding of tokens and 1,024 positions, and 12 d^2 a block."""
    for name in ("gpt2", "gpt2-medium", "gpt2-large", "stanford-crfm/arwen-gpt2-medium-x21"):
        width, blocks, vocabulary = prices.SIZES[name].shape
        weights = 4 * (width * (vocabulary + 1024) + 12 * width**2 * blocks)
        assert prices.SIZES[name].size == pytest.approx(weights, rel=0.15)
    assert math.isnan(prices.SIZES["Skylion007/openwebtext"].size)
