"""Bank-balanced words, compared with their definition."""

import pytest
from hypothesis import given
from thresher.golden.spmm.front_ends import bbs
from thresher.spec import InputError

from ....strategies import balanced_patterns
from ..matrices import as_dict, entries, nonzero, rows_of, words


def test_words_by_hand():
    """Two banks of three columns, two weights of each."""
    matrix = entries(((2, 6), {(0, 0): 1, (0, 2): 2, (0, 4): 3, (0, 5): 0, (1, 1): 5, (1, 2): 6, (1, 3): 7, (1, 4): 8}))
    assert rows_of(bbs.encode(matrix, 2)) == [
        [([1, 3], [0, 1]), ([2, 0], [2, 2])],
        [([5, 7], [1, 0]), ([6, 8], [2, 1])],
    ]


def test_a_short_bank_is_padded_at_its_lowest_free_columns():
    """Five columns in two banks of three and two; the last bank has one weight, or none, where the first has two."""
    matrix = entries(((2, 5), {(0, 0): 1, (0, 1): 2, (0, 4): 3, (1, 1): 4, (1, 2): 5}))
    assert rows_of(bbs.encode(matrix, 2)) == [
        [([1, 0], [0, 0]), ([2, 3], [1, 1])],
        [([4, 0], [1, 0]), ([5, 0], [2, 1])],
    ]


def test_banks_without_columns():
    """Five columns in four banks of two: the third has one, the last none."""
    matrix = entries(((1, 5), {(0, 0): 1, (0, 1): 2, (0, 2): 3, (0, 3): 4, (0, 4): 5}))
    encoded = bbs.encode(matrix, 4)
    assert rows_of(encoded) == [[([1, 3, 5, 0], [0, 0, 0, 0]), ([2, 4, 0, 0], [1, 1, 1, 1])]]
    assert as_dict(bbs.decode(encoded, 5, 4)) == as_dict(matrix)


@given(balanced_patterns())
def test_word_i_has_the_ith_value_of_every_bank(drawn):
    pattern, banks = drawn
    (_, columns), expected = pattern
    width = -(-columns // banks)
    encoded = bbs.encode(entries(pattern), banks)
    found, lines = {}, rows_of(encoded)
    for row, line in enumerate(lines):
        for bank in range(banks):
            offsets = [indices[bank] for _, indices in line]
            assert offsets == sorted(set(offsets))
            assert all(offset < width for offset in offsets)
            for values, indices in line:
                found[row, bank * width + indices[bank]] = values[bank]
    assert len({len(line) for line in lines}) == 1
    assert expected.items() <= found.items()
    assert nonzero(found) == nonzero(expected)
    decoded = as_dict(bbs.decode(encoded, columns, banks))
    assert nonzero(decoded) == nonzero(expected)
    # Zeros stay in whole banks.
    assert {place for place in expected if place[1] // width < columns // width} <= set(decoded)
    assert rows_of(bbs.encode(bbs.decode(encoded, columns, banks), banks)) == lines


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ((1, 2), r"row 1, bank 1 \(columns 2 to 3\) has 0 weights where the other banks have 1: .*stored zeros"),
        ((0, 0), r"row 0, bank 0 \(columns 0 to 1\) has 0 weights"),
    ],
)
def test_an_unbalanced_bank_is_named(missing, message):
    found = {(0, 0): 1, (0, 2): 1, (0, 4): 1, (1, 1): 1, (1, 2): 1, (1, 5): 1}
    del found[missing]
    with pytest.raises(InputError, match=message):
        bbs.encode(entries(((2, 7), found)), 4)


def test_a_short_bank_may_not_have_more_than_the_others():
    found = {(0, 0): 1, (0, 3): 1, (0, 6): 1, (0, 7): 1}
    with pytest.raises(
        InputError, match=r"row 0, bank 2 \(columns 6 to 7\) has 2 weights where the other banks have 1"
    ):
        bbs.encode(entries(((1, 8), found)), 3)


def test_all_rows_have_the_same_number():
    found = {(0, 0): 1, (0, 2): 1, (1, 0): 1, (1, 2): 1, (2, 0): 1, (2, 1): 1, (2, 2): 1, (2, 3): 1}
    with pytest.raises(
        InputError, match=r"row 2, bank 0 \(columns 0 to 1\) has 2 weights where the other banks have 1"
    ):
        bbs.encode(entries(((3, 4), found)), 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[([1, 1], [0, 0])], [([1, 1], [2, 3])]], "row 1, word 0, bank 1: column 3 lies outside the bank's 2 columns"),
        ([[([1, 1], [0, 2])]], "row 0, word 0, bank 1: column 2 lies outside the bank's 2 columns"),
        ([[([1, 1], [2, 0]), ([1, 1], [1, 1])]], "row 0, word 1, bank 0: column 1 comes after column 2"),
        ([[([1, 1], [0, 1]), ([1, 0], [1, 1])]], "row 0, word 1, bank 1: column 1 comes after column 1"),
    ],
)
def test_malformed_words_are_rejected_by_row_word_and_bank(rows, message):
    with pytest.raises(InputError, match=message):
        bbs.decode(words(rows, values=2), 5, 2)


def test_padding_beyond_a_short_bank_is_accepted():
    decoded = bbs.decode(words([[([1, 3], [0, 0]), ([1, 4], [1, 1]), ([1, 0], [2, 2])]], values=2), 5, 2)
    assert as_dict(decoded) == {(0, 0): 1, (0, 1): 1, (0, 2): 1, (0, 3): 3, (0, 4): 4}
