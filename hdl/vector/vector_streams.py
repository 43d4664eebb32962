"""Payload layouts of the vector unit's streams, shared by hardware, simulators and hosts."""

from amaranth import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import CYCLE_BITS, INT8_BITS, unsigned_bits
from ...spec.vector_command import VectorError, vector_command_widths
from ...spec.vector_config import VectorConfig
from ..lib.packets import framed_layout
from ..lib.streams import struct_layout

__all__ = ["command_layout", "parameters_layout", "statistics_layout", "tokens_layout", "vector_signature"]


def command_layout(config: VectorConfig) -> data.StructLayout:
    """Command: the fields of :class:`~thresher.spec.vector_command.VectorCommand`, lowest bits first."""
    return struct_layout(vector_command_widths(config))


def parameters_layout(config: VectorConfig) -> data.StructLayout:
    """Parameters of a channel; see :meth:`~thresher.spec.vector_config.VectorConfig.parameter_widths`."""
    return struct_layout(config.parameter_widths())


def tokens_layout(config: VectorConfig) -> data.ArrayLayout:
    """One channel of a group of ``lanes`` tokens, INT8.

    The groups of a command come in order, each in C beats, one per channel. Operands come twice: all beats of a group,
    then the same beats again. The unit ignores operands beyond N, and gives zeros there.
    """
    return data.ArrayLayout(signed(INT8_BITS), config.lanes)


def statistics_layout(config: VectorConfig) -> data.StructLayout:
    """Statistics of a command. They leave in the order of the commands.

    ``saturations`` counts the clipped results. ``cycles`` counts from the cycle that accepts the command to the cycle
    that accepts its last output beat.
    """
    return data.StructLayout(
        {"error": unsigned_bits(max(VectorError)), "saturations": config.saturation_bits, "cycles": CYCLE_BITS}
    )


def vector_signature(config: VectorConfig) -> wiring.Signature:
    """The unit's streams; see :class:`~thresher.hdl.vector.unit.VectorUnit`."""
    return wiring.Signature(
        {
            "i_command": In(stream.Signature(command_layout(config))),
            "i_parameters": In(stream.Signature(framed_layout(parameters_layout(config)))),
            "i_x": In(stream.Signature(framed_layout(tokens_layout(config)))),
            "i_y": In(stream.Signature(framed_layout(tokens_layout(config)))),
            "o_data": Out(stream.Signature(tokens_layout(config))),
            "last": Out(1),
            "o_statistics": Out(stream.Signature(statistics_layout(config))),
        }
    )
