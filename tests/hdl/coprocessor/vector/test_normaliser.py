"""Places of operands wait unchanged until they are accepted."""

from amaranth import Value
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.vector.normaliser import Normaliser

from ....formal.small import COPROCESSOR


def test_few_places_do_not_change_when_they_are_accepted():
    dut = Normaliser(COPROCESSOR)
    channels, passes = 2, 2
    finals = []

    async def bench(ctx):
        ctx.set(dut.i_tile.payload, {"channels": channels, "groups": 1, "last": 1})
        ctx.set(dut.i_tile.valid, 1)
        for _ in range(passes * channels):
            ctx.set(dut.o_places.ready, 0)
            await ctx.tick()
            assert ctx.get(dut.o_places.valid)
            offered = ctx.get(Value.cast(dut.o_places.payload))
            ctx.set(dut.o_places.ready, 1)
            assert ctx.get(Value.cast(dut.o_places.payload)) == offered
            finals.append(ctx.get(dut.o_places.payload.final))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert finals == [0, 0, 0, 1]
