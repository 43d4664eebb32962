"""What the co-processor keeps: order, regions, thresholds, and silence after a fault."""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from thresher.hdl.coprocessor.arbiter import Arbiter
from thresher.hdl.coprocessor.gate import BurstGate
from thresher.hdl.coprocessor.memory_streams import burst_layout, regions_layout
from thresher.hdl.coprocessor.program_streams import COUNT_BITS
from thresher.hdl.coprocessor.reader import Reader
from thresher.hdl.coprocessor.sequencer import Sequencer
from thresher.hdl.coprocessor.splitter import BurstSplitter
from thresher.spec.program import READ_ONLY, REGION_SHIFT, UNITS, WORD_BYTES, Opcode, Region

from .claims import Claim, channel, smaller, stable_inputs
from .properties import After, Always, Fifo, Held, Level, Property, Stable
from .rooms import Masked, opened

__all__ = [
    "CLAIMS",
    "FEW_WORDS",
    "SEQUENCER_QUEUES",
    "few_words",
    "mover_surroundings",
    "queues_and_counts",
    "thresholds",
]

QUEUE_WORDS = 4
FEW_WORDS = f"{QUEUE_WORDS} words, spans of at most 2"
BLOCK = 16
"""Words of an aligned block, in which a burst lies."""


class Spans(Property):
    """The bursts of a span follow one another, each in its block, from its first to its last word."""

    def __init__(self, block: BurstSplitter):
        super().__init__("bursts cover their span")
        self._block = block

    def elaborate(self, platform: object) -> Module:
        m = Module()
        span, part = self._block.i, self._block.o
        burst = part.payload.burst
        address, left = Signal.like(span.payload.address), Signal.like(span.payload.words)
        following, follows = Signal.like(span.payload), Signal()
        accepted, sent = span.valid & span.ready, part.valid & part.ready
        with m.If(sent):
            m.d.sync += [address.eq(address + (burst.words << 3)), left.eq(left - burst.words)]
        # The next span may be accepted while the last burst of this one waits.
        with m.If((left == 0) | (sent & (burst.words == left))):
            m.d.sync += [address.eq(following.address), left.eq(Mux(follows, following.words, 0)), follows.eq(0)]
        with m.If(accepted):
            m.d.sync += [following.eq(span.payload), follows.eq(1)]
        m.d.comb += [
            self.reached.eq(part.valid),
            self.broken.eq(
                part.valid
                & (
                    (burst.address != address)
                    | (burst.words == 0)
                    | (burst.address[3:7] + burst.words > BLOCK)
                    | (burst.words > left)
                    | (part.payload.last != (burst.words == left))
                )
            ),
        ]
        return m


class Silence(Property):
    """After a fault, the arbiter asks the memory for no more than what waits already."""

    def __init__(self, block: Arbiter, *, outstanding: int):
        super().__init__("no burst begins after a fault")
        self._block, self._outstanding = block, outstanding

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port, fault = self._block.port, self._block.fault
        waiting = Signal()
        silent = Signal(2)
        for i, stream in enumerate((port.read, port.write)):
            # Once the queue of bursts is empty after the fault, it stays empty.
            with m.If(fault.valid & ~stream.valid):
                m.d.sync += silent[i].eq(1)
        m.d.comb += [
            waiting.eq(Cat(port.read.valid, port.write.valid) & silent != 0),
            self.reached.eq(silent.any()),
            self.broken.eq(waiting),
        ]
        return m


