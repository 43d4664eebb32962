"""Constants of an encoder in the memory: weights, tables, parameters of LayerNorms, embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...golden.encoder import Encoder, Product
from ...golden.lib.integer import Int8
from ...golden.machine import PARAMETERS
from ...golden.spmm.engine import Weights
from ...golden.spmm.matrices import canonical
from ...golden.spmm.packing import PackedWeights, pack, unpack
from ...golden.vector.layer_norm import LayerNorm
from ...golden.weight_memory import matrix_bytes
from ...spec.base import check_range
from ...spec.coprocessor_config import CoprocessorConfig
from ...spec.errors import InputError
from ...spec.formats import ceil_div
from ...spec.memory import filled_words, row_bytes
from ...spec.program import Region
from ...spec.schedule import row_steps, schedule
from ...spec.spmm_command import FORMAT_CODES, Activation
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ...spec.weight_words import WEIGHT_BITS, stored_word_shape
from .builder import Space

__all__ = ["Constants", "LayerPlaces", "NormPlace", "ProductPlace", "RowsPlace", "encoder_constants", "padded_rows"]

Bytes = NDArray[np.uint8]

GROUPS = 3
"""Groups of heads of a layer, unless another number of heads per group is given."""


@dataclass(frozen=True, kw_only=True)
class ProductPlace:
    """A product without X and Y: fields of its instruction.

    Attributes
    ----------
    rows, columns : int
    body : dict of str to int
    macs : int
        Weights that are not 0, which are multiplied for every token.
    steps : int
        Cycles that the busiest row engine needs for one tile of tokens.
    """

    rows: int
    columns: int
    body: dict[str, int]
    macs: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class RowsPlace:
    """Rows of channels, to gather from."""

    address: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class NormPlace:
    """Fields of the instruction of a LayerNorm."""

    channels: int
    body: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class LayerPlaces:
    """One layer.

    Attributes
    ----------
    queries : ProductPlace
        Q of all heads.
    keys_values : tuple of ProductPlace
        K and V of each head of a group of heads, one product for each group.
    intermediate : tuple of ProductPlace
        One for each class of channels.
    """

    queries: ProductPlace
    keys_values: tuple[ProductPlace, ...]
    attention_output: ProductPlace
    attention_norm: NormPlace
    intermediate: tuple[ProductPlace, ...]
    output: ProductPlace
    output_norm: NormPlace


@dataclass(frozen=True, kw_only=True)
class Constants:
    """An encoder in the region CONSTANTS.

    Attributes
    ----------
    data : (bytes,) uint8
    space : Space
        What lies where.
    head_dim : int
        Channels of a head, rounded up to a multiple of 8. The channels that are added have weights of 0.
    heads : int
        Heads of a layer.
    group : int
        Heads of a group.
    words, places : RowsPlace or (rows, E) int8
        The embeddings: where they lie, or the tables themselves if the host sends the rows of each token.
    embedding_norm, projection, layers, classifier
        As in :class:`~thresher.golden.encoder.Encoder`.
    """

    data: Bytes
    space: Space
    head_dim: int
    heads: int
    group: int
    words: RowsPlace | Int8
    places: RowsPlace | Int8
    embedding_norm: NormPlace
    projection: ProductPlace | None
    layers: tuple[LayerPlaces, ...]
    classifier: tuple[ProductPlace, ...]


def padded_rows(x: Int8) -> Bytes:
    """Rows one after another, each filled with zeros up to a whole word."""
    return np.pad(x, ((0, 0), (0, row_bytes(x.shape[1]) - x.shape[1]))).view(np.uint8).ravel()


class _Writer:
    """Fills the region."""

    def __init__(self, config: CoprocessorConfig, weight_format: WeightFormat | None):
        self.space = Space(Region.CONSTANTS)
        self._config = config
        self._format = weight_format
        self._parts: list[Bytes] = []

    def data(self) -> Bytes:
        return np.concatenate(self._parts)

    def add(self, name: str, data: Bytes) -> int:
        self._parts.append(np.pad(data, (0, -len(data) % 8)))
        return self.space.allocate(name, len(data))

    def rows(self, name: str, x: Int8) -> RowsPlace:
        return RowsPlace(address=self.add(name, padded_rows(x)), rows=len(x))

    def norm(self, name: str, norm: LayerNorm) -> NormPlace:
        parameters = np.zeros(norm.channels, PARAMETERS)
        for field in parameters.dtype.names or ():
            parameters[field] = getattr(norm, field)
        place = self.add(name, parameters.view(np.uint8))
        return NormPlace(
            channels=norm.channels, body={"parameters": place, "shift": norm.shift, "epsilon": norm.epsilon}
        )

    def product(self, name: str, product: Product, *, pruned: bool = True) -> ProductPlace:
        """Store a product. One that is never pruned takes the best format, unless all are dense."""
        config = self._config.spmm
        weight_format = self._format if pruned or self._format is WeightFormat.DENSE else None
        try:
            packed, weight_bits = _packed(config, product.weights, weight_format)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        if packed.rows > config.max_rows or packed.columns > config.max_columns:
            raise InputError(
                f"{name} has {packed.rows} rows and {packed.columns} columns, but the engine takes at most "
                f"{config.max_rows} and {config.max_columns}: choose a larger preset"
            )
        image = matrix_bytes(config, packed, product.bias, product.multiplier, product.shift, weight_bits=weight_bits)
        body = {
            "settings": self.add(f"{name}.settings", image.settings),
            "weights": self.add(f"{name}.weights", image.words),
            "segment": image.segment,
            "format": FORMAT_CODES[packed.format],
            "activation": int(Activation.NONE if product.table is None else Activation.TABLE),
            "weight_bits": WEIGHT_BITS.index(weight_bits),
        }
        if product.table is not None:
            body |= {"table": self.add(f"{name}.table", product.table.view(np.uint8)), "load_table": 1}
        steps = row_steps(config, packed.format, packed.lengths.tolist(), spread=False)
        engines = schedule(config, steps, spread=False)
        return ProductPlace(
            rows=packed.rows,
            columns=packed.columns,
            body=body,
            macs=int(np.count_nonzero(packed.values)),
            steps=int(np.bincount(engines, weights=steps).max()),
        )


def _packed(config: SpmmConfig, weights: Weights, weight_format: WeightFormat | None) -> tuple[PackedWeights, int]:
    """Pack in a format, or in any, such that cycles times bytes are fewest. 4 bits are possible if all weights fit.

    Returns
    -------
    packed : PackedWeights
    weight_bits : int
    """
    matrix = unpack(weights) if isinstance(weights, PackedWeights) else weights
    values = canonical(matrix).values.astype(int)
    lowest, highest = values.min(initial=0), values.max(initial=0)
    candidates = []
    for item in config.formats if weight_format is None else (weight_format,):
        for bits in (bits for bits in WEIGHT_BITS if -1 << (bits - 1) <= lowest and highest < 1 << (bits - 1)):
            try:
                packed = pack(matrix, item, banks=config.banks, kept=config.kept, group=config.group, delta_bits=bits)
            except InputError:
                if weight_format is not None:
                    raise
            else:
                cycles = sum(row_steps(config, item, packed.lengths.tolist(), spread=False))
                words = filled_words(stored_word_shape(config, item, bits).bits, len(packed.values))
                candidates.append((cycles * words, packed, bits))
    _, packed, bits = min(candidates, key=lambda candidate: candidate[0])
    return packed, bits


def _dense(weights: Weights) -> Int8:
    matrix = unpack(weights) if isinstance(weights, PackedWeights) else weights
    return canonical(matrix).to_dense()


def _head_rows(heads: int, hidden: int) -> NDArray[np.int64]:
    """Rows of Q, K and V of each head in the projections, (heads, 3, d); −1 for rows of zeros."""
    dim = hidden // heads
    rows = np.full((heads, 3, row_bytes(dim)), -1, np.int64)
    rows[:, :, :dim] = np.arange(3 * hidden).reshape(3, heads, dim).swapaxes(0, 1)
    return rows


def _with_rows(product: Product, rows: NDArray[np.int64]) -> Product:
    """Some rows of a product; −1 for a row of zeros."""
    there = rows >= 0
    return Product(
        weights=np.where(there[:, None], _dense(product.weights)[rows], np.int8(0)),
        bias=np.where(there, product.bias[rows], 0),
        multiplier=np.where(there, product.multiplier[rows], 0),
        shift=np.where(there, product.shift[rows], 0),
        table=product.table,
    )


def _with_columns(product: Product, heads: int) -> Product:
    """A product whose input has the channels of each head rounded up to a multiple of 8."""
    weights = _dense(product.weights)
    rows, columns = weights.shape
    dim = columns // heads
    wide = np.zeros((rows, heads, row_bytes(dim)), np.int8)
    wide[:, :, :dim] = weights.reshape(rows, heads, dim)
    return Product(
        weights=wide.reshape(rows, -1),
        bias=product.bias,
        multiplier=product.multiplier,
        shift=product.shift,
        table=product.table,
    )


def encoder_constants(
    config: CoprocessorConfig,
    encoder: Encoder,
    *,
    weight_format: WeightFormat | None = None,
    group: int | None = None,
    host_embeddings: bool = False,
) -> Constants:
    """Put an encoder into memory.

    Parameters
    ----------
    config : CoprocessorConfig
    encoder : Encoder
    weight_format : WeightFormat, optional
        Of the matrices of the layers; with ``dense``, of all. By default each takes the engine's format with the least
        cycles times bytes.
    group : int, optional
        Heads whose K and V are one product, by default a third of the heads. Each product reads X again, but the
        heads of a group run during the products of the next one.
    host_embeddings : bool
        The embeddings are not in the memory: the host sends the rows of each token in the region INPUT.

    Raises
    ------
    ConfigError
        ``group`` is not from 1 to the number of heads.
    InputError
        The encoder does not fit the units, or a matrix does not fit the format.
    """
    writer = _Writer(config, weight_format)
    hidden = len(encoder.output_shift)
    head_dim = hidden // encoder.heads
    if group is None:
        group = min(ceil_div(encoder.heads, GROUPS), max(1, config.vector.max_channels // (2 * row_bytes(head_dim))))
    _check_fits(config, encoder, hidden, group)
    rows = _head_rows(encoder.heads, hidden)
    groups: Sequence[NDArray[np.int64]] = np.split(rows[:, 1:], range(group, encoder.heads, group))
    words, places = encoder.words, encoder.places
    if not host_embeddings:
        words, places = writer.rows("words", words), writer.rows("places", places)
    embedding_norm = writer.norm("embedding.norm", encoder.embedding_norm)
    projection = None
    if encoder.projection is not None:
        projection = writer.product("embedding.projection", encoder.projection, pruned=False)
    layers = [
        LayerPlaces(
            queries=writer.product(f"layer {number}.queries", _with_rows(layer.projections, rows[:, 0].ravel())),
            keys_values=tuple(
                writer.product(f"layer {number}.heads {index * group}", _with_rows(layer.projections, part.ravel()))
                for index, part in enumerate(groups)
            ),
            attention_output=writer.product(
                f"layer {number}.attention output", _with_columns(layer.attention_output, encoder.heads)
            ),
            attention_norm=writer.norm(f"layer {number}.attention norm", layer.attention_norm),
            intermediate=tuple(
                writer.product(f"layer {number}.intermediate {index}", product)
                for index, product in enumerate(layer.intermediate)
            ),
            output=writer.product(f"layer {number}.output", layer.output),
            output_norm=writer.norm(f"layer {number}.output norm", layer.output_norm),
        )
        for number, layer in enumerate(encoder.layers)
    ]
    classifier = tuple(
        writer.product(f"classifier {number}", product, pruned=False)
        for number, product in enumerate(encoder.classifier)
    )
    return Constants(
        data=writer.data(),
        space=writer.space,
        head_dim=row_bytes(head_dim),
        heads=encoder.heads,
        group=group,
        words=words,
        places=places,
        embedding_norm=embedding_norm,
        projection=projection,
        layers=tuple(layers),
        classifier=classifier,
    )


def _check_fits(config: CoprocessorConfig, encoder: Encoder, hidden: int, group: int) -> None:
    check_range("group", group, 1, encoder.heads)
    head_dim = row_bytes(hidden // encoder.heads)
    channels = max(hidden, encoder.words.shape[1], head_dim * encoder.heads, 2 * head_dim * group)
    if channels > config.vector.max_channels:
        raise InputError(
            f"the vector unit must take {channels} channels, but takes at most {config.vector.max_channels}: "
            "choose a larger preset"
        )
    if head_dim > config.attention.max_head_dim:
        raise InputError(
            f"heads have {head_dim} dimensions, but the attention core takes at most "
            f"{config.attention.max_head_dim}: choose a larger preset"
        )
