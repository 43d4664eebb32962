"""A small encoder, packed in every format and read back; damaged files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from thresher import __version__
from thresher.golden.spmm.packing import unpack
from thresher.model.families import read_config
from thresher.model.pack import encoder_matrices, pack_model
from thresher.model.packed_file import KEY, PackedModel, read_packed, write_packed
from thresher.model.pruning.formats import prune_matrices
from thresher.model.pruning.int8 import quantise_pruned
from thresher.model.pruning.patterns import KEEP
from thresher.model.weights import read_weights
from thresher.runtime.products import reached_sparsity
from thresher.spec import InputError, ThresherError, WeightFormat, spmm_preset

from .conftest import HIDDEN, LAYERS, SEED, MakeModel, bert_tensors

TINY = spmm_preset("tiny")
QUERY = "encoder.layer.1.attention.self.query"
TARGETS = {
    WeightFormat.CSR: 0.6,
    WeightFormat.CSR_DELTA: 0.6,
    WeightFormat.BBS: 0.5,
    WeightFormat.NM: None,
    WeightFormat.DENSE: None,
}


def sparse_tensors() -> tuple[dict[str, np.ndarray], list[str]]:
    """A model's tensors, some weights of which are zero and no other rounds to zero; and the names of its matrices."""
    random, tensors = np.random.default_rng(SEED), bert_tensors()
    names = [name[5:-7] for name, tensor in tensors.items() if ".layer." in name and tensor.ndim == 2]
    for name in names:
        tensor = tensors[f"bert.{name}.weight"]
        tensor[...] = np.where(random.random(tensor.shape) < 0.7, 0, np.sign(tensor) + tensor / 10)
    tensors[f"bert.{QUERY}.weight"][3] = 0
    return tensors, names


