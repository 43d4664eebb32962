"""Testbench that drives the streams of a component in Amaranth's simulator, with random stalls."""

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
    """Result of a run.

    Attributes
    ----------
    values : dict of list
        Payloads of each output stream in ``counts``, in order (see :func:`~thresher.sim.bridge.unpack`).
    cycles : dict of list of int
        Clock cycle of each transfer, for the streams in ``inputs`` and in ``counts``. The first cycle is 0.
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
    """Takes the payloads of one output stream and checks the rules of streams."""

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
                raise ValueError(f"{name!r} is not an {direction}put stream of the component: choose from {have}")
    stalls = {name: stall.get(name, 0.0) if isinstance(stall, Mapping) else stall for name in streams}
    for name, chance in (*stalls.items(), *(stall.items() if isinstance(stall, Mapping) else ())):
        if name not in streams:
            raise ValueError(f"{name!r} is not a stream of the component")
        if not 0 <= chance < 1:
            raise ValueError(f"stall of {name} must be at least 0 and below 1, not {chance}")
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
    """Run a component from reset: send payloads to its input streams, receive payloads from its output streams.

    Input streams that are not in ``inputs`` stay idle. Output streams that are not in ``counts`` are always ready; the
    rules of streams are checked for them too, and their payloads are dropped.

    Parameters
    ----------
    dut : wiring.Component
        Its clock domain is ``sync``, or it is combinational.
    inputs : dict of sequences
        Payloads for each input stream (see :func:`~thresher.sim.bridge.pack_beats`).
    counts : dict of int
        Number of payloads that each output stream must give, no fewer and no more.
    seed : int
        Seed of the stalls. Every error message contains it.
    stall : float or dict of float
        Probability, in each cycle, that a source offers nothing new or a sink is not ready. One number for all streams,
        or a number for each name; streams that are not named do not stall.
    max_cycles : int
        Longest run.
    settle : int
        Cycles that the run continues after the last expected payload, to detect surplus payloads.
    processes : sequence of async functions of a simulator context
        Background testbenches.
    settings : dict, optional
        Values of plain inputs by name. They do not change during the run.
    vcd : Path, optional
        File for the waveforms.

    Raises
    ------
    AssertionError
        An output breaks a rule of streams (once valid is high, valid and payload stay until ready is high), or it gives
        too many payloads, or too few within ``max_cycles``.
    InputError
        A payload or setting does not fit its shape.
    ValueError
        The component has no stream or input of that name, or a stall is not a probability below 1.
    """
    # The module adds the clock domain, which a combinational component lacks and the testbench needs.
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
            raise ValueError(f"{name!r} is not a plain input of the component")
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
        raise AssertionError(
            f"after {max_cycles} cycles, seed {seed}: too few payloads from {short}; sent: {taken or 'none'}"
        )

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
