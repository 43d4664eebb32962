"""Run cocotb tests on emitted Verilog, with the Verilator of the Python package."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from ..hdl.emit import interface
from .batch import Batch, Run
from .bridge import pack_all, unpack
from .build import TOP, Design, design_verilog, make_variables
from .toolchain import ToolError, verilator_environment

__all__ = ["cocotb_exchange", "run_cocotb", "run_cocotb_module"]

Statistics = TypeVar("Statistics")

TASK_VARIABLE = "THRESHER_TASK"
"""Environment variable with the path of a JSON file: ``inputs`` (packed payloads of every input stream), ``counts``
(payloads to take from every output stream), ``seed``, ``stall`` and ``max_cycles``."""
ANSWER_VARIABLE = "THRESHER_ANSWER"
"""Environment variable with the path of the answer: ``beats`` (packed payloads) and ``cycles``, by stream."""


def run_cocotb(
    batch: Batch[Statistics], *, build_dir: Path, seed: int, stall: float = 0.3, waves: bool = False
) -> list[Run[Statistics]]:
    """Stream a batch through its unit under cocotb. The parameters are those of :func:`cocotb_exchange`.

    Raises
    ------
    AssertionError, ToolError
        As in :func:`cocotb_exchange`.
    InputError, SimulationError
        As in :meth:`Batch.inputs <thresher.sim.batch.Batch.inputs>` and
        :meth:`Batch.results <thresher.sim.batch.Batch.results>`.
    """
    values, cycles = cocotb_exchange(
        batch.design,
        batch.inputs(),
        batch.counts(),
        build_dir=build_dir,
        seed=seed,
        stall=stall,
        max_cycles=batch.cycle_limit(stall),
        waves=waves,
    )
    return batch.runs(values, cycles)


def cocotb_exchange(
    design: Design,
    inputs: Mapping[str, Any],
    counts: Mapping[str, int],
    *,
    build_dir: Path,
    seed: int,
    stall: float,
    max_cycles: int,
    waves: bool = False,
) -> tuple[dict[str, list[Any]], dict[str, list[int]]]:
    """Run a component from reset under cocotb: send payloads to its input streams, receive payloads from its outputs.

    Parameters
    ----------
    inputs, counts, seed, stall
        See :func:`~thresher.sim.testbench.run_streams`. Input streams that are not named stay idle.
    build_dir : Path
        Folder for all files: the simulator, ``build.log``, ``test.log``, ``results.xml`` and, with ``waves``,
        ``dump.vcd``.
    max_cycles : int
        Longest run.
    waves : bool
        Write waveforms.

    Returns
    -------
    values, cycles : dict
        Payloads of the output streams, and the clock cycle of each transfer of all streams. The first cycle is 0.

    Raises
    ------
    AssertionError
        A payload changes before it is taken, or the outputs give too few payloads within ``max_cycles``.
    ToolError
        A tool is missing, or the simulator cannot be built.
    """
    streams, _ = interface(design.signature.create())
    task = {
        "inputs": {
            name: pack_all(port.shape, inputs.get(name, ()), path=name)
            for name, port in streams.items()
            if port.direction == "in"
        },
        "counts": {name: counts.get(name, 0) for name, port in streams.items() if port.direction == "out"},
        "seed": seed,
        "stall": stall,
        "max_cycles": max_cycles,
    }
    build_dir.mkdir(parents=True, exist_ok=True)
    files = {TASK_VARIABLE: build_dir / "task.json", ANSWER_VARIABLE: build_dir / "answer.json"}
    files[TASK_VARIABLE].write_text(json.dumps(task), encoding="utf-8")
    environment = {name: str(path) for name, path in files.items()}
    run_cocotb_module(
        f"{__package__}.cocotb_exchange",
        design_verilog(design),
        build_dir=build_dir,
        environment=environment,
        waves=waves,
        what=f"seed {seed}",
    )
    answer = json.loads(files[ANSWER_VARIABLE].read_text("utf-8"))
    values = {name: [unpack(streams[name].shape, beat) for beat in beats] for name, beats in answer["beats"].items()}
    return values, answer["cycles"]


def run_cocotb_module(
    module: str,
    verilog: str,
    *,
    build_dir: Path,
    what: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    waves: bool = False,
) -> None:
    """Run the cocotb tests of a Python module on Verilog.

    Parameters
    ----------
    module : str
        Name of the module. The simulator's process imports it.
    verilog : str
        Its top module is ``dut``.
    build_dir : Path
        Folder for all files, as in :func:`cocotb_exchange`.
    what : str
        Names the run in the message of a failure: its seed, for example.
    environment : dict, optional
        Further environment variables of the simulator's process.
    folder : Path, optional
        Where to find ``module``, if it is not installed.
    waves : bool
        Write waveforms.

    Raises
    ------
    AssertionError
        A test fails.
    ToolError
        A tool is missing, or the simulator cannot be built.
    """
    try:
        from cocotb_tools.check_results import get_results
        from cocotb_tools.runner import get_runner
    except ImportError:
        raise ToolError("the package cocotb is not installed: run `pip install 'thresher[cocotb]'`") from None
    variables = verilator_environment()
    # The tests spend their time in Python, so that a model should compile fast rather than run fast.
    settings = make_variables(variables["CXX"]) | {"OPT_FAST": "-O0", "OPT_GLOBAL": "-O0"}
    variables["MAKEFLAGS"] = " ".join(f"{name}={value}".replace(" ", "\\ ") for name, value in settings.items())
    build_dir.mkdir(parents=True, exist_ok=True)
    source = build_dir / f"{TOP}.v"
    if not source.exists() or source.read_text("utf-8") != verilog:
        source.write_text(verilog, encoding="utf-8")
    results = build_dir / "results.xml"
    results.unlink(missing_ok=True)
    path = [*sys.path, *([] if folder is None else [str(folder)])]
    # The runner passes the environment and the path of this process on.
    with mock.patch.dict(os.environ, variables), mock.patch.object(sys, "path", path):
        runner = get_runner("verilator")
        try:
            runner.build(
                sources=[source],
                hdl_toplevel=TOP,
                build_dir=build_dir,
                build_args=["-Wno-fatal", "-Wno-lint", "-Wno-style", "--output-split", "5000", "-CFLAGS", "-std=c++17"],
                timescale=("1ns", "1ps"),
                waves=waves,
                log_file=build_dir / "build.log",
            )
        except (Exception, SystemExit) as error:
            raise ToolError(f"building the cocotb bench failed ({error}): see {build_dir / 'build.log'}") from error
        # The runner exits if a test fails. The file of results says which.
        with contextlib.suppress(SystemExit):
            runner.test(
                test_module=module,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=build_dir,
                test_dir=build_dir,
                results_xml=str(results),
                extra_env=environment or {},
                waves=waves,
                log_file=build_dir / "test.log",
            )
    tests, failed = get_results(results) if results.exists() else (0, 0)
    if failed or not tests:
        end = "\n".join((build_dir / "test.log").read_text("utf-8", errors="replace").splitlines()[-40:])
        raise AssertionError(f"{failed} of {tests} cocotb tests failed, {what}:\n{end}")
