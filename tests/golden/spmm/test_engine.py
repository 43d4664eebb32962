"""The SpMM product against plain integers and fractions."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from thresher.golden import pack, sparse_product
from thresher.spec import SPMM_PRESETS, Activation, InputError, SpmmConfig, WeightFormat
from thresher.spec.tables import gelu_table

from ...operands import int8

TINY = SPMM_PRESETS["tiny"]
BIAS = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-300, 300), st.sampled_from([-(2**31), 2**31 - 1]))


def _reference(w, x, bias, multiplier, shift) -> tuple[list[list[int]], int]:
    """Y before the activation, and how many results were clipped, in Python's own numbers."""
    saturations, y = 0, []
    for row, weights in enumerate(w.tolist()):
        line = []
        for token in x.T.tolist():
            total = sum(a * b for a, b in zip(weights, token, strict=True)) + bias[row]
            exact = Fraction(total * multiplier[row], 2 ** (8 + shift[row]))
            rounded = math.floor(exact + Fraction(1, 2))
            line.append(max(-128, min(127, rounded)))
            saturations += line[-1] != rounded
        y.append(line)
    return y, saturations


@given(
    st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.floats(0, 1), st.integers(0, 2**32 - 1), st.data()
)  # fmt: skip
def test_product_is_that_of_plain_integers(m, k, n, density, seed, data):
    rng = np.random.default_rng(seed)
    w, x = np.where(rng.random((m, k)) < density, int8(rng, m, k), np.int8(0)), int8(rng, k, n)
    rows = st.lists(st.tuples(BIAS, st.integers(0, 2**16 - 1), st.integers(0, 31)), min_size=m, max_size=m)
    bias, multiplier, shift = map(list, zip(*data.draw(rows), strict=True))
    result = sparse_product(TINY, w, x, bias, multiplier, shift)
    expected, saturations = _reference(w, x, bias, multiplier, shift)
    assert result.output.tolist() == expected
    assert result.output.dtype == np.int8
    assert result.saturations == saturations

    table = rng.permutation(np.arange(-128, 128))
    for activation, f in ((Activation.RELU, lambda y: max(0, y)), (Activation.TABLE, lambda y: int(table[y + 128]))):
        activated = sparse_product(TINY, w, x, bias, multiplier, shift, activation=activation, table=table)
        assert activated.output.tolist() == [[f(y) for y in line] for line in expected]
        assert activated.saturations == saturations


def _scaled(m: int, *, bias: int = 0, multiplier: int = 1 << 8, shift: int = 0) -> dict[str, Any]:
    """Rows that are all scaled alike; by default by one."""
    return dict(bias=[bias] * m, multiplier=[multiplier] * m, shift=[shift] * m)


# -- corners -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("bias", [-(2**31), 0, 2**31 - 1])
def test_the_largest_sums_are_exact(value, bias):
    """Every column −128·value, in a matrix as wide as any engine takes."""
    columns = 1 << 16
    config = dataclasses.replace(TINY, max_columns=columns)
    w, x = np.full((1, columns), -128, np.int8), np.full((columns, 1), value, np.int8)
    total = -128 * value * columns + bias
    # A scale that brings the total into INT8 without clipping.
    for multiplier, shift in ((2**15 + 1, 31), (1, 31 - 8), (2**16 - 1, 31)):
        expected, saturations = _reference(w, x, [bias], [multiplier], [shift])
        result = sparse_product(config, w, x, [bias], [multiplier], [shift])
        assert (result.output.tolist(), result.saturations) == (expected, saturations)
    one = sparse_product(config, w, x, **_scaled(1, bias=bias))
    assert one.output.tolist() == [[127 if total > 0 else -128]]
    assert one.saturations == 1


def test_an_accumulator_reaches_its_peak():
    columns = TINY.max_columns
    w, x = np.full((1, columns), -128, np.int8), np.full((columns, 1), -128, np.int8)
    assert TINY.accumulator_peak == 128 * 128 * columns
    result = sparse_product(TINY, w, x, **_scaled(1, bias=-TINY.accumulator_peak + 100))
    assert (result.output.tolist(), result.saturations) == ([[100]], 0)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (1, 64, 1), (5, 1, 3), (1, 3, 9), (7, 5, 1)])
