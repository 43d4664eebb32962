"""The core's streams: payload layouts that hardware, simulators and hosts read from one place."""

from amaranth import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.attention_command import CommandError, command_widths
from ...spec.attention_config import AttentionConfig
from ...spec.formats import CYCLE_BITS, INT8_BITS, unsigned_bits

__all__ = [
    "attention_signature",
    "command_layout",
    "data_layout",
    "head_layout",
    "output_layout",
    "predictions_layout",
    "statistics_layout",
]


def command_layout(config: AttentionConfig) -> data.StructLayout:
    """One head's command; the fields of :class:`~thresher.spec.attention_command.HeadCommand`, lowest bits first."""
    return data.StructLayout(
        {
            name: signed(bits) if is_signed else unsigned(bits)
            for name, (bits, is_signed) in command_widths(config).items()
        }
    )


def data_layout(config: AttentionConfig) -> data.ArrayLayout:
    """One beat of operands: ``lanes`` INT8 values of one row.

    A head's beats are the rows of Q, then of K, then of V; each row takes ceil(d / lanes) beats. What its last beat
    holds beyond d is ignored.
    """
    return data.ArrayLayout(signed(INT8_BITS), config.lanes)


def output_layout(config: AttentionConfig) -> data.ArrayLayout:
    """One beat of results: ``lanes`` INT8 values of one row of O.

    Rows come in order, each in ceil(d / lanes) beats, as the operands did; what the last beat holds beyond d is zero.
    """
    return data_layout(config)


def statistics_layout(config: AttentionConfig) -> data.StructLayout:
    """One head's statistics, in the order of the commands.

    ``cycles`` runs from the acceptance of the command to that of the head's last output beat.
    """
    return data.StructLayout(
        {
            "error": unsigned_bits(max(CommandError)),
            "pruned": 1,
            "kept_blocks": config.kept_bits,
            "saturations": config.saturation_bits,
            "cycles": CYCLE_BITS,
        }
    )


def attention_signature(config: AttentionConfig) -> wiring.Signature:
    """The core's streams; see :class:`~thresher.hdl.attention.core.AttentionCore`."""
    return wiring.Signature(
        {
            "i_command": In(stream.Signature(command_layout(config))),
            "i_data": In(stream.Signature(data_layout(config))),
            "o_data": Out(stream.Signature(output_layout(config))),
            "o_statistics": Out(stream.Signature(statistics_layout(config))),
        }
    )


def head_layout(config: AttentionConfig) -> data.StructLayout:
    """A head inside the core: its command, and the scratchpad slot that holds its operands."""
    return data.StructLayout({"slot": 1, **command_layout(config).members})


def predictions_layout(config: AttentionConfig) -> data.StructLayout:
    """Predictions of ``block`` query rows against ``predictor_keys`` keys.

    ``query_valid`` and ``key_valid`` mark what lies inside the sequences; ``last_group`` the end of a block row,
    ``last_row`` the beats of a head's last block row.
    """
    return data.StructLayout(
        {
            "ii": data.ArrayLayout(
                data.ArrayLayout(signed(config.prediction_bits), config.predictor_keys), config.block
            ),
            "query_valid": config.block,
            "key_valid": config.predictor_keys,
            "last_group": 1,
            "last_row": 1,
        }
    )
