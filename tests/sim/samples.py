"""Small components for tests of the simulators, correct ones and broken ones."""

import random

import numpy as np
from amaranth import Module, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

COMMAND = data.StructLayout({"scale": signed(4), "tag": 3, "pair": data.ArrayLayout(signed(5), 2)})
LANES = data.ArrayLayout(signed(8), 5)
SUM = data.StructLayout({"sum": signed(12), "tag": 3, "scaled": signed(16)})


class Summer(wiring.Component):
    """Adds five lanes per command, and scales the sum; results leave through a queue."""

    i_command: In(stream.Signature(COMMAND))
    i_data: In(stream.Signature(LANES))
    offset: In(signed(4))
    o: Out(stream.Signature(SUM))
    o_count: Out(stream.Signature(32))

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = queue = fifo.SyncFIFOBuffered(width=SUM.size, depth=4)
        result = Signal(SUM)
        total = sum(self.i_data.payload[i] for i in range(5))
        command = self.i_command.payload
        both = self.i_command.valid & self.i_data.valid & queue.w_rdy
        m.d.comb += [
            result.sum.eq(total + self.offset),
            result.tag.eq(command.tag),
            result.scaled.eq(total * command.scale + command.pair[0] - command.pair[1]),
            queue.w_data.eq(result),
            queue.w_en.eq(both),
            self.i_command.ready.eq(both),
            self.i_data.ready.eq(both),
            self.o.valid.eq(queue.r_rdy),
            self.o.p.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
        ]
        m.d.comb += self.o_count.valid.eq(1)
        with m.If(self.o_count.ready):
            m.d.sync += self.o_count.payload.eq(self.o_count.payload + 1)
        return m


def summer_golden(command, lanes, offset=0):
    total = sum(int(x) for x in lanes)
    pair = command["pair"]
    return {"sum": total + offset, "tag": command["tag"], "scaled": total * command["scale"] + pair[0] - pair[1]}


def stimulus(seed, n):
    """Random commands and lanes; the first lanes hold the lowest values."""
    rng = random.Random(seed)
    commands = [
        {"scale": rng.randrange(-8, 8), "tag": rng.randrange(8), "pair": [rng.randrange(-16, 16) for _ in range(2)]}
        for _ in range(n)
    ]
    lanes = np.random.default_rng(seed).integers(-128, 128, (n, 5)).astype(np.int8)
    lanes[0] = -128
    return commands, lanes


class Inverter(wiring.Component):
    """Combinational."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.o.p.eq(~self.i.p), self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready)]
        return m


class Broken(wiring.Component):
    """Passes bytes on through a register, with a fault: ``valid`` gives up, ``payload`` moves, ``double`` repeats
    every value, ``lossy`` swallows zeros."""

    def __init__(self, fault):
        self.fault = fault
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        again = Signal()
        m.d.comb += self.i.ready.eq(~self.o.valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.p != 0 if self.fault == "lossy" else 1), self.o.p.eq(self.i.p)]
        with m.If(self.o.valid):
            if self.fault == "double":
                with m.If(self.o.ready):
                    m.d.sync += [again.eq(~again), self.o.valid.eq(~again)]
            else:
                with m.If(self.o.ready):
                    m.d.sync += self.o.valid.eq(0)
                with m.Else():
                    if self.fault == "valid":
                        m.d.sync += self.o.valid.eq(0)
                    if self.fault == "payload":
                        m.d.sync += self.o.p.eq(self.o.p + 1)
        return m


class Wide(wiring.Component):
    """Registers of many widths, each behind a pair of streams inside another interface."""

    def __init__(self, widths):
        self.widths = widths
        pairs = {
            f"w{width}": Out(
                wiring.Signature({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))}),
            )
            for width in widths
        }
        super().__init__(pairs)

    def elaborate(self, platform):
        m = Module()
        for width in self.widths:
            pair = getattr(self, f"w{width}")
            m.d.comb += pair.i.ready.eq(~pair.o.valid | pair.o.ready)
            with m.If(pair.i.ready):
                m.d.sync += [pair.o.valid.eq(pair.i.valid), pair.o.payload.eq(pair.i.payload)]
        return m
