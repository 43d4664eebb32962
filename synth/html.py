"""A measurement as a page: one file, which needs nothing else."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from ..spec.files import write_whole
from .devices import Family, device
from .measurement import Measurement

__all__ = ["page", "write"]

COLOURS = {"logic": "#4477aa", "carry": "#66ccee", "memory": "#ccbb44", "wires": "#ee6677", "short": "#bb0000"}

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
body { color: #222; background: #fff }
h2 { margin: 1.6em 0 .5em; border-bottom: 1px solid #ddd } h3 { margin: 1.4em 0 .4em; font-size: 1em }
table { border-collapse: collapse; margin: .8em 0; font-variant-numeric: tabular-nums }
td, th { padding: .15em .8em; text-align: right; vertical-align: top } tr + tr { border-top: 1px solid #ddd }
td:first-child, th:first-child, .facts td { text-align: left }
td:first-child, th:first-child { padding-left: 0 } .facts th { font-weight: normal; color: #666; white-space: nowrap }
.short { color: #b00; font-weight: bold } code { font-size: .9em; overflow-wrap: anywhere }
figure { margin: .5em 0; display: grid; grid-template-columns: fit-content(40%) minmax(8em, 1fr) max-content }
figure { gap: .3em .8em; align-items: center; font-size: 13px; font-variant-numeric: tabular-nums }
figure span { text-align: right; overflow-wrap: anywhere } figure div { display: flex; height: 1.3em }
figure .frame { outline: 1px solid #888; background: #f1f1f1 } figcaption { grid-column: 2 }
i { flex: none; height: 100% } figcaption i { display: inline-block; width: .9em; height: .9em; margin: 0 .4em 0 1em }
""" + "".join(f"i.{name} {{ background: {colour} }}\n" for name, colour in COLOURS.items())

Bar = tuple[str, Sequence[tuple[str, float]], str]
"""Label, lengths by colour, and what is written behind them. A label may be long, and the text too: both get room."""
Estimates = Mapping[str, Mapping[str, float | None]]
"""By count: ``estimate``, ``measured`` and ``error``."""


def write(measured: Measurement, path: Path, estimates: Estimates | None = None) -> Path:
    """Write the page of a measurement, and what was estimated beside it.

    Returns
    -------
    Path
        ``path``.
    """
    write_whole({path: page(measured, estimates).encode()})
    return path


def page(measured: Measurement, estimates: Estimates | None = None) -> str:
    """The page as text."""
    place = measured.device if measured.board is None else f"{measured.board.title}, {measured.board.clock_mhz:g} MHz"
    title = f"{measured.unit} of {measured.preset} on {place}"
    parts = [f"<h1>{escape(title)}</h1>", _facts(measured), "<h2>Resources</h2>", _device(measured)]
    parts += [_estimates(measured, estimates), _blocks(measured), *_other_counts(measured)]
    if measured.routes:
        of_seed = f"<h2>Critical path of seed {measured.median_seed}</h2>"
        parts += ["<h2>Fmax</h2>", _seeds(measured), of_seed, _path(measured)]
    parts += ["<h2>Cells</h2>", _table(measured)]
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _facts(measured: Measurement) -> str:
    """What there is to know, in words: a table of two columns."""
    rows = [*_speed(measured), *_on_board(measured)]
    if measured.speed is not None:
        rows.append(("speed grade", str(measured.speed)))
    rows.append(("tools", escape(", ".join(f"{name} {version}" for name, version in measured.tools.items()))))
    rows.append(("took", escape(", ".join(f"{step} {seconds:,.1f} s" for step, seconds in measured.seconds.items()))))
    rows += [("note", escape(note)) for note in measured.notes]
    lines = [f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows]
    return "<table class='facts'>" + "".join(lines) + "</table>"


def _speed(measured: Measurement) -> list[tuple[str, str]]:
    if measured.fmax_mhz is None:
        return []
    seeds = len(measured.routes)
    rows = [("Fmax", f"<b>{measured.fmax_mhz:.1f} MHz</b>" + (f", median of {seeds} seeds" if seeds > 1 else ""))]
    if measured.gops_dense is not None:
        rows.append(("GOPS dense", f"{measured.gops_dense:.1f}"))
    if measured.gops_effective_75 is not None:
        source = "" if measured.speedup_source is None else f" ({escape(measured.speedup_source)})"
        rows.append(("GOPS effective at 75 % sparsity", f"{measured.gops_effective_75:.1f}{source}"))
    return rows


def _on_board(measured: Measurement) -> list[tuple[str, str]]:
    board = measured.board
    if board is None:
        return []
    clock = f"{board.clock_mhz:g} MHz"
    if board.timing_met is not None:
        clock += ", reached" if board.timing_met else ", <span class='short'>not reached</span>"
    rows = [("clock", clock)]
    rows.append(("serial line", f"{board.baud:,} baud ({abs(board.achieved_baud / board.baud - 1):.1%} off)"))
    if board.bitstream is not None:
        rows.append(("bitstream", f"<code>{escape(str(board.bitstream))}</code>"))
    if board.load is not None:
        rows.append(("load it with", f"<code>{escape(board.load)}</code>"))
    return rows


