"""The tables that hardware and golden read from one place: the piecewise-linear reciprocal, and GELU."""

import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import ConfigError
from thresher.spec.formats import RECIPROCAL_FRACTION
from thresher.spec.tables import gelu_table, reciprocal_table

SEGMENTS = [1, 2, 4, 8, 16, 32, 64]


def _line(segments: int, x: np.ndarray) -> np.ndarray:
    """The table's value at x, 1 ≤ x < 2, in real arithmetic."""
    table = np.array(reciprocal_table(segments)) / 2**RECIPROCAL_FRACTION
    piece = np.floor((x - 1) * segments).astype(int)
    return table[piece, 0] - table[piece, 1] * ((x - 1) * segments - piece)


@pytest.mark.parametrize("segments", SEGMENTS)
def test_error_is_that_of_the_best_line(segments):
    x = np.linspace(1, 2, 200_000, endpoint=False)
    error = _line(segments, x) - 1 / x
    # The first piece is the steepest; half of its chord's gap is the smallest largest error a line can have.
    x1 = 1 + 1 / segments
    best = (1 - 1 / math.sqrt(x1)) ** 2 / 2
    rounding = 2.0**-RECIPROCAL_FRACTION
    assert error.max() <= best + rounding
    assert -error.min() <= best + rounding
    assert error.max() >= best - rounding
    assert -error.min() >= best - rounding


@pytest.mark.parametrize("segments", SEGMENTS)
def test_reciprocal_entries_are_those_of_the_contract(segments):
    """Section 10 of docs/numbers.md, word for word, in exact arithmetic."""
    with localcontext(prec=50):
        for i, entry in enumerate(reciprocal_table(segments)):
            x0, x1 = 1 + Decimal(i) / segments, 1 + Decimal(i + 1) / segments
            offset = 2**16 * (1 / x0 - (1 / x0.sqrt() - 1 / x1.sqrt()) ** 2 / 2)
            drop = 2**16 * (1 / x0 - 1 / x1)
            assert entry == (math.floor(offset + Decimal("0.5")), math.floor(drop + Decimal("0.5")))


def test_known_errors():
    """The figures that docs/numbers.md states: relative error of one segment, and of the default 32."""
    x = np.linspace(1, 2, 200_000, endpoint=False)
    worst = {segments: np.abs(_line(segments, x) * x - 1).max() for segments in (1, 32)}
    assert 0.08 < worst[1] < 0.087
    assert 1.1e-4 < worst[32] < 1.3e-4


@pytest.mark.parametrize("segments", SEGMENTS)
def test_entries_fit_their_width_and_fall(segments):
    table = reciprocal_table(segments)
    assert len(table) == segments
    assert all(0 < drop < offset <= 1 << RECIPROCAL_FRACTION for offset, drop in table)
    starts = [offset for offset, _ in table]
    assert starts == sorted(starts, reverse=True)
    for (offset, drop), (following, _) in itertools.pairwise(table):
        # Neighbours are lowered by different amounts, so pieces part, but by less than the first one's lowering.
        assert abs(following - (offset - drop)) <= (1 << RECIPROCAL_FRACTION) / segments**2 / 8 + 2


# -- GELU --------------------------------------------------------------------------------------

SCALES = st.floats(1e-4, 10)


def _gelu(x: float) -> float:
    """x·Φ(x), with Φ from the complementary error function, which keeps its precision far below zero."""
    return x * math.erfc(-x / math.sqrt(2)) / 2


@given(SCALES, SCALES)
def test_gelu_is_the_nearest_integer(input_scale, output_scale):
    table = gelu_table(input_scale, output_scale)
    assert len(table) == 256
    for value, entry in zip(range(-128, 128), table, strict=True):
        exact = _gelu(value * input_scale) / output_scale
        assert abs(entry - max(-128, min(127, exact))) <= 0.5 + 1e-9
        assert -128 <= entry <= 127


def test_gelu_by_known_values():
    """At 1, −1 and 2: 0.8413447, −0.1586553 and 1.9544997."""
    table = gelu_table(1 / 32, 1 / 64)
    assert [table[128 + value] for value in (0, 32, -32, 64)] == [0, round(0.8413447 * 64), round(-0.1586553 * 64), 125]
    assert table[128 - 128] == 0


def test_gelu_rounds_halves_up_where_it_is_the_identity():
    table = gelu_table(1.0, 2.0)
    assert [table[128 + value] for value in (9, 11, 13)] == [5, 6, 7]


def test_gelu_saturates():
    assert gelu_table(1.0, 1e-3)[-1] == 127
    assert min(gelu_table(0.05, 1e-3)) == -128


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["input_scale", "output_scale"])
def test_meaningless_gelu_scales_are_rejected(name, scale):
    with pytest.raises(ConfigError, match=f"{name}=.* must be a positive, finite number"):
        gelu_table(**({"input_scale": 1.0, "output_scale": 1.0} | {name: scale}))
