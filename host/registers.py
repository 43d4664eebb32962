"""Registers of a co-processor by name, over any transport."""

from typing import Protocol

from ..spec.base import look_up
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.registers import BY_NAME, IDENTITY, VERSION, Register, hash_words
from .port import DeviceError

__all__ = ["RegisterTransport", "Registers"]


class RegisterTransport(Protocol):
    """Access to registers of 32 bits by their offset in bytes."""

    def read(self, offset: int) -> int:
        """Read a register.

        Raises
        ------
        DeviceError
            The device does not answer, or refuses the access.
        """
        ...

    def write(self, offset: int, value: int) -> None:
        """Write a register.

        Raises
        ------
        DeviceError
            The device does not answer, or refuses the access.
        """
        ...


class Registers:
    """Registers of :mod:`~thresher.spec.registers` by name.

    Parameters
    ----------
    transport : RegisterTransport
    """

    def __init__(self, transport: RegisterTransport):
        self._transport = transport

    def read(self, name: str) -> int:
        """Read a register as a word.

        Raises
        ------
        ConfigError
            There is no such register.
        DeviceError
            As in :meth:`RegisterTransport.read`.
        """
        return self._transport.read(_register(name).offset)

    def fields(self, name: str) -> dict[str, int]:
        """Read the fields of a register. Errors are those of :meth:`read`."""
        return _register(name).decode(self.read(name))

    def write(self, name: str, value: int) -> None:
        """Write a register as a word.

        Raises
        ------
        ConfigError
            There is no such register, it is read-only, or the value does not fit its fields.
        DeviceError
            As in :meth:`RegisterTransport.write`.
        """
        register = _register(name)
        register.check(value)
        self._transport.write(register.offset, value)

    def write_fields(self, name: str, **values: int) -> None:
        """Write fields of a register, and 0 to its other fields. Errors are those of :meth:`write`."""
        self.write(name, _register(name).encode(**values))

    def greet(self, config: CoprocessorConfig) -> None:
        """Check that the device is a co-processor of this configuration.

        Raises
        ------
        DeviceError
            It is not, or it does not answer. The message says what to do.
        """
        self.greet_hash(hash_words(config.hash()))

    def greet_hash(self, wanted: tuple[int, int]) -> None:
        """:meth:`greet` with the values of the registers HASH_LOW and HASH_HIGH."""
        found = self.read("IDENTITY")
        if found != IDENTITY:
            raise DeviceError(
                f"no co-processor at this address: its first register is {found:#010x}, check the address"
            )
        major = self.fields("VERSION")["major"]
        if major != VERSION[0]:
            raise DeviceError(f"registers of version {major}: use the Thresher that made the hardware")
        words = self.read("HASH_LOW"), self.read("HASH_HIGH")
        if words != wanted:
            raise DeviceError(
                f"the co-processor has configuration {_hex(words)}…, the program needs {_hex(wanted)}…: "
                "compile the program for that configuration, or load other hardware"
            )


def _hex(words: tuple[int, int]) -> str:
    """First digits of the hash of a configuration."""
    low, high = words
    return (low | high << 32).to_bytes(8, "little").hex()


def _register(name: str) -> Register:
    return look_up("register", name, BY_NAME)
