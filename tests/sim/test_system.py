"""Several units in one design: names, three tools, and a simulation in which all of them compute at once."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from thresher.hdl.attention.head_streams import attention_signature
from thresher.hdl.spmm.product_streams import spmm_signature
from thresher.hdl.unit_files import write_verilog
from thresher.sim.attention import HeadBatch
from thresher.sim.build import Design
from thresher.sim.spmm_job import SpmmBatch
from thresher.sim.toolchain import verilator_environment
from thresher.sim.verilator import VerilatorSimulator
from thresher.spec import PRESETS, SPMM_PRESETS, AttentionConfig
from thresher.synth.tools import Source, find, run

from ..heads import check_heads, random_heads
from ..icarus import compile_quietly
from ..products import check_products, random_jobs

pytestmark = pytest.mark.slow  # four units are emitted and compiled

UNITS = {
    "core": (PRESETS["tiny"], {"reset": "active-low"}),
    "long": (dataclasses.replace(PRESETS["tiny"], max_length=32), {}),
    "engine": (SPMM_PRESETS["tiny"], {"prefix": "engine", "clock": "drain", "reset_name": "collector"}),
    "narrow": (
        dataclasses.replace(SPMM_PRESETS["tiny"], max_columns=32),
        {"reset": "active-low", "clock": "aclk", "reset_name": "aresetn"},
    ),
}
"""Units that share all their blocks, with names of clocks and resets that are blocks of them, too."""


@dataclasses.dataclass(frozen=True)
class System:
    """The files of the units, and of a module ``dut`` that holds one of each. Ports start with the instance."""

    folder: Path
    files: list[str]
    text: str


def _instance(name: str, description: dict) -> tuple[list[str], list[str]]:
    """Declarations of the ports of an instance, and the instance."""
    low = description["reset_active"] == "low"
    pins = {description["clock"]: "clk", description["reset"]: "~rst" if low else "rst"}
    ports = []
    for port in description["ports"]:
        there, back = ("input", "output") if port["direction"] == "in" else ("output", "input")
        parts = {"__payload": (there, port["width"]), "__valid": (there, 1), "__ready": (back, 1)}
        if port["kind"] == "port":
            parts = {"": (there, port["width"])}
        for part, (direction, width) in parts.items():
            pin = port["name"] + part
            pins[pin] = f"{name}__{pin}"
            ports.append(f"{direction} [{width - 1}:0] {name}__{pin}")
    connections = ", ".join(f".{pin}({wire})" for pin, wire in pins.items())
    return ports, [f"  {description['top']} {name}({connections});"]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    folder = tmp_path_factory.mktemp("system")
    ports, instances, files = ["input clk", "input rst"], [], []
    for name, (config, names) in UNITS.items():
        written = write_verilog(config, folder, **names)
        more, instance = _instance(name, json.loads(written.description.read_text()))
        ports += more
        instances += instance
        files.append(written.verilog.name)
    text = "\n".join([f"module dut({', '.join(ports)});", *instances, "endmodule\n"])
    (folder / "dut.v").write_text(text)
    return System(folder=folder, files=["dut.v", *files], text=text)


def test_every_module_has_a_name_of_its_own(system):
    modules = [
        name
        for file in system.files
        for name in re.findall(r"^module (\S+?) ?\(", (system.folder / file).read_text(), re.MULTILINE)
    ]
    assert len(modules) > 100
    assert len(set(modules)) == len(modules)


def _verilators():
    """Verilator of the package, and the one of the machine if there is one: command, environment and version."""
    environment = verilator_environment()
    commands = [("verilator", environment)]
    native = shutil.which("verilator")
    if native is not None:
        commands.append((native, {name: value for name, value in environment.items() if name != "VERILATOR_ROOT"}))
    return commands


def test_verilator_reads_the_system_without_warnings(system):
    """The files disable the warnings about the style of generated Verilog. Rules must be known to old versions."""
    for command, environment in _verilators():
        for options in ([], ["-Wall"]):
            line = [command, "--lint-only", *options, "--top-module", "dut", *system.files]
            result = subprocess.run(
                line, cwd=system.folder, env=environment, capture_output=True, text=True, check=False
            )
            # Registers with initial values: only new versions warn of them, and old ones do not know the rule.
            found = set(re.findall(r"^%(?:Error|Warning)(?:-\w+)?", result.stderr, re.MULTILINE))
            assert found <= ({"%Warning-PROCASSINIT", "%Error"} if options else set()), (command, result.stderr[:2000])
            assert options or result.returncode == 0


def test_yosys_reads_the_system(system):
    script = f"read_verilog {' '.join(system.files)}; hierarchy -check -top dut; proc; check -assert"
    run(find("yosys", Source.YOWASP), ["-q", "-p", script], folder=system.folder, log="yosys.log")


def test_icarus_reads_the_system(system):
    compile_quietly(*(system.folder / file for file in system.files), top="dut")


@pytest.fixture(scope="module")
def simulator(system):
    signature = wiring.Signature(
        {
            name: Out(attention_signature(config) if isinstance(config, AttentionConfig) else spmm_signature(config))
            for name, (config, _) in UNITS.items()
        }
    )
    design = Design(signature=signature, make=lambda: pytest.fail("not the system"), key="system")
    text = "".join((system.folder / file).read_text() for file in system.files)
    with VerilatorSimulator(design, verilog=text, stall=0.2, seed=1) as made:
        yield made


def _work(seed: int):
    """Heads and products for every unit: the batch, and a check of its runs."""
    work = {}
    for index, (name, (config, _)) in enumerate(UNITS.items()):
        if isinstance(config, AttentionConfig):
            heads = random_heads(config, count=8, seed=seed + index)
            work[name] = HeadBatch(config, heads), heads, check_heads
        else:
            jobs = random_jobs(config, count=8, seed=seed + index)
            work[name] = SpmmBatch(config, jobs), jobs, check_products
    return work


def _exchange(simulator, work, *, seed: int):
    """Stream all work through all units at once, and check the results."""
    inputs = {f"{name}__{key}": value for name, (batch, *_) in work.items() for key, value in batch.inputs().items()}
    counts = {f"{name}__{key}": value for name, (batch, *_) in work.items() for key, value in batch.counts().items()}
    result = simulator.run(inputs, counts, max_cycles=400_000)
    for index, (name, (batch, items, check)) in enumerate(work.items()):
        values, cycles = (
            {key.removeprefix(f"{name}__"): value for key, value in each.items() if key.startswith(f"{name}__")}
            for each in (result.values, result.cycles)
        )
        check(UNITS[name][0], items, batch.runs(values, cycles), seed + index)


def test_all_units_compute_at_once(simulator):
    simulator.reset()
    _exchange(simulator, _work(10), seed=10)


def test_reset_of_either_level_forgets_the_work(simulator):
    """Each unit is reset in the middle of its work."""
    simulator.reset()
    work = _work(20)
    inputs = {f"{name}__{key}": value for name, (batch, *_) in work.items() for key, value in batch.inputs().items()}
    simulator.run(inputs, {}, max_cycles=150)
    simulator.reset()
    assert simulator.cycle == 0
    _exchange(simulator, work, seed=20)
