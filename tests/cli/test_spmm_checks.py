"""Which sparsity is chosen and what is said about it, and where a simulation ends."""

import pytest
from thresher.cli.spmm_checks import MOST_STREAMED, check_engine, check_simulation, chosen_sparsity, sparsity_note
from thresher.spec import ConfigError, WeightFormat, spmm_preset
from thresher.spec.weight_words import stream_bytes

TINY, EDGE = spmm_preset("tiny"), spmm_preset("edge")
CSR, BBS, NM, DENSE = WeightFormat.CSR, WeightFormat.BBS, WeightFormat.NM, WeightFormat.DENSE


@pytest.mark.parametrize(
    ("weight_format", "asked", "expected"),
    [(CSR, None, 0.75), (CSR, 0.0, 0.0), (BBS, 0.9, 0.9), (NM, None, 0.5), (NM, 0.9, 0.5), (DENSE, 0.75, 0.0)],
)
def test_a_format_has_what_is_asked_for_unless_it_has_its_own(weight_format, asked, expected):
    assert chosen_sparsity(TINY, weight_format, asked) == expected


@pytest.mark.parametrize(
    ("weight_format", "asked", "reached", "expected"),
    [
        (CSR, None, 0.7501, None),
        (CSR, 0.5, 0.509, None),
        (NM, 0.5, 0.5, None),
        (NM, None, 0.4, "2:4 weights have a sparsity of 0.4, not 0.5"),
        (NM, 0.505, 0.5, "2:4 weights have a sparsity of 0.5, not 0.505"),
        (BBS, 0.9, 11 / 12, "bbs weights have a sparsity of 0.917, not 0.9"),
        (BBS, 0.95, 11 / 12, "bbs weights have a sparsity of 0.917, not 0.95"),
        (CSR, None, 1.0, "no weight is left: choose a lower sparsity"),
    ],
)
def test_notes(weight_format, asked, reached, expected):
    assert sparsity_note(EDGE, weight_format, asked, reached) == expected


def test_the_largest_number_of_tokens_is_told_and_can_be_had():
    rows, columns = 1536, 2048
    most = MOST_STREAMED // (rows * columns * stream_bytes(EDGE)) * EDGE.lanes
    check_simulation(EDGE, rows=rows, columns=columns, tokens=most)
    with pytest.raises(ConfigError, match=f"^tokens={most + 1} .* 1 can be simulated: choose at most {most}$"):
        check_simulation(EDGE, rows=rows, columns=columns, tokens=most + 1)
    with pytest.raises(ConfigError, match="choose fewer rows or columns"):
        check_simulation(EDGE, rows=1 << 24, columns=columns, tokens=1)


def test_the_preset_that_is_large_enough_is_named():
    for columns, words in ((65, "choose --preset edge, or raise"), (2049, "--preset server"), (5000, "to 64: raise")):
        with pytest.raises(ConfigError, match=f"{words}.* with --config"):
            check_engine(TINY, rows=1, columns=columns, tokens=1, weight_format=CSR)
    with pytest.raises(ConfigError, match=r"format='bbs' .* the engine has csr, dense"):
        check_engine(TINY.with_formats(CSR, DENSE), rows=1, columns=1, tokens=1, weight_format=BBS)
