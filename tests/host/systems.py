"""A co-processor on Wishbone under Verilator, with the drivers in C and Python."""

import ctypes
import shutil
import subprocess
import tempfile
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from importlib import resources
from pathlib import Path

import numpy as np
import thresher.host
from thresher.hdl.bus.system import CoprocessorSystem
from thresher.hdl.emit import emit
from thresher.host.port import DeviceError
from thresher.sim.build import make_variables
from thresher.sim.cached import cached
from thresher.sim.toolchain import verilator_environment, verilator_root, verilator_version
from thresher.spec import CoprocessorConfig
from thresher.spec.base import digest
from thresher.spec.buses import Bus, clock_names

HARNESS = Path(__file__).with_name("driver_harness.cpp")
DRIVER = Path(str(resources.files(thresher.host))) / "c"
LIBRARY = "system.so"

VERILATE = ["--cc", "-O3", "-fno-merge-cond-motion", "--x-assign", "0", "--x-initial", "0", "--no-timing", "-Wno-fatal"]
VERILATE += ["-Wno-lint", "-Wno-style", "--output-split", "5000", "-CFLAGS", "-fPIC -w -std=c++17", "--prefix", "Vdut"]
# A simulation spends little time in Verilator's own library. The model itself runs ten times slower with -O0.
OPTIMISE = {"OPT_GLOBAL": "-O0"}


def build(config: CoprocessorConfig, *, verilog: str | None = None) -> ctypes.CDLL:
    """Compile the co-processor, the harness and the driver in C to a library, or take it from the cache.

    Parameters
    ----------
    config : CoprocessorConfig
    verilog : str, optional
        A netlist of this co-processor on Wishbone as module ``dut``, in place of the emitted Verilog.
    """
    if verilog is None:
        verilog = emit(CoprocessorSystem(config, Bus.WISHBONE), name="dut", clocks=clock_names(Bus.WISHBONE))
    sources = [HARNESS, *sorted(DRIVER.iterdir())]
    texts = [verilog, Path(__file__).read_text("utf-8"), *(path.read_text("utf-8") for path in sources)]

    def compile_to(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as work:
            (Path(work) / "dut.v").write_text(verilog, encoding="utf-8")
            _compile(Path(work))
            shutil.copy(Path(work) / LIBRARY, folder)

    return declare(ctypes.CDLL(str(cached("tests", digest(verilator_version(), *texts), LIBRARY, compile_to))))


def _compile(folder: Path) -> None:
    """Compile ``dut.v`` in a folder, the harness and the driver to a library there."""
    environment = verilator_environment()
    compiler = environment["CXX"].split()
    root = verilator_root()

    def run(*command: object) -> None:
        line = [str(part) for part in command]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr[-4000:]}"

    run(root / "bin" / "verilator", *VERILATE, "--top-module", "dut", "--Mdir", ".", "dut.v")
    settings = [f"{name}={value}" for name, value in (make_variables(environment["CXX"]) | OPTIMISE).items()]
    run("make", "-s", "-j3", "-f", "Vdut.mk", "Vdut__ALL.a", "libverilated.a", *settings)
    # C90 has no stdint.h; C99 is the oldest standard that has it.
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fPIC", "-O1"]
    run("cc", *strict, "-c", DRIVER / "thresher.c", "-o", "thresher.o")
    includes = ["-I.", f"-I{root}/include", f"-I{root}/include/vltstd", f"-I{DRIVER}"]
    files = [HARNESS, "thresher.o", "Vdut__ALL.a", "libverilated.a"]
    run(*compiler, "-std=c++17", "-O2", "-fPIC", "-shared", "-o", LIBRARY, *includes, *files, "-pthread")


PAUSE = CFUNCTYPE(None, c_void_p)
"""What a driver calls between two reads of the status."""


class Platform(Structure):
    """``struct thresher_platform``."""

    _fields_ = [(name, c_void_p) for name in ("context", "get", "set", "write", "read")]
    _fields_ += [("base", c_uint32), ("size", c_uint64), ("pause", PAUSE)]


class Device(Structure):
    """``struct thresher``."""

    _fields_ = [("platform", c_void_p), ("loaded", c_int), ("bases", c_uint32 * 4), ("sizes", c_uint32 * 4)]


FAULT = ("error", "unit", "detail", "instruction", "tag", "address")


class CFault(Structure):
    """``struct thresher_fault``."""

    _fields_ = [(name, c_uint32) for name in FAULT]

    def values(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in FAULT}


UNIT_COUNTERS = ("busy", "waiting", "starved", "completed")
COUNTERS = ("cycles", "words_read", "words_written")
COUNTERS += tuple(f"{unit}_{name}" for unit in ("product", "attention", "vector") for name in UNIT_COUNTERS)


