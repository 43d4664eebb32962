"""The bus masters at the models of cocotbext-axi and cocotbext-wishbone."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from thresher.hdl.emit import emit
from thresher.sim.cocotb_runner import run_cocotb_module

from .tops import Top

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def build_dir(tmp_path_factory):
    """One folder, so that the simulator is compiled once."""
    return tmp_path_factory.mktemp("bus")


@pytest.mark.parametrize("name", ["axi4", "wishbone"])
def test_third_party_model(name, build_dir):
    for package in ("cocotbext.axi", "cocotbext.wishbone", "cocotb_bus"):
        if find_spec(package) is None:
            pytest.fail(f"the package {package} is not installed: run `pip install 'thresher[dev]'`")
    run_cocotb_module(
        f"bus.{name}_bench",
        emit(Top(), name="dut"),
        build_dir=build_dir,
        folder=Path(__file__).parents[1],
        environment={"COCOTB_LOG_LEVEL": "WARNING"},
        what=f"module {name}_bench",
    )
