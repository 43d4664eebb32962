"""Column sums of V, added up while V loads. The background weight multiplies them."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ...lib.pipeline import delay, index_bits
from .loader import value_beat_layout

__all__ = ["ValueSums", "running_sums"]


def running_sums(m: Module, config: AttentionConfig, beat):
    """A beat of V, some cycles late, and the sums of its columns up to its row."""
    new = Signal(data.ArrayLayout(signed(config.value_sum_bits), config.lanes))
    late, before = (_in_memory if config.compact else _in_registers)(m, config, beat, new)
    for lane in range(config.lanes):
        m.d.comb += new[lane].eq(late.values[lane] + Mux(late.first, 0, before[lane]))
    return late, new


def _in_registers(m: Module, config: AttentionConfig, beat, new: Signal):
    """The beat, two cycles late, and the running sums of its columns. ``new`` replaces these sums."""
    running = Signal(data.ArrayLayout(new.shape(), config.chunks), reset_less=True)
    # The loader is far away on the chip.
    late = delay(m, beat, 2, enable=1, name="beat")[2]
    # Selected here and not in the sum of each lane: Amaranth would emit a selector of the whole row per lane.
    before = Signal(new.shape())
    m.d.comb += before.eq(running[late.chunk])
    with m.If(late.valid):
        m.d.sync += running[late.chunk].eq(new)
    return late, before


def _in_memory(m: Module, config: AttentionConfig, beat, new: Signal):
    """The same, one cycle late and from block RAM. Two beats in a row may have the same chunk."""
    depth = 1 << index_bits(config.chunks)
    running = Memory(shape=new.shape(), depth=depth, init=[], attrs={"ram_style": "block"})
    m.submodules.running = running
    write = running.write_port()
    read = running.read_port(transparent_for=(write,))
    late = Signal.like(beat)
    m.d.sync += late.eq(beat)
    m.d.comb += [
        read.addr.eq(beat.chunk),
        write.addr.eq(late.chunk),
        write.data.eq(new),
        write.en.eq(late.valid),
    ]
    return late, read.data


class ValueSums(wiring.Component):
    """ΣV of each column, over the keys of the head in each slot.

    Members
    -------
    beat : In(value_beat_layout)
    slot : In(1), chunk : In
        Select the sums that ``sums`` shows.
    sums : Out(ArrayLayout(signed(value_sum_bits), lanes))
        The selected sums, in the same cycle.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(
            {
                "beat": In(value_beat_layout(config)),
                "slot": In(1),
                "chunk": In(index_bits(config.chunks)),
                "sums": Out(data.ArrayLayout(signed(config.value_sum_bits), config.lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        beat, new = running_sums(m, config, self.beat)
        # Every beat writes its running sum, so the last beat leaves the total.
        width = config.lanes * config.value_sum_bits
        memory = Memory(shape=width, depth=2 << index_bits(config.chunks), init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(Cat(beat.chunk, beat.slot)),
            write.data.eq(new),
            write.en.eq(beat.valid),
            read.addr.eq(Cat(self.chunk, self.slot)),
            Value.cast(self.sums).eq(read.data),
        ]
        return m
