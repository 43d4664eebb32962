"""Signals between the registers and the co-processor that they control."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import UNITS
from .memory_streams import regions_layout
from .sequencer import finish_layout, program_layout

__all__ = ["WATCHDOG_BITS", "ControlSignature", "activity_layout"]

WATCHDOG_BITS = 32


def activity_layout() -> data.StructLayout:
    """What happens in a clock cycle, for the performance counters.

    Each unit, by its name in small letters, has these bits:

    ``busy``
        The unit executes an instruction.
    ``waiting``
        The unit executes none, and the first of its queue waits for other instructions.
    ``starved``
        The unit executes an instruction, and cannot go on without words of the memory.
    ``completes``
        The unit completes an instruction in this cycle.

    ``word_read`` and ``word_written`` are asserted in each cycle in which a word passes the memory port.
    """
    unit = data.StructLayout({"busy": 1, "waiting": 1, "starved": 1, "completes": 1})
    return data.StructLayout({**{each.name.lower(): unit for each in UNITS}, "word_read": 1, "word_written": 1})


class ControlSignature(wiring.Signature):
    """The host's side of a co-processor, from the registers to the co-processor.

    Members
    -------
    regions : Out(regions_layout)
    watchdog : Out(32)
        Cycles without a completed instruction after which the program ends with a fault; 0 for no limit.
    program : Out(stream(program_layout))
        Offered from the start of a program until its end.
    abort : Out(1)
        Asserted from the host's request until the end of the program. The program must end soon.
    finish : In(stream(finish_layout))
        One per program, in the cycle in which ``program`` is accepted. It is always accepted.
    idle : In(1)
        Asserted if nothing remains of an earlier program; i.e. ``program`` may be offered. Once asserted, it stays
        until ``program`` is offered. ``regions``, ``watchdog`` and the payload of ``program`` change only while it is
        asserted and ``program`` is not offered.
    activity : In(activity_layout)
    """

    def __init__(self):
        super().__init__(
            {
                "regions": Out(regions_layout()),
                "watchdog": Out(WATCHDOG_BITS),
                "program": Out(stream.Signature(program_layout())),
                "abort": Out(1),
                "finish": In(stream.Signature(finish_layout())),
                "idle": In(1),
                "activity": In(activity_layout()),
            }
        )
