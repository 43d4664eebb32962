"""Delta-coded CSR words, compared with their definition."""

import pytest
from hypothesis import given
from thresher.golden.spmm.front_ends import csr_delta
from thresher.spec import InputError

from ....strategies import patterns
from ..matrices import as_dict, entries, nonzero, rows_of, words

SKIP = ([0], [255])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (0, [([5], [0])]),
        (254, [([5], [254])]),
        (255, [SKIP, ([5], [0])]),
        (509, [SKIP, ([5], [254])]),
        (510, [SKIP, SKIP, ([5], [0])]),
    ],
)
def test_the_first_value_of_a_row(column, expected):
    assert rows_of(csr_delta.encode(entries(((1, 600), {(0, column): 5})))) == [expected]


def test_words_by_hand():
    matrix = entries(((4, 300), {(0, 2): 1, (0, 3): -128, (0, 258): 3, (0, 299): 6, (2, 256): 4, (3, 0): 5}))
    first = [([1], [2]), ([-128], [0]), ([3], [254]), ([6], [40])]
    assert rows_of(csr_delta.encode(matrix)) == [first, [], [SKIP, ([4], [1])], [([5], [0])]]


def _walk(rows) -> dict[tuple[int, int], int]:
    """The entries of a matrix, read word by word."""
    found = {}
    for row, line in enumerate(rows):
        position = -1
        for (value,), (delta,) in line:
            if delta == 255:
                assert value == 0
                position += 255
            else:
                position += delta + 1
                found[row, position] = value
    return found


def test_a_zero_widens_the_gap():
    matrix = entries(((1, 600), {(0, 1): 1, (0, 200): 0, (0, 257): 2, (0, 599): 0}))
    assert rows_of(csr_delta.encode(matrix)) == [[([1], [1]), SKIP, ([2], [0])]]


@given(patterns())
def test_words_walk_through_the_columns(pattern):
    (_, columns), expected = pattern[0], nonzero(pattern[1])
    encoded = csr_delta.encode(entries(pattern))
    assert _walk(rows_of(encoded)) == expected
    assert as_dict(csr_delta.decode(encoded, columns)) == expected
    assert max(encoded.lengths) <= columns  # so that a row's length fits its field


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[], [([1], [2]), ([7], [255])]], "row 1, word 1: value must be 0, because delta 255 .* not 7"),
        ([[([1], [256])]], "row 0, word 0: delta must be at most 255, not 256"),
        ([[([1], [4])], [([1], [2]), ([1], [2])]], "row 1, word 1: column 5 lies outside the matrix: .* 0 to 4"),
        ([[([1], [4])], [SKIP, ([1], [0])]], "row 1, word 0: column 254 lies outside"),
    ],
)
def test_malformed_words_are_rejected_by_row_and_word(rows, message):
    with pytest.raises(InputError, match=message):
        csr_delta.decode(words(rows), 5)


def test_a_word_of_value_0_moves_the_position_and_is_not_a_weight():
    decoded = csr_delta.decode(words([[([1], [0]), ([0], [3]), ([2], [1])]]), 8)
    assert as_dict(decoded) == {(0, 0): 1, (0, 6): 2}


def test_a_skip_may_end_a_row():
    decoded = csr_delta.decode(words([[([1], [0]), SKIP], [], [([2], [0])]]), 256)
    assert as_dict(decoded) == {(0, 0): 1, (2, 0): 2}
