"""The size of the smallest preset, by Yosys, against the committed figures."""

import pytest
from thresher.hdl.emit import emit
from thresher.spec import preset
from thresher.synth.devices import device
from thresher.synth.flow import measure
from thresher.synth.netlist import TOP
from thresher.synth.tools import Source
from thresher.synth.units import make

from ..bench_scripts import bench_script

bench = bench_script("synth")


@pytest.mark.parametrize("unit", list(bench.UNITS))
def test_tiny_is_as_large_as_committed(unit, tmp_path):
    row = bench.count("tiny", unit, tmp_path)
    # If the change is meant: python bench/synth.py --write
    assert bench.differences(bench.known()["tiny", unit, bench.DEVICE, False], row) == []


def test_differences_are_seen():
    row = dict(bench.known()["tiny", "spmm", bench.DEVICE, False])
    assert bench.differences(row, row) == []
    assert bench.differences(row, row | {"lut4": round(row["lut4"] * 1.029)}) == []
    (told,) = bench.differences(row, row | {"lut4": round(row["lut4"] * 1.05)})
    assert told.startswith("lut4: ")
    (told,) = bench.differences(row, row | {"dsp": row["dsp"] + 1})
    assert told.startswith("dsp: ")
    assert bench.differences(None, row)


@pytest.mark.parametrize("name", ["lfe5u-85f", "ice40up5k", "xc7a100t", "xczu3eg", "generic"])
def test_blocks_are_told_apart_on_every_family(name, tmp_path):
    measured = measure(
        preset("tiny"),
        preset="tiny",
        unit="sparsity_engine",
        device=device(name),
        folder=tmp_path,
        place=False,
        source=Source.YOWASP,
    )
    sizes = {block.name: block.resources.lut + block.resources.gates for block in measured.blocks}
    assert {"measure", "choice", "kept_blocks"} <= set(sizes)
    assert sizes.get(TOP, 0) < 0.3 * sum(sizes.values())
    assert sizes["choice"] > 0.25 * sum(sizes.values())


def test_parts_of_a_compact_core_are_its_own():
    text = {name: emit(part, name=top) for name in ("tiny", "edge") for top, part in [make("softmax", preset(name))]}
    assert "module \\softmax.store " in text["tiny"]  # where a row's weights wait; plain ones compute them anew
    assert "module \\softmax.store " not in text["edge"]
