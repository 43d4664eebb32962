"""Driver of a co-processor: load a compiled encoder, run it, read counters and faults."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..spec.errors import InputError
from ..spec.image import Image
from ..spec.memory import REGION_ALIGNMENT, memory_map
from ..spec.program import WORD_BYTES, FaultCode, Finish, Opcode, Region
from ..spec.registers import REGISTERS, Access
from .port import DeviceError
from .registers import Registers, RegisterTransport

__all__ = ["CoprocessorDriver", "FaultError", "MemoryTransport"]

ADDRESS_BITS = 32
COUNTERS = tuple(
    each.name
    for each in REGISTERS
    if [field.access for field in each.fields] == [Access.READ] and each.fields[0].width == 32 and each.offset >= 0x80
)
"""Registers that count what happens in a program."""


class MemoryTransport(Protocol):
    """Access to the memory of a co-processor, by the addresses of its bus."""

    def read(self, address: int, count: int) -> bytes:
        """Read bytes.

        Raises
        ------
        DeviceError
            The memory cannot be read.
        """
        ...

    def write(self, address: int, data: bytes) -> None:
        """Write bytes.

        Raises
        ------
        DeviceError
            The memory cannot be written.
        """
        ...


class FaultError(DeviceError):
    """A program has stopped before its end. The next program may be started.

    Attributes
    ----------
    fault : Finish
    """

    def __init__(self, fault: Finish):
        super().__init__(f"the co-processor stopped: {fault.text()}")
        self.fault = fault


def _common(first: bytes, second: bytes) -> int:
    """Bytes of the whole words with which both begin."""
    size = min(len(first), len(second))
    differ = np.frombuffer(first, np.uint8, size) != np.frombuffer(second, np.uint8, size)
    return (int(differ.argmax()) if differ.any() else size) // WORD_BYTES * WORD_BYTES


class CoprocessorDriver:
    """Runs a compiled encoder on a co-processor.

    Parameters
    ----------
    registers : RegisterTransport
    memory : MemoryTransport
    base, size : int
        The part of the memory that the co-processor may use, in bytes, as its bus sees it.
    clock : function that returns a float, optional
        Seconds, to measure a run's time.

    Raises
    ------
    InputError
        The memory does not begin at a multiple of 128, or ends above 4 GiB.
    """

    def __init__(
        self,
        registers: RegisterTransport,
        memory: MemoryTransport,
        *,
        base: int,
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        if base % REGION_ALIGNMENT:
            raise InputError(f"the memory must begin at a multiple of {REGION_ALIGNMENT}, not at {base:#x}")
        if base + size > 1 << ADDRESS_BITS:
            raise InputError(f"the memory must end below {1 << ADDRESS_BITS:#x}, not at {base + size:#x}")
        self.registers = Registers(registers)
        self.memory, self._base, self._size, self._clock = memory, base, size, clock
        self._image: Image | None = None
        self._places: dict[Region, int] = {}
        self._data = b""  # what the region CONSTANTS holds

    def load(self, content: bytes) -> None:
        """Load the image of an encoder. It stays until another one is loaded.

        Bytes with which the image before began as well are not sent again: no program changes them.

        Parameters
        ----------
        content : bytes
            Of the file that ``thresher compile`` writes; see :mod:`~thresher.spec.image`.

        Raises
        ------
        InputError
            The image is truncated or altered, or the memory is too small. Nothing has been sent.
        DeviceError
            The device does not answer, is busy, or has another configuration.
        """
        image = Image.decode(content)
        places = memory_map(image.sizes, program_bytes=0, base=self._base)
        if places.size > self._size:
            raise InputError(f"the image needs {places.size} bytes of memory, there are {self._size}")
        self.registers.greet_hash(image.hash)
        if not self.registers.fields("STATUS")["idle"]:
            raise DeviceError("the co-processor is busy: wait for its program, or abort it")
        same = _common(self._data, image.data)
        self._image, self._places, self._data = None, places.bases, b""
        if same < len(image.data):
            self.memory.write(places.bases[Region.CONSTANTS] + same, image.data[same:])
        self._data = image.data
        for region in Region:
            self.registers.write(f"{region.name}_BASE", places.bases[region])
            self.registers.write(f"{region.name}_SIZE", places.sizes[region])
        self.registers.write("PROGRAM_ADDRESS", image.program)
        self.registers.write("PROGRAM_INSTRUCTIONS", image.instructions)
        self._image = image

    def run(self, data: bytes, *, seconds: float = 60.0) -> bytes:
        """Write the region INPUT, run the program, and read the region OUTPUT.

        Parameters
        ----------
        data : bytes
            The whole region.
        seconds : float
            Most time that the program may take. Then it is aborted.

        Raises
        ------
        InputError
            The input has another size.
        FaultError
            The program stopped. Its outputs are not read.
        DeviceError
            No image is loaded, the device does not answer, is busy, or takes too long.
        """
        image = self._loaded()
        if len(data) != image.sizes[Region.INPUT]:
            raise InputError(f"the input must have {image.sizes[Region.INPUT]} bytes, not {len(data)}")
        self.memory.write(self._places[Region.INPUT], data)
        self.start()
        self.wait(seconds=seconds)
        return self.memory.read(self._places[Region.OUTPUT], image.sizes[Region.OUTPUT])

    def start(self) -> None:
        """Start the program.

        Raises
        ------
        DeviceError
            No image is loaded, the device does not answer, or it is busy.
        """
        self._loaded()
        self.registers.write_fields("INTERRUPT_PENDING", finished=1, fault=1)
        self.registers.write_fields("CONTROL", start=1)

    def wait(self, *, seconds: float = 60.0) -> None:
        """Wait for the end of the program.

        Raises
        ------
        FaultError
            It stopped before its end.
        DeviceError
            It does not end in this time. Then it has been aborted.
        """
        begun = self._clock()
        while self.registers.fields("STATUS")["busy"]:
            if self._clock() - begun > seconds:
                self._stop(seconds)
                raise DeviceError(f"the program did not end in {seconds:g} s and was aborted: allow more time")
        if self.registers.fields("STATUS")["fault"]:
            raise FaultError(self.fault())

    def abort(self) -> None:
        """Ask the co-processor to end its program with the fault ABORT. Nothing happens if none runs."""
        self.registers.write_fields("CONTROL", abort=1)

    def _stop(self, seconds: float) -> None:
        """Abort the program, and give it some time to end."""
        self.abort()
        begun = self._clock()
        while self.registers.fields("STATUS")["busy"] and self._clock() - begun <= seconds:
            pass

    def fault(self) -> Finish:
        """Why the last program stopped."""
        found = self.registers.fields("FAULT")
        place = self.registers.fields("FAULT_INSTRUCTION")
        return Finish(
            error=FaultCode(found["code"]),
            unit=Opcode(found["unit"]) if found["unit"] else None,
            detail=found["detail"],
            instruction=place["index"],
            tag=place["tag"],
            address=self.registers.read("FAULT_ADDRESS"),
        )

    def counters(self) -> dict[str, int]:
        """Counters of the last program, by the name of the register."""
        return {name: self.registers.read(name) for name in COUNTERS}

    def _loaded(self) -> Image:
        if self._image is None:
            raise DeviceError("no encoder is loaded: load the image that `thresher compile` makes")
        return self._image
