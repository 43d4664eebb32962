"""Activation of INT8 results: none, ReLU, or a table."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.formats import INT8_BITS
from ...spec.spmm_command import Activation as Kind
from ..lib.pipeline import delay
from ..lib.scratchpad import NEVER_BOTH

__all__ = ["Activation", "TableWrite"]


def TableWrite() -> wiring.Signature:
    """Write port of the table, seen from the writer. ``address`` is the INT8 value, read as unsigned."""
    return wiring.Signature({"enable": Out(1), "address": Out(INT8_BITS), "data": Out(signed(INT8_BITS))})


class Activation(wiring.Component):
    """Applies an activation to ``count`` values per cycle.

    Attributes
    ----------
    latency : int
        Cycles from values to results.

    Members
    -------
    kind : In
        See :class:`~thresher.spec.spmm_command.Activation`. It must be stable from one cycle before the first value
        until the last result.
    values : In(ArrayLayout(signed(8), count))
    results : Out(ArrayLayout(signed(8), count))
    table : In(TableWrite)
        It is undefined to write the table while values are in flight.
    """

    latency = 3

    def __init__(self, *, count: int):
        self._count = count
        values = data.ArrayLayout(signed(INT8_BITS), count)
        super().__init__({"kind": In(2), "values": In(values), "results": Out(values), "table": In(TableWrite())})

    def elaborate(self, platform):
        m = Module()
        looks_up = Signal()
        clips = Signal()
        m.d.sync += [looks_up.eq(self.kind == Kind.TABLE), clips.eq(self.kind == Kind.RELU)]
        for i in range(self._count):
            # One table per value: block RAM has few ports, and a table fills a small part of one.
            memory = Memory(shape=signed(INT8_BITS), depth=1 << INT8_BITS, init=[], attrs=NEVER_BOTH)
            m.submodules[f"table_{i}"] = memory
            write = memory.write_port()
            read = memory.read_port()
            value = delay(m, self.values[i], 2, enable=1, name=f"value_{i}")[2]
            # Block RAM is slow, so a register follows it directly.
            looked_up = Signal(signed(INT8_BITS), name=f"looked_up_{i}")
            m.d.sync += looked_up.eq(read.data)
            m.d.comb += [
                write.en.eq(self.table.enable),
                write.addr.eq(self.table.address),
                write.data.eq(self.table.data),
                read.addr.eq(self.values[i].as_unsigned()),
                read.en.eq(~self.table.enable),
            ]
            m.d.sync += self.results[i].eq(Mux(looks_up, looked_up, Mux(clips & (value < 0), 0, value)))
        return m
