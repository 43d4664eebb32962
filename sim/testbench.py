"""Streams of a component driven in Amaranth's simulator, with random stalls: the bench of the unit tests."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from amaranth import ClockDomain, Module, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from ..hdl.emit import StreamPort, interface
from .bridge import pack, pack_all, unpack

__all__ = ["Transcript", "run_streams"]


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What happened in a run.

    Attributes
    ----------
    values : dict of list
        Payloads of each output stream named in ``counts``, in order (see :func:`~thresher.sim.bridge.unpack`).
    cycles : dict of list of int
        Clock cycle of each transfer, of the output streams in ``counts`` and of the driven input streams alike.
        The first cycle is 0.
    """

    values: dict[str, list[Any]]
    cycles: dict[str, list[int]]


class _Source:
    """Offers the payloads of one input stream."""

    def __init__(self, port: StreamPort, payloads: Sequence[Any] | np.ndarray, stall: float, seed: int):
        self.name, self.stall, self.random = port.name, stall, Random(f"{seed}/{port.name}")
        self.stream, self.shape = port.interface, port.shape
        self.beats = pack_all(port.shape, payloads, path=port.name)
        self.cycles: list[int] = []
        self.offering = False
        self.samples = (self.stream.ready,)

    def drive(self, ctx) -> None:
        if not self.offering and len(self.cycles) < len(self.beats) and self.random.random() >= self.stall:
            ctx.set(Value.cast(self.stream.payload), self.beats[len(self.cycles)])
            ctx.set(self.stream.valid, 1)
            self.offering = True

    def observe(self, ctx, cycle: int, ready: int) -> None:
        if self.offering and ready:
            self.cycles.append(cycle)
            self.offering = False
            ctx.set(self.stream.valid, 0)


class _Sink:
    """Takes the payloads of one output stream and checks the stream's rules."""

    def __init__(self, port: StreamPort, count: int | None, stall: float, seed: int):
        self.name, self.count, self.seed = port.name, count, seed
        self.stall = 0.0 if count is None or port.signature.always_ready else stall
        self.fixed = port.signature.always_ready
        self.random = Random(f"{seed}/{port.name}")
        self.stream, self.shape = port.interface, port.shape
        self.beats: list[int] = []
        self.cycles: list[int] = []
        self.ready = self.fixed
        self.pending: int | None = None
        self.samples = (self.stream.valid, Value.cast(self.stream.payload))

    @property
    def missing(self) -> int:
        return 0 if self.count is None else self.count - len(self.beats)

    def drive(self, ctx) -> None:
        ready = self.random.random() >= self.stall
        if not self.fixed and ready != self.ready:
            ctx.set(self.stream.ready, int(ready))
            self.ready = ready

    def observe(self, ctx, cycle: int, valid: int, payload: int) -> None:
        if self.pending is not None and not valid:
            self._fail(cycle, "valid fell before ready")
        if self.pending is not None and payload != self.pending:
            self._fail(
                cycle,
                f"payload changed before ready, from {unpack(self.shape, self.pending)} "
                f"to {unpack(self.shape, payload)}",
            )
        self.pending = payload if valid and not self.ready else None
        if valid and self.ready:
            if self.count is not None and not self.missing:
                self._fail(cycle, f"more than the expected {self.count} payloads, next {unpack(self.shape, payload)}")
            self.beats.append(payload)
            self.cycles.append(cycle)

    def _fail(self, cycle: int, what: str):
        raise AssertionError(f"stream {self.name}, cycle {cycle}, seed {self.seed}: {what}")


def _ends(
    dut: wiring.Component,
    inputs: Mapping[str, Sequence[Any] | np.ndarray],
    counts: Mapping[str, int],
    stall: float | Mapping[str, float],
    seed: int,
) -> tuple[list[_Source], list[_Sink]]:
    streams, _ = interface(dut)
    for names, direction in ((inputs, "in"), (counts, "out")):
        for name in names:
            if name not in streams or streams[name].direction != direction:
                have = ", ".join(port.name for port in streams.values() if port.direction == direction)
                raise ValueError(f"{name!r} is no {direction}put stream of the component; it has: {have}")
    stalls = {name: stall.get(name, 0.0) if isinstance(stall, Mapping) else stall for name in streams}
    for name, chance in (*stalls.items(), *(stall.items() if isinstance(stall, Mapping) else ())):
        if name not in streams:
            raise ValueError(f"{name!r} is no stream of the component")
        if not 0 <= chance < 1:
            raise ValueError(f"stall={chance} of {name} must be at least 0 and below 1")
    sources = [_Source(streams[name], payloads, stalls[name], seed) for name, payloads in inputs.items()]
    outputs = [port for port in streams.values() if port.direction == "out"]
    return sources, [_Sink(port, counts.get(port.name), stalls[port.name], seed) for port in outputs]


