"""The serial divider, compared with Python's division."""

import random
from itertools import pairwise

import pytest
from thresher.hdl.lib.divider import Divider
from thresher.sim.testbench import run_streams


@pytest.mark.parametrize(("width_q", "width_d"), [(1, 1), (9, 4), (5, 8), (20, 20), (23, 10)])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_quotients_are_exact(width_q, width_d, steps, stall):
    seed = width_q * 100 + width_d
    rng = random.Random(seed)
    top_d = (1 << width_d) - 1
    pairs = [(0, 1), ((1 << width_q) - 1, 1), ((top_d << width_q) - 1, top_d), (0, top_d)]
    for _ in range(30):
        denominator = rng.randint(1, top_d)
        pairs.append((rng.randrange(denominator << width_q), denominator))
    dut = Divider(width_q=width_q, width_d=width_d, steps=steps)
    result = run_streams(
        dut, {"i": [{"numerator": n, "denominator": d} for n, d in pairs]}, {"o": len(pairs)}, seed=seed, stall=stall
    )
    assert result.values["o"] == [{"quotient": n // d} for n, d in pairs], f"seed {seed}"
    if stall == 0:
        taken, given = result.cycles["i"], result.cycles["o"]
        assert {out - into for into, out in zip(taken, given, strict=True)} == {dut.latency}
        assert {b - a for a, b in pairwise(taken)} == {dut.latency}
