"""How large a unit will be on a chip, in milliseconds and without running anything.

Multipliers and memories follow from the configuration. Look-up tables and flip-flops of a block are sums of a few
numbers that follow from it too, such as bits of registers, times factors fitted to counts of Yosys, for each fabric of
chips (see :mod:`.fabric`).
"""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.spmm_config import SpmmConfig
from ..synth.netlist import Resources
from .attention_parts import ATTENTION_ALONE, ATTENTION_PARTS, COMPACT
from .fabric import ECP5, Fabric
from .parts import Parts
from .spmm_parts import SPMM_ALONE, SPMM_PARTS

__all__ = ["ALONE", "COEFFICIENTS", "FEATURES", "FITTED", "block_resources", "merged", "part_key", "resources"]

COEFFICIENTS = Path(__file__).with_name("estimates.json")
"""Fitted to counts of Yosys by ``bench/sizes.py``: by fabric, key of :data:`FEATURES`, block and count, a factor for
each feature."""

FITTED = ("logic", "ff")
"""What is fitted: :attr:`~.fabric.Fabric.logic`, and flip-flops."""

ALONE = "alone"
"""Parts that are synthesised by themselves: other than blocks of a whole, they keep registers that flattening gives to
their neighbours, and nothing of theirs is shared."""

_ALONE: dict[str, dict[str, Callable[[Any, Fabric], Parts]]] = {"attention": ATTENTION_ALONE, "spmm": SPMM_ALONE}
"""By unit, and part of it."""

FEATURES: dict[str, dict[str, Callable[[Any, Fabric], Parts]]] = {
    "attention": ATTENTION_PARTS,
    "spmm": SPMM_PARTS,
    ALONE: _ALONE["attention"] | _ALONE["spmm"],
}
"""By unit, and block of it, or by part alone: what it is made of."""

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


def part_key(config: AttentionConfig | SpmmConfig, part: str) -> str:
    """Which of the parts alone a part is."""
    compact = isinstance(config, AttentionConfig) and config.compact
    return COMPACT + part if compact and COMPACT + part in FEATURES[ALONE] else part


def _factors_of(on: Fabric, coefficients: dict[str, Any] | None) -> dict[str, Any]:
    """Factors of a fabric, if there are no others."""
    return _coefficients()[on.name] if coefficients is None else coefficients


def _resources(parts: Parts, factors: Mapping[str, Sequence[float]], on: Fabric) -> Resources:
    counts = {
        name: round(sum(a * b for a, b in zip(factors[name], parts.features(name, on), strict=True))) for name in FITTED
    }
    dsp = parts.dsp if on.factor_bits else 0
    return Resources(**{on.logic: counts["logic"]}, ff=counts["ff"], bram=parts.memory.blocks, dsp=dsp)


def block_resources(
    config: AttentionConfig | SpmmConfig, on: Fabric = ECP5, *, coefficients: dict[str, Any] | None = None
) -> dict[str, Resources]:
    """Estimated counts of each block of the whole unit: ``lut`` or ``gates``, ``ff``, ``bram`` and ``dsp``.

    Parameters
    ----------
    coefficients : dict, optional
        Others than those of the fabric in :data:`COEFFICIENTS`.
    """
    factors = _factors_of(on, coefficients)[_unit_of(config)]
    return {
        block.removeprefix(COMPACT): _resources(parts_of(config, on), factors[block], on)
        for block, parts_of in _parts_of(config).items()
    }


def resources(
    config: AttentionConfig | SpmmConfig,
    unit: str | None = None,
    on: Fabric = ECP5,
    *,
    coefficients: dict[str, Any] | None = None,
) -> Resources:
    """Estimated counts of a unit, or of one of its parts alone.

    Parameters
    ----------
    coefficients : dict, optional
        See :func:`block_resources`.

    Raises
    ------
    ConfigError
        There is no such part.
    """
    whole = _unit_of(config)
    if unit in (None, whole):
        return sum(block_resources(config, on, coefficients=coefficients).values(), Resources())
    listed = _ALONE[whole]
    key = part_key(config, unit)
    if key not in listed:
        names = dict.fromkeys(name.removeprefix(COMPACT) for name in listed)
        raise ConfigError("unit", unit, f"estimated are {whole} and its parts " + ", ".join(names))
    return _resources(listed[key](config, on), _factors_of(on, coefficients)[ALONE][key], on)
