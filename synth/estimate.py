"""How large a unit will be on a chip, in milliseconds and without running anything.

Multipliers and memories follow from the configuration. Look-up tables and flip-flops of a block are sums of a few
numbers that follow from it too, such as bits of registers, times factors fitted to counts of Yosys, for each fabric of
chips (see :mod:`.fabric`).
"""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..hdl.sparse.tile_memory import READERS
from ..spec.config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.formats import ceil_div
from ..spec.spmm_config import SpmmConfig
from .attention_parts import ATTENTION_PARTS, COMPACT
from .fabric import ECP5, Fabric
from .netlist import Resources
from .parts import Parts
from .spmm_parts import SPMM_PARTS

__all__ = ["COEFFICIENTS", "FEATURES", "FITTED", "block_resources", "merged", "resources"]

COEFFICIENTS = Path(__file__).with_name("estimates.json")
"""Fitted to counts of Yosys by ``bench/sizes.py``: by fabric, unit, block and count, a factor for each feature."""

FITTED = ("logic", "ff")
"""What is fitted: :attr:`~.fabric.Fabric.logic`, and flip-flops."""

FEATURES: dict[str, dict[str, Callable[[Any, Fabric], Parts]]] = {"attention": ATTENTION_PARTS, "spmm": SPMM_PARTS}
"""By unit and block: what the block is made of."""

_KINDS = {
    r".*_scratchpad": "scratchpads",
    r"row_engine_\d+": "row_engines",
    r"tile_memory_\d+": "tile_memories",
}

_BLOCKS = {
    "head_loader": "loader",
    "output_buffer": "output",
    "input_loader": "loader",
    "row_engine": "row_engines",
    "tile_memory": "tile_memories",
}
"""Those that parts of the hardware have other names for."""


def merged(config: AttentionConfig | SpmmConfig, blocks: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Counts of a netlist's blocks (see :func:`~thresher.synth.netlist.blocks`), by the blocks of :data:`FEATURES`."""
    found: dict[str, dict[str, int]] = {name: defaultdict(int) for name in _parts_of(config)}
    for name, counts in blocks.items():
        kind = next((kind for pattern, kind in _KINDS.items() if re.fullmatch(pattern, name)), name)
        kind = next(each for each in (COMPACT + kind, kind, COMPACT + "rest", "rest") if each in found)
        for each, value in counts.items():
            found[kind][each] += value
    return {name: dict(counts) for name, counts in found.items()}


def _unit_of(config: AttentionConfig | SpmmConfig) -> str:
    """Name of the whole unit."""
    return "attention" if isinstance(config, AttentionConfig) else "spmm"


def _parts_of(config: AttentionConfig | SpmmConfig) -> dict[str, Callable[[Any, Fabric], Parts]]:
    """Those blocks that the configuration has."""
    listed = FEATURES[_unit_of(config)]
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
    """Estimated counts of each block of the whole unit: ``lut`` or ``gates``, ``ff``, ``bram`` and ``dsp``.

    Parameters
    ----------
    coefficients : dict, optional
        Others than those of the fabric in :data:`COEFFICIENTS`.

    Raises
    ------
    ConfigError
        Cores of this kind are not fitted on the fabric.
    """
    unit = _unit_of(config)
    factors = (_coefficients()[on.name] if coefficients is None else coefficients)[unit]
    found = {}
    for block, parts_of in _parts_of(config).items():
        if block not in factors:
            raise ConfigError("compact", False, f"is not estimated for {on.name}: choose a compact core, no other fits")
        parts = parts_of(config, on)
        counts = {
            name: round(sum(a * b for a, b in zip(factors[block][name], parts.features(name, on), strict=True)))
            for name in FITTED
        }
        dsp = parts.dsp if on.multipliers else 0
        logic = {on.logic: counts["logic"]}
        found[block.removeprefix(COMPACT)] = Resources(**logic, ff=counts["ff"], bram=parts.memory.blocks, dsp=dsp)
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
        There is no such part, or as :func:`block_resources`.
    """
    blocks = block_resources(config, on, coefficients=coefficients)
    if unit in (None, _unit_of(config)):
        return sum(blocks.values(), Resources())
    block = _BLOCKS.get(unit, unit)
    if block not in blocks:
        raise ConfigError("unit", unit, f"estimated are {_unit_of(config)} and its blocks " + ", ".join(blocks))
    return blocks[block] // _copies(config, block)


def _copies(config: AttentionConfig | SpmmConfig, block: str) -> int:
    """How many parts a block is the sum of."""
    if isinstance(config, AttentionConfig):
        return 1
    return {"row_engines": config.rows, "tile_memories": ceil_div(config.rows, READERS)}.get(block, 1)
