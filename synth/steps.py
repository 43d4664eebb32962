"""The runs of Yosys, nextpnr and a packer, each kept with what it was made of and not made again."""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .devices import Device, Family
from .multiplier_places import DIES, place_multipliers
from .multiplier_registers import take_registers_in
from .tools import SynthesisError, Tool, run

__all__ = ["FREQUENCY_MHZ", "PACKERS", "PLACERS", "Pins", "Plan", "Steps", "Told"]

FREQUENCY_MHZ = 100
"""What nextpnr is asked for out of context; it reports what it reached."""

SYNTHESIS = {
    Family.ECP5: "synth_ecp5",
    Family.ICE40: "synth_ice40",
    Family.XILINX7: "synth_xilinx -family xc7 -noiopad -noclkbuf -flatten",
    Family.ULTRASCALE_PLUS: "synth_xilinx -family xcup -noiopad -noclkbuf -flatten",
    Family.GENERIC: "synth -flatten",
}
PLACERS = {Family.ECP5: "nextpnr-ecp5", Family.ICE40: "nextpnr-ice40"}
PACKERS = {Family.ECP5: "ecppack", Family.ICE40: "icepack"}
CONSTRAINTS = {Family.ECP5: "lpf", Family.ICE40: "pcf"}
LAYOUTS = {Family.ECP5: ("textcfg", "config"), Family.ICE40: ("asc", "asc")}
"""Option of nextpnr that names the file of what it placed, and how such files end."""

NETLISTS = "3"
"""Counts up when netlists of the same Verilog change, so that those from before are made again."""

DETAILS = "yosys.details.log"

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
    """

    top: str
    verilog: str
    device: Device
    speed: int | None
    pins: Pins | None = None


class Steps:
    """The steps of one plan in one folder.

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
        device, top = self.plan.device, self.plan.top
        command = SYNTHESIS[device.family]
        if device.family is Family.ECP5 and self.plan.pins is None:
            command += " -noiopad"
        if device.family is Family.ICE40 and device.capacity and device.capacity.dsp:
            command += " -dsp"
        netlist, source = f"{top}.netlist.json", f"{top}.v"
        self._netlist_key = _digest(NETLISTS, self.plan.verilog, device.name, command, yosys.version, yosys.source)
        kept = self._kept(netlist, self._netlist_key)
        if kept is None:
            (self.folder / source).write_text(_plain_names(self.plan.verilog))
            self.announce(f"Yosys {yosys.version} ({yosys.source}): {top} for {device.family}")
            seconds = self._yosys(yosys, source, f"{command} -top {top}", netlist)
            if device.family is Family.ICE40 and self.plan.pins is None:
                _change(self.folder / netlist, _drop_ports)
            if device.family is Family.ECP5:
                self.tell("taking registers into multipliers")
                _change(self.folder / netlist, take_registers_in)
                die = device.capacity and DIES.get(device.capacity.dsp)
                if die:
                    _change(self.folder / netlist, lambda module: place_multipliers(module, die))
            kept = self._keep(netlist, self._netlist_key, seconds=seconds)
        self.seconds["yosys"] = kept["seconds"]
        return netlist

    def _yosys(self, yosys: Tool, source: str, command: str, netlist: str) -> float:
        script = f"read_verilog {source}; scratchpad -set abc9.verify 0; {command}; write_json {netlist}"

        def progress(line: str) -> None:
            found = re.match(r"[\d.]+ Executing (.*)", line)
            if found:
                self.tell(f"Yosys: {found[1].rstrip('.').removesuffix(' pass')[:60]}")

        # -v 3: headings of passes, warnings and errors. What it says beside that is tens of megabytes.
        arguments = ["-v", "3", "-l", DETAILS, "-p", script]
        return run(yosys, arguments, folder=self.folder, log="yosys.log", details=DETAILS, on_line=progress)

    def route(self, placer: Tool, netlist: str, *, seed: int) -> Path:
        """The report of nextpnr with a seed."""
        plan = self.plan
        frequency = FREQUENCY_MHZ if plan.pins is None else plan.pins.clock_mhz
        grade = [] if plan.speed is None else ["--speed", str(plan.speed)]
        options = [*self._device_options(), *grade, "--timing-allow-fail", "--freq", f"{frequency:g}"]
        options += ["--seed", str(seed), *self._pin_options(seed)]
        report = f"seed-{seed}.json"
        constraints = "" if plan.pins is None else plan.pins.constraints
        key = _digest(self._netlist_key, constraints, placer.version, placer.source, *options)
        kept = self._kept(report, key, *([] if plan.pins is None else [self._layout(seed)]))
        if kept is None:
            self.announce(f"{placer.name} {placer.version} ({placer.source}): {plan.device.name}, seed {seed}")
            arguments = [*options, "--json", netlist, "--report", report]
            log = f"seed-{seed}.log"
            seconds = run(placer, arguments, folder=self.folder, log=log, on_line=lambda line: self._phase(seed, line))
            kept = self._keep(report, key, seconds=seconds)
        self.seconds[f"seed {seed}"] = kept["seconds"]
        return self.folder / report

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
        bitstream = self.folder / name
        bitstream.unlink(missing_ok=True)
        self.seconds[packer.name] = round(
            run(packer, [*options, layout, name], folder=self.folder, log=f"{packer.name}.log"), 1
        )
        if not bitstream.exists():
            raise SynthesisError(f"{name} was not written: read {packer.name}.log in {self.folder}")
        return bitstream

    def _phase(self, seed: int, line: str) -> None:
        text = line.removeprefix("Info:").strip()
        if re.match(r"(Packing|Placing|Running|Routing|Creating|at iteration|Setting up)", text) or " | " in line:
            self.tell(f"nextpnr, seed {seed}: {text[:60]}")

    def _kept(self, name: str, key: str, *others: str) -> dict[str, Any] | None:
        """What was noted about a result, if it is there, and all that belongs to it, and of this key."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads((self.folder / f"{name}.key").read_text())
            if note["key"] == key and all((self.folder / each).exists() for each in (name, *others)):
                self.tell(f"{name} is there already")
                return note
        return None

    def _keep(self, name: str, key: str, *, seconds: float) -> dict[str, Any]:
        if not (self.folder / name).exists():
            raise SynthesisError(f"{name} was not written: read the logs in {self.folder}")
        note = {"key": key, "seconds": round(seconds, 1)}
        (self.folder / f"{name}.key").write_text(json.dumps(note))
        return note


def _change(netlist: Path, change: Callable[[Any], object]) -> None:
    """Apply a change to the top module of a netlist."""
    design = json.loads(netlist.read_text())
    for module in design["modules"].values():
        if int(str(module["attributes"].get("top", "0")), 2):
            change(module)
    netlist.write_text(json.dumps(design))


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
