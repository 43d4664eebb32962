"""Matrices as the tests of packing give them: entries by row and column, in every type that is accepted."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse
from thresher.golden.spmm.matrices import Entries, Words, canonical

from ...strategies import Pattern

COMPRESSED = [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.csc_matrix]
SPARSE = [*COMPRESSED, sparse.coo_array, sparse.coo_matrix]


def coo(pattern: Pattern) -> sparse.coo_array:
    """The entries in their dictionary's order, zeros included."""
    shape, entries = pattern
    rows = np.array([row for row, _ in entries], np.int32)
    columns = np.array([column for _, column in entries], np.int32)
    return sparse.coo_array((np.array(list(entries.values()), np.int8), (rows, columns)), shape=shape)


def entries(pattern: Pattern) -> Entries:
    return canonical(coo(pattern))


def as_dict(matrix: Entries) -> dict[tuple[int, int], int]:
    assert matrix.rows.shape == matrix.columns.shape == matrix.values.shape
    keys = list(zip(matrix.rows.tolist(), matrix.columns.tolist(), strict=True))
    assert keys == sorted(set(keys))
    return dict(zip(keys, matrix.values.tolist(), strict=True))


def nonzero(found: Mapping[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    return {place: value for place, value in found.items() if value}


def rows_of(words: Words) -> list[list[tuple[list[int], list[int]]]]:
    """Values and indices of each word of each row, as Python's own integers."""
    every = list(zip(words.values.tolist(), words.indices.tolist(), strict=True))
    ends = np.cumsum(words.lengths).tolist()
    assert [len(every)] == ends[-1:]
    return [every[end - length : end] for end, length in zip(ends, words.lengths.tolist(), strict=True)]


def words(rows: list[list[tuple[list[int], list[int]]]], *, values: int = 1) -> Words:
    """The inverse of :func:`rows_of`."""
    every = [word for row in rows for word in row]
    return Words(
        np.array([word[0] for word in every], np.int8).reshape(-1, values),
        np.array([word[1] for word in every], np.int64).reshape(-1, values),
        np.array([len(row) for row in rows], np.int64),
    )
