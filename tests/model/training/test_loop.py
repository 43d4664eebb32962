"""The training loop."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from thresher.model.training.data import Examples
from thresher.model.training.dropout import key_of
from thresher.model.training.evaluator import Evaluator
from thresher.model.training.forward import run
from thresher.model.training.loop import Trainer
from thresher.model.training.settings import TrainingSettings
from thresher.model.training.vocabulary import Vocabulary
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


def test_texts_with_further_words_are_evaluated_as_by_the_whole_encoder(small):
    """The trained encoder has the words of its own texts alone."""
    learned, texts = ([small.encode(text) for text in texts] for texts in (["b d", "d"], ["a d", "f a", "d"]))
    vocabulary = Vocabulary(small.encoder, learned)
    longer = vocabulary.extended(texts)
    zeros = np.zeros(3, np.int32)
    few, dev = (
        Examples(part.reduced(small.encoder), tokens, zeros[: len(tokens)], part.rows)
        for part, tokens in ((vocabulary, learned), (longer, texts))
    )
    trainer = Trainer(few.encoder, few, TrainingSettings(steps=1), config=spmm_preset("edge"), attention=preset("edge"))
    further = small.encoder.words[longer.used[len(vocabulary.used) :]]
    assert len(further) == 2
    found = trainer.evaluation(dev, further)(trainer.start())
    whole = Evaluator(
        Examples(small.encoder, texts, zeros), lambda each, batch: run(small.encoder.with_parameters(each), batch)[0]
    )
    np.testing.assert_allclose(found, whole.logits(small.encoder.parameters()), atol=1e-5)
