"""Simulation of an attention core with whole heads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hdl.attention.core import AttentionCore
from ..hdl.attention.head_streams import attention_signature, data_layout, output_layout
from ..spec.attention_command import CommandError
from ..spec.attention_config import AttentionConfig
from ..spec.errors import InputError, SimulationError
from ..spec.formats import ceil_div
from ..spec.heads import Head, HeadStatistics
from .batch import Batch, Run, UnitSimulator, Work
from .build import Design

__all__ = ["AttentionSimulator", "HeadBatch", "HeadRun", "attention_design"]

HeadRun = Run[HeadStatistics]
"""Answer of the core to a head. Its output has shape (Lq, d)."""


def attention_design(config: AttentionConfig) -> Design:
    """Design of an attention core. It is emitted only on a cache miss."""
    key = f"AttentionCore {config.to_json()}"
    return Design(signature=attention_signature(config), make=lambda: AttentionCore(config), key=key)


class _HeadWork(Work):
    """A head of a batch."""

    def __init__(self, config: AttentionConfig, head: Head):
        self.config = config
        self.command, *self.matrices = head
        self.command.check_encodable(config)
        self.output_beats, self.cycle_limit = 0, 1000
        if self.command.rejection(config) is not CommandError.NONE:
            return
        queries, keys, dim = self.command.query_length, self.command.key_length, self.command.head_dim
        self.shapes = [(queries, dim), (keys, dim), (keys, dim)]
        self.output_beats = queries * ceil_div(dim, output_layout(config).length)
        # Nothing is pruned, and no stages overlap.
        rows, chunks = ceil_div(queries, config.block), ceil_div(dim, config.lanes)
        blocks = rows * ceil_div(keys, config.block)
        beats = chunks * (queries + 2 * keys)
        self.cycle_limit += blocks * (3 * chunks + 2) + beats + self.output_beats + 100 * rows

    def fillers(self) -> dict[str, NDArray[Any]]:
        return {"i_data": np.zeros((1, data_layout(self.config).length), np.int8)}

    def operands(self) -> dict[str, NDArray[Any]]:
        lanes = data_layout(self.config).length
        parts = [_beats(*operand, lanes) for operand in zip("QKV", self.matrices, self.shapes, strict=True)]
        return {"i_data": np.concatenate(parts)}

    def output(self, beats: NDArray[np.int8]) -> NDArray[np.int8]:
        dim = self.command.head_dim
        padded = beats.reshape(self.command.query_length, -1)
        if padded[:, dim:].any():
            raise SimulationError(f"output beyond head_dim={dim} is not zero")
        return padded[:, :dim].copy()


def _beats(name: str, matrix: NDArray[np.int8], shape: tuple[int, int], lanes: int) -> NDArray[np.int8]:
    """Beats of a matrix, (rows · ceil(d / lanes), lanes)."""
    if not isinstance(matrix, np.ndarray) or matrix.dtype != np.int8:
        raise InputError(f"{name} must be an int8 array, not {getattr(matrix, 'dtype', type(matrix).__name__)}")
    if matrix.shape != shape:
        raise InputError(f"{name} must have shape {shape}, as its command says, not {matrix.shape}")
    padded = np.zeros((shape[0], ceil_div(shape[1], lanes) * lanes), np.int8)
    padded[:, : shape[1]] = matrix
    return padded.reshape(-1, lanes)


class HeadBatch(Batch[HeadStatistics]):
    """Heads that stream through a core.

    Raises
    ------
    CommandValueError
        A command does not fit the fields of the command stream.
    """

    def __init__(self, config: AttentionConfig, heads: Sequence[Head]):
        super().__init__(attention_design(config), "head", [_HeadWork(config, head) for head in heads])

    def statistics(self, fields: dict[str, int]) -> HeadStatistics:
        """Statistics from the payload of the statistics stream."""
        error, pruned = CommandError(fields.pop("error")), bool(fields.pop("pruned"))
        return HeadStatistics(error=error, pruned=pruned, **fields)


class AttentionSimulator(UnitSimulator):
    """Simulator of an attention core, under Verilator.

    Parameters
    ----------
    config : AttentionConfig
    **settings
        Parameters of :class:`~thresher.sim.batch.UnitSimulator`, which raises its errors.
    """

    def __init__(self, config: AttentionConfig, **settings: Any):
        self.config = config
        super().__init__(attention_design(config), **settings)

    def run(self, heads: Sequence[Head]) -> list[HeadRun]:
        """Stream heads through the core without gaps.

        Raises
        ------
        InputError
            Operands do not have dtype int8 or the shapes of their command.
        CommandValueError
            A command does not fit the fields of the command stream.
        SimulationError
            The core has a defect. The simulator must be reset.
        """
        return self._run(HeadBatch(self.config, heads))
