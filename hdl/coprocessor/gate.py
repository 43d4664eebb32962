"""Chooses among the bursts of several requesters, checks them, and translates their addresses."""

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import READ_ONLY, REGION_SHIFT, Region
from ..lib.pipeline import index_bits
from ..lib.streams import StreamFIFO, nonzero
from .memory_streams import ADDRESS_BITS, BLOCK_SHIFT, WORD_SHIFT, burst_layout, regions_layout

__all__ = ["BurstGate", "pick", "requester_bits"]


def requester_bits(requesters: int) -> int:
    """Bits of the number of a requester."""
    return max(1, index_bits(requesters))


def pick(number, values: Sequence):
    """The value of this number, through a tree of multiplexers."""
    level = list(values)
    for bit in number:
        if len(level) > 1:
            pairs = (level[i : i + 2] for i in range(0, len(level), 2))
            level = [Mux(bit, *reversed(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def failed_layout(requesters: int) -> data.StructLayout:
    """A burst that fails, if ``valid``: its requester, and the block of the program's address in which it lies."""
    return data.StructLayout({"valid": 1, "requester": requester_bits(requesters), "block": ADDRESS_BITS - BLOCK_SHIFT})


def issued_layout(requesters: int) -> data.StructLayout:
    """A burst that is issued, if ``valid``: as in :func:`failed_layout`, and its number of words."""
    return data.StructLayout({**failed_layout(requesters).members, "words": burst_layout()["words"].shape})


class BurstGate(wiring.Component):
    """Issues bursts of the requesters in turn, one per two cycles.

    A burst outside its region, or a write to a read-only region, is not issued.

    Parameters
    ----------
    requesters : int
    write : bool
        The bursts are writes.
    outstanding : int
        Bursts that may be outstanding.

    Members
    -------
    bursts : In(stream(burst_layout)).array(requesters)
        Addresses of the program. ``ready`` is a register.
    regions : In(regions_layout)
        Must not change while a burst is in the gate.
    stop : In(1)
        No further burst is accepted.
    drop : In(1)
        No further burst is issued. Those that wait at ``o`` are issued already.
    done : In(1)
        Asserted for one cycle when a burst that was issued is complete.
    o : Out(stream(burst_layout))
        Addresses of the memory.
    issued : Out(issued_layout)
        ``valid`` for one cycle when a burst is issued.
    outside : Out(failed_layout)
        ``valid`` for one cycle when a burst fails the check.
    idle : Out(1)
        No burst is in the gate, and none is outstanding.
    """

    def __init__(self, *, requesters: int, write: bool, outstanding: int):
        self._requesters = requesters
        self._write = write
        self._outstanding = outstanding
        super().__init__(
            {
                "bursts": In(stream.Signature(burst_layout())).array(requesters),
                "regions": In(regions_layout()),
                "stop": In(1),
                "drop": In(1),
                "done": In(1),
                "o": Out(stream.Signature(burst_layout())),
                "issued": Out(issued_layout(requesters)),
                "outside": Out(failed_layout(requesters)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        chosen, requester, burst = self._choose(m)
        m.submodules.queue = queue = StreamFIFO(burst_layout(), depth=self._outstanding, counted=True)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        # First stage: the burst that was chosen. Second stage: its place and its end. Third stage: the result.
        valid = Signal(3)
        requesters = [Signal.like(requester, name=f"requester_{i + 1}") for i in range(3)]
        parts = [Signal(burst_layout(), name=f"burst_{i + 1}") for i in range(3)]
        blocks = [Signal(ADDRESS_BITS - BLOCK_SHIFT, name=f"block_{i + 1}") for i in range(2)]  # of the program
        m.d.sync += valid.eq(Cat(chosen, valid))
        for source, target in zip((requester, *requesters), requesters, strict=False):
            m.d.sync += target.eq(source)
        m.d.sync += parts[0].eq(burst)

        # Addresses and sizes in words, from here on.
        region = parts[0].address[REGION_SHIFT:]
        offset = parts[0].address[WORD_SHIFT:REGION_SHIFT]
        end = Signal(len(offset) + 1)
        limit = Signal.like(end)
        forbidden = Signal()
        places = [self.regions[each.name.lower()] for each in Region]
        base = pick(region, [each.base[BLOCK_SHIFT:] for each in places])
        m.d.sync += [
            end.eq(offset + parts[0].words),
            limit.eq(pick(region, [each.size[WORD_SHIFT : REGION_SHIFT + 1] for each in places])),
            forbidden.eq(pick(region, [int(self._write and each in READ_ONLY) for each in Region])),
            parts[1].address.eq(Cat(parts[0].address[:BLOCK_SHIFT], base + parts[0].address[BLOCK_SHIFT:REGION_SHIFT])),
            parts[1].words.eq(parts[0].words),
        ]
        outside = Signal()
        m.d.sync += [
            outside.eq(forbidden | (end > limit)),
            parts[2].eq(parts[1]),
            blocks[0].eq(parts[0].address[BLOCK_SHIFT:]),
            blocks[1].eq(blocks[0]),
        ]
        issue = Signal()
        m.d.comb += [
            issue.eq(valid[2] & ~outside & ~self.drop),
            queue.i.valid.eq(issue),
            queue.i.payload.eq(parts[2]),
            self.issued.valid.eq(issue),
            self.issued.requester.eq(requesters[2]),
            self.issued.block.eq(blocks[1]),
            self.issued.words.eq(parts[2].words),
            self.outside.valid.eq(valid[2] & outside),
            self.outside.requester.eq(requesters[2]),
            self.outside.block.eq(blocks[1]),
        ]
        depth = self._outstanding
        some = nonzero(m, init=0, limit=depth, up=issue, down=self.done, name="some")
        m.d.comb += self.idle.eq(~(some | chosen | valid.any()))
        return m

    def _choose(self, m: Module):
        """Whether a burst is accepted in this cycle, the number of its requester, and the burst."""
        asking = Signal(self._requesters)
        later = Signal(self._requesters)  # requesters behind the last one
        choice = Signal(self._requesters)
        granted = Signal(self._requesters)
        chosen = Signal()
        number = Signal(requester_bits(self._requesters))
        choose = Signal()
        depth = self._outstanding
        room = nonzero(m, init=depth, limit=depth, up=self.done, down=choose, name="room")
        first = Signal.like(asking)
        m.d.comb += [
            asking.eq(Cat(each.valid for each in self.bursts)),
            first.eq(Mux((asking & later).any(), asking & later, asking)),
            choice.eq(Cat(first[i] & ~first[:i].any() for i in range(self._requesters))),
            choose.eq(asking.any() & room & ~self.stop & ~chosen),
            *(each.ready.eq(granted[i]) for i, each in enumerate(self.bursts)),
        ]
        m.d.sync += [chosen.eq(choose), granted.eq(Mux(choose, choice, 0))]
        for bit in range(len(number)):
            m.d.sync += number[bit].eq(Cat(choice[i] for i in range(self._requesters) if i >> bit & 1).any())
        with m.If(choose):
            m.d.sync += later.eq(Cat(choice[:i].any() for i in range(self._requesters)))
        fields = (pick(number, [each.payload[name] for each in self.bursts]) for name in ("address", "words"))
        burst = Signal(burst_layout())
        m.d.comb += [burst[name].eq(value) for name, value in zip(("address", "words"), fields, strict=True)]
        return chosen, number, burst
