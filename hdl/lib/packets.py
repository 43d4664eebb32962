"""Packets of operands: a unit takes one from each stream for each command, whatever its length.

``docs/streams.md`` states the contract.
"""

from amaranth import Module, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PacketReceiver", "fault_layout", "framed_layout", "is_framed", "packet_error"]


def framed_layout(layout) -> data.StructLayout:
    """A beat of a packet. ``last`` marks the last beat of the packet."""
    return data.StructLayout({"data": layout, "last": 1})


def is_framed(layout) -> bool:
    """Whether these are the beats of packets."""
    return isinstance(layout, data.StructLayout) and list(layout.members) == ["data", "last"]


def fault_layout() -> data.StructLayout:
    """What is wrong with the packets of a command: too few beats, too many beats."""
    return data.StructLayout({"missing": 1, "surplus": 1})


def packet_error(error: Value, fault, codes) -> Value:
    """The field ``error`` of the statistics.

    Parameters
    ----------
    error : Value
        The reason why the command is rejected, or 0.
    fault : view of fault_layout
        It counts only if the command is not rejected; with both faults, it is ``MISSING``.
    codes : IntEnum
        It has ``MISSING`` and ``SURPLUS``.
    """
    bits = max(codes).bit_length()
    accepted = ~error.any()
    missing = (accepted & fault.missing).replicate(bits) & codes.MISSING
    surplus = (accepted & ~fault.missing & fault.surplus).replicate(bits) & codes.SURPLUS
    return error | missing | surplus


class PacketReceiver(wiring.Component):
    """Gives as many beats as the unit expects.

    If a packet is too short, undefined beats follow it. If it is too long, the beats behind the final one are dropped.

    Parameters
    ----------
    layout : ShapeLike
        Data of a beat.

    Members
    -------
    i : In(stream(framed_layout))
        ``ready`` does not depend on ``valid``.
    o : Out(stream(layout))
    final : In(1)
        The beat at ``o`` is the last one that the unit expects. Only the cycle of the transfer matters.
    drop : In(1)
        Asserted for one cycle to drop a whole packet. Nothing may be ``dropping``, and the unit takes no beat in this
        cycle.
    dropping : Out(1)
        Beats are being dropped. The next packet waits.
    made_up : Out(1)
        The beat at ``o`` is made up. Where a value decides what the unit does, the unit must take 0 instead.
    fault : Out(fault_layout)
        Asserted in the cycle in which the unit takes the final beat, if the packet is too short or too long.
    """

    def __init__(self, layout):
        super().__init__(
            {
                "i": In(stream.Signature(framed_layout(layout))),
                "o": Out(stream.Signature(layout)),
                "final": In(1),
                "drop": In(1),
                "dropping": Out(1),
                "made_up": Out(1),
                "fault": Out(fault_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        last = self.i.payload.last
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq(self.made_up | (self.i.valid & ~self.dropping)),
            self.o.payload.eq(self.i.payload.data),
            self.i.ready.eq(self.dropping | (self.o.ready & ~self.made_up)),
            self.fault.missing.eq(taken & self.final & self.made_up),
            self.fault.surplus.eq(taken & self.final & ~self.made_up & ~last),
        ]
        with m.If(taken):
            m.d.sync += self.made_up.eq(~self.final & (self.made_up | last))
        with m.If(self.fault.surplus):
            m.d.sync += self.dropping.eq(1)
        with m.If(self.dropping & self.i.valid & last):
            m.d.sync += self.dropping.eq(0)
        with m.If(self.drop):
            m.d.sync += self.dropping.eq(1)
        return m
