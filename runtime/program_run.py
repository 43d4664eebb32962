"""A compiled encoder on the golden model, or on simulated hardware that is compared with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..golden.encoder import Text
from ..golden.machine import Machine
from ..golden.memory import Memory
from ..host.coprocessor import CoprocessorDriver
from ..model.compiler import Constants, EncoderProgram
from ..sim.coprocessor import CoprocessorRun, CoprocessorSimulator
from ..sim.verilator import OnCycle
from ..spec.errors import SimulationError
from ..spec.program import UNITS, WORD_BYTES, FaultCode, Opcode, Region
from .compile import image_of
from .report import Report

__all__ = ["Interval", "ProgramReport", "ProgramRun", "UnitCycles", "regions_of", "run_on_board", "run_program"]


@dataclass(frozen=True, kw_only=True)
class UnitCycles(Report):
    """Cycles of a unit; see :class:`~thresher.sim.coprocessor.UnitTimes`."""

    busy: int
    waiting: int
    starved: int
    instructions: int


@dataclass(frozen=True, kw_only=True)
class Interval:
    """When an instruction began and was complete, in cycles since the program began."""

    unit: Opcode
    name: str
    begin: int
    end: int

    @property
    def part(self) -> str:
        """Part of the encoder: a layer, or what is before and after the layers."""
        words = self.name.split()
        return " ".join(words[:2]) if words[0] == "layer" else words[0]


@dataclass(frozen=True, kw_only=True)
class ProgramReport(Report):
    """A program on simulated hardware.

    Attributes
    ----------
    lengths : tuple of int
        Tokens of each text.
    instructions, cycles : int
    multipliers : int
        Of the product engine.
    weight_macs : int
        Multiplications by weights that are not 0, for all tokens.
    units : dict
        Cycles of each unit.
    layers : dict
        Cycles of each part of the encoder, from its first instruction to its last; parts overlap. Boards do not know
        them.
    bytes_read, bytes_written : int
    """

    derived = ("utilisation", "sentences_per_megacycle")

    lengths: tuple[int, ...]
    instructions: int
    cycles: int
    multipliers: int
    weight_macs: int
    units: dict[str, UnitCycles]
    layers: dict[str, int]
    bytes_read: int
    bytes_written: int

    @property
    def utilisation(self) -> float:
        """Share of the product engine's multiplications that are useful."""
        return self.weight_macs / (self.multipliers * self.cycles)

    @property
    def sentences_per_megacycle(self) -> float:
        """Throughput."""
        return 1e6 * len(self.lengths) / self.cycles


@dataclass(frozen=True, kw_only=True, eq=False)
class ProgramRun:
    """What a program has computed.

    Attributes
    ----------
    outputs : (texts, n) integers
        See :meth:`~thresher.model.compiler.program.EncoderProgram.output`.
    hardware : ProgramReport or None
    intervals : tuple of Interval
        Of every instruction on the hardware.
    bit_exact : bool or None
        Whether golden model and hardware leave the same bytes in every region, or on a board in the region OUTPUT.
    """

    outputs: NDArray[np.integer]
    hardware: ProgramReport | None
    intervals: tuple[Interval, ...]
    bit_exact: bool | None


def regions_of(constants: Constants, program: EncoderProgram, texts: Sequence[Text]) -> dict[Region, NDArray[np.uint8]]:
    """What the memory holds before a run."""
    return {
        Region.CONSTANTS: constants.data,
        Region.SCRATCH: np.zeros(program.spaces[Region.SCRATCH].size, np.uint8),
        Region.INPUT: program.input(texts),
        Region.OUTPUT: np.zeros(program.spaces[Region.OUTPUT].size, np.uint8),
    }


