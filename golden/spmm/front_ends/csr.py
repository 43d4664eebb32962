"""CSR: a word for each weight, with its column as index."""

import numpy as np

from ....spec.errors import InputError
from ..matrices import Entries, Words, find_first, row_numbers, word_name

__all__ = ["decode", "encode"]


def encode(weights: Entries) -> Words:
    """Convert a matrix to words."""
    return Words(weights.values[:, None], weights.columns[:, None], weights.lengths())


def decode(words: Words, columns: int) -> Entries:
    """Convert words to a matrix with ``columns`` columns. Values of 0 are not entries.

    Raises
    ------
    InputError
        A column is out of range, or the columns of a row do not ascend.
    """
    indices, rows = words.indices[:, 0], row_numbers(words.lengths)
    if (found := find_first(indices >= columns)) is not None:
        raise InputError(
            f"{word_name(words.lengths, *found)}: column {indices[found]} lies outside the matrix: "
            f"columns must be from 0 to {columns - 1}"
        )
    if (found := find_first((np.diff(rows) == 0) & (np.diff(indices) <= 0))) is not None:
        word = found[0] + 1
        raise InputError(
            f"{word_name(words.lengths, word)}: column {indices[word]} comes after column {indices[word - 1]}: "
            "columns must ascend"
        )
    entries = np.flatnonzero(words.values)
    return Entries((len(words.lengths), columns), rows[entries], indices[entries], words.values[entries, 0])
