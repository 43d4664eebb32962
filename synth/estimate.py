"""How large a unit will be on a chip, in milliseconds and without running anything.

Multipliers and block memories follow from the configuration. Look-up tables and flip-flops of a block are sums of a few
numbers that follow from it too, such as bits of registers, times factors fitted to counts of Yosys, for each fabric of
chips (see :mod:`.fabric`).
"""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth import Shape

from ..hdl.compact.block_measure import measured_row_layout, stored_block_layout
from ..hdl.compact.normalise import NARROW, ROWS_AHEAD
from ..hdl.compact.row_queue import waiting_row_layout
from ..hdl.pe_array import operand_address_bits
from ..hdl.prediction.query_tables import group_count, sum_bits
from ..hdl.predictor import nibble_address_bits
from ..hdl.rows.row_maximum import row_maximum_layout, score_block_layout
from ..hdl.rows.row_walker import softmax_row_layout
from ..hdl.softmax import weight_block_layout
from ..hdl.sparse.interface import weights_layout
from ..hdl.sparse.row_engine import parameters_layout
from ..hdl.sparsity.block_select import (
    mask_address_bits,
    mask_word_bits,
    row_address_bits,
    row_selection_layout,
)
from ..hdl.sparsity.block_statistics import BANKS, row_statistics_layout, stored_blocks_layout
from ..spec.config import AttentionConfig, Importance, Score
from ..spec.errors import ConfigError
from ..spec.formats import INT8_BITS, OUTPUT_MULTIPLIER_BITS, RECIPROCAL_FRACTION, ceil_div
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .fabric import ECP5, Fabric
from .netlist import Resources

__all__ = ["COEFFICIENTS", "FEATURES", "FITTED", "Parts", "block_resources", "merged", "resources"]

COEFFICIENTS = Path(__file__).with_name("estimates.json")
"""Fitted to counts of Yosys by ``bench/sizes.py``: by fabric, unit, block and count, a factor for each feature."""

FITTED = ("lut", "ff")
"""The counts that are fitted."""

