"""The co-processor: units, sequencer and memory port."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.coprocessor_config import CoprocessorConfig
from .arbiter import Arbiter
from .attention.executor import AttentionExecutor
from .memory_streams import MemoryPort, fault_layout, regions_layout
from .product.executor import ProductExecutor
from .reader import Reader
from .sequencer import Sequencer, finish_layout, program_layout
from .vector.executor import VectorExecutor
from .writer import Writer

__all__ = ["Coprocessor"]


class Coprocessor(wiring.Component):
    """Executes programs on a memory.

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
        Place and size of each region. They may change only while no program runs.
    i_program : In(stream(program_layout))
    o_finish : Out(stream(finish_layout))
        One per program. After a fault, the co-processor must be reset.
    memory : Out(MemoryPort)
    memory_fault : Out(fault_layout)
        The first fault of the memory since reset.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        self._readers = 1 + 3 + config.spmm.rows + config.cores + 1
        self._writers = 1 + config.cores + 1
        super().__init__(
            {
                "regions": In(regions_layout()),
                "i_program": In(stream.Signature(program_layout())),
                "o_finish": Out(stream.Signature(finish_layout())),
                "memory": Out(MemoryPort()),
                "memory_fault": Out(fault_layout(readers=self._readers, writers=self._writers)),
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
            (sequencer.o_spans, sequencer.i_words),
            *zip(product.o_spans, product.i_words, strict=True),
            *zip(attention.o_spans, attention.i_words, strict=True),
            (vector.o_read_spans, vector.i_words),
        ]
        writes = [
            (product.o_result_spans, product.o_results, product.i_written),
            *zip(attention.o_result_spans, attention.o_results, attention.i_written, strict=True),
            (vector.o_write_spans, vector.o_words, vector.i_done),
        ]
        self._connect_memory(m, reads, writes)
        for name, unit in (("product", product), ("attention", attention), ("vector", vector)):
            connect(m, getattr(sequencer, f"o_{name}"), unit.i_instruction)
            connect(m, unit.o_completed, getattr(sequencer, f"i_{name}"))
        return m

    def _connect_memory(self, m: Module, reads, writes) -> None:
        """Give each stream of operands a reader, each stream of results a writer, and join them."""
        m.submodules.arbiter = arbiter = Arbiter(readers=len(reads), writers=len(writes))
        assert (len(reads), len(writes)) == (self._readers, self._writers)
        for index, (spans, words) in enumerate(reads):
            m.submodules[f"reader_{index}"] = reader = Reader()
            connect(m, spans, reader.i_spans)
            connect(m, reader.o_words, words)
            connect(m, reader.port, arbiter.readers[index])
        for index, (spans, words, done) in enumerate(writes):
            m.submodules[f"writer_{index}"] = writer = Writer()
            connect(m, spans, writer.i_spans)
            connect(m, words, writer.i_words)
            connect(m, writer.o_done, done)
            connect(m, writer.port, arbiter.writers[index])
        connect(m, arbiter.port, flipped(self.memory))
        m.d.comb += [arbiter.regions.eq(self.regions), self.memory_fault.eq(arbiter.fault), arbiter.stop.eq(0)]
