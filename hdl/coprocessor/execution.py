"""Units, sequencer and memory port, which execute a program."""

from amaranth import Cat, Const, Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.coprocessor_config import CoprocessorConfig
from ...spec.formats import unsigned_bits
from ...spec.program import UNITS, FaultCode, Opcode
from .arbiter import Arbiter
from .attention.executor import AttentionExecutor
from .gate import pick
from .memory_streams import ADDRESS_BITS, MemoryPort, regions_layout
from .product.executor import ProductExecutor
from .program_streams import (
    COUNT_BITS,
    UNIT_BITS,
    activity_layout,
    finish_layout,
    oldest_layout,
    program_layout,
    waiting_layout,
)
from .reader import Reader
from .sequencer import Sequencer
from .vector.executor import VectorExecutor
from .writer import Writer

__all__ = ["Execution", "memory_fault_layout"]

NO_UNIT = 0


def memory_fault_layout() -> data.StructLayout:
    """A fault of the memory, if ``valid``: its :class:`~thresher.spec.program.FaultCode`, the unit that asked, and the
    address of the block."""
    return data.StructLayout(
        {"valid": 1, "code": unsigned_bits(max(FaultCode)), "unit": UNIT_BITS, "address": ADDRESS_BITS}
    )


class Execution(wiring.Component):
    """Executes a program on a memory. It must be reset after every program.

        i_program ── sequencer ──┬── product executor ────┐
                         │       ├── attention executor ──┼── readers, writers ── arbiter ── memory
                         │       └── vector executor ─────┘                          │
                         └───────────────────────────────── reader ──────────────────┘

    Parameters
    ----------
    config : CoprocessorConfig

    Members
    -------
    regions : In(regions_layout)
    i_program : In(stream(program_layout))
        Offered until the reset; never accepted.
    o_finish : Out(stream(finish_layout, always_ready))
        The end of the program, unless the memory is at fault. Stays asserted until the reset.
    memory : Out(MemoryPort)
    memory_fault : Out(memory_fault_layout)
        The first fault of the memory.
    stop : In(1)
        No further burst begins.
    idle : Out(1)
        No burst is outstanding. After a fault or ``stop``, a reset is allowed only then.
    number : Out(16)
    oldest : Out(oldest_layout)
    waiting : Out(waiting_layout)
        See :class:`~thresher.hdl.coprocessor.sequencer.Sequencer`.
    activity : Out(activity_layout)
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "regions": In(regions_layout()),
                "i_program": In(stream.Signature(program_layout())),
                "o_finish": Out(stream.Signature(finish_layout(), always_ready=True)),
                "memory": Out(MemoryPort()),
                "memory_fault": Out(memory_fault_layout()),
                "stop": In(1),
                "idle": Out(1),
                "number": Out(COUNT_BITS),
                "oldest": Out(oldest_layout()),
                "waiting": Out(waiting_layout()),
                "activity": Out(activity_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.sequencer = sequencer = Sequencer()
        m.submodules.product = product = ProductExecutor(config)
        m.submodules.attention = attention = AttentionExecutor(config)
        m.submodules.vector = vector = VectorExecutor(config)
        connect(m, flipped(self.i_program), sequencer.i_program)
        connect(m, sequencer.o_finish, flipped(self.o_finish))
        reads = [
            (NO_UNIT, sequencer.o_spans, sequencer.i_words),
            *((Opcode.PRODUCT, *each) for each in zip(product.o_spans, product.i_words, strict=True)),
            *((Opcode.ATTENTION, *each) for each in zip(attention.o_spans, attention.i_words, strict=True)),
            (Opcode.VECTOR, vector.o_spans, vector.i_words),
        ]
        results = zip(attention.o_result_spans, attention.o_results, attention.i_written, strict=True)
        writes = [
            (Opcode.PRODUCT, product.o_result_spans, product.o_results, product.i_written),
            *((Opcode.ATTENTION, *each) for each in results),
            (Opcode.VECTOR, vector.o_result_spans, vector.o_results, vector.i_written),
        ]
        m.d.comb += [
            getattr(self, name).eq(getattr(sequencer, name)) for name in ("number", "oldest", "waiting", "activity")
        ]
        self._connect_memory(m, reads, writes, product.works)
        for name, unit in (("product", product), ("attention", attention), ("vector", vector)):
            connect(m, getattr(sequencer, f"o_{name}"), unit.i_instruction)
            connect(m, unit.o_completed, getattr(sequencer, f"i_{name}"))
        return m

    def _connect_memory(self, m: Module, reads, writes, product_works) -> None:
        """Give each stream of operands a reader, each stream of results a writer, and join them."""
        m.submodules.arbiter = arbiter = Arbiter(readers=len(reads), writers=len(writes))
        waits = []
        for index, (_, spans, words) in enumerate(reads):
            m.submodules[f"reader_{index}"] = reader = Reader()
            waits.append(reader.waits)
            connect(m, spans, reader.i_spans)
            connect(m, reader.o_words, words)
            connect(m, reader.port, arbiter.readers[index])
        for index, (_, spans, words, done) in enumerate(writes):
            m.submodules[f"writer_{index}"] = writer = Writer()
            connect(m, spans, writer.i_spans)
            connect(m, words, writer.i_words)
            connect(m, writer.o_done, done)
            connect(m, writer.port, arbiter.writers[index])
        connect(m, arbiter.port, flipped(self.memory))
        works = {Opcode.PRODUCT: product_works}
        for unit in UNITS:
            activity = self.activity[unit.name.lower()]
            streams = [words for owner, _, words in reads if owner == unit]
            streams += [words for owner, _, words, _ in writes if owner == unit]
            moves = Cat(words.valid & words.ready for words in streams).any()
            waiting = Cat(wait for (owner, *_), wait in zip(reads, waits, strict=True) if owner == unit).any()
            m.d.comb += activity.starved.eq(activity.busy & waiting & ~works.get(unit, moves))
        for name, words in (("word_read", arbiter.port.read_data), ("word_written", arbiter.port.write_data)):
            m.d.comb += self.activity[name].eq(words.valid & words.ready)
        fault = arbiter.fault
        owners = [[owner for owner, *_ in requesters] for requesters in (reads, writes)]
        units = [pick(fault.requester, [Const(owner, UNIT_BITS) for owner in each]) for each in owners]
        m.d.comb += [
            arbiter.regions.eq(self.regions),
            arbiter.stop.eq(self.stop),
            self.idle.eq(arbiter.idle),
            self.memory_fault.valid.eq(fault.valid),
            self.memory_fault.code.eq(fault.code),
            self.memory_fault.address.eq(fault.address),
            self.memory_fault.unit.eq(Mux(fault.write, units[1], units[0])),
        ]
