"""Attention of a model under a rule of a study, on the golden model, all heads of a sentence at once."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from ...golden.attention.visible import visible_blocks, visible_positions
from ...golden.baselines import HeadView, Rule, view
from ...golden.baselines.attention import blocks_of, masked_heads
from ...golden.baselines.hardware import head_magnitudes
from ...golden.baselines.random_heads import random_heads
from ...golden.baselines.rule import Mask
from ...golden.baselines.spatten import CascadeHeads
from ...model.quantise import AttentionScales, Int8, dequantise
from ...model.weights import Float32
from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig
from ..attention import quantised_heads

__all__ = [
    "COUNTS",
    "BlockChoice",
    "CascadedHeads",
    "HeadChoice",
    "Pruning",
    "RandomHeads",
    "StudyAttention",
    "ThresholdHeads",
]

COUNTS = (
    "heads",
    "pruned_heads",
    "blocks",
    "kept_blocks",
    "blocks_of_pruned_heads",
    "elements",
    "kept_elements",
    "outputs",
    "saturations",
)
"""What is counted. Of a pruned head nothing is kept. A block is kept if one of its elements is. Blocks and elements in
which no query sees a key do not count."""


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
    kept: Mask
    saturations: int
    pruned: int


class HeadChoice(Protocol):
    """Chooses the heads that are pruned. Layers come in order; after the last one, the next sentence's first."""

    def pruned(self, seen: HeadView) -> Mask:
        """(heads,) heads of the next layer that are pruned."""
        ...

    def finish(self, output: Int8) -> None:
        """Take the (heads, L, d) outputs of the layer, zeros for pruned heads."""
        ...


class ThresholdHeads:
    """Prunes heads whose magnitude of scores is below τ, as the hardware does."""

    def __init__(self, tau: float):
        self._tau = tau

    def pruned(self, seen: HeadView) -> Mask:
        """See :class:`HeadChoice`."""
        return head_magnitudes(seen) < self._tau

    def finish(self, output: Int8) -> None:
        """See :class:`HeadChoice`."""


class RandomHeads:
    """Prunes a share of the heads of each layer at random."""

    def __init__(self, share: float, random: np.random.Generator):
        self._share, self._random = share, random

    def pruned(self, seen: HeadView) -> Mask:
        """See :class:`HeadChoice`."""
        return random_heads(len(seen.q), self._share, self._random)

    def finish(self, output: Int8) -> None:
        """See :class:`HeadChoice`."""


class CascadedHeads:
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

    def pruned(self, seen: HeadView) -> Mask:
        """See :class:`HeadChoice`."""
        if self._layer == 0:
            self._heads = CascadeHeads(len(seen.q), len(self._units), self._parameter)
        return self._heads.pruned

    def finish(self, output: Int8) -> None:
        """See :class:`HeadChoice`."""
        self._heads.advance(np.abs(output.astype(np.int64)).sum(axis=(1, 2)) * self._units[self._layer])
        self._layer = (self._layer + 1) % len(self._units)


class BlockChoice(NamedTuple):
    """A rule that prunes blocks or elements, with its parameter."""

    rule: Rule
    parameter: float


class Pruning:
    """Runs the heads of one sentence, layer by layer. Of the heads that stay, the blocks or elements are pruned.

    Parameters
    ----------
    heads : HeadChoice, optional
        Without, no head is pruned.
    blocks : BlockChoice, optional
        Without, heads that stay are whole.
    exact : bool
        Whether rules see exact scores.
    random : numpy.random.Generator, optional
        For rules that choose blocks at random.
    """

    def __init__(
        self,
        *,
        heads: HeadChoice | None = None,
        blocks: BlockChoice | None = None,
        exact: bool = False,
        random: np.random.Generator | None = None,
    ):
        self._heads, self._blocks, self._exact, self._random = heads, blocks, exact, random

    def run(self, config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8) -> Layer:
        """Outputs of the next layer, of (heads, L, d) Q, K and V."""
        seen = view(config, command, q, k, exact=self._exact, random=self._random)
        pruned = np.zeros(len(q), np.bool_) if self._heads is None else self._heads.pruned(seen)
        stay = ~pruned
        kept = np.zeros((*q.shape[:-1], k.shape[-2]), np.bool_)
        output, saturations = np.zeros_like(q), 0
        if stay.any():
            mask, elements = np.ones_like(kept), True
            if self._blocks is not None:
                rule, parameter = self._blocks
                mask, elements = rule.keep(seen, parameter), rule.elements
            output[stay], kept[stay], saturations = masked_heads(
                config, command, q[stay], k[stay], v[stay], mask[stay], elements=elements
            )
        if self._heads is not None:
            self._heads.finish(output)
        return Layer(output, kept, saturations, int(pruned.sum()))


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
            self._count(found, command)
        return dequantise(np.stack(outputs), self._scales.layers[layer].o)

    def _count(self, layer: Layer, command: HeadCommand) -> None:
        heads = len(layer.kept)
        blocks = int(visible_blocks(self._config, command).sum())
        self.counts.update(
            heads=heads,
            pruned_heads=layer.pruned,
            blocks=heads * blocks,
            kept_blocks=int(blocks_of(self._config, layer.kept).sum()),
            blocks_of_pruned_heads=layer.pruned * blocks,
            elements=heads * int(visible_positions(command).sum()),
            kept_elements=int(layer.kept.sum()),
            outputs=layer.output.size,
            saturations=layer.saturations,
        )
