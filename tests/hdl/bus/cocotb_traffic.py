"""Drives the memory port of a bus master under cocotb. It runs inside the simulator's process."""

import warnings
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, gather, with_timeout
from thresher.sim.cocotb_exchange import PERIOD_NS, CycleCounter, StreamDriver, StreamMonitor

from .rules import Rules
from .traffic import Traffic

# In this process, too, warnings are errors. The models use what newer versions of cocotb deprecate.
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(cocotbext|cocotb_bus)\b")

SOURCES = ("read", "write", "write_data")
SINKS = ("read_data", "written")


class Values(dict[str, int]):
    """Values of the signals of a bus in one cycle. It reads only those that are asked for: reading takes long."""

    def __init__(self, signals: dict[str, Any]):
        super().__init__()
        self._signals = signals

    def __missing__(self, name: str) -> int:
        self[name] = int(self._signals[name].value)
        return self[name]


async def watch(dut: Any, prefix: str, names: Iterable[str], rules: Rules, *, clock: Any = None) -> None:
    """Check the rules of a bus in every cycle of a clock, by default ``clk``."""
    signals = {name: getattr(dut, f"{prefix}_{name}") for name in names}
    while True:
        await FallingEdge(dut.clk if clock is None else clock)
        await ReadOnly()
        rules.observe(Values(signals))


async def reset(dut: Any, prefix: str) -> None:
    """Start the clock, and reset the master for two cycles."""
    Clock(dut.clk, PERIOD_NS, "ns").start()
    for name in SOURCES:
        getattr(dut, f"{prefix}_memory__{name}__valid").value = 0
        getattr(dut, f"{prefix}_memory__{name}__payload").value = 0
    for name in SINKS:
        getattr(dut, f"{prefix}_memory__{name}__ready").value = 1
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


class Port:
    """The memory port of a master, with traffic.

    Parameters
    ----------
    prefix : str
        Of the master's ports.
    stalls : dict of float
        Stall probability of each stream; others do not stall.
    """

    def __init__(self, dut: Any, prefix: str, traffic: Traffic, *, seed: int, stalls: dict[str, float]):
        self.clock, self.traffic = dut.clk, traffic
        now = CycleCounter(dut.clk)
        cocotb.start_soon(now.count())

        def end(kind: Callable[..., Any], name: str) -> Any:
            return kind(dut, f"{prefix}_memory__{name}", now, seed=seed, stall=stalls.get(name, 0.0))

        self.drivers = {name: end(StreamDriver, name) for name in SOURCES}
        self.monitors = {name: end(StreamMonitor, name) for name in SINKS}

    async def run(self, max_cycles: int) -> None:
        """Send all traffic, and check all answers."""
        words = sum(burst.words for burst in self.traffic.reads)
        everything = gather(
            self._read(),
            self._write(),
            self.drivers["write_data"].send(self.traffic.words),
            self._take("read_data", words, self.traffic.take_beat),
            self._take("written", len(self.traffic.writes), self.traffic.take_acknowledgement),
        )
        await with_timeout(everything, PERIOD_NS * max_cycles, "ns")

    async def _read(self) -> None:
        for burst in self.traffic.reads:
            while not self.traffic.may_read(burst):
                await FallingEdge(self.clock)
            self.traffic.begin_read(burst)
            await self.drivers["read"].send([burst.bits])

    async def _write(self) -> None:
        for burst in self.traffic.writes:
            while not self.traffic.may_write(burst):
                await FallingEdge(self.clock)
            self.traffic.begin_write(burst)
            await self.drivers["write"].send([burst.bits])

    async def _take(self, name: str, number: int, check: Callable[[int], None]) -> None:
        for _ in range(number):
            (bits,) = await self.monitors[name].receive(1)
            check(bits)


def pauses(random: Any, probability: float):
    """Whether a model pauses, in one cycle after another."""
    for _ in count():
        yield random.random() < probability
