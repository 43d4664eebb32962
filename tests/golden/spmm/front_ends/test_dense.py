"""Dense words, compared with their definition."""

from hypothesis import given
from thresher.golden.spmm.front_ends import dense

from ....strategies import patterns
from ..matrices import as_dict, entries, nonzero, rows_of


def test_words_by_hand():
    matrix = entries(((2, 3), {(0, 0): 1, (0, 2): -128, (1, 1): 0}))
    expected = [[[1], [0], [-128]], [[0], [0], [0]]]
    assert rows_of(dense.encode(matrix)) == [[(value, [0]) for value in row] for row in expected]


@given(patterns(most_columns=20))
def test_word_i_is_column_i(pattern):
    (rows, columns), expected = pattern
    encoded = dense.encode(entries(pattern))
    lines = rows_of(encoded)
    assert [len(line) for line in lines] == [columns] * rows
    found = {(row, i): value for row, line in enumerate(lines) for i, ((value,), _) in enumerate(line)}
    assert nonzero(found) == nonzero(expected)
    assert as_dict(dense.decode(encoded, columns)) == nonzero(expected)