class Thresholds(Property):
    """An instruction begins only when the units have completed as many as it waits for."""

    def __init__(self, room: Any, unit: Opcode):
        name = unit.name.lower()
        super().__init__(f"{name} waits for its thresholds")
        self._room, self._first = room, getattr(room.parts, f"{name}_queue").o
        self._out = getattr(room, f"o_{name}")
        self._may_begin = Signal(name="may_begin")
        self._counts = {each: Signal(COUNT_BITS, name=f"count_{each.name.lower()}") for each in UNITS}
        self.inner = {
            f"{name}_may_begin": self._may_begin,
            **{f"completed_{each.name.lower()}": count for each, count in self._counts.items()},
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, counted = self._first.payload, Signal()
        reached = []
        m.d.comb += counted.eq(1)
        for unit, count in self._counts.items():
            end, needed = getattr(self._room, f"i_{unit.name.lower()}"), first.header[f"wait_{unit.name.lower()}"]
            completed = Signal.like(count, name=f"completed_{unit.name.lower()}")
            m.d.sync += completed.eq(completed + (end.valid & end.ready))
            with m.If(completed != count):
                m.d.comb += counted.eq(0)
            reached.append(completed >= needed)
        begins = self._first.valid & Cat(reached).all()
        m.d.comb += [
            self.reached.eq(self._may_begin | self._out.valid),
            self.broken.eq(~counted | (self.reached & ~begins)),
        ]
        return m


class Countable(Property):
    """The count of a unit's completed instructions does not overflow."""

    def __init__(self, room: Any, unit: Opcode):
        name = unit.name.lower()
        super().__init__(f"{name} completes at most {(1 << COUNT_BITS) - 1} instructions")
        self._end = getattr(room, f"i_{name}")
        self._count = Signal(COUNT_BITS, name="count")
        self.inner = {f"completed_{name}": self._count}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.broken.eq(self._count.all() & self._end.valid & self._end.ready)
        return m


INSTRUCTION_QUEUES = tuple(f"{unit.name.lower()}_queue" for unit in UNITS)
UNDER_WAY = tuple(f"{unit.name.lower()}_under_way" for unit in UNITS)
SEQUENCER_QUEUES = (*INSTRUCTION_QUEUES, *UNDER_WAY)


def thresholds(room: Any) -> list[Property]:
    """Of all units."""
    return [Thresholds(room, unit) for unit in UNITS]


def queues_and_counts(room: Any) -> list[Property]:
    """The queues of a sequencer are queues, and no unit completes more instructions than a program can have."""
    begun = {name: getattr(room.parts, name).i for name in UNDER_WAY}
    return [
        *stable_inputs(room),
        *(Stable(name, getattr(room.parts, name).o) for name in INSTRUCTION_QUEUES),
        *(After(f"{name} has room until it gets something", i.ready & ~i.valid, i.ready) for name, i in begun.items()),
        *(Countable(room, unit) for unit in UNITS),
    ]


class InRegion(Property):
    """Every burst that is issued lies in its region, goes to that region's place in the memory, and does not write to
    a region that must not be written."""

    def __init__(self, block: BurstGate):
        super().__init__("bursts stay in their region")
        self._block = block
        self._sent = Signal(burst_layout().size, name="sent")
        self.inner = {"block.burst_3": self._sent}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        issued, regions = self._block.issued, self._block.regions
        sent = data.View(burst_layout(), self._sent)
        number, block = issued.block[REGION_SHIFT - 7 :], issued.block[: REGION_SHIFT - 7]
        places = [regions[each.name.lower()] for each in Region]
        forbidden = Array(int(each in READ_ONLY) for each in Region)
        size, base = Array(each.size for each in places)[number], Array(each.base for each in places)[number]
        offset = Cat(sent.address[:7], block)
        m.d.comb += [
            self.reached.eq(issued.valid),
            self.broken.eq(
                issued.valid
                & (
                    forbidden[number]
                    | (offset + (sent.words << 3) > size)
                    | (sent.address[7:] != (base[7:] + block)[: len(sent.address) - 7])
                )
            ),
        ]
        return m


OFFSET_BITS = 16


def _small_regions(gate: type[BurstGate]) -> Masked:
    """A gate that takes few bits of an address, and of the sizes of the regions."""
    layout = burst_layout()
    burst = layout.const({"address": (3 << REGION_SHIFT) | ((1 << OFFSET_BITS) - WORD_BYTES), "words": -1})
    place = {"base": -1, "size": (2 << OFFSET_BITS) - WORD_BYTES}
    regions = regions_layout().const({each.name.lower(): place for each in Region})
    masks = {f"bursts__{i}__payload": Const.cast(burst).value for i in range(2)}
    return Masked(gate(requesters=2, write=True, outstanding=2), masks | {"regions": Const.cast(regions).value})


def _regions(block: BurstGate) -> list[Property]:
    """Regions stay, and bursts have words and lie in blocks."""
    return [
        *stable_inputs(block),
        Held("regions stay", 1, Value.cast(block.regions)),
        *(
            Always(
                f"burst {i} lies in a block",
                (each.payload.words != 0) & (each.payload.address[3:7] + each.payload.words <= BLOCK),
                each.valid,
            )
            for i, each in enumerate(block.bursts)
        ),
        Level("bursts that began", block.o.valid & block.o.ready, block.done, most=2),
    ]


def _words(block: Reader) -> list[Property]:
    """The lowest bit of each word; all bits go the same way."""
    words, out = block.port.words, block.o_words
    return [
        Fifo(
            "reader",
            channel(words.valid, 1, Value.cast(words.payload)[0]),
            channel(out.valid, out.ready, Value.cast(out.payload)[0]),
            room=QUEUE_WORDS,
        )
    ]


def few_words(mover: Any) -> Any:
    """A reader or writer with a queue of four words, for spans of at most two."""
    if mover is Reader or issubclass(mover, Reader):
        return smaller(mover, BURST_WORDS=2, check_depth=int)(words=QUEUE_WORDS)
    return smaller(mover, check_depth=int)(words=QUEUE_WORDS, bursts=2)


def mover_surroundings(block: Any) -> list[Property]:
    """Spans are one short burst each, and the memory answers only what was asked for."""
    span, bursts = block.i_spans, block.port.bursts
    words = span.payload.words
    asked = Mux(bursts.valid & bursts.ready, bursts.payload.words, 0)
    if hasattr(block, "o_words"):
        memory = [Level("words to come", asked, block.port.words.valid, most=16)]
    else:
        sent = block.port.words.valid & block.port.words.ready
        memory = [
            Level("words to be sent", asked, sent, most=16),
            Level("bursts to end", bursts.valid & bursts.ready, block.port.written, most=16),
        ]
    short = (words != 0) & (words <= 2) & (span.payload.address[3:7] + words <= BLOCK)
    return [*stable_inputs(block), *memory, Always("spans are short", short, span.valid)]


def _answered(block: Arbiter) -> list[Property]:
    port = block.port
    ended = port.read_data.valid & port.read_data.payload.last
    return [
        *stable_inputs(block),
        Level("reads that began", port.read.valid & port.read.ready, ended, most=2),
        Level("writes that began", port.write.valid & port.write.ready, port.written.valid, most=2),
    ]


def _claim(
    component: Any, rule: str, configuration: str, make: Any, asserted: Any, assumed: Any, **options: Any
) -> Claim:
    return Claim(
        rule=rule,
        component=component,
        configuration=configuration,
        make=make,
        asserted=asserted,
        assumed=assumed,
        **options,
    )


CLAIMS = [
    _claim(
        BurstSplitter,
        "bursts cover their span, each in a block",
        "spans of at most 63 words",
        lambda c: c(),
        lambda block: [Spans(block)],
        lambda block: [
            *stable_inputs(block),
            Always(
                "spans are short",
                (block.i.payload.words != 0) & (block.i.payload.words < 64) & (block.i.payload.address[:3] == 0),
                block.i.valid,
            ),
        ],
    ),
    _claim(
        BurstGate,
        "bursts go to their region and stay in it, and none writes where it must not",
        "2 writers, 2 bursts, addresses below 64 KiB in each region",
        _small_regions,
        lambda block: [InRegion(block)],
        _regions,
        induction=4,
    ),
    _claim(
        Arbiter,
        "after a fault no burst begins",
        "2 readers, 2 writers, 2 bursts",
        lambda c: c(readers=2, writers=2, outstanding=2),
        lambda block: [Silence(block, outstanding=2)],
        _answered,
    ),
    _claim(Reader, "words leave once and in order", FEW_WORDS, few_words, _words, mover_surroundings),
    _claim(
        Sequencer,
        "no instruction begins before its thresholds are reached",
        "queues of 2, at most 65,535 completions per unit",
        lambda c: smaller(opened(c), QUEUE_DEPTH=2, UNDER_WAY=2)(),
        thresholds,
        queues_and_counts,
        free=SEQUENCER_QUEUES,
        induction=2,
    ),
]
