"""Hypothesis strategies and seeded generators that the tests of several rooms share."""

import math

import numpy as np
from hypothesis import strategies as st
from thresher.spec import AttentionConfig, Fill, HeadRule, Importance, Normalise, Score, Split

INT8 = st.integers(-128, 127)


def _divisors(value: int) -> list[int]:
    return [d for d in range(1, value + 1) if value % d == 0]


@st.composite
def configs(draw: st.DrawFn, *, largest_length: int = 1024, largest_head_dim: int = 256) -> AttentionConfig:
    """Every legal configuration up to the given sizes."""
    block = draw(st.sampled_from([2, 4]))
    lanes = 1 << draw(st.integers(1, int(math.log2(largest_head_dim))))
    chunks = draw(st.integers(1, largest_head_dim // lanes))
    return AttentionConfig(
        max_length=block * draw(st.integers(1, largest_length // block)),
        max_head_dim=lanes * chunks,
        lanes=lanes,
        block=block,
        predictor_lanes=lanes * draw(st.sampled_from(_divisors(chunks))),
        predictor_blocks=draw(st.sampled_from([1, 2, 4])),
        output_lanes=1 << draw(st.integers(0, int(math.log2(lanes)))),
        weight_bits=draw(st.integers(8, 15)),
        fraction_bits=draw(st.integers(2, 6)),
        reciprocal_segments=1 << draw(st.integers(0, 6)),
        split=draw(st.sampled_from(Split)),
        importance=draw(st.sampled_from(Importance)),
        score=draw(st.sampled_from(Score)),
        fill=draw(st.sampled_from(Fill)),
        normalise=draw(st.sampled_from(Normalise)),
        head_rule=draw(st.sampled_from(HeadRule)),
    )


def int8_matrix(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Uniform INT8 values, −128 included."""
    return rng.integers(-128, 128, (rows, columns), dtype=np.int8)
