"""Attention core on a board, driven with whole heads."""

from collections.abc import Sequence

import numpy as np

from ..hdl.attention.head_streams import attention_signature
from ..sim.attention import HeadBatch
from ..spec.attention_config import AttentionConfig
from ..spec.errors import SimulationError
from ..spec.heads import Head, HeadStatistics
from .device import LinkedDevice
from .port import DeviceError
from .streams import StreamDevice

__all__ = ["AttentionDevice"]


class AttentionDevice(LinkedDevice[AttentionConfig]):
    """An attention core on a board. In simulation see :class:`~thresher.sim.attention.AttentionSimulator`."""

    def _begin(self) -> None:
        self._streams = StreamDevice(self._link, attention_signature(self.config))

    def run(self, heads: Sequence[Head]) -> list[tuple[np.ndarray | None, HeadStatistics]]:
        """Stream heads through the core.

        Returns
        -------
        list of (output, statistics)
            Output (Lq, d) int8, or None if the command is rejected, and statistics of each head.

        Raises
        ------
        DeviceError
            The board stops answering, or gives an impossible answer.
        InputError, CommandValueError
            As in :meth:`AttentionSimulator.run <thresher.sim.attention.AttentionSimulator.run>`.
        """
        batch = HeadBatch(self.config, heads)
        values = self._streams.run(batch.inputs(), batch.counts())
        try:
            return batch.results(values)
        except SimulationError as error:
            raise DeviceError(f"the board gives a wrong answer ({error}): load its bitstream again") from None
