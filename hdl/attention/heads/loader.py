"""Loads a head's operands into the scratchpads: INT8 for the PE array, integer parts for the predictor."""

from amaranth import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ....spec.formats import INT8_BITS
from ...lib.packets import PacketReceiver, fault_layout, framed_layout
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import WritePort
from ..array import operand_address_bits
from ..head_streams import data_layout, head_layout, load_layout
from ..predictor.pipelined import nibble_address_bits
from ..split import Split

__all__ = ["HeadLoader", "value_beat_layout"]


def value_beat_layout(config: AttentionConfig) -> data.StructLayout:
    """A beat of V, as the loader writes it to the scratchpad. ``row`` is its key; only causal cores have it."""
    row = index_bits(config.max_length) if config.causal else 0
    chunk = index_bits(config.chunks)
    return data.StructLayout(
        {"valid": 1, "first": 1, "slot": 1, "row": row, "chunk": chunk, "values": data_layout(config)}
    )


class HeadLoader(wiring.Component):
    """Writes the rows of Q, K and V of each head, one beat per cycle.

    The loader clears the values beyond d in a row's last beat, so that they add nothing. It does not write rows beyond
    the length: data of earlier heads stays there, and later stages mask it. A packet may have any length.

    Members
    -------
    i_head : In(stream(load_layout))
        Accepted when the packet of the head before has ended.
    i_data : In(stream(framed_layout(data_layout)))
    q, kv : Out(WritePort)
        INT8 rows, one granule per row of a block. Addresses are those of
        :class:`~thresher.hdl.attention.array.PEArray`.
    q_nibbles, k_nibbles : Out(WritePort)
        Integer parts, one granule per row and ``lanes`` columns. Addresses are those of
        :class:`~thresher.hdl.attention.predictor.pipelined.Predictor`.
    values : Out(value_beat_layout)
        Beats of V, for the column sums.
    keys_loaded : Out(1)
        Asserted for one cycle when Q and K of the head in ``loading_slot`` are in the scratchpads.
    values_loaded : Out(1)
        Asserted for one cycle when V of the head in ``loading_slot`` is in the scratchpads.
    loading_slot : Out(1)
        Slot of the head that ``keys_loaded`` and ``values_loaded`` report.
    fault : Out(fault_layout)
        Asserted for one cycle, some cycles before ``values_loaded``, if the packet of the head in ``fault_slot`` is too
        short or too long.
    fault_slot : Out(1)
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._steps = config.predictor_lanes // config.lanes
        bits = operand_address_bits(config)
        row_bits = INT8_BITS * config.lanes
        nibble_bits = config.integer_bits * config.lanes

        def port(address_bits: int, granules: int, width: int) -> wiring.Signature:
            return WritePort(
                address_bits=address_bits,
                layout=data.ArrayLayout(unsigned(width), granules),
                granules=granules,
            )

        super().__init__(
            {
                "i_head": In(stream.Signature(load_layout(config))),
                "i_data": In(stream.Signature(framed_layout(data_layout(config)))),
                "q": Out(port(bits, config.block, row_bits)),
                "kv": Out(port(bits + 1, config.block, row_bits)),
                "q_nibbles": Out(
                    port(nibble_address_bits(config, config.blocks), config.block * self._steps, nibble_bits)
                ),
                "k_nibbles": Out(
                    port(nibble_address_bits(config, config.groups), config.predictor_keys * self._steps, nibble_bits)
                ),
                "values": Out(value_beat_layout(config)),
                "keys_loaded": Out(1),
                "values_loaded": Out(1),
                "loading_slot": Out(1),
                "fault": Out(fault_layout()),
                "fault_slot": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat = self._take(m)
        self._write_operands(m, beat)
        self._write_nibbles(m, beat)
        m.d.comb += [
            self.values.valid.eq(beat.valid & beat.is_value),
            self.values.first.eq(beat.row == 0),
            self.values.slot.eq(beat.slot),
            self.values.row.eq(beat.row),
            self.values.chunk.eq(beat.chunk),
            self.values.values.eq(beat.values),
        ]
        # Two cycles late: the last word is in its memory by then.
        written = delay(m, beat, 2, enable=1, name="written")[2]
        m.d.comb += [
            self.keys_loaded.eq(written.valid & written.is_key & written.last),
            self.values_loaded.eq(written.valid & written.is_value & written.last),
            self.loading_slot.eq(written.slot),
        ]
        return m

    def _take(self, m: Module) -> Signal:
        """Count the beats, register each with its place, and clear the values beyond d."""
        config = self._config
        m.submodules.packet = packet = PacketReceiver(data_layout(config))
        connect(m, flipped(self.i_data), packet.i)
        head = Signal(head_layout(config))
        active = Signal()
        is_key = Signal()
        is_value = Signal()
        row = Signal(index_bits(config.max_length))
        chunk = Signal(index_bits(config.chunks))
        step = Signal(index_bits(self._steps))  # within the predictor's chunk
        predictor_chunk = Signal(index_bits(config.predictor_chunks))
        dims_left = Signal(config.head_dim_bits)
        rows_left = Signal(config.length_bits)
        beat = Signal(
            data.StructLayout(
                {"valid": 1, "last": 1, "is_key": 1, "is_value": 1, "slot": 1}
                | {x.name: len(x) for x in (row, chunk, step, predictor_chunk)}
                | {"values": data_layout(config)}
            )
        )
        taken = Signal()
        ends_row = Signal()  # in step with ``beat``
        inside = Signal(config.lanes)  # lanes below d in a row's last beat
        # Registers next to the counters hold the results of comparisons, so that no comparison is on a path between
        # registers.
        last_chunk = Signal()
        last_row = Signal()
        last = last_chunk & last_row
        m.d.comb += [
            self.i_head.ready.eq(~active & ~packet.dropping),
            packet.o.ready.eq(active),
            packet.final.eq(is_value & last),
            packet.drop.eq(self.i_head.valid & self.i_head.ready & self.i_head.payload.rejected),
            taken.eq(packet.o.valid & active),
            self.fault_slot.eq(head.slot),
        ]
        m.d.sync += self.fault.eq(packet.fault)
        m.d.sync += [
            beat.valid.eq(taken),
            beat.last.eq(last),
            beat.is_key.eq(is_key),
            beat.is_value.eq(is_value),
            beat.slot.eq(head.slot),
        ]
        m.d.sync += [beat[x.name].eq(x) for x in (row, chunk, step, predictor_chunk)]
        # A Mux in front of a register is its synchronous reset, which costs no LUT.
        m.d.sync += [beat.values.eq(Mux(packet.made_up, 0, packet.o.payload)), ends_row.eq(last_chunk)]
        # While there is room, the register takes any input, valid or not. So its enable comes from a register.
        with m.If(self.i_head.ready):
            new = self.i_head.payload.head
            last_lane = (new.head_dim - 1)[: index_bits(config.lanes)]
            m.d.sync += [
                head.eq(new),
                dims_left.eq(new.head_dim),
                rows_left.eq(new.query_length),
                last_chunk.eq(new.head_dim <= config.lanes),
                last_row.eq(new.query_length == 1),
                # A table: comparisons would become as many carry chains.
                inside.eq(Array((2 << lane) - 1 for lane in range(config.lanes))[last_lane]),
                active.eq(self.i_head.valid & ~self.i_head.payload.rejected),
                is_key.eq(0),
                is_value.eq(0),
            ]
        with m.If(taken):
            m.d.sync += [
                chunk.eq(chunk + 1),
                step.eq(step + 1),
                dims_left.eq(dims_left - config.lanes),
                last_chunk.eq(dims_left <= 2 * config.lanes),
            ]
            with m.If(step == self._steps - 1):
                m.d.sync += [step.eq(0), predictor_chunk.eq(predictor_chunk + 1)]
            with m.If(last_chunk):
                m.d.sync += [
                    chunk.eq(0),
                    step.eq(0),
                    predictor_chunk.eq(0),
                    dims_left.eq(head.head_dim),
                    last_chunk.eq(head.head_dim <= config.lanes),
                    row.eq(row + 1),
                    rows_left.eq(rows_left - 1),
                    last_row.eq(rows_left == 2),
                ]
            with m.If(last):
                m.d.sync += [
                    row.eq(0),
                    rows_left.eq(head.key_length),
                    last_row.eq(head.key_length == 1),
                    is_key.eq(~is_key & ~is_value),
                    is_value.eq(is_key),
                    active.eq(~is_value),
                ]
        return self._blank(m, beat, inside, ends_row)

    def _blank(self, m: Module, beat, inside, ends_row) -> Signal:
        """Clear the lanes beyond d in a row's last beat, those that are not ``inside``.

        The clear of each lane is a register, because the lanes are far apart on the chip.
        """
        lanes = self._config.lanes
        near = Signal(lanes)
        clear = Signal(lanes)
        waiting = Signal.like(beat)
        blanked = Signal.like(beat)
        m.d.sync += [waiting.eq(beat), blanked.eq(waiting)]
        for lane in range(lanes):
            m.d.sync += [
                near[lane].eq(inside[lane]),
                clear[lane].eq(ends_row & ~near[lane]),
                blanked.values[lane].eq(Mux(clear[lane], 0, waiting.values[lane])),
            ]
        return blanked

    def _write_operands(self, m: Module, beat) -> None:
        """Write INT8 rows. The memories spread over the chip, so a register stands before their ports.

        A row also goes to the places behind it in its block, which the next rows overwrite. So no word has undefined
        places: where a sequence ends within a block, they hold copies of its last row. Nothing depends on them, but in
        four-state simulation, zero times an unknown value is unknown.
        """
        config = self._config
        inner = exact_log2(config.block)
        address = Cat(beat.chunk, beat.row[inner:], beat.slot)
        values = Signal.like(beat.values, name="written_values")
        m.d.sync += [
            values.eq(beat.values),
            self.q.address.eq(address),
            self.kv.address.eq(Cat(address, beat.is_value)),
        ]
        is_query = ~beat.is_key & ~beat.is_value
        for i in range(config.block):
            here = beat.valid & (beat.row[:inner] <= i)
            m.d.comb += [self.q.data[i].eq(values), self.kv.data[i].eq(values)]
            m.d.sync += [self.q.enable[i].eq(here & is_query), self.kv.enable[i].eq(here & ~is_query)]

    def _write_nibbles(self, m: Module, beat) -> None:
        """Write a beat's columns of a predictor chunk and clear the columns behind them, which may not follow.

        A row also goes to the places behind it in its word, as in :meth:`_write_operands`.
        """
        config = self._config
        m.submodules.split = split = Split(config, count=config.lanes)
        m.d.comb += split.x.eq(beat.values)
        is_query = ~beat.is_key & ~beat.is_value
        nibbles = Signal(data.ArrayLayout(config.integer_bits * config.lanes, self._steps))
        for step in range(self._steps):
            m.d.sync += nibbles[step].eq(Mux(beat.step == step, Cat(split.integer), 0))
        for port, rows, wanted in (
            (self.q_nibbles, config.block, is_query),
            (self.k_nibbles, config.predictor_keys, beat.is_key),
        ):
            inner = exact_log2(rows)
            m.d.sync += port.address.eq(Cat(beat.predictor_chunk, beat.row[inner:], beat.slot))
            for i in range(rows):
                here = beat.valid & wanted & (beat.row[:inner] <= i)
                for step in range(self._steps):
                    granule = i * self._steps + step
                    m.d.comb += port.data[granule].eq(nibbles[step])
                    m.d.sync += port.enable[granule].eq(here & (beat.step <= step))
