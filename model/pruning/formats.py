"""Patterns of the weight formats of an SpMM engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...spec.errors import ConfigError, InputError
from ...spec.spmm_config import SpmmConfig, WeightFormat
from .patterns import (
    KEEP,
    Choose,
    Mask,
    PruneReport,
    Sparsity,
    keep_largest,
    keep_nonzeros,
    prune_bank_balanced,
    prune_blocks,
    prune_global,
    prune_groups,
    prune_unstructured,
)

__all__ = ["FormatPattern", "fixed_sparsity", "prune_matrices"]

UNSTRUCTURED = (WeightFormat.CSR, WeightFormat.CSR_DELTA)


def fixed_sparsity(config: SpmmConfig, weight_format: WeightFormat) -> float | None:
    """Sparsity of a format that has only one (``nm``, ``dense``), or ``None``."""
    return {WeightFormat.NM: 1 - config.kept / config.group, WeightFormat.DENSE: 0.0}.get(weight_format)


@dataclass(frozen=True, kw_only=True)
class FormatPattern:
    """The pattern of a weight format.

    Parameters
    ----------
    config : SpmmConfig
        The engine whose banks and N:M pattern are used.
    weight_format : WeightFormat
        ``csr`` and ``csr-delta`` are unstructured. ``bbs`` keeps the same number in each of ``config.banks`` banks, and
        ``nm`` keeps ``config.kept`` of each ``config.group``. ``dense`` prunes nothing.
    sparsity : Sparsity or None
        Share of weights to prune, zeros among them; or ``"keep"``, which prunes nothing. It may be left out for ``nm``
        and ``dense``, which have only one.
    global_ranking : bool
        Rank the weights of all matrices together; only for unstructured formats.
    block : (int, int), optional
        Rows and columns of blocks that are pruned or kept whole; only for unstructured formats, without a global
        ranking.

    Raises
    ------
    ConfigError
        The format cannot have this sparsity.
    InputError
        The format has no global ranking, or no blocks.
    """

    config: SpmmConfig
    weight_format: WeightFormat
    sparsity: Sparsity | None = None
    global_ranking: bool = False
    block: tuple[int, int] | None = None

    def __post_init__(self):
        if self.block is not None:
            self._check_block()
        if self.global_ranking and self.weight_format not in UNSTRUCTURED:
            raise InputError(
                f"a global ranking (--global) goes with {' or '.join(UNSTRUCTURED)}, not {self.weight_format}: "
                "leave it out"
            )
        if self.sparsity == KEEP:
            if self.global_ranking:
                raise InputError(
                    f"a global ranking (--global) prunes, and sparsity {KEEP} does not: leave one of them out"
                )
            return
        fixed, config = fixed_sparsity(self.config, self.weight_format), self.config
        if fixed is not None and self.sparsity is not None and abs(self.sparsity - fixed) > 1e-9:
            what = f"{config.kept}:{config.group}" if self.weight_format is WeightFormat.NM else "dense"
            raise ConfigError("sparsity", self.sparsity, f"must be {fixed:g} for {what} weights, or left out")
        if self.target is None:
            raise ConfigError("sparsity", self.sparsity, f"must be given for {self.weight_format} weights")

    def _check_block(self) -> None:
        if self.weight_format not in UNSTRUCTURED:
            raise InputError(
                f"blocks (--block) go with {' or '.join(UNSTRUCTURED)}, not {self.weight_format}: leave them out"
            )
        if self.global_ranking or self.sparsity == KEEP:
            other = f"sparsity {KEEP}" if self.sparsity == KEEP else "a global ranking (--global)"
            raise InputError(f"blocks (--block) do not go with {other}: leave one of them out")

    @property
    def target(self) -> Sparsity | None:
        """The sparsity asked for, or the only one of the format."""
        return fixed_sparsity(self.config, self.weight_format) if self.sparsity is None else self.sparsity

    @property
    def prunes(self) -> bool:
        """Whether any weight is pruned."""
        return self.sparsity != KEEP and self.weight_format is not WeightFormat.DENSE

    def choose(self, scores: ArrayLike) -> tuple[Mask, PruneReport]:
        """The mask of one matrix, from (M, K) scores. A global ranking is that of this matrix alone.

        Raises
        ------
        ConfigError
            The sparsity is out of range or too high for the banks, or the matrix is smaller than a block.
        InputError
            A score is not finite.
        """
        target = self.target
        if not self.prunes or target is None or target == KEEP:
            return keep_nonzeros(scores)
        match self.weight_format:
            case WeightFormat.BBS:
                return prune_bank_balanced(scores, target, banks=self.config.banks)
            case WeightFormat.NM:
                return prune_groups(scores, kept=self.config.kept, group=self.config.group)
            case _ if self.block is not None:
                (rows, columns), (most_rows, most_columns) = self.block, np.shape(scores)
                if not (1 <= rows <= most_rows and 1 <= columns <= most_columns):
                    limits = f"must fit a matrix of {most_rows} rows and {most_columns} columns"
                    raise ConfigError("block", f"{rows}x{columns}", limits)
                return prune_blocks(scores, target, block_rows=rows, block_columns=columns)
            case _:
                return prune_unstructured(scores, target)

    def globally(self, scores: Mapping[str, NDArray[np.floating]]) -> dict[str, Choose]:
        """The patterns of several matrices whose scores are ranked together: each has its share of the kept weights."""
        assert self.target is not None
        assert self.target != KEEP
        ranked = prune_global(scores, self.target)
        return {name: partial(keep_largest, kept=report.kept) for name, (_, report) in ranked.items()}


def prune_matrices(
    matrices: Mapping[str, ArrayLike],
    weight_format: WeightFormat,
    sparsity: Sparsity | None,
    *,
    config: SpmmConfig,
    global_ranking: bool = False,
) -> dict[str, tuple[Mask, PruneReport]]:
    """Prune matrices by magnitude to the pattern of a weight format.

    Parameters
    ----------
    matrices : mapping of name to (M, K) numbers
    weight_format, sparsity, config, global_ranking
        See :class:`FormatPattern`, also for errors.
    """
    pattern = FormatPattern(
        config=config, weight_format=weight_format, sparsity=sparsity, global_ranking=global_ranking
    )
    if global_ranking:
        assert pattern.target is not None
        assert pattern.target != KEEP
        return prune_global(matrices, pattern.target)
    return {name: pattern.choose(matrix) for name, matrix in matrices.items()}
