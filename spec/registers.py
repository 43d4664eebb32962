"""Registers of the co-processor: the one description of which hardware, driver, C header and documentation are made.

Registers have 32 bits. Offsets are in bytes, and numbers are little-endian. :mod:`~thresher.spec.system_rdl` writes the
description as SystemRDL, for tools outside this package.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from .base import check_range, look_up
from .errors import CommandValueError
from .program import REGION_BYTES, UNITS, FaultCode, Opcode, Region

__all__ = [
    "BY_NAME",
    "COUNTERS",
    "IDENTITY",
    "OFFSET_BITS",
    "REGISTERS",
    "REGISTER_BYTES",
    "SPACE_BYTES",
    "STOP_CYCLES",
    "VERSION",
    "WATCHDOG_CYCLES",
    "Access",
    "FaultUnit",
    "Field",
    "Register",
    "hash_words",
]

REGISTER_BYTES = 4
OFFSET_BITS = 12
SPACE_BYTES = 1 << OFFSET_BITS
"""Size of the address space. Offsets without a register answer with a bus error."""

IDENTITY = 0x54485253
"""The letters THRS, the first one in the highest bits."""
VERSION = (1, 0)
"""Major and minor version of the registers. A change that breaks a driver increments the major one."""
WATCHDOG_CYCLES = 1 << 28
"""The watchdog's limit after a reset: 2.7 s at 100 MHz. A dense product of 3072 × 768 weights and 512 tokens takes 28 %
of it on the 16 multipliers of ``tiny``. The host must raise the limit for longer instructions."""


STOP_CYCLES = 1 << 16
"""Most cycles that a program that ends waits for answers of the memory."""


class FaultUnit(IntEnum):
    """Unit of an instruction with a fault: its :class:`~thresher.spec.program.Opcode`."""

    NONE = 0
    """The program as a whole is at fault."""
    PRODUCT = Opcode.PRODUCT
    ATTENTION = Opcode.ATTENTION
    VECTOR = Opcode.VECTOR


class Access(StrEnum):
    """What the host may do with a field."""

    CONSTANT = "constant"
    """Read. The value is the reset value."""
    READ = "r"
    """Read. The hardware sets the value."""
    READ_WRITE = "rw"
    """Read and write. The hardware uses the value."""
    WRITE_ONE_TO_CLEAR = "rw1c"
    """Read. Writing 1 clears a bit, writing 0 keeps it. An event in the same cycle sets the bit."""
    WRITE_ONE = "w1"
    """Writing 1 is a request, writing 0 does nothing. The field reads as 0."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """Bits of a register. All other bits of the register read as 0.

    Parameters
    ----------
    name : str
    access : Access
    width : int
        Bits.
    offset : int
        Place of the lowest bit.
    reset : int
        Value after a reset.
    values : type of IntEnum, optional
        Names of values.
    doc : str
        One or more sentences. Empty if the field is the whole register.
    """

    name: str
    access: Access
    width: int = 1
    offset: int = 0
    reset: int = 0
    values: type[IntEnum] | None = None
    doc: str = ""

    @property
    def mask(self) -> int:
        """The bits of the field in the register."""
        return ((1 << self.width) - 1) << self.offset

    @property
    def writable(self) -> bool:
        """Whether writing has an effect."""
        return self.access not in (Access.CONSTANT, Access.READ)


@dataclass(frozen=True, kw_only=True)
class Register:
    """A register.

    Parameters
    ----------
    name : str
    offset : int
        Of the first byte; a multiple of 4.
    fields : tuple of Field
        Lowest bits first.
    doc : str
        One or more sentences.
    needs_idle : bool
        Writing is refused with a bus error unless ``STATUS.idle`` is 1.
    """

    name: str
    offset: int
    fields: tuple[Field, ...]
    doc: str
    needs_idle: bool = False

    @property
    def writable(self) -> bool:
        """Whether any field is writable. Writing to other registers is refused with a bus error."""
        return any(field.writable for field in self.fields)

    @property
    def mask(self) -> int:
        """Bits that belong to fields."""
        return sum(field.mask for field in self.fields)

    def encode(self, **values: int) -> int:
        """The word with these values of fields; other fields are 0.

        Raises
        ------
        CommandValueError
            There is no such field, or a value does not fit it.
        """
        fields = {field.name: field for field in self.fields}
        word = 0
        for name, value in values.items():
            field = look_up(f"field of {self.name}", name, fields)
            check_range(f"{self.name}.{name}", value, 0, (1 << field.width) - 1)
            word |= value << field.offset
        return word

    def decode(self, word: int) -> dict[str, int]:
        """The values of all fields of a word, by name."""
        return {field.name: (word & field.mask) >> field.offset for field in self.fields}

    def check(self, word: int) -> None:
        """Check a word to be written.

        Raises
        ------
        CommandValueError
            The register is read-only, or a bit is set that belongs to no field.
        """
        if not self.writable:
            raise CommandValueError(self.name, word, "the register is read-only")
        if word & ~self.mask or word < 0:
            raise CommandValueError(self.name, f"{word:#x}", f"must have no bits outside {self.mask:#010x}")


def hash_words(digest: str) -> tuple[int, int]:
    """Values of ``HASH_LOW`` and ``HASH_HIGH`` for the hash of a configuration, in hexadecimal."""
    first = int.from_bytes(bytes.fromhex(digest)[:8], "little")
    return first & 0xFFFF_FFFF, first >> 32


R, RW, W1C, W1 = Access.READ, Access.READ_WRITE, Access.WRITE_ONE_TO_CLEAR, Access.WRITE_ONE


def _number(name: str, offset: int, doc: str, *, access: Access = R, reset: int = 0) -> Register:
    """A register that is one number of 32 bits."""
    field = Field(name="value", access=access, width=8 * REGISTER_BYTES, reset=reset)
    return Register(name=name, offset=offset, doc=doc, fields=(field,))


_IDENTIFICATION = (
    _number("IDENTITY", 0x000, "The letters THRS, first one highest.", access=Access.CONSTANT, reset=IDENTITY),
    Register(
        name="VERSION",
        offset=0x004,
        doc="Version of the registers. A driver accepts only the major version that it was made for.",
        fields=(
            Field(
                name="minor", access=Access.CONSTANT, width=16, reset=VERSION[1], doc="Changes if something is added."
            ),
            Field(
                name="major",
                access=Access.CONSTANT,
                width=16,
                offset=16,
                reset=VERSION[0],
                doc="Changes if drivers break.",
            ),
        ),
    ),
    _number("HASH_LOW", 0x008, "Bytes 0 to 3 of the SHA-256 of the configuration."),
    _number("HASH_HIGH", 0x00C, "Bytes 4 to 7 of the SHA-256 of the configuration."),
)

_CONTROL = (
    Register(
        name="CONTROL",
        offset=0x010,
        doc="Requests.",
        fields=(
            Field(
                name="start",
                access=W1,
                doc="Start the program, and clear the counters, STATUS and the fault. If STATUS.idle or"
                " PROGRAM_INSTRUCTIONS is 0, the write gets a bus error and has no effect. Then it does not abort,"
                " either.",
            ),
            Field(
                name="abort",
                access=W1,
                offset=1,
                doc="Stop the program. It ends with the fault ABORT, unless it ends by itself before. The end comes"
                " when the memory has answered all outstanding transfers, and at the latest after about 65,536 cycles."
                " Has no effect if no program runs.",
            ),
        ),
    ),
    Register(
        name="STATUS",
        offset=0x014,
        doc="State of the co-processor.",
        fields=(
            Field(name="busy", access=R, doc="A program runs."),
            Field(
                name="idle",
                access=R,
                offset=1,
                doc="No program runs, and no transfer on the memory bus is outstanding. A program may be started if it"
                " has instructions. Usually 1 as soon as busy is 0. If the program ended before the memory answered, it"
                " becomes 1 when the memory has answered.",
            ),
            Field(name="finished", access=R, offset=2, doc="The last program ended without a fault."),
            Field(name="fault", access=R, offset=3, doc="The last program ended with a fault."),
        ),
    ),
    Register(
        name="INTERRUPT_ENABLE",
        offset=0x018,
        doc="Events that assert the interrupt while they are pending.",
        fields=(
            Field(name="finished", access=RW, doc="A program ended without a fault."),
            Field(name="fault", access=RW, offset=1, doc="A program ended with a fault."),
        ),
    ),
    Register(
        name="INTERRUPT_PENDING",
        offset=0x01C,
        doc="Events that occurred and are not cleared, whether enabled or not. A start does not clear them.",
        fields=(
            Field(name="finished", access=W1C, doc="A program ended without a fault."),
            Field(name="fault", access=W1C, offset=1, doc="A program ended with a fault."),
        ),
    ),
    Register(
        name="PROGRAM_ADDRESS",
        offset=0x020,
        needs_idle=True,
        doc="Address of the program. The highest two bits are the region. The others are the offset in it in bytes, a"
        " multiple of 8.",
        fields=(Field(name="words", access=RW, width=29, offset=3, doc="Address divided by 8."),),
    ),
    Register(
        name="PROGRAM_INSTRUCTIONS",
        offset=0x024,
        needs_idle=True,
        doc="Length of the program.",
        fields=(Field(name="count", access=RW, width=16, doc="Number of instructions, at least 1."),),
    ),
    Register(
        name="WATCHDOG",
        offset=0x028,
        needs_idle=True,
        doc="Limit of the time in which no unit completes an instruction. At the limit, the program stops with the"
        " fault WATCHDOG. Its end comes when the memory has answered all outstanding transfers, at most 65,536 cycles"
        " later.",
        fields=(
            Field(
                name="cycles",
                access=RW,
                width=32,
                reset=WATCHDOG_CYCLES,
                doc="Clock cycles; 0 means no limit. Must be more than the longest instruction takes.",
            ),
        ),
    ),
    Register(
        name="FAULT",
        offset=0x030,
        doc="Why the last program stopped; 0 if it ended without a fault.",
        fields=(
            Field(name="code", access=R, width=8, values=FaultCode, doc="Reason."),
            Field(name="unit", access=R, width=8, offset=8, values=FaultUnit, doc="Unit of the instruction."),
            Field(name="detail", access=R, width=16, offset=16, doc="The unit's own error if code is COMMAND, or 0."),
        ),
    ),
    Register(
        name="FAULT_INSTRUCTION",
        offset=0x034,
        doc="Instruction with the fault. For ADDRESS and BUS, it is the oldest instruction in flight of the unit that"
        " made the access. For WATCHDOG and ABORT, it is the oldest instruction in flight of PRODUCT, or if there is"
        " none, of ATTENTION, or of VECTOR. If no instruction is in flight, it is the first one that has not begun.",
        fields=(
            Field(name="index", access=R, width=16, doc="Its number in the program. The first one has number 0."),
            Field(name="tag", access=R, width=16, offset=16, doc="Its tag. 0 if it has not been read."),
        ),
    ),
    _number(
        "FAULT_ADDRESS",
        0x038,
        "If the fault code is ADDRESS or BUS: the aligned block of 128 bytes that was accessed, in the form of"
        " PROGRAM_ADDRESS. 0 for an index that is too large, and for all other codes.",
    ),
)


def _region(region: Region) -> tuple[Register, Register]:
    """Place and size of a region."""
    name, offset = region.name, 0x040 + 8 * region
    return (
        Register(
            name=f"{name}_BASE",
            offset=offset,
            needs_idle=True,
            doc=f"Base address of the region {name} in the memory, in bytes; a multiple of 128.",
            fields=(Field(name="blocks", access=RW, width=25, offset=7, doc="Base address divided by 128."),),
        ),
        Register(
            name=f"{name}_SIZE",
            offset=offset + 4,
            needs_idle=True,
            doc=f"Size of the region {name} in bytes; a multiple of 8, at most 2^{REGION_BYTES.bit_length() - 1}.",
            fields=(Field(name="words", access=RW, width=28, offset=3, doc="Size divided by 8."),),
        ),
    )


_REGIONS = tuple(register for region in Region for register in _region(region))

_UNIT_COUNTERS: Mapping[str, str] = {
    "BUSY": "Cycles in which the {} executed an instruction.",
    "WAITING": "Cycles in which the {} had an instruction that waited for other instructions, and executed none.",
    "STARVED": "Cycles in which the {} executed an instruction and could not go on without words of the memory.",
    "COMPLETED": "Instructions that the {} completed.",
}
_UNIT_NAMES = {Opcode.PRODUCT: "product engine", Opcode.ATTENTION: "attention unit", Opcode.VECTOR: "vector unit"}

_COUNTERS = (
    _number("CYCLES", 0x080, "Clock cycles from the start of the program to its end."),
    _number("WORDS_READ", 0x084, "Words of 8 bytes that were read from the memory."),
    _number("WORDS_WRITTEN", 0x088, "Words of 8 bytes that were written to the memory."),
    *(
        _number(f"{unit.name}_{name}", 0x090 + 0x10 * i + REGISTER_BYTES * j, doc.format(_UNIT_NAMES[unit]))
        for i, unit in enumerate(UNITS)
        for j, (name, doc) in enumerate(_UNIT_COUNTERS.items())
    ),
)

REGISTERS: tuple[Register, ...] = (*_IDENTIFICATION, *_CONTROL, *_REGIONS, *_COUNTERS)
"""All registers, by offset. Counters belong to the running or the last program, and wrap at 2^32."""
COUNTERS: tuple[str, ...] = tuple(register.name for register in _COUNTERS)
"""Registers that count what happens in a program, by offset."""
BY_NAME: Mapping[str, Register] = {register.name: register for register in REGISTERS}
