"""Runs of Yosys, nextpnr and the packer. The files of a run are reused if its inputs are the same."""

import contextlib
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..spec.base import digest
from ..spec.errors import ConfigError
from .devices import Device, Family
from .global_resets import reset_globally
from .multiplier_places import DIES, place_multipliers
from .multiplier_registers import take_registers_in
from .routers import Progress, Router, Standstill
from .tools import SynthesisError, Tool, run

__all__ = [
    "FREQUENCY_MHZ",
    "PACKERS",
    "PLACERS",
    "Pins",
    "Plan",
    "Steps",
    "Told",
    "check_clock",
]

FREQUENCY_MHZ = 100
"""Target clock of nextpnr, unless another one is given. Its report has the clock that it reached."""

SYNTHESIS = {
    Family.ECP5: "synth_ecp5",
    Family.ICE40: "synth_ice40",
    Family.XILINX7: "synth_xilinx -family xc7 -noiopad -noclkbuf",
    Family.ULTRASCALE_PLUS: "synth_xilinx -family xcup -noiopad -noclkbuf",
    Family.GENERIC: "synth",
}
PRODUCTS = "t:SB_MAC16 %co1:+SB_MAC16[O]"
DROP_ABSORBED = (
    f"simplemap {PRODUCTS} %ci1:+[Q] t:$*dff* %i; splitnets {PRODUCTS} w:* %i; delete {PRODUCTS} %ci1:+[Q] t:$_*DFF* %i"
)
"""Removes registers that an iCE40's multiplier has absorbed. Yosys 0.66 and 0.70 leave them in the netlist, where they
drive the same wires as the multiplier; Yosys then replaces these wires by constants. Registers are split into bits,
because a multiplier may absorb only the lower ones."""
NAMING = {
    # Names cells of ABC after the signals that they drive. The scripts of the other families do this already.
    Family.XILINX7: "autoname",
    Family.ULTRASCALE_PLUS: "autoname",
}
"""Commands that give cells names which contain their block."""
BY_BLOCK = "flatten; opt_clean"
"""Commands that follow if each block is synthesised alone."""
PLACERS = {Family.ECP5: "nextpnr-ecp5", Family.ICE40: "nextpnr-ice40"}
PACKERS = {Family.ECP5: "ecppack", Family.ICE40: "icepack"}
CONSTRAINTS = {Family.ECP5: "lpf", Family.ICE40: "pcf"}
LAYOUTS = {Family.ECP5: ("textcfg", "config"), Family.ICE40: ("asc", "asc")}
"""Option of nextpnr for the file of the placed design, and its suffix."""

NETLIST_VERSION = "5"
"""Must change with the code that changes netlists, so that older netlists are made again."""

DETAILS = "yosys.details.log"

Told = Callable[[str], None]


def check_clock(mhz: float) -> float:
    """Return a clock.

    Raises
    ------
    ConfigError
        It is no positive number.
    """
    if not (math.isfinite(mhz) and mhz > 0):
        raise ConfigError("clock", mhz, "must be a number of megahertz")
    return mhz


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Pins of a design on a board.

    Attributes
    ----------
    constraints : str
        Content of an LPF file (ECP5) or a PCF file (iCE40).
    package : str
        Name of the package in nextpnr.
    """

    constraints: str
    package: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A design, and how the tools treat it.

    Attributes
    ----------
    top, verilog : str
    device : Device
    speed : int or None
        Speed grade.
    pins : Pins or None
        ``None``: out of context.
    clock_mhz : float
        Clock to reach.
    keep_hierarchy : bool
        Each block is synthesised alone and shares no logic. This always holds for simple gates, because naming the
        gates of a flat design takes several times as long as all other steps.
    """

    top: str
    verilog: str
    device: Device
    speed: int | None
    pins: Pins | None = None
    clock_mhz: float = FREQUENCY_MHZ
    keep_hierarchy: bool = False


