"""Matrices in text files: MatrixMarket (``.mtx``) and the Deep Learning Matrix Collection (``.smtx``).

A ``.smtx`` file is a pattern in CSR: "rows, columns, entries" in the first line, then rows + 1 offsets, then the column
of each entry, from 0.
"""

import codecs
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError
from ..spec.formats import INT8_MAX
from .weights import Float32

__all__ = ["is_matrix_file", "matrix_shape", "read_matrix_file"]

Int64 = NDArray[np.int64]

LARGEST_SIDE = (1 << 31) - 1
"""Rows or columns. The number of a place in the matrix has 64 bits."""

MARKET, PATTERN = ".mtx", ".smtx"


def is_matrix_file(path: Path) -> bool:
    """Whether the file's name ends in ``.mtx`` or ``.smtx``."""
    return path.suffix.lower() in (MARKET, PATTERN)


def matrix_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of a matrix file, from its first lines. Raises as :func:`read_matrix_file`."""
    data = _read(path)
    if path.suffix.lower() == PATTERN:
        return _pattern_sizes(path, data)[:2]
    return _head(path, data).shape


def read_matrix_file(path: Path, *, seed: int) -> Float32:
    """Read a matrix file.

    Entries without values (``.smtx`` and ``pattern`` files) get random integers from ±1 to ±127, of which none rounds
    to zero in INT8.

    Parameters
    ----------
    path : Path
        The memory that is taken grows with rows · columns: check :func:`matrix_shape` before.
    seed : int
        Of values that the file does not hold.

    Returns
    -------
    (M, K) float32

    Raises
    ------
    InputError
        The file cannot be read or is damaged, its numbers are complex, not finite or beyond float32, or an entry is
        given twice.
    """
    data = _read(path)
    return _read_pattern(path, data, seed) if path.suffix.lower() == PATTERN else _read_market(path, data, seed)


# -- both --------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{str(path)!r} is damaged ({what}): fetch it again")


def _check_sizes(path: Path, rows: int, columns: int) -> None:
    if max(rows, columns) > LARGEST_SIDE:
        raise InputError(
            f"{str(path)!r} has {rows} × {columns} numbers, at most {LARGEST_SIDE} a side: give a part of it"
        )


def _integer(text: str) -> int:
    """A number of plain digits. Python also takes 1_6 and digits of other scripts, unlike all other readers."""
    if not re.fullmatch("-?[0-9]+", text):
        raise ValueError(text)
    return int(text)


def _random_values(count: int, seed: int) -> Int64:
    random = np.random.default_rng([seed, 0])
    return random.integers(1, INT8_MAX + 1, count) * random.choice([-1, 1], count)


def _dense(path: Path, shape: tuple[int, int], rows: Int64, columns: Int64, values: np.ndarray) -> Float32:
    places = np.sort(rows * shape[1] + columns)
    twice = np.flatnonzero(places[1:] == places[:-1])
    if len(twice):
        row, column = divmod(int(places[twice[0]]), shape[1])
        raise _damaged(path, f"row {row}, column {column} is given twice, counted from 0")
    matrix = np.zeros(shape, np.float32)
    matrix[rows, columns] = _as_float32(path, values)
    return matrix


def _as_float32(path: Path, values: np.ndarray) -> Float32:
    if not np.isfinite(values).all():
        raise InputError(f"{str(path)!r} holds NaN or infinity: give finite weights")
    if np.abs(values).max(initial=0) > np.finfo(np.float32).max:
        raise InputError(f"{str(path)!r} holds numbers beyond float32: scale them down")
    return values.astype(np.float32)


# -- MatrixMarket ------------------------------------------------------------------------------

# scipy.io.mmread crashes at some damaged files, such as one that ends in "1.5E-", and reads 1d5 as 1.

LAYOUTS = ("coordinate", "array")
FIELDS = ("real", "double", "integer", "unsigned-integer", "pattern")
SYMMETRIES = ("general", "symmetric", "skew-symmetric", "hermitian")


class _Head(NamedTuple):
    """First lines of a file, and its lines of numbers. ``fields`` is how many numbers a line has."""

    shape: tuple[int, int]
    dense: bool
    valued: bool
    symmetry: str
    fields: int
    expected: int
    lines: list[str]


def _head(path: Path, data: bytes) -> _Head:
    """Check the first lines."""
    banner, *lines = (line.decode("latin-1") for line in data.splitlines() or [b""])
    kind, matrix, layout, field, symmetry = (*banner.lower().split(), "", "", "", "", "")[:5]
    if kind != "%%matrixmarket" or matrix != "matrix" or layout not in LAYOUTS:
        raise _damaged(path, "its first line must begin: %%MatrixMarket matrix coordinate, or array")
    if field == "complex":
        raise InputError(f"{str(path)!r} holds complex numbers: give real ones")
    dense, valued = layout == "array", field != "pattern"
    told = f"{layout} {field} {symmetry}".rstrip()
    if field not in FIELDS or symmetry not in SYMMETRIES or (dense and not valued):
        raise _damaged(path, f"its first line says {told!r}")
    symmetry = "symmetric" if symmetry == "hermitian" else symmetry  # of real numbers, that is the same
    sizes, *lines = [line for line in lines if line.strip() and not line.startswith("%")] or [""]
    try:
        rows, columns, *entries = map(_integer, sizes.split())
        (expected,) = [0] if dense and not entries else entries
    except ValueError:
        raise _damaged(path, f"its line of sizes is {sizes[:40].strip()!r}") from None
    _check_sizes(path, rows, columns)
    if min(rows, columns, expected) < 0 or (symmetry != "general" and rows != columns):
        raise _damaged(path, f"a {symmetry} matrix cannot have the sizes {sizes.strip()!r}")
    if dense:
        triangle = rows * (rows - 1) // 2
        expected = {"general": rows * columns, "symmetric": triangle + rows}.get(symmetry, triangle)
    return _Head((rows, columns), dense, valued, symmetry, 1 if dense else 2 + valued, expected, lines)


def _read_market(path: Path, data: bytes, seed: int) -> Float32:
    head = _head(path, data)
    if len(head.lines) != head.expected:
        raise _damaged(path, f"it has {len(head.lines)} lines of numbers, and must have {head.expected}")
    numbers = np.empty((0, head.fields))
    if head.lines:
        try:
            numbers = np.loadtxt(head.lines, np.float64, ndmin=2, comments=None)
        except ValueError as error:
            raise _damaged(path, str(error).partition(";")[0].rstrip(".")) from None
    if numbers.shape[1] != head.fields:
        raise _damaged(path, f"its lines have {numbers.shape[1]} numbers, and must have {head.fields}")
    if head.dense and head.symmetry == "general":
        return _as_float32(path, numbers.reshape(head.shape, order="F"))
    if head.dense:  # the lower triangle, column by column
        columns, rows = np.triu_indices(head.shape[0], k=int(head.symmetry == "skew-symmetric"))
    else:
        rows, columns = _places(path, head, numbers[:, :2])
    values = numbers[:, -1] if head.valued else _random_values(len(rows), seed)
    if head.symmetry != "general":
        beside = rows != columns
        mirrored = values[beside] if head.symmetry == "symmetric" else -values[beside]
        rows, columns = np.append(rows, columns[beside]), np.append(columns, rows[beside])
        values = np.append(values, mirrored)
    return _dense(path, head.shape, rows, columns, values)


def _places(path: Path, head: _Head, numbers: NDArray[np.float64]) -> tuple[Int64, Int64]:
    """Row and column of each entry, from 0."""
    indices = re.compile(r"\s*-?[0-9]+\s+-?[0-9]+(\s|$)")
    for line in (line for line in head.lines if not indices.match(line)):
        raise _damaged(path, f"row and column are no integers in the line {line[:40].strip()!r}")
    wrong = np.flatnonzero(((numbers < 1) | (numbers > head.shape)).any(axis=1))
    if len(wrong):
        row, column = numbers[wrong[0]]
        raise _damaged(path, f"row {row:g}, column {column:g} lies outside of {head.shape[0]} × {head.shape[1]}")
    rows, columns = numbers.astype(np.int64).T - 1
    return rows, columns


# -- patterns ----------------------------------------------------------------------------------


def _pattern_sizes(path: Path, data: bytes) -> tuple[int, int, int]:
    """Rows, columns and entries by the first line."""
    line = data.partition(b"\n")[0].decode("latin-1")
    try:
        rows, columns, entries = map(_integer, line.replace(",", " ").split())
    except ValueError:
        raise _damaged(path, "its first line must be: rows, columns, entries") from None
    _check_sizes(path, rows, columns)
    if min(rows, columns, entries) < 0:
        raise _damaged(path, "a number in its first line is negative")
    return rows, columns, entries


def _read_pattern(path: Path, data: bytes, seed: int) -> Float32:
    rows, columns, entries = _pattern_sizes(path, data)
    try:
        if not re.fullmatch(rb"[-\s0-9]*", body := data.partition(b"\n")[2]):
            raise ValueError
        numbers = np.array(body.split(), np.int64)
    except (ValueError, OverflowError):
        raise _damaged(path, "a row offset or column is no integer") from None
    if len(numbers) != rows + 1 + entries:
        raise _damaged(path, f"{rows + 1} row offsets and {entries} columns are not {len(numbers)} numbers")
    offsets, places = numbers[: rows + 1], numbers[rows + 1 :]
    if offsets[0] != 0 or offsets[-1] != entries or (np.diff(offsets) < 0).any():
        raise _damaged(path, f"row offsets must rise from 0 to {entries}")
    lines = np.repeat(np.arange(rows), np.diff(offsets))
    outside = np.flatnonzero((places < 0) | (places >= columns))
    if len(outside):
        entry = outside[0]
        raise _damaged(path, f"row {lines[entry]}: column {places[entry]} is not from 0 to {columns - 1}")
    return _dense(path, (rows, columns), lines, places, _random_values(entries, seed))
