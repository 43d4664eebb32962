"""Bank-balanced sparsity: a word holds a weight of every bank of a row, with its column inside the bank.

After Cao et al., "Efficient and Effective Sparse LSTM on FPGA with Bank-Balanced Sparsity" (FPGA 2019).
"""

import numpy as np

from ....spec.errors import InputError
from ....spec.formats import ceil_div
from ...lib.integer import Int64
from ..matrices import Entries, Words, first, padded_offsets

__all__ = ["decode", "encode"]


def _bank_columns(columns: int, banks: int) -> Int64:
    """(banks,) columns of each bank; the last ones may have fewer than the others, or none."""
    width = ceil_div(columns, banks)
    return np.clip(columns - width * np.arange(banks), 0, width)


def encode(weights: Entries, banks: int) -> Words:
    """The words of a matrix.

    Raises
    ------
    InputError
        A bank has another number of weights than the others. One with fewer columns may have fewer weights.
    """
    rows, columns = weights.shape
    width = ceil_div(columns, banks)
    banked = weights.rows * banks + weights.columns // width
    counts = np.bincount(banked, minlength=rows * banks).reshape(rows, banks)
    whole = _bank_columns(columns, banks) == width
    # The commonest number is taken for the right one, so that the message points at the odd bank out.
    count = int(np.bincount(counts[:, whole].ravel()).argmax())
    if (found := first(np.where(whole, counts != count, counts > count))) is not None:
        row, bank = found
        raise InputError(
            f"row {row}, bank {bank} (columns {bank * width} to {min((bank + 1) * width, columns) - 1}) has "
            f"{counts[found]} weights where the other banks have {count}: prune with banks={banks}, and give "
            "weights that became zero as stored zeros of a scipy.sparse matrix"
        )
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
    """The matrix of so many columns. Zeros are part of the pattern except in banks that may have fewer weights.

    Raises
    ------
    InputError
        A column is outside its bank or the matrix, or columns do not ascend in a bank.
    """
    rows, width = len(words.lengths), ceil_div(columns, banks)
    count = len(words.values) // rows

    def per_bank(per_word):
        return per_word.reshape(rows, count, banks).transpose(0, 2, 1)

    offsets, values = per_bank(words.indices), per_bank(words.values)
    bank_columns = _bank_columns(columns, banks)[:, None]
    # What pads a short bank may lie beyond it: it has no weight.
    outside = (offsets >= width) | ((offsets >= bank_columns) & (values != 0))
    if (found := first(outside)) is not None:
        row, bank, word = found
        raise InputError(
            f"row {row}, word {word}, bank {bank}: column {offsets[found]} lies outside the bank's "
            f"{bank_columns[bank, 0]} columns"
        )
    if (found := first(np.diff(offsets, axis=2) <= 0)) is not None:
        row, bank, word = found
        raise InputError(
            f"row {row}, word {word + 1}, bank {bank}: column {offsets[row, bank, word + 1]} comes after column "
            f"{offsets[row, bank, word]}: columns must ascend in a bank"
        )
    row, bank, word = np.nonzero((values != 0) | (bank_columns == width))
    entries = row, bank, word
    return Entries((rows, columns), row, bank * width + offsets[entries], values[entries])
