"""The training loop."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from thresher.model.training.dropout import key_of
from thresher.model.training.loop import Trainer
from thresher.model.training.settings import TrainingSettings
from thresher.spec import InputError, preset, spmm_preset


def test_values_that_are_not_finite_end_the_training(examples):
    """The rate is 0 in the first step, and has its full size in the second one. Short texts need one compilation."""
    short = [i for i, text in enumerate(examples.tokens) if len(text) <= 8]
    few = replace(examples, tokens=[examples.tokens[i] for i in short], targets=examples.targets[short])
    settings = TrainingSettings(steps=6, batch=len(short), dropout=0.0, learning_rate=1e30)
    trainer = Trainer(few.encoder, few, settings, config=spmm_preset("edge"), attention=preset("edge"))
    told = []
    with pytest.raises(InputError, match="finite after step 3: choose a smaller --learning-rate"):
        trainer.train(trainer.start(), tell=lambda state, figures: told.append(figures.loss))
    assert len(told) == 2
    assert np.isfinite(told).all()
    state = trainer.start()
    state.parameters["words"] = state.parameters["words"] * np.nan
    with pytest.raises(InputError, match="finite after step 1: check model, teacher"):
        trainer.train(state, tell=lambda state, figures: None)


def test_keys_depend_on_the_whole_seed():
    seeds = [0, 1, (1 << 31) + 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 1 << 64, 99999999999999999999, 1 << 400]
    keys = [tuple(jax.random.key_data(key_of(seed)).tolist()) for seed in seeds]
    assert len(set(keys)) == len(seeds)
    assert keys[1] == tuple(jax.random.key_data(jax.random.key(1)).tolist())
