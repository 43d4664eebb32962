"""The piecewise-linear reciprocal that hardware and golden read from one table."""

import itertools
import math

import numpy as np
import pytest
from thresher.spec.formats import RECIPROCAL_FRACTION
from thresher.spec.tables import reciprocal_table

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
