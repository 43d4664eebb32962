"""Streams between units, movers, and the memory of a co-processor."""

from amaranth import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import unsigned_bits
from ...spec.program import REGION_BYTES, REGION_SHIFT, WORD_BYTES, Region

__all__ = [
    "ADDRESS_BITS",
    "BURST_WORDS",
    "WORD_BITS",
    "MemoryPort",
    "burst_layout",
    "read_beat_layout",
    "regions_layout",
    "span_layout",
    "word_layout",
]

WORD_BITS = 8 * WORD_BYTES
ADDRESS_BITS = REGION_SHIFT + unsigned_bits(max(Region))
"""Of an address in a program, and of the memory outside: both have 32."""
BURST_WORDS = 16
"""Most words of a burst. A burst lies in one aligned block of this many words, so it never crosses 4 KB."""


def word_layout() -> data.ArrayLayout:
    """A word of the memory, as bytes."""
    return data.ArrayLayout(unsigned(8), WORD_BYTES)


def span_layout() -> data.StructLayout:
    """Contiguous words of a region that a unit reads or writes, at least one.

    ``address`` is an address of a program: region and offset, a multiple of 8.
    """
    return data.StructLayout({"address": ADDRESS_BITS, "words": unsigned_bits(REGION_BYTES // WORD_BYTES)})


def regions_layout() -> data.ArrayLayout:
    """Place and size of each region, in bytes; both are multiples of 8."""
    return data.ArrayLayout(data.StructLayout({"base": ADDRESS_BITS, "size": ADDRESS_BITS}), len(Region))


def burst_layout() -> data.StructLayout:
    """A burst: address of its first word, and its number of words, 1…16."""
    return data.StructLayout({"address": ADDRESS_BITS, "words": unsigned_bits(BURST_WORDS)})


def read_beat_layout() -> data.StructLayout:
    """A word that is read. ``last`` marks the last one of a burst, ``error`` a word that the memory could not read."""
    return data.StructLayout({"data": word_layout(), "last": 1, "error": 1})


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
