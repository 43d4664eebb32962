"""The runs of Yosys, nextpnr and a packer, each kept with what it was made of and not made again."""

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

from .devices import Device, Family
from .global_resets import reset_globally
from .multiplier_places import DIES, place_multipliers
from .multiplier_registers import take_registers_in
from .tools import SynthesisError, Tool, run

__all__ = [
    "FREQUENCY_MHZ",
    "PACKERS",
    "PLACERS",
    "STANDSTILL",
    "Pins",
    "Plan",
    "Standstill",
    "Steps",
    "Told",
    "netlist_key",
]

FREQUENCY_MHZ = 100
"""What nextpnr is asked for out of context; it reports what it reached."""

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
"""Removes registers that drive what a multiplier of an iCE40 drives: taken into it, but left where they were by Yosys
0.66 and 0.70. What has two drivers is replaced by a constant later, and all before it removed. Bit by bit, since the
upper part of a register stays outside where only the lower is taken in."""
NAMING = {
    # Cells that ABC made get names of the signals that they drive, as the other two families' scripts give them.
    Family.XILINX7: "autoname",
    Family.ULTRASCALE_PLUS: "autoname",
}
"""What follows so that names tell the blocks that cells belong to."""
BY_BLOCK = "flatten; opt_clean"
"""What follows where each block was made by itself."""
PLACERS = {Family.ECP5: "nextpnr-ecp5", Family.ICE40: "nextpnr-ice40"}
PACKERS = {Family.ECP5: "ecppack", Family.ICE40: "icepack"}
CONSTRAINTS = {Family.ECP5: "lpf", Family.ICE40: "pcf"}
LAYOUTS = {Family.ECP5: ("textcfg", "config"), Family.ICE40: ("asc", "asc")}
"""Option of nextpnr that names the file of what it placed, and how such files end."""

NETLISTS = dict.fromkeys(Family, "4")
"""Counts up when what is done to netlists of Yosys changes, so that those from before are made again."""

DETAILS = "yosys.details.log"

STANDSTILL = 500
"""Lines of nextpnr's router, one for a thousand connections each, without fewer left than ever before, after which it
is taken to go round in circles. Large designs that it routed took 600 lines in all, and some dozens for fewer left."""

Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Where the ports of a complete design go.

    Attributes
    ----------
    constraints : str
        An LPF file (ECP5) or a PCF file (iCE40).
    package : str
        As nextpnr calls it.
    clock_mhz : float
        What must be reached.
    """

    constraints: str
    package: str
    clock_mhz: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What goes through the tools.

    Attributes
    ----------
    top, verilog : str
    device : Device
    speed : int or None
        Speed grade.
    pins : Pins or None
        ``None``: a part, out of context.
    keep_hierarchy : bool
        Each block is made by itself, and shares nothing with others. Simple gates always are: to name so many of a
        whole takes the time of all else several times over.
    """

    top: str
    verilog: str
    device: Device
    speed: int | None
    pins: Pins | None = None
    keep_hierarchy: bool = False


def netlist_key(plan: Plan, yosys: Tool) -> str:
    """Digest of all that a netlist depends on."""
    family = plan.device.family
    parts = (plan.verilog, plan.device.name, _commands(plan), yosys.version, yosys.source)
    return _digest(NETLISTS[family], *changes(plan), *parts)


def _commands(plan: Plan) -> str:
    """Those of Yosys."""
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
    """What is done to the top module of a netlist, in this order, and how."""
    family = plan.device.family
    if family is Family.ICE40 and plan.pins is None:
        return {"leaving out ports": _drop_ports}
    if family is not Family.ECP5:
        return {}
    found: dict[str, Callable[[Any], object]] = {"taking registers into multipliers": take_registers_in}
    die = plan.device.capacity and DIES.get(plan.device.capacity.dsp)
    if die:
        found["giving multipliers places"] = lambda module: place_multipliers(module, die)
    if plan.pins is not None:  # otherwise a reset comes from nowhere, and is not routed
        found["leading resets over the clock's network"] = reset_globally
    return found


class Standstill(SynthesisError):
    """The router goes round in circles with this seed."""


class _Router:
    """Sees from what nextpnr says whether its router gets anywhere."""

    def __init__(self):
        self._fewest, self._since = math.inf, 0

    def see(self, line: str) -> None:
        """Take note of a line.

        Raises
        ------
        Standstill
            It gets nowhere.
        """
        # Iteration, connections with and without others driven out (in all, and since the last line), connections left.
        found = re.match(r"Info:\s*\d+ \|[\s\d]+\|[\s\d]+\|\s*(\d+)\|", line)
        if found is None:
            return
        left = int(found[1])
        self._since = 0 if left < self._fewest else self._since + 1
        self._fewest = min(left, self._fewest)
        if self._since == STANDSTILL:
            raise Standstill(f"{left} connections are left")


