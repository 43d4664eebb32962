"""Normalisation and requantisation, pipelined and compact, compared with the golden model."""

import numpy as np
import pytest
from thresher.golden.attention.normalise import normalise as golden_normalise
from thresher.golden.attention.normalise import row_multiplier
from thresher.golden.attention.reciprocal import reciprocal
from thresher.golden.lib.requantise import requantise
from thresher.hdl.attention.normalise import make_normaliser
from thresher.sim.testbench import run_streams
from thresher.spec import Fill, HeadCommand
from thresher.spec import Normalise as Mode
from thresher.spec.formats import OUTPUT_FRACTION, OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, RECIPROCAL_FRACTION

from ..configs import compact, tiny


def random_row(config, rng, chunks, shifts=None):
    """The payloads of a block row, and its expected words.

    ``shifts`` are the output shifts of the heads in the two slots; by default, each row has its own.
    """
    b, lanes = config.block, config.lanes
    keys = int(rng.integers(1, config.max_length + 1))
    late = config.normalise is Mode.LATE
    # At least one weight is the largest; pruned positions share one weight.
    weights = rng.integers(0, config.weight_max + 1, (b, keys)) >> rng.integers(0, config.weight_bits, (b, 1))
    weights[:, rng.integers(keys)] = config.weight_max
    pruned = rng.random(keys) < rng.choice([0, 0.5, 0.9])
    pruned[int(rng.integers(keys))] = False
    background = np.zeros(b, np.int64) if config.fill is Fill.SKIP else rng.integers(0, config.weight_max + 1, b)
    weights[:, pruned] = background[:, None]
    denominators = weights.sum(axis=1)
    if late:
        mantissa, exponent = reciprocal(config, np.maximum(denominators, config.weight_max))
    else:
        # The weights are probabilities, whose sum is about one.
        weights = weights * config.weight_max // np.maximum(denominators, 1)[:, None]
        background = background * config.weight_max // np.maximum(denominators, 1)
        weights[:, pruned] = background[:, None]
        mantissa = np.full(b, 1 << RECIPROCAL_FRACTION)
        exponent = np.full(b, config.weight_bits)
    edge = int(rng.integers(4))
    values = rng.integers(-128, 128, (keys, chunks * lanes)) if edge else np.full((keys, chunks * lanes), -128)
    if edge == 1:
        values = np.where(rng.random(values.shape) < 0.5, -128, 127)
    shift = int(rng.integers(10, 18)) if rng.random() < 0.8 else int(rng.integers(1 << OUTPUT_SHIFT_BITS))
    slot = int(rng.integers(2))
    if shifts is not None:
        shift = shifts[slot]
    command = HeadCommand(
        query_length=1,
        key_length=1,
        head_dim=1,
        output_multiplier=int(rng.integers(1 << OUTPUT_MULTIPLIER_BITS)),
        output_shift=shift,
    )
    exact = weights @ values
    differences = (weights - background[:, None]) @ values
    row = {
        "background": background,
        "mantissa": mantissa,
        "exponent": exponent,
        "slot": slot,
        "output_multiplier": command.output_multiplier,
        "output_shift": command.output_shift,
    }
    blocks = [
        {
            "accumulators": differences[:, c * lanes : (c + 1) * lanes],
            "value_sums": [values[:, c * lanes : (c + 1) * lanes].sum(axis=0)],
            "last_chunk": c == chunks - 1,
        }
        for c in range(chunks)
    ]
    return row, blocks, words(config, command, exact, mantissa, exponent)


