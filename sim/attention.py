"""Simulation of an attention core with whole heads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..hdl.attention.core import AttentionCore
from ..hdl.attention.head_streams import attention_signature, data_layout, output_layout
from ..spec.attention_command import CommandError, HeadCommand
from ..spec.attention_config import AttentionConfig
from ..spec.errors import InputError, SimulationError
from ..spec.formats import ceil_div
from ..spec.heads import Head, HeadStatistics
from .build import Design
from .testbench import run_streams
from .verilator import UnitSimulator

__all__ = [
    "AttentionSimulator",
    "HeadRun",
    "attention_design",
    "cycle_limit",
    "head_counts",
    "head_inputs",
    "head_results",
    "head_runs",
    "simulate_heads",
]


@dataclass(frozen=True, kw_only=True)
class HeadRun:
    """Answer of the core to a head, and its time.

    Attributes
    ----------
    output : (Lq, d) int8, or None
        None if the command is rejected.
    statistics : HeadStatistics
    accepted, finished : int
        Clock cycles of the transfer of the command and of the last output beat (of the statistics, if the command is
        rejected). The differences between successive heads give the throughput.
    """

    output: np.ndarray | None
    statistics: HeadStatistics
    accepted: int
    finished: int


def attention_design(config: AttentionConfig) -> Design:
    """Design of an attention core. It is emitted only on a cache miss."""
    key = f"AttentionCore {config.to_json()}"
    return Design(signature=attention_signature(config), make=lambda: AttentionCore(config), key=key)


def _rows(name: str, matrix: np.ndarray, shape: tuple[int, int], lanes: int) -> np.ndarray:
    """Beats of a matrix, (rows · ceil(d / lanes), lanes)."""
    if not isinstance(matrix, np.ndarray) or matrix.dtype != np.int8:
        raise InputError(f"{name} must be an int8 array, not {getattr(matrix, 'dtype', type(matrix).__name__)}")
    if matrix.shape != shape:
        raise InputError(f"{name} must have shape {shape}, as its command says, not {matrix.shape}")
    padded = np.zeros((shape[0], ceil_div(shape[1], lanes) * lanes), np.int8)
    padded[:, : shape[1]] = matrix
    return padded.reshape(-1, lanes)


def _accepted(config: AttentionConfig, command: HeadCommand) -> bool:
    return command.rejection(config) is CommandError.NONE


def head_inputs(config: AttentionConfig, heads: Sequence[Head]) -> dict[str, Any]:
    """Payloads for the input streams of the core.

    Raises
    ------
    InputError
        Operands do not have dtype int8 or the shapes of their command.
    CommandValueError
        A command does not fit the fields of the command stream.
    """
    beats = [np.zeros((0, config.lanes), np.int8)]
    for index, (command, q, k, v) in enumerate(heads):
        command.check_encodable(config)
        if _accepted(config, command):
            queries = command.query_length, command.head_dim
            keys = command.key_length, command.head_dim
            for name, matrix, shape in (("Q", q, queries), ("K", k, keys), ("V", v, keys)):
                beats.append(_rows(f"{name} of head {index}", matrix, shape, data_layout(config).length))
    return {"i_command": [asdict(command) for command, *_ in heads], "i_data": np.concatenate(beats)}


def _output_beats(config: AttentionConfig, command: HeadCommand) -> int:
    if not _accepted(config, command):
        return 0
    return command.query_length * ceil_div(command.head_dim, output_layout(config).length)


def head_counts(config: AttentionConfig, heads: Sequence[Head]) -> dict[str, int]:
    """Number of payloads that each output stream of the core gives."""
    return {"o_data": sum(_output_beats(config, command) for command, *_ in heads), "o_statistics": len(heads)}


def cycle_limit(config: AttentionConfig, heads: Sequence[Head], stall: float) -> int:
    """Upper bound of the cycles of the heads. It assumes that nothing is pruned and that no stages overlap."""
    limit = 0
    for command, *_ in heads:
        if _accepted(config, command):
            rows = ceil_div(command.query_length, config.block)
            blocks = rows * ceil_div(command.key_length, config.block)
            chunks = ceil_div(command.head_dim, config.lanes)
            beats = chunks * (command.query_length + 2 * command.key_length)
            limit += blocks * (3 * chunks + 2) + beats + _output_beats(config, command) + 100 * rows
        limit += 1000
    return round(4 * limit / (1 - stall))


def head_results(
    config: AttentionConfig, heads: Sequence[Head], values: Mapping[str, Any]
) -> list[tuple[np.ndarray | None, HeadStatistics]]:
    """Divide the payloads of the output streams into heads.

    Returns
    -------
    list of (output, statistics)
        Output (Lq, d) int8, or None if the command is rejected, and statistics of each head.

    Raises
    ------
    SimulationError
        Padding beyond the head dimension is not zero.
    """
    beats = np.asarray(values["o_data"], np.int8).reshape(-1, output_layout(config).length)
    results, start = [], 0
    for index, (command, *_) in enumerate(heads):
        fields = {name: int(value) for name, value in values["o_statistics"][index].items()}
        error, pruned = CommandError(fields.pop("error")), bool(fields.pop("pruned"))
        statistics = HeadStatistics(error=error, pruned=pruned, **fields)
        count = _output_beats(config, command)
        output = None
        if count:
            padded = beats[start : start + count].reshape(command.query_length, -1)
            output = padded[:, : command.head_dim].copy()
            if padded[:, command.head_dim :].any():
                raise SimulationError(f"head {index}: output beyond head_dim={command.head_dim} is not zero")
            start += count
        results.append((output, statistics))
    return results


def head_runs(
    config: AttentionConfig, heads: Sequence[Head], values: Mapping[str, Any], cycles: Mapping[str, Any]
) -> list[HeadRun]:
    """Divide the transfers of the streams into heads. See :func:`head_results`."""
    runs, end = [], 0
    for index, (output, statistics) in enumerate(head_results(config, heads, values)):
        count = _output_beats(config, heads[index][0])
        end += count
        finished = cycles["o_data"][end - 1] if count else cycles["o_statistics"][index]
        accepted = int(cycles["i_command"][index])
        runs.append(HeadRun(output=output, statistics=statistics, accepted=accepted, finished=int(finished)))
    return runs


class AttentionSimulator(UnitSimulator):
    """Simulator of an attention core, under Verilator.

    Parameters
    ----------
    config : AttentionConfig
    **settings
        Parameters of :class:`~thresher.sim.verilator.UnitSimulator`, which raises its errors.
    """

    def __init__(self, config: AttentionConfig, **settings: Any):
        self.config = config
        super().__init__(attention_design(config), **settings)

    def run(self, heads: Sequence[Head]) -> list[HeadRun]:
        """Stream heads through the core without gaps.

        Raises
        ------
        InputError, CommandValueError
            As in :func:`head_inputs`.
        SimulationError
            The core has a defect. The simulator must be reset.
        """
        transfers = self._simulator.run(
            head_inputs(self.config, heads),
            head_counts(self.config, heads),
            max_cycles=cycle_limit(self.config, heads, self._stall),
        )
        return head_runs(self.config, heads, transfers.values, transfers.cycles)


def simulate_heads(
    config: AttentionConfig, heads: Sequence[Head], *, seed: int, stall: float = 0.3, vcd: Path | None = None
) -> list[HeadRun]:
    """Simulate heads on a core in Amaranth's simulator. It needs no compiler and suits small configurations.

    Raises
    ------
    AssertionError
        The core breaks a rule of streams or gives too few outputs (see :func:`~thresher.sim.testbench.run_streams`).
    InputError, CommandValueError
        As in :func:`head_inputs`.
    """
    inputs, counts = head_inputs(config, heads), head_counts(config, heads)
    limit = cycle_limit(config, heads, stall)
    result = run_streams(AttentionCore(config), inputs, counts, seed=seed, stall=stall, max_cycles=limit, vcd=vcd)
    return head_runs(config, heads, result.values, result.cycles)
