"""What the statistics say about packets of other lengths."""

import pytest
from thresher.golden.packets import packet_error
from thresher.spec import CommandError, SpmmError, VectorError


@pytest.mark.parametrize("codes", [CommandError, SpmmError, VectorError])
@pytest.mark.parametrize(
    ("given", "name"),
    [((3, 5), "NONE"), ((2, 5), "MISSING"), ((3, 6), "SURPLUS"), ((2, 6), "MISSING"), ((4, 4), "MISSING")],
)
def test_missing_beats_count_more_than_surplus_ones(codes, given, name):
    assert packet_error(codes, {"x": 3, "y": 5}, dict(zip("xy", given, strict=True))) is codes[name]
