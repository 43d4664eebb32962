"""Bank-balanced words, compared with their definition."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.golden.spmm.front_ends import bbs
from thresher.spec import InputError

from ....strategies import balanced_patterns, patterns
from ..matrices import as_dict, entries, nonzero, rows_of, words


def test_words_by_hand():
    """Two banks of three columns, two weights of each but one. A stored zero is none."""
    matrix = entries(((2, 6), {(0, 0): 1, (0, 2): 2, (0, 3): 0, (0, 4): 3, (1, 1): 5, (1, 2): 6, (1, 3): 7, (1, 4): 8}))
    assert rows_of(bbs.encode(matrix, 2)) == [
        [([1, 0], [0, 0]), ([2, 3], [2, 1])],
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
    assert nonzero(found) == nonzero(expected)
    decoded = bbs.decode(encoded, columns, banks)
    assert as_dict(decoded) == nonzero(expected)
    assert rows_of(bbs.encode(decoded, banks)) == lines


@pytest.mark.parametrize(("short", "column"), [(0, 4), (1, 1), (0, 1)])
def test_the_fullest_bank_gives_the_length_of_every_row(short, column):
    """In any bank of any row; here two weights where the others have one or none."""
    found = {(short, column - 1): 1, (short, column): 2, (1 - short, 3): 3}
    encoded = bbs.encode(entries(((2, 5), found)), 2)
    assert encoded.lengths.tolist() == [2, 2]
    lines = rows_of(encoded)
    assert lines[1 - short] == [([0, 3], [0, 0]), ([0, 0], [1, 1])]
    bank = column // 3
    assert [(values[bank], indices[bank]) for values, indices in lines[short]] == [
        (1, column - 1 - 3 * bank),
        (2, column - 3 * bank),
    ]
    assert as_dict(bbs.decode(encoded, 5, 2)) == found


@given(patterns(most_columns=40), st.sampled_from([2, 4, 8]))
def test_any_pattern_is_padded_to_its_fullest_bank(pattern, banks):
    (rows, columns), expected = pattern[0], nonzero(pattern[1])
    width = -(-columns // banks)
    encoded = bbs.encode(entries(pattern), banks)
    counts = Counter((row, column // width) for row, column in expected)
    assert encoded.lengths.tolist() == [max(counts.values(), default=0)] * rows
    assert as_dict(bbs.decode(encoded, columns, banks)) == expected


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


def test_zeros_of_a_whole_bank_are_padding():
    decoded = bbs.decode(words([[([1, 0], [0, 0]), ([0, 4], [1, 1])]], values=2), 4, 2)
    assert as_dict(decoded) == {(0, 0): 1, (0, 3): 4}
