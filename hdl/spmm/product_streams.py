"""The SpMM engine's streams: payload layouts that hardware, simulators and hosts read from one place."""

from amaranth import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import CYCLE_BITS, INT8_BITS, unsigned_bits
from ...spec.spmm_command import SpmmError, spmm_command_widths
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ...spec.weight_words import engine_word_shape, stream_bytes

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


def _struct(widths: dict[str, tuple[int, bool]]) -> data.StructLayout:
    return data.StructLayout(
        {name: signed(bits) if is_signed else unsigned(bits) for name, (bits, is_signed) in widths.items()}
    )


def command_layout(config: SpmmConfig) -> data.StructLayout:
    """One product's command; the fields of :class:`~thresher.spec.spmm_command.SpmmCommand`, lowest bits first."""
    return _struct(spmm_command_widths(config))


def row_layout(config: SpmmConfig) -> data.StructLayout:
    """What is told about a row of W; see :meth:`~thresher.spec.spmm_config.SpmmConfig.row_widths`."""
    return _struct(config.row_widths())


def rows_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One beat of rows: as many neighbouring rows of W as there are engines.

    All rows of W come once per pass over the tokens, in ceil(M / rows) beats; what the last beat holds beyond M is
    ignored, except in a product with spread lanes: there row i of a beat belongs to engine i, and those beyond M must
    have no words.
    """
    return data.ArrayLayout(row_layout(config), config.rows)


def weights_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One weight word of one engine, as bytes; see :func:`word_layout`. An engine takes the words of its rows, row
    after row, once per pass over the tokens."""
    return data.ArrayLayout(signed(INT8_BITS), stream_bytes(config))


def word_layout(config: SpmmConfig, weight_format: WeightFormat) -> data.StructLayout:
    """The meaning of the lowest bits of a weight word."""
    shape = engine_word_shape(config, weight_format)
    return data.StructLayout(
        {
            "values": data.ArrayLayout(signed(INT8_BITS), shape.values),
            "indices": data.ArrayLayout(unsigned(shape.index_bits), shape.values),
        }
    )


def input_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One beat of X: ``lanes`` INT8 values.

    A product's tokens come in passes. Lanes as tokens: a pass is ``lanes`` tokens and takes K beats, beat k being row
    k of X. Spread lanes: a pass is ``lanes / banks`` tokens and takes ceil(K / banks) beats; beat i holds, bank after
    bank, column i of that bank for each token. What lies beyond K or N is ignored.
    """
    return data.ArrayLayout(signed(INT8_BITS), config.lanes)


def output_layout(config: SpmmConfig) -> data.ArrayLayout:
    """One beat of results: ``drain_lanes`` INT8 values.

    Passes come in order. Lanes as tokens: each row of Y in order, its tokens of the pass in as many beats as they
    need. Spread lanes: a beat per ``rows`` rows, ``lanes / banks`` tokens of one row after those of the other. What
    lies beyond M or N is zero.
    """
    return data.ArrayLayout(signed(INT8_BITS), config.drain_lanes)


def table_layout() -> data.ArrayLayout:
    """One entry of the activation table."""
    return data.ArrayLayout(signed(INT8_BITS), 1)


def statistics_layout(config: SpmmConfig) -> data.StructLayout:
    """One product's statistics, in the order of the commands.

    ``saturations`` counts results that were clipped before the activation; ``cycles`` runs from the acceptance of the
    command to that of its last output beat.
    """
    return data.StructLayout(
        {"error": unsigned_bits(max(SpmmError)), "saturations": config.saturation_bits, "cycles": CYCLE_BITS}
    )


def spmm_signature(config: SpmmConfig) -> wiring.Signature:
    """The engine's streams; see :class:`~thresher.hdl.spmm.engine.Spmm`."""
    return wiring.Signature(
        {
            "i_command": In(stream.Signature(command_layout(config))),
            "i_rows": In(stream.Signature(rows_layout(config))),
            "i_weights": In(stream.Signature(weights_layout(config))).array(config.rows),
            "i_inputs": In(stream.Signature(input_layout(config))),
            "i_table": In(stream.Signature(table_layout())),
            "o_data": Out(stream.Signature(output_layout(config))),
            "o_statistics": Out(stream.Signature(statistics_layout(config))),
        }
    )
