"""The exponential pipeline, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.attention.exponential import weights
from thresher.hdl.attention.softmax.exponential import Exponential
from thresher.sim.testbench import run_streams
from thresher.spec import HeadCommand, preset
from thresher.spec.formats import DIFFERENCE_BITS, SCORE_MULTIPLIER_BITS, SCORE_SHIFT_BITS

from ..wrappers import StreamPipeline


def scalings(rng, n):
    """Pairs of multiplier and shift: the corners, n realistic ones and n arbitrary ones."""
    top, most = (1 << SCORE_MULTIPLIER_BITS) - 1, (1 << SCORE_SHIFT_BITS) - 1
    pairs = [(0, 0), (1, 0), (top, 0), (top, most), (1 << 16, 0)]
    pairs += [(int(rng.integers(1, 3000)), int(rng.integers(0, 3))) for _ in range(n)]
    pairs += [(int(rng.integers(top + 1)), int(rng.integers(most + 1))) for _ in range(n)]
    return pairs


@pytest.mark.parametrize("name", ["tiny", "edge"])
@pytest.mark.parametrize("weight_bits", [8, 12, 15])
def test_weights_match_golden(name, weight_bits):
    seed = weight_bits
    config = dataclasses.replace(preset(name), weight_bits=weight_bits)
    rng = np.random.default_rng(seed)
    count, largest = 3, 2 * config.score_peak
    beats = []
    for multiplier, shift in scalings(rng, 60):
        differences = np.concatenate(
            [rng.integers(0, largest + 1, 1), rng.integers(0, 60_000, 1), rng.integers(0, 50, 1)]
        )
        corner = rng.choice([0, 1, largest, (1 << DIFFERENCE_BITS) - 1, 1 << DIFFERENCE_BITS, largest - 1])
        differences[rng.integers(count)] = corner
        beats.append(
            {"difference": np.minimum(differences, largest), "score_multiplier": multiplier, "score_shift": shift}
        )
    expected = [
        weights(
            config,
            HeadCommand(
                query_length=1,
                key_length=1,
                head_dim=1,
                score_multiplier=beat["score_multiplier"],
                score_shift=beat["score_shift"],
            ),
            beat["difference"],
        ).tolist()
        for beat in beats
    ]
    for stall in (0.0, 0.4):
        dut = Exponential(config, count)
        result = run_streams(StreamPipeline(dut), {"i": beats}, {"o": len(beats)}, seed=seed, stall=stall)
        assert [value["weight"] for value in result.values["o"]] == expected, f"seed {seed}"
        if stall == 0:
            assert result.cycles["o"][0] - result.cycles["i"][0] == dut.latency
    assert {0, config.weight_max} < {w for row in expected for w in row}


def test_every_fraction_of_the_exponent_matches_golden():
    # With multiplier 2^12, the exponent is the difference itself: every fraction, at whole parts 0 and 3.
    config = dataclasses.replace(preset("tiny"), weight_bits=15)
    count = 32
    t = np.concatenate([np.arange(4096), 3 * 4096 + np.arange(4096), np.arange(15, 18).repeat(32) * 4096]).reshape(
        -1, count
    )
    command = HeadCommand(query_length=1, key_length=1, head_dim=1, score_multiplier=1 << 12)
    beats = [{"difference": row, "score_multiplier": 1 << 12, "score_shift": 0} for row in t]
    result = run_streams(StreamPipeline(Exponential(config, count)), {"i": beats}, {"o": len(beats)}, seed=0, stall=0)
    assert np.array_equal([value["weight"] for value in result.values["o"]], weights(config, command, t))
