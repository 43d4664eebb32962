"""The serial divider against Python's division."""

import random
from itertools import pairwise

import pytest
from thresher.hdl.divider import Divider
from thresher.sim.testbench import run_streams


@pytest.mark.parametrize(("width_n", "width_d"), [(1, 1), (9, 4), (5, 8), (20, 20)])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_quotients(width_n, width_d, stall):
    seed = width_n * 100 + width_d
    rng = random.Random(seed)
    top_n, top_d = (1 << width_n) - 1, (1 << width_d) - 1
    pairs = [(0, 1), (top_n, 1), (top_n, top_d), (0, top_d), (top_n, 0)]
    pairs += [(rng.randint(0, top_n), rng.randint(1, top_d)) for _ in range(30)]
    dut = Divider(width_n, width_d)
    result = run_streams(
        dut, {"i": [{"numerator": n, "denominator": d} for n, d in pairs]}, {"o": len(pairs)}, seed=seed, stall=stall
    )
    expected = [{"quotient": n // d if d else top_n} for n, d in pairs]
    assert result.values["o"] == expected, f"seed {seed}"
    if stall == 0:
        taken, given = result.cycles["i"], result.cycles["o"]
        assert {out - into for into, out in zip(taken, given, strict=True)} == {dut.latency}
        assert {b - a for a, b in pairwise(taken)} == {dut.latency}
