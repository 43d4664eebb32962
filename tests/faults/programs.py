"""Faults of programs of a co-processor, and of the memory behind it."""

from collections.abc import Callable, Iterator

from thresher.spec.program import (
    BODY_FIELDS,
    HEADER_FIELDS,
    INSTRUCTION_BYTES,
    WORD_BYTES,
    Opcode,
    Region,
    address,
    decode,
)

from . import program_memory, program_times
from .fault import Fault
from .program_bench import check_altered
from .short_program import CONFIG, Work, short_program

BITS_APART, FIELDS_APART = 3, 2
"""From one case to the next; 1 takes all."""


def flips() -> int:
    """Bits of the program."""
    work = short_program()
    bits = range(0, 8 * len(work.program), BITS_APART)
    for bit in bits:
        check_altered(work.flipped(bit), f"instruction {bit // 8 // INSTRUCTION_BYTES}, bit {bit % 512}")
    return len(bits)


def field_values(unit: Opcode, name: str, bits: int) -> set[int]:
    """Values of a field: the ends of its bits, and at and beyond the limits of the configuration and of regions."""
    if bits == 32:
        work = short_program()
        sizes = {region: len(data) for region, data in work.regions.items()}
        sizes[Region.CONSTANTS] += len(work.program)
        ends = {address(region, size) for region, size in sizes.items()}
        return {0, (1 << 32) - 1, *ends, *(end - WORD_BYTES for end in ends), *(end - 8 * WORD_BYTES for end in ends)}
    part = {Opcode.PRODUCT: CONFIG.spmm, Opcode.ATTENTION: CONFIG.attention, Opcode.VECTOR: CONFIG.vector}[unit]
    values = {0, 1, 2, 3, 1 << bits - 1, (1 << bits) - 1}
    for limit in (f"max_{name}", "max_length" if name.endswith("_length") else ""):
        if hasattr(part, limit):
            values |= {getattr(part, limit), getattr(part, limit) + 1}
    return {value for value in values if value < 1 << bits}


def altered_fields() -> Iterator[tuple[str, Work]]:
    """Every field of every instruction, with each of its values."""
    work = short_program()
    for number in range(work.instructions):
        start = number * INSTRUCTION_BYTES
        item = decode(work.program[start : start + INSTRUCTION_BYTES])
        place = 8 * start + sum(bits for bits, _ in HEADER_FIELDS.values())
        for name, (bits, _) in BODY_FIELDS[item.opcode].items():
            for value in sorted(field_values(item.opcode, name, bits)):
                yield f"instruction {number}, {name}={value}", work.replaced(place, bits, value)
            place += bits


def fields() -> int:
    cases = list(altered_fields())[::FIELDS_APART]
    for where, work in cases:
        check_altered(work, where)
    return len(cases)


def without_end() -> int:
    """The first instructions of the program."""
    work = short_program()
    for count in range(1, work.instructions):
        check_altered(Work(work.program[: count * INSTRUCTION_BYTES], work.regions), f"{count} instructions")
    return work.instructions - 1


def _row(fault: str, answer: str, afterwards: str, inject: Callable[[], int]) -> Fault:
    return Fault(part="program", fault=fault, answer=answer, afterwards=afterwards, inject=inject)


LATE = "`WATCHDOG`, with the instruction in flight, or the first that waits"
NEXT = "the next program is right"
GOLDEN = "the golden model's fault: code, instruction, tag, unit, detail; or its results, if they are defined"
FAULTS = [
    _row(f"one of {BITS_APART} bits of the program flipped in the memory", GOLDEN, NEXT, flips),
    _row(
        f"fields of all instructions at the limit, one beyond, at the ends of their bits and of every region; one of"
        f" {FIELDS_APART} such cases",
        GOLDEN,
        NEXT,
        fields,
    ),
    _row("the program ends before `END`, after each instruction", "`LENGTH`", NEXT, without_end),
    _row(
        "the memory answers with an error, for each word that the program may use",
        "`BUS`, with unit, instruction, tag and block; no fault if the word is not used",
        NEXT,
        program_memory.errors,
    ),
    _row(
        "a reset, around the begin and end of each instruction, and in random cycles",
        "all work is dropped",
        NEXT,
        program_times.resets,
    ),
    _row(
        "an abort in the same cycles",
        "`ABORT`, with the instruction in flight, or the first that waits",
        NEXT,
        program_times.aborts,
    ),
    _row(
        "the memory stops to answer in the same cycles, and answers after the end",
        LATE,
        "the next program is right, as soon as `STATUS.idle` is 1",
        lambda: program_times.silence(answers=True),
    ),
    _row(
        "the memory stops to answer in the same cycles, for ever",
        LATE,
        "the next program is right after a reset",
        lambda: program_times.silence(answers=False),
    ),
]
