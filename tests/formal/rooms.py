"""Blocks with a part of their surroundings, which the properties of a stream cannot express."""

from types import SimpleNamespace
from typing import Any

from amaranth import Array, Cat, Const, Module, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl.attention.head_streams import command_layout, head_layout
from thresher.hdl.attention.heads.table import HeadTable
from thresher.hdl.attention.selection.block_select import (
    mask_address_bits,
    mask_word_bits,
    row_address_bits,
    row_selection_layout,
)
from thresher.hdl.attention.selection.kept_blocks import KeptBlocks
from thresher.hdl.coprocessor.program_streams import COUNT_BITS, instruction_layout
from thresher.hdl.coprocessor.sequencer import Sequencer, header_layout
from thresher.hdl.lib.arithmetic import popcount
from thresher.hdl.lib.pipeline import delay
from thresher.hdl.lib.streams import StreamFIFO
from thresher.spec import AttentionConfig
from thresher.spec.program import UNITS

__all__ = [
    "ENGINE_MEMORIES",
    "SEQUENCER_QUEUES",
    "KeptBlocksRoom",
    "Masked",
    "TableRoom",
    "sequencer_room",
    "with_decision",
    "with_signals",
]

ENGINE_MEMORIES = ("mask_memory", "row_memory")
"""Memories of a sparsity engine. They are written when a head is measured and read when it is listed."""

SEQUENCER_QUEUES = tuple(f"{unit.name.lower()}_{name}" for unit in UNITS for name in ("queue", "under_way"))


