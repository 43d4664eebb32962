"""What packing and front ends share: matrices in canonical form, and the words of packed ones."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...spec.errors import InputError
from ..lib.integer import Int8, Int64

__all__ = ["Entries", "Words", "canonical", "first", "padded_offsets", "place", "row_numbers"]


class Entries(NamedTuple):
    """A matrix in canonical form: its entries sorted by row, then column, none given twice.

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
        """(M,) entries of each row."""
        return np.bincount(self.rows, minlength=self.shape[0])

    def to_dense(self) -> Int8:
        """(M, K)."""
        matrix = np.zeros(self.shape, np.int8)
        matrix[self.rows, self.columns] = self.values
        return matrix

    def to_csr(self) -> sparse.csr_array:
        """The same as scipy's type."""
        starts = np.concatenate([[0], np.cumsum(self.lengths())])
        return sparse.csr_array((self.values, self.columns, starts), shape=self.shape)


class Words(NamedTuple):
    """Weight words, row after row; see :mod:`~thresher.spec.weight_words`.

    Attributes
    ----------
    values : (words, V) int8
    indices : (words, V) int64
        0 for formats without indices.
    lengths : (rows,) int64
        Words of each row.
    """

    values: Int8
    indices: Int64
    lengths: Int64


def row_numbers(lengths: Int64) -> Int64:
    """The row of each word, or of each entry."""
    return np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)


def first(wrong: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """Where an array of faults first is true, if anywhere."""
    if not wrong.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def place(lengths: Int64, word: int) -> str:
    """Row and word inside it, for messages."""
    row = int(np.searchsorted(np.cumsum(lengths), word, side="right"))
    return f"row {row}, word {word - int(lengths[:row].sum())}"


def padded_offsets(present: NDArray[np.bool_], count: int) -> Int64:
    """Offsets of ``count`` members of each group: all that are present, and the lowest of the others.

    Parameters
    ----------
    present : (groups, members) bool
        At most ``count`` of each group.

    Returns
    -------
    (groups, count) int64, ascending
    """
    absent = ~present
    missing = count - present.sum(axis=1, keepdims=True)
    chosen = present | (absent & (np.cumsum(absent, axis=1) <= missing))
    return np.nonzero(chosen)[1].reshape(len(present), count)


def canonical(weights: Any) -> Entries:
    """The entries of a weight matrix of any accepted type.

    Parameters
    ----------
    weights : (M, K) int8 NumPy array, or scipy.sparse CSR, CSC or COO of int8, array or matrix
        The pattern is the non-zeros of a NumPy array, and all that a sparse one stores, zeros included.

    Raises
    ------
    InputError
        Another type or dtype, or a masked array; no row or no column; an index out of range, out of order (CSR, CSC)
        or given twice. The message says which row and column.
    """
    if not isinstance(weights, np.ndarray) and not sparse.issparse(weights):
        raise InputError(f"weights must be a NumPy array or a scipy.sparse matrix, not {type(weights).__name__}")
    if isinstance(weights, np.ma.MaskedArray):
        raise InputError("weights must not be a masked array, whose mask has no meaning here: use .filled(0)")
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
        case "csc":
            columns, rows = _compressed(weights, shape[1])
        case "coo":
            rows, columns = _coordinates(weights)
        case other:
            raise InputError(f"weights must be CSR, CSC or COO, not {other.upper()}: convert them with .tocsr()")
    for axis, indices, size in (("row", rows, shape[0]), ("column", columns, shape[1])):
        if (found := first((indices < 0) | (indices >= size))) is not None:
            where = f"row {rows[found]}, column {columns[found]}"
            raise InputError(f"weights: {where} lies outside the matrix: {axis}s are 0 to {size - 1}")
    keys = rows * shape[1] + columns
    order = np.argsort(keys, kind="stable")
    if (found := first(np.diff(keys[order]) == 0)) is not None:
        entry = order[found]
        raise InputError(f"weights: row {rows[entry]}, column {columns[entry]} is given twice")
    # Only COO may come in any order: in the others disorder means that something went wrong before.
    steps = {"csr": np.diff(keys), "csc": np.diff(columns * shape[0] + rows)}.get(weights.format, np.zeros(0, np.int64))
    if (found := first(steps < 0)) is not None:
        before, after = found[0], found[0] + 1
        raise InputError(
            f"weights: row {rows[after]}, column {columns[after]} comes after row {rows[before]}, "
            f"column {columns[before]} in a {weights.format.upper()} matrix: put them in order with .sort_indices()"
        )
    return Entries(shape, rows[order], columns[order], weights.data[order])


def _compressed(weights: Any, lines: int) -> tuple[Int64, Int64]:
    """Line and index of each entry of a CSR (lines are rows) or CSC matrix, whose arrays may be longer than needed."""
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
