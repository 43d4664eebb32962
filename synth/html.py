"""A measurement as one HTML page without references to other files."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from ..spec.files import write_whole
from .devices import Family, device
from .measurement import Measurement

__all__ = ["page", "write"]

TEMPLATE = Path(__file__).with_name("report.html.j2")
COUNTS = {"cells": "logic cells", "ff": "flip-flops", "bram": "block memories", "dsp": "multipliers"}
CELLS = ("lut", "logic_lut", "carry", "lut_ram", "mux", "ff", "cells", "bram", "dsp", "gates")
"""Columns of the table of cells."""

Estimates = Mapping[str, Mapping[str, float | None]]
"""By count: ``estimate``, ``measured``, ``error``, and ``band``, the stated error; 0 if it is exact."""


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart: label, lengths by colour, and the text behind the bar."""

    label: str
    lengths: Mapping[str, float]
    text: str


def write(measured: Measurement, path: Path, estimates: Estimates | None = None) -> Path:
    """Write the page of a measurement, with the estimates of the unit if they are given.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_whole({path: page(measured, estimates).encode(errors="xmlcharrefreplace")})
    return path


def page(measured: Measurement, estimates: Estimates | None = None) -> str:
    """The page as text."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.globals |= {"longest": _longest, "used_colours": _used_colours}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    place = measured.device if measured.board is None else f"{measured.board.title}, {measured.board.clock_mhz:g} MHz"
    names = device(measured.device).names
    estimated = "estimate" if measured.board is None else "estimate without the link"
    rows = [*((block.name, block.resources) for block in measured.blocks), ("total", measured.resources)]
    return template.render(
        title=f"{measured.unit} of {measured.preset} on {place}",
        measured=measured,
        shares=_shares(measured),
        lacking=", ".join(f"{fit.missing:,} {names[name]}" for name, fit in measured.too_large.items()),
        estimates=estimates,
        estimated=estimated + (" with shared logic" if measured.keep_hierarchy else ""),
        blocks=_blocks(measured),
        seeds=_seeds(measured),
        path=_path(measured),
        cells=[name for name in CELLS if getattr(measured.resources, name)],
        rows=[(label, dataclasses.asdict(counts)) for label, counts in rows],
    )


def _longest(bars: Sequence[Bar]) -> float:
    return max((sum(bar.lengths.values()) for bar in bars), default=0.0)


def _used_colours(bars: Sequence[Bar]) -> list[str]:
    """Colours for the legend."""
    colours = dict.fromkeys(colour for bar in bars for colour in bar.lengths)
    return [colour for colour in colours if any(bar.lengths.get(colour) for bar in bars)]


def _shares(measured: Measurement) -> list[Bar]:
    """The shares of the device that are used."""
    names = device(measured.device).names
    bars = []
    for name, fit in measured.fits.items():
        text = f"{fit.used:,} of {fit.available:,}" + (f" ({fit.share:.1%})" if fit.available else "")
        bars.append(Bar(names[name], {"short" if fit.missing else "logic": min(fit.share, 1.0)}, text))
    return bars


def _blocks(measured: Measurement) -> dict[str, list[Bar]]:
    """Charts of cells by block: look-up tables or gates, and what else there is."""
    tables = []
    for block in measured.blocks:
        counts = block.resources
        lengths = {"logic": float(counts.logic_lut + counts.gates)}
        if counts.lut:
            # All but logic and carry is memory. A carry cell takes two tables on ECP5 and none elsewhere.
            carry = 2.0 * counts.carry if device(measured.device).family is Family.ECP5 else 0.0
            lengths |= {"carry": carry, "memory": float(counts.lut - counts.logic_lut - carry)}
        if counts.lut or counts.gates:
            tables.append(Bar(block.name, lengths, f"{counts.lut or counts.gates:,}"))
    charts = {"gates" if measured.resources.gates else "look-up tables": tables}
    for name, what in COUNTS.items():
        counts = {block.name: getattr(block.resources, name) for block in measured.blocks}
        ordered = sorted(counts.items(), key=lambda item: -item[1])
        charts[what] = [Bar(label, {"logic": float(count)}, f"{count:,}") for label, count in ordered if count]
    return {what: bars for what, bars in charts.items() if bars}


def _seeds(measured: Measurement) -> list[Bar]:
    """Fmax of each seed. A seed that misses the clock of a board has another colour."""
    wanted = 0.0 if measured.board is None else measured.board.clock_mhz
    return [
        Bar(
            f"seed {seed}",
            {"short" if route.fmax_mhz < wanted else "logic": route.fmax_mhz},
            f"{route.fmax_mhz:.1f} MHz",
        )
        for seed, route in measured.routes.items()
    ]


def _path(measured: Measurement) -> list[Bar]:
    """Delay of each block in the critical path of the median seed."""
    return [
        Bar(
            segment.block,
            {"logic": segment.logic_ns, "wires": segment.routing_ns},
            f"{segment.logic_ns + segment.routing_ns:.2f} ns, {segment.cells} cells",
        )
        for segment in measured.critical_path
    ]
