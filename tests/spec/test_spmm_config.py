"""SpmmConfig: what is refused, how it reads from JSON, and that its derived widths hold every value."""

import dataclasses
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from thresher.spec import SPMM_PRESETS, ConfigError, SpmmConfig, WeightFormat, spmm_preset
from thresher.spec.formats import BIAS_BITS, ceil_div

from ..strategies import spmm_configs

TINY = SPMM_PRESETS["tiny"]
CSR, DELTA, BBS, NM, DENSE = WeightFormat

ILLEGAL = {
    "rows": [0, 3, 128, 2.0, "2", None, True],
    "lanes": [0, 3, 512, 4.0, "4", None, True],
    "drain_lanes": [0, 3, 8, 2.0, None, True],
    "max_columns": [0, -1, 65537, 64.0, None, True],
    "max_rows": [0, (1 << 24) + 1, 1.0, None, True],
    "max_tokens": [0, (1 << 24) + 1, 1.0, None, True],
    "banks": [0, 1, 3, 8, 4.0, None, True],
    "kept": [0, 4, 5, 2.0, None, True],
    "group": [0, 1, 3, 128, 4.0, None, True],
    "formats": [(), "csr", ("coo",), ("csr", "csr"), (CSR, "csr"), (1,), None, 3, {"csr"}],
    "result_rows": [0, 1, 3, 2048, 8.0, None, True],
}


def test_every_field_has_its_illegal_values():
    assert set(ILLEGAL) == {field.name for field in dataclasses.fields(SpmmConfig)}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in ILLEGAL.items() for v in values])
def test_illegal_values_are_rejected(field, value):
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(TINY, **{field: value})
    error = caught.value
    message = str(error)
    assert error.field == field
    assert message.startswith(f"{field}=")
    assert "must" in error.allowed
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        (dict(banks=2, drain_lanes=2), "drain_lanes", "at least rows·lanes/banks=4"),
        (dict(rows=4, drain_lanes=2), "drain_lanes", "at least rows·lanes/banks=4"),
        (dict(lanes=2, drain_lanes=2), "banks", "must be one of 2"),
        (dict(lanes=1, drain_lanes=1), "lanes", "must be at least 2 for the format bbs"),
        (dict(formats=(CSR,), banks=4), "banks", "must be 1 without the format bbs"),
        (dict(group=2), "kept", "from 1 to 1"),
    ],
)
def test_combinations_are_rejected(changes, field, words):
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(TINY, **changes)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_fields_are_keywords_and_frozen():
    with pytest.raises(TypeError):
        SpmmConfig(2, 4, 2, 64)  # pyright: ignore[reportCallIssue]
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.lanes = 4  # pyright: ignore[reportAttributeAccessIssue]


@given(spmm_configs())
def test_json_round_trip(config):
    again = SpmmConfig.from_json(config.to_json())
    assert again == config
    assert all(isinstance(item, WeightFormat) for item in again.formats)
    assert again.hash() == config.hash()


def test_hash_tells_configurations_apart():
    configs = [*SPMM_PRESETS.values(), TINY.with_formats(CSR), TINY.with_formats(CSR, DENSE)]
    assert len({config.hash() for config in configs}) == len(configs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lane": 4}, ["lane", "known field", "lanes"]),
        ({"formats": "bbs"}, ["formats='bbs'", "must be a list", "csr-delta"]),
        ({"formats": ["csr", "ellpack"]}, ["formats='ellpack'", "must be one of"]),
        ({"formats": [["csr"]]}, ["formats=['csr']", "must be one of"]),
        ({"formats": {"csr": 1}}, ["formats", "must be a list"]),
    ],
)
def test_bad_json_is_rejected_in_one_line(changes, words):
    with pytest.raises(ConfigError) as caught:
        SpmmConfig.from_json(json.dumps(json.loads(TINY.to_json()) | changes))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_defaulted_fields_may_be_left_out_of_json():
    sizes: dict[str, Any] = dict(rows=2, lanes=4, drain_lanes=4, max_columns=8, banks=2)
    assert SpmmConfig.from_json(json.dumps(sizes)) == SpmmConfig(**sizes)
    with pytest.raises(ConfigError, match=r"max_columns=.* must be given"):
        SpmmConfig.from_json(json.dumps(dict(rows=2, lanes=4, drain_lanes=4)))


def test_the_order_of_formats_makes_no_difference():
    for order in itertools.permutations((CSR, BBS, DENSE)):
        assert dataclasses.replace(TINY, formats=order).formats == (CSR, BBS, DENSE)
    assert dataclasses.replace(TINY, formats=["dense", "csr", "bbs"]).formats == (CSR, BBS, DENSE)


def test_other_formats_of_the_same_engine():
    assert TINY.with_formats(CSR, NM) == dataclasses.replace(TINY, formats=(CSR, NM), banks=1)
    assert TINY.with_formats(BBS) == dataclasses.replace(TINY, formats=(BBS,))


def test_presets_are_what_they_promise():
    edge, server = SPMM_PRESETS["edge"], SPMM_PRESETS["server"]
    assert edge.multipliers == 128
    assert server.multipliers >= 512
    for config in (edge, server):
        # A transformer's feed-forward layers: 1536 × 384 and back, 3072 × 768 and back.
        assert config.max_columns >= (3072 if config is server else 1536)
        assert config.formats == tuple(WeightFormat)
        assert (config.kept, config.group) == (2, 4)
    for config in SPMM_PRESETS.values():
        # A matrix times a vector: all multipliers of a row at one token.
        assert config.spread_tokens == 1


def test_unknown_names_are_rejected():
    assert spmm_preset("edge") is SPMM_PRESETS["edge"]
    with pytest.raises(ConfigError, match="preset='huge' is not allowed: must be one of tiny, edge, server"):
        spmm_preset("huge")


def _fits(low: int, high: int, bits: int) -> bool:
    return -(1 << (bits - 1)) <= low and high <= (1 << (bits - 1)) - 1


@given(spmm_configs())
def test_widths_hold_the_extremes_of_all_inputs(config):
    low, high = -128 * 127 * config.max_columns, 128 * 128 * config.max_columns
    assert high == config.accumulator_peak
    assert _fits(low, high, config.accumulator_bits)
    bias_low, bias_high = -(1 << (BIAS_BITS - 1)), (1 << (BIAS_BITS - 1)) - 1
    assert _fits(low + bias_low, high + bias_high, config.biased_bits)
    assert config.max_columns - 1 < 1 << config.column_bits
    assert config.max_rows * config.max_tokens < 1 << config.saturation_bits


@given(spmm_configs())
def test_row_widths_hold_every_row(config):
    widths = config.row_widths()
    assert list(widths) == ["engine", "length", "bias", "multiplier", "shift"]
    assert [name for name, (_, signed) in widths.items() if signed] == ["bias"]
    assert config.rows == 1 << widths["engine"][0]
    # The longest row: a word per column.
    assert config.max_columns < 1 << widths["length"][0]


@given(spmm_configs())
def test_sizes(config):
    assert config.multipliers == config.rows * config.lanes
    assert config.spread_tokens * config.banks == config.lanes
    assert config.beats_per_row * config.drain_lanes == config.lanes
    assert config.max_bank_columns == ceil_div(config.max_columns, config.banks)
    if BBS in config.formats:
        assert config.rows * config.spread_tokens <= config.drain_lanes