def test_sizes_of_one(m, k, n):
    rng = np.random.default_rng(m + 10 * k + 100 * n)
    w, x = int8(rng, m, k), int8(rng, k, n)
    scaling = _scaled(m, bias=-5, multiplier=40000, shift=11)
    expected, saturations = _reference(w, x, **scaling)
    result = sparse_product(TINY, w, x, **scaling)
    assert (result.output.tolist(), result.saturations) == (expected, saturations)


def test_empty_rows_give_their_bias():
    w = np.zeros((3, 4), np.int8)
    w[1] = 1
    x = np.ones((4, 2), np.int8)
    result = sparse_product(TINY, w, x, bias=[7, 0, -9], multiplier=[256] * 3, shift=[0] * 3)
    assert result.output.tolist() == [[7, 7], [4, 4], [-9, -9]]


def test_a_matrix_of_zeros_gives_the_biases():
    result = sparse_product(
        TINY, sparse.csr_array((2, 4), dtype=np.int8), np.ones((4, 3), np.int8), [127, 200], [256] * 2, [0, 0]
    )
    assert result.saturations == 3
    assert result.output.tolist() == [[127] * 3, [127] * 3]


def test_saturations_are_counted_before_the_activation():
    """ReLU hides negative ones, and a table may hide all; 127 and −128 themselves are not clipped."""
    w, x = np.eye(1, dtype=np.int8), np.array([[127, 100, 1, 0, -1, -127, -128]], np.int8)
    scaling = _scaled(1, multiplier=512)
    for activation in Activation:
        assert sparse_product(TINY, w, x, **scaling, activation=activation, table=[0] * 256).saturations == 4
    assert sparse_product(TINY, w, x, **_scaled(1)).saturations == 0


def test_halves_round_up():
    x = np.array([[-3, -1, 1, 3]], np.int8)
    assert sparse_product(TINY, np.eye(1, dtype=np.int8), x, **_scaled(1, multiplier=128)).output.tolist() == [
        [-1, 0, 1, 2]
    ]


def test_a_multiplier_of_zero_gives_zero():
    x = np.full((64, 2), -128, np.int8)
    result = sparse_product(TINY, np.full((1, 64), -128, np.int8), x, **_scaled(1, bias=2**31 - 1, multiplier=0))
    assert (result.output.tolist(), result.saturations) == ([[0, 0]], 0)


# -- packing and use ---------------------------------------------------------------------------


@pytest.mark.parametrize("weight_format", WeightFormat)
def test_packing_makes_no_difference(weight_format):
    rng = np.random.default_rng(3)
    w = np.where(np.arange(48) % 3 == 0, rng.integers(1, 128, (6, 48)), 0).astype(np.int8)
    x, scaling = int8(rng, 48, 5), _scaled(6, bias=17, multiplier=50000, shift=12)
    expected = sparse_product(TINY, w, x, **scaling)
    packed = pack(w, weight_format, banks=TINY.banks, kept=TINY.kept, group=TINY.group)
    for weights in (packed, sparse.coo_matrix(w), sparse.csc_array(w)):
        result = sparse_product(TINY, weights, x, **scaling)
        assert np.array_equal(result.output, expected.output)
        assert result.saturations == expected.saturations


def test_gelu_of_a_layer_is_near_float():
    """One row engine's worth of a feed-forward layer, from scales to activations: within a unit of the float result."""
    rng = np.random.default_rng(4)
    w, x = int8(rng, 8, 64), int8(rng, 64, 16)
    scale_w, scale_x, scale_y, scale_out = 0.002, 0.02, 0.05, 0.03
    multiplier = round(scale_w * scale_x / scale_y * 2**24)
    table = gelu_table(scale_y, scale_out)
    result = sparse_product(TINY, w, x, [0] * 8, [multiplier] * 8, [16] * 8, activation=Activation.TABLE, table=table)
    y = w.astype(float) @ x * scale_w * scale_x
    gelu = y / 2 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
    # Half a unit of the table's result, and half a unit of its input through GELU's slope of at most 1.13.
    bound = 0.5 + 0.5 * 1.13 * scale_y / scale_out
    assert np.abs(result.output - np.clip(gelu / scale_out, -128, 127)).max() <= bound + 0.01, "seed 4"


