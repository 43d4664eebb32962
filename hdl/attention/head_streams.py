"""Payload layouts of the core's streams, shared by hardware, simulators and hosts."""

from amaranth import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.attention_command import CommandError, command_widths
from ...spec.attention_config import AttentionConfig
from ...spec.formats import CYCLE_BITS, INT8_BITS, unsigned_bits
from ..lib.packets import framed_layout
from ..lib.streams import struct_layout

__all__ = [
    "attention_signature",
    "command_layout",
    "data_layout",
    "head_layout",
    "load_layout",
    "output_layout",
    "predictions_layout",
    "statistics_layout",
]


def command_layout(config: AttentionConfig) -> data.StructLayout:
    """Command of one head: the fields of :class:`~thresher.spec.attention_command.HeadCommand`, lowest bits first."""
    return struct_layout(command_widths(config))


def data_layout(config: AttentionConfig) -> data.ArrayLayout:
    """One beat of operands: ``lanes`` INT8 values of one row.

    A head's beats are the rows of Q, then the rows of K, then the rows of V. Each row takes ceil(d / lanes) beats. The
    core ignores the values beyond d in a row's last beat.
    """
    return data.ArrayLayout(signed(INT8_BITS), config.lanes)


def output_layout(config: AttentionConfig) -> data.ArrayLayout:
    """One beat of results: ``lanes`` INT8 values of one row of O.

    Rows leave in order, in ceil(d / lanes) beats each. Values beyond d in a row's last beat are zero.
    """
    return data_layout(config)


def statistics_layout(config: AttentionConfig) -> data.StructLayout:
    """Statistics of one head. They leave in the order of the commands.

    ``cycles`` counts from the cycle that accepts the command to the cycle that accepts the head's last output beat.
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
            "i_data": In(stream.Signature(framed_layout(data_layout(config)))),
            "o_data": Out(stream.Signature(output_layout(config))),
            "last": Out(1),
            "o_statistics": Out(stream.Signature(statistics_layout(config))),
        }
    )


def head_layout(config: AttentionConfig) -> data.StructLayout:
    """A head inside the core: its command, and the scratchpad slot of its operands."""
    return data.StructLayout({"slot": 1, **command_layout(config).members})


def load_layout(config: AttentionConfig) -> data.StructLayout:
    """A head whose operands come next. If it is ``rejected``, they are dropped."""
    return data.StructLayout({"rejected": 1, "head": head_layout(config)})


def predictions_layout(config: AttentionConfig) -> data.StructLayout:
    """Predictions of ``block`` query rows against ``predictor_keys`` keys.

    ``query_valid`` marks the queries inside the sequence, and ``key_valid`` the keys that they see: one set per query
    in a causal core, one for all queries otherwise. The last set has all keys that the block row sees. ``last_group``
    marks the last beat of a block row. ``last_row`` marks the beats of the head's last block row.
    """
    return data.StructLayout(
        {
            "ii": data.ArrayLayout(
                data.ArrayLayout(signed(config.prediction_bits), config.predictor_keys), config.block
            ),
            "query_valid": config.block,
            "key_valid": data.ArrayLayout(config.predictor_keys, config.key_masks),
            "last_group": 1,
            "last_row": 1,
        }
    )
