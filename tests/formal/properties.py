"""Properties as components that sit beside a block: each watches ports and says when they break a rule.

The same component serves for what a block must keep and for what its surroundings must keep.
"""

from collections.abc import Mapping, Sequence

from amaranth import Elaboratable, Module, Mux, Signal, Value
from amaranth.hdl import ValueLike

__all__ = [
    "After",
    "Always",
    "Answered",
    "Before",
    "Fifo",
    "Held",
    "Level",
    "Property",
    "Stable",
    "Steady",
    "WordsOfBursts",
]


class Property(Elaboratable):
    """Attributes
    ----------
    name : str
        For reports.
    broken : Signal
        The rule is broken in this cycle.
    reached : Signal
        There is something to check in this cycle. If this never happens, a proof says nothing.
    free : tuple of Signal
        Inputs that may have any values.
    inner : dict of str to Signal
        Signals inside the block, by their names, such as ``queue.level``.
    """

    inner: Mapping[str, Signal] = {}

    def __init__(self, name: str, *free: Signal):
        self.name = name
        self.free: Sequence[Signal] = free
        self.broken = Signal()
        self.reached = Signal()


class Always(Property):
    """A condition holds in every cycle. There is something to check whenever ``when`` holds."""

    def __init__(self, name: str, condition: ValueLike, when: ValueLike = 1):
        super().__init__(name)
        self._condition, self._when = Value.cast(condition), Value.cast(when)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.reached.eq(self._when.bool()), self.broken.eq(self.reached & ~self._condition.bool())]
        return m


class After(Property):
    """A condition holds in the cycle after each cycle in which ``before`` holds."""

    def __init__(self, name: str, before: ValueLike, condition: ValueLike):
        super().__init__(name)
        self._before, self._condition = Value.cast(before), Value.cast(condition)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.reached.eq(self._before.bool())
        m.d.comb += self.broken.eq(self.reached & ~self._condition.bool())
        return m


class Before(Property):
    """Another property held until the cycle before. Two claims may assume each other, if one of them does it so."""

    def __init__(self, rule: Property):
        super().__init__(f"before: {rule.name}", *rule.free)
        self._rule, self.inner = rule, rule.inner

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rule = self._rule
        m.d.sync += self.broken.eq(self._rule.broken)
        m.d.comb += self.reached.eq(self._rule.reached)
        return m


class Held(Property):
    """A value stays as it is after a cycle in which a condition holds."""

    def __init__(self, name: str, condition: ValueLike, value: ValueLike):
        super().__init__(name)
        self._condition, self._value = Value.cast(condition), Value.cast(value)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        before = Signal(len(self._value))
        m.d.sync += [before.eq(self._value), self.reached.eq(self._condition)]
        m.d.comb += self.broken.eq(self.reached & (before != self._value.as_unsigned()))
        return m


class Level(Property):
    """A count stays between zero and ``most``.

    Parameters
    ----------
    up, down : unsigned
        Increment and decrement.
    most : int
    swaps : bool
        The count may go up by what it goes down in the same cycle, although it is ``most``.
    floor : bool
        The count must not become negative. Otherwise it stays zero then.
    """

    def __init__(self, name: str, up: ValueLike, down: ValueLike, *, most: int, swaps: bool = True, floor: bool = True):
        super().__init__(name)
        self._up, self._down, self._most = Value.cast(up), Value.cast(down), most
        self._swaps, self._floor = swaps, floor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(self._most + 1))
        after = count + self._up - self._down
        m.d.sync += count.eq(Mux(after < 0, 0, after))
        highest = after if self._swaps else count + self._up
        m.d.comb += [
            self.reached.eq(self._up.any() | self._down.any()),
            self.broken.eq((self._floor & (after < 0)) | (highest > self._most)),
        ]
        return m


class Steady(Property):
    """A memory's read port shows the same word while its address stays and ``when`` is asserted."""

    def __init__(self, name: str, port, *, when: ValueLike = 1):
        super().__init__(f"{name} shows the word at its address")
        self._port, self._when = port, Value.cast(when)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = Value.cast(self._port.data).as_unsigned()
        address, before = Signal.like(self._port.address), Signal(len(word))
        wanted, read = Signal(), Signal()  # in the cycle before
        m.d.sync += [
            address.eq(self._port.address),
            before.eq(word),
            wanted.eq(self._when),
            read.eq(self._port.enable),
            self.reached.eq(wanted & self._when & (~self._port.enable | (read & (address == self._port.address)))),
        ]
        m.d.comb += self.broken.eq(self.reached & (before != word))
        return m


