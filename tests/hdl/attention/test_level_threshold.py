"""Smallest kept levels, compared with the rule in exact integers."""

import itertools

import numpy as np
import pytest
from thresher.hdl.attention.selection.level_threshold import LevelThreshold
from thresher.sim.testbench import run_streams
from thresher.spec import BlockRule
from thresher.spec.formats import LEVEL_WEIGHT_BITS, RHO_FRACTION

from ..configs import tiny

TOP = 1 << LEVEL_WEIGHT_BITS
"""Weight of a query's largest level."""


def rows(config, rng, count):
    """Sums, largest levels and cutoffs at the ends of their ranges, then random ones."""
    most, peak, b = config.max_length * TOP, config.prediction_peak, config.block
    for index in range(count):
        totals, largest = rng.integers(TOP, most + 1, b), rng.integers(-peak, peak + 1, b)
        cutoff = int(rng.integers(512))
        if index < 8:
            totals[:], largest[:] = (TOP, most)[index % 2], (-peak, peak)[index % 2]
            cutoff = (0, 1, 256, 511)[index // 2]
        yield {"totals": totals.tolist(), "largest": largest.tolist(), "cutoff": cutoff, "queries": 1 + index % b}


def keeps(row, query, level):
    """Whether a block of this level is kept: 2^9 · weight ≥ cutoff · total. The weight is 0 below 2^−10."""
    below = row["largest"][query] - level
    weight = TOP >> below if below <= LEVEL_WEIGHT_BITS else 0
    return (weight << (RHO_FRACTION + 1)) >= row["cutoff"] * row["totals"][query]


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize(("max_length", "block"), [(2, 2), (72, 4), (1024, 2)])
def test_a_level_is_kept_if_it_reaches_the_threshold(max_length, block, bits):
    config = tiny(max_length=max_length, block=block, block_rule=BlockRule.PROBABILITY)
    given = list(rows(config, np.random.default_rng(max_length), 60))
    unit = LevelThreshold(config, bits_per_cycle=bits)
    found = run_streams(unit, {"i": given}, {"o": len(given)}, seed=max_length, stall=0.3).values["o"]
    lowest = -config.prediction_peak
    for row, thresholds in zip(given, found, strict=True):
        for query, least in enumerate(thresholds):
            largest = row["largest"][query]
            for level in {lowest, largest, *range(max(lowest, largest - 14), largest)}:
                inside = query < row["queries"]
                assert (level >= least) == (inside and keeps(row, query, level)), (row, query, level)


@pytest.mark.parametrize("bits", [1, 3])
def test_rows_are_accepted_at_the_stated_interval(bits):
    config = tiny(block_rule=BlockRule.PROBABILITY)
    unit = LevelThreshold(config, bits_per_cycle=bits)
    row = {"totals": [TOP] * 2, "largest": [0] * 2, "cutoff": 128, "queries": 2}
    taken = run_streams(unit, {"i": [row] * 5}, {"o": 5}, seed=0, stall=0.0).cycles["i"]
    assert {b - a for a, b in itertools.pairwise(taken)} == {unit.interval}
