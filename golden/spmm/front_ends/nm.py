"""N:M: a word for each group of M columns, with at most N weights and their columns inside the group."""

import numpy as np

from ....spec.errors import InputError
from ....spec.formats import ceil_div
from ..matrices import Entries, Words, find_first, padded_offsets

__all__ = ["decode", "encode"]


def encode(weights: Entries, kept: int, group: int) -> Words:
    """Convert a matrix to words.

    Raises
    ------
    InputError
        A group has more than ``kept`` weights.
    """
    rows, columns = weights.shape
    groups = ceil_div(columns, group)
    grouped = weights.rows * groups + weights.columns // group
    counts = np.bincount(grouped, minlength=rows * groups).reshape(rows, groups)
    if (found := find_first(counts > kept)) is not None:
        row, number = found
        raise InputError(
            f"row {row}, columns {number * group} to {min((number + 1) * group, columns) - 1} have {counts[found]} "
            f"weights, more than {kept} of {group}: prune to {kept}:{group} first (a sparsity of "
            f"{1 - kept / group:g}), or choose another format"
        )
    present = np.zeros((rows * groups, group), np.bool_)
    present[grouped, weights.columns % group] = True
    values = np.zeros(present.shape, np.int8)
    values[grouped, weights.columns % group] = weights.values
    offsets = padded_offsets(present, kept)
    return Words(np.take_along_axis(values, offsets, axis=1), offsets, np.full(rows, groups, np.int64))


def decode(words: Words, columns: int, group: int) -> Entries:
    """Convert words to a matrix with ``columns`` columns. Values of 0 are not entries.

    Raises
    ------
    InputError
        A column is outside its group or the matrix, or the columns of a group do not ascend.
    """
    groups = ceil_div(columns, group)
    row, number = np.divmod(np.arange(len(words.values)), groups)
    offsets, values = words.indices, words.values
    all_columns = number[:, None] * group + offsets
    # Padding of the last group may lie beyond the matrix. Its value is 0.
    if (found := find_first((offsets >= group) | ((all_columns >= columns) & (values != 0)))) is not None:
        word = found[0]
        raise InputError(
            f"row {row[word]}, word {number[word]}: column {offsets[found]} of the group lies outside its "
            f"{min(group, columns - number[word] * group)} columns"
        )
    if (found := find_first(np.diff(offsets, axis=1) <= 0)) is not None:
        word, i = found
        raise InputError(
            f"row {row[word]}, word {number[word]}: column {offsets[word, i + 1]} of the group comes after column "
            f"{offsets[word, i]}: columns must ascend in a group"
        )
    entries = np.nonzero(values)
    return Entries((len(words.lengths), columns), row[entries[0]], all_columns[entries], values[entries])
