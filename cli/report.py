"""What the commands print: tables for people."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..runtime import EvaluationReport
    from .jobs import Answers

__all__ = ["answers", "bench", "evaluation", "make_console", "make_table", "presets", "prune", "sweep"]

SHOWN = 60
"""Characters of a sentence in a table."""

NOTES = {
    "fp32": "attention in float32",
    "int8": "attention in INT8, pruning off",
    "pruned": "INT8 with this policy and these thresholds",
    "random_mask": "as many blocks of each row, chosen at random",
}


def make_console() -> Console:
    """Standard output, for people."""
    # Where it is not a terminal nothing is cut off to fit one.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def make_table(*columns: str, right: int) -> Table:
    """A table whose columns from number ``right`` on hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i >= right else "left", no_wrap=i > 0)
    return table


def answers(result: "Answers", *, seconds: float, picture: Path | None = None) -> None:
    """Labels beside FP32's, kept blocks, and cycles where there are any."""
    console = make_console()
    dense = result.dense_cycles
    names = ["sentence", "label", "confidence", "FP32", "confidence", "kept blocks"]
    names += ["cycles"] if result.cycles else []
    names += ["dense cycles", "speedup"] if dense else []
    table = make_table(*names, right=2)
    for i, answer in enumerate(result.sentences):
        # Text, not markup: a sentence may hold square brackets.
        text = answer.text if len(answer.text) <= SHOWN else answer.text[: SHOWN - 1] + "…"
        row: list[Text | str] = [Text(text), answer.label, f"{answer.confidence:.3f}"]
        row += [answer.fp32_label, f"{answer.fp32_confidence:.3f}", f"{answer.kept_blocks} of {answer.blocks}"]
        if result.cycles:
            row.append(f"{result.cycles[i]:,}")
            if dense:
                row += [f"{dense[i]:,}", f"{dense[i] / result.cycles[i]:.2f}"]
        table.add_row(*row)
    console.print(table)
    console.print()
    console.print("kept blocks per head:")
    for i, answer in enumerate(result.sentences):
        told = [
            f"layer {head.layer + 1} head {head.head + 1}: "
            + ("pruned" if head.pruned else f"{head.kept_blocks}/{head.blocks}")
            for head in answer.heads
        ]
        console.print(Text(f"  {i + 1}. " + ", ".join(told)))
    console.print()
    if result.cycles:
        _speedup(console, "layer by layer", sum(result.cycles), sum(dense) if dense else None)
    if result.stream_cycles:
        _speedup(console, "the same heads in one stream", result.stream_cycles, result.dense_stream_cycles)
    if result.bit_exact is not None:
        told = "yes" if result.bit_exact else f"NO, {result.mismatches} heads differ"
        console.print(f"bit-exact with golden: {told} ({result.heads} heads compared)")
    if picture is not None:
        console.print(Text(f"picture: {picture}"))
    console.print(f"{seconds:.1f} s")


def _speedup(console: Console, how: str, cycles: int, dense: int | None) -> None:
    beside = "" if dense is None else f"; with pruning off on the same hardware {dense:,}: speedup {dense / cycles:.2f}"
    console.print(f"cycles, {how}: {cycles:,}{beside}")


def evaluation(result: "EvaluationReport") -> None:
    """Score and sparsity of each setting."""
    console = make_console()
    console.print(Text(f"{result.model}, {result.task}: {result.examples} examples of {result.data}"))
    policy = ", ".join(f"{name} {value}" for name, value in result.policy.items())
    console.print(f"rho {result.rho}, tau {result.tau}, {policy}")
    source = f"{result.calibration_sentences} sentences of {result.calibration}, {result.calibration_method}"
    console.print(Text(f"calibrated with {source}"))
    console.print()
    table = make_table(
        "attention", result.metric, "beside FP32", "block sparsity", "head sparsity", "clipped", "", right=1
    )
    table.columns[-1].justify = "left"
    for name, figures in result.results.items():
        table.add_row(
            name,
            f"{figures.score:.4f}",
            f"{figures.change:+.4f}",
            f"{figures.block_sparsity:.1%}",
            f"{figures.head_sparsity:.1%}",
            f"{figures.saturated:.3%}",
            NOTES.get(name, ""),
        )
    console.print(table)
    console.print(f"\n{result.seconds:.1f} s")


ESTIMATED = {
    "cycles_per_head": "estimate",
    "cycles": "estimate",
    "dense_cycles_per_head": "dense_estimate",
    "dense_cycles": "dense_estimate",
}
"""Figures of benchmarks, and where their estimates are; errors have such names, too."""


