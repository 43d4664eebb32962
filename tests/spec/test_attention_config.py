"""AttentionConfig: what is refused, how it reads from JSON, and that its derived widths hold every value."""

import dataclasses
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from thresher.spec import POLICIES, PRESETS, AttentionConfig, ConfigError, Fill, ThresherError, preset
from thresher.spec.formats import INT8_MAX, INT8_MIN, ceil_div, signed_bits, unsigned_bits

from ..strategies import configs

SMALL = AttentionConfig(max_length=16, max_head_dim=8, lanes=2, predictor_lanes=4)

ILLEGAL = {
    "max_length": [0, 1, 3, -16, 1026, 16.0, "16", None, True],
    "max_head_dim": [0, 1, 3, 257, 258, 8.0, "8", None, True],
    "lanes": [0, 3, 6, 512, 2.0, "2", None, True],
    "block": [0, 1, 3, 8, 2.0, "2", None, True],
    "predictor_lanes": [0, 1, 3, 6, 16, 512, 4.0, None, True],
    "predictor_blocks": [0, 3, 8, 1.0, None, True],
    "output_lanes": [0, 3, 4, 512, 2.0, None, True],
    "compact": [0, 1, "true", None],
    "causal": [0, 1, "true", None],
    "weight_bits": [7, 16, 12.0, None, True],
    "fraction_bits": [1, 7, 4.0, None, True],
    "reciprocal_segments": [0, 3, 128, 32.0, None, True],
    "split": ["nearest", "ROUND", 0, None],
    "importance": ["min", "", None],
    "block_rule": ["top_k", None],
    "score": ["inexact", None],
    "fill": ["mean", None],
    "normalise": ["never", None],
    "head_rule": ["relative", None],
}


def test_every_field_has_its_illegal_values():
    assert set(ILLEGAL) == {field.name for field in dataclasses.fields(AttentionConfig)}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in ILLEGAL.items() for v in values])
def test_illegal_values_are_rejected(field, value):
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(SMALL, **{field: value})
    error = caught.value
    assert (error.field, error.value) == (field, value)
    assert isinstance(error, ThresherError)
    message = str(error)
    assert message.startswith(f"{field}={value!r} ")
    assert "must" in error.allowed
    assert error.allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (dict(block=4, max_length=18), "max_length"),
        (dict(lanes=4, max_head_dim=6, predictor_lanes=4), "max_head_dim"),
        (dict(max_head_dim=12, lanes=2, predictor_lanes=8), "predictor_lanes"),
        (dict(lanes=4, predictor_lanes=2), "predictor_lanes"),
        (dict(lanes=2, output_lanes=8), "output_lanes"),
        (dict(lanes=2, output_lanes=2, compact=True), "output_lanes"),
        (dict(block_rule="probability", importance="sum"), "importance"),
        (dict(block_rule="probability", fill="skip"), "fill"),
    ],
)
def test_combinations_are_rejected(changes, field):
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(SMALL, **changes)
    assert caught.value.field == field


def test_fields_are_keywords_and_frozen():
    with pytest.raises(TypeError):
        AttentionConfig(16, 8, 2, 4)  # pyright: ignore[reportCallIssue]
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.lanes = 4  # pyright: ignore[reportAttributeAccessIssue]


@given(configs())
def test_json_round_trip(config):
    text = config.to_json()
    again = AttentionConfig.from_json(text)
    assert again == config
    assert isinstance(again.fill, Fill)
    assert again.hash() == config.hash()


def test_hash_tells_configurations_apart():
    hashes = {preset(name, policy=policy).hash() for name, policy in itertools.product(PRESETS, POLICIES)}
    assert len(hashes) == len(PRESETS) * len(POLICIES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["configuration", "JSON"]),
        ("{", ["configuration", "JSON"]),
        ("[1, 2]", ["configuration", "object", "list"]),
        ("null", ["configuration", "object"]),
        pytest.param("9" * 5000, ["configuration", "JSON"], id="endless number"),
        pytest.param("[" * 100_000, ["configuration", "JSON"], id="endless nesting"),
        (json.dumps({"max_length": 16}), ["max_head_dim", "must be given"]),
        (json.dumps({**json.loads(SMALL.to_json()), "lane": 2}), ["lane", "known field", "lanes"]),
        (json.dumps({**json.loads(SMALL.to_json()), "lanes": 3}), ["lanes=3", "must be one of"]),
        (json.dumps({**json.loads(SMALL.to_json()), "fill": "mean"}), ["fill='mean'", "background"]),
    ],
)
def test_bad_json_is_rejected_in_one_line(text, words):
    with pytest.raises(ConfigError) as caught:
        AttentionConfig.from_json(text)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_defaulted_fields_may_be_left_out_of_json():
    sizes: dict[str, Any] = dict(max_length=16, max_head_dim=8, lanes=2, predictor_lanes=4)
    assert AttentionConfig.from_json(json.dumps(sizes)) == AttentionConfig(**sizes)


