"""Activations of every INT8 value."""

import numpy as np
import pytest
from thresher.golden.spmm.activation import activate
from thresher.spec import Activation, InputError

EVERY = np.arange(-128, 128).astype(np.int8)


def test_none_changes_nothing_and_shares_nothing():
    y = EVERY.copy()
    result = activate(y, Activation.NONE)
    y[:] = 1
    assert result.tolist() == list(range(-128, 128))


def test_relu():
    result = activate(EVERY, Activation.RELU)
    assert result.tolist() == [max(0, value) for value in range(-128, 128)]
    assert result.dtype == np.int8


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda table: np.array(table, np.int8)])
def test_table_is_read_from_minus_128(kind):
    table = [(7 * value + 3) % 256 - 128 for value in range(256)]
    result = activate(EVERY, Activation.TABLE, kind(table))
    assert result.tolist() == table
    assert result.dtype == np.int8


def test_shape_is_kept():
    y = EVERY.reshape(2, 4, 32)
    for activation in Activation:
        assert activate(y, activation, list(range(-128, 128))).shape == (2, 4, 32)
        assert np.array_equal(activate(y, activation, list(range(-128, 128))), activate(y, activation, EVERY))


def test_a_table_without_use_is_ignored():
    assert activate(EVERY, Activation.RELU, [1, 2])[0] == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "TABLE needs a table of 256 INT8 values"),
        ([0] * 255, r"256 integers, not int64 of shape \(255,\)"),
        ([0.0] * 256, "256 integers, not float64"),
        (np.zeros((16, 16), np.int8), r"not int8 of shape \(16, 16\)"),
        ([0] * 255 + [128], "table must hold numbers from -128 to 127, not from 0 to 128"),
        ([-129] + [0] * 255, "not from -129 to 0"),
    ],
)
def test_bad_tables_are_rejected(table, message):
    with pytest.raises(InputError, match=message):
        activate(EVERY, Activation.TABLE, table)


def test_unknown_activations_are_rejected():
    with pytest.raises(InputError, match="must be one of NONE, RELU, TABLE, not 3"):
        activate(EVERY, 3)  # pyright: ignore[reportArgumentType]
