"""2^−t: error bound, monotony and ends, over every exponent that differs from infinity."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from thresher.golden.attention.exponential import exponent, exponential, weights
from thresher.spec import PRESETS, HeadCommand
from thresher.spec.attention_command import score_scaling
from thresher.spec.formats import DIFFERENCE_BITS, EXP_FRACTION, SCORE_MULTIPLIER_BITS

ONE = 1 << EXP_FRACTION
BITS = range(8, 16)


def _all(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Every t up to four places beyond the last weight, and its weight."""
    t = np.arange((bits + 4) * ONE)
    return t, exponential(dataclasses.replace(PRESETS["edge"], weight_bits=bits), t)


@pytest.mark.parametrize("bits", BITS)
def test_error_bound(bits):
    t, weight = _all(bits)
    whole = 2.0 ** (bits - t // ONE)
    true = 2.0 ** (bits - t / ONE)
    # The polynomial is off by 2.0e-3 of 2^−floor(t), which is 3.4e-3 of the value itself at the worst; its pieces are
    # rounded at 16 fraction bits, and the result to a whole number. Only t next to 0 saturates, by one.
    error = np.abs(weight - np.minimum(true, 2**bits - 1))
    assert (error <= 2.1e-3 * whole + 0.5).all()
    assert (error <= 3.45e-3 * true + 0.51).all()


@pytest.mark.parametrize("bits", BITS)
def test_never_rises_and_ends_at_zero(bits):
    _, weight = _all(bits)
    assert (np.diff(weight) <= 0).all()
    assert weight[0] == 2**bits - 1
    assert weight[-1] == 0
    assert (weight >= 0).all()


@pytest.mark.parametrize("bits", BITS)
def test_whole_exponents_are_exact(bits):
    _, weight = _all(bits)
    assert weight[ONE :: ONE][: bits].tolist() == [2 ** (bits - 1 - i) for i in range(bits)]  # fmt: skip


def test_largest_exponent_gives_zero_and_does_not_overflow():
    largest = ((1 << DIFFERENCE_BITS) - 1) * ((1 << SCORE_MULTIPLIER_BITS) - 1) >> 12
    assert exponential(PRESETS["edge"], np.array([largest])) == [0]


@pytest.mark.parametrize("shift", [0, 1, 15])
@pytest.mark.parametrize("multiplier", [0, 1, 4096, (1 << SCORE_MULTIPLIER_BITS) - 1])
def test_exponent_is_the_scaled_difference_rounded_down_and_saturated(shift, multiplier):
    command = HeadCommand(query_length=1, key_length=1, head_dim=1, score_multiplier=multiplier, score_shift=shift)
    differences = [0, 1, 2**shift - 1, 2**shift, 12345, 2**17 - 1, 2**17, 2**22]
    result = exponent(command, np.array(differences, np.int64))
    for difference, t in zip(differences, result.tolist(), strict=True):
        kept = min(difference // 2**shift, 2**DIFFERENCE_BITS - 1)
        assert t == Fraction(kept * multiplier, 4096).__floor__()


@pytest.mark.parametrize("scale", [2.0**-20, 1e-5, 3e-4, 5e-3])
def test_weight_of_a_difference_against_float(scale):
    """From score differences to weights, beside exp(−difference · scale)."""
    config = PRESETS["edge"]
    multiplier, shift = score_scaling(scale)
    command = HeadCommand(query_length=1, key_length=1, head_dim=1, score_multiplier=multiplier, score_shift=shift)
    differences = np.arange(0, config.score_peak, 37)
    weight = weights(config, command, differences)
    true = np.exp(-differences * scale) * 2**config.weight_bits
    # Beside the exponential's own error: the exponent and the dropped bits, a unit of 2^−12 each, times ln 2, and the
    # multiplier's half unit over the largest difference.
    relative = 3.45e-3 + 2 * np.log(2) / ONE + differences * np.log(2) * 2.0**-25 / 2**shift
    assert (np.abs(weight - np.minimum(true, config.weight_max)) <= relative * true + 0.51).all()
