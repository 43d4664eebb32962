"""What packing takes: every accepted type in, every malformed one refused with what and where."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from thresher.golden.spmm.matrices import canonical, padded_offsets, word_name
from thresher.spec import InputError

from ...strategies import patterns
from .matrices import COMPRESSED, SPARSE, as_dict, coo, nonzero


@pytest.mark.parametrize("kind", SPARSE)
@given(pattern=patterns(most_columns=30))
def test_every_sparse_type_gives_its_nonzeros(kind, pattern):
    matrix = canonical(kind(coo(pattern)))
    assert as_dict(matrix) == nonzero(pattern[1])
    assert matrix.shape == pattern[0]
    assert np.array_equal(matrix.to_csr().toarray(), coo(pattern).toarray())
    assert np.array_equal(matrix.to_dense(), coo(pattern).toarray())


@given(patterns(most_columns=30))
def test_an_array_gives_its_nonzeros(pattern):
    dense = coo(pattern).toarray()
    for array in (dense, np.asfortranarray(dense), dense[::-1, ::-1][::-1, ::-1], dense.view(np.matrix)):
        assert as_dict(canonical(array)) == nonzero(pattern[1])


@pytest.mark.parametrize("kind", [*SPARSE, np.copy])
def test_nothing_is_shared_with_what_was_given(kind):
    given = kind(np.array([[1, 2], [3, 4]], np.int8))
    matrix = canonical(given)
    (given if isinstance(given, np.ndarray) else given.data)[...] = 9
    assert as_dict(matrix) == {(0, 0): 1, (0, 1): 2, (1, 0): 3, (1, 1): 4}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[1, 2]], "a NumPy array or a scipy.sparse matrix, not list"),
        (None, "not NoneType"),
        (np.ma.array(np.ones((2, 2), np.int8), mask=np.eye(2, dtype=bool)), r"not be a masked array.*\.filled\(0\)"),
        (np.zeros((2, 2)), "dtype int8, not float64: quantise them first"),
        (np.zeros((2, 2), np.uint8), "dtype int8, not uint8"),
        (np.zeros((2, 2), np.bool_), "dtype int8, not bool"),
        (sparse.eye_array(3, format="csr"), "dtype int8, not float64"),
        (np.zeros(4, np.int8), r"two dimensions \(M, K\) of at least 1, not shape \(4,\)"),
        (np.zeros((1, 2, 2), np.int8), r"not shape \(1, 2, 2\)"),
        (np.zeros((0, 3), np.int8), r"not shape \(0, 3\)"),
        (sparse.csc_array((3, 0), dtype=np.int8), r"not shape \(3, 0\)"),
        (sparse.coo_array(np.ones(3, np.int8)), r"not shape \(3,\)"),
        (sparse.bsr_array(np.ones((2, 2), np.int8)), "CSR, CSC or COO, not BSR: convert them with .tocsr()"),
        (sparse.lil_matrix((2, 2), dtype=np.int8), "not LIL"),
    ],
)
def test_other_types_are_rejected(weights, message):
    with pytest.raises(InputError, match=message):
        canonical(weights)


def _compressed(kind, indptr, indices):
    """A matrix of three lines of four that scipy itself would not let pass."""
    sound = kind((np.ones(1, np.int8), [0], [0, 1, 1, 1]), shape=(3, 4) if issubclass(kind, CSR) else (4, 3))
    sound.indptr, sound.indices = np.array(indptr), np.array(indices)
    sound.data = np.ones(len(indices), np.int8)
    return sound


CSR = (sparse.csr_array, sparse.csr_matrix)


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize(
    ("indptr", "indices", "places", "message"),
    [
        ([0, 1, 1, 2], [3, 4], [(2, 4)], "{} lies outside the matrix: .* must be from 0 to 3"),
        ([0, 1, 1, 2], [3, -1], [(2, -1)], "{} lies outside the matrix"),
        ([0, 0, 2, 2], [2, 2], [(1, 2)], "{} is given twice"),
        ([0, 1, 4, 4], [3, 0, 2, 1], [(1, 1), (1, 2)], r"{} comes after {} in a {kind} matrix: .*\.sort_indices\(\)"),
    ],
)
def test_entries_out_of_range_or_order_are_named(kind, indptr, indices, places, message):
    """``places`` are lines and indices: rows and columns of CSR, columns and rows of CSC."""
    order = 1 if issubclass(kind, CSR) else -1
    named = ["row {}, column {}".format(*place[::order]) for place in places]
    with pytest.raises(InputError, match=message.format(*named, kind="CSR" if order == 1 else "CSC")):
        canonical(_compressed(kind, indptr, indices))


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("indptr", [[0, 1, 2], [1, 1, 1, 2], [0, 2, 1, 2], [0, 1, 2, 3]])
def test_row_pointers_that_lie_are_rejected(kind, indptr):
    with pytest.raises(InputError, match="indptr must rise from 0 to at most 2 in 3 steps"):
        canonical(_compressed(kind, indptr, [0, 1]))


@pytest.mark.parametrize("kind", COMPRESSED)
def test_room_behind_the_last_entry_is_ignored(kind):
    assert len(canonical(_compressed(kind, [0, 1, 1, 2], [1, 2, 99])).values) == 2


@pytest.mark.parametrize("kind", [sparse.coo_array, sparse.coo_matrix])
@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([0, 3], [0, 1], "row 3, column 1 lies outside the matrix: rows must be from 0 to 2"),
        ([0, -1], [0, 1], "row -1, column 1 lies outside the matrix"),
        ([0, 1], [0, 4], "row 1, column 4 lies outside the matrix: columns must be from 0 to 3"),
        ([2, 1, 2], [3, 0, 3], "row 2, column 3 is given twice"),
        ([2, 1, 2], [3, 0], "3 rows, 2 columns and 3 values must be equally many"),
    ],
)
def test_coordinates_that_are_wrong_are_named(kind, rows, columns, message):
    matrix = kind((3, 4), dtype=np.int8)
    matrix.coords = (np.array(rows), np.array(columns))
    matrix.data = np.ones(len(rows), np.int8)
    with pytest.raises(InputError, match=message):
        canonical(matrix)


def test_coordinates_may_come_in_any_order():
    matrix = sparse.coo_array((np.array([1, 2, 3], np.int8), ([1, 0, 1], [0, 1, 1])), shape=(2, 2))
    assert as_dict(canonical(matrix)) == {(0, 1): 2, (1, 0): 1, (1, 1): 3}


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5), st.integers(0, 6))
def test_padding_takes_the_lowest_free_members(groups, count):
    groups = [group if sum(group) <= count else [False] * 6 for group in groups]
    expected = []
    for group in groups:
        taken = [i for i in range(6) if group[i]]
        free = [i for i in range(6) if not group[i]]
        expected.append(sorted(taken + free[: count - len(taken)]))
    assert padded_offsets(np.array(groups), count).tolist() == expected


def test_places_skip_empty_rows():
    lengths = np.array([0, 2, 0, 1])
    assert [word_name(lengths, word) for word in range(3)] == ["row 1, word 0", "row 1, word 1", "row 3, word 0"]
