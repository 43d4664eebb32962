"""CSR words, compared with their definition."""

import pytest
from hypothesis import given
from thresher.golden.spmm.front_ends import csr
from thresher.spec import InputError

from ....strategies import patterns
from ..matrices import as_dict, entries, nonzero, rows_of, words


def test_words_by_hand():
    matrix = entries(((3, 300), {(0, 299): -128, (0, 0): 127, (0, 5): 0, (2, 7): 1}))
    assert rows_of(csr.encode(matrix)) == [[([127], [0]), ([-128], [299])], [], [([1], [7])]]


@given(patterns())
def test_a_word_is_a_column_and_its_value(pattern):
    (_, columns), expected = pattern[0], nonzero(pattern[1])
    encoded = csr.encode(entries(pattern))
    found = {(row, index): value for row, line in enumerate(rows_of(encoded)) for (value,), (index,) in line}
    assert found == expected
    assert as_dict(csr.decode(encoded, columns)) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[([1], [0])], [([1], [2]), ([1], [4])]], "row 1, word 1: column 4 lies outside the matrix: .* 0 to 3"),
        ([[], [([1], [2]), ([1], [1])]], "row 1, word 1: column 1 comes after column 2"),
        ([[([1], [3]), ([2], [3])]], "row 0, word 1: column 3 comes after column 3"),
    ],
)
def test_malformed_words_are_rejected_by_row_and_word(rows, message):
    with pytest.raises(InputError, match=message):
        csr.decode(words(rows), 4)


def test_a_word_of_value_0_is_not_a_weight():
    decoded = csr.decode(words([[([1], [0]), ([0], [1]), ([2], [3])], [([0], [2])]]), 4)
    assert as_dict(decoded) == {(0, 0): 1, (0, 3): 2}


def test_columns_start_again_in_every_row():
    decoded = csr.decode(words([[([1], [3])], [([2], [0])]]), 4)
    assert as_dict(decoded) == {(0, 3): 1, (1, 0): 2}
