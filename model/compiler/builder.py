"""Builds a program: allocates memory, and finds what each instruction must wait for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...spec.coprocessor_config import CoprocessorConfig
from ...spec.errors import InputError
from ...spec.hazards import UsedBytes, uses
from ...spec.memory import whole_words
from ...spec.program import REGION_BYTES, UNITS, Instruction, Opcode, Region, address

__all__ = ["Builder", "Space"]


@dataclass
class Space:
    """A region that fills up.

    Attributes
    ----------
    region : Region
    size : int
        Bytes in use.
    names : list of (str, address, bytes)
        What lies in it, in order.
    """

    region: Region
    size: int = 0
    names: list[tuple[str, int, int]] = field(default_factory=list)

    def allocate(self, name: str, size: int) -> int:
        """Address of new bytes.

        Raises
        ------
        InputError
            The region is full.
        """
        if self.size + whole_words(size) > REGION_BYTES:
            raise InputError(f"{name} does not fit: the region {self.region.name} takes at most {REGION_BYTES} bytes")
        place = address(self.region, self.size)
        self.names.append((name, place, size))
        self.size += whole_words(size)
        return place


@dataclass
class Builder:
    """A program that grows.

    Attributes
    ----------
    config : CoprocessorConfig
    program : list of Instruction
    tags : list of str
        Names of the tags.
    """

    config: CoprocessorConfig
    program: list[Instruction] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    _counts: dict[Opcode, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))
    _used: UsedBytes = field(default_factory=UsedBytes)

    def append(self, opcode: Opcode, name: str, body: Mapping[str, int]) -> None:
        """Add an instruction that waits for all earlier ones that use the same bytes, if one of the two writes them.

        Raises
        ------
        InputError
            The program has too many instructions.
        """
        if not self.tags or self.tags[-1] != name:
            self.tags.append(name)
        bare = Instruction(opcode=opcode, tag=len(self.tags) - 1, body=dict(body))
        own = uses(self.config, bare, number=len(self.program), index=self._counts[opcode])
        waits = dict.fromkeys(UNITS, 0)
        for use in own:
            for other in self._used.conflicts(use):
                waits[other.opcode] = max(waits[other.opcode], other.index + 1)
        self._used.add(own)
        self._counts[opcode] += 1
        self._add(bare, waits)

    def end(self) -> None:
        """Add END, which waits for all instructions."""
        self.tags.append("end")
        self._add(Instruction(opcode=Opcode.END, tag=len(self.tags) - 1), self._counts)

    def _add(self, bare: Instruction, waits: Mapping[Opcode, int]) -> None:
        if max(self._counts.values()) > 0xFFFF or len(self.tags) > 0xFFFF:
            raise InputError("the program has more than 65535 instructions: use fewer texts")
        self.program.append(Instruction(opcode=bare.opcode, tag=bare.tag, waits=dict(waits), body=bare.body))
