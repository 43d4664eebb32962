"""Changes are found in hardware only, and each changes what it says."""

import pytest

from .blocks import BLOCKS
from .changes import changes
from .outcome import Outcome, Result
from .page import ROOT, page

SOURCE = """
def sizes(width):
    return width - 1 if width > 2 else 0

def elaborate(self, platform):
    m = Module()
    wide = Signal(range(self.depth + 1))
    if self.depth > 1 and self.kind == "é":
        with m.If(a & ~b):
            m.d.sync += [x.eq(1), y.eq(wide[self.depth - 1])]
    m.d.comb += z.eq(Mux(c, d, e))
    return m
"""


def test_changes_of_hardware_only():
    found = {change.shown for change in changes(SOURCE)}
    assert found == {
        "a & ~b → 1",
        "a & ~b → 0",
        "a & ~b → (a)",
        "a & ~b → (~b)",
        "a & ~b → ((a) | (~b))",
        "~b → (b)",
        "x.eq(1) → []",
        "1 → 0",
        "y.eq(wide[self.depth - 1]) → []",
        "z.eq(Mux(c, d, e)) → []",
        "Mux(c, d, e) → (d)",
        "Mux(c, d, e) → (e)",
    }


def test_a_change_stands_at_its_place():
    for change in changes(SOURCE):
        assert SOURCE[change.start : change.end] == change.old
        assert SOURCE.splitlines()[change.line - 1].count(change.old.splitlines()[0])
        assert change.apply(SOURCE) == SOURCE[: change.start] + change.new + SOURCE[change.end :]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.module)
def test_control_blocks_have_changes_and_tests(block):
    text = (ROOT / block.path).read_text(encoding="utf-8")
    found = changes(text)
    assert len(found) >= 30
    for change in found:
        compile(change.apply(text), block.path, "exec")
    assert all((ROOT / test.partition("::")[0]).exists() for test in block.tests)


def test_the_page_counts_and_lists():
    outcomes = [
        Outcome("lib.streams", 1, "a → b", "flip", result, "", 1.0)
        for result in (Result.NONE, Result.TESTS, Result.TESTS, Result.PROOFS, Result.SURVIVED)
    ]
    text = page(outcomes)
    assert "| `lib.streams` | 4 | 2 | 1 | 1 |" in text
    assert "3 of 4 mutants are killed, 75.0%" in text
    assert "| `lib.streams` | `a → b` | not explained |" in text
