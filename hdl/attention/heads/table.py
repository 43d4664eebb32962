"""Scoreboard of the heads inside the core: the progress of each of the two slots."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_command import CommandError, rejection_bits
from ....spec.attention_config import AttentionConfig
from ....spec.formats import CYCLE_BITS, unsigned_bits
from ...lib.packets import fault_layout
from ..head_streams import command_layout, head_layout, load_layout
from ..selection.block_select import decision_layout

__all__ = ["SLOTS", "HeadTable", "finish_layout"]

SLOTS = 2
"""Heads inside the core: the operands of one load while the other computes."""


def finish_layout(config: AttentionConfig) -> data.StructLayout:
    """A head whose output is due.

    The head's output is zero if ``pruned`` is set. If ``error`` is set, the head has statistics but no output.
    ``fault`` is that of its packet. ``accepted`` is the cycle in which its command was accepted.
    """
    return data.StructLayout(
        {
            "head": head_layout(config),
            "last_chunk": unsigned_bits(config.chunks - 1),
            "error": rejection_bits(config),
            "fault": fault_layout(),
            "pruned": 1,
            "kept_blocks": config.kept_bits,
            "accepted": CYCLE_BITS,
        }
    )


class HeadTable(wiring.Component):
    """Accepts commands and offers each head to each stage in turn.

    Every stage gets the heads in the order of their commands. A rejected head skips every stage except the loader,
    which drops its operands, and the output. A pruned head skips the listing of kept blocks.

    Members
    -------
    i_command : In(stream(command_layout))
    o_load : Out(stream(load_layout))
        Heads whose operands must be loaded, or dropped.
    o_predict : Out(stream(head_layout))
        Heads whose Q and K are in the scratchpads.
    o_list : Out(stream(head_layout))
        Heads that are decided and whose V is in the scratchpad; their kept blocks must be listed.
    keys_loaded, values_loaded : In(1)
        Q and K, or V, of the head in ``loading_slot`` are in the scratchpads.
    loading_slot : In(1)
    fault : In(fault_layout)
        Of the packet of the head in ``fault_slot``, before its values are loaded.
    fault_slot : In(1)
    i_decision : In(stream(decision_layout))
    o_finish : Out(stream(finish_layout))
    release : In(1)
        The head taken last from ``o_finish`` is finished; i.e. its slot is free.
    heads : Out(ArrayLayout(head_layout, 2))
        The head in each slot.
    last_chunk : Out(ArrayLayout(…, 2))
        ceil(d / lanes) − 1 of the head in each slot.
    now : Out(32)
        Cycles since reset.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        head = stream.Signature(head_layout(config))
        super().__init__(
            {
                "i_command": In(stream.Signature(command_layout(config))),
                "o_load": Out(stream.Signature(load_layout(config))),
                "keys_loaded": In(1),
                "values_loaded": In(1),
                "loading_slot": In(1),
                "fault": In(fault_layout()),
                "fault_slot": In(1),
                "o_predict": Out(head),
                "i_decision": In(stream.Signature(decision_layout(config), always_ready=True)),
                "o_list": Out(head),
                "o_finish": Out(stream.Signature(finish_layout(config))),
                "release": In(1),
                "heads": Out(data.ArrayLayout(head_layout(config), SLOTS)),
                "last_chunk": Out(data.ArrayLayout(unsigned_bits(config.chunks - 1), SLOTS)),
                "now": Out(CYCLE_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.now.eq(self.now + 1)
        flags = data.StructLayout(
            {name: 1 for name in ("busy", "keys", "values", "decided", "pruned", "load", "predict", "list", "finish")}
        )
        slots = [Signal(flags, name=f"slot_{i}") for i in range(SLOTS)]
        entries = [Signal(finish_layout(self._config), name=f"entry_{i}") for i in range(SLOTS)]
        for i in range(SLOTS):
            m.d.comb += [self.heads[i].eq(entries[i].head), self.last_chunk[i].eq(entries[i].last_chunk)]

        def stage(name: str, out, payload, ready, passes):
            """Visit the slots in turn: offer the head when ``ready``, skip it when ``passes``."""
            turn = Signal(name=f"{name}_turn")
            slot = Array(slots)[turn]
            waiting = slot.busy & ~slot[name]
            offered = Array(waiting & ready(i) for i in range(SLOTS))[turn]
            passed = Array(waiting & passes(i) for i in range(SLOTS))[turn]
            m.d.comb += [out.valid.eq(offered & ~passed), out.payload.eq(Array(payload)[turn])]
            with m.If(passed | (out.valid & out.ready)):
                m.d.sync += [slot[name].eq(1), turn.eq(turn + 1)]

        refused = [entry.error != CommandError.NONE for entry in entries]
        pruned = [refused[i] | (slots[i].decided & slots[i].pruned) for i in range(SLOTS)]
        loads = [Signal(load_layout(self._config), name=f"load_{i}") for i in range(SLOTS)]
        for load, rejected, head in zip(loads, refused, self.heads, strict=True):
            m.d.comb += [load.rejected.eq(rejected), load.head.eq(head)]
        stage("load", self.o_load, loads, lambda i: 1, lambda i: 0)
        stage("predict", self.o_predict, self.heads, lambda i: slots[i].keys, lambda i: refused[i])
        # V of a pruned head may still be loading into the slot. These registers may be late, because a slot is empty
        # for a while between two heads.
        loaded, passed, done = (Signal(SLOTS, name=name) for name in ("loaded", "passed", "done"))
        for i, slot in enumerate(slots):
            here = slot.busy & slot.decided & slot.values
            m.d.sync += [
                loaded[i].eq(here),
                passed[i].eq(slot.busy & pruned[i]),
                done[i].eq(here | (slot.busy & slot.load & refused[i])),
            ]
        stage("list", self.o_list, self.heads, lambda i: loaded[i], lambda i: passed[i])
        stage("finish", self.o_finish, entries, lambda i: done[i], lambda i: 0)

        for i in range(SLOTS):
            with m.If(self.loading_slot == i):
                with m.If(self.keys_loaded):
                    m.d.sync += slots[i].keys.eq(1)
                with m.If(self.values_loaded):
                    m.d.sync += slots[i].values.eq(1)
            with m.If(self.fault_slot == i):
                for name in self.fault.shape().members:
                    with m.If(self.fault[name]):
                        m.d.sync += entries[i].fault[name].eq(1)
            decision = self.i_decision.payload
            with m.If(self.i_decision.valid & (decision.slot == i)):
                m.d.sync += [
                    slots[i].decided.eq(1),
                    slots[i].pruned.eq(decision.pruned),
                    entries[i].pruned.eq(decision.pruned),
                    entries[i].kept_blocks.eq(Mux(decision.pruned, 0, decision.kept_blocks)),
                ]
        self._allocate(m, slots, entries)
        return m

    def _allocate(self, m: Module, slots: list, entries: list) -> None:
        """Accept a command into the slot whose turn it is, if that slot is free, and check it."""
        config = self._config
        command = self.i_command.payload
        turn = Signal()
        finishing = Signal()
        error = Signal(entries[0].error.shape())
        with m.If((command.query_length == 0) | (command.query_length > config.max_length)):
            m.d.comb += error.eq(CommandError.QUERY_LENGTH)
        with m.Elif((command.key_length == 0) | (command.key_length > config.max_length)):
            m.d.comb += error.eq(CommandError.KEY_LENGTH)
        with m.Elif((command.head_dim == 0) | (command.head_dim > config.max_head_dim)):
            m.d.comb += error.eq(CommandError.HEAD_DIM)
        if config.causal:
            with m.Elif(command.causal & (command.query_length > command.key_length)):
                m.d.comb += error.eq(CommandError.CAUSAL)
        m.d.comb += self.i_command.ready.eq(~Array(slots)[turn].busy)
        with m.If(self.release):
            m.d.sync += finishing.eq(finishing + 1)
        with m.If(self.i_command.valid & self.i_command.ready):
            m.d.sync += turn.eq(turn + 1)
        for i in range(SLOTS):
            with m.If(self.release & (finishing == i)):
                m.d.sync += slots[i].eq(0)
            with m.If(self.i_command.valid & self.i_command.ready & (turn == i)):
                m.d.sync += [slots[i].eq(0), slots[i].busy.eq(1)]
            # While the slot is free, the entry takes any input, valid or not. So its enable comes from a register.
            with m.If(~slots[i].busy):
                m.d.sync += [
                    entries[i].eq(0),
                    entries[i].head.slot.eq(i),
                    entries[i].error.eq(error),
                    entries[i].accepted.eq(self.now),
                    entries[i].last_chunk.eq((command.head_dim - 1) >> exact_log2(config.lanes)),
                ]
                m.d.sync += [entries[i].head[name].eq(command[name]) for name in command_layout(config).members]
