"""Watches a program: its end, faults of the memory, the watchdog, and the host's wish to abort."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import UNITS, FaultCode
from .execution import memory_fault_layout
from .program_streams import COUNT_BITS, finish_layout, oldest_layout, program_layout

__all__ = ["WATCHDOG_BITS", "Supervisor"]

WATCHDOG_BITS = 32


class Supervisor(wiring.Component):
    """Gives a program to the execution, and resets the execution when the program has ended in any way.

    After the end, no new burst begins. When the memory owes nothing, the execution is reset, and the end is told. If
    the memory does not answer until the watchdog runs out once more, the end is told before; the next program begins
    only after the memory has answered.

    Members
    -------
    i_program : In(stream(program_layout))
        Accepted with its end.
    o_finish : Out(stream(finish_layout))
        One per program.
    watchdog : In(32)
        Most cycles between completed instructions, or 0 for no limit.
    abort : In(1)
        Ends the program that runs.
    ready : Out(1)
        No program runs, and the memory owes nothing.
    o_program : Out(stream(program_layout))
    i_finish : In
        ``valid`` and ``payload``; never accepted, because a reset follows.
    memory_fault : In(memory_fault_layout)
    number : In(16)
    oldest : In(oldest_layout)
    completes : In(1)
        A unit completes an instruction.
    idle : In(1)
        The memory owes nothing.
    stop, reset : Out(1)
        Of the execution.
    """

    i_program: In(stream.Signature(program_layout()))
    o_finish: Out(stream.Signature(finish_layout()))
    watchdog: In(WATCHDOG_BITS)
    abort: In(1)
    ready: Out(1)
    o_program: Out(stream.Signature(program_layout()))
    i_finish: In(stream.Signature(finish_layout(), always_ready=True))
    memory_fault: In(memory_fault_layout())
    number: In(COUNT_BITS)
    oldest: In(oldest_layout())
    completes: In(1)
    idle: In(1)
    stop: Out(1)
    reset: Out(1)

    def elaborate(self, platform):
        m = Module()
        finish = Signal(finish_layout())
        told = Signal()  # the end of the program
        clean = Signal()  # the execution has been reset since
        counting = Signal()
        expired = self._count(m, counting)
        m.d.comb += [
            self.o_program.payload.eq(self.i_program.payload),
            self.o_finish.payload.eq(finish),
            self.i_program.ready.eq(self.o_finish.valid & self.o_finish.ready),
        ]
        with m.FSM(name="program"):
            with m.State("IDLE"):
                m.d.comb += self.ready.eq(1)
                m.d.sync += [told.eq(0), clean.eq(0)]
                with m.If(self.i_program.valid):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.o_program.valid.eq(1)
                self._capture(m, finish, expired)
                with m.If(self.memory_fault.valid | self.i_finish.valid | expired | self.abort):
                    m.next = "DRAIN"
                with m.Else():
                    m.d.comb += counting.eq(1)
            with m.State("DRAIN"):
                m.d.comb += [self.stop.eq(1), counting.eq(~told)]
                with m.If(self.idle):
                    m.next = "RESET"
                with m.Elif(expired):
                    m.next = "TELL"
            with m.State("RESET"):
                m.d.comb += self.reset.eq(1)
                m.d.sync += clean.eq(1)
                m.next = "TELL"
                with m.If(told):
                    m.next = "IDLE"
            with m.State("TELL"):
                m.d.comb += [self.stop.eq(1), self.o_finish.valid.eq(1)]
                m.d.sync += told.eq(1)
                with m.If(self.o_finish.ready):
                    m.next = "DRAIN"
                    with m.If(clean):
                        m.next = "IDLE"
        return m

    def _count(self, m: Module, counting: Signal) -> Signal:
        """Whether the watchdog has run out since ``counting`` was last low, or an instruction was completed."""
        cycles = Signal(WATCHDOG_BITS)
        expired = Signal()
        with m.If(counting & ~self.completes):
            m.d.sync += [cycles.eq(cycles + 1), expired.eq((cycles == self.watchdog) & (self.watchdog != 0))]
        with m.Else():
            m.d.sync += [cycles.eq(0), expired.eq(0)]
        return expired

    def _capture(self, m: Module, finish, expired: Signal) -> None:
        """Record how the program ends, if it ends in this cycle."""
        units = {unit: self.oldest[unit.name.lower()] for unit in UNITS}
        with m.If(self.i_finish.valid & ~self.memory_fault.valid):
            m.d.sync += finish.eq(self.i_finish.payload)
        with m.Else():
            m.d.sync += [
                finish.detail.eq(0),
                finish.instruction.eq(self.number),
                finish.tag.eq(0),
                finish.unit.eq(0),
                finish.address.eq(0),
                finish.error.eq(Mux(expired, FaultCode.WATCHDOG, FaultCode.ABORT)),
            ]
            for unit, oldest in reversed(units.items()):
                guilty = oldest.valid & (~self.memory_fault.valid | (self.memory_fault.unit == unit))
                with m.If(guilty):
                    m.d.sync += [
                        finish.unit.eq(unit),
                        finish.instruction.eq(oldest.instruction),
                        finish.tag.eq(oldest.tag),
                    ]
            with m.If(self.memory_fault.valid):
                m.d.sync += [
                    finish.error.eq(self.memory_fault.code),
                    finish.unit.eq(self.memory_fault.unit),
                    finish.address.eq(self.memory_fault.address),
                ]
