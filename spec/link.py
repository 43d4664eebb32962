"""Protocol of the link between a host and the hardware on a board: frames over a serial line.

A byte on the line has a start bit, eight data bits (lowest first), no parity bit and a stop bit. A frame is

    two synchronisation bytes · sequence · kind · count (2 bytes) · payload · CRC (4 bytes)

Numbers are sent lowest byte first. The host sends one request at a time. The hardware answers each request with a frame
of the same sequence and kind:

| operation  | request                  | answer                                                  | payload        |
|------------|--------------------------|---------------------------------------------------------|----------------|
| reset      | count 0                  | count 0; streams and core are in the power-up state     | none           |
| write      | count: bytes of beats    | count: bytes taken, whole beats, possibly fewer         | in the request |
| read       | count: bytes wanted      | count: bytes available, possibly fewer                  | in the answer  |
| write last | as write                 | as write                                                | in the request |

A port is a stream of the core. Input streams, which the host writes, and output streams, which it reads, are numbered
separately, in the order of the core's signature. :data:`IDENTITY_PORT` is one more port to read. A beat is the payload
of a stream, lowest bits first, padded to whole bytes. Of operands, it is only their ``data``. The last beat of a *write
last* ends a packet.

The host may send a request again if no answer arrives. If a request has the same sequence and kind as the one before,
the hardware sends the earlier answer again and does not repeat the operation; only a reset is repeated. The hardware
ignores incomplete frames and frames with a wrong CRC and does not answer them. After a silence on the line it searches
for synchronisation bytes again.
"""

from dataclasses import dataclass
from enum import IntEnum

from .attention_config import AttentionConfig
from .base import Configuration, check_one_of, check_range, powers_of_two
from .coprocessor_config import CoprocessorConfig
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
    "UNIT_NUMBERS",
    "VERSION",
    "WRITES",
    "LinkConfig",
    "LinkedConfig",
    "Operation",
    "beat_bytes",
    "clocks_per_bit",
    "identity",
    "kind",
    "link_config",
]

VERSION = 2
"""Version of this protocol."""

LinkedConfig = AttentionConfig | SpmmConfig | CoprocessorConfig
"""Configuration of what a link leads to."""
UNIT_NUMBERS = {AttentionConfig: 0, SpmmConfig: 1, CoprocessorConfig: 2}
"""Number of each unit in an identity."""

SYNC_REQUEST = b"\xa5\x5a"
SYNC_REPLY = b"\xa5\xc3"
"""Requests and answers begin with different bytes, so that the host does not take an echo on the line for an answer."""

HEADER_BYTES = 4
"""Bytes of sequence, kind and count."""
COUNT_BYTES = 2
OPERATION_BITS = 2
PORT_BITS = 6
"""A kind holds the operation in its low bits and the port above them."""

CRC_BYTES = 4
CRC_POLYNOMIAL = 0x04C11DB7
CRC_INITIAL = 0xFFFFFFFF
"""CRC-32 of header and payload as in Ethernet and zlib: lowest bit first, all ones as initial value, inverted at the
end."""

IDENTITY_PORT = (1 << PORT_BITS) - 1
"""Port that gives :func:`identity` when it is read."""
IDENTITY_BYTES = 16

DEFAULT_BAUD = 1_000_000
"""Bits per second. Every clock of whole megahertz makes it exactly, and the USB adapters on boards support it."""

SILENCE_SECONDS = 0.02
"""The hardware drops a frame that pauses for at least this long. USB adapters pause for a few milliseconds."""

BAUD_ERROR = 0.02
"""Largest relative error of the baud rate. The receiver must still sample near the middle of a byte's last bit, ten
bits after the edge of its start bit."""
SLOWEST_BIT, FASTEST_BIT = 1 << 16, 4
"""Largest and smallest number of clock cycles per bit."""


class Operation(IntEnum):
    """Operation of a request."""

    RESET = 0
    WRITE = 1
    READ = 2
    WRITE_LAST = 3


WRITES = (Operation.WRITE, Operation.WRITE_LAST)


def kind(operation: Operation, port: int = 0) -> int:
    """Kind byte of a request and its answer."""
    return int(operation) | port << OPERATION_BITS


def beat_bytes(width: int) -> int:
    """Bytes on the link of a beat of ``width`` bits."""
    return ceil_div(width, 8)


def identity(config: LinkedConfig, *, payload_bytes: int) -> bytes:
    """Bytes that identify the hardware of a configuration.

    Parameters
    ----------
    config : AttentionConfig, SpmmConfig or CoprocessorConfig
    payload_bytes : int
        That of :class:`LinkConfig`.

    Returns
    -------
    bytes
        :data:`VERSION` (1 byte), the unit (1 byte; 0: attention core, 1: SpMM engine, 2: co-processor),
        ``payload_bytes`` (2 bytes), and the first 12 bytes of the configuration's hash.
    """
    head = bytes([VERSION, UNIT_NUMBERS[type(config)]]) + payload_bytes.to_bytes(COUNT_BYTES, "little")
    return head + bytes.fromhex(config.hash())[: IDENTITY_BYTES - len(head)]


@dataclass(frozen=True, kw_only=True)
class LinkConfig(Configuration):
    """Configuration of the hardware side of a link.

    Parameters
    ----------
    clocks_per_bit : int
        Clock cycles of a bit on the line, 4…65536.
    payload_bytes : int
        Limit of a payload, which has fewer bytes than this. A power of two, 128…4096. The link's memory has twice as
        many bytes: 256 needs one block memory of an iCE40, 1024 one of an ECP5.
    silence_bits : int
        The hardware drops a frame that pauses for 2^silence_bits cycles, 12…28.

    Raises
    ------
    ConfigError
        A field is illegal. The message names the field, its value and what is allowed.
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
        """Bits of the number of bytes in a payload."""
        return (self.payload_bytes - 1).bit_length()

    @property
    def patience_bits(self) -> int:
        """The hardware ends a write or read in which no beat moves for 2^patience_bits cycles, and answers with the
        bytes moved so far."""
        return self.silence_bits - 4


def clocks_per_bit(clock_hz: float, baud: int) -> int:
    """Clock cycles per bit for a clock in hertz and a baud rate in bits per second.

    Raises
    ------
    ConfigError
        No allowed number of cycles is within 2 % of the baud rate.
    """
    check_range("baud", baud, 1, 100_000_000)
    cycles = round(clock_hz / baud)
    fastest = round(clock_hz / FASTEST_BIT)
    if not FASTEST_BIT <= cycles <= SLOWEST_BIT:
        slowest = ceil_div(round(clock_hz), SLOWEST_BIT)
        allowed = f"must be from {slowest} to {fastest} with a clock of {clock_hz / 1e6:g} MHz"
        raise ConfigError("baud", baud, allowed)
    error = clock_hz / cycles / baud - 1
    if abs(error) > BAUD_ERROR:
        nearest = round(clock_hz / cycles)
        problem = f"a clock of {clock_hz / 1e6:g} MHz misses it by {error:+.1%}, choose {nearest}"
        raise ConfigError("baud", baud, problem)
    return cycles


def link_config(clock_hz: float, baud: int, *, payload_bytes: int = 256) -> LinkConfig:
    """Configuration of the link for a clock in hertz and a baud rate in bits per second.

    Raises
    ------
    ConfigError
        The clock cannot make the baud rate, or ``payload_bytes`` is illegal.
    """
    return LinkConfig(
        clocks_per_bit=clocks_per_bit(clock_hz, baud),
        payload_bytes=payload_bytes,
        silence_bits=max(12, round(clock_hz * SILENCE_SECONDS).bit_length()),
    )