def banks_of(matrix: np.ndarray, banks: int) -> list[np.ndarray]:
    """Non-zeros of each bank of each row; the banks have equal lengths."""
    return [bank[bank != 0] for bank in matrix.reshape(-1, matrix.shape[1] // banks)]


def packed(model: Path, path: Path, weight_format: WeightFormat = WeightFormat.CSR, **options) -> PackedModel:
    options = {"config": TINY, "sparsity": TARGETS[weight_format], "method": "magnitude"} | options
    found = pack_model(model, weight_format=weight_format, **options)
    write_packed(path, found)
    return found


@pytest.mark.parametrize("weight_format", WeightFormat)
def test_what_is_read_is_the_pruned_model(make_model, tmp_path, weight_format):
    folder, path = make_model(), tmp_path / "deep" / "weights.safetensors"
    made = packed(folder, path, weight_format)
    found = read_packed(path)
    assert (found.format, found.version) == (weight_format, __version__)
    assert (found.pattern, found.method) == (made.pattern, made.method)
    expected = {WeightFormat.NM: 0.5, WeightFormat.DENSE: 0}.get(weight_format, TARGETS[weight_format])
    tolerance = 0.17 if weight_format is WeightFormat.BBS else 0.01
    assert found.sparsity == made.sparsity == pytest.approx(expected, abs=tolerance)
    matrices = encoder_matrices(read_config(folder / "config.json"), read_weights(folder / "model.safetensors"))
    masks = prune_matrices(
        {name: weight for name, (weight, _) in matrices.items()}, weight_format, TARGETS[weight_format], config=TINY
    )
    assert list(found.matrices) == list(matrices)
    for name, (weight, bias) in matrices.items():
        expected = quantise_pruned(weight, masks[name][0])
        matrix = found.matrices[name]
        assert np.array_equal(unpack(matrix.weights).toarray(), expected.values), name
        assert np.array_equal(matrix.scales, expected.scales), name
        assert np.array_equal(matrix.biases, bias), name


def test_global_ranking_meets_the_target_over_all_matrices(make_model, tmp_path):
    tensors = bert_tensors()
    tensors["bert.encoder.layer.1.intermediate.dense.weight"] *= 0.1
    made = packed(make_model(tensors), tmp_path / "weights", sparsity=0.5, global_ranking=True)
    assert (made.pattern, made.method, made.sparsity) == ("global", "magnitude", 0.5)
    sparsity = {name: reached_sparsity(matrix.weights) for name, matrix in made.matrices.items()}
    assert sparsity["encoder.layer.1.intermediate.dense"] > 0.9
    assert sparsity["encoder.layer.0.intermediate.dense"] < 0.5


@pytest.mark.parametrize(
    "weight_format", [WeightFormat.CSR, WeightFormat.CSR_DELTA, WeightFormat.BBS, WeightFormat.DENSE]
)
def test_a_pattern_is_kept(make_model, tmp_path, weight_format):
    """The values are those of the model, and padding of the bank-balanced format is not counted as weights."""
    tensors, names = sparse_tensors()
    made = packed(make_model(tensors), tmp_path / "weights", weight_format, sparsity=KEEP)
    found = read_packed(tmp_path / "weights")
    assert (
        (found.target, found.pattern, found.method)
        == (made.target, "none", "none")
        == ("keep", made.pattern, made.method)
    )
    for name in names:
        tensor, matrix = tensors[f"bert.{name}.weight"], found.matrices[name]
        assert matrix.nonzeros == made.matrices[name].nonzeros == np.count_nonzero(tensor)
        values = unpack(matrix.weights).toarray()
        assert np.array_equal(values != 0, tensor != 0), f"{name}, seed {SEED}"
        assert np.allclose(values * matrix.scales[:, None], tensor, atol=matrix.scales.max())
        if weight_format is not WeightFormat.DENSE:
            assert matrix.weights.stored == matrix.nonzeros
        fullest = max(len(each) for each in banks_of(tensor, TINY.banks))
        words = {WeightFormat.BBS: HIDDEN * TINY.banks * fullest, WeightFormat.DENSE: tensor.size}
        if tensor.shape == (HIDDEN, HIDDEN) and weight_format in words:
            assert matrix.weights.values.size == words[weight_format]
            assert matrix.weights.zeros == words[weight_format] - matrix.nonzeros


def test_a_pattern_that_fits_groups_is_kept(make_model, tmp_path):
    tensors, names = sparse_tensors()
    for name in names:
        tensors[f"bert.{name}.weight"][:, 2::4] = tensors[f"bert.{name}.weight"][:, 3::4] = 0
    made = packed(make_model(tensors), tmp_path / "weights", WeightFormat.NM, sparsity=KEEP)
    for name in names:
        expected = np.count_nonzero(tensors[f"bert.{name}.weight"])
        assert (made.matrices[name].nonzeros, made.matrices[name].weights.stored) == (expected, expected)


def test_a_pattern_that_does_not_fit_groups_is_named(make_model, tmp_path):
    tensors, names = sparse_tensors()
    for name in names:
        tensors[f"bert.{name}.weight"][:, 2::4] = tensors[f"bert.{name}.weight"][:, 3::4] = 0
    tensors[f"bert.{QUERY}.weight"][7, 4:7] = 1
    message = rf"^{QUERY}: row 7, columns 4 to 7 have [34] weights, more than 2 of 4: prune to 2:4 first \(.* 0.5\), or"
    with pytest.raises(InputError, match=message):
        packed(make_model(tensors), tmp_path / "weights", WeightFormat.NM, sparsity=KEEP)
    assert not (tmp_path / "weights").exists()


def test_a_pattern_is_kept_or_ranked(make_model, tmp_path):
    with pytest.raises(InputError, match=r"--global.*keep"):
        packed(make_model(), tmp_path / "weights", sparsity=KEEP, global_ranking=True)


def test_same_model_same_bytes_and_prefix_makes_no_difference(make_model, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    packed(make_model(), first)
    packed(make_model(bert_tensors(prefix="")), second)
    assert first.read_bytes() == second.read_bytes()


def test_progress_is_reported(make_model, tmp_path):
    calls = []
    packed(make_model(), tmp_path / "weights", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, 6 * LAYERS) for i in range(6 * LAYERS)]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(make_model, tmp_path, monkeypatch, failure):
    folder, path = make_model(), tmp_path / "out" / "weights"
    packed(folder, path, sparsity=0.5)
    before = path.read_bytes()

    def fail(*_args):
        raise failure

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ThresherError if isinstance(failure, OSError) else KeyboardInterrupt):
        packed(folder, path, sparsity=0.7)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# -- damaged files -----------------------------------------------------------------------------

Tensors = dict[str, np.ndarray]
Metadata = dict[str, object]


def negative_scale(tensors: Tensors, _metadata: Metadata) -> None:
    tensors[f"{QUERY}.scale"][3] = -1


def endless_bias(tensors: Tensors, _metadata: Metadata) -> None:
    tensors[f"{QUERY}.bias"][0] = np.inf


def short_bias(tensors: Tensors, _metadata: Metadata) -> None:
    tensors[f"{QUERY}.bias"] = tensors[f"{QUERY}.bias"][1:]


def columns_out_of_range(tensors: Tensors, _metadata: Metadata) -> None:
    tensors[f"{QUERY}.indices"][:] = 255


def lengths_that_do_not_add_up(tensors: Tensors, _metadata: Metadata) -> None:
    tensors[f"{QUERY}.lengths"][0] += 1


def other_shape(_tensors: Tensors, metadata: Metadata) -> None:
    matrices = metadata["matrices"]
    assert isinstance(matrices, dict)
    matrices[QUERY]["shape"] = [HIDDEN, HIDDEN + 1]


def other_nonzeros(_tensors: Tensors, metadata: Metadata) -> None:
    matrices = metadata["matrices"]
    assert isinstance(matrices, dict)
    matrices[QUERY]["nonzeros"] = "some"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (negative_scale, f"{QUERY}: scale of row 3 is not positive"),
        (endless_bias, f"{QUERY}: bias holds NaN or infinity"),
        (short_bias, f"{QUERY}: bias is float32"),
        (columns_out_of_range, f"{QUERY}: .*row"),
        (lengths_that_do_not_add_up, f"{QUERY}: .*lengths"),
        (other_shape, f"{QUERY}: weights are csr 12×12"),
        (lambda tensors, _: tensors.pop(f"{QUERY}.scale"), f"{QUERY}: scale is missing"),
        (lambda tensors, _: tensors.pop(f"{QUERY}.values"), f"{QUERY}: .*values"),
        (lambda tensors, _: tensors.update(more=np.zeros(2)), "'more', which belongs to none"),
        (lambda _, metadata: metadata.update(layout=2), "has layout 2, not 4"),
        (lambda _, metadata: metadata.update(target="all"), "damaged metadata"),
        (lambda _, metadata: metadata.update(target=1), "damaged metadata"),
        (lambda _, metadata: metadata.pop("target"), "damaged metadata"),
        (other_nonzeros, "damaged metadata"),
        (lambda _, metadata: metadata.update(format="coo"), "damaged metadata"),
        (lambda _, metadata: metadata.update(sparsity="half"), "damaged metadata"),
        (lambda _, metadata: metadata.update(matrices=[QUERY]), "damaged metadata"),
        (lambda _, metadata: metadata.pop("version"), "damaged metadata"),
        (lambda _, metadata: metadata.pop("pattern"), "damaged metadata"),
        (
            lambda _, metadata: metadata.update(format="csr-delta"),
            "weights are csr 12×12, but the file says csr-delta 12×12",
        ),
    ],
)
def test_damaged_contents(
    make_model: MakeModel, tmp_path: Path, damage: Callable[[Tensors, Metadata], object], message: str
):
    path = tmp_path / "weights"
    packed(make_model(), path)
    tensors = {name: tensor.copy() for name, tensor in load_file(path).items()}
    with safe_open(path, framework="numpy") as file:
        metadata = json.loads(file.metadata()[KEY])
    damage(tensors, metadata)
    save_file(tensors, path, {KEY: json.dumps(metadata)})
    with pytest.raises(InputError, match=message) as caught:
        read_packed(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_of_another_kind(make_model, tmp_path):
    folder, path = make_model(), tmp_path / "weights"
    packed(folder, path)
    whole = path.read_bytes()
    for kept in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError, match="truncated or damaged"):
            read_packed(path)
    with pytest.raises(InputError, match="does not hold packed weights"):
        read_packed(folder / "model.safetensors")
    for missing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match="cannot read") as caught:
            read_packed(missing)
        assert "\n" not in str(caught.value)
    save_file({}, path, {KEY: "[" * 100_000})
    with pytest.raises(InputError, match="damaged metadata"):
        read_packed(path)
