"""Watches a program: its end, faults of the memory, the watchdog, and the host's wish to abort."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import UNITS, FaultCode
from ...spec.registers import STOP_CYCLES
from .control import WATCHDOG_BITS
from .execution import memory_fault_layout
from .program_streams import COUNT_BITS, finish_layout, oldest_layout, program_layout, waiting_layout

__all__ = ["Supervisor"]


class Supervisor(wiring.Component):
    """Gives a program to the execution, and resets the execution after the program.

    A program ends by END, by a fault, or by ``abort_program``. Then no new burst begins. When no burst is outstanding,
    the supervisor resets the execution and reports the end at ``o_finish``.

    If the memory does not answer within ``STOP_CYCLES``, or within the watchdog's limit if this is shorter, the end is
    reported at once. The next program waits until the memory has answered.

    Members
    -------
    i_program : In(stream(program_layout))
        Accepted with its end.
    o_finish : Out(stream(finish_layout))
        One per program.
    watchdog : In(32)
        Most cycles between completed instructions, or 0 for no limit.
    abort_program : In(1)
        Ends the program that runs.
    ready : Out(1)
        No program runs, and no burst is outstanding.
    o_program : Out(stream(program_layout))
    i_finish : In
        Stays asserted until the reset.
    memory_fault : In(memory_fault_layout)
    number : In(16)
    oldest : In(oldest_layout)
    waiting : In(waiting_layout)
        See :class:`~thresher.hdl.coprocessor.sequencer.Sequencer`.
    completes : In(1)
        A unit completes an instruction.
    idle : In(1)
        No burst is outstanding.
    stop, reset : Out(1)
        Of the execution.
    """

    i_program: In(stream.Signature(program_layout()))
    o_finish: Out(stream.Signature(finish_layout()))
    watchdog: In(WATCHDOG_BITS)
    abort_program: In(1)
    ready: Out(1)
    o_program: Out(stream.Signature(program_layout()))
    i_finish: In(stream.Signature(finish_layout(), always_ready=True))
    memory_fault: In(memory_fault_layout())
    number: In(COUNT_BITS)
    oldest: In(oldest_layout())
    waiting: In(waiting_layout())
    completes: In(1)
    idle: In(1)
    stop: Out(1)
    reset: Out(1)

    def elaborate(self, platform):
        m = Module()
        finish = Signal(finish_layout())
        reported = Signal()  # the end of the program has been reported
        clean = Signal()  # the execution has been reset since the program ended
        counting = Signal()
        draining = Signal()
        expired = self._count(m, counting, draining)
        m.d.comb += [
            self.o_program.payload.eq(self.i_program.payload),
            self.o_finish.payload.eq(finish),
            self.i_program.ready.eq(self.o_finish.valid & self.o_finish.ready),
        ]
        with m.FSM(name="program"):
            with m.State("IDLE"):
                m.d.comb += self.ready.eq(1)
                m.d.sync += [reported.eq(0), clean.eq(0), self.stop.eq(0)]
                with m.If(self.i_program.valid):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.o_program.valid.eq(1)
                self._capture(m, finish, expired)
                with m.If(self.memory_fault.valid | self.i_finish.valid | expired | self.abort_program):
                    m.d.sync += self.stop.eq(1)
                    m.next = "DRAIN"
                with m.Else():
                    m.d.comb += counting.eq(1)
            with m.State("DRAIN"):
                m.d.comb += [draining.eq(1), counting.eq(~reported)]
                with m.If(self.idle):
                    m.next = "RESET"
                with m.Elif(expired):
                    m.next = "REPORT"
            with m.State("RESET"):
                m.d.comb += self.reset.eq(1)
                m.d.sync += clean.eq(1)
                m.next = "REPORT"
                with m.If(reported):
                    m.next = "IDLE"
            with m.State("REPORT"):
                m.d.comb += self.o_finish.valid.eq(1)
                m.d.sync += reported.eq(1)
                with m.If(self.o_finish.ready):
                    m.next = "DRAIN"
                    with m.If(clean):
                        m.next = "IDLE"
        return m

    def _count(self, m: Module, counting: Signal, draining: Signal) -> Signal:
        """Whether the watchdog has expired, or the time to drain. The count starts again with ``counting``, and with
        each completed instruction."""
        cycles = Signal(WATCHDOG_BITS)
        expired = Signal()
        late = (cycles == self.watchdog) & (self.watchdog != 0)
        with m.If(counting & ~self.completes):
            m.d.sync += [cycles.eq(cycles + 1), expired.eq(late | (draining & (cycles == STOP_CYCLES)))]
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
                finish.instruction.eq(self.waiting.instruction),
                finish.tag.eq(self.waiting.tag),
                finish.unit.eq(self.waiting.unit),
                finish.address.eq(0),
                finish.error.eq(Mux(expired, FaultCode.WATCHDOG, FaultCode.ABORT)),
            ]
            with m.If(self.memory_fault.valid):  # of the program, unless a unit has begun an instruction
                m.d.sync += [finish.instruction.eq(self.number), finish.tag.eq(0)]
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