def _netlist_key(plan: Plan, yosys: Tool) -> str:
    """Digest of all inputs of a netlist."""
    parts = (plan.verilog, plan.device.name, _commands(plan), yosys.version, yosys.source)
    return digest(NETLIST_VERSION, *changes(plan), *parts)


def _commands(plan: Plan) -> str:
    """The commands of Yosys."""
    family, capacity = plan.device.family, plan.device.capacity
    whole = not plan.keep_hierarchy and family is not Family.GENERIC
    command = f"{SYNTHESIS[family]} -top {plan.top}"
    if family in (Family.ECP5, Family.ICE40) and not whole:
        command += " -noflatten"
    if family in (Family.XILINX7, Family.ULTRASCALE_PLUS) and whole:
        command += " -flatten"
    if family is Family.ECP5 and plan.pins is None:
        command += " -noiopad"
    if family is Family.ICE40 and capacity and capacity.dsp:
        command += " -dsp"
        command = f"{command} -run begin:map_ram; {DROP_ABSORBED}; {command} -run map_ram:"
    after = NAMING.get(family) if whole else BY_BLOCK
    return "; ".join(filter(None, [command, after]))


def changes(plan: Plan) -> dict[str, Callable[[Any], object]]:
    """Changes to the top module of a netlist, in order: description and function."""
    family = plan.device.family
    if family is Family.ICE40 and plan.pins is None:
        return {"removing ports": _drop_ports}
    if family is not Family.ECP5:
        return {}
    found: dict[str, Callable[[Any], object]] = {"moving registers into multipliers": take_registers_in}
    die = plan.device.capacity and DIES.get(plan.device.capacity.dsp)
    if die:
        found["placing multipliers"] = lambda module: place_multipliers(module, die)
        out_of_context = die if plan.pins is None else None
        found["moving resets to the global network"] = lambda module: reset_globally(module, out_of_context)
    return found


