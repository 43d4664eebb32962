"""How weights are packed: a row of W is a sequence of words, each of some values and an index for each.

==========  ===========  =====================================================================================
format      values       index
==========  ===========  =====================================================================================
csr         1            the column
csr-delta   1            columns skipped since the last value, 0…254; 255 skips 255 columns and has no value (0)
bbs         ``banks``    column inside the bank; word i of a row holds the i-th value of every bank
nm          ``kept``     column inside the group; word i of a row is group i
dense       1            none: word i is column i
==========  ===========  =====================================================================================

A row of the bank-balanced format is cut into ``banks`` equal runs of ceil(K / banks) columns (the last may be shorter),
after Cao et al., "Efficient and Effective Sparse LSTM on FPGA with Bank-Balanced Sparsity" (FPGA 2019).

What a word does not need (a group may have fewer than ``kept`` values) is the value 0 at the lowest free indices.
"""

from dataclasses import dataclass

from .formats import INT8_BITS, ceil_div, unsigned_bits
from .spmm_config import SpmmConfig, WeightFormat

__all__ = ["DELTA_BITS", "ESCAPE", "WordShape", "engine_word_shape", "stream_bytes", "word_shape"]

DELTA_BITS = 8
ESCAPE = (1 << DELTA_BITS) - 1
"""The delta that skips as many columns and comes without a value."""


@dataclass(frozen=True)
class WordShape:
    """A weight word: ``values`` INT8 numbers, lowest bits first, then as many unsigned indices of ``index_bits``."""

    values: int
    index_bits: int

    @property
    def bits(self) -> int:
        """Of a word."""
        return self.values * (INT8_BITS + self.index_bits)


def word_shape(
    weight_format: WeightFormat, *, columns: int, banks: int = 1, kept: int = 2, group: int = 4
) -> WordShape:
    """The words of a matrix of so many columns; ``banks``, ``kept`` and ``group`` as in :class:`SpmmConfig`."""
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


def engine_word_shape(config: SpmmConfig, weight_format: WeightFormat) -> WordShape:
    """The words of one format as an engine takes them: indices wide enough for its widest matrix."""
    return word_shape(
        weight_format, columns=config.max_columns, banks=config.banks, kept=config.kept, group=config.group
    )


def stream_bytes(config: SpmmConfig) -> int:
    """Bytes of an engine's weight stream: the widest word of its formats. Narrower words fill the lowest bits."""
    return max(ceil_div(engine_word_shape(config, item).bits, 8) for item in config.formats)
