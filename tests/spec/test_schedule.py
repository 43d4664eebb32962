"""Which row engine gets which row: the steps of a row, and list scheduling against its definition."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import SPMM_PRESETS, WeightFormat
from thresher.spec.schedule import row_steps, schedule

TINY, EDGE = SPMM_PRESETS["tiny"], SPMM_PRESETS["edge"]
STEPS = st.lists(st.integers(1, 50), max_size=40)
ENGINES = st.sampled_from([1, 2, 4, 8, 64])


def _engines(count: int):
    return dataclasses.replace(EDGE.with_formats(WeightFormat.CSR), rows=count)


@pytest.mark.parametrize(
    ("weight_format", "spread", "expected"),
    [
        (WeightFormat.CSR, False, [1, 1, 5]),
        (WeightFormat.CSR_DELTA, False, [1, 1, 5]),
        (WeightFormat.DENSE, False, [1, 1, 5]),
        (WeightFormat.NM, False, [1, 2, 10]),
        (WeightFormat.BBS, False, [1, 4, 20]),
        (WeightFormat.BBS, True, [1, 1, 5]),
    ],
)
def test_steps_of_a_row(weight_format, spread, expected):
    """A step per value of a word, or per word when the lanes are spread; an empty row takes one."""
    assert row_steps(TINY, weight_format, [0, 1, 5], spread=spread) == expected


@given(ENGINES, STEPS)
def test_a_row_goes_to_the_engine_that_is_free_first(count, steps):
    free = [0] * count
    for engine, taken in zip(schedule(_engines(count), steps, spread=False), steps, strict=True):
        assert engine == free.index(min(free))
        free[engine] += taken


@given(ENGINES, STEPS)
def test_the_longest_engine_is_within_a_row_of_the_mean(count, steps):
    """Graham's bound for list scheduling: the last row to end began when no engine was free."""
    engines = schedule(_engines(count), steps, spread=False)
    load = [sum(taken for engine, taken in zip(engines, steps, strict=True) if engine == i) for i in range(count)]
    longest = max(steps, default=0)
    assert count * max(load) <= sum(steps) + (count - 1) * longest


def test_ties_go_to_the_lowest_engine():
    assert schedule(_engines(4), [1] * 9, spread=False) == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert schedule(_engines(2), [3, 1, 1, 1, 1], spread=False) == [0, 1, 1, 1, 0]


@given(ENGINES, STEPS)
def test_spread_rows_go_round(count, steps):
    assert schedule(_engines(count), steps, spread=True) == [row % count for row in range(len(steps))]
