"""The drivers in C and in Python with the same functions."""

from ctypes import byref, c_uint8, c_uint32

from thresher.host.coprocessor import CoprocessorDriver
from thresher.host.port import DeviceError
from thresher.spec import InputError
from thresher.spec.program import Region

from .systems import FAULT, PAUSE, CFault, Counters, Device, MemoryAccess, Platform, RegisterAccess, System

__all__ = ["BASE", "SIZE", "C", "Failure", "Python"]

BASE, SIZE = 0x1000_0080, 1 << 22
POLLS = 200_000


class Failure(Exception):
    """A driver has refused something, or a program has stopped."""


class Python:
    """The driver in Python, with the functions that both have."""

    def __init__(self, system: System, size: int = SIZE):
        self.pauses = 0
        registers, memory = RegisterAccess(system), MemoryAccess(system)
        self._driver = CoprocessorDriver(registers, memory, base=BASE, size=size, pause=self._pause)

    def _pause(self) -> None:
        self.pauses += 1

    def call(self, function, *arguments, **settings):
        try:
            return function(*arguments, **settings)
        except (DeviceError, InputError) as error:
            raise Failure(str(error)) from error

    def load(self, content: bytes) -> None:
        self.call(self._driver.load, content)

    def run(self, data: bytes, output_bytes: int) -> bytes:
        return self.call(self._driver.run, data)

    def run_impatiently(self, data: bytes) -> None:
        self.call(self._driver.run, data, seconds=0)

    def write_input(self, data: bytes) -> None:
        self.call(self._driver.write_input, data)

    def read_output(self, output_bytes: int) -> bytes:
        return self.call(self._driver.read_output)

    def start(self) -> None:
        self.call(self._driver.start)

    def wait(self) -> None:
        self.call(self._driver.wait)

    def abort(self) -> None:
        self.call(self._driver.abort)

    def set_watchdog(self, cycles: int) -> None:
        self.call(self._driver.registers.write, "WATCHDOG", cycles)

    def enable_interrupts(self) -> None:
        self._driver.registers.write_fields("INTERRUPT_ENABLE", finished=1, fault=1)

    def acknowledge(self) -> int:
        events = self._driver.registers.read("INTERRUPT_PENDING")
        self._driver.registers.write("INTERRUPT_PENDING", events)
        return events

    def fault(self) -> dict[str, int]:
        found = self._driver.fault()
        return {name: int(getattr(found, name) or 0) for name in FAULT}

    def counters(self) -> dict[str, int]:
        return {name.lower(): value for name, value in self._driver.counters().items()}


class C:
    """The driver in C."""

    def __init__(self, system: System, size: int = SIZE):
        self._library, self._device, self._platform = system.library, Device(), Platform()
        self._library.system_platform(system.handle, byref(self._platform), size)
        self.pauses = 0
        self._platform.pause = PAUSE(self._pause)
        self._call("open", byref(self._platform))

    def _pause(self, _context: int | None) -> None:
        self.pauses += 1

    def _call(self, name: str, *arguments) -> None:
        error = getattr(self._library, f"thresher_{name}")(byref(self._device), *arguments)
        if error:
            raise Failure(self._library.thresher_text(error).decode())

    def load(self, content: bytes) -> None:
        self._call("load", content, len(content))

    def _run(self, data: bytes, output_bytes: int, polls: int) -> bytes:
        output = (c_uint8 * output_bytes)()
        self._call("run", data, len(data), output, output_bytes, polls)
        return bytes(output)

    def run(self, data: bytes, output_bytes: int) -> bytes:
        return self._run(data, output_bytes, POLLS)

    def run_impatiently(self, data: bytes) -> None:
        self._run(data, self._device.sizes[Region.OUTPUT], 1)

    def write_input(self, data: bytes) -> None:
        self._call("write_input", data, len(data))

    def read_output(self, output_bytes: int) -> bytes:
        output = (c_uint8 * output_bytes)()
        self._call("read_output", output, output_bytes)
        return bytes(output)

    def start(self) -> None:
        self._call("start")

    def wait(self) -> None:
        self._call("wait", POLLS)

    def abort(self) -> None:
        self._call("abort")

    def set_watchdog(self, cycles: int) -> None:
        self._call("set_watchdog", cycles)

    def enable_interrupts(self) -> None:
        self._call("enable_interrupts", 3)

    def acknowledge(self) -> int:
        events = c_uint32()
        self._call("acknowledge_interrupts", byref(events))
        return events.value

    def fault(self) -> dict[str, int]:
        found = CFault()
        self._call("get_fault", byref(found))
        return found.values()

    def counters(self) -> dict[str, int]:
        found = Counters()
        self._call("get_counters", byref(found))
        return found.values()
