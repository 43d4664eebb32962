"""Configuration of a co-processor: its units, and how many attention cores it has."""

from dataclasses import dataclass
from typing import Any

from .attention_config import AttentionConfig
from .base import Configuration, check_range
from .errors import ConfigError
from .program import ATTENTION_FIELDS, PRODUCT_FIELDS, WORD_BYTES
from .spmm_config import SpmmConfig
from .vector_config import VectorConfig

__all__ = ["CoprocessorConfig"]

LIMIT = (1 << PRODUCT_FIELDS["rows"][0]) - 1
"""Largest size that an instruction can name."""


@dataclass(frozen=True, kw_only=True)
class CoprocessorConfig(Configuration):
    """Structure of a co-processor.

    Parameters
    ----------
    spmm : SpmmConfig
        The product engine. ``drain_lanes`` must be a multiple of 8, so that its results fill words of the memory.
    attention : AttentionConfig
        Every attention core. It must have 8 lanes, so that a word of the memory is one of its beats.
    vector : VectorConfig
        The vector unit. It must have 8 lanes, so that a word of the memory holds one channel of a group of tokens.
    cores : int
        Attention cores, 1…8.

    Raises
    ------
    ConfigError
        A field is illegal, or the units do not fit together. The message says what is allowed.
    """

    spmm: SpmmConfig
    attention: AttentionConfig
    vector: VectorConfig
    cores: int = 1

    def __post_init__(self):
        for name, kind in (("spmm", SpmmConfig), ("attention", AttentionConfig), ("vector", VectorConfig)):
            object.__setattr__(self, name, _unit(name, getattr(self, name), kind))
        check_range("cores", self.cores, 1, 8)
        if self.spmm.drain_lanes % WORD_BYTES:
            raise ConfigError("spmm.drain_lanes", self.spmm.drain_lanes, f"must be a multiple of {WORD_BYTES}")
        for name in ("attention", "vector"):
            if (lanes := getattr(self, name).lanes) != WORD_BYTES:
                raise ConfigError(f"{name}.lanes", lanes, f"must be {WORD_BYTES} in a co-processor")
        for unit, name in (
            *(("spmm", name) for name in ("max_rows", "max_columns", "max_tokens")),
            ("vector", "max_tokens"),
        ):
            if (size := getattr(getattr(self, unit), name)) > LIMIT:
                raise ConfigError(f"{unit}.{name}", size, f"must be at most {LIMIT} in a co-processor")
        bits = ATTENTION_FIELDS["head_threshold"][0]
        if self.attention.head_sum_bits > bits:
            raise ConfigError(
                "attention.max_length",
                self.attention.max_length,
                f"must be smaller: the head threshold has {self.attention.head_sum_bits} bits, an instruction {bits}",
            )

    @property
    def multipliers(self) -> int:
        """Multipliers of all units."""
        return self.spmm.multipliers + self.cores * self.attention.multipliers + self.vector.multipliers

    @property
    def tile(self) -> int:
        """Tokens of a full tile, those of a pass of the product engine."""
        return self.spmm.lanes

    @property
    def tile_step(self) -> int:
        """The last tile of a tensor has a multiple of this number of tokens."""
        return self.spmm.drain_lanes


def _unit(name: str, value: Any, kind: type[Configuration]) -> Configuration:
    """A unit's configuration, also from the fields that JSON holds."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, dict):
        raise ConfigError(name, value, "must be an object of fields")
    try:
        return kind.from_fields(value)
    except ConfigError as error:
        raise ConfigError(f"{name}.{error.field}", error.value, error.allowed) from None
