"""Simulation of an SpMM engine with whole products."""

from collections.abc import Sequence
from typing import Any

from ..spec.spmm_command import SpmmCommand
from ..spec.spmm_config import SpmmConfig
from .batch import UnitSimulator
from .spmm_job import PackedMatrix, SpmmBatch, SpmmJob, SpmmRun, SpmmStatistics, spmm_design

__all__ = ["PackedMatrix", "SpmmJob", "SpmmRun", "SpmmSimulator", "SpmmStatistics"]


class SpmmSimulator(UnitSimulator):
    """Simulator of an SpMM engine, under Verilator.

    Parameters
    ----------
    config : SpmmConfig
    **settings
        Parameters of :class:`~thresher.sim.batch.UnitSimulator`, which raises its errors.
    """

    def __init__(self, config: SpmmConfig, **settings: Any):
        self.config = config
        self._table_loaded = False
        super().__init__(spmm_design(config), **settings)

    def reset(self) -> None:
        """Reset the engine, which loses its table, and set the cycle count to 0."""
        super().reset()
        self._table_loaded = False

    def abort(self) -> None:
        """Drop all work in the engine, with its table, and what is queued for it."""
        super().abort()
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
        runs = self._run(batch)
        self._table_loaded = batch.table_loaded
        return runs
