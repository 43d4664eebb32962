"""What the blocks of an SpMM engine are made of."""

from collections.abc import Callable

from ..hdl.spmm.product_streams import weights_layout
from ..hdl.spmm.row_engine import parameters_layout
from ..hdl.spmm.tile_memory import READERS
from ..spec.formats import INT8_BITS, ceil_div
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .fabric import Fabric
from .parts import Parts, width

__all__ = ["SPMM_ALONE", "SPMM_PARTS"]


def _row_engine(config: SpmmConfig, on: Fabric) -> Parts:
    spreads = WeightFormat.BBS in config.formats
    sums = config.lanes * config.accumulator_bits
    tree = config.lanes * 2 * INT8_BITS if spreads else 0
    kept = on.memory(16, sums, old=True) + on.memory(16, width(parameters_layout(config)), old=True)
    banks = config.banks * (config.column_bits + INT8_BITS)
    word = width(weights_layout(config))
    # What holds X, if no bank's does.
    whole = 0 if spreads else config.lanes * INT8_BITS
    logic = (1, sums, tree, whole, len(config.formats) * config.column_bits, banks)
    return Parts(logic=logic, ff=(1, sums, tree, whole, word, banks), memory=kept, dsp=config.lanes)


def _row_engines(config: SpmmConfig, on: Fabric) -> Parts:
    return config.rows * _row_engine(config, on)


def _drain(config: SpmmConfig, on: Fabric) -> Parts:
    lanes = config.drain_lanes
    chosen = lanes * config.accumulator_bits * config.rows * config.beats_per_row
    spreads = WeightFormat.BBS in config.formats
    # Lanes that belong to the same engine share its parameters.
    homes = min(config.rows, ceil_div(lanes, config.spread_tokens)) if spreads else 1
    # Registers of the engines' sums have the drain's names after flattening, where no tree of adders takes them first.
    sums = 0 if spreads else config.rows * config.lanes * config.accumulator_bits
    totals = config.rows * lanes * config.accumulator_bits
    features = (1, lanes * config.biased_bits, chosen, totals, homes * width(parameters_layout(config)))
    # A table of its own for each lane, and a product of two parts.
    table = on.memory(1 << INT8_BITS, INT8_BITS)
    return Parts(logic=features, ff=(*features, sums), memory=lanes * table, dsp=2 * lanes)


def _tile_memory(config: SpmmConfig, on: Fabric) -> Parts:
    """Two slots of all banks, for some row engines."""
    readers = min(config.rows, READERS)
    word = INT8_BITS * config.spread_tokens
    bank = on.memory(config.max_columns, word, readers=readers, at_writer=True)
    memory = 2 * config.banks * bank
    # Of flip-flops each reader chooses by itself.
    chosen = 0 if on.lut_ram else (readers - 1) * memory.cells
    addresses = config.banks * config.column_bits
    return Parts(
        logic=(1, readers * config.lanes, memory.blocks, config.banks, 2 * config.banks * on.above(bank, word), chosen),
        # Block memories have registers of their own.
        ff=(1, *(readers * config.lanes * many for many in (1, not memory.blocks)), addresses, readers * addresses),
        memory=memory,
    )


def _tile_memories(config: SpmmConfig, on: Fabric) -> Parts:
    return ceil_div(config.rows, READERS) * _tile_memory(config, on)


def _collector(config: SpmmConfig, on: Fabric) -> Parts:
    word = config.drain_lanes * INT8_BITS + config.drain_lanes.bit_length()
    words = config.rows * config.result_rows * config.beats_per_row
    memory = on.memory(words, word)
    features = (1, config.drain_lanes, config.rows, words.bit_length())
    return Parts(logic=(*features, on.above(memory, word)), ff=(*features, word), memory=memory)


def _input_loader(config: SpmmConfig, on: Fabric) -> Parts:
    features = (1, config.lanes, config.column_bits)
    return Parts(logic=(*features, WeightFormat.BBS in config.formats), ff=features)


def _dispatcher(config: SpmmConfig, on: Fabric) -> Parts:
    features = (1, config.rows, len(config.formats) * config.column_bits)
    return Parts(logic=features, ff=features)


def _queues(config: SpmmConfig, on: Fabric) -> Parts:
    # Of rows in their order: engine, beats and flags.
    told = config.rows.bit_length() + config.beats_per_row.bit_length() + 2
    memory = on.memory(config.rows * config.result_rows, told)
    features = (1, config.column_bits, config.rows)
    return Parts(logic=features, ff=features, memory=memory)


SPMM_PARTS: dict[str, Callable[[SpmmConfig, Fabric], Parts]] = {
    "row_engines": _row_engines,
    "drain": _drain,
    "tile_memories": _tile_memories,
    "collector": _collector,
    "loader": _input_loader,
    "dispatcher": _dispatcher,
    "rest": _queues,
}
"""By block."""

SPMM_ALONE: dict[str, Callable[[SpmmConfig, Fabric], Parts]] = {
    "input_loader": _input_loader,
    "tile_memory": _tile_memory,
    "row_engine": _row_engine,
    "dispatcher": _dispatcher,
    "drain": _drain,
    "collector": _collector,
}
"""By part."""
