"""Tensors of one file and of several, and number formats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from thresher.model import load_model
from thresher.model.pack import pack_model
from thresher.model.weights import INDEX, WEIGHTS, read_matrix
from thresher.spec import ThresherError, WeightFormat, spmm_preset

from .conftest import bert_tensors

IDS = np.array([[2, 4, 5, 6, 3]])
KEY = "bert.encoder.layer.1.attention.self.key.weight"


def refusal(folder: Path) -> str:
    with pytest.raises(ThresherError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_raw(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """A safetensors file of tensors in any number format."""
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def as_raw(tensors: dict[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: ("F32", tensor.shape, tensor.tobytes()) for name, tensor in tensors.items()}


# -- number formats ----------------------------------------------------------------------------


def test_float64(make_model):
    expected = load_model(make_model()).outputs(IDS)
    doubles = {name: tensor.astype(np.float64) for name, tensor in bert_tensors().items()}
    found = load_model(make_model(doubles)).outputs(IDS)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)


def test_float64_beyond_float32(make_model):
    doubles = {name: tensor.astype(np.float64) for name, tensor in bert_tensors().items()}
    doubles[KEY][0, 0] = 1e300
    message = refusal(make_model(doubles))
    assert KEY in message
    assert "as float32" in message


@pytest.mark.parametrize("dtype", ["I8", "U8", "F8_E4M3", "BOOL"])
@pytest.mark.parametrize("name", [KEY, "bert.embeddings.word_embeddings.weight", "classifier.bias"])
def test_other_formats_are_named(make_model, dtype, name):
    folder = make_model()
    tensors = as_raw(bert_tensors())
    shape = tensors[name][1]
    write_raw(folder / WEIGHTS, tensors | {name: (dtype, shape, bytes(int(np.prod(shape))))})
    message = refusal(folder)
    assert repr(name) in message
    assert f"holds {dtype}" in message


def test_unknown_formats_are_no_damage(make_model):
    folder = make_model()
    for dtype, size in (("I4", 72), ("NF4", 72), ("C64", 12 * 12 * 8), ("C64", 3)):
        write_raw(folder / WEIGHTS, as_raw(bert_tensors()) | {KEY: (dtype, (12, 12), bytes(size))})
        message = refusal(folder)
        assert f"tensor {KEY!r}" in message
        assert f"holds {dtype}, not F16, BF16, F32, F64: convert it" in message


def test_formats_of_tensors_that_are_not_used_do_not_matter(make_model):
    assert load_model(make_model(bert_tensors() | {"quantiles": np.arange(9, dtype=np.uint8)})).outputs(IDS).size == 2


def test_quantised_models_are_named(make_model):
    """Before their tensors are, which have other names and shapes."""
    message = refusal(make_model(quantization_config={"quant_method": "gptq", "bits": 4}))
    assert "quantization_config='gptq'" in message
    assert "choose the model that is not quantised" in message


def test_damage_is_not_blamed_on_other_tensors(make_model):
    """Old files hold integers that are not used."""
    folder = make_model(bert_tensors() | {"bert.embeddings.position_ids": np.arange(24)})
    load_model(folder)
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:-8])
    assert "truncated or damaged" in refusal(folder)


@pytest.mark.parametrize("part", ["qweight", "weight_packed", "weight.absmax"])
def test_tensors_in_place_of_a_quantised_weight(make_model, part):
    """Some files do not say in config.json that they are quantised."""
    dtype = np.float32 if part == "weight.absmax" else np.int8
    tensors = bert_tensors() | {KEY.replace("weight", part): np.ones((3, 3), dtype)}
    load_model(make_model(tensors))
    del tensors[KEY]
    message = refusal(make_model(tensors))
    assert f"lacks the tensor {KEY!r}: the model is quantised ({KEY.replace('weight', part)!r} holds" in message
    assert "choose it before its quantisation" in message


# -- several files -----------------------------------------------------------------------------


@pytest.fixture
def sharded(make_model) -> Path:
    """The small model in three files."""
    folder = make_model()
    tensors = bert_tensors()
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    places = {name: names[i % 3] for i, name in enumerate(sorted(tensors))}
    for shard in names:
        save_file({name: tensors[name] for name, place in places.items() if place == shard}, folder / shard)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return folder


def places_of(folder: Path) -> dict[str, str]:
    return json.loads((folder / INDEX).read_text())["weight_map"]


def test_several_files_equal_one(sharded):
    expected = load_model(sharded).outputs(IDS)
    (sharded / WEIGHTS).unlink()
    assert np.array_equal(load_model(sharded).outputs(IDS), expected)


def test_several_files_can_be_pruned(sharded):
    arguments: dict[str, Any] = dict(
        config=spmm_preset("tiny"), weight_format=WeightFormat.CSR, sparsity=0.5, method="magnitude"
    )
    one = pack_model(str(sharded), **arguments)
    (sharded / WEIGHTS).unlink()
    assert pack_model(str(sharded), **arguments).sparsity == one.sparsity


def test_matrix_of_a_folder_or_an_index(sharded):
    (sharded / WEIGHTS).unlink()
    for path in (sharded, sharded / INDEX):
        assert np.array_equal(read_matrix(path, KEY), bert_tensors()[KEY])
    with pytest.raises(ThresherError, match="lacks model"):
        read_matrix(sharded.parent, KEY)


def test_missing_file_of_several(sharded):
    (sharded / WEIGHTS).unlink()
    shard = places_of(sharded)[KEY]
    (sharded / shard).unlink()
    assert f"the shard '{shard}', which {INDEX} names, is missing" in refusal(sharded)


def test_damaged_file_of_several(sharded):
    (sharded / WEIGHTS).unlink()
    shard = sharded / places_of(sharded)[KEY]
    shard.write_bytes(shard.read_bytes()[:-8])
    message = refusal(sharded)
    assert shard.name in message
    assert "fetch it again" in message


def test_tensor_that_its_file_lacks(sharded):
    (sharded / WEIGHTS).unlink()
    places = places_of(sharded)
    other = next(shard for shard in places.values() if shard != places[KEY])
    (sharded / INDEX).write_text(json.dumps({"weight_map": places | {KEY: other}}))
    assert f"the shard '{other}' lacks the tensor '{KEY}'" in refusal(sharded)


def test_tensor_that_the_index_lacks(sharded):
    (sharded / WEIGHTS).unlink()
    places = places_of(sharded)
    del places[KEY]
    (sharded / INDEX).write_text(json.dumps({"weight_map": places}))
    assert f"{INDEX} lacks the tensor '{KEY}': it does not belong to this config.json" in refusal(sharded)


@pytest.mark.parametrize(
    "index", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}', '{"weight_map": {"a": 1}}']
)
def test_damaged_index(sharded, index):
    (sharded / WEIGHTS).unlink()
    (sharded / INDEX).write_text(index)
    message = refusal(sharded)
    assert INDEX in message
    assert "fetch it again" in message


@pytest.mark.parametrize(
    "shard", ["../outside.safetensors", "/outside.safetensors", "below/inside.safetensors", "..", ""]
)
def test_files_elsewhere_are_not_read(sharded, shard):
    (sharded / WEIGHTS).unlink()
    save_file(bert_tensors(), sharded.parent / "outside.safetensors")
    (sharded / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(places_of(sharded), shard)}))
    assert "not a file's name" in refusal(sharded)
