"""A host at the port of a register file in Amaranth's simulator, and the signals of a co-processor that it sets."""

from collections.abc import Awaitable, Callable
from typing import Any

from amaranth import Value
from amaranth.sim import Simulator
from thresher.hdl.bus.registers import RegisterFile
from thresher.spec.registers import BY_NAME, REGISTER_BYTES

HASH = "0123456789abcdef" * 4


class Bench:
    """A register file, its simulator's context, and accesses of one cycle each."""

    def __init__(self, ctx: Any, dut: RegisterFile):
        self.ctx, self.dut = ctx, dut
        self.control = dut.control
        self.cycle = 0

    async def tick(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            await self.ctx.tick()
            self.cycle += 1

    async def access(self, *, write: tuple[int, int, int] | None = None, read: int | None = None) -> None:
        """Write data with a mask to an offset, and read an offset, in the same cycle."""
        port = self.dut.port
        for strobe, wanted in ((port.write, write is not None), (port.read, read is not None)):
            self.ctx.set(strobe, wanted)
        if write is not None:
            self.ctx.set(port.write_index, write[0] // REGISTER_BYTES)
            self.ctx.set(port.write_data, write[1])
            self.ctx.set(port.write_mask, write[2])
        if read is not None:
            self.ctx.set(port.read_index, read // REGISTER_BYTES)
        await self.tick()
        self.ctx.set(port.write, 0)
        self.ctx.set(port.read, 0)

    async def read(self, name: str) -> int:
        await self.access(read=BY_NAME[name].offset)
        assert not self.ctx.get(self.dut.port.read_error)
        return self.ctx.get(self.dut.port.read_data)

    async def fields(self, name: str) -> dict[str, int]:
        return BY_NAME[name].decode(await self.read(name))

    async def write(self, name: str, value: int, mask: int = 0b1111) -> bool:
        """Write, and tell whether the write was accepted."""
        await self.access(write=(BY_NAME[name].offset, value, mask))
        return not self.ctx.get(self.dut.port.write_error)

    async def start(self) -> bool:
        return await self.write("CONTROL", BY_NAME["CONTROL"].encode(start=1))

    def finish(self, **payload: int) -> None:
        """End the program in this cycle. The caller ticks and withdraws the end."""
        self.ctx.set(self.control.o_finish.valid, 1)
        self.ctx.set(self.control.o_finish.payload, payload)

    async def end(self, **payload: int) -> None:
        self.finish(**payload)
        await self.tick()
        self.ctx.set(self.control.o_finish.valid, 0)

    def get(self, signal: Any) -> int:
        return self.ctx.get(Value.cast(signal))


def simulate(test: Callable[[Bench], Awaitable[None]]) -> None:
    """Run a test on a register file whose co-processor is idle and has a program of one instruction."""
    dut = RegisterFile(HASH)

    async def bench(ctx):
        host = Bench(ctx, dut)
        ctx.set(dut.control.ready, 1)
        assert await host.write("PROGRAM_INSTRUCTIONS", 1)
        await test(host)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
