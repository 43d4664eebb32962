"""What the attention core's control keeps."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.utils import exact_log2
from thresher.hdl.attention.heads.table import SLOTS, HeadTable
from thresher.hdl.attention.selection import block_select, block_statistics
from thresher.hdl.attention.selection.compact import CompactSparsityEngine
from thresher.hdl.attention.selection.kept_blocks import KeptBlocks
from thresher.hdl.attention.selection.pipelined import SparsityEngine
from thresher.spec.attention_command import CommandError

from .claims import Claim, channel, smaller, stable_inputs
from .properties import Always, Answered, Fifo, Held, Property, Steady
from .rooms import KeptBlocksRoom, TableRoom, opened
from .small import COMPACT, PIPELINED

__all__ = ["CLAIMS", "COMPACT_ARITHMETIC", "LISTED_MEMORIES", "decision_stays", "listed_words"]


def _error(command) -> Value:
    """Error of a command, as the numeric contract orders them."""
    error: Value = Value.cast(0)
    for name, limit, code in (
        ("head_dim", COMPACT.max_head_dim, CommandError.HEAD_DIM),
        ("key_length", COMPACT.max_length, CommandError.KEY_LENGTH),
        ("query_length", COMPACT.max_length, CommandError.QUERY_LENGTH),
    ):
        error = Mux((command[name] == 0) | (command[name] > limit), int(code), error)
    return error


def _answers(room: TableRoom) -> list[Property]:
    """Commands are answered once and in order."""
    command, finish = room.i_command, room.table.o_finish
    fields = list(command.payload.shape().members)
    asked = Cat(*(Value.cast(command.payload[name]) for name in fields), _error(command.payload)[:2])
    given = Cat(*(Value.cast(finish.payload.head[name]) for name in fields), finish.payload.error)
    return [
        Fifo(
            "head table",
            channel(command.valid, command.ready, asked),
            channel(finish.valid, finish.ready, given),
            room=SLOTS,
        )
    ]


def _fair(room: TableRoom) -> Sequence[Property]:
    """Every stage does what it can in at least every second cycle."""
    return [
        *stable_inputs(room),
        *(Answered(f"{name} in time", 1, room.go[name], within=1) for name in room.go.shape().members),
    ]


def _acts(room: TableRoom) -> dict[str, Value]:
    """What happens to a head, from its command to its end."""
    table = room.table
    streams = {
        "command": table.i_command,
        "load": table.o_load,
        "predict": table.o_predict,
        "list": table.o_list,
        "finish": table.o_finish,
    }
    return {name: each.valid & each.ready for name, each in streams.items()} | {
        "keys": table.keys_loaded,
        "values": table.values_loaded,
        "decide": table.i_decision.valid,
        "release": table.release,
    }


def _inside(m: Module, acts: dict[str, Value]) -> Signal:
    """Heads that were accepted and not released."""
    inside = Signal(range(SLOTS + 1))
    m.d.sync += inside.eq(inside + acts["command"] - acts["release"])
    return inside


class Progress(Property):
    """While a head is inside, something happens to a head, or a command is accepted, within some cycles."""

    def __init__(self, room: TableRoom, *, within: int):
        super().__init__("something happens in time")
        self._acts, self._within = _acts(room), within

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.answered = answered = Answered(
            self.name, _inside(m, self._acts) != 0, Cat(*self._acts.values()).any(), within=self._within
        )
        m.d.comb += [self.reached.eq(answered.reached), self.broken.eq(answered.broken)]
        return m


class Empty(Property):
    """A command is accepted at once when no head is inside."""

    def __init__(self, room: TableRoom):
        super().__init__("an empty table accepts a command")
        self._room, self._acts = room, _acts(room)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.reached.eq(_inside(m, self._acts) == 0),
            self.broken.eq(self.reached & ~self._room.table.i_command.ready),
        ]
        return m


class Few(Property):
    """Something happens at most once for each slot before the next command is accepted."""

    def __init__(self, room: TableRoom, act: str):
        super().__init__(f"few times: {act}")
        self._act, self._accepted = _acts(room)[act], _acts(room)["command"]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(SLOTS + 1))
        with m.If(self._accepted):
            m.d.sync += count.eq(0)
        with m.Elif(self._act):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [
            self.reached.eq(self._act),
            self.broken.eq(self._act & ~self._accepted & (count == SLOTS)),
        ]
        return m


def _few(room: TableRoom) -> list[Property]:
    return [Few(room, act) for act in _acts(room) if act != "command"]


class ListsMask(Property):
    """The list of a head is its mask: all rows, and in each row the kept blocks in order, or one without keys."""

    def __init__(self, room: KeptBlocksRoom):
        super().__init__("the list is the mask")
        self._room = room

    def elaborate(self, platform: object) -> Module:
        m = Module()
        room, config = self._room, self._room.config
        rows, blocks = room.kept.o_rows, room.kept.o_blocks
        head = Signal(room.i_head.payload.shape())
        active, shown = Signal(), Signal()
        row, column = Signal(range(config.blocks + 1)), Signal(range(config.blocks + 1))
        left = Signal(config.blocks)  # kept blocks of the row that were not listed
        idle = Signal(3)
        m.d.comb += left.eq(Array(room.masks)[row] >> column << column)
        block = blocks.payload
        last_key = Signal(range(config.max_length))
        keys = Signal(config.block)
        m.d.comb += last_key.eq(head.key_length - 1)
        b = exact_log2(config.block)
        m.d.comb += [keys[j].eq((block.key_block << b) + j <= last_key) for j in range(config.block)]
        empty = ~Array(room.masks)[row].any()
        alone = (left & (left - 1)[: len(left)]) == 0
        expected = Mux(
            empty,
            block.last & ~Value.cast(block.key_valid).any(),
            left.any()
            & ((left & ~(left - 1)[: len(left)]) == 1 << block.key_block)
            & (Value.cast(block.key_valid) == keys)
            & (block.last == alone),
        )
        quiet = active & ~rows.valid & ~blocks.valid
        m.d.comb += [
            self.reached.eq(blocks.valid),
            self.broken.eq(
                (active & room.i_head.ready)
                | (rows.valid & (~active | shown | (rows.payload.slot != head.slot)))
                | (blocks.valid & (~active | ~shown | (block.slot != head.slot) | (block.row != row) | ~expected))
                | (quiet & (idle == 3))
            ),
        ]
        m.d.sync += idle.eq(Mux(quiet, idle + 1, 0))
        with m.If(rows.valid & rows.ready):
            m.d.sync += shown.eq(1)
        with m.If(blocks.valid & blocks.ready):
            m.d.sync += column.eq(block.key_block + 1)
            with m.If(block.last):
                m.d.sync += [
                    row.eq(row + 1),
                    column.eq(0),
                    shown.eq(0),
                    active.eq((row + 1) << b < head.query_length),
                ]
        with m.If(room.i_head.valid & room.i_head.ready):
            m.d.sync += [active.eq(1), shown.eq(0), row.eq(0), column.eq(0), head.eq(room.i_head.payload)]
        return m


def _heads(room: KeptBlocksRoom) -> list[Property]:
    """Legal heads; their masks stay, and keep no block without keys."""
    head, config = room.i_head.payload, room.config
    legal = [(head[name] != 0) & (head[name] <= config.max_length) for name in ("query_length", "key_length")]
    inside = [~mask[i] | (head.key_length > i * config.block) for mask in room.masks for i in range(config.blocks)]
    return [
        *stable_inputs(room),
        Always("heads are legal", Cat(*legal, *inside).all(), room.i_head.valid),
        Held("masks stay", 1, Value.cast(room.masks)),
    ]


class HeadsTakeTurns(Property):
    """A slot of a sparsity engine is listed after its decision, and its next head begins after the list."""

    def __init__(self, engine: Any):
        super().__init__("heads take turns in a slot")
        self._engine = engine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        head, listed, decision = self._engine.i_head, self._engine.i_list, self._engine.o_decisions
        measured, lists = Signal(2), Signal(2)  # of each slot: a head is not decided, a head is listed
        slot = Signal()  # of the last list
        begins, starts = head.valid & head.ready, listed.valid & listed.ready
        with m.If(starts):
            m.d.sync += slot.eq(listed.payload.slot)
        with m.If(decision.valid & decision.ready):
            m.d.sync += measured.bit_select(decision.payload.slot, 1).eq(0)
        with m.If(begins):
            m.d.sync += measured.bit_select(head.payload.slot, 1).eq(1)
        m.d.comb += [
            lists.eq(~listed.ready << slot),
            self.reached.eq(begins | starts),
            self.broken.eq(
                (begins & (measured | lists).bit_select(head.payload.slot, 1))
                | (starts & (measured | (begins << head.payload.slot)).bit_select(listed.payload.slot, 1))
            ),
        ]
        return m


def decision_stays(engine: Any) -> list[Property]:
    """Sum and kept blocks of a compact sparsity engine stay while its decision is offered, and no head begins."""
    offered = engine.o_decisions.valid
    decided = Cat(engine.parts.measure.head_sum, engine.parts.choice.kept)
    return [
        Held("sum and kept blocks stay", offered & ~engine.o_decisions.ready, decided),
        Always("no head begins before the decision", ~engine.i_head.ready, offered),
    ]


def listed_words(engine: Any) -> list[Property]:
    """What a sparsity engine reads of a head stays while it lists the head's blocks."""
    return [Steady(name, getattr(engine.parts, name).read, when=~engine.i_list.ready) for name in LISTED_MEMORIES]


