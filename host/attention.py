"""Whole heads on an attention core on a board."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from ..hdl.attention.head_streams import attention_signature
from ..sim.attention import head_counts, head_inputs, head_results
from ..spec.attention_config import AttentionConfig
from ..spec.errors import SimulationError
from ..spec.heads import Head, HeadStatistics
from .link import Link
from .port import DeviceError, Port, SerialPort
from .streams import StreamDevice

__all__ = ["AttentionDevice"]


class AttentionDevice:
    """An attention core on a board; what :class:`~thresher.sim.attention.AttentionSimulator` is in simulation.

    Parameters
    ----------
    config : AttentionConfig
        What the board must hold.
    port : Port
        Closed with the device.

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
        """The core at a serial port.

        Raises
        ------
        DeviceError
            There is no such port; otherwise as the class.
        """
        return cls(config, SerialPort(name, baud=baud))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._link.close()

    def run(self, heads: Sequence[Head]) -> list[tuple[np.ndarray | None, HeadStatistics]]:
        """Stream heads through the core: (Lq, d) int8 output of each, if its command was accepted, and statistics.

        Raises
        ------
        DeviceError
            The board does not answer any more, or misbehaves.
        InputError, CommandValueError
            As :meth:`AttentionSimulator.run <thresher.sim.attention.AttentionSimulator.run>`.
        """
        values = self._streams.run(head_inputs(self.config, heads), head_counts(self.config, heads))
        try:
            return head_results(self.config, heads, values)
        except SimulationError as error:
            raise DeviceError(f"the board misbehaves ({error}): load its bitstream again") from None
