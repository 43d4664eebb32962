"""Splitting INT8 into integer and fraction: all 256 values under every rule."""

import dataclasses
import math

import numpy as np
import pytest
from thresher.golden.attention.split import split
from thresher.spec import PRESETS, Split

ALL = np.arange(-128, 128)
CASES = [(rule, bits) for rule in Split for bits in range(2, 7)]


def _split(rule: Split, bits: int, x: np.ndarray = ALL):
    return split(dataclasses.replace(PRESETS["tiny"], split=rule, fraction_bits=bits), x)


@pytest.mark.parametrize(("rule", "bits"), CASES)
def test_parts_make_the_whole_and_fit(rule, bits):
    config = dataclasses.replace(PRESETS["tiny"], split=rule, fraction_bits=bits)
    integer, fraction = split(config, ALL)
    assert (integer * 2**bits + fraction == ALL).all()
    half = 1 << (config.integer_bits - 1)
    assert integer.min() >= -half
    assert integer.max() < half
    assert np.abs(fraction).max() < 1 << (config.fraction_signed_bits - 1)


@pytest.mark.parametrize("bits", range(2, 7))
def test_each_rule_by_its_definition(bits):
    unit = 2**bits
    assert _split(Split.FLOOR, bits)[0].tolist() == [math.floor(x / unit) for x in ALL]
    assert _split(Split.TRUNC, bits)[0].tolist() == [math.trunc(x / unit) for x in ALL]
    nearest = [math.floor(x / unit + 0.5) for x in ALL]
    assert _split(Split.ROUND, bits)[0].tolist() == [min(value, 128 // unit - 1) for value in nearest]


@pytest.mark.parametrize("bits", range(2, 7))
def test_fraction_ranges(bits):
    unit = 2**bits
    assert (_split(Split.FLOOR, bits)[1] >= 0).all()
    _, trunc = _split(Split.TRUNC, bits)
    assert ((np.sign(trunc) == np.sign(ALL)) | (trunc == 0)).all()
    _, rounded = _split(Split.ROUND, bits)
    # Half a unit either way, except where the integer part saturates.
    saturated = ALL + unit // 2 > 127
    assert (rounded[~saturated] >= -unit // 2).all()
    assert (rounded[~saturated] < unit // 2).all()
    assert (rounded[saturated] >= unit // 2).all()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Split.ROUND, {-128: (-8, 0), -8: (0, -8), -9: (-1, 7), 7: (0, 7), 8: (1, -8), 119: (7, 7), 127: (7, 15)}),
        (Split.TRUNC, {-128: (-8, 0), -15: (0, -15), -16: (-1, 0), 15: (0, 15), 127: (7, 15)}),
        (Split.FLOOR, {-128: (-8, 0), -1: (-1, 15), 0: (0, 0), 15: (0, 15), 127: (7, 15)}),
    ],
)
def test_corners_with_four_fraction_bits(rule, expected):
    for x, parts in expected.items():
        integer, fraction = _split(rule, 4, np.array(x))
        assert (int(integer), int(fraction)) == parts


def test_shape_is_kept():
    integer, fraction = _split(Split.ROUND, 4, np.zeros((3, 0, 2), np.int64))
    assert integer.shape == fraction.shape == (3, 0, 2)
