"""What a host sees of idle registers: a model of reads and writes, and random accesses."""

from dataclasses import dataclass
from random import Random

from thresher.spec.registers import BY_NAME, REGISTERS, SPACE_BYTES, Access, hash_words

from .register_bench import HASH


@dataclass(frozen=True)
class Transfer:
    """A read of a word, or a write of some of its bytes if there is a mask."""

    offset: int
    data: int = 0
    mask: int | None = None


class RegisterModel:
    """Values of all registers while no program runs and none can be started."""

    def __init__(self):
        low, high = hash_words(HASH)
        constants = {"HASH_LOW": low, "HASH_HIGH": high, "STATUS": BY_NAME["STATUS"].encode(idle=1)}
        self.words = {
            each.offset: constants.get(each.name, sum(field.reset << field.offset for field in each.fields))
            for each in REGISTERS
        }
        self.registers = {each.offset: each for each in REGISTERS}

    def apply(self, transfer: Transfer) -> tuple[int, bool]:
        """The word that a read gives, and whether the transfer is an error."""
        offset = transfer.offset & ~3
        register = self.registers.get(offset)
        if transfer.mask is None:
            return self.words.get(offset, 0), register is None
        if register is None or not register.writable:
            return 0, True
        bits = sum(0xFF << 8 * i for i in range(4) if transfer.mask >> i & 1)
        starts = BY_NAME["CONTROL"].encode(start=1)
        if register.name == "CONTROL" and transfer.data & bits & starts:
            return 0, True  # there is no program
        for field in register.fields:
            if field.access is Access.READ_WRITE:
                mine = bits & field.mask
                self.words[offset] = self.words[offset] & ~mine | transfer.data & mine
        return 0, False


def random_transfers(random: Random, count: int, *, writes: bool) -> list[Transfer]:
    """Reads or writes, most of them of registers. PROGRAM_INSTRUCTIONS is left out, so that no program starts."""
    offsets = [each.offset for each in REGISTERS]
    found = []
    while len(found) < count:
        offset = random.choice(offsets) if random.random() < 0.8 else random.randrange(0, SPACE_BYTES, 4)
        if offset != BY_NAME["PROGRAM_INSTRUCTIONS"].offset:
            mask = random.choice((15, 15, random.getrandbits(4))) if writes else None
            found.append(Transfer(offset, random.getrandbits(32), mask))
    return found
