"""Blocks with a part of their surroundings, which the properties of a stream cannot express."""

from typing import Any

from amaranth import Array, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl.attention.head_streams import command_layout, head_layout
from thresher.hdl.attention.heads.table import HeadTable
from thresher.hdl.attention.selection.block_select import (
    mask_word_bits,
)
from thresher.hdl.attention.selection.kept_blocks import KeptBlocks
from thresher.hdl.lib.arithmetic import popcount
from thresher.hdl.lib.pipeline import delay
from thresher.hdl.lib.streams import StreamFIFO
from thresher.spec import AttentionConfig

__all__ = ["KeptBlocksRoom", "Masked", "TableRoom", "opened"]


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


def opened(component: type[wiring.Component]) -> Any:
    """A subclass whose attribute ``parts`` has the submodules, so that properties can watch their ports."""

    class Opened(component):
        def __init__(self, *arguments: Any, **options: Any):
            super().__init__(*arguments, **options)
            self._module = super().elaborate(None)
            self.parts: Any = self._module.submodules

        def elaborate(self, platform: object) -> Module:
            return self._module

    Opened.__module__ = component.__module__
    return Opened
