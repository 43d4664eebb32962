"""The interface of pruning rules: what a rule sees of a head, and what it decides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig
from ...spec.formats import EXP_FRACTION, SCALE_FRACTION
from ..attention.predictor import predict
from ..attention.split import split
from ..attention.visible import visible_blocks, visible_positions
from ..lib.integer import Int8, Int64, exact_matmul, round_half_up_shift

__all__ = ["HeadView", "Mask", "Rule", "view"]

Mask = NDArray[np.bool_]

COARSE_BITS = 2
"""Bits of a key in the first of Energon's two rounds."""


@dataclass(frozen=True, kw_only=True)
class HeadView:
    """What a rule sees of a head, or of several with one command, before scores are computed.

    Attributes
    ----------
    q : (…, Lq, d) int64, INT8 values
    k : (…, Lk, d) int64, INT8 values
    exact : bool
        Whether rules see the exact INT8 scores instead of the predicted ones.
    random : numpy.random.Generator
        For rules that choose at random.
    """

    config: AttentionConfig
    command: HeadCommand
    q: Int64
    k: Int64
    exact: bool = False
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @cached_property
    def visible(self) -> Mask:
        """(Lq, Lk) keys that each query sees. Rules keep no others."""
        return visible_positions(self.command)

    @cached_property
    def visible_blocks(self) -> Mask:
        """(nq, nk) blocks in which a query sees a key. Rules keep no others."""
        return visible_blocks(self.config, self.command)

    @cached_property
    def scores(self) -> Int64:
        """(…, Lq, Lk) scores: the predictor's, or the exact ones rounded to the predictor's unit, 2^(2F)."""
        if self.exact:
            return round_half_up_shift(exact_matmul(self.q, self.k.swapaxes(-1, -2)), 2 * self.config.fraction_bits)
        return predict(self.config, self.q, self.k)

    @cached_property
    def coarse_scores(self) -> Int64:
        """(…, Lq, Lk) scores of fewer bits: with keys of 2 bits, or if ``exact`` the predictor's scores."""
        if self.exact:
            return predict(self.config, self.q, self.k)
        q, _ = split(self.config, self.q)
        k, _ = split(self.config, self.k)
        drop = max(self.config.integer_bits - COARSE_BITS, 0)
        return exact_matmul(q, (k >> drop).swapaxes(-1, -2))

    @property
    def nats(self) -> float:
        """Nats per unit of a score: what it adds to the exponent of the softmax."""
        command = self.command
        octaves = command.score_multiplier / 2.0 ** (EXP_FRACTION + SCALE_FRACTION + command.score_shift)
        return octaves * 2.0 ** (2 * self.config.fraction_bits) * float(np.log(2))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that decides what of an attention matrix is computed.

    Attributes
    ----------
    name : str
    title : str
        For tables and pictures.
    elements : bool
        Whether the mask is of elements (…, Lq, Lk) instead of blocks (…, nq, nk).
    dense, sparse : float
        Ends of the parameter's range: with ``dense`` the rule keeps most. From there to ``sparse``, it never keeps
        more.
    keep : function
        The mask of what is kept, from a head and the parameter. A row may be empty.
    """

    name: str
    title: str
    elements: bool
    dense: float
    sparse: float
    keep: Callable[[HeadView, float], Mask]


def view(
    config: AttentionConfig,
    command: HeadCommand,
    q: Int8,
    k: Int8,
    *,
    exact: bool = False,
    random: np.random.Generator | None = None,
) -> HeadView:
    """Heads as rules see them; see :class:`HeadView`."""
    wide_q, wide_k = q.astype(np.int64), k.astype(np.int64)
    random = random or np.random.default_rng(0)
    return HeadView(config=config, command=command, q=wide_q, k=wide_k, exact=exact, random=random)
