"""Where latents are active on the held-out text, against reading it directly; and that it is computed once."""

import pytest
import torch

from companion import dictionaries, firings
from companion.evals import features
from companion.lm import labels, training
from companion.sae.recipe import TrainConfig

CONFIG = dictionaries.DictionaryConfig(
    training.TINY, TrainConfig(n=64, k=4, steps=20, batch=128), layer=0, contexts=200, heldout=20, keep=("averaged", "untrained")
)


@pytest.mark.parametrize("which", ["averaged", "untrained"])
def test_the_firings_are_those_of_the_dictionary_on_the_heldout_text(which):
    text, found = dictionaries.heldout(CONFIG), firings.fired_by(CONFIG, which)
    expected = features.fired(text.subject, dictionaries.dictionary(CONFIG, which), CONFIG.site, text.tokens)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    assert len(found.counts) == 64
    assert found.counts.sum() <= 4 * text.tokens.numel()


def test_the_labels_are_those_of_the_heldout_contexts(tiny):
    tokens, known = firings.labelled(CONFIG)
    assert torch.equal(tokens, dictionaries.heldout(CONFIG).tokens)
    assert known.values.shape == (*tokens.shape, len(labels.LABELS))
    assert known.known.shape == tokens.shape
    every = labels.of_contexts(tiny.tokens("heldout"), tiny.tokenizer.backend_tokenizer)
    assert torch.equal(known.values, dictionaries.spread(every.values, 20))


def test_both_are_computed_once(own_cache):
    def kept():
        return {path: path.stat().st_mtime_ns for path in own_cache.glob("firings.*/manifest.json")}

    first, text = firings.fired_by(CONFIG), firings.labelled(CONFIG)
    made = kept()
    assert len(made) == 2
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(firings.fired_by(CONFIG), first, strict=True))
    assert torch.equal(firings.labelled(CONFIG)[1].values, text[1].values)
    assert kept() == made  # read from the cache
    firings.fired_by(CONFIG, "untrained")
    assert len(kept()) == 3
