"""The reciprocal pipeline, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.attention.reciprocal import reciprocal
from thresher.hdl.attention.softmax.reciprocal import Reciprocal
from thresher.sim.testbench import run_streams
from thresher.spec import preset


@pytest.mark.parametrize("segments", [1, 2, 32, 64])
@pytest.mark.parametrize(("name", "weight_bits"), [("tiny", 8), ("tiny", 12), ("server", 15)])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_mantissa_and_exponent_match_golden(name, weight_bits, segments, stall):
    seed = segments + weight_bits
    config = dataclasses.replace(preset(name), weight_bits=weight_bits, reciprocal_segments=segments)
    rng = np.random.default_rng(seed)
    bits = config.denominator_bits
    largest = config.max_length * config.weight_max
    powers = [1 << k for k in range(bits)]
    tops = 1 << rng.integers(0, bits, 100)
    anywhere = rng.integers(tops, 2 * tops)
    near = [p + d for p in powers for d in (-1, 0, 1)]
    denominators = np.array([d for d in [*near, largest, *anywhere.tolist()] if 1 <= d < 1 << bits])
    dut = Reciprocal(config)
    result = run_streams(
        dut, {"i": [{"denominator": d} for d in denominators]}, {"o": len(denominators)}, seed=seed, stall=stall
    )
    mantissa, exponent = reciprocal(config, denominators)
    expected = [{"mantissa": m, "exponent": e} for m, e in zip(mantissa, exponent, strict=True)]
    assert result.values["o"] == expected, f"seed {seed}"
    if stall == 0:
        assert {o - i for i, o in zip(result.cycles["i"], result.cycles["o"], strict=True)} == {dut.latency}
