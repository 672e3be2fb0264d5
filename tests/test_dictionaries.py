from dataclasses import fields, replace

import pytest
import torch

from companion import claims, dictionaries
from companion.evals.reconstruction import normalised_mse
from companion.lm import sources, training
from companion.sae import recipe
from companion.sae.models import TopK, normalise
from companion.sae.recipe import TrainConfig
from companion.sae.weights import Raw

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
    with pytest.raises(ValueError, match="no weights called best"):
        dictionaries.variant(CONFIG, keep=("best",))


def test_another_seed_is_another_dictionary():
    assert not torch.equal(dictionaries.dictionary(CONFIG).W_dec, dictionaries.dictionary(dictionaries.variant(CONFIG, seed=1)).W_dec)


NEURONS = replace(dictionaries.variant(CONFIG, space="scalar"), hook="mlp.hook_post")


def test_a_dictionary_of_neurons_reads_and_writes_activations_in_their_own_units(tiny):
    sae, text = dictionaries.dictionary(NEURONS), dictionaries.heldout(NEURONS)
    assert NEURONS.site == "blocks.0.mlp.hook_post"
    assert torch.equal(text.resid, tiny.activations(text.tokens, NEURONS.site))
    assert text.resid.shape[-1] == 4 * tiny.d_model
    assert isinstance(sae, Raw)
    sample = dictionaries.pool(NEURONS)[: NEURONS.train.median_sample]
    assert sae.factor == pytest.approx((sample.shape[1] / sample.square().sum(1).mean()).sqrt().item())
    assert dictionaries.heldout_error(NEURONS) == pytest.approx(normalised_mse(text.resid, sae.decode(sae.encode(text.resid), text.resid)))
    untrained = dictionaries.dictionary(NEURONS, "untrained")
    assert untrained.factor == sae.factor
    assert dictionaries.error(untrained, text.resid) > 2 * dictionaries.heldout_error(NEURONS)


def test_a_dictionary_of_the_shuffled_model_is_of_one_model_per_seed():
    shuffled = replace(CONFIG, shuffled=True)
    own, same, other = (dictionaries.subject_of(config) for config in (CONFIG, shuffled, dictionaries.variant(shuffled, seed=1)))
    rows = [sorted(model.model.get_input_embeddings().weight.flatten().tolist()) for model in (own, same, other)]
    assert rows[0] == rows[1] == rows[2]
    assert not torch.equal(same.unembedding(), own.unembedding())
    assert not torch.equal(same.unembedding(), other.unembedding())
    assert torch.equal(dictionaries.heldout(shuffled).resid, same.residual(dictionaries.heldout(CONFIG).tokens, 0))
    assert dictionaries.heldout_error(shuffled) != dictionaries.heldout_error(CONFIG)


def test_what_came_later_does_not_count_at_its_default():
    assert claims.hash_of(CONFIG) != claims.hash_of(NEURONS)
    assert all(field.metadata.get("added") for field in fields(CONFIG) if field.name in ("hook", "shuffled"))


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
