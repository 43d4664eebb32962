"""Random reads and writes for a memory port."""

from dataclasses import dataclass, field
from random import Random

WORD = 8
BLOCK = 16 * WORD
PAGE = 0x1000
MEMORY_BYTES = 4 * PAGE


@dataclass(frozen=True, kw_only=True)
class Burst:
    """A burst: address of its first word, and number of words."""

    address: int
    words: int

    @property
    def bytes(self) -> range:
        return range(self.address, self.address + WORD * self.words)

    @property
    def addresses(self) -> range:
        """Addresses of its words."""
        return self.bytes[::WORD]

    @property
    def bits(self) -> int:
        """Payload of the port."""
        return self.address | self.words << 32

    def overlaps(self, other: "Burst") -> bool:
        return self.bytes.start < other.bytes.stop and other.bytes.start < self.bytes.stop


def random_burst(random: Random) -> Burst:
    """A burst inside one block. Many lie next to a boundary of 4 KB, and many fill their block."""
    pages = MEMORY_BYTES // PAGE
    edges = [page * PAGE + place for page in range(pages) for place in (0, PAGE - BLOCK)]
    block = random.choice(edges) if random.random() < 0.4 else random.randrange(MEMORY_BYTES // BLOCK) * BLOCK
    first, last = sorted(random.randrange(16) for _ in range(2))
    match random.randrange(4):
        case 0:
            first, last = 0, 15
        case 1:
            last = 15
        case 2:
            last = first
    return Burst(address=block + WORD * first, words=last - first + 1)


@dataclass(kw_only=True)
class Traffic:
    """Reads and writes, and the memory that they should leave.

    The order of reads and writes at one address must be sure: :meth:`may_read` and :meth:`may_write` tell whether a
    burst may begin.

    Attributes
    ----------
    reads, writes : list of Burst
    words : list of int
        Words of all writes, in order.
    before, memory : bytes
        Contents before the traffic, and after the writes that were acknowledged so far.
    errors : set of int
        Addresses of words that cannot be read or written.
    """

    reads: list[Burst]
    writes: list[Burst]
    words: list[int]
    before: bytes
    errors: frozenset[int] = frozenset()
    memory: bytearray = field(init=False)

    def __post_init__(self):
        self.memory = bytearray(self.before)
        self._reading: list[tuple[Burst, list[tuple[int, int]]]] = []
        self._writing: list[tuple[Burst, list[int]]] = []
        self._words = iter(self.words)

    @classmethod
    def random(cls, *, seed: int, count: int, errors: bool = False) -> "Traffic":
        """Random traffic of so many reads and writes."""
        random = Random(f"{seed}/traffic")
        reads, writes = ([random_burst(random) for _ in range(count)] for _ in range(2))
        words = [random.getrandbits(64) for burst in writes for _ in range(burst.words)]
        some = [WORD * random.randrange(MEMORY_BYTES // WORD) for _ in range(100)] if errors else []
        return cls(
            reads=reads, writes=writes, words=words, before=random.randbytes(MEMORY_BYTES), errors=frozenset(some)
        )

    def may_read(self, burst: Burst) -> bool:
        """Whether no outstanding write overlaps."""
        return not any(burst.overlaps(each) for each, _ in self._writing)

    def may_write(self, burst: Burst) -> bool:
        """Whether no outstanding read overlaps."""
        return not any(burst.overlaps(each) for each, _ in self._reading)

    def begin_read(self, burst: Burst) -> None:
        """The burst is outstanding from now on."""
        self._reading.append((burst, [self._beat(burst, address) for address in burst.addresses]))

    def begin_write(self, burst: Burst) -> None:
        """The burst is outstanding from now on."""
        self._writing.append((burst, [next(self._words) for _ in range(burst.words)]))

    def _beat(self, burst: Burst, address: int) -> tuple[int, int]:
        """The expected payload of a word, and a mask of those bits that are known."""
        error = address in self.errors
        word = int.from_bytes(self.memory[address : address + WORD], "little")
        last = address == burst.addresses[-1]
        return word | last << 64 | error << 65, 0b11 << 64 if error else (1 << 66) - 1

    def take_beat(self, bits: int) -> None:
        """Check a word that was read."""
        assert self._reading, "a word that nobody reads"
        burst, beats = self._reading[0]
        wanted, mask = beats.pop(0)
        assert bits & mask == wanted & mask, f"read of {burst}: {bits:#x} instead of {wanted:#x}, mask {mask:#x}"
        if not beats:
            self._reading.pop(0)

    def take_acknowledgement(self, error: int) -> None:
        """Check the acknowledgement of a write."""
        assert self._writing, "an acknowledgement without a write"
        burst, words = self._writing.pop(0)
        failed = not self.errors.isdisjoint(burst.addresses)
        assert error == failed, f"write of {burst}: error is {error}"
        for address, word in zip(burst.addresses, words, strict=True):
            if address not in self.errors:
                self.memory[address : address + WORD] = word.to_bytes(WORD, "little")
