"""The page with the results of fuzzing is up to date."""

from .page import PAGE, page, rows
from .reader import SEEDS
from .readers import NAMES, find


def test_the_page_lists_all_readers():
    text = PAGE.read_text(encoding="utf-8")
    found = rows(text)
    assert list(found) == list(NAMES)
    assert page(list(found.values())) == text
    for name, row in found.items():
        assert (row.what, row.found, row.left) == (find(name).what, len(list((SEEDS / name).glob("*"))), 0)
