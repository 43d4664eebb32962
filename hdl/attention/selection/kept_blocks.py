"""List of a head's kept blocks, read from the block mask as fast as the PE array accepts them."""

from amaranth import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ....spec.formats import unsigned_bits
from ...lib.pipeline import index_bits
from ...lib.scratchpad import ReadPort
from ..head_streams import head_layout
from .block_select import (
    mask_address_bits,
    mask_word_bits,
    pruned_keys_layout,
    row_address_bits,
    row_selection_layout,
)

__all__ = ["KeptBlocks", "kept_block_layout", "kept_row_layout"]


def kept_row_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row whose kept blocks follow."""
    return data.StructLayout(
        {"slot": 1, "background": signed(config.score_bits), "pruned_keys": pruned_keys_layout(config)}
    )


def kept_block_layout(config: AttentionConfig) -> data.StructLayout:
    """A kept block: its place, the keys that are seen in it, and whether it is the last of its row.

    In a causal core, each query has its own keys. A row that keeps nothing has one block without keys.
    """
    return data.StructLayout(
        {
            "slot": 1,
            "row": index_bits(config.blocks),
            "key_block": index_bits(config.blocks),
            "key_valid": data.ArrayLayout(config.block, config.key_masks),
            "last": 1,
        }
    )


class KeptBlocks(wiring.Component):
    """Turns block masks into lists of kept blocks.

    A kept block takes one cycle, a block row two more, and a head one more. Every empty mask word before the row's last
    kept block takes one cycle, too.

    Members
    -------
    i_head : In(stream(head_layout))
        Heads whose mask and rows are written.
    mask, row : In(ReadPort)
    o_rows : Out(stream(kept_row_layout))
        A row is offered before its blocks.
    o_blocks : Out(stream(kept_block_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(
            {
                "i_head": In(stream.Signature(head_layout(config))),
                "mask": In(ReadPort(address_bits=mask_address_bits(config), layout=mask_word_bits(config))),
                "row": In(ReadPort(address_bits=row_address_bits(config), layout=row_selection_layout(config))),
                "o_rows": Out(stream.Signature(kept_row_layout(config))),
                "o_blocks": Out(stream.Signature(kept_block_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        word_bits = mask_word_bits(config)
        word_index_bits = mask_address_bits(config) - row_address_bits(config)
        head = Signal(head_layout(config))
        row = Signal(index_bits(config.blocks))
        queries_left = Signal(config.length_bits)
        word = Signal(word_bits)
        index = Signal(word_index_bits)  # index of ``word``
        shown = Signal(word_index_bits)  # index of the word at the memory's output
        load = Signal()
        left = Signal(unsigned_bits(config.blocks))
        # Registers next to ``word`` and ``left`` hold the results of comparisons, which keeps them off the critical
        # path.
        some = Signal()
        last = Signal()
        blank = Signal()
        m.d.comb += [
            self.mask.enable.eq(1),
            self.row.enable.eq(1),
            self.row.address.eq(Cat(row, head.slot)),
            # When a word is taken from the memory's output, the next word is read to replace it.
            self.mask.address.eq(Cat((shown + load)[: len(shown)], row, head.slot)),
            self.o_rows.payload.slot.eq(head.slot),
            self.o_rows.payload.background.eq(self.row.data.background),
            self.o_rows.payload.pruned_keys.eq(self.row.data.pruned_keys),
        ]
        lowest = Signal(exact_log2(word_bits))
        with m.Switch(word):
            for i in range(word_bits):
                with m.Case("-" * (word_bits - 1 - i) + "1" + "0" * i):
                    m.d.comb += lowest.eq(i)
        rest = Signal(word_bits)
        m.d.comb += rest.eq(word & (word - 1)[:word_bits])

        block = self.o_blocks.payload
        last_key = Signal(index_bits(config.max_length))
        m.d.sync += last_key.eq(head.key_length - 1)
        inner = exact_log2(config.block)
        cut = Signal()  # the block contains the last key, so it may have positions beyond the sequence
        m.d.comb += [
            block.slot.eq(head.slot),
            block.row.eq(row),
            block.key_block.eq(Cat(lowest, index)),
            block.last.eq(last),
            cut.eq(block.key_block == last_key[inner:]),
        ]
        # A kept block has at least one key inside the sequence. The block of a row that keeps nothing has none.
        hidden = self._hidden(m, head, row, block.key_block)
        for seen, keys in zip(block.key_valid, hidden, strict=True):
            m.d.comb += seen[0].eq(~blank & ~keys[0])
            for j in range(1, config.block):
                m.d.comb += seen[j].eq(~blank & ~keys[j] & (~cut | (last_key[:inner] >= j)))
        with m.If(load):
            m.d.sync += [word.eq(self.mask.data), some.eq(self.mask.data != 0), index.eq(shown), shown.eq(shown + 1)]

        with m.FSM(name="kept_blocks"):
            with m.State("IDLE"):
                m.d.comb += self.i_head.ready.eq(1)
                with m.If(self.i_head.valid):
                    m.d.sync += [
                        head.eq(self.i_head.payload),
                        queries_left.eq(self.i_head.payload.query_length),
                        row.eq(0),
                        shown.eq(0),
                    ]
                    m.next = "READ"
            with m.State("READ"):
                m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += self.o_rows.valid.eq(1)
                m.d.sync += [
                    left.eq(self.row.data.kept),
                    last.eq(self.row.data.kept <= 1),
                    blank.eq(self.row.data.kept == 0),
                ]
                with m.If(self.o_rows.ready):
                    m.d.comb += load.eq(1)
                    m.next = "BLOCKS"
            with m.State("BLOCKS"):
                m.d.comb += self.o_blocks.valid.eq(some | blank)
                taken = self.o_blocks.valid & self.o_blocks.ready
                m.d.comb += load.eq(~self.o_blocks.valid | (taken & (rest == 0)))
                with m.If(taken):
                    m.d.sync += [left.eq(left - 1), last.eq(left == 2)]
                with m.If(taken & ~load):
                    m.d.sync += word.eq(rest)
                with m.If(taken & last):
                    m.d.sync += [
                        shown.eq(0),
                        row.eq(row + 1),
                        queries_left.eq(queries_left - config.block),
                    ]
                    m.next = "READ"
                    with m.If(queries_left <= config.block):
                        m.next = "IDLE"
        return m

    def _hidden(self, m: Module, head, row: Signal, key_block) -> list[Value]:
        """Keys of a block that a query does not see, for each set of keys. A block row has up to two blocks with some.

        Query i of the block row sees the keys up to (Lk − Lq) + row · block + i.
        """
        config = self._config
        b, inner = config.block, exact_log2(config.block)
        if not config.causal:
            return [Const(0, b)]
        place = Signal(config.length_bits)  # position of the block row's first query
        diagonal = Signal()
        beyond = Signal()
        hidden = [Signal(b, name=f"hidden_{i}") for i in range(b)]
        m.d.sync += place.eq((head.key_length - head.query_length) + (row << inner))
        m.d.comb += [
            diagonal.eq(head.causal & (key_block == place[inner:])),
            beyond.eq(head.causal & (key_block == place[inner:] + 1)),
        ]
        for i, keys in enumerate(hidden):
            for j in range(b):
                late = beyond & (place[:inner] + i < j + b)
                m.d.comb += keys[j].eq(late | (diagonal & (place[:inner] + i < j)) if j > i else late)
        return hidden
