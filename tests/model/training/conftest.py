"""Texts of letters with classes, for the small encoder."""

import numpy as np
import pytest
from thresher.model import Model, load_model
from thresher.model.training.data import Examples
from thresher.model.training.vocabulary import Vocabulary

SEED = 31


def letters(count: int, seed: int = SEED) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(list("abcdefgh"), random.integers(1, 16))) for _ in range(count)]


def examples_of(model: Model, texts: list[str]) -> Examples:
    """The class says whether there are more letters ``a`` than ``b``."""
    tokens = [model.encode(text) for text in texts]
    targets = np.array([text.count("a") > text.count("b") for text in texts], np.int32)
    vocabulary = Vocabulary(model.encoder, tokens)
    return Examples(vocabulary.reduced(model.encoder), tokens, targets, vocabulary.rows)


@pytest.fixture
def small(make_model) -> Model:
    return load_model(make_model())


@pytest.fixture
def examples(small) -> Examples:
    return examples_of(small, letters(60))