class Steps:
    """The steps of one plan in one folder, which nobody else may use meanwhile.

    A step is not taken again if its files are, byte for byte, what it made of the same things before.

    Attributes
    ----------
    seconds : dict of str to float
        By step; of a step whose result was there already, what it took then.
    """

    def __init__(self, plan: Plan, folder: Path, *, tell: Told, announce: Told):
        self.plan, self.folder = plan, folder
        self.tell, self.announce = tell, announce
        self.seconds: dict[str, float] = {}
        self._netlist_key = ""

    def synthesise(self, yosys: Tool) -> str:
        """Name of the netlist."""
        netlist = f"{self.plan.top}.netlist.json"
        self._netlist_key = netlist_key(self.plan, yosys)
        note = self._once([netlist], self._netlist_key, lambda: self._yosys(yosys, _commands(self.plan), netlist))
        self.seconds["yosys"] = note["seconds"]
        return netlist

    def _yosys(self, yosys: Tool, command: str, netlist: str) -> None:
        top, source = self.plan.top, f"{self.plan.top}.v"
        (self.folder / source).write_text(_plain_names(self.plan.verilog))
        self.announce(f"Yosys {yosys.version} ({yosys.source}): {top} for {self.plan.device.family}")
        script = f"read_verilog {source}; scratchpad -set abc9.verify 0; {command}; write_json {netlist}"

        def progress(line: str) -> None:
            if "Driver-driver conflict" in line:
                raise SynthesisError(f"{yosys.name} made a wrong netlist ({line[:200]}): try another version of it")
            if "invalid OPTION_ABITS/WIDTH combination" in line:
                # Its library for UltraScale+ takes a memory of LUT RAM for a deeper one than it is.
                told = "cannot make a memory of one port with more than 256 narrow words on UltraScale+"
                raise SynthesisError(f"{yosys.name} {told}: two row engines have others, or fewer columns")
            found = re.match(r"[\d.]+ Executing (.*)", line)
            if found:
                self.tell(f"Yosys: {found[1].rstrip('.').removesuffix(' pass')[:60]}")

        # -v 3: headings of passes, warnings and errors. What it says beside that is tens of megabytes.
        arguments = ["-v", "3", "-l", DETAILS, "-p", script]
        run(yosys, arguments, folder=self.folder, log="yosys.log", details=DETAILS, on_line=progress)
        design = self._read(netlist)  # in any case: what is cut short is told here, not by nextpnr
        if todo := changes(self.plan):
            for module in design["modules"].values():
                if int(str(module["attributes"].get("top", "0")), 2):
                    for what, change in todo.items():
                        self.tell(what)
                        change(module)
            (self.folder / netlist).write_text(json.dumps(design))

    def route(self, placer: Tool, netlist: str, *, seed: int) -> Path:
        """The report of nextpnr with a seed.

        Raises
        ------
        Standstill
            Its router goes round in circles.
        """
        plan = self.plan
        frequency = FREQUENCY_MHZ if plan.pins is None else plan.pins.clock_mhz
        grade = [] if plan.speed is None else ["--speed", str(plan.speed)]
        options = [*self._device_options(), *grade, "--timing-allow-fail", "--freq", f"{frequency:g}"]
        options += ["--seed", str(seed), *self._pin_options(seed)]
        report = f"seed-{seed}.json"
        constraints = "" if plan.pins is None else plan.pins.constraints
        key = _digest(self._netlist_key, constraints, placer.version, placer.source, *options)
        files = [report, *([] if plan.pins is None else [self._layout(seed)])]
        arguments = [*options, "--json", netlist, "--report", report]
        note = self._once(files, key, lambda: self._nextpnr(placer, arguments, seed=seed, report=report))
        self.seconds[f"seed {seed}"] = note["seconds"]
        if not note["files"]:
            raise Standstill(f"seed {seed} was given up: the router of {placer.name} went round in circles")
        return self.folder / report

    def _nextpnr(self, placer: Tool, arguments: Sequence[str], *, seed: int, report: str) -> None:
        self.announce(f"{placer.name} {placer.version} ({placer.source}): {self.plan.device.name}, seed {seed}")
        router = _Router()

        def progress(line: str) -> None:
            self._phase(seed, line)
            router.see(line)

        log = f"seed-{seed}.log"
        with _room_in_words(self.folder / log, self.plan.device):
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
        """Constraints, and the file of what is placed; or that there are none."""
        family = self.plan.device.family
        if self.plan.pins is None:
            return ["--out-of-context"] if family is Family.ECP5 else []
        kind = CONSTRAINTS[family]
        name = f"{self.plan.top}.{kind}"
        (self.folder / name).write_text(self.plan.pins.constraints)
        return [f"--{kind}", name, f"--{LAYOUTS[family][0]}", self._layout(seed)]

    def _layout(self, seed: int) -> str:
        return f"seed-{seed}.{LAYOUTS[self.plan.device.family][1]}"

    def pack(self, packer: Tool, *, seed: int, name: str) -> Path:
        """The bitstream of what was placed with a seed."""
        layout = self._layout(seed)
        self.announce(f"{packer.name} {packer.version} ({packer.source}): {name}")
        # Both take the file to read and the file to write; compressed, an ECP5 is loaded faster.
        options = ["--compress"] if self.plan.device.family is Family.ECP5 else []
        (self.folder / name).unlink(missing_ok=True)
        self.seconds[packer.name] = round(
            run(packer, [*options, layout, name], folder=self.folder, log=f"{packer.name}.log"), 1
        )
        return self._written(name)

    def _phase(self, seed: int, line: str) -> None:
        text = line.removeprefix("Info:").strip()
        if re.match(r"(Packing|Placing|Running|Routing|Creating|at iteration|Setting up)", text) or " | " in line:
            self.tell(f"nextpnr, seed {seed}: {text[:60]}")

    def _once(self, files: Sequence[str], key: str, make: Callable[[], object]) -> dict[str, Any]:
        """Make files, unless they are there and of this key.

        Returns
        -------
        dict
            What is noted beside the first of them: ``key``, ``seconds``, and ``files``, the digest of each; none if the
            step came to a standstill, which it would again.
        """
        path = self.folder / f"{files[0]}.key"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, SynthesisError):
            note = json.loads(path.read_text())
            if note["key"] == key and all(self._content(each) == told for each, told in note["files"].items()):
                self.tell(f"{files[0]} is " + ("there already" if note["files"] else "known not to come"))
                return note
        # First of all the note: whatever ends this run, it vouches for nothing that came after it. The files go too, so
        # that those of another run are not taken for what a tool did not write.
        for each in (path.name, *files):
            (self.folder / each).unlink(missing_ok=True)
        begun, made = time.monotonic(), files
        try:
            make()
        except Standstill:
            made = ()
        seconds = round(time.monotonic() - begun, 1)
        note = {"key": key, "seconds": seconds, "files": {each: self._content(each) for each in made}}
        path.write_text(json.dumps(note))
        return note

    def _content(self, name: str) -> str:
        """Digest of a file that a tool has written."""
        with self._written(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _written(self, name: str) -> Path:
        """A file that a tool has written."""
        if not (self.folder / name).exists():
            raise SynthesisError(f"{name} was not written: read the logs in {self.folder}")
        return self.folder / name

    def _read(self, name: str) -> Any:
        """The JSON that a tool has just written."""
        try:
            return json.loads(self._written(name).read_text())
        except ValueError:  # tools do not notice that they could not write all
            told = f"{name} is cut short: make room on the disk of {self.folder}, or read the logs there"
            raise SynthesisError(told) from None


@contextlib.contextmanager
def _room_in_words(log: Path, device: Device) -> Iterator[None]:
    """Tell by nextpnr's own counts, from its log, of what kind of cells there was no more on a device."""
    try:
        yield
    except SynthesisError:
        text = log.read_text(errors="replace") if log.exists() else ""
        # After the counts of all kinds, much later: no BELs remaining to implement cell type 'ICESTORM_LC'
        found = re.search(r"\b(\w+):\s*(\d+)/\s*(\d+) .*no BELs remaining to implement cell type '\1'", text, re.DOTALL)
        if not found:
            raise
        kind, used, available = found[1], int(found[2]), int(found[3])
        told = f"{used - available:,} too many" if used > available else "not all of them can be placed"
        reason = f"{told} ({used:,} of {available:,} {kind} by nextpnr's count); choose a smaller configuration"
        raise SynthesisError(f"the design does not fit {device.name}: {reason}") from None


def _drop_ports(module: Any) -> None:
    """Leave no port but the clock.

    nextpnr for iCE40 would give each a pin, and there are not as many. Wires without a driver are not routed; logic
    behind them stays.
    """
    module["ports"] = {name: port for name, port in module["ports"].items() if name == "clk"}


def _plain_names(verilog: str) -> str:
    """Verilog without brackets in names.

    Names of fields, such as ``\\row[0]`` beside a signal ``row``, look like bits of it to Yosys' ABC9, which then dies.
    """
    return re.sub(r"\\\S+", lambda name: name[0].replace("[", "(").replace("]", ")"), verilog)


def _digest(*parts: str) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.encode()).digest())
    return whole.hexdigest()
