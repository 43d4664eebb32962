"""Products of an SpMM engine: conversion to the payloads of its input streams, and back from its output streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..hdl.spmm.engine import Spmm
from ..hdl.spmm.product_streams import input_layout, spmm_signature, weights_layout
from ..spec.errors import InputError, SimulationError
from ..spec.formats import INT8_MAX, INT8_MIN, ceil_div
from ..spec.schedule import row_steps, schedule
from ..spec.spmm_command import FORMAT_CODES, Activation, SpmmCommand, SpmmError
from ..spec.spmm_config import SpmmConfig, WeightFormat
from ..spec.weight_words import engine_word_shape
from .batch import Batch, Run, Work, about
from .build import Design

__all__ = ["PackedMatrix", "SpmmBatch", "SpmmJob", "SpmmRun", "SpmmStatistics", "spmm_design", "word_bytes"]

PADDING = 85
"""Value of the padding that the hardware must ignore. It is not 0, so that an error becomes visible."""


class PackedMatrix(Protocol):
    """Packed weight matrix: any object with these attributes. See :mod:`~thresher.spec.weight_words`.

    Attributes
    ----------
    format : WeightFormat
    rows, columns : int
        M and K.
    banks : int
        Used in the bank-balanced format. It must be that of the engine.
    kept, group : int
        Used in the N:M format. They must be those of the engine.
    values : (words, values per word) int8
    indices : (words, values per word) unsigned integers
        Not used in the dense format.
    lengths : (rows,) integers
        Number of words of each row.
    """

    @property
    def format(self) -> WeightFormat: ...
    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def banks(self) -> int: ...
    @property
    def kept(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def values(self) -> np.ndarray: ...
    @property
    def indices(self) -> np.ndarray: ...
    @property
    def lengths(self) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class SpmmJob:
    """A product Y = act(requantise(W·X + b)).

    Parameters
    ----------
    weights : PackedMatrix
        W, of shape (M, K).
    x : (K, N) int8
    bias, multiplier, shift : (M,) integers
        See :func:`~thresher.spec.spmm_command.row_scaling`.
    activation : Activation
    table : (256,) integers from −128 to 127, optional
        Activation table to load before the product: results for −128…127, in this order. Without it the table of an
        earlier product remains.
    spread : bool, optional
        Spread the lanes over the banks of a row. By default this is done if the weights are bank-balanced and there are
        fewer tokens than lanes.
    """

    weights: PackedMatrix
    x: NDArray[np.int8]
    bias: NDArray[np.integer]
    multiplier: NDArray[np.integer]
    shift: NDArray[np.integer]
    activation: Activation = Activation.NONE
    table: NDArray[np.integer] | Sequence[int] | None = None
    spread: bool | None = None

    def command(self, config: SpmmConfig) -> SpmmCommand:
        """Command of this product.

        Raises
        ------
        InputError
            X is not an int8 matrix.
        """
        _check_array("X", self.x, 2)
        if self.x.dtype != np.int8:
            raise InputError(f"X must be an int8 array, not {self.x.dtype}")
        tokens = self.x.shape[1]
        spread = self.spread
        if spread is None:
            spread = self.weights.format is WeightFormat.BBS and tokens < config.lanes
        return SpmmCommand(
            rows=int(self.weights.rows),
            columns=int(self.weights.columns),
            tokens=tokens,
            format=FORMAT_CODES[self.weights.format],
            spread=int(spread),
            activation=int(self.activation),
            load_table=int(self.table is not None),
        )


@dataclass(frozen=True, kw_only=True)
class SpmmStatistics:
    """Statistics of a product.

    Attributes
    ----------
    error : SpmmError
        Reason why the command is rejected, or ``NONE``.
    saturations : int
        Number of results that were clipped to INT8, before the activation.
    cycles : int
        Clock cycles from the acceptance of the command to the last output beat.
    """

    error: SpmmError
    saturations: int
    cycles: int


SpmmRun = Run[SpmmStatistics]
"""Answer of the engine to a product. Its output has shape (M, N)."""


def spmm_design(config: SpmmConfig) -> Design:
    """Design of an SpMM engine. It is emitted only on a cache miss."""
    key = f"Spmm {config.to_json()}"
    return Design(signature=spmm_signature(config), make=lambda: Spmm(config), key=key)


def _check_array(name: str, array: Any, dimensions: int) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != dimensions or array.dtype.kind not in "iu":
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"{name} must be an array of integers with {dimensions} dimensions, not {found}")


def word_bytes(config: SpmmConfig, weights: PackedMatrix) -> NDArray[np.int8]:
    """Weight words as beats of the weight streams, (words, bytes).

    Raises
    ------
    InputError
        The layout of the words is not that of the engine, or the lengths of rows do not add up to their number.
    """
    shape = engine_word_shape(config, weights.format)
    for name in ("values", "indices"):
        _check_array(f"{name} of the weights", getattr(weights, name), 2)
    _check_array("lengths of the weights", weights.lengths, 1)
    count = len(weights.values)
    if weights.values.dtype != np.int8 or weights.values.shape[1] != shape.values:
        raise InputError(f"words of {weights.format} weights must have {shape.values} int8 values on this engine")
    if len(weights.lengths) != weights.rows or int(weights.lengths.sum()) != count or (weights.lengths < 0).any():
        raise InputError(f"lengths of the weights must be {weights.rows} numbers of words, {count} in all")
    words = np.full((count, weights_layout(config).length), PADDING, np.int8)
    words[:, : shape.values] = weights.values
    if shape.index_bits:
        indices = weights.indices
        if indices.shape != weights.values.shape or (count and int(indices.max()) >> shape.index_bits):
            raise InputError(f"indices of the weights must be one index of {shape.index_bits} bits for each value")
        bits = (indices[:, :, None] >> np.arange(shape.index_bits, dtype=indices.dtype)) & 1
        packed = np.packbits(
            bits.astype(np.uint8).reshape(count, shape.values * shape.index_bits), axis=1, bitorder="little"
        )
        words[:, shape.values : shape.values + packed.shape[1]] = packed.view(np.int8)
    return words


class _Product(Work):
    """A product of a batch."""

    def __init__(self, config: SpmmConfig, item: SpmmJob | SpmmCommand, *, table_loaded: bool):
        self.config = config
        self.command = item if isinstance(item, SpmmCommand) else item.command(config)
        self.command.check_encodable(config)
        self.output_beats, self.cycle_limit = 0, 100
        if self.command.rejection(config, table_loaded=table_loaded) is not SpmmError.NONE:
            return
        if isinstance(item, SpmmCommand):
            raise InputError(f"the engine accepts {item}: give a job, with operands")
        self.job, weights = item, item.weights
        self.rows, self.columns, self.tokens = self.command.rows, self.command.columns, self.command.tokens
        self.spread = bool(self.command.spread)
        self.pass_tokens = config.spread_tokens if self.spread else config.lanes
        self.passes = ceil_div(self.tokens, self.pass_tokens)
        self.row_beats = ceil_div(self.rows, config.rows)
        if weights.format is WeightFormat.BBS and weights.banks != config.banks:
            raise InputError(f"weights must have {config.banks} banks for this engine, not {weights.banks}")
        if weights.format is WeightFormat.NM and (weights.kept, weights.group) != (config.kept, config.group):
            raise InputError(
                f"weights must be {config.kept}:{config.group} for this engine, not {weights.kept}:{weights.group}"
            )
        if item.x.shape[0] != self.columns:
            raise InputError(f"X must have {self.columns} rows, one per column of W, not {item.x.shape[0]}")
        steps = row_steps(config, weights.format, weights.lengths.tolist(), spread=self.spread)
        self.engines = np.array(schedule(config, steps, spread=self.spread))
        self.output_beats = self.passes * self.row_beats
        if not self.spread:
            full, tail = divmod(self.tokens, config.lanes)
            self.output_beats = self.rows * (full * config.beats_per_row + ceil_div(tail, config.drain_lanes))
        # Engines and streams never overlap.
        pass_cycles = sum(steps) + self.rows + self.columns + 200
        self.cycle_limit = self.passes * pass_cycles + self.output_beats + 1000

    def fillers(self) -> dict[str, NDArray[Any]]:
        config = self.config
        row = np.dtype([(name, np.int64) for name in config.row_widths()])
        beats = {"i_rows": np.zeros((1, config.rows), row), "i_inputs": np.zeros((1, config.lanes), np.int8)}
        if self.command.load_table:
            beats["i_table"] = np.zeros((1, 1), np.int8)
        words = np.zeros((1, weights_layout(config).length), np.int8)
        return beats | {f"i_weights__{engine}": words for engine in range(config.rows)}

    def operands(self) -> dict[str, NDArray[Any]]:
        weights = {f"i_weights__{engine}": beats for engine, beats in enumerate(self._weights())}
        return {"i_rows": self._rows(), "i_inputs": self._inputs(), "i_table": self._table(), **weights}

    def _rows(self) -> np.ndarray:
        """Settings of the rows, (passes · beats, rows) structures."""
        config, job = self.config, self.job
        widths = config.row_widths()
        payloads = np.zeros(self.row_beats * config.rows, [(name, np.int64) for name in widths])
        for name, (bits, is_signed) in widths.items():
            # The hardware must ignore rows beyond M: give them the largest numbers.
            payloads[name] = (1 << (bits - is_signed)) - 1
        if self.spread:  # here all engines work on the rows of a beat, and rows beyond M must be empty
            payloads["length"] = 0
        settings = {name: getattr(job, name) for name in ("bias", "multiplier", "shift")}
        for name, values in (settings | {"engine": self.engines, "length": job.weights.lengths}).items():
            _check_array(name, values, 1)
            if len(values) != self.rows:
                raise InputError(f"{name} must be {self.rows} numbers, one per row of W, not {len(values)}")
            payloads[name][: self.rows] = values
        return np.tile(payloads.reshape(-1, config.rows), (self.passes, 1))

    def _weights(self) -> list[np.ndarray]:
        """Weight words of each engine, (passes · words of the engine, bytes) int8."""
        words = word_bytes(self.config, self.job.weights)
        owners = np.repeat(self.engines, self.job.weights.lengths)
        return [np.tile(words[owners == engine], (self.passes, 1)) for engine in range(self.config.rows)]

    def _inputs(self) -> np.ndarray:
        """Beats of X, (passes · beats, lanes) int8."""
        banks = self.config.banks if self.spread else 1
        beats = ceil_div(self.columns, banks)
        padded = np.full((banks * beats, self.passes * self.pass_tokens), PADDING, np.int8)
        padded[: self.columns, : self.tokens] = self.job.x
        by_pass = padded.reshape(banks, beats, self.passes, self.pass_tokens).transpose(2, 1, 0, 3)
        return by_pass.reshape(-1, input_layout(self.config).length)

    def _table(self) -> np.ndarray:
        """Entries of the activation table, (256, 1) int8; (0, 1) if the job has none."""
        if self.job.table is None:
            return np.zeros((0, 1), np.int8)
        table = np.asarray(self.job.table)
        entries = INT8_MAX - INT8_MIN + 1
        right = table.shape == (entries,) and table.dtype.kind in "iu"
        if not (right and table.min() >= INT8_MIN and table.max() <= INT8_MAX):
            raise InputError(f"the activation table must be {entries} integers from {INT8_MIN} to {INT8_MAX}")
        return table.astype(np.int8)[:, None]

    def output(self, beats: NDArray[np.int8]) -> NDArray[np.int8]:
        spare = beats[:, :0]
        if self.spread:
            used = self.config.rows * self.config.spread_tokens
            shape = self.passes, self.row_beats * self.config.rows, self.config.spread_tokens
            spare, parts = beats[:, used:], [beats[:, :used].reshape(shape)]
        else:
            full = self.tokens // self.config.lanes
            whole = full * self.rows * self.config.beats_per_row
            parts = [beats[:whole].reshape(full, self.rows, self.config.lanes)]
            if whole < len(beats):
                parts.append(beats[whole:].reshape(1, self.rows, -1))
        padded = np.concatenate([part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in parts], axis=1)
        if spare.any() or padded[self.rows :].any() or padded[:, self.tokens :].any():
            raise SimulationError(f"output beyond {self.rows} rows and {self.tokens} tokens is not zero")
        return padded[: self.rows, : self.tokens].copy()


class SpmmBatch(Batch[SpmmStatistics]):
    """Products that stream through an engine.

    Parameters
    ----------
    config : SpmmConfig
    jobs : sequence of SpmmJob or SpmmCommand
        A command without operands must be one that the engine rejects. The operands of a job that the engine rejects
        are not used.
    table_loaded : bool
        Whether the engine has a table from an earlier batch.

    Attributes
    ----------
    table_loaded : bool
        Whether the engine has a table after this batch.

    Raises
    ------
    InputError
        Operands do not fit each other or the engine.
    CommandValueError
        A command does not fit the fields of the command stream.
    """

    def __init__(self, config: SpmmConfig, jobs: Sequence[SpmmJob | SpmmCommand], *, table_loaded: bool = False):
        products: list[Work] = []
        for index, item in enumerate(jobs):
            with about("product", index):
                product = _Product(config, item, table_loaded=table_loaded)
            table_loaded |= product.output_beats > 0 and bool(product.command.load_table)
            products.append(product)
        self.table_loaded = table_loaded
        super().__init__(spmm_design(config), "product", products)

    def statistics(self, fields: dict[str, int]) -> SpmmStatistics:
        """Statistics from the payload of the statistics stream."""
        return SpmmStatistics(**{**fields, "error": SpmmError(fields["error"])})