def run_streams(
    dut: wiring.Component,
    inputs: Mapping[str, Sequence[Any] | np.ndarray],
    counts: Mapping[str, int],
    *,
    seed: int,
    stall: float | Mapping[str, float] = 0.3,
    max_cycles: int = 100_000,
    settle: int = 16,
    processes: Sequence[Callable[..., Any]] = (),
    settings: Mapping[str, Any] | None = None,
    vcd: Path | None = None,
) -> Transcript:
    """Run a component from reset: feed its input streams, collect its output streams.

    Input streams that are not named stay idle. Output streams that are not named are always ready; their payloads
    are dropped, their rules checked.

    Parameters
    ----------
    dut : wiring.Component
        In clock domain ``sync``, or combinational.
    inputs : dict of sequences
        Payloads per input stream (see :func:`~thresher.sim.bridge.pack_beats`).
    counts : dict of int
        How many payloads each output stream must give: no fewer, and no more while the run lasts.
    seed : int
        Of the stalls. Every error carries it.
    stall : float or dict of float
        Probability, per stream and cycle, that a source offers nothing new or a sink is not ready; one for all
        streams, or by name (others do not stall).
    max_cycles : int
        The run fails when its outputs have not come by then.
    settle : int
        Cycles that the run goes on after its last expected payload, to catch surplus ones.
    processes : sequence of async functions of a simulator context
        Run beside as background testbenches.
    settings : dict, optional
        Plain inputs, by name, and the values that they have from the start.
    vcd : Path, optional
        Write the waveforms here.

    Raises
    ------
    AssertionError
        An output breaks a stream rule (once valid is high, valid and payload stay until ready), gives too many
        payloads, or too few in time.
    InputError
        A payload or setting does not fit its shape.
    ValueError
        A stream or setting is not the component's.
    """
    # A module of its own gives combinational components the clock domain that the bench counts in.
    top = Module()
    top.domains.sync = ClockDomain()
    top.submodules.dut = dut
    simulator = Simulator(top)
    simulator.add_clock(1e-6)

    sources, sinks = _ends(dut, inputs, counts, stall, seed)
    _, plain = interface(dut)
    initial = []
    for name, value in (settings or {}).items():
        if name not in plain or plain[name].direction != "in":
            raise ValueError(f"{name!r} is no plain input of the component")
        initial.append((Value.cast(plain[name].value), pack(plain[name].shape, value, path=name)))
    ends = [*sources, *sinks]

    async def bench(ctx):
        for target, bits in initial:
            ctx.set(target, bits)
        remaining = settle
        for cycle in range(max_cycles + settle):
            for end in ends:
                end.drive(ctx)
            _, _, *sampled = await ctx.tick().sample(*(signal for end in ends for signal in end.samples))
            for end in ends:
                own, sampled = sampled[: len(end.samples)], sampled[len(end.samples) :]
                end.observe(ctx, cycle, *own)
            if not any(sink.missing for sink in sinks):
                if remaining == 0:
                    return
                remaining -= 1
            elif cycle >= max_cycles:
                break
        short = ", ".join(f"{s.name} ({len(s.beats)} of {s.count})" for s in sinks if s.missing)
        taken = ", ".join(f"{s.name} ({len(s.cycles)} of {len(s.beats)})" for s in sources)
        raise AssertionError(f"after {max_cycles} cycles, seed {seed}: too few from {short}; taken: {taken or 'none'}")

    simulator.add_testbench(bench)
    for process in processes:
        simulator.add_testbench(process, background=True)
    with simulator.write_vcd(str(vcd)) if vcd is not None else contextlib.nullcontext():
        simulator.run()

    named = [sink for sink in sinks if sink.count is not None]
    return Transcript(
        values={sink.name: [unpack(sink.shape, bits) for bits in sink.beats] for sink in named},
        cycles={end.name: end.cycles for end in [*sources, *named]},
    )
