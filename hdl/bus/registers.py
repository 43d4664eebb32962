"""The registers of a co-processor, as hardware."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import UNITS, FaultCode, Region
from ...spec.registers import BY_NAME, REGISTER_BYTES, REGISTERS, SPACE_BYTES, Access, Field, Register, hash_words
from ..coprocessor.control import control_signature
from ..lib.pipeline import index_bits

__all__ = ["RegisterFile", "RegisterPort"]

REGISTER_BITS = 8 * REGISTER_BYTES
REGISTER_INDEX_BITS = index_bits(SPACE_BYTES // REGISTER_BYTES)

FINISH_FIELDS = {
    "error": "FAULT.code",
    "unit": "FAULT.unit",
    "detail": "FAULT.detail",
    "instruction": "FAULT_INSTRUCTION.index",
    "tag": "FAULT_INSTRUCTION.tag",
    "address": "FAULT_ADDRESS.value",
}
"""Where the host reads each member of the end of a program."""
UNIT_EVENTS = {"BUSY": "busy", "WAITING": "waiting", "STARVED": "starved", "COMPLETED": "completes"}
"""What the counters of a unit count."""
FIELDS = {f"{register.name}.{field.name}": field for register in REGISTERS for field in register.fields}


class RegisterPort(wiring.Signature):
    """Access to registers. Reads and writes are independent; a read gives the value before a write of the same cycle.

    Members
    -------
    write : Out(1)
        Asserted for one cycle per write.
    write_index : Out(10)
        Offset of the register, divided by 4.
    write_data : Out(32)
    write_mask : Out(4)
        Bytes that are written, the lowest one first.
    write_error : In(1)
        One cycle after ``write``, until the next write: the write is refused and has no effect.
    read : Out(1)
        Asserted for one cycle per read.
    read_index : Out(10)
    read_data : In(32)
        One cycle after ``read``, until the next read. 0 if there is no such register.
    read_error : In(1)
        Like ``read_data``: there is no such register.
    """

    def __init__(self):
        super().__init__(
            {
                "write": Out(1),
                "write_index": Out(REGISTER_INDEX_BITS),
                "write_data": Out(REGISTER_BITS),
                "write_mask": Out(REGISTER_BYTES),
                "write_error": In(1),
                "read": Out(1),
                "read_index": Out(REGISTER_INDEX_BITS),
                "read_data": In(REGISTER_BITS),
                "read_error": In(1),
            }
        )


class RegisterFile(wiring.Component):
    """The registers of :mod:`~thresher.spec.registers`.

    A write is refused if it could not be obeyed: there is no such register, the register is read-only, it may be
    written only while ``STATUS.idle`` is 1 and it is 0, or a program cannot be started.

    Parameters
    ----------
    config_hash : str
        The hash of the co-processor's configuration, in hexadecimal.

    Members
    -------
    port : In(RegisterPort)
    control : In(control_signature)
    interrupt : Out(1)
        Asserted while an enabled event is pending.
    """

    def __init__(self, config_hash: str):
        self._hash = hash_words(config_hash)
        self._values = {
            f"{register.name}.{field.name}": Signal(
                field.width, init=field.reset, name=f"{register.name}_{field.name}".lower()
            )
            for register in REGISTERS
            for field in register.fields
        }
        super().__init__({"port": In(RegisterPort()), "control": In(control_signature()), "interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        for name, word in zip(("HASH_LOW", "HASH_HIGH"), self._hash, strict=True):
            m.d.comb += self._values[f"{name}.value"].eq(word)
        self._read(m)
        self._write(m)
        # Later statements win: an event over a clear in the same cycle, and the start of a program over its counters.
        self._drive(m)
        self._run(m)
        self._count(m)
        return m

    def _read(self, m: Module) -> None:
        port = self.port
        words = {register.offset // REGISTER_BYTES: self._word(register) for register in REGISTERS}
        bits = index_bits(max(words) + 1)
        beyond = port.read_index[bits:].any()
        mapped = C(sum(1 << index for index in words), 1 << bits).bit_select(port.read_index[:bits], 1)
        # A tree of multiplexers. A switch takes 550 LUTs more on ECP5.
        level = [words.get(index, C(0, REGISTER_BITS)) for index in range(1 << bits)]
        for bit in port.read_index[:bits]:
            level = [Mux(bit, odd, even) for even, odd in zip(level[::2], level[1::2], strict=True)]
        with m.If(port.read):
            m.d.sync += [port.read_data.eq(Mux(beyond, 0, level[0])), port.read_error.eq(beyond | ~mapped)]

    def _word(self, register: Register):
        """What a register reads as."""
        parts, place = [], 0
        for field in register.fields:
            value = self._values[f"{register.name}.{field.name}"]
            parts += [C(0, field.offset - place), C(0, field.width) if field.access is Access.WRITE_ONE else value]
            place = field.offset + field.width
        return Cat(parts)

    def _write(self, m: Module) -> None:
        port = self.port
        with m.If(port.write):
            m.d.sync += port.write_error.eq(1)
            with m.Switch(port.write_index):
                for register in (each for each in REGISTERS if each.writable):
                    with m.Case(register.offset // REGISTER_BYTES):
                        accepted = self._accepted(register)
                        m.d.sync += port.write_error.eq(~accepted)
                        with m.If(accepted):
                            for field in register.fields:
                                self._write_field(m, register, field)

    def _accepted(self, register: Register):
        """Whether a write to a register is not refused."""
        idle = self._values["STATUS.idle"]
        if register.name == "CONTROL":
            return ~self._written("CONTROL.start").any() | idle & self._values["PROGRAM_INSTRUCTIONS.count"].any()
        return idle if register.needs_idle else C(1)

    def _written(self, name: str):
        """Bits of a field to which a write of its register writes 1."""
        field = FIELDS[name]
        return (self.port.write_data & self._mask())[field.offset : field.offset + field.width]

    def _mask(self):
        """Bits that are written."""
        return Cat(byte.replicate(8) for byte in self.port.write_mask)

    def _write_field(self, m: Module, register: Register, field: Field) -> None:
        port, name = self.port, f"{register.name}.{field.name}"
        value = self._values[name]
        match field.access:
            case Access.READ_WRITE:
                # Byte by byte, so that each byte is one enable of its registers.
                for byte, written in enumerate(port.write_mask):
                    low, high = max(8 * byte, field.offset), min(8 * byte + 8, field.offset + field.width)
                    if low < high:
                        with m.If(written):
                            m.d.sync += value[low - field.offset : high - field.offset].eq(port.write_data[low:high])
            case Access.WRITE_ONE_TO_CLEAR:
                m.d.sync += value.eq(value & ~self._written(name))
            case Access.WRITE_ONE:
                m.d.comb += value.eq(self._written(name))
            case Access.READ | Access.CONSTANT:
                pass

    def _drive(self, m: Module) -> None:
        """Give the settings to the co-processor, and requests and events to their signals."""
        control, value = self.control, self._values
        m.d.comb += [
            control.watchdog.eq(value["WATCHDOG.cycles"]),
            control.i_program.valid.eq(value["STATUS.busy"]),
            control.i_program.payload.address.eq(self._word(BY_NAME["PROGRAM_ADDRESS"])),
            control.i_program.payload.instructions.eq(value["PROGRAM_INSTRUCTIONS.count"]),
            control.o_finish.ready.eq(1),
            value["STATUS.idle"].eq(control.ready & ~value["STATUS.busy"]),
            self.interrupt.eq(
                value["INTERRUPT_PENDING.finished"] & value["INTERRUPT_ENABLE.finished"]
                | value["INTERRUPT_PENDING.fault"] & value["INTERRUPT_ENABLE.fault"]
            ),
        ]
        for region in Region:
            place = control.regions[region.name.lower()]
            m.d.comb += [
                place.base.eq(self._word(BY_NAME[f"{region.name}_BASE"])),
                place.size.eq(self._word(BY_NAME[f"{region.name}_SIZE"])),
            ]

    def _run(self, m: Module) -> None:
        """Follow a program from its start to its end."""
        value, finish, abort = self._values, self.control.o_finish, self.control.abort_program
        busy = value["STATUS.busy"]
        end = finish.payload
        with m.If(value["CONTROL.start"]):
            m.d.sync += [busy.eq(1), value["STATUS.finished"].eq(0), value["STATUS.fault"].eq(0)]
            m.d.sync += [value[name].eq(0) for name in FINISH_FIELDS.values()]
        with m.If(value["CONTROL.abort"] & busy):
            m.d.sync += abort.eq(1)
        with m.If(finish.valid):
            m.d.sync += [busy.eq(0), abort.eq(0)]
            m.d.sync += [value[FINISH_FIELDS[member]].eq(end[member]) for member in end.shape().members]
            for name, happens in (("finished", end.error == FaultCode.NONE), ("fault", end.error != FaultCode.NONE)):
                with m.If(happens):
                    m.d.sync += [value[f"STATUS.{name}"].eq(1), value[f"INTERRUPT_PENDING.{name}"].eq(1)]

    def _count(self, m: Module) -> None:
        """Count what happens while a program runs, one cycle later."""
        value, activity = self._values, self.control.activity
        events = {"CYCLES": C(1), "WORDS_READ": activity.word_read, "WORDS_WRITTEN": activity.word_written}
        for unit in UNITS:
            bits = activity[unit.name.lower()]
            events |= {f"{unit.name}_{counter}": bits[name] for counter, name in UNIT_EVENTS.items()}
        for name, event in events.items():
            happened = Signal(name=f"{name.lower()}_happened")
            count = value[f"{name}.value"]
            m.d.sync += [happened.eq(event & value["STATUS.busy"]), count.eq(count + happened)]
            with m.If(value["CONTROL.start"]):
                m.d.sync += count.eq(0)
