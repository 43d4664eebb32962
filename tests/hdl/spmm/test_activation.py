"""Activations, compared with the golden model for every INT8 value."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.golden.spmm.activation import activate
from thresher.hdl.spmm.activation import Activation
from thresher.spec import Activation as Kind
from thresher.spec.tables import gelu_table

TABLES = {
    "gelu": np.array(gelu_table(1 / 32, 1 / 32), np.int8),
    "random": np.random.default_rng(0).integers(-128, 128, 256, dtype=np.int8),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("count", [1, 3])
def test_every_value_matches_golden(count, kind, name):
    table = TABLES[name]
    values = np.arange(-128, 128)
    beats = np.resize(values, (256, count))
    dut = Activation(count=count)
    found = []

    async def bench(ctx):
        for value, entry in zip(values, table, strict=True):
            ctx.set(dut.table.enable, 1)
            ctx.set(dut.table.address, int(value) & 0xFF)
            ctx.set(dut.table.data, int(entry))
            await ctx.tick()
        ctx.set(dut.table.enable, 0)
        ctx.set(dut.kind, kind)
        for beat in [*beats, *([np.zeros(count, int)] * Activation.latency)]:
            for i in range(count):
                ctx.set(dut.values[i], int(beat[i]))
            found.append([ctx.get(dut.results[i]) for i in range(count)])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    expected = activate(beats.astype(np.int8), kind, table)
    np.testing.assert_array_equal(found[Activation.latency :], expected)
