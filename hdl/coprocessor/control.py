"""Signals with which a host controls a co-processor."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.registers import BY_NAME
from .memory_streams import regions_layout
from .program_streams import activity_layout, finish_layout, program_layout

__all__ = ["WATCHDOG_BITS", "control_signature"]

WATCHDOG_BITS = BY_NAME["WATCHDOG"].fields[0].width


def control_signature() -> wiring.Signature:
    """Members of a co-processor but its memory. They do not depend on its configuration.

    Members
    -------
    regions : In(regions_layout)
        Place and size of each region. They may change only while ``ready`` is asserted.
    watchdog : In(32)
        Most cycles between completed instructions, or 0 for no limit.
    abort_program : In(1)
        Ends the program that runs. (A port named ``abort`` does not compile in C++.)
    ready : Out(1)
        No program runs, and no burst is outstanding.
    i_program : In(stream(program_layout))
        Accepted with its end.
    o_finish : Out(stream(finish_layout))
        One per program. After it, only the bytes of the memory are left for the next program.
    activity : Out(activity_layout)
    """
    return wiring.Signature(
        {
            "regions": In(regions_layout()),
            "watchdog": In(WATCHDOG_BITS),
            "abort_program": In(1),
            "ready": Out(1),
            "i_program": In(stream.Signature(program_layout())),
            "o_finish": Out(stream.Signature(finish_layout())),
            "activity": Out(activity_layout()),
        }
    )
