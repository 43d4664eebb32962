"""The size of the smallest preset, by Yosys, against the committed figures."""

import pytest

from ..bench_scripts import bench_script

bench = bench_script("synth")


@pytest.mark.parametrize("unit", list(bench.UNITS))
def test_tiny_is_as_large_as_committed(unit, tmp_path):
    row = bench.count("tiny", unit, tmp_path)
    # If the change is meant: python bench/synth.py --write
    assert bench.differences(bench.known()["tiny", unit], row) == []


def test_differences_are_seen():
    row = dict(bench.known()["tiny", "spmm"])
    assert bench.differences(row, row) == []
    assert bench.differences(row, row | {"lut4": round(row["lut4"] * 1.029)}) == []
    (told,) = bench.differences(row, row | {"lut4": round(row["lut4"] * 1.05)})
    assert told.startswith("lut4: ")
    (told,) = bench.differences(row, row | {"dsp": row["dsp"] + 1})
    assert told.startswith("dsp: ")
    assert bench.differences(None, row)
