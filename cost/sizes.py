"""Sizes of a whole unit on a chip: look-up tables, flip-flops, block memories and multipliers.

Multipliers and block memories follow from rules. Look-up tables and flip-flops are linear in a few features of the
configuration. ``bench/sizes.py`` fits the factors to the measured units in ``measured.json``, at most twenty per unit
and fabric. The stated bound of their relative error is 30 %.
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
"""Stated bound of the relative error of look-up tables and flip-flops."""
MEASURED = Path(__file__).with_name("measured.json")
"""Factors and the measured units that they are fitted to. ``bench/sizes.py`` writes this file."""
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
        The fabric is unknown.
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
    """Measured sizes of a unit in the form of :func:`sizes`, or ``None`` if the record does not have it."""
    for row in _record()["units"]:
        same_unit = (row["unit"] == "spmm") == isinstance(config, SpmmConfig)
        if same_unit and config.from_fields(row["configuration"]) == config:
            return row["sizes"].get(fabric)
    return None


def compared(config: Config, fabric: str, counted: Mapping[str, int] | None) -> dict[str, dict[str, Any]]:
    """Compare estimated with counted sizes. The result is empty if the fabric has no estimates.

    Returns
    -------
    dict
        For each of :data:`COUNTS`: ``estimate``, ``measured``, relative ``error``, and ``band``, its stated bound.
        ``measured`` and ``error`` are ``None`` if nothing was counted. ``error`` is also ``None`` if the count is 0.
    """
    found = {}
    for name, estimate in (sizes(config, fabric) if fabric in FABRICS else {}).items():
        real = None if counted is None else counted[name]
        error = estimate / real - 1 if real else None
        band = BAND if name in FITTED else 0.0
        found[name] = {"estimate": estimate, "measured": real, "error": error, "band": band}
    return found


def kind(config: Config) -> str:
    """Kind of a unit: ``"pipelined"``, ``"compact"`` or ``"spmm"``. Units of one kind have the same features."""
    if isinstance(config, SpmmConfig):
        return "spmm"
    return "compact" if config.compact else "pipelined"


def multipliers(config: Config, factor_bits: int) -> int:
    """Multipliers of a unit on a chip. ``factor_bits`` is :attr:`~thresher.cost.memories.Fabric.factor_bits`."""
    if not factor_bits:
        return 0
    if isinstance(config, SpmmConfig):
        return config.multipliers + 2 * config.drain_lanes
    early, filled = config.normalise is Normalise.EARLY, config.fill is not Fill.SKIP
    if config.compact:
        return config.multipliers + 3 + early + filled
    # Two for each exponential and background. With `early`, one more for each weight and background.
    softmax = 2 * (config.block**2 + 1) + early * (config.block**2 + 1)
    # If an operand has one bit more than a multiplier takes, logic multiplies that bit.
    parts = {bits: ceil_div(bits - 1, factor_bits) for bits in (config.output_operand_bits, config.value_sum_bits)}
    scale = max(parts[config.output_operand_bits], 2 if config.output_operand_bits > 18 else 1)
    output = config.output_lanes * (scale + filled * parts[config.value_sum_bits])
    return config.multipliers + softmax + output + (not early)


def features(config: Config) -> dict[str, float]:
    """Features of a unit that its look-up tables and flip-flops are linear in, mostly numbers of register bits."""
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
