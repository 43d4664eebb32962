"""Whole products on a simulated SpMM engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..hdl.spmm.engine import Spmm
from ..hdl.spmm.product_streams import spmm_signature
from ..spec.spmm_command import SpmmCommand
from ..spec.spmm_config import SpmmConfig
from .build import Design
from .spmm_job import PackedMatrix, SpmmBatch, SpmmJob, SpmmRun, SpmmStatistics
from .testbench import run_streams
from .verilator import UnitSimulator

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
    key = f"Spmm {config.to_json()}"
    return Design(signature=spmm_signature(config), make=lambda: Spmm(config), key=key)


class SpmmSimulator(UnitSimulator):
    """An SpMM engine's emitted Verilog under Verilator, one product after another streaming through it.

    Parameters
    ----------
    config : SpmmConfig
    **settings
        Stalls, their seed, other Verilog, a trace, progress: those of
        :class:`~thresher.sim.verilator.UnitSimulator`, whose errors are raised.
    """

    def __init__(self, config: SpmmConfig, **settings: Any):
        self.config = config
        self._table_loaded = False
        super().__init__(spmm_design(config), **settings)

    def reset(self) -> None:
        """Reset the engine, which forgets its table, and start counting cycles from 0."""
        super().reset()
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
