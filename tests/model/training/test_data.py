"""Batches of padded texts."""

import numpy as np

from .conftest import SEED


def test_every_text_comes_once(examples):
    for random in (None, np.random.default_rng(SEED)):
        batches = list(examples.batches(7, random))
        assert len(batches) == examples.count(7)
        rows = np.concatenate([batch["rows"][batch["weights"] > 0] for batch in batches])
        assert sorted(rows) == list(range(60)), f"seed {SEED}"
        for batch in batches:
            assert batch["ids"].shape == batch["valid"].shape == batch["types"].shape == batch["positions"].shape
            assert batch["ids"].shape[0] == 7
            assert batch["valid"].sum(axis=1).tolist() == [len(examples.tokens[row]) for row in batch["rows"]]


def test_few_lengths(examples):
    assert {batch["ids"].shape[1] for batch in examples.batches(7)} <= {8, 16, 24}


def test_the_order_depends_on_the_seed_alone(examples):
    def order(seed):
        return [tuple(batch["rows"]) for batch in examples.batches(7, np.random.default_rng(seed))]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_ids_are_rows_of_the_reduced_embeddings(small, examples):
    batch = examples.batch(np.array([3]), 1)
    length = len(examples.tokens[3])
    words = examples.encoder.words[batch["ids"][0, :length]]
    assert np.array_equal(words, small.encoder.words[list(examples.tokens[3].ids)])
