"""Requantisation, compared with the golden model."""

import numpy as np
import pytest
from thresher.golden.lib.requantise import requantise
from thresher.hdl.lib.requantise import Requantize
from thresher.sim.testbench import run_streams

from ..wrappers import StreamPipeline


@pytest.mark.parametrize(
    ("value_bits", "multiplier_bits", "shift_base", "shift_bits"),
    [(18, 16, 9, 5), (19, 16, 9, 5), (33, 16, 8, 5), (12, 8, 1, 5), (12, 8, 1, 3), (19, 2, 9, 3), (20, 1, 8, 1)],
)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_results_and_saturations_match_golden(value_bits, multiplier_bits, shift_base, shift_bits, stall):
    seed = value_bits
    rng = np.random.default_rng(seed)
    low, high = -(1 << (value_bits - 1)), (1 << (value_bits - 1)) - 1
    beats = []
    for i in range(400):
        value = int(rng.integers(low, high + 1)) >> int(rng.integers(value_bits))
        if i % 3 == 0:
            value = int(rng.choice([low, high, 0, -1, 1]))
        multiplier = int(rng.integers(1 << multiplier_bits))
        if i % 4 == 0:
            multiplier = int(rng.choice([0, 1, (1 << multiplier_bits) - 1]))
        beats.append({"value": value, "multiplier": multiplier, "shift": int(rng.integers(1 << shift_bits))})
    # Values half-way between results, of both signs, and values on both sides of the clipping limits.
    half = 1 << (shift_base - 1)
    for halves in (1, -1, 3, -3, 255, -257, 511, -513):
        for value in (halves * half - 1, halves * half):
            for shift in range(1 << shift_bits):
                if low <= value << shift <= high:
                    beats.append({"value": value << shift, "multiplier": 1, "shift": shift})
    dut = Requantize(
        value_bits=value_bits, multiplier_bits=multiplier_bits, shift_bits=shift_bits, shift_base=shift_base
    )
    result = run_streams(StreamPipeline(dut), {"i": beats}, {"o": len(beats)}, seed=seed, stall=stall)
    flagged = 0
    for beat, got in zip(beats, result.values["o"], strict=True):
        expected, saturations = requantise(np.array([beat["value"]]), beat["multiplier"], shift_base + beat["shift"])
        assert got["result"] == expected[0], f"seed {seed}: {beat}"
        assert got["saturated"] == saturations, f"seed {seed}: {beat}"
        flagged += saturations
    assert flagged
    if stall == 0:
        assert result.cycles["o"][0] - result.cycles["i"][0] == dut.latency