class Counters(Structure):
    """``struct thresher_counters``."""

    _fields_ = [(name, c_uint32) for name in COUNTERS]

    def values(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNTERS}


def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Types of the functions."""
    device, data = POINTER(Device), c_char_p
    functions = {
        "system_make": (c_void_p, [c_void_p, c_uint64, c_uint64, c_uint64]),
        "system_free": (None, [c_void_p]),
        "system_access": (c_int, [c_void_p, c_uint32, c_int, POINTER(c_uint32)]),
        "system_reset": (None, [c_void_p]),
        "system_tick": (None, [c_void_p, c_uint64]),
        "system_interrupt": (c_int, [c_void_p]),
        "system_errors": (None, [c_void_p, c_uint64, c_uint64]),
        "system_delay": (None, [c_void_p, c_uint64]),
        "system_dead": (None, [c_void_p, c_int]),
        "system_outside": (c_uint64, [c_void_p]),
        "system_platform": (None, [c_void_p, POINTER(Platform), c_uint64]),
        "thresher_open": (c_int, [device, POINTER(Platform)]),
        "thresher_load": (c_int, [device, data, c_size_t]),
        "thresher_run": (c_int, [device, data, c_size_t, POINTER(c_uint8), c_size_t, c_uint32]),
        "thresher_write_input": (c_int, [device, data, c_size_t]),
        "thresher_idle": (c_int, [device]),
        "thresher_start": (c_int, [device]),
        "thresher_wait": (c_int, [device, c_uint32]),
        "thresher_read_output": (c_int, [device, POINTER(c_uint8), c_size_t]),
        "thresher_enable_interrupts": (c_int, [device, c_uint32]),
        "thresher_acknowledge_interrupts": (c_int, [device, POINTER(c_uint32)]),
        "thresher_abort": (c_int, [device]),
        "thresher_set_watchdog": (c_int, [device, c_uint32]),
        "thresher_get_fault": (c_int, [device, POINTER(CFault)]),
        "thresher_get_counters": (c_int, [device, POINTER(Counters)]),
        "thresher_text": (c_char_p, [c_int]),
    }
    for name, (result, arguments) in functions.items():
        getattr(library, name).restype, getattr(library, name).argtypes = result, arguments
    return library


class System:
    """A co-processor after a reset, and its memory. It is both transports of the driver in Python.

    Parameters
    ----------
    library : CDLL
    base, size : int
        Where the memory lies.
    seed : int
        Of the memory's delays.
    """

    def __init__(self, library: ctypes.CDLL, *, base: int, size: int, seed: int):
        self.library, self.base, self.size = library, base, size
        self.memory = np.zeros(size, np.uint8)
        self.handle = library.system_make(self.memory.ctypes.data, base, size, seed)

    def close(self) -> None:
        self.library.system_free(self.handle)

    @property
    def interrupt(self) -> bool:
        return bool(self.library.system_interrupt(self.handle))

    def fail(self, addresses: range) -> None:
        """Let the memory answer with errors."""
        self.library.system_errors(self.handle, addresses.start, addresses.stop)

    def kill(self, *, dead: bool) -> None:
        """Let the memory stop to answer, or answer again."""
        self.library.system_dead(self.handle, dead)

    def delay_abort(self, cycles: int) -> None:
        """Let some time pass before the host's aborts reach the co-processor."""
        self.library.system_delay(self.handle, cycles)

    def reset(self) -> None:
        self.library.system_reset(self.handle)

    def tick(self, cycles: int) -> None:
        self.library.system_tick(self.handle, cycles)

    def put(self, address: int, data: bytes) -> None:
        start = address - self.base
        self.memory[start : start + len(data)] = np.frombuffer(data, np.uint8)

    def bytes_at(self, address: int, count: int) -> bytes:
        start = address - self.base
        return self.memory[start : start + count].tobytes()


class RegisterAccess:
    """Registers of a system, for the driver in Python."""

    def __init__(self, system: System):
        self._system = system

    def read(self, offset: int) -> int:
        return self._access(offset, 0, write=False)

    def write(self, offset: int, value: int) -> None:
        self._access(offset, value, write=True)

    def _access(self, offset: int, value: int, *, write: bool) -> int:
        word = c_uint32(value)
        if self._system.library.system_access(self._system.handle, offset, write, byref(word)):
            raise DeviceError(f"the bus refuses to {'write' if write else 'read'} {offset:#x}")
        return word.value


class MemoryAccess:
    """Memory of a system, for the driver in Python."""

    def __init__(self, system: System):
        self._system = system

    def read(self, address: int, count: int) -> bytes:
        return self._system.bytes_at(address, count)

    def write(self, address: int, data: bytes) -> None:
        self._system.put(address, data)
