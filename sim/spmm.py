"""Simulation of an SpMM engine with whole products."""

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
    """Design of an SpMM engine. It is emitted only on a cache miss."""
    key = f"Spmm {config.to_json()}"
    return Design(signature=spmm_signature(config), make=lambda: Spmm(config), key=key)


class SpmmSimulator(UnitSimulator):
    """Simulator of an SpMM engine, under Verilator.

    Parameters
    ----------
    config : SpmmConfig
    **settings
        Parameters of :class:`~thresher.sim.verilator.UnitSimulator`, which raises its errors.
    """

    def __init__(self, config: SpmmConfig, **settings: Any):
        self.config = config
        self._table_loaded = False
        super().__init__(spmm_design(config), **settings)

    def reset(self) -> None:
        """Reset the engine, which loses its table, and set the cycle count to 0."""
        super().reset()
        self._table_loaded = False

    def run(self, jobs: Sequence[SpmmJob | SpmmCommand]) -> list[SpmmRun]:
        """Stream products through the engine without gaps.

        Parameters
        ----------
        jobs : sequence of SpmmJob or SpmmCommand
            See :class:`~thresher.sim.spmm_job.SpmmBatch`.

        Raises
        ------
        InputError
            Operands do not have the types and shapes of :class:`SpmmJob`, or do not fit this engine.
        CommandValueError
            A command does not fit the fields of the command stream.
        SimulationError
            The engine has a defect. The simulator must be reset.
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
    """Simulate products on an engine in Amaranth's simulator. It needs no compiler and suits small configurations.

    Parameters
    ----------
    config : SpmmConfig
    jobs : sequence of SpmmJob or SpmmCommand
        See :class:`~thresher.sim.spmm_job.SpmmBatch`.
    seed, stall, vcd
        See :func:`~thresher.sim.testbench.run_streams`.

    Raises
    ------
    AssertionError
        The engine breaks a rule of streams or gives too few outputs (see
        :func:`~thresher.sim.testbench.run_streams`).
    InputError, CommandValueError, SimulationError
        As in :meth:`SpmmSimulator.run`.
    """
    batch = SpmmBatch(config, jobs)
    limit = batch.cycle_limit(max(stall.values(), default=0.0) if isinstance(stall, Mapping) else stall)
    result = run_streams(
        Spmm(config), batch.inputs(), batch.counts(), seed=seed, stall=stall, max_cycles=limit, vcd=vcd
    )
    return batch.runs(result.values, result.cycles)
