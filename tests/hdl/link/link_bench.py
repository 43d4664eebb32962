"""A host that drives the serial line of a linked core bit by bit in Amaranth's simulator."""

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from amaranth import Cat, Module
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from thresher.hdl.lib.packets import framed_layout
from thresher.hdl.lib.streams import StreamFIFO
from thresher.hdl.link.linked_core import LinkedCore
from thresher.spec.link import SYNC_REPLY, SYNC_REQUEST, LinkConfig, Operation

CLOCKS = 4
IDENTITY = bytes(range(100, 116))


class TwoQueues(wiring.Component):
    """Two queues, one of 20 bits and one of a byte."""

    i_wide: In(stream.Signature(20))
    i_byte: In(stream.Signature(8))
    o_wide: Out(stream.Signature(20))
    o_byte: Out(stream.Signature(8))

    def __init__(self, depth: int = 4):
        self._depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        for name, width in (("wide", 20), ("byte", 8)):
            queue = fifo.SyncFIFOBuffered(width=width, depth=self._depth)
            m.submodules[name] = queue
            i, o = getattr(self, f"i_{name}"), getattr(self, f"o_{name}")
            m.d.comb += [
                queue.w_en.eq(i.valid),
                queue.w_data.eq(i.payload),
                i.ready.eq(queue.w_rdy),
                o.valid.eq(queue.r_rdy),
                o.payload.eq(queue.r_data),
                queue.r_en.eq(o.ready),
            ]
        return m


class Packets(wiring.Component):
    """A queue that gives each beat of a packet with ``last`` as its highest bit."""

    i: In(stream.Signature(framed_layout(12)))
    o: Out(stream.Signature(13))

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = StreamFIFO(13, depth=4)
        m.d.comb += [
            queue.i.valid.eq(self.i.valid),
            queue.i.payload.eq(Cat(self.i.payload.data, self.i.payload.last)),
            self.i.ready.eq(queue.i.ready),
        ]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m


def request(sequence: int, operation: int, port: int = 0, payload: bytes = b"", count: int | None = None) -> bytes:
    """A frame, as the page about the link describes it."""
    size = len(payload) if count is None else count
    body = bytes([sequence, operation | port << 2]) + size.to_bytes(2, "little") + payload
    return SYNC_REQUEST + body + zlib.crc32(body).to_bytes(4, "little")


@dataclass(frozen=True)
class Reply:
    """The fields of an answer."""

    sequence: int
    kind: int
    count: int
    payload: bytes


class Host:
    """The other end of the line."""

    def __init__(self, ctx, dut: LinkedCore, clocks: int = CLOCKS):
        self.ctx, self.dut, self.clocks = ctx, dut, clocks

    async def send(self, data: bytes, *, stop: int = 1) -> None:
        """Bytes, back to back; ``stop``: what is in the place of their stop bits. Returns as the last of these begins:
        an answer may come before its end."""
        for byte in data:
            await self.ctx.tick().repeat(self.clocks)  # the stop bit of the byte before
            for bit in (0, *(byte >> i & 1 for i in range(8))):
                self.ctx.set(self.dut.rx, bit)
                await self.ctx.tick().repeat(self.clocks)
            self.ctx.set(self.dut.rx, stop)
        if not stop:
            await self.ctx.tick().repeat(self.clocks)
            self.ctx.set(self.dut.rx, 1)

    async def wait(self, cycles: int) -> None:
        """Silence."""
        await self.ctx.tick().repeat(cycles)

    async def byte(self, limit: int) -> int | None:
        """The next byte of the answer, or None after so many cycles."""
        for _ in range(limit):
            if not self.ctx.get(self.dut.tx):
                break
            await self.ctx.tick()
        else:
            return None
        await self.ctx.tick().repeat(self.clocks // 2)
        value = 0
        for i in range(8):
            await self.ctx.tick().repeat(self.clocks)
            value |= self.ctx.get(self.dut.tx) << i
        await self.ctx.tick().repeat(self.clocks)
        assert self.ctx.get(self.dut.tx) == 1, "no stop bit"
        return value

    async def take(self, count: int) -> bytes:
        """The bytes that follow without a pause."""
        found = [await self.byte(100) for _ in range(count)]
        assert None not in found, "the answer ends early"
        return bytes(byte for byte in found if byte is not None)

    async def reply(self, limit: int = 3000) -> Reply | None:
        """The next answer, checked, or None."""
        first = await self.byte(limit)
        if first is None:
            return None
        assert bytes([first]) + await self.take(1) == SYNC_REPLY
        header = await self.take(4)
        count = int.from_bytes(header[2:], "little")
        payload = await self.take(count if header[1] & 3 == Operation.READ else 0)
        crc = await self.take(4)
        assert crc == zlib.crc32(header + payload).to_bytes(4, "little")
        return Reply(header[0], header[1], count, payload)

    async def ask(self, *arguments, **settings) -> Reply:
        """A request and its answer, which must come."""
        await self.send(request(*arguments, **settings))
        reply = await self.reply()
        assert reply is not None, "no answer"
        return reply


def run(
    script: Callable[[Host], Awaitable[None]],
    *,
    core: wiring.Component | None = None,
    link: LinkConfig | None = None,
    clocks: int = CLOCKS,
) -> None:
    """Run a host against a core behind a link, by default two queues."""
    link = link or LinkConfig(clocks_per_bit=CLOCKS, payload_bytes=128, silence_bits=12)
    dut = LinkedCore(core or TwoQueues(), link, identity=IDENTITY)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def bench(ctx) -> None:
        await script(Host(ctx, dut, clocks))

    simulator.add_testbench(bench)
    simulator.run()