def _rewritten(engine: Any) -> Value:
    """A word of the slot that is listed is written. The slot is the highest bit of an address."""
    memories = [getattr(engine.parts, name) for name in LISTED_MEMORIES]
    return Cat(each.write.enable & (each.write.address[-1] == each.read.address[-1]) for each in memories).any()


LISTED_MEMORIES = ("mask_memory", "row_memory")
"""Parts of a sparsity engine. They are written when a head is measured and read when it is listed."""

COMPACT_ARITHMETIC = (
    "store_memory",
    "measure.w:value",
    "measure.w:scaled",
    "choice.divider",
    "choice.w:product",
    "choice.w:slope",
)
"""Parts and signals of a compact sparsity engine that may have any values in its proofs."""


def _words_stay(
    engine: type[wiring.Component], make: Callable[[Any], wiring.Component], configuration: str, free: Sequence[str]
) -> Claim:
    return Claim(
        rule="no word changes while it is listed",
        component=engine,
        configuration=configuration,
        make=make,
        asserted=lambda engine: [Always("words stay", ~_rewritten(engine), ~engine.i_list.ready)],
        assumed=lambda engine: [HeadsTakeTurns(engine)],
        free=(*LISTED_MEMORIES, *free),
    )


def _list(length: int) -> Claim:
    config = dataclasses.replace(PIPELINED, max_length=length)
    return Claim(
        rule="the list is the mask; a row that keeps nothing has one block without keys",
        component=KeptBlocks,
        configuration=f"{length} tokens, any mask",
        make=lambda kept: KeptBlocksRoom(config, kept),
        asserted=lambda room: [ListsMask(room)],
        assumed=_heads,
        short=length == 4,
    )


