"""The split of INT8 values into integer and fraction, compared with the golden model for every value."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.golden.attention.split import split
from thresher.hdl.attention.split import Split
from thresher.spec import Split as SplitRule

from ..configs import tiny


@pytest.mark.parametrize("rule", list(SplitRule))
@pytest.mark.parametrize("fraction_bits", [2, 3, 4, 5, 6])
def test_every_value_matches_golden(rule, fraction_bits):
    config = tiny(split=rule, fraction_bits=fraction_bits)
    values = np.arange(-128, 128)
    dut = Split(config, count=2)
    integers, fractions = [], []

    async def bench(ctx):
        for pair in values.reshape(-1, 2).tolist():
            for i, value in enumerate(pair):
                ctx.set(dut.x[i], value)
            await ctx.delay(1e-9)
            integers.extend(ctx.get(dut.integer[i]) for i in range(2))
            fractions.extend(ctx.get(dut.fraction[i]) for i in range(2))

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    integer, fraction = split(config, values)
    np.testing.assert_array_equal(integers, integer)
    np.testing.assert_array_equal(fractions, fraction)