class Steps:
    """The steps of one plan in one folder. The folder must be locked.

    A step is skipped if its files are, byte for byte, what it made from the same inputs before.

    Attributes
    ----------
    seconds : dict of str to float
        Run time by step. A skipped step has its earlier run time.
    """

    def __init__(self, plan: Plan, folder: Path, *, tell: Told, announce: Told):
        self.plan, self.folder = plan, folder
        self.tell, self.announce = tell, announce
        self.seconds: dict[str, float] = {}
        self._netlist_key = ""

    def synthesise(self, yosys: Tool) -> str:
        """Synthesise. Returns the name of the netlist."""
        netlist = f"{self.plan.top}.netlist.json"
        self._netlist_key = _netlist_key(self.plan, yosys)
        note = self._once([netlist], self._netlist_key, lambda: self._yosys(yosys, _commands(self.plan), netlist))
        self.seconds["yosys"] = note["seconds"]
        return netlist

    def _yosys(self, yosys: Tool, command: str, netlist: str) -> None:
        top, source = self.plan.top, f"{self.plan.top}.v"
        (self.folder / source).write_text(_plain_names(self.plan.verilog), encoding="utf-8")
        self.announce(f"Yosys {yosys.version} ({yosys.source}): {top} for {self.plan.device.family}")
        script = f"read_verilog {source}; scratchpad -set abc9.verify 0; {command}; write_json {netlist}"

        def progress(line: str) -> None:
            if "Driver-driver conflict" in line:
                raise SynthesisError(f"{yosys.name} made a wrong netlist ({line[:200]}): try another version of it")
            if "invalid OPTION_ABITS/WIDTH combination" in line:
                # Its library for UltraScale+ maps such a memory to LUT RAM of the wrong depth.
                message = "cannot make a memory of one port with more than 256 narrow words on UltraScale+"
                raise SynthesisError(f"{yosys.name} {message}: use two row engines or fewer columns")
            found = re.match(r"[\d.]+ Executing (.*)", line)
            if found:
                self.tell(f"Yosys: {found[1].rstrip('.').removesuffix(' pass')[:60]}")

        # -v 3: headings of passes, warnings and errors only. All output is tens of megabytes.
        arguments = ["-v", "3", "-l", DETAILS, "-p", script]
        run(yosys, arguments, folder=self.folder, log="yosys.log", details=DETAILS, on_line=progress)
        design = self._read(netlist)  # always, so that an incomplete file is reported here and not by nextpnr
        if todo := changes(self.plan):
            for module in design["modules"].values():
                if int(str(module["attributes"].get("top", "0")), 2):
                    for what, change in todo.items():
                        self.tell(what)
                        change(module)
            (self.folder / netlist).write_text(json.dumps(design), encoding="utf-8")

    def route(self, placer: Tool, netlist: str, *, seed: int, router: Router) -> Path:
        """Place and route with a seed and a router of nextpnr. Returns the path of the report.

        Raises
        ------
        Standstill
            The router makes no progress with this seed.
        """
        plan = self.plan
        grade = [] if plan.speed is None else ["--speed", str(plan.speed)]
        options = [*self._device_options(), *grade, "--timing-allow-fail", "--freq", f"{plan.clock_mhz:g}"]
        options += ["--router", router.name, *router.options, "--seed", str(seed), *self._pin_options(seed)]
        report = f"seed-{seed}.json"
        constraints = "" if plan.pins is None else plan.pins.constraints
        key = digest(self._netlist_key, constraints, placer.version, placer.source, *options)
        files = [report, *([] if plan.pins is None else [self._layout(seed)])]
        arguments = [*options, "--json", netlist, "--report", report]
        note = self._once(files, key, lambda: self._nextpnr(placer, arguments, seed=seed, router=router, report=report))
        self.seconds[f"seed {seed}"] = note["seconds"]
        if not note["files"]:
            raise Standstill(f"seed {seed} was given up: the router of {placer.name} stood still")
        return self.folder / report

    def _nextpnr(self, placer: Tool, arguments: Sequence[str], *, seed: int, router: Router, report: str) -> None:
        self.announce(f"{placer.name} {placer.version} ({placer.source}): {self.plan.device.name}, seed {seed}")
        watched = Progress(router)

        def progress(line: str) -> None:
            self._phase(seed, line)
            watched.see(line)

        log = f"seed-{seed}.log"
        with _capacity_errors(self.folder / log, self.plan.device):
            run(placer, arguments, folder=self.folder, log=log, on_line=progress)
        self._read(report)

    def _device_options(self) -> list[str]:
        """Die and package."""
        place = list(self.plan.device.place)
        if self.plan.pins is None:
            return place
        kept = place[: place.index("--package")] if "--package" in place else place
        return [*kept, "--package", self.plan.pins.package]

    def _pin_options(self, seed: int) -> list[str]:
        """Options for constraints and for the file of the placed design."""
        family = self.plan.device.family
        if self.plan.pins is None:
            return ["--out-of-context"] if family is Family.ECP5 else []
        kind = CONSTRAINTS[family]
        name = f"{self.plan.top}.{kind}"
        (self.folder / name).write_text(self.plan.pins.constraints, encoding="utf-8")
        return [f"--{kind}", name, f"--{LAYOUTS[family][0]}", self._layout(seed)]

    def _layout(self, seed: int) -> str:
        return f"seed-{seed}.{LAYOUTS[self.plan.device.family][1]}"

    def pack(self, packer: Tool, *, seed: int, name: str) -> Path:
        """Pack the placed design of a seed. Returns the path of the bitstream."""
        layout = self._layout(seed)
        self.announce(f"{packer.name} {packer.version} ({packer.source}): {name}")
        # A compressed bitstream loads faster into an ECP5.
        options = ["--compress"] if self.plan.device.family is Family.ECP5 else []
        (self.folder / name).unlink(missing_ok=True)
        self.seconds[packer.name] = round(
            run(packer, [*options, layout, name], folder=self.folder, log=f"{packer.name}.log"), 1
        )
        return self._written(name)

    def _phase(self, seed: int, line: str) -> None:
        text = line.removeprefix("Info:").strip()
        if re.match(r"(Packing|Placing|Running|Routing|Creating|at iteration|Setting up|iter=)", text) or " | " in line:
            self.tell(f"nextpnr, seed {seed}: {text[:60]}")

    def _once(self, files: Sequence[str], key: str, make: Callable[[], object]) -> dict[str, Any]:
        """Make files, unless they exist and their note has this key.

        Returns
        -------
        dict
            The note beside the first file: ``key``, ``seconds``, and ``files`` with their digests. ``files`` is empty
            if the router stood still, which it would do again.
        """
        path = self.folder / f"{files[0]}.key"
        unusable = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SynthesisError)
        with contextlib.suppress(*unusable):
            note = json.loads(path.read_text("utf-8"))
            if note["key"] == key and all(self._content(each) == digest for each, digest in note["files"].items()):
                self.tell(f"{files[0]} is " + ("up to date" if note["files"] else "known to fail"))
                return note
        # The note is removed first, so that it never describes files of an interrupted run. Old files are removed too,
        # so that they are not taken for output of a tool that wrote none.
        for each in (path.name, *files):
            (self.folder / each).unlink(missing_ok=True)
        begun, made = time.monotonic(), files
        try:
            make()
        except Standstill:
            made = ()
        seconds = round(time.monotonic() - begun, 1)
        note = {"key": key, "seconds": seconds, "files": {each: self._content(each) for each in made}}
        path.write_text(json.dumps(note), encoding="utf-8")
        return note

    def _content(self, name: str) -> str:
        """Digest of a file that a tool wrote."""
        with self._written(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _written(self, name: str) -> Path:
        """Path of a file that a tool wrote."""
        if not (self.folder / name).exists():
            raise SynthesisError(f"{name} was not written: read the logs in {self.folder}")
        return self.folder / name

    def _read(self, name: str) -> Any:
        """JSON that a tool wrote."""
        try:
            return json.loads(self._written(name).read_text("utf-8"))
        except (ValueError, RecursionError):  # the tools do not report a full disk
            message = f"{name} is cut short: make room on the disk of {self.folder}, or read the logs there"
            raise SynthesisError(message) from None


@contextlib.contextmanager
def _capacity_errors(log: Path, device: Device) -> Iterator[None]:
    """Report a full device with the counts in nextpnr's log."""
    try:
        yield
    except SynthesisError:
        text = log.read_text("utf-8", errors="replace") if log.exists() else ""
        # Counts of all kinds of cells, and much later: no BELs remaining to implement cell type 'ICESTORM_LC'
        found = re.search(r"\b(\w+):\s*(\d+)/\s*(\d+) .*no BELs remaining to implement cell type '\1'", text, re.DOTALL)
        if not found:
            raise
        kind, used, available = found[1], int(found[2]), int(found[3])
        message = f"{used - available:,} too many" if used > available else "not all of them can be placed"
        reason = f"{message} ({used:,} of {available:,} {kind} by nextpnr's count); choose a smaller configuration"
        raise SynthesisError(f"the design does not fit {device.name}: {reason}") from None


def _drop_ports(module: Any) -> None:
    """Remove all ports but the clock.

    nextpnr for iCE40 gives every port a pin, and there are too few pins. Wires without a driver are not routed; the
    logic behind them stays.
    """
    module["ports"] = {name: port for name, port in module["ports"].items() if name == "clk"}


def _plain_names(verilog: str) -> str:
    """Verilog with parentheses for the brackets in names.

    With names such as ``\\row[0]``, ABC9 of Yosys fails on some netlists.
    """
    return re.sub(r"\\\S+", lambda name: name[0].replace("[", "(").replace("]", ")"), verilog)
