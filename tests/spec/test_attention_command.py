"""Commands: real-valued settings become integers with known errors, and what does not fit is refused."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from thresher.spec import PRESETS, CommandError, CommandValueError, HeadCommand, head_command, preset
from thresher.spec.attention_command import command_widths, output_scaling, score_scaling
from thresher.spec.formats import OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, SCORE_MULTIPLIER_BITS, SCORE_SHIFT_BITS

from ..strategies import configs

TINY = PRESETS["tiny"]
CAUSAL = dataclasses.replace(TINY, causal=True)
SETTINGS: dict[str, Any] = dict(query_length=3, key_length=5, head_dim=8, score_scale=0.001, output_scale=0.5)
SCORE_SCALE_LIMIT = (2**SCORE_MULTIPLIER_BITS - 1) / (math.log2(math.e) * 2**24)


def _factor(multiplier: int, shift: int) -> float:
    """Powers of two per unit of score that an encoding stands for."""
    return multiplier / 2**24 / 2**shift


# -- score scale -------------------------------------------------------------------------------


@given(st.floats(2.0**-30, SCORE_SCALE_LIMIT * 0.99999))
def test_score_scaling_is_near(scale):
    multiplier, shift = score_scaling(scale)
    assert 0 <= multiplier < 1 << SCORE_MULTIPLIER_BITS
    assert 0 <= shift < 1 << SCORE_SHIFT_BITS
    true = scale * math.log2(math.e)
    # Half a unit of the multiplier; 2^12 units of it are one unit of the exponent, 2^−12.
    assert abs(_factor(multiplier, shift) - true) <= 0.5000001 * 2.0**-24 / 2**shift
    if shift < (1 << SCORE_SHIFT_BITS) - 1:
        assert abs(_factor(multiplier, shift) - true) <= true * 2.0**-12
    if shift:
        # Dropping a low bit of the difference never costs more than a unit of the exponent.
        assert true * 2**shift <= 2.0**-12


@given(st.floats(2.0**-30, SCORE_SCALE_LIMIT * 0.99999), st.floats(2.0**-30, SCORE_SCALE_LIMIT * 0.99999))
def test_score_scaling_is_monotone(a, b):
    low, high = sorted((a, b))
    assert _factor(*score_scaling(low)) <= _factor(*score_scaling(high)) * (1 + 2.0**-12)
    assume(high > low * (1 + 2.0**-10))
    assert _factor(*score_scaling(low)) <= _factor(*score_scaling(high))


def test_score_scaling_reaches_its_limit_and_no_further():
    multiplier, shift = score_scaling(SCORE_SCALE_LIMIT)
    assert (multiplier, shift) == ((1 << SCORE_MULTIPLIER_BITS) - 1, 0)
    with pytest.raises(CommandValueError, match=r"score_scale=.*at most 0.005"):
        score_scaling(SCORE_SCALE_LIMIT * 1.00001)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_meaningless_score_scales_are_rejected(scale):
    with pytest.raises(CommandValueError, match=r"positive and finite"):
        score_scaling(scale)


# -- output scale ------------------------------------------------------------------------------


@given(st.floats(2.0**-16, 2.0**15))
def test_output_scaling_has_sixteen_bits(scale):
    multiplier, shift = output_scaling(scale)
    assert 0 < multiplier < 1 << OUTPUT_MULTIPLIER_BITS
    assert 0 <= shift < 1 << OUTPUT_SHIFT_BITS
    error = abs(Fraction(multiplier, 2**shift) / Fraction(scale) - 1)
    assert error <= Fraction(1, 2**15 if scale < 2.0**-15 else 2**16)


@given(st.floats(2.0**-16, 2.0**15), st.floats(2.0**-16, 2.0**15))
def test_output_scaling_is_monotone(a, b):
    low, high = sorted((a, b))
    assert Fraction(output_scaling(low)[0], 2 ** output_scaling(low)[1]) <= Fraction(
        output_scaling(high)[0], 2 ** output_scaling(high)[1]
    )


@pytest.mark.parametrize("exponent", range(-16, 16))
def test_powers_of_two_are_exact(exponent):
    multiplier, shift = output_scaling(2.0**exponent)
    assert Fraction(multiplier, 2**shift) == Fraction(2) ** exponent


@pytest.mark.parametrize("scale", [0.0, -1.0, 2.0**-16 * 0.999, 2.0**15 * 1.001, math.nan, math.inf])
def test_output_scales_out_of_range_are_rejected(scale):
    with pytest.raises(CommandValueError, match=r"output_scale=.*from 2\^-16 to 2\^15"):
        output_scaling(scale)


def test_every_mantissa_that_rounds_up_to_a_power_of_two_fits():
    for exponent in range(-16, 15):
        scale = math.nextafter(2.0 ** (exponent + 1), 0)
        multiplier, shift = output_scaling(scale)
        assert multiplier < 1 << OUTPUT_MULTIPLIER_BITS
        assert Fraction(multiplier, 2**shift) == Fraction(2) ** (exponent + 1)


# -- rho, tau and the whole command ------------------------------------------------------------


@given(st.floats(-1, 1, exclude_max=True))
def test_rho_is_rounded_to_256ths_and_stays_below_one(rho):
    command = head_command(TINY, **SETTINGS, rho=rho)
    assert -256 <= command.rho <= 255
    assert abs(command.rho - 256 * rho) <= (0.5 if rho < 255.5 / 256 else 1)


@pytest.mark.parametrize("rho", [-1.0001, 1.0, 2.0, math.nan, -math.inf])
def test_rho_out_of_range_is_rejected(rho):
    with pytest.raises(CommandValueError, match=r"rho=.*keep all blocks"):
        head_command(TINY, **SETTINGS, rho=rho)


@pytest.mark.parametrize("tau", [-0.5, math.nan, math.inf])
def test_tau_out_of_range_is_rejected(tau):
    with pytest.raises(CommandValueError, match=r"tau="):
        head_command(TINY, **SETTINGS, tau=tau)


@given(st.floats(0, 1e3), st.integers(0, 2**17))
def test_integer_head_threshold_decides_like_the_real_one(tau, head_sum):
    command = head_command(TINY, **SETTINGS, tau=tau)
    if command.head_threshold < (1 << TINY.head_sum_bits) - 1:
        # The product as the command computes it, so that only the ceiling is under test.
        assert (head_sum < command.head_threshold) == (head_sum < tau * 15)


def test_head_rules_differ_by_the_number_of_elements():
    per_element = head_command(TINY, **SETTINGS, tau=2.0)
    absolute = head_command(preset("tiny", policy="hdp"), **SETTINGS, tau=2.0)
    assert (per_element.head_threshold, absolute.head_threshold) == (2 * 3 * 5, 2)


@given(configs(), st.floats(0, 1e12))
def test_every_command_from_real_settings_is_encodable(config, tau):
    command = head_command(
        config,
        query_length=config.max_length,
        key_length=config.max_length,
        head_dim=config.max_head_dim,
        score_scale=0.004,
        output_scale=1.0,
        rho=0.999,
        tau=tau,
    )
    command.check_encodable(config)
    assert command.rejection(config) is CommandError.NONE


def test_defaults_keep_every_block_and_head():
    command = head_command(TINY, **SETTINGS)
    assert (command.rho, command.head_threshold) == (-256, 0)


@pytest.mark.parametrize(
    ("lengths", "error"),
    [
        ((0, 1, 1), CommandError.QUERY_LENGTH),
        ((17, 1, 1), CommandError.QUERY_LENGTH),
        ((1, 0, 1), CommandError.KEY_LENGTH),
        ((1, 17, 1), CommandError.KEY_LENGTH),
        ((1, 1, 0), CommandError.HEAD_DIM),
        ((1, 1, 9), CommandError.HEAD_DIM),
        ((0, 0, 0), CommandError.QUERY_LENGTH),
        ((1, 1, 1), CommandError.NONE),
        ((16, 16, 8), CommandError.NONE),
    ],
)
def test_refusal_says_which_length(lengths, error):
    lq, lk, d = lengths
    assert HeadCommand(query_length=lq, key_length=lk, head_dim=d).rejection(TINY) is error


@given(configs())
def test_widths_name_every_field_and_carry_every_legal_length(config):
    widths = command_widths(config)
    assert list(widths) == [field.name for field in dataclasses.fields(HeadCommand)]
    for name, largest in (
        ("query_length", config.max_length),
        ("key_length", config.max_length),
        ("head_dim", config.max_head_dim),
    ):
        assert largest < 1 << widths[name][0]


@pytest.mark.parametrize(("name", "bits", "signed"), [(n, *w) for n, w in command_widths(CAUSAL).items()])
def test_fields_that_do_not_fit_are_rejected(name, bits, signed):
    good = HeadCommand(query_length=1, key_length=1, head_dim=1)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    for value in (low, high):
        dataclasses.replace(good, **{name: value}).check_encodable(CAUSAL)
    for value in (low - 1, high + 1, 1.0, None, True):
        with pytest.raises(CommandValueError) as caught:
            dataclasses.replace(good, **{name: value}).check_encodable(CAUSAL)
        assert caught.value.field == name
        assert f"from {low} to {high}" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("query_length", 1.5),
        ("key_length", "6"),
        ("head_dim", None),
        ("rho", "0.5"),
        ("tau", None),
        ("score_scale", "1"),
        ("output_scale", b"1"),
    ],
)
def test_settings_that_are_no_numbers_are_rejected(field, bad):
    settings: dict[str, Any] = dict(query_length=4, key_length=4, head_dim=8, score_scale=1e-4, output_scale=1.0)
    with pytest.raises(CommandValueError, match=f"{field}=.* must be a"):
        head_command(preset("tiny"), **{**settings, field: bad})