class Masked(wiring.Component):
    """A component with its own ports, some bits of whose inputs it takes as 0.

    Parameters
    ----------
    block : wiring.Component
    masks : dict of str to int
        The other bits, by the name of the input. ``__`` joins the parts of a name.
    """

    def __init__(self, block: wiring.Component, masks: dict[str, int]):
        self.block = block
        self._masks = masks
        super().__init__(block.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = self.block
        unused = set(self._masks)
        ports = zip(self.signature.flatten(self), self.block.signature.flatten(self.block), strict=True)
        for (path, member, outer), (_, _, inner) in ports:
            name = "__".join(map(str, path))
            outer, inner = Value.cast(outer), Value.cast(inner)
            if isinstance(inner, Const):  # ready of a stream that is always ready
                continue
            if member.flow is Out:
                m.d.comb += outer.eq(inner)
            else:
                m.d.comb += inner.eq(outer & self._masks.get(name, -1))
                unused.discard(name)
        if unused:
            raise KeyError(unused)
        return m


class TableRoom(wiring.Component):
    """Head table with stages that take any time.

    Members
    -------
    i_command : In(stream)
    go : In
        A bit for each thing that the stages may do in this cycle.
    pruned : In(1)
        Of the head that is decided.
    """

    def __init__(self, config: AttentionConfig, table: type[HeadTable] = HeadTable):
        self.table = table(config)
        self._config = config
        steps = ("load", "keys", "values", "predict", "decide", "list", "finish", "release")
        super().__init__(
            {
                "i_command": In(stream.Signature(command_layout(config))),
                "go": In(data.StructLayout(dict.fromkeys(steps, 1))),
                "pruned": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.table = table = self.table
        wiring.connect(m, wiring.flipped(self.i_command), table.i_command)
        # The loader takes a head while the last words of the one before are on their way into their memory.
        loading, keys, slot, finishing, ends = (
            Signal(name=name) for name in ("loading", "keys", "slot", "finishing", "ends")
        )
        loaded = data.StructLayout({"keys": 1, "values": 1, "slot": 1})
        now = Signal(loaded)
        m.d.comb += [
            table.o_load.ready.eq(~loading & self.go.load),
            now.keys.eq(loading & ~keys & self.go.keys),
            now.values.eq(loading & keys & self.go.values),
            now.slot.eq(slot),
        ]
        with m.If(table.o_load.valid & table.o_load.ready & ~table.o_load.payload.rejected):
            m.d.sync += [loading.eq(1), keys.eq(0), slot.eq(table.o_load.payload.head.slot)]
        with m.If(now.keys):
            m.d.sync += keys.eq(1)
        with m.If(now.values):
            m.d.sync += loading.eq(0)
        late = delay(m, now, 2, enable=1, name="loaded")[2]
        m.d.comb += [
            table.keys_loaded.eq(late.keys),
            table.values_loaded.eq(late.values),
            table.loading_slot.eq(late.slot),
        ]
        m.submodules.predicted = predicted = StreamFIFO(1, depth=2)
        m.d.comb += [
            table.o_predict.ready.eq(predicted.i.ready & self.go.predict),
            predicted.i.valid.eq(table.o_predict.valid & self.go.predict),
            predicted.i.payload.eq(table.o_predict.payload.slot),
            predicted.o.ready.eq(self.go.decide),
            table.i_decision.valid.eq(predicted.o.valid & self.go.decide),
            table.i_decision.payload.slot.eq(predicted.o.payload),
            table.i_decision.payload.pruned.eq(self.pruned),
            table.o_list.ready.eq(self.go.list),
            table.o_finish.ready.eq(~finishing & self.go.finish),
            table.release.eq(finishing & ends & self.go.release),
        ]
        # A head ends only after its kept blocks were listed.
        listed = Signal(2)
        last = Signal.like(table.o_finish.payload)
        slots = Array(listed)
        with m.If(table.o_list.valid & table.o_list.ready):
            m.d.sync += slots[table.o_list.payload.slot].eq(1)
        with m.If(table.o_finish.valid & table.o_finish.ready):
            m.d.sync += last.eq(table.o_finish.payload)
        m.d.comb += ends.eq(last.pruned | last.error.any() | slots[last.head.slot])
        with m.If(table.release):
            m.d.sync += slots[last.head.slot].eq(0)
        m.d.sync += finishing.eq((table.o_finish.valid & table.o_finish.ready) | (finishing & ~table.release))
        return m


class KeptBlocksRoom(wiring.Component):
    """List of kept blocks, with memories that hold any mask. A mask is one word per block row.

    Members
    -------
    i_head : In(stream)
    masks : In
        Of each block row; the same in both slots.
    rows_ready, blocks_ready : In(1)
    """

    def __init__(self, config: AttentionConfig, kept: type[KeptBlocks] = KeptBlocks):
        self.kept = kept(config)
        self.config = config
        assert config.blocks <= mask_word_bits(config)
        super().__init__(
            {
                "i_head": In(stream.Signature(head_layout(config))),
                "masks": In(data.ArrayLayout(mask_word_bits(config), config.blocks)),
                "rows_ready": In(1),
                "blocks_ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.kept = kept = self.kept
        wiring.connect(m, wiring.flipped(self.i_head), kept.i_head)
        row_bits = len(kept.row.address) - 1
        m.d.comb += [kept.o_rows.ready.eq(self.rows_ready), kept.o_blocks.ready.eq(self.blocks_ready)]
        m.d.sync += [
            kept.mask.data.eq(self.masks[kept.mask.address[-1 - row_bits : -1]]),
            kept.row.data.kept.eq(popcount(self.masks[kept.row.address[:row_bits]])),
        ]
        return m


def with_signals(engine: type[wiring.Component]) -> type[wiring.Component]:
    """A sparsity engine with signals that show the use of its memories.

    Attributes
    ----------
    listing : Signal
        A head is listed.
    rewritten : Signal
        A word of its slot is written.
    reads : list of namespace
        Read ports of the memories.
    """

    class WithSignals(engine):
        def __init__(self, config: AttentionConfig):
            super().__init__(config)
            self.listing, self.rewritten = Signal(), Signal()
            ports = (
                (mask_address_bits(config), mask_word_bits(config)),
                (row_address_bits(config), row_selection_layout(config)),
            )
            self.reads = [
                SimpleNamespace(address=Signal(bits), data=Signal(Shape.cast(layout).width), enable=1)
                for bits, layout in ports
            ]

        def elaborate(self, platform: object) -> Module:
            m = super().elaborate(platform)
            same_slot = []
            for name, read in zip(ENGINE_MEMORIES, self.reads, strict=True):
                memory = getattr(m.submodules, name)
                m.d.comb += [read.address.eq(memory.read.address), read.data.eq(memory.read.data)]
                # The slot is the highest bit of an address.
                same_slot.append(memory.write.enable & (memory.write.address[-1] == memory.read.address[-1]))
            m.d.comb += [
                self.listing.eq(~self.i_list.ready),
                self.rewritten.eq(self.listing & Cat(same_slot).any()),
            ]
            return m

    WithSignals.__module__ = engine.__module__
    return WithSignals


def with_decision(engine: type[wiring.Component]) -> type[wiring.Component]:
    """A compact sparsity engine with signals, also of what its decision is made of.

    Attributes
    ----------
    decided : Signal
        Sum and kept blocks of the head.
    ends : Signal
        Strobe: they are complete.
    """

    class WithDecision(with_signals(engine)):
        def __init__(self, config: AttentionConfig):
            super().__init__(config)
            self.decided, self.ends = Signal(config.head_sum_bits + config.kept_bits), Signal()

        def elaborate(self, platform: object) -> Module:
            m = super().elaborate(platform)
            measure, choice = m.submodules.measure, m.submodules.choice
            m.d.comb += [self.decided.eq(Cat(measure.head_sum, choice.kept)), self.ends.eq(choice.finished)]
            return m

    return WithDecision


def sequencer_room(sequencer: type[Sequencer]) -> Any:
    """A sequencer with the streams of its queues.

    Attributes
    ----------
    queues : dict of Opcode to stream
        Instructions that wait, of each unit.
    under_way : dict of Opcode to stream
        Instructions that have begun, on their way into their queue.
    """

    class WithQueues(sequencer):
        def __init__(self):
            super().__init__()
            self.queues, self.under_way = {}, {}
            for unit in UNITS:
                queued = {"number": COUNT_BITS, "header": header_layout(), "body": instruction_layout(unit)}
                self.queues[unit] = stream.Signature(data.StructLayout(queued)).create()
                self.under_way[unit] = stream.Signature(0).create()

        def elaborate(self, platform: object) -> Module:
            m = super().elaborate(platform)
            for unit, queue in self.queues.items():
                inside = getattr(m.submodules, f"{unit.name.lower()}_queue").o
                begun = getattr(m.submodules, f"{unit.name.lower()}_under_way").i
                m.d.comb += [
                    queue.valid.eq(inside.valid),
                    queue.ready.eq(inside.ready),
                    queue.payload.eq(inside.payload),
                    self.under_way[unit].valid.eq(begun.valid),
                    self.under_way[unit].ready.eq(begun.ready),
                ]
            return m

    WithQueues.__module__ = sequencer.__module__
    return WithQueues
