"""Icarus Verilog, a simulator of events and of four states.

Bits of payloads are unknown while their ``valid`` is low, and so are memories until they are written, and registers
without a reset until they are loaded.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thresher.hdl.emit import StreamPort, emit, interface
from thresher.sim.batch import Batch, Run
from thresher.sim.bridge import pack_all, unpack_beats, words_of

__all__ = ["EDITIONS", "INITIAL", "compile_quietly", "four_states", "icarus"]

EDITIONS = ("2005", "2012")
"""Editions of the language. They differ in the time at which initial values of registers appear."""

UNKNOWN_MEMORIES = "-DSYNTHESIS"
"""Leaves the loops out that set memories to zero for simulators."""

INITIAL = re.compile(r"^  initial (?:\\\S+ |\w+) ?= .*;\n", re.MULTILINE)
"""The initial value of a register. A chip has none: its registers are unknown until reset."""

BENCH = """\
`timescale 1ns/1ns
module bench;
  reg clk = 0, rst = 1;
  integer seed = {seed}, cycle = 0;
{declarations}
  dut dut(.clk(clk), .rst(rst){pins});
  always #5 clk = ~clk;
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 3) rst <= 0;
    if (!rst) begin
{actions}
      if ({done}) $finish;
      if (cycle == {limit}) begin $display("limit"); $finish; end
    end
  end
endmodule
"""

SOURCE = """\
  reg [{top}:0] {name}_queue [0:{last}];
  reg {name}_valid = 0;
  integer {name}_next = 0;
  wire {name}_ready;
  wire [{top}:0] {name}_payload = {name}_valid ? {name}_queue[{name}_next] : {width}'bx;
  initial $readmemb("{name}.txt", {name}_queue);
"""
OFFER = """\
      if ({name}_ready === 1'bx) begin $display("unknown {name}_ready"); $finish; end
      if ({name}_valid & {name}_ready) begin
        $display("{name} %0d", cycle);
        {name}_next <= {name}_next + 1;
      end
      if (~{name}_valid | {name}_ready)
        {name}_valid <= {name}_next + ({name}_valid & {name}_ready) < {count} && $dist_uniform(seed, 1, 100) > {stall};
"""
SINK = """\
  wire [{top}:0] {name}_payload;
  wire {name}_valid;
  reg {name}_ready = 0;
  integer {name}_count = 0;
"""
TAKE = """\
      if ({name}_valid === 1'bx) begin $display("unknown {name}_valid"); $finish; end
      {name}_ready <= $dist_uniform(seed, 1, 100) > {stall};
      if ({name}_valid & {name}_ready) begin
        $display("{name} %0d %b", cycle, {name}_payload);
        {name}_count <= {name}_count + 1;
      end
"""


def icarus() -> str:
    """The program ``iverilog``. Skips the test where it is not installed."""
    program = shutil.which("iverilog")
    if program is None:
        pytest.skip("Icarus Verilog is not installed: apt install iverilog")
    return program


def compile_quietly(*files: Path, top: str, edition: str = "2005") -> None:
    """Compile Verilog; assert that there is no warning.

    Icarus warns of a block without sensitivities, which would never drive its signal.
    """
    command = [icarus(), f"-g{edition}", "-Wall", "-t", "null", "-s", top, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def four_states(batch: Batch[Any], folder: Path, *, edition: str, seed: int, stall: float = 0.3) -> list[Run[Any]]:
    """Run a batch on the emitted Verilog, with unknown memories and registers.

    Asserts that the unit gives all outputs in time, and that no bit of a transfer is unknown.

    Parameters
    ----------
    folder : Path
        For files of the simulation.
    edition : str
        One of :data:`EDITIONS`.
    seed : int
        Of the stalls.
    stall : float
        Probability, in each cycle, that a source offers nothing new or a sink is not ready.
    """
    program = icarus()
    unit = batch.design.make()
    streams = interface(unit)[0]
    inputs, counts = batch.inputs(), batch.counts()
    payloads = {}
    for name, port in streams.items():
        if port.direction == "in":
            payloads[name] = pack_all(port.shape, inputs.get(name, []), path=name)
            lines = [f"{value:0{port.width}b}\n" for value in payloads[name] or [0]]
            (folder / f"{name}.txt").write_text("".join(lines))
    (folder / "dut.v").write_text(INITIAL.sub("", emit(unit, name="dut")))
    limit = batch.cycle_limit(stall)
    bench = _bench(list(streams.values()), payloads, counts, seed=seed, stall=round(100 * stall), limit=limit)
    (folder / "bench.v").write_text(bench)
    command = [program, f"-g{edition}", UNKNOWN_MEMORIES, "-s", "bench", "-o", "bench.vvp", "bench.v", "dut.v"]
    subprocess.run(command, cwd=folder, check=True)
    runner = str(Path(program).with_name("vvp"))
    text = subprocess.run([runner, "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True).stdout
    where = f"seed {seed}, stall {stall}, edition {edition}"
    assert not re.search(r"^(unknown|limit)", text, re.MULTILINE), f"{where}: {text[-500:]}"
    cycles = {name: [int(cycle) for cycle in re.findall(rf"^{name} (\d+)", text, re.MULTILINE)] for name in streams}
    assert {name: len(cycles[name]) for name in counts} == counts, where
    return batch.runs({name: _values(streams[name], text, where) for name in counts}, cycles)


def _bench(
    streams: Sequence[StreamPort],
    payloads: dict[str, list[int]],
    counts: dict[str, int],
    *,
    seed: int,
    stall: int,
    limit: int,
) -> str:
    """The test bench of a unit with these streams."""
    declarations, actions, pins, done = [], [], [], ["1"]
    for port in streams:
        values = payloads.get(port.name, [])
        fields = {"name": port.name, "width": port.width, "top": port.width - 1, "stall": stall}
        fields |= {"count": len(values), "last": max(len(values), 1) - 1}
        declare, act = (SOURCE, OFFER) if port.direction == "in" else (SINK, TAKE)
        declarations.append(declare.format(**fields))
        actions.append(act.format(**fields))
        pins += [f", .{port.name}__{part}({port.name}_{part})" for part in ("payload", "valid", "ready")]
        if port.direction == "out":
            done.append(f"{port.name}_count == {counts[port.name]}")
    return BENCH.format(
        seed=seed,
        declarations="".join(declarations),
        pins="".join(pins),
        actions="".join(actions),
        done=" && ".join(done),
        limit=limit,
    )


def _values(port: StreamPort, text: str, where: str) -> Any:
    """Payloads of an output stream."""
    found = re.findall(rf"^{port.name} (\d+) (\w+)$", text, re.MULTILINE)
    for cycle, bits in found:
        assert not set(bits) - set("01"), f"{where}, cycle {cycle}: unknown bits in {port.name}: {bits}"
    size = 4 * words_of(port.width)
    packed = b"".join(int(bits, 2).to_bytes(size, "little") for _, bits in found)
    return unpack_beats(port.shape, np.frombuffer(packed, "<u4").reshape(len(found), -1))
