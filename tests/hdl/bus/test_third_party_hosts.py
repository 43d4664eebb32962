"""Registers on a bus, with the masters of cocotbext-axi and cocotbext-wishbone."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from thresher.hdl.emit import emit
from thresher.sim.cocotb_runner import run_cocotb_module

from .register_tops import BUSES, RegistersOnBus

pytestmark = pytest.mark.slow
BENCHES = {"axi4_lite": "axi4_lite_bench", "wishbone": "wishbone_slave_bench"}


@pytest.mark.parametrize("bus", BUSES)
def test_third_party_host(bus, tmp_path):
    for package in ("cocotbext.axi", "cocotbext.wishbone", "cocotb_bus"):
        if find_spec(package) is None:
            pytest.fail(f"the package {package} is not installed: run `pip install 'thresher[dev]'`")
    run_cocotb_module(
        f"bus.{BENCHES[bus]}",
        emit(RegistersOnBus(bus), name="dut"),
        build_dir=tmp_path,
        folder=Path(__file__).parents[1],
        environment={"COCOTB_LOG_LEVEL": "WARNING"},
        what=f"module {BENCHES[bus]}",
    )
