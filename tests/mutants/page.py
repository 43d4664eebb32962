"""The page that counts mutants and lists those that survived."""

from collections.abc import Sequence
from pathlib import Path

from .explained import EXPLAINED
from .outcome import Outcome, Result

__all__ = ["PAGE", "ROOT", "page"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mutants.md"
HEAD = """# Mutants

`python -m tests.mutants` makes one small change in the source of a control block, such as a flipped operator, a dropped
term or a dropped statement, and runs the tests of the block. If all pass, it runs the proofs of the block. A mutant
that neither notices has survived. Changes that leave the emitted hardware as it is, or that Amaranth rejects, do not
count. The changes are drawn at random, about as many from each block.

| block | mutants | killed by tests | killed by proofs | survived |
|---|---|---|---|---|
"""
SURVIVORS = """
## Survivors

| block | change | reason |
|---|---|---|
"""


def page(outcomes: Sequence[Outcome]) -> str:
    """The page, from all outcomes."""
    mutants = [each for each in outcomes if each.result is not Result.NONE]
    modules = list(dict.fromkeys(each.module for each in mutants))
    rows = [_row(f"`{module}`", [each for each in mutants if each.module == module]) for module in modules]
    survivors = [each for each in mutants if each.result is Result.SURVIVED]
    killed = len(mutants) - len(survivors)
    text = HEAD + "".join(rows) + _row("all", mutants)
    text += f"\n{killed} of {len(mutants)} mutants are killed, {killed / max(1, len(mutants)):.1%}.\n"
    if survivors:
        text += SURVIVORS
    for each in survivors:
        change = each.shown.replace("|", r"\|")
        reason = EXPLAINED.get((each.module, each.shown), "not explained")
        text += f"| `{each.module}` | `{change}` | {reason} |\n"
    return text


def _row(name: str, mutants: Sequence[Outcome]) -> str:
    counts = [
        sum(each.result is result for each in mutants) for result in (Result.TESTS, Result.PROOFS, Result.SURVIVED)
    ]
    return f"| {name} | {len(mutants)} | {' | '.join(map(str, counts))} |\n"
