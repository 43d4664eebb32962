"""The comparison of hardware with the golden model."""

from dataclasses import replace

import numpy as np
import pytest
from thresher.runtime.compare import same_head, same_product
from thresher.sim.spmm import SpmmRun, SpmmStatistics
from thresher.spec import CommandError, HeadStatistics, SpmmError, spmm_preset

from ..products import golden_results, random_job

TINY = spmm_preset("tiny")
STATISTICS = HeadStatistics(error=CommandError.NONE, pruned=False, kept_blocks=3, saturations=1)
OUTPUT = np.arange(6, dtype=np.int8).reshape(2, 3)


def test_equal_heads():
    assert same_head((OUTPUT.copy(), STATISTICS), (OUTPUT, STATISTICS))
    assert same_head((OUTPUT, replace(STATISTICS, cycles=7)), (OUTPUT, STATISTICS))
    assert same_head((None, STATISTICS), (None, STATISTICS))


@pytest.mark.parametrize(
    "changes", [{"error": CommandError.HEAD_DIM}, {"pruned": True}, {"kept_blocks": 4}, {"saturations": 0}]
)
def test_every_statistic_is_compared(changes):
    assert not same_head((OUTPUT, replace(STATISTICS, **changes)), (OUTPUT, STATISTICS))


def test_every_output_is_compared():
    for output in (None, OUTPUT ^ 1, OUTPUT[:1]):
        assert not same_head((output, STATISTICS), (OUTPUT, STATISTICS))
        assert not same_head((OUTPUT, STATISTICS), (output, STATISTICS))


def test_products():
    job = random_job(TINY, np.random.default_rng(3))
    (expected,) = golden_results(TINY, [job])
    assert expected is not None
    statistics = SpmmStatistics(error=SpmmError.NONE, saturations=expected.saturations, cycles=9)
    run = SpmmRun(output=expected.output, statistics=statistics, accepted=0, finished=9)
    assert same_product(TINY, job, run)
    for wrong in (
        replace(run, output=expected.output ^ 1),
        replace(run, output=None),
        replace(run, statistics=replace(statistics, saturations=expected.saturations + 1)),
        replace(run, statistics=replace(statistics, error=SpmmError.TOKENS)),
    ):
        assert not same_product(TINY, job, wrong)
