"""What ``thresher pick`` says to people."""

from rich.text import Text

from ..runtime.pick import SparsityPick
from ..spec.attention_command import DENSE_RHO
from .pick_jobs import CycleCheck
from .report import make_console, make_table

__all__ = ["conclusion", "show"]


def conclusion(result: SparsityPick) -> str:
    """One line: the choice, and what it costs; or how near one comes."""
    point = result.point
    costs = (
        f"{result.metric} {point.score:.4f}, {point.change:+.4f} beside FP32 and {point.change_int8:+.4f} beside INT8"
    )
    place = "pruning off" if point.rho == DENSE_RHO else f"rho {point.rho:g}"
    if result.reached:
        reached = f"smallest sparsity of these that is {result.target_speedup:g} times as fast"
        return f"{reached}: {point.block_sparsity:.1%} ({place}), speedup {point.speedup:.2f}: {costs}"
    best = f"the best is {point.speedup:.2f} at {point.block_sparsity:.1%} ({place}): {costs}"
    return f"none of these is {result.target_speedup:g} times as fast; {best}"


def show(result: SparsityPick, check: CycleCheck | None) -> None:
    """A line per ρ, the choice, and where asked for its cycles on hardware."""
    console = make_console()
    console.print(Text(f"{result.model}, {result.task}: {result.examples} examples of {result.data}"))
    policy = ", ".join(f"{name} {value}" for name, value in result.policy.items())
    console.print(Text(f"{policy}; calibrated with {result.calibration}"))
    console.print(f"FP32 {result.metric} {result.fp32:.4f}; cycles of the attention core by the cycle model\n")
    names = ("", "rho", result.metric, "beside FP32", "beside INT8", "block sparsity", "cycles per sentence", "speedup")
    table = make_table(*names, right=1)
    for i, point in enumerate(result.points):
        table.add_row(
            "→" if i == result.chosen else "",
            "off" if point.rho == DENSE_RHO else f"{point.rho:g}",
            f"{point.score:.4f}",
            f"{point.change:+.4f}",
            f"{point.change_int8:+.4f}",
            f"{point.block_sparsity:.1%}",
            f"{point.cycles:,.0f}",
            f"{point.speedup:.2f}",
        )
    console.print(table)
    console.print()
    console.print(conclusion(result), soft_wrap=True)
    if check is not None:
        _show_check(check)
    console.print(f"\n{result.seconds:.1f} s")


def _show_check(check: CycleCheck) -> None:
    console = make_console()
    console.print(f"\n{check.sentences} sentences on simulated hardware, {check.heads} heads in one stream:\n")
    table = make_table("", "model", "hardware", "error", right=1)
    rows = [("pruning off", check.dense_model_cycles, check.dense_rtl_cycles)]
    if check.rho != DENSE_RHO:
        rows.insert(0, (f"rho {check.rho:g}", check.model_cycles, check.rtl_cycles))
    for name, model, hardware in rows:
        table.add_row(f"cycles, {name}", f"{model:,.0f}", f"{hardware:,}", f"{model / hardware - 1:+.1%}")
    model, hardware = check.model_speedup, check.rtl_speedup
    table.add_row("speedup", f"{model:.2f}", f"{hardware:.2f}", f"{model / hardware - 1:+.1%}")
    console.print(table)
    console.print(f"\nbit-exact with golden: {'yes' if check.bit_exact else 'NO'}")
