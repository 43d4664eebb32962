"""What the blocks of an SpMM engine are made of."""

from collections.abc import Callable

from ..hdl.sparse.interface import weights_layout
from ..hdl.sparse.row_engine import parameters_layout
from ..hdl.sparse.tile_memory import READERS
from ..spec.formats import INT8_BITS, ceil_div
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .fabric import Fabric
from .parts import Parts, width

__all__ = ["SPMM_PARTS"]


def _row_engines(config: SpmmConfig, on: Fabric) -> Parts:
    """All of them."""
    spreads = WeightFormat.BBS in config.formats
    sums = config.lanes * config.accumulator_bits
    tree = config.lanes * 2 * INT8_BITS if spreads else 0
    kept = on.memory(16, sums, old=True) + on.memory(16, width(parameters_layout(config)), old=True)
    banks = config.banks * (config.column_bits + INT8_BITS)
    word = width(weights_layout(config))
    logic = (1, sums, tree, len(config.formats) * config.column_bits, banks)
    ff = (1, sums, tree, word, banks)
    return Parts(
        logic=tuple(config.rows * each for each in logic),
        ff=tuple(config.rows * each for each in ff),
        memory=config.rows * kept,
        dsp=config.multipliers,
    )


def _drain(config: SpmmConfig, on: Fabric) -> Parts:
    lanes = config.drain_lanes
    chosen = lanes * config.accumulator_bits * config.rows * config.beats_per_row
    # Lanes that belong to the same engine share its parameters.
    homes = min(config.rows, ceil_div(lanes, config.spread_tokens)) if WeightFormat.BBS in config.formats else 1
    totals = config.rows * lanes * config.accumulator_bits
    features = (1, lanes * config.biased_bits, chosen, totals, homes * width(parameters_layout(config)))
    # A table of its own for each lane, and a product of two parts.
    table = on.memory(1 << INT8_BITS, INT8_BITS)
    return Parts(logic=features, ff=features, memory=lanes * table, dsp=2 * lanes)


def _tile_memories(config: SpmmConfig, on: Fabric) -> Parts:
    # Row engines share copies; each has two slots of all banks.
    copies = 2 * config.banks * ceil_div(config.rows, READERS)
    readers = min(config.rows, READERS)
    memory = copies * on.memory(config.max_columns, INT8_BITS * config.spread_tokens, readers=readers, at_writer=True)
    # Of flip-flops each reader chooses by itself.
    chosen = 0 if on.lut_ram else (readers - 1) * memory.cells
    return Parts(
        logic=(1, config.rows * config.lanes, memory.blocks, copies, chosen),
        ff=(1, memory.cells, config.rows, config.rows * config.lanes),
        memory=memory,
    )


def _collector(config: SpmmConfig, on: Fabric) -> Parts:
    word = config.drain_lanes * INT8_BITS + config.drain_lanes.bit_length()
    memory = on.memory(config.rows * config.result_rows * config.beats_per_row, word)
    features = (1, word, config.rows)
    return Parts(logic=features, ff=features, memory=memory)


def _input_loader(config: SpmmConfig, on: Fabric) -> Parts:
    features = (1, config.lanes, config.column_bits)
    return Parts(logic=features, ff=features)


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
