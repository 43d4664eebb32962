"""The link between a host and hardware on a board: frames over a serial line.

Bytes go as on every serial port: a start bit, eight data bits, lowest first, a stop bit, no parity. A frame is

    two synchronisation bytes · sequence · kind · count (2 bytes) · payload · CRC (4 bytes)

with numbers lowest byte first. The host sends requests, one at a time, and the hardware answers each with a frame of
the same sequence and kind:

| operation | request                  | answer                                                  | payload        |
|-----------|--------------------------|---------------------------------------------------------|----------------|
| reset     | count 0                  | count 0; streams and the core are as after power-up     | none           |
| write     | count: bytes of beats    | count: bytes taken, whole beats, perhaps fewer          | of the request |
| read      | count: bytes wanted      | count: bytes there, perhaps fewer                       | of the answer  |

Ports are the streams of the core: those that are written, and those that are read, each numbered in the order of its
signature, and :data:`IDENTITY_PORT`. A beat of a stream is its payload's bits, lowest first, in whole bytes.

A request whose sequence and kind are those of the one before is answered as that was, and nothing is done again, so
that a host may send a request once more when an answer does not come. (A reset is done again.) What is no whole frame
with a right CRC has no effect and no answer; after a silence the hardware looks for synchronisation bytes again.
"""

from dataclasses import dataclass
from enum import IntEnum

from .attention_config import AttentionConfig
from .base import Configuration, check_one_of, check_range, powers_of_two
from .errors import ConfigError
from .formats import ceil_div
from .spmm_config import SpmmConfig

__all__ = [
    "COUNT_BYTES",
    "CRC_BYTES",
    "CRC_INITIAL",
    "CRC_POLYNOMIAL",
    "DEFAULT_BAUD",
    "HEADER_BYTES",
    "IDENTITY_BYTES",
    "IDENTITY_PORT",
    "OPERATION_BITS",
    "PORT_BITS",
    "SYNC_REPLY",
    "SYNC_REQUEST",
    "VERSION",
    "LinkConfig",
    "Operation",
    "beat_bytes",
    "clocks_per_bit",
    "identity",
    "kind",
    "link_config",
]

VERSION = 1
"""Of this protocol."""

SYNC_REQUEST = b"\xa5\x5a"
SYNC_REPLY = b"\xa5\xc3"
"""Requests and answers begin differently, so that a line that echoes is no board."""

HEADER_BYTES = 4
"""Sequence, kind and count."""
COUNT_BYTES = 2
OPERATION_BITS = 2
PORT_BITS = 6
"""A kind is an operation in its low bits, and a port above it."""

CRC_BYTES = 4
CRC_POLYNOMIAL = 0x04C11DB7
CRC_INITIAL = 0xFFFFFFFF
"""CRC-32 as in Ethernet and zlib, lowest bit first, initial value and final inversion of all ones: of header and
payload."""

IDENTITY_PORT = (1 << PORT_BITS) - 1
"""Reading it gives :func:`identity`."""
IDENTITY_BYTES = 16

DEFAULT_BAUD = 1_000_000
"""Exact at all clocks of whole megahertz, and not too fast for the adapters on boards."""

SILENCE_SECONDS = 0.02
"""A frame that pauses for at least this long is given up. USB adapters pause for some milliseconds."""

BAUD_ERROR = 0.02
"""How far off the baud rate may be: ten bits after its edge a byte's last bit must still be met in the middle."""
SLOWEST_BIT, FASTEST_BIT = 1 << 16, 4


class Operation(IntEnum):
    """What a request asks for."""

    RESET = 0
    WRITE = 1
    READ = 2


def kind(operation: Operation, port: int = 0) -> int:
    """The kind byte of a request and its answer."""
    return int(operation) | port << OPERATION_BITS


def beat_bytes(width: int) -> int:
    """Bytes that a beat of so many bits takes on the link."""
    return ceil_div(width, 8)


def identity(config: AttentionConfig | SpmmConfig, *, payload_bytes: int) -> bytes:
    """What tells hardware of one configuration from that of another.

    Returns
    -------
    bytes
        :data:`VERSION`, the unit (0: attention core, 1: SpMM engine), the largest payload plus one in two bytes, and
        the first 12 bytes of the configuration's hash.
    """
    unit = 0 if isinstance(config, AttentionConfig) else 1
    told = bytes([VERSION, unit]) + payload_bytes.to_bytes(COUNT_BYTES, "little")
    return told + bytes.fromhex(config.hash())[: IDENTITY_BYTES - len(told)]


@dataclass(frozen=True, kw_only=True)
class LinkConfig(Configuration):
    """The hardware's end of a link.

    Parameters
    ----------
    clocks_per_bit : int
        Clock cycles that a bit takes on the line, 4…65536.
    payload_bytes : int
        A payload has fewer bytes than this power of two, 128…4096. The link's memory has twice as many: 256 is one
        block memory of an iCE40, 1024 one of an ECP5.
    silence_bits : int
        A frame that pauses for 2^silence_bits cycles is given up, 12…28.

    Raises
    ------
    ConfigError
        Names the field, its value and what is allowed.
    """

    clocks_per_bit: int
    payload_bytes: int = 256
    silence_bits: int = 14

    def __post_init__(self):
        check_range("clocks_per_bit", self.clocks_per_bit, FASTEST_BIT, SLOWEST_BIT)
        check_one_of("payload_bytes", self.payload_bytes, powers_of_two(128, 4096))
        check_range("silence_bits", self.silence_bits, 12, 28)

    @property
    def count_bits(self) -> int:
        """Bits of the number of bytes of a payload."""
        return (self.payload_bytes - 1).bit_length()

    @property
    def patience_bits(self) -> int:
        """A write or read that moves nothing for 2^patience_bits cycles is answered with what it moved before."""
        return self.silence_bits - 4


def clocks_per_bit(clock_hz: float, baud: int) -> int:
    """Clock cycles per bit on the line.

    Raises
    ------
    ConfigError
        No whole number of them comes near enough to the baud rate.
    """
    check_range("baud", baud, 1, 100_000_000)
    cycles = round(clock_hz / baud)
    fastest = round(clock_hz / FASTEST_BIT)
    if not FASTEST_BIT <= cycles <= SLOWEST_BIT:
        slowest = ceil_div(round(clock_hz), SLOWEST_BIT)
        raise ConfigError("baud", baud, f"must be from {slowest} to {fastest} with a clock of {clock_hz / 1e6:g} MHz")
    error = clock_hz / cycles / baud - 1
    if abs(error) > BAUD_ERROR:
        allowed = f"a clock of {clock_hz / 1e6:g} MHz misses it by {error:+.1%}; try {round(clock_hz / cycles)}"
        raise ConfigError("baud", baud, allowed)
    return cycles


def link_config(clock_hz: float, baud: int, *, payload_bytes: int = 256) -> LinkConfig:
    """The link of hardware with this clock, at this baud rate.

    Raises
    ------
    ConfigError
        As :func:`clocks_per_bit` and :class:`LinkConfig`.
    """
    return LinkConfig(
        clocks_per_bit=clocks_per_bit(clock_hz, baud),
        payload_bytes=payload_bytes,
        silence_bits=max(12, round(clock_hz * SILENCE_SECONDS).bit_length()),
    )
