"""Named configurations and policies."""

import dataclasses

from .config import AttentionConfig, Fill, HeadRule, Importance, Normalise, Score, Split
from .errors import ConfigError

__all__ = ["POLICIES", "PRESETS", "preset"]

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
    # For tests and the smallest FPGAs: eight multipliers.
    "tiny": AttentionConfig(
        max_length=16, max_head_dim=8, lanes=2, predictor_lanes=4, predictor_blocks=1, output_lanes=2
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
