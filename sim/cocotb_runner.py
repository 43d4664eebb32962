"""Run cocotb tests on emitted Verilog, with the Verilator of the Python package."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from amaranth.lib import wiring

from .attention import attention_design
from .build import TOP, Design, design_verilog, make_variables
from .cocotb_tasks import TASK_VARIABLE, HeadsTask, ProductsTask, heads_to_json, products_to_json
from .spmm import spmm_design
from .toolchain import ToolError, verilator_environment

__all__ = ["run_attention_bench", "run_cocotb", "run_spmm_bench"]


def run_cocotb(
    design: wiring.Component | Design,
    test_module: str,
    *,
    build_dir: Path,
    seed: int,
    environment: Mapping[str, str] | None = None,
    waves: bool = False,
) -> int:
    """Run a module of cocotb tests on the Verilog of a component. The top module is ``dut``.

    Parameters
    ----------
    design : wiring.Component or Design
    test_module : str
        Name of the module to import.
    build_dir : Path
        Folder for all files: the simulator, ``build.log``, ``test.log``, ``results.xml`` and, with ``waves``,
        ``dump.vcd``.
    seed : int
        Seed of cocotb's random numbers.
    environment : dict, optional
        More environment variables for the tests.
    waves : bool
        Write waveforms.

    Returns
    -------
    int
        Number of tests, all of which passed.

    Raises
    ------
    AssertionError
        A test failed, or the module has none.
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
    verilog = design_verilog(design)
    if not source.exists() or source.read_text() != verilog:
        source.write_text(verilog)
    results = build_dir / "results.xml"
    results.unlink(missing_ok=True)
    # The runner passes the environment of this process on.
    with mock.patch.dict(os.environ, variables):
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
        # The runner exits if a test fails. The results below say which.
        with contextlib.suppress(SystemExit):
            runner.test(
                test_module=test_module,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=build_dir,
                test_dir=build_dir,
                results_xml=str(results),
                seed=seed,
                extra_env=dict(environment or {}),
                waves=waves,
                log_file=build_dir / "test.log",
            )
    tests, failed = get_results(results) if results.exists() else (0, 0)
    if failed or not tests:
        end = "\n".join((build_dir / "test.log").read_text(errors="replace").splitlines()[-40:])
        raise AssertionError(f"{failed} of {tests} cocotb tests failed, seed {seed}:\n{end}")
    return tests


def _run_task(design: Design, module: str, text: str, *, build_dir: Path, seed: int, waves: bool) -> None:
    build_dir.mkdir(parents=True, exist_ok=True)
    path = build_dir / "task.json"
    path.write_text(text)
    run_cocotb(
        design,
        f"{__package__}.{module}",
        build_dir=build_dir,
        seed=seed,
        environment={TASK_VARIABLE: str(path)},
        waves=waves,
    )


def run_attention_bench(task: HeadsTask, *, build_dir: Path, waves: bool = False) -> None:
    """Run heads through an attention core in a cocotb test and compare the results with the expected ones.

    Raises
    ------
    AssertionError
        A result differs, or the core breaks a rule of streams.
    ToolError
        A tool is missing, or the simulator cannot be built.
    """
    design, text = attention_design(task.config), heads_to_json(task)
    _run_task(design, "cocotb_attention", text, build_dir=build_dir, seed=task.seed, waves=waves)


def run_spmm_bench(task: ProductsTask, *, build_dir: Path, waves: bool = False) -> None:
    """Run products through an SpMM engine in a cocotb test and compare the results with the expected ones.

    Raises
    ------
    AssertionError
        A result differs, or the engine breaks a rule of streams.
    ToolError
        A tool is missing, or the simulator cannot be built.
    """
    design, text = spmm_design(task.config), products_to_json(task)
    _run_task(design, "cocotb_spmm", text, build_dir=build_dir, seed=task.seed, waves=waves)
