"""Readers, writers and their arbiter at a simulated memory, and random spans for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl.coprocessor.arbiter import Arbiter
from thresher.hdl.coprocessor.memory_streams import (
    BURST_WORDS,
    MemoryPort,
    fault_layout,
    regions_layout,
    span_layout,
    word_layout,
)
from thresher.hdl.coprocessor.reader import Reader
from thresher.hdl.coprocessor.writer import Writer
from thresher.sim.memory import SimulatedMemory
from thresher.sim.testbench import Transcript, run_streams
from thresher.spec.program import WORD_BYTES, FaultCode, Region, address, offset_of, region_of

Span = tuple[int, int]
"""Address of the program, and number of words."""

BASES = {Region.CONSTANTS: 0x2000, Region.SCRATCH: 0x80, Region.INPUT: 0x5480, Region.OUTPUT: 0x4000}
SIZES = {Region.CONSTANTS: 0x2000, Region.SCRATCH: 0x1F78, Region.INPUT: 0x108, Region.OUTPUT: 0x1400}
MEMORY_BYTES = 0x6000
CONSTANT = (Region.CONSTANTS, Region.INPUT)
"""Regions that no writer changes."""
REGIONS = {each.name.lower(): {"base": BASES[each], "size": SIZES[each]} for each in Region}


class Movers(wiring.Component):
    """An arbiter with readers and writers.

    The memory port is a plain attribute and no member, because a process drives it.
    """

    def __init__(self, *, readers: int = 1, writers: int = 1, outstanding: int = 8, words: int = 64):
        self.readers = [Reader(words=words) for _ in range(readers)]
        self.writers = [Writer(words=words) for _ in range(writers)]
        self.arbiter = Arbiter(readers=readers, writers=writers, outstanding=outstanding)
        self.memory = MemoryPort().flip().create(path=("memory",))
        spans, words_stream = stream.Signature(span_layout()), stream.Signature(word_layout())
        members: dict[str, wiring.Member] = {
            "regions": In(regions_layout()),
            "reset": In(1),
            "stop": In(1),
            "idle": Out(1),
        }
        members["fault"] = Out(fault_layout(readers=readers, writers=writers))
        for i in range(readers):
            members |= {f"read_spans_{i}": In(spans), f"read_{i}": Out(words_stream)}
        for i in range(writers):
            members |= {f"write_spans_{i}": In(spans), f"write_{i}": In(words_stream)}
            members[f"done_{i}"] = Out(stream.Signature(1))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = self.arbiter
        m.d.comb += [
            arbiter.regions.eq(self.regions),
            arbiter.stop.eq(self.stop),
            self.fault.eq(arbiter.fault),
            self.idle.eq(arbiter.idle),
        ]
        wiring.connect(m, arbiter.port, self.memory)
        for i, reader in enumerate(self.readers):
            m.submodules[f"reader_{i}"] = reader
            wiring.connect(m, reader.port, arbiter.readers[i])
            wiring.connect(m, wiring.flipped(getattr(self, f"read_spans_{i}")), reader.i_spans)
            wiring.connect(m, reader.o_words, wiring.flipped(getattr(self, f"read_{i}")))
        for i, writer in enumerate(self.writers):
            m.submodules[f"writer_{i}"] = writer
            wiring.connect(m, writer.port, arbiter.writers[i])
            wiring.connect(m, wiring.flipped(getattr(self, f"write_spans_{i}")), writer.i_spans)
            wiring.connect(m, wiring.flipped(getattr(self, f"write_{i}")), writer.i_words)
            wiring.connect(m, writer.o_done, wiring.flipped(getattr(self, f"done_{i}")))
        return ResetInserter(self.reset)(m)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Spans of each reader, and spans and words of each writer."""

    reads: Sequence[Sequence[Span]] = ()
    writes: Sequence[Sequence[Span]] = ()
    words: Sequence[np.ndarray] = ()


@dataclass(kw_only=True)
class Run:
    """What happened in a run."""

    memory: SimulatedMemory
    before: np.ndarray
    after: np.ndarray
    transcript: Transcript
    fault: dict[str, int] = field(default_factory=dict)
    idle: bool = False


def place(region: Region, offset: int) -> int:
    """Address of the memory."""
    return BASES[region] + offset


def content(memory: np.ndarray, spans: Sequence[Span]) -> list[list[int]]:
    """The words of some spans."""
    found = []
    for start, words in spans:
        first = place(region_of(start), offset_of(start))
        found += memory[first : first + words * WORD_BYTES].reshape(-1, WORD_BYTES).tolist()
    return found


def one_of(rng: np.random.Generator, *values: int) -> int:
    """One of the values."""
    return values[int(rng.integers(len(values)))]


def random_spans(rng: np.random.Generator, count: int, *, regions: Sequence[Region], most: int = 60) -> list[Span]:
    """Spans within regions. Some have one word, some begin or end with a block, and some end with the region."""
    spans = []
    for _ in range(count):
        region = regions[int(rng.integers(len(regions)))]
        room = SIZES[region] // WORD_BYTES
        words = min(room, one_of(rng, 1, 2, BURST_WORDS, BURST_WORDS + 1, int(rng.integers(1, most + 1))))
        first = int(rng.integers(room - words + 1))
        aligned = first // BURST_WORDS * BURST_WORDS
        first = one_of(rng, first, aligned, max(0, aligned - 1), room - words)
        spans.append((address(region, min(first, room - words) * WORD_BYTES), words))
    return spans


