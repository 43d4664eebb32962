"""Work that streams through a unit: from operands to the payloads of its input streams, and back from its answers."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError, SimulationError
from .build import Design
from .testbench import run_streams
from .verilator import VerilatorSimulator

__all__ = ["Batch", "Run", "UnitSimulator", "Work", "packet", "simulate"]

Statistics = TypeVar("Statistics")


@dataclass(frozen=True, kw_only=True)
class Run(Generic[Statistics]):
    """Answer of a unit to a command, and its time.

    Attributes
    ----------
    output : int8 matrix, or None
        None if the command is rejected.
    statistics : HeadStatistics or SpmmStatistics
    accepted, finished : int
        Clock cycles of the transfer of the command and of the last output beat (of the statistics, if the command is
        rejected). The differences between successive runs give the throughput.
    """

    output: NDArray[np.int8] | None
    statistics: Statistics
    accepted: int
    finished: int


class Work(ABC):
    """A command with its operands.

    Attributes
    ----------
    command : dataclass
        Payload of the command stream.
    output_beats : int
        Number of output beats; 0 if the unit rejects the command.
    cycle_limit : int
        Upper bound of the cycles of this work.
    """

    command: Any
    output_beats: int
    cycle_limit: int

    @abstractmethod
    def fillers(self) -> dict[str, NDArray[Any]]:
        """One beat for each operand stream that the command uses."""

    @abstractmethod
    def operands(self) -> dict[str, NDArray[Any]]:
        """Beats of each operand stream. Only called if the unit accepts the command.

        Raises
        ------
        InputError
            An operand has the wrong shape, type or range.
        """

    @abstractmethod
    def output(self, beats: NDArray[np.int8]) -> NDArray[np.int8]:
        """Output matrix from the output beats.

        Raises
        ------
        SimulationError
            The padding is not zero.
        """


def packet(beats: NDArray[Any]) -> NDArray[Any]:
    """A packet of operands: structures of ``data`` and ``last``, as
    :func:`~thresher.hdl.lib.packets.framed_layout` says.

    Parameters
    ----------
    beats : (n, …) array, n ≥ 1
    """
    framed = np.zeros(len(beats), [("data", beats.dtype, beats.shape[1:]), ("last", np.uint8)])
    framed["data"] = beats
    framed["last"][-1] = 1
    return framed


class Batch(ABC, Generic[Statistics]):
    """Work that streams through a unit without gaps.

    Parameters
    ----------
    design : Design
        Design of the unit.
    noun : str
        Name of a piece of work in messages.
    work : sequence of Work
    """

    def __init__(self, design: Design, noun: str, work: Sequence[Work]):
        self.design, self._noun, self._work = design, noun, work

    @abstractmethod
    def statistics(self, fields: dict[str, int]) -> Statistics:
        """Statistics from the payload of the statistics stream."""

    def packets(self, index: int) -> dict[str, NDArray[Any]]:
        """The packet of a command on each operand stream that it uses; see :func:`packet`.

        A packet of a rejected command, or of operands without beats, has one beat of zeros.

        Raises
        ------
        InputError
            An operand has the wrong shape, type or range.
        """
        work = self._work[index]
        with about(self._noun, index):
            beats = work.fillers()
            if work.output_beats:
                beats |= {name: operand for name, operand in work.operands().items() if len(operand)}
        return {name: packet(operand) for name, operand in beats.items()}

    def inputs(self) -> dict[str, Any]:
        """Payloads for the input streams of the unit.

        Raises
        ------
        InputError
            An operand has the wrong shape, type or range.
        """
        streams: dict[str, list[np.ndarray]] = {}
        for index in range(len(self._work)):
            for name, beats in self.packets(index).items():
                streams.setdefault(name, []).append(beats)
        joined = {name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in streams.items()}
        return {"i_command": [asdict(work.command) for work in self._work], **joined}

    def beats(self) -> list[int]:
        """Number of payloads of ``o_data`` that each command gives, 0 if it is rejected."""
        return [work.output_beats for work in self._work]

    def counts(self) -> dict[str, int]:
        """Number of payloads that each output stream of the unit gives."""
        return {"o_data": sum(self.beats()), "o_statistics": len(self._work)}

    def cycle_limit(self, stall: float | Mapping[str, float]) -> int:
        """Upper bound of the cycles of the batch, with a large margin. See :func:`simulate` for ``stall``."""
        chance = max(stall.values(), default=0.0) if isinstance(stall, Mapping) else stall
        return round(4 * (1000 + sum(work.cycle_limit for work in self._work)) / (1 - chance))

    def results(self, values: Mapping[str, Any]) -> list[tuple[NDArray[np.int8] | None, Statistics]]:
        """Divide the payloads of the output streams into pairs of output and statistics.

        The output is None if the command is rejected.

        Raises
        ------
        SimulationError
            The padding of an output is not zero.
        """
        beats = np.asarray(values["o_data"], np.int8)
        results, start = [], 0
        for index, work in enumerate(self._work):
            output, end = None, start + work.output_beats
            if work.output_beats:
                with about(self._noun, index):
                    output = work.output(beats[start:end])
            fields = {name: int(value) for name, value in values["o_statistics"][index].items()}
            results.append((output, self.statistics(fields)))
            start = end
        return results

    def runs(self, values: Mapping[str, Any], cycles: Mapping[str, Any]) -> list[Run[Statistics]]:
        """Divide the transfers of the streams into runs. See :meth:`results`."""
        runs, end = [], 0
        for index, (output, statistics) in enumerate(self.results(values)):
            end += self._work[index].output_beats
            finished = cycles["o_statistics"][index] if output is None else cycles["o_data"][end - 1]
            accepted = int(cycles["i_command"][index])
            runs.append(Run(output=output, statistics=statistics, accepted=accepted, finished=int(finished)))
        return runs


@contextlib.contextmanager
def about(noun: str, index: int) -> Iterator[None]:
    """Add the number of a piece of work to errors."""
    try:
        yield
    except (InputError, SimulationError) as error:
        raise type(error)(f"{noun} {index}: {error}") from None


def simulate(
    batch: Batch[Statistics], *, seed: int, stall: float | Mapping[str, float] = 0.3, vcd: Path | None = None
) -> list[Run[Statistics]]:
    """Simulate a batch in Amaranth's simulator. It needs no compiler and suits small configurations.

    Parameters
    ----------
    batch : Batch
    seed, stall, vcd
        See :func:`~thresher.sim.testbench.run_streams`.

    Raises
    ------
    AssertionError
        The unit breaks a rule of streams or gives too few outputs (see :func:`~thresher.sim.testbench.run_streams`).
    InputError, SimulationError
        As in :meth:`Batch.inputs` and :meth:`Batch.results`.
    """
    limit = batch.cycle_limit(stall)
    unit = batch.design.make()
    result = run_streams(unit, batch.inputs(), batch.counts(), seed=seed, stall=stall, max_cycles=limit, vcd=vcd)
    return batch.runs(result.values, result.cycles)


class UnitSimulator:
    """Base class of the simulators of units, under Verilator. Subclasses add a method that runs the unit's work.

    Parameters
    ----------
    design : Design
    stall : float
        Probability, in each cycle, that a source offers nothing new or a sink is not ready.
    **settings
        Other parameters of :class:`~thresher.sim.verilator.VerilatorSimulator`, which raises its errors.
    """

    def __init__(self, design: Design, *, stall: float = 0.0, **settings: Any):
        self._stall = stall
        self._simulator = VerilatorSimulator(design, stall=stall, **settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation and complete the trace."""
        self._simulator.close()

    @property
    def cycle(self) -> int:
        """Cycles since reset."""
        return self._simulator.cycle

    def reset(self) -> None:
        """Reset the unit and set the cycle count to 0."""
        self._simulator.reset()

    def abort(self) -> None:
        """Drop all work in the unit, and what is queued for it, by a reset of one cycle."""
        self._simulator.abort()

    def _run(self, batch: Batch[Statistics]) -> list[Run[Statistics]]:
        """Stream a batch through the unit.

        Raises
        ------
        InputError, SimulationError
            As in :meth:`Batch.inputs` and :meth:`~thresher.sim.verilator.VerilatorSimulator.run`.
        """
        limit = batch.cycle_limit(self._stall)
        transfers = self._simulator.run(batch.inputs(), batch.counts(), max_cycles=limit)
        return batch.runs(transfers.values, transfers.cycles)
