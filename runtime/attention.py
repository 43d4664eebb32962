"""A model's attention on the accelerator: quantise, run the heads on a backend, dequantise, count."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np

from ..golden.attention.core import HeadResult, attention_head
from ..golden.attention.visible import visible_blocks
from ..model.config import EncoderConfig
from ..model.quantise import AttentionScales, Int8, dequantise, quantise
from ..model.weights import Float32
from ..spec.attention_command import HeadCommand
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError, InputError
from ..spec.heads import Head, HeadStatistics
from .backends import Backend

__all__ = [
    "AcceleratorAttention",
    "AttentionTotals",
    "HeadShape",
    "check_fits",
    "check_setting",
    "count_heads",
    "fitted",
    "quantised_heads",
    "run_heads",
]


class HeadShape(NamedTuple):
    """What decides how many cycles a head takes on a given core."""

    length: int
    head_dim: int
    kept_blocks: int
    pruned: bool
    causal: bool = False


@dataclass(frozen=True, kw_only=True)
class AttentionTotals:
    """Counts over heads. All blocks of a pruned head count as pruned.

    Attributes
    ----------
    outputs, saturations : int
        INT8 outputs, and how many of them were clipped.
    shapes : Counter of HeadShape
        Number of heads of each shape.
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
        """Share of all heads that were pruned as a whole."""
        return self.pruned_heads / self.heads if self.heads else 0.0

    @property
    def saturated(self) -> float:
        """Share of all outputs that were clipped."""
        return self.saturations / self.outputs if self.outputs else 0.0


def fitted(config: AttentionConfig, model: EncoderConfig) -> AttentionConfig:
    """The hardware, with causal attention if the model needs it."""
    return replace(config, causal=True) if model.causal else config


def check_fits(config: AttentionConfig, head_dim: int, *, score_bias: bool, causal: bool = False) -> None:
    """Check that the heads of a model fit the hardware.

    Parameters
    ----------
    score_bias : bool
        Whether the model adds a bias to the scores.
    causal : bool
        Whether a token of the model sees only those before it.

    Raises
    ------
    InputError
        They do not; the message gives both dimensions, or says that the hardware adds no bias.
    """
    if score_bias:
        raise InputError(
            "the model adds a bias for relative positions to its attention scores, but the hardware adds none: "
            "choose another model"
        )
    if causal and not config.causal:
        raise InputError("the model is causal, but this hardware is not: set causal to true with --config")
    if head_dim > config.max_head_dim:
        raise InputError(
            f"the model's heads have {head_dim} dimensions, but this hardware takes at most {config.max_head_dim}: "
            "choose a larger preset, or raise max_head_dim with --config"
        )


def check_setting(
    model: EncoderConfig, config: AttentionConfig, scales: AttentionScales, *, rho: float, tau: float
) -> None:
    """Check before any work that all heads of a model can run on the hardware with these scales and thresholds.

    Raises
    ------
    InputError
        The heads do not fit; see :func:`check_fits`.
    ConfigError
        There are too few or too many scales, or ρ, τ or a scale is out of range.
    """
    check_fits(config, model.head_dim, score_bias=model.has_score_bias, causal=model.causal)
    if len(scales.layers) != model.num_hidden_layers:
        raise ConfigError("scales", f"{len(scales.layers)} layers", "calibrate with this model")
    for layer in scales.layers:
        layer.command(config, length=1, head_dim=model.head_dim, rho=rho, tau=tau)


def run_heads(
    config: AttentionConfig, backend: Backend, heads: Sequence[Head]
) -> tuple[list[Int8], list[HeadStatistics]]:
    """Outputs and statistics of heads on a backend.

    Raises
    ------
    InputError
        The hardware rejected a head.
    """
    outputs, statistics = [], []
    for (command, *_), (output, found) in zip(heads, backend.run(config, heads), strict=True):
        if output is None:
            raise InputError(
                f"the hardware rejected a head of {command.query_length} tokens and {command.head_dim} dimensions "
                f"({found.error.name}): choose a larger preset"
            )
        outputs.append(output)
        statistics.append(found)
    return outputs, statistics


