"""Faults of the memory behind a program: words that cannot be used."""

from functools import cache

from thresher.golden.machine import Fault as GoldenFault
from thresher.golden.machine import Machine
from thresher.golden.memory import AddressError, Bytes, Memory
from thresher.spec.program import (
    INSTRUCTION_BYTES,
    WORD_BYTES,
    FaultCode,
    Finish,
    Region,
    address,
    offset_of,
    region_of,
    word_at,
)

from .program_bench import check_next, check_unchanged, run, unit_of
from .short_program import CONFIG, Work, short_program

BLOCK = 128
"""Bytes of the blocks that faults name."""


class FailingMemory(Memory):
    """Golden's memory with a word that cannot be used."""

    word: int

    def _bytes(self, place: int, size: int) -> Bytes:
        start = word_at(place)
        if start <= self.word < start + size:
            raise AddressError("the word cannot be used")
        return super()._bytes(place, size)


@cache
def golden_error(work: Work, word: int) -> GoldenFault | None:
    """The fault of a program if a word of the memory fails."""
    memory = FailingMemory(regions=work.memory().regions)
    object.__setattr__(memory, "word", word)
    return Machine(CONFIG, memory).run(work.program).fault


def words_of(work: Work) -> list[int]:
    """Addresses of all words of all regions, the program's included."""
    return [
        address(region, offset)
        for region, data in work.memory().regions.items()
        for offset in range(0, len(data), WORD_BYTES)
    ]


def check_error(work: Work, word: int, finish: Finish) -> None:
    """A program ends as it must if a word of the memory fails."""
    where = f"address {word:#010x}: {finish}"
    begin = len(work.regions[Region.CONSTANTS])
    fault = golden_error(work, word)
    if region_of(word) is Region.CONSTANTS and offset_of(word) >= begin:
        # The program is read ahead.
        assert (finish.error, finish.unit, finish.tag) == (FaultCode.BUS, None, 0), where
        assert finish.instruction <= (offset_of(word) - begin) // INSTRUCTION_BYTES, where
    elif fault is None:
        assert finish.error is FaultCode.NONE, where
        return
    else:
        assert (finish.error, finish.detail) == (FaultCode.BUS, 0), where
        assert (finish.instruction, finish.tag) == (fault.instruction, fault.tag), where
        assert finish.unit is unit_of(work, fault.instruction), where
    assert finish.address == word // BLOCK * BLOCK, where


def errors() -> int:
    """Every word of the memory fails, whether a program reads it, writes it, or does not use it."""
    work = short_program()
    words = words_of(work)
    for word in words:
        found = run(work, errors=word)
        check_unchanged(work, found, f"address {word:#010x}")
        check_error(work, word, found.finish)
        check_next()
    return len(words)
