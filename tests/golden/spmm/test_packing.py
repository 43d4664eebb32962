"""Packed weights: round trips from every type, arrays for storage, and structure that is refused."""

import contextlib
import dataclasses
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save
from thresher.golden import PackedWeights, pack, unpack
from thresher.golden.spmm.matrices import canonical
from thresher.spec import ConfigError, InputError, ThresherError, WeightFormat
from thresher.spec.weight_words import ESCAPE

from ...strategies import Pattern, balanced_patterns, group_patterns, patterns
from .matrices import SPARSE, as_dict, coo, nonzero

CSR, DELTA, BBS, NM, DENSE = WeightFormat
Case = tuple[WeightFormat, Pattern, dict[str, int]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A format, a matrix that it takes, and the settings it needs. Some rows are empty, some weights are zero."""
    weight_format = draw(st.sampled_from(WeightFormat))
    if weight_format is BBS and draw(st.booleans()):
        return weight_format, draw(patterns(most_columns=60)), {"banks": draw(st.sampled_from([2, 4, 8, 64]))}
    if weight_format is BBS:
        pattern, banks = draw(balanced_patterns())
        return weight_format, pattern, {"banks": banks}
    if weight_format is NM:
        pattern, kept, group = draw(group_patterns())
        return weight_format, pattern, {"kept": kept, "group": group}
    return weight_format, draw(patterns(most_columns=600)), {}


def _same(a: PackedWeights, b: PackedWeights) -> bool:
    names = [field.name for field in dataclasses.fields(PackedWeights)]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@pytest.mark.parametrize("kind", SPARSE)
@given(case=cases())
def test_round_trip_of_every_sparse_type(kind, case):
    weight_format, pattern, settings = case
    packed = pack(kind(coo(pattern)), weight_format, **settings)
    weights = nonzero(pattern[1])
    assert as_dict(canonical(unpack(packed))) == weights
    assert unpack(packed).nnz == len(weights)
    assert packed.stored == (pattern[0][0] * pattern[0][1] if weight_format is DENSE else len(weights))
    assert packed.zeros == packed.values.size - len(weights)
    assert (packed.rows, packed.columns) == pattern[0]


@given(cases())
def test_round_trip_of_arrays(case):
    weight_format, pattern, settings = case
    dense = coo(pattern).toarray()
    packed = pack(dense, weight_format, **settings)
    assert np.array_equal(unpack(packed).toarray(), dense)
    assert unpack(packed).dtype == np.int8
    assert packed.stored == (dense.size if weight_format is DENSE else np.count_nonzero(dense))


@given(cases())
def test_what_was_unpacked_can_be_packed_again(case):
    weight_format, pattern, settings = case
    packed = pack(coo(pattern), weight_format, **settings)
    again = pack(unpack(packed), weight_format, **settings)
    assert _same(again, packed)
    assert _same(again, pack(coo(pattern).toarray(), weight_format, **settings))


@given(cases())
def test_csr_stores_no_zero(case):
    """Whatever the sparsity; the only zeros are escapes."""
    _, pattern, _ = case
    matrix = coo(pattern)
    packed = {weight_format: pack(matrix, weight_format) for weight_format in (CSR, DELTA)}
    assert packed[CSR].values.all()
    assert packed[DELTA].values[packed[DELTA].indices != ESCAPE].all()
    assert packed[CSR].lengths.tolist() == np.count_nonzero(matrix.toarray(), axis=1).tolist()


@given(cases())
def test_arrays_for_storage_round_trip(case):
    weight_format, pattern, settings = case
    packed = pack(coo(pattern), weight_format, **settings)
    arrays = packed.to_arrays()
    assert _same(PackedWeights.from_arrays(load(save(arrays))), packed)
    assert sum(array.nbytes for name, array in arrays.items() if name != "header") == packed.bytes


@given(cases())
def test_what_is_packed_fits_its_words(case):
    weight_format, pattern, settings = case
    packed = pack(coo(pattern), weight_format, **settings)
    assert packed.values.dtype == np.int8
    assert packed.values.shape == packed.indices.shape == (packed.lengths.sum(), packed.shape.values)
    assert packed.indices.max(initial=0) < 1 << packed.shape.index_bits
    assert packed.lengths.max() <= packed.columns


@pytest.mark.parametrize("matrix", [np.zeros((3, 9), np.int8), coo(((3, 9), {(0, 2): 0, (2, 8): 0}))])
def test_an_empty_matrix_in_every_format(matrix):
    for weight_format in WeightFormat:
        packed = pack(matrix, weight_format, banks=4)
        words = {NM: 3 * 3, DENSE: 3 * 9}.get(weight_format, 0)
        assert (len(packed.values), packed.stored) == (words, 27 if weight_format is DENSE else 0)
        assert unpack(packed).nnz == 0
        assert _same(PackedWeights.from_arrays(packed.to_arrays()), packed)


def test_settings_without_use_are_left_at_their_defaults():
    weights = np.eye(4, dtype=np.int8)
    packed = pack(weights, CSR, banks=99, kept=0, group=3)
    assert (packed.banks, packed.kept, packed.group) == (1, 2, 4)
    assert (pack(weights, NM, banks=0, kept=1, group=4).banks) == 1


def test_formats_may_be_named_by_text():
    packed = pack(np.eye(4, dtype=np.int8), "csr-delta")  # pyright: ignore[reportArgumentType]
    assert packed.format is DELTA


# -- bytes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight_format", "expected"),
    [
        (CSR, 8 * 96 + 8 * 96 * 9 // 8 + 8 * 2),
        (DELTA, 8 * 96 * 2 + 8 * 2),
        (BBS, 8 * 96 + 8 * 96 * 4 // 8),
        (NM, 8 * 192 + 8 * 192 * 2 // 8),
        (DENSE, 8 * 384),
    ],
)
def test_bytes_of_a_quarter_of_8_by_384(weight_format, expected):
    weights = np.zeros((8, 384), np.int8)
    weights[:, ::4] = 1
    assert pack(weights, weight_format, banks=32).bytes == expected


def test_indices_are_stored_bit_by_bit():
    weights = np.zeros((1, 5), np.int8)
    weights[0, [1, 3, 4]] = 7, 8, 9
    arrays = pack(weights, CSR).to_arrays()
    assert arrays["indices"].tolist() == [0b00_011_001, 0b1]
    assert arrays["indices"].dtype == np.uint8
    assert arrays["lengths"].tolist() == [3]
    assert arrays["lengths"].dtype == np.uint16
    assert arrays["header"].tolist() == [0, 1, 5, 1, 2, 4, 3]


def test_a_row_of_65536_weights_has_a_length_that_fits():
    packed = pack(np.ones((1, 1 << 16), np.int8), CSR)
    assert packed.indices.dtype == np.uint16
    assert _same(PackedWeights.from_arrays(packed.to_arrays()), packed)
    assert pack(np.ones((1, (1 << 16) + 1), np.int8), CSR).indices.dtype == np.uint32


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight_format", "settings", "field"),
    [
        ("coo", {}, "weight_format"),
        (BBS, {}, "banks"),
        (BBS, {"banks": 3}, "banks"),
        (BBS, {"banks": 512}, "banks"),
        (NM, {"kept": 4}, "kept"),
        (NM, {"kept": 0}, "kept"),
        (NM, {"kept": 1, "group": 3}, "group"),
        (NM, {"kept": 1, "group": 128}, "group"),
    ],
)
def test_settings_that_no_engine_has_are_rejected(weight_format, settings, field):
    with pytest.raises(ConfigError) as caught:
        pack(np.eye(4, dtype=np.int8), weight_format, **settings)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("weights", "weight_format", "message"),
    [
        (np.ones((2, 2)), CSR, "dtype int8, not float64"),
        (np.array([[1, 0, 0, 0], [0, 1, 1, 1]], np.int8), NM, "row 1, columns 0 to 3 have 3 weights, more than 2 of 4"),
    ],
)
def test_matrices_that_a_format_cannot_hold_are_rejected(weights, weight_format, message):
    with pytest.raises(InputError, match=message):
        pack(weights, weight_format, banks=2)


GOOD = pack(np.array([[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]], np.int8), CSR)
BALANCED = pack(np.array([[1, 0, 0, 2], [0, 4, 5, 0]], np.int8), BBS, banks=2)
PAIRS = pack(np.array([[1, 0, 0, 2, 3], [0, 4, 5, 0, 0]], np.int8), NM)
FULL = pack(np.array([[1, 0], [0, 2]], np.int8), DENSE)


@pytest.mark.parametrize(
    ("packed", "changes", "message"),
    [
        (GOOD, {"values": GOOD.values.astype(np.int16)}, r"values of csr weights must be int8 .* not int16"),
        (GOOD, {"values": GOOD.values[:, 0]}, r"values of csr weights must be int8 of shape \(3, 1\), .* shape \(3,\)"),
        (GOOD, {"indices": GOOD.indices.astype(np.int64)}, "indices of csr weights must be uint16"),
        (GOOD, {"indices": GOOD.indices[:2]}, r"indices .* of shape \(3, 1\), not uint16 of shape \(2, 1\)"),
        (GOOD, {"lengths": GOOD.lengths.astype(np.int32)}, "lengths of csr weights must be int64"),
        (GOOD, {"lengths": GOOD.lengths[:2]}, r"lengths .* of shape \(3,\), not int64 of shape \(2,\)"),
        (GOOD, {"lengths": np.array([2, 0, 2])}, "must add up to the 3 words that are given, not to 4"),
        (GOOD, {"lengths": np.array([4, -1, 0])}, "row 1 must have from 0 to 4 words, not -1"),
        (GOOD, {"lengths": np.array([5, 0, -2])}, "row 0 must have .* not 5"),
        (GOOD, {"rows": 0}, "must have rows and columns"),
        (GOOD, {"stored": 2}, "stored must be from 3, .* not 2"),
        (GOOD, {"stored": 13}, "stored must be .* to 12, .* not 13"),
        (BALANCED, {"lengths": np.array([2, 0])}, "row 0 must have 1 words, .* format bbs, not 2"),
        (BALANCED, {"banks": 1}, "banks=1 is not allowed"),
        (BALANCED, {"banks": 4}, r"values of bbs weights must be int8 of shape \(2, 4\)"),
        (PAIRS, {"lengths": np.array([1, 3])}, "row 0 must have 2 words, .* format nm, not 1"),
        (PAIRS, {"kept": 4}, "kept=4 is not allowed"),
        (PAIRS, {"group": 3}, "group=3 is not allowed"),
        (
            FULL,
            {"lengths": np.array([2, 1]), "values": FULL.values[:3], "indices": FULL.indices[:3]},
            "row 1 must have .* not 1",
        ),
    ],
)
def test_structure_that_cannot_be_is_rejected(packed, changes, message):
    with pytest.raises(ThresherError, match=message):
        dataclasses.replace(packed, **changes)


@pytest.mark.parametrize(
    ("packed", "indices", "message"),
    [
        (GOOD, [[0], [4], [1]], "row 0, word 1: column 4 lies outside"),
        (GOOD, [[3], [0], [1]], "row 0, word 1: column 0 comes after column 3"),
        (BALANCED, [[0, 1], [1, 2]], "row 1, word 0, bank 1: column 2 lies outside"),
        (PAIRS, [[0, 3], [1, 0], [1, 2], [0, 1]], "row 0, word 1: column 1 of the group lies outside"),
        (PAIRS, [[3, 0], [0, 1], [1, 2], [0, 1]], "row 0, word 0: column 0 of the group comes after column 3"),
    ],
)
def test_words_that_mean_nothing_are_rejected_when_unpacked(packed, indices, message):
    with pytest.raises(InputError, match=message):
        unpack(dataclasses.replace(packed, indices=np.array(indices, np.uint16)))


def test_a_skip_with_a_value_is_rejected_when_unpacked():
    packed = pack(np.eye(1, 300, 299, dtype=np.int8), DELTA)
    assert packed.indices[0, 0] == ESCAPE
    values = packed.values.copy()
    values[0] = 1
    with pytest.raises(InputError, match="row 0, word 0: value must be 0, because delta 255 only skips columns, not 1"):
        unpack(dataclasses.replace(packed, values=values, stored=2))


def _header(position: int, value: int) -> np.ndarray:
    header = GOOD.to_arrays()["header"].copy()
    header[position] = value
    return header


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"header": None}, "lack the array 'header': they have indices, lengths, values"),
        ({"lengths": None}, "lack the array 'lengths'"),
        ({"header": np.zeros(7)}, "header must be int64 of 1 dimensions, not float64"),
        ({"header": np.zeros(6, np.int64)}, "header must hold format, rows, .* not 6 numbers"),
        ({"header": _header(0, 5)}, "format in the header must be from 0 to 4, not 5"),
        ({"header": _header(1, 0)}, "1 to 16777216 rows and columns, not 0 and 4"),
        ({"header": _header(2, -4)}, "rows and columns, not 3 and -4"),
        ({"header": _header(1, 1 << 62)}, "rows and columns, not 4611686018427387904 and 4"),
        ({"header": _header(1, 4)}, r"lengths .* of shape \(4,\)"),
        ({"header": _header(0, 2)}, "banks=1 is not allowed"),
        ({"values": np.zeros(3, np.int8)}, r"values must be int8 of 2 dimensions, not int8 of shape \(3,\)"),
        ({"indices": np.zeros(2, np.uint8)}, "indices must have 1 bytes for 3 values, not 2"),
        ({"indices": np.zeros(1, np.int8)}, "indices must be uint8"),
        ({"lengths": np.array([2, 0, 1])}, "lengths must be uint16"),
    ],
)
def test_inconsistent_arrays_are_rejected(changes: dict[str, Any], message):
    arrays = {name: array for name, array in (GOOD.to_arrays() | changes).items() if array is not None}
    with pytest.raises(ThresherError, match=message) as caught:
        PackedWeights.from_arrays(arrays)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_damaged_arrays_raise_library_errors_only(data):
    """Reading and unpacking any file gives a matrix or a ThresherError."""
    packed = data.draw(st.sampled_from([GOOD, BALANCED, PAIRS, FULL]))
    arrays = {name: array.copy() for name, array in packed.to_arrays().items()}
    for _ in range(data.draw(st.integers(1, 3))):
        array = arrays[data.draw(st.sampled_from([name for name, array in arrays.items() if array.size]))]
        limits = np.iinfo(array.dtype)
        high, low = min(300, limits.max), max(-300, limits.min)
        array.flat[data.draw(st.integers(0, array.size - 1))] = data.draw(st.integers(low, high))
    with contextlib.suppress(ThresherError):
        unpack(PackedWeights.from_arrays(arrays))


# -- speed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight_format", WeightFormat)
def test_large_matrices_pack_fast(weight_format):
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 128, (1536, 384), dtype=np.int8)
    weights[:, 1::2] = 0
    start = time.thread_time()  # not the clock on the wall: the machine may be busy with other things
    packed = pack(weights, weight_format, banks=32)
    took = time.thread_time() - start
    assert took < 0.5, f"{weight_format} took {took:.2f} s (seed 0)"
    assert np.array_equal(unpack(packed).toarray(), weights)
