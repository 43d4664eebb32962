"""Split against golden.split, for every INT8 value."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.golden.attention.split import split
from thresher.hdl.attention.split import Split
from thresher.spec import Split as SplitRule

from ..common import tiny


@pytest.mark.parametrize("rule", list(SplitRule))
@pytest.mark.parametrize("fraction_bits", [2, 3, 4, 5, 6])
def test_all_values(rule, fraction_bits):
    config = tiny(split=rule, fraction_bits=fraction_bits)
    values = np.arange(-128, 128)
    dut = Split(config, count=256)
    found = {}

    async def bench(ctx):
        for i, value in enumerate(values):
            ctx.set(dut.x[i], int(value))
        await ctx.delay(1e-9)
        found["integer"] = [ctx.get(dut.integer[i]) for i in range(256)]
        found["fraction"] = [ctx.get(dut.fraction[i]) for i in range(256)]

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    integer, fraction = split(config, values)
    np.testing.assert_array_equal(found["integer"], integer)
    np.testing.assert_array_equal(found["fraction"], fraction)
