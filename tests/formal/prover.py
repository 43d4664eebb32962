"""Proves properties of a component for ever, or finds a run that breaks them, with PDR or induction of ABC.

The component and its properties become one netlist (Amaranth, then Yosys). ABC is part of the Yosys wheel. A run that
breaks a property is simulated again, by Amaranth, and shown as a table.
"""

import dataclasses
import tempfile
import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from amaranth import Cat, ClockDomain, Const, Elaboratable, Module, Signal, Value
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.sim import Simulator
from thresher.synth.tools import Source, find, run

from .properties import Property

__all__ = ["Result", "Verdict", "prove"]


class Result(StrEnum):
    """Outcome of a proof. A bound is no proof: ABC did not finish within its time."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNFINISHED = "not finished"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Outcome of a proof.

    Attributes
    ----------
    result : Result
    seconds : float
        Time of Amaranth, Yosys and ABC.
    reached : bool
        In some run every property has something to check. Otherwise a proof may say nothing.
    broken : tuple of str
        The properties that the run breaks, if there is one.
    trace : str
        The end of the run: a line per signal, a column per cycle. A dot is the value of the cycle before.
    """

    result: Result
    seconds: float
    reached: bool
    broken: tuple[str, ...] = ()
    trace: str = ""


class _Harness(Elaboratable):
    """A block with its properties.

    The trace shows the ports of the block and of the components that are its attributes.

    Everything that is not driven is an input, and so is the reset: it may come at any time. It leaves memories and
    registers without reset as they are.
    """

    def __init__(self, block: wiring.Component, asserted: Sequence[Property], assumed: Sequence[Property]):
        self._block, self._asserted, self._assumed = block, asserted, assumed
        self.clock, self.reset = Signal(name="clk"), Signal(name="rst")
        self.bad = Signal()
        self.reached = Signal()
        self.inputs: dict[str, Value] = {"rst": self.reset}
        self.outputs: dict[str, Value] = {}
        self.inner: dict[str, tuple[Signal, str]] = {}
        for path, member, value in block.signature.flatten(block):
            ports = self.inputs if member.flow is wiring.In else self.outputs
            if not isinstance(Value.cast(value), Const):  # ready of a stream that is always ready
                ports["__".join(map(str, path))] = Value.cast(value)
        for name, part in vars(block).items():
            if isinstance(part, wiring.Component):
                for path, _, value in part.signature.flatten(part):
                    self.outputs["__".join(map(str, (name, *path)))] = Value.cast(value)
        for kind, properties in (("asserted", asserted), ("assumed", assumed)):
            for i, each in enumerate(properties):
                self.inputs |= {f"{kind}_{i}__{signal.name}": signal for signal in each.free}
                self.inner |= {f"{kind}_{i}__{signal.name}": (signal, path) for path, signal in each.inner.items()}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain()
        domain.clk, domain.rst = self.clock, self.reset
        m.submodules.block = self._block
        for kind, properties in (("asserted", self._asserted), ("assumed", self._assumed)):
            for i, each in enumerate(properties):
                m.submodules[f"{kind}_{i}"] = each
        before = Signal()  # an assumption was broken since the reset
        outside = Signal()
        seen = Signal(len(self._asserted), reset_less=True)
        m.d.comb += outside.eq(before | Cat(each.broken for each in self._assumed).any())
        m.d.sync += before.eq(outside)
        m.d.comb += self.bad.eq(~outside & Cat(each.broken for each in self._asserted).any())
        # All of them in one run without reset.
        m.d.sync += seen.eq(seen | Cat(each.reached for each in self._asserted))
        m.d.comb += self.reached.eq(~outside & ~self.reset & seen.all())
        return m


