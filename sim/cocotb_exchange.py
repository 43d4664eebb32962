"""cocotb test that drives and watches all streams of a component.

It runs inside the simulator's process (see :func:`~thresher.sim.cocotb_runner.cocotb_exchange`). It reads packed
payloads from one file and writes packed payloads to another.
"""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb import start_soon
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, gather, with_timeout

from .cocotb_runner import ANSWER_VARIABLE, TASK_VARIABLE

PERIOD_NS = 10


class CycleCounter:
    """Counts the falling edges of the clock."""

    def __init__(self, clock: Any):
        self.clock = clock
        self.cycle = 0

    async def count(self) -> None:
        while True:
            await FallingEdge(self.clock)
            self.cycle += 1


class _StreamEnd:
    """A stream of the component, and the cycles of its transfers.

    Signals are set after a falling edge of the clock and read in the same half cycle, after all logic has settled. The
    values that are read are those at the next rising edge.
    """

    def __init__(self, dut: Any, name: str, now: CycleCounter, *, seed: int, stall: float):
        self.clock, self.now = dut.clk, now
        self.payload, self.valid, self.ready = (
            getattr(dut, f"{name}__{part}") for part in ("payload", "valid", "ready")
        )
        self.name, self.seed, self.stall = name, seed, stall
        self.random = Random(f"{seed}/{name}")
        self.cycles: list[int] = []

    def stalls(self) -> bool:
        return self.random.random() < self.stall


class StreamDriver(_StreamEnd):
    """Offers payloads to an input stream."""

    async def send(self, beats: list[int]) -> None:
        for beat in beats:
            while self.stalls():
                await FallingEdge(self.clock)
            self.payload.value = beat
            self.valid.value = 1
            accepted = False
            while not accepted:
                await ReadOnly()
                accepted = self.ready.value == 1
                if accepted:
                    self.cycles.append(self.now.cycle)
                await FallingEdge(self.clock)
            self.valid.value = 0


class StreamMonitor(_StreamEnd):
    """Takes payloads from an output stream and checks the rules of streams."""

    async def receive(self, count: int) -> list[int]:
        beats, pending = [], None
        while len(beats) < count:
            ready = not self.stalls()
            self.ready.value = int(ready)
            await ReadOnly()
            payload = int(self.payload.value) if self.valid.value == 1 else None
            if pending is not None:
                where = f"{self.name}, cycle {self.now.cycle}, seed {self.seed}"
                assert payload == pending, f"{where}: changed before ready"
            if ready and payload is not None:
                beats.append(payload)
                self.cycles.append(self.now.cycle)
            pending = None if ready else payload
            await FallingEdge(self.clock)
        self.ready.value = 0
        return beats


async def _reset(dut: Any) -> None:
    """Reset the component for two cycles."""
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
async def exchange(dut: Any) -> None:
    """Run the task. Write the received payloads and the cycle of every transfer."""
    task = json.loads(Path(os.environ[TASK_VARIABLE]).read_text("utf-8"))
    now = CycleCounter(dut.clk)
    Clock(dut.clk, PERIOD_NS, "ns").start()
    ends = {"seed": task["seed"], "stall": task["stall"]}
    drivers = {name: StreamDriver(dut, name, now, **ends) for name in task["inputs"]}
    monitors = {name: StreamMonitor(dut, name, now, **ends) for name in task["counts"]}
    for driver in drivers.values():
        driver.valid.value = 0
        driver.payload.value = 0
    for monitor in monitors.values():
        monitor.ready.value = 0
    await _reset(dut)
    start_soon(now.count())
    receiving = {name: start_soon(monitors[name].receive(count)) for name, count in task["counts"].items()}
    sending = [start_soon(drivers[name].send(beats)) for name, beats in task["inputs"].items()]
    await with_timeout(gather(*receiving.values(), *sending), PERIOD_NS * task["max_cycles"], "ns")
    answer = {
        "beats": {name: received.result() for name, received in receiving.items()},
        "cycles": {name: end.cycles for name, end in (drivers | monitors).items()},
    }
    Path(os.environ[ANSWER_VARIABLE]).write_text(json.dumps(answer), encoding="utf-8")
