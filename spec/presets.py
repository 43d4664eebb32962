"""Named configurations and policies."""

import dataclasses

from .attention_config import AttentionConfig, Fill, HeadRule, Importance, Normalise, Score, Split
from .errors import ConfigError
from .spmm_config import SpmmConfig

__all__ = ["POLICIES", "PRESETS", "SPMM_PRESETS", "preset", "spmm_preset"]

POLICIES = {
    "thresher": dict(
        split=Split.ROUND,
        importance=Importance.MAX,
        score=Score.EXACT,
        fill=Fill.BACKGROUND,
        normalise=Normalise.LATE,
        head_rule=HeadRule.PER_ELEMENT,
    ),
    "hdp": dict(
        split=Split.TRUNC,
        importance=Importance.ABS_SUM,
        score=Score.APPROX,
        fill=Fill.ZERO,
        normalise=Normalise.LATE,
        head_rule=HeadRule.ABSOLUTE,
    ),
}
"""``thresher``: what measured best. ``hdp``: the rules of Hybrid Dynamic Pruning (arXiv 2407.12893)."""

PRESETS = {
    # An iCE40 UP5K, beside a serial link: four of its eight multipliers are lanes, the others convert and normalise.
    "tiny": AttentionConfig(
        max_length=16, max_head_dim=8, lanes=1, predictor_lanes=2, predictor_blocks=1, output_lanes=1, compact=True
    ),
    # An LFE5U-85F: 128 of its 156 multipliers are lanes. Two blocks are predicted per cycle, twice what
    # 75 % block sparsity needs, so that the predictor does not yet bind at 90 %.
    "edge": AttentionConfig(
        max_length=256, max_head_dim=64, lanes=32, predictor_lanes=64, predictor_blocks=2, output_lanes=4
    ),
    # An ASIC tile or a large FPGA.
    "server": AttentionConfig(
        max_length=512, max_head_dim=128, lanes=128, predictor_lanes=128, predictor_blocks=4, output_lanes=16
    ),
}

SPMM_PRESETS = {
    # For tests: eight multipliers.
    "tiny": SpmmConfig(rows=2, lanes=4, banks=4, drain_lanes=2, max_columns=64, result_rows=8),
    # An LFE5U-85F: 128 multipliers in DSP blocks; X of 2 · 2048 columns fills two DP16KD per lane and two engines.
    "edge": SpmmConfig(rows=4, lanes=32, banks=32, drain_lanes=8, max_columns=2048, result_rows=128),
    # An ASIC tile or a large FPGA.
    "server": SpmmConfig(rows=16, lanes=64, banks=64, drain_lanes=32, max_columns=4096, result_rows=128),
}


def preset(name: str, *, policy: str = "thresher") -> AttentionConfig:
    """The named preset under the named policy.

    Raises
    ------
    ConfigError
        Either name is unknown.
    """
    if name not in PRESETS:
        raise ConfigError("preset", name, "must be one of " + ", ".join(PRESETS))
    if policy not in POLICIES:
        raise ConfigError("policy", policy, "must be one of " + ", ".join(POLICIES))
    return dataclasses.replace(PRESETS[name], **POLICIES[policy])


def spmm_preset(name: str) -> SpmmConfig:
    """The named SpMM engine.

    Raises
    ------
    ConfigError
        The name is unknown.
    """
    if name not in SPMM_PRESETS:
        raise ConfigError("preset", name, "must be one of " + ", ".join(SPMM_PRESETS))
    return SPMM_PRESETS[name]
