"""CSR: a word per weight, its index the column."""

import numpy as np

from ....spec.errors import InputError
from ..matrices import Entries, Words, first, place, row_numbers

__all__ = ["decode", "encode"]


def encode(weights: Entries) -> Words:
    """The words of a matrix."""
    return Words(weights.values[:, None], weights.columns[:, None], weights.lengths())


def decode(words: Words, columns: int) -> Entries:
    """The matrix of so many columns.

    Raises
    ------
    InputError
        A column is out of range, or columns do not ascend in a row.
    """
    indices, rows = words.indices[:, 0], row_numbers(words.lengths)
    if (found := first(indices >= columns)) is not None:
        raise InputError(
            f"{place(words.lengths, *found)}: column {indices[found]} lies outside the matrix: "
            f"columns are 0 to {columns - 1}"
        )
    if (found := first((np.diff(rows) == 0) & (np.diff(indices) <= 0))) is not None:
        word = found[0] + 1
        raise InputError(
            f"{place(words.lengths, word)}: column {indices[word]} comes after column {indices[word - 1]}: "
            "columns must ascend"
        )
    return Entries((len(words.lengths), columns), rows, indices, words.values[:, 0])
