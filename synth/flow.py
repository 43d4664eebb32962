"""From a configuration to a measurement: Verilog, Yosys, nextpnr."""

import contextlib
import dataclasses
import hashlib
import json
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..hdl.verilog import emit
from ..spec.config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.spmm_config import SpmmConfig
from .devices import Device, Family
from .netlist import Block, Resources, blocks, read_cells, scopes_of, total
from .timing import Route, Segment, by_block, read_report
from .tools import Source, SynthesisError, Tool, find, run
from .units import make
from .verilog import check_writable

__all__ = ["Fit", "Measurement", "measure"]

FREQUENCY_MHZ = 100
"""What nextpnr is asked for; it reports what it reached."""

SYNTHESIS = {
    Family.ECP5: "synth_ecp5 -noiopad",
    Family.ICE40: "synth_ice40",
    Family.XILINX7: "synth_xilinx -family xc7 -noiopad -noclkbuf -flatten",
    Family.ULTRASCALE_PLUS: "synth_xilinx -family xcup -noiopad -noclkbuf -flatten",
    Family.GENERIC: "synth -flatten",
}
PLACERS = {Family.ECP5: "nextpnr-ecp5", Family.ICE40: "nextpnr-ice40"}

DETAILS = "yosys.details.log"

Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How much of a device a design takes.

    Attributes
    ----------
    used, available : int
    share : float
        One is all of it.
    missing : int
        What the device lacks; 0 if it fits.
    """

    used: int
    available: int
    share: float
    missing: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What synthesis of a unit came to.

    Attributes
    ----------
    preset, unit, device : str
    speed : int or None
        Speed grade; ``None`` if the device has only one, or was not placed.
    resources : Resources
        By Yosys.
    blocks : tuple of Block
        The same, by the parts of the unit.
    fits : dict of str to Fit
        By resource (``lut``, ``ff``, ``bram``, ``dsp``); empty for a device without a size.
    routes : dict of int to Route
        By seed of nextpnr; empty without place and route.
    multipliers : int
        INT8 multipliers of the unit's configuration.
    speedup_75 : float or None
        Cycles of dense work over those with 75 % of it pruned; ``None`` where that is not known or has no meaning.
    speedup_source : str or None
        Where that comes from.
    tools : dict of str to str
        Versions, with where they came from.
    seconds : dict of str to float
        By step; of a step whose result was there already, what it took then.
    notes : tuple of str
        What was out of the ordinary.
    folder : Path
        Verilog, netlist, logs and reports.
    """

    preset: str
    unit: str
    device: str
    speed: int | None
    resources: Resources
    blocks: tuple[Block, ...]
    fits: dict[str, Fit]
    routes: dict[int, Route]
    multipliers: int
    speedup_75: float | None
    speedup_source: str | None
    tools: dict[str, str]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    folder: Path

    @property
    def fmax_mhz(self) -> float | None:
        """Median over the seeds; ``None`` without place and route."""
        reached = [route.fmax_mhz for route in self.routes.values()]
        return statistics.median(reached) if reached else None

    @property
    def median_route(self) -> Route | None:
        """The run whose Fmax is the median, or the one just below it."""
        ordered = sorted(self.routes.values(), key=lambda route: route.fmax_mhz)
        return ordered[(len(ordered) - 1) // 2] if ordered else None

    @property
    def critical_path(self) -> tuple[Segment, ...]:
        """Of :attr:`median_route`, summed by block, the longest first."""
        return tuple(by_block(self.median_route.critical_path)) if self.median_route else ()

    @property
    def gops_dense(self) -> float | None:
        """10⁹ operations per second at :attr:`fmax_mhz`, two per multiplier; ``None`` for parts of units."""
        if self.fmax_mhz is None or self.unit not in ("attention", "spmm"):
            return None
        return 2 * self.multipliers * self.fmax_mhz / 1000

    @property
    def gops_effective_75(self) -> float | None:
        """Those that dense work would need for the same time, 75 % of it pruned."""
        dense = self.gops_dense
        return None if dense is None or self.speedup_75 is None else dense * self.speedup_75

    @property
    def too_large(self) -> dict[str, Fit]:
        """The resources that the device does not have enough of."""
        return {name: fit for name, fit in self.fits.items() if fit.missing}

    def to_dict(self) -> dict[str, Any]:
        """As JSON. ``lut4`` counts all look-up tables (of six inputs on Xilinx), ``logic_lut4`` those for logic."""
        counts = self.resources
        reached = [route.fmax_mhz for route in self.routes.values()]
        return {
            "preset": self.preset,
            "unit": self.unit,
            "device": self.device,
            "speed": self.speed,
            "lut4": counts.lut,
            "logic_lut4": counts.logic_lut,
            "carry": counts.carry,
            "lut_ram": counts.lut_ram,
            "mux": counts.mux,
            "ff": counts.ff,
            "bram": counts.bram,
            "dsp": counts.dsp,
            "gates": counts.gates,
            "fits": {name: dataclasses.asdict(fit) for name, fit in self.fits.items()},
            "fmax_mhz": {"median": self.fmax_mhz, "min": min(reached), "max": max(reached)} if reached else None,
            "seeds": {seed: route.fmax_mhz for seed, route in self.routes.items()},
            "critical_path": [dataclasses.asdict(segment) for segment in self.critical_path],
            "placed": {} if self.median_route is None else self.median_route.placed,
            "lanes": self.multipliers,
            "lut4_per_lane": counts.lut / self.multipliers,
            "gops_dense": self.gops_dense,
            "gops_effective_75": self.gops_effective_75,
            "speedup_75": self.speedup_75,
            "speedup_source": self.speedup_source,
            "blocks": [{"name": block.name, **dataclasses.asdict(block.resources)} for block in self.blocks],
            "tools": self.tools,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "folder": str(self.folder),
        }


def measure(
    config: AttentionConfig | SpmmConfig,
    *,
    preset: str,
    unit: str,
    device: Device,
    folder: Path,
    speed: int | None = None,
    seeds: Sequence[int] = (1,),
    place: bool = True,
    source: Source = Source.AUTO,
    depth: int = 1,
    speedup_75: float | None = None,
    speedup_source: str | None = None,
    tell: Told = lambda text: None,
    announce: Told = lambda text: None,
) -> Measurement:
    """Take a unit through synthesis and, unless ``place`` is false or the device has no nextpnr, place and route.

    What the folder holds from an earlier run of the same Verilog with the same tools is not made again: the netlist,
    and the reports of seeds.

    Parameters
    ----------
    preset : str
        Only told on.
    seeds : sequence of int
        Of nextpnr, a run each.
    depth : int
        Levels of the hierarchy that the counts tell apart; the critical path has one more.
    tell, announce : function of a line of text, optional
        Progress; ``announce`` gets what takes long.

    Raises
    ------
    ConfigError
        Unknown unit or speed grade.
    OutputError
        The folder cannot be written.
    SynthesisError
        A tool is missing or failed, or the design has no path to time.
    """
    place = place and device.routable
    if not place and speed is not None:
        raise ConfigError("speed", speed, f"only timed designs have one: {_why_not_placed(device)}")
    speed = device.speed(speed) if place else None
    yosys = find("yosys", source)
    placer = find(PLACERS[device.family], source) if place else None
    check_writable(folder)
    tell(f"generating {unit}")
    top, component = make(unit, config)
    verilog = emit(component, name=top)
    flow = _Flow(folder=folder.resolve(), top=top, device=device, tell=tell, announce=announce)
    netlist = flow.synthesise(yosys, verilog)
    cells = read_cells(flow.folder / netlist)
    listed = blocks(cells, device.family, depth=depth)
    fits = _fits(total(listed), device)
    routes: dict[int, Route] = {}
    notes: tuple[str, ...] = ()
    short = {name: fit for name, fit in fits.items() if fit.missing}
    if placer is not None and short:
        notes = (f"not placed: {device.name} is too small",)
    elif placer is not None:
        for seed in seeds:
            report = flow.route(placer, netlist, seed=seed, speed=speed)
            routes[seed] = read_report(report, scopes_of(cells), depth=depth + 1)
    return Measurement(
        preset=preset,
        unit=unit,
        device=device.name,
        speed=speed,
        resources=total(listed),
        blocks=tuple(listed),
        fits=fits,
        routes=routes,
        multipliers=config.multipliers,
        speedup_75=speedup_75,
        speedup_source=speedup_source,
        tools={tool.name: f"{tool.version} ({tool.source})" for tool in (yosys, placer) if tool is not None},
        seconds=flow.seconds,
        notes=notes,
        folder=folder,
    )


def _why_not_placed(device: Device) -> str:
    return "leave --no-pnr out" if device.routable else f"{device.name} is only counted, leave --speed out"


def _fits(counts: Resources, device: Device) -> dict[str, Fit]:
    if device.capacity is None:
        return {}
    found = {}
    for name, available in dataclasses.asdict(device.capacity).items():
        used = getattr(counts, name)
        share = used / available if available else float(used > 0)
        found[name] = Fit(used=used, available=available, share=share, missing=max(0, used - available))
    return found


class _Flow:
    """One unit's steps in one folder."""

    def __init__(self, *, folder: Path, top: str, device: Device, tell: Told, announce: Told):
        self.folder, self.top, self.device = folder, top, device
        self.tell, self.announce = tell, announce
        self.seconds: dict[str, float] = {}
        self._netlist_key = ""

    def synthesise(self, yosys: Tool, verilog: str) -> str:
        """Name of the netlist."""
        command = SYNTHESIS[self.device.family]
        if self.device.family is Family.ICE40 and self.device.capacity and self.device.capacity.dsp:
            command += " -dsp"
        netlist, source = f"{self.top}.netlist.json", f"{self.top}.v"
        self._netlist_key = _digest(verilog, command, yosys.version, yosys.source)
        kept = self._kept(netlist, self._netlist_key)
        if kept is None:
            (self.folder / source).write_text(_plain_names(verilog))
            self.announce(f"Yosys {yosys.version} ({yosys.source}): {self.top} for {self.device.family}")
            seconds = self._yosys(yosys, source, f"{command} -top {self.top}", netlist)
            if self.device.family is Family.ICE40:
                _drop_ports(self.folder / netlist)
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

    def route(self, placer: Tool, netlist: str, *, seed: int, speed: int | None) -> Path:
        """The report of nextpnr with a seed."""
        grade = [] if speed is None else ["--speed", str(speed)]
        options = [*self.device.place, *grade, "--timing-allow-fail", "--freq", str(FREQUENCY_MHZ), "--seed", str(seed)]
        if self.device.family is Family.ECP5:
            options.append("--out-of-context")
        report = f"seed-{seed}.json"
        key = _digest(self._netlist_key, placer.version, placer.source, *options)
        kept = self._kept(report, key)
        if kept is None:
            self.announce(f"{placer.name} {placer.version} ({placer.source}): {self.device.name}, seed {seed}")
            arguments = [*options, "--json", netlist, "--report", report]
            log = f"seed-{seed}.log"
            seconds = run(placer, arguments, folder=self.folder, log=log, on_line=lambda line: self._phase(seed, line))
            kept = self._keep(report, key, seconds=seconds)
        self.seconds[f"seed {seed}"] = kept["seconds"]
        return self.folder / report

    def _phase(self, seed: int, line: str) -> None:
        text = line.removeprefix("Info:").strip()
        if re.match(r"(Packing|Placing|Running|Routing|Creating|at iteration|Setting up)", text) or " | " in line:
            self.tell(f"nextpnr, seed {seed}: {text[:60]}")

    def _kept(self, name: str, key: str) -> dict[str, Any] | None:
        """What was noted about a result, if it is there and of this key."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads((self.folder / f"{name}.key").read_text())
            if note["key"] == key and (self.folder / name).exists():
                self.tell(f"{name} is there already")
                return note
        return None

    def _keep(self, name: str, key: str, *, seconds: float) -> dict[str, Any]:
        if not (self.folder / name).exists():
            raise SynthesisError(f"{name} was not written: read the logs in {self.folder}")
        note = {"key": key, "seconds": round(seconds, 1)}
        (self.folder / f"{name}.key").write_text(json.dumps(note))
        return note


def _drop_ports(netlist: Path) -> None:
    """Leave no port but the clock.

    nextpnr for iCE40 would give each a pin, and there are not as many. Wires without a driver are not routed; logic
    behind them stays.
    """
    design = json.loads(netlist.read_text())
    for module in design["modules"].values():
        if int(str(module["attributes"].get("top", "0")), 2):
            module["ports"] = {name: port for name, port in module["ports"].items() if name == "clk"}
    netlist.write_text(json.dumps(design))


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
