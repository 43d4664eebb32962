"""A whole encoder in integers: the golden model, with its heads on a backend."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..golden.encoder import class_scores, encode
from ..model.config import EncoderConfig
from ..model.encoder import Encoder
from ..model.integer import IntegerEncoder
from ..model.load import Model
from ..model.packed_file import PackedModel, read_packed
from ..model.pruning.formats import FormatPattern
from ..model.pruning.layers import Progress
from ..model.pruning.method import DEFAULT_METHOD, MethodName, check_method
from ..model.pruning.patterns import KEEP, Sparsity
from ..model.quantise import Int8
from ..model.ranges import DEFAULT_PERCENTILE, Method, check_ranges
from ..model.sentence import run_steps
from ..model.sparse_encoder import encoder_of_packed
from ..model.tokenizer import Text
from ..model.weights import Float32
from ..spec.attention_command import HeadCommand
from ..spec.attention_config import AttentionConfig
from ..spec.base import check_one_of
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import ConfigError, InputError
from ..spec.formats import INT8_BITS
from ..spec.heads import Head
from ..spec.spmm_config import SpmmConfig, WeightFormat
from ..spec.weight_words import WEIGHT_BITS, pattern_columns
from .attention import AttentionTotals, count_heads, run_heads
from .backends import Backend

__all__ = ["Coprocessor", "WholeEncoder", "integer_outputs", "output_scales"]


@dataclass(frozen=True, kw_only=True)
class Coprocessor:
    """A model's encoder in integers, and the hardware that it runs on.

    Parameters
    ----------
    integer : IntegerEncoder
    engine : SpmmConfig
        Computes the products.
    """

    integer: IntegerEncoder
    engine: SpmmConfig

    @property
    def zeros(self) -> float:
        """Share of the layers' weights that are 0."""
        products = [
            product
            for layer in self.integer.golden.layers
            for product in (layer.projections, layer.attention_output, *layer.intermediate, layer.output)
        ]
        weights = [np.asarray(product.weights) for product in products]
        return 1 - sum(map(np.count_nonzero, weights)) / sum(each.size for each in weights)


@dataclass(frozen=True, kw_only=True)
class WholeEncoder:
    """How an encoder is put into integers.

    Parameters
    ----------
    config : CoprocessorConfig
        The hardware.
    weight_format, weight_sparsity : WeightFormat, Sparsity or None
        Pattern and share of pruned weights; see :class:`~thresher.model.pruning.formats.FormatPattern`.
    weight_method : MethodName
        How they are pruned; see :data:`~thresher.model.pruning.method.METHODS`.
    packed : Path, optional
        File of packed weights, in place of pruning.
    range_method, percentile, per_channel, weight_bits : Method, float, bool, int
        See :func:`~thresher.model.integer.encoder.integer_encoder`.
    host_embeddings : bool
        See :func:`~thresher.model.compiler.constants.encoder_constants`.
    all_weights : bool
        Store weights that are 0, too, and multiply by them.

    Raises
    ------
    ConfigError
        Weights cannot have so many bits, there is no such method, or the percentile is not allowed.
    """

    config: CoprocessorConfig
    weight_format: WeightFormat = WeightFormat.DENSE
    weight_sparsity: Sparsity | None = None
    weight_method: MethodName = DEFAULT_METHOD
    packed: Path | None = None
    range_method: Method = "min-max"
    percentile: float = DEFAULT_PERCENTILE
    per_channel: bool = True
    weight_bits: int = INT8_BITS
    host_embeddings: bool = False
    all_weights: bool = False

    def __post_init__(self):
        check_one_of("weight_bits", self.weight_bits, WEIGHT_BITS)
        check_method("weight_method", self.weight_method)
        check_ranges(self.range_method, self.percentile)

    @property
    def pruning(self) -> str | None:
        """How the weights are pruned, or ``None``."""
        if self.packed is not None:
            return str(self.packed)
        if self.weight_format is WeightFormat.DENSE:
            return None
        if self.weight_sparsity == KEEP:
            return f"{self.weight_format} {KEEP}"
        share = "" if self.weight_sparsity is None else f" {self.weight_sparsity}"
        return f"{self.weight_format}{share} by {self.weight_method}"

    @property
    def dense(self) -> "WholeEncoder":
        """The same with all weights of the model, also those that are 0."""
        return replace(self, weight_format=WeightFormat.DENSE, weight_sparsity=None, packed=None, all_weights=True)

    @property
    def stored_format(self) -> WeightFormat | None:
        """Format of the weights in memory: that of pruning, or ``None`` for the best of each matrix."""
        if self.all_weights:
            return WeightFormat.DENSE
        if self.packed is not None or self.weight_format is WeightFormat.DENSE:
            return None
        return self.weight_format

    def check_fits(self, model: EncoderConfig) -> None:
        """Check before any work that the engine and the vector unit can take a model.

        Raises
        ------
        InputError
            They cannot; the message gives both sizes. Or the model is no encoder of texts.
        """
        model.check_encoder()
        hidden, wide = model.hidden_size, model.intermediate_size
        rows, columns = max(3 * hidden, wide), max(hidden, wide)
        engine, channels = self.config.spmm, self.config.vector.max_channels
        if rows > engine.max_rows or columns > engine.max_columns:
            raise InputError(
                f"the model's products have up to {rows} rows and {columns} columns, but this engine takes at most "
                f"{engine.max_rows} and {engine.max_columns}: choose a larger preset"
            )
        if hidden > channels:
            raise InputError(
                f"the model has {hidden} channels, but the vector unit takes at most {channels}: choose a larger preset"
            )

    def coprocessor(
        self,
        model: Model,
        sentences: Sequence[Text],
        *,
        progress: Progress | None = None,
    ) -> Coprocessor:
        """Prune and quantise a model's encoder.

        Parameters
        ----------
        sentences : sequence of Text
            For pruning and for the ranges of the activations.
        progress : callable, optional
            Called with the number of matrices pruned and of all matrices.

        Raises
        ------
        ThresherError
            The file of weights cannot be read, model and hardware do not fit together, or a setting is not allowed.
        """
        encoder, packed = model.encoder, None
        if self.packed is not None:
            packed = read_packed(self.packed)
            encoder = encoder_of_packed(encoder, packed)
        elif self.weight_format is not WeightFormat.DENSE:
            encoder = self._pruned(model, sentences, progress)
        integer = model.quantise(
            sentences,
            encoder=encoder,
            method=self.range_method,
            percentile=self.percentile,
            per_channel=self.per_channel,
            weight_bits=self.weight_bits,
            adjacent=self._adjacent(model.config, packed),
        )
        return Coprocessor(integer=integer, engine=self.config.spmm)

    def _adjacent(self, model: EncoderConfig, packed: PackedModel | None) -> int:
        """Columns of the second feed-forward matrix among which the pattern counts weights."""
        engine, weight_format = self.config.spmm, self.weight_format
        if packed is not None:
            engine, weight_format = next(iter(packed.matrices.values())).weights, packed.format
        columns = model.intermediate_size
        return pattern_columns(weight_format, columns=columns, banks=engine.banks, group=engine.group)

    def _pruned(self, model: Model, sentences: Sequence[Text], progress: Progress | None) -> Encoder:
        try:
            pattern = FormatPattern(
                config=self.config.spmm, weight_format=self.weight_format, sparsity=self.weight_sparsity
            )
            pruned = model.prune(sentences, pattern, method=self.weight_method, progress=progress)
        except ConfigError as error:
            if error.field != "sparsity":
                raise
            raise ConfigError("weight_sparsity", error.value, error.allowed) from None
        return model.encoder.with_linears({name: each.linear for name, each in pruned.items()})


