"""Hypothesis strategies that the tests of several rooms share."""

import math
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from thresher.spec import (
    AttentionConfig,
    BlockRule,
    Fill,
    HeadRule,
    Importance,
    Normalise,
    Score,
    Split,
    SpmmConfig,
    WeightFormat,
)

INT8 = st.integers(-128, 127)
Pattern = tuple[tuple[int, int], dict[tuple[int, int], int]]
"""Shape of a matrix, and its stored entries (some of them zero) by row and column."""


def drawn(strategy: Any, number: int) -> Any:
    """An example of a Hypothesis strategy, always the same for a number."""
    found: list[Any] = []
    quiet = settings(
        max_examples=10,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )

    @quiet
    @seed(number)
    @given(strategy)
    def draw(example: Any) -> None:
        found.append(example)

    draw()
    return found[-1]  # the first examples are small


def _divisors(value: int) -> list[int]:
    return [d for d in range(1, value + 1) if value % d == 0]


@st.composite
def configs(draw: st.DrawFn, *, largest_length: int = 1024, largest_head_dim: int = 256) -> AttentionConfig:
    """Every legal configuration up to the given sizes."""
    block = draw(st.sampled_from([2, 4]))
    lanes = 1 << draw(st.integers(0, int(math.log2(largest_head_dim))))
    # No head dimension of 1.
    least = 2 if lanes == 1 else 1
    chunks = draw(st.integers(least, largest_head_dim // lanes))
    compact = draw(st.booleans())
    block_rule = draw(st.sampled_from(BlockRule))
    probability = block_rule is BlockRule.PROBABILITY
    return AttentionConfig(
        max_length=block * draw(st.integers(1, largest_length // block)),
        max_head_dim=lanes * chunks,
        lanes=lanes,
        block=block,
        predictor_lanes=lanes * draw(st.sampled_from([d for d in _divisors(chunks) if d >= least])),
        predictor_blocks=draw(st.sampled_from([1, 2, 4])),
        output_lanes=1 if compact else 1 << draw(st.integers(0, int(math.log2(lanes)))),
        compact=compact,
        causal=draw(st.booleans()),
        weight_bits=draw(st.integers(8, 15)),
        fraction_bits=draw(st.integers(2, 6)),
        reciprocal_segments=1 << draw(st.integers(0, 6)),
        split=draw(st.sampled_from(Split)),
        importance=Importance.MAX if probability else draw(st.sampled_from(Importance)),
        block_rule=block_rule,
        score=draw(st.sampled_from(Score)),
        fill=draw(st.sampled_from([fill for fill in Fill if not (probability and fill is Fill.SKIP)])),
        normalise=draw(st.sampled_from(Normalise)),
        head_rule=draw(st.sampled_from(HeadRule)),
    )


@st.composite
def spmm_configs(
    draw: st.DrawFn,
    *,
    most_rows: int = 64,
    most_lanes: int = 256,
    largest_columns: int = 1 << 16,
    formats: tuple[WeightFormat, ...] = tuple(WeightFormat),
) -> SpmmConfig:
    """Every legal configuration up to the given sizes, with some of the given formats."""

    def power_of_two(low: int, high: int) -> int:
        return 1 << draw(st.integers(low.bit_length() - 1, high.bit_length() - 1))

    rows, lanes = power_of_two(1, most_rows), power_of_two(1, most_lanes)
    chosen = draw(st.sets(st.sampled_from(formats), min_size=1))
    banks, drain_lanes, least = 1, power_of_two(1, lanes), max(2, rows)
    if WeightFormat.BBS in chosen:
        lanes = max(lanes, least)
        banks = power_of_two(least, lanes)
        drain_lanes = power_of_two(rows * lanes // banks, lanes)
    group = power_of_two(2, 64)
    return SpmmConfig(
        rows=rows,
        lanes=lanes,
        drain_lanes=drain_lanes,
        max_columns=draw(st.integers(1, largest_columns)),
        max_rows=draw(st.integers(1, 1 << 24)),
        max_tokens=draw(st.integers(1, 1 << 24)),
        banks=banks,
        kept=draw(st.integers(1, group - 1)),
        group=group,
        formats=tuple(chosen),
        result_rows=power_of_two(2, 1024),
    )


@st.composite
def patterns(draw: st.DrawFn, *, most_rows: int = 4, most_columns: int = 1100) -> Pattern:
    """Sparse matrices of any pattern; wide ones have gaps that an 8-bit delta cannot cross."""
    rows, columns = draw(st.integers(1, most_rows)), draw(st.integers(1, most_columns))
    places = st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1))
    return (rows, columns), draw(st.dictionaries(places, INT8, max_size=12))


@st.composite
def balanced_patterns(draw: st.DrawFn) -> tuple[Pattern, int]:
    """Bank-balanced matrices, and the number of their banks."""
    banks = draw(st.sampled_from([2, 4, 8]))
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 5 * banks))
    width = -(-columns // banks)
    count = draw(st.integers(0, width))
    entries = {}
    for row in range(rows):
        for start in range(0, columns, width):
            size = min(width, columns - start)
            taken = count if size == width else draw(st.integers(0, min(size, count)))
            for column in draw(st.permutations(range(size)))[:taken]:
                entries[row, start + column] = draw(INT8)
    return ((rows, columns), entries), banks


@st.composite
def group_patterns(draw: st.DrawFn) -> tuple[Pattern, int, int]:
    """N:M matrices, and their N (kept) and M (group)."""
    group = draw(st.sampled_from([2, 4, 8, 16]))
    kept = draw(st.integers(1, group - 1))
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3 * group))
    entries = {}
    for row in range(rows):
        for start in range(0, columns, group):
            size = min(group, columns - start)
            taken = draw(st.integers(0, min(kept, size)))
            for column in draw(st.permutations(range(size)))[:taken]:
                entries[row, start + column] = draw(INT8)
    return ((rows, columns), entries), kept, group
