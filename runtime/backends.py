"""Backends: what runs the heads of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ..golden.attention.core import attention_head
from ..golden.attention.predictor import predict
from ..golden.attention.selection import select
from ..golden.attention.visible import visible_blocks
from ..model.quantise import Int8
from ..spec.attention_config import AttentionConfig
from ..spec.heads import Head, HeadStatistics

if TYPE_CHECKING:  # the worker processes of an evaluation need no simulator and no serial port
    from ..host.attention import AttentionDevice
    from ..sim.attention import AttentionSimulator

__all__ = [
    "Answer",
    "Backend",
    "DeviceBackend",
    "GoldenBackend",
    "RandomMaskBackend",
    "RecordingBackend",
    "RtlBackend",
]

Answer = tuple[Int8 | None, HeadStatistics]
"""(Lq, d) int8 output of a head, or ``None`` if its command was rejected, and its statistics."""


class Backend(Protocol):
    """Runs heads on the golden model or on hardware."""

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[Answer]:
        """Run heads and return their answers in the same order."""
        ...


class GoldenBackend:
    """Runs heads on the golden model."""

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[Answer]:
        """See :class:`Backend`."""
        results = (attention_head(config, *head) for head in heads)
        return [(result.output, result.statistics) for result in results]


class RandomMaskBackend:
    """Runs heads on the golden model with random block masks, as the control of a pruning experiment.

    Each block row keeps as many blocks as under the policy. The head mask stays that of the policy.

    Parameters
    ----------
    seed : int or sequence of int
        Seed of NumPy's default generator.
    """

    def __init__(self, seed: int | Sequence[int]):
        self._random = np.random.default_rng(seed)

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[Answer]:
        """See :class:`Backend`."""
        results = []
        for command, q, k, v in heads:
            selection = select(config, predict(config, q.astype(np.int64), k.astype(np.int64)), command)
            mask = selection.mask.copy()
            columns = visible_blocks(config, command).sum(axis=1)
            for count in np.unique(columns):
                rows = columns == count
                mask[rows, :count] = self.shuffle(mask[rows, :count])
            result = attention_head(config, command, q, k, v, mask=mask)
            results.append((result.output, result.statistics))
        return results

    def shuffle(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Move the kept blocks of each row of a (nq, nk) mask to random places."""
        return self._random.permuted(mask, axis=1)


class RtlBackend:
    """Runs heads on a simulated attention core.

    Attributes
    ----------
    cycles : int
        From each call's first command to its last output beat, summed over the calls.
    """

    def __init__(self, simulator: AttentionSimulator):
        self._simulator = simulator
        self.cycles = 0

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[Answer]:
        """See :class:`Backend`."""
        assert config == self._simulator.config
        runs = self._simulator.run(heads)
        self.cycles += runs[-1].finished - runs[0].accepted + 1
        return [(run.output, run.statistics) for run in runs]


class DeviceBackend:
    """Runs heads on a board."""

    def __init__(self, device: AttentionDevice):
        self._device = device

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[Answer]:
        """See :class:`Backend`."""
        assert config == self._device.config
        return self._device.run(heads)


class RecordingBackend:
    """Passes heads on to another backend and keeps them.

    Attributes
    ----------
    heads : list of Head
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self.heads: list[Head] = []

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[Answer]:
        """See :class:`Backend`."""
        self.heads += heads
        return self._backend.run(config, heads)
