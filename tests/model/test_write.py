"""Weights as a file."""

import numpy as np
import pytest
from safetensors.numpy import load, load_file, save_file
from thresher.model import load_model
from thresher.model.encoder import Linear
from thresher.model.write import weights_bytes

from .conftest import bert_tensors


def test_an_unchanged_encoder_is_written_as_it_was(default_model):
    assert_same(load(weights_bytes(default_model.folder, default_model.encoder)), default_model.folder)


def assert_same(found, folder):
    wanted = load_file(folder / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert np.array_equal(found[name], tensor), name


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_changed_weights_can_be_read_back(make_model, dtype):
    folder = make_model({name: tensor.astype(dtype) for name, tensor in bert_tensors().items()})
    model = load_model(folder)
    changed = {name: Linear(linear.weight * 2, linear.bias) for name, linear in model.encoder.linears().items()}
    data = weights_bytes(folder, model.encoder.with_linears(changed))
    save_file(load(data), folder / "model.safetensors")
    for name, linear in load_model(folder).encoder.linears().items():
        assert np.array_equal(linear.weight, changed[name].weight), name
    assert all(tensor.dtype == dtype for tensor in load(data).values())


def test_numbers_beyond_float16_stay_float32(make_model):
    folder = make_model({name: tensor.astype(np.float16) for name, tensor in bert_tensors().items()})
    encoder = load_model(folder).encoder
    found = load(weights_bytes(folder, encoder.with_parameters({"words": encoder.words * np.float32(1e6)})))
    assert found["bert.embeddings.word_embeddings.weight"].dtype == np.float32
