"""Each fault has its documented answer, the next job is right, and the page lists all faults."""

import pytest

from .fault import Fault
from .table import FAULTS, PAGE, listed

WRITE = "run python -m tests.faults --write"
ROWS = [pytest.param(each, id=each.name, marks=[pytest.mark.slow] if each.slow else []) for each in FAULTS]


@pytest.mark.parametrize("fault", ROWS)
def test_fault(fault: Fault):
    cases = fault.inject()
    assert cases == listed(PAGE.read_text(encoding="utf-8"))[fault.cells], WRITE


def test_the_page_lists_every_fault():
    assert list(listed(PAGE.read_text(encoding="utf-8"))) == [fault.cells for fault in FAULTS], WRITE
