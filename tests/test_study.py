import pytest
import torch

from companion import run, study
from companion.lm import training
from companion.sae.recipe import TrainConfig

CONFIG = study.DictionaryConfig(training.TINY, TrainConfig(n=64, k=4, steps=20, batch=128), layer=0, contexts=200)


def test_variant_changes_what_it_is_told_and_nothing_else():
    other = study.variant(CONFIG, n=128, seed=3)
    assert (other.train.n, other.train.k, other.seed) == (128, 4, 3)
    assert study.variant(other, n=64, seed=0) == CONFIG
    assert CONFIG.site == "blocks.0.hook_resid_post"


def test_a_dictionary_is_trained_once_and_reconstructs_better_than_its_start(tiny):
    sae, again = study.dictionary(CONFIG), study.dictionary(CONFIG)
    assert torch.equal(sae.W_dec, again.W_dec)
    assert (sae.n, sae.k, sae.d) == (64, 4, tiny.d_model)
    history = memo.memo(study.train_dictionary, CONFIG)["history.mse"]
    assert history[-1] < history[0]


def test_another_seed_is_another_dictionary():
    assert not torch.equal(study.dictionary(CONFIG).W_dec, study.dictionary(study.variant(CONFIG, seed=1)).W_dec)


def test_steps_of_the_subject_are_those_kept():
    assert study.kept_steps(training.TINY) == training.checkpoint_steps(training.TINY.steps, training.TINY.checkpoints)
    with pytest.raises(ValueError, match="cannot be kept"):
        study.variant(CONFIG, k=999)
