"""What the blocks of an attention core are made of."""

from collections.abc import Callable
from functools import partial
from typing import cast

from amaranth.lib import data

from ..hdl.attention.array import operand_address_bits
from ..hdl.attention.normalise.compact import NARROW
from ..hdl.attention.normalise.compact import ROWS_AHEAD as COMPACT_ROWS_AHEAD
from ..hdl.attention.predictor.pipelined import nibble_address_bits
from ..hdl.attention.predictor.query_tables import group_count, sum_bits
from ..hdl.attention.selection.block_select import (
    mask_address_bits,
    mask_word_bits,
    row_address_bits,
    row_selection_layout,
)
from ..hdl.attention.selection.block_statistics import BANKS, row_statistics_layout, stored_blocks_layout
from ..hdl.attention.selection.compact_statistics import measured_row_layout, stored_block_layout
from ..hdl.attention.softmax.compact_row_queue import waiting_row_layout
from ..hdl.attention.softmax.pipelined import ROWS_AHEAD, weight_block_layout
from ..hdl.attention.softmax.reciprocal import reciprocal_layout
from ..hdl.attention.softmax.row_maximum import row_maximum_layout, score_block_layout
from ..hdl.attention.softmax.row_walker import softmax_row_layout
from ..hdl.lib.requantise import requantize_multipliers
from ..spec.attention_config import AttentionConfig, Fill, Importance, Normalise, Score, Split
from ..spec.formats import INT8_BITS, OUTPUT_MULTIPLIER_BITS, RECIPROCAL_FRACTION
from .fabric import NONE, Fabric, Memory
from .parts import NO_MEMORY, Parts, width

__all__ = ["ATTENTION_ALONE", "ATTENTION_PARTS", "COMPACT"]

COMPACT = "compact "
"""Blocks of compact cores that are others than those of plain ones."""


def _is_early(config: AttentionConfig) -> bool:
    return config.normalise is Normalise.EARLY


def _has_shares(config: AttentionConfig) -> bool:
    """Whether pruned positions have a share in what comes out."""
    return config.fill is not Fill.SKIP


def _bits(row: data.StructLayout, name: str) -> frozenset[int]:
    """Where a field is."""
    return frozenset(range(row[name].offset, row[name].offset + row[name].width))


def _unread(config: AttentionConfig, row: data.StructLayout) -> frozenset[int]:
    """Bits of a row's background, if nothing has a share of it."""
    return NONE if _has_shares(config) else _bits(row, "background")


def _array(config: AttentionConfig, on: Fabric) -> Parts:
    block, lanes = config.block, config.lanes
    products = config.multipliers * (config.weight_bits + 1 + INT8_BITS)
    fractions = config.multipliers * config.fraction_signed_bits**2 * (config.score is Score.APPROX)
    trees = block**2 * (lanes - 1) * 2 * INT8_BITS
    # Registers on the way to products that stand far away.
    far = 0 if config.compact else 1
    features = (1, far, products, far * products, (1 - far) * products, fractions, trees)
    scores = block**2 * config.score_bits
    features += (block * lanes * config.accumulator_bits, scores, far * scores)
    return Parts(logic=features, ff=features, dsp=config.multipliers)