TABLE = Claim(
    rule="each command is answered once, in order, with its error",
    component=HeadTable,
    configuration="four tokens; stages of any speed",
    make=lambda table: TableRoom(COMPACT, table),
    asserted=_answers,
    assumed=stable_inputs,
)

CLAIMS = [
    *map(_list, (4, 8)),
    _words_stay(CompactSparsityEngine, lambda c: opened(c)(COMPACT), "four tokens", COMPACT_ARITHMETIC),
    Claim(
        rule="the decision stays while it is offered, and no head begins",
        component=CompactSparsityEngine,
        configuration="four tokens",
        make=lambda engine: opened(engine)(COMPACT),
        asserted=lambda engine: [
            *decision_stays(engine),
            Always("a head ends before the next one begins", ~engine.i_head.ready, engine.parts.choice.finished),
        ],
        free=(*LISTED_MEMORIES, *COMPACT_ARITHMETIC),
    ),
    _words_stay(
        SparsityEngine,
        lambda c: smaller(opened(c), modules=[block_select, block_statistics], BANKS=1, ROWS_IN_FLIGHT=1)(PIPELINED),
        "four tokens, one bank, one row in flight",
        ["store_memory", "select.threshold.divider", "select.divider", "select.w:row_sums"],
    ),
    TABLE,
    dataclasses.replace(
        TABLE,
        rule="while a head is inside, something happens to a head within 6 cycles",
        configuration="four tokens; stages that act in every second cycle",
        asserted=lambda room: [Progress(room, within=6)],
        assumed=_fair,
    ),
    dataclasses.replace(
        TABLE, rule="between two commands, each of 8 things happens at most twice to a head", asserted=_few
    ),
    dataclasses.replace(TABLE, rule="an empty table accepts a command at once", asserted=lambda room: [Empty(room)]),
]
