"""Configuration of a co-processor whose memory is on the chip, and the accesses of its host."""

from dataclasses import dataclass
from enum import IntEnum

from .base import Configuration, check_range
from .coprocessor_config import CoprocessorConfig
from .errors import ConfigError
from .program import WORD_BYTES

__all__ = ["BANK_KIB", "BANK_WORDS", "DEFAULT_MEMORY_KIB", "Access", "OnChipConfig"]

BANK_KIB = 16
"""Size of a bank of the memory."""
BANK_WORDS = BANK_KIB * 1024 // WORD_BYTES
DEFAULT_MEMORY_KIB = 336
"""On ECP5, 168 block memories."""
LARGEST_MEMORY_KIB = 1 << 14


class Access(IntEnum):
    """What the host asks for."""

    READ_MEMORY = 0
    WRITE_MEMORY = 1
    READ_REGISTER = 2
    WRITE_REGISTER = 3


@dataclass(frozen=True, kw_only=True)
class OnChipConfig(Configuration):
    """A co-processor with a memory on the chip.

    Parameters
    ----------
    coprocessor : CoprocessorConfig
    memory_kib : int
        Size of the memory, a multiple of 16 KiB up to 16 MiB. On ECP5, a bank of 16 KiB is 8 block memories.

    Raises
    ------
    ConfigError
        A field is illegal.
    """

    coprocessor: CoprocessorConfig
    memory_kib: int = DEFAULT_MEMORY_KIB

    def __post_init__(self):
        check_range("memory", self.memory_kib, BANK_KIB, LARGEST_MEMORY_KIB)
        if self.memory_kib % BANK_KIB:
            raise ConfigError("memory", self.memory_kib, f"must be a multiple of {BANK_KIB} KiB")

    @property
    def banks(self) -> int:
        """Banks of the memory."""
        return self.memory_kib // BANK_KIB

    @property
    def memory_bytes(self) -> int:
        """Size of the memory."""
        return self.memory_kib * 1024

    @property
    def multipliers(self) -> int:
        """Multipliers of all units."""
        return self.coprocessor.multipliers
