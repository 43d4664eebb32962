"""The whole attention core in Amaranth's simulator, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from thresher.hdl.attention.core import AttentionCore
from thresher.sim.attention import HeadBatch
from thresher.sim.batch import packet
from thresher.sim.testbench import run_streams
from thresher.spec import POLICIES, BlockRule, CommandError, Fill, Importance, Normalise, Score, Split
from thresher.spec.formats import ceil_div

from ...heads import check_heads, edge_heads, random_head, refused_heads
from ..configs import both_kinds, compact, tiny

CONFIGS = both_kinds(
    {
        "thresher": tiny(**POLICIES["thresher"]),
        "hdp": tiny(max_length=10, **POLICIES["hdp"]),
        "probability": tiny(**POLICIES["probability"]),
        "probability_block4_zero_early": tiny(
            block=4, predictor_blocks=2, block_rule=BlockRule.PROBABILITY, fill=Fill.ZERO, normalise=Normalise.EARLY
        ),
        "early_zero": tiny(
            max_length=10, normalise=Normalise.EARLY, fill=Fill.ZERO, score=Score.APPROX, weight_bits=15
        ),
        "early_skip_one_segment": tiny(
            max_length=10, normalise=Normalise.EARLY, fill=Fill.SKIP, weight_bits=8, reciprocal_segments=1
        ),
        "skip_sum": tiny(max_length=10, fill=Fill.SKIP, importance=Importance.SUM, split=Split.FLOOR),
        "block4_three_chunks": tiny(
            block=4, max_length=12, max_head_dim=12, lanes=4, predictor_lanes=4, output_lanes=4, fraction_bits=3
        ),
        "one_chunk": tiny(
            max_length=10, max_head_dim=4, lanes=4, predictor_lanes=4, output_lanes=1, predictor_blocks=4
        ),
        "shortest": tiny(max_length=2, max_head_dim=2, predictor_lanes=2, reciprocal_segments=64, fraction_bits=6),
        "odd_sizes": tiny(
            max_length=10, max_head_dim=6, predictor_lanes=2, predictor_blocks=2, fraction_bits=2, weight_bits=10
        ),
        "one_lane": tiny(max_length=8, lanes=1, output_lanes=1),
    }
)
STALLS = (0.0, 0.3, 0.6)
RUNS = [(name, STALLS[index % 3]) for index, name in enumerate(CONFIGS)]
"""Each configuration runs once; the stalls take turns."""


def beats(config, matrix, rng):
    """The rows of an operand as payloads; channels beyond the head dimension hold noise."""
    chunks = ceil_div(matrix.shape[1], config.lanes)
    padded = rng.integers(-128, 128, (matrix.shape[0], chunks * config.lanes))
    padded[:, : matrix.shape[1]] = matrix
    return padded.reshape(-1, config.lanes)


def operands(config, head, rng):
    """The beats of a head; of a rejected head, noise of any length."""
    command, *matrices = head
    if command.rejection(config) is CommandError.NONE:
        return np.concatenate([beats(config, matrix, rng) for matrix in matrices]).astype(np.int8)
    return rng.integers(-128, 128, (rng.integers(1, 30), config.lanes)).astype(np.int8)


def run(config, heads, *, seed, stall):
    """Stream heads through the core back to back and compare every result."""
    rng = np.random.default_rng(seed)
    data = np.concatenate([packet(operands(config, head, rng)) for head in heads])
    commands = [dataclasses.asdict(command) for command, *_ in heads]
    batch = HeadBatch(config, heads)
    transcript = run_streams(
        AttentionCore(config),
        {"i_command": commands, "i_data": data},
        batch.counts(),
        seed=seed,
        stall=stall,
    )
    check_heads(config, heads, batch.runs(transcript.values, transcript.cycles), seed)


def heads_of_every_kind(config, rng, *, random):
    """Heads at the ends of every size, refused commands between them (two in a row, too), and random heads."""
    refused = refused_heads(config)
    edges = [head for i, edge in enumerate(edge_heads(config, rng)) for head in (edge, *refused[i : i + 2])]
    return [*edges, *(random_head(config, rng) for _ in range(random))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stall"), RUNS)
def test_core_matches_golden(name, stall):
    config, seed = CONFIGS[name], 11
    run(config, heads_of_every_kind(config, np.random.default_rng(seed), random=2), seed=seed, stall=stall)


@pytest.mark.parametrize("make", [tiny, lambda: compact(tiny())], ids=["pipelined", "compact"])
def test_few_heads_match_golden(make):
    """A quick run of each kind of core."""
    config, seed = dataclasses.replace(make(), max_length=4), 12
    run(config, [random_head(config, np.random.default_rng(seed)) for _ in range(2)], seed=seed, stall=0.2)
