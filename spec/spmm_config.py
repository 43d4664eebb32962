"""What an SpMM engine is: everything that is fixed when the hardware is generated."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from .base import Configuration, check_enum, check_one_of, check_range, powers_of_two
from .errors import ConfigError
from .formats import BIAS_BITS, INT8_PEAK, ROW_MULTIPLIER_BITS, ROW_SHIFT_BITS, ceil_div, signed_bits, unsigned_bits

__all__ = ["SpmmConfig", "WeightFormat"]


class WeightFormat(StrEnum):
    """How a weight matrix is packed; see :mod:`~thresher.spec.weight_words`."""

    CSR = "csr"
    CSR_DELTA = "csr-delta"
    BBS = "bbs"
    NM = "nm"
    DENSE = "dense"


@dataclass(frozen=True, kw_only=True)
class SpmmConfig(Configuration):
    """Structure of an SpMM engine. One configuration drives golden and hardware alike.

    Parameters
    ----------
    rows : int
        Row engines, each working on a row of W of its own. A power of two, 1…64.
    lanes : int
        Multipliers of a row engine. A power of two, 1…256.
    drain_lanes : int
        Results requantised per cycle, a power of two that divides ``lanes``.
    max_columns : int
        Largest K, 1…65536.
    max_rows, max_tokens : int
        Largest M and N, 1…2^24. They cost counter bits only: W and its rows are streamed.
    banks : int
        Banks of a row of W in the bank-balanced format: 1 without that format, otherwise a power of two, at least 2,
        that divides ``lanes``. A row engine takes a weight of every bank at a time for ``lanes / banks`` tokens, or
        one weight for ``lanes`` tokens.
    kept, group : int
        N and M of the N:M format: at most ``kept`` weights in each group of ``group`` columns. ``group`` is a power
        of two, 2…64; 1 ≤ kept < group.
    formats : tuple of WeightFormat
        Front ends that the engine has.
    result_rows : int
        Rows of results that wait, per row engine, for earlier rows to leave. A power of two, 2…1024.

    Raises
    ------
    ConfigError
        Names the field, its value and what is allowed.
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
        check_one_of("banks", self.banks, powers_of_two(2, self.lanes))
        if self.rows * self.lanes // self.banks > self.drain_lanes:
            raise ConfigError(
                "drain_lanes",
                self.drain_lanes,
                f"must be at least rows·lanes/banks={self.rows * self.lanes // self.banks}, so that the "
                "bank-balanced rows of all engines leave together",
            )

    def _check_formats(self) -> None:
        given = self.formats
        if isinstance(given, str) or not isinstance(given, list | tuple) or not given:
            raise ConfigError("formats", given, "must be a list of some of " + ", ".join(WeightFormat))
        known = {check_enum("formats", item, WeightFormat) for item in given}
        if len(known) < len(given):
            raise ConfigError("formats", list(map(str, given)), "must name each format once")
        # One order, so that equal hardware has equal configurations.
        object.__setattr__(self, "formats", tuple(item for item in WeightFormat if item in known))

    # -- sizes ---------------------------------------------------------------------------------

    @property
    def multipliers(self) -> int:
        """INT8 multipliers of all row engines."""
        return self.rows * self.lanes

    @property
    def spread_tokens(self) -> int:
        """Tokens at a time when the lanes are spread over the banks of a row."""
        return self.lanes // self.banks

    @property
    def max_bank_columns(self) -> int:
        """Columns of a bank of the widest matrix."""
        return ceil_div(self.max_columns, self.banks)

    @property
    def beats_per_row(self) -> int:
        """Result beats of a row over a full tile of tokens."""
        return self.lanes // self.drain_lanes

    # -- widths --------------------------------------------------------------------------------

    @property
    def column_bits(self) -> int:
        """Bits of a column index."""
        return unsigned_bits(self.max_columns - 1)

    @property
    def accumulator_peak(self) -> int:
        """Largest |Σ w·x| of a row."""
        return self.max_columns * INT8_PEAK**2

    @property
    def accumulator_bits(self) -> int:
        """Bits of a signed accumulator."""
        return signed_bits(-self.accumulator_peak, self.accumulator_peak)

    @property
    def biased_bits(self) -> int:
        """Bits of a signed accumulator plus bias."""
        return max(self.accumulator_bits, BIAS_BITS) + 1

    @property
    def saturation_bits(self) -> int:
        """Bits of the number of clipped results of a product."""
        return unsigned_bits(self.max_rows * self.max_tokens)

    def row_widths(self) -> dict[str, tuple[int, bool]]:
        """Bits and signedness of what is told about each row of W, lowest bits first.

        ``engine``: the row engine that has its weights. ``length``: its weight words. ``bias``, ``multiplier``,
        ``shift``: see :func:`~thresher.spec.spmm_command.row_scaling`.
        """
        return {
            "engine": ((self.rows - 1).bit_length(), False),
            "length": (unsigned_bits(self.max_columns), False),
            "bias": (BIAS_BITS, True),
            "multiplier": (ROW_MULTIPLIER_BITS, False),
            "shift": (ROW_SHIFT_BITS, False),
        }

    def with_formats(self, *formats: WeightFormat) -> "SpmmConfig":
        """This engine with other front ends; without the bank-balanced one it has no banks."""
        banks = self.banks if WeightFormat.BBS in formats else 1
        return dataclasses.replace(self, formats=formats, banks=banks)
