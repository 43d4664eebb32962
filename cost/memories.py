"""Memories of a unit, and the block memories that they take on a chip.

The Yosys pass ``memory_libmap`` maps each memory to the cells with the lowest cost. The costs are the same here.

The results equal 158 of the 160 counts in ``measured.json``. One result differs by one block. The other result is for a
unit that was synthesised block by block, where less is shared. On iCE40 a result may be one block too high if some bits
of a word are never read.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..spec import formats
from ..spec.attention_config import AttentionConfig, Fill, Normalise
from ..spec.formats import INT8_BITS, RECIPROCAL_FRACTION, ceil_div, signed_bits, unsigned_bits
from ..spec.spmm_config import SpmmConfig

__all__ = ["FABRICS", "Fabric", "Memory", "block_memories", "memories"]

READER_COST = 2  # cost of a port that only reads
MASK_BITS = 16  # blocks per word of the mask, if a row has as many
QUEUE_WORDS, COMPACT_QUEUE_WORDS = 16, 4  # words of queues of block rows or rows of W
TABLE_WORDS, TABLE_COLUMNS = 16, 3  # pipelined predictor: words per chunk of a table; columns of Q per table
TILE_READERS = 2  # row engines that share a copy of X


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory with one write port."""

    words: int
    width: int  # in bits
    granules: int = 1  # parts of a word that have their own write enable
    readers: int = 1
    shared: bool = False  # one reader shares the address of the write port
    old: bool = False  # a read in the cycle of a write to the same word returns the old value
    unread: int = 0  # upper bits that are never read; Yosys removes cells that hold only such bits
    block: bool = False  # always in block memories
    clocked: bool = True  # synchronous read; otherwise LUT memory or flip-flops


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """A kind of memory cell."""

    shapes: tuple[tuple[int, int], ...]  # words, and bits of a word
    cost: int
    proportional: bool = False  # the cost is proportional to the used share of a cell
    byte: int = 64  # bits that share a write enable
    old_cost: int = 0  # cost of the logic that returns the old value
    # apart: one port writes, another reads. both: the first port also reads. single: one port writes and reads.
    ports: Literal["apart", "both", "single"] = "apart"

    def made(self, memory: Memory) -> tuple[float, int]:
        """Cost and number of cells of a memory."""
        sharing = memory.readers - memory.shared
        if self.ports == "single" and sharing:
            return math.inf, 0
        apart = memory.readers if self.ports == "apart" else sharing
        return min(self._made(memory, words, bits, apart) for words, bits in self.shapes)

    def _made(self, memory: Memory, words: int, bits: int, apart: int) -> tuple[float, int]:
        copies, stacked = max(1, apart), ceil_div(memory.words, words)
        byte = min(self.byte, bits)
        width = memory.granules * ceil_div(memory.width // memory.granules, byte) * byte
        cells = copies * ceil_div(stacked * width, bits)
        cost = self.cost * (copies * stacked * memory.width / bits if self.proportional else cells)
        if stacked > 1:
            cost += (stacked - 1) * memory.width * memory.readers / 2 + stacked * memory.granules / 2
        cost += READER_COST * apart + self.old_cost * (memory.old and apart > 0)
        removed = ceil_div(memory.width, bits) - ceil_div(memory.width - memory.unread, bits)
        return cost, cells - copies * stacked * removed


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """Cells of a family of chips."""

    blocks: tuple[_Cell, ...]
    luts: tuple[_Cell, ...]
    factor_bits: int  # width of a signed operand of a multiplier; 0 without multipliers

    def block_memories(self, memory: Memory) -> int:
        """Number of block memories of a memory; 0 if LUT memory or, without LUT memory, flip-flops cost less."""
        cost, cells = min(cell.made(memory) for cell in self.blocks)
        if memory.block:
            return cells
        if not self.luts:
            return cells if memory.clocked and cost < memory.words * memory.width else 0
        return cells if cost < math.floor(min(cell.made(memory)[0] for cell in self.luts)) else 0


def _shapes(words: int, *widths: int) -> tuple[tuple[int, int], ...]:
    """Shapes of a cell: each further width has half as many words."""
    return tuple((words >> i, width) for i, width in enumerate(widths))


def _18_kbit(cost: int, old_cost: int) -> tuple[_Cell, ...]:
    return (
        _Cell(shapes=_shapes(16384, 1, 2, 4, 9, 18), ports="both", byte=9, cost=cost, old_cost=old_cost),
        _Cell(shapes=_shapes(2048, 9, 18, 36), byte=9, cost=cost, old_cost=old_cost),
    )


def _lut_memory(cost: int, apart: tuple[int, int], both: int, single: int) -> tuple[_Cell, ...]:
    """LUT memory of Xilinx: the shape of a cell with ports apart, and the bits of cells with other ports."""
    return (
        _Cell(shapes=(apart,), cost=cost, proportional=True),
        _Cell(shapes=_shapes(both, 1, 2, 4), cost=cost, proportional=True, ports="both"),
        _Cell(shapes=_shapes(single, 1, 2, 4, 8), cost=cost, proportional=True, ports="single"),
    )


_ICE40 = (_Cell(shapes=_shapes(2048, 2, 4, 8, 16), byte=1, cost=64, old_cost=12),)

FABRICS = {
    "ecp5": Fabric(blocks=_18_kbit(128, 12), luts=(_Cell(shapes=((16, 4),), cost=4),), factor_bits=18),
    "xilinx7": Fabric(blocks=_18_kbit(129, 0), luts=_lut_memory(8, (64, 3), 128, 256), factor_bits=18),
    "ultrascale+": Fabric(blocks=_18_kbit(129, 0), luts=_lut_memory(16, (64, 7), 256, 512), factor_bits=18),
    "ice40": Fabric(blocks=_ICE40, luts=(), factor_bits=16),
    "ice40 without multipliers": Fabric(blocks=_ICE40, luts=(), factor_bits=0),
}
"""Fabrics by name. Chips of one fabric differ only in size."""


def block_memories(config: AttentionConfig | SpmmConfig, fabric: Fabric) -> int:
    """Block memories of a unit."""
    return sum(copies * fabric.block_memories(memory) for copies, memory in memories(config))


def memories(config: AttentionConfig | SpmmConfig) -> Iterator[tuple[int, Memory]]:
    """Memories of a unit that may be block memories, each with its number of copies."""
    if isinstance(config, SpmmConfig):
        yield from _spmm(config)
        return
    yield from _scratchpads(config)
    yield from _selections(config)
    yield from (_compact(config) if config.compact else _pipelined(config))


def _depth(*counts: int) -> int:
    """Number of words with an address that is the concatenation of several counters."""
    return 1 << sum((count - 1).bit_length() for count in counts)


def _scratchpads(config: AttentionConfig) -> Iterator[tuple[int, Memory]]:
    """Q, K and V of two heads, and integer parts of Q and K for the predictor."""
    words, width = _depth(config.chunks, config.blocks, 2), INT8_BITS * config.block * config.lanes
    yield 1, Memory(words=words, width=width, granules=config.block)
    yield 1, Memory(words=2 * words, width=width, granules=config.block)
    for rows, count in ((config.block, config.blocks), (config.predictor_keys, config.groups)):
        words, width = _depth(config.predictor_chunks, count, 2), rows * config.predictor_lanes * config.integer_bits
        yield 1, Memory(words=words, width=width, granules=rows * config.predictor_lanes // config.lanes)


def _selections(config: AttentionConfig) -> Iterator[tuple[int, Memory]]:
    """Masks, selections of block rows, and importances of blocks with their sums."""
    word = max(config.predictor_blocks, min(MASK_BITS, _depth(config.blocks)))
    yield 1, Memory(words=_depth(ceil_div(config.blocks, word), config.blocks, 2), width=word)
    row = unsigned_bits(config.blocks) + config.score_bits + config.length_bits * config.key_masks
    yield 1, Memory(words=_depth(config.blocks, 2), width=row)
    peak = config.prediction_peak * config.block**2
    total = signed_bits(-peak, peak)
    unread = 0 if config.fill is Fill.BACKGROUND else total
    if config.compact:
        peak = config.importance_peak * config.blocks
        words = 2 * _depth(config.groups * config.predictor_blocks)
        yield 1, Memory(words=words, width=signed_bits(-peak, peak) + total, unread=unread)
    else:
        width = config.predictor_blocks * (config.importance_bits + total)
        yield 1, Memory(words=4 * _depth(config.groups), width=width, unread=unread)


def _compact(config: AttentionConfig) -> Iterator[tuple[int, Memory]]:
    """Scores, weights and rows of the softmax, its reciprocal, factors, outputs, and sums of V."""
    block, lanes, words = config.block, config.lanes, _depth(4 * config.blocks)
    late = config.normalise is not Normalise.EARLY
    yield 1, Memory(words=words, width=block**2 * config.score_bits + block * config.key_masks + 1, block=True)
    yield 1, Memory(words=words, width=block**2 * (config.weight_bits + 1), granules=block**2, block=True)
    yield 1, Memory(words=words, width=unsigned_bits(config.blocks - 1), block=True)
    row = config.score_bits + config.length_bits * config.key_masks + unsigned_bits(config.chunks - 1) + 1
    row += formats.SCORE_MULTIPLIER_BITS + formats.SCORE_SHIFT_BITS
    yield 1, Memory(words=COMPACT_QUEUE_WORDS, width=row, block=True)
    factors = config.weight_bits + formats.OUTPUT_MULTIPLIER_BITS + 1
    factors += late * (config.denominator_bits - config.weight_bits).bit_length()
    yield 1, Memory(words=COMPACT_QUEUE_WORDS * block, width=factors, block=True)
    yield 1, Memory(words=2 * block * _depth(config.chunks), width=INT8_BITS * lanes, granules=lanes, block=True)
    if config.fill is not Fill.SKIP:
        sums = lanes * config.value_sum_bits
        yield 1, Memory(words=_depth(config.chunks), width=sums, block=True)
        yield 1, _query_sums(config) or Memory(words=2 * _depth(config.chunks), width=sums, clocked=lanes == 1)


def _query_sums(config: AttentionConfig) -> Memory | None:
    """Sums of V for each query of a causal core."""
    words, width = 2 * _depth(config.chunks) * _depth(config.blocks), config.lanes * config.value_sum_bits
    return Memory(words=words, width=config.block * width, granules=config.block) if config.causal else None


def _pipelined(config: AttentionConfig) -> Iterator[tuple[int, Memory]]:
    """Scores, tables of the predictor, sums of V, and reciprocals or backgrounds of the softmax."""
    block, filled = config.block, config.fill is not Fill.SKIP
    scores = block**2 * config.score_bits + block * config.key_masks + unsigned_bits(config.blocks - 1)
    yield 1, Memory(words=_depth(2 * config.blocks), width=scores)
    tables = config.predictor_keys * config.integer_bits * ceil_div(config.predictor_lanes, TABLE_COLUMNS)
    sums = block * (config.integer_bits + unsigned_bits(TABLE_COLUMNS))
    yield tables, Memory(words=TABLE_WORDS * config.predictor_chunks, width=sums, old=True)
    if filled:
        sums = Memory(words=2 * _depth(config.chunks), width=config.lanes * config.value_sum_bits, old=True)
        yield 1, _query_sums(config) or sums
    reciprocals = block * (RECIPROCAL_FRACTION + 1 + config.exponent_bits)
    backgrounds = block * config.weight_bits * filled
    early = config.normalise is Normalise.EARLY
    yield 1, Memory(words=QUEUE_WORDS, width=backgrounds if early else reciprocals)


def _spmm(config: SpmmConfig) -> Iterator[tuple[int, Memory]]:
    """Two tiles of X for some row engines, sums and parameters of rows, a table per drain lane, results, and order."""
    width, readers = INT8_BITS * config.spread_tokens, min(config.rows, TILE_READERS)
    tile = Memory(words=config.max_columns, width=width, readers=readers, shared=True)
    yield 2 * config.banks * ceil_div(config.rows, TILE_READERS), tile
    parameters = 1 + formats.BIAS_BITS + formats.ROW_MULTIPLIER_BITS + formats.ROW_SHIFT_BITS
    for width in (config.lanes * config.accumulator_bits, parameters):
        yield config.rows, Memory(words=QUEUE_WORDS, width=width, old=True)
    yield config.drain_lanes, Memory(words=1 << INT8_BITS, width=INT8_BITS)
    rows = config.rows * config.result_rows
    beat = config.drain_lanes * INT8_BITS + config.drain_lanes.bit_length()
    yield 1, Memory(words=rows * config.beats_per_row, width=beat)
    yield 1, Memory(words=rows, width=config.rows.bit_length() + config.beats_per_row.bit_length() + 2)
