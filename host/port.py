"""Serial ports, and their errors by cause."""

import contextlib
import errno
import os
import termios
from typing import Protocol

import serial

from ..spec.errors import ThresherError

__all__ = ["DeviceError", "Port", "SerialPort"]


class DeviceError(ThresherError):
    """The board or the line to it fails."""


class Port(Protocol):
    """A line to a board."""

    @property
    def name(self) -> str:
        """Name of the line in messages."""
        ...

    @property
    def baud(self) -> int:
        """Bits per second."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises
        ------
        DeviceError
            The port is gone, or accepts no data.
        """
        ...

    def read(self, timeout: float) -> bytes:
        """Read all bytes that have arrived. Wait for the first one for at most ``timeout`` seconds.

        Returns
        -------
        bytes
            Empty if nothing arrives.

        Raises
        ------
        DeviceError
            The port is gone.
        """
        ...

    def close(self) -> None:
        """Close the line."""
        ...


WRITE_SECONDS = 10
"""Longest time that a write may take."""


class SerialPort:
    """A serial port of this machine, or the pseudo-terminal of a simulated board.

    Parameters
    ----------
    name : str
        Path or name of the port.
    baud : int
        Bits per second.

    Raises
    ------
    DeviceError
        The port does not exist, is in use, or does not support the baud rate.
    """

    def __init__(self, name: str, *, baud: int):
        self.name, self.baud = name, baud
        try:
            self._serial = serial.Serial(name, baud, write_timeout=WRITE_SECONDS, exclusive=True)
        except (ValueError, OverflowError):
            raise DeviceError(f"{name} does not support {baud} baud: choose another --baud") from None
        except (OSError, termios.error) as error:
            raise DeviceError(f"cannot open {name} ({_reason(error)}): name a serial port that is free") from None
        with contextlib.suppress(OSError, ValueError, NotImplementedError, AttributeError):
            # Otherwise adapters by FTDI delay short answers by 16 ms.
            self._serial.set_low_latency_mode(True)

    def write(self, data: bytes) -> None:
        """See :meth:`Port.write`."""
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            raise DeviceError(f"{self.name} accepts no data: plug the board in again and repeat the command") from None
        except (OSError, termios.error) as error:
            raise self._gone(error) from None

    def read(self, timeout: float) -> bytes:
        """See :meth:`Port.read`."""
        try:
            self._serial.timeout = max(0.0, timeout)
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (
            OSError,
            TypeError,
            termios.error,
        ) as error:  # pyserial raises TypeError if the port is closed meanwhile
            raise self._gone(error) from None

    def close(self) -> None:
        """See :meth:`Port.close`."""
        with contextlib.suppress(OSError, termios.error):
            self._serial.close()

    def _gone(self, error: Exception) -> DeviceError:
        reason = _reason(error) if getattr(error, "errno", None) else "unplugged"
        return DeviceError(f"lost {self.name} ({reason}): plug the board in again and repeat the command")


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program uses it"
    return os.strerror(number) if number else str(error).partition("(")[0].strip() or type(error).__name__