def prove(
    block: wiring.Component,
    *,
    asserted: Sequence[Property],
    assumed: Sequence[Property] = (),
    free: Sequence[str] = (),
    induction: int = 0,
    seconds: float = 60,
) -> Verdict:
    """Prove that no run that keeps the assumptions breaks a property.

    Parameters
    ----------
    block : wiring.Component
        Its inputs are free.
    asserted, assumed : sequence of Property
        They watch ports of the block.
    free : sequence of str
        Patterns of names of the block's parts, or of their parts after a dot. Their outputs may have any values in any
        cycle. What is proved then is true with the parts, too. A run that breaks a property proves nothing.
    induction : int
        Prove by induction over at most so many cycles, instead of with PDR: no run of these cycles, from any state,
        breaks a property in its last cycle only, and none from the reset breaks one at all.
    seconds : float
        Time limit of ABC.

    Raises
    ------
    SynthesisError
        Yosys is missing or failed.
    """
    harness = _Harness(block, asserted, assumed)
    begun = time.monotonic()
    ports: dict[str, Any] = {name: (value, None) for name, value in harness.inputs.items()}
    ports |= {name: (signal, None) for name, (signal, _) in harness.inner.items()}
    ports |= {"clk": (harness.clock, None), "bad": (harness.bad, None), "reached": (harness.reached, None)}
    # The output of ABC goes nowhere, so it writes files.
    limit = max(1, round(seconds))
    script = f"write_blif,host.blif;read_aiger,bad.aig;{REDUCE}write_aiger,reduced.aig;"
    if induction:
        script += f"bmc3,-F,{induction + 1},-T,{limit};write_status,base.status;ind,-F,{induction},-T,{limit};"
    else:
        script += f"pdr,-T,{limit};"
    script += "write_status,bad.status;"
    script += f"read_aiger,reached.aig;bmc3,-T,{min(limit, REACH_SECONDS)};write_status,reached.status;"
    parts = ["/".join(f"top.block.{each}".rsplit(".", 1)) for each in free]
    cuts = [command for part in parts for command in (f"select -assert-any {part}", f"cutpoint {part}")]
    prepare = (*FLATTEN, *_connect(harness.inner), *PREPARE)
    again = ("design -reset", *READ, *prepare) if free else ("design -load prepared",)  # with all parts
    commands = [
        *(*READ, *cuts, *prepare, "design -save prepared", *_only("bad", "-map bad.map")),
        *(*again, *_only("reached")),
        *("design -reset", "read_rtlil host.il", f"abc -script +{script}read_blif,host.blif;strash"),
    ]
    with tempfile.TemporaryDirectory(prefix="thresher-formal-") as name:
        folder = Path(name)
        with _ONE_AT_A_TIME:
            text = rtlil.convert(harness, name="top", ports=ports, emit_src=False)
        (folder / "top.il").write_text(text, encoding="utf-8")
        (folder / "host.il").write_text(HOST, encoding="utf-8")
        (folder / "script.ys").write_text("\n".join(commands), encoding="utf-8")
        run(find("yosys", Source.YOWASP), ["-q", "script.ys"], folder=folder, log="yosys.log")
        elapsed = time.monotonic() - begun
        found = (folder / "bad.status").read_text(encoding="utf-8")
        if induction:
            found = _with_base(found, (folder / "base.status").read_text(encoding="utf-8"), induction)
        status, *_, bits = found.split()
        if _is_false((folder / "reduced.aig").read_bytes()):
            status = "snl_UNSAT"  # PDR has no answer then
        reached = (folder / "reached.status").read_text(encoding="utf-8").startswith("snl_SAT")
        places = (folder / "bad.map").read_text(encoding="utf-8").splitlines()
        inputs = int((folder / "bad.aig").read_bytes().split(maxsplit=3)[2])
    if status == "snl_SAT" and not free and harness.inner:  # the simulation has no values of inner signals
        return Verdict(result=Result.REFUTED, seconds=elapsed, reached=reached)
    if status != "snl_SAT" or free:
        result = Result.PROVED if status == "snl_UNSAT" else Result.UNFINISHED
        return Verdict(result=result, seconds=elapsed, reached=reached)
    broken, trace = _replay(harness, asserted, _steps(bits, inputs, places, harness))
    return Verdict(result=Result.REFUTED, seconds=elapsed, reached=reached, broken=broken, trace=trace)


_ONE_AT_A_TIME = threading.Lock()
"""While a component is elaborated, constants of its module may be others."""

REACH_SECONDS = 60
"""Time limit of the search for a run in which every property has something to check."""

READ = ("read_rtlil top.il", "hierarchy -top top")

FLATTEN = ("proc", "flatten")

PREPARE = (
    "opt_clean",
    "memory_collect",
    "opt",
    "memory_map",
    "opt -full",
    "techmap",
    "opt",
    "dffunmap",
    "setundef -anyseq",
    "simplemap",
    "aigmap",
    "opt_clean",
)
"""Commands of Yosys. All registers of Amaranth have initial values."""


