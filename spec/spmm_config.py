"""Configuration of an SpMM engine: everything that is fixed when the hardware is generated."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from .base import Configuration, check_enum, check_one_of, check_range, powers_of_two
from .errors import ConfigError
from .formats import BIAS_BITS, INT8_PEAK, ROW_MULTIPLIER_BITS, ROW_SHIFT_BITS, ceil_div, signed_bits, unsigned_bits

__all__ = ["SpmmConfig", "WeightFormat"]


class WeightFormat(StrEnum):
    """Formats of packed weights; see :mod:`~thresher.spec.weight_words`."""

    CSR = "csr"
    CSR_DELTA = "csr-delta"
    BBS = "bbs"
    NM = "nm"
    DENSE = "dense"


@dataclass(frozen=True, kw_only=True)
class SpmmConfig(Configuration):
    """Structure of an SpMM engine. Golden and hardware take the same configuration.

    Parameters
    ----------
    rows : int
        Row engines, a power of two, 1…64. Each processes one row of W at a time.
    lanes : int
        Products per cycle of a row engine, a power of two, 1…256. The engine has ``rows · lanes`` INT8 multipliers.
    drain_lanes : int
        Results requantised per cycle, a power of two that divides ``lanes``.
    max_columns : int
        Largest number of columns K of W, 1…65536.
    max_rows, max_tokens : int
        Largest number of rows M of W and of tokens N, 1…2^24. They affect only the widths of counters, because W and
        the settings of its rows are streamed.
    banks : int
        Banks of a row of W in the bank-balanced format: a power of two, at least 2, that divides ``lanes``. 1 if the
        engine does not have that format. In each step a row engine takes one weight of every bank for
        ``lanes / banks`` tokens, or one weight for ``lanes`` tokens.
    kept, group : int
        N and M of the N:M format: each group of ``group`` columns has at most ``kept`` weights. ``group`` is a power
        of two, 2…64; 1 ≤ kept < group.
    formats : tuple of WeightFormat
        Weight formats that the engine has a front end for.
    result_rows : int
        Rows of results that each row engine can buffer until earlier rows have left, a power of two, 2…1024.

    Raises
    ------
    ConfigError
        A field is illegal. The message names the field, its value and what is allowed.
    """

    rows: int
    lanes: int
    drain_lanes: int
    max_columns: int
    max_rows: int = 65535
    max_tokens: int = 65535
    banks: int = 1
    kept: int = 2
    group: int = 4
    formats: tuple[WeightFormat, ...] = tuple(WeightFormat)
    result_rows: int = 64

    def __post_init__(self):
        check_one_of("rows", self.rows, powers_of_two(1, 64))
        check_one_of("lanes", self.lanes, powers_of_two(1, 256))
        check_one_of("drain_lanes", self.drain_lanes, powers_of_two(1, self.lanes))
        check_range("max_columns", self.max_columns, 1, 1 << 16)
        check_range("max_rows", self.max_rows, 1, 1 << 24)
        check_range("max_tokens", self.max_tokens, 1, 1 << 24)
        check_one_of("group", self.group, powers_of_two(2, 64))
        check_range("kept", self.kept, 1, self.group - 1)
        check_one_of("result_rows", self.result_rows, powers_of_two(2, 1024))
        self._check_formats()
        if WeightFormat.BBS not in self.formats:
            if self.banks != 1:
                raise ConfigError("banks", self.banks, "must be 1 without the format bbs")
            return
        if self.lanes == 1:
            raise ConfigError("lanes", self.lanes, "must be at least 2 for the format bbs")
        check_one_of("banks", self.banks, powers_of_two(2, self.lanes))
        if self.rows * self.lanes // self.banks > self.drain_lanes:
            raise ConfigError(
                "drain_lanes",
                self.drain_lanes,
                f"must be at least rows·lanes/banks={self.rows * self.lanes // self.banks} (in the bank-balanced "
                "format the rows of all engines leave together)",
            )

    def _check_formats(self) -> None:
        given = self.formats
        if isinstance(given, str) or not isinstance(given, list | tuple) or not given:
            raise ConfigError("formats", given, "must be a list of some of " + ", ".join(WeightFormat))
        known = {check_enum("formats", item, WeightFormat) for item in given}
        if len(known) < len(given):
            raise ConfigError("formats", list(map(str, given)), "must name each format once")
        # Keep one order, so that equal hardware has equal configurations.
        object.__setattr__(self, "formats", tuple(item for item in WeightFormat if item in known))

    # -- sizes ---------------------------------------------------------------------------------

    @property
    def multipliers(self) -> int:
        """INT8 multipliers of all row engines."""
        return self.rows * self.lanes

    @property
    def spread_tokens(self) -> int:
        """Tokens that a row engine processes at a time when its lanes are spread over the banks of a row."""
        return self.lanes // self.banks

    @property
    def max_bank_columns(self) -> int:
        """Columns of a bank of a matrix with ``max_columns`` columns."""
        return ceil_div(self.max_columns, self.banks)

    @property
    def beats_per_row(self) -> int:
        """Result beats of a row for a full tile of ``lanes`` tokens."""
        return self.lanes // self.drain_lanes

    # -- widths --------------------------------------------------------------------------------

    @property
    def column_bits(self) -> int:
        """Bits of a column index."""
        return unsigned_bits(self.max_columns - 1)

    @property
    def accumulator_peak(self) -> int:
        """Largest magnitude of an accumulator Σ w·x."""
        return self.max_columns * INT8_PEAK**2

    @property
    def accumulator_bits(self) -> int:
        """Bits of a signed accumulator."""
        return signed_bits(-self.accumulator_peak, self.accumulator_peak)

    @property
    def biased_bits(self) -> int:
        """Bits of the signed sum of accumulator and bias."""
        return max(self.accumulator_bits, BIAS_BITS) + 1

    @property
    def saturation_bits(self) -> int:
        """Bits of the number of clipped results of a product."""
        return unsigned_bits(self.max_rows * self.max_tokens)

    def row_widths(self) -> dict[str, tuple[int, bool]]:
        """Bits and signedness of the settings of a row of W, in the order of the stream's payload, lowest bits first.

        ``engine``: number of the row engine that gets the row's weights. ``length``: number of weight words of the
        row. ``bias``: INT32 number that is added to the accumulators. ``multiplier``, ``shift``: scale of the row, see
        :func:`~thresher.spec.spmm_command.row_scaling`.
        """
        return {
            "engine": ((self.rows - 1).bit_length(), False),
            "length": (unsigned_bits(self.max_columns), False),
            "bias": (BIAS_BITS, True),
            "multiplier": (ROW_MULTIPLIER_BITS, False),
            "shift": (ROW_SHIFT_BITS, False),
        }

    def with_formats(self, *formats: WeightFormat) -> "SpmmConfig":
        """This configuration with other formats. Without the bank-balanced format ``banks`` becomes 1."""
        banks = self.banks if WeightFormat.BBS in formats else 1
        return dataclasses.replace(self, formats=formats, banks=banks)
