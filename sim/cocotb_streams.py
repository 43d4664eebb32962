"""cocotb drivers and monitors of a component's streams, shared by the tests of all units."""

from collections.abc import Mapping
from random import Random
from typing import Any

from amaranth.lib import wiring
from cocotb import start_soon
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, gather, with_timeout

from ..hdl.emit import interface
from .bridge import pack_all, unpack

__all__ = ["exchange"]

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
            payload = self.payload.value.to_unsigned() if self.valid.value == 1 else None
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


async def exchange(
    dut: Any,
    signature: wiring.Signature,
    inputs: Mapping[str, Any],
    counts: Mapping[str, int],
    *,
    seed: int,
    stall: float,
    max_cycles: int,
) -> tuple[dict[str, list[Any]], dict[str, list[int]]]:
    """Run a component from reset: send payloads to its input streams, receive payloads from its output streams.

    Parameters
    ----------
    dut : cocotb handle
        Top module of the emitted Verilog.
    signature : wiring.Signature
        Signature of the component. All its ports are streams.
    inputs : dict of sequences
        Payloads for each input stream (see :func:`~thresher.sim.bridge.pack_beats`). Other input streams stay idle.
    counts : dict of int
        Number of payloads to take from each output stream.
    seed, stall
        See :func:`~thresher.sim.testbench.run_streams`.
    max_cycles : int
        Longest run.

    Returns
    -------
    values, cycles : dict
        Payloads of the output streams, and the clock cycle of each transfer of all streams. The first cycle is 0.

    Raises
    ------
    AssertionError
        A payload changes before it is taken.
    SimTimeoutError
        The outputs give too few payloads within ``max_cycles``.
    """
    streams, _ = interface(signature.create())
    now = CycleCounter(dut.clk)
    Clock(dut.clk, PERIOD_NS, "ns").start()
    ends = {"seed": seed, "stall": stall}
    drivers = {name: StreamDriver(dut, name, now, **ends) for name, port in streams.items() if port.direction == "in"}
    monitors = {
        name: StreamMonitor(dut, name, now, **ends) for name, port in streams.items() if port.direction == "out"
    }
    for driver in drivers.values():
        driver.valid.value = 0
        driver.payload.value = 0
    for monitor in monitors.values():
        monitor.ready.value = 0
    await _reset(dut)
    start_soon(now.count())
    receiving = {name: start_soon(monitors[name].receive(count)) for name, count in counts.items()}
    sending = [
        start_soon(drivers[name].send(pack_all(streams[name].shape, inputs[name], path=name))) for name in inputs
    ]
    await with_timeout(gather(*receiving.values(), *sending), PERIOD_NS * max_cycles, "ns")
    values = {name: [unpack(streams[name].shape, beat) for beat in task.result()] for name, task in receiving.items()}
    return values, {name: end.cycles for name, end in (drivers | monitors).items()}
