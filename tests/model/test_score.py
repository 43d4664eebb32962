"""Scores of heads with one output."""

import json
import shutil

import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.score import activate
from thresher.model.source import DEFAULT_FOLDER
from thresher.model.tokenizer import TextTokenizer
from thresher.spec import ThresherError

SIGMOID, IDENTITY = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"
OLD = "sbert_ce_default_activation_function"


@pytest.mark.parametrize(
    ("parameters", "beside", "expected"),
    [
        ({}, None, "sigmoid"),
        ({"problem_type": "regression"}, None, "identity"),
        ({OLD: IDENTITY}, None, "identity"),
        ({OLD: None}, None, "sigmoid"),
        ({"problem_type": "regression", OLD: SIGMOID}, None, "sigmoid"),
        ({"sentence_transformers": {"activation_fn": IDENTITY}}, None, "identity"),
        ({"sentence_transformers": {"version": "4.1.0"}}, None, "sigmoid"),
        ({}, IDENTITY, "identity"),
        ({OLD: IDENTITY}, SIGMOID, "sigmoid"),
    ],
)
def test_activation_that_the_files_name(make_scorer, parameters, beside, expected):
    folder = make_scorer(**parameters)
    if beside is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"activation_fn": beside}))
    model = load_model(folder)
    assert model.activation == expected
    assert model.is_scorer
    assert model.outputs(np.array([[2, 4, 3]])).shape == (1, 1)


@pytest.mark.parametrize("value", ["torch.nn.modules.activation.Tanh", "mine.Sigmoid", 3])
def test_other_activations_are_named(make_scorer, value):
    with pytest.raises(ThresherError, match="supported are PyTorch's Sigmoid, Identity"):
        load_model(make_scorer(**{OLD: value}))


def test_activations():
    outputs = np.array([-3.0, 0.0, 1.5])
    assert np.array_equal(activate(outputs, "identity"), outputs)
    assert activate(outputs, "sigmoid") == pytest.approx([0.04742587, 0.5, 0.81757448])


def test_classes_have_no_activation(default_model):
    assert default_model.activation is None
    assert not default_model.is_scorer


def test_default_prompt_stands_before_the_first_text(make_scorer):
    """As in sentence-transformers 6.2."""
    folder = make_scorer()
    notes = {"prompts": {"query": "a b "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(notes))
    model = load_model(folder)
    assert model.encode(("c", "d")).words == ("[CLS]", "a", "b", "c", "[SEP]", "d", "[SEP]")
    assert model.encode("c").words == ("[CLS]", "a", "b", "c", "[SEP]")
    shutil.copy(DEFAULT_FOLDER / "tokenizer.json", folder)
    prompted = TextTokenizer(folder, 30522, "query: ").encode(("a good film", "film"), max_length=512)
    assert prompted.ids == (101, 23032, 1024, 1037, 2204, 2143, 102, 2143, 102)
