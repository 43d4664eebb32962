"""CSR with 8-bit deltas: a word for each weight, with the number of columns skipped before it as index.

A word with delta 255, the escape, skips 255 columns and holds no weight. Weights that are stored with 4 bits have no
delta above 15. In a larger gap, words with delta 15 and the value 0 move the position by 16 columns each.
"""

import numpy as np

from ....spec.errors import InputError
from ....spec.weight_words import DELTA_BITS, ESCAPE
from ..matrices import Entries, Words, find_first, row_numbers, word_name

__all__ = ["decode", "encode"]


def encode(weights: Entries, delta_bits: int = DELTA_BITS) -> Words:
    """Convert a matrix to words."""
    filler = (1 << delta_bits) - 1
    step = filler + (filler != ESCAPE)
    # The column of the entry before in the same row, or -1.
    before = np.full(len(weights.columns), -1)
    before[1:] = np.where(np.diff(weights.rows) == 0, weights.columns[:-1], -1)
    fillers, deltas = np.divmod(weights.columns - before - 1, step)
    # An entry takes its fillers and then one word, at the position `ends - 1`. All other words are fillers.
    ends = np.cumsum(fillers + 1)
    total = int(ends[-1]) if len(ends) else 0
    values, indices = np.zeros((total, 1), np.int8), np.full((total, 1), filler, np.int64)
    values[ends - 1, 0], indices[ends - 1, 0] = weights.values, deltas
    # bincount adds in float64, which is exact here: a row has no more words than columns.
    lengths = np.bincount(weights.rows, weights=fillers + 1, minlength=weights.shape[0]).astype(np.int64)
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
