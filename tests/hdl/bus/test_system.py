"""A whole co-processor on AXI4, as a system sees it."""

from pathlib import Path

import pytest
from thresher.hdl.bus.system import CoprocessorSystem
from thresher.hdl.emit import emit
from thresher.sim.cocotb_runner import run_cocotb_module
from thresher.spec import coprocessor_preset
from thresher.spec.buses import Bus, clock_names

pytestmark = pytest.mark.slow
CONFIG = coprocessor_preset("tiny")


def test_axi4(tmp_path):
    configuration = tmp_path / "configuration.json"
    configuration.write_text(CONFIG.to_json(), encoding="utf-8")
    run_cocotb_module(
        "tests.hdl.bus.system_bench",
        emit(CoprocessorSystem(CONFIG, Bus.AXI4), name="dut", clocks=clock_names(Bus.AXI4)),
        build_dir=tmp_path / "build",
        folder=Path(__file__).parents[3],
        environment={"COCOTB_LOG_LEVEL": "WARNING", "THRESHER_CONFIG": str(configuration)},
        what="a whole co-processor on AXI4",
    )
