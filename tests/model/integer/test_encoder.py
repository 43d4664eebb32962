"""Whole encoders in integers, beside float."""

from dataclasses import replace

import numpy as np
import pytest
from thresher.golden.attention.core import attention_head
from thresher.golden.encoder import class_scores, encode, token_sums
from thresher.model import Model, load_model
from thresher.model.integer import METHODS, IntegerEncoder, integer_encoder
from thresher.model.load import as_batch, calibration_sentences, length_batches
from thresher.spec import ConfigError, InputError, preset, spmm_preset

from ..test_families import CASES, CLASSIFIERS, ROWS, references, write_case

ATTENTION = preset("edge")
ENGINE = spmm_preset("edge")


def hidden_of(
    model: Model, integer: IntegerEncoder, ids: np.ndarray, types: np.ndarray | None = None
) -> list[np.ndarray]:
    """The last layer's output for texts of one length."""
    head_dim = model.config.head_dim

    def commands(layer, length):
        return integer.attention.layers[layer].command(ATTENTION, length=length, head_dim=head_dim)

    def attend(heads):
        found = [attention_head(ATTENTION, *head).output for head in heads]
        return [output for output in found if output is not None]

    texts = integer.texts(model.encoder, ids, types)
    return encode(ENGINE, integer.golden, texts, commands=commands, attend=attend)


def outputs(model: Model, integer: IntegerEncoder, ids: np.ndarray, types: np.ndarray | None = None) -> np.ndarray:
    """Class scores, or sums over tokens, of texts of one length."""
    hidden = hidden_of(model, integer, ids, types)
    if model.is_classifier:
        return class_scores(ENGINE, integer.golden, hidden).T * integer.output_scale
    return (token_sums(hidden) << integer.golden.output_shift[:, None]).T * integer.output_scale


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - wanted).mean() / wanted.var(axis=0).mean()))


@pytest.fixture(scope="module")
def batches(default_model) -> list[np.ndarray]:
    tokens = [default_model.encode(sentence, truncate=True) for sentence in calibration_sentences()[:60]]
    return [as_batch([tokens[i] for i in batch]) for batch in length_batches(tokens)]


@pytest.fixture(scope="module")
def integer(default_model, batches) -> IntegerEncoder:
    return integer_encoder(default_model.encoder, batches)


def error_on(model: Model, integer: IntegerEncoder, batches: list[np.ndarray]) -> float:
    found = np.concatenate([outputs(model, integer, ids) for ids in batches])
    wanted = np.concatenate([model.outputs(ids) for ids in batches])
    return relative_error(found, wanted)


@pytest.mark.slow
def test_default_model_is_close_to_float(default_model, integer, batches):
    assert error_on(default_model, integer, batches[:8]) < 0.05


@pytest.mark.slow
def test_weights_of_four_bits_are_close_to_float(default_model, batches):
    narrow = integer_encoder(default_model.encoder, batches, weight_bits=4)
    assert error_on(default_model, narrow, batches[:8]) < 0.15


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_every_method_is_usable(make_model, method, per_channel):
    model = load_model(make_model())
    batches = [as_batch([model.encode(text)]) for text in ("a b c d", "e f g h a", "h g", "c c d a b e")]
    found = integer_encoder(model.encoder, batches, method=method, per_channel=per_channel)
    for ids in batches:
        wanted = model.outputs(ids)
        error = np.abs(outputs(model, found, ids) - wanted).max() / np.abs(wanted).max()
        assert error < (0.2 if method in ("min-max", "percentile") else 1)


@pytest.mark.parametrize("model_type", sorted(set(CLASSIFIERS) - {"mpnet"}))
@pytest.mark.parametrize("weight_bits", [8, 4])
def test_families_are_close_to_float(model_type, weight_bits, tmp_path):
    name = CLASSIFIERS[model_type]
    model = load_model(write_case(tmp_path / "model", name))
    ids, types = references.inputs(CASES[name])
    integer = integer_encoder(model.encoder, [ids], weight_bits=weight_bits)
    found, wanted = outputs(model, integer, ids, types), model.encoder.logits(ids, types=types)
    assert not np.array_equal(found, wanted)
    assert found == pytest.approx(wanted, abs=0.2 * float(np.abs(wanted).max()))


def test_projected_embeddings_are_close_to_float(tmp_path):
    configs = {name: row["config"] for name, row in ROWS.items() if "embedding_size" in row["config"]}
    name = next(name for name, config in configs.items() if config["embedding_size"] != config["hidden_size"])
    model = load_model(write_case(tmp_path / "model", name))
    assert model.encoder.projection is not None
    ids, types = references.inputs(CASES[name])
    integer = integer_encoder(model.encoder, [ids])
    texts = integer.texts(model.encoder, ids, types)
    no_layers = replace(integer.golden, layers=())
    hidden = encode(ENGINE, no_layers, texts, commands=None, attend=None)  # pyright: ignore[reportArgumentType]
    found = np.stack([text.T for text in hidden])
    wanted = model.encoder.embed(ids, types)
    units = found.std(axis=(0, 1)) / wanted.std(axis=(0, 1))
    assert np.abs(found / units - wanted).max() < 0.1 * np.abs(wanted).max()


def test_a_score_bias_is_refused(tmp_path):
    model = load_model(write_case(tmp_path / "model", CLASSIFIERS["mpnet"]))
    with pytest.raises(InputError, match="bias"):
        integer_encoder(model.encoder, [np.array([[1, 2]])])


def test_bad_settings(default_model):
    with pytest.raises(ConfigError, match="method"):
        integer_encoder(default_model.encoder, [np.array([[1, 2]])], method="best")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="weight_bits"):
        integer_encoder(default_model.encoder, [np.array([[1, 2]])], weight_bits=5)
    with pytest.raises(InputError, match="no calibration sentence"):
        integer_encoder(default_model.encoder, [])
