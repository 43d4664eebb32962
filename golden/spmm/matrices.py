"""Data types that packing and front ends share: matrices in canonical form, and weight words."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...spec.errors import InputError
from ..lib.integer import Int8, Int64

__all__ = ["Entries", "Words", "canonical", "find_first", "padded_offsets", "row_numbers", "word_name"]


class Entries(NamedTuple):
    """Matrix in canonical form: its entries, sorted by row, then by column. No entry is zero or given twice.

    Attributes
    ----------
    shape : (M, K)
    rows, columns : (entries,) int64
    values : (entries,) int8
    """

    shape: tuple[int, int]
    rows: Int64
    columns: Int64
    values: Int8

    def lengths(self) -> Int64:
        """Number of entries of each row, (M,)."""
        return np.bincount(self.rows, minlength=self.shape[0])

    def to_dense(self) -> Int8:
        """The matrix as an (M, K) array."""
        matrix = np.zeros(self.shape, np.int8)
        matrix[self.rows, self.columns] = self.values
        return matrix

    def to_csr(self) -> sparse.csr_array:
        """The matrix as a CSR array of scipy."""
        starts = np.concatenate([[0], np.cumsum(self.lengths())])
        return sparse.csr_array((self.values, self.columns, starts), shape=self.shape)


class Words(NamedTuple):
    """Weight words of a matrix, row after row; see :mod:`~thresher.spec.weight_words`.

    Attributes
    ----------
    values : (words, V) int8
    indices : (words, V) int64
        0 in formats without indices.
    lengths : (rows,) int64
        Number of words of each row.
    """

    values: Int8
    indices: Int64
    lengths: Int64


def row_numbers(lengths: Int64) -> Int64:
    """Row of each word (or entry), where ``lengths`` holds the number of words of each row."""
    return np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)


def find_first(condition: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """Index of the first true element of an array, or None."""
    if not condition.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(condition)), condition.shape))


def word_name(lengths: Int64, word: int) -> str:
    """Name of a word for messages: "row 3, word 5", counted inside the row."""
    row = int(np.searchsorted(np.cumsum(lengths), word, side="right"))
    return f"row {row}, word {word - int(lengths[:row].sum())}"


def padded_offsets(present: NDArray[np.bool_], count: int) -> Int64:
    """Choose ``count`` members of each group: all that are present, then the lowest absent ones.

    Parameters
    ----------
    present : (groups, members) bool
        At most ``count`` members of each group are present.
    count : int

    Returns
    -------
    (groups, count) int64
        Offsets inside the group, ascending.
    """
    absent = ~present
    missing = count - present.sum(axis=1, keepdims=True)
    chosen = present | (absent & (np.cumsum(absent, axis=1) <= missing))
    return np.nonzero(chosen)[1].reshape(len(present), count)


def canonical(weights: Any) -> Entries:
    """Convert a weight matrix of any accepted type to canonical form.

    Parameters
    ----------
    weights : (M, K) int8 NumPy array, or scipy.sparse CSR, CSC or COO of int8, array or matrix
        The entries are the non-zeros. Zeros that a sparse matrix stores are left out.

    Raises
    ------
    InputError
        The type, dtype or shape is wrong, the array is masked, or an index is out of range, out of order (in CSR and
        CSC) or given twice. The message names the row and the column.
    """
    if not isinstance(weights, np.ndarray) and not sparse.issparse(weights):
        raise InputError(f"weights must be a NumPy array or a scipy.sparse matrix, not {type(weights).__name__}")
    if isinstance(weights, np.ma.MaskedArray):
        raise InputError("weights must not be a masked array: replace the masked values with .filled(0)")
    if weights.dtype != np.int8:
        raise InputError(f"weights must have dtype int8, not {weights.dtype}: quantise them first")
    if weights.ndim != 2 or 0 in weights.shape:
        raise InputError(f"weights must have two dimensions (M, K) of at least 1, not shape {weights.shape}")
    shape: tuple[int, int] = weights.shape
    if isinstance(weights, np.ndarray):
        matrix = np.asarray(weights)
        rows, columns = np.nonzero(matrix)
        return Entries(shape, rows, columns, matrix[rows, columns])

    match weights.format:
        case "csr":
            rows, columns = _compressed(weights, shape[0])
            _check_indices(shape, rows, columns)
            _check_order("CSR", rows, columns, rows * shape[1] + columns)
        case "csc":
            columns, rows = _compressed(weights, shape[1])
            _check_indices(shape, rows, columns)
            _check_order("CSC", rows, columns, columns * shape[0] + rows)
        case "coo":  # in any order
            rows, columns = _coordinates(weights)
            _check_indices(shape, rows, columns)
        case other:
            raise InputError(f"weights must be CSR, CSC or COO, not {other.upper()}: convert them with .tocsr()")
    order = np.lexsort((columns, rows))
    order = order[weights.data[order] != 0]
    return Entries(shape, rows[order], columns[order], weights.data[order])


def _compressed(weights: Any, lines: int) -> tuple[Int64, Int64]:
    """Line and index of each entry. Lines are the rows of CSR and the columns of CSC.

    The arrays of the matrix may be longer than its last entry.
    """
    ends, indices = np.asarray(weights.indptr, np.int64), np.asarray(weights.indices, np.int64)
    available = min(len(indices), len(weights.data))
    if len(ends) != lines + 1 or ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] > available:
        raise InputError(f"weights: indptr must rise from 0 to at most {available} in {lines} steps")
    return row_numbers(np.diff(ends)), indices[: ends[-1]]


def _coordinates(weights: Any) -> tuple[Int64, Int64]:
    """Row and column of each entry of a COO matrix."""
    rows, columns = np.asarray(weights.row, np.int64), np.asarray(weights.col, np.int64)
    if not rows.shape == columns.shape == weights.data.shape:
        raise InputError(
            f"weights: {len(rows)} rows, {len(columns)} columns and {len(weights.data)} values must be equally many"
        )
    return rows, columns


def _check_indices(shape: tuple[int, int], rows: Int64, columns: Int64) -> None:
    """Check that all entries are inside the matrix and that none is given twice."""
    for axis, indices, size in (("row", rows, shape[0]), ("column", columns, shape[1])):
        if (found := find_first((indices < 0) | (indices >= size))) is not None:
            where = f"row {rows[found]}, column {columns[found]}"
            raise InputError(f"weights: {where} lies outside the matrix: {axis}s must be from 0 to {size - 1}")
    positions = rows * shape[1] + columns
    order = np.argsort(positions, kind="stable")
    if (found := find_first(np.diff(positions[order]) == 0)) is not None:
        entry = order[found]
        raise InputError(f"weights: row {rows[entry]}, column {columns[entry]} is given twice")


def _check_order(name: str, rows: Int64, columns: Int64, positions: Int64) -> None:
    """Check that the positions of entries ascend in a matrix of the format ``name``."""
    if (found := find_first(np.diff(positions) < 0)) is not None:
        before, after = found[0], found[0] + 1
        raise InputError(
            f"weights: row {rows[after]}, column {columns[after]} comes after row {rows[before]}, "
            f"column {columns[before]} in a {name} matrix: put them in order with .sort_indices()"
        )
