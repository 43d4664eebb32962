"""What a board holds, behind its serial port."""

from typing import Generic, Self, TypeVar

from ..spec.link import LinkedConfig
from .link import Link
from .port import Port, SerialPort

__all__ = ["LinkedDevice"]

Config = TypeVar("Config", bound=LinkedConfig)


class LinkedDevice(Generic[Config]):
    """Base class of the devices on a board.

    Parameters
    ----------
    config
        Configuration that the board must hold.
    port : Port
        The device closes it.

    Raises
    ------
    DeviceError
        The board does not answer, or holds another configuration.
    """

    def __init__(self, config: Config, port: Port):
        self.config = config
        try:
            self._link = Link(port)
            self._link.greet(config)
            self._begin()
        except BaseException:
            port.close()
            raise

    def _begin(self) -> None:
        """Prepare the device, after it has answered."""

    @classmethod
    def open(cls, config: Config, name: str, *, baud: int) -> Self:
        """Open the device at a serial port.

        Raises
        ------
        DeviceError
            The port does not exist, the board does not answer, or it holds another configuration.
        """
        return cls(config, SerialPort(name, baud=baud))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._link.close()
