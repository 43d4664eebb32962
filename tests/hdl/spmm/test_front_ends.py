"""Front ends, compared with the matrices that the golden model packed."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.spmm.packing import PackedWeights, unpack
from thresher.hdl.spmm.front_ends.bbs import Bbs
from thresher.hdl.spmm.front_ends.csr import Csr
from thresher.hdl.spmm.front_ends.csr_delta import CsrDelta
from thresher.hdl.spmm.front_ends.dense import Dense
from thresher.hdl.spmm.front_ends.nm import Nm
from thresher.hdl.spmm.product_streams import word_layout
from thresher.sim.bridge import pack
from thresher.sim.testbench import run_streams
from thresher.spec import SPMM_PRESETS, WeightFormat
from thresher.spec.formats import ceil_div
from thresher.spec.weight_words import ESCAPE

from ...operands import CORNERS
from ...products import random_weights

FRONT_ENDS = {front_end.weight_format: front_end for front_end in (Csr, CsrDelta, Bbs, Dense, Nm)}
TINY = SPMM_PRESETS["tiny"]
WIDE = dataclasses.replace(TINY, max_columns=1100, kept=3, group=16)


def test_every_format_has_a_front_end():
    assert set(FRONT_ENDS) == set(WeightFormat)


def tagged_words(config, packed: PackedWeights, *, spread: bool = False) -> list[dict]:
    """The words of all rows as the sequencer passes them on, step by step; the rows take turns in the two slots."""
    words, start = [], 0
    per_word = {WeightFormat.BBS: 1 if spread else config.banks, WeightFormat.NM: config.kept}.get(packed.format, 1)
    layout = word_layout(config, packed.format)
    for row, length in enumerate(packed.lengths.tolist()):
        tag = {"first": 1, "last": 1, "opens": 1, "place": 0, "empty": 1, "slot": row & 1}
        if not length:
            # An empty row has a step of its own, whose word is ignored.
            words.append({"word": (1 << layout.size) - 1, "tag": tag})
        for i in range(length):
            indices = (
                np.zeros(packed.values.shape[1], int) if layout["indices"].width == 0 else packed.indices[start + i]
            )
            bits = pack(layout, {"values": packed.values[start + i], "indices": indices})
            for place in range(per_word):
                first, last = i == 0 and place == 0, i == length - 1 and place == per_word - 1
                here = {"first": first, "last": last, "opens": place == 0, "place": place, "empty": 0}
                words.append({"word": bits, "tag": {**tag, **here}})
        start += length
    return words


def rows_of(steps: list[dict]) -> list[list[dict]]:
    """The steps of each row, separated by their tags."""
    rows: list[list[dict]] = []
    for step in steps:
        if step["first"]:
            rows.append([])
        rows[-1].append(step)
    for row, parts in enumerate(rows):
        assert [part["last"] for part in parts] == [0] * (len(parts) - 1) + [1], f"row {row}"
        assert {part["slot"] for part in parts} == {row & 1}, f"row {row}"
    return rows


def as_row(columns, values, count: int) -> np.ndarray:
    row = np.zeros(count, int)
    for column, value in zip(columns, values, strict=True):
        if value:
            row[column] += value
    return row


SIZES = [(1, "high"), (2, "low"), (-1, "zero"), (-1, "mixed"), (0, "random")]
"""Columns of a matrix, below one relative to the most that the engine takes; and the corner of its weights."""


@pytest.mark.parametrize("config", [TINY, WIDE], ids=["tiny", "wide"])
@pytest.mark.parametrize("weight_format", list(WeightFormat))
def test_steps_are_the_weights_of_the_row(config, weight_format):
    seed = list(WeightFormat).index(weight_format)
    rng = np.random.default_rng(seed)
    for columns, corner in SIZES:
        if columns < 1:
            columns += min(100, config.max_columns) if weight_format is WeightFormat.DENSE else config.max_columns
        density = 0.004 if columns > 1000 else 0.3  # low enough for escapes
        packed = random_weights(config, weight_format, 5, columns, rng, density=density, corner=corner)
        words = tagged_words(config, packed)
        dut = FRONT_ENDS[weight_format](config)
        settings = None
        if weight_format is WeightFormat.BBS:
            settings = {"spread": 0, "bank_columns": ceil_div(columns, config.banks)}
        found = run_streams(dut, {"i_words": words}, {"o_steps": len(words)}, seed=seed, settings=settings)
        rows = rows_of(found.values["o_steps"])
        expected = unpack(packed).toarray()
        assert len(rows) == packed.rows
        for row, parts in enumerate(rows):
            got = as_row([p["column"] for p in parts], [p["value"] for p in parts], columns)
            assert got.tolist() == expected[row].tolist(), f"seed {seed}, {columns} columns, row {row}"


def test_a_step_every_cycle():
    """Without stalls, no cycle passes without a step."""
    rng = np.random.default_rng(0)
    for weight_format, front_end in FRONT_ENDS.items():
        packed = random_weights(TINY, weight_format, 6, 40, rng, density=0.5)
        words = tagged_words(TINY, packed)
        settings = {"spread": 0, "bank_columns": 10} if weight_format is WeightFormat.BBS else None
        cycles = run_streams(
            front_end(TINY), {"i_words": words}, {"o_steps": len(words)}, seed=0, stall=0, settings=settings
        ).cycles["o_steps"]
        assert np.diff(cycles).tolist() == [1] * (len(words) - 1), weight_format


@pytest.mark.parametrize("corner", CORNERS)
def test_spread_steps_have_a_weight_of_every_bank(corner):
    seed = list(CORNERS).index(corner)
    rng = np.random.default_rng(seed)
    for columns in (1, 7, 64):
        packed = random_weights(TINY, WeightFormat.BBS, 5, columns, rng, density=0.5, corner=corner)
        words = tagged_words(TINY, packed, spread=True)
        length = ceil_div(columns, TINY.banks)
        found = run_streams(
            Bbs(TINY),
            {"i_words": words},
            {"o_steps": 0, "o_spread_steps": len(words)},
            seed=seed,
            settings={"spread": 1, "bank_columns": length},
        )
        expected = unpack(packed).toarray()
        for row, parts in enumerate(rows_of(found.values["o_spread_steps"])):
            places = [
                (bank * length + column, value)
                for part in parts
                for bank, (column, value) in enumerate(zip(part["columns"], part["values"], strict=True))
            ]
            got = as_row([column for column, _ in places], [value for _, value in places], columns)
            assert got.tolist() == expected[row].tolist(), f"seed {seed}, {columns} columns, row {row}"


def test_wide_matrices_have_escapes():
    """The wide configuration of the tests above is wide enough."""
    rng = np.random.default_rng(1)
    packed = random_weights(WIDE, WeightFormat.CSR_DELTA, 5, WIDE.max_columns, rng, density=0.004)
    assert (packed.indices == ESCAPE).any()