def test_integers_of_any_kind_are_taken():
    w, x = np.eye(2, dtype=np.int8), np.eye(2, dtype=np.int8)
    lists = sparse_product(TINY, w, x, [1, 2], [256, 256], [0, 1])
    arrays = sparse_product(
        TINY, w, x, np.array([1, 2], np.int32), np.array([256, 256], np.uint16), np.array([0, 1], np.uint8)
    )
    assert np.array_equal(lists.output, arrays.output)


# -- refusals ----------------------------------------------------------------------------------

W, X = np.ones((2, 3), np.int8), np.ones((3, 4), np.int8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": W.astype(float)}, "weights must have dtype int8, not float64"),
        ({"weights": np.ones((2, 65), np.int8), "x": np.ones((65, 1), np.int8)}, "at most 64 columns .*, not 65"),
        ({"x": X.astype(np.int64)}, "X must be a NumPy array of dtype int8, not int64"),
        ({"x": [[1]]}, "X must be a NumPy array of dtype int8, not list"),
        ({"x": X.T.copy()}, r"X must have shape \(3, N\), .* not \(4, 3\)"),
        ({"x": X[:, 0]}, r"X must have shape \(3, N\), .* not \(3,\)"),
        ({"x": X[:, :0]}, r"not \(3, 0\)"),
        ({"bias": [0]}, r"bias must hold 2 integers, one per row, not int64 of shape \(1,\)"),
        ({"bias": [0.0, 1.0]}, "bias must hold 2 integers, one per row, not float64"),
        ({"bias": [0, 2**31]}, "bias of row 1 must be from -2147483648 to 2147483647, not 2147483648"),
        ({"bias": [-(2**31) - 1, 0]}, "bias of row 0 must be .* not -2147483649"),
        ({"bias": [0, 2**64]}, "bias must hold 2 integers, one per row, not object"),
        ({"multiplier": [1, 2**16]}, "multiplier of row 1 must be from 0 to 65535, not 65536"),
        ({"multiplier": [-1, 1]}, "multiplier of row 0 must be .* not -1"),
        ({"shift": [32, 1]}, "shift of row 0 must be from 0 to 31, not 32"),
        ({"activation": Activation.TABLE}, "TABLE needs a table"),
        ({"config": dataclasses.replace(TINY, max_rows=1)}, "must have at most 1 rows for this engine, not 2"),
        ({"config": dataclasses.replace(TINY, max_tokens=3)}, "must have at most 3 tokens for this engine, not 4"),
    ],
)
def test_what_does_not_fit_is_rejected(changes, message):
    arguments: dict[str, Any] = dict(config=TINY, weights=W, x=X, bias=[0, 0], multiplier=[1, 1], shift=[0, 0])
    with pytest.raises(InputError, match=message):
        sparse_product(**(arguments | changes))


@pytest.mark.parametrize(
    ("config", "weight_format", "settings", "message"),
    [
        (
            TINY.with_formats(WeightFormat.CSR),
            WeightFormat.DENSE,
            {},
            "must be packed as csr for this engine, not dense",
        ),
        (TINY, WeightFormat.BBS, {"banks": 2}, "must be packed with banks=4 for this engine, not banks=2"),
        (TINY, WeightFormat.NM, {"kept": 1, "group": 4}, "must be packed with kept=2 for this engine, not kept=1"),
        (TINY, WeightFormat.NM, {"kept": 2, "group": 8}, "must be packed with group=4 for this engine, not group=8"),
    ],
)
def test_packing_that_the_engine_does_not_take_is_rejected(
    config: SpmmConfig, weight_format: WeightFormat, settings: dict[str, int], message: str
):
    packed = pack(np.zeros((3, 8), np.int8), weight_format, **settings)
    with pytest.raises(InputError, match=message):
        sparse_product(config, packed, np.ones((8, 1), np.int8), [0] * 3, [0] * 3, [0] * 3)


def test_words_that_mean_nothing_are_rejected():
    packed = pack(W, WeightFormat.CSR)
    indices = packed.indices.copy()
    indices[4] = 0
    with pytest.raises(InputError, match="row 1, word 1: column 0 comes after column 0"):
        sparse_product(TINY, dataclasses.replace(packed, indices=indices), X, [0, 0], [1, 1], [0, 0])
