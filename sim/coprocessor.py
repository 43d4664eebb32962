"""Simulation of a co-processor with whole programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hdl.coprocessor.coprocessor import Coprocessor, coprocessor_signature
from ..hdl.coprocessor.program_streams import activity_layout
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import SimulationError
from ..spec.memory import memory_map
from ..spec.program import INSTRUCTION_BYTES, UNITS, WORD_BYTES, FaultCode, Finish, Opcode, Region, offset_of, region_of
from .batch import UnitSimulator
from .build import Design
from .verilator import OnCycle

__all__ = ["CoprocessorRun", "CoprocessorSimulator", "UnitTimes", "coprocessor_design"]

Bytes = NDArray[np.uint8]

WATCHDOG = 1 << 28
"""Cycles. Longer than a product of 3072 × 768 weights and 512 tokens on the preset ``tiny``, with a slow memory."""

MAX_CYCLES = 1 << 30


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitTimes:
    """What a unit did while a program ran.

    Attributes
    ----------
    busy, waiting, starved : int
        Cycles; see :func:`~thresher.hdl.coprocessor.program_streams.activity_layout`.
    begins, ends : (instructions,) int64
        Cycles in which its instructions began and were complete, since the program began.
    """

    busy: int
    waiting: int
    starved: int
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CoprocessorRun:
    """A program that has ended.

    Attributes
    ----------
    finish : Finish
    regions : dict of Region to uint8 array
        What the memory holds then, without the program.
    cycles : int
        From the beginning of the program to its end.
    units : dict of Opcode to UnitTimes
    bytes_read, bytes_written : int
    """

    finish: Finish
    regions: dict[Region, Bytes]
    cycles: int
    units: dict[Opcode, UnitTimes]
    bytes_read: int
    bytes_written: int


def coprocessor_design(config: CoprocessorConfig) -> Design:
    """The co-processor as a design of the simulators."""
    return Design(
        signature=coprocessor_signature(), make=lambda: Coprocessor(config), key=f"Coprocessor {config.to_json()}"
    )


class CoprocessorSimulator(UnitSimulator):
    """Simulator of a co-processor and its memory, under Verilator.

    Parameters
    ----------
    config : CoprocessorConfig
    rate : int
        Most bytes that the memory reads and writes per cycle, 1…16.
    latency : (int, int)
        Least and most cycles from a burst to the answer of the memory.
    stall : float
        Probability, in each cycle, that a stream of the memory does not move.
    seed : int
        Of stalls and latencies.
    **settings
        Other parameters of :class:`~thresher.sim.verilator.VerilatorSimulator`, which raises its errors.
    """

    def __init__(
        self,
        config: CoprocessorConfig,
        *,
        rate: int = WORD_BYTES,
        latency: tuple[int, int] = (16, 16),
        stall: float = 0.0,
        seed: int = 0,
        **settings: Any,
    ):
        self.config = config
        self._rate, self._latency, self._seed = rate, latency, seed
        super().__init__(coprocessor_design(config), stall=stall, seed=seed, **settings)
        self._bits = _activity_bits()
        events = (bit for unit in UNITS for bit in (self._bits[unit, "begins"], self._bits[unit, "completes"]))
        self._simulator.probe("activity", mask=sum(1 << bit for bit in events))

    def run(
        self,
        regions: Mapping[Region, Bytes],
        program: bytes,
        *,
        max_cycles: int = MAX_CYCLES,
        on_cycle: OnCycle | None = None,
        **settings: Any,
    ) -> CoprocessorRun:
        """Run a program to its end: :meth:`start` and :meth:`finish`."""
        self.start(regions, program, **settings)
        return self.finish(max_cycles=max_cycles, on_cycle=on_cycle)

    def start(
        self,
        regions: Mapping[Region, Bytes],
        program: bytes,
        *,
        watchdog: int = WATCHDOG,
        errors: int | None = None,
        latency: tuple[int, int] | None = None,
    ) -> None:
        """Fill the memory and start a program.

        Parameters
        ----------
        regions : dict of Region to uint8 array
            What the memory holds at the beginning; it is copied.
        program : bytes
        watchdog : int
            Most cycles between completed instructions, or 0 for no limit.
        errors : int, optional
            Address of the program whose word the memory cannot read or write.
        latency : (int, int), optional
            In place of the simulator's own.
        """
        sizes = {region: len(regions[region]) for region in Region}
        places = memory_map(sizes, program_bytes=len(program))
        data = np.zeros(places.size, np.uint8)
        for region, start in places.bases.items():
            data[start : start + sizes[region]] = regions[region]
        start = places.bases[region_of(places.program)] + offset_of(places.program)
        data[start : start + len(program)] = np.frombuffer(program, np.uint8)
        failing = range(0)
        if errors is not None:
            start = places.bases[region_of(errors)] + offset_of(errors)
            failing = range(start, start + WORD_BYTES)
        simulator = self._simulator
        simulator.set_memory(data, rate=self._rate, latency=latency or self._latency, errors=failing, seed=self._seed)
        simulator.set(
            "regions",
            {each.name.lower(): {"base": places.bases[each], "size": places.sizes[each]} for each in Region},
        )
        simulator.set("watchdog", watchdog)
        simulator.set("abort_program", 0)
        simulator.take_probe("activity")
        self._before = simulator.memory_state
        self._begin = simulator.cycle
        self._held = {region: data[start : start + sizes[region]] for region, start in places.bases.items()}
        job = {"address": places.program, "instructions": len(program) // INSTRUCTION_BYTES}
        simulator.advance({"i_program": [job]}, cycles=0)

    def advance(self, cycles: int) -> None:
        """Go on for some cycles. A program must not end in them."""
        transfers = self._simulator.run({}, {}, max_cycles=cycles)
        assert not len(transfers.cycles["i_program"]), "the program has ended"

    def abort(self) -> None:
        """Abort the program that runs."""
        self._simulator.set("abort_program", 1)

    def finish(self, *, max_cycles: int = MAX_CYCLES, on_cycle: OnCycle | None = None) -> CoprocessorRun:
        """Wait for the end of the program.

        Parameters
        ----------
        max_cycles : int
        on_cycle : function of an int, optional
            Called with the cycles since the program began, every few thousand cycles.

        Raises
        ------
        SimulationError
            The co-processor has a defect: it breaks a rule of the memory or of a stream, or does not end within
            ``max_cycles``. The simulator must be reset.
        """
        simulator = self._simulator
        tell = None if on_cycle is None else lambda cycle: on_cycle(cycle - self._begin)
        transfers = simulator.run({}, {"o_finish": 1}, max_cycles=max_cycles, on_cycle=tell)
        read, written, idle = simulator.memory_state
        finish = _finish(transfers.values["o_finish"][0])
        if not idle and finish.error is FaultCode.NONE:
            raise SimulationError("the program has ended, but the memory still has work")
        return CoprocessorRun(
            finish=finish,
            regions={region: data.copy() for region, data in self._held.items()},
            cycles=int(transfers.cycles["o_finish"][0]) - self._begin,
            units=self._times(self._begin),
            bytes_read=(read - self._before[0]) * WORD_BYTES,
            bytes_written=(written - self._before[1]) * WORD_BYTES,
        )

    def _times(self, begin: int) -> dict[Opcode, UnitTimes]:
        ones, cycles, values = self._simulator.take_probe("activity")
        cycles = cycles.astype(np.int64) - begin
        times = {}
        for unit in UNITS:
            begins, ends = (
                cycles[values >> np.uint64(self._bits[unit, name]) & np.uint64(1) == 1]
                for name in ("begins", "completes")
            )
            counts = {name: int(ones[self._bits[unit, name]]) for name in ("busy", "waiting", "starved")}
            times[unit] = UnitTimes(begins=begins, ends=ends, **counts)
        return times


def _activity_bits() -> dict[tuple[Opcode, str], int]:
    """Number of the bit of each unit and name in the output ``activity``."""
    layout = activity_layout()
    bits = {}
    for unit in UNITS:
        field = layout[unit.name.lower()]
        bits |= {(unit, name): field.offset + inner.offset for name, inner in field.shape}
    return bits


def _finish(fields: Mapping[str, Any]) -> Finish:
    values = {name: int(value) for name, value in fields.items()}
    unit = Opcode(values["unit"]) if values["unit"] else None
    return Finish(**{**values, "error": FaultCode(values["error"]), "unit": unit})
