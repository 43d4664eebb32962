"""Tables that several commands print."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from .terminal import make_console, make_table, say

if TYPE_CHECKING:
    from ..runtime.answers import Answers
    from ..runtime.evaluate import EvaluationReport
    from ..runtime.pick import SparsityPick
    from ..runtime.study.result import StudyReport

__all__ = ["answers", "bands", "bench", "policy_of", "shortened", "timed"]

SHOWN = 60
"""Characters of a sentence in a table."""


def policy_of(result: "EvaluationReport | SparsityPick | StudyReport") -> str:
    """The rules of a policy in one line."""
    return ", ".join(f"{name} {value}" for name, value in result.policy.items())


def answers(result: "Answers", *, seconds: float, picture: Path | None = None) -> None:
    """Print labels or scores, beside FP32's; kept blocks; and cycles if they were counted."""
    console = make_console()
    dense = result.dense_cycles
    pairs = any(answer.text_pair is not None for answer in result.sentences)
    names = [
        "image" if result.reads_images else "sentence",
        *(["second sentence"] if pairs else []),
        *_answer_columns(result),
        "kept blocks",
    ]
    names += ["cycles"] if result.cycles else []
    names += ["dense cycles", "speedup"] if dense else []
    table = make_table(*names, right=2)
    for i, answer in enumerate(result.sentences):
        row = [shortened(text, SHOWN // 2 if pairs else SHOWN) for text in (answer.text, answer.text_pair) if text]
        if answer.score is None:
            row += [
                str(answer.label),
                f"{answer.confidence:.3f}",
                str(answer.fp32_label),
                f"{answer.fp32_confidence:.3f}",
            ]
        else:
            row += [f"{answer.score:.4f}", f"{answer.fp32_score:.4f}"]
        row.append(f"{answer.kept_blocks} of {answer.blocks}")
        if result.cycles:
            row.append(f"{result.cycles[i]:,}")
            if dense:
                row += [f"{dense[i]:,}", f"{dense[i] / result.cycles[i]:.2f}"]
        table.add_row(*row)
    console.print(table)
    console.print()
    console.print("kept blocks per head:")
    for i, answer in enumerate(result.sentences):
        heads = [
            f"layer {head.layer + 1} head {head.head + 1}: "
            + ("pruned" if head.pruned else f"{head.kept_blocks}/{head.blocks}")
            for head in answer.heads
        ]
        console.print(f"  {i + 1}. " + ", ".join(heads))
    console.print()
    if result.truncated:
        console.print(f"truncated texts: {result.truncated}")
    if result.cycles:
        _speedup(console, "layer by layer", sum(result.cycles), sum(dense) if dense else None)
    if result.stream_cycles:
        _speedup(console, "the same heads in one stream", result.stream_cycles, result.dense_stream_cycles)
    if result.bit_exact is not None:
        verdict = "yes" if result.bit_exact else f"NO, {result.mismatches} heads differ"
        console.print(f"bit-exact with golden: {verdict} ({result.heads} heads compared)")
    if picture is not None:
        say(f"picture: {picture}")
    console.print(f"{seconds:.1f} s")


def _answer_columns(result: "Answers") -> list[str]:
    if result.activation is None:
        return ["next token" if result.predicts_tokens else "label", "confidence", "FP32", "confidence"]
    return ["score" if result.activation == "identity" else f"score ({result.activation})", "FP32"]


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _speedup(console: Console, how: str, cycles: int, dense: int | None) -> None:
    beside = "" if dense is None else f"; without pruning on the same hardware {dense:,}: speedup {dense / cycles:.2f}"
    console.print(f"cycles, {how}: {cycles:,}{beside}")


ESTIMATED = ("cycles", "cycles_per_head")
"""Figures with an ``estimate`` and its ``error``; the prefix ``dense_`` stands before all three."""


def bench(result: dict[str, Any]) -> None:
    """Print the figures of a bench with their estimates and errors. Lists among them are left out."""
    table = make_table("figure", "value", "estimate", "error", right=1)
    for name, value in result.items():
        if isinstance(value, list) or name.endswith(("estimate", "error")):
            continue
        beside = []
        if name.removeprefix("dense_") in ESTIMATED:
            prefix = "dense_" if name.startswith("dense_") else ""
            beside = [f"{result[f'{prefix}estimate']:,.0f}", f"{result[f'{prefix}error']:+.2%}"]
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


def timed() -> Callable[[], float]:
    """Start a clock. The function returned gives the seconds since then."""
    start = time.perf_counter()
    return lambda: time.perf_counter() - start


def bands(resources: dict[str, Any]) -> str:
    """Stated errors of estimated sizes, in one line."""
    names = [name for name, entry in resources.items() if entry["band"]]
    return f"{' and '.join(map(str.upper, names))} within ±{resources[names[0]]['band']:.0%}"
