"""N:M words, compared with their definition."""

import pytest
from hypothesis import given
from thresher.golden.spmm.front_ends import nm
from thresher.spec import InputError

from ....strategies import group_patterns
from ..matrices import as_dict, entries, nonzero, rows_of, words


def test_words_of_2_4_by_hand():
    """Groups with two weights, one, none; and one at the edge with a single column."""
    matrix = entries(((1, 13), {(0, 1): 1, (0, 3): -128, (0, 4): 3, (0, 12): 4}))
    assert rows_of(nm.encode(matrix, 2, 4)) == [
        [([1, -128], [1, 3]), ([3, 0], [0, 1]), ([0, 0], [0, 1]), ([4, 0], [0, 1])]
    ]


def test_padding_is_sorted_among_the_weights():
    assert rows_of(nm.encode(entries(((1, 4), {(0, 2): 7})), 3, 4)) == [[([0, 0, 7], [0, 1, 2])]]
    assert rows_of(nm.encode(entries(((1, 4), {(0, 0): 7})), 2, 4)) == [[([7, 0], [0, 1])]]


@given(group_patterns())
def test_word_g_is_group_g(drawn):
    pattern, kept, group = drawn
    (rows, columns), expected = pattern
    encoded = nm.encode(entries(pattern), kept, group)
    found, lines = {}, rows_of(encoded)
    assert [len(line) for line in lines] == [-(-columns // group)] * rows
    for row, line in enumerate(lines):
        for number, (values, indices) in enumerate(line):
            assert indices == sorted(set(indices))
            assert len(indices) == kept
            assert indices[-1] < group
            found |= {(row, number * group + i): value for value, i in zip(values, indices, strict=True)}
    assert nonzero(found) == nonzero(expected)
    assert as_dict(nm.decode(encoded, columns, group)) == nonzero(expected)


def test_a_stored_zero_takes_no_place_of_a_weight():
    matrix = entries(((1, 4), {(0, 0): 0, (0, 1): 5, (0, 3): 7}))
    assert rows_of(nm.encode(matrix, 2, 4)) == [[([5, 7], [1, 3])]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([4, 5, 7], "row 1, columns 4 to 7 have 3 weights, more than 2 of 4: prune to 2:4 first \\(.* 0.5\\)"),
        ([8, 9, 10], "row 1, columns 8 to 10 have 3 weights"),
    ],
)
def test_a_group_with_too_many_weights_is_named(columns, message):
    found = {(0, 0): 1, (0, 3): 1} | {(1, column): 1 for column in columns}
    with pytest.raises(InputError, match=message):
        nm.encode(entries(((2, 11), found)), 2, 4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[([1, 1], [0, 4]), ([1, 0], [0, 1])]], "row 0, word 0: column 4 of the group lies outside its 4 columns"),
        (
            [[([1, 1], [0, 3]), ([1, 0], [0, 1])], [([1, 1], [0, 3]), ([0, 1], [0, 2])]],
            "row 1, word 1: column 2 of the group lies outside its 2 columns",
        ),
        ([[([1, 1], [2, 1]), ([0, 0], [0, 1])]], "row 0, word 0: column 1 of the group comes after column 2"),
        ([[([1, 1], [0, 1]), ([0, 0], [1, 1])]], "row 0, word 1: column 1 of the group comes after column 1"),
    ],
)
def test_malformed_words_are_rejected_by_row_and_word(rows, message):
    with pytest.raises(InputError, match=message):
        nm.decode(words(rows, values=2), 6, 4)


def test_padding_beyond_the_last_column_is_accepted():
    assert as_dict(nm.decode(words([[([1, 0], [0, 1])]], values=2), 1, 4)) == {(0, 0): 1}
