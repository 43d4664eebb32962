"""Simulation of Verilog by Verilator, driven from Python with whole payloads of streams."""

import ctypes
import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from ..hdl.emit import StreamPort, interface
from ..spec.errors import SimulationError
from ..spec.program import WORD_BYTES
from .bridge import pack, pack_beats, unpack_beats, words_of
from .build import PROBE_BITS, TRACES, Design, Progress, build_library, design_verilog
from .toolchain import ToolError

__all__ = ["OnCycle", "Transfers", "VerilatorSimulator"]

SLICE = 2_000
"""Cycles after which the simulator returns to Python, so that a signal can end it within a second or two."""

OnCycle = Callable[[int], None]

_UINT32 = ctypes.POINTER(ctypes.c_uint32)
_UINT64 = ctypes.POINTER(ctypes.c_uint64)
_INPUT, _OUTPUT = 0, 1
_LIMIT, _BROKEN = 1, 2


@dataclass(frozen=True, kw_only=True)
class Transfers:
    """Transfers during one call of :meth:`VerilatorSimulator.run`.

    Attributes
    ----------
    values : dict
        Payloads of each output stream (see :func:`~thresher.sim.bridge.unpack_beats`).
    cycles : dict of (n,) uint64
        Clock cycle of each transfer of each input and output stream. The first cycle after reset is 0.
    """

    values: dict[str, Any]
    cycles: dict[str, np.ndarray]


