"""Access of a host to registers and memory of a co-processor, as streams."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.on_chip_config import Access
from ...spec.registers import REGISTER_BYTES
from ..bus.registers import REGISTER_BITS, REGISTER_INDEX_BITS, RegisterPort
from ..coprocessor.memory_streams import ADDRESS_BITS, WORD_BITS, WORD_SHIFT, MemoryPort
from ..lib.pipeline import index_bits

__all__ = ["HostAccess", "access_layout", "access_members", "result_layout"]


def access_layout() -> data.StructLayout:
    """What the host asks for. ``value`` is the number of words of 8 bytes, or what is written to a register."""
    return data.StructLayout({"access": Access, "address": ADDRESS_BITS, "value": REGISTER_BITS})


def result_layout() -> data.StructLayout:
    """The end of an access. ``value`` is what a register holds, or the size of the memory in bytes."""
    return data.StructLayout({"value": REGISTER_BITS, "error": 1})


def access_members() -> dict:
    """Streams of a host.

    Members
    -------
    i_access : In(stream(access_layout))
        Accepted with its result.
    i_words : In(stream(64))
        The words that are written to the memory.
    o_words : Out(stream(64))
        The words that are read from the memory.
    o_result : Out(stream(result_layout))
        One per access, after its words. ``error`` is asserted if a word is outside the memory, or the register refuses
        the access.
    """
    return {
        "i_access": In(stream.Signature(access_layout())),
        "i_words": In(stream.Signature(WORD_BITS)),
        "o_words": Out(stream.Signature(WORD_BITS)),
        "o_result": Out(stream.Signature(result_layout())),
    }


class HostAccess(wiring.Component):
    """Executes the accesses of a host one after another, a word at a time.

    Parameters
    ----------
    memory_bytes : int
        Size of the memory.

    Members
    -------
    registers : Out(RegisterPort)
    memory : Out(MemoryPort)
        ``read_data`` and ``written`` are always ready.

    It also has the members of :func:`access_members`.
    """

    def __init__(self, memory_bytes: int):
        self._memory_bytes = memory_bytes
        super().__init__({**access_members(), "registers": Out(RegisterPort()), "memory": Out(MemoryPort())})

    def elaborate(self, platform):
        m = Module()
        registers, memory, access = self.registers, self.memory, self.i_access.payload
        offset = access.address[index_bits(REGISTER_BYTES) :]
        word = Signal(ADDRESS_BITS - WORD_SHIFT)
        left = Signal.like(access.value)
        error = Signal()
        result = self.o_result.payload
        m.d.comb += [
            registers.write_index.eq(offset),
            registers.read_index.eq(offset),
            registers.write_data.eq(access.value),
            registers.write_mask.eq(~0),
            memory.read.payload.address.eq(word << WORD_SHIFT),
            memory.read.payload.words.eq(1),
            memory.write.payload.eq(memory.read.payload),
            Value.cast(memory.write_data.payload).eq(self.i_words.payload),
            memory.read_data.ready.eq(1),
            memory.written.ready.eq(1),
        ]
        with m.FSM():
            with m.State("BEGIN"):
                m.d.sync += [word.eq(access.address[WORD_SHIFT:]), left.eq(access.value), error.eq(0)]
                outside = access.address[index_bits(REGISTER_BYTES) + REGISTER_INDEX_BITS :].any()
                with m.If(self.i_access.valid), m.Switch(access.access):
                    with m.Case(Access.READ_MEMORY):
                        m.next = "READ"
                    with m.Case(Access.WRITE_MEMORY):
                        m.next = "WRITE"
                    with m.Case(Access.READ_REGISTER):
                        m.d.comb += registers.read.eq(1)
                        m.next = "REGISTER"
                    with m.Case(Access.WRITE_REGISTER):
                        m.d.comb += registers.write.eq(~outside)
                        m.next = "REGISTER"
                with m.If(access.access[1]):
                    m.d.sync += error.eq(outside)
            with m.State("READ"):
                m.d.comb += memory.read.valid.eq(left != 0)
                with m.If(left == 0):
                    m.next = "RESULT"
                with m.Elif(memory.read.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                self._next(m, word, left, moved=memory.read_data.valid)
                with m.If(memory.read_data.valid):
                    m.d.sync += self.o_words.payload.eq(Value.cast(memory.read_data.payload.data))
                    m.d.sync += error.eq(error | memory.read_data.payload.error)
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o_words.valid.eq(1)
                with m.If(self.o_words.ready):
                    m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += memory.write.valid.eq((left != 0) & self.i_words.valid)
                with m.If(left == 0):
                    m.next = "RESULT"
                with m.Elif(self.i_words.valid & memory.write.ready):
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += [memory.write_data.valid.eq(1), self.i_words.ready.eq(memory.write_data.ready)]
                self._next(m, word, left, moved=memory.write_data.ready)
                with m.If(memory.write_data.ready):
                    m.next = "STORED"
            with m.State("STORED"), m.If(memory.written.valid):
                m.d.sync += error.eq(error | memory.written.payload)
                m.next = "WRITE"
            with m.State("REGISTER"):
                refused = Mux(access.access == Access.WRITE_REGISTER, registers.write_error, registers.read_error)
                m.d.sync += error.eq(error | refused)
                m.next = "RESULT"
            with m.State("RESULT"):
                of_register = access.access == Access.READ_REGISTER
                m.d.comb += [
                    self.o_result.valid.eq(1),
                    result.value.eq(Mux(of_register, registers.read_data, self._memory_bytes)),
                    result.error.eq(error),
                    self.i_access.ready.eq(self.o_result.ready),
                ]
                with m.If(self.o_result.ready):
                    m.next = "BEGIN"
        return m

    def _next(self, m: Module, word: Signal, left: Signal, *, moved) -> None:
        with m.If(moved):
            m.d.sync += [word.eq(word + 1), left.eq(left - 1)]