def output_scales(coprocessor: Coprocessor) -> NDArray[np.float64]:
    """(C,) real value of 1 in each channel of the encoder's output."""
    return np.ldexp(coprocessor.integer.output_scale, coprocessor.integer.golden.output_shift)


def integer_outputs(
    model: Model,
    coprocessor: Coprocessor,
    ids: NDArray[np.int64],
    types: NDArray[np.int64] | None = None,
    *,
    config: AttentionConfig,
    backend: Backend,
    rho: float = -1.0,
    tau: float = 0.0,
) -> tuple[Float32, AttentionTotals]:
    """Outputs of the head, or embeddings, of texts of one length.

    Parameters
    ----------
    model : Model
    coprocessor : Coprocessor
        Made of this model.
    ids, types : (batch, length) int64
        Token ids and types.
    config : AttentionConfig
        Hardware of the heads.
    backend : Backend
        Runs the heads.
    rho, tau : float
        Pruning parameter and head threshold of every head.

    Returns
    -------
    outputs : (batch, outputs) float32
        Integers in their real units. What comes after the pooling of a sentence embedding is computed in float32.
    totals : AttentionTotals

    Raises
    ------
    InputError
        The model does not fit the hardware.
    ConfigError
        A threshold is out of range.
    """
    integer, engine, head_dim = coprocessor.integer, coprocessor.engine, model.config.head_dim
    totals = AttentionTotals()

    def commands(layer: int, length: int) -> HeadCommand:
        scales = integer.attention.layers[layer]
        return scales.command(config, length=length, head_dim=head_dim, rho=rho, tau=tau)

    def attend(heads: Sequence[Head]) -> list[Int8]:
        nonlocal totals
        outputs, statistics = run_heads(config, backend, heads)
        totals += count_heads(config, heads, statistics)
        return outputs

    texts = integer.texts(model.encoder, ids, types)
    hidden = encode(engine, integer.golden, texts, commands=commands, attend=attend)
    if model.is_classifier:
        scores = class_scores(engine, integer.golden, hidden).T
        return (scores * integer.output_scale).astype(np.float32), totals
    states = (np.stack(hidden).swapaxes(1, 2) * output_scales(coprocessor)).astype(np.float32)
    return run_steps(model.steps, states), totals
