"""VectorConfig and VectorCommand: what is refused, JSON in and out, and that derived widths hold every value."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import (
    VECTOR_PRESETS,
    CommandValueError,
    ConfigError,
    VectorCommand,
    VectorConfig,
    VectorError,
    vector_preset,
)
from thresher.spec import vector as formats

ILLEGAL = {
    "lanes": [0, 3, 64, 8.0, "8", None, True],
    "max_channels": [0, -1, 1025, 64.0, None, True],
    "max_tokens": [0, (1 << 24) + 1, 1.0, None, True],
}
SMALL = VectorConfig(lanes=2, max_channels=100, max_tokens=10)
GOOD = VectorCommand(channels=1, tokens=1, shift=0)


def test_every_field_has_its_illegal_values():
    assert set(ILLEGAL) == {field.name for field in dataclasses.fields(VectorConfig)}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in ILLEGAL.items() for v in values])
def test_illegal_values_are_rejected(field, value):
    with pytest.raises(ConfigError, match="must be") as caught:
        VectorConfig(**{field: value})
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [*VECTOR_PRESETS.values(), SMALL])
def test_json_gives_the_same_configuration(config):
    assert VectorConfig.from_json(config.to_json()) == config


def test_presets_are_what_they_promise():
    edge = vector_preset("edge")
    assert (edge.lanes, edge.multipliers) == (8, 25)
    assert edge.max_channels >= 768
    with pytest.raises(ConfigError, match="preset='huge' is not allowed: must be one of tiny, edge, server"):
        vector_preset("huge")


def test_the_largest_widths_are_those_of_the_formats():
    config = VectorConfig()
    found = config.total_bits, config.square_sum_bits, config.variance_bits, config.operand_bits
    expected = formats.TOTAL_BITS, formats.SQUARE_SUM_BITS, formats.VARIANCE_BITS, formats.OPERAND_BITS
    assert found == expected == (29, 45, 55, 18)


@given(st.integers(1, 1024))
def test_widths_hold_every_value(channels):
    """The extremes of v are −2^17 and 2^17 − 2^10. The largest deviation is that of one channel from all others."""
    config = VectorConfig(max_channels=channels)
    low, high = -(1 << 17), (1 << 17) - (1 << 10)
    for value in (channels * low, channels * high, (channels - 1) * (high - low), (channels - 1) * (low - high)):
        assert -(1 << (config.total_bits - 1)) <= value < 1 << (config.total_bits - 1)
    assert channels * low**2 < 1 << config.square_sum_bits
    half = channels // 2
    values = [low] * half + [high] * (channels - half)
    variance = channels * sum(v * v for v in values) - sum(values) ** 2 + (1 << 32) - 1
    assert variance < 1 << config.variance_bits
    assert (config.variance_bits - 1) // 2 < 1 << config.exponent_bits
    # One channel that differs: V = (C − 1)·Δ², and its deviation is (C − 1)·Δ.
    for delta in (1, 3, high - low):
        deviation = (channels - 1) * delta
        exponent = max(0, ((channels - 1) * delta**2).bit_length() - 1) // 2
        for sign in (1, -1):
            operand = (sign * deviation << formats.OPERAND_FRACTION) >> exponent
            assert -(1 << (config.operand_bits - 1)) <= operand < 1 << (config.operand_bits - 1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, VectorError.NONE),
        ({"channels": 100, "tokens": 10}, VectorError.NONE),
        ({"channels": 0}, VectorError.CHANNELS),
        ({"channels": 101}, VectorError.CHANNELS),
        ({"tokens": 0}, VectorError.TOKENS),
        ({"tokens": 11}, VectorError.TOKENS),
        ({"channels": 0, "tokens": 0}, VectorError.CHANNELS),
    ],
)
def test_refusal_says_why(changes, error):
    assert dataclasses.replace(GOOD, **changes).rejection(SMALL) is error


@pytest.mark.parametrize(
    ("field", "value"),
    [("channels", 128), ("channels", -1), ("tokens", 16), ("shift", 32), ("epsilon", 1 << 32), ("epsilon", 0.5)],
)
def test_what_does_not_fit_the_stream_is_rejected(field, value):
    dataclasses.replace(GOOD, channels=127, tokens=15, shift=31, epsilon=(1 << 32) - 1).check_encodable(SMALL)
    with pytest.raises(CommandValueError, match=f"{field}=.* must be an integer from"):
        dataclasses.replace(GOOD, **{field: value}).check_encodable(SMALL)
