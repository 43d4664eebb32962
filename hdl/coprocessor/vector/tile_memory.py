"""Tile memory: a tile of INT8 values that is written and read along channels or along tokens."""

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import ceil_div
from ....spec.program import WORD_BYTES
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import NEVER_BOTH
from ..memory_streams import word_layout
from .tile_streams import TileWrite, padded_channels, spot_members

__all__ = ["READ_CYCLES", "TileMemory", "TileRead"]

READ_CYCLES = 3
"""Enabled cycles from a place to its word: registers before and after the block RAM."""

BANK_BITS = index_bits(WORD_BYTES)


def TileRead(config: CoprocessorConfig) -> wiring.Signature:
    """Read port of a tile, seen from the memory. ``data`` follows after :data:`READ_CYCLES` enabled cycles."""
    return wiring.Signature(
        {
            "enable": In(1),
            **{name: In(bits) for name, bits in spot_members(config).items()},
            "data": Out(word_layout()),
        }
    )


class TileMemory(wiring.Component):
    """One tile: ``max_channels`` channels, rounded up to a multiple of 8, of ``tile`` tokens.

    Byte (channel, token) lies in bank (channel + token) mod 8. So 8 tokens of a channel lie in eight banks, and so do
    8 channels of a token:

              token 0  1  2  3  4  5  6  7
        channel 0   0  1  2  3  4  5  6  7
        channel 1   1  2  3  4  5  6  7  0
        channel 2   2  3  4  5  6  7  0  1

    A word is rotated on its way to the banks and back. A word that is written in a cycle may be read from the next
    cycle on; it is undefined to read any of its bytes in the same cycle.

    Parameters
    ----------
    config : CoprocessorConfig

    Members
    -------
    write : In(TileWrite)
    read : Out(TileRead)
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__({"write": In(TileWrite(config)), "read": Out(TileRead(config))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        write, read = self.write, self.read
        depth = padded_channels(config) * ceil_div(config.tile, WORD_BYTES)
        rotation = Signal(BANK_BITS)
        rotated = Signal(word_layout())
        back = Signal(BANK_BITS)
        m.d.comb += [
            rotation.eq(_rotation(write)),
            rotated.eq(_rotate(self.write.data, -1, rotation)),
            back.eq(delay(m, _rotation(read), READ_CYCLES, enable=read.enable, name="back")[-1]),
        ]
        writing = Signal()
        m.d.sync += writing.eq(write.enable)
        write_address = _addresses(m, write, enable=1, name="write")
        read_address = _addresses(m, read, enable=read.enable, name="read")
        output = Signal(word_layout())
        for bank in range(WORD_BYTES):
            memory = Memory(shape=unsigned(8), depth=depth, init=[], attrs=NEVER_BOTH)
            m.submodules[f"bank_{bank}"] = memory
            write_port = memory.write_port()
            read_port = memory.read_port()
            m.d.sync += write_port.data.eq(rotated[bank])
            m.d.comb += [
                write_port.en.eq(writing),
                write_port.addr.eq(write_address[bank]),
                read_port.en.eq(read.enable),
                read_port.addr.eq(read_address[bank]),
            ]
            with m.If(read.enable):
                m.d.sync += output[bank].eq(read_port.data)
        m.d.comb += read.data.eq(_rotate(output, 1, back))
        return m


def _rotation(spot) -> Value:
    """Bank of the first byte of a word."""
    return Mux(spot.by_row, spot.token[:BANK_BITS], spot.channel[:BANK_BITS])


def _rotate(word: data.View, direction: int, amount: Value) -> Value:
    """The word with byte i from place i ± amount."""
    items = [word[i] for i in range(WORD_BYTES)]
    for k in range(BANK_BITS):
        step = direction << k
        items = [Mux(amount[k], items[(i + step) % WORD_BYTES], items[i]) for i in range(WORD_BYTES)]
    return Cat(items)


def _addresses(m: Module, spot, *, enable, name: str) -> list[Value]:
    """The address in each bank, one enabled cycle later."""
    group = Signal(spot.token.shape().width - BANK_BITS, name=f"{name}_group")
    high = Signal(spot.channel.shape().width - BANK_BITS, name=f"{name}_high")
    low = [Signal(BANK_BITS, name=f"{name}_low_{bank}") for bank in range(WORD_BYTES)]
    with m.If(enable):
        m.d.sync += [group.eq(spot.token[BANK_BITS:]), high.eq(spot.channel[BANK_BITS:])]
        m.d.sync += [
            each.eq(Mux(spot.by_row, bank - spot.token[:BANK_BITS], spot.channel[:BANK_BITS]))
            for bank, each in enumerate(low)
        ]
    return [Cat(group, each, high) for each in low]
