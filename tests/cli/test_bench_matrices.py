"""``thresher bench spmm`` on matrix files: patterns that are kept or pruned, and bad files."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import mmwrite
from scipy.sparse import csr_array
from thresher.spec import WeightFormat

from .runner import invoke, refused

ROWS, COLUMNS = 24, 32


@pytest.fixture
def matrix_files(tmp_path) -> dict[str, Path]:
    """A pattern in each kind of file: with values, without, and as a dense matrix."""
    weights = np.random.default_rng(6).integers(1, 100, (ROWS, COLUMNS))
    weights[:, 1::3] = weights[5] = weights[7, :17] = 0
    pattern = csr_array(weights)
    lists = [" ".join(map(str, numbers)) for numbers in (pattern.indptr, pattern.indices)]
    (tmp_path / "pattern.smtx").write_text("\n".join([f"{ROWS}, {COLUMNS}, {pattern.nnz}", *lists, ""]))
    mmwrite(tmp_path / "sparse.mtx", pattern)
    mmwrite(tmp_path / "pattern.mtx", pattern, field="pattern")
    mmwrite(tmp_path / "dense.mtx", weights * 0.25)
    return {path.name: path for path in sorted(tmp_path.iterdir())}


MATRIX_WEIGHTS = 22 * 21 + 10


def bench_file(path: Path, *options: object) -> dict:
    result = invoke("bench", "spmm", "--preset", "tiny", "--tokens", 5, "--weights", path, *options, "--json")
    assert result.exit_code == 0, result.stderr
    assert "rounding" not in result.stderr
    told = json.loads(result.stdout)
    assert told["bit_exact"] is True
    assert (told["rows"], told["columns"], told["weights"]) == (ROWS, COLUMNS, str(path))
    assert told["own_sparsity"] == 1 - MATRIX_WEIGHTS / (ROWS * COLUMNS)
    return told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pattern.smtx", "sparse.mtx", "pattern.mtx", "dense.mtx"])
def test_a_matrix_file_keeps_its_pattern(matrix_files, name):
    told = bench_file(matrix_files[name])
    assert (told["target"], told["nnz"], told["zeros"]) == ("keep", MATRIX_WEIGHTS, 0)


@pytest.mark.parametrize(
    ("options", "target", "nnz", "zeros"),
    [
        (["--format", "bbs"], "keep", MATRIX_WEIGHTS, ROWS * 4 * 6 - MATRIX_WEIGHTS),
        (["--format", "dense"], "keep", ROWS * COLUMNS, ROWS * COLUMNS - MATRIX_WEIGHTS),
        (["--format", "csr-delta", "--sparsity", 0], 0, MATRIX_WEIGHTS, 0),
        (["--sparsity", 0.75], 0.75, ROWS * COLUMNS // 4, 0),
    ],
)
def test_a_matrix_file_in_other_formats_and_pruned(matrix_files, options, target, nnz, zeros):
    told = bench_file(matrix_files["pattern.smtx"], *options)
    assert (told["target"], told["nnz"], told["zeros"]) == (target, nnz, zeros)


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("a.smtx", "2, 99, 1\n0 1 1\n0\n", [], ["cols=99", "--preset edge"]),
        ("a.smtx", "99999, 1, 0\n0\n", [], ["rows=99999", "1 to 65535: raise max_rows"]),
        ("a.mtx", "%%MatrixMarket matrix array real general\n99999 9999999\n1\n", [], ["rows=99999"]),
        ("a.mtx", "%%MatrixMarket matrix array real general\n0 0\n", [], ["rows=0"]),
        ("a.mtx", "%%MatrixMarket matrix coordinate real general\n2 3 2\n1 1 1.5E-", [], ["a.mtx", "damaged"]),
        ("a.mtx", "%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 2", [], ["complex", "give real"]),
        ("a.smtx", "2, 4, 3\n0 3 3\n0 1 2\n", ["--format", "nm"], ["row 0, columns 0 to 3", "3 weights", "0.5"]),
        ("a.smtx", "2, 4, 1\n0 1 1\n0\n", ["--tensor", "x"], ["tensor='x'", "a.smtx", "one matrix"]),
        ("a.smtx", "2, 4, 1\n0 1 1\n0\n", ["--rows", 3], ["rows=3", "the file has 2"]),
        ("a.smtx", None, [], ["cannot read", "a.smtx"]),
    ],
)
def test_bench_rejects_matrix_files(tmp_path, name, content, options, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    line = refused("bench", "spmm", "--preset", "tiny", "--weights", tmp_path / name, *options)
    for word in words:
        assert word in line


@pytest.mark.parametrize("name", ["a.mtx", "a.smtx"])
def test_a_matrix_file_of_zeros(tmp_path, name):
    text = {"a.mtx": "%%MatrixMarket matrix coordinate real general\n9 9 0\n", "a.smtx": "9, 9, 0\n" + "0 " * 10}
    (tmp_path / name).write_text(text[name])
    for weight_format in WeightFormat:
        line = ["bench", "spmm", "--preset", "tiny", "--tokens", 2, "--weights", tmp_path / name]
        result = invoke(*line, "--format", weight_format, "--json")
        assert result.exit_code == 0, result.stderr
        assert "note: all weights are zero" in result.stderr
        told = json.loads(result.stdout)
        assert (told["bit_exact"], told["nnz"]) == (True, 81 if weight_format is WeightFormat.DENSE else 0)
