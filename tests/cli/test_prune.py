"""``thresher prune``: files, measured cycles, and bad input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from thresher.golden.spmm.packing import unpack
from thresher.model.packed_file import read_packed
from thresher.model.source import locate_model

from ..model.conftest import HIDDEN, LAYERS, WIDE
from .runner import invoke, refused


def pruned(model: Path, folder: Path, *options: object) -> dict:
    line = ["prune", "--model", model, "--preset", "tiny", "--tokens", 9, "-o", folder, *options, "--json"]
    result = invoke(*line)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_prune(model, tmp_path):
    told = pruned(model, tmp_path / "deep" / "out", "--format", "csr", "--sparsity", 0.6)
    assert (told["measured"], told["bit_exact"]) == (False, None)
    assert (told["pattern"], told["method"]) == ("unstructured", "obs")
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == [
        "weights.json",
        "weights.safetensors",
    ]
    matrices = read_packed(Path(told["path"])).matrices
    assert [entry["name"] for entry in told["matrices"]] == list(matrices)
    assert len(matrices) == 6 * LAYERS
    for entry in told["matrices"]:
        packed = matrices[entry["name"]].weights
        assert (entry["bytes"], entry["kept"]) == (packed.bytes, packed.stored)
        assert entry["sparsity"] == pytest.approx(0.6, abs=0.01)
        assert entry["speedup"] == entry["dense_cycles"] / entry["cycles"] > 1
    total = told["total"]
    assert total["dense_bytes"] == LAYERS * (4 * HIDDEN**2 + 2 * HIDDEN * WIDE)
    for name in ("cycles", "dense_cycles", "bytes"):
        assert total[name] == sum(entry[name] for entry in told["matrices"])
    table = json.loads(Path(told["table"]).read_text())
    assert table == {name: value for name, value in told.items() if name != "preset"}


def test_prune_globally(model, tmp_path):
    told = pruned(model, tmp_path / "out", "--format", "csr-delta", "--sparsity", 0.6, "--global")
    assert told["pattern"] == "global"
    assert told["total"]["sparsity"] == pytest.approx(0.6, abs=0.001)
    assert len({entry["sparsity"] for entry in told["matrices"]}) > 2


@pytest.mark.parametrize("method", ["magnitude", "wanda", "obs", "random"])
@pytest.mark.parametrize("weight_format", ["csr", "csr-delta"])
def test_blocks(model, tmp_path, weight_format, method):
    options = ["--format", weight_format, "--sparsity", 0.5, "--block", "2x4", "--method", method]
    told = pruned(model, tmp_path / "out", *options)
    assert told["pattern"] == "block"
    assert told["total"]["sparsity"] == pytest.approx(0.5, abs=0.01)
    for name, matrix in read_packed(Path(told["path"])).matrices.items():
        kept = unpack(matrix.weights).toarray() != 0
        rows, columns = kept.shape
        filled = kept.reshape(rows // 2, 2, columns // 4, 4).mean(axis=(1, 3))
        # A kept weight may be rounded to 0, but a pruned block has none that is not.
        assert (filled == 0).mean() == pytest.approx(0.5, abs=0.01), name
        assert filled[filled > 0].mean() > 0.9, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "csr", "--block", "4"], "--block must be rows, x and columns, such as 4x4, not '4'"),
        (["--format", "csr", "--block", "-1x4"], "--block must be rows, x and columns"),
        (["--format", "csr", "--block", "0x4"], "--block='0x4' is not allowed: must fit a matrix of"),
        (["--format", "csr", "--block", "4x999"], "--block='4x999' is not allowed: must fit a matrix of"),
        (["--format", "nm", "--block", "4x4"], "blocks (--block) go with csr or csr-delta, not nm"),
        (["--format", "csr", "--block", "4x4", "--global"], "blocks (--block) do not go with a global ranking"),
        (["--format", "csr", "--block", "4x4", "--sparsity", "keep"], "blocks (--block) do not go with sparsity keep"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_blocks_that_do_not_fit(model, tmp_path, options, message):
    assert message in refused("prune", "--model", model, *options, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["magnitude", "wanda", "obs", "random"])
def test_methods(model, tmp_path, method):
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("a b c d\ne f g\nh a c e g\nb d f h\n")
    out = tmp_path / "out"
    options = ["--format", "nm", "--method", method, "--calibration", sentences]
    told = pruned(model, out, *options)
    assert (told["pattern"], told["method"]) == ("n:m", method)
    first = (out / "weights.safetensors").read_bytes()
    pruned(model, out, *options)
    assert (out / "weights.safetensors").read_bytes() == first
    pruned(model, out, *options[:-2])  # the packaged sentences
    assert ((out / "weights.safetensors").read_bytes() == first) == (method == "magnitude")


@pytest.fixture(scope="module")
def sparse_model(tmp_path_factory) -> Path:
    """The packaged model with random weights, 90 % of them zero in attention and 70 % in feed-forward layers."""
    folder = tmp_path_factory.mktemp("models") / "sparse"
    shutil.copytree(locate_model("default"), folder)
    tensors, random = load_file(folder / "model.safetensors"), np.random.default_rng(23)
    for name, tensor in tensors.items():
        if ".layer." in name and tensor.ndim == 2:
            tensor = random.normal(0, 0.05, tensor.shape).astype(np.float32)
            magnitude = np.abs(tensor)
            tensors[name] = np.where(magnitude < np.quantile(magnitude, 0.9 if "attention" in name else 0.7), 0, tensor)
    save_file(tensors, folder / "model.safetensors")
    return folder


OWN, OWN_ATTENTION = 91_756, 13_112
"""Weights that are left in it, of 393,216, and in its attention. None rounds to zero."""


@pytest.mark.parametrize("weight_format", ["csr", "csr-delta"])
@pytest.mark.parametrize(
    ("options", "pattern", "kept"),
    [
        (["--sparsity", "keep"], "none", OWN),
        (["--sparsity", 0], "unstructured", OWN),
        (["--sparsity", 0.75, "--global"], "global", OWN),
        # Attention stays as it is; the two feed-forward matrices of each layer are pruned to a quarter.
        (["--sparsity", 0.75], "unstructured", OWN_ATTENTION + 4 * 16_384),
    ],
)
def test_zeros_of_a_sparse_model_are_not_stored(sparse_model, tmp_path, weight_format, options, pattern, kept):
    line = ["prune", "--model", sparse_model, "--format", weight_format, *options, "-o", tmp_path, "--json"]
    line += ["--method", "magnitude"]
    result = invoke(*line)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    total = told["total"]
    assert told["pattern"] == pattern
    assert (total["weights"], total["nonzeros"], total["kept"], total["zeros"]) == (393_216, OWN, kept, 0)
    assert total["own_sparsity"] == 1 - OWN / 393_216
    tensors = load_file(sparse_model / "model.safetensors")
    for name, matrix in read_packed(Path(told["path"])).matrices.items():
        tensor = tensors[next(each for each in tensors if each.endswith(f"{name}.weight"))]
        pattern = unpack(matrix.weights).toarray() != 0
        assert not (pattern & (tensor == 0)).any(), name
        if kept == OWN or "attention" in name:
            assert np.array_equal(pattern, tensor != 0), name


def test_bank_balanced_weights_keep_a_pattern_with_padding(sparse_model, tmp_path):
    line = ["prune", "--model", sparse_model, "--format", "bbs", "--sparsity", "keep", "-o", tmp_path]
    result = invoke(*line, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["target"], told["method"], told["total"]["kept"]) == ("keep", "none", OWN)
    packed = read_packed(Path(told["path"])).matrices.values()
    assert told["total"]["zeros"] == sum(int((matrix.weights.values == 0).sum()) for matrix in packed) > 0
    shown = invoke(*line).stdout
    for words in ("own sparsity", "stored zeros", "sparsity asked for: keep", f"{told['total']['zeros']:,}", "0.767"):
        assert words in shown


def test_a_pattern_that_the_format_cannot_hold(sparse_model, tmp_path):
    line = ["prune", "--model", sparse_model, "--format", "nm", "--sparsity", "keep", "-o", tmp_path / "out"]
    refusal = refused(*line)
    for words in ("encoder.layer.0.", ": row ", ", columns ", "weights, more than 2 of 4", "sparsity of 0.5"):
        assert words in refusal
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [["csr", "--sparsity", 0.5], ["bbs", "--sparsity", 0.5], ["nm"], ["dense"]])
def test_prune_on_rtl(model, tmp_path, options):
    """Measured cycles are those of the model but for the engine's latency; bit for bit golden's."""
    modelled = pruned(model, tmp_path / "one", "--format", *options)
    measured = pruned(model, tmp_path / "two", "--format", *options, "--rtl")
    assert (measured["measured"], measured["bit_exact"]) == (True, True)
    for one, other in zip(modelled["matrices"], measured["matrices"], strict=True):
        assert abs(one["cycles"] - other["cycles"]) < 12, one["name"]
        assert abs(one["dense_cycles"] - other["dense_cycles"]) < 12, one["name"]
        assert (one["bytes"], one["kept"], one["spread"]) == (other["bytes"], other["kept"], other["spread"])
    names = ("one", "two")
    assert len({(tmp_path / name / "weights.safetensors").read_bytes() for name in names}) == 1


def test_prune_prints_a_line_per_matrix_and_the_total(model, tmp_path):
    line = ["prune", "--model", model, "--preset", "tiny", "-o", tmp_path / "out", "--format", "nm"]
    result = invoke(*line)
    assert result.exit_code == 0, result.stderr
    for words in ("layer.1.output.dense", "12 × 20", "total", "by the cycle model", "weights.safetensors"):
        assert words in result.stdout


@pytest.mark.usefixtures("wrong_golden")
def test_prune_notices_a_difference_from_golden(model, tmp_path):
    line = ["prune", "--model", model, "--preset", "tiny", "-o", tmp_path / "out", "--format", "nm", "--rtl"]
    result = invoke(*line)
    assert result.exit_code == 1
    assert "bit-exact with golden: NO" in result.stdout
    assert "differ" in result.stderr


def test_the_packaged_model_on_its_default_preset(tmp_path):
    """Banks of which the model keeps fewer weights than asked for stay as they are."""
    result = invoke("prune", "--format", "bbs", "--sparsity", 0.75, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert 0.8 < json.loads(result.stdout)["total"]["sparsity"] < 0.86


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "csr", "--sparsity", 1], ["sparsity=1.0"]),
        (["--format", "csr", "--sparsity", "keep", "--global"], ["--global", "keep", "leave one of them out"]),
        (["--format", "bbs", "--sparsity", 0.9], ["sparsity=0.9", "a bank of 3 columns", "0.6667", "--config"]),
        (["--format", "bbs", "--sparsity", 0.5, "--global"], ["--global", "csr or csr-delta, not bbs"]),
        (["--format", "nm", "--calibration", "./nowhere"], ["nowhere", "cannot read"]),
        (["--format", "nm", "--tokens", 0], ["tokens=0"]),
        (["--format", "nm", "--tokens", 0, "--rtl"], ["tokens=0"]),
        (["--format", "nm", "--model", "default"], ["the model's cols=128", "1 to 64", "choose --preset edge"]),
        (["--format", "nm", "--model", "default", "--rtl"], ["the model's cols=128", "choose --preset edge"]),
        (["--format", "nm", "--model", "./nowhere"], ["nowhere", "does not exist"]),
        (["--format", "nm", "--model", "./nowhere", "--rtl"], ["nowhere", "does not exist"]),
    ],
)
def test_prune_rejects(model, tmp_path, options, words):
    settings = ["--model", model, "--preset", "tiny", "-o", tmp_path / "out"]
    line = refused("prune", *settings, *options)
    for word in words:
        assert word in line
    assert not (tmp_path / "out").exists()


def test_prune_into_a_file(model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = refused("prune", "--model", model, "--preset", "tiny", "--format", "nm", "-o", tmp_path / "file")
    assert "file' is a file, name a folder" in line
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("name", ["weights.json", "weights.safetensors"])
def test_prune_writes_both_files_or_none(model, tmp_path, name):
    (tmp_path / name).mkdir()
    line = refused("prune", "--model", model, "--preset", "tiny", "--format", "nm", "-o", tmp_path)
    assert f"{name}': it is a folder" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"model", name})