def bench(result: dict[str, Any]) -> None:
    """Figures of a benchmark, name by name, estimates and their errors beside them; tables inside it are left out."""
    table = make_table("figure", "value", "estimate", "error", right=1)
    for name, value in result.items():
        if isinstance(value, list) or name.endswith(("estimate", "error")):
            continue
        beside = []
        if name in ESTIMATED:
            estimate = ESTIMATED[name]
            beside = [f"{result[estimate]:,.0f}", f"{result[estimate.replace('estimate', 'error')]:+.2%}"]
        if isinstance(value, bool):
            shown = "yes" if value else "NO"
        elif isinstance(value, float):
            shown = f"{value:,.3f}"
        elif value is None:
            shown = "-"
        else:
            shown = f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name.replace("_", " "), shown, *beside)
    make_console().print(table)


def sweep(points: list[dict[str, Any]]) -> None:
    """What the picture shows."""
    table = make_table("format", "sparsity", "cycles", "speedup", "bytes", right=1)
    for point in points:
        figures = f"{point['sparsity']:.3f}", f"{point['cycles']:,}", f"{point['speedup']:.2f}", f"{point['bytes']:,}"
        table.add_row(point["format"], *figures)
    console = make_console()
    console.print()
    console.print(table)


def prune(result: dict[str, Any]) -> None:
    """A line per matrix, and the total."""
    console = make_console()
    told = "measured on RTL" if result["measured"] else "by the cycle model"
    console.print(Text(f"{result['model']}, {result['format']}, pruned: {result['method']}"))
    console.print(f"cycles of {result['tokens']} tokens on {result['preset']}, {told}\n")
    names = ("matrix", "M × K", "sparsity", "bytes", "of dense", "cycles", "dense cycles", "speedup")
    table = make_table(*names, right=1)
    table.columns[0].overflow = "fold"  # a name cut short would not say which matrix it is
    for entry in [*result["matrices"], result["total"]]:
        shape = f"{entry['rows']} × {entry['columns']}" if entry["rows"] else ""
        packed, cycles, dense = (f"{entry[name]:,}" for name in ("bytes", "cycles", "dense_cycles"))
        figures = [f"{entry['sparsity']:.3f}", packed, f"{entry['bytes'] / entry['dense_bytes']:.0%}", cycles, dense]
        table.add_row(Text(entry["name"].removeprefix("encoder.")), shape, *figures, f"{entry['speedup']:.2f}")
    console.print(table)
    if result["bit_exact"] is not None:
        console.print(f"\nbit-exact with golden: {'yes' if result['bit_exact'] else 'NO'}")
    console.print(Text(f"\nweights: {result['path']}\ntable: {result['table']}"))


def presets(listed: dict[str, Any]) -> None:
    """Presets of both units, and policies."""
    console = make_console()
    console.print("attention")
    table = make_table("preset", "INT8 multipliers", "lengths to", "d to", "block", "predictor lanes × blocks", right=1)
    for name, entry in listed["presets"].items():
        fields = entry["configuration"]
        block = f"{fields['block']}×{fields['block']}"
        predictor = f"{fields['predictor_lanes']} × {fields['predictor_blocks']}"
        sizes = (entry["multipliers"], fields["max_length"], fields["max_head_dim"])
        table.add_row(name, *map(str, sizes), block, predictor)
    console.print(table)
    console.print("\nspmm")
    names = ("preset", "INT8 multipliers", "row engines × lanes", "M to", "K to", "N to", "banks", "N:M")
    table = make_table(*names, "formats", right=1)
    for name, entry in listed["spmm_presets"].items():
        fields = entry["configuration"]
        sizes = (fields["max_rows"], fields["max_columns"], fields["max_tokens"], fields["banks"])
        engines, pattern = f"{fields['rows']} × {fields['lanes']}", f"{fields['kept']}:{fields['group']}"
        table.add_row(name, str(entry["multipliers"]), engines, *map(str, sizes), pattern, ", ".join(fields["formats"]))
    console.print(table)
    console.print("\npolicies of attention")
    names = list(next(iter(listed["policies"].values())))
    table = make_table("policy", *(name.replace("_", " ") for name in names), right=99)
    for name, rules in listed["policies"].items():
        table.add_row(name, *(rules[field] for field in names))
    console.print(table)


def timed() -> Callable[[], float]:
    """Seconds since this call."""
    start = time.perf_counter()
    return lambda: time.perf_counter() - start