Features = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a block is made of.

    Attributes
    ----------
    lut, ff : tuple of float
        What look-up tables and flip-flops are sums of multiples of.
    cells : int
        Of small memories: a further one, of flip-flops only where there is no LUT RAM.
    bram, dsp : int
        Block memories and multipliers.
    """

    lut: Features
    ff: Features
    cells: int = 0
    bram: int = 0
    dsp: int = 0

    def features(self, count: str, on: Fabric) -> Features:
        """All that ``lut`` or ``ff`` is a sum of multiples of."""
        cells = self.cells if count == "lut" or not on.lut_ram else 0
        return (*getattr(self, count), cells)


def _width(layout: Any) -> int:
    return Shape.cast(layout).width


# -- the attention core ------------------------------------------------------------------------


def _array(config: AttentionConfig, on: Fabric) -> Parts:
    block, lanes = config.block, config.lanes
    products = config.multipliers * (config.weight_bits + 1 + INT8_BITS)
    fractions = config.multipliers * config.fraction_signed_bits**2 * (config.score is Score.APPROX)
    trees = block**2 * (lanes - 1) * 2 * INT8_BITS
    features = (1, products, fractions, trees, block * lanes * config.accumulator_bits, block**2 * config.score_bits)
    return Parts(lut=features, ff=features, dsp=config.multipliers)


def _predictor(config: AttentionConfig, on: Fabric) -> Parts:
    lookups, groups = config.predictor_keys * config.integer_bits, group_count(config)
    sums = config.block * sum_bits(config)
    # Of both halves of the tables; what cells give that are not as deep is chosen from.
    words = 16 * config.predictor_chunks
    blocks, cells = on.memory(words, sums, halved=True)
    found = lookups * groups * sums
    chosen = found * (words // 16 - 1) if cells and on.lut_ram else 0
    totals = config.block * config.predictor_keys * config.prediction_bits
    return Parts(
        lut=(1, found, chosen, totals, groups * sums),
        ff=(1, found, totals),
        cells=lookups * groups * cells,
        bram=lookups * groups * blocks,
    )


def _selections(config: AttentionConfig, on: Fabric, store: tuple[int, int]) -> tuple[int, int]:
    """Block memories and cells of a sparsity engine: what it stores of a row's blocks, masks, and what is told of
    rows."""
    memories = [
        store,
        on.memory(1 << mask_address_bits(config), mask_word_bits(config)),
        on.memory(1 << row_address_bits(config), _width(row_selection_layout(config))),
    ]
    blocks, cells = zip(*memories, strict=True)
    return sum(blocks), sum(cells)


def _sparsity_engine(config: AttentionConfig, on: Fabric) -> Parts:
    words = BANKS << (config.groups - 1).bit_length()
    blocks, cells = _selections(config, on, on.memory(words, _width(stored_blocks_layout(config))))
    inside = config.predictor_blocks * config.block**2 * config.prediction_bits
    magnitudes = inside * (config.importance is not Importance.MAX)
    features = (1, inside, magnitudes, _width(row_statistics_layout(config)), mask_word_bits(config))
    return Parts(lut=features, ff=features, cells=cells, bram=blocks)


def _softmax(config: AttentionConfig, on: Fabric) -> Parts:
    block = config.block
    scores, sums = block**2 * config.score_bits, block * config.denominator_bits
    entries = 1 << (2 * config.blocks - 1).bit_length()
    ring, cells = on.memory(entries, _width(score_block_layout(config)) - 1)
    queues = (weight_block_layout, softmax_row_layout, row_maximum_layout)
    cells += sum(on.small(16, _width(layout(config))) for layout in queues)
    context = _width(softmax_row_layout(config)) + _width(row_maximum_layout(config))
    return Parts(
        lut=(1, scores, block**2, sums),
        ff=(1, scores, block**2 * config.weight_bits, sums, context),
        cells=cells,
        bram=ring,
        # Two for each exponential, one for the pruned positions' share of a row sum, one for its reciprocal.
        dsp=2 * block**2 + 2,
    )


def _normalise(config: AttentionConfig, on: Fabric) -> Parts:
    block = config.block * config.lanes * config.accumulator_bits
    sums = config.lanes * config.value_sum_bits
    values = config.output_lanes * config.accumulator_bits
    features = (1, values, block, sums)
    # The background's share and the scale of each value, and the factor that they share.
    return Parts(lut=features, ff=features, dsp=2 * config.output_lanes + 1)


def _value_sums(config: AttentionConfig, on: Fabric) -> Parts:
    bits = config.lanes * config.value_sum_bits
    blocks, cells = on.memory(2 << (config.chunks - 1).bit_length(), bits)
    return Parts(lut=(1, bits, bits * config.chunks), ff=(1, bits * config.chunks), cells=cells, bram=blocks)


def _scratchpads(config: AttentionConfig, on: Fabric) -> Parts:
    """Q, K and V twice, and what the predictor takes of Q and K."""
    block, lanes = config.block, config.lanes
    operands = 1 << operand_address_bits(config)
    steps = config.predictor_lanes // lanes
    row = config.predictor_lanes * config.integer_bits
    memories = [
        on.memory(operands, INT8_BITS * block * lanes, granules=block),
        on.memory(2 * operands, INT8_BITS * block * lanes, granules=block),
    ]
    for rows, count in ((block, config.blocks), (config.predictor_keys, config.groups)):
        memories.append(on.memory(1 << nibble_address_bits(config, count), rows * row, granules=rows * steps))
    cells = sum(cells for _, cells in memories)
    # LUT RAM is read without a clock, so that what it gives takes registers.
    return Parts(lut=(1, block * row), ff=(1, cells), cells=cells, bram=sum(blocks for blocks, _ in memories))


def _around(config: AttentionConfig, on: Fabric) -> Parts:
    """Loader, head table, output."""
    rows = on.small(2 * config.block << (config.chunks - 1).bit_length(), INT8_BITS * config.lanes)
    features = (1, config.lanes, config.predictor_lanes, config.length_bits)
    return Parts(lut=features, ff=features, cells=rows)


# -- compact attention cores -------------------------------------------------------------------


def _compact_predictor(config: AttentionConfig, on: Fabric) -> Parts:
    products = config.block * config.predictor_keys * config.predictor_lanes
    totals = config.block * config.predictor_keys * config.prediction_bits
    return Parts(lut=(1, products, totals), ff=(1, products, totals))


def _compact_sparsity_engine(config: AttentionConfig, on: Fabric) -> Parts:
    words = 2 << (config.groups * config.predictor_blocks - 1).bit_length()
    blocks, cells = _selections(config, on, on.memory(words, _width(stored_block_layout(config))))
    # Few features here and below, since few configurations were counted.
    features = (1, _width(measured_row_layout(config)) + config.head_sum_bits)
    return Parts(lut=features, ff=features, cells=cells, bram=blocks)


def _compact_softmax(config: AttentionConfig, on: Fabric) -> Parts:
    """All memories are block RAM, however small."""
    entries = 1 << (4 * config.blocks - 1).bit_length()
    weights = config.block**2
    blocks = (
        on.large(entries, _width(score_block_layout(config)) - (config.blocks - 1).bit_length()),
        on.large(entries, weights * (config.weight_bits + 1), granules=weights),
        on.large(entries, (config.blocks - 1).bit_length()),
        on.large(4, _width(waiting_row_layout(config))),
        on.large(2 * config.reciprocal_segments, RECIPROCAL_FRACTION),
    )
    features = (1, config.score_bits + config.denominator_bits)
    return Parts(lut=features, ff=features, bram=sum(blocks), dsp=2)


def _compact_normalise(config: AttentionConfig, on: Fabric) -> Parts:
    block = config.block * config.lanes * config.accumulator_bits
    rows = config.weight_bits + OUTPUT_MULTIPLIER_BITS + (config.denominator_bits - config.weight_bits).bit_length() + 1
    # Bits of an operand above those of an iCE40's multiplier are multiplied by logic.
    features = (1, block, config.lanes * config.value_sum_bits, max(0, config.output_operand_bits - NARROW))
    # Flip-flops of ΣV are chosen from on their way into the normaliser's registers.
    _, cells = (0, 0) if on.lut_ram else _sums_of_values(config, on)
    return Parts(lut=features, ff=features, cells=cells, bram=on.large(ROWS_AHEAD * config.block, rows), dsp=2)


def _compact_around(config: AttentionConfig, on: Fabric) -> Parts:
    words = 2 * config.block << (config.chunks - 1).bit_length()
    features = (1, config.lanes, config.length_bits)
    rows = on.large(words, INT8_BITS * config.lanes, granules=config.lanes // config.output_lanes)
    return Parts(lut=features, ff=features, bram=rows)


def _sums_of_values(config: AttentionConfig, on: Fabric) -> tuple[int, int]:
    """Block memories or cells of ΣV of both slots."""
    bits, words = config.lanes * config.value_sum_bits, 2 << (config.chunks - 1).bit_length()
    if not on.lut_ram and config.lanes > 1:
        return 0, words * bits  # read without a clock; a single lane's, by the normaliser's register
    return on.memory(words, bits)


def _compact_value_sums(config: AttentionConfig, on: Fabric) -> Parts:
    """Of both slots, and those that are being summed."""
    bits, words = config.lanes * config.value_sum_bits, 1 << (config.chunks - 1).bit_length()
    blocks, cells = _sums_of_values(config, on)
    return Parts(lut=(1, bits), ff=(1, bits), cells=cells, bram=blocks + on.large(words, bits))


# -- the SpMM engine ---------------------------------------------------------------------------


def _row_engines(config: SpmmConfig, on: Fabric) -> Parts:
    """All of them."""
    spreads = WeightFormat.BBS in config.formats
    sums = config.lanes * config.accumulator_bits
    tree = config.lanes * 2 * INT8_BITS if spreads else 0
    kept = (on.memory(16, sums), on.memory(16, _width(parameters_layout(config))))
    blocks, cells = (sum(each) for each in zip(*kept, strict=True))
    banks = config.banks * (config.column_bits + INT8_BITS)
    word = _width(weights_layout(config))
    lut = (1, sums, tree, len(config.formats) * config.column_bits, banks)
    ff = (1, sums, tree, word, banks)
    return Parts(
        lut=tuple(config.rows * each for each in lut),
        ff=tuple(config.rows * each for each in ff),
        cells=config.rows * cells,
        bram=config.rows * blocks,
        dsp=config.multipliers,
    )


def _drain(config: SpmmConfig, on: Fabric) -> Parts:
    lanes = config.drain_lanes
    chosen = lanes * config.accumulator_bits * config.rows * config.beats_per_row
    # Lanes that belong to the same engine share its parameters.
    homes = min(config.rows, ceil_div(lanes, config.spread_tokens)) if WeightFormat.BBS in config.formats else 1
    totals = config.rows * lanes * config.accumulator_bits
    features = (1, lanes * config.biased_bits, chosen, totals, homes * _width(parameters_layout(config)))
    # A table of its own for each lane, and a product of two parts.
    blocks, cells = on.memory(1 << INT8_BITS, INT8_BITS)
    return Parts(lut=features, ff=features, cells=lanes * cells, bram=lanes * blocks, dsp=2 * lanes)


def _tile_memories(config: SpmmConfig, on: Fabric) -> Parts:
    # Two row engines share a copy; each has two slots of all banks.
    pairs = ceil_div(config.rows, 2)
    copies = 2 * config.banks * pairs
    several = config.rows > 1
    blocks, cells = on.memory(
        config.max_columns, INT8_BITS * config.spread_tokens, both_read=several, halved=not several
    )
    return Parts(
        lut=(1, config.rows * config.lanes, copies * blocks, copies),
        ff=(1, copies * cells, config.rows, config.rows * config.lanes),
        cells=copies * cells,
        bram=copies * blocks,
    )


def _collector(config: SpmmConfig, on: Fabric) -> Parts:
    word = config.drain_lanes * INT8_BITS + config.drain_lanes.bit_length()
    blocks, cells = on.memory(config.rows * config.result_rows * config.beats_per_row, word)
    features = (1, word, config.rows)
    return Parts(lut=features, ff=features, cells=cells, bram=blocks)


def _queues(config: SpmmConfig, on: Fabric) -> Parts:
    # Of rows in their order: engine, beats and flags.
    told = config.rows.bit_length() + config.beats_per_row.bit_length() + 2
    blocks, cells = on.memory(config.rows * config.result_rows, told)
    features = (1, config.column_bits, config.rows)
    return Parts(lut=features, ff=(*features, config.lanes), cells=cells, bram=blocks)


FEATURES: dict[str, dict[str, Callable[[Any, Fabric], Parts]]] = {
    "attention": {
        "predictor": _predictor,
        "sparsity_engine": _sparsity_engine,
        "pe_array": _array,
        "softmax": _softmax,
        "normalise": _normalise,
        "value_sums": _value_sums,
        "scratchpads": _scratchpads,
        "compact predictor": _compact_predictor,
        "compact softmax": _compact_softmax,
        "compact normalise": _compact_normalise,
        "compact value_sums": _compact_value_sums,
        "compact sparsity_engine": _compact_sparsity_engine,
        "rest": _around,
        "compact rest": _compact_around,
    },
    "spmm": {
        "row_engines": _row_engines,
        "drain": _drain,
        "tile_memories": _tile_memories,
        "collector": _collector,
        "rest": _queues,
    },
}
"""By unit and block: what the block is made of."""

COMPACT = "compact "

_KINDS = {
    r".*_scratchpad": "scratchpads",
    r"row_engine_\d+": "row_engines",
    r"tile_memory_\d+": "tile_memories",
}


def merged(config: AttentionConfig | SpmmConfig, blocks: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Counts of a netlist's blocks (see :func:`~thresher.synth.netlist.blocks`), by the blocks of :data:`FEATURES`."""
    found: dict[str, dict[str, int]] = {name: defaultdict(int) for name in _parts_of(config)}
    for name, counts in blocks.items():
        kind = next((kind for pattern, kind in _KINDS.items() if re.fullmatch(pattern, name)), name)
        kind = next(each for each in (COMPACT + kind, kind, COMPACT + "rest", "rest") if each in found)
        for each, value in counts.items():
            found[kind][each] += value
    return {name: dict(counts) for name, counts in found.items()}


