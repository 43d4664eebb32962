"""Simulated memory of a co-processor."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from amaranth import Value
from numpy.typing import NDArray

from ..hdl.coprocessor.memory_streams import BURST_WORDS, WORD_BITS
from ..spec.program import WORD_BYTES

__all__ = ["Burst", "SimulatedMemory"]


@dataclass(frozen=True, kw_only=True)
class Burst:
    """A burst that the memory accepted: address of its first word, number of words, and cycle."""

    address: int
    words: int
    cycle: int

    @property
    def addresses(self) -> range:
        """Addresses of its words."""
        return range(self.address, self.address + self.words * WORD_BYTES, WORD_BYTES)


class SimulatedMemory:
    """Serves a memory port from an array in Amaranth's simulator; :meth:`serve` is a background testbench.

    It accepts bursts as fast as its stalls allow, and answers in order. A write changes the array when it is
    acknowledged, not before.

    Parameters
    ----------
    port : MemoryPort
        Interface of the component that reads and writes.
    data : uint8 array
        Contents; written in place.
    latency : int or (int, int)
        Cycles from the acceptance of a burst, and of its last word, to the first cycle that offers its answer; at least
        1. Two numbers: a random latency of this range for each burst.
    stall : float
        Probability, in each cycle, that a stream of the memory does not move.
    seed : int
        Seed of stalls and latencies. Every error message contains it.
    errors : collection of int
        Addresses of words that cannot be read or written.

    Attributes
    ----------
    reads, writes : list of Burst
        Bursts that were accepted, in order.

    Raises
    ------
    AssertionError
        While the simulation runs: a burst or a stream breaks a rule of the port.
    """

    def __init__(
        self,
        port: Any,
        data: NDArray[np.uint8],
        *,
        latency: int | tuple[int, int] = 1,
        stall: float = 0.0,
        seed: int = 0,
        errors: Collection[int] = (),
    ):
        self._port = port
        self._data = data
        self._latency = (latency, latency) if isinstance(latency, int) else latency
        self._stall = stall
        self._seed = seed
        self._random = Random(f"{seed}/memory")
        self._errors = frozenset(errors)
        self._cycle = 0
        self.reads: list[Burst] = []
        self.writes: list[Burst] = []
        self._beats: deque[tuple[int, int, bool]] = deque()  # cycle, address, last
        self._open: deque[Burst] = deque()  # writes that wait for words
        self._words: deque[int] = deque()  # words that wait for their write
        self._answers: deque[tuple[int, Burst, list[int]]] = deque()
        self._sinks = [_Sink(self, getattr(port, name), name) for name in ("read", "write", "write_data")]

    @property
    def idle(self) -> bool:
        """Whether no burst is outstanding, and no word waits for its burst."""
        return not (self._beats or self._open or self._words or self._answers)

    async def serve(self, ctx) -> None:
        """Serve the port until the simulation ends."""
        port, sinks = self._port, self._sinks
        read_data = _Source(self, port.read_data, lambda: self._beats, self._read)
        written = _Source(self, port.written, lambda: self._answers, self._write)
        ends = [*sinks, read_data, written]
        while True:
            for end in ends:
                end.drive(ctx)
            _, _, *sampled = await ctx.tick().sample(*(signal for end in ends for signal in end.samples))
            for end in ends:
                own, sampled = sampled[: len(end.samples)], sampled[len(end.samples) :]
                end.observe(ctx, *own)
            self._match_words()
            self._cycle += 1

    def stalls(self) -> bool:
        """Whether a stream stalls in this cycle."""
        return self._random.random() < self._stall

    @property
    def now(self) -> int:
        return self._cycle

    def fail(self, what: str) -> None:
        """Report a broken rule."""
        raise AssertionError(f"memory, cycle {self._cycle}, seed {self._seed}: {what}")

    def accept(self, name: str, bits: int) -> None:
        """Take a payload of the stream of this name."""
        if name == "write_data":
            self._words.append(bits)
            return
        burst = self._burst(name, bits)
        if name == "write":
            self.writes.append(burst)
            self._open.append(burst)
            return
        self.reads.append(burst)
        due = self._due()
        self._beats += [(due, address, address == burst.addresses[-1]) for address in burst.addresses]

    def _burst(self, name: str, bits: int) -> Burst:
        payload = getattr(self._port, name).payload.shape().from_bits(bits)
        burst = Burst(address=payload.address, words=payload.words, cycle=self._cycle)
        if burst.address % WORD_BYTES:
            self.fail(f"{name} of address {burst.address:#x}, which is no multiple of {WORD_BYTES}")
        if not 1 <= burst.words <= BURST_WORDS:
            self.fail(f"{name} of {burst.words} words")
        if burst.address // WORD_BYTES % BURST_WORDS + burst.words > BURST_WORDS:
            self.fail(f"{name} of {burst.words} words at {burst.address:#x}, which crosses a block")
        if burst.addresses[-1] + WORD_BYTES > len(self._data):
            self.fail(f"{name} of {burst.words} words at {burst.address:#x}, outside the memory")
        return burst

    def _due(self) -> int:
        return self._cycle + self._random.randint(*self._latency)

    def _match_words(self) -> None:
        """Answer the writes whose words are complete."""
        while self._open and len(self._words) >= self._open[0].words:
            burst = self._open.popleft()
            self._answers.append((self._due(), burst, [self._words.popleft() for _ in range(burst.words)]))

    def _read(self) -> int:
        _, address, last = self._beats.popleft()
        error = address in self._errors
        word = 0 if error else int.from_bytes(self._data[address : address + WORD_BYTES].tobytes(), "little")
        return word | last << WORD_BITS | error << WORD_BITS + 1

    def _write(self) -> int:
        _, burst, words = self._answers.popleft()
        failed = not self._errors.isdisjoint(burst.addresses)
        for address, word in zip(burst.addresses, words, strict=True):
            if address not in self._errors:
                held = np.frombuffer(word.to_bytes(WORD_BYTES, "little"), np.uint8)
                self._data[address : address + WORD_BYTES] = held
        return int(failed)


class _Sink:
    """Takes payloads from a stream of the port, and checks its rules."""

    def __init__(self, memory: SimulatedMemory, stream: Any, name: str):
        self._memory, self._stream, self._name = memory, stream, name
        self._ready = False
        self._pending: int | None = None
        self.samples = (stream.valid, Value.cast(stream.payload))

    def drive(self, ctx) -> None:
        self._ready = not self._memory.stalls()
        ctx.set(self._stream.ready, int(self._ready))

    def observe(self, ctx, valid: int, payload: int) -> None:
        if self._pending is not None and not valid:
            self._memory.fail(f"valid of {self._name} fell before ready")
        if self._pending is not None and payload != self._pending:
            self._memory.fail(f"payload of {self._name} changed before ready")
        self._pending = payload if valid and not self._ready else None
        if valid and self._ready:
            self._memory.accept(self._name, payload)


class _Source:
    """Gives answers to a stream of the port, each when it is due."""

    def __init__(self, memory: SimulatedMemory, stream: Any, queue, take):
        self._memory, self._stream, self._queue, self._take = memory, stream, queue, take
        self._offering = False
        self.samples = (stream.ready,)

    def drive(self, ctx) -> None:
        queue = self._queue()
        if not self._offering and queue and queue[0][0] <= self._memory.now and not self._memory.stalls():
            ctx.set(Value.cast(self._stream.payload), self._take())
            ctx.set(self._stream.valid, 1)
            self._offering = True

    def observe(self, ctx, ready: int) -> None:
        if self._offering and ready:
            self._offering = False
            ctx.set(self._stream.valid, 0)