def count_heads(
    config: AttentionConfig, heads: Sequence[Head], statistics: Sequence[HeadStatistics]
) -> AttentionTotals:
    """Counts over heads that have run."""
    commands = [command for command, *_ in heads]
    return AttentionTotals(
        heads=len(statistics),
        pruned_heads=sum(s.pruned for s in statistics),
        blocks=sum(int(visible_blocks(config, command).sum()) for command in commands),
        kept_blocks=sum(s.kept_blocks for s in statistics),
        outputs=sum(c.query_length * c.head_dim for c in commands),
        saturations=sum(s.saturations for s in statistics),
        shapes=Counter(
            HeadShape(c.query_length, c.head_dim, s.kept_blocks, s.pruned, bool(c.causal))
            for c, s in zip(commands, statistics, strict=True)
        ),
    )


def quantised_heads(
    config: AttentionConfig,
    scales: AttentionScales,
    layer: int,
    q: Float32,
    k: Float32,
    v: Float32,
    bias: Float32 | None = None,
    *,
    rho: float = -1.0,
    tau: float = 0.0,
) -> tuple[HeadCommand, Int8, Int8, Int8]:
    """The command of a layer's heads, and Q, K and V in INT8, all (batch, heads, length, d).

    Heads are causal if ``bias`` is the mask of a causal model.

    Raises
    ------
    InputError
        A value is not finite, or there is a bias.
    ConfigError
        The layer has no scales, or ρ, τ or a scale is out of range.
    """
    length, d = q.shape[-2:]
    causal = bias is not None and bias.ndim == 2
    check_fits(config, d, score_bias=bias is not None and not causal, causal=causal)
    if layer >= len(scales.layers):
        raise ConfigError("scales", f"{len(scales.layers)} layers", "calibrate with this model")
    own = scales.layers[layer]
    command = own.command(config, length=length, head_dim=d, rho=rho, tau=tau, causal=causal)
    return (
        command,
        quantise(f"Q of layer {layer}", q, own.q),
        quantise(f"K of layer {layer}", k, own.k),
        quantise(f"V of layer {layer}", v, own.v),
    )


class AcceleratorAttention:
    """Attention of a model's layers on a backend; an :class:`~thresher.model.encoder.Attend`.

    Parameters
    ----------
    config : AttentionConfig
    scales : AttentionScales
        One entry per layer of the model.
    backend : Backend
    rho, tau : float
        Pruning parameter and head threshold of every head. The values −1 and 0 switch pruning off.
    watch : (layer, head), optional
        Head of the first sentence in each batch that :meth:`watched` returns.

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

    def __call__(self, layer: int, q: Float32, k: Float32, v: Float32, bias: Float32 | None = None) -> Float32:
        """Attention output of Q, K and V, all (batch, heads, length, d) float32.

        Raises
        ------
        InputError
            The hardware rejected a head. Otherwise as :func:`quantised_heads`.
        """
        batch, heads, _, _ = q.shape
        command, q8, k8, v8 = quantised_heads(
            self.config, self.scales, layer, q, k, v, bias, rho=self.rho, tau=self.tau
        )
        work = [(command, q8[b, h], k8[b, h], v8[b, h]) for b in range(batch) for h in range(heads)]
        if self._watch is not None and self._watch[0] == layer:
            self._watched = work[self._watch[1]]

        outputs, statistics = run_heads(self.config, self.backend, work)
        self.log.append(statistics)
        self.totals += count_heads(self.config, work, statistics)
        return dequantise(np.stack(outputs).reshape(q.shape), self.scales.layers[layer].o)

    def watched(self) -> HeadResult | None:
        """Golden result of the watched head with its trace, or ``None`` before its layer has run."""
        return None if self._watched is None else attention_head(self.config, *self._watched)
