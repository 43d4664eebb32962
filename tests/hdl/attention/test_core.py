"""The whole core in Amaranth's simulator against golden: policies, sizes, corners, refusals, stalls."""

import dataclasses

import numpy as np
import pytest
from thresher.hdl.attention.core import AttentionCore
from thresher.sim.testbench import run_streams
from thresher.spec import POLICIES, Fill, HeadStatistics, Importance, Normalise, Score, Split, preset
from thresher.spec.formats import ceil_div

from ...heads import edge_heads, golden_results, random_head, refused_heads
from ..common import compact, tiny

CONFIGS = {
    "thresher": tiny(**POLICIES["thresher"]),
    "hdp": tiny(**POLICIES["hdp"]),
    "early": tiny(normalise=Normalise.EARLY, fill=Fill.ZERO),
    "early_skip_one_segment": tiny(normalise=Normalise.EARLY, fill=Fill.SKIP, weight_bits=8, reciprocal_segments=1),
    "skip_sum": tiny(fill=Fill.SKIP, importance=Importance.SUM, split=Split.FLOOR),
    "approx_round_early": tiny(score=Score.APPROX, normalise=Normalise.EARLY, weight_bits=15),
    "block4": tiny(
        block=4, max_length=20, lanes=4, predictor_lanes=8, predictor_blocks=4, output_lanes=4, fraction_bits=3
    ),
    "one_chunk": tiny(max_head_dim=4, lanes=4, predictor_lanes=4, output_lanes=1, predictor_blocks=4),
    "three_chunks": tiny(max_head_dim=12, lanes=4, predictor_lanes=12, output_lanes=2, predictor_blocks=2),
    "shortest": tiny(max_length=2, max_head_dim=2, predictor_lanes=2, reciprocal_segments=64, fraction_bits=6),
    "odd_sizes": tiny(max_length=22, max_head_dim=6, predictor_lanes=2, fraction_bits=2, weight_bits=10),
}
CONFIGS |= {f"compact_{name}": compact(config) for name, config in CONFIGS.items()}
CONFIGS |= {"one_lane": tiny(lanes=1, output_lanes=1), "compact_one_lane": preset("tiny")}


def beats(config, matrix, rng):
    """Rows of an operand as payloads; what lies beyond d is noise."""
    chunks = ceil_div(matrix.shape[1], config.lanes)
    padded = rng.integers(-128, 128, (matrix.shape[0], chunks * config.lanes))
    padded[:, : matrix.shape[1]] = matrix
    return padded.reshape(-1, config.lanes)


def check(config, heads, seed, stall):
    """Run heads back to back and compare outputs, padding and statistics."""
    rng = np.random.default_rng(seed)
    expected = golden_results(config, heads)
    data = [
        beats(config, matrix, rng)
        for (_, *operands), result in zip(heads, expected, strict=True)
        if result.output is not None
        for matrix in operands
    ]
    outputs = [
        np.pad(result.output, ((0, 0), (0, -result.output.shape[1] % config.lanes))).reshape(-1, config.lanes)
        for result in expected
        if result.output is not None
    ]
    transcript = run_streams(
        AttentionCore(config),
        {
            "i_command": [dataclasses.asdict(command) for command, *_ in heads],
            "i_data": [beat for matrix in data for beat in matrix],
        },
        {"o_data": sum(map(len, outputs)), "o_statistics": len(heads)},
        seed=seed,
        stall=stall,
    )
    for head, found, result in zip(heads, transcript.values["o_statistics"], expected, strict=True):
        cycles = found.pop("cycles")
        assert HeadStatistics(**found) == result.statistics, f"seed {seed}: {head[0]}"
        assert cycles > 0
    if outputs:
        np.testing.assert_array_equal(transcript.values["o_data"], np.concatenate(outputs), err_msg=f"seed {seed}")


@pytest.mark.parametrize("name", CONFIGS)
def test_sizes_and_refusals(name):
    config = CONFIGS[name]
    rng = np.random.default_rng(11)
    good, bad = edge_heads(config, rng), refused_heads(config)
    # Refused commands between good heads, two in a row among them.
    heads = [head for i, head in enumerate(good) for head in (head, *bad[i : i + 2])]
    check(config, heads, seed=11, stall=0.0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("stall", "count"), [(0.2, 6), (0.7, 4)])
def test_random_heads_under_stalls(name, stall, count):
    config = CONFIGS[name]
    seed = 20 + round(10 * stall)
    rng = np.random.default_rng(seed)
    check(config, [random_head(config, rng) for _ in range(count)], seed=seed, stall=stall)