def unit_of(config: AttentionConfig | SpmmConfig) -> str:
    """Name of the whole unit."""
    return "attention" if isinstance(config, AttentionConfig) else "spmm"


def _parts_of(config: AttentionConfig | SpmmConfig) -> dict[str, Callable[[Any, Fabric], Parts]]:
    """Those blocks that the configuration has."""
    listed = FEATURES[unit_of(config)]
    compact = isinstance(config, AttentionConfig) and config.compact
    return {
        name: parts
        for name, parts in listed.items()
        if (compact and COMPACT + name not in listed) or (not compact and not name.startswith(COMPACT))
    }


@functools.cache
def _coefficients() -> dict[str, Any]:
    return json.loads(COEFFICIENTS.read_text())


def block_resources(
    config: AttentionConfig | SpmmConfig, on: Fabric = ECP5, *, coefficients: dict[str, Any] | None = None
) -> dict[str, Resources]:
    """Estimated counts of each block of the whole unit: ``lut``, ``ff``, ``bram`` and ``dsp``.

    Parameters
    ----------
    coefficients : dict, optional
        Others than those of the fabric in :data:`COEFFICIENTS`.
    """
    unit = unit_of(config)
    factors = (_coefficients()[on.name] if coefficients is None else coefficients)[unit]
    found = {}
    for block, parts_of in _parts_of(config).items():
        parts = parts_of(config, on)
        counts = {
            name: round(sum(a * b for a, b in zip(factors[block][name], parts.features(name, on), strict=True)))
            for name in FITTED
        }
        dsp = parts.dsp if on.multipliers else 0
        found[block.removeprefix(COMPACT)] = Resources(**counts, bram=parts.bram, dsp=dsp)
    return found


def resources(
    config: AttentionConfig | SpmmConfig,
    unit: str | None = None,
    on: Fabric = ECP5,
    *,
    coefficients: dict[str, Any] | None = None,
) -> Resources:
    """Estimated counts of a unit, or of one of its parts.

    Parameters
    ----------
    coefficients : dict, optional
        See :func:`block_resources`.

    Raises
    ------
    ConfigError
        There is no estimate of the part.
    """
    blocks = block_resources(config, on, coefficients=coefficients)
    if unit in (None, "attention", "spmm"):
        return sum(blocks.values(), Resources())
    if unit not in blocks:
        raise ConfigError("unit", unit, "estimated are attention, spmm, " + ", ".join(blocks))
    return blocks[unit]
