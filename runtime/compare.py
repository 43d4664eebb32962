"""The comparison of hardware with the golden model, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..golden.spmm.engine import sparse_product
from ..golden.spmm.packing import PackedWeights
from ..spec.attention_config import AttentionConfig
from ..spec.heads import Head
from ..spec.spmm_command import SpmmError
from ..spec.spmm_config import SpmmConfig
from .backends import Answer, Backend, GoldenBackend

if TYPE_CHECKING:
    from ..sim.spmm import SpmmJob, SpmmRun

__all__ = ["CheckedBackend", "same_head", "same_product"]


def same_head(found: Answer, expected: Answer) -> bool:
    """Whether output and statistics of a head are equal. Cycles are not compared."""
    (output, statistics), (wanted, expected_statistics) = found, expected
    if output is None or wanted is None:
        return output is wanted and statistics == expected_statistics
    return statistics == expected_statistics and np.array_equal(output, wanted)


def same_product(config: SpmmConfig, job: SpmmJob, run: SpmmRun) -> bool:
    """Whether a product's output and statistics are those of the golden model. Cycles are not compared.

    Raises
    ------
    InputError
        The golden model rejects the operands.
    """
    assert isinstance(job.weights, PackedWeights)
    table = None if job.table is None else list(job.table)
    operands = job.weights, job.x, job.bias, job.multiplier, job.shift
    expected = sparse_product(config, *operands, activation=job.activation, table=table)
    same = run.output is not None and np.array_equal(run.output, expected.output)
    statistics = run.statistics
    return same and statistics.error is SpmmError.NONE and statistics.saturations == expected.saturations


class CheckedBackend:
    """Runs heads on hardware and compares every answer with that of the golden model.

    Parameters
    ----------
    backend : Backend
        The hardware.

    Attributes
    ----------
    heads, mismatches : int
        Heads compared, and how many of them differed.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self.heads = 0
        self.mismatches = 0

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[Answer]:
        """Run heads and return the answers of the hardware."""
        results = self._backend.run(config, heads)
        expected = GoldenBackend().run(config, heads)
        self.heads += len(heads)
        self.mismatches += sum(not same_head(*pair) for pair in zip(results, expected, strict=True))
        return results
