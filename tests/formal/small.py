"""Smallest configurations that exercise each unit."""

import dataclasses

from thresher.spec import AttentionConfig, CoprocessorConfig, SpmmConfig, VectorConfig

__all__ = ["COMPACT", "COPROCESSOR", "PIPELINED", "SPMM", "VECTOR"]

COMPACT = AttentionConfig(
    max_length=4,
    max_head_dim=2,
    lanes=1,
    predictor_lanes=2,
    output_lanes=1,
    compact=True,
    weight_bits=8,
    fraction_bits=2,
    reciprocal_segments=1,
)
PIPELINED = dataclasses.replace(COMPACT, compact=False)
SPMM = SpmmConfig(
    rows=1,
    lanes=2,
    drain_lanes=2,
    max_columns=4,
    max_rows=3,
    max_tokens=3,
    banks=2,
    kept=1,
    group=2,
    result_rows=2,
)
VECTOR = VectorConfig(lanes=1, max_channels=2, max_tokens=3)
COPROCESSOR = CoprocessorConfig(
    spmm=dataclasses.replace(SPMM, lanes=8, drain_lanes=8),
    attention=dataclasses.replace(COMPACT, lanes=8, max_head_dim=16, predictor_lanes=16),
    vector=dataclasses.replace(VECTOR, lanes=8),
)
