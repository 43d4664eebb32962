"""What an SpMM engine is told at run time about a product, and about each row of its W."""

from dataclasses import dataclass, fields
from enum import IntEnum

from .attention_command import scaling
from .base import check_encodable
from .formats import ROW_MULTIPLIER_BITS, ROW_SHIFT_BASE, ROW_SHIFT_BITS, unsigned_bits
from .spmm_config import SpmmConfig, WeightFormat

__all__ = ["Activation", "SpmmCommand", "SpmmError", "row_scaling", "spmm_command_widths"]


class Activation(IntEnum):
    """What is applied to a requantised result: nothing, max(0, ·), or a table of 256 entries (GELU)."""

    NONE = 0
    RELU = 1
    TABLE = 2


class SpmmError(IntEnum):
    """Why the hardware refuses a command (field ``error`` of the statistics)."""

    NONE = 0
    ROWS = 1
    COLUMNS = 2
    TOKENS = 3
    FORMAT = 4
    SPREAD = 5
    ACTIVATION = 6
    TABLE = 7


FORMAT_CODES = {item: code for code, item in enumerate(WeightFormat)}
"""Field ``format`` of the command."""


@dataclass(frozen=True, kw_only=True)
class SpmmCommand:
    """One product Y = act(requantise(W·X + b)), field by field as on the command stream. Nothing is checked here: the
    hardware answers for what it cannot do (:meth:`refusal`).

    Parameters
    ----------
    rows, columns, tokens : int
        M, K, N.
    format : int
        See :data:`FORMAT_CODES`.
    spread : int
        1: a row engine's lanes are spread over the banks of a row, ``lanes / banks`` tokens at a time
        (bank-balanced format only). 0: all lanes are tokens.
    activation : int
        See :class:`Activation`.
    load_table : int
        1: 256 entries of the table stream are taken before the product, the results for −128…127 in order.
    """

    rows: int
    columns: int
    tokens: int
    format: int = FORMAT_CODES[WeightFormat.CSR]
    spread: int = 0
    activation: int = Activation.NONE
    load_table: int = 0

    def refusal(self, config: SpmmConfig, *, table_loaded: bool = False) -> SpmmError:
        """Why the hardware refuses this command, or ``NONE``.

        Parameters
        ----------
        table_loaded : bool
            An earlier command that was not refused loaded a table.
        """
        bbs = FORMAT_CODES[WeightFormat.BBS]
        refusals = {
            SpmmError.ROWS: not 1 <= self.rows <= config.max_rows,
            SpmmError.COLUMNS: not 1 <= self.columns <= config.max_columns,
            SpmmError.TOKENS: not 1 <= self.tokens <= config.max_tokens,
            SpmmError.FORMAT: self.format not in [FORMAT_CODES[item] for item in config.formats],
            SpmmError.SPREAD: self.spread and self.format != bbs,
            SpmmError.ACTIVATION: self.activation not in list(Activation),
            SpmmError.TABLE: self.activation == Activation.TABLE and not (self.load_table or table_loaded),
        }
        return next((error for error, refused in refusals.items() if refused), SpmmError.NONE)

    def check_encodable(self, config: SpmmConfig) -> None:
        """Refuse what does not fit the fields of the command stream.

        Raises
        ------
        CommandValueError
            Names the field, its value and its range.
        """
        check_encodable(self, spmm_command_widths(config))


def spmm_command_widths(config: SpmmConfig) -> dict[str, tuple[int, bool]]:
    """Bits and signedness of each command field, in the order of the stream's payload (lowest bits first)."""
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
    """Multiplier and shift of a row: an accumulator times multiplier / 2^(8 + shift) is the INT8 result.

    Parameters
    ----------
    scale : float
        Scale of the weights' row times scale of X over scale of Y.

    Raises
    ------
    CommandValueError
        The scale is not in 2^−24 … 2^7.
    """
    return scaling("row scale", scale, bits=ROW_MULTIPLIER_BITS, least_shift=ROW_SHIFT_BASE, shift_bits=ROW_SHIFT_BITS)
