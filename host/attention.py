"""Attention core on a board, driven with whole heads."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Self

import numpy as np

from ..hdl.attention.head_streams import attention_signature
from ..sim.attention import HeadBatch
from ..spec.attention_config import AttentionConfig
from ..spec.errors import SimulationError
from ..spec.heads import Head, HeadStatistics
from .link import Link
from .port import DeviceError, Port, SerialPort
from .streams import StreamDevice

__all__ = ["AttentionDevice"]


class AttentionDevice(AbstractContextManager["AttentionDevice"]):
    """An attention core on a board. In simulation see :class:`~thresher.sim.attention.AttentionSimulator`.

    Parameters
    ----------
    config : AttentionConfig
        Configuration that the board must hold.
    port : Port
        The device closes it.

    Raises
    ------
    DeviceError
        The board does not answer, or holds another configuration.
    """

    def __init__(self, config: AttentionConfig, port: Port):
        self.config = config
        try:
            self._link = Link(port)
            self._link.greet(config)
        except BaseException:
            port.close()
            raise
        self._streams = StreamDevice(self._link, attention_signature(config))

    @classmethod
    def open(cls, config: AttentionConfig, name: str, *, baud: int) -> Self:
        """Open the core at a serial port.

        Raises
        ------
        DeviceError
            The port does not exist, the board does not answer, or it holds another configuration.
        """
        return cls(config, SerialPort(name, baud=baud))

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._link.close()

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
