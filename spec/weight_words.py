"""Weight words: the formats in which rows of W are stored and streamed.

A row of W is a sequence of words. A word holds one or more values and an index for each of them.

==========  ===========  =====================================================================================
format      values       index
==========  ===========  =====================================================================================
csr         1            column
csr-delta   1            columns skipped since the last value, 0…254; 255 skips 255 columns and its value is 0
bbs         ``banks``    column inside the bank; word i of a row holds the i-th value of every bank
nm          ``kept``     column inside the group; word i of a row holds group i
dense       1            none; word i holds column i
==========  ===========  =====================================================================================

The bank-balanced format ``bbs`` divides a row into ``banks`` banks of ceil(K / banks) adjacent columns; the last ones
may be shorter or empty. See Cao et al., "Efficient and Effective Sparse LSTM on FPGA with Bank-Balanced Sparsity" (FPGA
2019).

Unused places of a word, for example in a group with fewer than ``kept`` values, hold the value 0 and the lowest free
indices.

In the memory of a co-processor, weights from −8 to 7 may be stored with 4 bits. Their words have indices as wide as
those of the engine, except in the format ``csr-delta``: its deltas then have 4 bits, too, and no escape. A larger gap
takes words of the value 0, each of which moves the position by up to 16 columns.
"""

from dataclasses import dataclass

from .formats import INT8_BITS, ceil_div, unsigned_bits
from .spmm_config import SpmmConfig, WeightFormat

__all__ = [
    "DELTA_BITS",
    "ESCAPE",
    "NARROW_DELTA_BITS",
    "WEIGHT_BITS",
    "WordShape",
    "engine_word_shape",
    "pattern_columns",
    "stored_word_shape",
    "stream_bytes",
    "word_shape",
]

DELTA_BITS = 8
ESCAPE = (1 << DELTA_BITS) - 1
"""Delta that skips 255 columns and has no value."""
NARROW_DELTA_BITS = 4
"""Of a delta beside a weight of 4 bits. None of these deltas is an escape."""
WEIGHT_BITS = (INT8_BITS, 4)
"""Bits of a stored weight, in the order of the codes of the field ``weight_bits`` of PRODUCT."""


@dataclass(frozen=True)
class WordShape:
    """Layout of a weight word: ``values`` signed numbers in the lowest bits, then an unsigned index for each of them.

    A value has ``value_bits`` bits, an index ``index_bits``.
    """

    values: int
    index_bits: int
    value_bits: int = INT8_BITS

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return self.values * (self.value_bits + self.index_bits)


def word_shape(
    weight_format: WeightFormat, *, columns: int, banks: int = 1, kept: int = 2, group: int = 4
) -> WordShape:
    """Layout of the words of a matrix with ``columns`` columns.

    ``banks``, ``kept`` and ``group`` are those of :class:`~thresher.spec.spmm_config.SpmmConfig`.
    """
    match weight_format:
        case WeightFormat.CSR:
            return WordShape(1, unsigned_bits(columns - 1))
        case WeightFormat.CSR_DELTA:
            return WordShape(1, DELTA_BITS)
        case WeightFormat.BBS:
            return WordShape(banks, unsigned_bits(ceil_div(columns, banks) - 1))
        case WeightFormat.NM:
            return WordShape(kept, unsigned_bits(group - 1))
        case WeightFormat.DENSE:
            return WordShape(1, 0)


def pattern_columns(weight_format: WeightFormat, *, columns: int, banks: int, group: int) -> int:
    """Adjacent columns among which a format counts the weights of a row: a bank, a group, or 1 if it counts none.

    ``banks`` and ``group`` are those of :class:`~thresher.spec.spmm_config.SpmmConfig`.
    """
    return {WeightFormat.BBS: ceil_div(columns, banks), WeightFormat.NM: group}.get(weight_format, 1)


def engine_word_shape(config: SpmmConfig, weight_format: WeightFormat) -> WordShape:
    """Layout of the words that an engine takes. Its indices are wide enough for ``max_columns`` columns."""
    return word_shape(
        weight_format, columns=config.max_columns, banks=config.banks, kept=config.kept, group=config.group
    )


def stored_word_shape(config: SpmmConfig, weight_format: WeightFormat, weight_bits: int = INT8_BITS) -> WordShape:
    """Layout of the words of an engine in the memory, with weights of 8 or 4 bits."""
    shape = engine_word_shape(config, weight_format)
    if weight_bits == INT8_BITS:
        return shape
    index_bits = NARROW_DELTA_BITS if weight_format is WeightFormat.CSR_DELTA else shape.index_bits
    return WordShape(shape.values, index_bits, weight_bits)


def stream_bytes(config: SpmmConfig) -> int:
    """Bytes of a beat of an engine's weight stream: those of the widest word of its formats.

    A narrower word takes the lowest bits.
    """
    return max(ceil_div(engine_word_shape(config, item).bits, 8) for item in config.formats)
