"""What the command ``synth`` prints."""

from typing import TYPE_CHECKING, Any

from rich.text import Text

from ..synth.devices import Family, device
from .report import make_console, make_table

if TYPE_CHECKING:
    from pathlib import Path

    from ..synth.measurement import Measurement

    Errors = dict[str, dict[str, float | None]]

__all__ = ["estimate", "lacking", "show", "slowness"]


def lacking(measured: "Measurement") -> str:
    """By how much of what a design is too large for its device."""
    names = device(measured.device).names
    parts = [
        f"{fit.missing:,} {names[name]} too many ({fit.used:,} of {fit.available:,})"
        for name, fit in measured.too_large.items()
    ]
    return f"on {measured.device} " + ", ".join(parts)


def slowness(measured: "Measurement") -> str:
    """What is too slow, by how much, and what to do."""
    assert measured.board is not None
    reached = max(route.fmax_mhz for route in measured.routes.values())
    wanted = f"{measured.board.clock_mhz:g} MHz are not reached, but {reached:.1f}"
    return f"{wanted}: choose a slower --clock, more --seeds, or --allow-slow; the bitstream may give wrong results"


def show(measured: "Measurement", page: "Path", expected: "Errors") -> None:
    """Resources by block, shares of the device, Fmax, critical path."""
    console = make_console()
    grade = "" if measured.speed is None else f", speed grade {measured.speed}"
    tools = ", ".join(f"{name} {version}" for name, version in measured.tools.items())
    console.print(Text(f"{measured.unit} of {measured.preset} on {measured.device}{grade}; {tools}\n"), soft_wrap=True)
    if measured.board is not None:
        rate = f"{measured.board.baud:,} baud ({abs(measured.board.achieved_baud / measured.board.baud - 1):.1%} off)"
        console.print(Text(f"{measured.board.title}: {measured.board.clock_mhz:g} MHz, {rate}\n"), soft_wrap=True)
    _blocks(measured)
    if measured.fits:
        names = device(measured.device).names
        shares = ", ".join(
            f"{fit.used:,} of {fit.available:,} {names[name]} ({fit.share:.1%})"
            if fit.available
            else f"no {names[name]}"
            for name, fit in measured.fits.items()
        )
        console.print(Text(f"\n{shares}"), soft_wrap=True)
        if measured.too_large:
            console.print(Text(f"does not fit: {lacking(measured)}"), soft_wrap=True)
    if expected:
        figures = ", ".join(f"{name} {_beside(entry)}" for name, entry in expected.items())
        what = "estimated" if measured.board is None else "estimated without the link"
        if measured.keep_hierarchy:
            what += " as a whole, which shares logic"
        console.print(Text(f"{what}: {figures}; {_bands(expected)}"), soft_wrap=True)
    _timing(measured)
    for note in measured.notes:
        console.print(Text(note), soft_wrap=True)
    seconds = ", ".join(f"{step} {value:.1f} s" for step, value in measured.seconds.items())
    console.print(Text(f"\n{seconds}\nreport: {page}"), soft_wrap=True)
    if measured.board is not None and measured.board.bitstream is not None:
        load = "too slow for its clock" if measured.board.load is None else f"load it with `{measured.board.load}`"
        console.print(Text(f"bitstream: {measured.board.bitstream} ({load})"), soft_wrap=True)


def _blocks(measured: "Measurement") -> None:
    generic = measured.resources.gates > 0
    names = ("gates", "ff") if generic else ("lut", "logic_lut", "carry", "lut_ram", "ff", "bram", "dsp")
    names += ("cells",) if measured.resources.cells else ()
    titles = {"lut": "LUT", "logic_lut": "for logic", "carry": "carry", "lut_ram": "LUT RAM", "ff": "FF"}
    titles |= {"bram": "BRAM", "dsp": "DSP"}
    table = make_table("block", *(titles.get(name, name) for name in names), right=1)
    rows = [(block.name, block.resources) for block in measured.blocks]
    for name, counts in [*rows, ("total", measured.resources)]:
        table.add_row(Text(name), *(f"{getattr(counts, each):,}" for each in names))
    make_console().print(table)


