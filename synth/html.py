"""A measurement as a page: one file, which needs nothing else."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from .flow import Measurement

__all__ = ["page", "write"]

COLOURS = {"logic": "#4477aa", "carry": "#66ccee", "memory": "#ccbb44", "wires": "#ee6677"}
WIDTH, LABEL, ROW = 900, 220, 24

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .15em .8em; text-align: right }
td:first-child, th:first-child { text-align: left } tr + tr { border-top: 1px solid #ddd }
svg { width: 100%; height: auto } .short { color: #b00; font-weight: bold }
"""

Bar = tuple[str, Sequence[tuple[str, float]], str]
"""Label, lengths by colour, and what is written behind them."""


def write(measured: Measurement, path: Path) -> Path:
    """Write the page of a measurement.

    Returns
    -------
    Path
        ``path``.
    """
    path.write_text(page(measured), encoding="utf-8")
    return path


def page(measured: Measurement) -> str:
    """The page as text."""
    place = measured.device if measured.board is None else f"{measured.board.title}, {measured.board.clock_mhz:g} MHz"
    title = f"{measured.unit} of {measured.preset} on {place}"
    parts = [f"<h1>{escape(title)}</h1>", _facts(measured), "<h2>Resources</h2>", _device(measured), _blocks(measured)]
    if measured.routes:
        parts += ["<h2>Fmax</h2>", _seeds(measured), "<h2>Critical path</h2>", _path(measured)]
    parts += ["<h2>Cells</h2>", _table(measured)]
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _facts(measured: Measurement) -> str:
    told = [*(f"{name} {version}" for name, version in measured.tools.items()), *measured.notes]
    if measured.speed is not None:
        told.insert(0, f"speed grade {measured.speed}")
    if measured.fmax_mhz is not None:
        told.insert(0, f"<b>{measured.fmax_mhz:.1f} MHz</b>")
    if measured.gops_dense is not None:
        told.append(f"{measured.gops_dense:.1f} GOPS dense")
    if measured.gops_effective_75 is not None:
        told.append(f"{measured.gops_effective_75:.1f} GOPS effective at 75 % sparsity")
    return "<p>" + " · ".join(each if each.startswith("<b>") else escape(each) for each in told) + "</p>"


def _bars(bars: Sequence[Bar], full: float, *, legend: Sequence[str] = ()) -> str:
    """Horizontal bars, one per row; ``full`` is the length of the whole width."""
    space = WIDTH - LABEL - 130
    lines = []
    for i, (label, lengths, text) in enumerate(bars):
        y = i * ROW
        lines.append(f"<text x='{LABEL - 8}' y='{y + 16}' text-anchor='end'>{escape(label)}</text>")
        x = float(LABEL)
        for colour, length in lengths:
            size = space * length / full if full else 0.0
            fill = COLOURS[colour]
            lines.append(f"<rect x='{x:.1f}' y='{y + 3}' width='{size:.1f}' height='{ROW - 6}' fill='{fill}'/>")
            x += size
        lines.append(f"<text x='{x + 6:.1f}' y='{y + 16}'>{escape(text)}</text>")
    for i, name in enumerate(legend):
        x, y = LABEL + 110 * i, len(bars) * ROW + 8
        lines.append(f"<rect x='{x}' y='{y}' width='12' height='12' fill='{COLOURS[name]}'/>")
        lines.append(f"<text x='{x + 18}' y='{y + 11}'>{name}</text>")
    height = len(bars) * ROW + (26 if legend else 4)
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' font-size='13'>"
    return head + "".join(lines) + "</svg>"


def _device(measured: Measurement) -> str:
    """Shares of the device."""
    if not measured.fits:
        return ""
    bars: list[Bar] = []
    for name, fit in measured.fits.items():
        text = f"{fit.used:,} of {fit.available:,}" + (f" ({fit.share:.1%})" if fit.available else "")
        bars.append((name.upper(), [("wires" if fit.missing else "logic", min(fit.share, 1.0))], text))
    lines = _bars(bars, 1.0)
    short = ", ".join(f"{fit.missing:,} {name.upper()}" for name, fit in measured.too_large.items())
    return lines + (f"<p class='short'>does not fit: {escape(measured.device)} lacks {short}</p>" if short else "")


def _blocks(measured: Measurement) -> str:
    """Look-up tables, or gates, of each block."""
    bars: list[Bar] = []
    for block in measured.blocks:
        counts = block.resources
        lengths = [("logic", float(counts.logic_lut + counts.gates))]
        if counts.lut:
            # What is neither logic nor memory is carry: a carry cell takes two tables on ECP5, none elsewhere.
            memory = 4.0 * counts.lut_ram if measured.device.startswith("lfe5u") else 0.0
            lengths += [("carry", max(0.0, counts.lut - counts.logic_lut - memory)), ("memory", memory)]
        bars.append((block.name, lengths, f"{counts.lut or counts.gates:,}"))
    full = max((counts for _, lengths, _ in bars for counts in [sum(length for _, length in lengths)]), default=0.0)
    legend = ("logic", "carry", "memory") if measured.resources.carry else ("logic",)
    what = "gates" if measured.resources.gates else "look-up tables"
    return f"<h3>{what} by block</h3>" + _bars(bars, full, legend=legend)


def _seeds(measured: Measurement) -> str:
    bars: list[Bar] = [
        (f"seed {seed}", [("logic", route.fmax_mhz)], f"{route.fmax_mhz:.1f} MHz")
        for seed, route in measured.routes.items()
    ]
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
    names = ("lut", "logic_lut", "carry", "lut_ram", "mux", "ff", "bram", "dsp", "gates")
    shown = [name for name in names if getattr(measured.resources, name)]
    rows = [*((block.name, block.resources) for block in measured.blocks), ("total", measured.resources)]
    lines = ["<tr><th>block</th>" + "".join(f"<th>{name.replace('_', ' ')}</th>" for name in shown) + "</tr>"]
    for label, counts in rows:
        cells = "".join(f"<td>{getattr(counts, name):,}</td>" for name in shown)
        lines.append(f"<tr><td>{escape(label)}</td>{cells}</tr>")
    return "<table>" + "".join(lines) + "</table>"
