"""cocotb benches on emitted Verilog, under the Verilator that comes as a package."""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from amaranth.lib import wiring

from ..spec.command import HeadCommand
from ..spec.config import AttentionConfig
from .attention import Head, attention_design
from .build import TOP, Design, design_verilog, make_variables
from .toolchain import ToolError, verilator_environment

__all__ = [
    "HEADS_VARIABLE",
    "ExpectedHead",
    "HeadsTask",
    "heads_from_json",
    "heads_to_json",
    "run_attention_bench",
    "run_cocotb",
]

HEADS_VARIABLE = "THRESHER_HEADS"


def run_cocotb(
    design: wiring.Component | Design,
    test_module: str,
    *,
    build_dir: Path,
    seed: int,
    environment: Mapping[str, str] | None = None,
    waves: bool = False,
) -> int:
    """Run a module of cocotb tests against a component's emitted Verilog, top module ``dut``.

    Parameters
    ----------
    test_module : str
        Importable name of the module.
    build_dir : Path
        Everything is written here: the simulator, ``build.log``, ``test.log``, ``results.xml`` and, with ``waves``,
        ``dump.vcd``.
    seed : int
        Of cocotb's own random numbers.
    environment : dict, optional
        Further variables for the tests.

    Returns
    -------
    int
        How many tests passed.

    Raises
    ------
    AssertionError
        A test failed, or there was none.
    ToolError
        A tool is missing, or the simulator could not be built.
    """
    try:
        from cocotb_tools.check_results import get_results
        from cocotb_tools.runner import get_runner
    except ImportError:
        raise ToolError("the package cocotb is not installed: run `pip install 'thresher[cocotb]'`") from None
    variables = verilator_environment()
    # The bench spends its time in Python: a model that compiles fast beats one that runs fast.
    settings = make_variables(variables["CXX"]) | {"OPT_FAST": "-O0", "OPT_GLOBAL": "-O0"}
    variables["MAKEFLAGS"] = " ".join(f"{name}={value}".replace(" ", "\\ ") for name, value in settings.items())
    build_dir.mkdir(parents=True, exist_ok=True)
    source = build_dir / f"{TOP}.v"
    verilog = design_verilog(design)
    if not source.exists() or source.read_text() != verilog:
        source.write_text(verilog)
    results = build_dir / "results.xml"
    results.unlink(missing_ok=True)
    # The runner hands the environment of this process on.
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
        # The runner exits when a test fails; the results say more.
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


@dataclass(frozen=True, kw_only=True)
class ExpectedHead:
    """What the core must answer to a head.

    Attributes
    ----------
    output : list of rows, or None if the command is refused
    statistics : dict of int
        Fields of the statistics that are compared.
    """

    output: list[list[int]] | None
    statistics: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class HeadsTask:
    """Heads for the cocotb bench of a core, and what must come of them."""

    config: AttentionConfig
    heads: Sequence[Head]
    expected: Sequence[ExpectedHead]
    seed: int
    stall: float


def heads_to_json(task: HeadsTask) -> str:
    """Text that :func:`heads_from_json` turns back into an equal task."""
    heads = [
        {"command": asdict(command), "operands": [matrix.tolist() for matrix in operands]}
        for command, *operands in task.heads
    ]
    expected = [asdict(head) for head in task.expected]
    config = json.loads(task.config.to_json())
    return json.dumps({"config": config, "seed": task.seed, "stall": task.stall, "heads": heads, "expected": expected})


def heads_from_json(text: str) -> HeadsTask:
    """Undo :func:`heads_to_json`."""
    read: dict[str, Any] = json.loads(text)
    heads: list[Head] = []
    for head in read["heads"]:
        q, k, v = (np.array(matrix, np.int8) for matrix in head["operands"])
        heads.append((HeadCommand(**head["command"]), q, k, v))
    return HeadsTask(
        config=AttentionConfig.from_json(json.dumps(read["config"])),
        heads=heads,
        expected=[ExpectedHead(**head) for head in read["expected"]],
        seed=read["seed"],
        stall=read["stall"],
    )


def run_attention_bench(task: HeadsTask, *, build_dir: Path, waves: bool = False) -> None:
    """Stream heads through an attention core in a cocotb bench and compare its answers.

    Raises
    ------
    AssertionError
        The core answered something else, or broke a stream rule.
    ToolError
        A tool is missing, or the simulator could not be built.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    path = build_dir / "heads.json"
    path.write_text(heads_to_json(task))
    run_cocotb(
        attention_design(task.config),
        f"{__package__}.cocotb_attention",
        build_dir=build_dir,
        seed=task.seed,
        environment={HEADS_VARIABLE: str(path)},
        waves=waves,
    )
