"""Post-training quantisation of attention: scales from the ranges of Q, K, V and O on given sentences."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..spec.attention_command import HeadCommand, head_command
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError, InputError
from ..spec.formats import INT8_MAX
from ..spec.inputs import read_text
from .calibration import show_tensors
from .encoder import Encoder
from .ranges import DEFAULT_PERCENTILE, ChannelRanges, Method, check_ranges
from .weights import Float32

__all__ = ["AttentionScales", "LayerScales", "Method", "calibrate", "dequantise", "load_scales", "quantise"]

Int8 = NDArray[np.int8]

LARGEST_SCALE = float(np.finfo(np.float32).max)


def quantise(name: str, x: Float32, scale: float) -> Int8:
    """round(x / scale), halves to even, clipped to −127…127.

    Parameters
    ----------
    name : str
        What ``x`` is, for the message.
    x : float array
    scale : float
        Value of one unit, > 0.

    Raises
    ------
    InputError
        ``x`` holds NaN or infinity.
    """
    if not np.isfinite(x).all():
        raise InputError(f"{name} holds NaN or infinity and cannot be quantised: check the model's weights")
    return np.clip(np.rint(x / np.float32(scale)), -INT8_MAX, INT8_MAX).astype(np.int8)


def dequantise(x: Int8, scale: float) -> Float32:
    """x · scale as float32."""
    return x * np.float32(scale)


@dataclass(frozen=True, kw_only=True)
class LayerScales:
    """Value of one unit of a layer's Q, K, V and O."""

    q: float
    k: float
    v: float
    o: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, float | int) or not 0 < value <= LARGEST_SCALE:
                raise ConfigError(name, value, "a scale must be a positive, finite number")

    def command(
        self,
        config: AttentionConfig,
        *,
        length: int,
        head_dim: int,
        rho: float = -1.0,
        tau: float = 0.0,
        causal: bool = False,
    ) -> HeadCommand:
        """The command for a self-attention head of this layer; raises as
        :func:`~thresher.spec.attention_command.head_command`."""
        return head_command(
            config,
            query_length=length,
            key_length=length,
            head_dim=head_dim,
            score_scale=self.q * self.k / math.sqrt(head_dim),
            output_scale=self.v / self.o,
            rho=rho,
            tau=tau,
            causal=causal,
        )


@dataclass(frozen=True, kw_only=True)
class AttentionScales:
    """Scales of every layer, and the settings of the calibration."""

    method: str
    percentile: float
    sentences: int
    layers: tuple[LayerScales, ...]

    def to_json(self) -> str:
        """JSON that :meth:`from_json` reads."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "AttentionScales":
        """Read scales.

        Raises
        ------
        InputError
            The text is not what :meth:`to_json` writes.
        ConfigError
            A scale is not positive.
        """
        try:
            found = json.loads(text)
            layers = tuple(LayerScales(**layer) for layer in found.pop("layers"))
            kinds = {"method": (str,), "percentile": (int, float), "sentences": (int,)}
            wrong = [name for name, kind in kinds.items() if type(found.get(name)) not in kind]
            if wrong:
                raise ValueError(f"{wrong[0]} is missing or of another kind")
            return cls(**found, layers=layers)
        except ConfigError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"calibration is not JSON of attention scales ({error}): calibrate again") from None


TENSORS = {"query": "q", "key": "k", "value": "v", "context": "o"}
"""Tensors of an encoder's layer whose scales the attention needs, and names of these scales."""


def calibrate(
    encoder: Encoder,
    batches: Iterable[NDArray[np.int64]],
    *,
    types: Iterable[NDArray[np.int64] | None] = repeat(None),
    method: Method = "percentile",
    percentile: float = DEFAULT_PERCENTILE,
) -> AttentionScales:
    """Find scales by running the encoder in float32.

    Parameters
    ----------
    batches : iterable of (batch, length) int64
        Token ids of the calibration sentences.
    types : iterable of (batch, length) int64, optional
        Their token types, by default 0.
    method : Method
        What INT8's 127 stands for; see :data:`~thresher.model.ranges.METHODS`.
    percentile : float
        Of the magnitudes, for the method of that name; 50 < percentile ≤ 100.

    Raises
    ------
    ConfigError
        Method or percentile is not allowed.
    InputError
        There is no sentence, or activations are not finite.
    """
    check_ranges(method, percentile)
    layers = range(encoder.config.num_hidden_layers)
    ranges = [{name: ChannelRanges(1, fraction_bits=9) for name in TENSORS.values()} for _ in layers]

    def record(layer: int, tensor: str, values: Float32) -> None:
        if tensor in TENSORS:
            ranges[layer][TENSORS[tensor]].observe(values)

    sentences = show_tensors(encoder, batches, types, record)

    def scale(found: ChannelRanges) -> float:
        return float(found.bounds(method, percentile=percentile)[0]) / INT8_MAX

    return AttentionScales(
        method=method,
        percentile=100.0 if method == "min-max" else float(percentile),
        sentences=sentences,
        layers=tuple(LayerScales(**{name: scale(found) for name, found in layer.items()}) for layer in ranges),
    )


def load_scales(path: Path) -> AttentionScales:
    """Read scales that were written as JSON; raises as :meth:`AttentionScales.from_json`."""
    return AttentionScales.from_json(read_text(path))
