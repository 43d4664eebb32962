"""A co-processor on a board, with its memory on the chip, over a link."""

from typing import Any

import numpy as np

from ..hdl.link.on_chip import on_chip_signature
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.memory import whole_words
from ..spec.on_chip_config import Access
from ..spec.program import WORD_BYTES
from .coprocessor import CoprocessorDriver
from .device import LinkedDevice
from .port import DeviceError
from .streams import StreamDevice

__all__ = ["CoprocessorDevice"]


class _Accesses:
    """Accesses to registers and memory, one after another."""

    def __init__(self, streams: StreamDevice):
        self._streams = streams

    def __call__(
        self, access: Access, address: int, value: int, *, words: np.ndarray | None = None, count: int = 0
    ) -> tuple[np.ndarray, int]:
        """Returns the words that are read, and the value of the result."""
        inputs: dict[str, Any] = {"i_access": [{"access": int(access), "address": address, "value": value}]}
        if words is not None:
            inputs["i_words"] = words
        found = self._streams.run(inputs, {"o_words": count})
        (result,) = self._streams.run({}, {"o_result": 1})["o_result"]
        if result["error"]:
            what = "register" if access in (Access.READ_REGISTER, Access.WRITE_REGISTER) else "memory"
            raise DeviceError(f"the board refuses the access to its {what} at {address:#x}")
        return found["o_words"], result["value"]


class _Registers:
    """See :class:`~thresher.host.registers.RegisterTransport`."""

    def __init__(self, accesses: _Accesses):
        self._accesses = accesses

    def read(self, offset: int) -> int:
        _, value = self._accesses(Access.READ_REGISTER, offset, 0)
        return value

    def write(self, offset: int, value: int) -> None:
        self._accesses(Access.WRITE_REGISTER, offset, value)


class _Memory:
    """See :class:`~thresher.host.coprocessor.MemoryTransport`. Addresses are multiples of 8."""

    def __init__(self, accesses: _Accesses):
        self._accesses = accesses

    def size(self) -> int:
        """Bytes of the memory."""
        _, value = self._accesses(Access.READ_MEMORY, 0, 0)
        return value

    def read(self, address: int, count: int) -> bytes:
        words = whole_words(count) // WORD_BYTES
        found, _ = self._accesses(Access.READ_MEMORY, address, words, count=words)
        return np.array(found, "<u8").tobytes()[:count]

    def write(self, address: int, data: bytes) -> None:
        words = np.frombuffer(data.ljust(whole_words(len(data)), b"\0"), "<u8")
        self._accesses(Access.WRITE_MEMORY, address, len(words), words=words)


class CoprocessorDevice(LinkedDevice[CoprocessorConfig]):
    """A co-processor on a board.

    Attributes
    ----------
    driver : CoprocessorDriver
    memory_bytes : int
        Size of the board's memory.
    """

    def _begin(self) -> None:
        accesses = _Accesses(StreamDevice(self._link, on_chip_signature()))
        memory = _Memory(accesses)
        self.memory_bytes = memory.size()
        self.driver = CoprocessorDriver(_Registers(accesses), memory, base=0, size=self.memory_bytes)