def _bars(bars: Sequence[Bar], full: float, *, legend: Sequence[str] = (), framed: bool = False) -> str:
    """Horizontal bars, one per row; ``full`` is the length of the whole width, which a frame shows."""
    lines = []
    for label, lengths, text in bars:
        sizes = [(colour, 100 * length / full) for colour, length in lengths if length]
        inner = "".join(f"<i class='{colour}' style='width:{size:.2f}%'></i>" for colour, size in sizes)
        frame = " class='frame'" if framed else ""
        lines.append(f"<span>{escape(label)}</span><div{frame}>{inner}</div><span>{escape(text)}</span>")
    if len(legend) > 1:
        lines.append("<figcaption>" + "".join(f"<i class='{name}'></i>{name}" for name in legend) + "</figcaption>")
    return "<figure>" + "".join(lines) + "</figure>"


def _device(measured: Measurement) -> str:
    """Shares of the device."""
    if not measured.fits:
        return ""
    names = device(measured.device).names
    bars: list[Bar] = []
    for name, fit in measured.fits.items():
        text = f"{fit.used:,} of {fit.available:,}" + (f" ({fit.share:.1%})" if fit.available else "")
        bars.append((names[name], [("short" if fit.missing else "logic", min(fit.share, 1.0))], text))
    short = ", ".join(f"{fit.missing:,} {names[name]}" for name, fit in measured.too_large.items())
    lacks = f"<p class='short'>does not fit: {escape(measured.device)} lacks {short}</p>" if short else ""
    return _bars(bars, 1.0, framed=True) + lacks


def _estimates(measured: Measurement, estimates: Estimates | None) -> str:
    if not estimates:
        return ""
    what = "estimated" if measured.board is None else "the unit without its link, estimated"
    if measured.keep_hierarchy:
        what += " as a whole, which shares logic"
    lines = [f"<tr><th>{what}</th><th>estimate</th><th>measured</th><th>error</th></tr>"]
    for name, entry in estimates.items():
        error = "" if entry["error"] is None else f"{entry['error']:+.1%}"
        label = name.upper()
        lines.append(
            f"<tr><td>{label}</td><td>{entry['estimate']:,}</td><td>{entry['measured']:,}</td><td>{error}</td></tr>"
        )
    return "<table>" + "".join(lines) + "</table>"


def _other_counts(measured: Measurement) -> list[str]:
    """Logic cells, flip-flops, block memories and multipliers of the blocks that have any."""
    found = []
    titles = {"cells": "logic cells", "ff": "flip-flops", "bram": "block memories", "dsp": "multipliers"}
    for name, what in titles.items():
        counts = [(block.name, getattr(block.resources, name)) for block in measured.blocks]
        bars: list[Bar] = [
            (label, [("logic", float(count))], f"{count:,}")
            for label, count in sorted(counts, key=lambda each: -each[1])
            if count
        ]
        if bars:
            found.append(f"<h3>{what} by block</h3>" + _bars(bars, max(count for _, count in counts)))
    return found


def _blocks(measured: Measurement) -> str:
    """Look-up tables, or gates, of each block."""
    bars: list[Bar] = []
    for block in measured.blocks:
        counts = block.resources
        lengths = [("logic", float(counts.logic_lut + counts.gates))]
        if counts.lut:
            # What is neither logic nor carry is memory: a carry cell takes two tables on ECP5, none elsewhere.
            carry = 2.0 * counts.carry if device(measured.device).family is Family.ECP5 else 0.0
            lengths += [("carry", carry), ("memory", float(counts.lut - counts.logic_lut - carry))]
        if counts.lut or counts.gates:
            bars.append((block.name, lengths, f"{counts.lut or counts.gates:,}"))
    if not bars:
        return ""
    full = max(sum(length for _, length in lengths) for _, lengths, _ in bars)
    legend = ("logic", *(name for name in ("carry", "memory") if any(dict(each).get(name) for _, each, _ in bars)))
    what = "gates" if measured.resources.gates else "look-up tables"
    return f"<h3>{what} by block</h3>" + _bars(bars, full, legend=legend)


def _seeds(measured: Measurement) -> str:
    """Fmax of each; what misses the clock of a board in the colour of what is short."""
    wanted = 0.0 if measured.board is None else measured.board.clock_mhz
    bars: list[Bar] = []
    for seed, route in measured.routes.items():
        colour = "short" if route.fmax_mhz < wanted else "logic"
        bars.append((f"seed {seed}", [(colour, route.fmax_mhz)], f"{route.fmax_mhz:.1f} MHz"))
    return _bars(bars, max(route.fmax_mhz for route in measured.routes.values()))


def _path(measured: Measurement) -> str:
    """Time of each block in the critical path of the median seed."""
    bars: list[Bar] = [
        (
            segment.block,
            [("logic", segment.logic_ns), ("wires", segment.routing_ns)],
            f"{segment.logic_ns + segment.routing_ns:.2f} ns, {segment.cells} cells",
        )
        for segment in measured.critical_path
    ]
    full = max((segment.logic_ns + segment.routing_ns for segment in measured.critical_path), default=0.0)
    return _bars(bars, full, legend=("logic", "wires"))


def _table(measured: Measurement) -> str:
    names = ("lut", "logic_lut", "carry", "lut_ram", "mux", "ff", "cells", "bram", "dsp", "gates")
    shown = [name for name in names if getattr(measured.resources, name)]
    rows = [*((block.name, block.resources) for block in measured.blocks), ("total", measured.resources)]
    lines = ["<tr><th>block</th>" + "".join(f"<th>{name.replace('_', ' ')}</th>" for name in shown) + "</tr>"]
    for label, counts in rows:
        cells = "".join(f"<td>{getattr(counts, name):,}</td>" for name in shown)
        lines.append(f"<tr><td>{escape(label)}</td>{cells}</tr>")
    return "<table>" + "".join(lines) + "</table>"