def random_words(rng: np.random.Generator, spans: Sequence[Span]) -> np.ndarray:
    return rng.integers(0, 256, (sum(words for _, words in spans), WORD_BYTES))


def disjoint_spans(rng: np.random.Generator, lists: int, count: int, *, most: int = 40) -> list[list[Span]]:
    """Lists of spans of the regions that may be written, without a word that two of them have."""
    cuts = {Region.SCRATCH: 0, Region.OUTPUT: 0}
    found: list[list[Span]] = [[] for _ in range(lists)]
    for number in rng.permutation(lists * count):
        region = Region.SCRATCH if rng.random() < 0.6 else Region.OUTPUT
        words = one_of(rng, 1, 3, BURST_WORDS, int(rng.integers(1, most + 1)))
        if cuts[region] + words * WORD_BYTES <= SIZES[region]:
            found[number % lists].append((address(region, cuts[region]), words))
            cuts[region] += words * WORD_BYTES + one_of(rng, 0, 0, WORD_BYTES, 7 * WORD_BYTES)
    return found


def random_job(rng, *, readers: int, writers: int, count: int) -> Job:
    writes = disjoint_spans(rng, writers, count)
    return Job(
        reads=[random_spans(rng, count, regions=CONSTANT) for _ in range(readers)],
        writes=writes,
        words=[random_words(rng, spans) for spans in writes],
    )


def run_job(
    job: Job,
    *,
    seed: int,
    stall: float = 0.0,
    unit_stall: float | None = None,
    latency: int | tuple[int, int] = 1,
    errors: Sequence[int] = (),
    expect: bool = True,
    cycles: int = 600,
    watch: Any = None,
    regions: dict[str, dict[str, int]] = REGIONS,
    **options: int,
) -> Run:
    """Run spans of readers and writers.

    Without ``expect`` the run takes ``cycles`` cycles, whatever comes out; readers then take all words.
    """
    movers = Movers(readers=max(1, len(job.reads)), writers=max(1, len(job.writes)), **options)
    before = np.random.default_rng(seed + 1000).integers(0, 256, MEMORY_BYTES).astype(np.uint8)
    after = before.copy()
    memory = SimulatedMemory(movers.memory, after, latency=latency, stall=stall, seed=seed, errors=errors)
    inputs: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for i, spans in enumerate(job.reads):
        inputs[f"read_spans_{i}"] = [{"address": start, "words": words} for start, words in spans]
        counts[f"read_{i}"] = sum(words for _, words in spans)
    for i, (spans, words) in enumerate(zip(job.writes, job.words, strict=True)):
        inputs[f"write_spans_{i}"] = [{"address": start, "words": words} for start, words in spans]
        inputs[f"write_{i}"] = [row.tolist() for row in words]
        counts[f"done_{i}"] = len(spans)
    end: dict[str, int] = {}

    async def observe(ctx):
        while True:
            *_, fault, idle = await ctx.tick().sample(movers.fault, movers.idle)
            assert idle or not (end.get("valid") and end["idle"]), "the arbiter accepts a burst after a fault"
            end.update(idle=idle, **{name: fault[name] for name in ("valid", "write", "requester", "code")})

    transcript = run_streams(
        movers,
        inputs,
        counts if expect else {},
        seed=seed,
        stall=stall if unit_stall is None else unit_stall,
        settle=20 if expect else cycles,
        max_cycles=10_000,
        processes=[memory.serve, observe, *([watch(movers)] if watch else [])],
        settings={"regions": regions},
    )
    idle = bool(end.pop("idle"))
    return Run(memory=memory, before=before, after=after, transcript=transcript, fault=end, idle=idle)


def check(job: Job, run: Run, seed: int) -> None:
    """Every reader got its words, every word is written, and nothing else has changed."""
    for i, spans in enumerate(job.reads):
        assert run.transcript.values[f"read_{i}"] == content(run.before, spans), f"reader {i}, seed {seed}"
    wanted = run.before.copy()
    for spans, words in zip(job.writes, job.words, strict=True):
        place_words(wanted, spans, words)
    assert np.array_equal(run.after, wanted), f"seed {seed}"
    assert run.fault["valid"] == 0, f"{run.fault}, seed {seed}"
    assert run.idle, f"seed {seed}"
    assert run.memory.idle, f"seed {seed}"


def place_words(memory: np.ndarray, spans: Sequence[Span], words: np.ndarray) -> None:
    """Write the words of some spans."""
    rows = iter(words)
    for start, count in spans:
        first = place(region_of(start), offset_of(start))
        for i in range(count):
            memory[first + i * WORD_BYTES : first + (i + 1) * WORD_BYTES] = next(rows)


def check_fault(run: Run, *, write: bool, requester: int, code: FaultCode) -> None:
    """The run ended with this fault, and with nothing outstanding."""
    assert run.fault == {"valid": 1, "write": int(write), "requester": requester, "code": int(code)}
    assert run.idle
    assert run.memory.idle
