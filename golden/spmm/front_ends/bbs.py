"""Bank-balanced sparsity: a word holds one weight of every bank of a row, with its column inside the bank.

See Cao et al., "Efficient and Effective Sparse LSTM on FPGA with Bank-Balanced Sparsity" (FPGA 2019).
"""

import numpy as np

from ....spec.errors import InputError
from ....spec.formats import ceil_div
from ...lib.integer import Int64
from ..matrices import Entries, Words, find_first, padded_offsets

__all__ = ["decode", "encode"]


def _bank_columns(columns: int, banks: int) -> Int64:
    """Number of columns of each bank, (banks,). The last banks may have fewer columns than the others, or none."""
    width = ceil_div(columns, banks)
    return np.clip(columns - width * np.arange(banks), 0, width)


def encode(weights: Entries, banks: int) -> Words:
    """Convert a matrix to words. The bank with the most weights, of all rows, gives the number of words of a row."""
    rows, columns = weights.shape
    width = ceil_div(columns, banks)
    banked = weights.rows * banks + weights.columns // width
    count = int(np.bincount(banked, minlength=1).max())
    present = np.zeros((rows * banks, width), np.bool_)
    present[banked, weights.columns % width] = True
    values = np.zeros(present.shape, np.int8)
    values[banked, weights.columns % width] = weights.values
    offsets = padded_offsets(present, count)

    def words(per_bank):
        return per_bank.reshape(rows, banks, count).transpose(0, 2, 1).reshape(rows * count, banks)

    taken = np.take_along_axis(values, offsets, axis=1)
    return Words(words(taken), words(offsets), np.full(rows, count, np.int64))


def decode(words: Words, columns: int, banks: int) -> Entries:
    """Convert words to a matrix with ``columns`` columns. Values of 0 are not entries.

    Raises
    ------
    InputError
        A column is outside its bank or the matrix, or the columns of a bank do not ascend.
    """
    rows, width = len(words.lengths), ceil_div(columns, banks)
    count = len(words.values) // rows

    def per_bank(per_word):
        return per_word.reshape(rows, count, banks).transpose(0, 2, 1)

    offsets, values = per_bank(words.indices), per_bank(words.values)
    bank_columns = _bank_columns(columns, banks)[:, None]
    # Padding may lie beyond a short bank. Its value is 0.
    outside = (offsets >= width) | ((offsets >= bank_columns) & (values != 0))
    if (found := find_first(outside)) is not None:
        row, bank, word = found
        raise InputError(
            f"row {row}, word {word}, bank {bank}: column {offsets[found]} lies outside the bank's "
            f"{bank_columns[bank, 0]} columns"
        )
    if (found := find_first(np.diff(offsets, axis=2) <= 0)) is not None:
        row, bank, word = found
        raise InputError(
            f"row {row}, word {word + 1}, bank {bank}: column {offsets[row, bank, word + 1]} comes after column "
            f"{offsets[row, bank, word]}: columns must ascend in a bank"
        )
    row, bank, word = entries = np.nonzero(values)
    return Entries((rows, columns), row, bank * width + offsets[entries], values[entries])
