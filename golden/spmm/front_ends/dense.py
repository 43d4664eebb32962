"""Dense: a word for each column of a row, without an index."""

import numpy as np

from ..matrices import Entries, Words

__all__ = ["decode", "encode"]


def encode(weights: Entries) -> Words:
    """Convert a matrix to words."""
    rows, columns = weights.shape
    values = weights.to_dense().reshape(-1, 1)
    return Words(values, np.zeros(values.shape, np.int64), np.full(rows, columns, np.int64))


def decode(words: Words, columns: int) -> Entries:
    """Convert words to a matrix with ``columns`` columns. Values of 0 are not entries."""
    matrix = words.values.reshape(len(words.lengths), columns)
    row, column = np.nonzero(matrix)
    return Entries(matrix.shape, row, column, matrix[row, column])
