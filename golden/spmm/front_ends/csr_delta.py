"""CSR with 8-bit deltas: a word for each weight, with the number of columns skipped before it as index.

A word with delta 255, the escape, skips 255 columns and holds no weight.
"""

import numpy as np

from ....spec.errors import InputError
from ....spec.weight_words import ESCAPE
from ..matrices import Entries, Words, find_first, row_numbers, word_name

__all__ = ["decode", "encode"]


def encode(weights: Entries) -> Words:
    """Convert a matrix to words."""
    # The column of the entry before in the same row, or -1.
    before = np.full(len(weights.columns), -1)
    before[1:] = np.where(np.diff(weights.rows) == 0, weights.columns[:-1], -1)
    escapes, deltas = np.divmod(weights.columns - before - 1, ESCAPE)
    # An entry takes its escapes and then one word, at the position `ends - 1`. All other words are escapes.
    ends = np.cumsum(escapes + 1)
    total = int(ends[-1]) if len(ends) else 0
    values, indices = np.zeros((total, 1), np.int8), np.full((total, 1), ESCAPE, np.int64)
    values[ends - 1, 0], indices[ends - 1, 0] = weights.values, deltas
    # bincount adds in float64, which is exact here: a row has no more words than columns.
    lengths = np.bincount(weights.rows, weights=escapes + 1, minlength=weights.shape[0]).astype(np.int64)
    return Words(values, indices, lengths)


def decode(words: Words, columns: int) -> Entries:
    """Convert words to a matrix with ``columns`` columns. Values of 0 are not entries.

    Raises
    ------
    InputError
        A delta has more than 8 bits, an escape has a value, or a row goes beyond its last column.
    """
    deltas, values, rows = words.indices[:, 0], words.values[:, 0], row_numbers(words.lengths)
    if (found := find_first(deltas > ESCAPE)) is not None:
        raise InputError(f"{word_name(words.lengths, *found)}: delta must be at most {ESCAPE}, not {deltas[found]}")
    escapes = deltas == ESCAPE
    if (found := find_first(escapes & (values != 0))) is not None:
        raise InputError(
            f"{word_name(words.lengths, *found)}: value must be 0, because delta {ESCAPE} only skips columns, "
            f"not {values[found]}"
        )
    # Columns that all words up to each one move on; from the first word of the row, this gives the column after it.
    moved = np.concatenate([[0], np.cumsum(np.where(escapes, ESCAPE, deltas + 1))])
    starts = np.cumsum(words.lengths) - words.lengths
    positions = moved[1:] - moved[starts[rows]] - 1
    if (found := find_first(positions >= columns)) is not None:
        raise InputError(
            f"{word_name(words.lengths, *found)}: column {positions[found]} lies outside the matrix: "
            f"columns must be from 0 to {columns - 1}"
        )
    entries = np.flatnonzero(values)
    return Entries((len(words.lengths), columns), rows[entries], positions[entries], values[entries])
