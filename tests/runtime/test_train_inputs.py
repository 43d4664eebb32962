"""What a training run starts from."""

import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.tasks import chosen_task
from thresher.runtime.train_inputs import read_inputs
from thresher.spec import ConfigError

TASK = chosen_task("classification", text_column="review", label_column="verdict")


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "data.tsv", tmp_path / "dev.tsv"
    for path, texts in zip(paths, (["b d", "d"], ["a d", "f a"]), strict=True):
        path.write_text("verdict\treview\n" + "".join(f"{i}\t{text}\n" for i, text in enumerate(texts)))
    return paths


def test_texts_to_evaluate_on_change_nothing(make_model, files):
    """Their words follow those of the texts to train with."""
    model = load_model(make_model())
    alone, both = (read_inputs(model, files[0], dev, task=TASK, truncate=False) for dev in (None, files[1]))
    assert alone.dev is None
    assert both.dev is not None
    assert alone.vocabulary.used.tolist() == both.vocabulary.used.tolist()
    assert np.array_equal(alone.examples.encoder.words, both.examples.encoder.words)
    assert [batch["ids"].tolist() for batch in alone.examples.batches(2)] == [
        batch["ids"].tolist() for batch in both.examples.batches(2)
    ]
    assert (len(alone.further), len(both.further)) == (0, 2)
    words = np.concatenate([both.examples.encoder.words, both.further])
    for text, row in zip(both.dev.tokens, range(2), strict=True):
        ids = both.dev.batch(np.array([row]), 1)["ids"][0, : len(text)]
        assert np.array_equal(words[ids], model.encoder.words[list(text.ids)])


def test_only_tasks_with_classes(make_model, files):
    with pytest.raises(ConfigError, match="tasks with classes"):
        read_inputs(load_model(make_model()), files[0], None, task=chosen_task("stsb"), truncate=False)
