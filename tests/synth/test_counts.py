"""The size of the smallest preset, by Yosys, against the committed figures."""

import importlib.util
import sys
from pathlib import Path

import pytest
import thresher


def _bench():
    """``bench/synth.py``, which belongs to no package."""
    path = Path(thresher.__file__).parent / "bench" / "synth.py"
    spec = importlib.util.spec_from_file_location("bench_synth", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = _bench()


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