def _timing(measured: "Measurement") -> None:
    if measured.fmax_mhz is None:
        return
    console = make_console()
    reached = ", ".join(f"{route.fmax_mhz:.1f}" for route in measured.routes.values())
    console.print(Text(f"\nFmax {measured.fmax_mhz:.1f} MHz, median of seeds: {reached}"), soft_wrap=True)
    if measured.gops_dense is not None:
        effective = measured.gops_effective_75
        pruned = (
            "" if effective is None else f", {effective:.1f} effective at 75 % sparsity ({measured.speedup_source})"
        )
        console.print(Text(f"{measured.gops_dense:.1f} GOPS dense{pruned}"), soft_wrap=True)
    table = make_table(f"critical path of seed {measured.median_seed} in", "logic ns", "wires ns", "cells", right=1)
    for segment in measured.critical_path:
        table.add_row(Text(segment.block), f"{segment.logic_ns:.2f}", f"{segment.routing_ns:.2f}", str(segment.cells))
    console.print()
    console.print(table)


def _beside(entry: "dict[str, float | None]") -> str:
    error = entry["error"]
    return f"{entry['estimate']:,}" + ("" if error is None else f" ({error:+.1%})")


def _share(entry: dict[str, Any]) -> str:
    """Of the device."""
    return f"{entry['estimate'] / entry['available']:.1%}" if entry["available"] else "none there"


def _bands(resources: dict[str, Any]) -> str:
    """Stated errors of sizes."""
    names = [name for name, entry in resources.items() if entry["band"]]
    return f"{' and '.join(map(str.upper, names))} within ±{resources[names[0]]['band']:.0%}"


def estimate(told: dict[str, Any]) -> None:
    """Sizes, and cycles by sparsity."""
    console = make_console()
    multipliers = f"{told['multipliers']} INT8 multipliers"
    console.print(Text(f"{told['unit']} of {told['preset']}, {multipliers}, estimated for {told['device']}\n"))
    if told["resources"]:
        _sizes(told["resources"])
    else:
        console.print(Text("sizes are not estimated for this device"))
    if device(told["device"]).family is Family.ICE40:
        lut, ff = (told["resources"][name] for name in ("lut4", "ff"))
        least, most = max(lut["estimate"], ff["estimate"]), lut["estimate"] + ff["estimate"]
        cells = f"{least:,} to {most:,} of {lut['available']:,} logic cells, each a look-up table, a flip-flop or both"
        console.print(Text(cells), soft_wrap=True)
    console.print()
    shown = make_table(told["work"], "cycles", "speedup over dense at full use", right=1)
    for row in told["cycles"]:
        speedup = row["dense_cycles_at_full_use"] / row["cycles"]
        shown.add_row(f"{row['sparsity']:.0%} pruned", f"{row['cycles']:,}", f"{speedup:.2f}")
    console.print(shown)
    console.print(Text(f"cycles within ±{told['cycles_band']:.1%} of RTL"), soft_wrap=True)


def _sizes(resources: dict[str, Any]) -> None:
    """Sizes, shares of the device, and what was measured."""
    console = make_console()
    table = make_table("", *(name.upper() for name in resources), right=1)
    table.add_row("estimate", *(f"{entry['estimate']:,}" for entry in resources.values()))
    table.add_row("share", *map(_share, resources.values()))
    if any(entry["measured"] is not None for entry in resources.values()):
        table.add_row("measured", *(f"{entry['measured']:,}" for entry in resources.values()))
        errors = [entry["error"] for entry in resources.values()]
        table.add_row("error", *("" if error is None else f"{error:+.1%}" for error in errors))
    console.print(table)
    console.print(Text(_bands(resources)), soft_wrap=True)
