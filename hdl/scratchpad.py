"""Block RAM with one write and one read port."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["ReadPort", "Scratchpad", "WritePort"]


def ReadPort(*, address_bits: int, layout) -> wiring.Signature:
    """Synchronous read port, seen from the memory: ``data`` follows ``address`` by one enabled cycle."""
    return wiring.Signature({"address": In(address_bits), "enable": In(1), "data": Out(layout)})


def WritePort(*, address_bits: int, layout) -> wiring.Signature:
    """Write port, seen from the writer: ``data`` is stored at ``address`` when ``enable`` is high."""
    return wiring.Signature({"address": Out(address_bits), "enable": Out(1), "data": Out(layout)})


class Scratchpad(wiring.Component):
    """A memory whose words are rows of equally wide granules that are written one by one.

    Parameters
    ----------
    address_bits : int
        The memory has 2^address_bits words.
    granules : int
        Granules of a word.
    granule_bits : int
        Bits of a granule.
    read_layout : ShapeCastable, optional
        How a word is read; as wide as all granules. Default: an array of granules.

    Members
    -------
    address : In(address_bits), write_enable : In(granules)
        Where to write, and which granules.
    write_data : In(ArrayLayout(granule_bits, granules))
    read : In(ReadPort)
    """

    def __init__(self, *, address_bits: int, granules: int, granule_bits: int, read_layout=None):
        self._word = data.ArrayLayout(unsigned(granule_bits), granules)
        self._depth = 1 << address_bits
        super().__init__(
            {
                "address": In(address_bits),
                "write_enable": In(granules),
                "write_data": In(self._word),
                "read": Out(ReadPort(address_bits=address_bits, layout=read_layout or self._word)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._word, depth=self._depth, init=[])
        write = memory.write_port(granularity=1)
        read = memory.read_port(transparent_for=())
        word = Signal(self._word)
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
            read.addr.eq(self.read.address),
            read.en.eq(self.read.enable),
            word.eq(read.data),
            self.read.data.eq(word),
        ]
        return m
