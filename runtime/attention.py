"""Attention of a model on the accelerator: quantise, run heads on a backend, dequantise, keep count."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..golden.attention.core import HeadResult, attention_head
from ..golden.attention.predictor import predict
from ..golden.attention.selection import select
from ..model.quantise import AttentionScales, Int8, dequantise, quantise
from ..model.weights import Float32
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError, InputError
from ..spec.formats import ceil_div
from ..spec.heads import Head, HeadStatistics

__all__ = [
    "AcceleratorAttention",
    "AttentionTotals",
    "Backend",
    "CheckedBackend",
    "GoldenBackend",
    "HeadShape",
    "RandomMaskBackend",
    "check_fits",
]


class Backend(Protocol):
    """Runs heads: the golden model, or hardware."""

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[tuple[Int8 | None, HeadStatistics]]:
        """(length, d) int8 output and statistics of each head, in order; no output where the command was refused."""
        ...


class GoldenBackend:
    """Runs heads on the golden model."""

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[tuple[Int8 | None, HeadStatistics]]:
        """See :class:`Backend`."""
        results = (attention_head(config, *head) for head in heads)
        return [(result.output, result.statistics) for result in results]


class RandomMaskBackend:
    """The control of a pruning claim: keeps as many blocks of each block row as the policy would, but random ones.

    The head mask stays that of the policy.

    Parameters
    ----------
    seed : int or sequence of int
        Seeds NumPy's default generator.
    """

    def __init__(self, seed: int | Sequence[int]):
        self._random = np.random.default_rng(seed)

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[tuple[Int8 | None, HeadStatistics]]:
        """See :class:`Backend`."""
        results = []
        for command, q, k, v in heads:
            selection = select(config, predict(config, q.astype(np.int64), k.astype(np.int64)), command)
            mask = self.shuffle(selection.mask)
            result = attention_head(config, command, q, k, v, mask=mask)
            results.append((result.output, result.statistics))
        return results

    def shuffle(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(nq, nk) kept blocks to as many kept blocks of each row, at random places."""
        return self._random.permuted(mask, axis=1)


class CheckedBackend:
    """Runs every head on two backends and compares outputs and statistics bit for bit.

    Attributes
    ----------
    heads, mismatches : int
        Heads compared, and how many of them differed.
    """

    def __init__(self, backend: Backend, reference: Backend):
        self._backend, self._reference = backend, reference
        self.heads = 0
        self.mismatches = 0

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[tuple[Int8 | None, HeadStatistics]]:
        """The first backend's results."""
        results = self._backend.run(config, heads)
        expected = self._reference.run(config, heads)
        for (output, found), (wanted, told) in zip(results, expected, strict=True):
            self.heads += 1
            same = np.array_equal(output, wanted) if output is not None and wanted is not None else output is wanted
            self.mismatches += not (same and found == told)
        return results


class HeadShape(NamedTuple):
    """All that decides how long a head of a given core takes."""

    length: int
    head_dim: int
    kept_blocks: int
    pruned: bool