def _predictor(config: AttentionConfig, on: Fabric) -> Parts:
    lookups, groups = config.predictor_keys * config.integer_bits, group_count(config)
    sums = config.block * sum_bits(config)
    # Of both halves of the tables; what cells give that are not as deep is chosen from.
    words = 16 * config.predictor_chunks
    table = on.memory(words, sums, old=True)
    found = lookups * groups * sums
    chosen = found * (words // 16 - 1) if table.cells and on.lut_ram else 0
    totals = config.block * config.predictor_keys * config.prediction_bits
    return Parts(
        logic=(1, found, chosen, totals, groups * sums),
        ff=(1, found, found * (not table.blocks), totals),
        memory=lookups * groups * table,
    )


def _selections(config: AttentionConfig, on: Fabric) -> Memory:
    """Of a sparsity engine: masks, and what is told of rows."""
    masks = on.memory(1 << mask_address_bits(config), mask_word_bits(config))
    return masks + on.memory(1 << row_address_bits(config), width(row_selection_layout(config)))


def _untold(config: AttentionConfig, block: data.StructLayout) -> frozenset[int]:
    """Bits of a block's total, of which only backgrounds are made."""
    return NONE if config.fill is Fill.BACKGROUND else _bits(block, "total")


def _sparsity_engine(config: AttentionConfig, on: Fabric) -> Parts:
    words, stored = BANKS << (config.groups - 1).bit_length(), stored_blocks_layout(config)
    unread = frozenset(
        block.offset + bit for _, block in stored for bit in _untold(config, cast(data.StructLayout, block.shape))
    )
    store = on.memory(words, width(stored), unread=unread)
    inside = config.predictor_blocks * config.block**2 * config.prediction_bits
    magnitudes = inside * (config.importance is not Importance.MAX)
    features = (1, inside, magnitudes, width(row_statistics_layout(config)), mask_word_bits(config))
    features += (_background(config), inside * (config.fill is Fill.BACKGROUND))
    return Parts(logic=features, ff=features, memory=store + _selections(config, on))


def _background(config: AttentionConfig) -> int:
    """Bits of the background's division."""
    return (config.fill is Fill.BACKGROUND) * (config.prediction_bits + 2 * config.fraction_bits + config.length_bits)


def _softmax(config: AttentionConfig, on: Fabric, *, alone: bool = False) -> Parts:
    block = config.block
    scores, sums = block**2 * config.score_bits, block * config.denominator_bits
    entries = 1 << (2 * config.blocks - 1).bit_length()
    memory = on.memory(entries, width(score_block_layout(config)) - 1)
    early, reciprocal = _is_early(config), width(reciprocal_layout(config))
    row, maximum = softmax_row_layout(config), width(row_maximum_layout(config))
    unread = _unread(config, row)
    memory += on.small(ROWS_AHEAD, width(weight_block_layout(config)))
    memory += on.small(ROWS_AHEAD, width(row), unread=unread)
    memory += on.small(ROWS_AHEAD, maximum)
    backgrounds = block * config.weight_bits * (alone or _has_shares(config))
    # Of backgrounds and a slot; of reciprocals. Early the backgrounds come with the latter, which only weights need.
    # The register that the results go to is the normaliser's; within the whole it is that of their memory.
    memory += on.small(ROWS_AHEAD, 1 + (0 if early else backgrounds))
    memory += (on.small if alone else on.memory)(ROWS_AHEAD, backgrounds if early else block * reciprocal)
    context = width(row) + maximum
    if early:
        memory += on.small(ROWS_AHEAD, block * (config.weight_bits + reciprocal))
        memory += on.small(ROWS_AHEAD, width(row) + maximum, unread=unread)
    probabilities = early * block**2 * config.weight_bits
    return Parts(
        logic=(1, scores, block**2, sums, probabilities),
        ff=(1, scores, block**2 * config.weight_bits, sums, context, probabilities),
        memory=memory,
        # Two for each exponential, one for the pruned positions' share of a row sum, one for its reciprocal. Early:
        # one for each weight and the background's.
        dsp=2 * block**2 + 2 + early * (block**2 + 1),
    )


def _normalise(config: AttentionConfig, on: Fabric) -> Parts:
    block = config.block * config.lanes * config.accumulator_bits
    sums = config.lanes * config.value_sum_bits
    values = config.output_lanes * config.accumulator_bits
    shared, late = _has_shares(config), not _is_early(config)
    scaled = config.output_lanes * config.output_operand_bits
    # Late values are divided by a power of two, and reciprocal and scale joined.
    shifted = late * scaled
    shares = shared * config.output_lanes * config.value_sum_bits * config.weight_bits
    # A wide value is requantised in another way.
    products = requantize_multipliers(config.output_operand_bits)
    features = (1, late, values, block, shared * sums, shares, shifted)
    features += ((2 - products) * scaled, (products - 1) * scaled)
    # The background's share and the scale of each value, and the factor that they share.
    each = shared * on.multipliers(config.value_sum_bits)
    each += max(on.multipliers(config.output_operand_bits), products)
    return Parts(logic=features, ff=features, dsp=config.output_lanes * each + late)


def _value_sums(config: AttentionConfig, on: Fabric, *, alone: bool = False) -> Parts:
    bits, words = config.lanes * config.value_sum_bits, 2 << (config.chunks - 1).bit_length()
    if not (alone or _has_shares(config)):
        return Parts(logic=(0, 0, 0), ff=(0, 0, 0))
    sums = bits * config.chunks
    if not alone:
        # The register that asks is the memory's own.
        memory = on.memory(words, bits, old=True)
        return Parts(logic=(1, bits, sums), ff=(1, bits, sums), memory=memory)
    memory = on.small(words, bits)
    # Two chunks are chosen from by adders' own look-up tables.
    chosen = sums * (config.chunks > 2)
    return Parts(
        logic=(1, bits, chosen, bits * (config.chunks > 4), on.above(memory, bits)), ff=(1, bits, sums), memory=memory
    )


def _scratchpads(config: AttentionConfig, on: Fabric) -> Parts:
    """Q, K and V twice, and what the predictor takes of Q and K."""
    block, lanes = config.block, config.lanes
    operands = 1 << operand_address_bits(config)
    steps = config.predictor_lanes // lanes
    row = config.predictor_lanes * config.integer_bits
    memory = on.memory(operands, INT8_BITS * block * lanes, granules=block)
    memory += on.memory(2 * operands, INT8_BITS * block * lanes, granules=block)
    for rows, count in ((block, config.blocks), (config.predictor_keys, config.groups)):
        memory += on.memory(1 << nibble_address_bits(config, count), rows * row, granules=rows * steps)
    # LUT RAM is read without a clock, so that what it gives takes registers.
    return Parts(logic=(1, block * row), ff=(1, memory.cells), memory=memory)


def _head_loader(config: AttentionConfig, on: Fabric) -> Parts:
    rounded = config.lanes * (config.split is Split.ROUND)
    enables = (config.block + config.predictor_keys) * (config.predictor_lanes // config.lanes)
    counters = config.chunks.bit_length() + config.predictor_chunks.bit_length()
    # A beat four times on its way, and nibbles of it where they are written.
    registers = 4 * INT8_BITS * config.lanes + config.integer_bits * config.predictor_lanes + enables
    return Parts(
        logic=(1, config.lanes, config.predictor_lanes, config.length_bits, rounded, enables, counters),
        ff=(1, registers, config.length_bits),
    )


def _output_buffer(config: AttentionConfig, on: Fabric) -> Parts:
    words = 2 * config.block << (config.chunks - 1).bit_length()
    features = (1, config.lanes, config.output_lanes, config.length_bits)
    return Parts(logic=features, ff=features, memory=on.small(words, INT8_BITS * config.lanes))


def _around(config: AttentionConfig, on: Fabric) -> Parts:
    """Head table, queues of heads, and what the core holds itself."""
    features = (1, config.lanes, config.length_bits)
    return Parts(logic=features, ff=features)


# -- compact attention cores -------------------------------------------------------------------


def _compact_predictor(config: AttentionConfig, on: Fabric) -> Parts:
    products = config.block * config.predictor_keys * config.predictor_lanes
    totals = config.block * config.predictor_keys * config.prediction_bits
    return Parts(logic=(1, products, totals), ff=(1, products, totals))


def _compact_sparsity_engine(config: AttentionConfig, on: Fabric) -> Parts:
    words = 2 << (config.groups * config.predictor_blocks - 1).bit_length()
    stored = stored_block_layout(config)
    store = on.memory(words, width(stored), unread=_untold(config, stored))
    # Few features here and below, since few configurations were counted.
    features = (1, width(measured_row_layout(config)) + config.head_sum_bits, _background(config))
    return Parts(logic=features, ff=features, memory=store + _selections(config, on))


def _compact_softmax(config: AttentionConfig, on: Fabric) -> Parts:
    """All memories are block RAM, however small."""
    entries = 1 << (4 * config.blocks - 1).bit_length()
    weights, row = config.block**2, waiting_row_layout(config)
    memories = (
        on.large(entries, width(score_block_layout(config)) - (config.blocks - 1).bit_length()),
        on.large(entries, weights * (config.weight_bits + 1), granules=weights),
        on.large(entries, (config.blocks - 1).bit_length()),
        on.large(4, width(row), unread=_unread(config, row)),
        on.large(2 * config.reciprocal_segments, RECIPROCAL_FRACTION),
    )
    early = _is_early(config)
    features = (1, config.score_bits + config.denominator_bits, early * config.weight_bits)
    return Parts(logic=features, ff=features, memory=sum(memories, NO_MEMORY), dsp=2 + early)


def _compact_normalise(config: AttentionConfig, on: Fabric) -> Parts:
    block = config.block * config.lanes * config.accumulator_bits
    # Bits of operands above those of an iCE40's multiplier are multiplied by logic.
    shared, late = _has_shares(config), not _is_early(config)
    places = late * (config.denominator_bits - config.weight_bits).bit_length()
    rows = config.weight_bits + OUTPUT_MULTIPLIER_BITS + places + 1
    wide, wide_sums = (max(0, bits - NARROW) for bits in (config.output_operand_bits, shared * config.value_sum_bits))
    sums = shared * config.lanes * config.value_sum_bits
    features = (1, block, sums, wide, wide_sums, late * config.denominator_bits)
    # Flip-flops of ΣV are chosen from on their way into the normaliser's registers.
    chosen = NO_MEMORY if on.lut_ram else Memory(cells=_sums_of_values(config, on).cells)
    memory = chosen + on.large(COMPACT_ROWS_AHEAD * config.block, rows)
    return Parts(logic=features, ff=features, memory=memory, dsp=1 + shared)


def _compact_output_buffer(config: AttentionConfig, on: Fabric) -> Parts:
    words = 2 * config.block << (config.chunks - 1).bit_length()
    features = (1, config.lanes, config.length_bits)
    rows = on.large(words, INT8_BITS * config.lanes, granules=config.lanes // config.output_lanes)
    return Parts(logic=features, ff=features, memory=rows)


def _sums_of_values(config: AttentionConfig, on: Fabric) -> Memory:
    """ΣV of both slots."""
    if not _has_shares(config):
        return NO_MEMORY
    bits, words = config.lanes * config.value_sum_bits, 2 << (config.chunks - 1).bit_length()
    if not on.lut_ram and config.lanes > 1:
        return on.small(words, bits)  # read without a clock; a single lane's, by the normaliser's register
    return on.memory(words, bits)


def _compact_value_sums(config: AttentionConfig, on: Fabric, *, alone: bool = False) -> Parts:
    """Of both slots, and those that are being summed."""
    bits, words = config.lanes * config.value_sum_bits, 1 << (config.chunks - 1).bit_length()
    if not (alone or _has_shares(config)):
        return Parts(logic=(0, 0), ff=(0, 0))
    sums = on.small(2 * words, bits) if alone else _sums_of_values(config, on)
    return Parts(logic=(1, bits), ff=(1, bits), memory=sums + on.large(words, bits))


STAGES = ("predictor", "sparsity_engine", "pe_array", "softmax", "normalise")
"""Blocks that are parts of the same name."""

ATTENTION_PARTS: dict[str, Callable[[AttentionConfig, Fabric], Parts]] = {
    "predictor": _predictor,
    "sparsity_engine": _sparsity_engine,
    "pe_array": _array,
    "softmax": _softmax,
    "normalise": _normalise,
    "value_sums": _value_sums,
    "scratchpads": _scratchpads,
    COMPACT + "predictor": _compact_predictor,
    COMPACT + "softmax": _compact_softmax,
    COMPACT + "normalise": _compact_normalise,
    COMPACT + "value_sums": _compact_value_sums,
    COMPACT + "sparsity_engine": _compact_sparsity_engine,
    "loader": _head_loader,
    "output": _output_buffer,
    COMPACT + "output": _compact_output_buffer,
    "rest": _around,
    COMPACT + "rest": _around,
}
"""By block."""

ATTENTION_ALONE: dict[str, Callable[[AttentionConfig, Fabric], Parts]] = {
    "head_loader": _head_loader,
    "output_buffer": _output_buffer,
    COMPACT + "output_buffer": _compact_output_buffer,
    "value_sums": partial(_value_sums, alone=True),
    COMPACT + "value_sums": partial(_compact_value_sums, alone=True),
    **{name: parts for name, parts in ATTENTION_PARTS.items() if name.removeprefix(COMPACT) in STAGES},
    "softmax": partial(_softmax, alone=True),
}
"""By part."""
