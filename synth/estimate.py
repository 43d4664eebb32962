"""How large a unit will be on an ECP5, and how many cycles it takes, in milliseconds and without running anything."""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..spec.config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.formats import ceil_div
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .netlist import TOP, Resources

__all__ = ["COEFFICIENTS", "FEATURES", "block_resources", "merged", "resources"]

COEFFICIENTS = Path(__file__).with_name("estimates.json")
"""Fitted to counts of Yosys by ``bench/sizes.py``: by unit, block and count, a factor for each of the features."""

Features = tuple[float, ...]


def _memory(words: int, width: int, *, widest: int = 36) -> tuple[float, float]:
    """DP16KD of a memory; or, where it is too small for one, cells of 16 × 4 bits.

    Parameters
    ----------
    words, width : int
    widest : int
        Bits of a word of one DP16KD: 18 where both of its ports have addresses of their own and read.
    """
    if words * width <= SMALLEST_BLOCK_MEMORY or words <= LUT_RAM_WORDS:
        return 0.0, float(ceil_div(words, 16) * ceil_div(width, 4))
    # Narrower words make deeper memories.
    shapes = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
    return float(min(ceil_div(width, wide) * ceil_div(words, deep) for deep, wide in shapes if wide <= widest)), 0.0


SMALLEST_BLOCK_MEMORY = 1024
LUT_RAM_WORDS = 32
BLOCK_ROW_BITS = 64
"""What the sparsity engine keeps of a block row, about."""


def _array(config: AttentionConfig) -> Features:
    return 1, config.multipliers, config.block * config.lanes * config.accumulator_bits, config.block**2


def _predictor(config: AttentionConfig) -> Features:
    keys, lanes = config.predictor_keys, config.predictor_lanes
    products = config.block * keys * lanes
    # Tables of sums are as deep as a row of queries has chunks.
    return 1, products, products * config.predictor_chunks, keys * lanes, config.block * lanes


def _sparsity_engine(config: AttentionConfig) -> Features:
    rows, _ = _memory(2 * config.blocks, BLOCK_ROW_BITS)
    masks, _ = _memory(2 * config.blocks, config.blocks)
    return 1, config.predictor_blocks * config.block**2, config.importance_bits, config.length_bits, rows, masks


def _softmax(config: AttentionConfig) -> Features:
    scores = config.block**2 * config.score_bits
    return 1, scores, config.block * config.denominator_bits, config.block**2, *_memory(2 * config.blocks, scores)


def _normalise(config: AttentionConfig) -> Features:
    return 1, config.output_lanes * config.accumulator_bits, config.block * config.lanes * config.accumulator_bits


def _value_sums(config: AttentionConfig) -> Features:
    bits = config.lanes * config.value_sum_bits
    return 1, bits, bits * config.chunks, config.lanes


def _scratchpads(config: AttentionConfig) -> Features:
    """Q, K and V twice, and what the predictor takes of Q and K."""
    block, lanes = config.block, config.lanes
    slots = 2 * config.blocks
    row = block * config.predictor_lanes * config.integer_bits
    memories = [
        _memory(slots * config.chunks, 8 * block * lanes),
        _memory(2 * slots * config.chunks, 8 * block * lanes),
        _memory(slots * config.predictor_chunks, row),
        _memory(slots * config.predictor_chunks, row * config.predictor_blocks),
    ]
    return 1, sum(blocks for blocks, _ in memories), sum(cells for _, cells in memories)


def _around(config: AttentionConfig) -> Features:
    return 1, config.lanes, config.predictor_lanes, config.length_bits


def _row_engines(config: SpmmConfig) -> Features:
    spreads = WeightFormat.BBS in config.formats
    tree = config.lanes if spreads else 0
    return tuple(config.rows * each for each in (1, config.lanes, tree, len(config.formats), config.banks))


def _drain(config: SpmmConfig) -> Features:
    return 1, config.drain_lanes, config.rows * config.lanes, config.rows * config.drain_lanes


def _tile_memories(config: SpmmConfig) -> Features:
    # Two row engines share a copy; each has two slots of all banks.
    copies = 2 * config.banks * ceil_div(config.rows, 2)
    blocks, cells = _memory(config.max_columns, 8 * config.spread_tokens, widest=18)
    return 1, ceil_div(config.rows, 2) * config.lanes, copies * blocks, copies * cells, config.lanes


def _collector(config: SpmmConfig) -> Features:
    word = config.drain_lanes * 8 + config.drain_lanes.bit_length()
    blocks, cells = _memory(config.rows * config.result_rows * config.beats_per_row, word)
    return 1, config.drain_lanes, config.rows, blocks, cells


def _queues(config: SpmmConfig) -> Features:
    words = config.rows * config.result_rows
    return 1, config.column_bits, words / 16, config.rows


FEATURES: dict[str, dict[str, Callable[[Any], Features]]] = {
    "attention": {
        "predictor": _predictor,
        "sparsity_engine": _sparsity_engine,
        "pe_array": _array,
        "softmax": _softmax,
        "normalise": _normalise,
        "value_sums": _value_sums,
        "scratchpads": _scratchpads,
        "rest": _around,
    },
    "spmm": {
        "row_engines": _row_engines,
        "drain": _drain,
        "tile_memories": _tile_memories,
        "collector": _collector,
        "rest": _queues,
    },
}
"""By unit and block: what the size of the block is a sum of multiples of."""

_KINDS = {
    r".*_scratchpad": "scratchpads",
    r"row_engine_\d+": "row_engines",
    r"tile_memory_\d+": "tile_memories",
}


def merged(blocks: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Counts of a netlist's blocks (see :func:`~thresher.synth.netlist.blocks`), by the blocks of :data:`FEATURES`."""
    known = {name for unit in FEATURES.values() for name in unit} - {"rest"}
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, counts in blocks.items():
        kind = next((kind for pattern, kind in _KINDS.items() if re.fullmatch(pattern, name)), name)
        target = found[kind if kind in known and name != TOP else "rest"]
        for each, value in counts.items():
            target[each] += value
    return {name: dict(counts) for name, counts in found.items()}


@functools.cache
def _coefficients() -> dict[str, Any]:
    return json.loads(COEFFICIENTS.read_text())


def block_resources(config: AttentionConfig | SpmmConfig) -> dict[str, Resources]:
    """Estimated counts of each block of the whole unit: ``lut``, ``ff``, ``bram`` and ``dsp`` on ECP5."""
    unit = "attention" if isinstance(config, AttentionConfig) else "spmm"
    found = {}
    for block, features in FEATURES[unit].items():
        values = features(config)
        counts = {
            name: round(sum(factor * value for factor, value in zip(factors, values, strict=True)))
            for name, factors in _coefficients()[unit][block].items()
        }
        found[block] = Resources(**counts)
    return found


def resources(config: AttentionConfig | SpmmConfig, unit: str | None = None) -> Resources:
    """Estimated counts of a unit, or of one of its parts.

    Raises
    ------
    ConfigError
        There is no estimate of the part.
    """
    blocks = block_resources(config)
    if unit in (None, "attention", "spmm"):
        return sum(blocks.values(), Resources())
    if unit not in blocks:
        raise ConfigError("unit", unit, "estimated are attention, spmm, " + ", ".join(blocks))
    return blocks[unit]
