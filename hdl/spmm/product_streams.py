"""Payload layouts of the SpMM engine's streams, shared by hardware, simulators and hosts."""

from amaranth import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import CYCLE_BITS, INT8_BITS, unsigned_bits
from ...spec.spmm_command import SpmmError, spmm_command_widths
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ...spec.weight_words import engine_word_shape, stream_bytes
from ..lib.packets import framed_layout
from ..lib.streams import struct_layout

__all__ = [
    "command_layout",
    "input_layout",
    "output_layout",
    "row_layout",
    "rows_layout",
    "spmm_signature",
    "statistics_layout",
    "table_layout",
    "weights_layout",
    "word_layout",
]


def command_layout(config: SpmmConfig) -> data.StructLayout:
    """Command of one product: the fields of :class:`~thresher.spec.spmm_command.SpmmCommand`, lowest bits first."""
    return struct_layout(spmm_command_widths(config))


def row_layout(config: SpmmConfig) -> data.StructLayout:
    """Parameters of a row of W; see :meth:`~thresher.spec.spmm_config.SpmmConfig.row_widths`."""
    return struct_layout(config.row_widths())


def rows_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One beat of rows: as many neighbouring rows of W as there are engines.

    All rows of W come once per pass over the tokens, in ceil(M / rows) beats. With lanes as tokens, the engine ignores
    entries beyond M. In spread products, row i of a beat belongs to engine i, whatever its field ``engine`` says, and
    rows beyond M must have no words.
    """
    return data.ArrayLayout(row_layout(config), config.rows)


def weights_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One weight word of one engine, as bytes; see :func:`word_layout`.

    An engine takes the words of its rows, row by row, once per pass over the tokens.
    """
    return data.ArrayLayout(signed(INT8_BITS), stream_bytes(config))


def word_layout(config: SpmmConfig, weight_format: WeightFormat) -> data.StructLayout:
    """Fields of a weight word, in its lowest bits."""
    shape = engine_word_shape(config, weight_format)
    return data.StructLayout(
        {
            "values": data.ArrayLayout(signed(INT8_BITS), shape.values),
            "indices": data.ArrayLayout(unsigned(shape.index_bits), shape.values),
        }
    )


def input_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One beat of X: ``lanes`` INT8 values.

    The tokens of a product come in passes.

    - Lanes as tokens: a pass is ``lanes`` tokens and takes K beats. Beat k is row k of X.
    - Spread: a pass is ``lanes / banks`` tokens and takes ceil(K / banks) beats. Beat i holds column i of every bank,
      bank by bank, for each token.

    The engine ignores values beyond K or N.
    """
    return data.ArrayLayout(signed(INT8_BITS), config.lanes)


def output_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One beat of results: ``drain_lanes`` INT8 values.

    Passes leave in order.

    - Lanes as tokens: the rows of Y leave in order, each in as many beats as its tokens of the pass need.
    - Spread: a beat holds ``rows`` rows, the ``lanes / banks`` tokens of one row after those of another.

    Values beyond M or N are zero.
    """
    return data.ArrayLayout(signed(INT8_BITS), config.drain_lanes)


def table_layout() -> data.ArrayLayout:
    """One entry of the activation table."""
    return data.ArrayLayout(signed(INT8_BITS), 1)


def statistics_layout(config: SpmmConfig) -> data.StructLayout:
    """Statistics of one product. They leave in the order of the commands.

    ``saturations`` counts the results that were clipped before the activation. ``cycles`` counts from the cycle that
    accepts the command to the cycle that accepts its last output beat.
    """
    return data.StructLayout(
        {"error": unsigned_bits(max(SpmmError)), "saturations": config.saturation_bits, "cycles": CYCLE_BITS}
    )


def spmm_signature(config: SpmmConfig) -> wiring.Signature:
    """The engine's streams; see :class:`~thresher.hdl.spmm.engine.Spmm`."""
    return wiring.Signature(
        {
            "i_command": In(stream.Signature(command_layout(config))),
            "i_rows": In(stream.Signature(framed_layout(rows_layout(config)))),
            "i_weights": In(stream.Signature(framed_layout(weights_layout(config)))).array(config.rows),
            "i_inputs": In(stream.Signature(framed_layout(input_layout(config)))),
            "i_table": In(stream.Signature(framed_layout(table_layout()))),
            "o_data": Out(stream.Signature(output_layout(config))),
            "last": Out(1),
            "o_statistics": Out(stream.Signature(statistics_layout(config))),
        }
    )
