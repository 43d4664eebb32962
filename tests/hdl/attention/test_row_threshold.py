"""The threshold of a row, compared with the exact rational number rounded up."""

import itertools
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from thresher.hdl.attention.selection.row_threshold import RowThreshold
from thresher.sim.testbench import run_streams
from thresher.spec import Importance
from thresher.spec.formats import RHO_FRACTION, ceil_div

from ..configs import tiny

ONE = 1 << RHO_FRACTION


def row(config, *, magnitude, keys, extreme, importance_sum):
    fields = dict.fromkeys(("bank", "slot", "row", "last_row", "pruned", "causal"), 0)
    return fields | {
        "queries": config.block,
        "magnitude": magnitude,
        "keys": keys,
        "extreme": extreme,
        "importance_sum": importance_sum,
    }


def corners(config):
    """Extremes and sums of every sign at the ends of their ranges, for one key and for the most keys."""
    peak = config.importance_peak
    for keys in (1, config.max_length):
        n = ceil_div(keys, config.block)
        for magnitude in (0, 1, ONE - 1, ONE):
            for extreme in (-peak, 0, peak):
                for total in (-peak * n, -1, 0, 1, peak * n):
                    yield row(config, magnitude=magnitude, keys=keys, extreme=extreme, importance_sum=total)


def random_rows(config, rng, count):
    peak = config.importance_peak
    for _ in range(count):
        keys = int(rng.integers(1, config.max_length + 1))
        n = ceil_div(keys, config.block)
        yield row(
            config,
            magnitude=int(rng.integers(0, ONE + 1)),
            keys=keys,
            extreme=int(rng.integers(-peak, peak + 1)),
            importance_sum=int(rng.integers(-peak * n, peak * n + 1)),
        )


@pytest.mark.parametrize("importance", list(Importance))
@pytest.mark.parametrize(("max_length", "block"), [(2, 2), (72, 4), (1024, 2)])
def test_threshold_is_the_exact_one_rounded_up(importance, max_length, block):
    config = tiny(max_length=max_length, block=block, importance=importance)
    seed = max_length
    rng = np.random.default_rng(seed)
    rows = [*corners(config), *random_rows(config, rng, 60)]
    transcript = run_streams(RowThreshold(config), {"i": rows}, {"o": len(rows)}, seed=seed, stall=0.3)
    for expected, got in zip(rows, transcript.values["o"], strict=True):
        n = ceil_div(expected["keys"], block)
        share = Fraction(expected["magnitude"], ONE)
        exact = share * expected["extreme"] + (1 - share) * Fraction(expected["importance_sum"], n)
        assert got["threshold"] == ceil(exact), f"seed {seed}: {expected}"
        assert got["row"] == expected, f"seed {seed}"


def test_rows_are_accepted_at_the_stated_interval():
    config = tiny()
    unit = RowThreshold(config)
    rows = [row(config, magnitude=ONE, keys=16, extreme=3, importance_sum=5)] * 7
    taken = run_streams(unit, {"i": rows}, {"o": 7}, seed=0, stall=0.0).cycles["i"]
    assert {b - a for a, b in itertools.pairwise(taken[2:])} == {unit.interval}  # the first rows wait for no division