def words(config, command, accumulators, mantissa, exponent):
    """Expected words of a block row, in the order of chunks, query rows and groups of output lanes."""
    outputs, total = golden_normalise(command, accumulators, mantissa, exponent)
    operands = (accumulators << OUTPUT_FRACTION) >> exponent[:, None]
    factor = row_multiplier(command, mantissa)
    width, result = config.output_lanes, []
    for start in range(0, outputs.shape[1], config.lanes):
        for i in range(config.block):
            for first in range(start, start + config.lanes, width):
                # The golden model only counts what it clips, so it gets one value at a time.
                clipped = [
                    requantise(operands[i, k : k + 1], int(factor[i]), command.output_shift + OUTPUT_FRACTION)[1]
                    for k in range(first, first + width)
                ]
                saturated = sum(bit << k for k, bit in enumerate(clipped))
                result.append({"values": outputs[i, first : first + width].tolist(), "saturated": saturated})
    assert sum(word["saturated"].bit_count() for word in result) == total
    return result


FIELDS = [
    dict(lanes=2, output_lanes=2, weight_bits=12),
    dict(lanes=2, output_lanes=1, weight_bits=8, block=4),
    dict(lanes=8, output_lanes=2, weight_bits=15),
    dict(lanes=4, output_lanes=4, weight_bits=10, block=4, max_length=128, reciprocal_segments=1),
    dict(lanes=1, output_lanes=1, weight_bits=12, predictor_lanes=2),
]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: f"lanes{fields['lanes']}-bits{fields['weight_bits']}")
@pytest.mark.parametrize("kind", [lambda config: config, compact], ids=["pipelined", "compact"])
@pytest.mark.parametrize("stall", [0.0, None], ids=["free", "stalled"])
def test_words_match_golden(mode, fields, kind, stall):
    index = FIELDS.index(fields)
    fill = (Fill.BACKGROUND, Fill.SKIP)[(index + list(Mode).index(mode)) % 2]
    stall = (0.4, 0.9)[index % 2] if stall is None else stall
    config = kind(tiny(**{"predictor_lanes": 8, "normalise": mode, "fill": fill, **fields}))
    seed = fields["weight_bits"] + int(10 * stall)
    rng = np.random.default_rng(seed)
    # A compact normaliser shares the shift of a head among its rows: one shift that clips, one that does not.
    shifts = [int(rng.integers(8, 11)), int(rng.integers(14, 18))] if config.compact else None
    rows = [random_row(config, rng, int(rng.integers(1, config.chunks + 1)), shifts) for _ in range(20)]
    blocks = [block for _, row_blocks, _ in rows for block in row_blocks]
    expected = [word for _, _, row_words in rows for word in row_words]
    announced = [row for row, _, _ in rows]
    if config.compact:
        # One payload per query row.
        announced = [
            {name: value if isinstance(value, int) else value[i] for name, value in row.items()}
            for row in announced
            for i in range(config.block)
        ]
    dut = make_normaliser(config)
    inputs = {"i_row": announced, "i_block": blocks}
    result = run_streams(dut, inputs, {"o_words": len(expected)}, seed=seed, stall=stall)
    for index, (got, want) in enumerate(zip(result.values["o_words"], expected, strict=True)):
        assert got == want, f"seed {seed}, word {index}"
    assert any(word["saturated"] for word in expected)
    assert not all(word["saturated"] for word in expected)
    if stall == 0:
        (check_compact_cycles if config.compact else check_pipelined_cycles)(config, dut, result.cycles)


def check_pipelined_cycles(config, dut, cycles):
    """A word leaves in every cycle."""
    words, blocks = cycles["o_words"], cycles["i_block"]
    assert words == list(range(words[0], words[0] + len(words)))
    assert words[0] - blocks[0] == dut.latency
    assert len(words) == dut.block_cycles * len(blocks)


def check_compact_cycles(config, dut, cycles):
    """A word leaves every four cycles; rows of one chunk may wait for the factors of the next row."""
    words, blocks = cycles["o_words"], cycles["i_block"]
    assert {int(gap) for gap in np.diff(words)} <= {4, 8}
    assert words[0] - blocks[0] <= dut.latency + 4 * config.block
    assert dut.block_cycles == 4 * config.block * config.lanes