def test_presets_are_what_they_promise():
    edge, server = PRESETS["edge"], PRESETS["server"]
    assert edge.multipliers == 128
    assert edge.max_length >= 256
    assert edge.max_head_dim >= 64
    assert server.multipliers >= 512
    assert server.max_length >= 512
    assert server.max_head_dim >= 128
    for config in PRESETS.values():
        # Main array: 2 · chunks cycles per kept block (scores, then P·V). At 75 % block sparsity a quarter of the
        # blocks is kept, and the predictor must have looked at all of them by then.
        main = 2 * config.chunks * config.blocks**2 // 4
        predictor = config.predictor_chunks * ceil_div(config.blocks, config.predictor_blocks) * config.blocks
        assert predictor <= main


@pytest.mark.parametrize(("name", "policy"), [("huge", "thresher"), ("tiny", "paper")])
def test_unknown_names_are_rejected(name, policy):
    with pytest.raises(ConfigError, match="must be one of"):
        preset(name, policy=policy)


def test_policies_cover_every_policy_field():
    for name, fields in POLICIES.items():
        assert preset("tiny", policy=name).policy == {field: str(value) for field, value in fields.items()}


def _fits(low: int, high: int, bits: int) -> bool:
    return -(1 << (bits - 1)) <= low and high <= (1 << (bits - 1)) - 1


def _split(config: AttentionConfig, x: int) -> tuple[int, int]:
    """Integer and fraction of one value, written from the rules' definitions and nothing else."""
    unit = 2**config.fraction_bits
    match str(config.split):
        case "round":
            integer = max(-(128 // unit), min(128 // unit - 1, (2 * x + unit) // (2 * unit)))
        case "trunc":
            integer = int(x / unit)
        case _:
            integer = (x - x % unit) // unit
    return integer, x - unit * integer


@given(configs())
def test_widths_hold_the_extremes_of_all_int8_inputs(config):
    values = [_split(config, x) for x in range(INT8_MIN, INT8_MAX + 1)]
    integers, fractions = [i for i, _ in values], [f for _, f in values]
    d, length, area = config.max_head_dim, config.max_length, config.block**2
    assert _fits(min(integers), max(integers), config.integer_bits)
    assert _fits(min(fractions), max(fractions), config.fraction_signed_bits)

    products = [a * b for a, b in itertools.product({min(integers), max(integers)}, repeat=2)]
    low, high = d * min(products), d * max(products)
    assert max(-low, high) <= config.prediction_peak
    assert _fits(low, high, config.prediction_bits)
    several = 1 if str(config.importance) == "max" else area
    magnitude = max(-low, high)
    if str(config.importance) == "abs_sum":
        assert _fits(0, several * magnitude, config.importance_bits)
    else:
        assert _fits(several * low, several * high, config.importance_bits)
    assert length**2 * magnitude < 1 << config.head_sum_bits

    # Scores: the extremes of one product x·y − [approx] xf·yf over all pairs, d times.
    ends = {x for x in range(-128, 128) if x in (-128, 127) or abs(values[x + 128][1]) == max(map(abs, fractions))}
    terms = [x * y - (values[x + 128][1] * values[y + 128][1] if config.score == "approx" else 0)
             for x in ends for y in ends]  # fmt: skip
    assert _fits(d * min(terms), d * max(terms), config.score_bits)
    # A background score is 2^2F · (mean of II).
    assert _fits(low * 4**config.fraction_bits, high * 4**config.fraction_bits, config.score_bits)

    assert config.weight_max == 2**config.weight_bits - 1
    assert length * config.weight_max < 1 << config.denominator_bits
    assert (length * config.weight_max).bit_length() - 1 < 1 << config.exponent_bits
    assert _fits(-128 * length * config.weight_max, 128 * length * config.weight_max, config.accumulator_bits)
    assert _fits(-128 * length, 128 * length, config.value_sum_bits)
    assert config.blocks**2 < 1 << config.kept_bits
    assert length * d < 1 << config.saturation_bits
    assert length < 1 << config.length_bits
    assert d < 1 << config.head_dim_bits


@given(configs())
def test_sizes(config):
    assert config.multipliers == config.block**2 * config.lanes
    assert config.chunks * config.lanes == config.max_head_dim
    assert config.predictor_chunks * config.predictor_lanes == config.max_head_dim
    assert config.blocks * config.block == config.max_length
    assert (config.groups - 1) * config.predictor_keys < config.max_length <= config.groups * config.predictor_keys


@pytest.mark.parametrize("bits", range(1, 20))
def test_width_helpers_are_tight(bits):
    assert unsigned_bits(2**bits - 1) == bits
    assert unsigned_bits(2**bits) == bits + 1
    assert signed_bits(-(2 ** (bits - 1)), 0) == bits
    assert signed_bits(-(2 ** (bits - 1)) - 1, 0) == bits + 1
    assert signed_bits(0, 2 ** (bits - 1) - 1) == bits
    assert signed_bits(0, 2 ** (bits - 1)) == bits + 1


def test_ceil_div():
    assert [ceil_div(n, 4) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