class Stable(Property):
    """Once a stream offers a payload, valid and payload stay until it is accepted, or ``withdrawn`` is asserted."""

    def __init__(self, name: str, stream, *, withdrawn: ValueLike = 0):
        super().__init__(f"{name} is stable")
        self._stream, self._withdrawn = stream, Value.cast(withdrawn)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        payload = Value.cast(self._stream.payload).as_unsigned()
        before = Signal(len(payload))
        waited = Signal()
        m.d.sync += [before.eq(payload), waited.eq(self._stream.valid & ~self._stream.ready)]
        m.d.comb += [
            self.reached.eq(waited & ~self._withdrawn),
            self.broken.eq(self.reached & (~self._stream.valid | (before != payload))),
        ]
        return m


class Fifo(Property):
    """What enters leaves once, in order, and is offered in time: any one payload is watched from entry to exit.

    Parameters
    ----------
    i, o : stream
    room : int
        Most payloads inside.
    latency : int, optional
        Most cycles in a row in which something is inside and nothing is offered.
    through : bool
        A payload may be offered in the cycle in which it enters.
    """

    def __init__(self, name: str, i, o, *, room: int, latency: int | None = None, through: bool = False):
        self._watch = Signal(name="watch")
        super().__init__(f"{name} keeps payloads and their order", self._watch)
        self._i, self._o, self._room, self._latency, self._through = i, o, room, latency, through

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inside = Signal(range(self._room + 2))
        ahead = Signal(range(self._room + 2))  # of the payload that is watched, and that itself
        watched = Signal(len(Value.cast(self._i.payload)))
        enters, leaves = self._i.valid & self._i.ready, self._o.valid & self._o.ready
        m.d.sync += inside.eq(inside + enters - leaves)
        with m.If(ahead != 0):
            m.d.sync += ahead.eq(ahead - leaves)
        with m.Elif(enters & self._watch):
            m.d.sync += [watched.eq(self._i.payload), ahead.eq(inside + 1 - leaves)]
        same = Value.cast(self._i.payload).as_unsigned() == Value.cast(self._o.payload).as_unsigned()
        passes = enters & same if self._through else Value.cast(0)
        m.d.comb += [
            self.reached.eq((ahead == 1) & self._o.valid),
            self.broken.eq(
                (self._o.valid & (inside == 0) & ~passes)
                | (inside > self._room)
                | (self.reached & (Value.cast(self._o.payload).as_unsigned() != watched))
                | self._late(m, (inside != 0) & ~self._o.valid)
            ),
        ]
        return m

    def _late(self, m: Module, waits: Value) -> Value:
        if self._latency is None:
            return Value.cast(0)
        waited = Signal(range(self._latency + 1))
        late = waits & (waited == self._latency)
        m.d.sync += waited.eq(Mux(waits & ~late, waited + 1, 0))
        return late


class WordsOfBursts(Property):
    """Words follow their bursts, in order, and only the last word of each burst is marked.

    Any one burst is watched; all of them before it are counted.

    Parameters
    ----------
    begins : 1 bit
        Strobe: a burst begins.
    words : unsigned
        Its number of words, at least 1.
    o : stream
        Words. The payload is the mark.
    most : int
        Most bursts that have begun and not ended.
    """

    def __init__(self, name: str, begins: ValueLike, words: ValueLike, o, *, most: int):
        self._watch = Signal(name="watch")
        super().__init__(name, self._watch)
        self._begins, self._words, self._o, self._most = Value.cast(begins), Value.cast(words), o, most

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inside = Signal(range(self._most + 2))
        ahead = Signal(range(self._most + 2))
        left = Signal(len(self._words))
        sent = self._o.valid & self._o.ready
        ends = sent & self._o.payload
        m.d.sync += inside.eq(inside + self._begins - ends)
        with m.If(ahead != 0):
            m.d.sync += [ahead.eq(ahead - ends), left.eq(left - (sent & (ahead == 1)))]
        with m.Elif(self._begins & self._watch):
            m.d.sync += [left.eq(self._words), ahead.eq(inside + 1 - ends)]
        m.d.comb += [
            self.reached.eq((ahead == 1) & self._o.valid),
            self.broken.eq(
                (self._o.valid & (inside == 0))
                | (inside > self._most)
                | (self.reached & (self._o.payload != (left == 1)))
            ),
        ]
        return m


class Answered(Property):
    """A request does not wait for more than some cycles in a row.

    Parameters
    ----------
    request, answer : 1 bit
    within : int
        Most cycles with the request and without the answer, at least 1.
    """

    def __init__(self, name: str, request: ValueLike, answer: ValueLike, *, within: int):
        super().__init__(name)
        self._request, self._answer, self._within = Value.cast(request), Value.cast(answer), within

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waited = Signal(range(self._within + 1))
        waits = Signal()
        m.d.comb += [
            waits.eq(self._request & ~self._answer),
            self.reached.eq(waits),
            self.broken.eq(waits & (waited == self._within)),
        ]
        m.d.sync += waited.eq(Mux(waits & ~self.broken, waited + 1, 0))
        return m
