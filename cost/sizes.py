"""Sizes of a whole unit on a chip: look-up tables, flip-flops, block memories and multipliers.

Multipliers and block memories are counted. Look-up tables and flip-flops are sums of a few numbers of the configuration
times factors. ``bench/sizes.py`` fits the factors to the measured units of ``measured.json``, at most twenty per unit
and fabric. They are within ±30 %.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..spec.attention_config import AttentionConfig, Fill, Normalise, Score
from ..spec.errors import ConfigError
from ..spec.formats import INT8_BITS, ceil_div
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .memories import FABRICS, TABLE_COLUMNS, block_memories

__all__ = ["BAND", "COUNTS", "FITTED", "MEASURED", "compared", "features", "kind", "measured", "multipliers", "sizes"]

BAND = 0.3
"""Relative error within which look-up tables and flip-flops are stated to be."""
MEASURED = Path(__file__).with_name("measured.json")
"""Factors, and the measured units that they are fitted to; written by ``bench/sizes.py``."""
COUNTS = ("lut4", "ff", "bram", "dsp")
FITTED = ("lut4", "ff")

Config = AttentionConfig | SpmmConfig


def sizes(config: Config, fabric: str) -> dict[str, int]:
    """Estimated sizes of a unit.

    Parameters
    ----------
    fabric : str
        One of :data:`~thresher.cost.memories.FABRICS`.

    Returns
    -------
    dict of str to int
        ``lut4`` (of six inputs on Xilinx), ``ff``, ``bram`` (18 Kbit; 4 Kbit on iCE40) and ``dsp``.

    Raises
    ------
    ConfigError
        There is no such fabric.
    """
    if fabric not in FABRICS:
        raise ConfigError("fabric", fabric, "sizes are estimated for " + ", ".join(FABRICS))
    factors = _record()["factors"][fabric][kind(config)]
    found = {
        name: round(sum(factors[name][feature] * value for feature, value in features(config).items()))
        for name in FITTED
    }
    return found | {
        "bram": block_memories(config, FABRICS[fabric]),
        "dsp": multipliers(config, FABRICS[fabric].factor_bits),
    }


def measured(config: Config, fabric: str) -> dict[str, int] | None:
    """Measured sizes of a unit, as of :func:`sizes`; ``None`` if it was not measured."""
    for row in _record()["units"]:
        if row["configuration"] == json.loads(config.to_json()):
            return row["sizes"].get(fabric)
    return None


def compared(config: Config, fabric: str, counted: Mapping[str, int] | None) -> dict[str, dict[str, Any]]:
    """Estimated sizes beside counted ones; empty if the fabric has no estimates.

    Returns
    -------
    dict
        For each of :data:`COUNTS`: ``estimate``, ``measured``, relative ``error`` and the stated ``band`` of it.
        ``measured`` is ``None`` if nothing was counted, ``error`` also if the count is 0.
    """
    found = {}
    for name, estimate in (sizes(config, fabric) if fabric in FABRICS else {}).items():
        real = None if counted is None else counted[name]
        error = estimate / real - 1 if real else None
        band = BAND if name in FITTED else 0.0
        found[name] = {"estimate": estimate, "measured": real, "error": error, "band": band}
    return found


def kind(config: Config) -> str:
    """Units of one kind have the same features: ``"pipelined"`` and ``"compact"`` attention cores, ``"spmm"``."""
    if isinstance(config, SpmmConfig):
        return "spmm"
    return "compact" if config.compact else "pipelined"


def multipliers(config: Config, factor_bits: int) -> int:
    """Multipliers of a unit on a chip whose multipliers take signed operands of some bits; 0 if it has none."""
    if not factor_bits:
        return 0
    if isinstance(config, SpmmConfig):
        return config.multipliers + 2 * config.drain_lanes
    early, filled = config.normalise is Normalise.EARLY, config.fill is not Fill.SKIP
    if config.compact:
        return config.multipliers + 3 + early + filled
    # Two per exponential and per background; early, one per weight and background more.
    softmax = 2 * (config.block**2 + 1) + early * (config.block**2 + 1)
    # An operand with one bit more than a multiplier takes has that bit multiplied by logic.
    parts = {bits: ceil_div(bits - 1, factor_bits) for bits in (config.output_operand_bits, config.value_sum_bits)}
    scale = max(parts[config.output_operand_bits], 2 if config.output_operand_bits > 18 else 1)
    output = config.output_lanes * (scale + filled * parts[config.value_sum_bits])
    return config.multipliers + softmax + output + (not early)


def features(config: Config) -> dict[str, float]:
    """Numbers that look-up tables and flip-flops of a unit grow with, mostly bits of registers."""
    if isinstance(config, SpmmConfig):
        return {
            "engine": 1,
            "accumulators": config.multipliers * config.accumulator_bits,
            "adder trees": (WeightFormat.BBS in config.formats) * config.multipliers * 2 * INT8_BITS,
            "front ends": config.rows * len(config.formats) * config.column_bits,
            "banks": config.rows * config.banks * (config.column_bits + INT8_BITS),
            "drain": config.drain_lanes * (config.biased_bits + config.rows * config.accumulator_bits),
        }
    block, positions = config.block, config.block**2
    filled = config.fill is not Fill.SKIP
    accumulators = config.lanes * (block * config.accumulator_bits + filled * config.value_sum_bits)
    approximate = config.score is Score.APPROX
    found: dict[str, float] = {
        "core": 1,
        "accumulators": accumulators,
        "approximate scores": approximate * config.multipliers * config.fraction_signed_bits**2,
    }
    predictions = positions * config.predictor_blocks
    if config.compact:
        return found | {"predictions": predictions * (config.predictor_lanes + config.prediction_bits)}
    tables = config.predictor_keys * config.integer_bits * ceil_div(config.predictor_lanes, TABLE_COLUMNS)
    early = config.normalise is Normalise.EARLY
    return found | {
        "predictions": predictions * config.prediction_bits,
        "predictor tables": tables * block * (config.integer_bits + 2),
        "softmax": positions * (config.score_bits + early * config.weight_bits),
        "output": config.output_lanes * config.accumulator_bits,
    }


@functools.cache
def _record() -> dict[str, Any]:
    return json.loads(MEASURED.read_text(encoding="utf-8"))
