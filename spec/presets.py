"""Named configurations and policies."""

import dataclasses

from .attention_config import AttentionConfig, BlockRule, Fill, HeadRule, Importance, Normalise, Score, Split
from .base import look_up
from .coprocessor_config import CoprocessorConfig
from .spmm_config import SpmmConfig
from .vector_config import VectorConfig

__all__ = [
    "COPROCESSOR_PRESETS",
    "POLICIES",
    "PRESETS",
    "SPMM_PRESETS",
    "VECTOR_PRESETS",
    "coprocessor_preset",
    "preset",
    "spmm_preset",
    "vector_preset",
]

_THRESHER = dict(
    split=Split.ROUND,
    importance=Importance.MAX,
    block_rule=BlockRule.THRESHOLD,
    score=Score.EXACT,
    fill=Fill.BACKGROUND,
    normalise=Normalise.LATE,
    head_rule=HeadRule.PER_ELEMENT,
)

POLICIES = {
    "thresher": _THRESHER,
    "probability": _THRESHER | dict(block_rule=BlockRule.PROBABILITY),
    "hdp": dict(
        split=Split.TRUNC,
        importance=Importance.ABS_SUM,
        block_rule=BlockRule.THRESHOLD,
        score=Score.APPROX,
        fill=Fill.ZERO,
        normalise=Normalise.LATE,
        head_rule=HeadRule.ABSOLUTE,
    ),
}
"""``thresher``: thresholds between the mean and the largest importance of a row. ``probability``: the same with a
cutoff of the predicted probability. ``hdp``: the rules of Hybrid Dynamic Pruning (arXiv 2407.12893)."""

PRESETS = {
    # For an iCE40 UP5K with a serial link. The PE array takes four of its eight multipliers; the softmax and the
    # normaliser take the others.
    "tiny": AttentionConfig(
        max_length=16, max_head_dim=8, lanes=1, predictor_lanes=2, predictor_blocks=1, output_lanes=1, compact=True
    ),
    # For an LFE5U-85F. The PE array takes 128 of its 156 multipliers. The predictor computes two blocks per cycle,
    # twice the rate that 75 % block sparsity needs, so that it does not limit throughput up to 87.5 %.
    "edge": AttentionConfig(
        max_length=256, max_head_dim=64, lanes=32, predictor_lanes=64, predictor_blocks=2, output_lanes=4
    ),
    # For an ASIC tile or a large FPGA.
    "server": AttentionConfig(
        max_length=512, max_head_dim=128, lanes=128, predictor_lanes=128, predictor_blocks=4, output_lanes=16
    ),
}

SPMM_PRESETS = {
    # For tests: 8 multipliers.
    "tiny": SpmmConfig(rows=2, lanes=4, banks=4, drain_lanes=2, max_columns=64, result_rows=8),
    # For an LFE5U-85F: 128 multipliers in DSP blocks. The two tiles of X, 2048 columns each, fill two DP16KD block
    # memories for each lane of two row engines.
    "edge": SpmmConfig(rows=4, lanes=32, banks=32, drain_lanes=8, max_columns=2048, result_rows=128),
    # For an ASIC tile or a large FPGA.
    "server": SpmmConfig(rows=16, lanes=64, banks=64, drain_lanes=32, max_columns=4096, result_rows=128),
}

VECTOR_PRESETS = {
    # For tests: 7 multipliers.
    "tiny": VectorConfig(lanes=2, max_channels=64),
    # For an LFE5U-85F, beside the other units: 25 multipliers in DSP blocks.
    "edge": VectorConfig(lanes=8, max_channels=1024),
    # For an ASIC tile or a large FPGA.
    "server": VectorConfig(lanes=32, max_channels=1024),
}

COPROCESSOR_PRESETS = {
    # For tests, and for models of 128 channels.
    "tiny": CoprocessorConfig(
        spmm=SpmmConfig(rows=2, lanes=8, banks=8, drain_lanes=8, max_columns=512, result_rows=16),
        attention=AttentionConfig(max_length=64, max_head_dim=64, lanes=8, predictor_lanes=8),
        vector=VectorConfig(lanes=8, max_channels=256),
    ),
    # For an LFE5U-85F: 64 multipliers for products and 32 for attention.
    "edge": CoprocessorConfig(
        spmm=SpmmConfig(rows=2, lanes=32, banks=16, drain_lanes=8, max_columns=1536, result_rows=128),
        attention=AttentionConfig(
            max_length=256, max_head_dim=64, lanes=8, predictor_lanes=32, predictor_blocks=1, output_lanes=2
        ),
        vector=VectorConfig(lanes=8, max_channels=512),
    ),
    # For an ASIC tile or a large FPGA.
    "server": CoprocessorConfig(
        spmm=SPMM_PRESETS["server"],
        attention=dataclasses.replace(PRESETS["server"], lanes=8, predictor_blocks=2, output_lanes=8),
        vector=VectorConfig(lanes=8, max_channels=1024),
        cores=8,
    ),
}


def preset(name: str, *, policy: str = "thresher") -> AttentionConfig:
    """Attention configuration of a preset and a policy.

    Raises
    ------
    ConfigError
        A name is unknown.
    """
    return dataclasses.replace(look_up("preset", name, PRESETS), **look_up("policy", policy, POLICIES))


def spmm_preset(name: str) -> SpmmConfig:
    """SpMM configuration of a preset.

    Raises
    ------
    ConfigError
        The name is unknown.
    """
    return look_up("preset", name, SPMM_PRESETS)


def vector_preset(name: str) -> VectorConfig:
    """Configuration of the vector unit of a preset.

    Raises
    ------
    ConfigError
        The name is unknown.
    """
    return look_up("preset", name, VECTOR_PRESETS)


def coprocessor_preset(name: str, *, policy: str = "thresher") -> CoprocessorConfig:
    """Configuration of a co-processor of a preset, whose attention cores have a policy.

    Raises
    ------
    ConfigError
        A name is unknown.
    """
    config = look_up("preset", name, COPROCESSOR_PRESETS)
    attention = dataclasses.replace(config.attention, **look_up("policy", policy, POLICIES))
    return dataclasses.replace(config, attention=attention)
