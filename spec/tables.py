"""Contents of the lookup tables that hardware and golden model share."""

import math

from .formats import RECIPROCAL_FRACTION

__all__ = ["reciprocal_table"]


def reciprocal_table(segments: int) -> list[tuple[int, int]]:
    """Offset and drop of each piece of the piecewise-linear 1/x, 1 ≤ x < 2.

    Piece i covers x in [1 + i/segments, 1 + (i+1)/segments). Across it the value falls from ``offset`` by ``drop``,
    both with 16 fraction bits. The line is the chord of 1/x lowered by half of the chord's largest gap,
    (1/√x0 − 1/√x1)²/2, which makes the largest error of either sign equal: the best line of that slope.
    """
    one = 1 << RECIPROCAL_FRACTION
    table = []
    for i in range(segments):
        x0, x1 = 1 + i / segments, 1 + (i + 1) / segments
        lowered = (1 / math.sqrt(x0) - 1 / math.sqrt(x1)) ** 2 / 2
        table.append((round(one * (1 / x0 - lowered)), round(one * (1 / x0 - 1 / x1))))
    return table
