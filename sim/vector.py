"""Work of a vector unit: conversion to the payloads of its input streams and back, and its simulator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..hdl.vector.unit import VectorUnit
from ..hdl.vector.vector_streams import vector_signature
from ..spec.errors import InputError, SimulationError
from ..spec.formats import ceil_div
from ..spec.vector_command import VectorCommand, VectorError
from ..spec.vector_config import VectorConfig
from .batch import Batch, Run, UnitSimulator, Work, about
from .build import Design

__all__ = ["NormParameters", "VectorBatch", "VectorJob", "VectorRun", "VectorSimulator", "VectorStatistics"]

PADDING = 85
"""Value of the lanes without a token, which the hardware must ignore. It is not 0, so that an error becomes visible."""

PASSES = 2


class NormParameters(Protocol):
    """Parameters of a residual sum with LayerNorm: any object with these attributes.

    Attributes
    ----------
    x_shift, y_shift, gain, bias : (C,) integers
    shift, epsilon : int
    """

    @property
    def x_shift(self) -> np.ndarray: ...
    @property
    def y_shift(self) -> np.ndarray: ...
    @property
    def gain(self) -> np.ndarray: ...
    @property
    def bias(self) -> np.ndarray: ...
    @property
    def shift(self) -> int: ...
    @property
    def epsilon(self) -> int: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorJob:
    """A residual sum with LayerNorm.

    Parameters
    ----------
    parameters : NormParameters
    x, y : (C, N) int8
    """

    parameters: NormParameters
    x: NDArray[np.int8]
    y: NDArray[np.int8]

    @property
    def command(self) -> VectorCommand:
        """Command of this job."""
        channels, tokens = self.x.shape
        return VectorCommand(
            channels=channels, tokens=tokens, shift=self.parameters.shift, epsilon=self.parameters.epsilon
        )


@dataclass(frozen=True, kw_only=True)
class VectorStatistics:
    """Statistics of a command; see :func:`~thresher.hdl.vector.vector_streams.statistics_layout`."""

    error: VectorError
    saturations: int
    cycles: int


VectorRun = Run[VectorStatistics]


def vector_design(config: VectorConfig) -> Design:
    """The vector unit as a design of the simulators."""
    return Design(
        signature=vector_signature(config), make=lambda: VectorUnit(config), key=f"VectorUnit {config.to_json()}"
    )


class _Norm(Work):
    """A residual sum of a batch."""

    def __init__(self, config: VectorConfig, item: VectorJob | VectorCommand):
        self.config = config
        if isinstance(item, VectorJob):
            _check_operands(item)
        self.command = item if isinstance(item, VectorCommand) else item.command
        self.command.check_encodable(config)
        self.output_beats, self.cycle_limit = 0, 100
        if self.command.rejection(config) is not VectorError.NONE:
            return
        if isinstance(item, VectorCommand):
            raise InputError(f"the unit accepts {item}: give a job, with operands")
        self.job = item
        self.groups = ceil_div(self.command.tokens, config.lanes)
        self.output_beats = self.groups * self.command.channels
        self.cycle_limit = self.groups * (PASSES * self.command.channels + 12 * config.lanes + 100) + 1000

    def fillers(self) -> dict[str, NDArray[Any]]:
        parameters = np.zeros(1, [(name, np.int64) for name in self.config.parameter_widths()])
        tokens = np.zeros((1, self.config.lanes), np.int8)
        return {"i_parameters": parameters, "i_x": tokens, "i_y": tokens}

    def operands(self) -> dict[str, NDArray[Any]]:
        widths = self.config.parameter_widths()
        parameters = np.zeros(self.command.channels, [(name, np.int64) for name in widths])
        for name in widths:
            values = getattr(self.job.parameters, name)
            if len(values) != self.command.channels:
                raise InputError(
                    f"{name} must be {self.command.channels} numbers, one per channel of x, not {len(values)}"
                )
            parameters[name] = values
        return {"i_parameters": parameters, "i_x": self._beats(self.job.x), "i_y": self._beats(self.job.y)}

    def _beats(self, operand: NDArray[np.int8]) -> np.ndarray:
        """Beats of an operand, (groups · passes · C, lanes) int8."""
        channels, tokens = operand.shape
        lanes = self.config.lanes
        padded = np.full((channels, self.groups * lanes), PADDING, np.int8)
        padded[:, :tokens] = operand
        by_group = padded.reshape(channels, self.groups, 1, lanes).transpose(1, 2, 0, 3)
        return np.repeat(by_group, PASSES, axis=1).reshape(-1, lanes)

    def output(self, beats: NDArray[np.int8]) -> NDArray[np.int8]:
        channels, tokens = self.command.channels, self.command.tokens
        padded = beats.reshape(self.groups, channels, self.config.lanes).transpose(1, 0, 2).reshape(channels, -1)
        if padded[:, tokens:].any():
            raise SimulationError(f"output beyond {tokens} tokens is not zero")
        return padded[:, :tokens].copy()


def _check_operands(job: VectorJob) -> None:
    for name, operand in (("x", job.x), ("y", job.y)):
        if operand.dtype != np.int8 or operand.ndim != 2 or operand.shape != job.x.shape:
            raise InputError(
                f"{name} must be an int8 matrix, of one shape for x and y, not {operand.dtype} of shape {operand.shape}"
            )


class VectorBatch(Batch[VectorStatistics]):
    """Residual sums that stream through a vector unit.

    Parameters
    ----------
    config : VectorConfig
    jobs : sequence of VectorJob or VectorCommand
        A command without operands must be one that the unit rejects. The operands of a job that the unit rejects are
        not used.

    Raises
    ------
    InputError
        Operands do not fit each other.
    CommandValueError
        A command does not fit the fields of the command stream.
    """

    def __init__(self, config: VectorConfig, jobs: Sequence[VectorJob | VectorCommand]):
        work: list[Work] = []
        for index, item in enumerate(jobs):
            with about("command", index):
                work.append(_Norm(config, item))
        super().__init__(vector_design(config), "command", work)

    def statistics(self, fields: dict[str, int]) -> VectorStatistics:
        """Statistics from the payload of the statistics stream."""
        return VectorStatistics(**{**fields, "error": VectorError(fields["error"])})


class VectorSimulator(UnitSimulator):
    """Simulator of a vector unit, under Verilator.

    Parameters
    ----------
    config : VectorConfig
    **settings
        Parameters of :class:`~thresher.sim.batch.UnitSimulator`, which raises its errors.
    """

    def __init__(self, config: VectorConfig, **settings: Any):
        self.config = config
        super().__init__(vector_design(config), **settings)

    def run(self, jobs: Sequence[VectorJob | VectorCommand]) -> list[VectorRun]:
        """Stream commands through the unit without gaps. See :class:`VectorBatch` for ``jobs`` and errors.

        Raises
        ------
        SimulationError
            The unit has a defect. The simulator must be reset.
        """
        return self._run(VectorBatch(self.config, jobs))
