"""Attention core: connects the stages, from commands and operands to INT8 outputs."""

from amaranth import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from ...spec.attention_config import AttentionConfig
from ..lib.scratchpad import Scratchpad
from ..lib.streams import HalfBuffer, StreamFIFO
from .array import PEArray
from .head_streams import attention_signature
from .heads.loader import HeadLoader
from .heads.output import OutputBuffer
from .heads.query_sums import QuerySums
from .heads.table import HeadTable
from .heads.value_sums import ValueSums
from .normalise import make_normaliser
from .predictor import make_predictor
from .selection import make_sparsity_engine
from .selection.kept_blocks import kept_block_layout
from .softmax import make_softmax

__all__ = ["AttentionCore"]

KEPT_BLOCKS_AHEAD = 8
"""Kept blocks that may wait for the array, so that the list's pauses between block rows do not stall it."""


class AttentionCore(wiring.Component):
    """Sparse INT8 attention, one head per command.

    Two heads are in flight, one per slot of the scratchpads: one loads and is predicted while the other computes.
    Outputs leave in the order of the commands. The head table offers each head to every stage in turn.

        loader ── predictor ── sparsity engine ── PE array ⇄ softmax ── normaliser ── output

    Parameters
    ----------
    config : AttentionConfig

    Members
    -------
    i_command : In(stream(command_layout))
        One per head.
    i_data : In(stream(framed_layout(data_layout)))
        A packet per head: its rows of Q, K and V.
    o_data : Out(stream(output_layout))
        The head's rows of O. A pruned head gives zeros, a rejected head gives none.
    last : Out(1)
        Asserted with the last payload of ``o_data`` of a head.
    o_statistics : Out(stream(statistics_layout))
        One per head, after its last output. The head keeps its slot until they are accepted.
    """

    def __init__(self, config: AttentionConfig):
        self.config = config
        super().__init__(attention_signature(config))

    def elaborate(self, platform):
        config = self.config
        m = Module()
        m.submodules.heads = heads = HeadTable(config)
        m.submodules.loader = loader = HeadLoader(config)
        m.submodules.predictor = predictor = make_predictor(config)
        m.submodules.sparsity_engine = sparsity_engine = make_sparsity_engine(config)
        m.submodules.pe_array = pe_array = PEArray(config)
        m.submodules.softmax = softmax = make_softmax(config)
        m.submodules.normalise = normalise = make_normaliser(config)
        m.submodules.output = output = OutputBuffer(config)
        self._connect_heads(m, heads, loader, predictor, sparsity_engine, output)
        self._connect_scratchpads(m, loader, predictor, pe_array)
        connect(m, predictor.o_predictions, sparsity_engine.i_predictions)
        self._connect_attention(m, heads, sparsity_engine, pe_array, softmax)
        self._connect_output(m, heads, loader, pe_array, softmax, normalise, output)
        return m

    def _connect_heads(self, m: Module, heads, loader, predictor, sparsity_engine, output) -> None:
        """Connect every stage to the head table, and the core's own streams."""
        connect(m, flipped(self.i_command), heads.i_command)
        connect(m, flipped(self.i_data), loader.i_data)
        connect(m, heads.o_load, self._way(m, "loaded_head", loader.i_head))
        connect(m, heads.o_list, sparsity_engine.i_list)
        connect(m, heads.o_finish, output.i_head)
        connect(m, sparsity_engine.o_decisions, heads.i_decision)
        connect(m, output.o_data, flipped(self.o_data))
        connect(m, output.o_statistics, flipped(self.o_statistics))
        m.d.comb += [
            heads.keys_loaded.eq(loader.keys_loaded),
            heads.values_loaded.eq(loader.values_loaded),
            heads.loading_slot.eq(loader.loading_slot),
            heads.fault.eq(loader.fault),
            heads.fault_slot.eq(loader.fault_slot),
            heads.release.eq(output.release),
            output.now.eq(heads.now),
            self.last.eq(output.last),
        ]
        self._connect_selection(m, heads.o_predict, predictor.i_head, sparsity_engine.i_head)

    def _way(self, m: Module, name: str, stage):
        """Entrance of a stage: a buffer, because the stage is far from the head table. Compact cores need none."""
        if self.config.compact:
            return stage
        m.submodules[name] = held = HalfBuffer(stage.payload.shape())
        connect(m, held.o, stage)
        return held.i

    def _connect_selection(self, m: Module, head, predictor, sparsity_engine) -> None:
        """Offer a head to predictor and sparsity engine in the same cycle."""
        entrances = [
            self._way(m, "predicted_head", predictor),
            self._way(m, "selected_head", sparsity_engine),
        ]
        every = Cat(entrance.ready for entrance in entrances).all()
        m.d.comb += head.ready.eq(every)
        for entrance in entrances:
            m.d.comb += [entrance.valid.eq(head.valid & every), entrance.payload.eq(head.payload)]

    def _connect_scratchpads(self, m: Module, loader, predictor, pe_array) -> None:
        for name, write, read in (
            ("q", loader.q, pe_array.q),
            ("kv", loader.kv, pe_array.kv),
            ("q_nibbles", loader.q_nibbles, predictor.q_read),
            ("k_nibbles", loader.k_nibbles, predictor.k_read),
        ):
            scratchpad = Scratchpad(
                address_bits=len(write.address),
                layout=read.data.shape(),
                write_layout=write.data.shape(),
                granules=len(write.enable),
            )
            m.submodules[f"{name}_scratchpad"] = scratchpad
            connect(m, write, scratchpad.write)
            connect(m, scratchpad.read, read)

    def _connect_attention(self, m: Module, heads, sparsity_engine, pe_array, softmax) -> None:
        """Connect kept blocks to the array, scores to the softmax, and weights back to the array."""
        ahead = 2 if self.config.compact else KEPT_BLOCKS_AHEAD
        m.submodules.kept_blocks = kept_blocks = StreamFIFO(kept_block_layout(self.config), depth=ahead)
        connect(m, sparsity_engine.o_blocks, kept_blocks.i)
        connect(m, kept_blocks.o, pe_array.i_blocks)
        connect(m, pe_array.o_scores, softmax.i_scores)
        connect(m, softmax.o_weights, pe_array.i_weights)
        row = sparsity_engine.o_rows
        head = heads.heads[row.payload.slot]
        m.d.comb += [
            pe_array.last_chunk.eq(heads.last_chunk),
            pe_array.available.eq(softmax.available),
            softmax.reserve.eq(pe_array.reserve),
            softmax.i_row.valid.eq(row.valid),
            row.ready.eq(softmax.i_row.ready),
            softmax.i_row.payload.slot.eq(row.payload.slot),
            softmax.i_row.payload.background.eq(row.payload.background),
            softmax.i_row.payload.pruned_keys.eq(row.payload.pruned_keys),
            softmax.i_row.payload.chunks.eq(heads.last_chunk[row.payload.slot] + 1),
            softmax.i_row.payload.score_multiplier.eq(head.score_multiplier),
            softmax.i_row.payload.score_shift.eq(head.score_shift),
        ]

    def _connect_output(self, m: Module, heads, loader, pe_array, softmax, normalise, output) -> None:
        """Connect accumulators and reciprocals to the normaliser, and results to the output."""
        block = pe_array.o_accumulators
        sums = self._value_sums(m, heads, loader, pe_array)
        row = softmax.o_rows
        head = heads.heads[row.payload.slot]
        m.d.comb += [
            normalise.i_block.valid.eq(block.valid),
            block.ready.eq(normalise.i_block.ready),
            normalise.i_block.payload.accumulators.eq(block.payload.accumulators),
            Value.cast(normalise.i_block.payload.value_sums).eq(Value.cast(sums)),
            normalise.i_block.payload.last_chunk.eq(block.payload.chunk == heads.last_chunk[block.payload.slot]),
            normalise.i_row.valid.eq(row.valid),
            row.ready.eq(normalise.i_row.ready),
            normalise.i_row.payload.output_multiplier.eq(head.output_multiplier),
            normalise.i_row.payload.output_shift.eq(head.output_shift),
        ]
        m.d.comb += [normalise.i_row.payload[name].eq(row.payload[name]) for name in row.payload.shape().members]
        connect(m, normalise.o_words, output.i_words)

    def _value_sums(self, m: Module, heads, loader, pe_array):
        """The sums of V that belong to the accumulators."""
        block = pe_array.o_accumulators.payload
        if self.config.causal:
            m.submodules.value_sums = sums = QuerySums(self.config)
            m.d.comb += [
                sums.heads.eq(heads.heads),
                sums.last_chunk.eq(heads.last_chunk),
                sums.completed.eq(pe_array.completed),
            ]
        else:
            m.submodules.value_sums = sums = ValueSums(self.config)
            m.d.comb += [sums.slot.eq(block.slot), sums.chunk.eq(block.chunk)]
        m.d.comb += sums.beat.eq(loader.values)
        return sums.sums
