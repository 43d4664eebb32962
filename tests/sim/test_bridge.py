"""Conversion of values to bits and back."""

import random

import numpy as np
import pytest
from amaranth import signed, unsigned
from amaranth.lib import data, enum
from thresher.sim.bridge import pack, pack_all, pack_beats, unpack, unpack_beats
from thresher.spec.errors import InputError

NESTED = data.StructLayout(
    {"flag": 1, "rows": data.ArrayLayout(data.StructLayout({"x": signed(3), "y": unsigned(2)}), 2), "z": signed(9)}
)


def test_fields_are_packed_in_order():
    value = {"flag": 1, "rows": [{"x": -4, "y": 3}, {"x": 3, "y": 0}], "z": -1}
    bits = pack(NESTED, value)
    assert bits == 0b111111111_00_011_11_100_1
    assert unpack(NESTED, bits) == value


def test_agrees_with_amaranths_constants():
    for seed in range(50):
        rng = random.Random(seed)
        value = {
            "flag": rng.randrange(2),
            "rows": [{"x": rng.randrange(-4, 4), "y": rng.randrange(4)} for _ in range(2)],
            "z": rng.choice([-256, 255, 0, rng.randrange(-256, 256)]),
        }
        assert pack(NESTED, value) == NESTED.const(value).as_value().value, f"seed {seed}"
        assert unpack(NESTED, pack(NESTED, value)) == value, f"seed {seed}"


def test_numpy_values_are_packed():
    lanes = data.ArrayLayout(signed(8), 4)
    row = np.array([-128, 127, 0, -1], np.int8)
    assert unpack(lanes, pack(lanes, row)) == [-128, 127, 0, -1]
    assert pack(unsigned(70), np.uint64(2**64 - 1)) == 2**64 - 1
    assert pack(1, np.bool_(True)) == 1


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        (signed(8), 128, "value must be from -128 to 127, not 128"),
        (signed(8), -129, "value must be .* not -129"),
        (unsigned(8), -1, "value must be from 0 to 255, not -1"),
        (unsigned(8), 1.0, "value must be an integer, not 1.0"),
        (data.ArrayLayout(signed(8), 2), [0, np.int64(200)], r"value\[1\] must be .* not 200"),
        (data.ArrayLayout(signed(8), 2), [0], "sequence of 2"),
        (data.ArrayLayout(signed(8), 2), 3, "sequence of 2"),
        (NESTED, {"flag": 0, "rows": [{"x": 4, "y": 0}] * 2, "z": 0}, r"value\.rows\[0\]\.x must be .* not 4"),
        (NESTED, {"flag": 0, "z": 0}, "flag, rows, z"),
        (NESTED, 5, "flag, rows, z"),
        (data.UnionLayout({"a": 1, "b": 2}), 1, "union"),
    ],
)
def test_bad_values_are_rejected(shape, value, message):
    with pytest.raises(InputError, match=message):
        pack(shape, value)


def test_shapes_other_than_layouts():
    class Colour(enum.Enum, shape=2):  # pyright: ignore[reportCallIssue, reportGeneralTypeIssues]
        RED = 0
        BLUE = 3

    class Pixel(data.Struct):
        x: signed(4)
        y: signed(4)

    assert unpack(Pixel, pack(Pixel, {"x": -8, "y": 7})) == {"x": -8, "y": 7}
    assert unpack(Colour, 3) == 3
    assert unpack(range(-3, 5), pack(range(-3, 5), -3)) == -3


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 8, 32])
def test_many_bytes_at_once_equal_one_by_one(lanes):
    layout = data.ArrayLayout(signed(8), lanes)
    values = np.random.default_rng(lanes).integers(-128, 128, (50, lanes)).astype(np.int8)
    values[0], values[1] = -128, 127
    words = pack_beats(layout, values)
    assert words.shape == (50, -(-lanes // 4))
    for row, value in zip(words, values, strict=True):
        assert sum(int(word) << 32 * i for i, word in enumerate(row)) == pack(layout, value)
    assert np.array_equal(words, pack_beats(layout, values.tolist()))
    assert np.array_equal(unpack_beats(layout, words), values)
    assert unpack_beats(layout, words).dtype == np.int8


def test_many_values_of_other_layouts():
    values = [{"flag": 1, "rows": [{"x": x, "y": 3}] * 2, "z": -256} for x in range(-4, 4)]
    assert unpack_beats(NESTED, pack_beats(NESTED, values)) == values
    assert unpack_beats(40, pack_beats(40, [2**40 - 1, 1])) == [2**40 - 1, 1]
    assert pack_beats(NESTED, []).shape == (0, 1)
    with pytest.raises(InputError, match=r"i\[1\] must be .* not 2"):
        pack_beats(1, [1, 2], path="i")
    with pytest.raises(InputError, match=r"must be an \(n, 2\) array, not \(4, 3\)"):
        pack_beats(data.ArrayLayout(signed(8), 2), np.zeros((4, 3), np.int8))


ROWS = data.ArrayLayout(data.StructLayout({"none": unsigned(0), "x": signed(3), "y": unsigned(40), "z": signed(33)}), 3)
ROW = np.dtype([("x", np.int8), ("none", np.int64), ("y", np.uint64), ("z", np.int64)])


def test_structured_arrays_equal_one_by_one():
    rng = np.random.default_rng(5)
    values = np.zeros((40, 3), ROW)
    values["x"] = rng.integers(-4, 4, values.shape)
    values["y"] = rng.integers(0, 1 << 40, values.shape)
    values["z"] = rng.integers(-(1 << 32), 1 << 32, values.shape)
    values[0] = (-4, 0, (1 << 40) - 1, -(1 << 32))
    values[1] = (3, 0, 0, (1 << 32) - 1)
    plain = [[{name: int(row[name]) for name in ROW.names or ()} for row in beat] for beat in values]
    assert np.array_equal(pack_beats(ROWS, values), pack_beats(ROWS, plain))
    assert pack_all(ROWS, values) == [pack(ROWS, beat) for beat in plain]
    assert np.array_equal(pack_beats(ROWS.elem_shape, values[:, 1]), pack_beats(ROWS.elem_shape, [b[1] for b in plain]))
    assert pack_beats(ROWS, values[:0]).shape == (0, 8)


@pytest.mark.parametrize(
    ("field", "number", "message"),
    [
        ("x", -5, r"i\[7\]\[2\]\.x must be from -4 to 3, not -5"),
        ("y", 1 << 40, r"i\[7\]\[2\]\.y must be .* not 1099511627776"),
        ("none", 1, r"i\[7\]\[2\]\.none must be from 0 to 0, not 1"),
    ],
)
def test_structured_arrays_out_of_range(field, number, message):
    values = np.zeros((9, 3), ROW)
    values[field][7, 2] = number
    with pytest.raises(InputError, match=message):
        pack_beats(ROWS, values, path="i")


def test_structured_arrays_of_another_structure():
    with pytest.raises(InputError, match=r"value\[i\] must be an \(n, 3\) array, not \(2, 4\)"):
        pack_beats(ROWS, np.zeros((2, 4), ROW))
    with pytest.raises(InputError, match=r"must have the fields none, x, y, z, not x"):
        pack_beats(ROWS, np.zeros((2, 3), np.dtype([("x", np.int8)])))
    with pytest.raises(InputError, match=r"\[0\]\.z must be integers, one per payload, not float64"):
        pack_beats(ROWS, np.zeros((2, 3), [("x", int), ("none", int), ("y", int), ("z", float)]))
