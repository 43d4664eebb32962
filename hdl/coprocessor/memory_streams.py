"""Streams between units, movers, and the memory of a co-processor."""

from amaranth import Module, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import unsigned_bits
from ...spec.program import ADDRESS_BITS, REGION_BYTES, WORD_BYTES, FaultCode, Region
from ..lib.pipeline import index_bits

__all__ = [
    "ADDRESS_BITS",
    "BLOCK_SHIFT",
    "BURST_BITS",
    "BURST_WORDS",
    "WORD_BITS",
    "WORD_SHIFT",
    "MemoryPort",
    "ReaderPort",
    "WriterPort",
    "burst_layout",
    "check_depth",
    "fault_layout",
    "join",
    "join_packets",
    "read_beat_layout",
    "regions_layout",
    "span_layout",
    "word_layout",
]

WORD_BITS = 8 * WORD_BYTES
BURST_WORDS = 16
"""Most words of a burst. A burst lies in one aligned block of this many words, so it never crosses 4 KB."""
BURST_BITS = index_bits(BURST_WORDS)
WORD_SHIFT = index_bits(WORD_BYTES)
BLOCK_SHIFT = WORD_SHIFT + BURST_BITS
"""A block of ``BURST_WORDS`` words has 2^BLOCK_SHIFT bytes."""


def word_layout() -> data.ArrayLayout:
    """A word of the memory, as bytes."""
    return data.ArrayLayout(unsigned(8), WORD_BYTES)


def span_layout() -> data.StructLayout:
    """Contiguous words of a region that a unit reads or writes, at least one.

    ``address`` is an address of a program: region and offset, a multiple of 8.
    """
    return data.StructLayout({"address": ADDRESS_BITS, "words": unsigned_bits(REGION_BYTES // WORD_BYTES)})


def regions_layout() -> data.StructLayout:
    """Place and size of each region, in bytes, by the region's name in small letters.

    ``base`` is a multiple of 128, so that aligned blocks of a region are aligned blocks of the memory; its lower bits
    are ignored. ``size`` is a multiple of 8, at most 2^30.
    """
    place = data.StructLayout({"base": ADDRESS_BITS, "size": ADDRESS_BITS})
    return data.StructLayout({each.name.lower(): place for each in Region})


def burst_layout() -> data.StructLayout:
    """A burst: address of its first word, and its number of words, 1…16."""
    return data.StructLayout({"address": ADDRESS_BITS, "words": unsigned_bits(BURST_WORDS)})


def read_beat_layout() -> data.StructLayout:
    """A word that is read. ``last`` marks the last one of a burst, ``error`` a word that the memory could not read."""
    return data.StructLayout({"data": word_layout(), "last": 1, "error": 1})


def fault_layout(*, readers: int, writers: int) -> data.StructLayout:
    """The first fault. ``requester`` is the number of a writer if ``write`` is asserted, otherwise of a reader.

    ``address`` is the program's address of the 128-byte block in which the burst lies.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "write": 1,
            "requester": max(1, index_bits(max(readers, writers))),
            "code": unsigned_bits(max(FaultCode)),
            "address": ADDRESS_BITS,
        }
    )


def check_depth(words: int) -> int:
    """The depth of a queue of words, if it is legal.

    Raises
    ------
    ValueError
        It is no power of two, or less than two bursts.
    """
    if words < 2 * BURST_WORDS or words & (words - 1):
        raise ValueError(f"words must be a power of two, and at least {2 * BURST_WORDS}, not {words}")
    return words


class ReaderPort(wiring.Signature):
    """Reads of one reader, with addresses of the program.

    Members
    -------
    bursts : Out(stream(burst_layout))
        A reader asks only when it has room for all words of the burst.
    words : In(stream(word_layout, always_ready))
        The words of each burst, in the order of the bursts.
    """

    def __init__(self):
        super().__init__(
            {
                "bursts": Out(stream.Signature(burst_layout())),
                "words": In(stream.Signature(word_layout(), always_ready=True)),
            }
        )


class WriterPort(wiring.Signature):
    """Writes of one writer, with addresses of the program.

    Members
    -------
    bursts : Out(stream(burst_layout))
        A writer asks only when it has all words of the burst.
    words : Out(stream(word_layout))
        The words of each burst, in the order of the bursts.
    written : In(1)
        Asserted for one cycle per burst, when the memory holds its words.
    """

    def __init__(self):
        super().__init__(
            {
                "bursts": Out(stream.Signature(burst_layout())),
                "words": Out(stream.Signature(word_layout())),
                "written": In(1),
            }
        )


class MemoryPort(wiring.Signature):
    """Reads and writes of one master, as bursts. Reads are answered in order, and so are writes.

    Members
    -------
    read : Out(stream(burst_layout))
    read_data : In(stream(read_beat_layout))
        The words of each burst, in the order of the bursts.
    write : Out(stream(burst_layout))
    write_data : Out(stream(word_layout))
        The words of each burst, in the order of the bursts. They may come before or after the burst itself.
    written : In(stream(1))
        One per burst, when the memory holds its words; asserted payload: an error.
    """

    def __init__(self):
        super().__init__(
            {
                "read": Out(stream.Signature(burst_layout())),
                "read_data": In(stream.Signature(read_beat_layout())),
                "write": Out(stream.Signature(burst_layout())),
                "write_data": Out(stream.Signature(word_layout())),
                "written": In(stream.Signature(1)),
            }
        )

    def __eq__(self, other: object) -> bool:  # Amaranth compares signatures of subclasses by identity
        return type(self) is type(other)


def join(m: Module, source, target) -> None:
    """Connect two streams whose payloads have equal bits, but different shapes."""
    m.d.comb += [
        target.valid.eq(source.valid),
        source.ready.eq(target.ready),
        Value.cast(target.payload).eq(Value.cast(source.payload)),
    ]


def join_packets(m: Module, source, target, last) -> None:
    """Connect a stream to a stream of packets. ``last`` marks the last beat of a packet."""
    m.d.comb += [
        target.valid.eq(source.valid),
        source.ready.eq(target.ready),
        Value.cast(target.payload.data).eq(Value.cast(source.payload)),
        target.payload.last.eq(last),
    ]
