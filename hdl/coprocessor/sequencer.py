"""Sequencer: reads a program, and gives each unit its instructions in order."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.program import BODY_FIELDS, HEADER_FIELDS, INSTRUCTION_BYTES, UNITS, WORD_BYTES, FaultCode, Opcode
from ..lib.streams import HalfBuffer, StreamFIFO, struct_layout
from .memory_streams import span_layout, word_layout
from .product.assembler import Assembler
from .program_streams import (
    COUNT_BITS,
    UNIT_BITS,
    activity_layout,
    completion_layout,
    finish_layout,
    instruction_layout,
    oldest_layout,
    program_layout,
    waiting_layout,
)

__all__ = ["Sequencer"]

INSTRUCTION_WORDS = INSTRUCTION_BYTES // WORD_BYTES
QUEUE_DEPTH = 8
"""Instructions that wait for a unit. Those of other units go on until a queue is full."""
UNDER_WAY = 16
"""Instructions of a unit that have begun and are not complete."""


def header_layout() -> data.StructLayout:
    """Fields that all instructions have."""
    return struct_layout(dict(HEADER_FIELDS))


class Sequencer(wiring.Component):
    """Executes a program. It must be reset after every program.

    Instructions are read ahead. Each goes to the queue of its unit, and leaves it when the units have completed as
    many instructions as it waits for. END waits at the head of the program.

    Members
    -------
    i_program : In(stream(program_layout))
        Offered until the reset; never accepted.
    o_spans : Out(stream(span_layout))
        The program.
    i_words : In(stream(word_layout))
    o_product, o_attention, o_vector : Out(stream(instruction_layout))
    i_product, i_attention, i_vector : In(stream(completion_layout))
        One per instruction, in order.
    o_finish : Out(stream(finish_layout, always_ready))
        The end of the program. Stays asserted until the reset.
    number : Out(16)
        Of the instruction that the sequencer looks at.
    oldest : Out(oldest_layout)
    waiting : Out(waiting_layout)
        A cycle late.
    activity : Out(activity_layout)
        Without ``starved``.
    """

    def __init__(self):
        members: dict = {
            "i_program": In(stream.Signature(program_layout())),
            "o_spans": Out(stream.Signature(span_layout())),
            "i_words": In(stream.Signature(word_layout())),
            "o_finish": Out(stream.Signature(finish_layout(), always_ready=True)),
            "number": Out(COUNT_BITS),
            "oldest": Out(oldest_layout()),
            "waiting": Out(waiting_layout()),
            "activity": Out(activity_layout()),
        }
        for unit in UNITS:
            members[f"o_{unit.name.lower()}"] = Out(stream.Signature(instruction_layout(unit)))
            members[f"i_{unit.name.lower()}"] = In(stream.Signature(completion_layout()))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.instructions = instructions = Assembler(most=INSTRUCTION_WORDS)
        m.submodules.head = head = HalfBuffer(INSTRUCTION_BYTES * 8)
        connect(m, flipped(self.i_words), instructions.i_words)
        m.d.comb += [
            head.i.valid.eq(instructions.o_beats.valid),
            head.i.payload.eq(Value.cast(instructions.o_beats.payload)),
            instructions.o_beats.ready.eq(head.i.ready),
        ]
        counts = {unit: Signal(COUNT_BITS, name=f"completed_{unit.name.lower()}") for unit in UNITS}
        fault = Signal(finish_layout())
        self._fetch(m, instructions)
        queues = {unit: self._unit(m, unit, counts, fault) for unit in UNITS}
        tag = Signal(HEADER_FIELDS["tag"][0])
        ended = self._dispatch(m, head.o, {unit: queue.i for unit, queue in queues.items()}, counts, fault, tag)
        self._find_waiting(m, queues, tag)
        m.d.comb += [
            self.o_finish.valid.eq(ended | (fault.error != FaultCode.NONE)),
            self.o_finish.payload.eq(fault),
        ]
        return m

    def _fetch(self, m: Module, instructions: Assembler) -> None:
        """Ask for the whole program at once; the reader reads ahead as far as it has room."""
        program = self.i_program.payload
        asked = Signal()
        assembled = Signal()
        beats = instructions.i_beats
        m.d.comb += [
            self.o_spans.valid.eq(self.i_program.valid & ~asked),
            self.o_spans.payload.address.eq(program.address),
            self.o_spans.payload.words.eq(program.instructions * INSTRUCTION_WORDS),
            beats.valid.eq(self.i_program.valid & ~assembled),
            beats.payload.count.eq(program.instructions),
            beats.payload.words.eq(INSTRUCTION_WORDS),
            beats.payload.last_words.eq(INSTRUCTION_WORDS),
        ]
        with m.If(self.o_spans.valid & self.o_spans.ready):
            m.d.sync += asked.eq(1)
        with m.If(beats.ready):
            m.d.sync += assembled.eq(1)

    def _unit(self, m: Module, unit: Opcode, counts: dict[Opcode, Signal], fault) -> StreamFIFO:
        """Queue of a unit: each instruction leaves it when it may begin."""
        name = unit.name.lower()
        body = instruction_layout(unit)
        queued = data.StructLayout({"number": COUNT_BITS, "header": header_layout(), "body": body})
        m.submodules[f"{name}_queue"] = queue = StreamFIFO(queued, depth=QUEUE_DEPTH)
        begun = data.StructLayout({"instruction": COUNT_BITS, "tag": HEADER_FIELDS["tag"][0]})
        m.submodules[f"{name}_under_way"] = under_way = StreamFIFO(begun, depth=UNDER_WAY)
        waiting = queue.o.payload
        out = getattr(self, f"o_{name}")
        end = getattr(self, f"i_{name}")
        # The comparison is a register; counts only grow, so it holds for the instruction that it was made for.
        may_begin = Signal(name=f"{name}_may_begin")
        begins = Signal(name=f"{name}_begins")
        m.d.sync += may_begin.eq(queue.o.valid & ~begins & _satisfied(waiting.header, counts))
        m.d.comb += [
            out.valid.eq(may_begin & under_way.i.ready),
            out.payload.eq(waiting.body),
            begins.eq(out.valid & out.ready),
            queue.o.ready.eq(begins),
            under_way.i.valid.eq(begins),
            under_way.i.payload.instruction.eq(waiting.number),
            under_way.i.payload.tag.eq(waiting.header.tag),
            end.ready.eq(under_way.o.valid),
            under_way.o.ready.eq(end.valid),
        ]
        oldest, activity = self.oldest[name], self.activity[name]
        completes = end.valid & end.ready
        m.d.comb += [
            oldest.valid.eq(under_way.o.valid),
            oldest.instruction.eq(under_way.o.payload.instruction),
            oldest.tag.eq(under_way.o.payload.tag),
            activity.begins.eq(begins),
            activity.completes.eq(completes),
            activity.busy.eq(under_way.o.valid),
            activity.waiting.eq(queue.o.valid & ~under_way.o.valid),
        ]
        with m.If(completes):
            m.d.sync += counts[unit].eq(counts[unit] + 1)
            with m.If((end.payload.error != FaultCode.NONE) & (fault.error == FaultCode.NONE)):
                m.d.sync += [
                    fault.error.eq(end.payload.error),
                    fault.detail.eq(end.payload.detail),
                    fault.unit.eq(unit),
                    fault.instruction.eq(under_way.o.payload.instruction),
                    fault.tag.eq(under_way.o.payload.tag),
                ]
        return queue

    def _find_waiting(self, m: Module, queues: dict[Opcode, StreamFIFO], tag: Signal) -> None:
        """Find the first instruction that has not begun: in a queue, or the one that the sequencer looks at."""
        first: Value = Value.cast(Cat(Const(0, UNIT_BITS), self.number, tag))
        number: Value = self.number
        for unit, queue in queues.items():
            item = queue.o.payload
            earlier = queue.o.valid & (item.number < number)
            own = Cat(Const(unit, UNIT_BITS), item.number, item.header.tag)
            first, number = Mux(earlier, own, first), Mux(earlier, item.number, number)
        m.d.sync += Value.cast(self.waiting).eq(first)

    def _dispatch(self, m: Module, head, entrances, counts: dict[Opcode, Signal], fault, tag: Signal) -> Signal:
        """Look at one instruction at a time, and give it to its unit. END waits here. Returns whether it has ended.

        ``tag`` is that of the instruction, or 0 if it has not been read.
        """
        number = self.number
        item = Signal(INSTRUCTION_BYTES * 8)
        header = data.View(header_layout(), item[: header_layout().size])
        rest = item[header_layout().size :]
        ended = Signal()
        illegal = Signal()
        taken = Signal()
        wrong = {
            opcode: (header.flags != 0) | rest[struct_layout(dict(fields)).size :].any()
            for opcode, fields in BODY_FIELDS.items()
        }
        m.d.comb += illegal.eq(1)
        with m.Switch(header.opcode):
            for opcode, applies in wrong.items():
                with m.Case(opcode):
                    m.d.comb += illegal.eq(applies)
        with m.Switch(header.opcode):
            for unit, entrance in entrances.items():
                with m.Case(unit):
                    m.d.comb += taken.eq(entrance.ready)
        for entrance in entrances.values():
            m.d.comb += [
                entrance.payload.number.eq(number),
                entrance.payload.header.eq(header),
                Value.cast(entrance.payload.body).eq(rest),
            ]
        with m.FSM(name="dispatch"):
            with m.State("NEXT"):
                m.d.sync += item.eq(head.payload)
                with m.If(self.i_program.valid & (number == self.i_program.payload.instructions)):
                    _raise(m, fault, FaultCode.LENGTH, number, 0)
                    m.next = "STOP"
                with m.Else():
                    m.d.comb += head.ready.eq(1)
                    with m.If(head.valid):
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += tag.eq(header.tag)
                with m.If(illegal):
                    _raise(m, fault, FaultCode.OPCODE, number, header.tag)
                    m.next = "STOP"
                with m.Elif(header.opcode == Opcode.END):
                    m.next = "END"
                with m.Else():
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += tag.eq(header.tag)
                for unit, entrance in entrances.items():
                    m.d.comb += entrance.valid.eq(header.opcode == unit)
                with m.If(taken):
                    m.d.sync += number.eq(number + 1)
                    m.next = "NEXT"
            with m.State("END"):
                m.d.comb += tag.eq(header.tag)
                with m.If(_satisfied(header, counts) & (fault.error == FaultCode.NONE)):
                    m.d.sync += number.eq(number + 1)
                    m.next = "REST"
            with m.State("REST"):
                # What follows END is dropped.
                with m.If(number == self.i_program.payload.instructions):
                    m.next = "FINISH"
                with m.Else():
                    m.d.comb += head.ready.eq(1)
                    m.d.sync += number.eq(number + head.valid)
            with m.State("FINISH"):
                m.d.comb += ended.eq(1)
            with m.State("STOP"):
                pass
        return ended


def _satisfied(header, counts: dict[Opcode, Signal]) -> Value:
    """Whether the units have completed as many instructions as an instruction waits for."""
    return Cat(counts[unit] >= header[f"wait_{unit.name.lower()}"] for unit in UNITS).all()


def _raise(m: Module, fault, code: FaultCode, number, tag) -> None:
    """Record a fault of the program, unless there is one already."""
    with m.If(fault.error == FaultCode.NONE):
        m.d.sync += [fault.error.eq(code), fault.detail.eq(0), fault.instruction.eq(number), fault.tag.eq(tag)]
