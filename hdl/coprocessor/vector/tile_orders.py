"""Orders for the tiles of an instruction, one tile of tokens after the other."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import unsigned_bits
from ....spec.memory import INDEX_BYTES
from ....spec.program import WORD_BYTES, Layout, Opcode, VectorOperation
from ...lib.pipeline import index_bits
from ..memory_streams import ADDRESS_BITS
from ..program_streams import instruction_layout
from .tile_streams import Target, order_layout

__all__ = ["TileOrders"]

BYTE_BITS = index_bits(WORD_BYTES)


class TileOrders(wiring.Component):
    """Holds an instruction, and the place of the current tile of each tensor.

    Members
    -------
    instruction : In(instruction_layout)
    load : In(1)
        Asserted to take an instruction.
    item : Out(instruction_layout)
        The instruction. Its addresses go on with the tiles.
    target : In(Target)
    order : Out(order_layout)
        The order for this target in the current tile.
    taken : In(1)
        Asserted when the order is taken, at least one cycle after its target is given: its tensor goes on to the next
        tile.
    next_tile : In(1)
        Asserted to go on to the next tile.
    first_tile, last_tile : Out(1)
    groups : Out
        Groups of 8 tokens in the current tile.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "instruction": In(instruction_layout(Opcode.VECTOR)),
                "load": In(1),
                "item": Out(instruction_layout(Opcode.VECTOR)),
                "target": In(unsigned_bits(max(Target))),
                "order": Out(order_layout(config)),
                "taken": In(1),
                "next_tile": In(1),
                "first_tile": Out(1),
                "last_tile": Out(1),
                "groups": Out(unsigned_bits(config.tile // WORD_BYTES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, item, order = self._config, self.item, self.order
        tokens_left = Signal.like(item.tokens)  # of the current tile and those after it
        following = Signal.like(item.tokens)
        tokens = Signal.like(order.tokens)
        last = Signal()
        m.d.comb += [
            following.eq(Mux(self.load, self.instruction.tokens, tokens_left - config.tile)),
            last.eq(Mux(self.load, self.instruction.tokens <= config.tile, tokens_left <= 2 * config.tile)),
            self.groups.eq((tokens + (WORD_BYTES - 1)) >> BYTE_BITS),
        ]
        with m.If(self.load | self.next_tile):
            m.d.sync += [
                tokens_left.eq(following),
                self.last_tile.eq(last),
                tokens.eq(Mux(last, following, config.tile)),
                self.first_tile.eq(self.load),
            ]
        with m.If(self.load):
            m.d.sync += item.eq(self.instruction)
        self._order(m, tokens)
        self._go_on(m)
        return m

    def _order(self, m: Module, tokens: Signal) -> None:
        """The fields of the order."""
        item, order = self.item, self.order
        segment = Signal.like(item.segment)
        words_per_step = self._config.tile_step // WORD_BYTES
        steps = (tokens + (self._config.tile_step - 1)) >> index_bits(self._config.tile_step)
        m.d.comb += [
            order.target.eq(self.target),
            order.channels.eq(item.channels),
            order.tokens.eq(tokens),
            order.segment.eq(Mux(order.layout == Layout.GATHER, item.channels, segment)),
            order.count.eq(Mux(order.layout == Layout.TILES, item.channels, tokens)),
            order.words.eq(
                Mux(
                    order.layout == Layout.TILES,
                    steps << index_bits(words_per_step),
                    (order.segment + (WORD_BYTES - 1)) >> BYTE_BITS,
                )
            ),
        ]
        with m.Switch(self.target):
            for target, name, prefix in ((Target.X, "x", ""), (Target.Y, "y", ""), (Target.STORE, "z", "z_")):
                with m.Case(target):
                    m.d.comb += [
                        order.layout.eq(item[f"{name}_layout"]),
                        order.address.eq(item[name]),
                        segment.eq(item[f"{prefix}segment"]),
                        order.segment_tokens.eq(item[f"{prefix}segment_tokens"]),
                    ]
                    if target is Target.STORE:
                        # The sums are one word of each channel.
                        with m.If(item.operation == VectorOperation.SUM):
                            m.d.comb += [order.words.eq(1), order.tokens.eq(WORD_BYTES)]
                    else:
                        m.d.comb += order.index.eq(item[f"{name}_index"])
            for target, place in ((Target.CHECK_X, item.x_index), (Target.CHECK_Y, item.y_index)):
                with m.Case(target):
                    indices_per_word = WORD_BYTES // INDEX_BYTES
                    count = (item.tokens + (indices_per_word - 1)) >> index_bits(indices_per_word)
                    m.d.comb += [order.address.eq(place), order.count.eq(count), order.words.eq(1)]
            with m.Case(Target.PARAMETERS):
                m.d.comb += [order.address.eq(item.parameters), order.words.eq(1)]

    def _go_on(self, m: Module) -> None:
        """Move the address of a tensor to its next tile. Only whole tiles have a next one."""
        item, order, tile = self.item, self.order, self._config.tile
        place = Signal(ADDRESS_BITS)
        step = Signal(ADDRESS_BITS)
        address = Signal(ADDRESS_BITS)
        m.d.sync += [place.eq(order.address), step.eq(0)]
        with m.Switch(order.layout):
            with m.Case(Layout.TILES):
                m.d.sync += step.eq(item.channels << index_bits(tile))
            with m.Case(Layout.ROWS):
                m.d.sync += step.eq(order.words << index_bits(tile * WORD_BYTES))
        m.d.comb += address.eq(place + step)
        with m.If(self.taken), m.Switch(self.target):
            with m.Case(Target.X):
                m.d.sync += [item.x.eq(address), item.x_index.eq(item.x_index + tile * INDEX_BYTES)]
            with m.Case(Target.Y):
                m.d.sync += [item.y.eq(address), item.y_index.eq(item.y_index + tile * INDEX_BYTES)]
            with m.Case(Target.STORE):
                m.d.sync += item.z.eq(address)