def _load(path: Path) -> ctypes.CDLL:
    """Load the library of ``harness.cpp`` and declare its functions."""
    library = ctypes.CDLL(str(path))
    handle, index, flag = ctypes.c_void_p, ctypes.c_uint, ctypes.c_int
    signatures = {
        "thresher_new": ([ctypes.c_char_p], handle),
        "thresher_delete": ([handle], None),
        "thresher_reset": ([handle], None),
        "thresher_abort": ([handle], None),
        "thresher_cycle": ([handle], ctypes.c_uint64),
        "thresher_error": ([handle], ctypes.c_char_p),
        "thresher_stall": ([handle, flag, index, ctypes.c_uint64, ctypes.c_uint64], None),
        "thresher_set": ([handle, index, _UINT32], None),
        "thresher_push": ([handle, index, _UINT32, ctypes.c_uint64], None),
        "thresher_run": ([handle, _UINT64, ctypes.c_uint64], flag),
        "thresher_transfers": ([handle, flag, index], ctypes.c_uint64),
        "thresher_take": ([handle, flag, index, _UINT32, _UINT64], None),
        "thresher_memory": ([handle, ctypes.POINTER(ctypes.c_uint8), *5 * [ctypes.c_uint64]], None),
        "thresher_memory_errors": ([handle, ctypes.c_uint64, ctypes.c_uint64], None),
        "thresher_memory_state": ([handle, _UINT64], None),
        "thresher_probe": ([handle, index, ctypes.c_uint64], None),
        "thresher_ones": ([handle, index, _UINT64], None),
        "thresher_events": ([handle, index], ctypes.c_uint64),
        "thresher_take_events": ([handle, index, _UINT64, _UINT64], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


def _trace_kind(trace: Path | None) -> str | None:
    if trace is None:
        return None
    if trace.suffix not in TRACES:
        raise ToolError(f"name of the trace file must end in {' or '.join(TRACES)}, not be {trace.name}")
    if not os.access(trace.parent, os.W_OK):
        raise ToolError(f"cannot write the trace file {trace}: choose a folder that exists and can be written")
    return trace.suffix


class VerilatorSimulator(AbstractContextManager["VerilatorSimulator"]):
    """Simulator of a component. It keeps its state from one call to the next.

    Parameters
    ----------
    design : wiring.Component or Design
        Every stream must have valid, ready and a payload.
    stall : float or dict of float
        Probability, in each cycle, that a source offers nothing new or a sink is not ready. One number for all streams,
        or a number for each name; streams that are not named do not stall.
    seed : int
        Seed of the stalls. Each stream has its own generator.
    settings : dict, optional
        Initial values of plain inputs by name.
    verilog : str, optional
        Verilog to run instead of the emitted one, for example a netlist with models of its cells. Its top module is
        ``dut``, with the same ports.
    trace : Path, optional
        File for the waveforms, ``.vcd`` or ``.fst``. It is complete after :meth:`close`.
    on_progress : function of a line of text, optional
        Called before a step that takes seconds.

    Raises
    ------
    ToolError
        A tool is missing or fails, or the cache or the trace cannot be written.
    """

    def __init__(
        self,
        design: wiring.Component | Design,
        *,
        stall: float | Mapping[str, float] = 0.0,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        verilog: str | None = None,
        trace: Path | None = None,
        on_progress: Progress | None = None,
    ):
        self._handle = None
        kind = _trace_kind(trace)  # report a wrong name before the long work
        if verilog is None:
            verilog = design_verilog(design, on_progress=on_progress)
        streams, plain = interface(design.signature.create() if isinstance(design, Design) else design)
        ports = list(streams.values()), list(plain.values())
        self._library = _load(build_library(verilog, *ports, trace=kind, on_progress=on_progress))
        self._inputs = [port for port in streams.values() if port.direction == "in"]
        self._outputs = [port for port in streams.values() if port.direction == "out"]
        self._plain = [port for port in plain.values() if port.direction == "in"]
        self._probes = [port for port in plain.values() if port.direction == "out" and port.width <= PROBE_BITS]
        self._memory: np.ndarray | None = None
        self._seed = seed
        self._handle = self._library.thresher_new(os.fsencode(trace) if trace is not None else None)
        self.set_stall(stall, seed=seed)
        for name, value in (settings or {}).items():
            self.set(name, value)
        self.reset()

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        self.close()

    def close(self) -> None:
        """End the simulation and complete the trace."""
        if self._handle is not None:
            self._library.thresher_delete(self._handle)
            self._handle = None

    @property
    def cycle(self) -> int:
        """Cycles since reset."""
        return self._library.thresher_cycle(self._handle)

    def reset(self) -> None:
        """Reset the component, discard queued payloads and set the cycle count to 0. Memories keep their content."""
        self._library.thresher_reset(self._handle)

    def abort(self) -> None:
        """Reset the component for one cycle, and discard queued payloads. The cycle count goes on."""
        self._library.thresher_abort(self._handle)

    def set_stall(self, stall: float | Mapping[str, float], *, seed: int) -> None:
        """Change the stalls. The parameters are those of the class."""
        by_name = dict(stall) if isinstance(stall, Mapping) else {}
        self._seed = seed
        for side, ports in ((_INPUT, self._inputs), (_OUTPUT, self._outputs)):
            for index, port in enumerate(ports):
                chance = by_name.pop(port.name, 0.0) if isinstance(stall, Mapping) else stall
                if not 0 <= chance < 1:
                    raise ValueError(f"stall of {port.name} must be at least 0 and below 1, not {chance}")
                state = int.from_bytes(hashlib.sha256(f"{seed}/{port.name}".encode()).digest()[:8], "little")
                self._library.thresher_stall(self._handle, side, index, round(chance * 2**32), state)
        if by_name:
            raise ValueError(f"{next(iter(by_name))!r} is not a stream of the component")

    def set(self, name: str, value: Any) -> None:
        """Set a plain input."""
        names = [port.name for port in self._plain]
        if name not in names:
            raise ValueError(f"{name!r} is not a plain input of the component")
        port = self._plain[names.index(name)]
        bits = pack(port.shape, value, path=name)
        words = np.frombuffer(bits.to_bytes(4 * words_of(port.width), "little"), "<u4").astype(np.uint32)
        self._library.thresher_set(self._handle, names.index(name), words.ctypes.data_as(_UINT32))

    def set_memory(
        self,
        data: NDArray[np.uint8],
        *,
        rate: int = 2 * WORD_BYTES,
        latency: tuple[int, int] = (1, 1),
        errors: range = range(0),
        seed: int = 0,
    ) -> None:
        """Set the memory behind the port ``memory`` of the component.

        Parameters
        ----------
        data : (n,) uint8
            Contents; read and written in place.
        rate : int
            Most bytes read and written per cycle, 1…16.
        latency : (int, int)
            Least and most cycles from a burst, or its last word, to the answer. Random for each burst.
        errors : range of int
            Addresses of words that cannot be read or written.
        seed : int
            Seed of the latencies.
        """
        if not 1 <= rate <= 2 * WORD_BYTES:
            raise ValueError(f"rate must be from 1 to {2 * WORD_BYTES} bytes per cycle, not {rate}")
        assert data.flags.c_contiguous
        self._memory = data  # the library uses its bytes
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        self._library.thresher_memory(self._handle, pointer, len(data), rate, *latency, seed)
        self._library.thresher_memory_errors(self._handle, errors.start, errors.stop)

    @property
    def memory_state(self) -> tuple[int, int, bool]:
        """Words read and written since reset, and whether nothing is outstanding."""
        state = np.zeros(3, np.uint64)
        self._library.thresher_memory_state(self._handle, state.ctypes.data_as(_UINT64))
        read, written, idle = state.tolist()
        return read, written, bool(idle)

    def probe(self, name: str, *, mask: int = 0) -> None:
        """Observe a plain output: count its asserted bits, and record the cycles in which a bit of ``mask`` is one."""
        self._library.thresher_probe(self._handle, self._probe_index(name), mask)

    def take_probe(self, name: str) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """What a probe has seen since the last call or reset.

        Returns
        -------
        ones : (64,) uint64
            Cycles in which each bit was asserted.
        cycles, values : (n,) uint64
            Recorded cycles, and the bits of the mask in them.
        """
        index = self._probe_index(name)
        ones = np.zeros(PROBE_BITS, np.uint64)
        self._library.thresher_ones(self._handle, index, ones.ctypes.data_as(_UINT64))
        count = self._library.thresher_events(self._handle, index)
        cycles, values = np.empty(count, np.uint64), np.empty(count, np.uint64)
        self._library.thresher_take_events(
            self._handle, index, cycles.ctypes.data_as(_UINT64), values.ctypes.data_as(_UINT64)
        )
        return ones, cycles, values

    def _probe_index(self, name: str) -> int:
        names = [port.name for port in self._probes]
        if name not in names:
            raise ValueError(f"{name!r} is not a plain output of the component, of at most {PROBE_BITS} bits")
        return names.index(name)

    def run(
        self,
        inputs: Mapping[str, Any],
        counts: Mapping[str, int],
        *,
        max_cycles: int = 10_000_000,
        on_cycle: OnCycle | None = None,
    ) -> Transfers:
        """Queue payloads for input streams and run until each output stream has given its count.

        Payloads that the component has not taken by then stay queued. Output streams that have given their count, or
        that have none, are not ready, so that their payloads stay in the hardware. If all counts are 0, the run takes
        ``max_cycles``.

        Parameters
        ----------
        inputs : dict of sequences of payloads
            See :func:`~thresher.sim.bridge.pack_beats`.
        counts : dict of int
            Number of payloads to take from each output stream.
        max_cycles : int
            Longest run.
        on_cycle : function of an int, optional
            Called with the cycle, every few thousand cycles.

        Raises
        ------
        SimulationError
            The outputs give too few payloads within ``max_cycles``, or break a rule of streams. The simulator must then
            be reset.
        InputError
            A payload does not fit its stream.
        ValueError
            The component has no stream of that name and direction.
        """
        targets = np.zeros(max(1, len(self._outputs)), np.uint64)
        for name, count in counts.items():
            targets[self._index(self._outputs, name)] = count
        self._push(inputs)
        status = self._advance(targets, max_cycles, on_cycle)
        if status == _LIMIT and any(counts.values()):
            missing = self._missing(targets)
            raise SimulationError(f"after {max_cycles} cycles, seed {self._seed}: too few payloads from {missing}")
        return self._take()

    def advance(self, inputs: Mapping[str, Any], *, cycles: int) -> Transfers:
        """Queue payloads for input streams, run for ``cycles`` cycles, and take all payloads of the output streams.

        Parameters
        ----------
        inputs : dict of sequences of payloads
            As in :meth:`run`.
        cycles : int

        Raises
        ------
        SimulationError
            An output breaks a rule of streams.
        InputError, ValueError
            As in :meth:`run`.
        """
        self._push(inputs)
        endless = np.full(max(1, len(self._outputs)), np.iinfo(np.uint64).max)
        self._advance(endless, cycles)
        return self._take()

    def _push(self, inputs: Mapping[str, Any]) -> None:
        indices = [self._index(self._inputs, name) for name in inputs]
        # Check all payloads before the first is queued.
        packed = [
            pack_beats(self._inputs[index].shape, values, path=name)
            for index, (name, values) in zip(indices, inputs.items(), strict=True)
        ]
        for index, beats in zip(indices, packed, strict=True):
            self._library.thresher_push(self._handle, index, beats.ctypes.data_as(_UINT32), len(beats))

    def _advance(self, targets: np.ndarray, cycles: int, on_cycle: OnCycle | None = None) -> int:
        """Run until the outputs reach their targets, at most for ``cycles``. Return the status of the harness."""
        status = _LIMIT
        while cycles > 0 and status == _LIMIT:
            status = self._library.thresher_run(self._handle, targets.ctypes.data_as(_UINT64), min(cycles, SLICE))
            cycles -= SLICE
            if on_cycle is not None:
                on_cycle(self.cycle)
        if status == _BROKEN:
            error = self._library.thresher_error(self._handle).decode().replace("___05F", "__")
            raise SimulationError(f"cycle {self.cycle - 1}, seed {self._seed}: stream {error}")
        return status

    def _index(self, ports: list[StreamPort], name: str) -> int:
        names = [port.name for port in ports]
        if name not in names:
            side = "input" if ports is self._inputs else "output"
            raise ValueError(f"{name!r} is not an {side} stream of the component: choose from {', '.join(names)}")
        return names.index(name)

    def _missing(self, targets: np.ndarray) -> str:
        """Output streams that have given too few payloads, and how many."""
        counts = [self._library.thresher_transfers(self._handle, _OUTPUT, i) for i in range(len(self._outputs))]
        ends = zip(self._outputs, counts, targets.tolist(), strict=False)
        return ", ".join(f"{port.name} ({count} of {target})" for port, count, target in ends if count < target)

    def _take(self) -> Transfers:
        values, cycles = {}, {}
        for side, ports in ((_INPUT, self._inputs), (_OUTPUT, self._outputs)):
            for index, port in enumerate(ports):
                count = self._library.thresher_transfers(self._handle, side, index)
                words = np.empty((count, words_of(port.width) if side == _OUTPUT else 0), np.uint32)
                stamps = np.empty(count, np.uint64)
                pointers = words.ctypes.data_as(_UINT32), stamps.ctypes.data_as(_UINT64)
                self._library.thresher_take(self._handle, side, index, *pointers)
                cycles[port.name] = stamps
                if side == _OUTPUT:
                    values[port.name] = unpack_beats(port.shape, words)
        return Transfers(values=values, cycles=cycles)
