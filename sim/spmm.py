"""Whole products on a simulated SpMM engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..hdl.sparse.interface import (
    command_layout,
    input_layout,
    output_layout,
    rows_layout,
    statistics_layout,
    table_layout,
    weights_layout,
)
from ..hdl.spmm import Spmm
from ..spec.spmm_command import SpmmCommand
from ..spec.spmm_config import SpmmConfig
from .build import Design, Progress
from .spmm_job import PackedMatrix, SpmmBatch, SpmmJob, SpmmRun, SpmmStatistics
from .testbench import run_streams
from .verilator import VerilatorSimulator

__all__ = [
    "PackedMatrix",
    "SpmmJob",
    "SpmmRun",
    "SpmmSimulator",
    "SpmmStatistics",
    "simulate_products",
    "spmm_design",
]


def spmm_design(config: SpmmConfig) -> Design:
    """The SpMM engine as a design that is emitted only when the cache has it not."""
    signature = wiring.Signature(
        {
            "i_command": In(stream.Signature(command_layout(config))),
            "i_rows": In(stream.Signature(rows_layout(config))),
            "i_weights": In(stream.Signature(weights_layout(config))).array(config.rows),
            "i_inputs": In(stream.Signature(input_layout(config))),
            "i_table": In(stream.Signature(table_layout())),
            "o_data": Out(stream.Signature(output_layout(config))),
            "o_statistics": Out(stream.Signature(statistics_layout(config))),
        }
    )
    return Design(signature=signature, make=lambda: Spmm(config), key=f"Spmm {config.to_json()}")


class SpmmSimulator:
    """An SpMM engine's emitted Verilog under Verilator, one product after another streaming through it.

    Parameters
    ----------
    config : SpmmConfig
    stall : float
        Probability, per stream and cycle, that a source offers nothing new or a sink is not ready.
    seed : int
        Of the stalls.
    trace : Path, optional
        Write waveforms here, ``.vcd`` or ``.fst``. Complete after :meth:`close`.
    on_progress : function of a line of text, optional
        Called before anything that takes seconds: emitting and compiling, each once per configuration.

    Raises
    ------
    ToolError
        A tool is missing or failed, or the cache or the trace cannot be written.
    """

    def __init__(
        self,
        config: SpmmConfig,
        *,
        stall: float = 0.0,
        seed: int = 0,
        trace: Path | None = None,
        on_progress: Progress | None = None,
    ):
        self.config = config
        self._stall = stall
        self._table_loaded = False
        self._simulator = VerilatorSimulator(
            spmm_design(config), stall=stall, seed=seed, trace=trace, on_progress=on_progress
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation and complete its trace."""
        self._simulator.close()

    @property
    def cycle(self) -> int:
        """Cycles since reset."""
        return self._simulator.cycle

    def reset(self) -> None:
        """Reset the engine, which forgets its table, and start counting cycles from 0."""
        self._simulator.reset()
        self._table_loaded = False

    def run(self, jobs: Sequence[SpmmJob | SpmmCommand]) -> list[SpmmRun]:
        """Stream products through the engine without a pause between them.

        Parameters
        ----------
        jobs : sequence of SpmmJob or SpmmCommand
            See :class:`~thresher.sim.spmm_job.SpmmBatch`.

        Raises
        ------
        InputError
            Operands are not of the types and shapes that :class:`SpmmJob` states, or are not made for this engine.
        CommandValueError
            A command does not fit the fields of the command stream.
        SimulationError
            The engine misbehaved; it must be reset.
        """
        batch = SpmmBatch(self.config, jobs, table_loaded=self._table_loaded)
        transfers = self._simulator.run(batch.inputs(), batch.counts(), max_cycles=batch.cycle_limit(self._stall))
        self._table_loaded = batch.table_loaded
        return batch.runs(transfers.values, transfers.cycles)


def simulate_products(
    config: SpmmConfig,
    jobs: Sequence[SpmmJob | SpmmCommand],
    *,
    seed: int,
    stall: float | Mapping[str, float] = 0.3,
    vcd: Path | None = None,
) -> list[SpmmRun]:
    """Products on an engine in Amaranth's simulator: no compiler needed, for small configurations.

    Parameters
    ----------
    seed, stall, vcd
        See :func:`~thresher.sim.testbench.run_streams`.

    Raises
    ------
    AssertionError
        The engine misbehaved (see :func:`~thresher.sim.testbench.run_streams`).
    InputError, CommandValueError, SimulationError
        As those of :meth:`SpmmSimulator.run`.
    """
    batch = SpmmBatch(config, jobs)
    limit = batch.cycle_limit(max(stall.values(), default=0.0) if isinstance(stall, Mapping) else stall)
    result = run_streams(
        Spmm(config), batch.inputs(), batch.counts(), seed=seed, stall=stall, max_cycles=limit, vcd=vcd
    )
    return batch.runs(result.values, result.cycles)
