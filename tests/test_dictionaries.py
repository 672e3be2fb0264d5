from dataclasses import replace

import pytest
import torch

from companion import dictionaries
from companion.evals.reconstruction import normalised_mse
from companion.lm import sources, training
from companion.sae import recipe
from companion.sae.models import TopK, normalise
from companion.sae.recipe import TrainConfig

CONFIG = dictionaries.DictionaryConfig(
    training.TINY, TrainConfig(n=64, k=4, steps=20, batch=128), layer=0, contexts=200, heldout=20, keep=dictionaries.WEIGHTS
)


def test_variant_changes_what_it_is_told_and_nothing_else():
    other = dictionaries.variant(CONFIG, n=128, seed=3, lr=1e-3, keep=())
    assert (other.train.n, other.train.k, other.train.lr, other.seed, other.keep) == (128, 4, 1e-3, 3, ())
    assert dictionaries.variant(other, n=64, seed=0, lr=None, keep=dictionaries.WEIGHTS) == CONFIG
    assert CONFIG.site == "blocks.0.hook_resid_post"


@pytest.mark.parametrize("kind", ["topk", "relu", "jumprelu", "batch_topk"])
def test_every_kind_is_trained_once_and_comes_back_as_it_was(kind, tiny):
    own = {} if issubclass(recipe.model_class(kind), TopK) else dict(k=None, penalty=0.5)
    config = dictionaries.variant(CONFIG, kind=kind, **own)
    sae, again = dictionaries.dictionary(config), dictionaries.dictionary(config)
    assert type(sae) is recipe.model_class(kind)
    assert all(torch.equal(a, b) for a, b in zip(sae.tensors().values(), again.tensors().values(), strict=True))
    assert not any(p.requires_grad for p in sae.parameters())
    assert (sae.n, sae.d) == (64, tiny.d_model)
    x = dictionaries.heldout(config).x
    assert dictionaries.heldout_error(config) == pytest.approx(normalised_mse(x, sae(x.flatten(0, 1)).view_as(x)))
    mse = dictionaries.history(config)["mse"]
    assert mse[-1] < mse[0]


def test_the_untrained_weights_are_the_start_of_the_run_and_the_last_are_not_the_mean():
    untrained, last, averaged = (dictionaries.dictionary(CONFIG, which) for which in ("untrained", "last", "averaged"))
    assert not torch.equal(last.W_dec, averaged.W_dec)
    x = dictionaries.heldout(CONFIG).x
    assert dictionaries.error(untrained, x) > 2 * dictionaries.error(last, x)
    sample = normalise(dictionaries.pool(CONFIG)[: CONFIG.train.median_sample]).x
    batch = sample[:128]  # not the run's first batch, but the same distribution
    assert dictionaries.history(CONFIG)["mse"][0] == pytest.approx(normalised_mse(batch, untrained(batch)), rel=0.2)


def test_weights_that_were_not_kept_are_asked_for_in_vain():
    small = dictionaries.variant(CONFIG, keep=())
    assert dictionaries.heldout_error(small) == dictionaries.heldout_error(CONFIG)
    with pytest.raises(ValueError, match="averaged weights were not kept"):
        dictionaries.dictionary(small)
    with pytest.raises(ValueError, match="space='none': these dictionaries are of layer-normed activations"):
        dictionaries.variant(CONFIG, space="none")
    with pytest.raises(ValueError, match="no weights called best"):
        dictionaries.variant(CONFIG, keep=("best",))


def test_another_seed_is_another_dictionary():
    assert not torch.equal(dictionaries.dictionary(CONFIG).W_dec, dictionaries.dictionary(dictionaries.variant(CONFIG, seed=1)).W_dec)


def test_held_out_text_is_spread_over_all_files_and_never_trained_on(tiny):
    tokens = dictionaries.heldout(CONFIG).tokens
    assert len(tokens) == CONFIG.heldout
    every, train = tiny.tokens("heldout"), {tuple(row) for row in tiny.tokens("train").tolist()}
    at = [next(i for i, row in enumerate(every) if torch.equal(row, chosen)) for chosen in tokens]
    assert at[-1] > 0.9 * len(every)
    assert sum(tuple(row) in train for row in tokens.tolist()) <= 1  # a licence may stand at the head of two files
    assert len(dictionaries.spread(every[:5], 20)) == 5


def test_only_the_last_pool_is_held():
    first = dictionaries.pool(CONFIG)
    assert dictionaries.pool(CONFIG) is first
    assert len(dictionaries.pool(replace(CONFIG, contexts=100))) < len(first)
    again = dictionaries.pool(CONFIG)
    assert again is not first
    assert torch.equal(again, first)


def test_what_would_not_fit_is_streamed(tiny, monkeypatch):
    monkeypatch.setattr(dictionaries, "POOL_BYTES", 4 * tiny.d_model * 2048)
    batches, sample = dictionaries.batches_of(CONFIG)
    assert next(iter(batches)).shape == (128, tiny.d_model)
    assert batches.buffer.nbytes <= dictionaries.POOL_BYTES
    flat = dictionaries.pool(CONFIG)
    assert (sample[:4, None] == flat).all(dim=2).any(dim=1).all()


def test_steps_of_the_subject_are_those_kept():
    assert dictionaries.kept_steps(training.TINY) == training.checkpoint_steps(training.TINY.steps, training.TINY.checkpoints)


def test_the_environment_says_whether_offline_subjects_are_trained_here(monkeypatch):
    assert dictionaries.offline_subject("python-stdlib-4l") == sources.shipped("python-stdlib-4l")
    monkeypatch.setenv("COMPANION_SUBJECT", "train")
    assert dictionaries.offline_subject("python-stdlib-4l") == training.SMALL
    with pytest.raises(sources.SubjectError, match=r"no subject model 'gpt5' .* python-stdlib-1l, python-stdlib-4l"):
        dictionaries.offline_subject("gpt5")