@dataclass(frozen=True, kw_only=True)
class AttentionTotals:
    """Counts over heads. A pruned head counts all of its blocks as pruned.

    Attributes
    ----------
    outputs, saturations : int
        INT8 outputs, and how many of them were clipped.
    shapes : Counter of HeadShape
        How many heads were alike.
    """

    heads: int = 0
    pruned_heads: int = 0
    blocks: int = 0
    kept_blocks: int = 0
    outputs: int = 0
    saturations: int = 0
    shapes: Counter[HeadShape] = field(default_factory=Counter)

    def __add__(self, other: "AttentionTotals") -> "AttentionTotals":
        return AttentionTotals(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def block_sparsity(self) -> float:
        """Share of all blocks that were not computed."""
        return 1 - self.kept_blocks / self.blocks if self.blocks else 0.0

    @property
    def head_sparsity(self) -> float:
        """Share of all heads that were pruned whole."""
        return self.pruned_heads / self.heads if self.heads else 0.0

    @property
    def saturated(self) -> float:
        """Share of all outputs that were clipped."""
        return self.saturations / self.outputs if self.outputs else 0.0


def check_fits(config: AttentionConfig, head_dim: int) -> None:
    """Refuse a model whose heads the hardware cannot hold.

    Raises
    ------
    InputError
        Gives both numbers.
    """
    if head_dim > config.max_head_dim:
        raise InputError(
            f"the model's heads have {head_dim} dimensions, but this hardware takes at most {config.max_head_dim}: "
            "choose a larger preset"
        )


class AcceleratorAttention:
    """Attention of a model's layers on a backend: an :data:`~thresher.model.bert.Attend`.

    Parameters
    ----------
    config : AttentionConfig
    scales : AttentionScales
        One entry per layer of the model.
    backend : Backend
    rho, tau : float
        Block and head threshold of every head; −1 and 0 switch pruning off.
    watch : (layer, head), optional
        Head of the batch's first sentence whose trace is wanted.

    Attributes
    ----------
    log : list of lists of HeadStatistics
        One list per call (layer), batch by batch and head by head.
    totals : AttentionTotals
    """

    def __init__(
        self,
        *,
        config: AttentionConfig,
        scales: AttentionScales,
        backend: Backend,
        rho: float = -1.0,
        tau: float = 0.0,
        watch: tuple[int, int] | None = None,
    ):
        self.config, self.scales, self.backend = config, scales, backend
        self.rho, self.tau = rho, tau
        self.log: list[list[HeadStatistics]] = []
        self.totals = AttentionTotals()
        self._watch = watch
        self._watched: Head | None = None

    def __call__(self, layer: int, q: Float32, k: Float32, v: Float32) -> Float32:
        """(batch, heads, length, d) float32 Q, K, V to the attention output of the same shape.

        Raises
        ------
        InputError
            Values are not finite, or the hardware refused a head.
        ConfigError
            The layer has no scales, or ρ, τ or a scale is outside what the hardware takes.
        """
        batch, heads, length, d = q.shape
        check_fits(self.config, d)
        if layer >= len(self.scales.layers):
            raise ConfigError("scales", f"{len(self.scales.layers)} layers", "calibrate with this model")
        scales = self.scales.layers[layer]
        command = scales.command(self.config, length=length, head_dim=d, rho=self.rho, tau=self.tau)
        q8 = quantise(f"Q of layer {layer}", q, scales.q)
        k8 = quantise(f"K of layer {layer}", k, scales.k)
        v8 = quantise(f"V of layer {layer}", v, scales.v)
        work = [(command, q8[b, h], k8[b, h], v8[b, h]) for b in range(batch) for h in range(heads)]
        if self._watch is not None and self._watch[0] == layer:
            self._watched = work[self._watch[1]]

        outputs, statistics = [], []
        for output, told in self.backend.run(self.config, work):
            if output is None:
                raise InputError(
                    f"the hardware refused a head of {length} tokens and {d} dimensions "
                    f"({told.error.name}): choose a larger preset"
                )
            outputs.append(output)
            statistics.append(told)
        self._count(statistics, length, d)
        return dequantise(np.stack(outputs).reshape(q.shape), scales.o)

    def _count(self, statistics: list[HeadStatistics], length: int, d: int) -> None:
        self.log.append(statistics)
        self.totals += AttentionTotals(
            heads=len(statistics),
            pruned_heads=sum(s.pruned for s in statistics),
            blocks=len(statistics) * ceil_div(length, self.config.block) ** 2,
            kept_blocks=sum(s.kept_blocks for s in statistics),
            outputs=len(statistics) * length * d,
            saturations=sum(s.saturations for s in statistics),
            shapes=Counter(HeadShape(length, d, s.kept_blocks, s.pruned) for s in statistics),
        )

    def watched(self) -> HeadResult | None:
        """The golden result of the watched head, with its trace; ``None`` before its layer ran."""
        return None if self._watched is None else attention_head(self.config, *self._watched)
