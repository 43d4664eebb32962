"""CSR with 8-bit deltas: a word per weight, its index the columns skipped before it, and words that only skip."""

import numpy as np

from ....spec.errors import InputError
from ....spec.weight_words import ESCAPE
from ..matrices import Entries, Words, first, place, row_numbers

__all__ = ["decode", "encode"]


def encode(weights: Entries) -> Words:
    """The words of a matrix."""
    before = np.full(len(weights.columns), -1)
    before[1:] = np.where(np.diff(weights.rows) == 0, weights.columns[:-1], -1)
    escapes, deltas = np.divmod(weights.columns - before - 1, ESCAPE)
    ends = np.cumsum(escapes + 1)
    total = int(ends[-1]) if len(ends) else 0
    values, indices = np.zeros((total, 1), np.int8), np.full((total, 1), ESCAPE, np.int64)
    values[ends - 1, 0], indices[ends - 1, 0] = weights.values, deltas
    # Sums of float64 are exact here: a row has no more words than columns.
    lengths = np.bincount(weights.rows, weights=escapes + 1, minlength=weights.shape[0]).astype(np.int64)
    return Words(values, indices, lengths)


def decode(words: Words, columns: int) -> Entries:
    """The matrix of so many columns.

    Raises
    ------
    InputError
        A delta of more than 8 bits, a skip with a value, or a row that runs past its last column.
    """
    deltas, values, rows = words.indices[:, 0], words.values[:, 0], row_numbers(words.lengths)
    if (found := first(deltas > ESCAPE)) is not None:
        raise InputError(f"{place(words.lengths, *found)}: delta {deltas[found]} is larger than {ESCAPE}")
    skips = deltas == ESCAPE
    if (found := first(skips & (values != 0))) is not None:
        raise InputError(
            f"{place(words.lengths, *found)}: delta {ESCAPE} skips {ESCAPE} columns and has no value, "
            f"but value {values[found]} is given"
        )
    travelled = np.concatenate([[0], np.cumsum(np.where(skips, ESCAPE, deltas + 1))])
    starts = np.cumsum(words.lengths) - words.lengths
    positions = travelled[1:] - travelled[starts[rows]] - 1
    if (found := first(positions >= columns)) is not None:
        raise InputError(
            f"{place(words.lengths, *found)}: column {positions[found]} lies outside the matrix: "
            f"columns are 0 to {columns - 1}"
        )
    return Entries((len(words.lengths), columns), rows[~skips], positions[~skips], values[~skips])
