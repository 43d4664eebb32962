"""A cocotb bench of a whole attention core: heads from a file, compared with the results in it.

Runs inside a simulator (see :func:`~thresher.sim.cocotb_runner.run_attention_bench`); the environment variable
``THRESHER_HEADS`` names the file, as :func:`~thresher.sim.cocotb_runner.heads_to_json` writes it.
"""

import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, gather, with_timeout

from ..hdl.interface import command_layout, data_layout, output_layout, statistics_layout
from .attention import cycle_limit, head_counts, head_inputs, head_runs
from .bridge import pack, unpack
from .cocotb_runner import HEADS_VARIABLE, heads_from_json

PERIOD_NS = 10
PARTS = ("payload", "valid", "ready")


class StreamDriver:
    """Offers payloads to one of the core's input streams.

    Signals change after the falling edge of the clock and are looked at before the next one, when all that follows
    from them has settled: what is seen there is what the rising edge between them sees.
    """

    def __init__(self, dut: Any, name: str, seed: int, stall: float):
        self.clock = dut.clk
        self.payload, self.valid, self.ready = (
            getattr(dut, f"{name}__{part}") for part in ("payload", "valid", "ready")
        )
        self.random = Random(f"{seed}/{name}")
        self.stall = stall
        self.cycles: list[int] = []
        self.valid.value = 0
        self.payload.value = 0

    async def send(self, beats: list[int], now: "CycleCounter") -> None:
        for beat in beats:
            while self.random.random() < self.stall:
                await FallingEdge(self.clock)
            self.payload.value = beat
            self.valid.value = 1
            accepted = False
            while not accepted:
                await ReadOnly()
                accepted = self.ready.value == 1
                if accepted:
                    self.cycles.append(now.cycle)
                await FallingEdge(self.clock)
            self.valid.value = 0


class StreamMonitor:
    """Takes payloads from one of the core's output streams and checks the stream's rules."""

    def __init__(self, dut: Any, name: str, seed: int, stall: float):
        self.clock = dut.clk
        self.payload, self.valid, self.ready = (
            getattr(dut, f"{name}__{part}") for part in ("payload", "valid", "ready")
        )
        self.name, self.seed = name, seed
        self.random = Random(f"{seed}/{name}")
        self.stall = stall
        self.beats: list[int] = []
        self.cycles: list[int] = []
        self.ready.value = 0

    async def receive(self, count: int, now: "CycleCounter") -> None:
        pending = None
        while len(self.beats) < count:
            ready = self.random.random() >= self.stall
            self.ready.value = int(ready)
            await ReadOnly()
            payload = self.payload.value.to_unsigned() if self.valid.value == 1 else None
            if pending is not None:
                assert payload == pending, f"{self.name}, cycle {now.cycle}, seed {self.seed}: changed before ready"
            if ready and payload is not None:
                self.beats.append(payload)
                self.cycles.append(now.cycle)
            pending = None if ready else payload
            await FallingEdge(self.clock)
        self.ready.value = 0


class CycleCounter:
    """Counts the falling edges of the clock."""

    def __init__(self, clock: Any):
        self.clock = clock
        self.cycle = 0

    async def count(self) -> None:
        while True:
            await FallingEdge(self.clock)
            self.cycle += 1


async def reset(dut: Any) -> None:
    """Two cycles of reset."""
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
async def heads_are_as_expected(dut: Any) -> None:
    """Every head's output and statistics, streamed through the core with random stalls on every stream."""
    task = heads_from_json(Path(os.environ[HEADS_VARIABLE]).read_text())
    config, heads, seed, stall = task.config, task.heads, task.seed, task.stall
    inputs, counts = head_inputs(config, heads), head_counts(config, heads)
    layouts = {"i_command": command_layout(config), "i_data": data_layout(config)}
    results = {"o_data": output_layout(config), "o_statistics": statistics_layout(config)}

    Clock(dut.clk, PERIOD_NS, "ns").start()
    drivers = {name: StreamDriver(dut, name, seed, stall) for name in layouts}
    monitors = {name: StreamMonitor(dut, name, seed, stall) for name in results}
    await reset(dut)
    now = CycleCounter(dut.clk)
    cocotb.start_soon(now.count())
    tasks = [
        cocotb.start_soon(driver.send([pack(layouts[name], value) for value in inputs[name]], now))
        for name, driver in drivers.items()
    ]
    tasks += [cocotb.start_soon(monitor.receive(counts[name], now)) for name, monitor in monitors.items()]
    await with_timeout(gather(*tasks), PERIOD_NS * cycle_limit(config, heads, stall), "ns")

    values = {name: [unpack(results[name], beat) for beat in monitor.beats] for name, monitor in monitors.items()}
    cycles = {name: end.cycles for name, end in (drivers | monitors).items()}
    for index, (run, expected) in enumerate(zip(head_runs(config, heads, values, cycles), task.expected, strict=True)):
        output = None if run.output is None else run.output.tolist()
        assert output == expected.output, f"head {index}, seed {seed}: output differs"
        told = {name: int(getattr(run.statistics, name)) for name in expected.statistics}
        assert told == expected.statistics, f"head {index}, seed {seed}: statistics differ"
    dut._log.info(f"{len(heads)} heads in {now.cycle} cycles are as expected")
