"""Command of an SpMM product, and the scale of a row of W."""

from dataclasses import dataclass, fields
from enum import IntEnum

from .attention_command import scaling
from .base import check_encodable
from .formats import ROW_MULTIPLIER_BITS, ROW_SHIFT_BASE, ROW_SHIFT_BITS, unsigned_bits
from .spmm_config import SpmmConfig, WeightFormat

__all__ = ["Activation", "SpmmCommand", "SpmmError", "row_scaling", "spmm_command_widths"]


class Activation(IntEnum):
    """Function that is applied to each requantised result y: y, max(0, y), or a table of 256 entries, such as GELU."""

    NONE = 0
    RELU = 1
    TABLE = 2


class SpmmError(IntEnum):
    """Field ``error`` of the statistics: why the hardware rejects a command, or what is wrong with its packets.

    The output of a command with ``MISSING`` or ``SURPLUS`` has its usual length, and undefined values.
    """

    NONE = 0
    ROWS = 1
    COLUMNS = 2
    TOKENS = 3
    FORMAT = 4
    SPREAD = 5
    ACTIVATION = 6
    TABLE = 7
    MISSING = 8
    SURPLUS = 9


FORMAT_CODES = {item: code for code, item in enumerate(WeightFormat)}
"""Values of the command's field ``format``."""


@dataclass(frozen=True, kw_only=True)
class SpmmCommand:
    """Command of one product Y = act(requantise(W·X + b)), with the fields of the command stream.

    The constructor checks nothing, so that tests can send illegal commands. :meth:`check_encodable` checks that the
    fields fit the stream, :meth:`rejection` what the hardware accepts.

    Parameters
    ----------
    rows, columns, tokens : int
        M, K and N: W is M×K, X is K×N.
    format : int
        See :data:`FORMAT_CODES`.
    spread : int
        1: the lanes of a row engine are spread over the banks of a row, ``lanes / banks`` tokens at a time (only in
        the bank-balanced format). 0: each lane computes another token.
    activation : int
        See :class:`Activation`.
    load_table : int
        1: the engine takes a new activation table from the table stream before the product, 256 results for
        −128…127 in order.
    """

    rows: int
    columns: int
    tokens: int
    format: int = FORMAT_CODES[WeightFormat.CSR]
    spread: int = 0
    activation: int = Activation.NONE
    load_table: int = 0

    def rejection(self, config: SpmmConfig, *, table_loaded: bool = False) -> SpmmError:
        """Reason why the hardware rejects this command, or ``NONE``.

        Parameters
        ----------
        config : SpmmConfig
        table_loaded : bool
            Whether an earlier accepted command has loaded a table.
        """
        bbs = FORMAT_CODES[WeightFormat.BBS]
        rejections = {
            SpmmError.ROWS: not 1 <= self.rows <= config.max_rows,
            SpmmError.COLUMNS: not 1 <= self.columns <= config.max_columns,
            SpmmError.TOKENS: not 1 <= self.tokens <= config.max_tokens,
            SpmmError.FORMAT: self.format not in [FORMAT_CODES[item] for item in config.formats],
            SpmmError.SPREAD: self.spread and self.format != bbs,
            SpmmError.ACTIVATION: self.activation not in list(Activation),
            SpmmError.TABLE: self.activation == Activation.TABLE and not (self.load_table or table_loaded),
        }
        return next((error for error, rejected in rejections.items() if rejected), SpmmError.NONE)

    def check_encodable(self, config: SpmmConfig) -> None:
        """Check that the command fits the fields of the command stream.

        Raises
        ------
        CommandValueError
            A field does not fit. The message names the field, its value and its range.
        """
        check_encodable(self, spmm_command_widths(config))


def spmm_command_widths(config: SpmmConfig) -> dict[str, tuple[int, bool]]:
    """Bits and signedness of each command field, in the order of the stream's payload, lowest bits first."""
    widths = {
        "rows": (unsigned_bits(config.max_rows), False),
        "columns": (unsigned_bits(config.max_columns), False),
        "tokens": (unsigned_bits(config.max_tokens), False),
        "format": (unsigned_bits(len(FORMAT_CODES) - 1), False),
        "spread": (1, False),
        "activation": (unsigned_bits(max(Activation)), False),
        "load_table": (1, False),
    }
    assert list(widths) == [field.name for field in fields(SpmmCommand)]
    return widths


def row_scaling(scale: float) -> tuple[int, int]:
    """Multiplier and shift of a row, for which multiplier / 2^(8 + shift) is nearest to ``scale``.

    Parameters
    ----------
    scale : float
        (Scale of the row of W)·(scale of X) / (scale of Y). The INT8 result is the sum W·X + b times this.

    Returns
    -------
    multiplier, shift : int
        16 and 5 bits, unsigned.

    Raises
    ------
    CommandValueError
        The scale is not from 2^−24 to 2^7.
    """
    return scaling("row scale", scale, bits=ROW_MULTIPLIER_BITS, least_shift=ROW_SHIFT_BASE, shift_bits=ROW_SHIFT_BITS)
