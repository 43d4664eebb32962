"""Streams between the parts of the executor of VECTOR instructions."""

from enum import IntEnum

from amaranth import unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import ceil_div, unsigned_bits
from ....spec.program import VECTOR_FIELDS, WORD_BYTES, Layout
from ...lib.pipeline import index_bits
from ..memory_streams import ADDRESS_BITS, word_layout

__all__ = [
    "Target",
    "TileWrite",
    "channel_bits",
    "operands_layout",
    "order_layout",
    "padded_channels",
    "place_layout",
    "spot_members",
    "token_bits",
]

SEGMENT_BITS = VECTOR_FIELDS["segment"][0]
COUNT_BITS = VECTOR_FIELDS["channels"][0]
ROW_WORDS_BITS = unsigned_bits(ceil_div((1 << SEGMENT_BITS) - 1, WORD_BYTES))


class Target(IntEnum):
    """What the words of an order are."""

    X = 0
    """Read, and written to the tile of x."""
    Y = 1
    """Read, and written to the tile of y."""
    INDEX = 2
    """Read: indices of the rows of a tile. No order has this target; orders of the layout GATHER begin with it."""
    CHECK_X = 3
    """Read: all indices of x, to check them."""
    CHECK_Y = 4
    """Read: all indices of y, to check them."""
    PARAMETERS = 5
    """Read: parameters of the LayerNorm."""
    SUM = 6
    """Words of the tile of x, to be summed. They use no memory outside."""
    STORE = 7
    """Words of a tile, to be written."""


def padded_channels(config: CoprocessorConfig) -> int:
    """Channels that a tile has room for: a multiple of 8."""
    return ceil_div(config.vector.max_channels, WORD_BYTES) * WORD_BYTES


def channel_bits(config: CoprocessorConfig) -> int:
    """Bits of a channel's index in a tile."""
    return index_bits(padded_channels(config))


def token_bits(config: CoprocessorConfig) -> int:
    """Bits of a token's index in a tile."""
    return index_bits(config.tile)


def order_layout(config: CoprocessorConfig) -> data.StructLayout:
    """A tile of a tensor, or other contiguous words.

    =========  ==================================  ========================  =======================
    field      TILES                               ROWS                      GATHER
    =========  ==================================  ========================  =======================
    count      channels, or contiguous words       tokens                    tokens
    words      words of a channel, or 1            words of a row            words of a row
    =========  ==================================  ========================  =======================

    ``channels`` and ``tokens`` are those that the tile has. ``address`` is that of the tile; of all rows in the layout
    GATHER. ``index`` is the address of the tile's indices.
    """
    return data.StructLayout(
        {
            "target": unsigned_bits(max(Target)),
            "layout": unsigned_bits(max(Layout)),
            "address": ADDRESS_BITS,
            "index": ADDRESS_BITS,
            "count": COUNT_BITS,
            "words": ROW_WORDS_BITS,
            "channels": unsigned_bits(config.vector.max_channels),
            "tokens": unsigned_bits(config.tile),
            "segment": SEGMENT_BITS,
            "segment_tokens": SEGMENT_BITS,
        }
    )


def spot_members(config: CoprocessorConfig) -> dict[str, int]:
    """Where a word lies in a tile.

    If ``by_row``, the word holds 8 channels of a token, and ``channel`` is a multiple of 8. If not, it holds 8 tokens
    of a channel, and ``token`` is a multiple of 8.
    """
    return {"by_row": 1, "channel": channel_bits(config), "token": token_bits(config)}


def place_layout(config: CoprocessorConfig) -> data.StructLayout:
    """A word of an order.

    ``kept`` has a bit for each byte of the word: whether the tensor has it. ``first`` and ``last`` mark the words of a
    channel or of a token's row, ``final`` the last word of the order.
    """
    return data.StructLayout(
        {
            "target": unsigned_bits(max(Target)),
            **spot_members(config),
            "kept": data.ArrayLayout(unsigned(1), WORD_BYTES),
            "first": 1,
            "last": 1,
            "final": 1,
        }
    )


def operands_layout() -> data.StructLayout:
    """The words of x and y at a place. Bytes that the tensor has not are 0 in x."""
    return data.StructLayout({"x": word_layout(), "y": word_layout(), "first": 1, "last": 1, "final": 1})


def TileWrite(config: CoprocessorConfig) -> wiring.Signature:
    """Write port of a tile, seen from the writer."""
    return wiring.Signature(
        {
            "enable": Out(1),
            **{name: Out(bits) for name, bits in spot_members(config).items()},
            "data": Out(word_layout()),
        }
    )