def _connect(inner: dict[str, tuple[Signal, str]]) -> list[str]:
    """Commands of Yosys that connect inputs of the harness to signals inside the block."""
    commands = ["cd top"]
    for name, (signal, path) in inner.items():
        commands += [f"select -assert-count 1 w:block.{path} s:{len(signal)} %i", f"delete -port w:{name}"]
        commands += [f"connect -nounset -set \\{name} \\block.{path}"]
    return [*commands, "cd .."]


def _only(output: str, options: str = "") -> tuple[str, ...]:
    """Commands of Yosys that write the netlist of one output."""
    other = {"bad": "reached", "reached": "bad"}[output]
    return f"delete -port top/w:{other}", "opt_clean", f"write_aiger -zinit {options} {output}.aig"


REDUCE = "scorr,-P,5000;dc2;scorr,-P,5000;dc2;"
"""Commands of ABC that make the netlist smaller, in parts of 5000 registers. Inputs and outputs stay."""

HOST = """module \\host
  wire input 1 \\a
  wire output 2 \\y
  cell $_NOT_ \\not
    connect \\A \\a
    connect \\Y \\y
  end
end
"""
"""The pass ``abc`` wants a netlist. It gets this one, and ABC reads the other one."""


def _with_base(step: str, base: str, cycles: int) -> str:
    """Status of an induction, from the statuses of its step and of the search for a run from the reset.

    Without such a run, the search must have covered all cycles of the step.
    """
    word, last, *_ = base.split()
    return base if word == "snl_SAT" or int(last) < cycles else step


def _is_false(netlist: bytes) -> bool:
    """A netlist in AIGER's binary format has no registers, and its output is 0."""
    header, output, *_ = netlist.split(b"\n", 2)
    return header.split()[3] == b"0" and output == b"0"


def _steps(bits: str, count: int, places: list[str], harness: _Harness) -> list[dict[str, int]]:
    """The value of each input in each cycle of a run.

    Parameters
    ----------
    bits : str
        Of all inputs of the netlist, cycle after cycle.
    count : int
        Inputs of the netlist. Bits that Yosys takes as unknown are inputs that ``places`` does not name.
    places : list of str
        Lines of Yosys: kind, index of the input, bit of the signal, name of the signal.
    """
    inputs = [line.split() for line in places if line.startswith("input ")]
    steps = []
    for start in range(0, len(bits), count):
        values = dict.fromkeys(harness.inputs, 0)
        for _, index, bit, name in inputs:
            if name in values:  # the clock is not
                values[name] |= int(bits[start + int(index)]) << int(bit)
        steps.append(values)
    return steps


def _replay(
    harness: _Harness, asserted: Sequence[Property], steps: list[dict[str, int]]
) -> tuple[tuple[str, ...], str]:
    """Simulate a run. Returns the properties that its last cycle breaks, and the table."""
    watched = harness.inputs | harness.outputs
    rows: dict[str, list[int]] = {name: [] for name in watched}
    broken: list[str] = []
    with _ONE_AT_A_TIME:
        simulator = Simulator(harness)
    simulator.add_clock(1e-6)

    async def bench(ctx: Any) -> None:
        for i, values in enumerate(steps):
            for name, value in values.items():
                signal = harness.inputs[name]
                ctx.set(signal, value - (value >> len(signal) - 1 << len(signal)) if signal.shape().signed else value)
            for name, signal in watched.items():
                rows[name].append(ctx.get(signal))
            if i == len(steps) - 1:
                broken.extend(each.name for each in asserted if ctx.get(each.broken))
                assert ctx.get(harness.bad), "the simulation differs from the netlist"
            await ctx.tick()

    simulator.add_testbench(bench)
    simulator.run()
    return tuple(broken), _table(rows)


SHOWN_CYCLES = 24
"""The last cycles of a run, which the table shows."""


def _table(rows: dict[str, list[int]]) -> str:
    lines = []
    for name, values in rows.items():
        values = values[-SHOWN_CYCLES:]
        cells = [_cell(value) if i == 0 or value != values[i - 1] else "." for i, value in enumerate(values)]
        lines.append((name, cells))
    widths = [max(len(cells[i]) for _, cells in lines) for i in range(len(lines[0][1]))]
    longest = max(len(name) for name, _ in lines)
    return "\n".join(
        f"{name:<{longest}}  {' '.join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))}"
        for name, cells in lines
    )


def _cell(value: int) -> str:
    """A value in hexadecimal digits; the highest ones of many are left out."""
    digits = f"{value:x}"
    return digits if len(digits) <= 12 else f"…{digits[-11:]}"
