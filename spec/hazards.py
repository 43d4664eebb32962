"""Proof that the result of a program does not depend on the order in which its units work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .coprocessor_config import CoprocessorConfig
from .errors import InputError
from .memory import (
    PARAMETER_BYTES,
    SETTING_BYTES,
    SUM_BYTES,
    TABLE_BYTES,
    Place,
    Span,
    operand,
    row_bytes,
    tensor_spans,
)
from .program import READ_ONLY, REGION_BYTES, UNITS, Instruction, Layout, Opcode, VectorOperation, region_of, word_at

__all__ = ["Accesses", "Use", "UsedBytes", "accesses", "check_order", "uses"]


@dataclass(frozen=True, kw_only=True)
class Accesses:
    """Bytes that an instruction may use.

    Attributes
    ----------
    reads, writes : list of (address, bytes)
    """

    reads: list[Span]
    writes: list[Span]


def accesses(config: CoprocessorConfig, instruction: Instruction) -> Accesses:
    """Bytes that an instruction reads and writes.

    Only the memory says how many weight words there are. They are taken to reach up to the end of the region.
    """
    find = {
        Opcode.PRODUCT: _product,
        Opcode.ATTENTION: _attention,
        Opcode.VECTOR: _vector,
        Opcode.END: lambda *_: Accesses(reads=[], writes=[]),
    }[instruction.opcode]
    return find(config, instruction)


def _rest(start: int) -> Span:
    """All bytes from an address to the end of its region."""
    return start, (region_of(start) + 1) * REGION_BYTES - start


def _product(config: CoprocessorConfig, item: Instruction) -> Accesses:
    def tiles(start: int, channels: int) -> list[Span]:
        return tensor_spans(config, Place(layout=Layout.TILES, address=start), channels, item.tokens)

    reads = [*tiles(item.x, item.columns), (item.settings, item.rows * SETTING_BYTES), _rest(item.weights)]
    if item.load_table:
        reads.append((item.table, TABLE_BYTES))
    return Accesses(reads=reads, writes=tiles(item.y, item.rows))


def _attention(_: CoprocessorConfig, item: Instruction) -> Accesses:
    width = row_bytes(item.head_dim)
    reads = [
        (start + head * item.operand_stride, length * width)
        for head in range(item.heads)
        for start, length in ((item.q, item.query_length), (item.k, item.key_length), (item.v, item.key_length))
    ]
    writes = [(item.o + head * item.output_stride, item.query_length * width) for head in range(item.heads)]
    return Accesses(reads=reads, writes=writes)


def _vector(config: CoprocessorConfig, item: Instruction) -> Accesses:
    operands, reads = [operand(item, "x")], []
    if item.operation == VectorOperation.NORMALISE:
        operands.append(operand(item, "y"))
        reads.append((item.parameters, item.channels * PARAMETER_BYTES))
    for place in operands:
        reads += tensor_spans(config, place, item.channels, item.tokens)
    if item.operation == VectorOperation.SUM:
        return Accesses(reads=reads, writes=[(item.z, item.channels * SUM_BYTES)])
    return Accesses(reads=reads, writes=tensor_spans(config, operand(item, "z"), item.channels, item.tokens))


def check_order(config: CoprocessorConfig, program: Sequence[Instruction]) -> None:
    """Check that a program ends, and that its result does not depend on the order of execution.

    A program ends if no threshold counts instructions that come later in the program: the instruction that comes first
    among those that are not complete can then always begin. The result is the same in every order if of any two
    instructions that use the same bytes, and one of which writes them, one must be complete before the other begins.

    Raises
    ------
    InputError
        One of the two is not so. The message names the instructions.
    """
    counts = dict.fromkeys(UNITS, 0)
    finished: dict[Opcode, list[dict[Opcode, int]]] = {unit: [] for unit in UNITS}
    begun: dict[Opcode, dict[Opcode, int]] = {}
    used = UsedBytes()
    for number, item in enumerate(program):
        for unit, count in item.waits.items():
            if count > counts[unit]:
                raise InputError(
                    f"instruction {number} ({item.opcode.name}) waits for {count} of {unit.name}'s instructions, but "
                    f"only {counts[unit]} come before it: the program would never end"
                )
        before = _before(item, finished, begun)
        own = uses(config, item, number=number, index=counts.get(item.opcode, 0))
        _check_overlaps(own, used, before)
        used.add(own)
        if item.opcode in counts:
            counts[item.opcode] += 1
            # Instructions of a unit begin and end in order.
            begun[item.opcode] = before
            earlier = finished[item.opcode][-1] if finished[item.opcode] else {}
            finished[item.opcode].append(_most(before, earlier, {item.opcode: counts[item.opcode]}))
    if not program or program[-1].opcode is not Opcode.END or any(item.opcode is Opcode.END for item in program[:-1]):
        raise InputError("the last instruction, and no other, must be END")
    before = _before(program[-1], finished, begun)
    for unit, count in counts.items():
        if before[unit] < count:
            raise InputError(f"END must wait for all {count} instructions of {unit.name}, not for {before[unit]}")


def _before(
    item: Instruction, finished: dict[Opcode, list[dict[Opcode, int]]], begun: dict[Opcode, dict[Opcode, int]]
) -> dict[Opcode, int]:
    """Number of instructions of each unit that are complete when an instruction begins, at least."""
    waits = [finished[unit][count - 1] for unit, count in item.waits.items() if count]
    return _most(dict.fromkeys(UNITS, 0), begun.get(item.opcode, {}), *waits)


def _most(*counts: dict[Opcode, int]) -> dict[Opcode, int]:
    found: dict[Opcode, int] = {}
    for each in counts:
        for unit, count in each.items():
            found[unit] = max(found.get(unit, 0), count)
    return found


@dataclass(frozen=True, kw_only=True)
class Use:
    """Bytes that an instruction uses.

    Attributes
    ----------
    start, end : int
        Address of the first byte, and of the first one behind the last.
    write : bool
    number : int
        Of the instruction in the program.
    opcode : Opcode
    index : int
        Of the instruction among those of its unit.
    """

    start: int
    end: int
    write: bool
    number: int
    opcode: Opcode
    index: int

    def __str__(self) -> str:
        return f"instruction {self.number} ({self.opcode.name})"

    def overlaps(self, other: "Use") -> bool:
        """Whether both use the same bytes, and one of them writes."""
        return self.start < other.end and other.start < self.end and (self.write or other.write)

    def covers(self, other: "Use") -> bool:
        """Whether this one uses all bytes of the other."""
        return self.start <= other.start and other.end <= self.end


_PAGE = 12
"""Bits of an address within a page."""
_MANY_PAGES = 64


class UsedBytes:
    """Uses with which later instructions may conflict.

    They are found by pages of 4 KiB. Those of many pages are few, and in a list of their own.
    """

    def __init__(self):
        self._pages: dict[int, list[Use]] = {}
        self._wide: list[Use] = []

    def conflicts(self, use: Use) -> Iterator[Use]:
        """Earlier uses of the same bytes, if one of the two writes."""
        return (other for other in self._near(use) if use.overlaps(other))

    def add(self, own: Sequence[Use]) -> None:
        """Add the uses of an instruction. Those that its writes cover are dropped: whoever uses the bytes of a write
        must wait for that write, which has waited for the earlier uses."""
        for new in own:
            if new.write:
                for other in [other for other in self._near(new) if new.covers(other)]:
                    for page in self._lists(other):
                        page.remove(other)
        for new in own:
            for page in self._lists(new):
                page.append(new)

    def _near(self, use: Use) -> Iterator[Use]:
        yield from self._wide
        pages = self._pages_of(use)
        for page in pages if len(pages) < len(self._pages) else list(self._pages):
            for other in self._pages.get(page, ()):
                if page == max(pages[0], other.start >> _PAGE):  # once, on the first page that both have
                    yield other

    def _lists(self, use: Use) -> list[list[Use]]:
        pages = self._pages_of(use)
        return [self._wide] if len(pages) > _MANY_PAGES else [self._pages.setdefault(page, []) for page in pages]

    @staticmethod
    def _pages_of(use: Use) -> range:
        return range(use.start >> _PAGE, (max(use.end, use.start + 1) - 1 >> _PAGE) + 1)


def uses(config: CoprocessorConfig, item: Instruction, *, number: int, index: int) -> list[Use]:
    """Uses of an instruction, without those of regions that nothing writes to."""
    spans = accesses(config, item)
    words = {
        write: [(word_at(start), size) for start, size in parts]
        for write, parts in ((False, spans.reads), (True, spans.writes))
    }
    return [
        Use(start=start, end=start + size, write=write, number=number, opcode=item.opcode, index=index)
        for write, parts in words.items()
        for start, size in _joined([part for part in parts if write or region_of(part[0]) not in READ_ONLY])
    ]


def _joined(spans: list[Span]) -> list[Span]:
    """The same bytes in fewer spans: those that touch become one. Spans that overlap stay as they are."""
    found: list[Span] = []
    for start, size in sorted(spans):
        if found and sum(found[-1]) == start:
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((start, size))
    return found


def _check_overlaps(own: list[Use], used: UsedBytes, before: dict[Opcode, int]) -> None:
    for place, use in enumerate(own):
        for other in own[:place]:
            if use.overlaps(other):
                raise InputError(f"{use} writes bytes that it uses elsewhere")
        for other in used.conflicts(use):
            if before[other.opcode] <= other.index:
                raise InputError(
                    f"{use} {'writes' if use.write else 'reads'} bytes that {other} "
                    f"{'writes' if other.write else 'reads'}, and does not wait for it"
                )
