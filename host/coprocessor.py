"""Driver of a co-processor: load a compiled encoder, run it, read counters and faults."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from ..spec.errors import InputError
from ..spec.image import Image
from ..spec.memory import REGION_ALIGNMENT, memory_map
from ..spec.program import ADDRESS_BITS, WORD_BYTES, FaultCode, Finish, Opcode, Region
from ..spec.registers import COUNTERS
from .port import DeviceError
from .registers import Registers, RegisterTransport

__all__ = ["CoprocessorDriver", "FaultError", "MemoryTransport"]

STOP_SECONDS = 10.0
"""Least time that a program has to stop after an abort."""


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
    pause : function, optional
        Called between two reads of STATUS, such as ``lambda: time.sleep(0.001)``.

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
        pause: Callable[[], object] | None = None,
    ):
        if base % REGION_ALIGNMENT:
            raise InputError(f"the memory must begin at a multiple of {REGION_ALIGNMENT}, not at {base:#x}")
        if base + size > 1 << ADDRESS_BITS:
            raise InputError(f"the memory must end below {1 << ADDRESS_BITS:#x}, not at {base + size:#x}")
        self.registers = Registers(registers)
        self.memory, self._base, self._size = memory, base, size
        self._clock, self._pause = clock, pause
        self._image: Image | None = None
        self._places: dict[Region, int] = {}
        self._data = b""  # what the region CONSTANTS holds, as far as is known

    @contextlib.contextmanager
    def _doubting(self) -> Iterator[None]:
        """After an error of the device, it is not known what the memory holds."""
        try:
            yield
        except DeviceError:
            self._data = b""
            raise

    def load(self, content: bytes, *, whole: bool = False) -> None:
        """Load the image of an encoder. It stays until another one is loaded.

        Bytes with which the image before began as well are not sent again: no program changes them. After an error of
        the device, all bytes are sent.

        Parameters
        ----------
        content : bytes
            Of the file that ``thresher compile`` writes; see :mod:`~thresher.spec.image`.
        whole : bool
            Send all bytes, for example if the memory has lost its content or another host has written to it.

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
        with self._doubting():
            self.registers.greet_hash(image.hash)
            self._check_idle()
            same = 0 if whole else _common(self._data, image.data)
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
        self.write_input(data)
        self.start()
        self.wait(seconds=seconds)
        return self.read_output()

    def write_input(self, data: bytes) -> None:
        """Write the region INPUT. Errors are those of :meth:`run`."""
        image = self._loaded()
        if len(data) != image.sizes[Region.INPUT]:
            raise InputError(f"the input must have {image.sizes[Region.INPUT]} bytes, not {len(data)}")
        with self._doubting():
            self._check_idle()
            self.memory.write(self._places[Region.INPUT], data)

    def read_output(self) -> bytes:
        """Read the region OUTPUT, after a program has ended without a fault. Errors are those of :meth:`wait`."""
        image = self._loaded()
        with self._doubting():
            self._check_end()
            return self.memory.read(self._places[Region.OUTPUT], image.sizes[Region.OUTPUT])

    def start(self) -> None:
        """Start the program.

        Raises
        ------
        DeviceError
            No image is loaded, the device does not answer, or it is busy. The program that runs is not disturbed.
        """
        self._loaded()
        with self._doubting():
            self._check_idle()
            self.registers.write_fields("INTERRUPT_PENDING", finished=1, fault=1)
            self.registers.write_fields("CONTROL", start=1)

    def wait(self, *, seconds: float = 60.0) -> None:
        """Wait for the end of the program.

        Raises
        ------
        FaultError
            It stopped before its end.
        DeviceError
            It does not end in this time. Then it has been aborted. Or no program has ended: none was started, or the
            device was reset.
        """
        with self._doubting():
            if not self._ends(seconds):
                self.abort()
                late = f"the program did not end in {seconds:g} s and was aborted"
                if not self._ends(max(seconds, STOP_SECONDS)):
                    raise DeviceError(f"{late}, but it did not stop: reset the co-processor")
                # It may have ended by itself before the abort.
                if self.fault().error is FaultCode.ABORT:
                    raise DeviceError(f"{late}: allow more time")
            self._check_end()

    def abort(self) -> None:
        """Ask the co-processor to end its program with the fault ABORT. Nothing happens if none runs."""
        self.registers.write_fields("CONTROL", abort=1)

    def _ends(self, seconds: float) -> bool:
        """Whether no program runs any more, after some time at most."""
        begun = self._clock()
        while self.registers.fields("STATUS")["busy"]:
            if self._clock() - begun > seconds:
                return False
            if self._pause is not None:
                self._pause()
        return True

    def _check_end(self) -> None:
        """Check that the last program has ended without a fault."""
        status = self.registers.fields("STATUS")
        if status["fault"]:
            raise FaultError(self.fault())
        if status["busy"]:
            raise DeviceError("the co-processor is busy: wait for the end of its program")
        if not status["finished"]:
            raise DeviceError("no program has ended: start one, or load the image again if the co-processor was reset")

    def _check_idle(self) -> None:
        if not self.registers.fields("STATUS")["idle"]:
            raise DeviceError("the co-processor is busy: wait for its program, or abort it")

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
