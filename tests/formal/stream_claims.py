"""Every component with streams that may wait, and the proof that what it offers stays until it is accepted.

A new component gets a line in :data:`BLOCKS`. If the proof is refuted, either the component is wrong, or it relies on
its surroundings: say in what, as further properties of them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from amaranth.lib import wiring
from thresher.hdl.attention.array import PEArray
from thresher.hdl.attention.core import AttentionCore
from thresher.hdl.attention.heads.output import OutputBuffer
from thresher.hdl.attention.heads.query_sums import QuerySums
from thresher.hdl.attention.heads.table import HeadTable
from thresher.hdl.attention.normalise.compact import CompactNormalise
from thresher.hdl.attention.normalise.pipelined import Normalise
from thresher.hdl.attention.predictor.compact import CompactPredictor
from thresher.hdl.attention.predictor.pipelined import Predictor
from thresher.hdl.attention.selection.block_levels import BlockLevels
from thresher.hdl.attention.selection.block_select import BlockSelect
from thresher.hdl.attention.selection.compact import CompactSparsityEngine
from thresher.hdl.attention.selection.compact_statistics import BlockMeasure
from thresher.hdl.attention.selection.kept_blocks import KeptBlocks
from thresher.hdl.attention.selection.level_factor import LevelFactor
from thresher.hdl.attention.selection.level_threshold import LevelThreshold
from thresher.hdl.attention.selection.pipelined import SparsityEngine
from thresher.hdl.attention.selection.row_cutoff import RowCutoff
from thresher.hdl.attention.selection.row_threshold import RowThreshold
from thresher.hdl.attention.softmax.compact import CompactSoftmax
from thresher.hdl.attention.softmax.compact_denominator import SerialDenominator
from thresher.hdl.attention.softmax.compact_weight_store import WeightStore
from thresher.hdl.attention.softmax.denominator import Denominator
from thresher.hdl.attention.softmax.pipelined import Softmax
from thresher.hdl.attention.softmax.probability import Probability
from thresher.hdl.attention.softmax.reciprocal import Reciprocal
from thresher.hdl.attention.softmax.row_maximum import RowMaximum
from thresher.hdl.attention.softmax.row_walker import RowWalker
from thresher.hdl.bus.axi4 import Axi4Master
from thresher.hdl.bus.axi_stream import AxiStreamUnit
from thresher.hdl.bus.controlled import ControlledCoprocessor
from thresher.hdl.bus.registers import RegisterFile
from thresher.hdl.bus.system import CoprocessorSystem
from thresher.hdl.bus.wishbone import WishboneMaster
from thresher.hdl.bus.wishbone_slave import WishboneSlave
from thresher.hdl.coprocessor.arbiter import Arbiter
from thresher.hdl.coprocessor.attention.executor import AttentionExecutor
from thresher.hdl.coprocessor.attention.head_runner import HEADS_AHEAD, HeadRunner
from thresher.hdl.coprocessor.block_memory import BlockMemory
from thresher.hdl.coprocessor.coprocessor import Coprocessor
from thresher.hdl.coprocessor.execution import Execution
from thresher.hdl.coprocessor.gate import BurstGate
from thresher.hdl.coprocessor.product.assembler import Assembler
from thresher.hdl.coprocessor.product.executor import ProductExecutor
from thresher.hdl.coprocessor.product.serialiser import Serialiser
from thresher.hdl.coprocessor.product.settings import Settings
from thresher.hdl.coprocessor.product.tensor_tiles import TensorTiles
from thresher.hdl.coprocessor.product.weight_words import WeightWords
from thresher.hdl.coprocessor.reader import Reader
from thresher.hdl.coprocessor.sequencer import Sequencer
from thresher.hdl.coprocessor.splitter import BurstSplitter
from thresher.hdl.coprocessor.supervisor import Supervisor
from thresher.hdl.coprocessor.vector.executor import VectorExecutor
from thresher.hdl.coprocessor.vector.normaliser import Normaliser
from thresher.hdl.coprocessor.vector.places import TilePlaces
from thresher.hdl.coprocessor.vector.spans import TileSpans
from thresher.hdl.coprocessor.vector.tile_reader import TileReader
from thresher.hdl.coprocessor.vector.words import WordRouter
from thresher.hdl.coprocessor.writer import Writer
from thresher.hdl.lib.divider import Divider
from thresher.hdl.lib.packets import PacketReceiver
from thresher.hdl.lib.streams import BlockQueue, HalfBuffer, PingPong, SkidBuffer, StreamFIFO, StreamRegister
from thresher.hdl.link.host_access import HostAccess
from thresher.hdl.link.linked_core import LinkedCore
from thresher.hdl.link.on_chip import OnChipCoprocessor
from thresher.hdl.link.ports import ReadPorts, WritePorts
from thresher.hdl.link.server import LineCRC, Server
from thresher.hdl.link.uart import Receiver, Transmitter
from thresher.hdl.spmm.collector import Collector
from thresher.hdl.spmm.engine import Spmm
from thresher.hdl.spmm.row_engine import RowEngine
from thresher.hdl.vector.unit import VectorUnit
from thresher.spec import BlockRule

from . import row_claims, surroundings
from .attention_claims import COMPACT_ARITHMETIC, LISTED_MEMORIES, decision_stays, listed_words
from .claims import Claim, smaller, stable_inputs, stable_outputs
from .coprocessor_claims import (
    FEW_WORDS,
    SEQUENCER_QUEUES,
    few_words,
    mover_surroundings,
    queues_and_counts,
    thresholds,
)
from .properties import Always, Property, Stable
from .rooms import TableRoom, opened
from .small import COMPACT, COPROCESSOR, PIPELINED, SPMM, VECTOR

__all__ = ["ALWAYS_ACCEPTED", "CLAIMS", "WHOLE_UNITS", "WITHOUT_STREAMS"]

ALWAYS_ACCEPTED: dict[type, tuple[str, ...]] = {
    PEArray: ("o_scores",),
    RowMaximum: ("o",),
    WishboneMaster: ("memory__read_data", "memory__written"),
    BlockMemory: ("ports__0__read_data", "ports__0__written"),
}
"""Outputs whose receiver must always be ready, so they never wait. The docstrings of these components say so."""

WHOLE_UNITS = {
    AttentionExecutor,
    AxiStreamUnit,
    ControlledCoprocessor,
    Coprocessor,
    CoprocessorSystem,
    Execution,
    LinkedCore,
    OnChipCoprocessor,
    ProductExecutor,
    Server,
    VectorExecutor,
}
"""Components that are too large for the engine. They consist of components that have claims."""

WITHOUT_STREAMS = {
    BlockLevels,
    LevelFactor,
    LineCRC,
    Probability,
    QuerySums,
    ReadPorts,
    Receiver,
    Transmitter,
    WishboneSlave,
}
"""Components that no unit of the tests contains and that have no output stream."""

RULE = "outputs are stable"
BUT_FOR = f"{RULE}, but for "
Block = Any


def _stable(
    component: type[wiring.Component],
    make: Callable[[Any], Block],
    configuration: str = "",
    assumed: Callable[[Block], Sequence[Property]] = lambda block: (),
    withdrawn: Callable[[Block], dict[str, Property]] = lambda block: {},
    but: Sequence[str] = (),
    **options: Any,
) -> Claim:
    """All outputs are stable if all inputs are, ``but`` for some. Those that may be ``withdrawn`` have a property of
    their own."""
    accepted = ALWAYS_ACCEPTED.get(component, ())

    def properties(block: Block) -> list[Property]:
        others = withdrawn(block)
        return [*stable_outputs(block, but=(*accepted, *others, *but)), *others.values()]

    def around(block: Block) -> list[Property]:
        return [
            *stable_inputs(block),
            *(Always(f"{name} is accepted at once", getattr(block, name).ready) for name in accepted),
            *assumed(block),
        ]

    return Claim(
        rule=BUT_FOR + " and ".join(but) if but else RULE,
        component=component,
        configuration=configuration,
        make=make,
        asserted=properties,
        assumed=around,
        **options,
    )


PROBABILITY = dataclasses.replace(PIPELINED, block_rule=BlockRule.PROBABILITY)
FOUR = "four tokens"
LISTED_WORDS = f"{FOUR}; words stay while they are listed"
SMALL = "small"

CORE_OPERANDS = ("q_scratchpad", "kv_scratchpad", "q_nibbles_scratchpad", "k_nibbles_scratchpad", "value_sums")
"""Parts of an attention core that may have any values in its proof."""

CLAIMS = [
    _stable(HalfBuffer, lambda c: c(2), "2 bits", short=True),
    _stable(StreamRegister, lambda c: c(2), "2 bits", short=True),
    _stable(PingPong, lambda c: c(2), "2 bits", short=True),
    _stable(SkidBuffer, lambda c: c(2), "2 bits", short=True),
    _stable(PacketReceiver, lambda c: c(2), "2 bits", withdrawn=surroundings.packet, short=True),
    Claim(
        rule="a fault comes with the final beat, and names what is wrong",
        component=PacketReceiver,
        configuration="2 bits",
        make=lambda c: c(2),
        asserted=surroundings.packet_faults,
        assumed=stable_inputs,
        short=True,
    ),
    _stable(StreamFIFO, lambda c: c(2, depth=3), "3 × 2 bits", short=True),
    _stable(
        BlockQueue, lambda c: c(2, depth=3), "3 × 2 bits", lambda block: surroundings.counted(block, 3), short=True
    ),
    _stable(Divider, lambda c: c(width_d=2, width_q=2), "2 bits by 2 bits", short=True),
    _stable(PEArray, lambda c: c(PIPELINED), FOUR),
    _stable(
        AttentionCore,
        lambda c: c(COMPACT),
        f"{FOUR}, compact",
        free=(*CORE_OPERANDS, "normalise.w:*product*"),
        seconds=900,
    ),
    _stable(AttentionCore, lambda c: c(PIPELINED), f"{FOUR}, pipelined", free=CORE_OPERANDS, seconds=900),
    _stable(OutputBuffer, lambda c: c(COMPACT), f"{FOUR}, compact"),
    _stable(OutputBuffer, lambda c: c(PIPELINED), f"{FOUR}, pipelined"),
    Claim(
        rule=RULE,
        component=HeadTable,
        configuration=f"{FOUR}; stages of any speed",
        make=lambda table: TableRoom(COMPACT, table),
        asserted=lambda room: stable_outputs(room.table),
        assumed=stable_inputs,
    ),
    _stable(CompactNormalise, lambda c: c(COMPACT), FOUR),
    _stable(Normalise, lambda c: c(PIPELINED), FOUR),
    _stable(CompactPredictor, lambda c: c(COMPACT), FOUR),
    _stable(
        Predictor,
        lambda c: smaller(c, BEATS_IN_FLIGHT=4)(PIPELINED),
        f"{FOUR}, four beats in flight",
        free=("tables",),
    ),
    _stable(BlockSelect, lambda c: c(PIPELINED), FOUR),
    _stable(
        CompactSparsityEngine,
        lambda c: opened(c)(COMPACT),
        LISTED_WORDS,
        listed_words,
        but=("o_decisions",),
        free=(*LISTED_MEMORIES, *COMPACT_ARITHMETIC),
    ),
    Claim(
        rule="o_decisions is stable",
        component=CompactSparsityEngine,
        configuration=f"{FOUR}; decisions stay while they are offered",
        make=lambda c: opened(c)(COMPACT),
        asserted=lambda block: [Stable("o_decisions", block.o_decisions)],
        assumed=decision_stays,
        free=(*LISTED_MEMORIES, *COMPACT_ARITHMETIC, "measure.w:head_sum", "choice.w:kept"),
    ),
    _stable(
        SparsityEngine,
        lambda c: opened(c)(PIPELINED),
        LISTED_WORDS,
        listed_words,
        free=(*LISTED_MEMORIES, "store_memory", "select.threshold.divider", "select.divider"),
    ),
    _stable(BlockMeasure, lambda c: c(COMPACT), FOUR, short=True),
    _stable(KeptBlocks, lambda c: c(PIPELINED), FOUR, surroundings.kept_blocks, short=True),
    _stable(LevelThreshold, lambda c: c(PIPELINED, bits_per_cycle=1), FOUR, short=True),
    _stable(RowCutoff, lambda c: c(PROBABILITY), FOUR),
    _stable(RowThreshold, lambda c: c(PIPELINED), FOUR, short=True),
    _stable(CompactSoftmax, lambda c: c(COMPACT), FOUR),
    _stable(SerialDenominator, lambda c: c(COMPACT), FOUR, short=True),
    _stable(WeightStore, lambda c: c(COMPACT, entries=2), FOUR, short=True),
    _stable(Denominator, lambda c: c(PIPELINED, depth=2), f"{FOUR}, queues of 2", surroundings.rows_come),
    Claim(
        rule="rows leave after they come",
        component=Denominator,
        configuration=f"{FOUR}, queues of 2",
        make=lambda c: c(PIPELINED, depth=2),
        asserted=surroundings.rows_leave,
        assumed=lambda block: [*stable_inputs(block), *surroundings.rows_come(block)],
        short=True,
    ),
    Claim(
        rule="o_rows is stable",
        component=Softmax,
        configuration=f"{FOUR}, queues of 2; the rows of the denominator stay",
        make=lambda c: smaller(c, ROWS_AHEAD=2, WEIGHTS_AHEAD=2)(PIPELINED),
        asserted=lambda block: [Stable("o_rows", block.o_rows)],
        assumed=lambda block: [Stable("o_rows of the denominator", block._denominator.o_rows)],
        free=("exponential", "maximum", "weights", "denominator"),
    ),
    Claim(
        rule="the denominator gets rows that it accepts, and no more than its queues hold",
        component=Softmax,
        configuration=f"{FOUR}, queues of 2",
        make=lambda c: smaller(c, ROWS_AHEAD=2, WEIGHTS_AHEAD=2)(PIPELINED),
        asserted=lambda block: surroundings.rows_come(block._denominator, floor=True),
        assumed=lambda block: surroundings.rows_leave(block._denominator),
        free=(
            "exponential",
            "maximum",
            "weights",
            "denominator.reciprocal",
            "denominator.known",
            "denominator.results",
        ),
    ),
    _stable(
        Softmax,
        lambda c: smaller(c, ROWS_AHEAD=2, WEIGHTS_AHEAD=2)(PIPELINED),
        f"{FOUR}, queues of 2",
        but=("o_rows",),
        free=("exponential", "maximum"),
    ),
    _stable(Reciprocal, lambda c: c(PIPELINED), FOUR, short=True),
    _stable(RowWalker, lambda c: c(PIPELINED, entries=2, adds=True, emits=True), FOUR, short=True),
    _stable(Axi4Master, lambda c: c(), "", surroundings.write_answers, short=True),
    _stable(
        Arbiter,
        lambda c: c(readers=2, writers=2, outstanding=2),
        "2 readers, 2 writers, 2 bursts",
        surroundings.arbiter,
    ),
    _stable(
        BurstGate,
        lambda c: c(requesters=2, write=True, outstanding=2),
        "2 writers, 2 bursts",
        surroundings.gate,
    ),
    _stable(Reader, few_words, FEW_WORDS, mover_surroundings),
    _stable(Writer, few_words, FEW_WORDS, mover_surroundings),
    _stable(BurstSplitter, lambda c: c(), short=True),
    Claim(
        rule=RULE,
        component=Sequencer,
        configuration="queues of 2, at most 65,535 completions per unit",
        make=lambda c: smaller(opened(c), QUEUE_DEPTH=2, UNDER_WAY=2)(),
        asserted=lambda room: [*stable_outputs(room), *thresholds(room)],
        assumed=queues_and_counts,
        free=SEQUENCER_QUEUES,
        induction=2,
    ),
    _stable(Supervisor, lambda c: c(), withdrawn=surroundings.supervisor, short=True),
    _stable(RegisterFile, lambda c: c("0123456789abcdef"), withdrawn=surroundings.registers, short=True),
    _stable(Assembler, lambda c: c(most=2), "2 words", short=True),
    _stable(Serialiser, lambda c: c(4, parts=2), "2 parts", short=True),
    _stable(Settings, lambda c: c(SPMM), SMALL, short=True),
    _stable(WeightWords, lambda c: c(SPMM), SMALL),
    _stable(TensorTiles, lambda c: c(COPROCESSOR), SMALL, short=True),
    _stable(
        HeadRunner,
        lambda c: opened(c)(COPROCESSOR.attention),
        f"at most {HEADS_AHEAD} heads are computed or written, and not reported",
        surroundings.heads_ahead,
        free=("core",),
    ),
    _stable(Normaliser, lambda c: c(COPROCESSOR), SMALL, surroundings.operands),
    _stable(TilePlaces, lambda c: c(COPROCESSOR), SMALL, short=True),
    _stable(TileSpans, lambda c: c(COPROCESSOR), SMALL, short=True),
    _stable(TileReader, lambda c: c(COPROCESSOR), SMALL),
    _stable(WordRouter, lambda c: c(COPROCESSOR), SMALL, short=True),
    _stable(HostAccess, lambda c: c(256), "256 bytes", surroundings.read_data),
    _stable(
        WritePorts,
        lambda c: c([8, 12]),
        "2 streams",
        surroundings.write_enable,
        withdrawn=surroundings.write_ports,
        short=True,
    ),
    _stable(Collector, lambda c: c(SPMM), SMALL, short=True),
    _stable(
        RowEngine,
        row_claims.engine,
        f"{row_claims.CONFIGURATION}; each row is complete at most once",
        lambda block: [*row_claims.row_surroundings(block), row_claims.ROWS_COMPLETE(block)],
        free=("sequencer",),
    ),
    _stable(Spmm, lambda c: c(SPMM), SMALL),
    _stable(
        VectorUnit,
        lambda c: smaller(c, RESULTS_AHEAD=2)(VECTOR),
        f"{SMALL}, two results ahead",
        free=("lane_0", "roots", "parameters.shift_memory", "parameters.scale_memory"),
    ),
]