def run_program(
    constants: Constants,
    program: EncoderProgram,
    texts: Sequence[Text],
    simulator: CoprocessorSimulator | None,
    *,
    on_cycle: OnCycle | None = None,
) -> ProgramRun:
    """Run a program on the golden model, and on a simulator if there is one.

    Parameters
    ----------
    on_cycle
        See :meth:`~thresher.sim.coprocessor.CoprocessorSimulator.finish`.

    Raises
    ------
    SimulationError
        The hardware has a fault that the golden model does not have.
    InputError
        The texts do not fit the program.
    """
    regions = regions_of(constants, program, texts)
    golden = _golden_memory(program, regions)
    outputs = program.output(golden).T
    if simulator is None:
        return ProgramRun(outputs=outputs, hardware=None, intervals=(), bit_exact=None)
    run = simulator.run(regions, program.data, on_cycle=on_cycle)
    if run.finish.error is not FaultCode.NONE:
        tag = run.finish.tag
        name = program.tags[tag] if tag < len(program.tags) else None
        raise SimulationError(f"the hardware stopped: {run.finish.text(name)}")
    return ProgramRun(
        outputs=program.output(Memory(regions=run.regions)).T,
        hardware=_report(program, run),
        intervals=_intervals(program, run),
        bit_exact=all(np.array_equal(run.regions[region], golden.regions[region]) for region in Region),
    )


def run_on_board(
    constants: Constants, program: EncoderProgram, texts: Sequence[Text], driver: CoprocessorDriver
) -> ProgramRun:
    """Run a program on a board, and compare its results with those of the golden model.

    Raises
    ------
    DeviceError
        The board does not answer, or stops.
    InputError
        The board's memory is too small, or the texts do not fit the program.
    """
    regions = regions_of(constants, program, texts)
    golden = _golden_memory(program, regions)
    driver.load(image_of(constants, program).encode())
    output = np.frombuffer(driver.run(regions[Region.INPUT].tobytes()), np.uint8)
    return ProgramRun(
        outputs=program.output(Memory(regions={**regions, Region.OUTPUT: output})).T,
        hardware=_board_report(program, driver.counters()),
        intervals=(),
        bit_exact=np.array_equal(output, golden.regions[Region.OUTPUT]),
    )


def _golden_memory(program: EncoderProgram, regions: dict[Region, NDArray[np.uint8]]) -> Memory:
    """The memory after a run on the golden model."""
    memory = Memory(regions={region: data.copy() for region, data in regions.items()})
    outcome = Machine(program.config, memory).run(program.data)
    assert outcome.fault is None, outcome.fault
    return memory


def _intervals(program: EncoderProgram, run: CoprocessorRun) -> tuple[Interval, ...]:
    intervals = []
    for unit in UNITS:
        times = run.units[unit]
        names = [program.tags[item.tag] for item in program.instructions if item.opcode is unit]
        for name, begin, end in zip(names, times.begins.tolist(), times.ends.tolist(), strict=True):
            intervals.append(Interval(unit=unit, name=name, begin=begin, end=end))
    return tuple(sorted(intervals, key=lambda each: each.begin))


def _report(program: EncoderProgram, run: CoprocessorRun) -> ProgramReport:
    parts: dict[str, list[Interval]] = {}
    for interval in _intervals(program, run):
        parts.setdefault(interval.part, []).append(interval)
    return ProgramReport(
        lengths=program.lengths,
        instructions=len(program.instructions),
        cycles=run.cycles,
        multipliers=program.config.spmm.multipliers,
        weight_macs=program.weight_macs,
        units={
            unit.name.lower(): UnitCycles(
                busy=times.busy, waiting=times.waiting, starved=times.starved, instructions=len(times.ends)
            )
            for unit, times in run.units.items()
        },
        layers={
            name: max(each.end for each in group) - min(each.begin for each in group) for name, group in parts.items()
        },
        bytes_read=run.bytes_read,
        bytes_written=run.bytes_written,
    )


def _board_report(program: EncoderProgram, counters: dict[str, int]) -> ProgramReport:
    def unit_cycles(unit: str) -> UnitCycles:
        names = {"busy": "BUSY", "waiting": "WAITING", "starved": "STARVED", "instructions": "COMPLETED"}
        return UnitCycles(**{field: counters[f"{unit}_{name}"] for field, name in names.items()})

    return ProgramReport(
        lengths=program.lengths,
        instructions=len(program.instructions),
        cycles=counters["CYCLES"],
        multipliers=program.config.spmm.multipliers,
        weight_macs=program.weight_macs,
        units={unit.name.lower(): unit_cycles(unit.name) for unit in UNITS},
        layers={},
        bytes_read=counters["WORDS_READ"] * WORD_BYTES,
        bytes_written=counters["WORDS_WRITTEN"] * WORD_BYTES,
    )
