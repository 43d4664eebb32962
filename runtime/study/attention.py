"""Attention of a model under a rule of a study, on the golden model, all heads of a sentence at once."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ...golden.baselines import Rule, view
from ...golden.baselines.attention import blocks_of, masked_heads
from ...golden.baselines.hardware import head_magnitudes
from ...golden.baselines.spatten import CascadeHeads
from ...model.quantise import AttentionScales, Int8, dequantise
from ...model.weights import Float32
from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig
from ...spec.formats import ceil_div
from ..attention import quantised_heads

__all__ = ["COUNTS", "BlockPruning", "CascadePruning", "HeadPruning", "Pruning", "StudyAttention"]

COUNTS = (
    "heads",
    "pruned_heads",
    "blocks",
    "kept_blocks",
    "elements",
    "kept_elements",
    "outputs",
    "saturations",
)
"""What is counted. Of a pruned head nothing is kept. A block is kept if one of its elements is."""


class Layer(NamedTuple):
    """The heads of a layer.

    Attributes
    ----------
    output : (heads, L, d) int8
    kept : (heads, L, L) bool
        Kept elements; none of a pruned head.
    saturations : int
        Number of clipped outputs.
    pruned : int
        Number of pruned heads.
    """

    output: Int8
    kept: NDArray[np.bool_]
    saturations: int
    pruned: int


class Pruning(Protocol):
    """Runs the heads of one layer of one sentence. Layers come in order; after the last one, the next sentence's
    first."""

    def run(self, config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8) -> Layer:
        """Outputs of (heads, L, d) Q, K and V."""
        ...


class BlockPruning:
    """A rule that prunes blocks or elements.

    Parameters
    ----------
    exact : bool
        Whether the rule sees exact scores.
    random : numpy.random.Generator
        For rules that choose at random.
    """

    def __init__(self, rule: Rule, parameter: float, *, exact: bool, random: np.random.Generator):
        self._rule, self._parameter, self._exact, self._random = rule, parameter, exact, random

    def run(self, config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8) -> Layer:
        """See :class:`Pruning`."""
        seen = view(config, command, q, k, exact=self._exact, random=self._random)
        mask = self._rule.keep(seen, self._parameter)
        return Layer(*masked_heads(config, command, q, k, v, mask, elements=self._rule.elements), 0)


def _without(
    pruned: NDArray[np.bool_], config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8
) -> Layer:
    """Heads without block pruning, and zeros for those that are pruned."""
    kept = np.zeros((*q.shape[:-1], k.shape[-2]), np.bool_)
    output, saturations = np.zeros_like(q), 0
    stay = ~pruned
    if stay.any():
        kept[stay] = True
        output[stay], _, saturations = masked_heads(
            config, command, q[stay], k[stay], v[stay], kept[stay], elements=True
        )
    return Layer(output, kept, saturations, int(pruned.sum()))


class HeadPruning:
    """Prunes heads whose magnitude of scores is below τ, as the hardware does; no blocks. With 0, nothing is pruned."""

    def __init__(self, tau: float, *, exact: bool = False):
        self._tau, self._exact = tau, exact

    def run(self, config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8) -> Layer:
        """See :class:`Pruning`."""
        magnitudes = head_magnitudes(view(config, command, q, k, exact=self._exact))
        return _without(magnitudes < self._tau, config, command, q, k, v)


class CascadePruning:
    """Prunes heads by their accumulated importance.

    Parameters
    ----------
    units : sequence of float
        Value of one unit of the outputs of each layer.
    parameter : float
        See :class:`~thresher.golden.baselines.spatten.CascadeHeads`.
    """

    def __init__(self, units: Sequence[float], parameter: float):
        self._units, self._parameter = list(units), parameter
        self._layer, self._heads = 0, CascadeHeads(1, 1, 0)

    def run(self, config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8) -> Layer:
        """See :class:`Pruning`."""
        if self._layer == 0:
            self._heads = CascadeHeads(len(q), len(self._units), self._parameter)
        found = _without(self._heads.pruned, config, command, q, k, v)
        self._heads.advance(np.abs(found.output.astype(np.int64)).sum(axis=(1, 2)) * self._units[self._layer])
        self._layer = (self._layer + 1) % len(self._units)
        return found


class StudyAttention:
    """Attention of a model's layers for one sentence; an :class:`~thresher.model.encoder.Attend`.

    Attributes
    ----------
    counts : Counter
        Of :data:`COUNTS`, over all heads.
    """

    def __init__(self, config: AttentionConfig, scales: AttentionScales, pruning: Sequence[Pruning]):
        self._config, self._scales, self._pruning = config, scales, pruning
        self.counts: Counter[str] = Counter()

    def __call__(self, layer: int, q: Float32, k: Float32, v: Float32, bias: Float32 | None = None) -> Float32:
        """Attention output of Q, K and V, all (batch, heads, length, d) float32. Each sentence has its own pruning.

        Raises
        ------
        ThresherError
            As :func:`~thresher.runtime.attention.quantised_heads`.
        """
        command, *operands = quantised_heads(self._config, self._scales, layer, q, k, v, bias)
        outputs = []
        for pruning, *own in zip(self._pruning, *operands, strict=True):
            found = pruning.run(self._config, command, *own)
            outputs.append(found.output)
            self._count(found)
        return dequantise(np.stack(outputs), self._scales.layers[layer].o)

    def _count(self, layer: Layer) -> None:
        heads, lq, lk = layer.kept.shape
        block = self._config.block
        self.counts.update(
            heads=heads,
            pruned_heads=layer.pruned,
            blocks=heads * ceil_div(lq, block) * ceil_div(lk, block),
            kept_blocks=int(blocks_of(self._config, layer.kept).sum()),
            elements=layer.kept.size,
            kept_elements=int(layer.kept.sum()),
            outputs=layer.output.size,
            saturations=layer.saturations,
        )
