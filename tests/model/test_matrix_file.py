"""Matrix files: what scipy writes is read again, patterns get values, and damaged files are one line each."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.io import mmwrite
from scipy.sparse import csr_array
from thresher.model.matrix_file import is_matrix_file, matrix_shape, read_matrix_file
from thresher.model.pruning.int8 import quantise_pruned
from thresher.model.pruning.patterns import keep_nonzeros
from thresher.spec import InputError, ThresherError

BANNER = "%%MatrixMarket matrix "
REAL, ARRAY = BANNER + "coordinate real general\n", BANNER + "array real general\n"
MATRICES = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.just(0.0) | st.floats(-9, 9, width=32)
)
one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder: Path, content: str | bytes, name: str = "a.mtx") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def smtx(matrix: np.ndarray) -> str:
    found = csr_array(matrix)
    lists = [" ".join(map(str, numbers)) for numbers in (found.indptr, found.indices)]
    return "\n".join([f"{len(matrix)}, {matrix.shape[1]}, {found.nnz}", *lists, ""])


@one_folder
@given(matrix=MATRICES, sparse=st.booleans())
def test_what_scipy_writes_is_read(tmp_path, matrix, sparse):
    mmwrite(tmp_path / "a.mtx", csr_array(matrix) if sparse else matrix, symmetry="general")
    assert matrix_shape(tmp_path / "a.mtx") == matrix.shape
    found = read_matrix_file(tmp_path / "a.mtx", seed=0)
    assert found.dtype == np.float32
    assert np.array_equal(found, matrix)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize(("symmetry", "sign"), [("symmetric", 1), ("skew-symmetric", -1)])
def test_the_other_half_of_a_symmetric_matrix(tmp_path, symmetry, sign, sparse):
    half = np.tril(np.random.default_rng(0).integers(1, 9, (5, 5)), -1)
    matrix = half + sign * half.T + np.diag(np.arange(5)) * (sign > 0)
    mmwrite(tmp_path / "a.mtx", csr_array(matrix) if sparse else matrix, symmetry=symmetry)
    assert read_matrix_file(tmp_path / "a.mtx", seed=0).tolist() == matrix.tolist()


@one_folder
@given(pattern=arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)), market=st.booleans())
def test_patterns_get_values_that_int8_keeps(tmp_path, pattern, market):
    path = tmp_path / ("a.mtx" if market else "a.smtx")
    if market:
        mmwrite(path, csr_array(pattern.astype(int)), field="pattern", symmetry="general")
    else:
        write(tmp_path, smtx(pattern), path.name)
    assert matrix_shape(path) == pattern.shape
    one, same, other = (read_matrix_file(path, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one != 0, pattern)
    assert np.array_equal(one, same)
    assert np.array_equal(other != 0, pattern)
    assert pattern.sum() < 4 or not np.array_equal(one, other)
    assert np.array_equal(quantise_pruned(one, keep_nonzeros(one)[0]).values != 0, pattern)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (f"\ufeff{REAL}% a comment: ü\n\n 2 3  2\n1 1 1.5\n\n\t2 3\t-2e-1 \n", "a.mtx", [[1.5, 0, 0], [0, 0, -0.2]]),
        (f"{REAL}2 3 1\n2 1 +.5".replace("\n", "\r\n"), "a.MTX", [[0, 0, 0], [0.5, 0, 0]]),
        ("%%MatrixMarket MATRIX Coordinate Integer General\n1 2 1\n1 1 0\n", "a.mtx", [[0, 0]]),
        (f"{BANNER}coordinate real hermitian\n2 2 2\n1 1 9\n2 1 5\n", "a.mtx", [[9, 5], [5, 0]]),
        (f"{BANNER}array integer hermitian\n2 2\n1\n2\n3\n", "a.mtx", [[1, 2], [2, 3]]),
        (f"{REAL}2 2 0\n", "a.mtx", [[0, 0], [0, 0]]),
        ("2,2,0\n0 0 0\n\n", "a.smtx", [[0, 0], [0, 0]]),
        ("2 2 0\r\n0 0\r\n0", "a.SMTX", [[0, 0], [0, 0]]),
    ],
)
def test_freedoms_of_the_formats(tmp_path, content, name, expected):
    path = write(tmp_path, content, name)
    assert is_matrix_file(path)
    assert read_matrix_file(path, seed=0) == pytest.approx(np.array(expected))


def test_columns_of_a_pattern_may_come_in_any_order(tmp_path):
    found = read_matrix_file(write(tmp_path, "2, 4, 3\n0 2 3\n3 0 1\n", "a.smtx"), seed=0)
    assert (found != 0).tolist() == [[True, False, False, True], [False, True, False, False]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "damaged .its first line must begin"),
        (b"\x1f\x8b\x08\x00\xff", "damaged .its first line must begin"),
        ("2 3 1\n1 1 1\n", "damaged .its first line must begin"),
        (BANNER.replace("matrix", "vector") + "coordinate real general\n2 1\n1 1\n", "first line must begin"),
        (BANNER + "coordinate complex general\n2 3 1\n1 1 9 3\n", "holds complex numbers: give real ones"),
        (BANNER + "coordinate complex hermitian\n2 2 1\n1 1 9 3\n", "holds complex numbers"),
        (BANNER + "coordinate real hermit\n2 2 1\n1 1 9\n", "first line says 'coordinate real hermit'"),
        (BANNER + "coordinate real hermitian\n2 3 1\n1 1 9\n", "cannot have the sizes '2 3 1'"),
        (BANNER + "coordinate real", "first line says 'coordinate real'"),
        (BANNER + "array pattern general\n2 3\n", "first line says 'array pattern general'"),
        (BANNER + "coordinate real symmetric\n2 3 1\n1 1 9\n", "a symmetric matrix cannot have the sizes '2 3 1'"),
        (REAL, "line of sizes is ''"),
        (REAL + "2 3\n1 1 1\n", "line of sizes is '2 3'"),
        (REAL + "2 3 one\n", "line of sizes is '2 3 one'"),
        (REAL + "2 -3 1\n1 1 1\n", "cannot have the sizes '2 -3 1'"),
        (REAL + "2 3 3\n1 1 1\n2 2 1\n", "has 2 lines of numbers, and must have 3"),
        (REAL + "2 3 1\n1 1 1\n2 2 1\n", "has 2 lines of numbers, and must have 1"),
        (REAL + f"2 3 {10**30}\n1 1 1\n", "has 1 lines of numbers, and must have 1000"),
        (REAL + "2 3 1\n3 1 1.5\n", "row 3, column 1 lies outside of 2 × 3"),
        (REAL + "2 3 1\n1 0 1.5\n", "row 1, column 0 lies outside"),
        (REAL + "2 3 1\n1.5 1 1.5\n", "row and column are no integers in the line '1.5 1 1.5'"),
        (REAL + "2 3 1\nnan 1 1.5\n", "row and column are no integers in the line 'nan 1 1.5'"),
        (REAL + "2 3 1\n1.0 1 1.5\n", "row and column are no integers in the line '1.0 1 1.5'"),
        (REAL + "2 3 1\n1 1e0 1.5\n", "row and column are no integers"),
        (REAL + "2 1_6 1\n1 1 1.5\n", "line of sizes is '2 1_6 1'"),
        (REAL + "2 3 2\n2 3 1.5\n2 3 1.5\n", "row 1, column 2 is given twice, counted from 0"),
        (BANNER + "coordinate real symmetric\n2 2 2\n1 2 9\n2 1 9\n", "is given twice"),
        (REAL + "2 3 1\n1 1 abc\n", "could not convert string 'abc'"),
        (REAL + "2 3 1\n1 1 1d5\n", "could not convert string '1d5'"),
        (REAL + "2 3 1\n1 1 1.5\x00\n", "could not convert string"),
        (REAL + "2 3 1\n1 1 1.5E-", "could not convert string '1.5E-'"),
        (REAL + "2 3 2\n1 1 1.5\n2 3\n", "number of columns changed from 3 to 2"),
        (REAL + "2 3 1\n1 1\n", "lines have 2 numbers, and must have 3"),
        (REAL + "2 3 1\n1 1 nan\n", "NaN or infinity: give finite weights"),
        (REAL + "2 3 1\n1 1 1e999\n", "NaN or infinity"),
        (REAL + "2 3 1\n1 1 1e39\n", "beyond float32: scale them down"),
        (ARRAY + "2 2\n1\n2\n3\n", "has 3 lines of numbers, and must have 4"),
        (ARRAY + "1 2\n1 2\n3 4\n", "lines have 2 numbers, and must have 1"),
    ],
)
def test_damaged_market_files(tmp_path, content, message):
    check_refused(write(tmp_path, content), message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "first line must be: rows, columns, entries"),
        (b"\xff\xfe\x00", "first line must be"),
        ("2, 3\n0 0 0\n", "first line must be"),
        ("2, 3, one\n0 0 0\n", "first line must be"),
        ("2, 1_6, 0\n0 0 0\n", "first line must be"),
        ("2, 16, 1\n0 1 1\n1_2\n", "no integer"),
        ("2, -3, 0\n0 0 0\n", "a number in its first line is negative"),
        ("2, 3, 2\n0 1 2\n0\n", "3 row offsets and 2 columns are not 4 numbers"),
        ("2, 3, 1\n0 1 1\n0 1\n", "3 row offsets and 1 columns are not 5 numbers"),
        (f"2, 3, {10**30}\n0 1 1\n0 1\n", "are not 5 numbers"),
        ("2, 3, 1\n0 1 1\n0.5\n", "no integer"),
        (f"2, 3, 1\n0 1 1\n{10**30}\n", "no integer"),
        ("2, 3, 1\n0 1 1\n\xff\n", "no integer"),
        ("2, 3, 2\n0 2 1\n0 1\n", "row offsets must rise from 0 to 2"),
        ("2, 3, 2\n1 2 2\n0 1\n", "row offsets must rise from 0 to 2"),
        ("2, 3, 2\n0 1 1\n0 1\n", "row offsets must rise from 0 to 2"),
        ("2, 3, 2\n0 1 2\n0 3\n", "row 1: column 3 is not from 0 to 2"),
        ("2, 3, 2\n0 1 2\n-1 2\n", "row 0: column -1 is not from 0 to 2"),
        ("2, 3, 2\n0 0 2\n1 1\n", "row 1, column 1 is given twice"),
    ],
)
def test_damaged_patterns(tmp_path, content, message):
    check_refused(write(tmp_path, content, "a.smtx"), message)


def check_refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_matrix_file(path, seed=0)
    assert "\n" not in str(caught.value)
    assert repr(str(path)) in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.mtx", "nowhere.smtx", "folder.mtx"])
def test_files_that_cannot_be_read(tmp_path, name):
    (tmp_path / "folder.mtx").mkdir()
    for read in (matrix_shape, lambda path: read_matrix_file(path, seed=0)):
        with pytest.raises(InputError, match=f"cannot read .*{name}"):
            read(tmp_path / name)


def test_the_shape_is_known_before_memory_is_taken(tmp_path):
    for content, name in ((ARRAY + f"{10**9} {10**9}\n1\n", "a.mtx"), (f"{10**9}, {10**9}, 1\n0\n", "a.smtx")):
        assert matrix_shape(write(tmp_path, content, name)) == (10**9, 10**9)
        check_refused(tmp_path / name, "damaged")


@one_folder
@given(data=st.data())
def test_damage_gives_a_matrix_or_an_error_of_the_library(tmp_path, data):
    matrix = np.array([[1.5, 0, -2], [0, 0.25, 0]])
    contents = {"a.smtx": smtx(matrix), "a.mtx": f"{REAL}2 3 3\n1 1 1.5\n1 3 -2\n2 2 .25\n"}
    name = data.draw(st.sampled_from(sorted(contents)))
    content = bytearray(contents[name].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 9))
        content[start : start + length] = data.draw(
            st.sampled_from([b"", b"9", b"-", b"\n", b"\0", b"e", b"nan ", b"\xff"])
        )
    path = write(tmp_path, bytes(content), name)
    with contextlib.suppress(ThresherError):
        shape = matrix_shape(path)
        if shape[0] * shape[1] < 10**6:
            assert read_matrix_file(path, seed=0).shape == shape
