"""SpMM commands: what is refused and why, what fits its fields, and scales as multiplier and shift."""

import dataclasses
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import SPMM_PRESETS, Activation, CommandValueError, SpmmCommand, SpmmError, WeightFormat, row_scaling
from thresher.spec.formats import ROW_MULTIPLIER_BITS, ROW_SHIFT_BASE, ROW_SHIFT_BITS
from thresher.spec.spmm_command import FORMAT_CODES, spmm_command_widths

from ..strategies import spmm_configs

TINY = dataclasses.replace(SPMM_PRESETS["tiny"], max_rows=100, max_tokens=10)
GOOD = SpmmCommand(rows=1, columns=1, tokens=1)
BBS = FORMAT_CODES[WeightFormat.BBS]


# -- rejection ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, SpmmError.NONE),
        ({"rows": 100, "columns": 64, "tokens": 10}, SpmmError.NONE),
        ({"rows": 0}, SpmmError.ROWS),
        ({"rows": 101}, SpmmError.ROWS),
        ({"columns": 0}, SpmmError.COLUMNS),
        ({"columns": 65}, SpmmError.COLUMNS),
        ({"tokens": 0}, SpmmError.TOKENS),
        ({"tokens": 11}, SpmmError.TOKENS),
        ({"format": 5}, SpmmError.FORMAT),
        ({"format": 7}, SpmmError.FORMAT),
        ({"spread": 1}, SpmmError.SPREAD),
        ({"spread": 1, "format": BBS}, SpmmError.NONE),
        ({"activation": 3}, SpmmError.ACTIVATION),
        ({"activation": Activation.RELU}, SpmmError.NONE),
        ({"activation": Activation.TABLE}, SpmmError.TABLE),
        ({"activation": Activation.TABLE, "load_table": 1}, SpmmError.NONE),
        ({"load_table": 1}, SpmmError.NONE),
        # The fault that comes first in the order of the codes is reported.
        ({"rows": 0, "columns": 0, "tokens": 0, "format": 5, "activation": 3}, SpmmError.ROWS),
        ({"tokens": 0, "activation": 3}, SpmmError.TOKENS),
        ({"format": 5, "spread": 1}, SpmmError.FORMAT),
    ],
)
def test_refusal_says_why(changes, error):
    assert dataclasses.replace(GOOD, **changes).rejection(TINY) is error


def test_a_table_that_is_loaded_serves_later_commands():
    command = dataclasses.replace(GOOD, activation=Activation.TABLE)
    assert command.rejection(TINY, table_loaded=True) is SpmmError.NONE
    assert command.rejection(TINY, table_loaded=False) is SpmmError.TABLE


@given(spmm_configs())
def test_formats_that_the_engine_lacks_are_rejected(config):
    for item, code in FORMAT_CODES.items():
        error = dataclasses.replace(GOOD, format=code).rejection(config)
        assert error is (SpmmError.NONE if item in config.formats else SpmmError.FORMAT)


def test_format_codes_are_what_stored_weights_say():
    """They are in files and on the wire, so they never change."""
    assert [(str(item), code) for item, code in FORMAT_CODES.items()] == [
        ("csr", 0), ("csr-delta", 1), ("bbs", 2), ("nm", 3), ("dense", 4)
    ]  # fmt: skip


# -- fields ------------------------------------------------------------------------------------


@given(spmm_configs())
def test_widths_name_every_field_and_carry_every_legal_value(config):
    widths = spmm_command_widths(config)
    assert list(widths) == [field.name for field in dataclasses.fields(SpmmCommand)]
    largest = SpmmCommand(
        rows=config.max_rows,
        columns=config.max_columns,
        tokens=config.max_tokens,
        format=max(FORMAT_CODES.values()),
        spread=1,
        activation=max(Activation),
        load_table=1,
    )
    largest.check_encodable(config)
    assert all(not signed for _, signed in widths.values())


@pytest.mark.parametrize(("name", "bits"), [(name, bits) for name, (bits, _) in spmm_command_widths(TINY).items()])
def test_fields_that_do_not_fit_are_rejected(name, bits):
    for value in (0, 2**bits - 1):
        dataclasses.replace(GOOD, **{name: value}).check_encodable(TINY)
    for value in (-1, 2**bits, 1.0, None, True):
        with pytest.raises(CommandValueError) as caught:
            dataclasses.replace(GOOD, **{name: value}).check_encodable(TINY)
        assert caught.value.field == name
        assert f"from 0 to {2**bits - 1}" in str(caught.value)


# -- scales ------------------------------------------------------------------------------------


def _value(scale: float) -> Fraction:
    multiplier, shift = row_scaling(scale)
    assert 0 < multiplier < 1 << ROW_MULTIPLIER_BITS
    assert 0 <= shift < 1 << ROW_SHIFT_BITS
    return Fraction(multiplier, 2 ** (ROW_SHIFT_BASE + shift))


@given(st.floats(2.0**-24, 2.0**7))
def test_row_scaling_has_sixteen_bits(scale):
    error = abs(_value(scale) / Fraction(scale) - 1)
    assert error <= Fraction(1, 2**16)


@pytest.mark.parametrize("exponent", range(-24, 8))
def test_powers_of_two_are_exact(exponent):
    assert _value(2.0**exponent) == Fraction(2) ** exponent


@pytest.mark.parametrize("exponent", range(-23, 8))
def test_mantissas_that_round_up_to_a_power_of_two_fit(exponent):
    assert _value(math.nextafter(2.0**exponent, 0)) == Fraction(2) ** exponent


@pytest.mark.parametrize("scale", [0.0, -1.0, 2.0**-24 * 0.999, 2.0**7 * 1.001, math.nan, math.inf, "1", None])
def test_row_scales_out_of_range_are_rejected(scale):
    with pytest.raises(CommandValueError, match=r"row scale=.* must be (from 2\^-24 to 2\^7|a number)"):
        row_scaling(scale)
