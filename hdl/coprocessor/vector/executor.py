"""Executor of VECTOR instructions."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.memory import INDEX_BYTES
from ....spec.program import WORD_BYTES, FaultCode, Layout, Opcode, VectorOperation
from ...lib.streams import StreamFIFO, StreamRegister
from ..memory_streams import span_layout, word_layout
from ..program_streams import completion_layout, instruction_layout
from .field_check import FieldCheck
from .normaliser import Normaliser
from .places import TilePlaces
from .spans import TileSpans
from .tile_orders import TileOrders
from .tile_reader import TileReader
from .tile_streams import Target, spot_members
from .token_sums import TokenSums
from .words import WordRouter

__all__ = ["VectorExecutor"]

SPANS_BITS = 16
"""Of the number of write spans that are not yet written."""


class VectorExecutor(wiring.Component):
    """Executes VECTOR instructions, one after the other, one tile of tokens after the other.

    An order (a tile of x, y or z) goes to two parts: one asks for the spans of the memory, the other gives each of
    their words a place in a tile.

        orders ─┬─ spans ──────────────────────────────── o_spans, o_result_spans
                └─ places ─┬─ router ── tiles x, y ─┬──── o_results
        i_words ───────────┘              ↑         ├──── sums
                                          │         └──── normaliser
                                          └── results ──────┘

    A program must not use addresses that are no multiple of 8.

    Parameters
    ----------
    config : CoprocessorConfig

    Members
    -------
    i_instruction : In(stream(instruction_layout))
        Accepted after the completion of the instruction before.
    o_spans : Out(stream(span_layout))
    i_words : In(stream(word_layout))
        The words of each read span, in the order of the spans.
    o_result_spans : Out(stream(span_layout))
    o_results : Out(stream(word_layout))
        The words of each write span, in the order of the spans. The first ones may come before their span.
    i_written : In(stream(1))
        One per write span, when the memory holds its words. Errors of the memory end the whole program.
    o_completed : Out(stream(completion_layout))
        One per instruction, when the memory holds all its results. A rejected instruction writes nothing.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "i_instruction": In(stream.Signature(instruction_layout(Opcode.VECTOR))),
                "o_spans": Out(stream.Signature(span_layout())),
                "i_words": In(stream.Signature(word_layout())),
                "o_result_spans": Out(stream.Signature(span_layout())),
                "o_results": Out(stream.Signature(word_layout())),
                "i_written": In(stream.Signature(1)),
                "o_completed": Out(stream.Signature(completion_layout())),
            }
        )

    def elaborate(self, platform):
        config = self._config
        m = Module()
        m.submodules.check = check = FieldCheck(config)
        m.submodules.orders = orders = TileOrders(config)
        m.submodules.spans = spans = TileSpans(config)
        m.submodules.places = places = TilePlaces(config)
        m.submodules.router = router = WordRouter(config)
        m.submodules.reader = reader = TileReader(config)
        m.submodules.normaliser = normaliser = Normaliser(config)
        m.submodules.sums = sums = TokenSums(config)
        indices = StreamFIFO(word_layout(), depth=config.tile * INDEX_BYTES // WORD_BYTES)
        m.submodules.indices = indices
        connect(m, flipped(self.i_words), router.i_words)
        connect(m, flipped(self.o_spans), spans.o_reads)
        connect(m, flipped(self.o_result_spans), spans.o_writes)
        connect(m, router.o_indices, indices.i)
        connect(m, indices.o, spans.i_indices)
        connect(m, router.o_parameters, normaliser.i_parameters)
        item = orders.item
        m.d.comb += [
            check.item.eq(item),
            orders.instruction.eq(self.i_instruction.payload),
            router.x_rows.eq(item.x_rows),
            router.y_rows.eq(item.y_rows),
            router.tokens.eq(item.tokens),
            normaliser.i_tile.payload.channels.eq(item.channels),
            normaliser.i_tile.payload.groups.eq(orders.groups),
            normaliser.i_tile.payload.last.eq(orders.last_tile),
            *(getattr(normaliser.i_command.payload, name).eq(item[name]) for name in _COMMAND),
        ]
        idle = Signal()  # no tile is read
        # Between the two, so that the tiles can wait without a long path to the counters of the places.
        m.submodules.placed = placed = StreamRegister(places.o_places.payload.shape())
        connect(m, places.o_places, placed.i)
        m.d.comb += idle.eq(~placed.o.valid & ~reader.busy & ~sums.busy)
        offer, accepted, current = self._offer(m, orders, spans, places, idle)
        # The orders go on to the next tile while this one is still added.
        with m.If(places.i_order.valid & places.i_order.ready):
            m.d.sync += sums.first_tile.eq(orders.first_tile)
        self._write_tiles(m, router, normaliser, sums, reader)
        self._read_tiles(m, current, placed, router, normaliser, sums, reader, item)
        written = self._count_writes(m)
        finished = Signal()
        m.d.comb += finished.eq(idle & ~places.busy & ~spans.busy & written)
        loaded = (current == Target.PARAMETERS) | (~places.busy & ~placed.o.valid)
        self._control(m, check, orders, router, normaliser, offer, accepted, loaded, finished)
        return m

    def _offer(self, m: Module, orders: TileOrders, spans: TileSpans, places: TilePlaces, idle: Signal):
        """Give an order to both parts; each takes it when it is free.

        So the spans of a tile are asked for while the tile before is still read or written. Spans are written only when
        their words come. Returns a request, whether its order is accepted, and the target of the places.
        """
        offer = Signal()
        accepted = Signal()
        spans_took = Signal()
        places_took = Signal()
        spans_have = Signal()
        places_have = Signal()
        current = Signal.like(orders.target)
        # An order is offered from registers, one cycle after its request.
        order = Signal.like(orders.order)
        offering = Signal()
        m.d.sync += [order.eq(orders.order), offering.eq(offer & ~accepted)]
        stores, sums = order.target == Target.STORE, order.target == Target.SUM
        m.d.comb += [
            spans.i_order.payload.eq(order),
            places.i_order.payload.eq(order),
            spans.i_order.valid.eq(offering & ~spans_took & ~sums & (~stores | places_took)),
            places.i_order.valid.eq(offering & ~places_took & idle),
            spans_have.eq(spans_took | sums | (spans.i_order.valid & spans.i_order.ready)),
            places_have.eq(places_took | (places.i_order.valid & places.i_order.ready)),
            accepted.eq(offering & spans_have & places_have),
            orders.taken.eq(accepted),
        ]
        m.d.sync += [
            spans_took.eq(offering & spans_have & ~accepted),
            places_took.eq(offering & places_have & ~accepted),
        ]
        with m.If(places.i_order.valid & places.i_order.ready):
            m.d.sync += current.eq(order.target)
        return offer, accepted, current

    def _write_tiles(
        self, m: Module, router: WordRouter, normaliser: Normaliser, sums: TokenSums, reader: TileReader
    ) -> None:
        """Write words of the memory, results of the normaliser into x, or sums into y: one at a time."""
        m.d.comb += [
            reader.write_x.enable.eq(router.write_x.enable | normaliser.write.enable),
            reader.write_y.enable.eq(router.write_y.enable | sums.write.enable),
        ]
        for name in (*spot_members(self._config), "data"):
            chosen = getattr(router.write_x, name)
            for source in (normaliser.write, sums.write):
                chosen = Mux(source.enable, getattr(source, name), chosen)
            m.d.comb += [getattr(port, name).eq(chosen) for port in (reader.write_x, reader.write_y)]

    def _read_tiles(
        self,
        m: Module,
        current: Signal,
        placed: StreamRegister,
        router: WordRouter,
        normaliser: Normaliser,
        sums: TokenSums,
        reader: TileReader,
        item,
    ) -> None:
        """Lead places to the tiles or to the words of the memory, and the words of the tiles to who needs them."""
        stores = Signal()
        adds = Signal()
        operands = reader.o_operands
        m.d.comb += [
            stores.eq(current == Target.STORE),
            adds.eq(current == Target.SUM),
            router.i_places.payload.eq(placed.o.payload),
            router.i_places.valid.eq(placed.o.valid & ~(stores | adds)),
            normaliser.i_operands.payload.eq(operands.payload),
            normaliser.i_operands.valid.eq(operands.valid & ~(stores | adds)),
            sums.i_operands.payload.eq(operands.payload),
            sums.i_operands.valid.eq(operands.valid & adds),
            self.o_results.payload.eq(
                Mux(item.operation == VectorOperation.SUM, operands.payload.y, operands.payload.x)
            ),
            self.o_results.valid.eq(operands.valid & stores),
        ]
        with m.If(stores | adds):
            m.d.comb += [
                reader.i_places.payload.eq(placed.o.payload),
                reader.i_places.valid.eq(placed.o.valid),
                placed.o.ready.eq(reader.i_places.ready),
                operands.ready.eq(adds | self.o_results.ready),
            ]
        with m.Else():
            m.d.comb += [
                reader.i_places.payload.eq(normaliser.o_places.payload),
                reader.i_places.valid.eq(normaliser.o_places.valid),
                normaliser.o_places.ready.eq(reader.i_places.ready),
                placed.o.ready.eq(router.i_places.ready),
                operands.ready.eq(normaliser.i_operands.ready),
            ]

    def _count_writes(self, m: Module) -> Signal:
        """Whether all spans that were sent are written."""
        count = Signal(SPANS_BITS)
        done = Signal()
        m.d.comb += [self.i_written.ready.eq(1), done.eq(count == 0)]
        m.d.sync += count.eq(count + (self.o_result_spans.valid & self.o_result_spans.ready) - self.i_written.valid)
        return done

    def _control(
        self,
        m: Module,
        check: FieldCheck,
        orders: TileOrders,
        router: WordRouter,
        normaliser: Normaliser,
        offer: Signal,
        accepted: Signal,
        loaded,
        finished: Signal,
    ) -> None:
        """The sequence of an instruction."""
        item, result = orders.item, self.o_completed.payload
        normalises = item.operation == VectorOperation.NORMALISE
        adds = item.operation == VectorOperation.SUM

        def order(target: Target) -> None:
            m.d.comb += [offer.eq(1), orders.target.eq(target)]

        def begin() -> None:
            m.next = "LOAD_X"
            with m.If(normalises):
                m.next = "COMMAND"

        def fail(code: FaultCode) -> list:
            return [result.error.eq(code), result.detail.eq(0)]

        with m.FSM(name="executor"):
            with m.State("IDLE"):
                m.d.comb += [self.i_instruction.ready.eq(1), router.clear.eq(1), orders.load.eq(1)]
                with m.If(self.i_instruction.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += result.eq(check.result)
                m.next = "DECIDE"
            with m.State("DECIDE"):
                begin()
                with m.If(item.y_layout == Layout.GATHER):
                    m.next = "CHECK_Y"
                with m.If(item.x_layout == Layout.GATHER):
                    m.next = "CHECK_X"
                with m.If(result.error != FaultCode.NONE):
                    m.next = "COMPLETE"
            with m.State("CHECK_X"):
                order(Target.CHECK_X)
                with m.If(accepted):
                    m.next = "VERDICT"
                    with m.If(item.y_layout == Layout.GATHER):
                        m.next = "CHECK_Y"
            with m.State("CHECK_Y"):
                order(Target.CHECK_Y)
                with m.If(accepted):
                    m.next = "VERDICT"
            with m.State("VERDICT"), m.If(loaded):
                begin()
                with m.If(router.illegal):
                    m.d.sync += fail(FaultCode.ADDRESS)
                    m.next = "COMPLETE"
            with m.State("COMMAND"):
                m.d.comb += normaliser.i_command.valid.eq(1)
                with m.If(normaliser.i_command.ready):
                    m.next = "LOAD_X"
            with m.State("LOAD_X"):
                order(Target.X)
                with m.If(accepted):
                    m.next = "STORE"
                    with m.If(normalises):
                        m.next = "LOAD_Y"
                    with m.If(adds):
                        m.next = "SUM"
            with m.State("LOAD_Y"):
                order(Target.Y)
                with m.If(accepted):
                    m.next = "NORMALISE"
                    with m.If(orders.first_tile):
                        m.next = "PARAMETERS"
            with m.State("PARAMETERS"):
                order(Target.PARAMETERS)
                with m.If(accepted):
                    m.next = "NORMALISE"
            with m.State("NORMALISE"):
                m.d.comb += normaliser.i_tile.valid.eq(loaded)
                with m.If(normaliser.i_tile.ready):
                    m.next = "STORE"
            with m.State("SUM"):
                order(Target.SUM)
                with m.If(accepted):
                    m.next = "NEXT"
                    with m.If(orders.last_tile):
                        m.next = "STORE"
            with m.State("STORE"):
                order(Target.STORE)
                with m.If(accepted):
                    m.next = "NEXT"
                with m.If(normalises & normaliser.illegal):
                    m.d.comb += offer.eq(0)
                    m.d.sync += fail(FaultCode.COMMAND)
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += orders.next_tile.eq(1)
                m.next = "LOAD_X"
                with m.If(orders.last_tile):
                    m.next = "FINISH"
            with m.State("FINISH"), m.If(finished):
                m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += self.o_completed.valid.eq(1)
                with m.If(self.o_completed.ready):
                    m.next = "IDLE"


_COMMAND = ("channels", "tokens", "shift", "epsilon")
"""Fields of the vector unit's command."""
