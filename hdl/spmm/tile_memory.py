"""Tile memory: X of two passes over the tokens. One is read while the next loads."""

from amaranth import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.formats import INT8_BITS
from ...spec.spmm_config import SpmmConfig
from ..lib.pipeline import delay
from ..lib.scratchpad import NEVER_BOTH
from .product_streams import input_layout

__all__ = ["READERS", "READ_CYCLES", "TileMemory", "TileRead", "TileWrite"]

READERS = 2
"""Row engines that share a tile memory, because a block RAM has two ports."""

READ_CYCLES = 5
"""Cycles from a column to its tokens. The memories are slow and far apart, so each side has two registers."""


def TileRead(config: SpmmConfig) -> wiring.Signature:
    """Read port of a row engine, seen from the memory. ``data`` follows after :data:`READ_CYCLES` cycles.

    The lanes of a bank share a column.
    """
    return wiring.Signature(
        {
            "slot": In(1),
            "columns": In(data.ArrayLayout(unsigned(config.column_bits), config.banks)),
            "data": Out(input_layout(config)),
        }
    )


def TileWrite(config: SpmmConfig) -> wiring.Signature:
    """Write port, seen from the loader."""
    return wiring.Signature(
        {
            "enable": Out(1),
            "slot": Out(1),
            "column": Out(config.column_bits),
            "data": Out(input_layout(config)),
        }
    )


class TileMemory(wiring.Component):
    """Two slots of ``max_columns`` columns of ``lanes`` tokens.

    A slot is either written or read. So the first port serves the loader or the first reader, the second port serves
    the second reader, and each bank fits a true dual-port block RAM.

    Parameters
    ----------
    config : SpmmConfig
    readers : int
        1 or 2.

    Members
    -------
    write : In(TileWrite)
    passed : Out(TileWrite)
        ``write``, one cycle later, for the next memory. The path from the loader to all memories would be too long.
    reads : Out(TileRead) × readers
    """

    def __init__(self, config: SpmmConfig, *, readers: int):
        assert 1 <= readers <= READERS
        self._config = config
        super().__init__(
            {
                "write": In(TileWrite(config)),
                "passed": Out(TileWrite(config)),
                "reads": Out(TileRead(config)).array(readers),
            }
        )

    def elaborate(self, platform):
        config = self._config
        m = Module()
        m.d.sync += [getattr(self.passed, name).eq(getattr(self.write, name)) for name in self.write.signature.members]
        begins = Signal(2)
        m.d.sync += [begins[slot].eq(self.write.enable & (self.write.slot == slot)) for slot in range(2)]
        outputs = [[self._bank(m, slot, bank, begins[slot]) for bank in range(config.banks)] for slot in range(2)]
        for index, read in enumerate(self.reads):
            slot = delay(m, read.slot, READ_CYCLES - 1, enable=1, name=f"slot_{index}")[-1]
            for bank in range(config.banks):
                for token in range(config.spread_tokens):
                    lane = read.data[bank * config.spread_tokens + token]
                    low, high = (outputs[half][bank][index][token] for half in range(2))
                    m.d.sync += lane.eq(Mux(slot, high, low))
        return m

    def _bank(self, m: Module, slot: int, bank: int, begins) -> list:
        """Memory of one bank in one slot, written one cycle after ``begins``. Returns the data of every reader."""
        config = self._config
        tokens = config.spread_tokens
        word = data.ArrayLayout(signed(INT8_BITS), tokens)
        memory = Memory(shape=word, depth=config.max_columns, init=[], attrs=NEVER_BOTH)
        m.submodules[f"slot_{slot}_bank_{bank}"] = memory
        write = memory.write_port()
        writing = Signal(name=f"writing_{slot}_{bank}")
        m.d.sync += writing.eq(begins)
        m.d.sync += [write.data[i].eq(self.passed.data[bank * tokens + i]) for i in range(tokens)]
        m.d.comb += write.en.eq(writing)
        outputs = []
        for index, read in enumerate(self.reads):
            port = memory.read_port()
            column = Signal(config.column_bits, name=f"column_{index}_{slot}_{bank}", reset_less=True)
            output = Signal(word, name=f"output_{index}_{slot}_{bank}", reset_less=True)
            m.d.sync += [column.eq(read.columns[bank]), output.eq(port.data)]
            # The first reader shares its port with the loader.
            m.d.sync += port.addr.eq(Mux(begins, self.passed.column, column) if index == 0 else column)
            if index == 0:
                # Never enabled together, so that synthesis can merge them into one port.
                m.d.comb += [port.en.eq(~writing), write.addr.eq(port.addr)]
            else:
                m.d.comb += port.en.eq(1)
            outputs.append(output)
        return outputs
