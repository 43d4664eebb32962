"""Estimated cycles of products: cases worked out by hand, and the committed record."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from thresher.cost.spmm import BAND, NEXT_PASS, TOTAL, cycles
from thresher.runtime.products import estimated_cycles, pruned_weights, random_matrix
from thresher.spec import SpmmConfig, WeightFormat, spmm_preset

BASELINE = json.loads((Path(__file__).parents[2] / "bench" / "baselines" / "spmm.json").read_text())
RANDOM = [row for row in BASELINE if row["weights"] == "random"]
EDGE: SpmmConfig = spmm_preset("edge")
TINY: SpmmConfig = spmm_preset("tiny")


def test_dense_by_hand():
    """Four engines in step: two passes of two rounds of 40 columns after loading 40; at the end four rows, of as many
    beats as their tokens need, leave one after the other."""
    given: dict[str, Any] = dict(columns=40, lengths=[40] * 8)
    full = cycles(EDGE, WeightFormat.DENSE, tokens=64, **given)
    assert full == pytest.approx(40 + 2 * 80 + 4 * 4 + TOTAL, abs=NEXT_PASS)
    assert cycles(EDGE, WeightFormat.DENSE, tokens=33, **given) == full - 4 * 3


def test_one_token_of_spread_rows():
    """12 columns in each of 32 banks, 3 kept: 384 rounds of 3 steps for 1536 rows."""
    found = cycles(EDGE, WeightFormat.BBS, columns=384, tokens=1, lengths=[3] * 1536, spread=True)
    assert found == pytest.approx(12 + 384 * 3 + TOTAL, abs=5)


def test_loading_binds_where_there_is_little_work():
    """Two passes load one after the other, the third waits for a buffer."""
    found = cycles(EDGE, WeightFormat.CSR, columns=100, tokens=96, lengths=[1])
    assert 300 + TOTAL < found < 350 + TOTAL


def test_draining_binds_where_rows_are_empty():
    found = cycles(EDGE, WeightFormat.CSR, columns=5, tokens=32, lengths=[0] * 100)
    assert found == 5 + 1 + 100 * 4 + TOTAL


def test_speedups_that_the_formats_promise():
    """A 1536×384 matrix times 128 tokens."""
    given: dict[str, Any] = dict(columns=384, tokens=128)
    dense = cycles(EDGE, WeightFormat.DENSE, lengths=[384] * 1536, **given)
    assert 1536 * 384 * 128 / (EDGE.multipliers * dense) > 0.99
    assert dense / cycles(EDGE, WeightFormat.NM, lengths=[96] * 1536, **given) > 1.95
    assert dense / cycles(EDGE, WeightFormat.CSR, lengths=[38] * 1536, **given) > 9


def test_equal_passes_are_not_counted_one_by_one():
    given: dict[str, Any] = dict(columns=30, lengths=[7, 9, 4] * 5)
    few, more, many = (
        cycles(TINY, WeightFormat.CSR, tokens=TINY.lanes * passes, **given) for passes in (40, 42, 60_000)
    )
    assert many - few == (60_000 - 40) // 2 * (more - few)


def test_results_need_room():
    """With two rows of results per engine, each engine waits sixteen cycles for room."""
    tight, roomy = (dataclasses.replace(TINY, result_rows=rows) for rows in (2, 64))
    given: dict[str, Any] = dict(columns=8, tokens=1, lengths=[2] * 200, spread=True)
    assert cycles(tight, WeightFormat.BBS, **given) > 7.5 * 100
    assert cycles(roomy, WeightFormat.BBS, **given) < 2 * 100 + 60


@pytest.mark.parametrize("row", RANDOM, ids=lambda row: f"{row['preset']}-{row['format']}-{row['cycles']}")
def test_the_record_is_within_the_band(row):
    """The patterns of random weights are made again; those of trained weights need their file."""
    config = spmm_preset(row["preset"])
    matrix = random_matrix(row["rows"], row["columns"], seed=0)
    packed, _ = pruned_weights(config, matrix, WeightFormat(row["format"]), row["wanted_sparsity"])
    assert packed.stored == row["nnz"]
    found = estimated_cycles(config, packed, row["tokens"], spread=row["spread"])
    assert found == pytest.approx(row["cycles"], rel=BAND)
