"""Tables about whole encoders on the co-processor."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from .report import shortened
from .terminal import make_console, make_table, say

if TYPE_CHECKING:
    from ..runtime.program_run import ProgramReport
    from ..runtime.whole_answers import WholeAnswer, WholeAnswers

__all__ = ["show", "show_program"]


def show(
    result: "WholeAnswers", *, seconds: float, dense: "WholeAnswers | None" = None, picture: Path | None = None
) -> None:
    """Print answers beside FP32's, and what each unit of the hardware did.

    Parameters
    ----------
    dense : WholeAnswers, optional
        The same texts with all weights.
    picture : Path, optional
        A picture that was drawn.
    """
    console = make_console()
    pairs = any(answer.text_pair is not None for answer in result.answers)
    table = make_table("text", *(["second text"] if pairs else []), "tokens", *_columns(result), right=2)
    for answer in result.answers:
        texts = [shortened(text, 30 if pairs else 60) for text in (answer.text, answer.text_pair) if text is not None]
        table.add_row(*texts, str(answer.tokens), *_cells(answer))
    console.print(table)
    if truncated := sum(answer.truncated for answer in result.answers):
        console.print(f"truncated texts: {truncated}")
    for program in result.programs:
        console.print()
        show_program(console, program)
    results = [result] if dense is None else [result, dense]
    if dense is not None:
        cycles, more = (sum(program.cycles for program in each.programs) for each in results)
        console.print()
        console.print(f"with all weights: {more:,} cycles; speedup by pruning ({result.weights}): {more / cycles:.2f}")
    if result.bit_exact is not None:
        exact = all(each.bit_exact for each in results)
        what = "the results" if result.backend == "device" else "the memory"
        console.print()
        console.print(f"bit-exact with golden: {'yes' if exact else 'NO'} (every byte of {what} compared)")
    if picture is not None:
        say(f"picture of the units' work: {picture}")
    console.print(f"{seconds:.1f} s")


def show_program(console: Console, program: "ProgramReport") -> None:
    """Print the cycles of a program, by unit and by layer."""
    texts = "text" if len(program.lengths) == 1 else "texts"
    console.print(
        f"{len(program.lengths)} {texts}, {sum(program.lengths)} tokens: {program.cycles:,} cycles, "
        f"{program.instructions} instructions"
    )
    console.print(
        f"utilisation of the product engine: {program.utilisation:.3f} "
        f"({program.weight_macs:,} useful multiplications, {program.multipliers} multipliers)"
    )
    console.print(f"memory: {program.bytes_read:,} bytes read, {program.bytes_written:,} written")
    table = make_table("unit", "instructions", "busy", "waiting", "starved", right=1)
    for name, unit in program.units.items():
        table.add_row(name, str(unit.instructions), f"{unit.busy:,}", f"{unit.waiting:,}", f"{unit.starved:,}")
    console.print(table)
    if program.layers:
        console.print("cycles of each part (parts overlap):")
        console.print("  " + ", ".join(f"{name} {cycles:,}" for name, cycles in program.layers.items()))


def _columns(result: "WholeAnswers") -> list[str]:
    answer = result.answers[0]
    if answer.embedding is not None:
        return ["values", "cosine with FP32"]
    return ["class", "confidence", "FP32 class", "confidence"] if answer.score is None else ["score", "FP32 score"]


def _cells(answer: "WholeAnswer") -> list[str]:
    if answer.embedding is not None:
        return [str(len(answer.embedding)), f"{answer.similarity:.4f}"]
    if answer.score is not None:
        return [f"{answer.score:.4f}", f"{answer.fp32_score:.4f}"]
    return [
        str(answer.label),
        f"{answer.confidence:.3f}",
        str(answer.fp32_label),
        f"{answer.fp32_confidence:.3f}",
    ]
