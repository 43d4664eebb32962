"""Block RAM with one write and one read port."""

from amaranth import Module, Shape, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["BLOCK_RAM", "NEVER_BOTH", "ReadPort", "Scratchpad", "WritePort"]

NEVER_BOTH = {"no_rw_check": 1}
"""Attribute of a memory: no port reads a word in the cycle that writes it. Without this attribute, synthesis adds
comparators and registers that return the old word."""

BLOCK_RAM = {**NEVER_BOTH, "ram_style": "block"}
"""Attributes of a memory that must use block RAM although it is small. Without LUT RAM, as on iCE40, it would otherwise
become registers."""


def ReadPort(*, address_bits: int, layout) -> wiring.Signature:
    """Synchronous read port, seen from the memory. ``data`` follows ``address`` by one enabled cycle."""
    return wiring.Signature({"address": In(address_bits), "enable": In(1), "data": Out(layout)})


def WritePort(*, address_bits: int, layout, granules: int = 1) -> wiring.Signature:
    """Write port, seen from the writer. Each bit of ``enable`` stores one granule of ``data``."""
    return wiring.Signature({"address": Out(address_bits), "enable": Out(granules), "data": Out(layout)})


class Scratchpad(wiring.Component):
    """A memory with words of equally wide granules, each with its own write enable.

    It is undefined to read a word in the cycle that writes it.

    Parameters
    ----------
    address_bits : int
        The memory has 2^address_bits words.
    layout : ShapeLike
        Layout of a word.
    granules : int
        Granules per word; they must divide its width.
    write_layout : ShapeLike, optional
        Layout of a word at the write port, of equal width.

    Members
    -------
    write : In(WritePort)
    read : Out(ReadPort)
    """

    def __init__(self, *, address_bits: int, layout, granules: int = 1, write_layout=None):
        self._depth = 1 << address_bits
        self._granules = granules
        self._width = Shape.cast(layout).width
        super().__init__(
            {
                "write": In(WritePort(address_bits=address_bits, layout=write_layout or layout, granules=granules)),
                "read": Out(ReadPort(address_bits=address_bits, layout=layout)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = data.ArrayLayout(unsigned(self._width // self._granules), self._granules)
        memory = Memory(shape=word, depth=self._depth, init=[], attrs=NEVER_BOTH)
        m.submodules.memory = memory
        write = memory.write_port(granularity=1)
        read = memory.read_port(transparent_for=())
        m.d.comb += [
            write.addr.eq(self.write.address),
            Value.cast(write.data).eq(self.write.data),
            write.en.eq(self.write.enable),
            read.addr.eq(self.read.address),
            read.en.eq(self.read.enable),
            Value.cast(self.read.data).eq(read.data),
        ]
        return m
